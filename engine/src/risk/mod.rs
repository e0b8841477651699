//! The risk stage: limits, exposure, equity and the halt; a verdict for every intent.
//!
//! ```text
//!             quotes   reports   commands   links   time
//!                |        |         |         |       |
//!                v        v         v         v       v
//!            [ desk per instrument | account | book of orders | latch | limits | rate ]
//!                                        |
//!  Signal ---> intent ---> size ---> reasons ---> Verdict ---> Approved ---> order stage
//! ```
//!
//! What it keeps, and to what end:
//! - a *desk* per instrument: quote, net position at average cost, profit, the last signal, what is being closed;
//! - the *account*: balance, equity, peak, drawdown, the day's base;
//! - the *book*: every order it approved, counted from the moment of approval. It sees each report before the order
//!   stage does and applies it to a book of its own by the same code, so it needs nobody else's state;
//! - the *latch*: halted or reduce-only. A daily loss or drawdown that reaches its limit halts, and so does a
//!   disk without room for the journal; whatever halted, only the command `resume` lifts it. Resuming restarts what had halted: the day's base after a daily loss, the
//!   peak after a drawdown. A new day restarts the daily loss but lifts no halt. The start of a run changes nothing,
//!   so a halt survives a restart that rebuilds the state from the journal.
//!
//! Invariants: no money in floats; a fill counts even when its order is unknown, over-filled or final, and counts
//! once; per step at most one new order per instrument and one cancel or replace per order; a refusal is written
//! when it differs from the last one of its instrument and source in side, action or reasons, so that a standing
//! refusal does not flood the journal. [`Reasons::VOLUME_STEP`](pawl_journal::record::Reasons::VOLUME_STEP) has no
//! producer here: volumes are counts of whole volume steps, so none can miss its step.

mod account;
mod approved;
mod close;
mod desk;
mod intent;
mod latch;
mod limits;
mod market;
mod money;
mod position;
mod rate;
mod reconcile;
mod stage;
mod view;

pub use approved::Approved;
pub use latch::Mode;
pub use limits::{limit_problem, limit_text, limit_value};
pub use view::{PositionView, RiskView};

use pawl_journal::record::{EquityChanged, InstrumentId, LimitName, LinkState, Lots};
use serde::{Deserialize, Serialize};

use self::account::Account;
use self::desk::Desk;
use self::latch::Latch;
use self::limits::Limits;
use self::money::Conversion;
use self::rate::OrderRate;
use crate::instrument::{INSTRUMENTS_MAX, InstrumentError, find};
use crate::order::{Book, OrderEntry, OrderStyle};
use crate::quantity::{Decimal, Ppm, Span};
use crate::settings::Settings;
use crate::stateful;

/// Limits and sizing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RiskSettings {
    /// Largest net position of one instrument, working orders counted, in lots.
    pub max_position: Decimal,
    /// Largest order of a signal, in lots. May exceed `max_position`: one order closes and reverses.
    pub max_order: Decimal,
    /// Furthest an order price may be from the last quote.
    pub price_band: Ppm,
    /// Oldest quote to trade on.
    pub max_quote_age: Span,
    /// Oldest prediction to trade on.
    pub max_prediction_age: Span,
    /// Widest spread to trade on, in points; 0 takes each instrument's own.
    pub max_spread: i64,
    /// Most order messages (new, cancel, replace) in any one minute; at most 1024.
    pub max_order_rate: u32,
    /// Most orders working at once; at most 64.
    pub max_open_orders: u32,
    /// Largest loss since the start of the day (UTC), in the account currency: halts.
    pub max_daily_loss: Decimal,
    /// Deepest fall of equity from its peak: halts.
    pub max_drawdown: Ppm,
    /// Part of the equity that one position may lose over `stop_points`.
    pub risk_fraction: Ppm,
    /// Adverse move, in points, that the sizing assumes; a position that loses so many points is closed.
    pub stop_points: i64,
    /// After an order that ended without a fill, the same side of the same instrument is not tried again for so long.
    pub retry_after: Span,
}

impl Default for RiskSettings {
    fn default() -> Self {
        Self {
            max_position: Decimal(Decimal::ONE),
            max_order: Decimal(Decimal::ONE),
            price_band: Ppm(10_000),
            max_quote_age: Span::seconds(5),
            max_prediction_age: Span::seconds(120),
            max_spread: 0,
            max_order_rate: 60,
            max_open_orders: 8,
            max_daily_loss: Decimal(2_000 * Decimal::ONE),
            max_drawdown: Ppm(100_000),
            risk_fraction: Ppm(1_000),
            stop_points: 0,
            retry_after: Span::seconds(5),
        }
    }
}

