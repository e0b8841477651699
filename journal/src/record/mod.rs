//! The words of the journal: one step is one input and everything that was decided because of it.
//!
//! ```text
//! Step = [ input | output | output | ... ]      each: { kind u16, version u8, flags u8, len u32 } + body, 8-byte aligned
//! ```
//!
//! Record bodies are fixed little-endian layouts; some end in a run of values or text whose length the
//! record's own header gives. A changed layout is a new version, and the old one stays readable.

mod codec;
mod compare;
mod field;
mod hash;
mod input;
mod kept;
mod kind;
mod output;
mod step;
mod trade;
mod units;

pub use codec::{Body, RECORD_HEADER_BYTES, Record, RecordHeader, body_bytes, body_of};
pub use compare::{Difference, first_difference};
pub use field::{Field, Value};
pub use hash::OutputHash;
pub use input::{
    Command, CommandAction, CommandReason, CommandSource, EndReason, ExecutionKind, ExecutionReport,
    LimitName, LinkChanged, LinkKind, LinkState, Reconciled, RejectReason, RunEnded, RunStarted,
    StatementItem, Tick, TickFlags, TickMarks, Timer,
};
pub use kept::KeptStep;
pub use kind::Kind;
pub use output::{
    BarClosed, CLASSES_MAX, Checkpoint, CheckpointOf, FEATURE_COLUMNS_MAX, Features, Outcome, Prediction,
    Reasons, Signal, SignalFlags, Stamps, Verdict, VerdictSource, Vote,
};
pub(crate) use step::FLAG_ORDERS;
pub use step::{Records, STEP_BYTES_MAX, STEP_HEADER_BYTES, Step, StepRef};
pub use trade::{
    Alert, AlertCode, EquityChanged, OrderAction, OrderChanged, OrderEvent, OrderRequest, OrderState,
    OrderType, PositionChanged, Severity, TimeInForce,
};
pub use units::{AgentId, ClientOrderId, FeedId, InstrumentId, Lots, Micros, Points, Sequence, Side, Time};
