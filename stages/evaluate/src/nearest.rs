//! TPR at the point of the ROC whose FAR is nearest to a target, as InsightFace's evaluation of IJB reads it off.
//!
//! The points are those that scikit-learn's `roc_curve` keeps: one for each score, without those between two others on a line. Of
//! equally near points the one with the larger FAR counts, and of equal FARs the larger TPR. Unlike [`crate::tpr_at_far`] the FAR may
//! exceed the target, and a number is given however few negatives there are.

/// A point of the ROC.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Its FAR.
    pub far: f64,
    /// Its TPR.
    pub tpr: f64,
    /// A score is accepted if it is at least this.
    pub threshold: f64,
}

/// The nearest point for scores in descending order.
pub fn nearest(target: f64, positives: &[f32], negatives: &[f32]) -> Point {
    let mut best = Point { far: 0.0, tpr: 0.0, threshold: f64::INFINITY };
    let (mut before, mut here): (Option<Count>, Option<Count>) = (None, None);
    for next in points(positives, negatives).map(Some).chain(std::iter::once(None)) {
        let corner = here.filter(|at| match (before, next) {
            (Some(b), Some(n)) => at.0 - b.0 != n.0 - at.0 || at.1 - b.1 != n.1 - at.1,
            // The first and the last.
            _ => true,
        });
        if let Some((accepted, hits, score)) = corner {
            let far = accepted as f64 / negatives.len().max(1) as f64;
            if (far - target).abs() <= (best.far - target).abs() {
                let tpr = hits as f64 / positives.len().max(1) as f64;
                best = Point { far, tpr, threshold: f64::from(score) };
            }
        }
        (before, here) = (here, next);
    }
    best
}

/// Accepted negatives, accepted positives, and the score down to which they are accepted.
type Count = (usize, usize, f32);

/// The counts at each different score, from the highest on.
fn points<'a>(positives: &'a [f32], negatives: &'a [f32]) -> impl Iterator<Item = Count> + 'a {
    let (mut p, mut n) = (0, 0);
    std::iter::from_fn(move || {
        let score = match (positives.get(p), negatives.get(n)) {
            (Some(a), Some(b)) => a.max(*b),
            (Some(a), None) => *a,
            (None, Some(b)) => *b,
            (None, None) => return None,
        };
        p += positives[p..].iter().take_while(|s| **s == score).count();
        n += negatives[n..].iter().take_while(|s| **s == score).count();
        Some((n, p, score))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_corner_may_lie_above_the_target() {
        let (positives, negatives) = ([0.9, 0.8, 0.6, 0.2], [0.7, 0.5, 0.4, 0.3, 0.1]);
        // Corners: (0, 1/4), (0, 2/4), (1/5, 2/4), (1/5, 3/4), (4/5, 3/4), (4/5, 1), (1, 1); 2/5 and 3/5 lie on a line.
        let at = |target| {
            let p = nearest(target, &positives, &negatives);
            (p.far, p.tpr, p.threshold as f32)
        };
        assert_eq!(at(0.05), (0.0, 0.5, 0.8));
        assert_eq!(at(0.1), (0.2, 0.75, 0.6));
        assert_eq!(at(0.49), (0.2, 0.75, 0.6));
        assert_eq!(at(0.51), (0.8, 1.0, 0.2));
    }

    #[test]
    fn scores_that_are_equal_are_one_point_and_nothing_is_no_panic() {
        assert_eq!(nearest(0.5, &[0.5, 0.5], &[0.5]), Point { far: 1.0, tpr: 1.0, threshold: 0.5 });
        assert_eq!(nearest(0.1, &[], &[]).tpr, 0.0);
    }
}
