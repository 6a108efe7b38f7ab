//! Tests over the table of methods. They cover a new loss without being changed.

use proptest::prelude::*;
use tch::{Kind, Tensor};

use super::am_softmax::AmSoftmax;
use super::head::{self, Cosines, Exact, HeadOptions, Loss, Memory};
use super::l5::L5;
use crate::search::margin::Margined;
use crate::table::{Form, examples, neutral};

/// Pseudo-random numbers in [-1, 1), without a library.
fn number(i: usize) -> f64 {
    let x = (i as f64 * 0.754_877_666 + 0.3).fract();
    2.0 * x - 1.0
}

fn rows(n: usize, width: usize, from: usize) -> Vec<Vec<f64>> {
    (0..n).map(|i| (0..width).map(|j| number(from + i * width + j)).collect()).collect()
}

/// A batch of `n` images of `k` classes in `d` dimensions. `near` is the weight of its class in each
/// embedding. In a large enough batch every class has several images.
fn batch(n: usize, k: usize, d: usize, near: f64, scale: f64) -> Exact {
    let classes = rows(k, d, 7000);
    let identity: Vec<usize> = (0..n).map(|i| (i * 7 + 3) % k).collect();
    let noise = rows(n, d, 0);
    let embeddings = identity
        .iter()
        .zip(noise)
        .enumerate()
        .map(|(i, (own, noise))| {
            let length = 1.0 + number(i + 90_000).abs() * 4.0;
            classes[*own].iter().zip(noise).map(|(w, e)| length * (near * w + (1.0 - near) * e)).collect()
        })
        .collect();
    Exact { embeddings, classes, identity, scale, ..Exact::default() }
}

fn matrix(rows: &[Vec<f64>], kind: Kind) -> Tensor {
    let width = rows[0].len() as i64;
    Tensor::from_slice(&rows.concat()).to_kind(kind).view([-1, width])
}

fn options(scale: f64, iteration: u64) -> HeadOptions<'static> {
    HeadOptions { scale, iteration, straight_through: false, sub_centres: 1, sampled: None }
}

fn tensors(batch: &Exact, kind: Kind) -> [Tensor; 3] {
    let labels: Vec<i64> = batch.identity.iter().map(|i| *i as i64).collect();
    [matrix(&batch.embeddings, kind), matrix(&batch.classes, kind), Tensor::from_slice(&labels)]
}

/// The losses at a first step.
fn losses(loss: &dyn Loss, batch: &Exact, kind: Kind) -> Tensor {
    let [x, w, y] = tensors(batch, kind);
    loss.loss(&head::cosines(&x, &w, &y, &options(batch.scale, batch.iteration)), &mut Memory::new())
}

/// [`Cosines`] with the target cosine only.
pub fn bare(own: Tensor, scale: f64) -> Cosines {
    let n = own.size()[0];
    let one = own.ones_like();
    let none = Tensor::zeros([n], (Kind::Int64, own.device()));
    Cosines {
        all: own.unsqueeze(1),
        embeddings: own.unsqueeze(1),
        norms: one.shallow_clone(),
        class_norms: one.narrow(0, 0, 1),
        column: none.shallow_clone(),
        identity: none,
        classes: 1,
        non_target: one.full_like(0.0),
        own,
        scale,
        iteration: 0.into(),
        straight_through: false,
    }
}

/// One image with given cosines: each class is rotated from it by the angle.
fn of_cosines(cosines: &[f64], own: usize, scale: f64) -> Exact {
    let classes = cosines.iter().map(|c| vec![*c, (1.0 - c * c).sqrt()]).collect();
    Exact { embeddings: vec![vec![1.0, 0.0]], classes, identity: vec![own], scale, ..Exact::default() }
}

fn numbers(x: &Tensor) -> Vec<f64> {
    Vec::try_from(x.to_kind(Kind::Double).flatten(0, -1)).unwrap()
}

fn close(a: f64, b: f64, relative: f64, absolute: f64) -> bool {
    (a - b).abs() <= absolute + relative * a.abs().max(b.abs())
}

