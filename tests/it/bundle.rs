//! Bundles from the command line: what is in one file replays elsewhere, and what is not whole is refused.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{
    Finished, at_once, binary, btcusd, command, copy_dir, interrupted, output_hash, pawl, root, run, scratch,
    start_day, text, wait_for_steps,
};

/// The smallest segments.
const SEGMENTS: [&str; 2] = ["--set", "journal.segment_bytes=1048576"];

/// A run of the real hours in small segments.
fn journal_of(directory: &Path) -> PathBuf {
    let journal = directory.join("journal");
    run(&journal, &[&["--feed", &btcusd(), "--symbol", "BTCUSD"][..], &SEGMENTS].concat()).expect(0);
    journal
}

fn bundled(journal: &Path, file: &Path, more: &[&str]) -> Value {
    pawl(&[&["bundle", text(journal), "--out", text(file), "--json"], more].concat()).expect(0).json()
}

/// Runs `pawl` with a directory of its own for what it unpacks, and asserts that nothing is left there.
fn pawl_in(temporary: &Path, program: &Path, arguments: &[&str]) -> Finished {
    std::fs::create_dir_all(temporary).expect("made");
    let finished = command(program, arguments).env("TMPDIR", temporary).output().expect("pawl runs").into();
    assert_eq!(
        std::fs::read_dir(temporary).expect("listed").count(),
        0,
        "{arguments:?} leaves something behind"
    );
    finished
}

/// A copy of a demo model that no build has compiled in: a field that readers skip makes another file of it.
fn own_model(name: &str, models: &Path) -> PathBuf {
    use std::fs::{read, write};
    let model = models.join(name);
    copy_dir(&root().join("tools/models").join(name), &model);
    let mut bytes = read(model.join("model.onnx")).expect("a model");
    // Field 1000, a varint, of the outer message.
    bytes.extend([0xc0, 0x3e, 0x01]);
    write(model.join("model.onnx"), &bytes).expect("written");
    let mut manifest: Value =
        serde_json::from_slice(&read(model.join("manifest.json")).expect("a manifest")).expect("JSON");
    let hash =
        std::process::Command::new("sha256sum").arg(model.join("model.onnx")).output().expect("a hash");
    manifest["sha256"] = String::from_utf8_lossy(&hash.stdout)[..64].into();
    write(model.join("manifest.json"), manifest.to_string()).expect("written");
    model
}

#[test]
fn a_run_with_models_replays_after_the_journal_and_the_models_are_gone() {
    let scratch = scratch();
    let models = scratch.path().join("models");
    let config = scratch.path().join("models.toml");
    let [fast, precise] = ["fast", "precise"].map(|name| own_model(name, &models));
    let agents = format!(
        "[risk]\nmax_position = 0.5\n[[agent]]\nname = \"fast\"\nmodel = \"{}\"\nthreshold = 0.01\n\
         [[agent]]\nname = \"precise\"\nmodel = \"{}\"\non = \"bar\"\nweight = 2\nmax_age = \"120s\"\n",
        fast.display(),
        precise.display()
    );
    std::fs::write(&config, agents).expect("written");
    let journal = scratch.path().join("journal");
    run(&journal, &["--config", text(&config), "--feed", &btcusd(), "--symbol", "BTCUSD"]).expect(0);
    let hash = output_hash(&journal);
    let looks: [&[&str]; 5] = [
        &["state", "--json"],
        &["tail", "--kind", "verdict,order_changed", "--json"],
        &["verify", "--json"],
        &["slowest", "--json"],
        &["report", "--json"],
    ];
    let look = |journal: &Path, words: &[&str]| {
        pawl_in(&scratch.path().join("tmp"), binary(), &[&[words[0], text(journal)], &words[1..]].concat())
            .expect(0)
    };
    let before = looks.map(|words| look(&journal, words).stdout);
    let file = scratch.path().join("run.pawl");
    let told = bundled(&journal, &file, &[]);
    assert_eq!((&told["manifest"]["format"], &told["manifest"]["replay_from"]), (&1.into(), &1.into()));
    let copy = scratch.path().join("other.pawl");
    bundled(&journal, &copy, &[]);
    assert!(std::fs::read(&file).expect("a file") == std::fs::read(&copy).expect("a file"), "the same bytes");
    std::fs::rename(&journal, scratch.path().join("gone")).expect("moved");
    std::fs::remove_dir_all(&models).expect("removed");

    let replayed = look(&file, &["replay", "--recompute", "--json"]).json();
    assert_eq!(
        (&replayed["identical"], replayed["output_hash"].as_str()),
        (&true.into(), Some(hash.as_str()))
    );
    for model in replayed["models"].as_array().expect("models") {
        assert!(model["predictions"].as_u64() > Some(100) || model["agent"] == "precise", "{model}");
        assert_eq!(model["error_max"], 0.0, "{model}");
    }
    for (words, before) in looks.iter().zip(before) {
        let now = look(&file, words).stdout;
        if words[0] == "verify" {
            // An index is derived, and not in a bundle.
            let [now, before]: [Value; 2] = [now, before].map(|it| serde_json::from_str(&it).expect("JSON"));
            assert_eq!((&now["output_hash"], &now["sealed"]), (&before["output_hash"], &before["sealed"]));
        } else {
            let place = |told: &str| told.replace(text(&journal), "").replace(text(&file), "");
            assert!(place(&now) == place(&before), "{words:?}");
        }
    }
    look(&file, &["diff", text(&scratch.path().join("gone"))]);
    look(&file, &["whatif", "--json"]);
    look(&file, &["bisect", "--old", text(binary()), "--recompute"]);
    look(&file, &["export", "--out", text(&scratch.path().join("out"))]);
    let without = scratch.path().join("without.pawl");
    let gone = scratch.path().join("gone");
    pawl(&["bundle", text(&gone), "--out", text(&without)]).expect(2).says(&["model"]);
    assert!(!without.exists());
    bundled(&gone, &without, &["--without-models"]);
    look(&without, &["replay"]);
    let tried = pawl_in(&scratch.path().join("tmp"), binary(), &["replay", text(&without), "--recompute"]);
    tried.expect(2).says(&["sha256:"]);
}

