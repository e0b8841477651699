//! Feeds of many files: pieces of the real hours are the hours, a range is a cut, symbols come side by side.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::support::{
    BTCUSD_TICKS, Finished, btcusd, eurusd, output_hash, pawl, run, scratch, text, verified,
};

const HEADER: &str = "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>";

/// The rows of a packed export, without its header.
pub fn rows(file: &str) -> Vec<String> {
    let packed = std::fs::File::open(file).expect("the file is there");
    let mut all = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut all).expect("text");
    all.lines().skip(1).map(str::to_owned).collect()
}

/// Writes rows as a packed export.
pub fn write(path: &Path, rows: &[String]) {
    let file = std::fs::File::create(path).expect("writable");
    let mut out = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    writeln!(out, "{HEADER}").expect("written");
    rows.iter().for_each(|row| writeln!(out, "{row}").expect("written"));
    out.finish().expect("written");
}

/// Cuts rows at every half hour into files whose names tell the wrong order; in the order of their ticks.
fn cut(folder: &Path, symbol: &str, rows: &[String]) -> Vec<PathBuf> {
    std::fs::create_dir_all(folder).expect("created");
    let half_hour =
        |row: &String| (row[11..13].to_owned(), row[14..16].parse::<u8>().expect("a minute") / 30);
    let pieces: Vec<&[String]> = rows.chunk_by(|a, b| half_hour(a) == half_hour(b)).collect();
    let path = |place: usize| folder.join(format!("{symbol}-{}.csv.gz", (b'z' - place as u8) as char));
    pieces.iter().enumerate().for_each(|(place, rows)| write(&path(place), rows));
    (0..pieces.len()).map(path).collect()
}

/// The hours of BTCUSD in half hours, in a folder.
fn btcusd_in_pieces(folder: &Path) -> Vec<PathBuf> {
    let pieces = cut(folder, "BTCUSD", &rows(&btcusd()));
    assert_eq!(pieces.len(), 4);
    pieces
}

fn run_feed(journal: &Path, feed: &str, more: &[&str]) -> Finished {
    run(journal, &[&["--feed", feed, "--symbol", "BTCUSD", "--threading", "single"], more].concat())
}

/// What a journal decided, whatever its runs are: records by kind, but for what each run adds.
fn decided(journal: &Path) -> serde_json::Value {
    let mut records = verified(journal)["records"].clone();
    for kind in ["run_started", "reconciled", "run_ended", "checkpoint", "stamps"] {
        records.as_object_mut().expect("records").remove(kind);
    }
    records
}

#[test]
fn the_pieces_of_a_session_run_as_the_session_however_they_are_named() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    let pieces = btcusd_in_pieces(&at("ticks"));
    std::fs::write(at("ticks/README.md"), "not ticks").expect("written");
    run_feed(&at("whole"), &btcusd(), &[]).expect(0);
    let whole = output_hash(&at("whole"));

    let folder = text(&at("ticks")).to_owned();
    run_feed(&at("folder"), &folder, &[]).expect(0);
    run_feed(&at("pattern"), &format!("{folder}/BTC*.gz"), &[]).expect(0);
    let listed: Vec<&str> = pieces.iter().map(|path| text(path)).collect();
    let several =
        [&["--feed", listed[2], listed[0]], &["--feed", listed[1]][..], &["--feed", listed[3]]].concat();
    run(&at("list"), &[&several[..], &["--symbol", "BTCUSD"]].concat()).expect(0);
    let config = at("pawl.toml");
    let list = format!(
        "[[feed]]\nsymbol = \"BTCUSD\"\nfile = [\"{}\", \"{folder}/*-[x-y].csv.gz\", \"{}\"]\n",
        listed[0], listed[3]
    );
    std::fs::write(&config, list).expect("written");
    run(&at("config"), &["--config", text(&config)]).expect(0);
    for journal in ["folder", "pattern", "list", "config"] {
        assert_eq!(output_hash(&at(journal)), whole, "{journal}");
    }
    let started = pawl(&["tail", text(&at("folder")), "--kind", "run_started", "--json"]).expect(0).stdout;
    assert!(started.contains("(4 files)"), "{started}");
}

#[test]
fn a_range_is_what_a_cut_file_is() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    btcusd_in_pieces(&at("ticks"));
    let rows = rows(&btcusd());
    // A cut file knows no price of the tick before, so the cut is where both are told.
    let tells_both = |row: &&String| !row.split('\t').skip(2).take(2).any(str::is_empty);
    let from =
        rows.iter().find(|row| &row[11..16] > "12:40" && tells_both(row)).expect("a row")[11..23].to_owned();
    let kept: Vec<String> =
        rows.iter().filter(|row| row[11..23] >= from[..] && &row[11..23] < "13:20:00.000").cloned().collect();
    write(&at("cut.csv.gz"), &kept);
    run_feed(&at("cut"), text(&at("cut.csv.gz")), &[]).expect(0);
    let from = format!("{}T{from}", rows[0][..10].replace('.', "-"));
    let until = format!("{}T13:20", rows[0][..10].replace('.', "-"));
    for (journal, feed) in [("pieces", text(&at("ticks"))), ("whole", &btcusd())] {
        run_feed(&at(journal), feed, &["--from", &from, "--until", &until]).expect(0);
        assert_eq!(output_hash(&at(journal)), output_hash(&at("cut")), "{journal}");
    }
    assert_eq!(verified(&at("cut"))["records"]["tick"].as_u64(), Some(kept.len() as u64));
}