#[test]
fn the_value_of_every_loss_is_its_formula_s_in_float64() {
    for form in examples() {
        for (scale, k, d) in [(32.0, 5, 4), (64.0, 40, 8), (4.0, 2, 3)] {
            for (iteration, near) in [(0, 0.3), (100_000, 0.8)] {
                let batch = Exact { iteration, ..batch(60, k, d, near, scale) };
                let found = numbers(&losses(form.loss(), &batch, Kind::Double));
                for (i, found) in found.iter().enumerate() {
                    let expected = form.loss().oracle(&batch, i);
                    assert!(close(*found, expected, 1e-7, 1e-8), "{form:?} s={scale} {found} {expected}");
                }
            }
        }
    }
}

#[test]
fn the_value_of_every_loss_is_its_formula_s_in_float32_too() {
    for form in examples() {
        let batch = batch(60, 40, 8, 0.5, 64.0);
        let found = numbers(&losses(form.loss(), &batch, Kind::Float));
        // Near 1, a float32 cosine determines the angle poorly.
        let told = |i: &usize| batch.cosines(*i)[batch.identity[*i]].abs() < 0.999;
        // The nearest image can change by rounding.
        if matches!(&form, Form::Triplet(_)) {
            continue;
        }
        for (i, found) in found.iter().enumerate().filter(|(i, _)| told(i)) {
            let expected = form.loss().oracle(&batch, i);
            assert!(close(*found, expected, 1e-5, 1e-3), "{form:?} {found} {expected}");
        }
    }
}

#[test]
fn the_gradient_of_every_loss_is_the_slope_of_its_formula() {
    const H: f64 = 1e-6;
    for form in examples() {
        for (scale, near) in [(8.0, 0.3), (32.0, 0.6), (64.0, 0.8)] {
            let batch = batch(18, 5, 4, near, scale);
            let [x, w, y] = tensors(&batch, Kind::Double);
            let (x, w) = (x.set_requires_grad(true), w.set_requires_grad(true));
            let cosines = head::cosines(&x, &w, &y, &options(scale, 0));
            form.loss().loss(&cosines, &mut Memory::new()).sum(Kind::Double).backward();
            let sum = |moved: Exact| {
                let moved = Exact { still: Some(Box::new(batch.clone())), ..moved };
                (0..batch.identity.len()).map(|i| form.loss().oracle(&moved, i)).sum::<f64>()
            };
            let check = |gradient: &Tensor, moved: &dyn Fn(usize, f64) -> Exact| {
                // Losses of pairs and triplets do not use the class weights.
                if !gradient.defined() {
                    return;
                }
                for (at, found) in numbers(gradient).iter().enumerate() {
                    let slope = (sum(moved(at, H)) - sum(moved(at, -H))) / (2.0 * H);
                    assert!(close(*found, slope, 1e-4, 1e-5 * scale), "{form:?} s={scale} {found} {slope}");
                }
            };
            check(&x.grad(), &|at, by| {
                let mut moved = batch.clone();
                moved.embeddings[at / 4][at % 4] += by;
                moved
            });
            check(&w.grad(), &|at, by| {
                let mut moved = batch.clone();
                moved.classes[at / 4][at % 4] += by;
                moved
            });
        }
    }
}

#[test]
fn what_a_loss_remembers_changes_the_next_step_as_its_formula_says() {
    let mut remembering = 0;
    for form in examples() {
        let mut memory = Memory::new();
        for step in 0..3 {
            let mut batch = batch(24, 6, 4, 0.5, 32.0);
            batch
                .embeddings
                .iter_mut()
                .flatten()
                .enumerate()
                .for_each(|(i, x)| *x += 0.2 * number(i + step * 1000));
            batch.memory = memory.iter().map(|(name, x)| (name.clone(), numbers(x))).collect();
            let [x, w, y] = tensors(&batch, Kind::Double);
            let found =
                numbers(&form.loss().loss(&head::cosines(&x, &w, &y, &options(32.0, 0)), &mut memory));
            for (i, found) in found.iter().enumerate() {
                let expected = form.loss().oracle(&batch, i);
                assert!(close(*found, expected, 1e-7, 1e-8), "{form:?} step {step} {found} {expected}");
            }
            // A memory with an autograd graph would keep all previous steps alive.
            assert!(memory.values().all(|x| !x.requires_grad()), "{form:?}");
        }
        remembering += usize::from(!memory.is_empty());
    }
    assert_eq!(remembering, 8);
}

