//! `RiskView`: the stage's whole state in the units of people, as `pawl state` and `pawl ctl status` print it.

use std::collections::BTreeMap;

use pawl_journal::record::{LinkState, Micros, Side};
use serde::Serialize;

use super::desk::Desk;
use super::{Mode, Risk};
use crate::order::OrderView;
use crate::quantity::{Decimal, Ppm};

/// The risk stage's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RiskView {
    /// How freely the engine trades.
    pub mode: Mode,
    /// Why it is not active: `halt`, `flatten`, `daily_loss`, `drawdown`, `reduce-only`, `journal_low`, `journal_out`,
    /// `ring_full`, `reconcile`.
    pub causes: Vec<&'static str>,
    /// Opening balance plus realised profit less commission, account currency.
    pub balance: Decimal,
    /// Balance plus unrealised profit.
    pub equity: Decimal,
    /// Highest equity, or since a drawdown halt was resumed.
    pub peak: Decimal,
    /// Fall of the equity from its peak.
    pub drawdown: Ppm,
    /// Deepest drawdown so far.
    pub drawdown_max: Ppm,
    /// Equity less equity at the start of the day (UTC).
    pub daily: Decimal,
    /// Whether the venue is up.
    pub venue_up: bool,
    /// Every instrument.
    pub positions: Vec<PositionView>,
    /// Orders that live, oldest first.
    pub orders: Vec<OrderView>,
    /// The limits in force, by name, as the settings write them.
    pub limits: BTreeMap<&'static str, String>,
}

/// One instrument's position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PositionView {
    /// Of what.
    pub symbol: String,
    /// Net holding in lots: positive long, negative short.
    pub net: Decimal,
    /// Average entry price; absent if flat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_price: Option<Decimal>,
    /// Realised since the journal began, account currency, without commission.
    pub realised: Decimal,
    /// Profit that closing at the last quote would realise.
    pub unrealised: Decimal,
    /// Commission paid since the journal began.
    pub commission: Decimal,
    /// Working to buy, in lots.
    pub working_buy: Decimal,
    /// Working to sell, in lots.
    pub working_sell: Decimal,
    /// Last usable bid; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bid: Option<String>,
    /// Last usable ask; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
    /// Whether its feed delivers.
    pub feed_up: bool,
}

impl Risk {
    /// The stage's whole state, for people and programs.
    #[must_use]
    pub fn state(&self) -> RiskView {
        let account = &self.account;
        let instruments: Vec<_> = self.desks.iter().map(|desk| desk.instrument.clone()).collect();
        RiskView {
            mode: self.mode(),
            causes: self.latch.causes(),
            balance: money(account.balance),
            equity: money(account.equity()),
            peak: money(account.peak),
            drawdown: Ppm(account.drawdown_ppm),
            drawdown_max: Ppm(account.drawdown_ppm_max),
            daily: money(account.daily()),
            venue_up: self.venue == LinkState::UP,
            positions: self.desks.iter().map(|desk| self.position(desk)).collect(),
            orders: self.book.live().iter().map(|order| OrderView::new(order, &instruments)).collect(),
            limits: self.limits.view().into_iter().collect(),
        }
    }

    fn position(&self, desk: &Desk) -> PositionView {
        let instrument = &desk.instrument;
        let volume = |lots| instrument.volume(pawl_journal::record::Lots(lots));
        let price = |points| {
            desk.market.is_quoted().then(|| instrument.price_text(pawl_journal::record::Points(points)))
        };
        PositionView {
            symbol: instrument.symbol.clone(),
            net: volume(desk.position.net),
            average_price: average(desk),
            realised: money(desk.realised),
            unrealised: money(desk.unrealised),
            commission: money(desk.commission),
            working_buy: volume(self.book.working(desk.id, Side::BUY)),
            working_sell: volume(self.book.working(desk.id, Side::SELL)),
            bid: price(desk.market.bid),
            ask: price(desk.market.ask),
            feed_up: desk.market.feed == LinkState::UP,
        }
    }
}

fn money(amount: Micros) -> Decimal {
    Decimal(amount.0.saturating_mul(100))
}

/// Cost over net, to eight decimals.
fn average(desk: &Desk) -> Option<Decimal> {
    let position = &desk.position;
    let scale = 10_i128.pow(8 - u32::from(desk.instrument.digits));
    let price = position.cost.saturating_mul(scale).checked_div(i128::from(position.net))?;
    i64::try_from(price).ok().map(Decimal)
}
