//! Units: every number in a record has one of these types or a unit in its name.

use super::codec::{code, unit};

unit! {
    /// Nanoseconds since the UNIX epoch. Step time never goes back.
    pub struct Time(i64);
    /// A price or a price difference, in points of its instrument (the smallest price increment).
    pub struct Points(i64);
    /// A volume, as a count of the instrument's volume step. Positive buys, negative sells, where a sign matters.
    pub struct Lots(i64);
    /// Money in millionths of the account currency.
    pub struct Micros(i64);
    /// The number of a step: from 1, without gaps, for the life of a journal. 0 means none.
    pub struct Sequence(u64);
    /// Identifies an order of ours: the step that made it (upper bits) and its place in that step (lower 6 bits).
    /// The same on replay, unique for the life of a journal, below 2^48. 0 means none.
    pub struct ClientOrderId(u64);
    /// Index of an instrument in the run's instrument table.
    pub struct InstrumentId(u16);
    /// Index of a feed in the run's feed table.
    pub struct FeedId(u16);
    /// Index of an agent in the run's agent table.
    pub struct AgentId(u16);
}

impl Time {
    /// Nanoseconds in one second.
    pub const SECOND: i64 = 1_000_000_000;
    /// Nanoseconds in one millisecond.
    pub const MILLISECOND: i64 = 1_000_000;
}

impl InstrumentId {
    /// No instrument: the record concerns the whole account.
    pub const NONE: Self = Self(u16::MAX);
}

impl ClientOrderId {
    /// How many orders one step may make.
    pub const PER_STEP: u64 = 64;

    /// The id of the `index`-th order of a step.
    ///
    /// # Panics
    /// If a step makes more than [`Self::PER_STEP`] orders, which risk's limits exclude.
    #[must_use]
    pub const fn of_step(sequence: Sequence, index: u64) -> Self {
        assert!(index < Self::PER_STEP, "a step makes at most 64 orders");
        Self((sequence.0 << 6) | index)
    }

    /// The step that made the order.
    #[must_use]
    pub const fn sequence(self) -> Sequence {
        Sequence(self.0 >> 6)
    }
}

code! {
    /// Which way an order or a fill goes.
    pub struct Side: u16 {
        /// Adds to the net position.
        BUY = 1 "buy",
        /// Takes from the net position.
        SELL = 2 "sell",
    }
}

impl Side {
    /// +1 for a buy, -1 for a sell.
    #[must_use]
    pub const fn sign(self) -> i64 {
        if self.0 == Self::BUY.0 { 1 } else { -1 }
    }

    /// The side that adds volume of this sign.
    #[must_use]
    pub const fn of_sign(sign: i64) -> Self {
        if sign >= 0 { Self::BUY } else { Self::SELL }
    }

    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        if self.0 == Self::BUY.0 { Self::SELL } else { Self::BUY }
    }
}