#[test]
fn value_and_gradient_of_every_loss_are_finite_where_cosines_reach_their_bounds() {
    let edges = [[1.0, 0.0], [-1.0, 0.0], [1.0, 1e-4], [-1.0, 1e-4], [0.0, 1.0], [1e-20, 0.0]];
    let embeddings: Vec<Vec<f64>> = edges.iter().flat_map(|e| [e.to_vec(), e.to_vec(), e.to_vec()]).collect();
    let identity = (0..embeddings.len()).map(|i| i % 3).collect();
    let classes = vec![vec![1.0, 0.0], vec![-1.0, 0.0], vec![0.0, 3.0]];
    let batch = Exact { embeddings, classes, identity, scale: 64.0, ..Exact::default() };
    for form in examples() {
        for kind in [Kind::Float, Kind::Double] {
            let [x, w, y] = tensors(&batch, kind);
            let (x, w) = (x.set_requires_grad(true), w.set_requires_grad(true));
            let found = form.loss().loss(&head::cosines(&x, &w, &y, &options(64.0, 0)), &mut Memory::new());
            found.sum(kind).backward();
            for x in [&found, &x.grad(), &w.grad()].into_iter().filter(|x| x.defined()) {
                assert!(numbers(x).iter().all(|v| v.is_finite()), "{form:?} {kind:?} {x}");
            }
        }
    }
}

#[test]
fn a_hundred_thousand_classes_and_a_minus_1e9_keep_six_digits_in_float32() {
    let cosines: Vec<f64> = (0..100_000).map(|i| f64::from((number(i) * 0.3) as f32)).collect();
    let alone = |form: &Form| form.loss().images_per_identity() == 1;
    for form in examples()
        .into_iter()
        .filter(|f| f.loss().clamped(&bare(Tensor::from(0.0_f64).view(1), 1.0)).is_none())
    {
        for scale in [32.0, 64.0] {
            let batch = of_cosines(&cosines, 17, scale);
            let [x, w, y] = tensors(&batch, Kind::Float);
            let options = HeadOptions { sub_centres: 1, ..options(scale, 0) };
            let mut c = head::cosines(&x, &w, &y, &options);
            // The cosines are set directly, since computing them would round them.
            let all = matrix(std::slice::from_ref(&cosines), Kind::Float).set_requires_grad(true);
            c.own = all.gather(1, &c.column.unsqueeze(1), false).squeeze_dim(1);
            c.non_target = c.non_target_of(&(&all * scale));
            c.all = all.shallow_clone();
            let found = form.loss().loss(&c, &mut Memory::new());
            if !alone(&form) {
                assert!(numbers(&found)[0].is_finite());
                continue;
            }
            found.sum(Kind::Float).backward();
            let expected = form.loss().oracle(&batch, 0);
            assert!(close(numbers(&found)[0], expected, 3e-6, 2e-5), "{form:?} {found} {expected}");
            let gradient = numbers(&all.grad());
            assert!(gradient.iter().all(|g| g.is_finite()));
            // The gradients of the non-target cosines add up to minus that of the target cosine, if the
            // margin has slope 1.
            if form.loss().a().is_some() {
                let others: f64 = gradient.iter().enumerate().filter(|(i, _)| *i != 17).map(|(_, g)| g).sum();
                assert!(close(others, -gradient[17], 1e-4, 1e-6), "{form:?} {others} {}", gradient[17]);
            }
        }
    }
}

#[test]
fn every_loss_without_its_margin_is_softmax() {
    let batch = batch(50, 9, 5, 0.4, 32.0);
    let all_neutral = neutral();
    assert!(all_neutral.len() >= 11);
    for form in all_neutral {
        for (i, found) in numbers(&losses(form.loss(), &batch, Kind::Double)).iter().enumerate() {
            let expected = batch.margin(i, batch.cosines(i)[batch.identity[i]]);
            // Losses that take the angle clamp the cosine away from 1.
            assert!(close(*found, expected, 1e-7, 1e-8), "{form:?} {found} {expected}");
        }
    }
}

#[test]
fn the_order_of_a_batch_and_the_numbering_of_classes_do_not_matter() {
    let batch = batch(40, 11, 6, 0.5, 32.0);
    let mut turned = batch.clone();
    turned.classes.reverse();
    turned.identity = batch.identity.iter().rev().map(|i| 10 - i).collect();
    turned.embeddings.reverse();
    for form in examples() {
        let straight = numbers(&losses(form.loss(), &batch, Kind::Double));
        let other = numbers(&losses(form.loss(), &turned, Kind::Double));
        for (a, b) in straight.iter().rev().zip(&other) {
            assert!(close(*a, *b, 1e-11, 1e-11), "{form:?} {a} {b}");
        }
    }
}

