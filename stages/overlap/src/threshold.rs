//! The similarity from which two identities are the same person, derived from the scores for any model.
//!
//! Of the training identities nearest to a test identity, the first may be the same person; those after it
//! are others. If no identity were shared, the first would be another person, too, and how far it may stand
//! out follows from the tail of the others (Scheirer et al., ECCV 2010, fit the tail behind the best score in
//! the same way).
//!
//! Cosines c of unrelated directions in d dimensions have tails of `(1 - c^2)^((d - 1) / 2)`: in
//! `y = -ln(1 - c^2)` a tail is exponential, with a rate that reflects the effective number of dimensions of
//! a model. So for order statistics `y_1 > y_2 > ...` the numbers `i (y_i - y_(i + 1))` have the same mean
//! (Rényi's spacings; Hill's estimator). The mean is taken over `i = 2 ..= k` of all identities, and
//! `k + 1/2` identities are expected beyond `y_(k + 1)`. This gives the number of identities whose best score
//! would reach any y by chance. It is estimated from both sides, test identities among training identities
//! and vice versa, and the larger number is used.
//!
//! Comparing it with the number of identities that reach y gives the share of chance matches among all of
//! them, and (by isotonic regression) around the last of them.

use std::collections::BTreeMap;

use crate::centres::cosine;
use crate::nearest::Neighbour;

/// The number of neighbours after the first that are used to fit the tail.
pub(crate) const TAIL: usize = 10;
/// With fewer identities on a side, there is no estimate.
pub(crate) const FEWEST: usize = 20;
/// The bound on the average probability of a wrong match, relative to that for the least certain match.
const ON_AVERAGE: f64 = 0.4;

/// The result of the estimation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Thresholds {
    /// From this score, the same person; none if no score is certain enough.
    pub(crate) same: Option<i32>,
    /// From this score, the user must decide.
    pub(crate) review: Option<i32>,
    /// The expected number of chance matches at or above `same`.
    pub(crate) by_chance: f64,
    /// The scale of the tail in y: test identities among training identities, and vice versa if there were
    /// enough.
    pub(crate) scales: Vec<f64>,
}

/// The fitted tails of one side.
struct Tail {
    scale: f64,
    k: usize,
    /// Where the tails start, in 1/1024, and how many start there.
    starts: BTreeMap<i64, u32>,
}

fn y(score: i32) -> f64 {
    let c = cosine(score).clamp(0.0, 0.999_999);
    -libm::log(1.0 - c * c)
}

/// The number of neighbours to search for among `others` identities; none if they are too few.
pub(crate) fn asked(others: usize) -> Option<usize> {
    (others >= FEWEST).then(|| (others / 10).clamp(4, TAIL))
}

impl Tail {
    fn fit(lists: &[Vec<Neighbour>], others: usize) -> Option<Self> {
        let k = asked(others)?;
        let (mut sum, mut n, mut starts) = (0.0, 0.0, BTreeMap::new());
        for list in lists.iter().filter(|l| l.len() > k) {
            for i in 2..=k {
                sum += i as f64 * (y(list[i - 1].score) - y(list[i].score));
                n += 1.0;
            }
            *starts.entry((y(list[k].score) * 1024.0).round() as i64).or_insert(0) += 1;
        }
        (n > 0.0 && sum > 0.0).then(|| Self { scale: sum / n, k, starts })
    }

    /// The expected number of identities whose best score reaches `y` by chance.
    fn expected(&self, y: f64) -> f64 {
        let one = |(start, n): (&i64, &u32)| {
            let beyond = (self.k as f64 + 0.5) * libm::exp(-(y - *start as f64 / 1024.0) / self.scale);
            f64::from(*n) * -libm::expm1(-beyond)
        };
        self.starts.iter().map(one).sum()
    }
}

/// The thresholds, where `tests` holds the nearest training identities of each test identity, and `train` the
/// nearest test identities of each training identity. `doubt` bounds the probability that the least certain
/// match is wrong, `review` the same for the least certain pair to be reviewed. None if there are too few
/// identities.
pub(crate) fn thresholds(
    tests: &[Vec<Neighbour>],
    train: &[Vec<Neighbour>],
    doubt: f64,
    review: f64,
) -> Option<Thresholds> {
    let known = |lists: &[Vec<Neighbour>]| lists.iter().filter(|l| !l.is_empty()).count();
    let tails: Vec<Tail> =
        [Tail::fit(tests, known(train))?].into_iter().chain(Tail::fit(train, known(tests))).collect();
    let mut best: Vec<i32> = tests.iter().filter_map(|l| l.first()).map(|n| n.score).collect();
    best.sort_unstable_by(|a, b| b.cmp(a));
    // From the first score at which chance alone predicts more matches than there are, nothing is certain.
    let mut expected = Vec::new();
    for (n, &score) in best.iter().enumerate() {
        let e = tails.iter().map(|t| t.expected(y(score))).fold(0.0, f64::max);
        expected.push(e);
        if e > 2.0 * (n + 1) as f64 + 10.0 {
            break;
        }
    }
    let steps = expected.iter().scan(0.0, |before, e| Some(e - std::mem::replace(before, *e)));
    let local = isotonic(steps);
    let last = |local_most: f64, all_most: f64| {
        let mut all = 0.0_f64;
        let mut found = None;
        for (n, (l, e)) in local.iter().zip(&expected).enumerate() {
            all = all.max(e / (n + 1) as f64);
            // Rounded, so that the last bit of a logarithm decides nothing.
            let round = |v: f64| (v * 1e6).round();
            if round(*l) <= round(local_most) && round(all) <= round(all_most) {
                found = Some(n);
            }
        }
        found
    };
    let same = last(doubt, ON_AVERAGE * doubt);
    let listed = last(review, review).max(same);
    Some(Thresholds {
        same: same.map(|n| best[n]),
        review: listed.map(|n| best[n]),
        by_chance: same.map_or(0.0, |n| expected[n]),
        scales: tails.iter().map(|t| t.scale).collect(),
    })
}

/// The closest non-decreasing sequence (pool adjacent violators).
fn isotonic(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for value in values {
        let mut pool = (value, 1);
        while let Some(&(sum, n)) = pools.last()
            && sum * pool.1 as f64 > pool.0 * n as f64
        {
            pools.pop();
            pool = (pool.0 + sum, pool.1 + n);
        }
        pools.push(pool);
    }
    pools.into_iter().flat_map(|(sum, n)| std::iter::repeat_n(sum / n as f64, n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_falls_is_pooled() {
        assert_eq!(
            isotonic([1.0, 3.0, 2.0, 0.0, 9.0].into_iter()),
            [1.0, 5.0 / 3.0, 5.0 / 3.0, 5.0 / 3.0, 9.0]
        );
        assert_eq!(isotonic([3.0, 2.0, 1.0].into_iter()), [2.0; 3]);
        assert!(isotonic(std::iter::empty()).is_empty());
    }
}
