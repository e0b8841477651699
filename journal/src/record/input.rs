//! Inputs: the first record of a step, what came in from outside.

use super::Record;
use super::codec::{code, flags, record};
use super::step::Step;
use super::units::{ClientOrderId, FeedId, InstrumentId, Lots, Micros, Points, Side, Time};

record! {
    /// A run began. Its tail is two JSON texts: the settings that decide what the engine does (they are part of
    /// the output hash and enough to build the same pipeline again), and the environment of this run (build,
    /// machine, threading, command line, wall-clock time), which is not.
    pub struct RunStarted: kind RunStarted, version 1, size 32 {
        /// XXH3 of the settings text.
        0 settings_hash: u64,
        /// Hash of the build that ran.
        8 build_hash: u64,
        /// Bytes of the settings text.
        16 settings_len: u32,
        /// Bytes of the environment text, which follows it.
        20 environment_len: u32,
        /// How many runs this journal had before.
        24 runs_before: u32,
        /// Zero.
        28 reserved: u32,
    }

    /// A quote change from a feed (MT5's `MqlTick`).
    pub struct Tick: kind Tick, version 1, size 56 {
        /// The tick's own time as the feed gave it. May go back; the step's time does not.
        0 source_time: Time,
        /// The tick's place in its feed, from 1.
        8 source_sequence: u64,
        /// Best bid, in points; 0 if the feed gave none.
        16 bid: Points,
        /// Best ask, in points; 0 if the feed gave none.
        24 ask: Points,
        /// Last trade price, in points; 0 if none.
        32 last: Points,
        /// Volume of the last trade; 0 if none.
        40 volume: Lots,
        /// What it is a tick of.
        48 instrument: InstrumentId,
        /// Where it came from.
        50 feed: FeedId,
        /// What changed, as MT5 says it.
        52 flags: TickFlags,
        /// What ingress found wrong with it; risk adds no risk on a marked tick.
        54 marks: TickMarks,
    }

    /// What the venue says about an order.
    pub struct ExecutionReport: kind ExecutionReport, version 1, size 80 {
        /// The order, in our words; 0 if the venue does not know it as ours.
        0 client_order_id: ClientOrderId,
        /// The order, in the venue's words.
        8 venue_order_id: u64,
        /// The venue's number for this report; a report is applied once. From 1.
        16 execution_sequence: u64,
        /// The venue's time.
        24 source_time: Time,
        /// Price of this fill; for accepted or replaced orders the working price. 0 if none.
        32 price: Points,
        /// Volume of this fill (positive); 0 if this is no fill.
        40 lots: Lots,
        /// Volume still working after this report (positive).
        48 leaves_lots: Lots,
        /// Commission of this fill; positive is a cost.
        56 commission: Micros,
        /// What happened.
        64 kind: ExecutionKind,
        /// Why, for a rejection.
        66 reason: RejectReason,
        /// What was traded.
        68 instrument: InstrumentId,
        /// The order's side.
        70 side: Side,
        /// Zero.
        72 reserved: u64,
    }

    /// A periodic pulse from ingress, so that expiry, staleness and session ends happen without a tick.
    pub struct Timer: kind Timer, version 1, size 16 {
        /// When the pulse was due; equals the step's time unless pulses were skipped over a long silence.
        0 due: Time,
        /// Nanoseconds between pulses.
        8 interval_ns: i64,
    }

    /// What an operator, or the engine on its own account, asked for.
    pub struct Command: kind Command, version 1, size 32 {
        /// Number of the request at this engine, so that its answer can name the step; 0 if nobody waits for one.
        0 request: u64,
        /// The new value, in the limit's own unit; 0 for other actions.
        8 value: i64,
        /// What to do.
        16 action: CommandAction,
        /// Which limit, for `limit`.
        18 limit: LimitName,
        /// Who asked.
        20 source: CommandSource,
        /// Why, where the engine asked.
        22 reason: CommandReason,
        /// Zero.
        24 reserved: u64,
    }

    /// A feed or the venue went up, down, stale, or lost something.
    pub struct LinkChanged: kind LinkChanged, version 1, size 32 {
        /// First of what is missing (source sequences), or when it fell silent (time, ns); 0 if not known.
        0 from: i64,
        /// Last of what is missing, or when it came back; 0 if not known.
        8 to: i64,
        /// Feed or venue.
        16 link: LinkKind,
        /// What it is now.
        18 state: LinkState,
        /// Which feed, for a feed.
        20 feed: FeedId,
        /// The feed's instrument, for a feed.
        22 instrument: InstrumentId,
        /// Zero.
        24 reserved: u64,
    }

