//! Outputs of feature, inference and risk: bars, vectors, predictions, the signal, verdicts; and the stamps.

use super::codec::{code, flags, record};
use super::trade::{OrderAction, OrderType, TimeInForce};
use super::units::{AgentId, ClientOrderId, InstrumentId, Lots, Points, Side, Time};

/// Most classes a prediction may have.
pub const CLASSES_MAX: usize = 4;

/// Most columns a feature vector may have.
pub const FEATURE_COLUMNS_MAX: usize = 128;

record! {
    /// A bar closed. Prices are bids, as MT5 draws them.
    pub struct BarClosed: kind BarClosed, version 1, size 72 {
        /// Start of the bar's interval; for tick bars the time of its first tick.
        0 open_time: Time,
        /// End of the bar's interval (exclusive); for tick bars the time of its last tick.
        8 close_time: Time,
        /// First bid.
        16 open: Points,
        /// Highest bid.
        24 high: Points,
        /// Lowest bid.
        32 low: Points,
        /// Last bid.
        40 close: Points,
        /// Volume traded in it; with quote-only feeds the number of ticks.
        48 volume: u64,
        /// Ticks in it.
        56 ticks: u32,
        /// What it is a bar of.
        60 instrument: InstrumentId,
        /// Zero.
        62 reserved: u16,
        /// Number of the bar in this instrument, from 1.
        64 number: u64,
    }

    /// A feature vector. Its tail is one `f32` per configured column, padded with none.
    pub struct Features: kind Features, version 1, size 16 {
        /// Hash of the names, order and parameters of the columns.
        0 schema_hash: u64,
        /// What it describes.
        8 instrument: InstrumentId,
        /// Columns in the tail.
        10 columns: u16,
        /// 1 if every column has had the input its definition needs, 0 during warm-up.
        12 ready: u16,
        /// Zero.
        14 reserved: u16,
    }

    /// What one agent says of one feature vector.
    pub struct Prediction: kind Prediction, version 1, size 48 {
        /// First eight bytes of the SHA-256 of the model file; for a rule the hash of its text.
        0 model_hash: u64,
        /// Nanoseconds between the vector's time and this prediction's; 0 when scored on this step's vector.
        8 age_ns: i64,
        /// Probability of each class; unused classes are 0.
        16 probabilities: [f32; CLASSES_MAX],
        /// From -1 (surely down) to +1 (surely up).
        32 score: f32,
        /// Who says it.
        36 agent: AgentId,
        /// Of what.
        38 instrument: InstrumentId,
        /// How many classes the model has.
        40 classes: u16,
        /// The agent's own answer after its thresholds: 1 up, 0 flat, 65535 (-1) down.
        42 vote: Vote,
        /// Zero.
        44 reserved: u32,
    }

    /// What all agents together say.
    pub struct Signal: kind Signal, version 1, size 32 {
        /// Age of the oldest prediction that counted, ns.
        0 age_ns: i64,
        /// Weighted mean of the scores of the agents that counted, -1 to +1; a score that is no vote counts as 0.
        8 score: f32,
        /// How sure: the absolute score, 0 when the agents did not agree beyond the threshold.
        12 confidence: f32,
        /// Of what.
        16 instrument: InstrumentId,
        /// Which way: 1 up, 0 flat, 65535 (-1) down.
        18 direction: Vote,
        /// Agents that counted.
        20 agents: u16,
        /// Why it may not be traded on.
        22 flags: SignalFlags,
        /// Zero.
        24 reserved: u64,
    }

    /// Risk's answer to one intent: approved with a size, or refused with every reason.
    pub struct Verdict: kind Verdict, version 1, size 80 {
        /// Every reason that refused it. If approved, the reasons that cut the volume below what was wanted; empty
        /// when nothing was cut.
        0 reasons: Reasons,
        /// The order to cancel or replace; 0 for a new one.
        8 target: ClientOrderId,
        /// Volume wanted (positive).
        16 wanted_lots: Lots,
        /// Volume approved (positive); 0 if refused.
        24 approved_lots: Lots,
        /// The limit price; 0 for a market order.
        32 price: Points,
        /// The quote the decision was made on: ask for a buy, bid for a sell.
        40 reference: Points,
        /// Net position at the decision, working orders not counted.
        48 position_lots: Lots,
        /// Nanoseconds after which the order is to be cancelled; 0 is never.
        56 valid_for_ns: i64,
        /// Of what.
        64 instrument: InstrumentId,
        /// Which way.
        66 side: Side,
        /// Approved or refused.
        68 outcome: Outcome,
        /// What is to be done.
        70 action: OrderAction,
        /// Who wants it.
        72 source: VerdictSource,
        /// Market or limit.
        74 order_type: OrderType,
        /// How long the order may work.
        76 time_in_force: TimeInForce,
        /// Zero.
        78 reserved: u16,
    }

