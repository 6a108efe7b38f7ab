//! AVX2 versions of the 8 by 8 block transforms, bit-identical to `idct` and `fdct`.
//!
//! Values have 16 bits, and one instruction multiplies pairs and adds the products in 32 bits. The transforms
//! are therefore written out as sums of inputs times constants, regardless of the order of additions in the
//! scalar version.

use std::arch::x86_64::*;

use super::fdct::Divisors;

/// Whether the CPU has all features that the callers of these functions were compiled for.
pub(super) fn are_there() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
}

/// Eight rows, or columns, of eight values.
type Eight = [__m128i; 8];

/// Two factors, one for each value of a pair.
#[inline]
#[target_feature(enable = "avx2")]
fn factors(a: i16, b: i16) -> __m256i {
    _mm256_set1_epi32((i32::from(b) << 16) | i32::from(a as u16))
}

/// The values of two rows, interleaved in pairs.
#[inline]
#[target_feature(enable = "avx2")]
fn pairs(a: __m128i, b: __m128i) -> __m256i {
    _mm256_set_m128i(_mm_unpackhi_epi16(a, b), _mm_unpacklo_epi16(a, b))
}

/// Transposes a block.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed(r: Eight) -> Eight {
    let (a0, a1) = (_mm_unpacklo_epi16(r[0], r[1]), _mm_unpackhi_epi16(r[0], r[1]));
    let (a2, a3) = (_mm_unpacklo_epi16(r[2], r[3]), _mm_unpackhi_epi16(r[2], r[3]));
    let (a4, a5) = (_mm_unpacklo_epi16(r[4], r[5]), _mm_unpackhi_epi16(r[4], r[5]));
    let (a6, a7) = (_mm_unpacklo_epi16(r[6], r[7]), _mm_unpackhi_epi16(r[6], r[7]));
    let (b0, b1) = (_mm_unpacklo_epi32(a0, a2), _mm_unpackhi_epi32(a0, a2));
    let (b2, b3) = (_mm_unpacklo_epi32(a1, a3), _mm_unpackhi_epi32(a1, a3));
    let (b4, b5) = (_mm_unpacklo_epi32(a4, a6), _mm_unpackhi_epi32(a4, a6));
    let (b6, b7) = (_mm_unpacklo_epi32(a5, a7), _mm_unpackhi_epi32(a5, a7));
    [
        _mm_unpacklo_epi64(b0, b4),
        _mm_unpackhi_epi64(b0, b4),
        _mm_unpacklo_epi64(b1, b5),
        _mm_unpackhi_epi64(b1, b5),
        _mm_unpacklo_epi64(b2, b6),
        _mm_unpackhi_epi64(b2, b6),
        _mm_unpacklo_epi64(b3, b7),
        _mm_unpackhi_epi64(b3, b7),
    ]
}

