//! The surface of a head: a function of azimuth and height.
//!
//! Units are half a face's width (about 7 cm). `x` points to the picture's right, `y` down, `z` to the camera; the eyes are at `y =
//! 0`, and the axis of the head passes between the ears at `x = z = 0`.

use crate::factors::Factors;
use crate::identity::Traits;

/// A point or a direction in space.
pub type Vec3 = [f32; 3];

/// The shape of a head in one photograph: traits after age and expression.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The underlying traits.
    pub t: Traits,
    /// Height of the mouth's line at its middle.
    pub mouth_y: f32,
    /// Azimuth of the corners of the mouth.
    pub corner_phi: f32,
    /// Height of the corners of the mouth.
    pub corner_y: f32,
    /// Half the gap between the lips.
    pub gap: f32,
    /// Height of the lower end of the chin.
    pub chin_y: f32,
    /// Age, from 0 (young) to 1 (old).
    pub old: f32,
    /// Smile, for the cheeks.
    pub smile: f32,
    widths: [(f32, f32); 6],
    depths: [(f32, f32); 7],
}

/// The height above which the skull narrows.
const TEMPLE_Y: f32 = -0.55;

impl Shape {
    /// The shape of a person with these traits in a photograph with these factors.
    pub fn new(traits: &Traits, f: &Factors) -> Self {
        let t = *traits;
        let old = ((f.age - 32.0) / 45.0).clamp(0.0, 1.0);
        let young = ((26.0 - f.age) / 12.0).clamp(0.0, 1.0);
        let jaw = t.jaw + 0.035 * old + 0.03 * (t.ruggedness - 0.5) - 0.02 * young;
        let open = f.mouth_open;
        let smile = f.smile.max(0.0);
        let mouth_y = t.nose_length + t.philtrum + 0.02 * old - 0.02 * smile;
        let gap = 0.10 * open + 0.025 * smile * smile;
        let chin_y = t.chin_length + 0.10 * open;
        let drop = chin_y - 1.6;
        let widths = [
            (TEMPLE_Y, t.temple),
            (0.12, t.cheek),
            (0.75, 0.5 * (t.cheek * 0.90 + jaw * 1.02) + 0.4 * t.fullness + 0.02 * smile),
            (1.10 + 0.5 * drop, jaw * 0.90 + 0.3 * t.fullness),
            (1.38 + drop, jaw * 0.45 + t.chin_width * 0.55),
            (1.52 + drop, t.chin_width),
        ];
        let depths = [
            (TEMPLE_Y, t.forehead),
            (-0.22, 0.5 * t.forehead + 0.60),
            (0.0, 1.15),
            (0.45, 1.13),
            (mouth_y, 1.14),
            (mouth_y + 0.25, 1.09),
            (chin_y - 0.16, 1.08 + t.chin_height),
        ];
        Self {
            mouth_y,
            corner_phi: t.mouth_width * (1.0 + 0.20 * f.smile) - 0.05 * open,
            corner_y: mouth_y - t.mouth_curve - 0.085 * f.smile + 0.4 * gap,
            gap,
            chin_y,
            old,
            smile,
            widths,
            depths,
            t,
        }
    }

    /// Half the head's width at height `y`.
    pub fn width(&self, y: f32) -> f32 {
        if y < TEMPLE_Y {
            return self.t.temple * self.cap(y);
        }
        let last = self.widths[5].0;
        if y > last {
            let s = ((y - last) / (self.chin_y - last)).clamp(0.0, 1.0);
            return self.t.chin_width * (1.0 - s * s).max(0.0).sqrt();
        }
        smooth(&self.widths, y)
    }

    /// The distance of the face from the axis at height `y`, without features.
    pub fn depth(&self, y: f32) -> f32 {
        if y < TEMPLE_Y {
            return self.t.forehead * self.cap(y);
        }
        let last = self.depths[6].0;
        if y > last {
            let s = ((y - last) / (self.chin_y - last)).clamp(0.0, 1.0);
            return self.depths[6].1 * (0.62 + 0.38 * (1.0 - s * s).max(0.0).sqrt());
        }
        smooth(&self.depths, y)
    }

    /// The narrowing of the skull towards the crown: 1 at the temples, 0 at the top.
    fn cap(&self, y: f32) -> f32 {
        let s = ((TEMPLE_Y - y) / (self.t.crown + TEMPLE_Y)).clamp(0.0, 1.0);
        libm::powf((1.0 - libm::powf(s, 2.3)).max(0.0), 1.0 / 2.3)
    }

    /// The surface without eyes, nose and lips, offset by `grow` from the skin.
    pub fn base(&self, phi: f32, y: f32, grow: f32) -> Vec3 {
        let (s, c) = libm::sincosf(phi);
        // The back of the skull is rounder than the face, and ends at the neck.
        let low = ((y - 0.1) / 0.75).clamp(0.0, 1.0);
        let back =
            if y < TEMPLE_Y { 1.22 * self.cap(y) } else { 1.22 - 0.72 * low * low * (3.0 - 2.0 * low) };
        // Behind the ears the head narrows to the neck.
        let nape = 1.0 - 0.42 * ((y - 0.05) / 0.7).clamp(0.0, 1.0) * (-2.2 * c).clamp(0.0, 1.0);
        let w = (self.width(y) + grow) * nape;
        let d = if c > 0.0 { self.depth(y) + grow } else { back + grow };
        [w * s, y, d * c]
    }