/// Why the risk stage cannot be built. Every message names the key and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RiskError {
    /// A limit or sizing value out of its range.
    #[error("risk.{key} = {value}: {problem}")]
    Limit {
        /// Which key.
        key: &'static str,
        /// The value found.
        value: String,
        /// What would be right.
        problem: &'static str,
    },
    /// A volume limit under which an instrument could never be traded.
    #[error(
        "risk.{key} = {value} is below the smallest order of {symbol} ({volume_min}): raise it, or take {symbol} out of \
         the instruments"
    )]
    BelowMinVolume {
        /// Which key.
        key: &'static str,
        /// The value found, in lots.
        value: Decimal,
        /// Which instrument.
        symbol: String,
        /// Its smallest order, in lots.
        volume_min: Decimal,
    },
    /// An opening balance that nothing can be sized from.
    #[error("account.balance = {value}: write the opening balance in {currency}, above 0")]
    Balance {
        /// The value found.
        value: Decimal,
        /// The account currency.
        currency: String,
    },
    /// More instruments than an engine holds, or none.
    #[error("instruments: {count} configured: configure between 1 and {INSTRUMENTS_MAX}")]
    Instruments {
        /// How many.
        count: usize,
    },
    /// A wrong instrument definition.
    #[error(transparent)]
    Instrument(#[from] InstrumentError),
    /// The profit currency is not the account's and nothing converts it.
    #[error(
        "instrument {symbol}: its profit arises in {currency} and the account is in {account}: set `conversion` to an \
         instrument that is priced in one of them per unit of the other"
    )]
    ConversionMissing {
        /// Which instrument.
        symbol: String,
        /// Its profit currency.
        currency: String,
        /// The account currency.
        account: String,
    },
    /// The converting instrument is not one of the instruments.
    #[error(
        "instrument {symbol}: conversion = \"{conversion}\" is no configured instrument: add it, with a feed for its quotes"
    )]
    ConversionUnknown {
        /// Which instrument.
        symbol: String,
        /// The symbol that was to convert.
        conversion: String,
    },
    /// Profit that needs no conversion has one.
    #[error(
        "instrument {symbol}: conversion = \"{conversion}\": its profit arises in the account currency, remove the key"
    )]
    ConversionNeedless {
        /// Which instrument.
        symbol: String,
        /// The symbol that was to convert.
        conversion: String,
    },
}

/// How much a signal is worth.
#[derive(Debug, Clone, Copy)]
struct Sizing {
    fraction_ppm: i64,
    retry_after_ns: i64,
}

/// How its orders are to be worked.
#[derive(Debug, Clone, Copy)]
struct Terms {
    style: OrderStyle,
    limit_offset: i64,
    reprice_points: i64,
    valid_for_ns: i64,
    deviation: i64,
}

/// The risk stage.
#[derive(Debug, Clone)]
pub struct Risk {
    desks: Box<[Desk]>,
    limits: Limits,
    sizing: Sizing,
    terms: Terms,
    account: Account,
    latch: Latch,
    book: Book,
    rate: OrderRate,
    venue: LinkState,
    /// One bit per instrument whose value depends on a quote.
    valued: u64,
    /// One bit per instrument that is being closed.
    closing: u64,
    /// The venue has not said in this run what it holds.
    reconciling: bool,
    /// One bit per instrument whose position its statement told so far.
    stated: u64,
    /// New orders approved in this step.
    news: u64,
}

stateful!(Risk {
    desks, limits, account, latch, book, rate, venue, valued, closing, reconciling, stated,
} but {
    sizing, terms, news,
});

impl Risk {
    /// Builds the stage with nothing held and nothing working.
    ///
    /// # Errors
    /// [`RiskError`] for limits that make no sense or contradict the instruments or the account.
    pub fn new(settings: &Settings) -> Result<Self, RiskError> {
        let risk = &settings.risk;
        let count = settings.instruments.len();
        if count == 0 || count > INSTRUMENTS_MAX {
            return Err(RiskError::Instruments { count });
        }
        settings.instruments.iter().try_for_each(crate::instrument::Instrument::validate)?;
        let (value, currency) = (settings.account.balance, settings.account.currency.clone());
        if value.0 <= 0 {
            return Err(RiskError::Balance { value, currency });
        }
        Ok(Self {
            desks: desks(settings)?,
            limits: Limits::new(settings)?,
            sizing: sizing(risk)?,
            terms: Terms {
                style: settings.order.order_type,
                limit_offset: settings.order.limit_offset,
                reprice_points: settings.order.reprice_points,
                valid_for_ns: settings.order.valid_for.0,
                deviation: settings.order.deviation,
            },
            account: Account::new(value.to_micros()),
            latch: Latch::default(),
            book: Book::new(&settings.order),
            rate: OrderRate::new(),
            venue: LinkState::UP,
            valued: 0,
            closing: 0,
            reconciling: false,
            stated: 0,
            news: 0,
        })
    }

