//! What the tests share: the command, the data, a place to write.

pub mod copied;
pub mod planted;

use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, kill_process};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the root").to_owned()
}

/// The real EURUSD day, beside the repository; without it a stand-in with as many ticks of the same day.
pub fn eurusd() -> String {
    static FILE: OnceLock<String> = OnceLock::new();
    FILE.get_or_init(|| {
        real_or_made("EURUSD-2019-02-04.ticks.csv.gz", "2019.02.04", 0..86_400, EURUSD_TICKS, (114_543, 2, 5))
    })
    .clone()
}

/// The real BTCUSD hours, beside the repository; without them a stand-in with as many ticks of the same hours.
pub fn btcusd() -> String {
    static FILE: OnceLock<String> = OnceLock::new();
    FILE.get_or_init(|| {
        real_or_made(
            "BTCUSD-2023-02-20.ticks.csv.gz",
            "2023.02.20",
            43_200..50_400,
            BTCUSD_TICKS,
            (248_494, 721, 1),
        )
    })
    .clone()
}

fn real_or_made(name: &str, day: &str, seconds: Range<u64>, ticks: u64, quote: (i64, i64, usize)) -> String {
    let real = root().join("../shared/data").join(name);
    if real.is_file() {
        return real.display().to_string();
    }
    assert!(std::env::var_os("CI").is_none(), "the real ticks are missing: {}", real.display());
    eprintln!("{} is missing: the tests run on a stand-in", real.display());
    let path = std::env::temp_dir().join(format!("pawl-{}-{name}", std::process::id()));
    let file = std::fs::File::create(&path).expect("the temporary directory is writable");
    let mut out = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    let (mut bid, spread, digits) = quote;
    let scale = 10_i64.pow(digits as u32);
    let price = |points: i64| format!("{}.{:0digits$}", points / scale, points % scale);
    writeln!(out, "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>").expect("written");
    let (first, span) = (seconds.start * 1_000, (seconds.end - seconds.start) * 1_000);
    let mut state = 1_u64;
    for tick in 0..ticks {
        // A linear congruential generator is random enough for a stand-in (Knuth's MMIX constants).
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bid += (state >> 33) as i64 % 3 - 1 + (tick / 2_000 % 2) as i64 * 2 - 1;
        let at = first + tick * span / ticks;
        let (hour, minute, second) = (at / 3_600_000, at / 60_000 % 60, at / 1_000 % 60);
        let time = format!("{hour:02}:{minute:02}:{second:02}.{:03}", at % 1_000);
        writeln!(out, "{day}\t{time}\t{}\t{}\t\t\t6", price(bid), price(bid + spread)).expect("written");
    }
    out.finish().expect("written");
    path.display().to_string()
}

/// How many ticks the real hours of BTCUSD have.
pub const BTCUSD_TICKS: u64 = 14_716;

/// How many ticks the real day has.
pub const EURUSD_TICKS: u64 = 136_741;

/// The `pawl` binary of this profile, built once.
pub fn binary() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let test = std::env::current_exe().expect("the test runs");
        let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/it").to_owned();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "pawl"]).current_dir(root());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the command does not build");
        profile.join("pawl")
    })
}

/// The `pawl` binary of the release profile: as `PAWL_RELEASE_BIN` says, or built once.
pub fn release_binary() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        if let Some(path) = std::env::var_os("PAWL_RELEASE_BIN") {
            return PathBuf::from(path);
        }
        let debug = binary();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--release", "--package", "pawl"]).current_dir(root());
        assert!(build.status().expect("cargo runs").success(), "the command does not build");
        debug.ancestors().nth(2).expect("target/PROFILE/pawl").join("release/pawl")
    })
}

/// What a finished command left behind.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The JSON object that the command printed.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Asserts that the error message says every one of these.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "stderr does not say {word:?}: {self:#?}");
        }
        self
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// A command with a clean environment and no pinned cores, so that tests can run side by side. It hears signals also where
/// the suite does not, as a script's background job.
pub fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP,INT").arg(program);
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    for name in
        ["TRADING_MODE", "PAPER_TRADE_MODE", "ENABLE_LIVE_TRADING", "MAX_POSITION_SIZE", "MAX_DAILY_LOSS"]
    {
        command.env_remove(name);
    }
    command
}

/// Runs `pawl` to its end.
pub fn pawl(arguments: &[&str]) -> Finished {
    command(binary(), arguments).output().expect("pawl runs").into()
}

