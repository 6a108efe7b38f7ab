//! Identities: a vector of numbers, and its meaning for a face.

use serde::{Deserialize, Serialize};

use crate::rng::{Draw, stream};

/// The four groups: names of distributions in the vector space, after RFW's subsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Group {
    /// RFW's first subset.
    African,
    /// RFW's second subset.
    Asian,
    /// RFW's third subset.
    Caucasian,
    /// RFW's fourth subset.
    Indian,
}

impl Group {
    /// All four, in RFW's order.
    pub const ALL: [Group; 4] = [Group::African, Group::Asian, Group::Caucasian, Group::Indian];

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Group::African => "African",
            Group::Asian => "Asian",
            Group::Caucasian => "Caucasian",
            Group::Indian => "Indian",
        }
    }
}

macro_rules! traits {
    ($($(#[doc = $doc:literal])* $name:ident: $lo:literal .. $hi:literal, [$a:literal, $b:literal, $c:literal, $d:literal], $spread:literal;)*) => {
        /// The traits of a face, each in its own unit: lengths in half face widths, angles in radians of azimuth.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct Traits { $($(#[doc = $doc])* pub $name: f32,)* }

        /// Names of the numbers in an identity's vector, in order.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];
        /// The number of dimensions of an identity's vector.
        pub const DIMENSIONS: usize = NAMES.len();
        /// For each number: the group means and the spread within a group, in standard units.
        const LAWS: [([f32; 4], f32); DIMENSIONS] = [$(([$a, $b, $c, $d], $spread)),*];

        impl Traits {
            /// Interprets a vector in standard units; each number is mapped smoothly into its range.
            pub fn of(vector: &[f32; DIMENSIONS]) -> Self {
                let mut next = vector.iter().copied();
                Self { $($name: squeeze(next.next().unwrap_or(0.0), $lo, $hi),)* }
            }
        }
    };
}

/// The range -3 .. 3 in standard units fills nearly the whole interval, whose ends are never exceeded.
fn squeeze(v: f32, lo: f32, hi: f32) -> f32 {
    0.5 * (lo + hi) + 0.5 * (hi - lo) * libm::tanhf(v * 0.55)
}

// Columns: range, means of the four groups, spread within a group.
traits! {
    /// Half width at the temples.
    temple: 0.86..1.02, [0.0, 0.2, -0.1, -0.1], 1.0;
    /// Half width at the cheekbones.
    cheek: 0.90..1.08, [0.0, 0.8, -0.3, -0.2], 1.0;
    /// Half width at the height of the mouth.
    jaw: 0.66..0.93, [0.1, 0.3, 0.0, -0.3], 1.0;
    /// Half width of the chin.
    chin_width: 0.26..0.52, [0.0, -0.2, 0.2, 0.0], 1.0;
    /// From the eyes down to the end of the chin.
    chin_length: 1.45..1.80, [0.0, -0.3, 0.2, 0.1], 1.0;
    /// How far the chin stands out.
    chin_height: -0.02..0.16, [-0.2, -0.3, 0.4, 0.0], 1.0;
    /// From the eyes up to the crown.
    crown: 1.45..1.80, [0.0, 0.0, 0.1, 0.0], 1.0;
    /// Depth of the forehead.
    forehead: 1.16..1.34, [0.4, 0.0, 0.0, 0.0], 1.0;
    /// Height of the cheekbones over the face.
    cheekbone: 0.00..0.17, [0.2, 0.7, -0.2, 0.0], 1.0;
    /// Fullness of the lower cheeks.
    fullness: -0.08..0.10, [0.1, 0.2, -0.1, 0.0], 1.0;
    /// Azimuth of the eyes.
    eye_distance: 0.41..0.55, [0.3, 0.2, -0.2, -0.1], 1.0;
    /// Half width of an eye.
    eye_width: 0.125..0.200, [0.2, -0.3, 0.0, 0.5], 1.0;
    /// Opening of the eyes over their width.
    eye_open: 0.38..0.68, [0.1, -0.8, 0.1, 0.4], 1.0;
    /// Slant of the eyes.
    eye_tilt: -0.16..0.24, [0.0, 0.7, -0.3, 0.0], 1.0;
    /// Height of the fold of the lid.
    lid: 0.01..0.09, [0.0, -1.0, 0.4, 0.4], 1.0;
    /// Depth of the sockets.
    socket: 0.03..0.17, [-0.2, -0.8, 0.6, 0.3], 1.0;
    /// Colour of the irises, from dark brown over hazel and green to blue.
    iris: 0.0..1.0, [-1.6, -1.6, 0.6, -1.2], 0.8;
    /// Lightness of the irises.
    iris_light: 0.0..1.0, [-0.5, -0.5, 0.3, -0.4], 1.0;
    /// Size of the irises.
    iris_size: 0.075..0.105, [0.0, 0.0, 0.0, 0.0], 1.0;
    /// Height of the brows over the eyes.
    brow_height: 0.19..0.34, [0.2, 0.3, -0.2, -0.2], 1.0;
    /// Thickness of the brows.
    brow_thickness: 0.020..0.085, [0.0, -0.3, 0.0, 0.6], 1.0;
    /// Length of the brows.
    brow_length: 0.19..0.30, [0.0, -0.1, 0.0, 0.2], 1.0;
    /// Arch of the brows.
    brow_arch: -0.01..0.10, [0.0, -0.2, 0.1, 0.2], 1.0;
    /// Slant of the brows.
    brow_tilt: -0.15..0.18, [0.0, 0.0, 0.0, 0.0], 1.0;
    /// How near the brows come to each other.
    brow_gap: -0.05..0.06, [0.0, 0.1, 0.0, -0.4], 1.0;
    /// From the eyes down to the tip of the nose.
    nose_length: 0.46..0.68, [-0.2, -0.2, 0.2, 0.3], 1.0;
    /// Half width of the nose at the wings.
    nose_width: 0.15..0.29, [0.9, 0.1, -0.6, 0.0], 1.0;
    /// Height of the tip of the nose.
    nose_height: 0.24..0.50, [-0.5, -0.4, 0.5, 0.3], 1.0;
    /// Height of the bridge of the nose.
    bridge_height: 0.03..0.24, [-0.6, -0.7, 0.6, 0.4], 1.0;
    /// Half width of the bridge.
    bridge_width: 0.075..0.150, [0.4, 0.3, -0.3, -0.1], 1.0;
    /// A hump (or a hollow) on the bridge.
    hump: -0.04..0.09, [-0.2, -0.3, 0.2, 0.4], 1.0;
    /// Roundness of the tip.
    tip: 0.08..0.15, [0.5, 0.2, -0.2, 0.0], 1.0;
    /// From the tip of the nose down to the mouth.
    philtrum: 0.36..0.52, [0.1, 0.0, 0.0, -0.1], 1.0;
    /// Azimuth of the corners of the mouth.
    mouth_width: 0.30..0.47, [0.3, -0.1, 0.0, 0.0], 1.0;
    /// Thickness of the upper lip.
    upper_lip: 0.045..0.145, [1.0, 0.1, -0.6, 0.1], 1.0;
    /// Thickness of the lower lip.
    lower_lip: 0.065..0.185, [0.9, 0.2, -0.5, 0.1], 1.0;
    /// Depth of the cupid's bow.
    bow: 0.00..0.05, [0.0, 0.0, 0.1, 0.0], 1.0;
    /// How far the corners of the mouth hang or rise at rest.
    mouth_curve: -0.05..0.05, [0.0, 0.0, 0.0, 0.0], 1.0;
    /// Redness of the lips.
    lip_colour: 0.0..1.0, [-0.3, 0.1, 0.2, -0.1], 1.0;
    /// Size of the ears.
    ear_size: 0.24..0.40, [-0.2, 0.0, 0.0, 0.1], 1.0;
    /// How far the ears stand out.
    ear_angle: 0.02..0.20, [0.0, 0.0, 0.0, 0.0], 1.0;
    /// Darkness of the skin.
    melanin: 0.0..1.0, [1.55, -0.75, -1.45, 0.55], 0.45;
    /// Skin from rosy to yellow.
    undertone: 0.0..1.0, [0.0, 0.7, -0.6, 0.4], 0.7;
    /// Freckles.
    freckles: -1.0..1.0, [-0.8, -0.6, 0.1, -0.7], 0.9;
    /// Height of the hairline above the eyes.
    hairline: 0.72..1.10, [0.0, 0.0, 0.0, 0.0], 1.0;
    /// Recession at the temples.
    recession: -0.08..0.24, [-0.2, -0.2, 0.2, 0.0], 1.0;
    /// Hair from shaved to very long.
    hair_length: 0.0..1.0, [-0.7, 0.2, 0.1, 0.1], 1.1;
    /// Volume of the hair.
    hair_volume: 0.03..0.24, [0.1, 0.0, 0.0, 0.1], 1.0;
    /// Hair from straight to coiled.
    hair_curl: 0.0..1.0, [1.7, -1.1, -0.2, -0.1], 0.7;
    /// Hair from black over brown and red to blond.
    hair_colour: 0.0..1.0, [-2.6, -2.3, 0.4, -2.1], 0.75;
    /// Fringe over the forehead.
    fringe: 0.0..1.0, [-0.8, 0.4, 0.0, -0.3], 1.0;
    /// Side of the parting.
    parting: -1.0..1.0, [0.0, 0.0, 0.0, 0.0], 1.2;
    /// From soft to rugged: ridge of the brows, beard, jaw.
    ruggedness: 0.0..1.0, [0.0, 0.0, 0.0, 0.0], 1.4;
    /// Beard, where the face is rugged enough.
    beard: 0.0..1.0, [0.1, -0.6, 0.1, 0.5], 1.2;
    /// First pattern of blotches.
    blotch_a: -1.0..1.0, [0.0, 0.0, 0.0, 0.0], 1.0;
    /// Second pattern of blotches.
    blotch_b: -1.0..1.0, [0.0, 0.0, 0.0, 0.0], 1.0;
    /// Third pattern of blotches.
    blotch_c: -1.0..1.0, [0.0, 0.0, 0.0, 0.0], 1.0;
    /// Fourth pattern of blotches.
    blotch_d: -1.0..1.0, [0.0, 0.0, 0.0, 0.0], 1.0;
    /// Azimuth of the first mole.
    mole_x: -0.9..0.9, [0.0, 0.0, 0.0, 0.0], 1.3;
    /// Height of the first mole.
    mole_y: -0.7..1.4, [0.0, 0.0, 0.0, 0.0], 1.3;
    /// Size of the first mole; none below 0.
    mole_size: -0.03..0.05, [-0.3, 0.0, 0.0, 0.2], 1.2;
    /// Azimuth of the second mole.
    mole2_x: -0.9..0.9, [0.0, 0.0, 0.0, 0.0], 1.3;
    /// Height of the second mole.
    mole2_y: -0.7..1.4, [0.0, 0.0, 0.0, 0.0], 1.3;
    /// Size of the second mole; none below 0.
    mole2_size: -0.05..0.04, [0.0, 0.0, 0.0, 0.0], 1.2;
}

/// A person: group, vector, and the meaning of the vector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Identity {
    /// The person's number in the whole world.
    pub number: u64,
    /// The distribution that the vector was drawn from.
    pub group: Group,
    /// The vector, in standard units.
    pub vector: [f32; DIMENSIONS],
    /// The meaning of the vector.
    pub traits: Traits,
}

impl Identity {
    /// Draws person `number`. `spread` scales the distance between people of one group.
    pub fn draw(seed: u64, number: u64, group: Group, spread: f32) -> Self {
        let mut rng = stream(seed, "identity", &[number]);
        let mut vector = [0.0; DIMENSIONS];
        for (v, (means, within)) in vector.iter_mut().zip(LAWS) {
            *v = means[group as usize] + rng.normal(within * spread);
        }
        Self { number, group, vector, traits: Traits::of(&vector) }
    }

    /// Squared distance to another person, in standard units.
    pub fn distance(&self, other: &Self) -> f32 {
        self.vector.iter().zip(other.vector).map(|(a, b)| (a - b) * (a - b)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_has_at_least_48_numbers_with_names_of_their_own() {
        let unique: std::collections::BTreeSet<&str> = NAMES.iter().copied().collect();
        assert_eq!(unique.len(), DIMENSIONS);
        assert!(unique.len() >= 48, "{}", unique.len());
    }

    #[test]
    fn the_same_number_is_the_same_person() {
        let a = Identity::draw(1, 7, Group::Asian, 1.0);
        assert_eq!(a, Identity::draw(1, 7, Group::Asian, 1.0));
        assert_ne!(a.vector, Identity::draw(1, 8, Group::Asian, 1.0).vector);
        assert_ne!(a.vector, Identity::draw(2, 7, Group::Asian, 1.0).vector);
    }

    #[test]
    fn the_groups_have_different_means() {
        let mean =
            |g, k: usize| (0..200).map(|n| Identity::draw(0, n, g, 1.0).vector[k]).sum::<f32>() / 200.0;
        let k = NAMES.iter().position(|n| *n == "melanin").unwrap_or(0);
        assert!(mean(Group::African, k) > mean(Group::Caucasian, k) + 1.0);
    }
}