/// Narrows eight 32-bit numbers to 16 bits, with saturation.
#[inline]
#[target_feature(enable = "avx2")]
fn narrow(v: __m256i) -> __m128i {
    _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(from: &[i32; 8]) -> __m256i {
    // SAFETY: both are 32 bytes, and any bit pattern is valid.
    #[allow(unsafe_code)]
    unsafe {
        std::mem::transmute::<[i32; 8], __m256i>(*from)
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_short(from: &[i16; 8]) -> __m128i {
    // SAFETY: both are 16 bytes, and any bit pattern is valid.
    #[allow(unsafe_code)]
    unsafe {
        std::mem::transmute::<[i16; 8], __m128i>(*from)
    }
}

/// The sum of a block's magnitudes up to which the inverse transform fits into 16 bits between the passes: a
/// sample after the first pass is scaled by four, and a coefficient contributes up to 1.3871 times.
const MOST: i32 = 5900;

/// One pass of the inverse transform for eight columns at once: the sums before the shift.
#[inline]
#[target_feature(enable = "avx2")]
fn inverse(c: Eight, round: __m256i) -> [__m256i; 8] {
    let (p04, p26, p13, p57) = (pairs(c[0], c[4]), pairs(c[2], c[6]), pairs(c[1], c[3]), pairs(c[5], c[7]));
    let e0 = _mm256_add_epi32(_mm256_madd_epi16(p04, factors(4096, 4096)), round);
    let e1 = _mm256_add_epi32(_mm256_madd_epi16(p04, factors(4096, -4096)), round);
    let t3 = _mm256_madd_epi16(p26, factors(5352, 2217));
    let t2 = _mm256_madd_epi16(p26, factors(2217, -5350));
    let (x0, x3) = (_mm256_add_epi32(e0, t3), _mm256_sub_epi32(e0, t3));
    let (x1, x2) = (_mm256_add_epi32(e1, t2), _mm256_sub_epi32(e1, t2));
    let odd = |a, b, c, d| {
        _mm256_add_epi32(_mm256_madd_epi16(p13, factors(a, b)), _mm256_madd_epi16(p57, factors(c, d)))
    };
    let t0 = odd(1131, -3218, 4816, -5680);
    let t1 = odd(3219, -5681, 1132, 4816);
    let t2 = odd(4816, -1129, -5681, -3218);
    let t3 = odd(5683, 4816, 3219, 1131);
    [
        _mm256_add_epi32(x0, t3),
        _mm256_add_epi32(x1, t2),
        _mm256_add_epi32(x2, t1),
        _mm256_add_epi32(x3, t0),
        _mm256_sub_epi32(x3, t0),
        _mm256_sub_epi32(x2, t1),
        _mm256_sub_epi32(x1, t2),
        _mm256_sub_epi32(x0, t3),
    ]
}

/// As [`super::idct::block`], for a block with more than a DC coefficient.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn idct(c: &[i32; 64], reach: usize, out: &mut [u8], stride: usize) {
    let c8 = c.as_chunks::<8>().0;
    let rows: Eight = std::array::from_fn(|y| narrow(load(&c8[y])));
    let mut sum = _mm_abs_epi16(rows[0]);
    for row in &rows[1..] {
        sum = _mm_adds_epu16(sum, _mm_abs_epi16(*row));
    }
    // Add pairs of lanes in 32 bits, then all of them.
    let sum = _mm_add_epi32(_mm_and_si128(sum, _mm_set1_epi32(0xffff)), _mm_srli_epi32::<16>(sum));
    let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b01_00_11_10>(sum));
    let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b10_11_00_01>(sum));
    if _mm_cvtsi128_si32(sum) > MOST {
        return super::idct::block(c, reach, out, stride);
    }
    let middle = inverse(rows, _mm256_set1_epi32(512));
    let middle = middle.map(|v| narrow(_mm256_srai_epi32::<10>(v)));
    let columns = inverse(transposed(middle), _mm256_set1_epi32(512 + 65536 + (128 << 17)));
    let columns = columns.map(|v| narrow(_mm256_srai_epi32::<17>(v)));
    let rows = transposed(columns);
    let (mut lines, mut two) = (out.chunks_mut(stride), rows.as_chunks::<2>().0.iter());
    while let (Some([a, b]), Some(first), Some(second)) = (two.next(), lines.next(), lines.next()) {
        let both = _mm_packus_epi16(*a, *b);
        first[..8].copy_from_slice(&_mm_cvtsi128_si64(both).to_le_bytes());
        second[..8].copy_from_slice(&_mm_extract_epi64::<1>(both).to_le_bytes());
    }
}

/// One pass of the forward transform for eight rows or columns at once. `whole` is applied to the
/// coefficients without fractional bits (0 and 4); the others are shifted right by `SHIFT`.
#[inline]
#[target_feature(enable = "avx2")]
fn forward<const SHIFT: i32>(d: Eight, whole: impl Fn(__m128i) -> __m128i) -> Eight {
    let (t0, t7) = (_mm_add_epi16(d[0], d[7]), _mm_sub_epi16(d[0], d[7]));
    let (t1, t6) = (_mm_add_epi16(d[1], d[6]), _mm_sub_epi16(d[1], d[6]));
    let (t2, t5) = (_mm_add_epi16(d[2], d[5]), _mm_sub_epi16(d[2], d[5]));
    let (t3, t4) = (_mm_add_epi16(d[3], d[4]), _mm_sub_epi16(d[3], d[4]));
    let (t10, t13) = (_mm_add_epi16(t0, t3), _mm_sub_epi16(t0, t3));
    let (t11, t12) = (_mm_add_epi16(t1, t2), _mm_sub_epi16(t1, t2));
    let half = _mm256_set1_epi32(1 << (SHIFT - 1));
    let down = |sum: __m256i| narrow(_mm256_srai_epi32::<SHIFT>(_mm256_add_epi32(sum, half)));
    let p = pairs(t12, t13);
    let (p45, p67) = (pairs(t4, t5), pairs(t6, t7));
    let odd = |a, b, c, d| {
        let sum =
            _mm256_add_epi32(_mm256_madd_epi16(p45, factors(a, b)), _mm256_madd_epi16(p67, factors(c, d)));
        down(sum)
    };
    [
        whole(_mm_add_epi16(t10, t11)),
        odd(2260, 6437, 9633, 11363),
        down(_mm256_madd_epi16(p, factors(4433, 10703))),
        odd(-6436, -11362, -2259, 9633),
        whole(_mm_sub_epi16(t10, t11)),
        odd(9633, 2261, -11362, 6437),
        down(_mm256_madd_epi16(p, factors(-10704, 4433))),
        odd(-11363, 9633, -6436, 2260),
    ]
}

