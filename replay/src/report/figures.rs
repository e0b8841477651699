//! The figures of round trips, of a symbol and of an agent: sums in micros, ratios in floats.

use pawl_journal::record::{AgentId, InstrumentId, Micros};

use super::ledger::{Costs, Trip};

/// What round trips earned. Money is after commission; spread and slippage are in the prices already.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TripFigures {
    /// Closed ones; those that a pruned journal knows only the end of are left out.
    pub count: u64,
    /// Those that earned more than nothing.
    pub wins: u64,
    /// Those that earned less than nothing.
    pub losses: u64,
    /// What the wins earned.
    pub gross_profit: Micros,
    /// What the losses lost; positive.
    pub gross_loss: Micros,
    /// The best one, if there is one.
    pub best: Option<Micros>,
    /// The worst one.
    pub worst: Option<Micros>,
    /// Time from the first fill to the last of all of them, ns.
    pub held_ns: i64,
    /// Those that are still open.
    pub open: u64,
    /// What the open ones have earned so far, at the last quote.
    pub open_profit: Micros,
}

impl TripFigures {
    pub(super) fn add(&mut self, trip: &Trip, amount: Micros) {
        if trip.carried {
            return;
        }
        let Some(closed) = trip.closed else {
            self.open += 1;
            self.open_profit += amount;
            return;
        };
        self.count += 1;
        self.held_ns += closed.0 - trip.opened.0;
        self.best = Some(self.best.map_or(amount, |best| best.max(amount)));
        self.worst = Some(self.worst.map_or(amount, |worst| worst.min(amount)));
        match trip.profit().0 {
            1.. => {
                self.wins += 1;
                self.gross_profit += amount;
            }
            ..=-1 => {
                self.losses += 1;
                self.gross_loss -= amount;
            }
            0 => {}
        }
    }

    /// What the closed ones earned.
    #[must_use]
    pub fn profit(&self) -> Micros {
        self.gross_profit - self.gross_loss
    }

    /// Wins among wins and losses; none without either.
    #[must_use]
    pub fn win_rate(&self) -> Option<f64> {
        let decided = self.wins + self.losses;
        (decided > 0).then(|| self.wins as f64 / decided as f64)
    }

    /// Gross profit over gross loss; none without a loss.
    #[must_use]
    pub fn profit_factor(&self) -> Option<f64> {
        (self.gross_loss.0 > 0).then(|| self.gross_profit.0 as f64 / self.gross_loss.0 as f64)
    }

    /// What one earned on average, rounded toward zero.
    #[must_use]
    pub fn average(&self) -> Option<Micros> {
        self.profit().0.checked_div(self.count as i64).map(Micros)
    }

    /// How long one was open on average, ns.
    #[must_use]
    pub fn held_average_ns(&self) -> Option<i64> {
        self.held_ns.checked_div(self.count as i64)
    }
}

/// What one instrument did.
#[derive(Debug, Clone, PartialEq)]
pub struct SymbolFigures {
    /// Which one.
    pub instrument: InstrumentId,
    /// Orders sent.
    pub orders: u64,
    /// Refusals in the journal; a standing one is there once.
    pub refused: u64,
    /// Fills, partial ones included.
    pub fills: u64,
    /// Realised and unrealised, less commission.
    pub profit: Micros,
    /// Its round trips.
    pub trips: TripFigures,
    /// What trading it cost.
    pub costs: Costs,
    /// Price times volume of its fills, account currency, in micros.
    pub turnover: i128,
    /// Event time with a position, as a fraction of all.
    pub exposure: f64,
}

/// What one agent's orders earned.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentFigures {
    /// Who; none for orders of a limit, an operator, or a part of the journal that is gone.
    pub agent: Option<AgentId>,
    /// Predictions in the journal.
    pub predictions: u64,
    /// Those that voted up.
    pub up: u64,
    /// Those that voted down.
    pub down: u64,
    /// Orders in which it has a share.
    pub orders: u64,
    /// Round trips in which it has a share; the money is its share of them.
    pub trips: TripFigures,
}

impl AgentFigures {
    pub(super) fn of(agent: Option<AgentId>) -> Self {
        Self { agent, predictions: 0, up: 0, down: 0, orders: 0, trips: TripFigures::default() }
    }

    /// Its share of what was earned, open round trips included.
    #[must_use]
    pub fn profit(&self) -> Micros {
        self.trips.profit() + self.trips.open_profit
    }
}

/// How much was at stake.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Exposure {
    /// Event time with any position, as a fraction of all.
    pub time: f64,
    /// Mean of what was held at its mid price, long and short added up, over the mean equity.
    pub gross_mean: Option<f64>,
    /// Most that was held, account currency.
    pub gross_max: Micros,
    /// Mean equity over event time.
    pub equity_mean: Micros,
}
