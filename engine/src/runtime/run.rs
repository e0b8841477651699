//! One run of the engine: open, recover, drive, end.
//!
//! ```text
//!   prepare: take the journal (lock, recover) > restore the pipeline from it > feeds at their place
//!   begin:   new segment > RunStarted > gateway                                drive: edge loop > RunEnded > seal
//! ```
//!
//! Invariants: whatever refuses to go on with a journal does so before the first byte of the run is written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};
use pawl_journal::log::{Claim, Durability, JournalError, JournalStatistics, Watermarks};
use pawl_journal::record::{Command, EndReason, InstrumentId, RunEnded, RunStarted, Sequence};

use super::affinity::pin;
use super::clock::Clock;
use super::core::Core;
use super::edge::Edge;
use super::error::RunError;
use super::gateway::Gateway;
use super::health::Health;
use super::ingress::Ingress;
use super::latency::Percentiles;
use super::line::Line;
use super::options::{RunOptions, Threading};
use super::progress::Progress;
use super::recovery::restore;
use super::ring::ring;
use super::staged::Stages;
use super::threads::{caught, panicked};
use super::twin::{Reached, Twin};
use super::wait::Waiter;
use crate::pipeline::Pipeline;
use crate::port::{Feed, Venue};
use crate::risk::{Mode, RiskView};
use crate::settings::Settings;

/// What the first record of a run says, beside what the runtime knows itself.
#[derive(Debug, Clone, Default)]
pub struct RunTexts {
    /// Everything that decides, as JSON: the engine's settings and the venue's.
    pub settings: String,
    /// Build, machine, threading, command line, wall-clock time, as JSON.
    pub environment: String,
    /// Hash of the settings text.
    pub settings_hash: u64,
    /// Hash of the build.
    pub build_hash: u64,
}

/// What feeds a run, and what may stop it.
pub struct Sources {
    /// Feeds in the order of their `FeedId`, each with its instrument.
    pub feeds: Vec<(Box<dyn Feed>, InstrumentId)>,
    /// Where orders go.
    pub venue: Box<dyn Venue>,
    /// What operators ask.
    pub commands: Receiver<CommandRequest>,
    /// Set to end the run: what is in the ring is finished, then the journal is sealed.
    pub stop: Arc<AtomicBool>,
}

/// A command and where its answer goes.
#[derive(Debug)]
pub struct CommandRequest {
    /// What is asked; the runtime numbers it.
    pub command: Command,
    /// Where the answer goes once the command is in the journal.
    pub answer: Sender<Answer>,
}

/// Where a command ended up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The step that holds it.
    pub sequence: Sequence,
    /// What the engine may do after it.
    pub mode: Mode,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Why.
    pub reason: EndReason,
    /// The error that ended it, if one did.
    pub message: String,
    /// The run's first step.
    pub first: Sequence,
    /// The run's last step.
    pub last: Sequence,
    /// The last step that was in the journal before; 0 if it was new.
    pub resumed_after: Sequence,
    /// The last step of the snapshot from which the state was restored; 0 if every step was run again.
    pub restored_from: Sequence,
    /// Time from publishing an input to its order leaving the gateway.
    pub gateway: Percentiles,
    /// How durable the journal is, and what that cost.
    pub durability: DurabilityReport,
    /// How often the ring was full.
    pub ring_full: u64,
    /// Positions and account as the run found them.
    pub before: RiskView,
    /// Positions and account as the run left them.
    pub after: RiskView,
    /// Whether every thread was pinned that was to be.
    pub pinned: bool,
    /// Wall-clock nanoseconds from the first input to the last, recovery not counted.
    pub elapsed_ns: u64,
    /// The clock of its stamps.
    pub clock: Clock,
}

/// How durable a run's journal is at its end, and what that cost.
#[derive(Debug, Clone, Copy)]
pub struct DurabilityReport {
    /// The mode.
    pub mode: Durability,
    /// The last step that is on disk: at a clean end the run's last one.
    pub durable: Sequence,
    /// What the threads behind the journal did.
    pub statistics: JournalStatistics,
    /// In gated mode, how long orders that were committed waited for the disk; nothing in the other modes.
    pub held: Percentiles,
}

/// A run that nothing refuses any more but the disk: the journal is locked, the state is restored, and nothing of the
/// run is in the journal yet. Dropped, it leaves the journal as recovery left it.
pub struct Prepared {
    claim: Claim,
    pipeline: Pipeline,
    ingress: Ingress,
    venue: Box<dyn Venue>,
    restored: Reached,
    restored_from: Sequence,
    texts: RunTexts,
    options: RunOptions,
    clock: Clock,
    commands: Receiver<CommandRequest>,
    stop: Arc<AtomicBool>,
    directory: PathBuf,
    progress: Arc<Progress>,
}

/// An engine that is ready to run, and whose run has begun in the journal.
pub struct Run {
    core: Core,
    edge: Edge,
    options: RunOptions,
    clock: Clock,
    resumed_after: Sequence,
    restored_from: Sequence,
    first: Sequence,
    before: RiskView,
}

