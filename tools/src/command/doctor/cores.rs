//! Checks of the processors: which cores there are, who else is on them, how fast they run, how they tell the time.

use pawl_engine::runtime::list_text;

use super::system::System;
use super::{Advice, Check, Needs};
use crate::config::crowded_spin;

/// Time that a hypervisor may take away, in parts of ten thousand.
const STEAL_MAX: u64 = 10;

/// Cores that there are, that the process may use, and that the configuration takes.
pub(super) fn usable(system: &System, needs: &Needs) -> Check {
    const NAME: &str = "cores";
    let cores = &system.cores;
    let usable = cores.usable();
    let found = format!("{} of {} usable", list_text(&usable), list_text(&cores.online));
    if let Some(Err(error)) = needs.named.as_ref().map(|named| cores.check(named)) {
        let advice = Advice {
            change: error.to_string(),
            command: "pawl run --set runtime.cores=auto".to_owned(),
            why: "a run with these cores is refused",
        };
        return Check::fail(NAME, found, advice);
    }
    let found = format!("{found}; pinned to {}", list_text(&needs.hot));
    if usable.len() > needs.wanted {
        return Check::pass(NAME, found);
    }
    let advice = Advice {
        change: format!(
            "give the engine {} cores: {} for its hot threads, and one for everything else",
            needs.wanted + 1,
            needs.wanted
        ),
        command: "pawl run --threading single    (one hot thread)".to_owned(),
        why: "a hot thread that shares its core with the journal's flusher, a feed's reader and the system waits for them, \
              for milliseconds at times",
    };
    Check::warn(NAME, found, advice)
}

/// Whether threads that wait leave their cores to those that work.
pub(super) fn waiting(system: &System, needs: &Needs) -> Check {
    const NAME: &str = "waiting";
    match crowded_spin(needs.threading, &needs.waits, system.cores.usable().len()) {
        None => Check::pass(NAME, "no thread keeps a core from another"),
        Some(change) => {
            let advice = Advice {
                change,
                command: "pawl run --set runtime.wait=yield".to_owned(),
                why: "steps wait for the scheduler, some milliseconds each: a day takes hours",
            };
            Check::fail(NAME, "threads spin that share their cores", advice)
        }
    }
}

/// Whether the kernel keeps other work off the hot cores.
pub(super) fn isolation(system: &System, needs: &Needs) -> Check {
    const NAME: &str = "isolation";
    let isolated = &system.cores.isolated;
    let ticks = system.read("sys/devices/system/cpu/nohz_full").unwrap_or_default();
    // A kernel without nohz_full writes `(null)`.
    let is_quiet = ticks.starts_with(|first: char| first.is_ascii_digit());
    let found = match (isolated.is_empty(), is_quiet) {
        (true, _) => "no core is isolated".to_owned(),
        (false, true) => format!("{} isolated, without timer ticks: {ticks}", list_text(isolated)),
        (false, false) => format!("{} isolated, with timer ticks", list_text(isolated)),
    };
    let is_isolated = !needs.hot.is_empty() && needs.hot.iter().all(|core| isolated.contains(core));
    if is_isolated && is_quiet {
        return Check::pass(NAME, found);
    }
    // Never all of them: the system needs one.
    let usable = system.cores.usable();
    let hot = if needs.hot.is_empty() { system.cores.choose(needs.wanted) } else { needs.hot.clone() };
    let hot: Vec<usize> = if hot.len() < usable.len() { hot } else { hot.into_iter().skip(1).collect() };
    let hot = if hot.is_empty() { "N".to_owned() } else { list_text(&hot) };
    let advice = Advice {
        change: "boot with these kernel parameters, so that nothing else runs on the hot cores".to_owned(),
        command: format!("isolcpus=domain,managed_irq,{hot} nohz_full={hot} rcu_nocbs={hot}"),
        why: "other processes and the timer interrupt take a shared core for 2 us to some ms at a time: that is the tail of \
              every latency",
    };
    Check::warn(NAME, found, advice)
}

/// Whether the hot cores run at full speed all the time.
pub(super) fn governor(system: &System, needs: &Needs) -> Check {
    const NAME: &str = "governor";
    let looked_at = if needs.hot.is_empty() { &system.cores.online } else { &needs.hot };
    let of = |core: &usize| {
        let path = format!("sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor");
        Some((*core, system.read(&path)?))
    };
    let governors: Vec<(usize, String)> = looked_at.iter().filter_map(of).collect();
    if governors.is_empty() {
        let why = if system.has_flag("hypervisor") {
            "a virtual machine: its host decides"
        } else {
            "the system has none"
        };
        return Check::pass(NAME, format!("none ({why})"));
    }
    match governors.iter().find(|(_, governor)| governor != "performance") {
        None => Check::pass(NAME, "performance"),
        Some((core, governor)) => {
            let advice = Advice {
                change: "let the cores run at full speed, idle or not".to_owned(),
                command: "cpupower frequency-set --governor performance".to_owned(),
                why: "a core that slowed down while nothing came is slow when something does, for tens of microseconds",
            };
            Check::warn(NAME, format!("{governor} (core {core})"), advice)
        }
    }
}

