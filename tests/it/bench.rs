//! Benchmarks in their smoke form: every section measures, checks its answer and says something sane.

use std::path::Path;

use serde_json::Value;

use crate::support::{btcusd, pawl, scratch, text, ticks};

/// Asserts that percentiles rise up to the maximum, and gives how many were measured.
#[track_caller]
fn rising(percentiles: &Value) -> u64 {
    let names = ["p50_ns", "p90_ns", "p99_ns", "p999_ns", "p9999_ns", "max_ns"];
    let values =
        names.map(|name| percentiles[name].as_u64().unwrap_or_else(|| panic!("{name}: {percentiles}")));
    assert!(values.is_sorted() && values[5] > 0, "{percentiles}");
    percentiles["count"].as_u64().expect("a count")
}

#[track_caller]
fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} of {value}"))
}

#[track_caller]
fn rows(section: &Value, count: usize) -> &Vec<Value> {
    let rows = section["rows"].as_array().unwrap_or_else(|| panic!("no rows: {section}"));
    assert_eq!(rows.len(), count, "{section}");
    rows
}

/// Asserts that aims say what they are and whether they are met, or why that cannot be said.
#[track_caller]
fn aims(section: &Value, least: usize) {
    let aims = section["aims"].as_array().expect("aims");
    assert!(aims.len() >= least, "{section}");
    for aim in aims {
        let (value, bound) =
            (aim["value"].as_f64().expect("a value"), aim["bound"].as_f64().expect("a bound"));
        let within = if aim["at_least"] == true { value >= bound } else { value <= bound };
        let doubted = within && aim["note"].is_string() && aim["met"].is_null();
        assert!(doubted || (aim["met"] == within && aim["note"].is_null()), "{aim}");
    }
}

