//! A crew: threads that take jobs from one queue, whose results may ask for more jobs.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{bounded, unbounded};

/// Does the jobs of `queue` on `threads` threads, in its order. What `done` gives for a result is done next. Once `stop`
/// is set no further job begins.
///
/// # Panics
/// As `work` does, once every thread has ended its job.
pub fn work_off<J: Send, R: Send>(
    threads: usize,
    mut queue: VecDeque<J>,
    stop: &AtomicBool,
    work: impl Fn(&J) -> R + Sync,
    mut done: impl FnMut(J, R) -> Option<J>,
) {
    let (give, jobs) = bounded::<J>(threads);
    let (tell, results) = unbounded();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (jobs, tell, work) = (jobs.clone(), tell.clone(), &work);
            scope.spawn(move || {
                for job in jobs {
                    // Nothing of a job that panicked is used again.
                    let result = catch_unwind(AssertUnwindSafe(|| work(&job)));
                    if tell.send((job, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop((jobs, tell));
        let mut busy = 0;
        loop {
            while busy < threads
                && !stop.load(Ordering::Acquire)
                && let Some(job) = queue.pop_front()
            {
                if give.send(job).is_err() {
                    return;
                }
                busy += 1;
            }
            if busy == 0 {
                return drop(give);
            }
            let Ok((job, result)) = results.recv() else { return };
            busy -= 1;
            let result = result.unwrap_or_else(|panic| resume_unwind(panic));
            if let Some(next) = done(job, result) {
                queue.push_front(next);
            }
        }
    });
}
