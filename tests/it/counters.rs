//! Counters: what `pawl top` and the Prometheus text show is what the journal holds, while the engine runs and after it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use pawl_journal::log::Reader;
use pawl_journal::record::{
    ExecutionKind, ExecutionReport, Kind, OrderAction, OrderRequest, Outcome, Prediction, Tick, Verdict,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{binary, btcusd, command, eurusd, pawl, run, scratch, text};

/// What a journal holds of what is counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Held {
    steps: u64,
    ticks: u64,
    predictions: u64,
    refused: u64,
    orders: u64,
    rejected: u64,
    refusals: BTreeMap<String, u64>,
    reports: BTreeMap<String, u64>,
}

fn held(journal: &Path) -> Held {
    let mut held = Held::default();
    let mut reader = Reader::open(journal).expect("a journal");
    while let Some(frame) = reader.next().expect("whole") {
        let step = frame.step();
        held.steps += 1;
        held.ticks += step.all::<Tick>().count() as u64;
        held.predictions += step.all::<Prediction>().count() as u64;
        held.orders += step.all::<OrderRequest>().filter(|it| it.action == OrderAction::NEW).count() as u64;
        for verdict in step.all::<Verdict>().filter(|it| it.outcome == Outcome::REFUSED) {
            held.refused += 1;
            for reason in verdict.reasons.names() {
                *held.refusals.entry(reason.to_owned()).or_default() += 1;
            }
        }
        for report in step.all::<ExecutionReport>() {
            held.rejected += u64::from(report.kind == ExecutionKind::REJECTED);
            *held.reports.entry(report.kind.to_string()).or_default() += 1;
        }
    }
    held
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn all(value: &Value) -> BTreeMap<String, u64> {
    value
        .as_object()
        .expect("an object")
        .iter()
        .map(|(label, count)| (label.clone(), number(count)))
        .collect()
}

/// The same, from one look of `pawl top --json`.
fn counted(look: &Value) -> Held {
    let counters = &look["counters"];
    let sum = |name: &str| all(&counters[name]).values().sum();
    Held {
        steps: number(&counters["pawl_steps_total"]),
        ticks: sum("pawl_ticks_total"),
        predictions: sum("predictions_total"),
        refused: number(&counters["pawl_verdicts_total"]["refused"]),
        orders: sum("orders_processed_total"),
        rejected: sum("orders_rejected_total"),
        refusals: all(&look["refusals"]),
        reports: all(&counters["pawl_execution_reports_total"]),
    }
}

fn top(journal: &Path) -> Value {
    pawl(&["top", text(journal), "--once", "--json"]).expect(0).json()
}

/// Orders enough, some of them rejected, and refusals.
const LIVELY: [&str; 8] = [
    "--set",
    "agent.cross.rule={ fast = \"tick_sma_20\", slow = \"sma_10\" }",
    "--set",
    "agent.cross.on=tick",
    "--set",
    "venue.paper.reject=20%",
    "--set",
    "risk.max_order_rate=4",
];

#[test]
fn counters_are_what_the_journal_holds_in_every_threading_mode() {
    let scratch = scratch();
    for threading in ["single", "fused", "staged"] {
        let journal = scratch.path().join(threading);
        let feed = btcusd();
        let threads = format!("threading={threading}");
        let arguments = ["--feed", &feed, "--symbol", "BTCUSD", "--set", &threads];
        run(&journal, &[&arguments[..], &LIVELY].concat()).expect(0);
        let look = top(&journal);
        let held = held(&journal);
        assert!(held.orders > 10 && held.rejected > 0 && held.refused > 0, "{held:?}");
        assert_eq!(counted(&look), held, "{threading}");
        assert_eq!(look["state"], "ended");
        let marks = &look["watermarks"];
        for mark in ["published", "committed", "durable"] {
            assert_eq!(number(&marks[mark]), held.steps, "{threading}: {mark} {marks}");
        }
        let latency = &look["latency_ns"];
        for stage in ["ring", "feature", "inference", "risk", "order", "commit", "step"] {
            // The first and the last step of a run pass no stage.
            assert_eq!(number(&latency[stage]["run"]["count"]), held.steps - 2, "{threading}: {stage}");
        }
        let p = |quantile: &str| number(&latency["step"]["run"][quantile]);
        assert!(p("p50") > 0 && p("p50") <= p("p99") && p("p99") <= p("max"), "{latency}");
        assert!(number(&latency["published to gateway"]["run"]["count"]) > 0, "{latency}");
    }
}

#[test]
fn a_run_that_does_not_count_leaves_no_file_and_decides_the_same() {
    let scratch = scratch();
    let feed = btcusd();
    let hash = |name: &str, counters: &str| {
        let journal = scratch.path().join(name);
        let arguments = ["--feed", &feed, "--symbol", "BTCUSD", "--set", counters];
        run(&journal, &arguments).expect(0);
        (crate::support::output_hash(&journal), journal.join("counters").exists())
    };
    let (counted, uncounted) =
        (hash("with", "runtime.counters=true"), hash("without", "runtime.counters=false"));
    assert_eq!((counted.1, uncounted.1), (true, false));
    assert_eq!(counted.0, uncounted.0);
    let journal = scratch.path().join("without");
    pawl(&["top", text(&journal)]).expect(2).says(&["has no counters", "runtime.counters"]);
}

#[test]
fn a_hostile_or_foreign_file_of_counters_is_an_error_that_names_it() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    run(&journal, &["--feed", &btcusd(), "--symbol", "BTCUSD"]).expect(0);
    let path = journal.join("counters");
    let whole = std::fs::read(&path).expect("counters");
    let refused = |words: &[&str]| {
        let refused = pawl(&["top", text(&journal), "--once"]).expect(2).says(words);
        assert!(!refused.stderr.contains("panicked"), "{refused:?}");
    };
    let mut state = 1_u64;
    let random: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(whole.len())
    .collect();
    let behind_the_magic = [&whole[..8], &random[8..]].concat();
    for bytes in [&[][..], &random[..], &random[..100], &behind_the_magic, &whole[..whole.len() / 2]] {
        std::fs::write(&path, bytes).expect("written");
        refused(&["counters", "damaged"]);
    }
    std::fs::remove_file(&path).expect("removed");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o600)).expect("a fifo");
    refused(&["counters", "fifo"]);
    // Nobody else looks at it.
    pawl(&["verify", text(&journal)]).expect(0);
    std::fs::remove_file(&path).expect("removed");
    refused(&["no counters"]);
    pawl(&["top", text(&scratch.path().join("nothing"))]).expect(2).says(&["no journal"]);
    pawl(&["top", text(scratch.path())]).expect(2).says(&["not a journal"]);
    pawl(&["top", text(&journal), "--interval", "5"]).expect(2);
}

