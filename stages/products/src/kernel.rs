//! Cache blocking, and the micro-kernel that computes a small product in registers.

use std::cell::RefCell;
use std::ops::Range;

use crate::Raw;

/// Rows and columns of the micro-kernel's product.
const ROWS: usize = 6;
const COLUMNS: usize = 16;
/// Inner steps before the sums are added to memory. This number is part of the definition of the product: see
/// the crate's documentation.
const INNER: usize = 256;
/// Rows of the left factor in a block, and columns of the right factor that are packed at a time.
const LEFT: usize = 24 * ROWS;
const RIGHT: usize = 64 * COLUMNS;

thread_local! {
    /// The packed columns of a right factor. The buffer is kept between products, since the system would have
    /// to clear newly allocated memory.
    static ORDERED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// `c = a b`.
///
/// # Safety
/// The factors must be valid for reads of their shapes and steps, and `c` for writes; `c` must overlap
/// neither factor.
#[allow(unsafe_code)]
pub(crate) unsafe fn product(a: Raw, b: Raw, c: *mut f32, c_step: usize) {
    let inner = a.columns;
    if inner == 0 {
        for i in 0..a.rows {
            for j in 0..b.columns {
                // SAFETY: within the product.
                unsafe { *c.add(i * c_step + j) = 0.0 };
            }
        }
        return;
    }
    let vectors = has_vectors();
    ORDERED.with_borrow_mut(|right| {
        right.resize(b.columns.min(RIGHT).next_multiple_of(COLUMNS) * inner.min(INNER), 0.0);
        for j in (0..b.columns).step_by(RIGHT) {
            let columns = j..(j + RIGHT).min(b.columns);
            for k in (0..inner).step_by(INNER) {
                let steps = k..(k + INNER).min(inner);
                // SAFETY: within the right factor.
                unsafe { order(&b, columns.clone(), steps.clone(), right) };
                for i in (0..a.rows).step_by(LEFT) {
                    let rows = i..(i + LEFT).min(a.rows);
                    for (right, j) in
                        right.chunks_exact(steps.len() * COLUMNS).zip(columns.clone().step_by(COLUMNS))
                    {
                        for i in rows.clone().step_by(ROWS) {
                            let height = (rows.end - i).min(ROWS);
                            // SAFETY: within the left factor and the product. Rows missing in the last group
                            // are replaced by its last row.
                            let small = unsafe {
                                Small {
                                    left: std::array::from_fn(|y| {
                                        a.at.add((i + y.min(height - 1)) * a.steps[0] + k * a.steps[1])
                                    }),
                                    along: a.steps[1],
                                    right,
                                    to: c.add(i * c_step + j),
                                    down: c_step,
                                    height,
                                    width: (columns.end - j).min(COLUMNS),
                                    adds: k > 0,
                                }
                            };
                            // SAFETY: as above.
                            unsafe { small.compute(vectors) };
                        }
                    }
                }
            }
        }
    });
}

/// Packs some columns of a matrix in groups of `COLUMNS`: for each group and each inner step, the elements of
/// its columns are contiguous. Columns missing in the last group are 0.
///
/// # Safety
/// The matrix must be valid for reads at these columns and inner steps.
#[allow(unsafe_code)]
unsafe fn order(of: &Raw, columns: Range<usize>, inner: Range<usize>, to: &mut [f32]) {
    let [along, across] = of.steps;
    for (group, start) in to.chunks_exact_mut(inner.len() * COLUMNS).zip(columns.clone().step_by(COLUMNS)) {
        let count = (columns.end - start).min(COLUMNS);
        if count < COLUMNS {
            group.fill(0.0);
        }
        // SAFETY: within the matrix. Each branch below reads it in memory order.
        let at = |k: usize, n: usize| unsafe { of.at.add((start + n) * across + k * along) };
        if across == 1 && count == COLUMNS {
            for (k, to) in inner.clone().zip(group.chunks_exact_mut(COLUMNS)) {
                // SAFETY: the columns are contiguous.
                to.copy_from_slice(unsafe { std::slice::from_raw_parts(at(k, 0), COLUMNS) });
            }
        } else if along <= across {
            for n in 0..count {
                for (k, to) in inner.clone().zip(group[n..].iter_mut().step_by(COLUMNS)) {
                    // SAFETY: within the matrix.
                    *to = unsafe { *at(k, n) };
                }
            }
        } else {
            for (k, to) in inner.clone().zip(group.chunks_exact_mut(COLUMNS)) {
                for (n, to) in to.iter_mut().enumerate().take(count) {
                    // SAFETY: within the matrix.
                    *to = unsafe { *at(k, n) };
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

/// A small product in registers, with one fused multiply-add for each element and inner step.
struct Small<'a> {
    /// The first element of each row of the left factor, and the distance between elements of a row.
    left: [*const f32; ROWS],
    along: usize,
    /// The packed columns; the length determines the number of inner steps.
    right: &'a [f32],
    /// The first element of the product, and the distance between rows.
    to: *mut f32,
    down: usize,
    /// The rows and columns of the micro-kernel that are within the product.
    height: usize,
    width: usize,
    /// Whether the sums are added to the values in memory or replace them.
    adds: bool,
}

impl Small<'_> {
    /// # Safety
    /// The left factor must be valid for reads, and the product for writes.
    #[allow(unsafe_code)]
    unsafe fn compute(&self, vectors: bool) {
        #[cfg(target_arch = "x86_64")]
        if vectors {
            // SAFETY: the processor has AVX2 and FMA; the rest is the caller's promise.
            return unsafe { self.with_vectors() };
        }
        let _ = vectors;
        // SAFETY: the caller's promise.
        unsafe { self.plainly() }
    }

    #[allow(unsafe_code)]
    unsafe fn plainly(&self) {
        let mut sums = [[0.0_f32; COLUMNS]; ROWS];
        for (k, right) in self.right.chunks_exact(COLUMNS).enumerate() {
            for (sums, left) in sums.iter_mut().zip(self.left) {
                // SAFETY: an element of a row.
                let a = unsafe { *left.add(k * self.along) };
                for (sum, b) in sums.iter_mut().zip(right) {
                    *sum = a.mul_add(*b, *sum);
                }
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.write(&sums) };
    }

    #[allow(unsafe_code)]
    unsafe fn write(&self, sums: &[[f32; COLUMNS]; ROWS]) {
        for (y, row) in sums.iter().enumerate().take(self.height) {
            for (x, value) in row.iter().enumerate().take(self.width) {
                // SAFETY: an element of the product.
                unsafe {
                    let to = self.to.add(y * self.down + x);
                    *to = if self.adds { *to + value } else { *value };
                }
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    #[allow(unsafe_code)]
    unsafe fn with_vectors(&self) {
        use std::arch::x86_64::{
            _mm256_add_ps, _mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps,
            _mm256_storeu_ps,
        };
        let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
        let (steps, _) = self.right.as_chunks::<COLUMNS>();
        for (k, right) in steps.iter().enumerate() {
            // SAFETY: sixteen numbers, and an element of each row.
            let b = unsafe { [_mm256_loadu_ps(right.as_ptr()), _mm256_loadu_ps(right.as_ptr().add(8))] };
            for (sums, left) in sums.iter_mut().zip(self.left) {
                // SAFETY: an element of a row.
                let a = _mm256_broadcast_ss(unsafe { &*left.add(k * self.along) });
                sums[0] = _mm256_fmadd_ps(a, b[0], sums[0]);
                sums[1] = _mm256_fmadd_ps(a, b[1], sums[1]);
            }
        }
        if self.width < COLUMNS {
            let mut row = [[0.0; COLUMNS]; ROWS];
            for (sums, row) in sums.iter().zip(&mut row) {
                // SAFETY: sixteen numbers.
                unsafe {
                    _mm256_storeu_ps(row.as_mut_ptr(), sums[0]);
                    _mm256_storeu_ps(row.as_mut_ptr().add(8), sums[1]);
                }
            }
            // SAFETY: the caller's promise.
            return unsafe { self.write(&row) };
        }
        for (y, sums) in sums.iter().enumerate().take(self.height) {
            for (x, sum) in sums.iter().enumerate() {
                // SAFETY: eight elements of the product.
                unsafe {
                    let to = self.to.add(y * self.down + 8 * x);
                    let sum = if self.adds { _mm256_add_ps(_mm256_loadu_ps(to), *sum) } else { *sum };
                    _mm256_storeu_ps(to, sum);
                }
            }
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

    /// An element by the definition in the crate's documentation.
    fn element(a: &[f32], b: &[f32]) -> f32 {
        let block = |(a, b): (&[f32], &[f32])| a.iter().zip(b).fold(0.0_f32, |s, (a, b)| a.mul_add(*b, s));
        a.chunks(INNER).zip(b.chunks(INNER)).map(block).reduce(|s, t| s + t).unwrap_or(0.0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        /// For any shape and memory layout of the factors, each element has exactly the bits that its
        /// definition gives.
        #[test]
        fn each_element_has_the_bits_of_its_definition(
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

        /// The vector code and the scalar code round in the same way.
        #[test]
        #[allow(unsafe_code)]
        fn a_processor_without_vectors_gives_the_same_bits(
            depth in 1_usize..300, height in 1..=ROWS, width in 1..=COLUMNS, adds: bool, seed: u64,
        ) {
            let (left, right) = (numbers(depth * ROWS, seed), numbers(depth * COLUMNS, seed ^ 1));
            let mut products = [[0.5; ROWS * COLUMNS]; 2];
            for (to, vectors) in products.iter_mut().zip([has_vectors(), false]) {
                let left = std::array::from_fn(|y| left[y * depth..].as_ptr());
                let small = Small { left, along: 1, right: &right, to: to.as_mut_ptr(), down: COLUMNS, height, width, adds };
                // SAFETY: every buffer has the stated size.
                unsafe { small.compute(vectors) };
            }
            prop_assert_eq!(products[0], products[1]);
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
