use super::*;

/// Cosines in 1/1024, so that all numbers below are exact in binary.
fn trials(rows: &[(u32, bool, u32)]) -> Trials {
    Trials {
        scores: rows.iter().map(|r| f64::from(r.0) / 1024.0).collect(),
        same: rows.iter().map(|r| r.1).collect(),
        fold: rows.iter().map(|r| r.2).collect(),
    }
}

/// Fold 0: same at 600, 700, 1, 1 and different at 300. Fold 1: same at 1000, different at 0. (All / 1024.)
///
/// Trained on fold 1 (0 and 1000):
/// - `exact` cuts midway at 500: 600, 700 and 300 are correct: 3/5.
/// - `insightface`: 1000/1024 is the squared distance 0.046875; the first grid point above is 0.05, i.e. the
///   cosine 998.4/1024: only 300 is correct: 1/5.
/// - `facexzoo`: the grid is 1, 2 .. 1000; 1 is the first above the negative 0. 600 and 700 are correct; 300
///   is accepted wrongly and the two at 1 are on the threshold: 2/5.
/// - `paper`: the edges are 0, 1 .. 999; 1 is the best. As before, but >= accepts the two at 1: 4/5.
///
/// Trained on fold 0 (600, 700, 1, 1 against 300), tested on 1000 (same) and 0 (different):
/// - `exact`: "accept all" has 4/5, every other threshold less: 1/2.
/// - `insightface`: the distance of 1/1024 is 1.998, of 0 it is 2; t = 2 accepts all five, and 0 is not < 2:
///   2/2.
/// - `facexzoo` and `paper` balance the classes and cut just above 300: 2/2.
///
/// Means: 0.55, 0.60, 0.70, 0.90.
#[test]
fn one_set_of_scores_has_four_different_accuracies() {
    let set = trials(&[
        (600, true, 0),
        (700, true, 0),
        (1, true, 0),
        (1, true, 0),
        (300, false, 0),
        (1000, true, 1),
        (0, false, 1),
    ]);
    let values = Verification::ALL.map(|d| verify(d.rule(), &set).unwrap());
    let folds: Vec<Vec<f64>> = values.iter().map(|v| v.folds.iter().map(|f| f.accuracy).collect()).collect();
    assert_eq!(folds, [[0.6, 0.5], [0.2, 1.0], [0.4, 1.0], [0.8, 1.0]]);
    let means: Vec<f64> = values.iter().map(|v| v.value).collect();
    assert_eq!(means, [0.55, 0.6, 0.7, 0.9]);
    assert_eq!(values[0].folds[0].threshold, 500.0 / 1024.0);
    assert_eq!(values[1].folds[0].threshold, 0.05);
    assert_eq!(values[2].folds[0].threshold, 1.0 / 1024.0);
    assert_eq!(values[3].folds[0].threshold, 1.0 / 1024.0);
}

#[test]
fn the_spreads_are_those_of_the_definitions() {
    let folds = [0.5, 0.7, 0.9];
    let close = |d: Verification, std: f64, stderr: f64| {
        let (s, e) = (d.rule().spread)(&folds);
        assert!((s - std).abs() < 1e-12 && (e - stderr).abs() < 1e-12, "{d:?}: {s} {e}");
    };
    let (population, sample) = ((0.08_f64 / 3.0).sqrt(), 0.2);
    close(Verification::Exact, population, sample / 3.0_f64.sqrt());
    close(Verification::Insightface, population, sample / 3.0_f64.sqrt());
    close(Verification::Facexzoo, sample, sample / 3.0_f64.sqrt());
    close(Verification::Paper, population, population / 3.0_f64.sqrt());
}

#[test]
fn separable_scores_are_all_right_by_every_definition() {
    let mut set = Trials::default();
    for fold in 0..10 {
        for k in 0..6 {
            let same = k % 2 == 0;
            set.scores.push(if same { 0.7 + 0.01 * f64::from(k) } else { -0.1 + 0.01 * f64::from(k) });
            set.same.push(same);
            set.fold.push(fold);
        }
    }
    for d in Verification::ALL {
        let v = verify(d.rule(), &set).unwrap();
        assert_eq!((v.value, v.std, v.stderr), (1.0, 0.0, 0.0), "{d:?}");
    }
}

#[test]
fn tiny_and_tied_sets_do_not_break_any_definition() {
    let set = trials(&[(5, true, 0), (5, false, 0), (5, true, 1), (5, false, 1)]);
    for d in Verification::ALL {
        let v = verify(d.rule(), &set).unwrap();
        assert!((0.0..=0.5).contains(&v.value), "{d:?}: {}", v.value);
    }
}

#[test]
fn an_empty_fold_one_fold_and_one_label_are_refused_with_the_reason() {
    let rule = Verification::Exact.rule();
    let one = trials(&[(5, true, 0), (4, false, 0)]);
    assert!(verify(rule, &one).unwrap_err().message.contains("at least 2 folds"));
    let gap = trials(&[(5, true, 0), (4, false, 0), (5, true, 2), (4, false, 2)]);
    assert!(verify(rule, &gap).unwrap_err().message.contains("fold 2 has no pair"));
    let label = trials(&[(5, true, 0), (4, false, 0), (5, true, 1), (4, true, 1)]);
    assert!(verify(rule, &label).unwrap_err().message.contains("two persons"));
    let nan = Trials { scores: vec![f64::NAN], same: vec![true], fold: vec![0] };
    assert!(verify(rule, &nan).unwrap_err().message.contains("not a number"));
}

#[test]
fn names_are_the_ones_in_the_files() {
    for d in Verification::ALL {
        let name = serde_json::to_value(d).unwrap();
        assert_eq!(name, d.rule().definition.name());
    }
}

/// The example of docs/evaluation.md.
#[test]
fn four_pairs_on_which_the_definitions_differ() {
    let trials = Trials {
        scores: vec![0.70, 0.15, 0.35, 0.55],
        same: vec![true, false, true, false],
        fold: vec![0, 0, 1, 1],
    };
    let expected = [
        (Verification::Exact, [2.0, 0.425], [0.5, 0.0]),
        (Verification::Insightface, [0.0, 0.61], [0.5, 0.5]),
        (Verification::Facexzoo, [0.55, 0.15 + 0.000_55], [1.0, 0.5]),
        (Verification::Paper, [0.35, 0.15 + 0.000_55], [1.0, 0.5]),
    ];
    for (definition, thresholds, accuracies) in expected {
        let found = verify(definition.rule(), &trials).unwrap();
        for (k, fold) in found.folds.iter().enumerate() {
            assert!((fold.threshold - thresholds[k]).abs() < 1e-9, "{definition:?}: {}", fold.threshold);
            assert_eq!(fold.accuracy, accuracies[k], "{definition:?}");
        }
    }
}