#[test]
fn a_run_goes_on_where_its_counters_cannot_be_shown() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    std::fs::create_dir_all(&journal).expect("made");
    // What bars the name is there before the journal is, and no run takes it away.
    std::fs::create_dir(journal.join("counters")).expect("made");
    run(&journal, &["--feed", &btcusd(), "--symbol", "BTCUSD"]).expect(0).says(&["pawl top", "counters"]);
    pawl(&["verify", text(&journal)]).expect(0);
}

/// Starts a paced run that serves metrics on a free port; returns it with its port.
fn serving(journal: &Path) -> (Child, u16) {
    let feed = eurusd();
    let mut arguments = vec!["run", "--journal", text(journal), "--feed", &feed, "--symbol", "EURUSD"];
    arguments.extend([
        "--set",
        "runtime.cores=none",
        "--speed",
        "3000",
        "--set",
        "metrics.listen=127.0.0.1:0",
    ]);
    let mut engine = command(binary(), &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("pawl runs");
    let mut told = String::new();
    let mut reader = BufReader::new(engine.stderr.take().expect("piped"));
    reader.read_line(&mut told).expect("UTF-8");
    // It says more when it ends.
    engine.stderr = Some(reader.into_inner());
    let port =
        told.trim_end().strip_suffix("/metrics").and_then(|rest| rest.rsplit(':').next()?.parse().ok());
    (engine, port.unwrap_or_else(|| panic!("no port in {told:?}")))
}

fn get(port: u16, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// Reads the text format strictly: every sample belongs to the family announced last, labels are quoted, values are numbers,
/// histograms add up. Gives every sample by its name and labels.
fn parse(exposition: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let (mut name, mut kind) = (String::new(), String::new());
    let mut before: Option<(String, f64)> = None;
    for line in exposition.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            name = help.split(' ').next().expect("a name").to_owned();
            continue;
        }
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (own, what) = typed.split_once(' ').expect("a name and a type");
            assert_eq!(own, name, "the help comes before the type");
            kind = what.to_owned();
            assert!(["counter", "gauge", "histogram"].contains(&what), "{line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        let (own, labels) = match series.split_once('{') {
            Some((own, rest)) => (own, rest.strip_suffix('}').unwrap_or_else(|| panic!("no end: {line}"))),
            None => (series, ""),
        };
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (key, quoted) = label.split_once('=').unwrap_or_else(|| panic!("no label: {line}"));
            let is_key = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let is_quoted = quoted.len() >= 2 && quoted.starts_with('"') && quoted.ends_with('"');
            assert!(is_key && is_quoted, "{line}");
        }
        let suffix = own.strip_prefix(name.as_str()).unwrap_or_else(|| panic!("{line} is not of {name}"));
        let expected: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(expected.contains(&suffix), "{line} is no sample of a {kind}");
        if suffix == "_bucket" {
            let (rest, _) = labels.split_once("le=").expect("a bucket has an upper end");
            if let Some((same, count)) = &before {
                assert!(same != rest || *count <= value, "buckets are cumulative: {line}");
            }
            before = Some((rest.to_owned(), value));
        } else if suffix == "_count" {
            let (_, last) = before.take().expect("buckets come first");
            assert_eq!(last, value, "the last bucket has all: {line}");
        }
        assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
    }
    samples
}

