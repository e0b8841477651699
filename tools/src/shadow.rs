//! The shadow of a run: takes snapshots on a thread of its own while the engine writes its journal.
//!
//! ```text
//!  engine --steps--> journal --read--> shadow --twice the same--> snapshots/N.snapshot, N.verified
//! ```
//!
//! Invariants: the engine is not asked and does not wait; when the run ends the shadow ends, in the middle of a snapshot
//! if it must, which is then not written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use pawl_engine::runtime::Progress;
use pawl_replay::Shadow;

use crate::machine;
use crate::twin::twin_of;

/// How often it looks how far the engine is.
const LOOK: Duration = Duration::from_millis(200);

/// A shadow at work, until dropped.
pub struct RunShadow {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl RunShadow {
    /// Takes a snapshot every `every` steps of a run that goes on behind step `from`; 0 is never.
    pub fn start(journal: &Path, every: u64, from: u64, progress: Arc<Progress>) -> anyhow::Result<Self> {
        let done = Arc::new(AtomicBool::new(false));
        if every == 0 {
            return Ok(Self { done, thread: None });
        }
        let build_hash = machine::build_hash()?;
        let (journal, stop) = (journal.to_path_buf(), Arc::clone(&done));
        let follow = move || follow(&journal, build_hash, every, from, &progress, &stop);
        let thread = std::thread::Builder::new().name("pawl-shadow".into()).spawn(follow)?;
        Ok(Self { done, thread: Some(thread) })
    }
}

impl Drop for RunShadow {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // What ended it was told.
            let _ = thread.join();
        }
    }
}

fn follow(journal: &PathBuf, build_hash: u64, every: u64, from: u64, progress: &Progress, stop: &AtomicBool) {
    let mut next = from.saturating_add(every);
    while !stop.load(Ordering::Acquire) {
        std::thread::park_timeout(LOOK);
        if progress.status().sequence.0 < next {
            continue;
        }
        let mut shadow = Shadow {
            journal,
            build_hash,
            twin: &|| twin_of(journal),
            progress: &mut |_| {},
            skipped: &mut |_, _| {},
            stop,
        };
        match shadow.take(None, machine::now()) {
            Ok(taken) => {
                let reached = taken.map_or(next, |taken| taken.sequence.0);
                next = reached.saturating_add(every);
            }
            Err(error) => {
                eprintln!("pawl: no snapshots are taken any more: {error}");
                return;
            }
        }
    }
}
