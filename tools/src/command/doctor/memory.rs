//! Checks of memory and limits: what may make a hot thread wait for a page, or for another thread.

use pawl_engine::runtime::LockMemory;

use super::system::{CAP_IPC_LOCK, CAP_SYS_NICE, System};
use super::{Advice, Check, Needs};

/// What a run has mapped when it locks its memory, at most, as a rule: the program, its models and its threads' heaps.
const LOCKED_BYTES: u64 = 1 << 30;

/// Files that a run has open at least: its journal, sockets and feeds, and a snapshot on its way.
const FILES_MIN: u64 = 32;

/// The same where metrics are read, and feeds are many.
const FILES_FEW: u64 = 128;

/// Whether the kernel stops threads to build huge pages for them.
pub(super) fn huge_pages(system: &System) -> Check {
    const NAME: &str = "huge pages";
    let setting = system.read("sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    let chosen = setting.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(word, _)| word);
    match chosen {
        Some("always") => {
            let advice = Advice {
                change: "give huge pages only to those who ask".to_owned(),
                command: "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled".to_owned(),
                why: "with `always` the kernel stops a thread to clear or gather 2 MiB at a time",
            };
            Check::warn(NAME, "always", advice)
        }
        Some(word) => Check::pass(NAME, word),
        None => Check::pass(NAME, "none"),
    }
}

/// Whether a run may lock its memory.
pub(super) fn lock(system: &System, needs: &Needs) -> Check {
    const NAME: &str = "memory lock";
    if needs.lock_memory == LockMemory::No {
        return Check::pass(NAME, "not asked for");
    }
    if system.is_capable(CAP_IPC_LOCK) {
        return Check::pass(NAME, "unlimited (CAP_IPC_LOCK)");
    }
    let limit = system.limit("Max locked memory").unwrap_or(0);
    if limit == u64::MAX {
        return Check::pass(NAME, "unlimited");
    }
    let found = format!("at most {}", size(limit));
    if limit >= LOCKED_BYTES {
        return Check::pass(NAME, found);
    }
    let advice = Advice {
        change: "raise the limit of locked memory (LimitMEMLOCK=infinity in a unit, --ulimit memlock=-1 for a container)"
            .to_owned(),
        command: "ulimit -l unlimited".to_owned(),
        why: "a page that the kernel took away costs a fault when it is next touched, up to milliseconds from a disk",
    };
    match needs.lock_memory {
        LockMemory::Yes => Check::fail(NAME, format!("{found}, and runtime.lock_memory = true"), advice),
        LockMemory::Auto | LockMemory::No => Check::warn(NAME, found, advice),
    }
}

fn size(bytes: u64) -> String {
    if bytes < 1 << 20 { format!("{} KiB", bytes >> 10) } else { format!("{} MiB", bytes >> 20) }
}

/// Whether a run may have as many files open as it comes to have.
pub(super) fn open_files(system: &System) -> Check {
    const NAME: &str = "open files";
    let advice = || Advice {
        change:
            "raise the limit of open files (LimitNOFILE=1024 in a unit, --ulimit nofile=1024 for a container)"
                .to_owned(),
        command: "ulimit -n 1024".to_owned(),
        why: "a run that cannot make its next segment adds no risk, then halts",
    };
    match system.limit("Max open files") {
        None => Check::pass(NAME, "no limit is told"),
        Some(u64::MAX) => Check::pass(NAME, "unlimited"),
        Some(limit) if limit < FILES_MIN => Check::fail(NAME, format!("at most {limit}"), advice()),
        Some(limit) if limit < FILES_FEW => Check::warn(NAME, format!("at most {limit}"), advice()),
        Some(limit) => Check::pass(NAME, format!("at most {limit}")),
    }
}

/// Whether pages may be written out to a disk.
pub(super) fn swap(system: &System) -> Check {
    const NAME: &str = "swap";
    let kibibytes = |name| -> u64 {
        let words = system.words("proc/meminfo", name);
        words.and_then(|words| words.first()?.parse().ok()).unwrap_or(0)
    };
    let (all, free) = (kibibytes("SwapTotal:"), kibibytes("SwapFree:"));
    if all == 0 {
        return Check::pass(NAME, "none");
    }
    let found = format!("{} MiB, {} MiB in use", all >> 10, all.saturating_sub(free) >> 10);
    let advice = Advice {
        change: "switch it off on a machine that trades; locked memory stays, what a run maps later may go"
            .to_owned(),
        command: "swapoff --all".to_owned(),
        why: "a page that comes back from a disk takes milliseconds, in the middle of a step",
    };
    Check::warn(NAME, found, advice)
}

/// Whether hot threads could be put before everything else, where they share their cores.
pub(super) fn real_time(system: &System, needs: &Needs) -> Check {
    const NAME: &str = "real-time priority";
    let hot = &needs.hot;
    if !hot.is_empty() && hot.iter().all(|core| system.cores.isolated.contains(core)) {
        return Check::pass(NAME, "not needed on isolated cores");
    }
    let priority = system.limit("Max realtime priority").unwrap_or(0);
    if system.is_capable(CAP_SYS_NICE) {
        return Check::pass(NAME, "any (CAP_SYS_NICE)");
    }
    if priority > 0 {
        let priority = if priority == u64::MAX { "any".to_owned() } else { format!("up to {priority}") };
        return Check::pass(NAME, priority);
    }
    let advice = Advice {
        change: "isolate the hot cores; or permit real-time priorities (LimitRTPRIO=80 in a unit), and run under one where a \
                 core is left for the rest"
            .to_owned(),
        command: "ulimit -r 80; chrt --fifo 50 pawl run ..".to_owned(),
        why: "on a shared core an ordinary thread is stopped when its share is used up, for milliseconds",
    };
    Check::warn(NAME, "not permitted", advice)
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::super::system::Fake;
    use super::*;
    use crate::config::Config;

    fn needs(system: &System, lock_memory: LockMemory) -> Needs {
        let mut config = Config::default();
        config.runtime.lock_memory = lock_memory;
        Needs::of(&config, "journal".into(), &system.cores)
    }

    fn limits(name: &str, value: &str) -> Fake {
        Fake::new().with("proc/self/limits", &format!("{name:<26}{value:<21}{value:<21}bytes\n"))
    }

    #[test]
    fn huge_pages_warn_only_where_everybody_gets_them() {
        let with =
            |text| huge_pages(&Fake::new().with("sys/kernel/mm/transparent_hugepage/enabled", text).system());
        assert_eq!(with("[always] madvise never\n").grade, Grade::Warn);
        assert_eq!(with("always [madvise] never").found, "madvise");
        assert_eq!(with("nonsense").grade, Grade::Pass);
        assert_eq!(huge_pages(&Fake::new().system()).grade, Grade::Pass);
    }

    #[test]
    fn a_low_limit_of_locked_memory_warns_and_fails_where_it_must_be_locked() {
        let with = |fake: &Fake, choice| {
            let system = fake.system();
            lock(&system, &needs(&system, choice)).grade
        };
        let low = limits("Max locked memory", "8388608");
        assert_eq!(with(&low, LockMemory::Auto), Grade::Warn);
        assert_eq!(with(&low, LockMemory::Yes), Grade::Fail);
        assert_eq!(with(&low, LockMemory::No), Grade::Pass);
        for enough in ["unlimited", "1073741824"] {
            assert_eq!(with(&limits("Max locked memory", enough), LockMemory::Yes), Grade::Pass, "{enough}");
        }
        let capable = low.with("proc/self/status", "CapEff:\t0000000000004000\n");
        assert_eq!(with(&capable, LockMemory::Yes), Grade::Pass);
    }

    #[test]
    fn a_limit_of_locked_memory_below_a_mebibyte_is_told_in_kibibytes() {
        let found = |bytes: &str| {
            let fake = limits("Max locked memory", bytes);
            let system = fake.system();
            lock(&system, &needs(&system, LockMemory::Auto)).found
        };
        assert_eq!((&found("65536")[..], &found("8388608")[..]), ("at most 64 KiB", "at most 8 MiB"));
    }

    #[test]
    fn open_files_fail_where_a_run_cannot_do_and_warn_where_they_are_few() {
        let grade = |limit: &str| open_files(&limits("Max open files", limit).system()).grade;
        assert_eq!([grade("12"), grade("64"), grade("1024")], [Grade::Fail, Grade::Warn, Grade::Pass]);
        assert_eq!((grade("unlimited"), open_files(&Fake::new().system()).grade), (Grade::Pass, Grade::Pass));
    }

    #[test]
    fn swap_warns_where_there_is_some() {
        let with = |text| swap(&Fake::new().with("proc/meminfo", text).system());
        assert_eq!(with("SwapTotal:       0 kB\nSwapFree:        0 kB\n").grade, Grade::Pass);
        let some = with("SwapTotal:    2097152 kB\nSwapFree:     1048576 kB\n");
        assert_eq!((some.grade, &some.found[..]), (Grade::Warn, "2048 MiB, 1024 MiB in use"));
    }

    #[test]
    fn real_time_priority_passes_where_it_is_permitted_or_not_needed() {
        let with = |fake: Fake| {
            let system = fake.system();
            real_time(&system, &needs(&system, LockMemory::Auto)).grade
        };
        assert_eq!(with(limits("Max realtime priority", "0")), Grade::Warn);
        assert_eq!(with(limits("Max realtime priority", "80")), Grade::Pass);
        assert_eq!(
            with(
                limits("Max realtime priority", "0").with("proc/self/status", "CapEff:\t0000000000800000\n")
            ),
            Grade::Pass
        );
        let isolated = limits("Max realtime priority", "0")
            .with("sys/devices/system/cpu/online", "0-3")
            .with("sys/devices/system/cpu/isolated", "2-3")
            .with("proc/self/status", "Cpus_allowed_list:\t0-1\n");
        assert_eq!(with(isolated), Grade::Pass);
    }
}
