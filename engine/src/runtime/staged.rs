//! Staged: a thread for each stage, all on one ring.
//!
//! ```text
//! edge --> [slot] --> feature --> inference --> risk --> order, journal
//! ```
//!
//! A slot holds the step while it grows. Each thread has it alone, from the moment the one before it is through with
//! it; the lock of a slot is never contended and never waited for, it only proves that. What a thread that panicked
//! leaves is passed on by the ring and recognised by what it lacks, so that no half step is ever committed.

use parking_lot::Mutex;
use pawl_journal::log::JournalError;
use pawl_journal::record::{Stamps, Step};

use super::clock::{Clock, Instant};
use super::core::{Core, Writer, begun, set};
use super::error::RunError;
use super::ring::{Envelope, Publisher, Subscriber, chain};
use super::threads::{Place, Running};
use crate::Stage;
use crate::feature::Feature;
use crate::inference::Inference;
use crate::order::Order;
use crate::pipeline::{self, Checkpoints, Closing, Passed, Pipeline, StageHashes};
use crate::risk::{Mode, Risk};
use crate::state::{self, State};

/// Threads behind the edge's.
const STAGES: usize = 4;

/// Room for a step in a slot at first: more than all but checkpoints and bursts of orders take.
const SLOT_BYTES: usize = 2 * 1024;

/// A step on its way, as a slot of the ring.
pub(crate) type Slot = Mutex<Growing>;

/// The writing end of a staged ring.
pub(crate) type StagedPublisher = Publisher<Slot>;

/// A step on its way.
#[repr(align(128))]
pub(crate) struct Growing {
    step: Step,
    received: Instant,
    published: Instant,
    stamps: Stamps,
    /// What the stages hold after a step with a checkpoint.
    held: StageHashes,
    mode: Mode,
    /// How many stages are through with it.
    passed: usize,
}

impl Growing {
    fn empty() -> Slot {
        Mutex::new(Self {
            step: Step::with_capacity(SLOT_BYTES),
            received: Instant::default(),
            published: Instant::default(),
            stamps: Stamps::default(),
            held: StageHashes::default(),
            mode: Mode::Active,
            passed: 0,
        })
    }

    /// Begins the step of an input.
    #[inline]
    fn begin(&mut self, envelope: &Envelope) {
        envelope.input.begin(&mut self.step, envelope.sequence, envelope.time);
        (self.received, self.published) = (envelope.received, envelope.published);
        self.passed = 0;
    }
}

/// Publishes an input's step; `false` if the ring is full.
#[inline]
#[must_use]
pub(crate) fn publish(publisher: &mut StagedPublisher, envelope: &Envelope) -> bool {
    publisher.try_fill(|slot| slot.get_mut().begin(envelope))
}

/// What a thread does with a step beside letting its stage decide.
struct Station {
    at: Passed,
    checkpoints: Checkpoints,
    clock: Clock,
    stamps: bool,
}

impl Station {
    /// Lets the stage decide about a step, if every stage before it has; says whether the step holds a checkpoint.
    #[inline]
    fn pass<S: Stage + State>(&mut self, stage: &mut S, growing: &mut Growing) -> Result<bool, Stop> {
        if growing.passed != self.at as usize {
            return Err(Stop::Half);
        }
        if self.stamps && self.at == Passed::Feature {
            growing.stamps = begun(&self.clock, growing.received, growing.published, self.clock.now());
        }
        pipeline::run(self.at, stage, &mut growing.step);
        let is_checkpoint = self.checkpoints.is_due(growing.step.sequence());
        if is_checkpoint {
            growing.held[self.at as usize] = state::hash(stage).0;
        }
        if self.stamps {
            set(&mut growing.stamps, self.at, self.clock.stamp(growing.received, self.clock.now()));
        }
        growing.passed += 1;
        Ok(is_checkpoint)
    }
}

/// The last thread: the order stage, what comes behind the stages, and the journal.
struct Last {
    order: Order,
    station: Station,
    end: Closing,
    writer: Writer,
}

impl Last {
    #[inline]
    fn commit(&mut self, growing: &mut Growing) -> Result<(), Stop> {
        let is_checkpoint = self.station.pass(&mut self.order, growing)?;
        let decided = self.end.close(&mut growing.step, is_checkpoint.then_some(growing.held));
        if self.station.stamps {
            let Growing { step, received, stamps, mode, .. } = growing;
            self.writer.commit_stamped(step, *mode, *received, stamps)?;
        } else {
            self.writer.commit(&growing.step, growing.mode)?;
        }
        self.end.chain(&growing.step, decided);
        Ok(())
    }
}

