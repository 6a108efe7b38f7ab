//! Bootstrap replicates of a number, which add up with those of other numbers.
//!
//! In replicate r every person has a weight that depends on the seed, on r and on the person alone. So the replicates of two
//! networks, or of two columns, on the same persons belong together: the replicates of a mean or of a difference are the means
//! or differences of the replicates.
//!
//! A comparison of persons i and j weighs `w_i w_j = 1 + e_i + e_j + e_i e_j`, with `e = w - 1` of mean 0 and variance 1. The
//! first-order part gives the variance `sum_i S_i^2`, where `S_i` adds up the residuals of i's comparisons. Every comparison of
//! two persons is in two of these sums, so that its own square is counted twice; the second-order part counts it once more
//! (Owen, The pigeonhole bootstrap, Annals of Applied Statistics 2007, shows that this bootstrap is conservative). Both parts are
//! kept, and `V = Var(first) - Var(second)` is the variance that is robust to pairs that share a person (Fogliato, Patil and
//! Perona, IJCV 2024, section 3).

/// Replicates of a number: deviations from the number itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draws {
    /// Without the second-order part.
    pub first: Vec<f64>,
    /// The second-order part of comparisons of two persons; empty where there are none.
    pub second: Vec<f64>,
}

impl Draws {
    /// How many replicates there are.
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// The replicates of `sum(weight number)`. None where one of them has none, or they differ in number.
    pub fn combined<'a>(parts: impl IntoIterator<Item = (f64, &'a Self)>) -> Option<Self> {
        let mut sum: Option<Self> = None;
        for (weight, draws) in parts {
            let sum = sum.get_or_insert_with(|| Self { first: vec![0.0; draws.len()], second: Vec::new() });
            if draws.is_empty() || draws.len() != sum.len() {
                return None;
            }
            add(&mut sum.first, weight, &draws.first);
            if !draws.second.is_empty() {
                sum.second.resize(sum.first.len(), 0.0);
                add(&mut sum.second, weight, &draws.second);
            }
        }
        sum
    }

    /// The variance of the number over persons; none with fewer than two replicates.
    pub fn variance(&self) -> Option<f64> {
        let first = variance(&self.first)?;
        let second = variance(&self.second).unwrap_or(0.0);
        // Comparisons that do not share persons by more than chance have half of the first part; less is chance.
        Some((first - second).max(first / 2.0))
    }

    /// The standard error of the number over persons.
    pub fn standard_error(&self) -> Option<f64> {
        self.variance().map(f64::sqrt)
    }

    /// The replicates of the number `value`, brought to the variance of the number.
    pub fn replicates(&self, value: f64) -> Vec<f64> {
        let scale = match (variance(&self.first), self.standard_error()) {
            (Some(wide), Some(error)) if wide > 0.0 => error / wide.sqrt(),
            _ => 0.0,
        };
        self.first.iter().map(|deviation| value + scale * deviation).collect()
    }

    /// The interval of the number `value` between the quantiles of its replicates; none with fewer than two.
    pub fn interval(&self, value: f64, confidence: f64) -> Option<[f64; 2]> {
        quantiles(self.replicates(value), confidence)
    }
}

/// The interval between the quantiles of some numbers; none of fewer than two.
pub fn quantiles(mut values: Vec<f64>, confidence: f64) -> Option<[f64; 2]> {
    if values.len() < 2 {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    Some([tail, 1.0 - tail].map(|q| quantile(&values, q)))
}

fn add(sum: &mut [f64], weight: f64, of: &[f64]) {
    sum.iter_mut().zip(of).for_each(|(s, d)| *s += weight * d);
}

/// The sample variance; none of fewer than two numbers.
fn variance(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    Some(values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0))
}

/// The q-quantile of sorted values, linear between neighbours.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (sorted[high] - sorted[low]) * part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(first: &[f64], second: &[f64]) -> Draws {
        Draws { first: first.to_vec(), second: second.to_vec() }
    }

    #[test]
    fn a_difference_of_equal_numbers_has_no_variance() {
        let a = draws(&[0.1, -0.2, 0.1], &[0.01, 0.0, -0.01]);
        let zero = Draws::combined([(1.0, &a), (-1.0, &a)]).unwrap();
        assert_eq!(zero.variance(), Some(0.0));
        assert_eq!(zero.interval(0.3, 0.95), Some([0.3, 0.3]));
        assert_eq!(Draws::combined([(1.0, &a), (-1.0, &draws(&[0.1], &[]))]), None);
        assert_eq!(Draws::combined([]), None);
    }

    #[test]
    fn a_mean_of_numbers_on_the_same_persons_is_as_unsure_as_each() {
        let a = draws(&[0.1, -0.2, 0.1], &[]);
        let b = draws(&[-0.1, 0.2, -0.1], &[]);
        let same = Draws::combined([(0.5, &a), (0.5, &a)]).unwrap();
        assert!((same.variance().unwrap() - a.variance().unwrap()).abs() < 1e-15);
        assert_eq!(Draws::combined([(0.5, &a), (0.5, &b)]).unwrap().variance(), Some(0.0));
    }

    #[test]
    fn the_second_order_part_is_taken_off_down_to_independence() {
        let first = [0.2, -0.2, 0.2, -0.2];
        let whole = draws(&first, &[]).variance().unwrap();
        let less = draws(&first, &[0.1, -0.1, 0.1, -0.1]).variance().unwrap();
        assert!((less / whole - 0.75).abs() < 1e-12);
        let least = draws(&first, &[0.3, -0.3, 0.3, -0.3]).variance().unwrap();
        assert!((least / whole - 0.5).abs() < 1e-12);
    }

    #[test]
    fn the_interval_has_the_shape_of_the_replicates() {
        let skewed: Vec<f64> = (0..1001).map(|i| (f64::from(i) / 1000.0).powi(2)).collect();
        let [low, high] = draws(&skewed, &[]).interval(0.5, 0.9).unwrap();
        assert!((low - 0.5025).abs() < 1e-9 && (high - 1.4025).abs() < 1e-9, "{low} {high}");
        assert_eq!(Draws::default().interval(0.5, 0.9), None);
    }
}
