//! Checkpoints: what the stages hold is in the journal, the same in every mode, and can be put back anywhere.

use std::path::Path;

use pawl_engine::pipeline::Pipeline;
use pawl_engine::state;
use pawl_journal::log::Reader;
use pawl_journal::record::{Checkpoint, CheckpointOf, Kind, Step};
use pawl_replay::Rerun;

use crate::support::{btcusd, pawl, run, scratch, text};

/// Every checkpoint of a journal: the step, of what, the hash.
fn checkpoints(journal: &Path) -> Vec<(u64, CheckpointOf, u64)> {
    let mut reader = Reader::open(journal).expect("a journal");
    let mut found = Vec::new();
    while let Some(frame) = reader.next().expect("whole") {
        let step = frame.step();
        found.extend(step.all::<Checkpoint>().map(|it| (step.sequence().0, it.of, it.hash)));
    }
    found
}

fn session(journal: &Path, more: &[&str]) {
    let feed = btcusd();
    run(journal, &[&["--feed", feed.as_str(), "--symbol", "BTCUSD"], more].concat()).expect(0);
}

#[test]
fn a_checkpoint_stands_at_every_so_many_steps_and_at_the_end_the_same_in_every_mode() {
    let scratch = scratch();
    let every = ["--set", "checkpoint.every=1000"];
    let of_modes = ["single", "fused", "staged"].map(|threading| {
        let journal = scratch.path().join(threading);
        session(
            &journal,
            &[&every[..], &["--threading", threading, "--set", "runtime.stamps=false"]].concat(),
        );
        pawl(&["replay", text(&journal)]).expect(0);
        checkpoints(&journal)
    });
    assert!(of_modes.iter().all(|it| *it == of_modes[0]));
    let found = &of_modes[0];
    let last = Reader::open(&scratch.path().join("single")).unwrap().last_sequence().unwrap().0;
    let expected: Vec<_> = (1..=last)
        .filter(|sequence| sequence.is_multiple_of(1_000) || *sequence == last)
        .flat_map(|sequence| CheckpointOf::ALL.iter().map(move |of| (sequence, *of)))
        .collect();
    assert_eq!(found.iter().map(|(sequence, of, _)| (*sequence, *of)).collect::<Vec<_>>(), expected);
    for of in [CheckpointOf::FEATURE, CheckpointOf::RISK, CheckpointOf::OUTPUT] {
        let mut hashes: Vec<_> = found.iter().filter(|it| it.1 == of).map(|it| it.2).collect();
        hashes.dedup();
        assert!(hashes.len() > 10, "{of} moves");
    }
    let none = scratch.path().join("none");
    session(&none, &["--set", "checkpoint.every=0"]);
    assert!(checkpoints(&none).is_empty());
    pawl(&["replay", text(&none)]).expect(0);
}

#[test]
fn a_state_put_back_at_any_step_goes_on_as_the_one_it_was_taken_from() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let more = ["checkpoint.every=500", "order.type=limit", "venue.paper.partial=50%"];
    session(&journal, &more.map(|set| ["--set", set]).concat());
    let mut rerun = Rerun::open(&journal).unwrap();
    let settings = rerun.settings.clone();
    let mut taken: Vec<(u64, Pipeline)> = Vec::new();
    let mut scratch_step = Step::new();
    let mut with_orders = 0;
    loop {
        let ran = rerun.step(|step, difference| {
            assert_eq!(difference, None);
            for (at, pipeline) in &mut taken {
                let difference = pipeline.rerun(step, &mut scratch_step);
                assert_eq!(difference, None, "step {} behind {at}", step.sequence());
            }
            (step.sequence().0, step.record(Kind::OrderRequest).is_some())
        });
        let Some((sequence, has_orders)) = ran.unwrap() else { break };
        // In the middle of warming up, with orders on their way, and far into the day.
        if [1, 2, 100, 2_500, 9_000].contains(&sequence) || (has_orders && with_orders < 3) {
            with_orders += usize::from(has_orders);
            let words = state::save(&mut rerun.pipeline);
            let mut fresh = Pipeline::recorded(&settings).unwrap();
            assert_ne!(state::hash(&mut fresh), state::hash(&mut rerun.pipeline));
            fresh.restore(&words).unwrap();
            assert_eq!(state::list(&mut fresh), state::list(&mut rerun.pipeline));
            taken.push((sequence, fresh));
        }
    }
    assert_eq!((taken.len(), with_orders), (8, 3));
    for (at, pipeline) in &mut taken {
        assert_eq!(state::hash(pipeline), state::hash(&mut rerun.pipeline), "taken at {at}");
        assert_eq!(pipeline.output(), rerun.pipeline.output());
    }
}