/// The last thread when it has ended, and why.
type LastEnded = (Last, Result<(), JournalError>);

/// Why a thread stops before the ring closes.
enum Stop {
    /// The journal takes no more.
    Journal(JournalError),
    /// A thread before it did not do its part, and says why itself.
    Half,
}

impl From<JournalError> for Stop {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

/// The threads of the stages.
pub(crate) struct Stages {
    feature: Running<Feature>,
    inference: Running<Inference>,
    risk: Running<Risk>,
    last: Running<LastEnded>,
}

impl Stages {
    /// Starts a thread for each stage of `core`, the edge being thread 0 of `place`. Gives the ring to them.
    ///
    /// # Errors
    /// [`RunError::Thread`] if the system has no thread for one.
    pub(crate) fn start(
        core: Core,
        ring_slots: usize,
        place: impl Fn(usize, &'static str) -> Place,
    ) -> Result<(StagedPublisher, Self), RunError> {
        let (publisher, subscribers) = chain(ring_slots, Growing::empty, STAGES);
        let Ok([to_feature, to_inference, to_risk, to_order]) = <[_; STAGES]>::try_from(subscribers) else {
            unreachable!("a chain has as many subscribers as threads");
        };
        let Core { pipeline, writer, .. } = core;
        let (feature, inference, risk, order, end) = pipeline.into_parts();
        let checkpoints = end.checkpoints();
        let station = |at| Station { at, checkpoints, clock: writer.clock.clone(), stamps: writer.stamps() };
        let feature = start(
            place(1, Passed::Feature.part()),
            to_feature,
            station(Passed::Feature),
            feature,
            |_, _| {},
        )?;
        let inference = start(
            place(2, Passed::Inference.part()),
            to_inference,
            station(Passed::Inference),
            inference,
            |_, _| {},
        )?;
        let risk =
            start(place(3, Passed::Risk.part()), to_risk, station(Passed::Risk), risk, |risk, growing| {
                growing.mode = risk.mode();
            })?;
        let last = Last { station: station(Passed::Order), order, end, writer };
        let last = start_last(place(4, Passed::Order.part()), to_order, last)?;
        Ok((publisher, Self { feature, inference, risk, last }))
    }

    /// Waits for their end: the core they were, how they ended, and whether all could be pinned.
    ///
    /// # Errors
    /// [`RunError::Panicked`] if one panicked: the first of them in pipeline order, which is the one that stopped the
    /// others.
    pub(crate) fn join(self) -> Result<(Core, Result<(), JournalError>, bool), RunError> {
        // All of them are waited for before any is asked how it went.
        let (feature, inference, risk, last) =
            (self.feature.join(), self.inference.join(), self.risk.join(), self.last.join());
        let ((feature, first), (inference, second), (risk, third)) = (feature?, inference?, risk?);
        let ((Last { order, end, writer, .. }, ended), fourth) = last?;
        let pipeline = Pipeline::of_parts(feature, inference, risk, order, end);
        Ok((Core { pipeline, step: Step::new(), writer }, ended, first && second && third && fourth))
    }
}

fn start<S: Stage + State + Send + 'static>(
    place: Place,
    mut subscriber: Subscriber<Slot>,
    mut station: Station,
    mut stage: S,
    then: impl Fn(&S, &mut Growing) + Send + 'static,
) -> Result<Running<S>, RunError> {
    place.start(move |place| {
        let pass = |stage: &mut S, slot: &Slot| {
            let mut growing = slot.try_lock().ok_or(Stop::Half)?;
            station.pass(stage, &mut growing)?;
            then(stage, &mut growing);
            Ok(())
        };
        let ended = place.serve(&mut subscriber, &mut stage, pass, |_| Ok::<_, Stop>(())).is_ok();
        (stage, ended)
    })
}

fn start_last(
    place: Place,
    mut subscriber: Subscriber<Slot>,
    mut last: Last,
) -> Result<Running<LastEnded>, RunError> {
    place.start(move |place| {
        let commit = |last: &mut Last, slot: &Slot| last.commit(&mut *slot.try_lock().ok_or(Stop::Half)?);
        let ended = place.serve(&mut subscriber, &mut last, commit, |last| Ok(last.writer.tend()?));
        let came_to_end = ended.is_ok();
        let ended = match ended {
            Err(Stop::Journal(error)) => Err(error),
            Err(Stop::Half) | Ok(()) => Ok(()),
        };
        ((last, ended), came_to_end)
    })
}
