//! Detects images with red and blue exchanged.
//!
//! In a set written by a program that exchanged red and blue, the colours of faces are impossible for skin (see
//! [`lfs_formats::tone`]). Training on such a set shows no other sign, but its network fails on all other images.

use lfs_faces::DataError;
use lfs_faces::image::decode;
use lfs_formats::tone::{Middle, Tone};

/// The number of images that are examined.
const SAMPLE: usize = 512;
/// A verdict needs this many coloured images ..
const LEAST: usize = 20;
/// .. of which this percentage must look blue.
const PERCENT: usize = 75;
/// The range of mean differences of red and blue that skin can have, of 255.
const SKIN: std::ops::RangeInclusive<f64> = 3.0..=130.0;

/// Samples images of a container, evenly spread for any number of images.
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
    /// Examines the next image if it is in the sample.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        if self.seen.is_multiple_of(self.every) {
            self.looks.push(decode(bytes).map_or(Tone::Other, |p| look(&Middle::of(&p))));
            if self.looks.len() == 2 * SAMPLE {
                // Every second one is kept, so that the sample remains evenly spread.
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

/// The colour order, if the difference of red and blue is in the range of skin.
fn look(middle: &Middle) -> Tone {
    let [red, _, blue] = middle.mean;
    if SKIN.contains(&(red - blue).abs()) { middle.tone() } else { Tone::Other }
}

/// Exchanges red and blue, losslessly.
pub(super) fn exchanged(bytes: &[u8]) -> Result<Vec<u8>, DataError> {
    let mut pixels = decode(bytes)?;
    for pixel in pixels.rgb.as_chunks_mut::<3>().0 {
        pixel.swap(0, 2);
    }
    lfs_faces::image::encode_png(&pixels)
}
