//! Determinism: what decides is in the settings, and nothing else is.

use crate::support::{btcusd, output_hash, pawl, run, scratch, text};

#[test]
fn stamps_cores_ring_and_segments_change_no_decision() {
    let scratch = scratch();
    let plain = scratch.path().join("plain");
    let feed = btcusd();
    let arguments = ["--feed", feed.as_str(), "--symbol", "BTCUSD"];
    run(&plain, &arguments).expect(0);
    for (name, set) in [
        ("stamps", "runtime.stamps=false"),
        ("ring", "runtime.ring_slots=2"),
        ("segments", "journal.segment_bytes=1048576"),
    ] {
        let journal = scratch.path().join(name);
        run(&journal, &[&arguments[..], &["--set", set]].concat()).expect(0);
        assert_eq!(output_hash(&journal), output_hash(&plain), "{set}");
        pawl(&["replay", text(&journal)]).expect(0);
    }
}

#[test]
fn another_limit_or_seed_changes_the_output_hash() {
    let scratch = scratch();
    let feed = btcusd();
    let arguments = ["--feed", feed.as_str(), "--symbol", "BTCUSD"];
    let mut hashes = std::collections::BTreeSet::new();
    for (name, set) in [("a", "risk.max_order=1"), ("b", "risk.max_order=0.02"), ("c", "venue.paper.seed=99")]
    {
        let journal = scratch.path().join(name);
        run(&journal, &[&arguments[..], &["--set", set]].concat()).expect(0);
        assert!(hashes.insert(output_hash(&journal)), "{set}");
    }
}

#[test]
fn the_latency_of_the_venue_does_not_depend_on_threads() {
    let scratch = scratch();
    let feed = btcusd();
    // A latency of zero and one that spans many ticks: the two ends of what lockstep has to order.
    for latency in ["0s", "2s"] {
        let set = format!("venue.paper.latency={latency}");
        let arguments = [
            "--feed",
            feed.as_str(),
            "--symbol",
            "BTCUSD",
            "--set",
            &set,
            "--set",
            "venue.paper.partial=30%",
        ];
        let hashes = ["single", "fused", "staged"].map(|threading| {
            let journal = scratch.path().join(format!("{threading}{latency}"));
            run(&journal, &[&arguments[..], &["--threading", threading]].concat()).expect(0);
            output_hash(&journal)
        });
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{latency}: {hashes:?}");
    }
}
