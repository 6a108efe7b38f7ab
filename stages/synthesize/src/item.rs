//! One file of one set: its content, and its fault.

use lfs_faces::DataError;
use lfs_faces::dataset::Points;

use crate::face::points::Pointer;
use crate::face::{non_face, photograph, pointer};
use crate::factors::{Factors, Recipe};
use crate::rng::{Draw, stream};
use crate::world::World;

/// The fault of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Shows another identity of the set.
    LabelFlip,
    /// Shows a stranger, who is in no other image.
    Stranger,
    /// Shows a non-face.
    NonFace,
    /// Has the same bytes as another file.
    ExactDuplicate,
    /// Shows the same photograph as another file, encoded again, slightly brighter and shifted.
    NearDuplicate,
    /// Is truncated.
    Truncated,
    /// A probe of MegaFace that shows another person.
    NoisyProbe,
    /// A distractor of MegaFace that shows a probe's person.
    NoisyDistractor,
}

impl Fault {
    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Fault::LabelFlip => "label-flip",
            Fault::Stranger => "stranger",
            Fault::NonFace => "non-face",
            Fault::ExactDuplicate => "exact-duplicate",
            Fault::NearDuplicate => "near-duplicate",
            Fault::Truncated => "truncated",
            Fault::NoisyProbe => "noisy-probe",
            Fault::NoisyDistractor => "noisy-distractor",
        }
    }
}

/// One file of one set.
#[derive(Debug, Clone)]
pub struct Item {
    /// The path, relative to the set's root.
    pub path: String,
    /// The name of the identity in the set.
    pub label: String,
    /// The person shown; none for a non-face.
    pub person: Option<u64>,
    /// The factors of the photograph.
    pub factors: Factors,
    /// Its fault, if any.
    pub fault: Option<Fault>,
    /// The original's path, or the name of the person shown.
    pub other: String,
}

impl Item {
    /// A photograph without fault.
    pub fn new(
        world: &World,
        set: &str,
        person: u64,
        index: u64,
        recipe: Recipe,
        path: String,
        label: String,
    ) -> Self {
        let factors = world.factors(set, person, index, recipe);
        Self { path, label, person: Some(person), factors, fault: None, other: String::new() }
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// If the picture cannot be drawn or encoded.
    pub fn bytes(&self, world: &World) -> Result<Vec<u8>, DataError> {
        let mut bytes = match self.person {
            Some(person) => photograph(&world.person(person), &self.factors)?,
            None => non_face::photograph(&self.factors)?,
        };
        if self.fault == Some(Fault::Truncated) {
            let part = stream(self.factors.background, "cut", &[]).uniform(0.30, 0.80);
            bytes.truncate((bytes.len() as f32 * part) as usize);
        }
        Ok(bytes)
    }

    /// The landmarks of this face; for a non-face, the landmarks of a false detection.
    pub fn pointer(&self, world: &World) -> Pointer {
        // A person whose number serves no other purpose.
        let believed = || world.once(1, (1 << 29) + self.factors.background % 1024);
        pointer(&world.person(self.person.unwrap_or_else(believed)), &self.factors)
    }

    /// The five points.
    pub fn five(&self, world: &World) -> Points {
        self.pointer(world).five()
    }
}