impl Prepared {
    /// Begins the run: its first segment and its first step are in the journal behind this.
    ///
    /// # Errors
    /// [`RunError::Journal`] if they cannot be written.
    pub fn begin(self) -> Result<Run, RunError> {
        self.begin_with(|watermarks| -> Box<dyn Health> { Box::new(watermarks) })
    }

    /// As [`Self::begin`]; what the edge hears of the journal comes from `health`.
    fn begin_with(self, health: impl FnOnce(Watermarks) -> Box<dyn Health>) -> Result<Run, RunError> {
        let Self {
            claim,
            pipeline,
            ingress,
            venue,
            restored,
            restored_from,
            texts,
            options,
            clock,
            progress,
            ..
        } = self;
        let journal = claim.begin()?;
        let mut core = Core::new(pipeline, journal, clock.clone(), options.stamps, Arc::clone(&progress));
        let started = RunStarted {
            settings_hash: texts.settings_hash,
            build_hash: texts.build_hash,
            runs_before: restored.runs,
            ..RunStarted::default()
        };
        let first = core.run_started(ingress.now(), &started, &texts.settings, &texts.environment)?;
        let watermarks = core.watermarks();
        // Set once: a `Progress` belongs to one run.
        let _ = progress.watermarks.set(watermarks.clone());
        let gateway = Gateway::open(
            &self.directory,
            options.journal.durability,
            health(watermarks),
            first,
            ingress.now(),
            venue,
            clock.clone(),
        )?;
        let (commands, stop) = (self.commands, self.stop);
        let edge = Edge::new(
            ingress,
            gateway,
            clock.clone(),
            first,
            options.speed,
            Waiter::new(options.wait(0), options.is_crowded()),
            options.on_ring_full,
            commands,
            stop,
            progress,
        );
        let before = core.risk();
        Ok(Run { core, edge, options, clock, resumed_after: restored.sequence, restored_from, first, before })
    }
}

impl Run {
    /// Takes the journal in `directory`, brings `pipeline` to the state that it ends in, and the feeds to their places.
    ///
    /// # Errors
    /// [`RunError`], naming what is in the way. The directory is as it was then, but for what recovery had to put in
    /// order, which [`Progress::recovered`] tells.
    pub fn prepare(
        directory: &Path,
        settings: &Settings,
        pipeline: Pipeline,
        texts: &RunTexts,
        options: RunOptions,
        sources: Sources,
        progress: &Arc<Progress>,
    ) -> Result<Prepared, RunError> {
        let limit = pawl_journal::record::STEP_BYTES_MAX - 1_024;
        let bytes = texts.settings.len() + texts.environment.len();
        if bytes > limit {
            return Err(RunError::SettingsTooLarge { bytes, limit });
        }
        refuse_mixed(&sources.feeds)?;
        let claim = Claim::take(directory, &options.journal)?;
        // Set once, as the watermarks are.
        let _ = progress.recovered.set(claim.recovered());
        let Sources { feeds, venue, commands, stop } = sources;
        let mut twin = Twin::new(settings, &texts.settings, feeds.len(), pipeline, venue);
        let restored_from = if claim.next_sequence().0 > 1 {
            restore(directory, texts.build_hash, &mut twin, progress)?
        } else {
            Sequence(0)
        };
        let restored = twin.reached();
        let Twin { pipeline, intake, venue, .. } = twin;
        let mut ingress = Ingress::new(&settings.ingress, feeds, intake);
        ingress.start()?;
        progress.mode.store(pipeline.risk.mode().code(), Ordering::Relaxed);
        Ok(Prepared {
            claim,
            pipeline,
            ingress,
            venue,
            restored,
            restored_from,
            texts: texts.clone(),
            options,
            clock: Clock::new(),
            commands,
            stop,
            directory: directory.to_owned(),
            progress: Arc::clone(progress),
        })
    }

    /// The last step that the journal held before this run; 0 if it is new.
    #[must_use]
    pub const fn resumed_after(&self) -> Sequence {
        self.resumed_after
    }

    /// Runs until the feeds end, one of them fails, or the run is told to stop; then seals the journal.
    ///
    /// # Errors
    /// [`RunError`] when the environment fails on the way; the journal is sealed or can be recovered then.
    pub fn drive(self) -> Result<Outcome, RunError> {
        let Self { core, mut edge, options, clock, resumed_after, restored_from, first, before } = self;
        let began = clock.now();
        let Driven { mut core, end, pinned } = match options.threading {
            Threading::Single => drive_single(&mut edge, core, &options),
            Threading::Fused => drive_fused(&mut edge, core, &options)?,
            Threading::Staged => drive_staged(&mut edge, core, &options)?,
        };
        let elapsed_ns = clock.nanoseconds(began, clock.now());
        let ended = end.and_then(|end| {
            let ended = RunEnded { reason: end.reason, ..*edge.counts() };
            let last = core.run_ended(edge.now(), &ended, &end.message)?;
            Ok((end, last))
        });
        let (end, last) = match ended {
            Ok(ended) => ended,
            Err(error) => return Err(seal_failed(&mut core, edge.counts(), error)),
        };
        edge.answer_all(last);
        let watermarks = core.watermarks();
        let (gateway, held) = edge.latencies();
        Ok(Outcome {
            reason: end.reason,
            message: end.message,
            first,
            last,
            resumed_after,
            restored_from,
            ring_full: edge.ring_full(),
            gateway: gateway.percentiles(),
            durability: DurabilityReport {
                mode: options.journal.durability,
                durable: watermarks.durable(),
                statistics: watermarks.statistics(),
                held: held.percentiles(),
            },
            before,
            after: core.risk(),
            pinned,
            elapsed_ns,
            clock,
        })
    }
}