#[test]
fn a_part_begins_behind_a_snapshot_and_says_so_to_another_build() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let file = scratch.path().join("part.pawl");
    let whole =
        bundled(&journal, &scratch.path().join("whole.pawl"), &["--from", "15000", "--until", "18000"]);
    assert!(
        whole["manifest"]["snapshot"].is_null() && whole["manifest"]["first_step"] == 1,
        "no snapshot yet"
    );
    pawl(&["snapshot", text(&journal), "--at", "12000"]).expect(0);
    let told = bundled(&journal, &file, &["--from", "15000", "--until", "18000"])["manifest"].clone();
    let first = told["first_step"].as_u64().expect("a step");
    assert!(first > 1 && first <= 12_000, "{told}");
    assert_eq!((&told["replay_from"], &told["last_step"]), (&12_001.into(), &18_000.into()));
    assert_eq!(told["snapshot"]["step"], 12_000);
    let bytes = std::fs::read(&file).expect("a file");
    bundled(&journal, &file, &["--from", "15000", "--until", "18000", "--replace"]);
    assert!(bytes == std::fs::read(&file).expect("a file"), "the same bytes");

    let temporary = scratch.path().join("tmp");
    let here =
        |words: &[&str]| pawl_in(&temporary, binary(), &[&[words[0], text(&file)], &words[1..]].concat());
    let replayed = here(&["replay", "--json"]).expect(0).json();
    assert_eq!((&replayed["first"], &replayed["last"]), (&12_001.into(), &18_000.into()));
    assert_eq!((&replayed["snapshot"], &replayed["identical"]), (&12_000.into(), &true.into()));
    let state = |journal: &Path| pawl(&["state", text(journal), "--at", "16000", "--json"]).expect(0).stdout;
    assert_eq!(state(&file), state(&journal));
    let steps = |journal: &Path| {
        pawl(&["tail", text(journal), "--from", "12001", "--until", "18000", "--json"]).expect(0).stdout
    };
    assert!(steps(&file) == steps(&journal));
    here(&["verify"]).expect(0);
    let same = here(&["diff", text(&file)]).expect(0).stdout;
    assert!(same.contains(" steps, ") && !same.contains("runs"), "no run begins in it: {same}");
    here(&["state", "--at", "18001"]).expect(2).says(&["step 18001"]);

    // Another build: the same program, and one byte that it never reads.
    let other = scratch.path().join("pawl");
    let mut program = std::fs::read(binary()).expect("the program");
    program.push(0);
    std::fs::write(&other, program).expect("written");
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let there =
        |words: &[&str]| pawl_in(&temporary, &other, &[&[words[0], text(&file)], &words[1..]].concat());
    let says = ["step 12001", "only the build which took it reads", "without --from"];
    there(&["replay"]).expect(2).says(&says);
    there(&["state"]).expect(2).says(&says);
    there(&["tail", "--until", "12010", "--json"]).expect(0);
    let whole = scratch.path().join("whole.pawl");
    pawl_in(&temporary, &other, &["replay", text(&whole)]).expect(0);
}

