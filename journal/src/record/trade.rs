//! Outputs that concern orders and money: requests, the life of orders, positions, equity, alerts.

use super::codec::{code, record};
use super::units::{ClientOrderId, InstrumentId, Lots, Micros, Points, Side, Time};

record! {
    /// What the gateway is to send to the venue.
    pub struct OrderRequest: kind OrderRequest, version 1, size 56 {
        /// The order it makes, cancels, replaces or asks for.
        0 client_order_id: ClientOrderId,
        /// Volume (positive); the new total volume for a replace, 0 for a cancel or a question.
        8 lots: Lots,
        /// Limit price; for a market order the worst acceptable one, 0 is any.
        16 price: Points,
        /// The venue is to drop the order after this time; 0 is never.
        24 valid_until: Time,
        /// Quote age at the decision, ns.
        32 quote_age_ns: i64,
        /// Of what.
        40 instrument: InstrumentId,
        /// Which way.
        42 side: Side,
        /// New, cancel, replace or query.
        44 action: OrderAction,
        /// Market or limit.
        46 order_type: OrderType,
        /// How long it may work.
        48 time_in_force: TimeInForce,
        /// Zero.
        50 reserved: u16,
        /// Zero.
        52 reserved2: u32,
    }

    /// An order went from one state to another.
    pub struct OrderChanged: kind OrderChanged, version 1, size 56 {
        /// The order.
        0 client_order_id: ClientOrderId,
        /// Its volume.
        8 lots: Lots,
        /// Filled so far.
        16 filled_lots: Lots,
        /// Sum of price times lots over its fills, points x lots; divided by `filled_lots` the average price.
        24 filled_cost: i64,
        /// Its working price; 0 for a market order.
        32 price: Points,
        /// Of what.
        40 instrument: InstrumentId,
        /// Which way.
        42 side: Side,
        /// State before.
        44 from: OrderState,
        /// State after.
        46 to: OrderState,
        /// What moved it.
        48 event: OrderEvent,
        /// Zero.
        50 reserved: u16,
        /// Zero.
        52 reserved2: u32,
    }

    /// A net holding changed.
    pub struct PositionChanged: kind PositionChanged, version 1, size 56 {
        /// Net holding: positive long, negative short.
        0 net_lots: Lots,
        /// Sum of price times signed lots of what is open, points x lots; divided by `net_lots` the average entry price.
        8 entry_cost: i64,
        /// Realised profit of this instrument since the journal began, without commission.
        16 realised: Micros,
        /// Profit that closing at the current quote would realise.
        24 unrealised: Micros,
        /// Commission paid for this instrument since the journal began.
        32 commission: Micros,
        /// Volume still working to buy.
        40 working_buy_lots: u32,
        /// Volume still working to sell.
        44 working_sell_lots: u32,
        /// Of what.
        48 instrument: InstrumentId,
        /// Zero.
        50 reserved: u16,
        /// Zero.
        52 reserved2: u32,
    }

    /// The account changed.
    pub struct EquityChanged: kind EquityChanged, version 1, size 48 {
        /// Opening balance plus realised profit less commission.
        0 balance: Micros,
        /// Balance plus unrealised profit.
        8 equity: Micros,
        /// Highest equity so far, or since a drawdown halt was resumed.
        16 peak: Micros,
        /// Peak less equity, in millionths of the peak.
        24 drawdown_ppm: i64,
        /// Deepest drawdown so far, in millionths of the peak of its time.
        32 drawdown_ppm_max: i64,
        /// Equity less equity at the start of the day (UTC), or since a daily-loss halt of this day was resumed.
        40 daily: Micros,
    }

    /// Something an operator should know.
    pub struct Alert: kind Alert, version 1, size 40 {
        /// The order concerned; 0 if none.
        0 client_order_id: ClientOrderId,
        /// What was seen, in the code's own unit.
        8 observed: i64,
        /// What was allowed or expected, in the same unit.
        16 limit: i64,
        /// The instrument concerned.
        24 instrument: InstrumentId,
        /// What it is.
        26 code: AlertCode,
        /// How bad.
        28 severity: Severity,
        /// Zero.
        30 reserved: u16,
        /// Zero.
        32 reserved2: u64,
    }
}