#[test]
fn the_smoke_form_measures_every_section_of_the_journal() {
    let scratch = scratch();
    let report =
        pawl(&["bench", "journal", "--quick", "--json", "--dir", text(scratch.path())]).expect(0).json();
    assert_eq!((&report["bench"], &report["quick"]), (&"journal".into(), &true.into()));
    let conditions = &report["conditions"];
    for name in ["machine", "build", "rustc", "file_system"] {
        assert!(conditions[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {conditions}");
    }
    assert!(conditions["load"].as_f64().is_some() && conditions["is_busy"].is_boolean(), "{conditions}");
    assert_eq!(conditions["directory"], text(scratch.path()));
    appends(&report);
    verifies(&report["verify"]);
    lags(&report["lag"], conditions["cores"].as_array().expect("cores").len());
    opens(&report["open"]);
    let left = std::fs::read_dir(scratch.path()).expect("readable").count();
    assert_eq!(left, 0, "the journals are removed");
}

fn appends(report: &Value) {
    let paced = rows(&report["append"], 5);
    assert!(paced[0]["durability"].is_null() && paced[0]["over_baseline"].is_null(), "the baseline is first");
    let modes: Vec<&str> = paced[1..].iter().map(|row| row["durability"].as_str().expect("a mode")).collect();
    assert_eq!(modes, ["page-cache", "page-cache", "async:50ms", "gated"]);
    for row in paced {
        let steps = number(row, "steps");
        assert_eq!(steps, 40_000, "{row}");
        for what in ["took", "since_due"] {
            assert_eq!(rising(&row[what]["whole"]), steps);
            assert!(rising(&row[what]["quiet"]) > 0 && number(&row[what], "windows") > 0, "{row}");
        }
        // Done is never before begun, and begun never before due.
        assert!(number(&row["since_due"]["whole"], "max_ns") >= number(&row["took"]["whole"], "max_ns"));
    }
    for row in &paced[1..] {
        assert!(
            row["over_baseline"]["p50_ns"].is_i64() && row["over_baseline_quiet"]["p99_ns"].is_i64(),
            "{row}"
        );
    }
    assert_eq!(number(&report["append"], "rate_per_second"), 100_000);
    aims(&report["append"], 4);
    for row in rows(&report["flat_out"], 4) {
        assert_eq!(rising(&row["took"]["whole"]), number(row, "steps"));
        assert!(number(row, "steps_per_second") > 0);
    }
    for row in rows(&report["rolls"], 7) {
        let paced = row["name"].as_str().expect("a name").ends_with("paced");
        assert_eq!(row["outside"].is_object(), paced, "{row}");
        if paced {
            let during = number(&row["during"], "count");
            assert_eq!(during, number(row, "rolls"), "a roll falls into one append: {row}");
            assert_eq!(during + number(&row["outside"], "count"), 40_000);
        }
        assert!(number(row, "waits") <= number(row, "rolls"));
    }
    aims(&report["rolls"], 1);
    for row in rows(&report["sync"], 4) {
        assert!(number(row, "sync_ns_mean") <= number(row, "sync_ns_max"), "{row}");
        assert!(number(row, "sync_ns_max") <= number(row, "sync_ns_total"), "{row}");
        number(row, "lag_ns_max");
    }
}

fn verifies(section: &Value) {
    for row in rows(section, 6) {
        assert!(number(row, "bytes") >= 64 << 20 && number(row, "steps") > 100_000, "{row}");
        let rate = |name: &str| row[format!("gigabytes_per_second_{name}")].as_f64().expect("a rate");
        assert!(rate("best") >= rate("median") && rate("median") > 0.0, "{row}");
    }
    aims(section, 2);
}

fn lags(section: &Value, cores: usize) {
    if cores < 2 {
        assert!(section["skipped"].is_string() && rows(section, 0).is_empty(), "{section}");
        return;
    }
    for (row, readers) in rows(section, 2).iter().zip([1, 3]) {
        assert_eq!(number(row, "readers"), readers);
        for what in ["cache_line", "committed_to_seen", "begun_to_seen"] {
            let count = rising(&row[what]["whole"]);
            assert_eq!(count, readers * number(row, "steps"), "every reader saw every step once: {row}");
        }
        assert!(row["ratio_p50"].as_f64().is_some_and(|ratio| ratio > 0.0), "{row}");
    }
    aims(section, 1);
}

fn opens(section: &Value) {
    let mut bytes = 0;
    for (row, segments) in rows(section, 3).iter().zip([1, 4, 8]) {
        assert_eq!((number(row, "segments"), number(row, "opens")), (segments, 3));
        assert!(number(row, "bytes") > bytes, "{row}");
        bytes = number(row, "bytes");
        let nanoseconds = |name: &str| row[name].as_f64().expect("a time");
        assert!(nanoseconds("open_ns_median") > 0.0, "{row}");
        assert!(nanoseconds("open_ns_max") >= nanoseconds("open_ns_median"), "{row}");
    }
    aims(section, 1);
}

#[test]
fn a_section_alone_prints_its_table_under_its_conditions() {
    let scratch = scratch();
    let told = pawl(&["bench", "journal", "--quick", "--only", "open,append", "--dir", text(scratch.path())])
        .expect(0)
        .stdout;
    for part in [
        "Conditions",
        "(",
        "a smoke test",
        "What an append of 96 bytes takes, 100,000 a second",
        "baseline: nothing",
        "From when an append was due",
        "flat out",
        "What a roll to the next segment adds",
        "What the syncs behind it cost",
        "How long it takes to open a journal",
        "p99.99",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("How fast a journal is verified") && !told.contains("How far a tailer"), "{told}");
    for aim in told.lines().filter(|line| line.contains("aim:")) {
        assert!(aim.ends_with(", met") || aim.ends_with(", not met"), "{aim}");
    }
}

#[test]
fn the_smoke_form_measures_every_section_of_replay() {
    let scratch = scratch();
    let report =
        pawl(&["bench", "replay", "--quick", "--json", "--dir", text(scratch.path())]).expect(0).json();
    assert_eq!((&report["bench"], &report["quick"]), (&"replay".into(), &true.into()));
    for (pair, least) in rows(&report["speed"], 4).chunks(2).zip([10_000, 5_000]) {
        let rate =
            |row: &Value, name: &str| row[format!("steps_per_second_{name}")].as_f64().expect("a rate");
        assert_eq!(pair[0]["name"], "baseline: read");
        for row in pair {
            assert!(number(row, "steps") > least, "{row}");
            assert!(rate(row, "best") >= rate(row, "median") && rate(row, "median") > 0.0, "{row}");
        }
        assert!(rate(&pair[0], "best") > rate(&pair[1], "best"), "reading is a part of replaying: {pair:?}");
    }
    aims(&report["speed"], 2);
    let restarts = rows(&report["restart"], 3);
    assert_eq!(number(&restarts[2], "steps"), 2_000, "a whole interval behind the newest snapshot");
    assert!(number(&restarts[1], "steps") > 10_000 && number(&report["restart"], "snapshots") >= 5);
    aims(&report["restart"], 2);
    for row in restarts.iter().chain(rows(&report["state"], 3)) {
        let seconds = |name: &str| row[format!("seconds_{name}")].as_f64().expect("seconds");
        assert!(seconds("max") >= seconds("median") && seconds("median") > 0.0, "{row}");
    }
    aims(&report["state"], 1);
    let told =
        pawl(&["bench", "replay", "--quick", "--only", "state", "--dir", text(scratch.path())]).expect(0);
    let told = told.stdout;
    assert!(told.contains("the whole state") && !told.contains("How fast a journal"), "{told}");
    assert_eq!(std::fs::read_dir(scratch.path()).expect("readable").count(), 0, "the journals are removed");
    pawl(&["bench", "replay", "--steps", "5"]).expect(2);
    let large = ["bench", "replay", "--steps", "1000000000", "--dir", text(scratch.path())];
    pawl(&large).expect(2).says(&["MiB", "--steps", "--dir"]);
}

#[test]
fn a_place_that_cannot_hold_journals_is_refused_and_left_alone() {
    let scratch = scratch();
    let file = scratch.path().join("file");
    std::fs::write(&file, b"mine").expect("written");
    let quick = |dir: &str| pawl(&["bench", "journal", "--quick", "--dir", dir]);
    quick(text(&scratch.path().join("missing"))).expect(2).says(&["missing", "--dir"]);
    quick(text(&file)).expect(2).says(&["file", "is no directory", "--dir"]);
    quick("/proc").expect(2).says(&["/proc", "proc", "--dir"]);
    let large = ["bench", "journal", "--only", "open", "--open-gib", "1024", "--dir", text(scratch.path())];
    pawl(&large).expect(2).says(&["MiB", "free", "--open-gib", "--dir"]);
    for wrong in [
        &["--rate", "0"][..],
        &["--seconds", "0"],
        &["--only", "everything"],
        &["--open-gib", "-1"],
        &["--count", "many"],
    ] {
        let finished = pawl(&[&["bench", "journal"][..], wrong].concat()).expect(2);
        assert!(finished.stdout.is_empty(), "{finished:?}");
    }
    pawl(&["bench", "everything"]).expect(2);
    let left: Vec<_> = std::fs::read_dir(scratch.path()).expect("readable").flatten().collect();
    assert!(left.len() == 1 && std::fs::read(&file).expect("there") == b"mine", "{left:?}");
}

#[test]
fn the_smoke_form_measures_every_way_from_thread_to_thread() {
    let scratch = scratch();
    let dir = text(scratch.path());
    let finished = pawl(&[
        "bench",
        "ring",
        "--quick",
        "--json",
        "--dir",
        dir,
        "--record",
        dir,
        "--rates",
        "10000,10000",
    ]);
    if finished.code == 2 {
        // One core cannot hand anything to another.
        finished.says(&["two cores"]);
        return;
    }
    let report = finished.expect(0).json();
    // A rate that is named twice is measured once.
    for row in rows(&report["paced"], 5) {
        for what in ["one_way", "since_due"] {
            assert_eq!(rising(&row[what]["whole"]), 2_000, "every hop arrives once: {row}");
        }
        let max = |what: &str| number(&row[what]["whole"], "max_ns");
        assert!(max("since_due") >= max("one_way"), "given is never before due: {row}");
    }
    for row in rows(&report["flat_out"], 4) {
        let rate = |name: &str| row["hops_per_second"][name].as_f64().expect("a rate");
        assert!(0.0 < rate("min") && rate("min") <= rate("median") && rate("median") <= rate("max"), "{row}");
    }
    let kept = only_file(scratch.path(), ".json");
    assert_eq!(serde_json::from_str::<Value>(&kept).expect("JSON"), report, "the record is what was printed");
}

/// The text of the one file of a directory with this ending.
#[track_caller]
fn only_file(directory: &Path, ending: &str) -> String {
    let files = std::fs::read_dir(directory).expect("readable").flatten().map(|entry| entry.path());
    let mut found: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    std::fs::read_to_string(found.remove(0)).expect("UTF-8")
}

/// The last line of a distribution of HdrHistogram: its value in ns, and how many there are up to it.
#[track_caller]
fn distribution(path: &Path) -> (f64, u64) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut lines = text.lines();
    let heads: Vec<&str> = lines.next().expect("heads").split_whitespace().collect();
    assert_eq!(heads, ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]);
    let row = |line: &str| -> Vec<f64> {
        line.split_whitespace().map(|word| word.parse().expect("a number")).collect()
    };
    let rows: Vec<Vec<f64>> =
        lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(row).collect();
    assert!(rows.is_sorted_by(|a, b| a[0] <= b[0] && a[1] <= b[1] && a[2] <= b[2]), "{text}");
    let last = rows.last().expect("rows");
    assert!(text.contains(&format!("Total count    = {:>12}", last[2] as u64)), "{text}");
    (last[0], last[2] as u64)
}

