//! The publisher: the cold thread that copies the counters into their file, and counts what no hot thread has to.
//!
//! Invariants: it only reads what the hot threads write; a run whose counters have no file counts all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use pawl_journal::record::Time;

use super::catalogue as at;
use super::file::CountersFile;
use super::{Counters, Family};
use crate::runtime::progress::Progress;

/// How often the file is written, and so how old what it says may be.
pub const PUBLISH: Duration = Duration::from_millis(100);

/// A publisher at work, until dropped: then it writes the file once more and says in it that the engine has ended.
#[derive(Debug)]
pub struct Publisher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Publishes the counters of a run's progress in `file`, if there is one. Without counters it does nothing.
    ///
    /// # Errors
    /// What the system says when the thread cannot be started.
    #[expect(clippy::disallowed_methods, reason = "the runtime owns the engine's threads")]
    pub fn start(progress: Arc<Progress>, file: Option<CountersFile>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = match progress.counters() {
            Some(counters) => {
                let counters = Arc::clone(counters);
                let publish = move || publish(&progress, &counters, file, &seen);
                Some(std::thread::Builder::new().name("pawl-counters".to_owned()).spawn(publish)?)
            }
            None => None,
        };
        Ok(Self { stop, thread })
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // Counters are no reason to end otherwise than the run did.
            let _ = thread.join();
        }
    }
}

fn publish(progress: &Progress, counters: &Counters, mut file: Option<CountersFile>, stop: &AtomicBool) {
    loop {
        let is_ended = stop.load(Ordering::Acquire);
        look(progress, counters);
        if let Some(file) = &mut file {
            file.publish(counters, now(), is_ended);
        }
        if is_ended {
            return;
        }
        std::thread::park_timeout(PUBLISH);
    }
}

/// Counts what can be seen from here.
fn look(progress: &Progress, counters: &Counters) {
    let status = progress.status();
    let set = |family: Family, value: u64| counters.set(family, value);
    // First what was committed, so that never more seems committed than published.
    let committed = counters.get(at::COMMITTED.id);
    let published = progress.sequence().0;
    let occupancy = published.saturating_sub(committed);
    set(at::PUBLISHED, published.max(committed));
    set(at::RING_OCCUPANCY, occupancy);
    set(at::RING_OCCUPANCY_MAX, occupancy.max(counters.get(at::RING_OCCUPANCY_MAX.id)));
    set(at::FEED_PROGRESS, (status.share * 1e6) as u64);
    if let Some(watermarks) = progress.watermarks() {
        let it = watermarks.statistics();
        set(at::DURABLE, watermarks.durable().0);
        set(at::SUPPLY, watermarks.supply() as u64);
        set(at::SYNCS, it.syncs);
        set(at::SYNC_TIME, it.sync_ns_total);
        set(at::SYNC_MAX, it.sync_ns_max);
        set(at::LAG_STEPS_MAX, it.lag_steps_max);
        set(at::LAG_MAX, it.lag_ns_max);
        set(at::PADDING, it.pad_bytes);
        set(at::ROLLS, it.rolls);
        set(at::ROLL_WAITS, it.roll_waits);
        set(at::SYNC_FAILED, u64::from(watermarks.failure().is_some()));
    }
}

/// The wall-clock time.
#[expect(clippy::disallowed_methods, reason = "what is published says when, and decides nothing")]
pub(super) fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
