//! Decodes a part of a common file.
//!
//! The whole scan is read, so that damage is detected anywhere, but only the blocks of the part are
//! transformed. The pixels are bit-identical to those of `zune-jpeg` (tested), and decoding is more than
//! twice as fast.

use super::colour::{self, Plane, spread};
use super::frame::{Frame, unstuffed};
use super::huffman::Bits;
use super::idct;
#[cfg(target_arch = "x86_64")]
use super::vectors;
use crate::image::Area;

/// The pixels of an area inside the picture: red, green and blue in the first three bytes of `N`. None if the
/// file is damaged or must be left to another decoder.
pub(super) fn decode<const N: usize>(frame: &Frame<'_>, area: &Area, fast: bool) -> Option<Vec<[u8; N]>> {
    #[cfg(target_arch = "x86_64")]
    if fast && vectors::are_there() {
        // SAFETY: the CPU features were checked. The arithmetic is in integers, so the result is the same.
        #[allow(unsafe_code)]
        return unsafe { decode_avx2(frame, area) };
    }
    let _ = fast;
    decode_with(frame, area, idct::block, colour::rows)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn decode_avx2<const N: usize>(frame: &Frame<'_>, area: &Area) -> Option<Vec<[u8; N]>> {
    let transform = |block: &[i32; 64], reach: usize, out: &mut [u8], stride: usize| match reach {
        0..=1 => idct::block(block, reach, out, stride),
        _ => vectors::idct(block, reach, out, stride),
    };
    let colour =
        |light: &[u8], blue: &[u8], red: &[u8], out: &mut [[u8; N]]| vectors::rgb(light, blue, red, out);
    decode_with(frame, area, transform, colour)
}

#[inline(always)]
fn decode_with<const N: usize>(
    frame: &Frame<'_>,
    area: &Area,
    transform: impl Fn(&[i32; 64], usize, &mut [u8], usize),
    colour: impl Fn(&[u8], &[u8], &[u8], &mut [[u8; N]]),
) -> Option<Vec<[u8; N]>> {
    let (units, planes) = planes(frame, area, transform)?;
    let unit = frame.unit();
    let (left, top) = (area.left as usize, area.top as usize);
    let (columns, rows) = ((area.right - area.left) as usize, (area.bottom - area.top) as usize);
    let mut pixels = vec![[0_u8; N]; columns * rows];
    if columns > 0 {
        let x = left - units.0.0 * unit.0;
        let wide = (units.0.1 - units.0.0) * unit.0;
        let (mut low, mut blue, mut red) = (vec![0; wide], vec![0; wide], vec![0; wide]);
        for (n, out) in pixels.chunks_exact_mut(columns).enumerate() {
            let y = top + n - units.1.0 * unit.1;
            let light = &planes[0].row(y)[x..x + columns];
            if let [_, b, r] = planes.as_slice() {
                let sampling = frame.components[0].blocks;
                spread(b, sampling, y, &mut low, &mut blue);
                spread(r, sampling, y, &mut low, &mut red);
                colour(light, &blue[x..x + columns], &red[x..x + columns], out);
            } else {
                for (out, y) in out.iter_mut().zip(light) {
                    out[..3].fill(*y);
                }
            }
        }
    }
    Some(pixels)
}

/// The first MCU and one past the last, horizontally and vertically.
type Units = ((usize, usize), (usize, usize));

/// The samples of the MCUs that cover the area and a margin of two pixels, which chroma upsampling needs.
#[inline(always)]
fn planes(
    frame: &Frame<'_>,
    area: &Area,
    transform: impl Fn(&[i32; 64], usize, &mut [u8], usize),
) -> Option<(Units, Vec<Plane>)> {
    let unit = frame.unit();
    let all = (frame.width.div_ceil(unit.0), frame.height.div_ceil(unit.1));
    let range = |from: u32, to: u32, side: usize, all: usize| {
        if from >= to {
            return (0, 0);
        }
        ((from as usize).saturating_sub(2) / side, (to as usize + 2).div_ceil(side).min(all))
    };
    let across = range(area.left, area.right, unit.0, all.0);
    let down = range(area.top, area.bottom, unit.1, all.1);
    let (columns, rows) = (across.1 - across.0, down.1 - down.0);
    let mut planes: Vec<Plane> = frame
        .components
        .iter()
        .map(|c| Plane::new(columns * c.blocks.0 * 8, rows * c.blocks.1 * 8))
        .collect();
    let (bytes, ends) = unstuffed(frame.data)?;
    let restart = if frame.restart == 0 { all.0 * all.1 } else { frame.restart };
    if ends.len() != (all.0 * all.1).div_ceil(restart) {
        return None;
    }
    let mut bits = Bits::new(&bytes, 0);
    let mut means = [0_i32; 3];
    let mut ends = ends.into_iter();
    let mut end = ends.next()?;
    let mut left = restart;
    let mut block = [0_i32; 64];
    for y in 0..all.1 {
        for x in 0..all.0 {
            if left == 0 {
                if bits.used().div_ceil(8) != end {
                    return None;
                }
                bits = Bits::new(&bytes, end);
                (means, left, end) = ([0; 3], restart, ends.next()?);
            }
            left -= 1;
            let wanted = (across.0..across.1).contains(&x) && (down.0..down.1).contains(&y);
            for ((component, plane), mean) in frame.components.iter().zip(&mut planes).zip(&mut means) {
                let tables = (&*component.means, &*component.rest);
                let (h, v) = component.blocks;
                if !wanted {
                    for _ in 0..h * v {
                        bits.skip(tables, mean)?;
                    }
                    continue;
                }
                for n in 0..h * v {
                    block.fill(0);
                    let reach = bits.block(tables, &component.quants, mean, &mut block)?;
                    let (bx, by) = ((x - across.0) * h + n % h, (y - down.0) * v + n / h);
                    let at = by * 8 * plane.width + bx * 8;
                    transform(&block, reach, &mut plane.samples[at..], plane.width);
                }
            }
        }
    }
    (bits.used().div_ceil(8) == end).then_some(((across, down), planes))
}
