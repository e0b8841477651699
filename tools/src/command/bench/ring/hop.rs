//! The ways from thread to thread that are measured beside each other.
//!
//! All but the baseline carry an [`Envelope`] in 1,024 slots, and spin on both sides but where they say otherwise. The
//! disruptor crate is named here to be measured alone, without what our ring adds to it.

use crossbeam_channel::{TryRecvError, TrySendError, bounded};
use disruptor::{BusySpin, Polling, Producer as _, build_single_producer};
use pawl_engine::Input;
use pawl_engine::runtime::{Envelope, Instant, Polled, ring};
use pawl_journal::record::{Sequence, Time, Timer};

use crate::measure::{Handed, Handover};

/// Slots of each, as a run has by default.
const SLOTS: usize = 1_024;

/// Things that a reader takes at once, as the pipeline thread does.
const BATCH: u64 = 64;

/// A way from thread to thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// One cache line, which holds the newest number.
    CacheLine,
    /// The engine's ring.
    Ring,
    /// The disruptor crate by itself.
    Disruptor,
    /// A bounded crossbeam channel, both sides trying again and again.
    ChannelSpinning,
    /// A bounded crossbeam channel, both sides blocking.
    ChannelBlocking,
}

impl Hop {
    /// All, the baseline first.
    pub const ALL: [Self; 5] =
        [Self::CacheLine, Self::Ring, Self::Disruptor, Self::ChannelSpinning, Self::ChannelBlocking];

    /// Those that keep everything until it is taken, ours first.
    pub const QUEUES: [Self; 4] = [Self::Ring, Self::Disruptor, Self::ChannelSpinning, Self::ChannelBlocking];

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CacheLine => "baseline: a cache line",
            Self::Ring => "our ring",
            Self::Disruptor => "disruptor crate alone",
            Self::ChannelSpinning => "crossbeam channel, spinning",
            Self::ChannelBlocking => "crossbeam channel, blocking",
        }
    }

    /// One turn through it.
    pub fn turn(self, handover: &Handover<'_>) -> anyhow::Result<Handed> {
        match self {
            Self::CacheLine => handover.cache_line(1),
            Self::Ring => through_ring(handover),
            Self::Disruptor => through_disruptor(handover),
            Self::ChannelSpinning => through_channel_spinning(handover),
            Self::ChannelBlocking => through_channel_blocking(handover),
        }
    }
}

fn envelope(number: u64) -> Envelope {
    let now = Instant::default();
    let input = Input::Timer(Timer::default());
    Envelope { sequence: Sequence(number), time: Time(0), received: now, published: now, input }
}

fn through_ring(handover: &Handover<'_>) -> anyhow::Result<Handed> {
    let (mut publisher, mut subscriber) = ring(SLOTS);
    let give = move |number| {
        let envelope = envelope(number);
        while !publisher.try_publish(&envelope) {
            std::hint::spin_loop();
        }
        Ok(())
    };
    let take = move || {
        let mut newest = None;
        let polled = subscriber.poll(BATCH, |envelope| {
            newest = Some(std::hint::black_box(envelope).sequence.0);
            anyhow::Ok(())
        })?;
        Ok(if polled == Polled::Empty { None } else { newest })
    };
    handover.run(give, vec![take])
}

fn through_disruptor(handover: &Handover<'_>) -> anyhow::Result<Handed> {
    let builder = build_single_producer(SLOTS, || envelope(0), BusySpin);
    let (mut poller, builder) = builder.new_event_poller();
    let mut producer = builder.build();
    let give = move |number| {
        let envelope = envelope(number);
        while producer.try_publish(|slot| *slot = envelope).is_err() {
            std::hint::spin_loop();
        }
        Ok(())
    };
    let take = move || {
        Ok(match poller.take(BATCH) {
            Ok(mut events) => (&mut events).map(|it| std::hint::black_box(it).sequence.0).last(),
            Err(Polling::NoEvents | Polling::Shutdown) => None,
        })
    };
    handover.run(give, vec![take])
}

fn through_channel_spinning(handover: &Handover<'_>) -> anyhow::Result<Handed> {
    let (sender, receiver) = bounded(SLOTS);
    let give = move |number| {
        let mut envelope = envelope(number);
        while let Err(TrySendError::Full(back)) = sender.try_send(envelope) {
            envelope = back;
            std::hint::spin_loop();
        }
        Ok(())
    };
    let take = move || {
        Ok(match receiver.try_recv() {
            Ok(envelope) => Some(std::hint::black_box(envelope).sequence.0),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        })
    };
    handover.run(give, vec![take])
}

fn through_channel_blocking(handover: &Handover<'_>) -> anyhow::Result<Handed> {
    let (sender, receiver) = bounded(SLOTS);
    // Whoever received is gone only when it has failed, and its own failure is told then.
    let give = move |number| {
        let _ = sender.send(envelope(number));
        Ok(())
    };
    let take = move || Ok(receiver.recv().ok().map(|envelope| std::hint::black_box(envelope).sequence.0));
    handover.run(give, vec![take])
}
