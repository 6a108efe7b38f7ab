//! Area interpolation: each pixel of the result is the mean of the rectangle that it covers.
//!
//! Pixel `i` of `n`, over `m` source pixels, covers the range from `floor(i m / n)` to `ceil((i + 1) m / n)`, as in adaptive
//! average pooling. Sums are of integers, so that the numbers are the same on every processor.

use std::ops::Range;

use lfs_faces::image::Pixels;

/// A rectangle of a picture with at least one pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Part {
    /// The whole picture.
    pub(crate) fn whole(picture: &Pixels) -> Self {
        Self { left: 0, top: 0, width: picture.width as usize, height: picture.height as usize }
    }

    /// The pixels of a picture from `left`, `top` to `right`, `bottom` (exclusive), clipped to the picture.
    pub(crate) fn within(picture: &Pixels, [left, top, right, bottom]: [i64; 4]) -> Option<Self> {
        let span = |from: i64, to: i64, side: u32| {
            let (from, to) = (from.max(0), to.min(i64::from(side)));
            let length = usize::try_from(to.checked_sub(from)?).ok().filter(|n| *n > 0)?;
            Some((usize::try_from(from).ok()?, length))
        };
        let ((left, width), (top, height)) =
            (span(left, right, picture.width)?, span(top, bottom, picture.height)?);
        Some(Self { left, top, width, height })
    }
}

/// The source pixels, of `m`, that pixel `i` of `n` covers.
fn covered(i: usize, n: usize, m: usize) -> Range<usize> {
    i * m / n..((i + 1) * m).div_ceil(n)
}

/// Resizes a part of a picture to `[width, height]` and appends some of its rows in the format of the networks: planes of red,
/// green and blue, `(mean - 127.5) / 128` each, of `rows.len()` rows.
pub(crate) fn resized(
    picture: &Pixels,
    part: Part,
    [width, height]: [usize; 2],
    rows: Range<usize>,
    out: &mut Vec<f32>,
) {
    let (start, plane) = (out.len(), rows.len() * width);
    out.resize(start + 3 * plane, 0.0);
    let mut sums = vec![0_u32; part.width * 3];
    for (row, y) in rows.enumerate() {
        let down = covered(y, height, part.height);
        sums.fill(0);
        for line in down.clone() {
            let at = ((part.top + line) * picture.width as usize + part.left) * 3;
            let line = picture.rgb.get(at..at + part.width * 3).unwrap_or_default();
            for (sum, value) in sums.iter_mut().zip(line) {
                *sum += u32::from(*value);
            }
        }
        for x in 0..width {
            let across = covered(x, width, part.width);
            let mut total = [0_u64; 3];
            for pixel in sums[across.start * 3..across.end * 3].chunks_exact(3) {
                for (total, sum) in total.iter_mut().zip(pixel) {
                    *total += u64::from(*sum);
                }
            }
            for (channel, total) in total.into_iter().enumerate() {
                let mean = total as f32 / down.len() as f32 / across.len() as f32;
                out[start + channel * plane + row * width + x] = (mean - 127.5) * (1.0 / 128.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pixel_is_the_mean_of_what_it_covers() {
        let rgb: Vec<u8> = (0..7 * 5 * 3_u32).map(|i| (i * 37 % 251) as u8).collect();
        let picture = Pixels { width: 7, height: 5, rgb };
        let mut out = Vec::new();
        resized(&picture, Part::whole(&picture), [3, 2], 0..2, &mut out);
        let (columns, lines) = ([0..3, 2..5, 4..7], [0..3, 2..5]);
        let mut wanted = Vec::new();
        for c in 0..3 {
            for ys in &lines {
                for xs in &columns {
                    let sum: u32 = ys
                        .clone()
                        .flat_map(|y| xs.clone().map(move |x| (y * 7 + x) * 3 + c))
                        .map(|at| u32::from(picture.rgb[at]))
                        .sum();
                    wanted.push((sum as f32 / 9.0 - 127.5) / 128.0);
                }
            }
        }
        assert_eq!(out.len(), wanted.len());
        assert!(out.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-5), "{out:?} {wanted:?}");
    }
}
