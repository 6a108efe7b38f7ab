//! The reward: verification accuracy on pairs of images.

use tch::{Kind, Tensor};

use crate::split::{FOLDS, Pair};

/// Accuracy over ten folds, each with the threshold that is best on the other nine.
///
/// `scores[i]` belongs to pair i, which is in fold `i / 2 mod 10`, so that alternating same and different
/// pairs fill each fold evenly.
pub fn accuracy(scores: &[f64], same: &[bool]) -> f64 {
    let fold = |i: usize| (i / 2) % FOLDS;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(a.cmp(b)));
    let mut right = 0;
    for test in 0..FOLDS {
        let threshold =
            best_threshold(order.iter().filter(|i| fold(**i) != test).map(|i| (scores[*i], same[*i])));
        right +=
            (0..scores.len()).filter(|i| fold(*i) == test && (scores[*i] > threshold) == same[*i]).count();
    }
    right as f64 / scores.len().max(1) as f64
}

/// The threshold with the highest accuracy for scores in rising order: midway between two scores, the lowest
/// of equally good ones.
fn best_threshold(rising: impl Iterator<Item = (f64, bool)>) -> f64 {
    let all: Vec<(f64, bool)> = rising.collect();
    let mut right = all.iter().filter(|(_, same)| *same).count() as i64;
    let (mut best, mut threshold) = (right, f64::NEG_INFINITY);
    for (i, (score, same)) in all.iter().enumerate() {
        right += if *same { -1 } else { 1 };
        let next = all.get(i + 1).map(|(next, _)| *next);
        if right > best && next != Some(*score) {
            best = right;
            threshold = next.map_or(*score, |next| score + (next - score) / 2.0);
        }
    }
    threshold
}

/// The accuracy of embeddings `[n, d]` on pairs, where `place` maps a row of the dataset to a row of the
/// embeddings.
pub fn reward(embeddings: &Tensor, pairs: &[Pair], place: impl Fn(usize) -> i64) -> f64 {
    let unit = crate::loss::head::normalised(embeddings);
    let take = |rows: Vec<i64>| unit.index_select(0, &Tensor::from_slice(&rows));
    let a = take(pairs.iter().map(|p| place(p.a)).collect());
    let b = take(pairs.iter().map(|p| place(p.b)).collect());
    let cosines = (a * b).sum_dim_intlist([1].as_slice(), false, Kind::Float).to_kind(Kind::Double);
    let scores = Vec::<f64>::try_from(cosines).unwrap_or_default();
    let same: Vec<bool> = pairs.iter().map(|p| p.same).collect();
    accuracy(&scores, &same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alternating(n: usize) -> Vec<bool> {
        (0..n).map(|i| i % 2 == 0).collect()
    }

    #[test]
    fn scores_that_part_same_from_different_give_one_and_equal_scores_give_a_half() {
        let same = alternating(40);
        let good: Vec<f64> = same.iter().map(|s| if *s { 0.9 } else { 0.1 }).collect();
        assert_eq!(accuracy(&good, &same), 1.0);
        assert_eq!(accuracy(&[0.5; 40], &same), 0.5);
    }

    #[test]
    fn one_wrong_pair_costs_its_own_fold_one_answer() {
        let same = alternating(40);
        let mut scores: Vec<f64> = same.iter().map(|s| if *s { 0.9 } else { 0.1 }).collect();
        scores[0] = 0.05;
        assert_eq!(accuracy(&scores, &same), 39.0 / 40.0);
    }

    #[test]
    fn a_threshold_never_lies_between_equal_scores() {
        let rising = [(0.1, false), (0.5, false), (0.5, true), (0.5, false), (0.9, true)];
        assert_eq!(best_threshold(rising.into_iter()), 0.7);
    }
}
