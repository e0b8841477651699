//! Cores: which there are, which of them a run takes, and where threads run.
//!
//! ```text
//!  all cores  [0]  [1]  [2]  [3]         isolated: the kernel puts nothing on them by itself
//!             \_______/ \_______/
//!             background  hot threads    isolated ones first, then the last ones
//! ```
//!
//! A thread runs where the thread that started it may run, so the background is kept off the hot cores before it is
//! started (`keep_off`), and the hot threads are pinned after that (`pin`).

use std::path::Path;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores of a machine, as far as they matter to a run. Ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cores {
    /// Those that are switched on.
    pub online: Vec<usize>,
    /// Those on which this process may run as it was started.
    pub allowed: Vec<usize>,
    /// Those that the kernel keeps other work off: by `isolcpus=`, or by an isolated cpuset.
    pub isolated: Vec<usize>,
}

/// Why a run cannot be pinned to the cores that are named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoreError {
    /// None is named.
    #[error("no core is named: name some of {usable}, or say \"auto\" or \"none\"")]
    None {
        /// Those there are.
        usable: String,
    },
    /// A core is named twice.
    #[error("core {core} is named twice: give each thread a core of its own")]
    Twice {
        /// Which core.
        core: usize,
    },
    /// There is no such core.
    #[error("there is no core {core}: this machine has {online}")]
    Missing {
        /// Which core.
        core: usize,
        /// Those there are.
        online: String,
    },
    /// The process may not run on a core.
    #[error(
        "core {core} is not for this process, which may run on {usable}: name others, or start it with \
         `taskset --cpu-list`, or in a cpuset (AllowedCPUs= of its unit, --cpuset-cpus of its container), that has core {core}"
    )]
    NotAllowed {
        /// Which core.
        core: usize,
        /// Those it may use.
        usable: String,
    },
}

impl Cores {
    /// Those of this machine, for this process.
    #[must_use]
    pub fn here() -> Self {
        Self::under(Path::new("/"))
    }

    /// Those that the system files below `root` tell of.
    #[must_use]
    pub fn under(root: &Path) -> Self {
        let list = |path: &str| {
            let text = std::fs::read_to_string(root.join(path)).unwrap_or_default();
            listed(&text)
        };
        let status = std::fs::read_to_string(root.join("proc/self/status")).unwrap_or_default();
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let allowed = allowed.map(listed).unwrap_or_default();
        let online = list("sys/devices/system/cpu/online");
        let mut isolated = list("sys/devices/system/cpu/isolated");
        isolated.extend(list("sys/fs/cgroup/cpuset.cpus.isolated"));
        isolated.sort_unstable();
        isolated.dedup();
        Self { online: if online.is_empty() { allowed.clone() } else { online }, allowed, isolated }
    }

    /// Those a run may take. The kernel leaves isolated cores out of what a process may use until it asks for them; so
    /// they count, unless the process was restricted further than that.
    #[must_use]
    pub fn usable(&self) -> Vec<usize> {
        let is_isolated = |core: &usize| self.isolated.contains(core);
        let is_restricted = self.online.iter().any(|core| !is_isolated(core) && !self.allowed.contains(core));
        let may_use = |core: &usize| self.allowed.contains(core) || (is_isolated(core) && !is_restricted);
        self.online.iter().copied().filter(may_use).collect()
    }

    /// So many cores for hot threads: isolated ones before others, the last ones before the first, on which most of the
    /// system's own work is. None if there are fewer.
    #[must_use]
    pub fn choose(&self, wanted: usize) -> Vec<usize> {
        let mut usable = self.usable();
        usable.sort_by_key(|core| (self.isolated.contains(core), *core));
        usable.len().checked_sub(wanted).map_or_else(Vec::new, |from| usable.split_off(from))
    }

    /// Whether hot threads can be pinned to these.
    ///
    /// # Errors
    /// [`CoreError`], for the first that is wrong.
    pub fn check(&self, cores: &[usize]) -> Result<(), CoreError> {
        let usable = self.usable();
        if cores.is_empty() {
            return Err(CoreError::None { usable: list_text(&usable) });
        }
        for (place, &core) in cores.iter().enumerate() {
            if cores[..place].contains(&core) {
                return Err(CoreError::Twice { core });
            }
            if !self.online.contains(&core) {
                return Err(CoreError::Missing { core, online: list_text(&self.online) });
            }
            if !usable.contains(&core) {
                return Err(CoreError::NotAllowed { core, usable: list_text(&usable) });
            }
        }
        Ok(())
    }

    /// Where everything runs that is not hot, if there is anything left: not on isolated cores, where others do.
    #[must_use]
    pub fn background(&self, hot: &[usize]) -> Vec<usize> {
        let rest: Vec<usize> = self.allowed.iter().copied().filter(|core| !hot.contains(core)).collect();
        let shared: Vec<usize> = rest.iter().copied().filter(|core| !self.isolated.contains(core)).collect();
        if shared.is_empty() { rest } else { shared }
    }
}