#[test]
fn two_symbols_in_one_folder_are_merged_by_time() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    let bitcoin = rows(&btcusd());
    let day = &bitcoin[0][..10];
    // The euro of another year, moved to the hours of the bitcoin.
    let euro: Vec<String> = rows(&eurusd())
        .into_iter()
        .filter(|row| (12..14).contains(&row[11..13].parse::<u8>().expect("an hour")))
        .map(|row| format!("{day}{}", &row[10..]))
        .collect();
    cut(&at("ticks"), "EURUSD", &euro);
    cut(&at("ticks"), "BTCUSD", &bitcoin);
    write(&at("euro.csv.gz"), &euro);
    let folder = text(&at("ticks")).to_owned();
    let euro_file = at("euro.csv.gz");
    run(
        &at("whole"),
        &["--feed", text(&euro_file), "--symbol", "EURUSD", "--feed", &btcusd(), "--symbol", "BTCUSD"],
    )
    .expect(0);
    run(&at("pieces"), &["--feed", &folder, "--symbol", "EURUSD", "--feed", &folder, "--symbol", "BTCUSD"])
        .expect(0);
    assert_eq!(output_hash(&at("pieces")), output_hash(&at("whole")));
    let ticks = verified(&at("pieces"))["records"]["tick"].as_u64().expect("ticks");
    assert!(ticks > BTCUSD_TICKS + 1_000, "{ticks}");
}

#[test]
fn a_run_goes_on_in_the_middle_of_a_file_and_with_files_that_were_not_there_before() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    let pieces = btcusd_in_pieces(&at("all"));
    run_feed(&at("whole"), &btcusd(), &[]).expect(0);
    let folder = at("ticks");
    std::fs::create_dir(&folder).expect("created");
    let arrive = |piece: &PathBuf| {
        std::fs::copy(piece, folder.join(piece.file_name().expect("a name"))).expect("copied");
    };
    pieces[..2].iter().for_each(arrive);
    let day = rows(&btcusd())[0][..10].replace('.', "-");
    // Into the second file, to the end of it, and into files that came later.
    let journal = at("journal");
    run_feed(&journal, text(&folder), &["--until", &format!("{day}T12:45:30")]).expect(0);
    run_feed(&journal, text(&folder), &[]).expect(0);
    pieces[2..].iter().for_each(arrive);
    let ended = run_feed(&journal, text(&folder), &[]).expect(0).json();
    assert_eq!(decided(&journal), decided(&at("whole")));
    let whole = run_feed(&at("whole"), &btcusd(), &[]).expect(0).json();
    assert_eq!(ended["account"], whole["account"]);
    pawl(&["replay", text(&journal)]).expect(0);

    // The new file alone is not the feed, nor is what begins elsewhere.
    let alone = text(&pieces[3]);
    run_feed(&journal, alone, &[]).expect(2).says(&["all the files that the journal was written from"]);
    run_feed(&journal, text(&folder), &["--from", &format!("{day}T12:10")]).expect(2).says(&["journal"]);
}

#[test]
fn feeds_that_cannot_be_what_was_meant_are_refused() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    let pieces = btcusd_in_pieces(&at("ticks"));
    let (journal, folder) = (at("journal"), text(&at("ticks")).to_owned());
    let refuse = |arguments: &[&str], words: &[&str]| {
        run(&journal, arguments).expect(2).says(words);
        assert!(!journal.exists(), "{arguments:?}");
    };
    refuse(
        &["--feed", &folder, "--symbol", "EURUSD"],
        &["no file in this folder is named after EURUSD", "/*.csv.gz'"],
    );
    refuse(
        &["--feed", &format!("{folder}/2024*"), "--symbol", "BTCUSD"],
        &["2024*", "no file has such a name"],
    );
    refuse(&["--feed", &format!("{folder}/***x["), "--symbol", "BTCUSD"], &["no pattern of file names"]);
    refuse(
        &["--feed", &format!("{folder}/*"), "--symbol", "EURUSD"],
        &["BTCUSD-", "another symbol than EURUSD"],
    );
    refuse(
        &["--feed", &folder, "--symbol", "BTCUSD", "--from", "2024-01-01"],
        &["no feed has a tick from 2024-01-01", "--until"],
    );
    refuse(
        &["--feed", &folder, "--symbol", "BTCUSD", "--until", "2023-02-20"],
        &["no feed has a tick", "2023-02-20"],
    );
    refuse(
        &["--feed", &folder, "--symbol", "BTCUSD", "--from", "2023-02-20", "--until", "2023-02-20"],
        &["--from must be before --until"],
    );
    refuse(&["--feed", &folder, "--symbol", "BTCUSD", "--from", "noon"], &["noon", "2019-02-04"]);
    refuse(
        &["--feed", &folder, "--feed", &folder, "--symbol", "BTCUSD", "--symbol", "BTCUSD"],
        &["both begin at"],
    );
    refuse(
        &["--feed", &folder, text(&at("gone.csv")), "--symbol", "BTCUSD"],
        &["gone.csv", "cannot be opened"],
    );
    std::fs::write(at("ticks/BTCUSD-empty.csv"), format!("{HEADER}\n")).expect("written");
    refuse(&["--feed", &folder, "--symbol", "BTCUSD"], &["BTCUSD-empty.csv", "no ticks"]);
    std::fs::remove_file(at("ticks/BTCUSD-empty.csv")).expect("removed");

    // Files that overlap are known to do so when the first tick behind the next file's beginning comes.
    write(&at("ticks/BTCUSD-again.csv.gz"), &rows(text(&pieces[1]))[100..]);
    run_feed(&journal, &folder, &[]).expect(1).says(&["overlap", "BTCUSD-again.csv.gz", text(&pieces[1])]);
    assert_eq!(verified(&journal)["sealed"], true);
}