#[test]
fn the_smoke_form_of_latency_counts_every_tick_and_draws_what_it_counted() {
    let scratch = scratch();
    let (dir, chart) = (text(scratch.path()), scratch.path().join("chart.html"));
    let arguments = ["bench", "latency", "--quick", "--json", "--dir", dir, "--rates", "4000,8000"];
    let outputs = ["--chart", text(&chart), "--histograms", dir, "--record", dir];
    let report = pawl(&[arguments.as_slice(), &outputs].concat()).expect(0).json();
    assert!(
        report["ticks"].as_str().is_some_and(|it| it.starts_with("a synthetic day of EURUSD")),
        "{report}"
    );
    let all = report["rows"].as_array().expect("rows");
    let name = |row: &Value, key: &str| row[key].as_str().expect("a name").to_owned();
    let of = |key: &str, value: &str| all.iter().filter(|row| name(row, key) == value).count();
    assert!(of("threading", "single") >= 2 && of("threading", "fused") >= 4, "{report}");
    assert!((of("durability", "gated"), of("durability", "async:50ms"), of("work", "models")) == (1, 1, 1));
    for row in all {
        let ticks = number(row, "ticks");
        assert_eq!(ticks, number(row, "rate_per_second") / 4, "a quarter of a second: {row}");
        for what in ["published_to_committed", "due_to_committed"] {
            assert_eq!(rising(&row[what]["whole"]), ticks, "every tick once: {row}");
        }
        let orders = number(row, "orders");
        assert!(orders > 0, "the rule trades often: {row}");
        for what in ["published_to_order", "due_to_order"] {
            assert_eq!(rising(&row[what]["whole"]), orders, "every order once: {row}");
        }
        for (stage, times) in row["stages"].as_object().expect("stages") {
            assert_eq!(number(times, "count"), ticks, "{stage}: {row}");
        }
        let max = |what: &str| number(&row[what]["whole"], "max_ns");
        assert!(max("due_to_committed") >= max("published_to_committed"), "{row}");
        let file = format!(
            "{}-{}-{}-{}-due-to-committed.hgrm",
            row["rate_per_second"],
            name(row, "threading"),
            name(row, "durability").replace(':', ""),
            name(row, "work")
        );
        let (last, count) = distribution(&scratch.path().join(file));
        assert_eq!(count, ticks);
        assert!((last / max("due_to_committed") as f64 - 1.0).abs() < 0.01, "three digits: {last}, {row}");
    }
    assert_eq!(report["floors"].as_array().map(Vec::len), Some(2));
    let page = std::fs::read_to_string(&chart).expect("a chart");
    assert_eq!(page.matches("<svg ").count(), 2, "one figure a rate");
    assert_eq!(page.matches("<path ").count(), all.len() + 2, "a curve a row and a floor a rate");
    assert!(!page.contains("<script") && !page.contains("://"), "nothing is run or fetched");
    assert_eq!(serde_json::from_str::<Value>(&only_file(scratch.path(), ".json")).expect("JSON"), report);
    // A chart may be drawn again over a chart, and over nothing else.
    std::fs::write(&chart, "mine").expect("writable");
    pawl(&["bench", "latency", "--quick", "--dir", dir, "--chart", text(&chart)])
        .expect(2)
        .says(&["chart.html"]);
    assert_eq!(std::fs::read_to_string(&chart).expect("kept"), "mine");
}