/// The cores on which the calling thread may run, ascending.
#[must_use]
pub fn available_cores() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

/// Pins the calling thread to a core. Says whether the system allowed it.
#[must_use]
pub fn pin(core: usize) -> bool {
    run_on(&[core])
}

/// Lets the calling thread, and every thread that it starts from now on, run where it is not in the way of the hot
/// threads. Nothing changes where these take every core. Says whether the system allowed it.
pub fn keep_off(hot: &[usize], cores: &Cores) -> bool {
    let background = cores.background(hot);
    hot.is_empty() || background.is_empty() || run_on(&background)
}

fn run_on(cores: &[usize]) -> bool {
    let mut set = CpuSet::new();
    cores.iter().filter(|core| **core < CpuSet::MAX_CPU).for_each(|core| set.set(*core));
    // An empty set is refused by the system.
    sched_setaffinity(None, &set).is_ok()
}

/// The cores that a list such as `0-2,5` names, as the kernel writes them.
fn listed(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        Some(first..=last.min(CpuSet::MAX_CPU))
    };
    text.split(',').filter_map(range).flatten().collect()
}

/// Cores as the kernel lists them: `0-2,5`; `none` if there are none.
#[must_use]
pub fn list_text(cores: &[usize]) -> String {
    let runs = cores.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [only] => only.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    });
    let text = runs.collect::<Vec<_>>().join(",");
    if text.is_empty() { "none".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores(online: &str, allowed: &str, isolated: &str) -> Cores {
        Cores { online: listed(online), allowed: listed(allowed), isolated: listed(isolated) }
    }

    #[test]
    fn lists_are_read_and_written_as_the_kernel_does() {
        for (text, expected) in
            [("0-2,5\n", vec![0, 1, 2, 5]), ("7", vec![7]), ("\n", vec![]), ("x,3-1,-", vec![])]
        {
            assert_eq!(listed(text), expected, "{text:?}");
        }
        assert!(listed("0-99999999999").len() <= CpuSet::MAX_CPU + 1);
        assert_eq!(list_text(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(list_text(&[]), "none");
    }

    #[test]
    fn isolated_cores_are_taken_first_and_the_last_ones_otherwise() {
        assert_eq!(cores("0-3", "0-3", "").choose(2), [2, 3]);
        assert_eq!(
            cores("0-7", "0-5", "6-7").choose(2),
            [6, 7],
            "the kernel leaves them out until they are asked for"
        );
        assert_eq!(cores("0-3", "0-3", "1-2").choose(2), [1, 2]);
        assert_eq!(cores("0-3", "0-3", "1").choose(2), [3, 1], "the last thread is the hottest");
        assert_eq!(cores("0-1", "0-1", "").choose(3), [0_usize; 0]);
    }

    #[test]
    fn a_process_that_was_restricted_takes_isolated_cores_only_where_it_may() {
        assert_eq!(cores("0-7", "0-1", "6-7").usable(), [0, 1]);
        assert_eq!(cores("0-7", "0-1,6", "6-7").choose(1), [6]);
    }

    #[test]
    fn cores_that_cannot_be_had_are_named_with_those_that_can() {
        let machine = cores("0-3", "0-1", "");
        assert_eq!(machine.check(&[1, 0]), Ok(()));
        for (wrong, says) in [
            (&[][..], "no core is named: name some of 0-1"),
            (&[1, 1], "core 1 is named twice"),
            (&[0, 7], "no core 7: this machine has 0-3"),
            (&[2], "core 2 is not for this process, which may run on 0-1"),
            (&[usize::MAX], "this machine has 0-3"),
        ] {
            let error = machine.check(wrong).expect_err("wrong").to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn the_background_keeps_off_hot_and_isolated_cores_where_there_are_others() {
        assert_eq!(cores("0-3", "0-3", "2-3").background(&[3]), [0, 1]);
        assert_eq!(cores("0-3", "2-3", "2-3").background(&[3]), [2]);
        assert_eq!(cores("0-1", "0-1", "").background(&[0, 1]), [0_usize; 0]);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a thread of its own, so that the test's stays free")]
    fn threads_run_where_the_thread_that_started_them_may() {
        let all = available_cores();
        std::thread::spawn(move || {
            let cores = Cores::here();
            assert_eq!(cores.allowed, all);
            let hot = *all.last().expect("one at least");
            assert!(keep_off(&[hot], &cores));
            let started = std::thread::spawn(available_cores).join().expect("no panic");
            let expected = if all.len() > 1 { &all[..all.len() - 1] } else { &all[..] };
            assert_eq!(started, expected);
            assert!(pin(hot) && available_cores() == [hot]);
            assert!(!pin(CpuSet::MAX_CPU) && !pin(CpuSet::MAX_CPU - 1), "there is none such");
        })
        .join()
        .expect("as expected");
    }
}
