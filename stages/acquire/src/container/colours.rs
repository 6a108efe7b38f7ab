//! Whether red and blue are where they should be.
//!
//! A set that was written by a program that holds blue for red shows skin as no skin is (see [`lfs_formats::tone`]). Such a set trains without
//! any other sign, and its network fails on images of all others.

use lfs_faces::DataError;
use lfs_faces::image::decode;
use lfs_formats::tone::{Middle, Tone};

/// How many images are looked at.
const SAMPLE: usize = 512;
/// So many images with colours are needed for a verdict ..
const LEAST: usize = 20;
/// .. and of these so many percent must look blue.
const PERCENT: usize = 75;
/// Mean differences of blue and red that skin can have, of 255.
const SKIN: std::ops::RangeInclusive<f64> = 3.0..=130.0;

/// Looks at some images of a container, evenly spread, however many there are.
pub(super) struct Colours {
    seen: usize,
    every: usize,
    looks: Vec<Tone>,
}

impl Default for Colours {
    fn default() -> Self {
        Self { seen: 0, every: 1, looks: Vec::new() }
    }
}

impl Colours {
    /// Looks at the next image, if it is its turn.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        if self.seen.is_multiple_of(self.every) {
            self.looks.push(decode(bytes).map_or(Tone::Other, |p| look(&Middle::of(&p))));
            if self.looks.len() == 2 * SAMPLE {
                // Every second one stays, so that those kept are still evenly spread.
                let mut k = 0;
                self.looks.retain(|_| {
                    k += 1;
                    k % 2 == 1
                });
                self.every *= 2;
            }
        }
        self.seen += 1;
    }

    /// Refuses images whose faces are blue.
    pub(super) fn verdict(&self, who: &str) -> Result<(), DataError> {
        let count = |wanted: Tone| self.looks.iter().filter(|l| **l == wanted).count();
        let (red, blue) = (count(Tone::Red), count(Tone::Blue));
        if red + blue < LEAST || blue * 100 < (red + blue) * PERCENT {
            return Ok(());
        }
        Err(DataError::new(format!(
            "{who}: faces are blue in {blue} of {} images that were looked at: red and blue are exchanged (BGR for RGB), it seems; write \
             the set again in RGB, or set `colours = \"bgr\"` to exchange them here, or `colours = \"as-found\"` if they are right",
            red + blue
        )))
    }
}

/// The order of colours, where they differ as those of skin can.
fn look(middle: &Middle) -> Tone {
    let [red, _, blue] = middle.mean;
    if SKIN.contains(&(red - blue).abs()) { middle.tone() } else { Tone::Other }
}

/// The image with red and blue exchanged, without loss.
pub(super) fn exchanged(bytes: &[u8]) -> Result<Vec<u8>, DataError> {
    let mut pixels = decode(bytes)?;
    for pixel in pixels.rgb.as_chunks_mut::<3>().0 {
        pixel.swap(0, 2);
    }
    lfs_faces::image::encode_png(&pixels)
}
