//! Benchmarks in their smoke form: every section measures, checks its answer and says something sane.

use serde_json::Value;

use crate::support::{pawl, scratch, text};

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

/// Asserts that aims say what they are and whether they are met.
#[track_caller]
fn aims(section: &Value, least: usize) {
    let aims = section["aims"].as_array().expect("aims");
    assert!(aims.len() >= least, "{section}");
    for aim in aims {
        let (value, bound) =
            (aim["value"].as_f64().expect("a value"), aim["bound"].as_f64().expect("a bound"));
        let met = if aim["at_least"] == true { value >= bound } else { value <= bound };
        assert_eq!(aim["met"], met, "{aim}");
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
    pawl(&["bench"]).expect(2);
    pawl(&["bench", "everything"]).expect(2);
    let left: Vec<_> = std::fs::read_dir(scratch.path()).expect("readable").flatten().collect();
    assert!(left.len() == 1 && std::fs::read(&file).expect("there") == b"mine", "{left:?}");
}
