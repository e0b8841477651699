//! The catalogue: every counter there is, with the id that it keeps for ever, its name, its labels and its meaning.
//!
//! ```text
//!  id     0 ..       512 ..         2304 ..    2320 ..   2560 ..         3072 ..        7168 ..         7232
//!         steps      histograms:    gateway    edge      histograms:     histograms:    the engine
//!                    the stages                          the gateway     the models     as a whole
//! ```
//!
//! An id is the place of a counter's word in the file `counters`. Names are those of the Prometheus text.
//!
//! Invariants: an id is never given to something else; families do not overlap; what two threads write is at least two
//! cache lines apart.

use pawl_journal::record::{
    AlertCode, CommandAction, ExecutionKind, Kind, OrderAction, Outcome, Reasons, RejectReason, TickMarks,
    Vote,
};

use super::buckets::HISTOGRAM_WORDS;

/// Counters that belong together: one name, one word for each value of a label.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Id of its first word.
    pub id: usize,
    /// How many values its label has.
    pub len: usize,
    /// Its name.
    pub name: &'static str,
    /// What its words are.
    pub kind: FamilyKind,
    /// What its values are told apart by.
    pub label: Label,
    /// What it means.
    pub help: &'static str,
}

/// What the words of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FamilyKind {
    /// Counts up from the run's start.
    Counter,
    /// Is what it is now.
    Gauge,
    /// Each value has [`HISTOGRAM_WORDS`] words of nanoseconds.
    Histogram,
}

/// What the values of a family are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// There is one value.
    None,
    /// Kind of the input.
    Input,
    /// Instrument, by its symbol.
    Instrument,
    /// What is wrong with a tick.
    Mark,
    /// Agent, by its name.
    Agent,
    /// Which way.
    Direction,
    /// Approved or refused.
    Outcome,
    /// Why risk refused.
    Reason,
    /// What was asked of the venue.
    Action,
    /// What the venue said.
    Report,
    /// Why the venue refused.
    Reject,
    /// What an alert is about.
    Alert,
    /// What an operator asked.
    Command,
    /// Part of the way of a step.
    Stage,
}

/// Parts of the way of a step, in their order.
pub const STAGES: [&str; 7] = ["ring", "feature", "inference", "risk", "order", "commit", "step"];

const fn family(
    id: usize,
    len: usize,
    name: &'static str,
    kind: FamilyKind,
    label: Label,
    help: &'static str,
) -> Family {
    Family { id, len, name, kind, label, help }
}

macro_rules! families {
    ($( $constant:ident = $id:literal [$len:literal] $kind:ident $label:ident $name:literal $help:literal; )*) => {
        $( #[doc = $help] pub const $constant: Family =
            family($id, $len, $name, FamilyKind::$kind, Label::$label, $help); )*

        /// Every family, by id.
        pub const FAMILIES: &[Family] = &[$($constant),*];
    };
}

