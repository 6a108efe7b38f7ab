//! The people of the world: their numbers, groups and photographs.
//!
//! Everything is a function of the seed and a number; nothing is stored, so a world of any size fits into memory.

use crate::factors::{Factors, Hardness, Recipe};
use crate::identity::{Group, Identity};
use crate::names::{Name, freebase_id};
use crate::params::Params;
use crate::rng::{Draw, stream};

/// People are numbered in blocks, so that the people of one set do not depend on the size of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// The training set.
    Train = 0,
    /// LFW, SLLFW, CALFW and CPLFW, which share their people.
    Lfw = 1,
    /// AgeDB.
    Agedb = 2,
    /// CFP.
    Cfp = 3,
    /// RFW.
    Rfw = 4,
    /// MegaFace's probes.
    Megaface = 5,
    /// Trillion-Pairs' celebrities.
    Trillion = 6,
    /// People with a single image: strangers and distractors.
    Once = 7,
    /// IJB-B and IJB-C, which share their people. They have no names.
    Ijb = 8,
    /// TinyFace. They have no names.
    Tinyface = 9,
}

/// The number of people in the block `Once` for each purpose.
const ONCE: u64 = 1 << 30;

/// The number of a person.
pub const fn number(block: Block, index: u64) -> u64 {
    ((block as u64) << 32) | index
}

/// The world of a set of parameters.
#[derive(Debug, Clone)]
pub struct World {
    /// The parameters.
    pub params: Params,
    /// The strengths of the nuisances.
    pub hard: Hardness,
}

impl World {
    /// The world of these parameters.
    pub fn new(params: &Params) -> Self {
        Self { params: params.clone(), hard: params.hardness() }
    }

    /// The number of RFW's people in one group: at least two in each fold.
    pub fn rfw_people(&self) -> u64 {
        self.params.test_identities.div_ceil(2).max(20)
    }

    /// The number of MegaFace's probe identities, and of Trillion-Pairs' celebrities.
    pub fn gallery_people(&self) -> u64 {
        (self.params.test_identities * 2).div_ceil(3)
    }

    /// The group of a person.
    pub fn group(&self, person: u64) -> Group {
        if person >> 32 == Block::Rfw as u64 {
            return Group::ALL[((person & 0xffff_ffff) / self.rfw_people() % 4) as usize];
        }
        let shares = &self.params.group_shares;
        let mut rest = f64::from(stream(self.params.seed, "group", &[person]).uniform(0.0, 1.0))
            * shares.iter().sum::<f64>();
        for (group, share) in Group::ALL.into_iter().zip(shares) {
            if rest < *share {
                return group;
            }
            rest -= share;
        }
        Group::Caucasian
    }

    /// A person.
    pub fn person(&self, number: u64) -> Identity {
        Identity::draw(self.params.seed, number, self.group(number), self.params.identity_spread as f32)
    }

    /// The name of a person.
    pub fn name(&self, person: u64) -> Name {
        let (block, index) = (person >> 32, person & 0xffff_ffff);
        // Blocks are interleaved, so that all numbers below a million have different names in all blocks.
        Name::of(index * 8 + block)
    }

    /// The id of a person in RFW.
    pub fn rfw_id(&self, person: u64) -> String {
        freebase_id(person & 0xffff_ffff)
    }

    /// A person with a single image; `purpose` separates strangers from distractors.
    pub fn once(&self, purpose: u64, index: u64) -> u64 {
        number(Block::Once, purpose * ONCE + index)
    }

    /// The factors of photograph `index` of a person for a set.
    pub fn factors(&self, set: &str, person: u64, index: u64, recipe: Recipe) -> Factors {
        let seed = self.params.seed;
        let age = stream(seed, "age", &[person]).uniform(24.0, 48.0);
        let mut rng = stream(seed, set, &[person, index]);
        Factors::draw(&mut rng, recipe, &self.hard, self.params.size, age)
    }
}