/// Whether a reading of the clock costs nanoseconds.
pub(super) fn clock_source(system: &System) -> Check {
    const NAME: &str = "clock source";
    let path = "sys/devices/system/clocksource/clocksource0/current_clocksource";
    let source = system.read(path).filter(|source| !source.is_empty());
    let source = source.as_deref().unwrap_or("unknown");
    let is_invariant = system.has_flag("constant_tsc") && system.has_flag("nonstop_tsc");
    let advice = |change: &str, command: &str| Advice {
        change: change.to_owned(),
        command: command.to_owned(),
        why: "every step takes up to seven stamps: at a microsecond each they are most of its time",
    };
    match source {
        "arch_sys_counter" => Check::pass(NAME, source),
        "tsc" | "kvm-clock" | "hyperv_clocksource_tsc_page" if is_invariant => {
            Check::pass(NAME, format!("{source}, the processors' counter is invariant"))
        }
        "tsc" | "kvm-clock" | "hyperv_clocksource_tsc_page" => Check::warn(
            NAME,
            format!("{source}, the processors' counter is not invariant"),
            advice(
                "use a machine whose processors have constant_tsc and nonstop_tsc, or leave out the stamps",
                "pawl run --set runtime.stamps=false",
            ),
        ),
        "unknown" => Check::warn(
            NAME,
            "the system does not tell",
            advice("see what the clock is", "pawl bench journal    (the baseline)"),
        ),
        _ => Check::fail(
            NAME,
            format!("{source}: a microsecond or more a reading"),
            advice(
                "use the processors' counter, if it is stable, or leave out the stamps",
                "boot with clocksource=tsc tsc=reliable",
            ),
        ),
    }
}