fn sum_of(samples: &BTreeMap<String, f64>, name: &str) -> u64 {
    let is_of = |series: &str| series == name || series.starts_with(&format!("{name}{{"));
    samples.iter().filter(|(series, _)| is_of(series)).map(|(_, value)| *value).sum::<f64>() as u64
}

#[test]
fn a_running_engine_is_scraped_watched_and_followed_and_agrees_with_its_journal() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let (mut engine, port) = serving(&journal);
    let deadline = Instant::now() + Duration::from_secs(60);
    let scraped = loop {
        let (head, body) = get(port, "/metrics");
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("version=0.0.4"), "{head}");
        let samples = parse(&body);
        if sum_of(&samples, "orders_processed_total") > 0 {
            break samples;
        }
        assert!(Instant::now() < deadline, "no order in a minute");
        std::thread::sleep(Duration::from_millis(50));
    };
    for name in ["execution_latency_milliseconds_count", "model_inference_time_ms_count{agent=\"cross\"}"] {
        assert!(scraped.contains_key(name), "{name}");
    }
    assert_eq!(get(port, "/healthz").1, "ok\n");
    assert!(get(port, "/").0.starts_with("HTTP/1.1 404 "));
    // Somebody who says nothing is in nobody's way.
    let _silent = TcpStream::connect(("127.0.0.1", port)).expect("it listens");

    let mut follower = command(binary(), &["tail", text(&journal), "--follow", "--json", "--cursor", "db"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("pawl runs");
    let look = loop {
        let look = top(&journal);
        assert_eq!(look["state"], "running", "{look}");
        let kinds: Vec<_> =
            look["tailers"].as_array().expect("tailers").iter().map(|it| &it["kind"]).collect();
        if ["engine", "live", "cursor"].iter().all(|kind| kinds.contains(&&Value::from(*kind))) {
            break look;
        }
        assert!(Instant::now() < deadline, "the follower is not seen: {look}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(look["rates"]["steps"].as_f64().expect("a rate") > 0.0, "{look}");
    assert_eq!(look["pid"], engine.id());
    let marks = &look["watermarks"];
    assert!(number(&marks["published"]) >= number(&marks["committed"]), "{marks}");

    kill_process(Pid::from_child(&engine), Signal::INT).expect("it lives");
    assert_eq!(engine.wait().expect("it ends").code(), Some(0));
    assert_eq!(follower.wait().expect("it ends with the writer").code(), Some(0));
    let held = held(&journal);
    let look = top(&journal);
    assert_eq!(counted(&look), held);
    assert!(
        sum_of(&scraped, "pawl_ticks_total") <= held.ticks
            && sum_of(&scraped, "pawl_steps_total") <= held.steps
    );
    let tailers = look["tailers"].as_array().expect("tailers");
    assert_eq!(tailers.len(), 1, "only the cursor stays: {look}");
    assert_eq!((&tailers[0]["name"], &tailers[0]["behind"]), (&"db".into(), &0.into()));
    // What the last scrape would have told is in the file.
    let kinds = all(&look["counters"]["pawl_inputs_total"]);
    assert_eq!(kinds.get(Kind::Tick.name()), Some(&held.ticks), "{kinds:?}");
}

#[test]
fn an_engine_that_was_killed_is_told_from_one_that_ended_and_shows_its_last_values() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let (mut engine, port) = serving(&journal);
    let deadline = Instant::now() + Duration::from_secs(60);
    while pawl(&["top", text(&journal), "--once", "--json"]).code != 0 {
        assert!(Instant::now() < deadline, "no counters in a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(get(port, "/healthz").1, "ok\n");
    engine.kill().expect("killed");
    engine.wait().expect("it ends");
    let look = top(&journal);
    assert_eq!(look["state"], "died", "{look}");
    assert!(counted(&look).steps <= held(&journal).steps);
    let shown = pawl(&["top", text(&journal), "--once"]).expect(0).stdout;
    assert!(shown.contains("gone without ending") && shown.contains("published"), "{shown}");
    // Not a terminal: it ends by itself, for nothing more is to come.
    assert_eq!(
        pawl(&["top", text(&journal), "--json", "--interval", "100ms"]).expect(0).stdout.lines().count(),
        1
    );
}

#[test]
fn an_engine_that_is_stopped_is_told_from_one_that_does_not_count() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let (mut engine, port) = serving(&journal);
    let deadline = Instant::now() + Duration::from_secs(60);
    let until = |state: &str| loop {
        let look = pawl(&["top", text(&journal), "--once", "--json"]);
        if look.code == 0 && look.json()["state"] == state {
            break;
        }
        assert!(Instant::now() < deadline, "not {state} in a minute: {look:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    until("running");
    let signal = |signal| kill_process(Pid::from_child(&engine), signal).expect("it lives");
    signal(Signal::STOP);
    until("silent");
    let shown = pawl(&["top", text(&journal), "--once"]).expect(0).stdout;
    assert!(shown.contains("has not written for") && !shown.contains("runtime.counters"), "{shown}");
    signal(Signal::CONT);
    until("running");
    assert_eq!(get(port, "/healthz").1, "ok\n");
    engine.kill().expect("killed");
    engine.wait().expect("it ends");
    until("died");
}

#[test]
fn what_cannot_be_listened_on_is_refused_before_the_journal_is_touched() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listen = format!("metrics.listen={}", taken.local_addr().expect("bound"));
    let feed = btcusd();
    let with = |set: &[&str]| run(&journal, &[&["--feed", &feed, "--symbol", "BTCUSD"][..], set].concat());
    with(&["--set", &listen]).expect(2).says(&["metrics.listen", "in use"]);
    with(&["--set", "metrics.listen=9464x"]).expect(2).says(&["metrics.listen", "127.0.0.1:9464"]);
    with(&["--set", "metrics.listen=127.0.0.1:0", "--set", "runtime.counters=false"])
        .expect(2)
        .says(&["metrics.listen", "runtime.counters"]);
    assert!(!journal.exists());
}
