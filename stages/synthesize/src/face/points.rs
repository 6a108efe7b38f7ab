//! The landmarks of a face in the layouts of the data sets.

use lfs_faces::dataset::Points;

use super::camera::Camera;
use super::finish::ZOOM;
use super::shape::Shape;

/// Computes the landmarks of a face in its photograph. In pixels of the result, with pixel centres at integers.
pub struct Pointer {
    shape: Shape,
    camera: Camera,
    width: f32,
}

impl Pointer {
    /// The landmarks of this shape with this camera, in a picture of this width.
    pub fn new(shape: Shape, camera: Camera, width: u32) -> Self {
        Self { shape, camera, width: width as f32 }
    }

    fn at(&self, phi: f32, y: f32) -> [f32; 2] {
        let q = self.camera.project(self.shape.skin(phi, y));
        [q[0] / ZOOM as f32 - 0.5, q[1] / ZOOM as f32 - 0.5]
    }

    /// Eyes, tip of the nose, corners of the mouth.
    pub fn five(&self) -> Points {
        let s = &self.shape;
        let (e, c) = (s.t.eye_distance, s.corner_phi);
        [
            self.at(-e, 0.0),
            self.at(e, 0.0),
            self.at(0.0, s.t.nose_length),
            self.at(-c, s.corner_y),
            self.at(c, s.corner_y),
        ]
    }

    /// The 68 points of iBUG's layout. The means of 36-41 and 42-47 are the centres of the eyes, 30 is the tip of the
    /// nose, 48 and 54 are the corners of the mouth.
    pub fn sixty_eight(&self) -> Vec<[f32; 2]> {
        let (s, t) = (&self.shape, &self.shape.t);
        let five = self.five();
        let mut out = Vec::with_capacity(68);
        for k in 0..17 {
            let a = (k as f32 / 8.0 - 1.0) * 1.35;
            let y = 0.1 + (s.chin_y - 0.12) * libm::powf((1.0 - (a / 1.35).powi(2)).max(0.0), 0.7);
            out.push(self.at(a, y));
        }
        for side in [-1.0, 1.0] {
            for k in 0..5 {
                let u = if side < 0.0 { 4 - k } else { k } as f32 / 4.0;
                let phi = side * (t.eye_distance - t.brow_length + 2.0 * t.brow_length * u);
                out.push(self.at(phi, -t.brow_height - t.brow_arch * (1.0 - (2.0 * u - 1.25).powi(2))));
            }
        }
        for k in 0..4 {
            out.push(self.at(0.0, t.nose_length * (0.1 + 0.3 * k as f32)));
        }
        if let Some(tip) = out.last_mut() {
            *tip = five[2];
        }
        for k in 0..5 {
            out.push(self.at((k as f32 / 2.0 - 1.0) * 0.6 * t.nose_width, t.nose_length + 0.11));
        }
        for (side, centre) in [(-1.0_f32, five[0]), (1.0, five[1])] {
            let (w, o) = (t.eye_width, t.eye_width * t.eye_open * 0.6);
            let x = side * t.eye_distance;
            let ring = [[-w, 0.0], [-0.35 * w, -o], [0.35 * w, -o], [w, 0.0], [0.35 * w, o], [-0.35 * w, o]];
            let mut ring: Vec<[f32; 2]> = ring.iter().map(|d| self.at(x + d[0], d[1])).collect();
            // Perspective moves the mean of the rim slightly; shift the rim so that its mean is the eye centre again.
            for axis in 0..2 {
                let shift = centre[axis] - ring.iter().map(|p| p[axis]).sum::<f32>() / 6.0;
                ring.iter_mut().for_each(|p| p[axis] += shift);
            }
            out.extend(ring);
        }
        let (w, m) = (s.corner_phi, s.mouth_y);
        let bend = |u: f32| (s.corner_y - m) * u * u;
        out.push(five[3]);
        for u in [-0.62_f32, -0.2, 0.0, 0.2, 0.62] {
            out.push(self.at(u * w, m - s.gap - t.upper_lip * (1.0 - 0.45 * u.abs()) + bend(u)));
        }
        out.push(five[4]);
        for u in [0.58_f32, 0.22, 0.0, -0.22, -0.58] {
            out.push(self.at(u * w, m + s.gap + t.lower_lip * (1.0 - 0.4 * u.abs()) + bend(u)));
        }
        out.push(self.at(-0.85 * w, s.corner_y));
        for u in [-0.4_f32, 0.0, 0.4] {
            out.push(self.at(u * w, m - s.gap + bend(u)));
        }
        out.push(self.at(0.85 * w, s.corner_y));
        for u in [0.4_f32, 0.0, -0.4] {
            out.push(self.at(u * w, m + s.gap + bend(u)));
        }
        out
    }

    /// CFP's 30 fiducials of one half: jaw 0-8, brow 9-11, eye 12-17, nose 18-24, mouth 25-29. `side` is -1 for the half
    /// on the picture's left of a frontal face, 1 for the other.
    pub fn thirty(&self, side: f32) -> Vec<[f32; 2]> {
        let (s, t) = (&self.shape, &self.shape.t);
        let mut out = Vec::with_capacity(30);
        for k in 0..9 {
            let u = k as f32 / 8.0;
            let y = 0.15 + (s.chin_y - 0.17) * libm::powf((1.0 - (1.0 - u).powi(2)).max(0.0), 0.75);
            out.push(self.at(side * 1.35 * (1.0 - u), y));
        }
        for u in [1.0_f32, 0.5, 0.05] {
            let phi = t.eye_distance - t.brow_length + 2.0 * t.brow_length * u;
            out.push(self.at(side * phi, -t.brow_height - t.brow_arch * (1.0 - (2.0 * u - 1.25).powi(2))));
        }
        let (w, o) = (t.eye_width, t.eye_width * t.eye_open * 0.6);
        let eye = if side < 0.0 { self.five()[0] } else { self.five()[1] };
        let ring = [[w, 0.0], [0.4 * w, -o], [-0.4 * w, -o], [-w, 0.0], [-0.4 * w, o], [0.4 * w, o]];
        let mut ring: Vec<[f32; 2]> =
            ring.iter().map(|d| self.at(side * (t.eye_distance + d[0]), d[1])).collect();
        for axis in 0..2 {
            let shift = eye[axis] - ring.iter().map(|p| p[axis]).sum::<f32>() / 6.0;
            ring.iter_mut().for_each(|p| p[axis] += shift);
        }
        out.extend(ring);
        for k in 0..4 {
            out.push(self.at(0.0, t.nose_length * (0.1 + 0.3 * k as f32)));
        }
        out.push(self.at(0.0, t.nose_length + 0.12));
        out.push(self.at(side * 0.06, t.nose_length + 0.11));
        out.push(self.at(side * 0.75 * t.nose_width, t.nose_length + 0.06));
        out.push(self.at(side * s.corner_phi, s.corner_y));
        out.push(self.at(0.0, s.mouth_y - s.gap - t.upper_lip));
        out.push(self.at(0.0, s.mouth_y - s.gap));
        out.push(self.at(0.0, s.mouth_y + s.gap + t.lower_lip));
        out.push(self.at(0.0, s.mouth_y + s.gap));
        out
    }

    /// The width of the picture, pixels.
    pub fn width(&self) -> f32 {
        self.width
    }
}
