//! Products of float32 matrices whose bits depend on the factors alone: not on the processor, its caches or its kind of vectors, nor on
//! how the work is divided among threads.
//!
//! Libraries choose a kernel by the processor, and another kernel adds in another order. Here each element of a product is
//!
//! ```text
//! s = 0;  for k in a block of 256: s = fma(a[i, k], b[k, j], s);  c[i, j] = s, and + s for further blocks
//! ```
//!
//! with one rounding a step. On a processor with AVX2 and FMA eight elements are computed at a time; elsewhere one by one, by the same
//! roundings.

mod kernel;

use std::marker::PhantomData;

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;

/// A matrix in memory.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    raw: Raw,
    values: PhantomData<&'a [f32]>,
}

/// The element in row `i` and column `j` is at `at + i * steps[0] + j * steps[1]`.
#[derive(Debug, Clone, Copy)]
struct Raw {
    at: *const f32,
    rows: usize,
    columns: usize,
    steps: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Rows one behind the other.
    ///
    /// # Panics
    /// When there are not `rows * columns` values.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(Some(values.len()), rows.checked_mul(columns), "{rows} x {columns} values");
        let raw = Raw { at: values.as_ptr(), rows, columns, steps: [columns, 1] };
        Self { raw, values: PhantomData }
    }

    /// The same with rows and columns exchanged.
    #[must_use]
    pub fn turned(self) -> Self {
        let Raw { at, rows, columns, steps: [down, across] } = self.raw;
        Self { raw: Raw { at, rows: columns, columns: rows, steps: [across, down] }, ..self }
    }
}

/// `a b`, row by row, into `c`. What stands there is not read.
///
/// # Panics
/// When `a` has not as many columns as `b` has rows, or `c` has not as many elements as the product.
pub fn product(a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32]) {
    let (a, b) = (a.raw, b.raw);
    assert_eq!(a.columns, b.rows, "columns of the left factor, rows of the right one");
    assert_eq!(Some(c.len()), a.rows.checked_mul(b.columns), "elements of the product");
    // SAFETY: both matrices lie in slices, and `c` has been counted.
    #[allow(unsafe_code)]
    unsafe {
        kernel::product(a, b, c.as_mut_ptr(), b.columns);
    }
}

/// The same for C++: a `rows x inner` matrix times an `inner x columns` matrix. Steps are in elements; rows of `c` are `c_step` apart.
///
/// # Safety
/// `a` and `b` may be read where their shapes and steps say, `c` be written, and `c` overlaps neither.
#[allow(unsafe_code)] // called from C++
pub unsafe extern "C" fn raw_product(
    rows: usize,
    columns: usize,
    inner: usize,
    a: *const f32,
    a_steps: *const usize,
    b: *const f32,
    b_steps: *const usize,
    c: *mut f32,
    c_step: usize,
) {
    // SAFETY: as the caller promised; each list of steps has two.
    unsafe {
        let a = Raw { at: a, rows, columns: inner, steps: [*a_steps, *a_steps.add(1)] };
        let b = Raw { at: b, rows: inner, columns, steps: [*b_steps, *b_steps.add(1)] };
        kernel::product(a, b, c, c_step);
    }
}
