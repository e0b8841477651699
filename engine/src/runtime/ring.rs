//! The ring between the edge thread and the pipeline thread. The only file that names `disruptor`.
//!
//! ```text
//! edge thread --Publisher--> [slot][slot][slot]... --Subscriber--> pipeline thread
//! ```
//!
//! One producer, one consumer, both on threads of ours. A slot holds one [`Envelope`]: two cache lines. A full ring
//! is told to the caller, never waited for inside.

use disruptor::{
    BusySpin, EventPoller, Polling, Producer as _, RingBufferFull, SingleConsumerBarrier, SingleProducer,
};
use pawl_journal::record::{Sequence, Time, Timer};

use super::clock::Instant;
use crate::Input;

/// An input on its way to the pipeline, with the sequence and the time that ingress gave it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(128))]
pub struct Envelope {
    /// Its step's number.
    pub sequence: Sequence,
    /// Its step's time.
    pub time: Time,
    /// When ingress had it.
    pub received: Instant,
    /// When it went into the ring.
    pub published: Instant,
    /// What came in.
    pub input: Input,
}

const _: () = assert!(size_of::<Envelope>() == 128, "a slot is two cache lines");

impl Envelope {
    fn empty() -> Self {
        Self {
            sequence: Sequence(0),
            time: Time(0),
            received: Instant::default(),
            published: Instant::default(),
            input: Input::Timer(Timer::default()),
        }
    }
}

/// The writing end. Dropping it tells the subscriber that no more will come.
pub struct Publisher(SingleProducer<Envelope, SingleConsumerBarrier>);

/// The reading end.
pub struct Subscriber(EventPoller<Envelope, disruptor::SingleProducerBarrier>);

/// What a subscriber found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// This many envelopes were handled.
    Some(usize),
    /// Nothing yet.
    Empty,
    /// Nothing, and nothing will come.
    Closed,
}

/// A ring of `slots` slots, a power of two.
///
/// # Panics
/// If `slots` is no power of two; the configuration is checked before.
#[must_use]
pub fn ring(slots: usize) -> (Publisher, Subscriber) {
    let builder = disruptor::build_single_producer(slots, Envelope::empty, BusySpin);
    let (poller, builder) = builder.new_event_poller();
    (Publisher(builder.build()), Subscriber(poller))
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Publisher")
    }
}

impl std::fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subscriber")
    }
}

impl Publisher {
    /// Publishes an envelope; `false` if the ring is full.
    #[inline]
    #[must_use]
    pub fn try_publish(&mut self, envelope: &Envelope) -> bool {
        let published: Result<_, RingBufferFull> = self.0.try_publish(|slot| *slot = *envelope);
        published.is_ok()
    }
}

impl Subscriber {
    /// Handles at most `batch` envelopes in order. An error of `handle` ends the batch and is returned; the slots of
    /// the batch are given back all the same.
    ///
    /// # Errors
    /// Whatever `handle` returns.
    #[inline]
    pub fn poll<E>(
        &mut self,
        batch: u64,
        mut handle: impl FnMut(&Envelope) -> Result<(), E>,
    ) -> Result<Polled, E> {
        match self.0.take(batch) {
            Ok(mut events) => {
                let mut count = 0;
                for envelope in &mut events {
                    handle(envelope)?;
                    count += 1;
                }
                Ok(Polled::Some(count))
            }
            Err(Polling::NoEvents) => Ok(Polled::Empty),
            Err(Polling::Shutdown) => Ok(Polled::Closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(sequence: u64) -> Envelope {
        Envelope { sequence: Sequence(sequence), ..Envelope::empty() }
    }

    #[test]
    fn what_is_published_comes_out_in_order_and_then_the_ring_closes() {
        let (mut publisher, mut subscriber) = ring(64);
        let mut seen = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for sequence in 1..=1_000 {
                    while !publisher.try_publish(&envelope(sequence)) {
                        std::thread::yield_now();
                    }
                }
            });
            loop {
                let polled = subscriber.poll(16, |it| {
                    seen.push(it.sequence.0);
                    Ok::<(), ()>(())
                });
                match polled {
                    Ok(Polled::Closed) => break,
                    Ok(Polled::Empty) => std::thread::yield_now(),
                    Ok(Polled::Some(count)) => assert!(count <= 16),
                    Err(()) => unreachable!(),
                }
            }
        });
        assert_eq!(seen, (1..=1_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_ring_is_said_and_a_failing_handler_ends_the_batch() {
        let (mut publisher, mut subscriber) = ring(8);
        assert_eq!((1..=20).filter(|&sequence| publisher.try_publish(&envelope(sequence))).count(), 8);
        let result = subscriber.poll(8, |it| if it.sequence.0 < 3 { Ok(()) } else { Err(it.sequence.0) });
        assert_eq!(result, Err(3));
    }
}
