//! The factors of one photograph: pose, light, age, and everything else that does not identify the person.

use rand_chacha::ChaCha8Rng;

use crate::rng::Draw;

/// An occlusion of the face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occlusion {
    /// Nothing.
    None,
    /// A hand or an object in front of a part of the face.
    Object,
    /// Cloth over mouth and nose.
    Mask,
    /// The rim of a hat over the forehead.
    Hat,
}

/// Glasses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glasses {
    /// Nothing.
    None,
    /// Clear ones.
    Clear,
    /// Dark ones.
    Dark,
}

/// The factors of one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factors {
    /// Rotation about the vertical, radians; positive turns the nose to the picture's right.
    pub yaw: f32,
    /// Nod, radians; positive is down.
    pub pitch: f32,
    /// Tilt in the picture, radians; positive is clockwise.
    pub roll: f32,
    /// Smile, -0.4 (sulking) to 1.
    pub smile: f32,
    /// Opening of the mouth, 0 to 1.
    pub mouth_open: f32,
    /// Raised or lowered brows, -1 to 1.
    pub brow_raise: f32,
    /// How far the eyes are open, 0.2 to 1.2.
    pub eyes: f32,
    /// The direction of the gaze, -1 to 1.
    pub gaze: f32,
    /// Direction towards the light (x right, y down, z to the camera); unit length.
    pub light: [f32; 3],
    /// The ratio of ambient light to the lamp's light, 0 to 1.
    pub ambient: f32,
    /// The overall brightness, 1 is neutral.
    pub gain: f32,
    /// Colour of the light: positive is warm, negative cold.
    pub warmth: f32,
    /// Green or magenta cast.
    pub tint: f32,
    /// Age in years.
    pub age: f32,
    /// Glasses.
    pub glasses: Glasses,
    /// An occlusion of the face.
    pub occlusion: Occlusion,
    /// How much the hair differs from its usual look, -1 to 1.
    pub hair: f32,
    /// Standard deviation of the blur, pixels.
    pub blur: f32,
    /// Standard deviation of the noise, in 8-bit levels.
    pub noise: f32,
    /// JPEG quality.
    pub quality: u8,
    /// Seed of the background, the clothes, and other irrelevant details.
    pub background: u64,
    /// Width and height of the picture, pixels.
    pub size: [u32; 2],
    /// Pixels for each unit (half a face's width).
    pub scale: f32,
    /// The position of the point between the eyes and the mouth, as a fraction of width and height.
    pub centre: [f32; 2],
}

/// The strength of each nuisance: 1 is the usual strength, 0 disables it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hardness {
    /// Distance between people of one group in the vector space; smaller is harder.
    pub identity_spread: f64,
    /// Rotation of the head.
    pub pose: f64,
    /// Direction, colour and strength of the light.
    pub light: f64,
    /// Mouth, eyes and brows.
    pub expression: f64,
    /// Years between the photographs of one person.
    pub age: f64,
    /// Glasses, hats, masks, hands.
    pub occlusion: f64,
    /// Blur.
    pub blur: f64,
    /// Noise, and coarse JPEG compression.
    pub noise: f64,
}

impl Default for Hardness {
    fn default() -> Self {
        Self {
            identity_spread: 1.0,
            pose: 1.0,
            light: 1.0,
            expression: 1.0,
            age: 1.0,
            occlusion: 1.0,
            blur: 1.0,
            noise: 1.0,
        }
    }
}

/// How the photographs of a set are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipe {
    /// Found on the web: everything varies.
    Wild,
    /// Press photographs: LFW.
    Press,
    /// The young half of an age pair.
    Young,
    /// The old half of an age pair.
    Old,
    /// The frontal half of a pose pair.
    Ahead,
    /// The turned half of a pose pair.
    Aside,
    /// A whole life: AgeDB.
    Life,
    /// CFP's frontal photographs.
    Frontal,
    /// CFP's profile photographs.
    Profile,
}

