//! Calls of libtorch and of the system that the torch bindings lack.
//!
//! Each foreign function has a safe wrapper. See `shim/shim.cpp` for the C++ side, and [`crate::gpu`] for
//! CUDA.
#![allow(unsafe_code)] // calls into C++ cannot be checked by the compiler

use std::ffi::{CStr, c_char, c_int, c_void};

use lfs_stage::{Failure, Result};
use tch::Tensor;
use torch_sys::C_tensor;

unsafe extern "C" {
    fn lfs_free(text: *mut c_char);
    fn lfs_version() -> *mut c_char;
    fn lfs_cpu_capability() -> *mut c_char;
    fn lfs_keep_memory();
    fn lfs_deterministic(on: bool) -> *mut c_char;
    fn lfs_autocast(on: bool, cuda: bool) -> *mut c_char;
    fn lfs_channels_last(x: *mut C_tensor) -> *mut c_char;
    fn lfs_pinned(x: *mut C_tensor) -> *mut c_char;
    fn lfs_zeros_like(out: *mut C_tensor, x: *const C_tensor) -> *mut c_char;
    fn lfs_norm_prelu(
        out: *mut C_tensor,
        x: *const C_tensor,
        scale: *const C_tensor,
        shift: *const C_tensor,
        mean: *const C_tensor,
        variance: *const C_tensor,
        slope: *const C_tensor,
        beside: *const C_tensor,
        train: bool,
        momentum: f64,
        eps: f64,
    ) -> *mut c_char;
    fn lfs_linear(
        out: *mut C_tensor,
        x: *const C_tensor,
        w: *const C_tensor,
        product: Option<RawProduct>,
    ) -> *mut c_char;
    fn lfs_pointwise(
        out: *mut C_tensor,
        x: *const C_tensor,
        w: *const C_tensor,
        stride: i64,
        product: Option<RawProduct>,
    ) -> *mut c_char;
    fn lfs_log_sum_exp(out: *mut C_tensor, x: *const C_tensor, log: extern "C" fn(f64) -> f64)
    -> *mut c_char;
    fn lfs_sloped(
        out: *mut C_tensor,
        x: *const C_tensor,
        y: *const C_tensor,
        slope: *const C_tensor,
    ) -> *mut c_char;
    fn lfs_forget_gradients(weights: *const *mut C_tensor, count: usize) -> *mut c_char;
    fn lfs_sgd(
        weights: *const *const C_tensor,
        velocities: *const *const C_tensor,
        count: usize,
        lr: f64,
        momentum: f64,
        decay: f64,
    ) -> *mut c_char;
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn unsetenv(name: *const c_char) -> c_int;
    fn setenv(name: *const c_char, value: *const c_char, overwrite: c_int) -> c_int;
}

const RTLD_NOW: c_int = 0x2;
const RTLD_GLOBAL: c_int = 0x100;

/// Takes ownership of a string allocated by C.
pub(crate) fn text(raw: *mut c_char) -> Option<String> {
    if raw.is_null() {
        return None;
    }
    // SAFETY: the shim returns null or a NUL-terminated string that is owned by the caller.
    unsafe {
        let text = CStr::from_ptr(raw).to_string_lossy().into_owned();
        lfs_free(raw);
        Some(text)
    }
}

/// Converts a message of the C++ side to a result: null is success.
pub(crate) fn checked(raw: *mut c_char, doing: &str) -> Result<()> {
    match text(raw) {
        None => Ok(()),
        Some(message) => {
            // The first line is the message; a C++ stack trace follows.
            let first = message.lines().next().unwrap_or_default().to_owned();
            Err(Failure::new(format!("libtorch failed while {doing}: {first}")))
        }
    }
}

/// Makes the allocator keep freed memory for reuse in this process, until [`lfs_stage`] returns that of an
/// idle worker.
pub fn keep_memory() {
    // SAFETY: changes settings of the C library's allocator.
    unsafe { lfs_keep_memory() };
}

/// The version of libtorch that the program was built for.
pub fn version() -> String {
    // SAFETY: has no arguments and returns an owned string.
    text(unsafe { lfs_version() }).unwrap_or_default()
}

/// The instruction set of libtorch's own CPU kernels in this process: `AVX2`, `AVX512`.
pub fn cpu_capability() -> String {
    // SAFETY: has no arguments and returns an owned string.
    text(unsafe { lfs_cpu_capability() }).unwrap_or_default()
}

