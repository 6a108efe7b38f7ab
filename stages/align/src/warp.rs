//! Warps a picture with bilinear interpolation.

use lfs_faces::image::{Area, Part};

use crate::transform::Similarity;

/// The fractional bits of a source coordinate.
const POINT: u32 = 32;

/// The area of a picture that a crop of `width` by `height` pixels shows, with the neighbours needed for interpolation; none if the
/// transform has no inverse.
pub fn needed(transform: &Similarity, width: u32, height: u32) -> Option<Area> {
    let back = transform.inverse()?;
    let (right, bottom) = (f64::from(width - 1), f64::from(height - 1));
    let corners = [[0.0, 0.0], [right, 0.0], [0.0, bottom], [right, bottom]].map(|c| back.apply(c));
    let least = |c: usize| corners.iter().map(|p| p[c]).fold(f64::MAX, f64::min).floor() - 1.0;
    let most = |c: usize| corners.iter().map(|p| p[c]).fold(f64::MIN, f64::max).floor() + 3.0;
    // The casts saturate.
    Some(Area { left: least(0) as u32, top: least(1) as u32, right: most(0) as u32, bottom: most(1) as u32 })
}

/// The crop of `width` by `height` pixels whose pixel `(x, y)` shows the place that `transform` maps to `(x, y)`: bilinear, integer
/// coordinates at pixel centres, black outside of the picture, as OpenCV's `warpAffine`.
///
/// The source must contain at least the area [`needed`]. All arithmetic on pixels is in integers (coordinates with 32 fractional
/// bits, weights of 8 bits), so that the result does not depend on the processor. None if the transform has no inverse.
pub fn warp(source: &Part, transform: &Similarity, width: u32, height: u32) -> Option<Part> {
    let back = transform.inverse()?;
    let mut pixels = vec![[0_u8; 4]; width as usize * height as usize];
    fill(source, &back, width as usize, &mut pixels);
    Some(Part { width, height, area: Area { left: 0, top: 0, right: width, bottom: height }, pixels })
}

fn fill(source: &Part, back: &Similarity, width: usize, pixels: &mut [[u8; 4]]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the required instructions. The arithmetic is in integers, so the result is the same.
        #[allow(unsafe_code)]
        return unsafe { fill_avx2(source, back, width, pixels) };
    }
    fill_any(source, back, width, pixels);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn fill_avx2(source: &Part, back: &Similarity, width: usize, pixels: &mut [[u8; 4]]) {
    fill_with(source, back, width, pixels, |top, bottom, fx, fy| mixed_avx2(top, bottom, fx, fy));
}

fn fill_any(source: &Part, back: &Similarity, width: usize, pixels: &mut [[u8; 4]]) {
    fill_with(source, back, width, pixels, mixed);
}

#[inline(always)]
fn fill_with(
    source: &Part,
    back: &Similarity,
    width: usize,
    pixels: &mut [[u8; 4]],
    mix: impl Fn(&[u8; 8], &[u8; 8], i32, i32) -> [u8; 4],
) {
    let fixed = |v: f64| (v * (1_u64 << POINT) as f64).round() as i64;
    let (step_x, step_y) = (fixed(back.a), fixed(back.b));
    let area = &source.area;
    let (w, h) = (i64::from(area.right - area.left), i64::from(area.bottom - area.top));
    // The range of pixels that have neighbours to the right and below.
    let inner = ((w - 1).max(0) as u64, (h - 1).max(0) as u64);
    let bytes = source.pixels.as_flattened();
    for (row, line) in pixels.chunks_exact_mut(width).enumerate() {
        let start = back.apply([0.0, row as f64]);
        // Half a unit of the weight is added, so that weights are rounded, not truncated.
        let half = |v: f64| fixed(v).saturating_add(1 << (POINT - 9));
        let corner = [area.left, area.top].map(|v| i64::from(v) << POINT);
        let (mut x, mut y) =
            (half(start[0]).saturating_sub(corner[0]), half(start[1]).saturating_sub(corner[1]));
        // A row whose coordinates overflow is black.
        let fits = |from: i64, step: i64| {
            step.checked_mul(width as i64).is_some_and(|way| from.checked_add(way).is_some())
        };
        if !fits(x, step_x) || !fits(y, step_y) {
            line.fill([0; 4]);
            continue;
        }
        for out in line {
            let weight = |v: i64| (v >> (POINT - 8)) as i32 & 255;
            let (left, top) = (x >> POINT, y >> POINT);
            let (fx, fy) = (weight(x), weight(y));
            (x, y) = (x.wrapping_add(step_x), y.wrapping_add(step_y));
            if (left as u64) < inner.0 && (top as u64) < inner.1 {
                let at = (top * w + left) as usize * 4;
                let both = bytes.get(at..at + 4 * w as usize + 8);
                if let Some((above, below)) =
                    both.and_then(|both| Some((both.first_chunk()?, both.last_chunk()?)))
                {
                    *out = mix(above, below, fx, fy);
                    continue;
                }
            }
            if left < -1 || top < -1 || left >= w || top >= h {
                *out = [0; 4];
                continue;
            }
            // Neighbours outside of the picture are black.
            let pixel = |dx: i64, dy: i64| {
                let (x, y) = (left + dx, top + dy);
                if x < 0 || y < 0 || x >= w || y >= h { [0; 4] } else { source.pixels[(y * w + x) as usize] }
            };
            let two = |dy: i64| {
                let mut two = [0; 8];
                two[..4].copy_from_slice(&pixel(0, dy));
                two[4..].copy_from_slice(&pixel(1, dy));
                two
            };
            *out = mix(&two(0), &two(1), fx, fy);
        }
    }
}