    /// When the step passed each point, in nanoseconds since it was received. A measurement: excluded from every
    /// comparison and hash. Saturates at 4.29 s.
    pub struct Stamps: kind Stamps, version 1, size 40 {
        /// Wall-clock time of receipt.
        0 received: Time,
        /// Given to the ring.
        8 published_ns: u32,
        /// Taken from the ring by the pipeline.
        12 taken_ns: u32,
        /// After feature.
        16 feature_ns: u32,
        /// After inference.
        20 inference_ns: u32,
        /// After risk.
        24 risk_ns: u32,
        /// After order: the step is complete, its checksum and the commit follow.
        28 order_ns: u32,
        /// Commit of the step before this one, since that step was received; 0 if there is none.
        32 committed_before_ns: u32,
        /// Zero.
        36 reserved: u32,
    }

    /// What a stage held when it had done its part of the step, or what all steps before this one decided. The state's
    /// hash depends on how a build holds it, so it is no part of the output hash.
    pub struct Checkpoint: kind Checkpoint, version 1, size 16 {
        /// XXH3 of the state, or the output hash after the step before.
        0 hash: u64,
        /// Of what.
        8 of: CheckpointOf,
        /// Zero.
        10 reserved: u16,
        /// Zero.
        12 reserved2: u32,
    }
}

code! {
    /// What a checkpoint is of.
    pub struct CheckpointOf: u16 {
        /// The feature stage: windows and bars.
        FEATURE = 1 "feature",
        /// The inference stage: what each agent said last.
        INFERENCE = 2 "inference",
        /// The risk stage: positions, account, limits, halts.
        RISK = 3 "risk",
        /// The order stage: orders that live or ended lately.
        ORDER = 4 "order",
        /// Everything decided before the step: the output hash.
        OUTPUT = 5 "output",
    }

    /// A direction.
    pub struct Vote: u16 {
        /// Neither.
        FLAT = 0 "flat",
        /// Buy.
        UP = 1 "up",
        /// Sell.
        DOWN = 65535 "down",
    }

    /// Approved or refused.
    pub struct Outcome: u16 {
        /// May be sent.
        APPROVED = 1 "approved",
        /// May not.
        REFUSED = 2 "refused",
    }

    /// Who wants an order.
    pub struct VerdictSource: u16 {
        /// The agents' signal.
        SIGNAL = 1 "signal",
        /// An operator's command.
        COMMAND = 2 "command",
        /// A limit that closes positions.
        LIMIT = 3 "limit",
    }

}

flags! {
    /// Why a signal may not be traded on.
    pub struct SignalFlags: u16 {
        /// An agent whose vote is required has not seen a ready vector yet.
        UNREADY = 0 "unready",
        /// A prediction is older than its agent allows.
        STALE = 1 "stale",
    }

    /// Every reason for which risk refuses.
    pub struct Reasons: u64 {
        /// Halted: no new risk until `resume`.
        HALTED = 0 "halted",
        /// Reduce-only, and the order would add.
        REDUCE_ONLY = 1 "reduce_only",
        /// Position with working orders beyond its limit.
        MAX_POSITION = 2 "max_position",
        /// Order larger than its limit.
        MAX_ORDER = 3 "max_order",
        /// Size is below the instrument's smallest volume.
        MIN_VOLUME = 4 "min_volume",
        /// Volume is no multiple of the instrument's step.
        VOLUME_STEP = 5 "volume_step",
        /// Order price too far from the last quote.
        PRICE_BAND = 6 "price_band",
        /// No quote, or one that is too old.
        STALE_TICK = 7 "stale_tick",
        /// The tick carries a mark.
        MARKED_TICK = 8 "marked_tick",
        /// A prediction is too old.
        STALE_PREDICTION = 9 "stale_prediction",
        /// Features or agents are not warmed up.
        UNREADY_PREDICTION = 10 "unready_prediction",
        /// Spread too wide.
        MAX_SPREAD = 11 "max_spread",
        /// Too many order messages in a minute.
        MAX_ORDER_RATE = 12 "max_order_rate",
        /// Too many orders working.
        MAX_OPEN_ORDERS = 13 "max_open_orders",
        /// Daily loss at its limit.
        MAX_DAILY_LOSS = 14 "max_daily_loss",
        /// Drawdown at its limit.
        MAX_DRAWDOWN = 15 "max_drawdown",
        /// The feed lost ticks or is down.
        FEED_GAP = 16 "feed_gap",
        /// The venue is down.
        VENUE_DOWN = 17 "venue_down",
        /// An order of this instrument has an unknown outcome.
        UNKNOWN_ORDER = 18 "unknown_order",
        /// No rate to convert the instrument's profit into the account currency.
        NO_CONVERSION = 19 "no_conversion",
        /// The venue has not said yet what it holds.
        NOT_RECONCILED = 20 "not_reconciled",
    }
}

impl Vote {
    /// +1, 0 or -1.
    #[must_use]
    pub const fn sign(self) -> i64 {
        match self.0 {
            1 => 1,
            65535 => -1,
            _ => 0,
        }
    }
}

impl Stamps {
    /// Nanoseconds as a stamp holds them: saturating at `u32::MAX`.
    #[must_use]
    pub fn saturate(nanoseconds: u64) -> u32 {
        u32::try_from(nanoseconds).unwrap_or(u32::MAX)
    }
}
