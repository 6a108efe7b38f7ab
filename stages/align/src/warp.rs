//! Warping a picture.

use lfs_faces::image::{Area, Part};

use crate::transform::Similarity;

/// Bits behind the point of a source coordinate.
const POINT: u32 = 32;

/// What of a picture a crop of `width` by `height` pixels shows, with the neighbours between whose values it is interpolated; none when
/// the transform has no inverse.
pub fn needed(transform: &Similarity, width: u32, height: u32) -> Option<Area> {
    let back = transform.inverse()?;
    let (right, bottom) = (f64::from(width - 1), f64::from(height - 1));
    let corners = [[0.0, 0.0], [right, 0.0], [0.0, bottom], [right, bottom]].map(|c| back.apply(c));
    let least = |c: usize| corners.iter().map(|p| p[c]).fold(f64::MAX, f64::min).floor() - 1.0;
    let most = |c: usize| corners.iter().map(|p| p[c]).fold(f64::MIN, f64::max).floor() + 3.0;
    // Numbers outside of the range become its ends.
    Some(Area { left: least(0) as u32, top: least(1) as u32, right: most(0) as u32, bottom: most(1) as u32 })
}

/// The crop of `width` by `height` pixels whose pixel `(x, y)` shows the place that `transform` brings to `(x, y)`:
/// bilinear, integer coordinates at pixel centres, black outside of the picture, as OpenCV's `warpAffine`.
///
/// The source has at least what [`needed`] says. All arithmetic on pixels is in integers (coordinates with 32 bits behind the point,
/// weights of 8 bits), so that the result does not depend on the processor. None when the transform has no inverse.
pub fn warp(source: &Part, transform: &Similarity, width: u32, height: u32) -> Option<Part> {
    let back = transform.inverse()?;
    let mut pixels = vec![[0_u8; 4]; width as usize * height as usize];
    fill(source, &back, width as usize, &mut pixels);
    Some(Part { width, height, area: Area { left: 0, top: 0, right: width, bottom: height }, pixels })
}

fn fill(source: &Part, back: &Similarity, width: usize, pixels: &mut [[u8; 4]]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has what the function was compiled for. Its arithmetic is in integers: the result is the same.
        #[allow(unsafe_code)]
        return unsafe { fill_avx2(source, back, width, pixels) };
    }
    fill_any(source, back, width, pixels);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn fill_avx2(source: &Part, back: &Similarity, width: usize, pixels: &mut [[u8; 4]]) {
    fill_any(source, back, width, pixels);
}

#[inline(always)]
fn fill_any(source: &Part, back: &Similarity, width: usize, pixels: &mut [[u8; 4]]) {
    let fixed = |v: f64| (v * (1_u64 << POINT) as f64).round() as i64;
    let (step_x, step_y) = (fixed(back.a), fixed(back.b));
    for (row, line) in pixels.chunks_exact_mut(width).enumerate() {
        let start = back.apply([0.0, row as f64]);
        // Half a weight is added, so that a weight is rounded, not cut.
        let half = |v: f64| fixed(v).saturating_add(1 << (POINT - 9));
        let (mut x, mut y) = (half(start[0]), half(start[1]));
        for out in line {
            let weight = |v: i64| (v >> (POINT - 8)) as i32 & 255;
            *out = between(source, x >> POINT, y >> POINT, weight(x), weight(y));
            x = x.saturating_add(step_x);
            y = y.saturating_add(step_y);
        }
    }
}

/// The value right of and below a pixel by `fx` and `fy` 256ths.
#[inline(always)]
fn between(source: &Part, x: i64, y: i64, fx: i32, fy: i32) -> [u8; 4] {
    let area = &source.area;
    let (left, top) = (x - i64::from(area.left), y - i64::from(area.top));
    let (w, h) = (i64::from(area.right - area.left), i64::from(area.bottom - area.top));
    if left >= 0 && top >= 0 && left + 1 < w && top + 1 < h {
        let at = (top * w + left) as usize;
        if let (Some([a, b]), Some([c, d])) =
            (source.pixels.get(at..at + 2), source.pixels.get(at + w as usize..at + w as usize + 2))
        {
            return mixed([a, b, c, d], fx, fy);
        }
    }
    if left < -1 || top < -1 || left >= w || top >= h {
        return [0; 4];
    }
    // Some of the four neighbours lie outside of the picture: these are black.
    let pixel = |dx: i64, dy: i64| {
        let (x, y) = (left + dx, top + dy);
        if x < 0 || y < 0 || x >= w || y >= h { &[0; 4] } else { &source.pixels[(y * w + x) as usize] }
    };
    mixed([pixel(0, 0), pixel(1, 0), pixel(0, 1), pixel(1, 1)], fx, fy)
}

#[inline(always)]
fn mixed([a, b, c, d]: [&[u8; 4]; 4], fx: i32, fy: i32) -> [u8; 4] {
    std::array::from_fn(|k| {
        let top = i32::from(a[k]) * (256 - fx) + i32::from(b[k]) * fx;
        let bottom = i32::from(c[k]) * (256 - fx) + i32::from(d[k]) * fx;
        ((top * (256 - fy) + bottom * fy + (1 << 15)) >> 16) as u8
    })
}
