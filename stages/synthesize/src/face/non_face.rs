//! Non-faces, such as the false detections of a face detector.

use lfs_faces::DataError;
use lfs_faces::image::{Pixels, encode_jpeg};
use tiny_skia::{Pixmap, Transform};

use super::brush::{Canvas, Rgb, oval, polygon, scaled, through};
use super::finish::{ZOOM, finish};
use crate::factors::Factors;
use crate::rng::{Draw, stream};

/// Draws a picture of a thing, a house, leaves, or lettering.
///
/// # Errors
/// If the size cannot be drawn.
pub fn photograph(f: &Factors) -> Result<Vec<u8>, DataError> {
    let size = [f.size[0] * ZOOM, f.size[1] * ZOOM];
    let mut pixmap = Pixmap::new(size[0], size[1]).ok_or_else(|| {
        DataError::new(format!("a picture of {}x{} pixels cannot be drawn", size[0], size[1]))
    })?;
    let mut rng = stream(f.background, "non-face", &[]);
    let (w, h) = (size[0] as f32, size[1] as f32);
    let mut any =
        || -> Rgb { [rng.uniform(20.0, 240.0), rng.uniform(20.0, 240.0), rng.uniform(20.0, 240.0)] };
    let tones = [any(), any(), any(), any()];
    let mut c = Canvas { pixmap: &mut pixmap, view: Transform::identity() };
    let all = polygon(&[[0.0, 0.0], [w, 0.0], [w, h], [0.0, h]]);
    c.fill_between(all, ([0.0, 0.0], tones[0], 1.0), ([0.0, h], tones[1], 1.0));
    match rng.below(4) {
        0 => {
            for _ in 0..60 {
                let (x, y, r) = (rng.uniform(0.0, w), rng.uniform(0.0, h), rng.uniform(0.03, 0.12) * w);
                let leaf = [[x, y - r], [x + r * 0.5, y], [x, y + r], [x - r * 0.5, y]];
                c.fill(through(&leaf, true), scaled(tones[2], rng.uniform(0.5, 1.3)), 0.9);
            }
        }
        1 => {
            for row in 0..5 {
                for column in 0..4 {
                    let (x, y) = ((0.1 + 0.22 * column as f32) * w, (0.08 + 0.19 * row as f32) * h);
                    let window = [[x, y], [x + 0.12 * w, y], [x + 0.12 * w, y + 0.12 * h], [x, y + 0.12 * h]];
                    c.fill(polygon(&window), scaled(tones[2 + row % 2], 0.8), 1.0);
                }
            }
        }
        2 => {
            for _ in 0..4 {
                let (x, y, r) =
                    (rng.uniform(0.25, 0.75) * w, rng.uniform(0.25, 0.75) * h, rng.uniform(0.12, 0.3) * w);
                c.fill(oval([x, y], [r, r * rng.uniform(0.5, 1.2)]), tones[2], 1.0);
                c.spot([x - 0.3 * r, y - 0.3 * r], [0.5 * r, 0.5 * r], [255.0, 255.0, 255.0], 0.6);
                c.stroke(oval([x, y], [r, r]), 0.02 * w, scaled(tones[3], 0.5), 1.0);
            }
        }
        _ => {
            for row in 0..7 {
                let y = (0.12 + 0.12 * row as f32) * h;
                let mut x = 0.08 * w;
                while x < 0.9 * w {
                    let step = rng.uniform(0.02, 0.06) * w;
                    c.stroke(
                        through(&[[x, y], [x + rng.normal(0.02) * w, y + 0.06 * h]], false),
                        0.012 * w,
                        tones[3],
                        1.0,
                    );
                    x += step;
                }
            }
        }
    }
    let picture: Pixels = finish(&pixmap, f);
    encode_jpeg(&picture, f.quality)
}
