//! The tasks themselves: each prints the commands it runs and stops at the first that fails.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::instructions;
use crate::numpy::{PATH_VARIABLE, folder};
use crate::runtime::{LIBRARY_VARIABLE, library};

/// Environment variable that names the `pawl` command built in release mode.
const RELEASE_VARIABLE: &str = "PAWL_RELEASE_BIN";

/// Environment variable by which the proof tests know that they are to run at full size.
const SOAK_VARIABLE: &str = "PAWL_SOAK";

/// The whole test suite.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    let (library, numpy) = (library(&target())?, folder(&target())?);
    build_release()?;
    let binary = target().join("release").join(format!("pawl{}", std::env::consts::EXE_SUFFIX));
    let mut command = cargo();
    command.args(["test", "--workspace"]).args(arguments);
    run(command.env(LIBRARY_VARIABLE, library).env(PATH_VARIABLE, numpy).env(RELEASE_VARIABLE, binary))?;
    if arguments.is_empty() { guard() } else { Ok(()) }
}

/// The micro-benchmarks, each once, so that they do not rot; and the instruction counts, which they cannot guard here.
fn guard() -> Result<()> {
    run(cargo().args(["bench", "--package", "pawl-benches", "--", "--test"]))?;
    if !instructions::has_valgrind() {
        eprintln!(
            "xtask: note: the instruction counts were not compared: install valgrind, and run `cargo xtask instructions`"
        );
        return Ok(());
    }
    instructions::run(&root(), &counter(), false)
}

/// Counts the instructions of the hot operations, and compares them with the table or writes it.
pub(crate) fn instructions(accept: bool) -> Result<()> {
    build_release()?;
    instructions::run(&root(), &counter(), accept)
}

/// The command and what counts instructions, in one build: they share everything below.
fn build_release() -> Result<()> {
    let packages =
        ["--package", "pawl", "--package", "pawl-benches", "--bin", "pawl", "--bin", "instructions"];
    run(cargo().args(["build", "--release"]).args(packages))
}

fn counter() -> PathBuf {
    target().join("release").join(format!("instructions{}", std::env::consts::EXE_SUFFIX))
}

/// The proofs at full size, one test at a time, telling its progress, to the last one: every test of the journal, then the
/// engine killed hundreds of times. With arguments the journal's alone: those in front of `--` go to cargo, those behind it
/// to the tests, in place of the ones given here.
pub(crate) fn soak(arguments: &[String]) -> Result<()> {
    const TOLD: [&str; 2] = ["--nocapture", "--test-threads=1"];
    let mut journal = cargo();
    journal.args(["test", "--release", "--package", "pawl-journal", "--no-fail-fast"]).args(arguments);
    if !arguments.iter().any(|argument| argument == "--") {
        journal.arg("--").args(TOLD);
    }
    let began = Instant::now();
    let mut result = run(journal.env(SOAK_VARIABLE, "1"));
    if arguments.is_empty() {
        let mut engine = cargo();
        engine.args(["test", "--release", "--package", "pawl-tests", "--", "killed::"]).args(TOLD);
        result = result.and(run(engine.env(SOAK_VARIABLE, "1")));
    }
    let seconds = began.elapsed().as_secs();
    eprintln!("xtask: soak ended after {} h {} min {} s", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    result
}

/// What a change must pass.
pub(crate) fn ci() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    run(cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    test(&[])
}

/// Gets ONNX Runtime and numpy and prints the variables that say where they are.
pub(crate) fn fetch() -> Result<()> {
    println!("{LIBRARY_VARIABLE}={}", library(&target())?.display());
    println!("{PATH_VARIABLE}={}", folder(&target())?.display());
    Ok(())
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

fn run(command: &mut Command) -> Result<()> {
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={:?} ", name.to_string_lossy(), value?)));
    let words = command.get_args().map(|word| format!(" {}", word.to_string_lossy()));
    let line = format!("{}cargo{}", variables.collect::<String>(), words.collect::<String>());
    eprintln!("xtask: {line}");
    let status = command.status().with_context(|| format!("cannot run `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// The root of the repository.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("this package lies in tools/xtask").to_path_buf()
}

/// The target folder, as cargo takes it: relative to where it runs, which is the root.
fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
