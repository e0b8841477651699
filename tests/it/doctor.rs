//! The doctor and the run agree: what one refuses the other fails, in the same words, and nothing is changed by asking.

use std::path::Path;
use std::process::Command;

use crate::support::{Finished, binary, btcusd, command, pawl, run, scratch, text};

/// Both answers to a configuration, the doctor's first. The run's cores are left to whoever else tests.
fn asked(config: &Path, more: &[(&str, &str)]) -> [Finished; 2] {
    let with = |mut command: Command| {
        command.env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so").envs(more.iter().copied());
        Finished::from(command.output().expect("pawl runs"))
    };
    let run = ["run", "--config", text(config), "--set", "runtime.cores=none"];
    [with(command(binary(), &["doctor", "--config", text(config)])), with(command(binary(), &run))]
}

#[test]
fn what_a_run_refuses_the_doctor_fails_in_the_same_words() {
    let scratch = scratch();
    let (config, file, journal) =
        (scratch.path().join("pawl.toml"), scratch.path().join("thesis.doc"), scratch.path().join("journal"));
    std::fs::write(&file, "years of work").expect("written");
    let feed = |file: &str| format!("[[feed]]\nfile = \"{file}\"\nsymbol = \"BTCUSD\"\n");
    let good = feed(&btcusd());
    let at = |dir: &str| format!("[journal]\ndir = \"{dir}\"\n{good}");
    let in_order = |before: &str, behind: &str| {
        let dir = text(&journal);
        format!("{before}\n[journal]\ndir = \"{dir}\"\n{behind}")
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("bound").to_string();
    let agent = |keys: &str| format!("{good}[[agent]]\nname = \"x\"\n{keys}\n");
    for (content, said) in [
        (in_order("", &format!("{good}[metrics]\nlisten = \"foo\"\n")), "no IP address with a port"),
        (in_order("", &format!("{good}[metrics]\nlisten = \"{taken}\"\n")), "in use"),
        (
            in_order("runtime.counters = false", &format!("{good}[metrics]\nlisten = \"127.0.0.1:0\"\n")),
            "needs runtime.counters = true",
        ),
        (at("/dev/null"), "no directory"),
        (at(text(&file)), "no directory"),
        (at(text(&file.join("journal"))), "no directory"),
        (at(text(scratch.path())), "not a journal"),
        (at(""), "\"\" is no directory"),
        (at("a\\u0000b"), "a\\0b"),
        (in_order("mode = \"live\"", &good), "ENABLE_LIVE_TRADING"),
        (in_order("", &feed("nothing.csv")), "nothing.csv"),
        (in_order("", &feed(text(&file))), "thesis.doc"),
        (in_order("runtime.wait = []", &good), "one for each thread"),
        (in_order("runtime.wait = [\"spin\", \"spin\", \"spin\"]", &good), "runtime.wait is a list of 3"),
        (in_order("runtime.ring_slots = 3", &good), "runtime.ring_slots = 3"),
        (in_order("risk.max_order = -1", &good), "risk.max_order = -1"),
        (in_order("runtime.threading = \"staged\"", &good), "`threading` is at the top level"),
        (in_order("", &agent("model = \"no/such/model\"")), "no/such/model"),
        (in_order("", &agent("model = \"builtin:fast\"\nbackend = \"onnxruntime\"")), "ONNX Runtime"),
    ] {
        std::fs::write(&config, &content).expect("written");
        let [doctor, run] = asked(&config, &[]);
        assert!([1, 2].contains(&doctor.code), "{content}: {doctor:#?}");
        assert!([1, 2].contains(&run.code), "{content}: {run:#?}");
        assert!(format!("{}{}", doctor.stdout, doctor.stderr).contains(said), "{content}: {doctor:#?}");
        assert!(run.stderr.contains(said), "{content}: {run:#?}");
        assert!(!journal.exists(), "{content}");
        assert!(!doctor.stderr.contains('\0') && !run.stderr.contains('\0'), "{content}");
    }
    std::fs::write(&config, in_order("", &good)).expect("written");
    let [doctor, run] = asked(&config, &[("ENABLE_LIVE_TRADING", "true")]);
    for answer in [&doctor.stdout, &run.stderr] {
        assert!(answer.contains("ENABLE_LIVE_TRADING=true, but the mode is paper"), "{answer}");
    }
    let [doctor, run] = asked(&config, &[]);
    assert_eq!((doctor.code, run.code), (0, 0), "{doctor:#?} {run:#?}");
    let [doctor, _] = asked(&config, &[]);
    assert!(doctor.stdout.contains("to go on with"), "{doctor:#?}");
}

#[test]
fn what_is_no_library_is_not_taken_for_onnx_runtime() {
    let checked = |library: &Path| {
        let mut doctor = command(binary(), &["doctor"]);
        Finished::from(doctor.env("ORT_DYLIB_PATH", library).output().expect("pawl runs")).expect(0).stdout
    };
    // It is there, and a program.
    let told = checked(binary());
    assert!(told.contains("is not the library") && told.contains("pip install onnxruntime"), "{told}");
}

#[test]
fn a_run_that_ends_halted_says_so_on_stderr_with_the_way_back() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let lively = "agent.cross.rule={ fast = \"tick_sma_20\", slow = \"sma_10\" }";
    let sets = ["--set", lively, "--set", "agent.cross.on=tick", "--set", "risk.max_daily_loss=0.01"];
    let feed = btcusd();
    let halted =
        run(&journal, &[&["--feed", feed.as_str(), "--symbol", "BTCUSD"][..], &sets].concat()).expect(0);
    assert_ne!(halted.json()["account"]["mode"], "active");
    halted.says(&["warning: the engine is ", "daily_loss", &format!("pawl ctl {} resume", text(&journal))]);
    let quiet = run(&scratch.path().join("quiet"), &["--feed", &feed, "--symbol", "BTCUSD"]).expect(0);
    assert!(!quiet.stderr.contains("warning"), "{quiet:#?}");
    pawl(&["doctor", "--journal", text(&journal)]).expect(0);
}
