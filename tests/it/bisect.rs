//! Bisecting: a line changed in any stage is found where it first shows, in programs that were built with it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pawl_journal::log::Reader;
use pawl_journal::record::{
    BarClosed, ExecutionKind, ExecutionReport, Kind, OrderRequest, Prediction, Record, Side, Signal, StepRef,
    Value,
};
use pawl_replay::settings_of;
use serde_json::Value as Json;

use crate::support::planted::{Plant, programs};
use crate::support::{Finished, binary, btcusd, copy_dir, pawl, run_with, scratch, text};

/// Bugs as they are made, one in each stage, and a state that is laid out otherwise.
const PLANTS: [Plant; 6] = [
    // The true range forgets that a market may open below where it closed.
    Plant {
        name: "feature",
        file: "engine/src/feature/indicator.rs",
        line: "self.range.push((high.max(before) - low.min(before)) as f64)",
        instead: "self.range.push((high - low.min(before)) as f64)",
    },
    // A signal is as old as the youngest vote in it.
    Plant {
        name: "inference",
        file: "engine/src/inference/stage.rs",
        line: "signal.age_ns = signal.age_ns.max(age);",
        instead: "signal.age_ns = signal.age_ns.min(age);",
    },
    // The pause after a refused order counts from when the order was made.
    Plant {
        name: "risk",
        file: "engine/src/risk/stage.rs",
        line: "let until = after(now, self.sizing.retry_after_ns);",
        instead: "let until = after(now.min(change.order.made), self.sizing.retry_after_ns);",
    },
    // The worst price of a sale lies above the quote.
    Plant {
        name: "order",
        file: "engine/src/order/stage.rs",
        line: "Points(verdict.reference.0.saturating_add(verdict.side.sign() * self.deviation).max(1))",
        instead: "Points(verdict.reference.0.saturating_add(self.deviation).max(1))",
    },
    // Up and down are swapped in what a model answers.
    Plant {
        name: "classes",
        file: "engine/src/inference/agent.rs",
        line: "score: (values[up] - values[down]).clamp(-1.0, 1.0),",
        instead: "score: (values[down] - values[up]).clamp(-1.0, 1.0),",
    },
    // The close before is taken for something that follows from the settings.
    Plant {
        name: "layout",
        file: "engine/src/feature/indicator.rs",
        line: "stateful!(Obv { total, close_before });",
        instead: "stateful!(Obv { total } but { close_before });",
    },
];

/// Two agents, so that votes have ages; a venue that is slow and rejects; an average that needs long to warm up.
const CONFIG: &str = r#"
[features]
bars = "15s"
columns = ["mid", "tick_sma_20", "tick_ema_20", "sma_10", "sma_30", "atr_60", "obv"]
[[agent]]
name = "cross"
rule = { fast = "sma_10", slow = "sma_30" }
on = "bar"
max_age = "5m"
[[agent]]
name = "quick"
rule = { fast = "tick_ema_20", slow = "tick_sma_20" }
[order]
deviation = 50
[venue.paper]
latency = "1s"
reject = "30%"
"#;

fn planted(name: &str) -> &'static Path {
    static BUILT: OnceLock<[PathBuf; PLANTS.len()]> = OnceLock::new();
    let built = BUILT.get_or_init(|| programs(PLANTS));
    &built[PLANTS.iter().position(|it| it.name == name).expect("it is planted")]
}

/// A run of the real hours by this program.
fn session(program: &Path, directory: &Path, name: &str) -> PathBuf {
    let config = directory.join("pawl.toml");
    fs::write(&config, CONFIG).expect("written");
    let (journal, feed) = (directory.join(name), btcusd());
    run_with(program, &journal, &["--config", text(&config), "--feed", &feed, "--symbol", "BTCUSD"])
        .expect(0);
    journal
}

fn bisect(journal: &Path, old: &Path, more: &[&str]) -> Finished {
    pawl(&[&["bisect", text(journal), "--old", text(old)], more].concat())
}

/// The old build is the one that the suite runs, the new one has a line planted.
fn found(journal: &Path, name: &str, more: &[&str]) -> Json {
    let more = [&["--new", text(planted(name)), "--json"][..], more].concat();
    bisect(journal, binary(), &more).expect(1).json()
}

