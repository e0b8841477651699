//! Builds of the command with one line changed: what `pawl bisect` is for.
//!
//! The sources are copied below the target directory, one line is replaced in the copy, and the command is built there:
//! with the dependencies that are built already (one build directory for all), quick to compile and slow to run. A
//! program whose sources have not changed is built once.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{binary, root};

/// The packages of the workspace that the command is made of.
const PACKAGES: [&str; 5] = ["pawl", "pawl-adapters", "pawl-engine", "pawl-journal", "pawl-replay"];

/// One line of one file, and what is to stand there instead.
#[derive(Debug, Clone, Copy, Hash)]
pub struct Plant {
    /// What the program is called.
    pub name: &'static str,
    /// The file, from the root.
    pub file: &'static str,
    /// The line as it is, without its indent.
    pub line: &'static str,
    /// The line as it is to be.
    pub instead: &'static str,
}

impl Plant {
    /// The file with the line replaced.
    fn in_source(&self, source: &str) -> String {
        let lines = source.lines().filter(|line| line.trim() == self.line).count();
        assert_eq!(
            lines, 1,
            "{} holds `{}` {lines} times: plant {} elsewhere",
            self.file, self.line, self.name
        );
        source.replacen(self.line, self.instead, 1)
    }
}

/// The programs with these lines planted, each alone.
pub fn programs<const N: usize>(plants: [Plant; N]) -> [PathBuf; N] {
    let build_directory = binary().ancestors().nth(2).expect("target/PROFILE/pawl").to_owned();
    let home = build_directory.join("planted");
    let mut sources = BTreeMap::new();
    collect(&root(), Path::new(""), &mut sources);
    plants.map(|plant| {
        let program = home.join(plant.name).join("debug/pawl");
        let stamp = home.join(plant.name).join("built-of");
        let mut hasher = DefaultHasher::new();
        plant.hash(&mut hasher);
        sources.iter().filter(|(path, _)| is_built(path)).for_each(|source| source.hash(&mut hasher));
        let built_of = hasher.finish().to_string();
        if !program.is_file() || fs::read_to_string(&stamp).ok() != Some(built_of.clone()) {
            let copy = home.join("sources");
            remove_others(&copy, &sources);
            for (path, bytes) in &sources {
                write(&copy.join(path), bytes);
            }
            let original = fs::read_to_string(root().join(plant.file)).expect("the file is there");
            write(&copy.join(plant.file), plant.in_source(&original).as_bytes());
            build(&copy, &build_directory, &home.join(plant.name));
            fs::write(&stamp, built_of).expect("written");
        }
        program
    })
}

/// Every file of the repository, by its path from the root.
fn collect(directory: &Path, path: &Path, sources: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(directory).expect("readable").flatten() {
        let name = entry.file_name();
        let (full, path) = (entry.path(), path.join(&name));
        let hidden = name.to_string_lossy().starts_with('.');
        if hidden || name == "target" || full.join("CACHEDIR.TAG").exists() {
            continue;
        }
        if full.is_dir() {
            collect(&full, &path, sources);
        } else if full.is_file() {
            sources.insert(path, fs::read(&full).expect("readable"));
        }
    }
}

/// Whether the command is made of this file. Cargo wants the other packages there too, and reads only their manifests.
fn is_built(path: &Path) -> bool {
    let is_of_another = path.starts_with("tests") || path.starts_with("benches");
    !is_of_another && path.extension().is_none_or(|it| it != "md")
}

/// Removes what an earlier copy held and the repository does not hold any more.
fn remove_others(copy: &Path, sources: &BTreeMap<PathBuf, Vec<u8>>) {
    let mut copied = BTreeMap::new();
    if copy.is_dir() {
        collect(copy, Path::new(""), &mut copied);
    }
    for path in copied.keys().filter(|path| !sources.contains_key(*path)) {
        fs::remove_file(copy.join(path)).expect("removed");
    }
}

/// Writes a file unless it holds this already: cargo goes by the time of the last change.
fn write(path: &Path, bytes: &[u8]) {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return;
    }
    fs::create_dir_all(path.parent().expect("below the target directory")).expect("created");
    fs::write(path, bytes).expect("written");
}

fn build(sources: &Path, build_directory: &Path, target: &Path) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--offline", "--package", "pawl"]).current_dir(sources);
    for package in PACKAGES {
        for setting in ["debug=false", "opt-level=0"] {
            cargo.args(["--config", &format!("profile.dev.package.{package}.{setting}")]);
        }
    }
    cargo.env("CARGO_TARGET_DIR", target).env("CARGO_BUILD_BUILD_DIR", build_directory);
    assert!(
        cargo.status().expect("cargo runs").success(),
        "the command does not build in {}",
        sources.display()
    );
}
