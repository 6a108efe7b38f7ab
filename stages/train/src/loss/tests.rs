//! Tests over the table of methods: a further loss is tested without being named here.

use proptest::prelude::*;
use tch::{Kind, Tensor};

use super::am_softmax::AmSoftmax;
use super::head::{self, Cosines, Loss};
use super::l5::L5;
use crate::table::{Form, examples, neutral};

/// Numbers in [-1, 1) that no library drew.
fn cosine(i: usize) -> f64 {
    let x = (i as f64 * 0.754_877_666 + 0.3).fract();
    2.0 * x - 1.0
}

fn batch(n: usize, k: usize) -> (Vec<f64>, Vec<i64>) {
    ((0..n * k).map(cosine).collect(), (0..n).map(|i| ((i * 7 + 3) % k) as i64).collect())
}

fn losses(loss: &dyn Loss, all: &Tensor, labels: &[i64], scale: f64, iteration: u64) -> Tensor {
    let labels = Tensor::from_slice(labels);
    loss.loss(&head::from_matrix(all, &labels, scale, iteration))
}

fn matrix(values: &[f64], k: usize, kind: Kind) -> Tensor {
    Tensor::from_slice(values).to_kind(kind).view([-1, k as i64])
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
        for (scale, k) in [(32.0, 5), (64.0, 40), (4.0, 2)] {
            for iteration in [0, 100_000] {
                let (values, labels) = batch(60, k);
                let all = matrix(&values, k, Kind::Double);
                let found = numbers(&losses(form.loss(), &all, &labels, scale, iteration));
                for (i, found) in found.iter().enumerate() {
                    let row = &values[i * k..(i + 1) * k];
                    let expected = oracle(&form, row, labels[i] as usize, scale, iteration);
                    assert!(close(*found, expected, 1e-7, 1e-8), "{form:?} s={scale} {found} {expected}");
                }
            }
        }
    }
}

#[test]
fn the_value_of_every_loss_is_its_formula_s_in_float32_too() {
    for form in examples() {
        let (values, labels) = batch(60, 40);
        let found = numbers(&losses(form.loss(), &matrix(&values, 40, Kind::Float), &labels, 64.0, 0));
        for (i, found) in found.iter().enumerate() {
            let row = &values[i * 40..(i + 1) * 40];
            let expected = oracle(&form, row, labels[i] as usize, 64.0, 0);
            assert!(close(*found, expected, 1e-5, 5e-4), "{form:?} {found} {expected}");
        }
    }
}

#[test]
fn the_gradient_of_every_loss_is_the_slope_of_its_formula() {
    const H: f64 = 1e-6;
    for form in examples() {
        for scale in [8.0, 32.0, 64.0] {
            let k = 6;
            let (mut values, labels) = batch(24, k);
            let all = matrix(&values, k, Kind::Double).set_requires_grad(true);
            losses(form.loss(), &all, &labels, scale, 0).sum(Kind::Double).backward();
            let gradient = numbers(&all.grad());
            for at in 0..values.len() {
                let (row, own) = (at / k, labels[at / k] as usize);
                let mut moved = |by: f64| {
                    let before = values[at];
                    values[at] = before + by;
                    let loss = oracle(&form, &values[row * k..(row + 1) * k], own, scale, 0);
                    values[at] = before;
                    loss
                };
                let slope = (moved(H) - moved(-H)) / (2.0 * H);
                assert!(close(gradient[at], slope, 1e-4, 1e-5 * scale), "{form:?} {} {slope}", gradient[at]);
            }
        }
    }
}

#[test]
fn value_and_gradient_of_every_loss_are_finite_where_cosines_reach_their_bounds() {
    for form in examples() {
        for kind in [Kind::Float, Kind::Double] {
            let edge = [1.0, -1.0, 0.999_999_9, -0.999_999_9, 0.0, 1.000_000_1];
            let values: Vec<f64> =
                (0..edge.len() * edge.len() * 3).map(|i| edge[(i / 3 + i) % edge.len()]).collect();
            let labels: Vec<i64> = (0..values.len() / 3).map(|i| i as i64 % 3).collect();
            let all = matrix(&values, 3, kind).set_requires_grad(true);
            let found = losses(form.loss(), &all, &labels, 64.0, 0);
            found.sum(kind).backward();
            for x in [&found, &all.grad()] {
                assert!(numbers(x).iter().all(|v| v.is_finite()), "{form:?} {kind:?}");
            }
        }
    }
}

#[test]
fn a_hundred_thousand_classes_and_a_minus_1e9_keep_six_digits_in_float32() {
    let k = 100_000;
    let values: Vec<f64> = (0..k).map(|i| cosine(i) * 0.3).collect();
    for form in examples().into_iter().filter(|f| f.loss().clamped(&one(&values, 64.0)).is_none()) {
        for scale in [32.0, 64.0] {
            let all = matrix(&values, k, Kind::Float).set_requires_grad(true);
            let found = losses(form.loss(), &all, &[17], scale, 0);
            found.sum(Kind::Float).backward();
            let expected = oracle(&form, &values, 17, scale, 0);
            assert!(close(numbers(&found)[0], expected, 2e-6, 1e-5), "{form:?} {found:?} {expected}");
            let gradient = numbers(&all.grad());
            assert!(gradient.iter().all(|g| g.is_finite()));
            // The pull on the other classes adds up to the push on the own one wherever that has slope 1.
            if form.loss().a().is_some() {
                let others: f64 = gradient.iter().enumerate().filter(|(i, _)| *i != 17).map(|(_, g)| g).sum();
                assert!(close(others, -gradient[17], 1e-4, 1e-6), "{form:?} {others} {}", gradient[17]);
            }
        }
    }
}