    /// The point of the skin at azimuth `phi` and height `y`.
    pub fn skin(&self, phi: f32, y: f32) -> Vec3 {
        let mut p = self.base(phi, y, 0.0);
        let c = libm::cosf(phi);
        if c > 0.05 {
            p[2] += self.relief(p[0], y, phi) * (c * 4.0).min(1.0);
        }
        // The jaw rises from the chin to the ear.
        let side = ((phi.abs() - 0.65) / 1.1).clamp(0.0, 1.0);
        p[1] -= (y - 0.45).max(0.0) * 0.46 * side * side * (3.0 - 2.0 * side);
        p
    }

    /// The contribution of eyes, nose, cheeks, lips and chin to the depth of the face.
    fn relief(&self, x: f32, y: f32, phi: f32) -> f32 {
        let t = &self.t;
        let ax = x.abs();
        let mut z = 0.0;
        // Nose: a ridge that rises to the tip, then falls quickly.
        if ax < 0.75 && y > -0.6 && y < t.nose_length + 0.35 {
            let (top, tip) = (-0.10, t.nose_length);
            let s = ((y - top) / (tip - top)).clamp(0.0, 1.0);
            let rise = t.bridge_height + (t.nose_height - t.bridge_height) * libm::powf(s, 1.25);
            let hump = t.hump * bump(s - 0.42, 0.22);
            let half = t.bridge_width * (1.0 - s * s) + (0.60 * t.nose_width + t.tip * 0.35) * s * s;
            let fade = if y < top {
                bump(y - top, 0.16)
            } else if y > tip {
                bump(y - tip, 0.085)
            } else {
                1.0
            };
            z += (rise + hump) * ridge(ax / half) * fade;
            z += 0.17 * bump(ax - t.nose_width * 0.82, 0.075) * bump(y - tip + 0.015, 0.095);
            z += 0.25 * t.tip * bump(ax, t.tip) * bump(y - tip + 0.02, 0.10);
        }
        // Eyes.
        if y > -0.7 && y < 0.6 {
            let ex = self.eye_x();
            z -= t.socket * bump(ax - ex * 0.93, 0.22) * bump(y + 0.02, 0.17);
            z += 0.055 * bump(ax - ex, 0.13) * bump(y, 0.09);
            z += (0.02 + 0.075 * t.ruggedness) * bump(y + t.brow_height + 0.02, 0.10) * bump(ax - 0.35, 0.38);
            z -= 0.04 * self.old * bump(ax - ex, 0.16) * bump(y - 0.19, 0.05);
        }
        // Cheeks.
        z += (t.cheekbone + 0.05 * self.smile) * bump(ax - 0.58, 0.23) * bump(y - 0.42, 0.20);
        z -= (0.045 - 0.4 * t.fullness + 0.04 * self.old) * bump(ax - 0.52, 0.17) * bump(y - 0.92, 0.22);
        // Mouth and chin.
        if y > 0.5 {
            let m = self.mouth_y;
            let wide = self.corner_phi * 0.72;
            z += 0.05 * bump(ax, 0.42) * bump(y - m, 0.26);
            z += (0.035 + 0.42 * t.upper_lip)
                * bump(phi, wide)
                * bump(y - m + self.gap + 0.5 * t.upper_lip, 0.055);
            z += (0.035 + 0.40 * t.lower_lip)
                * bump(phi, wide * 0.85)
                * bump(y - m - self.gap - 0.5 * t.lower_lip, 0.065);
            z -= 0.045 * bump(phi, wide * 1.2) * bump(y - m, 0.022 + 0.6 * self.gap);
            z -= 0.055 * bump(ax, 0.30) * bump(y - m - self.gap - t.lower_lip - 0.09, 0.055);
            z -= 0.022 * bump(ax, 0.05) * bump(y - m + 0.20, 0.07);
            z += (0.03 + t.chin_height)
                * bump(ax, 0.22 + 0.2 * t.chin_width)
                * bump(y - self.chin_y + 0.19, 0.13);
        }
        z
    }

    /// Distance of an eye's centre from the middle, along `x`.
    pub fn eye_x(&self) -> f32 {
        self.width(0.0) * libm::sinf(self.t.eye_distance)
    }
}

/// A bell curve with value 1 at 0.
fn bump(d: f32, width: f32) -> f32 {
    let q = d / width;
    let q = q * q;
    // A rational function: close enough to a Gaussian, and much cheaper.
    if q > 9.0 {
        0.0
    } else {
        let r = 1.0 - q / 9.0;
        let r2 = r * r;
        r2 * r2 * r2 * r2 * r
    }
}

/// A rounded ridge with value 1 at 0.
fn ridge(d: f32) -> f32 {
    let q = d * d;
    1.0 / (1.0 + q + 0.6 * q * q + 0.5 * q * q * q)
}

/// Interpolates between knots with a smooth slope at each.
fn smooth(knots: &[(f32, f32)], y: f32) -> f32 {
    let last = knots.len() - 1;
    if y <= knots[0].0 {
        return knots[0].1;
    }
    let mut i = 0;
    while i + 1 < last && y > knots[i + 1].0 {
        i += 1;
    }
    let slope = |a: usize, b: usize| (knots[b].1 - knots[a].1) / (knots[b].0 - knots[a].0).max(1e-3);
    let tangent = |k: usize| {
        if k == 0 {
            0.0
        } else if k == last {
            slope(k - 1, k)
        } else {
            slope(k - 1, k + 1)
        }
    };
    let (a, b) = (knots[i], knots[i + 1]);
    let h = (b.0 - a.0).max(1e-3);
    let s = ((y - a.0) / h).clamp(0.0, 1.0);
    let (s2, s3) = (s * s, s * s * s);
    (2.0 * s3 - 3.0 * s2 + 1.0) * a.1
        + (s3 - 2.0 * s2 + s) * h * tangent(i)
        + (3.0 * s2 - 2.0 * s3) * b.1
        + (s3 - s2) * h * tangent(i + 1)
}