    /// A limit's value, in its own unit; see [`limit_text`] for people. 0 for what is no limit.
    #[must_use]
    pub fn limit(&self, name: LimitName) -> i64 {
        self.limits.get(name)
    }

    /// Whether an operator or a limit halted the engine.
    #[must_use]
    pub const fn is_halted(&self) -> bool {
        self.latch.is_halted()
    }

    /// How freely the engine trades.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.latch.mode()
    }

    /// The account as it is now, as the journal would tell it.
    #[must_use]
    pub fn account(&self) -> EquityChanged {
        let mut account = self.account;
        account.tell()
    }

    /// The net position of an instrument, in volume steps; 0 for one that is not configured.
    #[must_use]
    pub fn position_lots(&self, instrument: InstrumentId) -> Lots {
        Lots(self.desks.get(usize::from(instrument.0)).map_or(0, |desk| desk.position.net))
    }

    /// The orders that risk counts, oldest first: after every step the same as the order stage holds.
    #[must_use]
    pub fn live(&self) -> &[OrderEntry] {
        self.book.live()
    }

    /// Order messages in the minute that ends at `now`.
    #[must_use]
    pub fn order_rate(&self, now: pawl_journal::record::Time) -> usize {
        self.rate.last_minute(now)
    }
}

fn sizing(risk: &RiskSettings) -> Result<Sizing, RiskError> {
    let fail = |key, value: String, problem| Err(RiskError::Limit { key, value, problem });
    if !(1..=1_000_000).contains(&risk.risk_fraction.0) {
        let problem = "write a percentage above 0% and at most 100%";
        return fail("risk_fraction", risk.risk_fraction.to_string(), problem);
    }
    if !(0..=1_000_000_000).contains(&risk.stop_points) {
        let problem = "write points from 1 to 1000000000, or 0 for each instrument's own";
        return fail("stop_points", risk.stop_points.to_string(), problem);
    }
    if risk.retry_after.0 < 0 {
        return fail("retry_after", risk.retry_after.to_string(), "write a duration, such as \"5s\"");
    }
    Ok(Sizing { fraction_ppm: risk.risk_fraction.0, retry_after_ns: risk.retry_after.0 })
}

fn desks(settings: &Settings) -> Result<Box<[Desk]>, RiskError> {
    let id = |index: usize| InstrumentId(u16::try_from(index).expect("at most 64 instruments"));
    let mut desks: Box<[_]> =
        settings.instruments.iter().enumerate().map(|(index, it)| Desk::new(id(index), it)).collect();
    if settings.risk.stop_points > 0 {
        desks.iter_mut().for_each(|desk| desk.stop_points = settings.risk.stop_points);
    }
    for (index, instrument) in settings.instruments.iter().enumerate() {
        let symbol = instrument.symbol.clone();
        let is_foreign = instrument.currency != settings.account.currency;
        let Some(conversion) = instrument.conversion.clone() else {
            if is_foreign {
                let (currency, account) = (instrument.currency.clone(), settings.account.currency.clone());
                return Err(RiskError::ConversionMissing { symbol, currency, account });
            }
            continue;
        };
        if !is_foreign {
            return Err(RiskError::ConversionNeedless { symbol, conversion });
        }
        let Some((by, it)) = find(&settings.instruments, &conversion) else {
            return Err(RiskError::ConversionUnknown { symbol, conversion });
        };
        let by = usize::from(by.0);
        desks[by].converts |= 1 << index;
        desks[index].conversion = Some(Conversion {
            by,
            inverse: instrument.conversion_inverse,
            points_per_unit: 10_i64.pow(u32::from(it.digits)),
        });
    }
    Ok(desks)
}

/// The indices of the bits that are set, lowest first.
#[derive(Debug, Clone, Copy)]
struct Bits(u64);

impl Iterator for Bits {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let index = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        (index < 64).then_some(index as usize)
    }
}