code! {
    /// What is to be done with an order (FIX messages D, F, G, H).
    pub struct OrderAction: u16 {
        /// Place a new one.
        NEW = 1 "new",
        /// Cancel one.
        CANCEL = 2 "cancel",
        /// Change price or volume of one.
        REPLACE = 3 "replace",
        /// Say what became of one whose outcome is not known.
        QUERY = 4 "query",
    }

    /// Market or limit (FIX tag 40).
    pub struct OrderType: u16 {
        /// At the price there is.
        MARKET = 1 "market",
        /// At the limit price or better.
        LIMIT = 2 "limit",
    }

    /// How long an order may work (FIX tag 59).
    pub struct TimeInForce: u16 {
        /// Fill what can be filled at once, cancel the rest.
        IOC = 1 "ioc",
        /// Fill all at once or nothing.
        FOK = 2 "fok",
        /// Until it is cancelled or its validity ends.
        GTC = 3 "gtc",
    }

    /// Where an order is in its life.
    pub struct OrderState: u16 {
        /// It does not exist.
        NONE = 0 "none",
        /// Requested, not yet answered.
        PENDING_NEW = 1 "pending_new",
        /// Works at the venue.
        WORKING = 2 "working",
        /// Works at the venue, part of it filled.
        PARTIALLY_FILLED = 3 "partially_filled",
        /// Cancel requested, not yet answered.
        PENDING_CANCEL = 4 "pending_cancel",
        /// Replace requested, not yet answered.
        PENDING_REPLACE = 5 "pending_replace",
        /// Its outcome is not known; to be reconciled, never sent again blindly.
        UNKNOWN = 6 "unknown",
        /// Final: filled.
        FILLED = 7 "filled",
        /// Final: cancelled.
        CANCELLED = 8 "cancelled",
        /// Final: expired.
        EXPIRED = 9 "expired",
        /// Final: rejected.
        REJECTED = 10 "rejected",
    }

    /// What moved an order.
    pub struct OrderEvent: u16 {
        /// We requested it.
        SUBMIT = 1 "submit",
        /// We requested its cancel.
        CANCEL = 2 "cancel",
        /// We requested its replace.
        REPLACE = 3 "replace",
        /// The venue accepted it.
        ACCEPTED = 4 "accepted",
        /// The venue rejected it.
        REJECTED = 5 "rejected",
        /// A partial fill.
        PARTIALLY_FILLED = 6 "partially_filled",
        /// The last fill.
        FILLED = 7 "filled",
        /// The venue cancelled it.
        CANCELLED = 8 "cancelled",
        /// Its time ran out.
        EXPIRED = 9 "expired",
        /// The venue replaced it.
        REPLACED = 10 "replaced",
        /// The venue refused the cancel.
        CANCEL_REJECTED = 11 "cancel_rejected",
        /// The venue refused the replace.
        REPLACE_REJECTED = 12 "replace_rejected",
        /// No answer within the time allowed, or the venue does not know.
        UNKNOWN = 13 "unknown",
        /// We asked what became of it.
        QUERY = 14 "query",
        /// The venue's statement lists it.
        RECONCILED = 15 "reconciled",
    }

    /// How bad.
    pub struct Severity: u16 {
        /// Good to know.
        INFO = 1 "info",
        /// Should be looked at.
        WARNING = 2 "warning",
        /// Trading is stopped or should be.
        CRITICAL = 3 "critical",
    }

    /// What an alert is about.
    pub struct AlertCode: u16 {
        /// An operator halted the engine.
        HALTED = 1 "halted",
        /// An operator lifted a halt or reduce-only.
        RESUMED = 2 "resumed",
        /// An operator set reduce-only.
        REDUCE_ONLY = 3 "reduce_only",
        /// An operator asked to flatten.
        FLATTEN = 4 "flatten",
        /// A limit was changed; observed is the new value, limit the old one.
        LIMIT_CHANGED = 5 "limit_changed",
        /// The daily loss reached its limit: halted.
        DAILY_LOSS = 6 "daily_loss",
        /// The drawdown reached its limit: halted.
        DRAWDOWN = 7 "drawdown",
        /// A report that the order's state does not allow; observed is the state, limit the report.
        IMPOSSIBLE_REPORT = 8 "impossible_report",
        /// A report about an order we do not know, or an open order in the venue's statement that is not ours or has ended
        /// for us; observed is the report, 0 for a statement, which halts.
        UNKNOWN_ORDER = 9 "unknown_order",
        /// A fill larger than what was left of the order.
        OVERFILL = 10 "overfill",
        /// A fill that came after the order was cancelled or expired. Real, and counted.
        LATE_FILL = 11 "late_fill",
        /// A report that was applied before.
        DUPLICATE_REPORT = 12 "duplicate_report",
        /// An order was not answered in time; its outcome is unknown.
        ORDER_UNKNOWN = 13 "order_unknown",
        /// A link went down, stale or lost something.
        LINK = 14 "link",
        /// More orders than the engine may hold.
        ORDER_CAPACITY = 15 "order_capacity",
        /// A command that was not obeyed: an unknown action or limit, or a value that makes no sense; observed is
        /// the value, limit the one that stays in force.
        COMMAND_REFUSED = 16 "command_refused",
        /// The disk has room for one more segment of the journal: the engine set itself reduce-only.
        JOURNAL_LOW = 17 "journal_low",
        /// The disk has no room for another segment of the journal: the engine halted itself.
        JOURNAL_OUT = 18 "journal_out",
        /// The venue's statement tells an order otherwise than we knew it: taken over, and halted; observed is its filled
        /// volume, limit what we knew, in volume steps.
        ORDER_DIFFERS = 19 "order_differs",
        /// The venue's statement tells another position: taken over, and halted; observed is the venue's, limit ours, in
        /// volume steps.
        POSITION_DIFFERS = 20 "position_differs",
        /// The venue's statement tells another balance: not taken over; observed is the venue's, limit ours, in
        /// millionths.
        BALANCE_DIFFERS = 21 "balance_differs",
        /// The pipeline fell so far behind a live feed that the ring was full: the engine halted itself, or only says so,
        /// as the configuration has it.
        RING_FULL = 22 "ring_full",
    }
}

impl OrderState {
    /// Whether nothing more can happen to the order (late fills aside).
    #[must_use]
    pub const fn is_final(self) -> bool {
        self.0 >= Self::FILLED.0
    }
}
