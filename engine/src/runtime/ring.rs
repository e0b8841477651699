//! The ring between the edge thread and the threads of the pipeline. The only file that names `disruptor`.
//!
//! ```text
//! edge --Publisher--> [slot][slot][slot]... --Subscriber--> first thread --Subscriber--> second thread ...
//! ```
//!
//! One producer, one thread behind it or several in a row, all of them ours. A thread finds a slot when the one before
//! it is through with its batch; the producer gets a slot back from the last. A full ring is told to the caller, never
//! waited for inside.

use disruptor::{
    BusySpin, EventPoller, Polling, Producer as _, RingBufferFull, SingleConsumerBarrier, SingleProducer,
    SingleProducerBarrier,
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

/// The writing end. Dropping it tells the subscribers that no more will come.
pub struct Publisher<T = Envelope>(SingleProducer<T, SingleConsumerBarrier>);

/// The reading end of one thread.
pub struct Subscriber<T = Envelope>(Poller<T>);

/// Behind the producer, or behind another subscriber.
enum Poller<T> {
    First(EventPoller<T, SingleProducerBarrier>),
    Later(EventPoller<T, SingleConsumerBarrier>),
}

/// What a subscriber found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// This many slots were handled.
    Some(usize),
    /// Nothing yet.
    Empty,
    /// Nothing, and nothing will come.
    Closed,
}

/// A ring of `slots` envelopes, a power of two, with one thread behind it.
///
/// # Panics
/// If `slots` is no power of two; the configuration is checked before.
#[must_use]
pub fn ring(slots: usize) -> (Publisher, Subscriber) {
    let (poller, builder) =
        disruptor::build_single_producer(slots, Envelope::empty, BusySpin).new_event_poller();
    (Publisher(builder.build()), Subscriber(Poller::First(poller)))
}

/// A ring of `slots` slots, a power of two, each as `empty` makes it, with `threads` threads behind it in a row.
///
/// # Panics
/// If `slots` is no power of two, or `threads` is less than two.
pub(crate) fn chain<T: Send + Sync + 'static>(
    slots: usize,
    empty: impl FnMut() -> T,
    threads: usize,
) -> (Publisher<T>, Vec<Subscriber<T>>) {
    assert!(threads >= 2, "a ring for one thread is made by `ring`");
    let (first, builder) = disruptor::build_single_producer(slots, empty, BusySpin).new_event_poller();
    let (second, mut builder) = builder.and_then().new_event_poller();
    let mut pollers = vec![Poller::First(first), Poller::Later(second)];
    while pollers.len() < threads {
        let (poller, further) = builder.and_then().new_event_poller();
        pollers.push(Poller::Later(poller));
        builder = further;
    }
    (Publisher(builder.build()), pollers.into_iter().map(Subscriber).collect())
}

impl<T> std::fmt::Debug for Publisher<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Publisher")
    }
}

impl<T> std::fmt::Debug for Subscriber<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subscriber")
    }
}

impl Publisher {
    /// Publishes an envelope; `false` if the ring is full.
    #[inline]
    #[must_use]
    pub fn try_publish(&mut self, envelope: &Envelope) -> bool {
        self.try_fill(|slot| *slot = *envelope)
    }
}

impl<T: Send + Sync> Publisher<T> {
    /// Publishes the next slot as `fill` leaves it; `false`, and `fill` is not called, if the ring is full.
    #[inline]
    #[must_use]
    pub(crate) fn try_fill(&mut self, fill: impl FnOnce(&mut T)) -> bool {
        let published: Result<_, RingBufferFull> = self.0.try_publish(fill);
        published.is_ok()
    }
}

/// The batch of a poller; the two kinds differ in their types alone.
macro_rules! take {
    ($poller:expr, $batch:expr, $handle:expr) => {
        match $poller.take($batch) {
            Ok(mut events) => {
                let mut count = 0;
                for slot in &mut events {
                    $handle(slot)?;
                    count += 1;
                }
                Ok(Polled::Some(count))
            }
            Err(Polling::NoEvents) => Ok(Polled::Empty),
            Err(Polling::Shutdown) => Ok(Polled::Closed),
        }
    };
}

impl<T> Subscriber<T> {
    /// Handles at most `batch` slots in order. An error of `handle`, or a panic, ends the batch; its slots are passed on
    /// all the same, so what lies behind has to see in the slot that it is not done.
    ///
    /// # Errors
    /// Whatever `handle` returns.
    #[inline]
    pub fn poll<E>(&mut self, batch: u64, mut handle: impl FnMut(&T) -> Result<(), E>) -> Result<Polled, E> {
        match &mut self.0 {
            Poller::First(poller) => take!(poller, batch, handle),
            Poller::Later(poller) => take!(poller, batch, handle),
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

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
    fn every_thread_of_a_chain_sees_a_slot_as_the_one_before_left_it() {
        for threads in [2, 3, 4] {
            let (mut publisher, subscribers) = chain(8, || Mutex::new(Vec::new()), threads);
            std::thread::scope(|scope| {
                for (index, mut subscriber) in subscribers.into_iter().enumerate() {
                    scope.spawn(move || {
                        let expected: Vec<usize> = (0..index).collect();
                        loop {
                            let polled = subscriber.poll(3, |slot| {
                                let mut passed = slot.try_lock().ok_or("shared")?;
                                assert_eq!(*passed, expected);
                                passed.push(index);
                                Ok::<(), &str>(())
                            });
                            match polled.expect("one thread has a slot at a time") {
                                Polled::Closed => break,
                                Polled::Empty => std::thread::yield_now(),
                                Polled::Some(_) => {}
                            }
                        }
                    });
                }
                for _ in 0..1_000 {
                    while !publisher.try_fill(|slot| slot.get_mut().clear()) {
                        std::thread::yield_now();
                    }
                }
                drop(publisher);
            });
        }
    }

    #[test]
    fn a_full_ring_is_said_and_a_failing_handler_ends_the_batch() {
        let (mut publisher, mut subscriber) = ring(8);
        assert_eq!((1..=20).filter(|&sequence| publisher.try_publish(&envelope(sequence))).count(), 8);
        let result = subscriber.poll(8, |it| if it.sequence.0 < 3 { Ok(()) } else { Err(it.sequence.0) });
        assert_eq!(result, Err(3));
    }
}