#[test]
fn a_stall_shows_in_every_tick_that_was_due_in_it() {
    let scratch = scratch();
    let arguments = ["--quick", "--json", "--rates", "8000", "--only", "rates", "--stall-ms", "100"];
    let report = pawl(&[&["bench", "latency", "--dir", text(scratch.path())], arguments.as_slice()].concat())
        .expect(0)
        .json();
    for row in report["rows"].as_array().expect("rows") {
        // 2,000 ticks in 250 ms, 800 of them due in the stall: the eight-hundredth slowest waited for nearly nothing, the
        // two-hundredth slowest for 75 ms. Who counts from where a tick was published sees one slow tick at most.
        let due = &row["due_to_committed"]["whole"];
        assert_eq!(number(due, "count"), 2_000, "{row}");
        assert!(number(due, "p90_ns") >= 70_000_000 && number(due, "max_ns") >= 95_000_000, "{row}");
        assert!(number(&row["stages"]["wait"], "p90_ns") >= 70_000_000, "{row}");
    }
}

#[test]
fn the_smoke_form_of_throughput_checks_every_journal() {
    let scratch = scratch();
    let dir = text(scratch.path());
    let report = pawl(&["bench", "throughput", "--quick", "--json", "--dir", dir]).expect(0).json();
    let sections = report["sections"].as_array().expect("sections");
    let names: Vec<&str> = sections.iter().map(|it| it["section"].as_str().expect("a name")).collect();
    assert_eq!(names, ["peers", "features", "export", "pipelines", "stamps", "allocations"]);
    for section in sections {
        for row in section["rows"].as_array().expect("rows") {
            let rate = |name: &str| row["ticks_per_second"][name].as_f64().expect("a rate");
            assert!(
                0.0 < rate("min") && rate("min") <= rate("median") && rate("median") <= rate("max"),
                "{row}"
            );
            assert!(number(row, "ticks") > 5_000 && number(row, "steps") >= number(row, "ticks"), "{row}");
        }
        assert_eq!(section["rows"][0]["to_first"], 1.0, "{section}");
        aims(section, 0);
    }
    let peers = rows(&sections[0], 3);
    let orders: Vec<u64> = peers.iter().map(|row| number(row, "orders")).collect();
    // The engine does not trade on a tick that a gap makes doubtful; averages are floats there, sums here.
    let near = |a: u64, b: u64| a.abs_diff(b) <= a / 20 + 2;
    assert!(orders[0] > 30 && near(orders[0], orders[1]), "with a journal and without: {orders:?}");
    assert!(near(orders[0], orders[2]), "an order at each cross: {orders:?}");
    assert!(peers[0]["steps"].as_u64() > peers[1]["steps"].as_u64(), "a run begins and ends");
    for row in sections[5]["rows"].as_array().expect("rows") {
        // Of the whole process: on a busy machine the journal's own threads may still be at their first segments.
        assert!(number(row, "allocations") < number(row, "steps") / 100, "{row}");
    }
    assert_eq!(std::fs::read_dir(scratch.path()).expect("readable").count(), 0, "the journals are removed");
}

