//! The same pipeline behind our ring and behind a crossbeam channel.
//!
//! ```text
//!  edge thread, pinned: ticks in memory --- ring | channel ---> pipeline thread, pinned: all features > journal
//! ```
//!
//! Both threads spin, but where the row says blocking. No gateway and no venue: what differs is the way between the two.

use std::path::Path;
use std::time::Instant;

use crossbeam_channel::{TryRecvError, TrySendError, bounded};
use pawl_engine::Input;
use pawl_engine::pipeline::Pipeline;
use pawl_engine::runtime::{Envelope, Instant as Stamp, Polled, Threading, ring};
use pawl_journal::log::{Appender, JournalError, JournalOptions, SealReason, verify};
use pawl_journal::record::{FeedId, Kind, Sequence, Step, TickMarks};

use crate::command::bench::work::Work;
use crate::measure::{Failure, on_core, pin_if};
use crate::session::{models_in, settings_of};

use super::{Lane, Once, Plan};

/// Slots of ring and channel, as a run has by default.
const SLOTS: usize = 1_024;

/// Envelopes that are taken at once.
const BATCH: u64 = 64;

/// The rows, the channels first that ratios are of.
pub fn lanes<'a>(plan: &'a Plan<'_>) -> Vec<Lane<'a>> {
    vec![
        ("crossbeam channel, spinning".to_owned(), Box::new(move || spinning(plan))),
        ("crossbeam channel, blocking".to_owned(), Box::new(move || blocking(plan))),
        ("our ring".to_owned(), Box::new(move || through_ring(plan))),
    ]
}

/// The pipeline's side.
struct Stages {
    pipeline: Pipeline,
    appender: Appender,
    step: Step,
    done: u64,
}

impl Stages {
    fn new(plan: &Plan<'_>, dir: &Path) -> anyhow::Result<Self> {
        let config = Work::Features.config(Threading::Fused);
        let settings = settings_of(&config, plan.ticks.instruments.clone());
        Ok(Self {
            pipeline: Pipeline::new(&settings, &models_in(Path::new(".")))?,
            appender: Appender::create_or_open(dir, &JournalOptions::default())?,
            step: Step::new(),
            done: 0,
        })
    }

    #[inline]
    fn process(&mut self, envelope: &Envelope) -> Result<(), JournalError> {
        envelope.input.begin(&mut self.step, envelope.sequence, envelope.time);
        self.pipeline.run(&mut self.step);
        self.appender.append(&self.step)?;
        self.done += 1;
        Ok(())
    }
}

fn through_ring(plan: &Plan<'_>) -> anyhow::Result<Once> {
    let (mut publisher, mut subscriber) = ring(SLOTS);
    let give = move |envelope: Envelope| {
        while !publisher.try_publish(&envelope) {
            std::hint::spin_loop();
        }
    };
    let take = move |stages: &mut Stages| {
        let polled = subscriber.poll(BATCH, |envelope| stages.process(envelope))?;
        Ok(polled != Polled::Closed)
    };
    once(plan, give, take)
}

fn spinning(plan: &Plan<'_>) -> anyhow::Result<Once> {
    let (sender, receiver) = bounded(SLOTS);
    let give = move |mut envelope: Envelope| {
        while let Err(TrySendError::Full(back)) = sender.try_send(envelope) {
            envelope = back;
            std::hint::spin_loop();
        }
    };
    let take = move |stages: &mut Stages| match receiver.try_recv() {
        Ok(envelope) => stages.process(&envelope).map(|()| true),
        Err(TryRecvError::Empty) => Ok(true),
        Err(TryRecvError::Disconnected) => Ok(false),
    };
    once(plan, give, take)
}

fn blocking(plan: &Plan<'_>) -> anyhow::Result<Once> {
    let (sender, receiver) = bounded(SLOTS);
    // A pipeline that is gone has failed, and its own failure is told.
    let give = move |envelope: Envelope| {
        let _ = sender.send(envelope);
    };
    let take = move |stages: &mut Stages| match receiver.recv() {
        Ok(envelope) => stages.process(&envelope).map(|()| true),
        Err(_) => Ok(false),
    };
    once(plan, give, take)
}

/// One round: `give` on the edge's core, `take` on the pipeline's until it says that there is no more.
fn once(
    plan: &Plan<'_>,
    mut give: impl FnMut(Envelope) + Send,
    mut take: impl FnMut(&mut Stages) -> Result<bool, JournalError> + Send,
) -> anyhow::Result<Once> {
    let dir = plan.place.path("throughput");
    let mut stages = Stages::new(plan, &dir)?;
    let ticks = plan.ticks.repeated(plan.count);
    let count = ticks.len() as u64;
    let elapsed = std::thread::scope(|scope| {
        let edge = scope.spawn(|| {
            pin_if(plan.cores.reader(0));
            let began = Instant::now();
            for (tick, number) in ticks.iter().zip(1..) {
                let input = Input::Tick(tick.record(FeedId(0), TickMarks::NONE));
                let (received, published) = (Stamp::default(), Stamp::default());
                give(Envelope { sequence: Sequence(number), time: tick.time, received, published, input });
            }
            drop(give);
            began
        });
        let ended = on_core(plan.cores.first(), || {
            while stages.done < count && take(&mut stages)? {}
            // Gone before the edge has given everything only when it has failed.
            drop(take);
            Ok::<_, JournalError>(Instant::now())
        });
        let began = edge.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ended.map(|ended| ended.saturating_duration_since(began))
    })?;
    stages.appender.seal(SealReason::Ended)?;
    drop(stages);
    let verified = verify(&dir, &mut |_, _| {})?;
    let counted = verified.record_counts.get(&Kind::Tick).copied().unwrap_or(0);
    Failure::unless(verified.findings.is_empty() && counted == count, || {
        format!("a pipeline's journal holds {counted} ticks of {count}: {:?}", verified.findings)
    })?;
    std::fs::remove_dir_all(&dir)?;
    Ok(Once { ticks: count, steps: count, elapsed_ns: elapsed.as_nanos() as u64, ..Once::default() })
}
