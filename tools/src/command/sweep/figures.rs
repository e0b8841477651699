//! `Figures`: what a run came to, as its report says it, and the `Metric` by which runs are compared.

use clap::ValueEnum;
use pawl_journal::record::Micros;
use pawl_replay::{Ratios, Report, TripFigures};
use serde_json::{Map, Value, json};

use crate::output::{money, percent, ratio};

/// What a run came to; all of it from its report.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Ticks that came in.
    pub ticks: u64,
    /// Orders sent.
    pub orders: u64,
    /// Closing less opening equity.
    pub profit: Micros,
    /// Sharpe, Sortino, Calmar and the others.
    pub ratios: Ratios,
    /// Deepest fall from a peak at any tick, as a fraction of the peak; of the chain of tests, at any sample.
    pub drawdown: f64,
    /// Round trips.
    pub trips: TripFigures,
    /// Commission, spread and slippage.
    pub costs: Micros,
}

impl Figures {
    /// The figures of a report.
    pub fn of(report: &Report) -> Self {
        Self {
            ticks: report.summary.records.get("tick").copied().unwrap_or(0),
            orders: report.summary.orders,
            profit: report.profit().unwrap_or_default(),
            ratios: report.ratios,
            drawdown: report.drawdown.map_or(0.0, |it| it.fraction),
            trips: report.trips,
            costs: report.costs.total(),
        }
    }

    /// Adds the counts and sums of another run; ratios and drawdown are no sums.
    pub fn add(&mut self, other: &Self) {
        self.ticks += other.ticks;
        self.orders += other.orders;
        self.profit += other.profit;
        self.costs += other.costs;
        let (own, more) = (&mut self.trips, &other.trips);
        own.count += more.count;
        own.wins += more.wins;
        own.losses += more.losses;
        own.gross_profit += more.gross_profit;
        own.gross_loss += more.gross_loss;
    }

    /// The figures by name, in the order of a table; null where the run cannot tell.
    pub fn json(figures: Option<&Self>) -> Map<String, Value> {
        let money = |amount: fn(&Self) -> Micros| figures.map(|it| amount(it).0 as f64 / 1e6);
        let ratio = |ratio: fn(&Ratios) -> Option<f64>| figures.and_then(|it| ratio(&it.ratios));
        let row = [
            ("ticks", json!(figures.map(|it| it.ticks))),
            ("orders", json!(figures.map(|it| it.orders))),
            ("profit", json!(money(|it| it.profit))),
            ("growth", json!(ratio(|it| it.growth))),
            ("sharpe", json!(ratio(|it| it.sharpe))),
            ("sortino", json!(ratio(|it| it.sortino))),
            ("calmar", json!(ratio(|it| it.calmar))),
            ("cagr", json!(ratio(|it| it.cagr))),
            ("volatility", json!(ratio(|it| it.volatility))),
            ("max_drawdown", json!(figures.map(|it| it.drawdown))),
            ("trips", json!(figures.map(|it| it.trips.count))),
            ("win_rate", json!(figures.and_then(|it| it.trips.win_rate()))),
            ("profit_factor", json!(figures.and_then(|it| it.trips.profit_factor()))),
            ("costs", json!(money(|it| it.costs))),
        ];
        row.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// What the best run is best in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Metric {
    /// Closing less opening equity
    Profit,
    /// Mean over deviation of the returns, annualised
    Sharpe,
    /// Mean over downside deviation of the returns, annualised
    Sortino,
    /// CAGR over the deepest drawdown of the samples
    Calmar,
    /// Compound growth in a year
    Cagr,
    /// Won round trips among those that won or lost
    WinRate,
    /// What won round trips earned over what lost ones lost
    ProfitFactor,
    /// Deepest fall from a peak; the smallest is the best
    MaxDrawdown,
}

impl Metric {
    /// What the figures call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Profit => "profit",
            Self::Sharpe => "sharpe",
            Self::Sortino => "sortino",
            Self::Calmar => "calmar",
            Self::Cagr => "cagr",
            Self::WinRate => "win_rate",
            Self::ProfitFactor => "profit_factor",
            Self::MaxDrawdown => "max_drawdown",
        }
    }

    /// The metric of a run, as tables have it.
    pub fn text(self, figures: &Figures) -> String {
        match (self.rank(figures), self) {
            (None, _) => "-".to_owned(),
            (Some(_), Self::Profit) => money(figures.profit),
            (Some(_), Self::MaxDrawdown) => percent(figures.drawdown),
            (Some(rank), Self::WinRate | Self::Cagr) => percent(rank),
            (Some(rank), _) => ratio(rank),
        }
    }

    /// How good a run is: more is better; none if it cannot tell.
    pub fn rank(self, figures: &Figures) -> Option<f64> {
        let (ratios, trips) = (&figures.ratios, &figures.trips);
        match self {
            Self::Profit => Some(figures.profit.0 as f64),
            Self::Sharpe => ratios.sharpe,
            Self::Sortino => ratios.sortino,
            Self::Calmar => ratios.calmar,
            Self::Cagr => ratios.cagr,
            Self::WinRate => trips.win_rate(),
            Self::ProfitFactor if trips.losses == 0 && trips.wins > 0 => Some(f64::INFINITY),
            Self::ProfitFactor => trips.profit_factor(),
            Self::MaxDrawdown => Some(-figures.drawdown),
        }
    }

    /// The places of runs, the best first. Equal ones keep their order; those that cannot tell come last.
    pub fn order<'a>(self, runs: impl Iterator<Item = Option<&'a Figures>>) -> Vec<(usize, Option<f64>)> {
        let mut ranked: Vec<_> =
            runs.map(|figures| figures.and_then(|it| self.rank(it))).enumerate().collect();
        let key = |rank: Option<f64>| rank.unwrap_or(f64::NEG_INFINITY);
        ranked.sort_by(|a, b| b.1.is_some().cmp(&a.1.is_some()).then(key(b.1).total_cmp(&key(a.1))));
        ranked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_runs_is_the_best_and_who_cannot_tell_is_the_last() {
        let with = |sharpe: Option<f64>, drawdown: f64| Figures {
            ratios: Ratios { sharpe, ..Ratios::default() },
            drawdown,
            ..Figures::default()
        };
        let runs = [with(None, 0.3), with(Some(-1.0), 0.1), with(Some(2.0), 0.2), with(Some(2.0), 0.1)];
        let order = |metric: Metric| {
            let runs = runs.iter().map(Some).chain([None]);
            metric.order(runs).into_iter().map(|(place, _)| place).collect::<Vec<_>>()
        };
        assert_eq!(order(Metric::Sharpe), [2, 3, 1, 0, 4]);
        assert_eq!(order(Metric::MaxDrawdown), [1, 3, 2, 0, 4]);
        assert_eq!(order(Metric::WinRate), [0, 1, 2, 3, 4]);
    }
}