#[test]
fn bench_alone_prints_one_table_of_aims_and_figures() {
    let scratch = scratch();
    let dir = text(scratch.path());
    let report =
        pawl(&["bench", "--quick", "--json", "--dir", dir, "--data", &btcusd(), "--symbol", "BTCUSD"]);
    let report = report.expect(0).json();
    assert!(report["ticks"].as_str().is_some_and(|it| it.ends_with("14,716 ticks")), "{}", report["ticks"]);
    let table = report["table"].as_array().expect("a table");
    let with_aims: Vec<&Value> = table.iter().filter(|line| line["aim"].is_string()).collect();
    assert!(with_aims.len() >= 11 && table.len() > with_aims.len() + 12, "{table:#?}");
    let scored = |backend: &str| {
        let what = format!("one row of XGBoost 3x200, depth 6: {backend}");
        table.iter().any(|line| line["what"] == *what)
    };
    let missing = report["inference"]["onnx_runtime_missing"].is_string();
    assert!(scored("native") && scored("onnxruntime") != missing, "{table:#?}");
    let notes = report["notes"].as_array().expect("notes");
    let told = |words: &str| notes.iter().any(|note| note.as_str().is_some_and(|note| note.contains(words)));
    assert!(told("hftbacktest") && told("ONNX Runtime is left out") == missing, "{notes:?}");
    for line in table {
        assert!(
            line["figure"].as_str().is_some_and(|it| it.contains(|c: char| c.is_ascii_digit())),
            "{line}"
        );
        assert_eq!(line["verdict"].is_string(), line["aim"].is_string(), "{line}");
        let verdict = if line["met"] == true { "met" } else { "not met" };
        assert!(!line["met"].is_boolean() || line["verdict"] == verdict, "{line}");
    }
}

