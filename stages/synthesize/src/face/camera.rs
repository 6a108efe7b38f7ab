//! Projection from the head's space to the picture, and shading.

use super::shape::Vec3;
use crate::factors::Factors;

/// Distance of the camera, in half face widths.
const DISTANCE: f32 = 11.0;
/// The point about which the head turns.
const PIVOT: Vec3 = [0.0, 0.35, 0.0];

/// The pose and the lighting of the head.
#[derive(Debug, Clone)]
pub struct Camera {
    rows: [Vec3; 3],
    scale: f32,
    centre: [f32; 2],
    light: Vec3,
    ambient: f32,
    colour: Vec3,
}

impl Camera {
    /// The camera of a photograph; `zoom` is the number of drawn pixels for each pixel of the result.
    pub fn new(f: &Factors, zoom: f32) -> Self {
        let (sy, cy) = libm::sincosf(f.yaw);
        let (sp, cp) = libm::sincosf(f.pitch);
        let (sr, cr) = libm::sincosf(f.roll);
        // Turn about the vertical, then nod, then tilt.
        let yaw = [[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]];
        let nod = [[1.0, 0.0, 0.0], [0.0, cp, sp], [0.0, -sp, cp]];
        let tilt = [[cr, -sr, 0.0], [sr, cr, 0.0], [0.0, 0.0, 1.0]];
        let rows = times(&tilt, &times(&nod, &yaw));
        let centre = [f.centre[0] * f.size[0] as f32 * zoom, f.centre[1] * f.size[1] as f32 * zoom];
        let warm = f.warmth;
        Self {
            rows,
            scale: f.scale * zoom,
            centre,
            light: f.light,
            ambient: f.ambient,
            colour: [f.gain * (1.0 + warm), f.gain * (1.0 + f.tint), f.gain * (1.0 - warm)],
        }
    }

    /// Rotates a direction with the head.
    pub fn turn(&self, v: Vec3) -> Vec3 {
        [dot(self.rows[0], v), dot(self.rows[1], v), dot(self.rows[2], v)]
    }

    /// The position of a point in the picture (in pixels from the corner of the top left pixel) and its depth.
    pub fn project(&self, p: Vec3) -> Vec3 {
        let q = self.turn([p[0] - PIVOT[0], p[1] - PIVOT[1], p[2] - PIVOT[2]]);
        let near = DISTANCE / (DISTANCE - q[2]);
        [self.centre[0] + q[0] * self.scale * near, self.centre[1] + q[1] * self.scale * near, q[2]]
    }

    /// The light on a surface with the rotated normal `n`, as factors on red, green and blue. `open` is the unshaded fraction of
    /// the lamp's light.
    pub fn lit(&self, n: Vec3, open: f32) -> Vec3 {
        let lamp = ((dot(n, self.light) + 0.18) / 1.18).max(0.0) * open;
        let sky = 0.75 - 0.25 * n[1] + 0.15 * n[2];
        let s = self.ambient * sky + (1.22 - self.ambient) * lamp;
        // Light that passes through skin becomes red: shadows are warmer than lit parts.
        let s = s.max(0.0);
        [s * (1.11 - 0.11 * s) * self.colour[0], s * self.colour[1], s * (0.94 + 0.06 * s) * self.colour[2]]
    }

    /// The specular reflection of a surface with the rotated normal `n`, from 0 to 1.
    pub fn shine(&self, n: Vec3) -> f32 {
        let l = self.light;
        let h = [l[0], l[1], l[2] + 1.0];
        let len = dot(h, h).sqrt().max(1e-6);
        let s = (dot(n, h) / len).max(0.0);
        let s2 = s * s;
        let s4 = s2 * s2;
        let s8 = s4 * s4;
        s8 * s8 * s4 * (1.0 - self.ambient)
    }

    /// The direction of the lamp in the head's space.
    pub fn lamp_at_head(&self) -> Vec3 {
        let l = self.light;
        let r = &self.rows;
        [
            r[0][0] * l[0] + r[1][0] * l[1] + r[2][0] * l[2],
            r[0][1] * l[0] + r[1][1] * l[1] + r[2][1] * l[2],
            r[0][2] * l[0] + r[1][2] * l[1] + r[2][2] * l[2],
        ]
    }

    /// The colour of the light, with its gain.
    pub fn colour(&self) -> Vec3 {
        self.colour
    }
}

/// The scalar product.
pub fn dot(a: Vec3, b: Vec3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// The unit normal of the plane of two directions.
pub fn normal(a: Vec3, b: Vec3) -> Vec3 {
    let n = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    let len = dot(n, n).sqrt().max(1e-9);
    [n[0] / len, n[1] / len, n[2] / len]
}

fn times(a: &[Vec3; 3], b: &[Vec3; 3]) -> [Vec3; 3] {
    let mut out = [[0.0; 3]; 3];
    for (row, out) in a.iter().zip(out.iter_mut()) {
        for (k, out) in out.iter_mut().enumerate() {
            *out = row[0] * b[0][k] + row[1] * b[1][k] + row[2] * b[2][k];
        }
    }
    out
}