impl Factors {
    /// Draws the factors of one image of a person whose usual age is `age`.
    pub fn draw(rng: &mut ChaCha8Rng, recipe: Recipe, hard: &Hardness, size: u32, age: f32) -> Self {
        let h = |x: f64| x as f32;
        let (pose, light) = (h(hard.pose), h(hard.light));
        let side = if rng.chance(0.5) { 1.0 } else { -1.0 };
        let yaw = match recipe {
            Recipe::Wild => {
                if rng.chance(0.18) {
                    side * rng.uniform(0.5, 1.25)
                } else {
                    rng.normal(0.26)
                }
            }
            Recipe::Press | Recipe::Young | Recipe::Old | Recipe::Life => rng.normal(0.22),
            Recipe::Ahead => rng.normal(0.14),
            Recipe::Aside => side * rng.uniform(0.5, 1.0),
            Recipe::Frontal => rng.normal(0.08),
            Recipe::Profile => return Self::profile(rng, side, hard, size, age),
        };
        let years = h(hard.age);
        let age = match recipe {
            Recipe::Young => age - years * rng.uniform(8.0, 18.0),
            Recipe::Old => age + years * rng.uniform(12.0, 32.0),
            Recipe::Life => age + years * rng.uniform(-16.0, 34.0),
            _ => age + years * rng.normal(6.0),
        };
        let expression = h(hard.expression);
        let direction = light * rng.uniform(0.0, 1.25);
        let turn = rng.uniform(-3.2, 3.2);
        // Light from below is rare.
        let l = [direction * libm::cosf(turn), direction * libm::sinf(turn) * 0.55 - 0.35, 1.0];
        let n = (l[0] * l[0] + l[1] * l[1] + l[2] * l[2]).sqrt();
        let occluded = h(hard.occlusion).min(3.0);
        let roll: f32 = rng.normal(0.10);
        let occlusion = match rng.uniform(0.0, 1.0) / occluded.max(1e-6) {
            x if x < 0.045 => Occlusion::Object,
            x if x < 0.065 => Occlusion::Mask,
            x if x < 0.11 => Occlusion::Hat,
            _ => Occlusion::None,
        };
        let glasses = match rng.uniform(0.0, 1.0) / occluded.max(1e-6) {
            x if x < 0.11 => Glasses::Clear,
            x if x < 0.14 => Glasses::Dark,
            _ => Glasses::None,
        };
        let talk = if rng.chance(0.3) { rng.uniform(0.1, 0.9) } else { 0.0 };
        let stretch = |rng: &mut ChaCha8Rng| ((size as f32) * rng.uniform(0.96, 1.10)).round() as u32;
        let size = [stretch(rng), stretch(rng)];
        let scale = size[0].min(size[1]) as f32 * rng.uniform(0.245, 0.305);
        Self {
            yaw: (yaw * pose).clamp(-1.45, 1.45),
            pitch: (rng.normal(0.13) * pose).clamp(-0.6, 0.6),
            roll: (roll * pose).clamp(-0.7, 0.7),
            smile: (expression * rng.uniform(-0.35, 0.9)).clamp(-0.4, 1.0),
            mouth_open: (expression * talk).clamp(0.0, 1.0),
            brow_raise: (expression * rng.normal(0.4)).clamp(-1.0, 1.0),
            eyes: (1.0 + expression * rng.normal(0.14)).clamp(0.25, 1.25),
            gaze: (expression * rng.normal(0.45)).clamp(-1.0, 1.0),
            light: [l[0] / n, l[1] / n, l[2] / n],
            ambient: rng.uniform(0.32, 0.68),
            gain: libm::expf((light * rng.normal(0.20)).clamp(-0.7, 0.30)),
            warmth: (light * rng.normal(0.10)).clamp(-0.35, 0.35),
            tint: (light * rng.normal(0.03)).clamp(-0.1, 0.1),
            age: age.clamp(16.0, 85.0),
            glasses,
            occlusion,
            hair: rng.normal(0.4).clamp(-1.0, 1.0),
            blur: h(hard.blur) * rng.uniform(0.0, 1.0).powi(3) * 1.3,
            noise: h(hard.noise) * rng.uniform(0.0, 1.0).powi(2) * 9.0,
            quality: (95.0 - rng.uniform(0.0, 1.0).powi(2) * 45.0 * h(hard.noise)).clamp(25.0, 97.0) as u8,
            background: rng.below(u64::MAX),
            size,
            scale,
            centre: [0.5 + rng.normal(0.025).clamp(-0.06, 0.06), 0.535 + rng.normal(0.02).clamp(-0.05, 0.05)],
        }
    }

    fn profile(rng: &mut ChaCha8Rng, side: f32, hard: &Hardness, size: u32, age: f32) -> Self {
        let yaw = side * rng.uniform(1.05, 1.45) * (hard.pose as f32).clamp(0.6, 1.0);
        let plain = Self::draw(rng, Recipe::Frontal, hard, size, age);
        // Hands and masks would hide the few visible landmarks of a profile; hats do not.
        let occlusion = if plain.occlusion == Occlusion::Hat { Occlusion::Hat } else { Occlusion::None };
        Self { yaw, occlusion, centre: [0.5 - side * 0.09, plain.centre[1]], ..plain }
    }
}