/// Runs `pawl` and interrupts it, as Ctrl-C does, as soon as `has_begun`; it may have ended by then.
pub fn interrupted(arguments: &[&str], has_begun: impl Fn() -> bool) -> Finished {
    let mut command = command(binary(), arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("pawl runs");
    let mut is_there = true;
    while is_there && !has_begun() {
        is_there = child.try_wait().expect("a child").is_none();
    }
    if is_there {
        kill_process(Pid::from_child(&child), Signal::INT).expect("not waited for");
    }
    child.wait_with_output().expect("it ends").into()
}

/// Runs `pawl` with each of these at once.
pub fn at_once<const N: usize>(all: [&[&str]; N]) -> [Finished; N] {
    let children = all.map(|arguments| {
        let mut command = command(binary(), arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("pawl runs")
    });
    children.map(|child| child.wait_with_output().expect("it ends").into())
}

/// Runs `pawl run` on a journal, unpinned, with more arguments.
pub fn run(journal: &Path, arguments: &[&str]) -> Finished {
    run_with(binary(), journal, arguments)
}

/// As [`run`], with this binary.
pub fn run_with(program: &Path, journal: &Path, arguments: &[&str]) -> Finished {
    let mut all = vec!["run", "--journal", text(journal), "--set", "runtime.cores=none", "--json"];
    all.extend(arguments);
    command(program, &all).output().expect("pawl runs").into()
}

/// Starts a run of the real day on a journal, unpinned, with event time going `speed` times as fast as wall-clock time.
pub fn start_day(journal: &Path, threading: &str, speed: &str) -> Child {
    let feed = eurusd();
    let mut arguments = vec!["run", "--journal", text(journal), "--feed", &feed, "--symbol", "EURUSD"];
    arguments.extend(["--threading", threading, "--speed", speed, "--set", "runtime.cores=none"]);
    command(binary(), &arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pawl runs")
}

/// A run of the real hours of BTCUSD with these settings, in a new directory of this name.
pub fn session(directory: &Path, name: &str, more: &[&str]) -> PathBuf {
    let journal = directory.join(name);
    let feed = btcusd();
    run(&journal, &[&["--feed", feed.as_str(), "--symbol", "BTCUSD"], more].concat()).expect(0);
    journal
}

/// The lines of a comparison in JSON: all but the last, and the last, which is the result.
pub fn lines(finished: &Finished) -> (Vec<serde_json::Value>, serde_json::Value) {
    let json = |line| serde_json::from_str(line).expect("JSON");
    let mut lines: Vec<serde_json::Value> = finished.stdout.lines().map(json).collect();
    let result = lines.pop().expect("a result");
    assert_eq!(result["line"], "result");
    (lines, result)
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// `pawl verify --json` of a journal that must be clean.
pub fn verified(journal: &Path) -> serde_json::Value {
    pawl(&["verify", text(journal), "--json"]).expect(0).json()
}

/// The output hash of a journal that must be clean.
pub fn output_hash(journal: &Path) -> String {
    verified(journal)["output_hash"].as_str().expect("a hash").to_owned()
}

/// A directory that is removed at the end of the test.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// A tick file of rows `(time, bid, ask)` on 2024-01-02, with the header that MT5 writes.
pub fn ticks(directory: &Path, name: &str, rows: &[(&str, &str, &str)]) -> PathBuf {
    let mut text = String::from("<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\r\n");
    for (time, bid, ask) in rows {
        text.push_str(&format!("2024.01.02\t{time}\t{bid}\t{ask}\t\t\t6\r\n"));
    }
    let path = directory.join(name);
    std::fs::write(&path, text).expect("write");
    path
}

/// Copies a journal's directory with everything in it.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("created");
    for entry in std::fs::read_dir(from).expect("listed") {
        let entry = entry.expect("listed");
        let target = to.join(entry.file_name());
        let kind = entry.file_type().expect("known");
        if kind.is_dir() {
            copy_dir(&entry.path(), &target);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Waits until a journal that is being written holds this many steps.
pub fn wait_for_steps(journal: &Path, steps: u64) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while std::time::Instant::now() < deadline {
        if let Ok(reader) = pawl_journal::log::Reader::open(journal)
            && reader.last_sequence().is_ok_and(|last| last.0 >= steps)
        {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("the run did not reach step {steps}");
}