/// The first step of a journal of which this holds.
fn first_step(journal: &Path, mut wanted: impl FnMut(StepRef<'_>) -> bool) -> u64 {
    let mut reader = Reader::open(journal).expect("a journal");
    while let Some(frame) = reader.next().expect("readable") {
        if wanted(frame.step()) {
            return frame.sequence().0;
        }
    }
    panic!("the hours have no such step");
}

/// The first step, kind and field in which two journals of the same feed differ: the plain way.
fn first_other_decision(a: &Path, b: &Path) -> (u64, String, String) {
    let columns = settings_of(a).expect("settings").0.engine.features.columns;
    let fields = |record: &Record<'_>| {
        let mut fields = Vec::new();
        record.visit(&mut |field| match field.value {
            Value::Reals(values) if record.kind() == Some(Kind::Features) => {
                fields.extend(columns.iter().zip(values).map(|(name, it)| (name.clone(), it.to_string())));
            }
            other => fields.push((field.name.to_owned(), format!("{other:?}"))),
        });
        fields
    };
    let compared = |record: &Record<'_>| {
        !matches!(record.kind(), Some(Kind::Stamps | Kind::Checkpoint | Kind::RunStarted))
    };
    let mut readers = [a, b].map(|it| Reader::open(it).expect("a journal"));
    loop {
        let [a, b] = &mut readers;
        let (a, b) =
            (a.next().expect("readable").expect("a step"), b.next().expect("readable").expect("a step"));
        let sequence = a.sequence().0;
        let (mut lefts, mut rights) =
            (a.step().records().filter(compared), b.step().records().filter(compared));
        loop {
            let (left, right) = match (lefts.next(), rights.next()) {
                (None, None) => break,
                (Some(left), Some(right)) if left.header().kind == right.header().kind => (left, right),
                (left, right) => {
                    let kind = left.or(right).and_then(|it| it.kind()).expect("a known kind");
                    return (sequence, kind.name().to_owned(), "record".to_owned());
                }
            };
            if let Some((it, _)) =
                fields(&left).into_iter().zip(fields(&right)).find(|(left, right)| left != right)
            {
                return (sequence, left.kind().expect("a known kind").name().to_owned(), it.0);
            }
        }
    }
}

/// Asserts that bisecting finds the decision that the journals of both programs differ in first; returns all it found.
fn decision_is_true(directory: &Path, journal: &Path, name: &str) -> Json {
    let other = session(planted(name), directory, name);
    let (sequence, kind, field) = first_other_decision(journal, &other);
    let found = found(journal, name, &[]);
    let decision = &found["decision"];
    assert_eq!(
        (&decision["sequence"], &decision["kind"], &decision["field"]),
        (&sequence.into(), &kind.into(), &field.into()),
        "{found}"
    );
    found
}

#[test]
fn a_forgotten_gap_in_a_range_shows_in_the_feature_stage_long_before_a_column_does() {
    let scratch = scratch();
    let journal = session(binary(), scratch.path(), "journal");
    let mut close = None;
    let gap = first_step(&journal, |step| {
        let mut is_gap = false;
        for bar in step.all::<BarClosed>() {
            is_gap |= close.replace(bar.close).is_some_and(|close| bar.high < close);
        }
        is_gap
    });
    let found = decision_is_true(scratch.path(), &journal, "feature");
    let (state, decision) = (&found["state"], &found["decision"]);
    assert_eq!((&state["sequence"], &state["stage"]), (&gap.into(), &"feature".into()), "{found}");
    assert_eq!(state["path"], "feature.books[0].bar_columns.atrs[0].range.value");
    assert_eq!((&decision["stage"], &decision["field"]), (&"feature".into(), &"atr_60".into()));
    assert!(decision["sequence"].as_u64() > Some(gap + 1_000), "{found}");
    // Asked from behind the gap on, the state is another one before the first step, and the decision is found as it is.
    let behind = self::found(&journal, "feature", &["--from", &(gap + 1).to_string()]);
    assert_eq!((&behind["state"], &behind["decision"]), (&Json::Null, decision));
    assert_eq!(behind["before"][0]["path"], state["path"], "{behind}");
    // Up to the step before the column is warm, the state alone differs.
    let until = decision["sequence"].as_u64().expect("a step") - 1;
    let before = self::found(&journal, "feature", &["--until", &until.to_string()]);
    assert_eq!((&before["state"], &before["decision"]), (state, &Json::Null));
    let short = ["--new", text(planted("feature")), "--until", &(gap - 1).to_string()];
    let same = bisect(&journal, binary(), &short).expect(0).stdout;
    assert!(same.contains("they decide the same at every step"), "{same}");
}