/// What is left when the edge has stopped.
struct Driven {
    core: Core,
    end: Result<End, RunError>,
    pinned: bool,
}

/// Seals a journal that could not take its next step, where it is sound: after a full disk, not after a failed sync.
/// The first error stays the one that is told.
fn seal_failed(core: &mut Core, counts: &RunEnded, error: RunError) -> RunError {
    let RunError::Journal(source @ (JournalError::DiskFull { .. } | JournalError::Io { .. })) = error else {
        return error;
    };
    let ended = RunEnded { reason: EndReason::ENVIRONMENT_FAILED, ..*counts };
    match core.run_failed(&ended, &source.to_string()) {
        Ok(last) => RunError::Stopped { source, last },
        Err(_) => RunError::Journal(source),
    }
}

/// Why the edge stopped.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) reason: EndReason,
    pub(crate) message: String,
}

/// Time is the wall clock's with live feeds and the ticks' own with others: a run has one or the other.
fn refuse_mixed(feeds: &[(Box<dyn Feed>, InstrumentId)]) -> Result<(), RunError> {
    let name =
        |is_live| feeds.iter().find(|(feed, _)| feed.is_live() == is_live).map(|(feed, _)| feed.name());
    match (name(true), name(false)) {
        (Some(live), Some(historical)) => {
            Err(RunError::MixedFeeds { live: live.to_owned(), historical: historical.to_owned() })
        }
        _ => Ok(()),
    }
}

fn drive_single(edge: &mut Edge, core: Core, options: &RunOptions) -> Driven {
    let pinned = options.cores.first().is_none_or(|&core| pin(core));
    let mut line = Line::Single(Box::new(core));
    let end = drive_caught(edge, &mut line);
    let Line::Single(core) = line else { unreachable!("the line was made single") };
    Driven { core: *core, end, pinned }
}

fn drive_fused(edge: &mut Edge, core: Core, options: &RunOptions) -> Result<Driven, RunError> {
    let (publisher, mut subscriber) = ring(options.ring_slots);
    let broken = Arc::new(AtomicBool::new(false));
    let pipeline = options.place(1, "pipeline", &broken).start(move |place| {
        let mut core = core;
        let drained = caught(|| {
            place.serve(&mut subscriber, &mut core, |core, it| core.process(it, Clock::now), Core::tend)
        });
        let drained = match drained {
            Ok(drained) => drained.map_err(RunError::from),
            Err(panic) => Err(panicked(core.part(), &*panic)),
        };
        let came_to_end = drained.is_ok();
        ((core, drained), came_to_end)
    })?;
    let (end, pinned) = drive_on_ring(edge, Line::Fused { publisher, broken }, options);
    let ((core, drained), pipeline_pinned) = pipeline.join()?;
    match drained {
        Err(error @ RunError::Panicked { .. }) => Err(error),
        drained => Ok(Driven { core, end: drained.and(end), pinned: pinned && pipeline_pinned }),
    }
}

fn drive_staged(edge: &mut Edge, core: Core, options: &RunOptions) -> Result<Driven, RunError> {
    let broken = Arc::new(AtomicBool::new(false));
    let (publisher, stages) =
        Stages::start(core, options.ring_slots, |thread, name| options.place(thread, name, &broken))?;
    let (end, pinned) = drive_on_ring(edge, Line::Staged { publisher, broken }, options);
    let (core, drained, stages_pinned) = stages.join()?;
    Ok(Driven { core, end: drained.map_err(RunError::from).and(end), pinned: pinned && stages_pinned })
}

/// Drives the edge on this thread, and closes the ring behind it.
fn drive_on_ring(edge: &mut Edge, mut line: Line, options: &RunOptions) -> (Result<End, RunError>, bool) {
    edge.counters.ring(options.ring_slots);
    let pinned = options.cores.first().is_none_or(|&core| pin(core));
    (drive_caught(edge, &mut line), pinned)
}

/// Drives the edge and turns a panic into an error: the journal holds everything before the step that failed.
fn drive_caught(edge: &mut Edge, line: &mut Line) -> Result<End, RunError> {
    caught(|| edge.drive(line)).unwrap_or_else(|panic| {
        let part = match line {
            Line::Single(core) => core.part(),
            Line::Fused { .. } | Line::Staged { .. } => "edge",
        };
        Err(panicked(part, &*panic))
    })
}

#[cfg(test)]
mod tests;
