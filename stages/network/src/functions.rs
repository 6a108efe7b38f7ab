//! Matrix products and elementary functions with the same bits on every processor.
//!
//! libtorch computes these with libraries that choose a kernel by the processor. On the CPU they are computed
//! here instead: products by `lfs-products`, functions by the pure Rust `libm` in float64, rounded once. On a
//! GPU all of them are libtorch's own.

use std::cell::Cell;

use tch::{Device, Kind, Tensor};

use crate::arithmetic::Arithmetic;
use crate::shim;

/// `x w^T`, `[n, k]` by `[m, k]`: `[n, m]`.
pub fn linear(x: &Tensor, w: &Tensor) -> Tensor {
    done(shim::linear(x, w, Arithmetic::of_this_process() == Arithmetic::Portable))
}

/// A 1 x 1 convolution, `[n, k, h, w]` by `[m, k, 1, 1]`, with a stride.
pub fn pointwise(x: &Tensor, w: &Tensor, stride: i64) -> Tensor {
    done(shim::pointwise(x, w, stride, Arithmetic::of_this_process() == Arithmetic::Portable))
}

/// `log(sum e^x)` over each row of `[n, k]`: `[n]`.
pub fn log_sum_exp(x: &Tensor) -> Tensor {
    done(shim::log_sum_exp(x))
}

/// The square root. Its derivative at 0 is infinite.
pub fn sqrt(x: &Tensor) -> Tensor {
    each(x, f64::sqrt, |_, y| 0.5 / y).unwrap_or_else(|| x.sqrt())
}

/// The cosine.
pub fn cos(x: &Tensor) -> Tensor {
    each(x, libm::cos, |x, _| -libm::sin(x)).unwrap_or_else(|| x.cos())
}

/// The arc cosine. Its derivative at -1 and 1 is infinite.
pub fn acos(x: &Tensor) -> Tensor {
    each(x, libm::acos, |x, _| -1.0 / ((1.0 - x) * (1.0 + x)).sqrt()).unwrap_or_else(|| x.acos())
}

/// The natural logarithm.
pub fn log(x: &Tensor) -> Tensor {
    each(x, libm::log, |x, _| 1.0 / x).unwrap_or_else(|| x.log())
}

/// The exponential.
pub fn exp(x: &Tensor) -> Tensor {
    each(x, libm::exp, |_, y| y).unwrap_or_else(|| x.exp())
}

/// The hyperbolic tangent.
pub fn tanh(x: &Tensor) -> Tensor {
    each(x, libm::tanh, |_, y| 1.0 - y * y).unwrap_or_else(|| x.tanh())
}

/// `1 / (1 + e^-x)`.
pub fn sigmoid(x: &Tensor) -> Tensor {
    each(x, share, |_, y| y * (1.0 - y)).unwrap_or_else(|| x.sigmoid())
}

/// `log(1 + e^x)`.
pub fn softplus(x: &Tensor) -> Tensor {
    each(x, |x| x.max(0.0) + libm::log1p(libm::exp(-x.abs())), |x, _| share(x))
        .unwrap_or_else(|| x.softplus())
}

/// `log(e^x + e^other)`.
pub fn log_add_exp(x: &Tensor, other: f64) -> Tensor {
    if is_here(x) { softplus(&(x - other)) + other } else { x.logaddexp(&x.full_like(other)) }
}

