//! Small pictures for self-contained pages.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lfs_faces::image::{Pixels, decode, encode_jpeg};

/// The size and quality of a small JPEG.
#[derive(Debug, Clone, Copy)]
pub struct Thumbnail {
    /// The longer side in pixels, at most.
    pub side: u32,
    /// The quality of the JPEG, 1 to 100.
    pub quality: u8,
    /// Whether only the largest centred square is shown.
    pub square: bool,
}

impl Thumbnail {
    /// The picture in base64 (RFC 4648, with padding), for `data:image/jpeg;base64,`; none if it cannot be decoded.
    pub fn base64(&self, image: &[u8]) -> Option<String> {
        let small = self.shrink(&decode(image).ok()?);
        Some(STANDARD.encode(encode_jpeg(&small, self.quality).ok()?))
    }

    /// Averages the pixels behind each new one; a picture that is small enough is unchanged.
    fn shrink(&self, p: &Pixels) -> Pixels {
        let square = p.width.min(p.height);
        let (wide, high) = if self.square { (square, square) } else { (p.width, p.height) };
        let (left, top) = ((p.width - wide) / 2, (p.height - high) / 2);
        let longer = wide.max(high);
        let side = |n: u32| if longer > self.side { (n * self.side / longer).max(1) } else { n };
        let (width, height) = (side(wide), side(high));
        let mut rgb = Vec::with_capacity((width * height * 3) as usize);
        for y in 0..height {
            let rows = span(y, height, top, high);
            for x in 0..width {
                let columns = span(x, width, left, wide);
                let mut sum = [0_u64; 3];
                for row in rows.clone() {
                    let at = row * p.width as usize;
                    let line = &p.rgb[(at + columns.start) * 3..(at + columns.end) * 3];
                    for pixel in line.as_chunks::<3>().0 {
                        sum.iter_mut().zip(pixel).for_each(|(s, c)| *s += u64::from(*c));
                    }
                }
                let count = (rows.len() * columns.len()) as u64;
                rgb.extend(sum.map(|s| ((s + count / 2) / count) as u8));
            }
        }
        Pixels { width, height, rgb }
    }
}

/// The pixels behind new pixel `k` of `of`: at least one.
fn span(k: u32, of: u32, first: u32, side: u32) -> Range<usize> {
    let at = |k: u32| (u64::from(k) * u64::from(side) / u64::from(of)) as usize;
    let start = at(k);
    first as usize + start..first as usize + at(k + 1).max(start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Thumbnail = Thumbnail { side: 88, quality: 72, square: false };

    #[test]
    fn pictures_shrink_to_means_of_their_pixels() {
        let p = Pixels {
            width: 176,
            height: 88,
            rgb: (0..176 * 88).flat_map(|k| [(k % 2 * 100) as u8, 7, 9]).collect(),
        };
        let small = WHOLE.shrink(&p);
        assert_eq!((small.width, small.height), (88, 44));
        assert!(small.rgb.as_chunks::<3>().0.iter().all(|c| *c == [50, 7, 9]));
        let thin = WHOLE.shrink(&Pixels { width: 5000, height: 1, rgb: vec![3; 15_000] });
        assert_eq!((thin.width, thin.height), (88, 1));
    }

    #[test]
    fn a_square_is_the_middle_of_a_picture() {
        // Columns 0 to 5 of a picture of 6 x 2: the centre is columns 2 and 3.
        let rgb = (0..12_u8).flat_map(|k| [k % 6, 0, 0]).collect();
        let square = Thumbnail { square: true, ..WHOLE }.shrink(&Pixels { width: 6, height: 2, rgb });
        assert_eq!((square.width, square.height), (2, 2));
        assert_eq!(square.rgb, [2, 0, 0, 3, 0, 0, 2, 0, 0, 3, 0, 0]);
    }
}