fn one(values: &[f64], scale: f64) -> Cosines {
    head::from_matrix(&matrix(values, values.len(), Kind::Float), &Tensor::from_slice(&[17_i64]), scale, 0)
}

#[test]
fn every_loss_without_its_margin_is_softmax() {
    let (values, labels) = batch(50, 9);
    let all = matrix(&values, 9, Kind::Double);
    let softmax = (&all * 32.0).log_softmax(1, Kind::Double);
    let expected = numbers(&-softmax.gather(1, &Tensor::from_slice(&labels).unsqueeze(1), false));
    let all_neutral = neutral();
    assert!(all_neutral.len() >= 7);
    for form in all_neutral {
        for (found, expected) in numbers(&losses(form.loss(), &all, &labels, 32.0, 0)).iter().zip(&expected) {
            assert!(close(*found, *expected, 1e-7, 3e-9), "{form:?} {found} {expected}");
        }
    }
}

#[test]
fn the_order_of_a_batch_and_the_numbering_of_classes_do_not_matter() {
    let (values, labels) = batch(20, 7);
    let all = matrix(&values, 7, Kind::Double);
    let backwards: Vec<i64> = (0..20).rev().collect();
    let classes: Vec<i64> = [3, 6, 0, 2, 5, 1, 4].into();
    let turned =
        all.index_select(0, &Tensor::from_slice(&backwards)).index_select(1, &Tensor::from_slice(&classes));
    let relabelled: Vec<i64> = backwards
        .iter()
        .map(|i| classes.iter().position(|c| *c == labels[*i as usize]).unwrap() as i64)
        .collect();
    for form in examples() {
        let straight = numbers(&losses(form.loss(), &all, &labels, 32.0, 5));
        let other = numbers(&losses(form.loss(), &turned, &relabelled, 32.0, 5));
        for (a, b) in straight.iter().rev().zip(&other) {
            assert!(close(*a, *b, 1e-12, 1e-12), "{form:?}");
        }
    }
}

#[test]
fn l5_is_am_softmax_with_the_margin_log_of_1_less_a_over_s() {
    let (values, labels) = batch(200, 30);
    let all = matrix(&values, 30, Kind::Double);
    // Margins and their a at s = 32, computed apart with ten digits: a = 1 - exp(32 m).
    let printed = [(0.1, -23.53), (0.2, -600.8), (0.3, -14_763.8), (0.35, -73_129.4), (0.5, -8_886_109.5)];
    for (margin, a) in printed {
        assert!(close(1.0 - (32.0_f64 * margin).exp(), a, 1e-3, 0.0));
        let exact = L5 { a: 1.0 - (32.0_f64 * margin).exp() };
        let am = AmSoftmax { margin, easy_margin: false };
        let (x, y) = (losses(&exact, &all, &labels, 32.0, 0), losses(&am, &all, &labels, 32.0, 0));
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
        let all = matrix(&values, values.len(), Kind::Double);
        let nll = |a: f64| numbers(&losses(&L5 { a }, &all, &[0], scale, 0))[0];
        let a = -(10.0_f64.powf(size));
        let (p, p_m, p_less) = (-nll(0.0), -nll(a), -nll(a * (1.0 + less)));
        prop_assert!(p_m.is_finite() && p_m <= p + 1e-12, "log p_m = {p_m}, log p = {p}");
        // h = p_m / p.
        prop_assert!((p_m - p).exp() <= 1.0 + 1e-12 && (p_m - p) > f64::NEG_INFINITY);
        prop_assert!(p_less <= p_m + 1e-12);
    }

    #[test]
    fn no_margin_ever_raises_the_probability(own in -0.999..0.999_f64, rivals in -40.0..40.0_f64) {
        let c = Cosines {
            own: Tensor::from_slice(&[own]),
            rivals: Tensor::from_slice(&[rivals]),
            scale: 32.0,
            iteration: 1000,
        };
        let softmax = numbers(&head::cross_entropy(&(&c.own * 32.0), &c.rivals))[0];
        for form in examples().iter().filter(|form| !matches!(form, Form::AmLfs(_))) {
            let with = numbers(&form.loss().loss(&c))[0];
            prop_assert!(with >= softmax - 1e-9, "{form:?} {with} {softmax}");
        }
    }
}

#[test]
fn cosines_do_not_depend_on_the_length_of_embeddings_and_class_weights() {
    let embeddings = matrix(&batch(8, 6).0, 6, Kind::Double);
    let classes = matrix(&batch(5, 6).0, 6, Kind::Double);
    let labels = Tensor::from_slice(&[0_i64, 1, 2, 3, 4, 0, 1, 2]);
    let one = head::cosines(&embeddings, &classes, &labels, 32.0, 0);
    let two = head::cosines(&(&embeddings * 30.0), &(&classes * 0.01), &labels, 32.0, 0);
    assert!((one.own - two.own).abs().max().double_value(&[]) < 1e-6);
    assert!((one.rivals - two.rivals).abs().max().double_value(&[]) < 1e-4);
}

fn oracle(form: &Form, cosines: &[f64], own: usize, scale: f64, iteration: u64) -> f64 {
    form.loss().oracle(cosines, own, scale, iteration)
}
