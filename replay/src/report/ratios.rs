//! `Ratios`: what a series of equity says of risk and reward, as every textbook defines it.
//!
//! ```text
//! return    r = equity now / equity one interval before - 1           N returns, P of them in a year of 365 days
//! Sharpe    mean(r) / deviation(r, N - 1) x sqrt(P)                   risk-free rate 0
//! Sortino   mean(r) / sqrt(mean(min(r, 0)^2)) x sqrt(P)               required return 0
//! CAGR      (last / first)^(P / N) - 1
//! Calmar    CAGR / deepest drawdown of the series
//! ```
//!
//! The year is the calendar's: an interval with a closed market has a return of 0 and counts. Over a long time that
//! gives the same Sharpe and Sortino as leaving such days out and taking 252: mean and variance shrink by the same share.

use pawl_journal::record::Micros;

/// What a series of equity says. A ratio is none where the series cannot tell: fewer than two returns, nothing to
/// divide by, or equity that fell to zero or below.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Ratios {
    /// Returns in the series.
    pub returns: usize,
    /// Last over first equity, less 1.
    pub growth: Option<f64>,
    /// Mean return of one interval.
    pub mean: Option<f64>,
    /// Standard deviation of the returns (N - 1), annualised.
    pub volatility: Option<f64>,
    /// Mean over deviation, annualised.
    pub sharpe: Option<f64>,
    /// Mean over downside deviation, annualised.
    pub sortino: Option<f64>,
    /// Compound growth in a year.
    pub cagr: Option<f64>,
    /// Deepest fall from a peak of the series, as a fraction of the peak; 0 or above.
    pub drawdown: Option<f64>,
    /// CAGR over the deepest drawdown.
    pub calmar: Option<f64>,
}

/// Fewest returns of which a deviation says anything.
const RETURNS_MIN: usize = 2;

impl Ratios {
    /// The ratios of equity at equal intervals, of which there are `periods_per_year` in a year.
    #[must_use]
    pub fn of(equity: impl IntoIterator<Item = Micros>, periods_per_year: f64) -> Self {
        let equity: Vec<f64> = equity.into_iter().map(|it| it.0 as f64).collect();
        let returns = equity.len().saturating_sub(1);
        let mut out = Self { returns, ..Self::default() };
        if returns == 0 || equity.iter().any(|it| *it <= 0.0) {
            return out;
        }
        let ratio = equity[returns] / equity[0];
        out.growth = Some(ratio - 1.0);
        out.drawdown = Some(deepest(&equity));
        if returns < RETURNS_MIN {
            return out;
        }
        let series = || equity.windows(2).map(|pair| pair[1] / pair[0] - 1.0);
        let count = returns as f64;
        let mean = series().sum::<f64>() / count;
        let deviation = (series().map(|it| (it - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
        let downside = (series().map(|it| it.min(0.0).powi(2)).sum::<f64>() / count).sqrt();
        let year = periods_per_year.sqrt();
        out.mean = Some(mean);
        out.volatility = Some(deviation * year);
        out.sharpe = quotient(mean * year, deviation);
        out.sortino = quotient(mean * year, downside);
        out.cagr = Some(ratio.powf(periods_per_year / count) - 1.0).filter(|it| it.is_finite());
        out.calmar = out.cagr.zip(out.drawdown).and_then(|(cagr, drawdown)| quotient(cagr, drawdown));
        out
    }
}

fn quotient(dividend: f64, divisor: f64) -> Option<f64> {
    Some(dividend / divisor).filter(|it| divisor > 0.0 && it.is_finite())
}

fn deepest(equity: &[f64]) -> f64 {
    let mut peak = 0.0_f64;
    equity.iter().fold(0.0, |deepest, it| {
        peak = peak.max(*it);
        f64::max(deepest, (peak - it) / peak)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(equity: &[i64], periods_per_year: f64) -> Ratios {
        Ratios::of(equity.iter().map(|it| Micros(it * 1_000_000)), periods_per_year)
    }

    fn close(found: Option<f64>, expected: f64) {
        let found = found.expect("enough data");
        assert!((found - expected).abs() <= expected.abs() * 1e-12, "{found} is not {expected}");
    }

    /// What empyrical-reloaded 0.7.1 says of this series; quantstats 0.0.86 says the same to the eleventh digit.
    #[test]
    fn the_ratios_are_those_of_a_well_known_package() {
        let equity = [
            100_000, 100_120, 99_870, 99_990, 101_250, 100_310, 100_310, 99_480, 100_940, 102_030, 101_770,
            103_115,
        ];
        let found = of(&equity, 365.0);
        close(found.sharpe, 6.244_069_180_234_682);
        close(found.sortino, 13.842_483_942_930_825);
        close(found.cagr, 1.767_216_098_293_569_2);
        close(found.calmar, 101.090_751_385_437_49);
        close(found.drawdown, 0.017_481_481_481_481_438);
        close(found.volatility, 0.165_217_131_593_768_72);
        let found = of(&equity, 252.0);
        close(found.sharpe, 5.188_257_759_606_907);
        close(found.sortino, 11.501_854_424_752_796);
        close(found.cagr, 1.019_256_007_603_094_5);
        close(found.calmar, 58.304_898_740_007_67);
    }

    #[test]
    fn too_little_to_tell_is_said_and_not_guessed() {
        assert_eq!(of(&[], 365.0), Ratios::default());
        assert_eq!(of(&[100], 365.0), Ratios::default());
        let one = of(&[100, 110], 365.0);
        close(one.growth, 0.1);
        assert_eq!((one.returns, one.sharpe, one.sortino, one.cagr, one.calmar), (1, None, None, None, None));
        let flat = of(&[100, 100, 100], 365.0);
        assert_eq!((flat.sharpe, flat.sortino, flat.calmar), (None, None, None));
        assert_eq!((flat.cagr, flat.drawdown, flat.volatility), (Some(0.0), Some(0.0), Some(0.0)));
        let rising = of(&[100, 101, 103], 365.0);
        assert!(rising.sharpe.is_some() && rising.sortino.is_none() && rising.calmar.is_none(), "{rising:?}");
        assert_eq!(of(&[100, 50, 0, 50], 365.0), Ratios { returns: 3, ..Ratios::default() });
        assert_eq!(of(&[1, 1_000, 1_000_000], 525_600.0).cagr, None, "beyond what a float holds");
    }
}
