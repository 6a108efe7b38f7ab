//! `exact`: no grid; the threshold lies between two neighbouring training scores.

use super::{Cuts, Definition, Rule, Unit, population_spread};

/// The threshold between neighbouring training-fold cosines that maximises the training accuracy; accept
/// above it. The spread is the population standard deviation, the standard error the sample deviation over
/// sqrt(folds).
pub const RULE: Rule = Rule {
    definition: Definition::Exact,
    unit: Unit::Cosine,
    threshold: best_cut,
    cuts,
    correct: |score, threshold, same| (score > threshold) == same,
    spread: population_spread,
};

/// The cosine threshold with the most correct decisions when scores above it are accepted.
///
/// Candidates are the midpoints between different neighbouring scores, "accept all" (-2) and "reject all"
/// (2). Ties are broken by the widest gap, then by the highest threshold; the two extremes are chosen only if
/// no midpoint is as good.
pub fn best_cut(scores: &[f64], same: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|&i, &j| scores[j].total_cmp(&scores[i]));
    // Start at "reject all", where every negative is correct.
    let mut right = same.iter().filter(|s| !**s).count();
    let (mut best, mut gap, mut cut) = (right, -1.0, 2.0);
    for (k, &i) in order.iter().enumerate() {
        if same[i] {
            right += 1
        } else {
            right -= 1
        }
        let (this_gap, this_cut) = match order.get(k + 1) {
            // Tied scores are decided together.
            Some(&next) if scores[next] == scores[i] => continue,
            Some(&next) => (scores[i] - scores[next], scores[i].midpoint(scores[next])),
            None => (-1.0, -2.0),
        };
        if right > best || (right == best && this_gap > gap) {
            (best, gap, cut) = (right, this_gap, this_cut);
        }
    }
    cut
}

/// The candidates, without those that are never the best: a cut below a negative, or above a positive, is improved by moving it.
fn cuts(scores: &[f64], same: &[bool]) -> Cuts {
    let n = scores.len();
    let (mut accepted, mut preference) = (vec![0], vec![-1.0]);
    let (mut start, mut before) = (0, false);
    while start < n {
        let ties = scores[start..].iter().take_while(|s| **s == scores[start]).count();
        let tied = &same[start..start + ties];
        if start > 0 && before && tied.contains(&false) {
            accepted.push(start);
            preference.push(scores[start - 1] - scores[start]);
        }
        before = tied.contains(&true);
        start += ties;
    }
    accepted.push(n);
    preference.push(-1.0);
    Cuts { accepted, preference, balanced: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cut_lies_in_the_middle_of_the_widest_best_gap() {
        let cut = best_cut(&[0.9, 0.8, 0.2, 0.1], &[true, true, false, false]);
        assert_eq!(cut, 0.5);
    }

    #[test]
    fn tied_scores_are_never_separated() {
        // A cut inside the tie would decide all four correctly, but no cosine threshold can do that.
        let cut = best_cut(&[0.5, 0.5, 0.5, 0.1], &[true, true, false, false]);
        assert_eq!(cut, 0.3);
    }

    #[test]
    fn all_of_one_score_falls_back_to_the_larger_class() {
        assert_eq!(best_cut(&[0.5; 3], &[true, true, false]), -2.0);
        assert_eq!(best_cut(&[0.5; 3], &[true, false, false]), 2.0);
    }

    #[test]
    fn the_training_accuracy_is_that_of_the_best_of_all_cuts() {
        let scores = [0.3, 0.1, 0.7, 0.4, 0.4, -0.2, 0.9];
        let same = [true, false, true, false, true, false, false];
        let right = |t: f64| scores.iter().zip(same).filter(|&(&s, y)| (s > t) == y).count();
        let best = (-200..=200).map(|k| right(f64::from(k) / 100.0 + 0.005)).max();
        assert_eq!(Some(right(best_cut(&scores, &same))), best);
    }
}