#[test]
fn straight_through_leaves_the_slope_of_the_margin_out_and_nothing_else() {
    let batch = batch(12, 5, 4, 0.5, 16.0);
    for form in examples().into_iter().filter(|f| f.loss().images_per_identity() == 1) {
        let gradients = |straight_through: bool| {
            let [x, w, y] = tensors(&batch, Kind::Double);
            let x = x.set_requires_grad(true);
            let c = head::cosines(&x, &w, &y, &HeadOptions { straight_through, ..options(16.0, 0) });
            // The gradient by the target cosine only.
            let own = c.own.detach().set_requires_grad(true);
            let c = Cosines { own: own.shallow_clone(), ..c };
            let losses = form.loss().loss(&c, &mut Memory::new());
            losses.sum(Kind::Double).backward();
            (numbers(&losses), if own.grad().defined() { numbers(&own.grad()) } else { vec![] })
        };
        let ((value, slope), (through_value, through)) = (gradients(false), gradients(true));
        assert!(value.iter().zip(&through_value).all(|(a, b)| close(*a, *b, 1e-9, 1e-9)), "{form:?}");
        // The derivative of the loss by the target cosine is -s (1 - p_m).
        if matches!(
            form,
            Form::ASoftmax(_) | Form::ArcSoftmax(_) | Form::CombinedMargin(_) | Form::AdaFace(_)
        ) {
            for (loss, slope) in through_value.iter().zip(&through) {
                assert!(close(*slope, -16.0 * (1.0 - (-loss).exp()), 1e-6, 1e-6), "{form:?} {slope}");
            }
            assert!(
                slope.iter().zip(&through).any(|(a, b)| !close(*a, *b, 1e-3, 1e-3))
                    || form.loss().check().is_err(),
                "{form:?}"
            );
        }
    }
}

#[test]
fn the_nearest_of_a_class_s_centres_counts() {
    let batch = batch(20, 6, 4, 0.5, 32.0);
    let [x, w, y] = tensors(&batch, Kind::Double);
    // The six weights as two classes of three sub-centres.
    let y = y.remainder(2.0).to_kind(Kind::Int64);
    let c = head::cosines(&x, &w, &y, &HeadOptions { sub_centres: 3, ..options(32.0, 0) });
    assert_eq!(c.all.size(), [20, 2]);
    for i in 0..20 {
        let all = batch.cosines(i);
        for class in 0..2 {
            let nearest = all[class * 3..class * 3 + 3].iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert!(close(c.all.double_value(&[i as i64, class as i64]), nearest, 1e-12, 1e-12));
        }
    }
    assert_eq!(c.classes, 2);
}

#[test]
fn a_step_that_looks_at_some_classes_is_one_with_only_these() {
    let whole = batch(8, 30, 4, 0.5, 32.0);
    let mut sampled: Vec<i64> = whole.identity.iter().map(|i| *i as i64).chain([2, 29, 11]).collect();
    sampled.sort_unstable();
    sampled.dedup();
    let mut only = whole.clone();
    only.classes = sampled.iter().map(|k| whole.classes[*k as usize].clone()).collect();
    only.identity = whole.identity.iter().map(|i| sampled.binary_search(&(*i as i64)).unwrap()).collect();
    for form in examples().into_iter().filter(|f| !matches!(f, Form::CentreLoss(_))) {
        let [x, w, y] = tensors(&whole, Kind::Double);
        let w = w.set_requires_grad(true);
        let c = head::cosines(&x, &w, &y, &HeadOptions { sampled: Some(&sampled), ..options(32.0, 0) });
        let found = form.loss().loss(&c, &mut Memory::new());
        for (i, found) in numbers(&found).iter().enumerate() {
            let expected = form.loss().oracle(&only, i);
            assert!(close(*found, expected, 1e-7, 1e-8), "{form:?} {found} {expected}");
        }
        if form.loss().images_per_identity() == 1 {
            found.sum(Kind::Double).backward();
            let moved = w.grad().abs().sum_dim_intlist([1].as_slice(), false, Kind::Double);
            for (k, moved) in numbers(&moved).iter().enumerate() {
                assert_eq!(*moved > 0.0, sampled.contains(&(k as i64)), "{form:?} class {k}");
            }
        }
    }
}