families! {
    // Written by the thread that commits.
    COMMITTED = 0 [1] Gauge None "pawl_committed_sequence" "The last step that is committed.";
    EVENT_TIME = 1 [1] Gauge None "pawl_event_time_nanoseconds" "Time of that step, since the UNIX epoch.";
    MODE = 2 [1] Gauge None "pawl_mode" "What the engine may do: 0 active, 1 reduce-only, 2 halted.";
    HALTS = 3 [1] Counter None "pawl_halts_total" "Times that the engine went from another mode into a halt.";
    STEPS = 4 [1] Counter None "pawl_steps_total" "Steps committed.";
    BARS = 5 [1] Counter None "pawl_bars_total" "Bars closed.";
    VECTORS = 6 [1] Counter None "pawl_feature_vectors_total" "Feature vectors.";
    SIGNALS = 8 [4] Counter Direction "pawl_signals_total" "Signals, by their direction.";
    VERDICTS = 12 [4] Counter Outcome "pawl_verdicts_total" "Verdicts that the journal holds, by their outcome.";
    INPUTS = 16 [16] Counter Input "pawl_inputs_total" "Inputs, by kind.";
    TICKS = 32 [64] Counter Instrument "pawl_ticks_total" "Ticks in the journal, by instrument.";
    FLAGGED = 96 [16] Counter Mark "pawl_ticks_flagged_total" "Ticks in the journal that carry a mark, by mark.";
    PREDICTIONS = 112 [16] Counter Agent "predictions_total" "Predictions, by agent.";
    REFUSALS = 128 [64] Counter Reason "pawl_refusals_total" "Refused verdicts, by every reason that they list.";
    REQUESTS = 192 [8] Counter Action "pawl_order_requests_total" "Requests to the venue, by what they ask.";
    REPORTS = 208 [16] Counter Report "pawl_execution_reports_total" "Reports of the venue, by what they tell.";
    REJECTS = 224 [16] Counter Reject "orders_rejected_total" "New orders that the venue rejected, by its reason.";
    ALERTS = 240 [32] Counter Alert "pawl_alerts_total" "Alerts, by what they are about.";
    ORDERS = 272 [64] Counter Instrument "orders_processed_total" "New orders sent on their way, by instrument.";
    COMMANDS = 336 [8] Counter Command "pawl_commands_total" "Commands of operators and of the engine itself.";
    STAGE_LATENCY = 512 [7] Histogram Stage "pawl_stage_latency_seconds"
        "Time of a step in each part of its way; `step` is from published to committed.";
    // Written by the thread of the gateway.
    RELEASED = 2304 [1] Gauge None "pawl_gateway_sequence" "The last step whose orders have left, or that had none.";
    // Written by the edge thread.
    RING_FULL = 2320 [1] Counter None "pawl_ring_full_total" "Times that the ring was full.";
    RING_SLOTS = 2321 [1] Gauge None "pawl_ring_slots" "Slots of the ring; 0 without one.";
    DROPPED = 2322 [1] Counter None "pawl_ticks_dropped_total" "Ticks left out, for the configuration says so.";
    WRONG = 2336 [16] Counter Mark "pawl_ticks_wrong_total" "Ticks with something wrong, flagged or left out, by what it is.";
    // Written by the thread of the gateway.
    EXECUTION_LATENCY = 2560 [1] Histogram None "execution_latency_milliseconds"
        "From publishing an input to its orders leaving the gateway, through the journal.";
    HOLD_LATENCY = 2816 [1] Histogram None "pawl_hold_latency_seconds"
        "How long committed orders waited for the disk, in gated mode.";
    // Written by the thread of the inference stage.
    MODEL_LATENCY = 3072 [16] Histogram Agent "model_inference_time_ms" "Time of one call of an agent's model.";
    // Written by the thread that publishes the counters.
    PUBLISHED = 7168 [1] Gauge None "pawl_published_sequence" "The last step that was published.";
    DURABLE = 7169 [1] Gauge None "pawl_durable_sequence" "Every step up to this one is on disk.";
    SUPPLY = 7170 [1] Gauge None "pawl_journal_supply" "Segments ready for the writer: 0 enough, 1 low, 2 out.";
    FEED_PROGRESS = 7171 [1] Gauge None "pawl_feed_progress_ratio" "How far the feeds are, 0 to 1.";
    RING_OCCUPANCY = 7172 [1] Gauge None "pawl_ring_occupancy" "Steps published and not committed, when last looked.";
    RING_OCCUPANCY_MAX = 7173 [1] Gauge None "pawl_ring_occupancy_max" "The highest that was seen of it.";
    SYNCS = 7174 [1] Counter None "pawl_journal_syncs_total" "Syncs of journal bytes.";
    SYNC_TIME = 7175 [1] Counter None "pawl_journal_sync_seconds_total" "Time of all syncs together.";
    SYNC_MAX = 7176 [1] Gauge None "pawl_journal_sync_max_seconds" "The longest sync.";
    LAG_STEPS_MAX = 7177 [1] Gauge None "pawl_journal_lag_steps_max" "Most steps committed and not durable at a sync.";
    LAG_MAX = 7178 [1] Gauge None "pawl_journal_lag_max_seconds" "Longest time that a step was committed and not durable.";
    PADDING = 7179 [1] Counter None "pawl_journal_padding_bytes_total" "Bytes of padding.";
    ROLLS = 7180 [1] Counter None "pawl_journal_rolls_total" "Times that the writer went on in another segment.";
    ROLL_WAITS = 7181 [1] Counter None "pawl_journal_roll_waits_total" "Rolls for which no segment was ready.";
    SYNC_FAILED = 7182 [1] Gauge None "pawl_journal_sync_failed" "1 once a sync has failed: nothing becomes durable any more.";
}

