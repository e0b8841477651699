//! The appender's two threads, or, where a test wants every interleaving from a seed, the same work without threads.
//!
//! ```text
//!  supplier thread:  work, work, .. sleep a little
//!  flusher thread:   finish > flush when due > digest > sleep until somebody asks
//! ```
//!
//! Invariants: whatever ends the appender ends both threads before it is gone.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::flusher::Flusher;
use super::options::Durability;
use super::pace::{NAP, SLEEP};
use super::storage::Storage;
use super::supplier::Supplier;
use super::watermark::{ASKED_PAD, Watermarks};

const RUN: u8 = 0;
const DRAIN: u8 = 1;
const ABANDON: u8 = 2;

/// Who does the appender's background work.
#[cfg_attr(test, expect(clippy::large_enum_variant, reason = "there is one, and not in a product"))]
#[derive(Debug)]
pub(super) enum Background<S: Storage> {
    /// Threads of their own.
    Threads {
        supplier: Option<JoinHandle<Supplier<S>>>,
        flusher: Option<JoinHandle<Flusher<S>>>,
        order: Arc<AtomicU8>,
    },
    /// Whoever owns the appender, piece by piece.
    #[cfg(test)]
    Inline { supplier: Supplier<S>, flusher: Flusher<S> },
    /// Nobody any more.
    Ended,
}

impl<S: Storage> Background<S> {
    /// Starts the threads.
    pub(super) fn start(
        mut supplier: Supplier<S>,
        flusher: Flusher<S>,
        durability: Durability,
        watermarks: &Watermarks,
    ) -> io::Result<Self> {
        let order = Arc::new(AtomicU8::new(RUN));
        let (supplier_order, flusher_order) = (Arc::clone(&order), Arc::clone(&order));
        let guard = Guard { watermarks: watermarks.clone(), thread: "supplier" };
        let supplier = thread::Builder::new().name("pawl-supplier".to_owned()).spawn(move || {
            let _guard = guard;
            while supplier_order.load(Ordering::Acquire) == RUN {
                if !supplier.work() {
                    thread::park_timeout(if supplier.is_busy() { NAP } else { SLEEP });
                }
            }
            supplier
        })?;
        let marks = watermarks.clone();
        let mut background = Self::Threads { supplier: Some(supplier), flusher: None, order };
        let thread = thread::Builder::new()
            .name("pawl-flusher".to_owned())
            .spawn(move || {
                let _guard = Guard { watermarks: marks.clone(), thread: "flusher" };
                Tending { flusher, durability, watermarks: marks, order: flusher_order }.run()
            })
            .inspect_err(|_| drop(background.end(false)))?;
        watermarks.set_flusher(thread.thread().clone());
        if let Self::Threads { flusher, .. } = &mut background {
            *flusher = Some(thread);
        }
        Ok(background)
    }

    /// Wakes the supplier: the writer needs a segment.
    pub(super) fn hurry(&mut self) {
        match self {
            Self::Threads { supplier: Some(supplier), .. } => supplier.thread().unpark(),
            #[cfg(test)]
            Self::Inline { supplier, .. } => {
                supplier.hurry();
                while supplier.work() {}
            }
            _ => {}
        }
    }

    /// Ends the background work: with `drain` every segment that the writer has left is finished first. Gives the
    /// flusher back.
    pub(super) fn end(&mut self, drain: bool) -> Option<Flusher<S>> {
        match std::mem::replace(self, Self::Ended) {
            Self::Threads { mut supplier, mut flusher, order } => {
                order.store(if drain { DRAIN } else { ABANDON }, Ordering::Release);
                if let Some(supplier) = supplier.take() {
                    supplier.thread().unpark();
                    // It has nothing that anybody needs; if it panicked, the panic hook has said so.
                    drop(supplier.join());
                }
                let flusher = flusher.take()?;
                flusher.thread().unpark();
                flusher.join().ok()
            }
            #[cfg(test)]
            Self::Inline { flusher: mut inline, .. } => {
                if drain {
                    inline.drain();
                }
                Some(inline)
            }
            Self::Ended => None,
        }
    }
}

/// Tells the writer when a thread ends by a panic: nothing would come from it any more.
struct Guard {
    watermarks: Watermarks,
    thread: &'static str,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if thread::panicking() {
            self.watermarks.fail(&format!("the {} thread panicked", self.thread));
        }
    }
}

/// The flusher's thread.
struct Tending<S: Storage> {
    flusher: Flusher<S>,
    durability: Durability,
    watermarks: Watermarks,
    order: Arc<AtomicU8>,
}

impl<S: Storage> Tending<S> {
    fn run(mut self) -> Flusher<S> {
        loop {
            match self.order.load(Ordering::Acquire) {
                RUN => {}
                DRAIN => {
                    self.flusher.drain();
                    return self.flusher;
                }
                _ => return self.flusher,
            }
            if self.flusher.finish() || self.flush_if_due() || self.flusher.digest() {
                continue;
            }
            thread::park_timeout(self.flusher.pace().pause());
        }
    }

    fn flush_if_due(&mut self) -> bool {
        if self.durability == Durability::PageCache {
            return false;
        }
        let is_wanted = self.durability == Durability::Gated && self.watermarks.is_wanted();
        let pace = self.flusher.look();
        let is_due = is_wanted && pace.is_behind() || pace.is_due(Instant::now());
        if !is_due || self.watermarks.failure().is_some() {
            return false;
        }
        let patience = pace.patience(is_wanted);
        self.flusher.ask_for_pad();
        let asked = Instant::now();
        while self.watermarks.asked() & ASKED_PAD != 0
            && asked.elapsed() < patience
            && self.order.load(Ordering::Relaxed) == RUN
        {
            // The writer may be waiting for this very core.
            if is_wanted { thread::yield_now() } else { thread::sleep(Duration::from_micros(50)) }
        }
        // A writer that has nothing to append need not pad later for a sync that is over.
        self.watermarks.answered(ASKED_PAD);
        self.flusher.flush();
        true
    }
}