#[test]
fn l5_is_am_softmax_with_the_margin_log_of_1_less_a_over_s() {
    let batch = batch(200, 30, 6, 0.4, 32.0);
    // Margins and their a at s = 32, computed separately with ten digits: a = 1 - exp(32 m).
    let printed = [(0.1, -23.53), (0.2, -600.8), (0.3, -14_763.8), (0.35, -73_129.4), (0.5, -8_886_109.5)];
    for (margin, a) in printed {
        assert!(close(1.0 - (32.0_f64 * margin).exp(), a, 1e-3, 0.0));
        let exact = L5 { a: 1.0 - (32.0_f64 * margin).exp() };
        let am = AmSoftmax { margin, easy_margin: false };
        let (x, y) = (losses(&exact, &batch, Kind::Double), losses(&am, &batch, Kind::Double));
        assert!((x - y).abs().max().double_value(&[]) < 1e-6);
    }
}

#[test]
fn every_loss_reads_back_what_it_wrote() {
    for form in examples().into_iter().chain(neutral()) {
        form.loss().check().unwrap();
        let json = serde_json::to_string(&form).unwrap();
        assert_eq!(serde_json::from_str::<Form>(&json).unwrap(), form);
        let text = toml::to_string(&form).unwrap();
        assert_eq!(toml::from_str::<Form>(&text).unwrap(), form);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn h_lies_in_0_to_1_and_p_m_never_exceeds_p_and_falls_with_a(
        own in -1.0..1.0_f64,
        others in proptest::collection::vec(-1.0..1.0_f64, 1..20),
        size in -3.0..9.0_f64,
        less in 0.01..3.0_f64,
        scale in 1.0..64.0_f64,
    ) {
        let values: Vec<f64> = [own].into_iter().chain(others).collect();
        let batch = of_cosines(&values, 0, scale);
        let nll = |a: f64| numbers(&losses(&L5 { a }, &batch, Kind::Double))[0];
        let a = -(10.0_f64.powf(size));
        let (p, p_m, p_less) = (-nll(0.0), -nll(a), -nll(a * (1.0 + less)));
        prop_assert!(p_m.is_finite() && p_m <= p + 1e-12, "log p_m = {p_m}, log p = {p}");
        // h = p_m / p.
        prop_assert!((p_m - p).exp() <= 1.0 + 1e-12 && (p_m - p) > f64::NEG_INFINITY);
        prop_assert!(p_less <= p_m + 1e-12);
    }

    #[test]
    fn no_margin_ever_raises_the_probability(
        own in -0.999..0.999_f64,
        others in proptest::collection::vec(-0.999..0.999_f64, 1..12),
    ) {
        let values: Vec<f64> = [own].into_iter().chain(others).collect();
        let batch = Exact { iteration: 1000, ..of_cosines(&values, 0, 32.0) };
        let softmax = batch.margin(0, own);
        // This does not hold for lines through the probability, inner products, another scale and comparisons
        // of images. In CurricularFace, the factor `t + cos` of a hard class lowers its weight at first.
        let other = |form: &Form| {
            matches!(form, Form::AmLfs(_) | Form::CircleLoss(_) | Form::CurricularFace(_))
                || matches!(form, Form::Search(Margined::CircleLoss(_) | Margined::CurricularFace(_)))
                || matches!(form, Form::Softmax(s) if !s.normalised)
                || form.loss().images_per_identity() > 1
        };
        for form in examples().iter().filter(|form| !other(form)) {
            let with = numbers(&losses(form.loss(), &batch, Kind::Double))[0];
            prop_assert!(with >= softmax - 1e-6, "{form:?} {with} {softmax}");
        }
    }
}

#[test]
fn cosines_do_not_depend_on_the_length_of_embeddings_and_class_weights() {
    let [x, w, y] = tensors(&batch(8, 5, 6, 0.5, 32.0), Kind::Double);
    let one = head::cosines(&x, &w, &y, &options(32.0, 0));
    let two = head::cosines(&(&x * 30.0), &(&w * 0.01), &y, &options(32.0, 0));
    assert!((one.own - two.own).abs().max().double_value(&[]) < 1e-6);
    assert!((one.non_target - two.non_target).abs().max().double_value(&[]) < 1e-4);
}