/// Interpolates between two pixels above and two below; `fx` and `fy` are the offsets to the right and down in 256ths.
#[inline(always)]
fn mixed(above: &[u8; 8], below: &[u8; 8], fx: i32, fy: i32) -> [u8; 4] {
    std::array::from_fn(|k| {
        let between = |two: &[u8; 8]| i32::from(two[k]) * (256 - fx) + i32::from(two[k + 4]) * fx;
        ((between(above) * (256 - fy) + between(below) * fy + (1 << 15)) >> 16) as u8
    })
}

/// The two weights for an offset in 256ths: of the first value and of the second, 16 bits each.
#[cfg(target_arch = "x86_64")]
static WEIGHTS: [i32; 256] = {
    let (mut weights, mut f) = ([0; 256], 0);
    while f < 256 {
        weights[f as usize] = f << 16 | (256 - f);
        f += 1;
    }
    weights
};

/// The same for all four channels at once.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn mixed_avx2(above: &[u8; 8], below: &[u8; 8], fx: i32, fy: i32) -> [u8; 4] {
    use std::arch::x86_64::{
        _mm_add_epi32, _mm_cvtsi128_si32, _mm_madd_epi16, _mm_packs_epi32, _mm_packus_epi16, _mm_set_epi64x,
        _mm_set1_epi32, _mm_setr_epi8, _mm_shuffle_epi8, _mm_srli_epi32, _mm_sub_epi32, _mm_unpackhi_epi64,
        _mm_unpacklo_epi16,
    };
    // Interleaves the channels of the left and the right pixel.
    let order = _mm_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1);
    let row = |two: &[u8; 8]| _mm_shuffle_epi8(_mm_set_epi64x(0, i64::from_le_bytes(*two)), order);
    let across = _mm_set1_epi32(WEIGHTS[fx as usize & 255]);
    // Sums from 0 to 65,280 are shifted into the range of signed 16-bit numbers.
    let middle = _mm_set1_epi32(1 << 15);
    let between = |two| _mm_sub_epi32(_mm_madd_epi16(row(two), across), middle);
    let both = _mm_packs_epi32(between(above), between(below));
    let pairs = _mm_unpacklo_epi16(both, _mm_unpackhi_epi64(both, both));
    let down = _mm_set1_epi32(WEIGHTS[fy as usize & 255]);
    // Reverses the shift, which was multiplied by 256, and rounds.
    let back = _mm_set1_epi32((1 << 23) + (1 << 15));
    let sums = _mm_srli_epi32::<16>(_mm_add_epi32(_mm_madd_epi16(pairs, down), back));
    let words = _mm_packs_epi32(sums, sums);
    _mm_cvtsi128_si32(_mm_packus_epi16(words, words)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_crop_does_not_depend_on_the_processor(
            (a, b) in (-3.0..3.0, -3.0..3.0_f64),
            (tx, ty) in (-80.0..80.0, -80.0..80.0_f64),
            far in prop::sample::select(vec![1.0, 1.0, 1.0, 1e6, 1e12, 1e300]),
            (left, top) in (0_u32..9, 0_u32..9),
            (w, h) in (0_u32..40, 0_u32..40),
            seed: u32,
        ) {
            let mut state = seed;
            let mut byte = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if state >> 30 == 0 { 255 } else { (state >> 24) as u8 }
            };
            let pixels = (0..w * h).map(|_| [byte(), byte(), byte(), 0]).collect();
            let area = Area { left, top, right: left + w, bottom: top + h };
            let source = Part { width: left + w + 3, height: top + h + 3, area, pixels };
            let back = Similarity { a, b, tx: tx * far, ty };
            let (mut one, mut other) = ([[0_u8; 4]; 31 * 17], [[7_u8; 4]; 31 * 17]);
            fill(&source, &back, 31, &mut one);
            fill_any(&source, &back, 31, &mut other);
            prop_assert!(one == other);
        }
    }
}
