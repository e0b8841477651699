//! The supplier: keeps the next segments ready and the pages before the writer faulted in, on a thread of its own.
//!
//! ```text
//!  supplier: create, allocate, fault in > stock (two spares) ---> writer, when its segment is full
//!  writer:   position (segment, page) ---> supplier: fault in the pages of the next [`WINDOW_BYTES`]
//! ```
//!
//! Invariants: a spare is handed over with all its bytes allocated and its name durable; nothing here changes a byte
//! that the writer has written.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::directory::{Directory, spare_name};
use super::error::JournalError;
use super::index::Samples;
use super::region::PAGE_BYTES;
use super::storage::{Region as _, Storage, WritableRegion as _};
use super::watermark::{Supply, Watermarks};

/// Segments that stand ready beside the one being written.
const SPARES: usize = 2;

/// Bytes before the writer that are kept faulted in.
const WINDOW_BYTES: usize = 16 << 20;

/// Bytes faulted in between two looks at where the writer is.
const PREFAULT_BYTES: usize = 1 << 20;

/// How often pages are faulted in again: the kernel write-protects those that it has written back.
const REFRESH: Duration = Duration::from_millis(500);

/// How long to wait before trying again to make a spare.
const RETRY: Duration = Duration::from_millis(250);

const PAGE_BITS: u32 = 20;

const _: () = assert!((u32::MAX as usize) / PAGE_BYTES < 1 << PAGE_BITS);

/// Where the writer is: segment index and page, in one word.
#[derive(Debug, Default)]
pub(super) struct Position(AtomicU64);

impl Position {
    /// The writer is at this offset of this segment.
    #[inline]
    pub(super) fn set(&self, index: u64, offset: usize) {
        self.0.store(index << PAGE_BITS | (offset / PAGE_BYTES) as u64, Ordering::Relaxed);
    }

    fn get(&self) -> (u64, usize) {
        let word = self.0.load(Ordering::Relaxed);
        (word >> PAGE_BITS, (word as usize & ((1 << PAGE_BITS) - 1)) * PAGE_BYTES)
    }
}

/// A file that is ready to become a segment.
#[derive(Debug)]
pub(super) struct Spare<S: Storage> {
    /// The segment's index, and the file's name.
    pub(super) index: u64,
    /// Its bytes: zeros.
    pub(super) bytes: S::Writable,
    /// The segment's salt.
    pub(super) salt: u64,
    /// Room for the segment's index.
    pub(super) samples: Samples,
}

impl<S: Storage> Spare<S> {
    /// Makes a spare.
    pub(super) fn make(
        directory: &Directory<S>,
        index: u64,
        segment_bytes: u64,
    ) -> Result<Self, JournalError> {
        let storage = &directory.storage;
        let bytes = storage.create(&spare_name(index), segment_bytes)?;
        let samples = Samples::for_segment(segment_bytes);
        Ok(Self { index, bytes, salt: storage.random()?, samples })
    }
}

/// The writer's end of the stock.
#[derive(Debug)]
pub(super) struct Stock<S: Storage> {
    spares: Receiver<Spare<S>>,
    count: Arc<AtomicUsize>,
    failure: Arc<Mutex<Option<JournalError>>>,
}

impl<S: Storage> Stock<S> {
    /// The next spare, if one is ready.
    pub(super) fn take(&self) -> Option<Spare<S>> {
        self.spares.try_recv().ok().map(|spare| self.taken(spare))
    }

    /// The next spare, if one becomes ready within this time.
    pub(super) fn take_within(&self, wait: Duration) -> Option<Spare<S>> {
        self.spares.recv_timeout(wait).ok().map(|spare| self.taken(spare))
    }

    fn taken(&self, spare: Spare<S>) -> Spare<S> {
        self.count.fetch_sub(1, Ordering::Relaxed);
        spare
    }

