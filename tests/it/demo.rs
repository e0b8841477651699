//! The demo: what a newcomer sees first, and the same for everybody.

use crate::support::{output_hash, pawl, scratch, text};

#[test]
fn the_demo_runs_both_agents_trades_and_names_what_to_try_next() {
    let scratch = scratch();
    let directory = scratch.path().join("demo");
    let demo = pawl(&["demo", "--hours", "1", "--journal", text(&directory)]).expect(0);
    for word in [
        "EURUSD", "BTCUSD", "bars", "signals", "orders", "fills", "refused", "P&L", "drawdown", "p99",
        "journal",
    ] {
        assert!(demo.stdout.contains(word), "{word}: {}", demo.stdout);
    }
    let next: Vec<&str> = demo
        .stdout
        .lines()
        .skip_while(|line| !line.contains("Try next"))
        .filter_map(|line| line.trim().strip_prefix("pawl "))
        .collect();
    assert_eq!(next.len(), 3, "{}", demo.stdout);
    for line in next {
        let words: Vec<&str> = line
            .split("  ")
            .next()
            .expect("the command")
            .split_whitespace()
            .take_while(|it| *it != "|")
            .collect();
        pawl(&words).expect(0);
    }
}

#[test]
fn one_seed_is_one_session_and_another_seed_another() {
    let scratch = scratch();
    let hash = |name: &str, seed: &str| {
        let directory = scratch.path().join(name);
        pawl(&["demo", "--hours", "1", "--seed", seed, "--journal", text(&directory)]).expect(0);
        output_hash(&directory)
    };
    let first = hash("a", "1");
    assert_eq!(hash("b", "1"), first);
    assert_ne!(hash("c", "2"), first);
}

#[test]
fn the_demo_replaces_its_own_journal_and_nothing_else() {
    let scratch = scratch();
    let directory = scratch.path().join("demo");
    let demo = || pawl(&["demo", "--hours", "1", "--journal", text(&directory)]);
    demo().expect(0);
    demo().expect(0);
    let other = scratch.path().join("other");
    std::fs::create_dir(&other).expect("create");
    std::fs::write(other.join("thesis.doc"), "years of work").expect("write");
    pawl(&["demo", "--hours", "1", "--journal", text(&other)]).expect(2).says(&["other"]);
    assert!(other.join("thesis.doc").exists());
}
