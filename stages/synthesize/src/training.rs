//! The training set: its identities, its images, and its planted faults.

use crate::factors::Recipe;
use crate::item::{Fault, Item};
use crate::rng::{Draw, shuffle, stream};
use crate::world::{Block, World, number};

/// The folder name of a training identity that is also in a test set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// The same as in the test set.
    SameName,
    /// The same name, spelled differently.
    Variant,
    /// Another name: only the face reveals the identity.
    OtherId,
}

impl Spelling {
    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Spelling::SameName => "same-name",
            Spelling::Variant => "variant",
            Spelling::OtherId => "other-id",
        }
    }
}

/// A person of the training set who is also in a test set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// The index among the training identities.
    pub index: u64,
    /// The test set (`lfw` stands for the four that share its people).
    pub set: &'static str,
    /// The name in the test set.
    pub name: String,
    /// The relation between the folder and the name.
    pub spelling: Spelling,
    /// The person.
    pub person: u64,
    /// The folder in the training set.
    pub folder: String,
}

/// The training set of a world.
pub struct Training<'w> {
    world: &'w World,
    /// The people who are also in a test set, sorted by index.
    pub overlaps: Vec<Overlap>,
}

impl<'w> Training<'w> {
    /// Selects the identities that overlap.
    pub fn new(world: &'w World) -> Self {
        let p = &world.params;
        let mut rng = stream(p.seed, "overlaps", &[]);
        let pools: [(Block, &'static str, u64); 6] = [
            (Block::Lfw, "lfw", p.test_identities),
            (Block::Agedb, "agedb", p.test_identities),
            (Block::Cfp, "cfp", p.test_identities),
            (Block::Rfw, "rfw", 4 * world.rfw_people()),
            (Block::Megaface, "megaface", world.gallery_people()),
            (Block::Trillion, "trillion-pairs", world.gallery_people()),
        ];
        // Alternates between the sets; each person is selected at most once.
        let mut people: Vec<Vec<u64>> = pools
            .iter()
            .map(|(_, _, count)| {
                let mut all: Vec<u64> = (0..*count).collect();
                shuffle(&mut rng, &mut all);
                all
            })
            .collect();
        let wanted = (p.overlaps * p.identities as f64).round() as u64;
        let mut overlaps: Vec<Overlap> = Vec::new();
        let mut taken = std::collections::BTreeSet::new();
        let mut folders = std::collections::BTreeSet::new();
        let mut turn = 0_u64;
        while (overlaps.len() as u64) < wanted && people.iter().any(|p| !p.is_empty()) {
            let pool = (turn % 6) as usize;
            let round = turn / 6 + turn % 6;
            turn += 1;
            let Some(person) = people[pool].pop() else { continue };
            let (block, set, _) = pools[pool];
            let person = number(block, person);
            let mut index = rng.below(p.identities);
            while !taken.insert(index) {
                index = (index + 1) % p.identities;
            }
            let spelling = match (block, round % 3) {
                // Labels of Trillion-Pairs are not names.
                (Block::Trillion, _) | (_, 2) => Spelling::OtherId,
                // An id has only one spelling.
                (Block::Rfw, _) | (_, 0) => Spelling::SameName,
                _ => Spelling::Variant,
            };
            let name = world.name(person);
            let there = match block {
                Block::Rfw => world.rfw_id(person),
                Block::Cfp => name.spaced(),
                Block::Agedb => name.joined(),
                Block::Trillion => format!("{:07}", person & 0xffff_ffff),
                _ => name.folder(),
            };
            let mut folder = match (block, spelling) {
                (Block::Rfw, Spelling::SameName) => there.clone(),
                (_, Spelling::SameName) => name.folder(),
                (_, Spelling::Variant) => name.variant(p.seed, person),
                (_, Spelling::OtherId) => world.name(number(Block::Train, index)).folder(),
            };
            let mut spelling = spelling;
            if !folders.insert(folder.clone()) {
                // The variants of two names may be equal: then one of them is written in full.
                (folder, spelling) = (name.folder(), Spelling::SameName);
                folders.insert(folder.clone());
            }
            overlaps.push(Overlap { index, set, name: there, spelling, person, folder });
        }
        overlaps.sort_by_key(|o| o.index);
        Self { world, overlaps }
    }

    fn overlap(&self, index: u64) -> Option<&Overlap> {
        let at = self.overlaps.binary_search_by_key(&index, |o| o.index).ok()?;
        self.overlaps.get(at)
    }

    /// The person of a training identity.
    pub fn person(&self, index: u64) -> u64 {
        self.overlap(index).map_or(number(Block::Train, index), |o| o.person)
    }

    /// The folder of a training identity.
    pub fn folder(&self, index: u64) -> String {
        match self.overlap(index) {
            Some(overlap) => overlap.folder.clone(),
            None => self.world.name(number(Block::Train, index)).folder(),
        }
    }

    /// The number of images of a training identity.
    pub fn count(&self, index: u64) -> u64 {
        let p = &self.world.params;
        let mut rng = stream(p.seed, "count", &[index]);
        let drawn = p.images_per_identity as f32 + rng.normal(p.images_spread as f32);
        drawn.round().clamp(2.0, 4.0 * p.images_per_identity as f32) as u64
    }

    /// The fault of an image.
    fn fault(&self, index: u64, image: u64) -> Option<Fault> {
        let p = &self.world.params;
        let mut rest = f64::from(stream(p.seed, "fault", &[index, image]).uniform(0.0, 1.0));
        let rates = [
            (Fault::LabelFlip, p.label_flips),
            (Fault::Stranger, p.strangers),
            (Fault::NonFace, p.non_faces),
            (Fault::ExactDuplicate, p.exact_duplicates),
            (Fault::NearDuplicate, p.near_duplicates),
            (Fault::Truncated, p.truncated),
        ];
        for (fault, rate) in rates {
            if rest < rate {
                return Some(fault);
            }
            rest -= rate;
        }
        None
    }

    fn path(&self, index: u64, image: u64) -> String {
        let folder = self.folder(index);
        format!("{folder}/{folder}_{:04}.jpg", image + 1)
    }

    /// An image without its fault.
    fn plain(&self, index: u64, image: u64) -> Item {
        let person = self.person(index);
        Item::new(
            self.world,
            "train",
            person,
            image,
            Recipe::Wild,
            self.path(index, image),
            self.folder(index),
        )
    }

    /// An image without fault to copy: of the same identity, or of any.
    fn original(&self, index: u64, image: u64) -> Option<Item> {
        let mut rng = stream(self.world.params.seed, "original", &[index, image]);
        let abroad = rng.chance(0.4);
        for _ in 0..64 {
            let from = if abroad { rng.below(self.world.params.identities) } else { index };
            let which = rng.below(self.count(from));
            if self.fault(from, which).is_none() {
                return Some(self.plain(from, which));
            }
        }
        None
    }

    /// Image `image` of the training identity `index`.
    pub fn item(&self, index: u64, image: u64) -> Item {
        let world = self.world;
        let p = &world.params;
        let mut item = self.plain(index, image);
        let Some(fault) = self.fault(index, image) else { return item };
        let mut rng = stream(p.seed, "planted", &[index, image]);
        item.fault = Some(fault);
        match fault {
            Fault::LabelFlip => {
                let other = (index + 1 + rng.below(p.identities - 1)) % p.identities;
                item.person = Some(self.person(other));
                item.other = self.folder(other);
            }
            Fault::Stranger => {
                // Below 2^30: identities are at most 200,000, images at most 4,000.
                item.person = Some(world.once(0, index * 4096 + image % 4096));
            }
            Fault::NonFace => item.person = None,
            Fault::ExactDuplicate | Fault::NearDuplicate => match self.original(index, image) {
                Some(original) => {
                    item.person = original.person;
                    item.factors = original.factors;
                    item.other = original.path;
                    if fault == Fault::NearDuplicate {
                        item.factors.quality = (item.factors.quality - 8).max(20);
                        item.factors.gain *= 1.04;
                        item.factors.centre[0] += 0.006;
                    }
                }
                None => item.fault = None,
            },
            Fault::Truncated | Fault::NoisyProbe | Fault::NoisyDistractor => {}
        }
        item
    }
}