    /// Whether no spare is ready.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Why there is none.
    pub(super) fn failure(&self) -> Option<JournalError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A segment whose pages are kept faulted in.
#[derive(Debug)]
struct Window<S: Storage> {
    index: u64,
    region: S::Region,
    prefaulted: usize,
}

/// Makes spares and faults pages in.
#[derive(Debug)]
pub(super) struct Supplier<S: Storage> {
    directory: Directory<S>,
    segment_bytes: u64,
    next_index: u64,
    stock: SyncSender<Spare<S>>,
    count: Arc<AtomicUsize>,
    failure: Arc<Mutex<Option<JournalError>>>,
    windows: VecDeque<Window<S>>,
    position: Arc<Position>,
    watermarks: Watermarks,
    retry_at: Option<Instant>,
    refreshed: Instant,
    refreshed_at: (u64, usize),
    last_position: (u64, usize),
}

impl<S: Storage> Supplier<S> {
    /// A supplier for the writer of the segment with this index and these bytes.
    pub(super) fn new(
        directory: Directory<S>,
        segment_bytes: u64,
        current: (u64, S::Region),
        position: Arc<Position>,
        watermarks: Watermarks,
    ) -> (Self, Stock<S>) {
        let (stock, spares) = sync_channel(SPARES);
        let count = Arc::new(AtomicUsize::new(0));
        let failure = Arc::new(Mutex::new(None));
        let (index, region) = current;
        let supplier = Self {
            directory,
            segment_bytes,
            next_index: index + 1,
            stock,
            count: Arc::clone(&count),
            failure: Arc::clone(&failure),
            windows: VecDeque::from([Window { index, region, prefaulted: 0 }]),
            last_position: position.get(),
            position,
            watermarks,
            retry_at: None,
            refreshed: Instant::now(),
            refreshed_at: (0, 0),
        };
        (supplier, Stock { spares, count, failure })
    }

    /// Does the most urgent piece of work; false if there is none.
    pub(super) fn work(&mut self) -> bool {
        self.prefault() || self.supply() || self.refresh()
    }

    /// Whether the writer has moved since the last time this was asked.
    pub(super) fn is_busy(&mut self) -> bool {
        let before = std::mem::replace(&mut self.last_position, self.position.get());
        before != self.last_position
    }

    /// Faults in the next piece of the window before the writer.
    fn prefault(&mut self) -> bool {
        let (index, offset) = self.position.get();
        while self.windows.front().is_some_and(|window| window.index < index) {
            self.windows.pop_front();
        }
        let mut ahead = offset + WINDOW_BYTES;
        for window in &mut self.windows {
            let to = ahead.min(window.region.len());
            let from = window.prefaulted.max(if window.index == index { offset } else { 0 });
            if from < to {
                let end = (from + PREFAULT_BYTES).min(to);
                if let Err(error) = window.region.prefault(from, end - from) {
                    self.watermarks.fail(&format!("faulting in pages: {error}"));
                    return false;
                }
                window.prefaulted = end;
                return true;
            }
            // The rest of the window is at the start of the next segment.
            ahead = ahead.saturating_sub(window.region.len());
        }
        false
    }

    /// Makes a spare if one is due.
    fn supply(&mut self) -> bool {
        if self.count.load(Ordering::Relaxed) >= SPARES || self.retry_at.is_some_and(|at| Instant::now() < at)
        {
            return false;
        }
        let made = Spare::make(&self.directory, self.next_index, self.segment_bytes)
            .and_then(|spare| self.directory.storage.sync_names().map(|()| spare));
        match made {
            Ok(spare) => {
                let region = spare.bytes.region().clone();
                self.windows.push_back(Window { index: spare.index, region, prefaulted: 0 });
                self.next_index += 1;
                self.retry_at = None;
                self.count.fetch_add(1, Ordering::Relaxed);
                self.watermarks.set_supply(Supply::Enough);
                // The stock has room for all spares, and the writer is there as long as this thread is.
                self.stock.try_send(spare).is_ok()
            }
            Err(error) => {
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                // What was begun is in the way of nothing; the writer learns why when it needs a segment.
                drop(self.directory.storage.remove(&spare_name(self.next_index)));
                self.retry_at = Some(Instant::now() + RETRY);
                let ready = self.count.load(Ordering::Relaxed);
                self.watermarks.set_supply(if ready == 0 { Supply::Out } else { Supply::Low });
                false
            }
        }
    }

    /// Begins to fault the window in again, now and then, while the writer is at work.
    fn refresh(&mut self) -> bool {
        let position = self.position.get();
        if self.refreshed.elapsed() < REFRESH || self.refreshed_at == position {
            return false;
        }
        (self.refreshed, self.refreshed_at) = (Instant::now(), position);
        for window in &mut self.windows {
            window.prefaulted = 0;
        }
        false
    }

    /// Forgets that it wanted to wait before trying again.
    #[cfg(test)]
    pub(super) fn hurry(&mut self) {
        self.retry_at = None;
    }
}
