//! TPR at a FAR, from exact order statistics of the negative scores.
//!
//! The TPR at FAR f is the largest TPR of all thresholds whose FAR does not exceed f. With N negatives, at
//! most `floor(f N)` of them may be accepted, so the threshold is the score of the next one. A score is
//! accepted if it is strictly above, so that tied negatives are accepted together or not at all. There is no
//! interpolation. With fewer than 1/f negatives, none may be accepted at all; the quantile is then not
//! resolved, and no number is given.

/// The result at one FAR.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TprAtFar {
    /// The requested FAR.
    pub target: f64,
    /// The TPR; none if the FAR is not resolved.
    pub tpr: Option<f64>,
    /// The actual FAR of the threshold: at most the target.
    pub far: f64,
    /// A score is accepted if it is strictly above this.
    pub threshold: f64,
    /// The number of negatives.
    pub negatives: u64,
    /// The number of positives.
    pub positives: u64,
}

/// The number of negatives that may be accepted at this FAR.
pub fn allowed(far: f64, negatives: u64) -> u64 {
    // 0.29 * 100 is 28.999..: the correction is too small to affect any count otherwise.
    (far * negatives as f64 * (1.0 + 1e-12)) as u64
}

/// The result at one FAR. `top` contains the largest negatives in descending order, at least
/// `allowed(far, negatives) + 1` of them or all; `negatives` is the total count.
pub fn tpr_at_far(target: f64, positives: &[f32], top: &[f32], negatives: u64) -> TprAtFar {
    let allowed = allowed(target, negatives);
    let next = usize::try_from(allowed).ok().and_then(|k| top.get(k)).copied();
    // Without a next negative, all may be accepted.
    let cut = next.unwrap_or(f32::NEG_INFINITY);
    let accepted = top.partition_point(|&s| s > cut);
    let above = positives.iter().filter(|&&s| s > cut).count();
    let resolved = allowed >= 1 && !positives.is_empty();
    TprAtFar {
        target,
        tpr: resolved.then(|| above as f64 / positives.len() as f64),
        far: if negatives == 0 { 0.0 } else { accepted as f64 / negatives as f64 },
        threshold: if next.is_some() { f64::from(cut) } else { -2.0 },
        negatives,
        positives: positives.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sorted(mut v: Vec<f32>) -> Vec<f32> {
        v.sort_unstable_by(|a, b| b.total_cmp(a));
        v
    }

    #[test]
    fn ten_negatives_resolve_a_tenth_and_not_a_hundredth() {
        let top = sorted((0..10).map(|i| i as f32 / 10.0).collect());
        let at = tpr_at_far(0.1, &[0.95, 0.85, 0.75], &top, 10);
        // One negative (0.9) may be accepted: the threshold is 0.8.
        assert_eq!((at.tpr, at.far), (Some(2.0 / 3.0), 0.1));
        let at = tpr_at_far(0.01, &[0.95], &top, 10);
        assert_eq!((at.tpr, at.far), (None, 0.0));
    }

    #[test]
    fn tied_negatives_pass_together_or_not_at_all() {
        // Two of ten may be accepted, but three share the top score.
        let top = sorted(vec![0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]);
        let at = tpr_at_far(0.2, &[0.9, 0.95], &top, 10);
        assert_eq!((at.tpr, at.far), (Some(0.5), 0.0));
    }

    #[test]
    fn all_scores_tied_is_an_answer_and_not_a_crash() {
        let at = tpr_at_far(0.5, &[0.5; 4], &[0.5; 4], 4);
        assert_eq!((at.tpr, at.far), (Some(0.0), 0.0));
        let at = tpr_at_far(1.0, &[0.5; 4], &[0.5; 4], 4);
        assert_eq!((at.tpr, at.far), (Some(1.0), 1.0));
    }

    #[test]
    fn products_that_binary_rounds_down_count_in_full() {
        assert_eq!(allowed(0.29, 100), 29);
        assert_eq!(allowed(1e-3, 3000), 3);
        assert_eq!(allowed(1e-6, 999_999), 0);
    }

    proptest! {
        #[test]
        fn it_is_the_best_of_all_thresholds(
            pos in prop::collection::vec(0_u8..20, 1..30),
            neg in prop::collection::vec(0_u8..20, 1..60),
            percent in 1_u32..100,
        ) {
            let far = f64::from(percent) / 100.0;
            let score = |v: &[u8]| v.iter().map(|&x| f32::from(x)).collect::<Vec<_>>();
            let (pos, neg) = (score(&pos), sorted(score(&neg)));
            let at = tpr_at_far(far, &pos, &neg, neg.len() as u64);
            let best = (-1..20).map(|t| t as f32)
                .filter(|t| neg.iter().filter(|s| *s > t).count() as f64 <= far * neg.len() as f64 + 1e-9)
                .map(|t| pos.iter().filter(|s| **s > t).count())
                .max().unwrap();
            if neg.len() as f64 * far >= 1.0 {
                prop_assert_eq!(at.tpr, Some(best as f64 / pos.len() as f64));
                prop_assert!(at.far <= far + 1e-12);
            }
        }
    }
}
