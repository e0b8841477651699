//! `Valuation`: what the account is worth at every tick, from the positions and balances that the journal tells.
//!
//! ```text
//! equity = balance + sum over instruments of (net x closing quote - entry cost) in the account currency + carried
//! ```
//!
//! Positions and balances are the engine's own, read from `PositionChanged` and `EquityChanged`; quotes between them
//! are the journal's ticks, so equity is known at every tick and not only where the engine told it. `carried` is what
//! told and computed equity differ by: nothing in a whole journal; in a pruned one the profit of positions whose
//! opening is gone. Money is integer micros, rounded as the engine rounds it.

use pawl_engine::instrument::{Instrument, find};
use pawl_engine::settings::Settings;
use pawl_journal::record::{EquityChanged, InstrumentId, Micros, PositionChanged, Side, Tick};

/// How profit of one instrument becomes account currency: by the mid price of another.
#[derive(Debug, Clone, Copy)]
struct Conversion {
    by: usize,
    inverse: bool,
    points_per_unit: i64,
}

/// A quote that trading or valuing may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quote {
    pub(super) bid: i64,
    pub(super) ask: i64,
}

impl Quote {
    /// The price at which an order of this side would trade.
    pub(super) const fn taken(self, side: Side) -> i64 {
        if side.sign() > 0 { self.ask } else { self.bid }
    }
}

#[derive(Debug)]
struct Holding {
    point_value: i64,
    conversion: Option<Conversion>,
    quote: Option<Quote>,
    net: i64,
    cost: i128,
    unrealised: i64,
    gross: i64,
}

/// What the account is worth.
#[derive(Debug)]
pub(super) struct Valuation {
    holdings: Vec<Holding>,
    balance: i64,
    carried: i64,
    /// False in a pruned journal until the engine tells its equity.
    known: bool,
}

impl Valuation {
    /// An account with nothing held; its balance is known if the journal has its beginning.
    pub(super) fn new(settings: &Settings, whole: bool) -> Self {
        let holding = |it: &Instrument| Holding {
            point_value: it.point_value(),
            conversion: it.conversion.as_ref().and_then(|symbol| {
                let (by, other) = find(&settings.instruments, symbol)?;
                let points_per_unit = 10_i64.pow(u32::from(other.digits));
                Some(Conversion { by: usize::from(by.0), inverse: it.conversion_inverse, points_per_unit })
            }),
            quote: None,
            net: 0,
            cost: 0,
            unrealised: 0,
            gross: 0,
        };
        Self {
            holdings: settings.instruments.iter().map(holding).collect(),
            balance: settings.account.balance.to_micros().0,
            carried: 0,
            known: whole,
        }
    }

    /// What the account is worth now; none if nothing told yet.
    pub(super) fn equity(&self) -> Option<Micros> {
        let unrealised: i64 = self.holdings.iter().map(|it| it.unrealised).sum();
        self.known.then(|| Micros(self.balance.saturating_add(unrealised).saturating_add(self.carried)))
    }

    /// What is held at its mid price, long and short added up, in the account currency.
    pub(super) fn gross(&self) -> Micros {
        Micros(self.holdings.iter().map(|it| it.gross).sum())
    }

    /// Whether anything is held.
    pub(super) fn is_open(&self) -> bool {
        self.holdings.iter().any(|it| it.net != 0)
    }

    /// What closing an instrument now would realise.
    pub(super) fn unrealised(&self, instrument: InstrumentId) -> Micros {
        Micros(self.holdings.get(usize::from(instrument.0)).map_or(0, |it| it.unrealised))
    }

    /// The last usable quote of an instrument.
    pub(super) fn quote(&self, instrument: InstrumentId) -> Option<Quote> {
        self.holdings.get(usize::from(instrument.0))?.quote
    }

    /// Takes in a tick, if its prices count.
    pub(super) fn on_tick(&mut self, tick: &Tick) {
        let index = usize::from(tick.instrument.0);
        if !tick.is_usable() || tick.bid.0 <= 0 || tick.ask.0 <= 0 || index >= self.holdings.len() {
            return;
        }
        self.holdings[index].quote = Some(Quote { bid: tick.bid.0, ask: tick.ask.0 });
        for other in 0..self.holdings.len() {
            let depends = other == index || self.holdings[other].conversion.is_some_and(|it| it.by == index);
            if depends && self.holdings[other].net != 0 {
                self.revalue(other);
            }
        }
    }

    /// Takes in a position as the engine tells it.
    pub(super) fn on_position(&mut self, position: &PositionChanged) {
        let index = usize::from(position.instrument.0);
        if let Some(it) = self.holdings.get_mut(index) {
            (it.net, it.cost) = (position.net_lots.0, i128::from(position.entry_cost));
            self.revalue(index);
        }
    }

    /// Takes in the account as the engine tells it.
    pub(super) fn on_equity(&mut self, told: &EquityChanged) {
        (self.balance, self.carried, self.known) = (told.balance.0, 0, true);
        let computed = self.equity().unwrap_or_default();
        self.carried = told.equity.0.saturating_sub(computed.0);
    }

    /// Told less computed equity: 0 in a journal that has its beginning.
    pub(super) const fn carried(&self) -> Micros {
        Micros(self.carried)
    }

    /// `points_lots` of an instrument in the account currency at the quotes there are; none without a rate.
    pub(super) fn money(&self, instrument: InstrumentId, points_lots: i128) -> Option<Micros> {
        self.money_of(usize::from(instrument.0), points_lots)
    }

    fn money_of(&self, index: usize, points_lots: i128) -> Option<Micros> {
        let holding = self.holdings.get(index)?;
        let amount = Instrument::profit(holding.point_value, points_lots);
        let Some(conversion) = holding.conversion else { return Some(amount) };
        let quote = self.holdings[conversion.by].quote?;
        let mid2 = i128::from(quote.bid) + i128::from(quote.ask);
        let unit2 = 2 * i128::from(conversion.points_per_unit);
        let (numerator, denominator) = if conversion.inverse { (unit2, mid2) } else { (mid2, unit2) };
        Some(Micros(saturate(i128::from(amount.0) * numerator / denominator)))
    }

    fn revalue(&mut self, index: usize) {
        let Holding { net, cost, quote, .. } = self.holdings[index];
        let (Some(quote), false) = (quote, net == 0) else {
            (self.holdings[index].unrealised, self.holdings[index].gross) = (0, 0);
            return;
        };
        let closing = if net > 0 { quote.bid } else { quote.ask };
        let profit = i128::from(net) * i128::from(closing) - cost;
        let mid2 = i128::from(quote.bid) + i128::from(quote.ask);
        if let (Some(unrealised), Some(gross)) =
            (self.money_of(index, profit), self.money_of(index, i128::from(net).abs() * mid2 / 2))
        {
            (self.holdings[index].unrealised, self.holdings[index].gross) = (unrealised.0, gross.0);
        }
    }
}

/// The nearest value that fits.
pub(super) fn saturate(value: i128) -> i64 {
    value.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}