    /// An item of the venue's statement, which tells all that the account holds: its open orders, its positions, its
    /// balance, and its end. Every run begins with one, before any new risk; the engine takes over what it says.
    pub struct Reconciled: kind Reconciled, version 1, size 64 {
        /// The open order, in our words; 0 if the venue does not know it as ours, or for another item.
        0 client_order_id: ClientOrderId,
        /// The open order, in the venue's words; 0 if it has none yet, or for another item.
        8 venue_order_id: u64,
        /// The last report that the statement takes into account, by the venue's number; 0 if there was none. A report
        /// up to it that comes behind the statement is not applied any more.
        16 execution_sequence: u64,
        /// Working price of the order, 0 for a market order; average entry price of the position, 0 if not told.
        24 price: Points,
        /// Volume of the order (positive); net holding of the position, positive long, negative short.
        32 lots: Lots,
        /// Filled so far of the order.
        40 filled_lots: Lots,
        /// Balance of the account, for that item.
        48 balance: Micros,
        /// What the item tells.
        56 item: StatementItem,
        /// Of what, for an order or a position.
        58 instrument: InstrumentId,
        /// The order's side.
        60 side: Side,
        /// Zero.
        62 reserved: u16,
    }

    /// A run ended. Its tail is a text: the error that ended it, or nothing.
    pub struct RunEnded: kind RunEnded, version 1, size 64 {
        /// Ticks published by this run.
        0 ticks: u64,
        /// Duplicate ticks this run dropped.
        8 ticks_duplicate: u64,
        /// Ticks marked as running backwards in time.
        16 ticks_backwards: u64,
        /// Ticks marked as crossed (bid above ask).
        24 ticks_crossed: u64,
        /// Ticks marked for a price that is zero or negative.
        32 ticks_nonpositive: u64,
        /// Ticks marked as jumping beyond the price band.
        40 ticks_jump: u64,
        /// Ticks dropped because the configuration says so of their mark.
        48 ticks_dropped: u64,
        /// Why the run ended.
        56 reason: EndReason,
        /// Zero.
        58 reserved: u16,
        /// Zero.
        60 reserved2: u32,
    }
}

impl RunStarted {
    /// Appends the record to a step, with its two texts and their lengths.
    ///
    /// # Panics
    /// As [`Step::push`].
    pub fn push(&self, step: &mut Step, settings: &str, environment: &str) {
        let own =
            Self { settings_len: settings.len() as u32, environment_len: environment.len() as u32, ..*self };
        step.push_with_tail(&own, [settings, environment].concat().as_bytes());
    }

    /// The settings and the environment texts of the record that holds this body.
    #[must_use]
    pub fn texts<'a>(&self, record: &Record<'a>) -> (&'a str, &'a str) {
        let tail = record.tail_text::<Self>();
        let settings = tail.get(..self.settings_len as usize).unwrap_or("");
        let rest = tail.get(self.settings_len as usize..).unwrap_or("");
        (settings, rest.get(..self.environment_len as usize).unwrap_or(""))
    }
}

flags! {
    /// What changed with a tick: MT5's `TICK_FLAG_*` (MQL5 reference, MqlTick).
    pub struct TickFlags: u16 {
        /// The bid changed.
        BID = 1 "bid",
        /// The ask changed.
        ASK = 2 "ask",
        /// The last trade price changed.
        LAST = 3 "last",
        /// The volume changed.
        VOLUME = 4 "volume",
        /// The last trade was a buy.
        BUY = 5 "buy",
        /// The last trade was a sell.
        SELL = 6 "sell",
    }

    /// What ingress found wrong with a tick.
    pub struct TickMarks: u16 {
        /// Its own time lies before that of an earlier tick.
        BACKWARDS = 0 "backwards",
        /// The same time and prices as the tick before.
        DUPLICATE = 1 "duplicate",
        /// Bid above ask.
        CROSSED = 2 "crossed",
        /// Bid or ask is zero or negative.
        NONPOSITIVE = 3 "nonpositive",
        /// Further from the tick before than the price band allows.
        JUMP = 4 "jump",
        /// The first tick after a gap in its feed.
        GAP = 5 "gap",
    }
}

impl TickMarks {
    /// Marks that leave the prices without meaning: such a tick updates no window, bar or valuation.
    pub const UNUSABLE: Self =
        Self(Self::CROSSED.0 | Self::NONPOSITIVE.0 | Self::JUMP.0 | Self::BACKWARDS.0 | Self::DUPLICATE.0);
}

impl Tick {
    /// Bid plus ask: the mid price in half points, exact.
    #[must_use]
    pub const fn mid2(&self) -> i64 {
        self.bid.0 + self.ask.0
    }

    /// Whether windows, bars and valuations may use the prices.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        !self.marks.any(TickMarks::UNUSABLE)
    }
}

