//! The machine: cores that are named and kept clear, memory that is locked, and what cannot be had.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{binary, btcusd, command, run, scratch, text, wait_for_steps};

/// The cores of every thread of a process, by the thread's name.
fn cores_by_thread(process: &Child) -> BTreeMap<String, String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", process.id())).expect("it lives");
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        let task = task.expect("listed").path();
        let read = |name| std::fs::read_to_string(task.join(name)).expect("it lives");
        let status = read("status");
        let cores =
            status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("its cores");
        (read("comm").trim().to_owned(), cores.trim().to_owned())
    };
    tasks.map(of).collect()
}

fn allowed() -> Vec<usize> {
    pawl_engine::runtime::available_cores()
}

#[test]
fn every_thread_but_the_hot_ones_is_kept_off_their_cores() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let cores = allowed();
    let hot = cores[cores.len() - 1];
    let (feed, pinned) = (btcusd(), format!("runtime.cores=[{hot}]"));
    let arguments = [
        &["run", "--journal", text(&journal), "--feed", &feed, "--symbol", "BTCUSD"][..],
        &["--threading", "single", "--speed", "10", "--set", &pinned],
    ];
    let mut command = command(binary(), &arguments.concat());
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pawl runs");
    wait_for_steps(&journal, 20);
    let threads = cores_by_thread(&process);
    kill_process(Pid::from_child(&process), Signal::INT).expect("it lives");
    process.wait().expect("it ends");

    assert_eq!(threads["pawl"], hot.to_string(), "{threads:?}");
    for background in ["pawl-flusher", "pawl-supplier", "pawl-control", "pawl-shadow", "pawl-progress"] {
        let shares = threads[background].split(['-', ',']).any(|core| core == threads["pawl"]);
        assert!(cores.len() == 1 || !shares, "{background}: {threads:?}");
    }
    assert!(cores.len() == 1 || threads.contains_key("pawl-reader"), "{threads:?}");
}

#[test]
fn cores_that_cannot_be_had_are_refused_by_name() {
    let scratch = scratch();
    let refuse = |cores: &str, says: &str| {
        let journal = scratch.path().join("journal");
        let cores = format!("runtime.cores={cores}");
        let feed = ["--feed", &btcusd(), "--symbol", "BTCUSD", "--set", &cores];
        run(&journal, &feed).expect(2).says(&["runtime.cores", says]);
        assert!(!Path::new(&journal).exists());
    };
    refuse("[4000]", "there is no core 4000: this machine has");
    refuse("[0, 0]", "core 0 is named twice");
    refuse("[]", "no core is named");
}

#[test]
fn memory_is_locked_before_the_run_begins_or_the_run_is_refused_with_the_way_out() {
    let scratch = scratch();
    let ran = |choice: &str| {
        let journal = scratch.path().join(choice);
        let lock = format!("runtime.lock_memory={choice}");
        let finished = run(&journal, &["--feed", &btcusd(), "--symbol", "BTCUSD", "--set", &lock]);
        (finished, journal)
    };
    let (never, _) = ran("false");
    assert_eq!(never.expect(0).json()["memory"]["state"], "not_asked");
    let (permitted, _) = ran("auto");
    let permitted = permitted.expect(0).json();
    let (must, journal) = ran("true");
    if permitted["memory"]["state"] == "locked" {
        let memory = &must.expect(0).json()["memory"];
        assert!(memory["state"] == "locked" && memory["bytes"].as_u64() > Some(1 << 20), "{memory}");
    } else {
        assert_eq!(permitted["memory"]["state"], "refused");
        must.expect(2).says(&["runtime.lock_memory = true", "ulimit -l unlimited"]);
        assert!(!journal.join("00000000000000000001.pawl").exists());
    }
    let (wrong, _) = ran("perhaps");
    wrong.expect(2).says(&["lock_memory", "\"auto\", true or false"]);
}