/// As [`super::fdct::block`]: coefficients in natural order, and a bit for each non-zero one.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn fdct(samples: &[i16], stride: usize, divisors: &Divisors, out: &mut [i16; 64]) -> u64 {
    let mut rows: Eight = [_mm_setzero_si128(); 8];
    for (row, from) in rows.iter_mut().zip(samples.chunks(stride)) {
        if let Some(eight) = from.first_chunk() {
            *row = load_short(eight);
        }
    }
    let middle = forward::<11>(transposed(rows), |v| _mm_slli_epi16::<2>(v));
    let two = _mm_set1_epi16(2);
    let columns = forward::<15>(transposed(middle), |v| _mm_srai_epi16::<2>(_mm_add_epi16(v, two)));
    let mut mask = 0;
    let (reciprocals, corrections) = divisors.rows();
    let to = out.as_chunks_mut::<8>().0;
    for (v, column) in columns.into_iter().enumerate() {
        let (reciprocal, correction) = (load_short(&reciprocals[v]), load_short(&corrections[v]));
        let twice = _mm_slli_epi16::<1>(_mm_add_epi16(_mm_abs_epi16(column), correction));
        let whole = _mm_sign_epi16(_mm_mulhi_epu16(twice, reciprocal), column);
        let zero = _mm_cmpeq_epi16(whole, _mm_setzero_si128());
        let bits = !_mm_movemask_epi8(_mm_packs_epi16(zero, zero)) as u64 & 255;
        mask |= bits << (8 * v);
        to[v] = store_short(whole);
    }
    mask
}

