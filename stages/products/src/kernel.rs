//! Blocks that fit in caches, and the small product in registers inside of them.

use crate::Raw;

/// Rows and columns of the product in registers.
const ROWS: usize = 6;
const COLUMNS: usize = 16;
/// Steps along the inner side before what was added goes to memory. This number is part of what a product is.
const INNER: usize = 256;
/// Rows of the left factor, and columns of the right one, that are brought into order at a time.
const LEFT: usize = 24 * ROWS;
const RIGHT: usize = 64 * COLUMNS;

type Tile = [[f32; COLUMNS]; ROWS];

/// `c = a b`.
///
/// # Safety
/// The factors may be read and `c` written where shapes and steps say; `c` overlaps neither.
#[allow(unsafe_code)]
pub(crate) unsafe fn product(a: Raw, b: Raw, c: *mut f32, c_step: usize) {
    let vectors = has_vectors();
    let inner = a.columns;
    if inner == 0 {
        for i in 0..a.rows {
            for j in 0..b.columns {
                // SAFETY: inside of the product.
                unsafe { *c.add(i * c_step + j) = 0.0 };
            }
        }
        return;
    }
    let whole = |n: usize, of: usize| n.div_ceil(of) * of;
    let mut left = vec![0.0_f32; whole(a.rows.min(LEFT), ROWS) * inner.min(INNER)];
    let mut right = vec![0.0_f32; whole(b.columns.min(RIGHT), COLUMNS) * inner.min(INNER)];
    for j in (0..b.columns).step_by(RIGHT) {
        let columns = (b.columns - j).min(RIGHT);
        for k in (0..inner).step_by(INNER) {
            let depth = (inner - k).min(INNER);
            let turned = Raw { at: b.at, rows: b.columns, columns: b.rows, steps: [b.steps[1], b.steps[0]] };
            // SAFETY: inside of the right factor.
            unsafe { ordered::<COLUMNS>(&turned, j..j + columns, k..k + depth, &mut right) };
            for i in (0..a.rows).step_by(LEFT) {
                let rows = (a.rows - i).min(LEFT);
                // SAFETY: inside of the left factor.
                unsafe { ordered::<ROWS>(&a, i..i + rows, k..k + depth, &mut left) };
                for (right, jj) in right.chunks_exact(depth * COLUMNS).zip((0..columns).step_by(COLUMNS)) {
                    for (left, ii) in left.chunks_exact(depth * ROWS).zip((0..rows).step_by(ROWS)) {
                        let mut tile = [[0.0; COLUMNS]; ROWS];
                        small(left, right, &mut tile, vectors);
                        let (height, width) = ((rows - ii).min(ROWS), (columns - jj).min(COLUMNS));
                        for (y, row) in tile.iter().enumerate().take(height) {
                            // SAFETY: inside of the product.
                            unsafe {
                                let to = c.add((i + ii + y) * c_step + j + jj);
                                for (x, value) in row.iter().enumerate().take(width) {
                                    *to.add(x) = if k == 0 { *value } else { *to.add(x) + value };
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Some lines of a matrix in groups of `N`: for each group, step by step along the inner side, the elements of its lines side by side.
/// What a last group lacks is 0.
///
/// # Safety
/// The matrix may be read there.
#[allow(unsafe_code)]
unsafe fn ordered<const N: usize>(
    of: &Raw,
    lines: std::ops::Range<usize>,
    inner: std::ops::Range<usize>,
    to: &mut [f32],
) {
    let [down, along] = of.steps;
    for (group, start) in to.chunks_exact_mut(inner.len() * N).zip(lines.clone().step_by(N)) {
        let count = (lines.end - start).min(N);
        if count < N {
            group.fill(0.0);
        }
        // Whichever way the matrix lies in memory it is read in order.
        if along <= down {
            for n in 0..count {
                for (k, to) in inner.clone().zip(group[n..].iter_mut().step_by(N)) {
                    // SAFETY: inside of the matrix.
                    *to = unsafe { *of.at.add((start + n) * down + k * along) };
                }
            }
        } else {
            for (k, to) in inner.clone().zip(group.chunks_exact_mut(N)) {
                for (n, to) in to.iter_mut().enumerate().take(count) {
                    // SAFETY: inside of the matrix.
                    *to = unsafe { *of.at.add((start + n) * down + k * along) };
                }
            }
        }
    }
}

fn has_vectors() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Adds `left[k] right[k]` for each step to a tile, by one fused multiply-add an element.
fn small(left: &[f32], right: &[f32], tile: &mut Tile, vectors: bool) {
    #[cfg(target_arch = "x86_64")]
    if vectors {
        // SAFETY: the processor has AVX2 and FMA.
        #[allow(unsafe_code)]
        return unsafe { with_vectors(left, right, tile) };
    }
    let _ = vectors;
    plainly(left, right, tile);
}

fn plainly(left: &[f32], right: &[f32], tile: &mut Tile) {
    for (left, right) in left.chunks_exact(ROWS).zip(right.chunks_exact(COLUMNS)) {
        for (sums, a) in tile.iter_mut().zip(left) {
            for (sum, b) in sums.iter_mut().zip(right) {
                *sum = a.mul_add(*b, *sum);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_vectors(left: &[f32], right: &[f32], tile: &mut Tile) {
    use std::arch::x86_64::{
        _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    };
    let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
    let (left, _) = left.as_chunks::<ROWS>();
    let (right, _) = right.as_chunks::<COLUMNS>();
    for (left, right) in left.iter().zip(right) {
        // SAFETY: sixteen numbers.
        #[allow(unsafe_code)]
        let b = unsafe { [_mm256_loadu_ps(right.as_ptr()), _mm256_loadu_ps(right.as_ptr().add(8))] };
        for (sums, a) in sums.iter_mut().zip(left) {
            let a = _mm256_set1_ps(*a);
            sums[0] = _mm256_fmadd_ps(a, b[0], sums[0]);
            sums[1] = _mm256_fmadd_ps(a, b[1], sums[1]);
        }
    }
    for (sums, row) in sums.iter().zip(tile) {
        // SAFETY: sixteen numbers.
        #[allow(unsafe_code)]
        unsafe {
            _mm256_storeu_ps(row.as_mut_ptr(), sums[0]);
            _mm256_storeu_ps(row.as_mut_ptr().add(8), sums[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Matrix, product};

    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..count)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
            })
            .collect()
    }

    /// An element as the documentation of the crate says.
    fn element(a: &[f32], b: &[f32]) -> f32 {
        let block = |(a, b): (&[f32], &[f32])| a.iter().zip(b).fold(0.0_f32, |s, (a, b)| a.mul_add(*b, s));
        a.chunks(INNER).zip(b.chunks(INNER)).map(block).reduce(|s, t| s + t).unwrap_or(0.0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        /// Whatever the shape, and whichever way the factors lie, each element has the bits of its definition.
        #[test]
        fn each_element_is_as_it_is_defined(
            rows in 0_usize..160, columns in 0_usize..70, inner in 0_usize..600, turned: [bool; 2], seed: u64,
        ) {
            let (left, right) = (numbers(rows * inner, seed), numbers(inner * columns, seed ^ 1));
            let a = if turned[0] { Matrix::new(&left, inner, rows).turned() } else { Matrix::new(&left, rows, inner) };
            let b = if turned[1] { Matrix::new(&right, columns, inner).turned() } else { Matrix::new(&right, inner, columns) };
            let mut c = vec![f32::NAN; rows * columns];
            product(a, b, &mut c);
            for i in 0..rows {
                let row: Vec<f32> = (0..inner).map(|k| if turned[0] { left[k * rows + i] } else { left[i * inner + k] }).collect();
                for j in 0..columns {
                    let column: Vec<f32> =
                        (0..inner).map(|k| if turned[1] { right[j * inner + k] } else { right[k * columns + j] }).collect();
                    prop_assert_eq!(c[i * columns + j].to_bits(), element(&row, &column).to_bits());
                }
            }
        }

        /// Vectors and single numbers round alike.
        #[test]
        fn a_processor_without_vectors_gives_the_same_bits(depth in 1_usize..300, seed: u64) {
            let (left, right) = (numbers(depth * ROWS, seed), numbers(depth * COLUMNS, seed ^ 1));
            let mut tiles = [[[0.0; COLUMNS]; ROWS]; 2];
            small(&left, &right, &mut tiles[0], has_vectors());
            plainly(&left, &right, &mut tiles[1]);
            prop_assert_eq!(tiles[0], tiles[1]);
        }
    }

    #[test]
    fn a_product_over_several_blocks_of_rows_and_columns_is_right() {
        let (rows, columns, inner) = (LEFT + 7, RIGHT + 5, 3);
        let (left, right) = (numbers(rows * inner, 1), numbers(inner * columns, 2));
        let mut c = vec![0.0; rows * columns];
        product(Matrix::new(&left, rows, inner), Matrix::new(&right, inner, columns), &mut c);
        for (i, j) in [(0, 0), (LEFT - 1, RIGHT - 1), (LEFT, RIGHT), (rows - 1, columns - 1)] {
            let column: Vec<f32> = (0..inner).map(|k| right[k * columns + j]).collect();
            assert_eq!(c[i * columns + j], element(&left[i * inner..][..inner], &column));
        }
    }
}
