//! Student's t distribution; with infinitely many degrees of freedom it is the normal one.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// The quantile `t` with `P(|T| <= t) = confidence`: 1.96 for 0.95 and many degrees of freedom.
pub fn quantile(confidence: f64, freedom: f64) -> f64 {
    at(0.5 + confidence / 2.0, freedom)
}

/// The one-sided quantile: `P(T <= t) = p`.
pub fn at(p: f64, freedom: f64) -> f64 {
    match StudentsT::new(0.0, 1.0, freedom) {
        Ok(t) if freedom < 1e6 => t.inverse_cdf(p),
        _ => Normal::standard().inverse_cdf(p),
    }
}

/// The two-sided p-value of `t`.
pub fn p_value(t: f64, freedom: f64) -> f64 {
    let below = match StudentsT::new(0.0, 1.0, freedom) {
        Ok(student) if freedom < 1e6 => student.cdf(-t.abs()),
        _ => Normal::standard().cdf(-t.abs()),
    };
    (2.0 * below).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_printed_tables() {
        for (freedom, expected) in [(1.0, 12.706), (2.0, 4.303), (4.0, 2.776), (30.0, 2.042)] {
            assert!((quantile(0.95, freedom) - expected).abs() < 1e-3, "{freedom}");
        }
        assert!((quantile(0.95, f64::INFINITY) - 1.959_964).abs() < 1e-5);
        assert!((at(0.8, f64::INFINITY) - 0.841_621).abs() < 1e-5);
    }

    #[test]
    fn a_p_value_is_the_inverse_of_the_quantile() {
        for freedom in [2.0, 9.0, f64::INFINITY] {
            assert!((p_value(quantile(0.95, freedom), freedom) - 0.05).abs() < 1e-6);
            assert!((p_value(-quantile(0.95, freedom), freedom) - 0.05).abs() < 1e-6);
        }
        assert_eq!(p_value(0.0, 3.0), 1.0);
    }
}