/// As [`super::colour::rows`]; `N` is 3 or 4.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn rgb<const N: usize>(light: &[u8], blue: &[u8], red: &[u8], out: &mut [[u8; N]]) {
    let short = |from: &[u8; 8]| _mm_cvtepu8_epi16(_mm_set_epi64x(0, i64::from_le_bytes(*from)));
    let middle = _mm_set1_epi16(128);
    // The rounding term is paired with blue: 8191 times one.
    let (one, round) = (_mm_set1_epi16(1), _mm256_set1_epi32(8191));
    let down = |sum: __m256i| narrow(_mm256_srai_epi32::<14>(sum));
    // Drops the fourth byte of each pixel.
    let tight = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    let (eights, last) = out.as_chunks_mut::<8>();
    let all = light.as_chunks::<8>().0.iter().zip(blue.as_chunks::<8>().0).zip(red.as_chunks::<8>().0);
    for (out, ((y, cb), cr)) in eights.iter_mut().zip(all) {
        let (y, cb, cr) = (short(y), _mm_sub_epi16(short(cb), middle), _mm_sub_epi16(short(cr), middle));
        let with_red = pairs(y, cr);
        let r = _mm256_add_epi32(_mm256_madd_epi16(with_red, factors(16384, 22970)), round);
        let g = _mm256_add_epi32(
            _mm256_madd_epi16(with_red, factors(16384, -11700)),
            _mm256_madd_epi16(pairs(cb, one), factors(-5638, 8191)),
        );
        let b = _mm256_add_epi32(_mm256_madd_epi16(pairs(y, cb), factors(16384, 29032)), round);
        let red_green = _mm_packus_epi16(down(r), down(g));
        let red_green = _mm_unpacklo_epi8(red_green, _mm_srli_si128::<8>(red_green));
        let blue_none = _mm_cvtepu8_epi16(_mm_packus_epi16(down(b), _mm_setzero_si128()));
        let four = [_mm_unpacklo_epi16(red_green, blue_none), _mm_unpackhi_epi16(red_green, blue_none)];
        for (out, four) in out.as_flattened_mut().chunks_exact_mut(4 * N).zip(four) {
            match N {
                3 => out.copy_from_slice(&store(_mm_shuffle_epi8(four, tight))[..12]),
                _ => out.copy_from_slice(&store(four)[..4 * N]),
            }
        }
    }
    let from = light.len() - last.len();
    super::colour::rows(&light[from..], &blue[from..], &red[from..], last);
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(from: __m128i) -> [u8; 16] {
    // SAFETY: both are 16 bytes, and any bit pattern is valid.
    #[allow(unsafe_code)]
    unsafe {
        std::mem::transmute::<__m128i, [u8; 16]>(from)
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_short(from: __m128i) -> [i16; 8] {
    // SAFETY: both are 16 bytes, and any bit pattern is valid.
    #[allow(unsafe_code)]
    unsafe {
        std::mem::transmute::<__m128i, [i16; 8]>(from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{colour, fdct, idct};

    fn has_avx2() -> bool {
        let has = is_x86_feature_detected!("avx2");
        if !has {
            println!("skipped: the processor has no AVX2");
        }
        has
    }

    proptest! {
        #[test]
        fn samples_are_those_of_the_plain_form_whatever_the_coefficients(
            size in prop::sample::select(vec![3_i32, 40, 300, 1100, 6000, 40_000, i32::MAX]),
            draws in prop::collection::vec((any::<i32>(), 0_u8..4), 64),
        ) {
            if has_avx2() {
                let mut block = [0_i32; 64];
                for (to, (value, kept)) in block.iter_mut().zip(draws) {
                    *to = if kept == 0 { value % size } else { 0 };
                }
                let (mut one, mut other) = (vec![1_u8; 10 * 8], vec![2_u8; 10 * 8]);
                // SAFETY: the processor has AVX2.
                #[allow(unsafe_code)]
                unsafe { super::idct(&block, 64, &mut one, 10) };
                idct::block(&block, 64, &mut other, 10);
                let rows = |samples: &[u8]| samples.chunks(10).map(|r| r[..8].to_vec()).collect::<Vec<_>>();
                prop_assert_eq!(rows(&one), rows(&other));
            }
        }

        #[test]
        fn coefficients_are_those_of_the_plain_form_whatever_the_samples(
            samples in prop::collection::vec(prop_oneof![-128_i16..128, Just(-128_i16), Just(127_i16)], 9 * 8),
            quants in prop::collection::vec(1_u8..=255, 64),
            small: bool,
        ) {
            if has_avx2() {
                let quants: [u8; 64] = std::array::from_fn(|k| if small { 1 } else { quants[k] });
                let divisors = fdct::Divisors::new(&quants);
                let (mut one, mut other) = ([1_i16; 64], [2_i16; 64]);
                // SAFETY: the processor has AVX2.
                #[allow(unsafe_code)]
                let mask = unsafe { super::fdct(&samples, 9, &divisors, &mut one) };
                prop_assert_eq!(mask, fdct::block(&samples, 9, &divisors, &mut other));
                prop_assert_eq!(one, other);
            }
        }

        #[test]
        fn colours_are_those_of_the_plain_form(row in prop::collection::vec(any::<[u8; 3]>(), 0..40)) {
            if has_avx2() {
                let part = |k: usize| row.iter().map(|p| p[k]).collect::<Vec<u8>>();
                let (light, blue, red) = (part(0), part(1), part(2));
                let (mut three, mut four, mut plain) =
                    (vec![[1_u8; 3]; row.len()], vec![[2_u8; 4]; row.len()], vec![[3_u8; 3]; row.len()]);
                // SAFETY: the processor has AVX2.
                #[allow(unsafe_code)]
                unsafe {
                    super::rgb(&light, &blue, &red, &mut three);
                    super::rgb(&light, &blue, &red, &mut four);
                }
                colour::rows(&light, &blue, &red, &mut plain);
                prop_assert_eq!(&three, &plain);
                prop_assert!(four.iter().zip(&plain).all(|(a, b)| a[..3] == b[..]));
            }
        }
    }
}