/// Restricts libtorch to deterministic kernels, or lifts the restriction.
pub fn deterministic(on: bool) -> Result<()> {
    // SAFETY: sets flags of libtorch's global context.
    checked(unsafe { lfs_deterministic(on) }, "setting its determinism flags")
}

/// Runs `work` with autocast to bfloat16: convolutions and products, on GPUs or on the CPU, take bfloat16
/// factors.
///
/// # Errors
/// When libtorch cannot.
pub fn in_bfloat16<T>(gpu: bool, work: impl FnOnce() -> T) -> Result<T> {
    /// Turns autocast off, also on a panic.
    struct Cast(bool);
    impl Drop for Cast {
        fn drop(&mut self) {
            // SAFETY: sets flags of this thread.
            let _ = text(unsafe { lfs_autocast(false, self.0) });
        }
    }
    // SAFETY: sets flags of this thread, which `Cast` resets.
    checked(unsafe { lfs_autocast(true, gpu) }, "turning to bfloat16")?;
    let _cast = Cast(gpu);
    Ok(work())
}

/// The tensor with channels innermost in memory (`[n, c, h, w]` stored as n, h, w, c).
pub fn channels_last(x: &Tensor) -> Result<Tensor> {
    let mut out = x.shallow_clone();
    // SAFETY: `out` owns a tensor handle; the shim replaces what it refers to.
    checked(unsafe { lfs_channels_last(out.as_mut_ptr()) }, "changing a memory format")?;
    Ok(out)
}

/// The tensor in pinned memory, from which a GPU copies asynchronously. (The bindings pass a device, and
/// libtorch warns about that each time.)
pub fn pinned(mut x: Tensor) -> Result<Tensor> {
    // SAFETY: `x` owns a tensor handle; the shim replaces what it refers to.
    checked(unsafe { lfs_pinned(x.as_mut_ptr()) }, "pinning memory")?;
    Ok(x)
}

/// Zeros with the shape and the strides of `x`, outside the autograd graph.
pub fn zeros_like(x: &Tensor) -> Result<Tensor> {
    let mut out = Tensor::new();
    // SAFETY: both are live handles; the shim replaces what `out` refers to.
    checked(unsafe { lfs_zeros_like(out.as_mut_ptr(), x.as_ptr()) }, "making a buffer")?;
    Ok(out)
}

/// The parameters of [`norm_prelu`].
#[derive(Debug, Clone, Copy)]
pub struct Normalise<'a> {
    /// The learned scale and shift, `[c]` each.
    pub affine: Option<(&'a Tensor, &'a Tensor)>,
    /// The running mean and variance, `[c]` each; updated in training.
    pub running: (&'a Tensor, &'a Tensor),
    /// The slope of the PReLU that follows, `[c]`.
    pub slope: Option<&'a Tensor>,
    /// The tensor to add before the PReLU, of the shape of x.
    pub beside: Option<&'a Tensor>,
    /// The weight of a batch in the running statistics.
    pub momentum: f64,
    /// The number that is added to the variance.
    pub eps: f64,
}

/// Batch normalisation of `[n, c, ..]`, a sum and a PReLU. In training, maps of float32 or bfloat16 on the
/// CPU take one pass over memory; everything else is libtorch's own.
pub fn norm_prelu(x: &Tensor, how: &Normalise<'_>, train: bool) -> Result<Tensor> {
    let raw = |tensor: Option<&Tensor>| tensor.map_or(std::ptr::null(), Tensor::as_ptr);
    let mut out = Tensor::new();
    // SAFETY: all are live handles or null; the shim replaces what `out` refers to, and updates the running
    // statistics.
    let done = unsafe {
        lfs_norm_prelu(
            out.as_mut_ptr(),
            x.as_ptr(),
            raw(how.affine.map(|(scale, _)| scale)),
            raw(how.affine.map(|(_, shift)| shift)),
            how.running.0.as_ptr(),
            how.running.1.as_ptr(),
            raw(how.slope),
            raw(how.beside),
            train,
            how.momentum,
            how.eps,
        )
    };
    checked(done, "normalising")?;
    Ok(out)
}

/// [`lfs_products::raw_product`]
type RawProduct = unsafe extern "C" fn(
    usize,
    usize,
    usize,
    *const f32,
    *const usize,
    *const f32,
    *const usize,
    *mut f32,
    usize,
);

const PRODUCT: RawProduct = lfs_products::raw_product;

extern "C" fn log(x: f64) -> f64 {
    libm::log(x)
}