/// How much of its time the machine does not have.
pub(super) fn steal(system: &System) -> Check {
    const NAME: &str = "steal";
    // user, nice, system, idle, iowait, irq, softirq, steal (proc(5)).
    let words = system.words("proc/stat", "cpu ").unwrap_or_default();
    let times: Vec<u64> = words.iter().take(8).filter_map(|word| word.parse().ok()).collect();
    let all = times.iter().fold(0_u64, |sum, time| sum.saturating_add(*time));
    let (Some(stolen), 1..) = (times.get(7), all) else {
        return Check::pass(NAME, "none is told");
    };
    let share = (u128::from(*stolen) * 10_000 / u128::from(all)) as u64;
    let found = format!("{}.{:02}% of the time since the start", share / 100, share % 100);
    let advice = Advice {
        change: "ask for dedicated processors, or for a host of its own".to_owned(),
        command: "vmstat 1    (column st: how much it is now)".to_owned(),
        why: "the hypervisor lets other machines run instead of this one, for milliseconds at a time, whatever is done in here",
    };
    if share < STEAL_MAX { Check::pass(NAME, found) } else { Check::warn(NAME, found, advice) }
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::super::system::Fake;
    use super::*;
    use crate::config::{Config, CoreChoice, ThreadingChoice};
    use pawl_engine::runtime::Wait;

    fn machine(online: &str, allowed: &str, isolated: &str) -> Fake {
        Fake::new()
            .with("sys/devices/system/cpu/online", online)
            .with("sys/devices/system/cpu/isolated", isolated)
            .with("proc/self/status", &format!("Cpus_allowed_list:\t{allowed}\n"))
    }

    fn needs(system: &System, named: Option<&[usize]>) -> Needs {
        let mut config = Config::default();
        if let Some(named) = named {
            config.runtime.cores = CoreChoice::These(named.to_vec());
        }
        config.threading = ThreadingChoice::This(pawl_engine::runtime::Threading::Fused);
        Needs::of(&config, "journal".into(), &system.cores)
    }

    #[test]
    fn cores_pass_with_one_to_spare_warn_without_and_fail_where_named_ones_are_not_there() {
        let system = machine("0-3", "0-3", "").system();
        assert_eq!(usable(&system, &needs(&system, None)).grade, Grade::Pass);
        let check = usable(&system, &needs(&system, Some(&[2, 3])));
        assert_eq!((check.grade, &check.found[..]), (Grade::Pass, "0-3 of 0-3 usable; pinned to 2-3"));
        for wrong in [&[2, 9][..], &[1, 1], &[]] {
            assert_eq!(usable(&system, &needs(&system, Some(wrong))).grade, Grade::Fail, "{wrong:?}");
        }
        let system = machine("0-3", "0-1", "").system();
        assert_eq!(usable(&system, &needs(&system, None)).grade, Grade::Warn);
        assert_eq!(usable(&system, &needs(&system, Some(&[2, 3]))).grade, Grade::Fail, "not allowed");
    }

    #[test]
    fn spinning_fails_where_threads_share_cores() {
        let graded = |online: &str| {
            let system = machine(online, online, "").system();
            let needs = Needs { waits: vec![Wait::Spin], ..needs(&system, None) };
            waiting(&system, &needs).grade
        };
        assert_eq!((graded("0"), graded("0-1")), (Grade::Fail, Grade::Pass));
    }

    #[test]
    fn isolation_passes_where_the_hot_cores_are_isolated_and_free_of_ticks() {
        let quiet =
            |isolated| machine("0-3", "0-3", isolated).with("sys/devices/system/cpu/nohz_full", "2-3");
        for (fake, grade) in [
            (quiet("2-3"), Grade::Pass),
            (quiet("3"), Grade::Warn),
            (quiet(""), Grade::Warn),
            (machine("0-3", "0-1", "2-3"), Grade::Warn),
            (machine("0-3", "0-1", "2-3").with("sys/devices/system/cpu/nohz_full", "(null)"), Grade::Warn),
        ] {
            let system = fake.system();
            let check = isolation(&system, &needs(&system, None));
            assert_eq!(check.grade, grade, "{check:?}");
        }
        let system = machine("0-3", "0-3", "").system();
        let check = isolation(&system, &needs(&system, None));
        assert!(
            check.advice.expect("advice").command.contains("isolcpus=domain,managed_irq,2-3 nohz_full=2-3")
        );
        let fake = quiet("").with("sys/fs/cgroup/cpuset.cpus.isolated", "2-3\n");
        let partition = fake.system();
        assert_eq!(
            isolation(&partition, &needs(&partition, None)).grade,
            Grade::Pass,
            "a cpuset isolates, too"
        );
    }

    #[test]
    fn the_governor_passes_at_full_speed_or_where_there_is_none() {
        let path = |core: u32| format!("sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor");
        let two = |hot: &str| {
            machine("0-2", "0-2", "")
                .with(&path(0), "powersave")
                .with(&path(1), hot)
                .with(&path(2), "performance\n")
        };
        let graded = |fake: Fake| {
            let system = fake.system();
            governor(&system, &needs(&system, None))
        };
        assert_eq!(graded(two("performance")).grade, Grade::Pass, "only the hot cores count");
        let slow = graded(two("schedutil"));
        assert_eq!((slow.grade, &slow.found[..]), (Grade::Warn, "schedutil (core 1)"));
        let virtual_machine =
            graded(machine("0-1", "0-1", "").with("proc/cpuinfo", "flags\t: fpu hypervisor\n"));
        assert!(virtual_machine.grade == Grade::Pass && virtual_machine.found.contains("virtual machine"));
    }

    #[test]
    fn the_clock_passes_as_an_invariant_counter_warns_as_another_and_fails_as_a_device() {
        let path = "sys/devices/system/clocksource/clocksource0/current_clocksource";
        let with = |source: &str, flags: &str| {
            let fake = Fake::new().with(path, source).with("proc/cpuinfo", &format!("flags\t\t: {flags}\n"));
            clock_source(&fake.system()).grade
        };
        assert_eq!(with("tsc\n", "constant_tsc nonstop_tsc"), Grade::Pass);
        assert_eq!(with("kvm-clock", "constant_tsc nonstop_tsc"), Grade::Pass);
        assert_eq!(with("arch_sys_counter", ""), Grade::Pass);
        assert_eq!(with("tsc", "constant_tsc"), Grade::Warn);
        assert_eq!(with("", ""), Grade::Warn);
        assert_eq!(with("hpet", "constant_tsc nonstop_tsc"), Grade::Fail);
    }

    #[test]
    fn steal_passes_under_a_thousandth_and_warns_over_it() {
        let with = |line: &str| steal(&Fake::new().with("proc/stat", line).system());
        assert_eq!(with("cpu  9991 0 0 0 0 0 0 9 0 0\ncpu0 0 0 0 0 0 0 0 9\n").grade, Grade::Pass);
        let some = with("cpu  900 50 0 0 0 0 0 50 0 0\n");
        assert_eq!((some.grade, &some.found[..]), (Grade::Warn, "5.00% of the time since the start"));
        assert_eq!(with("cpu  9990 0 0 0 0 0 0 10\n").grade, Grade::Warn);
        for untold in ["", "cpu  1 2 3\n", "cpu  0 0 0 0 0 0 0 0\n"] {
            assert_eq!(with(untold).grade, Grade::Pass, "{untold:?}");
        }
    }
}
