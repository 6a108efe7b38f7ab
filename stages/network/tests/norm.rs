//! Normalisation, sum and PReLU in one pass against libtorch's own three.

#![allow(clippy::unwrap_used)] // helpers of tests

use lfs_network::shim::{Normalise, channels_last, norm_prelu};
use tch::{Kind, Tensor};

const CPU: (Kind, tch::Device) = (Kind::Float, tch::Device::Cpu);

fn noise(shape: &[i64], rate: f64) -> Tensor {
    (Tensor::arange(shape.iter().product::<i64>(), CPU) * rate).sin().view(shape)
}

struct Case {
    shape: [i64; 4],
    affine: bool,
    slope: bool,
    beside: bool,
    mean: f64,
    /// By float64 the comparison itself is exact, and takes libtorch's way.
    exact: bool,
}

/// The output, the gradients of all that has one, and the running statistics.
fn run(case: &Case, one_pass: bool) -> Vec<Tensor> {
    let kind = if case.exact { Kind::Double } else { Kind::Float };
    let channels = case.shape[1];
    let leaf = |x: Tensor| x.to_kind(kind).detach().set_requires_grad(true);
    let x = leaf(channels_last(&(noise(&case.shape, 1.3) + case.mean)).unwrap());
    let beside = case.beside.then(|| leaf(channels_last(&noise(&case.shape, 0.9)).unwrap()));
    let scale = leaf(noise(&[channels], 2.1) + 0.2);
    let shift = leaf(noise(&[channels], 0.7));
    let slope = leaf(noise(&[channels], 3.3) * 0.5);
    let mean = noise(&[channels], 1.1).to_kind(kind);
    let variance = (noise(&[channels], 0.3).abs() + 0.5).to_kind(kind);
    let affine = case.affine.then_some((&scale, &shift));
    let y = if one_pass {
        let how = Normalise {
            affine,
            running: (&mean, &variance),
            slope: case.slope.then_some(&slope),
            beside: beside.as_ref(),
            momentum: 0.1,
            eps: 1e-5,
        };
        norm_prelu(&x, &how, true).unwrap()
    } else {
        let (s, t) = (affine.map(|a| a.0), affine.map(|a| a.1));
        let y = x.batch_norm(s, t, Some(&mean), Some(&variance), true, 0.1, 1e-5, false);
        let y = beside.as_ref().map_or(y.shallow_clone(), |b| &y + b);
        if case.slope { y.prelu(&slope) } else { y }
    };
    let weights = noise(&case.shape, 0.61).to_kind(kind);
    (&y * weights).sum(kind).backward();
    let mut out = vec![y.detach(), x.grad(), mean, variance];
    out.extend(beside.map(|b| b.grad()));
    if case.affine {
        out.extend([scale.grad(), shift.grad()]);
    }
    if case.slope {
        out.push(slope.grad());
    }
    out
}

#[test]
fn one_pass_gives_what_three_give_with_all_gradients_and_statistics() {
    for threads in [1, 2, 3] {
        tch::set_num_threads(threads);
        for shape in
            [[5, 16, 9, 7], [3, 65, 6, 6], [2, 3, 1, 1], [4, 128, 5, 5], [1, 1, 3, 2], [7, 24, 12, 12]]
        {
            for flags in 0..8 {
                let [affine, slope, beside] = [1, 2, 4].map(|bit| flags & bit != 0);
                // Far from 0 a rounding can carry a number over the bend of a PReLU.
                for mean in if slope { &[0.0][..] } else { &[0.0, 300.0] }.iter().copied() {
                    let case = |exact| Case { shape, affine, slope, beside, mean, exact };
                    let (found, expected) = (run(&case(false), true), run(&case(true), false));
                    assert_eq!(found.len(), expected.len());
                    for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
                        let size = b.abs().max().double_value(&[]).max(1e-2);
                        let apart = (a.to_kind(Kind::Double) - b).abs().max().double_value(&[]);
                        // Input values around 300 come with five digits after the point as float32.
                        let far = if mean == 0.0 { 2e-4 } else { 1e-1 };
                        assert!(apart < far * size, "{shape:?} {flags} {mean} tensor {i}: {apart} of {size}");
                    }
                }
            }
        }
    }
}