/// `1 / (1 + e^-x)`, without an exponential that overflows.
fn share(x: f64) -> f64 {
    let e = libm::exp(-x.abs());
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

thread_local! {
    /// Whether libtorch records what is computed on this thread.
    static TRACED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with libtorch's own functions, since libtorch can only record those: the results of others would become constants.
pub fn traced<T>(f: impl FnOnce() -> T) -> T {
    TRACED.set(true);
    let result = f();
    TRACED.set(false);
    result
}

fn is_here(x: &Tensor) -> bool {
    x.device() == Device::Cpu && matches!(x.kind(), Kind::Float | Kind::Double) && !TRACED.get()
}

/// An elementwise function with its derivative, given as a function of x and y. None on a GPU and for other
/// types.
fn each(x: &Tensor, value: fn(f64) -> f64, slope: fn(f64, f64) -> f64) -> Option<Tensor> {
    if !is_here(x) {
        return None;
    }
    let flat = x.detach().to_kind(Kind::Double).flatten(0, -1);
    let numbers = Vec::<f64>::try_from(&flat).ok()?;
    let values: Vec<f64> = numbers.iter().map(|x| value(*x)).collect();
    let shaped = |v: &[f64]| Tensor::from_slice(v).to_kind(x.kind()).view(x.size().as_slice());
    let y = shaped(&values);
    if !x.requires_grad() {
        return Some(y);
    }
    let slopes: Vec<f64> = numbers.iter().zip(&values).map(|(x, y)| slope(*x, *y)).collect();
    Some(done(shim::sloped(x, &y, &shaped(&slopes))))
}

/// Panics on an error, as the bindings do for every other function. [`crate::memory::within_memory`] catches
/// it.
fn done(result: lfs_stage::Result<Tensor>) -> Tensor {
    result.unwrap_or_else(|e| std::panic::resume_unwind(Box::new(e.message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares values and gradients with libtorch's own in float64.
    fn compare(own: impl Fn(&Tensor) -> Tensor, theirs: impl Fn(&Tensor) -> Tensor, x: &Tensor, kind: Kind) {
        let run = |f: &dyn Fn(&Tensor) -> Tensor, kind: Kind| {
            let x = x.to_kind(kind).copy().detach().set_requires_grad(true);
            let y = f(&x);
            (y.square() * 0.5).sum(kind).backward();
            (y.detach().to_kind(Kind::Double), x.grad().to_kind(Kind::Double))
        };
        let (y, slope) = run(&own, kind);
        let (wanted, wanted_slope) = run(&theirs, Kind::Double);
        // Relative to the largest value, since sums round more than single values.
        let within = if kind == Kind::Float { 4e-6 } else { 1e-13 };
        for (own, wanted) in [(y, wanted), (slope, wanted_slope)] {
            let most = wanted.abs().max().double_value(&[]);
            let off = (&own - &wanted).abs().max().double_value(&[]);
            assert!(off <= within * most, "off by {off} of {most}");
        }
    }

    #[test]
    fn functions_and_their_slopes_are_libtorchs_within_the_last_digits() {
        let x = Tensor::from_slice(&[-40.0, -3.0, -0.75, -1e-3, 0.0, 0.2, 0.999, 5.0, 60.0]);
        let (inside, above) = (x.clamp(-0.99, 0.99), x.abs() + 0.01);
        for kind in [Kind::Float, Kind::Double] {
            let x = &x.to_kind(Kind::Float);
            compare(sqrt, Tensor::sqrt, &above, kind);
            compare(log, Tensor::log, &above, kind);
            compare(cos, Tensor::cos, x, kind);
            compare(acos, Tensor::acos, &inside, kind);
            compare(sigmoid, Tensor::sigmoid, x, kind);
            compare(tanh, Tensor::tanh, x, kind);
            compare(exp, Tensor::exp, &inside, kind);
            compare(softplus, |x| x.logaddexp(&x.zeros_like()), x, kind);
            compare(|x| log_add_exp(x, 2.0), |x| x.logaddexp(&x.full_like(2.0)), x, kind);
        }
    }

    #[test]
    fn sums_of_exponentials_are_libtorchs_and_minus_infinity_counts_nothing() {
        for columns in [1, 2, 31, 32, 33, 1000] {
            let x = Tensor::arange(3 * columns, (Kind::Double, Device::Cpu)).fmod(17.0) * 3.7 - 40.0;
            let x = x.view([3, columns]);
            compare(log_sum_exp, |x| x.logsumexp([1], false), &x.to_kind(Kind::Float), Kind::Float);
        }
        let x = Tensor::from_slice(&[f32::NEG_INFINITY, 3.0, 1.0, f32::NEG_INFINITY]).view([2, 2]);
        let y = Vec::<f32>::try_from(log_sum_exp(&x)).unwrap();
        assert_eq!(y, [3.0, 1.0]);
    }

    #[test]
    fn a_convolution_of_one_pixel_and_its_gradients_are_libtorchs() {
        let made = |shape: &[i64], by: f64| {
            let count = shape.iter().product::<i64>();
            let all = Tensor::arange(count, (Kind::Double, Device::Cpu)) * by;
            (all.remainder(2.0) - 1.0).view(shape)
        };
        for (channels, side, stride) in [(3, 5, 1), (70, 7, 2), (64, 8, 2)] {
            let (x, w) = (made(&[2, channels, side, side], 0.377), made(&[9, channels, 1, 1], 0.613));
            let theirs =
                |x: &Tensor, w: &Tensor| x.conv2d(w, None::<Tensor>, [stride, stride], [0, 0], [1, 1], 1);
            compare(|x| pointwise(x, &w.to_kind(x.kind()), stride), |x| theirs(x, &w), &x, Kind::Float);
            compare(|w| pointwise(&x.to_kind(w.kind()), w, stride), |w| theirs(&x, w), &w, Kind::Float);
        }
    }

    #[test]
    fn products_and_their_gradients_are_libtorchs_whichever_way_factors_lie() {
        let made = |rows: i64, columns: i64, by: f64| {
            let all = Tensor::arange(rows * columns, (Kind::Double, Device::Cpu)) * by;
            (all.remainder(2.0) - 1.0).view([rows, columns])
        };
        for (n, m, k) in [(1, 1, 1), (5, 300, 70), (200, 3, 513)] {
            let (x, w) = (made(n, k, 0.377), made(m, k, 0.613));
            compare(|x| linear(x, &w.to_kind(x.kind())), |x| x.matmul(&w.tr()), &x, Kind::Float);
            compare(|w| linear(&x.to_kind(w.kind()), w), |w| x.matmul(&w.tr()), &w, Kind::Float);
            let turned = x.tr().contiguous();
            let other = linear(&turned.tr().to_kind(Kind::Float), &w.to_kind(Kind::Float));
            assert!(other.equal(&linear(&x.to_kind(Kind::Float), &w.to_kind(Kind::Float))));
        }
    }
}