#[test]
fn what_one_tick_cannot_tell_is_neither_met_nor_not_met() {
    let scratch = scratch();
    let dir = text(scratch.path());
    let one = ticks(scratch.path(), "one.csv", &[("00:00:01.000", "1.14543", "1.14545")]);
    let told = pawl(&["bench", "--quick", "--markdown", "--dir", dir, "--data", text(&one)]).expect(0).stdout;
    let verdict = |what: &str| {
        let line = told.lines().find(|line| line.starts_with(&format!("| {what}")));
        line.and_then(|line| line.split('|').nth_back(1)).unwrap_or_else(|| panic!("{what}: {told}")).trim()
    };
    for what in [
        "tick to order, fused, 100,000/s: p50",
        "tick to order, fused, 100,000/s: p99",
        "tick to order, fused, 100,000/s: p50 that models add",
        "the peers' work, `single`",
        "all features, no model, `fused`",
        "gzip export to the last journaled step",
        "stamps and counters",
        "allocations a step after warm-up, `single`",
    ] {
        assert_eq!(verdict(what), "not measured", "{what}: {told}");
    }
    assert!(
        ["met", "not met"].contains(&verdict("one row of XGBoost 3x200, depth 6, native: p50")),
        "{told}"
    );
    assert!(told.contains("one.csv: 1 tick.") && told.contains("a smoke test"), "{told}");
}

#[test]
fn what_cannot_be_measured_is_named() {
    let scratch = scratch();
    let missing = scratch.path().join("missing");
    for arguments in [
        vec!["bench", "latency", "--data", text(&missing)],
        vec!["bench", "latency", "--histograms", text(&missing)],
        vec!["bench", "throughput", "--quick", "--record", text(&missing)],
        vec!["bench", "ring", "--dir", text(&missing)],
    ] {
        pawl(&arguments).expect(2).says(&["missing"]);
    }
    for symbol in ["NOTHING", "EURGBP", ""] {
        let arguments = ["bench", "throughput", "--data", &btcusd(), "--symbol", symbol];
        pawl(&arguments).expect(2).says(&[&format!("--symbol {symbol:?}"), "EURUSD"]);
    }
    // Exit code 1 is kept for wrong answers of what was measured.
    let bad = ticks(scratch.path(), "bad.csv", &[("00:00:01.000", "price", "1.14545")]);
    let arguments = ["bench", "throughput", "--quick", "--data", text(&bad)];
    pawl(&arguments).expect(2).says(&["bad.csv"]);
    // Told before anything is measured, and so at once.
    for (dir, says) in [(text(&bad), "is no directory"), ("/proc", "cannot be written to")] {
        pawl(&["bench", "inference", "--record", dir]).expect(2).says(&["--record", dir, says]);
        pawl(&["bench", "latency", "--histograms", dir]).expect(2).says(&["--histograms", dir, says]);
    }
    pawl(&["bench", "latency", "--rates", "0"]).expect(2).says(&["--rates"]);
    pawl(&["bench", "--quick", "ring"]).expect(2);
}