/// Maps of bfloat16: the numbers a channel stay float32, and only what is written to maps is rounded.
#[test]
fn maps_of_bfloat16_give_what_their_numbers_give_as_float32() {
    for threads in [1, 2] {
        tch::set_num_threads(threads);
        // Channels below, between and above the sizes of a line and of a piece.
        for shape in [[5, 16, 9, 7], [3, 65, 6, 6], [2, 3, 1, 1], [2, 640, 5, 5]] {
            for flags in 0..4 {
                let [slope, beside] = [1, 2].map(|bit| flags & bit != 0);
                let rounded = |rate| channels_last(&noise(&shape, rate)).unwrap().to_kind(Kind::BFloat16);
                let (maps, other, steep) = (rounded(1.3), rounded(0.9), rounded(0.61));
                let run = |kind: Kind| {
                    let leaf = |x: &Tensor| x.to_kind(kind).detach().set_requires_grad(true);
                    let number = |rate| (noise(&[shape[1]], rate) + 0.2).detach().set_requires_grad(true);
                    let (x, r) = (leaf(&maps), leaf(&other));
                    let (scale, shift, bend) = (number(2.1), number(0.7), number(3.3));
                    let (mean, variance) = (noise(&[shape[1]], 1.1), noise(&[shape[1]], 0.3).abs() + 0.5);
                    let how = Normalise {
                        affine: Some((&scale, &shift)),
                        running: (&mean, &variance),
                        slope: slope.then_some(&bend),
                        beside: beside.then_some(&r),
                        momentum: 0.1,
                        eps: 1e-5,
                    };
                    let y = norm_prelu(&x, &how, true).unwrap();
                    assert_eq!(y.kind(), kind);
                    (&y * steep.to_kind(kind)).sum(Kind::Float).backward();
                    let mut out = vec![y.detach(), x.grad(), mean, variance, scale.grad(), shift.grad()];
                    out.extend(beside.then(|| r.grad()));
                    out.extend(slope.then(|| bend.grad()));
                    out
                };
                let (found, expected) = (run(Kind::BFloat16), run(Kind::Float));
                for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
                    let size = b.abs().max().double_value(&[]).max(1e-2);
                    let apart = (a.to_kind(Kind::Float) - b).abs().max().double_value(&[]);
                    // Half a unit of the last of 8 bits; sums over a channel see the rounded output alone.
                    assert!(apart < size * 4.1e-3, "{shape:?} {flags} tensor {i}: {apart} of {size}");
                }
            }
        }
    }
    // To the nearest, ties to even; what is no number stays none.
    let how = |x: &Tensor| {
        let (mean, variance) = (noise(&[1], 1.0), noise(&[1], 1.0).abs());
        let none = Normalise {
            affine: None,
            running: (&mean, &variance),
            slope: None,
            beside: None,
            momentum: 0.1,
            eps: 1e-5,
        };
        norm_prelu(x, &none, true).unwrap()
    };
    let holes = Tensor::from_slice(&[1.0_f32, f32::NAN, 2.0, 3.0]).view([1, 1, 2, 2]).to_kind(Kind::BFloat16);
    assert_eq!(how(&holes).isnan().all().int64_value(&[]), 1);
}

#[test]
fn the_same_threads_give_the_same_bits() {
    for threads in [1, 2] {
        tch::set_num_threads(threads);
        let case = || Case {
            shape: [9, 48, 11, 13],
            affine: true,
            slope: true,
            beside: true,
            mean: 0.5,
            exact: false,
        };
        for (a, b) in run(&case(), true).iter().zip(&run(&case(), true)) {
            assert!(a.equal(b));
        }
    }
}

#[test]
fn without_training_the_running_statistics_are_used_and_stay() {
    let (mean, variance) = (noise(&[4], 0.5), noise(&[4], 0.2).abs() + 0.5);
    let x = noise(&[3, 4, 5, 5], 1.7);
    let slope = Tensor::full([4], 0.25, CPU);
    let how = Normalise {
        affine: None,
        running: (&mean, &variance),
        slope: Some(&slope),
        beside: None,
        momentum: 0.1,
        eps: 1e-5,
    };
    let found = norm_prelu(&x, &how, false).unwrap();
    let expected =
        x.batch_norm(None::<&Tensor>, None::<&Tensor>, Some(&mean), Some(&variance), false, 0.1, 1e-5, false);
    assert!((found - expected.prelu(&slope)).abs().max().double_value(&[]) < 1e-6);
    assert!(mean.equal(&noise(&[4], 0.5)));
}
