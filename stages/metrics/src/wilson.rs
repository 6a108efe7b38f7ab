//! Wilson's interval of a share whose trials depend on each other.
//!
//! The number of trials is replaced by the effective one, `n = p (1 - p) / V` with the variance `V` of the share
//! (Fogliato, Patil and Perona, Confidence Intervals for Error Rates in 1:1 Matching Tasks, IJCV 2024, section 3). Unlike
//! `p ± t sqrt(V)` it stays within 0 and 1, and it has a length where no error was seen.

/// The interval of the share `p` of `trials` with the variance `variance`; `t` is the quantile, 1.96 for 95 %.
pub fn interval(p: f64, variance: f64, trials: f64, t: f64) -> [f64; 2] {
    let spread = p * (1.0 - p);
    // Dependence never makes trials worth more than independent ones would be.
    let n = if variance > 0.0 && spread > 0.0 { (spread / variance).min(trials) } else { trials };
    if n.is_nan() || n <= 0.0 {
        return [0.0, 1.0];
    }
    let square = t * t;
    let middle = p + square / (2.0 * n);
    let half = t * (spread / n + square / (4.0 * n * n)).sqrt();
    let scale = 1.0 + square / n;
    // At 0 and 1 the bound is the value itself, but for rounding.
    let low = if p == 0.0 { 0.0 } else { ((middle - half) / scale).max(0.0) };
    let high = if p == 1.0 { 1.0 } else { ((middle + half) / scale).min(1.0) };
    [low, high]
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: f64 = 1.959_964;

    fn close(got: [f64; 2], expected: [f64; 2]) {
        assert!(got.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4), "{got:?} {expected:?}");
    }

    #[test]
    fn independent_trials_have_the_usual_interval() {
        // By hand: p = 0.2, n = 10: (0.2 + 0.19207 ± 1.96 sqrt(0.016 + 0.0096)) / 1.38414.
        close(interval(0.2, 0.2 * 0.8 / 10.0, 10.0, T), [0.0567, 0.5098]);
        close(interval(0.0, 0.0, 10.0, T), [0.0, 0.2775]);
        close(interval(1.0, 0.0, 10.0, T), [0.7225, 1.0]);
    }

    #[test]
    fn a_larger_variance_counts_as_fewer_trials() {
        assert_eq!(interval(0.2, 0.2 * 0.8 / 10.0, 1000.0, T), interval(0.2, 0.2 * 0.8 / 10.0, 10.0, T));
        // A variance below that of independent trials is one of chance.
        assert_eq!(interval(0.2, 1e-9, 10.0, T), interval(0.2, 0.2 * 0.8 / 10.0, 10.0, T));
        assert_eq!(interval(0.5, 0.1, 0.0, T), [0.0, 1.0]);
    }
}
