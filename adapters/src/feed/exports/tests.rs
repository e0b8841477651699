//! Files that follow each other, that overlap, that are not there.

use pawl_journal::record::Points;

use super::*;

const HEADER: &str = "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn file(&self, name: &str, rows: &[(&str, &str, &str)]) -> PathBuf {
        let rows: String = rows.iter().map(|(at, bid, ask)| format!("{at}\t{bid}\t{ask}\t\t\t6\n")).collect();
        let path = self.0.path().join(name);
        std::fs::write(&path, format!("{HEADER}{rows}")).expect("written");
        path
    }

    fn day(&self, day: &str) -> PathBuf {
        self.file(
            day,
            &[
                (&format!("{day}\t00:00:01.000"), "1.1", "1.2"),
                (&format!("{day}\t23:00:00.000"), "1.3", "1.4"),
            ],
        )
    }
}

fn eurusd() -> Instrument {
    Instrument::well_known("EURUSD").expect("well known")
}

fn ordered(paths: &[PathBuf]) -> Result<Exports, FeedError> {
    Exports::in_order(paths, &eurusd(), Span(0))
}

/// Places, and bids in tenths, of all ticks before the end or the error.
fn ticks(exports: &Exports, range: TimeRange) -> (Vec<(u64, i64)>, Option<String>) {
    let mut feed = exports.open(InstrumentId(0), &eurusd(), range).expect("opened");
    let mut found = Vec::new();
    loop {
        match feed.next() {
            Ok(Some(tick)) => found.push((tick.source_sequence, tick.bid.0 / 10_000)),
            Ok(None) => return (found, None),
            Err(error) => return (found, Some(error.to_string())),
        }
    }
}

fn at(text: &str) -> Time {
    Time(text.parse::<Timestamp>().expect("a time").as_nanosecond() as i64)
}

#[test]
fn files_follow_each_other_by_what_is_in_them_and_a_blank_price_is_that_of_the_tick_before() {
    let folder = Folder::new();
    let late = folder
        .file("a.csv", &[("2024.01.03\t08:00:00.000", "", "1.5"), ("2024.01.03\t09:00:00.000", "1.6", "")]);
    let exports = ordered(&[late.clone(), folder.day("2024.01.02")]).expect("good");
    assert_eq!(exports.paths().last(), Some(late.as_path()));
    assert_eq!(ticks(&exports, TimeRange::ALL), (vec![(1, 11), (2, 13), (3, 13), (4, 16)], None));

    let mut resumed = exports.open(InstrumentId(0), &eurusd(), TimeRange::ALL).expect("opened");
    resumed.skip_to(3).expect("there");
    let tick = resumed.next().expect("readable").expect("one more");
    assert_eq!((tick.source_sequence, tick.bid, tick.ask), (4, Points(160_000), Points(150_000)));
    assert_eq!((resumed.name(), resumed.progress()), (late.to_str().expect("UTF-8"), Some(1.0)));
    let error = exports.open(InstrumentId(0), &eurusd(), TimeRange::ALL).expect("opened").skip_to(5);
    assert!(error.expect_err("too far").to_string().contains("ends after tick 4"));
}

#[test]
fn a_range_opens_only_the_files_that_it_needs() {
    let folder = Folder::new();
    let days = ["2024.01.02", "2024.01.03", "2024.01.04", "2024.01.05"].map(|day| folder.day(day));
    let exports = ordered(&days).expect("good");
    // What is not needed is not missed.
    std::fs::remove_file(&days[0]).expect("removed");
    std::fs::remove_file(&days[3]).expect("removed");
    let range = TimeRange { from: at("2024-01-03T12:00:00Z"), until: at("2024-01-04T12:00:00Z") };
    assert_eq!(ticks(&exports, range), (vec![(1, 13), (2, 11)], None));
    assert!(exports.open(InstrumentId(0), &eurusd(), TimeRange::ALL).is_err());
}

#[test]
fn files_that_overlap_are_refused_by_both_their_names() {
    let folder = Folder::new();
    let day = folder.day("2024.01.02");
    let copy = folder.file("copy.csv", &[("2024.01.02\t00:00:01.000", "1.1", "1.2")]);
    let error = ordered(&[day.clone(), copy]).expect_err("the same beginning").to_string();
    assert!(
        error.contains("copy.csv") && error.contains("2024.01.02") && error.contains("00:00:01Z"),
        "{error}"
    );
    let inside = folder.file("inside.csv", &[("2024.01.02\t12:00:00.000", "1.1", "1.2")]);
    let (found, error) = ticks(&ordered(&[day, inside]).expect("begin apart"), TimeRange::ALL);
    let error = error.expect("they overlap");
    assert_eq!(found, [(1, 11)], "nothing behind the beginning of the next");
    assert!(
        error.contains("2024.01.02: goes on at 2024-01-02T23:00:00Z, but") && error.contains("inside.csv"),
        "{error}"
    );
}

#[test]
fn one_of_several_that_cannot_be_read_or_is_empty_is_refused_before_anything_is_delivered() {
    let folder = Folder::new();
    let day = folder.day("2024.01.02");
    let missing = folder.0.path().join("missing.csv");
    for (path, says) in [
        (missing, "cannot be opened"),
        (folder.file("empty.csv", &[]), "has a header and no ticks"),
        (
            folder.file("bitcoin.csv", &[("2024.01.03\t08:00:00.000", "24849.123456", "24921.5")]),
            "check that this file is of EURUSD",
        ),
    ] {
        let error = ordered(&[day.clone(), path.clone()]).expect_err("refused").to_string();
        assert!(error.contains(says) && error.contains(path.to_str().expect("UTF-8")), "{error}");
    }
    assert!(ordered(&[]).is_err());
    assert!(ordered(&vec![day; FILES_MAX + 1]).expect_err("too many").to_string().contains("4097 files"));
}

#[test]
fn days_that_are_missing_are_named_but_not_weekends() {
    let folder = Folder::new();
    let missing = |days: &[&str]| -> Vec<String> {
        let paths: Vec<PathBuf> = days.iter().map(|day| folder.day(day)).collect();
        ordered(&paths).expect("good").missing_days().iter().map(ToString::to_string).collect()
    };
    // A Thursday to a Wednesday, with a weekend and without a Tuesday.
    let days = ["2024.01.04", "2024.01.05", "2024.01.08", "2024.01.10", "2024.01.11"];
    assert_eq!(missing(&days), ["2024-01-09"]);
    assert_eq!(
        missing(&[&["2023.12.30", "2023.12.31"], &days[..]].concat()),
        ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-06", "2024-01-07", "2024-01-09"]
    );
    assert!(missing(&["2024.01.01", "2024.01.08", "2024.01.15"]).is_empty(), "a file a week");
}