#[test]
fn a_pruned_journal_is_bundled_from_a_snapshot_or_not_at_all() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let bare = scratch.path().join("bare");
    copy_dir(&journal, &bare);
    let file = scratch.path().join("b.pawl");
    let prune = |journal: &Path, more: &[&str]| {
        pawl(&[&["prune", text(journal), "--apply", "--json"], more].concat()).expect(0).json()
    };
    assert!(prune(&bare, &["--larger-than", "3MiB", "--without-snapshot"])["first_after"].as_u64() > Some(1));
    pawl(&["bundle", text(&bare), "--out", text(&file)]).expect(2).says(&["no verified snapshot"]);
    assert!(!file.exists());
    pawl(&["snapshot", text(&journal), "--at", "15000"]).expect(0);
    assert!(prune(&journal, &["--to-snapshot"])["first_after"].as_u64() > Some(1));
    let told = bundled(&journal, &file, &[])["manifest"].clone();
    assert_eq!(told["replay_from"], 15_001);
    let replayed = pawl(&["replay", text(&file), "--json"]).expect(0).json();
    assert_eq!((&replayed["identical"], &replayed["snapshot"]), (&true.into(), &15_000.into()));
    assert_eq!(replayed["output_hash"].as_str().map(str::len), Some(16));
}

#[test]
fn a_journal_that_is_being_written_is_bundled_up_to_what_is_committed() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let mut child = start_day(&journal, "fused", "2000");
    wait_for_steps(&journal, 20_000);
    let file = scratch.path().join("live.pawl");
    let told = bundled(&journal, &file, &[])["manifest"].clone();
    child.kill().expect("killed");
    child.wait().expect("gone");
    let last = told["last_step"].as_u64().expect("a step");
    assert!(last >= 20_000, "{told}");
    let replayed = pawl(&["replay", text(&file), "--json"]).expect(0).json();
    assert_eq!((&replayed["last"], &replayed["identical"]), (&last.into(), &true.into()));
}

#[test]
fn what_is_no_whole_bundle_is_refused_by_every_command_that_reads_one() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let file = scratch.path().join("b.pawl");
    bundled(&journal, &file, &[]);
    let whole = std::fs::read(&file).expect("a file");
    let wrong = scratch.path().join("wrong.pawl");
    let temporary = scratch.path().join("tmp");
    let tried = |bytes: &[u8], words: &[&str], says: &[&str]| {
        std::fs::write(&wrong, bytes).expect("written");
        let arguments = [&[words[0], text(&wrong)], &words[1..]].concat();
        pawl_in(&temporary, binary(), &arguments).expect(2).says(says);
    };
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let (other, out) = (text(&journal).to_owned(), scratch.path().join("out"));
    for words in [
        &["replay"][..],
        &["state"],
        &["chain", "1"],
        &["diff", &other],
        &["whatif"],
        &["tail"],
        &["verify"],
        &["report"],
        &["slowest"],
        &["export", "--out", text(&out)],
        &["bundle", "--out", text(&out)],
    ] {
        tried(&flipped, words, &["damaged", "not those that were written"]);
    }
    tried(&whole[..whole.len() - 1], &["replay"], &["cut short"]);
    tried(&whole[..1_000], &["replay"], &["cut short"]);
    tried(b"", &["replay"], &["neither a journal"]);
    tried(b"a,b\n1,2\n", &["replay"], &["neither a journal", "pawl bundle"]);
    assert!(!out.exists());
}

#[test]
fn nonsense_is_refused_and_leaves_no_file() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let file = scratch.path().join("b.pawl");
    let refused = |more: &[&str], says: &[&str]| {
        pawl(&[&["bundle", text(&journal), "--out", text(&file)], more].concat()).expect(2).says(says);
        let left = std::fs::read_dir(scratch.path()).expect("listed").count();
        assert_eq!(left, 1, "{more:?}");
    };
    refused(&["--from", "7", "--until", "3"], &["--from 7 lies behind --until 3"]);
    refused(&["--from", "0"], &["step 0 is not in the journal"]);
    refused(&["--until", "999999999"], &["step 999999999 is not in the journal"]);
    refused(&["--models", "x", "--without-models"], &["cannot be used with"]);
    let nowhere = scratch.path().join("nowhere");
    pawl(&["bundle", text(&nowhere), "--out", text(&file)]).expect(2).says(&["no journal"]);
    pawl(&["bundle", text(&journal), "--out", text(&nowhere.join("b.pawl"))])
        .expect(2)
        .says(&["no directory"]);
    pawl(&["bundle", text(&journal), "--out", text(scratch.path())]).expect(2).says(&["is a directory"]);
    std::fs::write(&file, "mine").expect("written");
    pawl(&["bundle", text(&journal), "--out", text(&file)]).expect(2).says(&["there already", "--replace"]);
    assert_eq!(std::fs::read_to_string(&file).expect("kept"), "mine");
    let mine = ["bundle", text(&journal), "--out", text(&file), "--replace"];
    pawl(&mine).expect(2).says(&["not a bundle", "another file"]);
    assert_eq!(std::fs::read_to_string(&file).expect("kept"), "mine");
    std::fs::remove_file(&file).expect("removed");
    bundled(&journal, &file, &[]);
    bundled(&journal, &file, &["--replace"]);
    pawl(&["tail", text(&file), "--cursor", "desk"]).expect(2).says(&["--cursor"]);
}

