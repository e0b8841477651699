//! Documents that show commands are true: the commands of the README run, and the example configuration loads.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::{Finished, binary, btcusd, command, eurusd, pawl, root, scratch, text};

/// The commands of a document's `console` blocks: lines that begin with `$ `.
fn commands(document: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(document)).expect("the document is there");
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside && let Some(command) = line.strip_prefix("$ ") {
            found.push(command.to_owned());
        }
    }
    found
}

/// The words behind `pawl`, however the document starts it; none for other programs.
fn arguments(line: &str) -> Option<Vec<String>> {
    let line = line.split(" | ").next().unwrap_or(line).split(" > ").next().unwrap_or(line);
    let rest = line.strip_prefix("pawl ").or_else(|| line.strip_prefix("cargo run --release -- "))?;
    Some(
        rest.split_whitespace()
            .map(|word| word.replace("../shared/data/EURUSD-2019-02-04.ticks.csv.gz", &eurusd()))
            .collect(),
    )
}

#[test]
fn the_commands_of_the_readme_run_in_their_order() {
    let scratch = scratch();
    let lines = commands("README.md");
    let ran: Vec<&String> = lines
        .iter()
        .filter(|line| {
            let Some(words) = arguments(line) else { return false };
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let output = command(binary(), &words).current_dir(scratch.path()).output().expect("pawl runs");
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
            true
        })
        .collect();
    assert!(ran.len() >= 8, "the tour has its commands: {lines:?}");
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the README");
    for journal in ["pawl-demo", "J"] {
        let hash = crate::support::output_hash(&scratch.path().join(journal));
        let real = journal != "J" || eurusd().contains("shared");
        assert!(
            !real || readme.contains(&hash),
            "the README shows another output hash than {hash} of {journal}"
        );
    }
    assert!(
        lines.iter().any(|line| line == "cargo run --release -- demo")
            && lines.iter().any(|line| line == "cargo xtask test")
    );
}

#[test]
fn the_example_configuration_loads_and_names_every_key() {
    let printed = |arguments: &[&str]| -> BTreeSet<String> {
        let json = pawl(&[&["run", "--print-config", "--json"][..], arguments].concat()).expect(0).json();
        let rows = json["config"].as_array().expect("rows").clone();
        rows.iter().map(|row| row["key"].as_str().expect("a key").to_owned()).collect()
    };
    let example = root().join("pawl.example.toml");
    let with_example =
        pawl(&["run", "--config", text(&example), "--print-config", "--json"]).expect(0).json();
    let from_file: BTreeSet<String> = with_example["config"]
        .as_array()
        .expect("rows")
        .iter()
        .filter(|row| row["origin"].as_str().is_some_and(|origin| origin.contains("pawl.example.toml")))
        .map(|row| row["key"].as_str().expect("a key").to_owned())
        .collect();
    let listed = |key: &String| {
        !key.starts_with("agent") && !key.starts_with("feed") && !key.starts_with("instrument")
    };
    let missing: Vec<String> =
        printed(&[]).into_iter().filter(listed).filter(|key| !from_file.contains(key)).collect();
    assert!(missing.is_empty(), "the example does not show {missing:?}");
}

#[test]
fn every_command_explains_itself_with_examples() {
    let help = pawl(&["--help"]).expect(0).stdout;
    for name in [
        "demo",
        "run",
        "replay",
        "tail",
        "verify",
        "repair",
        "report",
        "state",
        "snapshot",
        "chain",
        "diff",
        "bisect",
        "fingerprint",
        "whatif",
        "sweep",
        "slowest",
        "export",
        "bundle",
        "cursor",
        "prune",
        "ctl",
        "top",
        "doctor",
        "bench",
    ] {
        assert!(help.contains(&format!("  {name}")), "{name}: {help}");
        let own = pawl(&[name, "--help"]).expect(0).stdout;
        assert!(own.contains("Examples:") && own.contains("--json"), "{name}: {own}");
    }
    pawl(&["dance"]).expect(2);
    pawl(&["verify"]).expect(2);
}

#[test]
fn the_doctor_grades_every_check_and_says_what_to_change() {
    let scratch = scratch();
    let doctor =
        pawl(&["doctor", "--journal", text(&scratch.path().join("journal")), "--json"]).expect(0).json();
    let checks = doctor["checks"].as_array().expect("checks");
    assert_eq!(checks.len(), 15, "{doctor}");
    for check in checks {
        assert!(!check["found"].as_str().expect("what was found").is_empty(), "{check}");
        match check["grade"].as_str().expect("a grade") {
            "pass" => assert!(check["advice"].is_null(), "{check}"),
            grade => {
                assert_eq!(grade, "warn", "{check}");
                for part in ["change", "command", "why"] {
                    assert!(!check["advice"][part].as_str().expect("advice").is_empty(), "{check}");
                }
            }
        }
    }
    let refused = pawl(&["doctor", "--journal", "/proc"]).expect(1).stdout;
    assert!(refused.contains("FAIL  file system") && refused.contains("What to change"), "{refused}");
}

#[test]
fn the_doctor_checks_what_a_configuration_needs() {
    let scratch = scratch();
    let config = scratch.path().join("pawl.toml");
    let checked = |text_of_it: &str, code: i32| {
        let journal = format!("[journal]\ndir = \"{}\"\n", text(&scratch.path().join("journal")));
        std::fs::write(&config, format!("{text_of_it}\n{journal}")).expect("written");
        let mut doctor = command(binary(), &["doctor", "--config", text(&config), "--json"]);
        Finished::from(
            doctor.env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so").output().expect("pawl runs"),
        )
        .expect(code)
    };
    let check = |finished: &Finished, name: &str| {
        let checks = finished.json()["checks"].as_array().expect("checks").clone();
        checks.into_iter().find(|check| check["name"] == name).expect("checked")
    };
    let instrument = format!("[[feed]]\nfile = \"{}\"\nsymbol = \"BTCUSD\"\n", btcusd());
    let cores = checked(&format!("runtime.cores = [4000]\n{instrument}"), 1);
    let cores = check(&cores, "cores");
    assert!(cores["advice"]["change"].as_str().expect("advice").contains("no core 4000"), "{cores}");

    let agent = |backend: &str| {
        format!("{instrument}[[agent]]\nname = \"fast\"\nmodel = \"builtin:fast\"\nbackend = \"{backend}\"\n")
    };
    let native = checked(&agent("native"), 0);
    assert_eq!(check(&native, "ONNX Runtime")["found"], "no model needs it");
    let onnx = check(&checked(&agent("onnxruntime"), 1), "ONNX Runtime");
    assert_eq!(
        (&onnx["grade"], &onnx["found"]),
        (&"fail".into(), &"agent fast needs it, and it is not there".into())
    );

    checked("risk.max_positoin = 1", 2).says(&["max_positoin", "pawl.toml"]);
    pawl(&["doctor", "--config", "/nowhere/pawl.toml"]).expect(2).says(&["/nowhere/pawl.toml"]);
}

#[test]
fn documents_name_files_that_exist() {
    for document in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "journal/FORMAT.md", "mql5/README.md"] {
        let text = std::fs::read_to_string(root().join(document))
            .unwrap_or_else(|error| panic!("{document}: {error}"));
        let home = root().join(document).parent().expect("a directory").to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let local = link.split('#').next().unwrap_or("");
            let elsewhere = link.contains("://") || local.is_empty();
            assert!(elsewhere || Path::new(&home).join(local).exists(), "{document} links to {link}");
        }
    }
}