#[test]
fn a_signal_that_is_too_young_is_found_in_the_inference_stage() {
    let scratch = scratch();
    let journal = session(binary(), scratch.path(), "journal");
    let aged = first_step(&journal, |step| step.get::<Signal>().is_some_and(|it| it.age_ns > 0));
    let found = decision_is_true(scratch.path(), &journal, "inference");
    let decision = &found["decision"];
    assert_eq!((&decision["sequence"], &decision["stage"]), (&aged.into(), &"inference".into()), "{found}");
    assert_eq!((&decision["field"], &decision["new"]), (&"age_ns".into(), &0.into()));
    assert_eq!(found["state"], Json::Null, "what risk holds of the signal is a consequence");
    assert_eq!((&found["agree"], &found["input"]["kind"]), (&false.into(), &"tick".into()));
}

#[test]
fn swapped_classes_are_found_where_a_model_first_speaks_if_the_models_run_again() {
    let scratch = scratch();
    let journal = scratch.path().join("demo");
    pawl(&["demo", "--hours", "1", "--journal", text(&journal)]).expect(0);
    let spoke = first_step(&journal, |step| step.get::<Prediction>().is_some());
    let until = (spoke + 500).to_string();
    let range = ["--from", "1", "--until", &until];
    let new = [&["--new", text(planted("classes"))][..], &range].concat();
    bisect(&journal, binary(), &new).expect(0);
    let found = found(&journal, "classes", &[&range[..], &["--recompute"]].concat());
    let decision = &found["decision"];
    assert_eq!((&decision["sequence"], &decision["stage"]), (&spoke.into(), &"inference".into()), "{found}");
    assert_eq!((&decision["kind"], &decision["field"]), (&"prediction".into(), &"score".into()));
    let score = |side: &str| decision[side].as_f64().expect("a score");
    assert!((score("old") + score("new")).abs() < 1e-9, "{decision}");
    bisect(&journal, binary(), &["--models", "elsewhere"]).expect(2).says(&["--recompute"]);
}

#[test]
fn a_pause_that_counts_from_elsewhere_is_found_in_the_risk_stage_where_an_order_is_refused() {
    let scratch = scratch();
    let journal = session(binary(), scratch.path(), "journal");
    let refused = |step: StepRef<'_>| {
        step.get::<ExecutionReport>().is_some_and(|it| it.kind == ExecutionKind::REJECTED)
    };
    let found = decision_is_true(scratch.path(), &journal, "risk");
    let state = &found["state"];
    assert_eq!(
        (&state["sequence"], &state["stage"]),
        (&first_step(&journal, refused).into(), &"risk".into()),
        "{found}"
    );
    assert!(state["path"].as_str().is_some_and(|it| it.starts_with("risk.desks[0].quiet[")), "{state}");
    assert!(found["decision"]["sequence"].as_u64() > state["sequence"].as_u64(), "{found}");
    assert_eq!(found["input"]["kind"], "execution_report");
}

#[test]
fn a_price_on_the_wrong_side_of_the_quote_is_found_in_the_order_stage_at_the_first_sale() {
    let scratch = scratch();
    let journal = session(binary(), scratch.path(), "journal");
    let sale =
        first_step(&journal, |step| step.get::<OrderRequest>().is_some_and(|it| it.side == Side::SELL));
    let found = decision_is_true(scratch.path(), &journal, "order");
    let decision = &found["decision"];
    assert_eq!((&decision["sequence"], &decision["stage"]), (&sale.into(), &"order".into()), "{found}");
    assert_eq!((&decision["kind"], &decision["field"]), (&"order_request".into(), &"price".into()));
    let price = |side: &str| decision[side].as_f64().expect("a price");
    assert!((price("new") - price("old") - 100.0 * 0.1).abs() < 1e-6, "twice the deviation: {decision}");
    assert_eq!(found["state"], Json::Null);
    // In words, and the other way round.
    let words = bisect(&journal, planted("order"), &[]).expect(1).stdout;
    for word in [&format!("First divergence: step {sale} ("), "stage order", "price", "Behind it", "replay"] {
        assert!(words.contains(word), "{word}: {words}");
    }
}

#[test]
fn a_state_that_is_laid_out_otherwise_is_told_and_is_no_divergence() {
    let scratch = scratch();
    let journal = session(binary(), scratch.path(), "journal");
    let new = ["--new", text(planted("layout"))];
    let told = bisect(&journal, binary(), &[&new[..], &["--json"]].concat()).expect(0).json();
    let before = &told["before"][0];
    assert_eq!((&before["stage"], &before["new"]), (&"feature".into(), &Json::Null), "{told}");
    assert_eq!(before["path"], "feature.books[0].bar_columns.obvs[0].close_before.is_some");
    assert_eq!((&told["state"], &told["decision"]), (&Json::Null, &Json::Null));
    let words = bisect(&journal, binary(), &new).expect(0).stdout;
    assert!(
        words.contains("the state of feature is another one before step 1, and is not compared"),
        "{words}"
    );
}