#[test]
fn nothing_is_written_into_a_journal_nor_over_what_is_no_file() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let names = || {
        let mut names: Vec<_> = std::fs::read_dir(&journal).expect("listed").flatten().collect();
        names.sort_by_key(std::fs::DirEntry::file_name);
        names.iter().map(|it| (it.file_name(), it.metadata().expect("there").len())).collect::<Vec<_>>()
    };
    let before = names();
    let link = scratch.path().join("link");
    std::os::unix::fs::symlink(&journal, &link).expect("linked");
    let segment = "00000000000000000001.pawl";
    let path = text(&journal);
    for place in [journal.join(segment), journal.join("new"), link.join(segment), link.join("new")] {
        let place = text(&place);
        for words in [
            &["bundle", path, "--replace", "--out", place][..],
            &["report", path, "--html", place],
            &["report", path, "--returns", place],
            &["whatif", path, "--out", place],
            &["export", path, "--out", place],
            &["export", path, "--replace", "--out", place],
            &["sweep", "--feed", "x", "--symbol", "X", "--grid", "risk.max_position=1", "--out", place],
        ] {
            pawl(words).expect(2).says(&[place, "lies in the journal", "outside"]);
        }
    }
    let deep = journal.join("snapshots/deep/x");
    pawl(&["export", path, "--out", text(&deep)]).expect(2).says(&["lies in the journal"]);
    assert_eq!(names(), before);

    let null = scratch.path().join("null");
    std::os::unix::fs::symlink("/dev/null", &null).expect("linked");
    pawl(&["bundle", path, "--replace", "--out", text(&null)]).expect(2).says(&["no regular file"]);
    pawl(&["report", path, "--html", text(&null)]).expect(2).says(&["no regular file"]);
    assert!(null.is_symlink());
}

#[test]
fn of_two_bundles_to_one_file_one_is_whole_and_the_other_is_refused() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let file = scratch.path().join("b.pawl");
    let words = ["bundle", text(&journal), "--out", text(&file)];
    let [first, second] = at_once([&words, &words]);
    let refused = if first.code == 0 { second } else { first };
    refused.expect(2).says(&[text(&file), "name another file"]);
    pawl(&["replay", text(&file)]).expect(0);
    assert_eq!(std::fs::read_dir(scratch.path()).expect("listed").count(), 2);
}

/// Tries until the signal comes in time: the command may be quicker.
fn stopped(words: &[&str], has_begun: impl Fn() -> bool, again: impl Fn()) {
    for _ in 0..100 {
        let finished = interrupted(words, &has_begun);
        if finished.code == 130 {
            finished.says(&["stopped"]);
            return;
        }
        assert!([0, 1].contains(&finished.code), "{finished:?}");
        again();
    }
    panic!("{words:?} is never stopped");
}

#[test]
fn what_a_signal_stops_leaves_nothing_behind() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let into = scratch.path().join("into");
    std::fs::create_dir(&into).expect("made");
    let count = |directory: &Path| std::fs::read_dir(directory).map_or(0, Iterator::count);
    let path = text(&journal);
    let (file, out) = (into.join("b.pawl"), into.join("out"));
    stopped(
        &["bundle", path, "--out", text(&file)],
        || count(&into) > 0,
        || std::fs::remove_file(&file).expect("whole"),
    );
    assert_eq!(count(&into), 0);
    let whatif = ["whatif", path, "--set", "risk.max_position=2", "--out", text(&out)];
    let again = || std::fs::remove_dir_all(&out).expect("whole");
    stopped(&whatif, || count(&out) > 1, again);
    assert_eq!(count(&into), 0);
    std::fs::create_dir(&out).expect("made");
    stopped(&whatif, || count(&out) > 1, again);
    assert_eq!(count(&out), 0, "a directory that was there stays");
    let snapshots = journal.join("snapshots");
    let is_written = || {
        let mut all = std::fs::read_dir(&snapshots).into_iter().flatten().flatten();
        all.any(|it| it.path().extension().is_some_and(|it| it == "snapshot"))
    };
    stopped(&["snapshot", path], is_written, || std::fs::remove_dir_all(&snapshots).expect("whole"));
    assert_eq!(count(&snapshots), 0);
}
