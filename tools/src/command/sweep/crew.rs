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

#[cfg(test)]
mod tests {
    use super::*;

    fn squares(threads: usize, stop_after: Option<u32>) -> Vec<(u32, u32)> {
        let (stop, mut found) = (AtomicBool::new(false), Vec::new());
        work_off(
            threads,
            (1..=20).collect(),
            &stop,
            |job| job * job,
            |job, square| {
                found.push((job, square));
                stop.store(stop_after.is_some_and(|after| found.len() >= after as usize), Ordering::Release);
                // Every fifth asks for one more.
                (job <= 20 && job % 5 == 0).then_some(job + 100)
            },
        );
        found
    }

    #[test]
    fn every_job_and_every_job_that_follows_is_done_once() {
        let one = squares(1, None);
        assert_eq!(one[4..7], [(5, 25), (105, 11_025), (6, 36)], "what follows is next");
        for threads in [1, 2, 7, 100] {
            let mut found = squares(threads, None);
            found.sort_unstable();
            let expected = (1..=20).chain([105, 110, 115, 120]).map(|job| (job, job * job));
            assert!(found.into_iter().eq(expected), "{threads}");
        }
    }

    #[test]
    fn a_crew_that_is_stopped_ends_what_it_has_begun() {
        assert_eq!(squares(1, Some(3)), [(1, 1), (2, 4), (3, 9)]);
        let found = squares(4, Some(3)).len();
        assert!((3..=6).contains(&found), "{found}");
    }

    #[test]
    #[should_panic(expected = "job 7")]
    fn a_job_that_panics_is_no_reason_to_wait_for_ever() {
        let work = |job: &u32| assert!(*job != 7, "job {job}");
        work_off(3, (1..=20).collect(), &AtomicBool::new(false), work, |_, ()| None);
    }
}