/// Words of all counters together.
pub const WORDS: usize = 7_232;

impl Family {
    /// Words of each of its values.
    #[must_use]
    pub const fn value_words(&self) -> usize {
        if matches!(self.kind, FamilyKind::Histogram) { HISTOGRAM_WORDS } else { 1 }
    }

    /// Id of the value at this place.
    #[must_use]
    pub const fn value_id(&self, index: usize) -> usize {
        self.id + index * self.value_words()
    }

    /// How many of the word's unit are one of the name's unit: nanoseconds in a second, millionths in a whole.
    #[must_use]
    pub fn divisor(&self) -> f64 {
        match self.name {
            name if name.ends_with("_seconds") || name.ends_with("_seconds_total") => 1e9,
            name if name.ends_with("_milliseconds") || name.ends_with("_ms") => 1e6,
            name if name.ends_with("_ratio") => 1e6,
            _ => 1.0,
        }
    }
}

impl Label {
    /// The label's name; `None` if there is none.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Input => Some("kind"),
            Self::Instrument => Some("instrument"),
            Self::Mark => Some("mark"),
            Self::Agent => Some("agent"),
            Self::Direction => Some("direction"),
            Self::Outcome => Some("outcome"),
            Self::Reason | Self::Reject => Some("reason"),
            Self::Action | Self::Command => Some("action"),
            Self::Report | Self::Alert => Some("kind"),
            Self::Stage => Some("stage"),
        }
    }

    /// The label's value at this place; `None` if there is no such value.
    #[must_use]
    pub fn value(self, index: usize, names: &LabelNames) -> Option<String> {
        let code = index as u16;
        let word = match self {
            Self::None => (index == 0).then_some(""),
            Self::Input => Kind::from_code(code).filter(|kind| kind.is_input()).map(Kind::name),
            Self::Instrument => return names.instruments.get(index).cloned(),
            Self::Agent => return names.agents.get(index).cloned(),
            Self::Mark => {
                TickMarks::ALL.iter().find(|it| it.0 == 1 << index).and_then(|it| it.names().next())
            }
            Self::Direction => direction(index).name(),
            Self::Outcome => Outcome(code).name(),
            Self::Reason => {
                Reasons::ALL.iter().find(|it| it.0 == 1 << index).and_then(|it| it.names().next())
            }
            Self::Action => OrderAction(code).name(),
            Self::Report => ExecutionKind(code).name(),
            Self::Reject => RejectReason(code).name(),
            Self::Alert => AlertCode(code).name(),
            Self::Command => CommandAction(code).name(),
            Self::Stage => STAGES.get(index).copied(),
        };
        word.map(str::to_owned)
    }
}

/// The place of a direction: down is the last of them.
pub(super) const fn direction_index(vote: Vote) -> usize {
    if vote.0 > 2 { 2 } else { vote.0 as usize }
}

const fn direction(index: usize) -> Vote {
    match index {
        0 => Vote::FLAT,
        1 => Vote::UP,
        2 => Vote::DOWN,
        _ => Vote(3),
    }
}

/// What instruments and agents are called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelNames {
    /// Symbols, by `InstrumentId`.
    pub instruments: Vec<String>,
    /// Names of the agents, by `AgentId`.
    pub agents: Vec<String>,
}