code! {
    /// What a venue says happened to an order (FIX tag 150, ExecType).
    pub struct ExecutionKind: u16 {
        /// The order works at the venue.
        ACCEPTED = 1 "accepted",
        /// The venue refused the order.
        REJECTED = 2 "rejected",
        /// Part of the order was filled, the rest works on.
        PARTIALLY_FILLED = 3 "partially_filled",
        /// The order, or what was left of it, was filled.
        FILLED = 4 "filled",
        /// The order was cancelled; what was filled stays filled.
        CANCELLED = 5 "cancelled",
        /// The order's time ran out; what was filled stays filled.
        EXPIRED = 6 "expired",
        /// The order works at a new price or volume.
        REPLACED = 7 "replaced",
        /// The cancel was refused: the order stands as it was.
        CANCEL_REJECTED = 8 "cancel_rejected",
        /// The replace was refused: the order stands as it was.
        REPLACE_REJECTED = 9 "replace_rejected",
        /// Nobody knows what became of the order; to be reconciled.
        UNKNOWN = 10 "unknown",
    }

    /// Why a venue refused something.
    pub struct RejectReason: u16 {
        /// It did not.
        NONE = 0 "none",
        /// The venue gave no reason, or a random one of the paper venue.
        VENUE = 1 "venue",
        /// There is no price to trade at.
        NO_QUOTE = 2 "no_quote",
        /// The market moved further than the order allows.
        PRICE_MOVED = 3 "price_moved",
        /// Volume outside the instrument's minimum, maximum or step.
        VOLUME = 4 "volume",
        /// The venue does not know the order.
        UNKNOWN_ORDER = 5 "unknown_order",
        /// The order is already final.
        TOO_LATE = 6 "too_late",
        /// The same client order id came before.
        DUPLICATE_ID = 7 "duplicate_id",
        /// The order could not be filled at once, and was only to be so.
        NOT_FILLABLE = 8 "not_fillable",
    }

    /// What an operator can ask of a running engine.
    pub struct CommandAction: u16 {
        /// Add no risk until `resume`.
        HALT = 1 "halt",
        /// Lift a halt or reduce-only.
        RESUME = 2 "resume",
        /// Only orders that bring a position nearer to zero.
        REDUCE_ONLY = 3 "reduce-only",
        /// Halt, cancel every working order and close every position.
        FLATTEN = 4 "flatten",
        /// Change one limit.
        LIMIT = 5 "limit",
        /// Change nothing: the engine only says what happened, as an alert.
        NOTE = 6 "note",
    }

    /// Who asked for a command.
    pub struct CommandSource: u16 {
        /// A person or a program, over the control socket.
        OPERATOR = 0 "operator",
        /// The engine itself, because of its environment.
        ENGINE = 1 "engine",
    }

    /// Why the engine asked for a command.
    pub struct CommandReason: u16 {
        /// It did not.
        NONE = 0 "none",
        /// One segment of the journal stands ready, and another could not be made.
        JOURNAL_LOW = 1 "journal_low",
        /// None stands ready, and none could be made.
        JOURNAL_OUT = 2 "journal_out",
        /// The pipeline fell so far behind a live feed that the ring was full.
        RING_FULL = 3 "ring_full",
    }

    /// A risk limit, by its configuration key.
    pub struct LimitName: u16 {
        /// Not a limit.
        NONE = 0 "none",
        /// Largest net position of one instrument with its working orders, in 1e-8 lots.
        MAX_POSITION = 1 "max_position",
        /// Largest single order, in 1e-8 lots.
        MAX_ORDER = 2 "max_order",
        /// Furthest an order price may be from the last quote, in millionths.
        PRICE_BAND = 3 "price_band",
        /// Oldest quote to trade on, ns.
        MAX_QUOTE_AGE = 4 "max_quote_age",
        /// Oldest prediction to trade on, ns.
        MAX_PREDICTION_AGE = 5 "max_prediction_age",
        /// Widest spread to trade on, points.
        MAX_SPREAD = 6 "max_spread",
        /// Most order messages in any one minute.
        MAX_ORDER_RATE = 7 "max_order_rate",
        /// Most orders working at once.
        MAX_OPEN_ORDERS = 8 "max_open_orders",
        /// Largest loss since the start of the day, millionths of the account currency.
        MAX_DAILY_LOSS = 9 "max_daily_loss",
        /// Deepest fall of equity from its peak, millionths of the peak.
        MAX_DRAWDOWN = 10 "max_drawdown",
    }

    /// What an item of a venue's statement tells.
    pub struct StatementItem: u16 {
        /// An order that is open, on its way to the venue included.
        ORDER = 1 "order",
        /// What is held of an instrument; flat ones need not be told.
        POSITION = 2 "position",
        /// The balance; a venue that keeps none leaves it out.
        BALANCE = 3 "balance",
        /// That was all.
        END = 4 "end",
    }

    /// Which side of the engine a link leads to.
    pub struct LinkKind: u16 {
        /// Where ticks come from.
        FEED = 1 "feed",
        /// Where orders go.
        VENUE = 2 "venue",
    }

    /// What a link is now.
    pub struct LinkState: u16 {
        /// It delivers.
        UP = 1 "up",
        /// It is gone.
        DOWN = 2 "down",
        /// It lost something between `from` and `to`, and goes on.
        GAP = 3 "gap",
        /// It is connected and says nothing.
        STALE = 4 "stale",
    }

    /// Why a run ended.
    pub struct EndReason: u16 {
        /// Every feed came to its end.
        FEED_ENDED = 1 "feed_ended",
        /// A signal or an operator stopped it.
        STOPPED = 2 "stopped",
        /// A feed's content could not be read any further.
        FEED_FAILED = 3 "feed_failed",
        /// The environment failed (disk, memory, a thread).
        ENVIRONMENT_FAILED = 4 "environment_failed",
    }
}
