//! Colours of a person: skin, hair, irises, lips.

use super::brush::{Rgb, mix, scaled};
use crate::identity::Traits;

/// The colours of a person at an age.
#[derive(Debug, Clone, Copy)]
pub struct Tones {
    /// Skin without other colour.
    pub skin: Rgb,
    /// Skin with strong blood flow.
    pub blush: Rgb,
    /// Lips.
    pub lips: Rgb,
    /// Hair of the head.
    pub hair: Rgb,
    /// Brows and beard.
    pub brows: Rgb,
    /// Irises.
    pub iris: Rgb,
}

impl Tones {
    /// The colours of a person with these traits; `old` runs from 0 to 1.
    pub fn new(t: &Traits, old: f32) -> Self {
        let rosy = ramp(
            &[
                [246.0, 208.0, 190.0],
                [226.0, 176.0, 148.0],
                [176.0, 122.0, 92.0],
                [112.0, 72.0, 54.0],
                [66.0, 42.0, 34.0],
            ],
            t.melanin,
        );
        let gold = ramp(
            &[
                [244.0, 214.0, 180.0],
                [222.0, 180.0, 136.0],
                [172.0, 126.0, 84.0],
                [110.0, 76.0, 48.0],
                [64.0, 44.0, 30.0],
            ],
            t.melanin,
        );
        let skin = mix(rosy, gold, t.undertone);
        let blush = [skin[0] * 1.0, skin[1] * 0.78, skin[2] * 0.76];
        let lips = mix(scaled(blush, 0.90), [skin[0] * 0.86, skin[1] * 0.50, skin[2] * 0.54], t.lip_colour);
        let fresh = ramp(
            &[
                [24.0, 20.0, 20.0],
                [44.0, 30.0, 24.0],
                [84.0, 54.0, 34.0],
                [128.0, 74.0, 40.0],
                [190.0, 146.0, 84.0],
                [226.0, 194.0, 134.0],
            ],
            t.hair_colour,
        );
        let grey = ((old - 0.25 + 0.25 * t.blotch_a) * 1.6).clamp(0.0, 1.0);
        let hair = mix(fresh, [186.0, 184.0, 182.0], grey);
        let brows = scaled(mix(fresh, [140.0, 136.0, 132.0], grey * 0.6), 0.80);
        let iris = ramp(
            &[
                [52.0, 30.0, 18.0],
                [86.0, 52.0, 28.0],
                [112.0, 86.0, 44.0],
                [96.0, 112.0, 72.0],
                [104.0, 136.0, 156.0],
                [84.0, 124.0, 176.0],
            ],
            t.iris,
        );
        Self { skin, blush, lips, hair, brows, iris: scaled(iris, 0.75 + 0.45 * t.iris_light) }
    }
}

/// The colour at `s` (0 to 1) on a ramp of equal steps.
fn ramp(stops: &[Rgb], s: f32) -> Rgb {
    let last = stops.len() - 1;
    let at = s.clamp(0.0, 1.0) * last as f32;
    let k = (at as usize).min(last - 1);
    mix(stops[k], stops[k + 1], at - k as f32)
}