impl LabelNames {
    /// The names of a run with these settings.
    #[must_use]
    pub fn of(settings: &crate::settings::Settings) -> Self {
        Self {
            instruments: settings.instruments.iter().map(|it| it.symbol.clone()).collect(),
            agents: settings.agents.iter().map(|it| it.name.clone()).collect(),
        }
    }
}

/// Whether every family begins behind the one before it and all fit.
const fn are_in_order() -> bool {
    let (mut next, mut index) = (0, 0);
    while index < FAMILIES.len() {
        let family = FAMILIES[index];
        if family.id < next || (family.value_words() > 1 && !family.id.is_multiple_of(HISTOGRAM_WORDS)) {
            return false;
        }
        next = family.value_id(family.len);
        index += 1;
    }
    next <= WORDS
}

const _: () = assert!(are_in_order(), "families do not overlap");
// Each thread begins on two cache lines of its own.
const _: () = assert!(
    RELEASED.id.is_multiple_of(16)
        && RING_FULL.id.is_multiple_of(16)
        && MODEL_LATENCY.id.is_multiple_of(16)
        && PUBLISHED.id.is_multiple_of(16)
);
// Every code and bit of the record layouts has its place.
const _: () = assert!(
    Reasons::ALL.len() <= REFUSALS.len
        && AlertCode::ALL.len() < ALERTS.len
        && ExecutionKind::ALL.len() < REPORTS.len
        && RejectReason::ALL.len() < REJECTS.len
        && CommandAction::ALL.len() < COMMANDS.len
        && OrderAction::ALL.len() < REQUESTS.len
        && TickMarks::ALL.len() <= FLAGGED.len
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_what_they_are() {
        let ids: Vec<_> = FAMILIES.iter().map(|it| (it.id, it.len)).collect();
        let known = [
            (0, 1),
            (1, 1),
            (2, 1),
            (3, 1),
            (4, 1),
            (5, 1),
            (6, 1),
            (8, 4),
            (12, 4),
            (16, 16),
            (32, 64),
            (96, 16),
            (112, 16),
            (128, 64),
            (192, 8),
            (208, 16),
            (224, 16),
            (240, 32),
            (272, 64),
            (336, 8),
            (512, 7),
            (2304, 1),
            (2320, 1),
            (2321, 1),
            (2322, 1),
            (2336, 16),
            (2560, 1),
            (2816, 1),
            (3072, 16),
            (7168, 1),
            (7169, 1),
            (7170, 1),
            (7171, 1),
            (7172, 1),
            (7173, 1),
            (7174, 1),
            (7175, 1),
            (7176, 1),
            (7177, 1),
            (7178, 1),
            (7179, 1),
            (7180, 1),
            (7181, 1),
            (7182, 1),
        ];
        assert_eq!(ids, known, "a file of another build would be misread: give what is new an id of its own");
    }

    #[test]
    fn every_name_is_one_of_prometheus_and_there_once() {
        let mut names: Vec<_> = FAMILIES.iter().map(|it| it.name).collect();
        for family in FAMILIES {
            assert!(
                family.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{}",
                family.name
            );
            assert_eq!(
                family.kind == FamilyKind::Counter,
                family.name.ends_with("_total"),
                "{}",
                family.name
            );
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FAMILIES.len());
    }

    #[test]
    fn codes_and_bits_are_labelled_as_the_journal_names_them() {
        let names = LabelNames { instruments: vec!["EURUSD".into()], agents: vec!["fast".into()] };
        let label = |label: Label, index| label.value(index, &names);
        assert_eq!(label(Label::Reason, 20).as_deref(), Some("not_reconciled"));
        assert_eq!(label(Label::Input, 3).as_deref(), Some("tick"));
        assert_eq!(label(Label::Input, 2), None);
        assert_eq!((label(Label::Agent, 0).as_deref(), label(Label::Agent, 1)), (Some("fast"), None));
        assert_eq!(label(Label::Direction, direction_index(Vote::DOWN)).as_deref(), Some("down"));
    }
}