#[test]
fn a_build_agrees_with_itself_also_where_it_cannot_repeat_the_journal() {
    let scratch = scratch();
    let journal = session(binary(), scratch.path(), "journal");
    let same = bisect(&journal, binary(), &["--every", "1", "--until", "3000"]).expect(0).stdout;
    assert!(
        same.contains("they decide the same at every step") && same.contains("the same program"),
        "{same}"
    );
    // Neither build is the one that wrote this.
    let other = session(planted("order"), scratch.path(), "other");
    pawl(&["replay", text(&other)]).expect(1);
    bisect(&other, binary(), &[]).expect(0);
    // Two machines that print the same decide the same.
    let print = || pawl(&["fingerprint", text(&other), "--every", "500"]).expect(0).stdout;
    assert_eq!(print(), print());
}

#[test]
fn what_is_no_pawl_or_cannot_answer_is_refused_by_name() {
    let scratch = scratch();
    let journal = session(binary(), scratch.path(), "journal");
    let refused = |old: &Path| bisect(&journal, old, &[]).expect(2);
    refused(Path::new("/bin/true")).says(&["/bin/true is no pawl", "printed nothing"]);
    refused(Path::new("/bin/echo")).says(&["/bin/echo is no pawl", "printed `fingerprint"]);
    refused(&scratch.path().join("none")).says(&["cannot start", "none", "No such file"]);
    refused(&scratch.path().join("pawl.toml")).says(&["cannot start", "pawl.toml", "Permission denied"]);
    let script = |name: &str, lines: &str| {
        let path = scratch.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        path
    };
    let build = r#"echo '{"line":"build","protocol":1,"build":"pawl","build_hash":"0"}'"#;
    let at = |sequence: u64| {
        let zeros = "\"0\"";
        format!(
            "echo '{{\"line\":\"fingerprint\",\"sequence\":{sequence},\"time\":0,\"decided\":{zeros},\
             \"feature\":{zeros},\"inference\":{zeros},\"risk\":{zeros},\"order\":{zeros}}}'"
        )
    };
    let crash = script("crash", &format!("{build}\n{}\n{}\nkill -SEGV $$", at(0), at(148)));
    refused(&crash).says(&["crash died behind step 148", "signal: 11"]);
    let panic = script("panic", &format!("{build}\necho \"thread 'main' panicked at x.rs\" >&2\nexit 101"));
    refused(&panic).says(&["panic died behind step 0", "exit status: 101", "panicked at x.rs"]);
    let garbled = script("garbled", &format!("{build}\necho surprise"));
    refused(&garbled).says(&["garbled answers what cannot be understood", "surprise"]);
    let skips = script("skips", &format!("{build}\n{}\n{}", at(0), at(7)));
    refused(&skips).says(&["do not tell of the same steps", "of step 7"]);
    let newer = r#"echo '{"line":"build","protocol":2,"build":"pawl 9","build_hash":"0"}'"#;
    refused(&script("newer", newer)).says(&["newer answers in version 2", "asks in version 1"]);
    let older = "echo \"error: unrecognized subcommand 'fingerprint'\" >&2\nexit 2";
    refused(&script("older", older)).says(&["older is a pawl that has no `pawl fingerprint` yet"]);
    let foreign = "echo 'pawl: the journal is of version 3' >&2\nexit 2";
    refused(&script("foreign", foreign)).says(&["foreign cannot answer", "the journal is of version 3"]);
}

#[test]
fn steps_and_journals_that_are_not_there_are_refused() {
    let scratch = scratch();
    let journal = session(binary(), scratch.path(), "journal");
    let refused = |more: &[&str]| bisect(&journal, binary(), more).expect(2);
    refused(&["--from", "0"]).says(&["step 0 is not in the journal"]);
    refused(&["--until", "99999999"]).says(&["99999999 is not in the journal"]);
    refused(&["--from", "20", "--until", "10"]).says(&["--from 20", "--until 10"]);
    refused(&["--every", "0"]).says(&["--every"]);
    bisect(scratch.path(), binary(), &[]).expect(2).says(&["not a journal"]);
    bisect(&scratch.path().join("none"), binary(), &[]).expect(2).says(&["there is no journal"]);
    pawl(&["bisect", text(&journal)]).expect(2).says(&["--old"]);
    let copy = scratch.path().join("copy");
    copy_dir(&journal, &copy);
    bisect(&copy, binary(), &["--from", "21000"]).expect(0);
    for more in [&["--from", "0"][..], &["--every", "0"], &["--from", "20", "--until", "10"]] {
        pawl(&[&["fingerprint", text(&journal)], more].concat()).expect(2);
    }
}
