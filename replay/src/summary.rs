//! The summary of a run: what happened, in numbers that a trader and an engineer both understand.

use std::collections::BTreeMap;
use std::path::Path;

use pawl_engine::runtime::{Latency, Percentiles};
use pawl_engine::settings::Settings;
use pawl_journal::log::Reader;
use pawl_journal::record::{
    BarClosed, Command, CommandReason, ExecutionKind, ExecutionReport, InstrumentId, Kind, OrderAction,
    OrderRequest, Outcome, RunEnded, Sequence, Signal, Stamps, StepRef, Tick, Time, Verdict, Vote,
};
use serde::Serialize;

use super::error::ReplayError;
use super::settings::settings_of;

/// What happened in a range of steps.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// The first step.
    pub first: Sequence,
    /// The last step.
    pub last: Sequence,
    /// Event time of the first step, ns since the UNIX epoch.
    pub time_first: Time,
    /// Event time of the last step.
    pub time_last: Time,
    /// Records by kind.
    pub records: BTreeMap<&'static str, u64>,
    /// Ticks that carry a mark, by mark.
    pub marks: BTreeMap<&'static str, u64>,
    /// Duplicate ticks that were left out.
    pub ticks_dropped: u64,
    /// Signals that pointed up.
    pub signals_up: u64,
    /// Signals that pointed down.
    pub signals_down: u64,
    /// Verdicts that approved.
    pub approved: u64,
    /// Verdicts that refused.
    pub refused: u64,
    /// Refusals by reason; one refusal may have several.
    pub refused_by: BTreeMap<&'static str, u64>,
    /// New orders sent.
    pub orders: u64,
    /// Fills, partial ones included.
    pub fills: u64,
    /// Venue reports by kind.
    pub reports: BTreeMap<&'static str, u64>,
    /// Commands, by what was asked and by whom.
    pub commands: BTreeMap<String, u64>,
    /// Per instrument, in table order.
    pub instruments: Vec<InstrumentSummary>,
    /// Time spent in each stage.
    pub latency: StageLatencies,
    /// Bytes of the steps.
    pub bytes: u64,
}

/// What happened in one instrument.
#[derive(Debug, Clone, Default, Serialize)]
pub struct InstrumentSummary {
    /// Its symbol.
    pub symbol: String,
    /// Ticks.
    pub ticks: u64,
    /// Bars closed.
    pub bars: u64,
    /// New orders.
    pub orders: u64,
    /// Fills.
    pub fills: u64,
}

/// Time between the points a step passed, over the steps that carry stamps.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StageLatencies(pub Vec<(&'static str, Percentiles)>);

/// The points between which latencies are told, in pipeline order.
const STAGES: [&str; 8] = [
    "ring",
    "feature",
    "inference",
    "risk",
    "order",
    "commit",
    "received to decided",
    "received to committed",
];

/// Sums up steps one by one.
pub(crate) struct Fold {
    summary: Summary,
    stages: [Latency; STAGES.len()],
    order_before: u32,
}

/// Sums up the steps from `from` to the end of the journal. `progress` is told the step that was read, now and then.
///
/// # Errors
/// [`ReplayError`] if the journal cannot be read.
pub fn summarise(
    directory: &Path,
    from: Sequence,
    mut progress: impl FnMut(Sequence),
) -> Result<Summary, ReplayError> {
    let settings = settings_of(directory)?.0.engine;
    let mut reader = Reader::open(directory)?;
    reader.seek(from)?;
    let mut fold = Fold::new(&settings);
    while let Some(frame) = reader.next()? {
        let step = frame.step();
        fold.step(step);
        if step.sequence().0.is_multiple_of(4_096) {
            progress(step.sequence());
        }
    }
    Ok(fold.finish())
}

impl Fold {
    pub(crate) fn new(settings: &Settings) -> Self {
        let instruments = settings
            .instruments
            .iter()
            .map(|it| InstrumentSummary { symbol: it.symbol.clone(), ..InstrumentSummary::default() })
            .collect();
        let summary = Summary { instruments, ..Summary::default() };
        Self { summary, stages: std::array::from_fn(|_| Latency::new()), order_before: 0 }
    }

