//! Holes: a page of zeros where steps were is never taken for the end, by any command.

use std::fs;
use std::os::unix::fs::FileExt as _;

use crate::support::{btcusd, pawl, run, scratch, text};

#[test]
fn no_command_takes_a_page_of_zeros_for_the_end_of_a_journal() {
    let scratch = scratch();
    let feed = btcusd();
    let arguments = ["--feed", feed.as_str(), "--symbol", "BTCUSD", "--set", "journal.segment_bytes=1048576"];
    let journal = scratch.path().join("journal");
    run(&journal, &arguments).expect(0);
    let mut segments: Vec<_> = fs::read_dir(&journal)
        .expect("listed")
        .map(|entry| entry.expect("listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pawl"))
        .collect();
    segments.sort();
    let path = text(&journal);
    for file in [&segments[1], &segments[segments.len() - 1]] {
        let whole = fs::read(file).expect("read");
        // The first frame that begins behind 300,000 bytes.
        let mut at = 4_096;
        while at < 300_000 {
            at += u32::from_le_bytes(std::array::from_fn(|byte| whole[at + byte])).next_multiple_of(32)
                as usize;
        }
        let out = fs::OpenOptions::new().write(true).open(file).expect("opened");
        out.write_all_at(&[0; 4_096], at as u64).expect("written");
        for command in [
            &["tail", path][..],
            &["tail", path, "--durable", "--json"],
            &["tail", path, "--follow", "--format", "csv", "--kind", "tick"],
            &["replay", path],
            &["state", path],
        ] {
            pawl(command).expect(2).says(&[text(file), &format!("offset {at}"), "pawl repair"]);
        }
        let listing = || {
            let mut names: Vec<_> =
                fs::read_dir(&journal).expect("listed").map(|it| it.expect("listed").path()).collect();
            names.sort();
            names
        };
        let before = listing();
        run(&journal, &arguments).expect(2).says(&[text(file), "pawl repair"]);
        assert_eq!(listing(), before);
        out.write_all_at(&whole[at..at + 4_096], at as u64).expect("written");
    }
    pawl(&["replay", path]).expect(0);
}
