//! Products of float32 matrices whose bits depend on the factors alone: not on the processor, its caches or
//! its vector instructions, nor on how the work is divided among threads.
//!
//! Libraries choose a kernel by the processor, and different kernels sum in different orders. Here each
//! element of a product is
//!
//! ```text
//! s = 0;  for k in a block of 256: s = fma(a[i, k], b[k, j], s);  c[i, j] = s, and + s for further blocks
//! ```
//!
//! with one rounding a step. Processors with AVX2 and FMA compute eight elements at a time, others one at a
//! time, with the same roundings.

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
    /// A row-major matrix.
    ///
    /// # Panics
    /// If there are not `rows * columns` values.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(Some(values.len()), rows.checked_mul(columns), "{rows} x {columns} values");
        let raw = Raw { at: values.as_ptr(), rows, columns, steps: [columns, 1] };
        Self { raw, values: PhantomData }
    }

    /// The transpose.
    #[must_use]
    pub fn turned(self) -> Self {
        let Raw { at, rows, columns, steps: [down, across] } = self.raw;
        Self { raw: Raw { at, rows: columns, columns: rows, steps: [across, down] }, ..self }
    }
}

/// Writes `a b` into `c`, row by row. The previous values of `c` are not read.
///
/// # Panics
/// If the number of columns of `a` is not the number of rows of `b`, or `c` has another size than the
/// product.
pub fn product(a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32]) {
    let (a, b) = (a.raw, b.raw);
    assert_eq!(a.columns, b.rows, "columns of the left factor, rows of the right one");
    assert_eq!(Some(c.len()), a.rows.checked_mul(b.columns), "elements of the product");
    // SAFETY: both matrices lie in slices, and the length of `c` has been checked.
    #[allow(unsafe_code)]
    unsafe {
        kernel::product(a, b, c.as_mut_ptr(), b.columns);
    }
}

/// [`product`] for C++: a `rows x inner` matrix times an `inner x columns` matrix. Steps are in elements; the
/// rows of `c` are `c_step` apart.
///
/// # Safety
/// `a` and `b` must be valid for reads of their shapes and steps, `c` must be valid for writes, and `c` must
/// overlap neither.
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
    // SAFETY: the caller's promise; each list of steps has two elements.
    unsafe {
        let a = Raw { at: a, rows, columns: inner, steps: [*a_steps, *a_steps.add(1)] };
        let b = Raw { at: b, rows: inner, columns, steps: [*b_steps, *b_steps.add(1)] };
        kernel::product(a, b, c, c_step);
    }
}
