//! Tidiness: the house rules that a machine can check.

use std::path::{Path, PathBuf};

use crate::support::root;

/// Every file of the repository with this ending, build outputs left out.
fn files(ending: &str) -> Vec<PathBuf> {
    fn walk(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).expect("readable").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" {
                    walk(&path, ending, found);
                }
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), ending, &mut found);
    found
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("UTF-8")
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).expect("below the root").display().to_string()
}

#[test]
fn every_file_says_what_it_is_and_is_one_thing() {
    let sources = files(".rs");
    assert!(sources.len() > 50, "the walk finds the sources");
    for path in sources {
        let source = text(&path);
        assert!(source.starts_with("//! "), "{} opens with its purpose", relative(&path));
        let code = source.split("#[cfg(test)]").next().unwrap_or("").lines().count();
        let is_test = ["tests/", "tests.rs", "/twin.rs"].iter().any(|part| relative(&path).contains(part));
        assert!(
            code <= 500 || is_test,
            "{} has {code} lines before its tests: is it two things?",
            relative(&path)
        );
    }
}

#[test]
fn unsafe_is_fenced_and_argued() {
    // Spelled in two parts so that this file does not find itself.
    let word = concat!("unsa", "fe");
    let fenced = ["journal/src/log/region.rs"];
    for path in files(".rs") {
        let name = relative(&path);
        let source = text(&path);
        let uses = [" {", " fn", " impl"].iter().any(|behind| source.contains(&format!("{word}{behind}")));
        if uses {
            let is_fenced = fenced.contains(&name.as_str()) || name == "tests/it/allocation.rs";
            assert!(is_fenced, "{name} is not a fenced file");
        }
    }
    for file in fenced {
        let source = text(&root().join(file));
        let blocks = source.matches(&format!("{word} {{")).count();
        assert!(source.matches("// SAFETY").count() >= blocks, "every block of {file} is argued");
    }
}

#[test]
fn every_outside_crate_that_shapes_the_design_is_named_in_one_file() {
    // Measured by itself, beside the ring that is built on it.
    let compares = "tools/src/command/bench/ring/hop.rs";
    for (name, home) in [
        ("disruptor", "engine/src/runtime/ring.rs"),
        ("quanta", "engine/src/runtime/clock.rs"),
        ("hdrhistogram", "engine/src/runtime/latency.rs"),
        ("memmap2", "journal/src/log/region.rs"),
        ("zerocopy", "journal/src/record/codec.rs"),
        ("ort", "engine/src/inference/ort.rs"),
        ("prost", "engine/src/inference/onnx.rs"),
        ("httparse", "adapters/src/metrics/server.rs"),
        ("crossterm", "tools/src/command/top/screen.rs"),
    ] {
        for path in files(".rs") {
            let source = text(&path);
            let path_start = format!("{name}::");
            let names_it = |line: &str| {
                line.match_indices(&path_start).any(|(at, _)| {
                    !line[..at]
                        .ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':')
                })
            };
            let used = source.lines().filter(|line| !line.trim_start().starts_with("//")).any(names_it);
            assert!(
                !used
                    || relative(&path) == home
                    || (name, relative(&path).as_str()) == ("disruptor", compares),
                "{name} is named in {}, not only in {home}",
                relative(&path)
            );
        }
    }
}

#[test]
fn stages_know_no_runtime_and_the_journal_knows_no_engine() {
    for path in files(".rs") {
        let (name, source) = (relative(&path), text(&path));
        let stage = ["feature", "inference", "risk", "order"]
            .iter()
            .any(|it| name.starts_with(&format!("engine/src/{it}")));
        if stage {
            assert!(!source.contains("crate::runtime"), "{name} knows the runtime");
        }
        if name.starts_with("journal/") {
            assert!(!source.contains("pawl_engine"), "{name} knows the engine");
        }
        if name.starts_with("engine/") {
            assert!(!source.contains("pawl_adapters"), "{name} knows the adapters");
        }
    }
}

#[test]
fn manifests_share_versions_and_lints() {
    for path in files("Cargo.toml").into_iter().filter(|path| path.parent() != Some(root().as_path())) {
        let manifest = text(&path);
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} shares the lints", relative(&path));
        assert!(manifest.contains("version.workspace = true"), "{} shares the version", relative(&path));
        let mut section = "";
        for line in manifest.lines() {
            section = if line.starts_with('[') { line } else { section };
            let own =
                section.ends_with("dependencies]") && (line.contains(" = \"") || line.contains("version = "));
            assert!(!own, "{}: `{line}` has a version of its own", relative(&path));
        }
    }
    assert!(root().join("Cargo.lock").is_file());
    assert!(!root().join("rust-toolchain.toml").exists() && !root().join("rust-toolchain").exists());
}