/// `x w^T`, `[n, k]` by `[m, k]`: `[n, m]`.
pub fn linear(x: &Tensor, w: &Tensor, portable: bool) -> Result<Tensor> {
    let mut out = Tensor::new();
    let product = portable.then_some(PRODUCT);
    // SAFETY: all are live handles; the shim replaces what `out` refers to, and passes matrices with their
    // own steps to `product`.
    checked(unsafe { lfs_linear(out.as_mut_ptr(), x.as_ptr(), w.as_ptr(), product) }, "multiplying")?;
    Ok(out)
}

/// A 1 x 1 convolution, `[n, k, h, w]` by `[m, k, 1, 1]`.
pub fn pointwise(x: &Tensor, w: &Tensor, stride: i64, portable: bool) -> Result<Tensor> {
    let mut out = Tensor::new();
    let product = portable.then_some(PRODUCT);
    // SAFETY: as in `linear`.
    let done = unsafe { lfs_pointwise(out.as_mut_ptr(), x.as_ptr(), w.as_ptr(), stride, product) };
    checked(done, "convolving")?;
    Ok(out)
}

/// `log(sum e^x)` over each row of `[n, k]`: `[n]`.
pub fn log_sum_exp(x: &Tensor) -> Result<Tensor> {
    let mut out = Tensor::new();
    // SAFETY: both are live handles; the shim replaces what `out` refers to.
    checked(unsafe { lfs_log_sum_exp(out.as_mut_ptr(), x.as_ptr(), log) }, "adding exponentials")?;
    Ok(out)
}

/// The autograd node for `y` as a function of `x` with derivative `slope`, all of one shape.
pub fn sloped(x: &Tensor, y: &Tensor, slope: &Tensor) -> Result<Tensor> {
    let mut out = Tensor::new();
    // SAFETY: all are live handles; the shim replaces what `out` refers to.
    let done = unsafe { lfs_sloped(out.as_mut_ptr(), x.as_ptr(), y.as_ptr(), slope.as_ptr()) };
    checked(done, "computing a function")?;
    Ok(out)
}

/// Removes the gradients, so that the next ones are written, not added.
pub fn forget_gradients(weights: &mut [Tensor]) -> Result<()> {
    let all: Vec<*mut C_tensor> = weights.iter_mut().map(Tensor::as_mut_ptr).collect();
    // SAFETY: `all.len()` live handles.
    checked(unsafe { lfs_forget_gradients(all.as_ptr(), all.len()) }, "forgetting gradients")
}

/// One step of SGD with momentum over all weights that have a gradient, in one kernel.
pub fn sgd(weights: &[Tensor], velocities: &[Tensor], lr: f64, momentum: f64, decay: f64) -> Result<()> {
    if weights.len() != velocities.len() {
        return Err(Failure::new("every weight wants one momentum buffer"));
    }
    let w: Vec<*const C_tensor> = weights.iter().map(Tensor::as_ptr).collect();
    let v: Vec<*const C_tensor> = velocities.iter().map(Tensor::as_ptr).collect();
    // SAFETY: both lists hold `w.len()` live handles; the shim changes the tensors' elements in place.
    checked(unsafe { lfs_sgd(w.as_ptr(), v.as_ptr(), w.len(), lr, momentum, decay) }, "taking an SGD step")
}

/// Sets or unsets an environment variable of this process. Libraries read theirs at first use.
pub fn variable(name: &CStr, value: Option<&CStr>) {
    // SAFETY: names and values are NUL-terminated. The one other thread of a worker waits for input at that
    // time, and reads no variable.
    unsafe {
        match value {
            Some(value) => setenv(name.as_ptr(), value.as_ptr(), 1),
            None => unsetenv(name.as_ptr()),
        };
    }
}

/// Loads a shared library for good and makes its symbols visible to all; returns whether it was found.
pub fn load_library(name: &CStr) -> bool {
    // SAFETY: `name` is NUL-terminated; the handle is never closed.
    !unsafe { dlopen(name.as_ptr(), RTLD_NOW | RTLD_GLOBAL) }.is_null()
}

/// Sets an environment variable unless it is already set. Must be called while the process has one thread.
pub fn default_variable(name: &CStr, value: &CStr) {
    // SAFETY: both strings are NUL-terminated; the caller promises that no other thread reads the environment
    // now.
    let _ = unsafe { setenv(name.as_ptr(), value.as_ptr(), 0) };
}
