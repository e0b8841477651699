//! Threads: starting, pinning and ending those that read the ring.
//!
//! Invariants: whichever of them ends otherwise than by the ring's closing says so to all the others, however it ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::affinity::pin;
use super::error::RunError;
use super::ring::{Polled, Subscriber};
use super::wait::{Wait, Waiter};

/// Slots a thread takes from the ring at once.
const BATCH: u64 = 64;

/// Where a thread runs, how it waits, and how the others hear that it is gone.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) name: &'static str,
    pub(super) core: Option<usize>,
    pub(super) wait: Wait,
    /// More threads are to run than there are cores.
    pub(super) is_crowded: bool,
    /// Set when a thread has ended before its time.
    pub(super) broken: Arc<AtomicBool>,
}

/// A thread on the ring: what it gives when it ends, and whether it could be pinned.
pub(super) struct Running<T> {
    name: &'static str,
    handle: JoinHandle<(T, bool)>,
}

impl Place {
    /// Starts a thread that does `work`, and `work` says whether it came to the ring's end.
    ///
    /// # Errors
    /// [`RunError::Thread`] if the system has no thread for it.
    pub(super) fn start<T: Send + 'static>(
        self,
        work: impl FnOnce(&Self) -> (T, bool) + Send + 'static,
    ) -> Result<Running<T>, RunError> {
        let name = self.name;
        #[expect(clippy::disallowed_methods, reason = "the runtime owns the engine's threads")]
        let handle = std::thread::Builder::new()
            .name(format!("pawl-{name}"))
            .spawn(move || {
                let pinned = self.core.is_none_or(pin);
                let gone = Gone(&self.broken);
                let (owned, ended) = work(&self);
                if ended {
                    std::mem::forget(gone);
                }
                (owned, pinned)
            })
            .map_err(|source| RunError::Thread { thread: name, source })?;
        Ok(Running { name, handle })
    }

    /// Handles what comes through the ring until it closes, or another thread has gone; `idle` is called when there is
    /// nothing.
    ///
    /// # Errors
    /// Whatever `handle` and `idle` return.
    #[inline]
    pub(super) fn serve<S, E, T>(
        &self,
        subscriber: &mut Subscriber<S>,
        state: &mut T,
        mut handle: impl FnMut(&mut T, &S) -> Result<(), E>,
        mut idle: impl FnMut(&mut T) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut waiter = Waiter::new(self.wait, self.is_crowded);
        loop {
            match subscriber.poll(BATCH, |slot| handle(state, slot))? {
                Polled::Some(_) => waiter.reset(),
                Polled::Empty => {
                    idle(state)?;
                    if self.broken.load(Ordering::Acquire) {
                        return Ok(());
                    }
                    waiter.pause();
                }
                Polled::Closed => return Ok(()),
            }
        }
    }
}

impl<T> Running<T> {
    /// Waits for its end.
    ///
    /// # Errors
    /// [`RunError::Panicked`] if it panicked.
    pub(super) fn join(self) -> Result<(T, bool), RunError> {
        self.handle.join().map_err(|panic| panicked(self.name, &*panic))
    }
}

/// Tells the others, however a thread ends, that it is gone.
struct Gone<'a>(&'a AtomicBool);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Does `work` and turns a panic into an error; what it worked on is not to be used then but to be dropped or asked for
/// what went wrong.
///
/// # Errors
/// What the panic said.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Box<dyn std::any::Any + Send>> {
    catch_unwind(AssertUnwindSafe(work))
}

/// The error for a panic in this part of the engine.
pub(super) fn panicked(part: &'static str, panic: &(dyn std::any::Any + Send)) -> RunError {
    let message = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "without a message".to_owned());
    RunError::Panicked { part, message }
}