    pub(crate) fn step(&mut self, step: StepRef<'_>) {
        let summary = &mut self.summary;
        if summary.first == Sequence(0) {
            (summary.first, summary.time_first) = (step.sequence(), step.time());
        }
        (summary.last, summary.time_last) = (step.sequence(), step.time());
        summary.bytes += step.bytes().len() as u64;
        for record in step.records() {
            *self.summary.records.entry(record.kind().map_or("unknown", Kind::name)).or_default() += 1;
            match record.kind() {
                Some(Kind::Tick) => record.get().into_iter().for_each(|it| self.tick(it)),
                Some(Kind::BarClosed) => {
                    if let Some(bar) = record.get::<BarClosed>() {
                        self.instrument(bar.instrument, |it| it.bars += 1);
                    }
                }
                Some(Kind::Signal) => record.get().into_iter().for_each(|it| self.signal(it)),
                Some(Kind::Verdict) => record.get().into_iter().for_each(|it| self.verdict(it)),
                Some(Kind::OrderRequest) => record.get().into_iter().for_each(|it| self.request(it)),
                Some(Kind::ExecutionReport) => record.get().into_iter().for_each(|it| self.report(it)),
                Some(Kind::Command) => record.get().into_iter().for_each(|it| self.command(it)),
                Some(Kind::Stamps) => record.get().into_iter().for_each(|it| self.stamps(it)),
                Some(Kind::RunEnded) => {
                    if let Some(ended) = record.get::<RunEnded>() {
                        self.summary.ticks_dropped += ended.ticks_dropped;
                    }
                }
                _ => {}
            }
        }
    }

    fn instrument(&mut self, id: InstrumentId, change: impl FnOnce(&mut InstrumentSummary)) {
        if let Some(instrument) = self.summary.instruments.get_mut(usize::from(id.0)) {
            change(instrument);
        }
    }

    fn tick(&mut self, tick: &Tick) {
        for mark in tick.marks.names() {
            *self.summary.marks.entry(mark).or_default() += 1;
        }
        self.instrument(tick.instrument, |it| it.ticks += 1);
    }

    fn signal(&mut self, signal: &Signal) {
        match signal.direction {
            Vote::UP => self.summary.signals_up += 1,
            Vote::DOWN => self.summary.signals_down += 1,
            _ => {}
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        if verdict.outcome == Outcome::APPROVED {
            self.summary.approved += 1;
            return;
        }
        self.summary.refused += 1;
        for reason in verdict.reasons.names() {
            *self.summary.refused_by.entry(reason).or_default() += 1;
        }
    }

    fn request(&mut self, request: &OrderRequest) {
        if request.action == OrderAction::NEW {
            self.summary.orders += 1;
            self.instrument(request.instrument, |it| it.orders += 1);
        }
    }

    fn report(&mut self, report: &ExecutionReport) {
        *self.summary.reports.entry(report.kind.name().unwrap_or("unknown")).or_default() += 1;
        if matches!(report.kind, ExecutionKind::FILLED | ExecutionKind::PARTIALLY_FILLED) {
            self.summary.fills += 1;
            self.instrument(report.instrument, |it| it.fills += 1);
        }
    }

    fn command(&mut self, command: &Command) {
        let by = match command.reason {
            CommandReason::NONE => command.source.to_string(),
            reason => format!("{}, because of {reason}", command.source),
        };
        *self.summary.commands.entry(format!("{} by {by}", command.action)).or_default() += 1;
    }

    fn stamps(&mut self, stamps: &Stamps) {
        let between = |from: u32, to: u32| u64::from(to.saturating_sub(from));
        let spans = [
            between(stamps.published_ns, stamps.taken_ns),
            between(stamps.taken_ns, stamps.feature_ns),
            between(stamps.feature_ns, stamps.inference_ns),
            between(stamps.inference_ns, stamps.risk_ns),
            between(stamps.risk_ns, stamps.order_ns),
        ];
        for (stage, span) in self.stages.iter_mut().zip(spans) {
            stage.record(span);
        }
        if stamps.committed_before_ns > 0 && self.order_before > 0 {
            self.stages[5].record(between(self.order_before, stamps.committed_before_ns));
            self.stages[7].record(u64::from(stamps.committed_before_ns));
        }
        self.stages[6].record(u64::from(stamps.order_ns));
        self.order_before = stamps.order_ns;
    }

    pub(crate) fn finish(mut self) -> Summary {
        let measured = STAGES.iter().zip(&self.stages).map(|(name, stage)| (*name, stage.percentiles()));
        self.summary.latency = StageLatencies(measured.filter(|(_, it)| it.count > 0).collect());
        self.summary
    }
}
