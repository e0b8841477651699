//! The tasks of this repository: `cargo xtask test`, `soak`, `instructions`, `ci`, `fetch`.
#![forbid(unsafe_code)]

mod instructions;
mod numpy;
mod pip;
mod runtime;
mod tasks;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask TASK

  test [ARGS]   the whole test suite; ARGS go to `cargo test --workspace`
                (`cargo xtask test NAME` runs the tests whose names contain NAME, `-- --nocapture` shows their output)
  soak [ARGS]   the proofs at full size, in release mode, one test at a time, with its output: the journal's, and the engine
                killed hundreds of times; with ARGS the journal's alone, they go to `cargo test -p pawl-journal`
                (`cargo xtask soak NAME` runs the tests whose names contain NAME)
  instructions  counts the instructions of the hot operations under callgrind and compares them with
                benches/record/instructions.toml: fails when one takes over 3 % more; --accept writes the table
  ci            what a change must pass: format, clippy, docs, then test
  fetch         gets ONNX Runtime and numpy, which the tests need, and prints where they are
  help          this text

ONNX Runtime is a shared library that comes inside the Python package `onnxruntime`. It is put into
target/onnxruntime with pip when it is not there yet. To use another one, set ORT_DYLIB_PATH to its path.
numpy, for the tests of the Python reader, is put into target/python likewise; another one is used by setting
PAWL_PYTHONPATH to the folder it is in.
The tests are given ORT_DYLIB_PATH, PAWL_PYTHONPATH and PAWL_RELEASE_BIN (the `pawl` command, built in release mode).
`test` without ARGS runs the micro-benchmarks once and `instructions` behind the suite; where valgrind is not installed it
says so.
`soak` sets PAWL_SOAK=1: a proof test reads it and does its full number of cases instead of the short form.
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    if rest.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--help") {
        return help();
    }
    let result = match (task.as_str(), rest.as_slice()) {
        ("test", arguments) => tasks::test(arguments),
        ("soak", arguments) => tasks::soak(arguments),
        ("instructions", []) => tasks::instructions(false),
        ("instructions", [flag]) if flag == "--accept" => tasks::instructions(true),
        ("instructions", _) => Err(anyhow::anyhow!("`instructions` takes --accept or nothing")),
        ("ci", []) => tasks::ci(),
        ("fetch", []) => tasks::fetch(),
        ("help" | "--help" | "-h", _) => return help(),
        ("", _) => Err(anyhow::anyhow!("which task? `cargo xtask help` lists them")),
        ("ci" | "fetch", _) => Err(anyhow::anyhow!("`{task}` takes no arguments")),
        _ => Err(anyhow::anyhow!("there is no task `{task}`; `cargo xtask help` lists them")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn help() -> ExitCode {
    print!("{HELP}");
    ExitCode::SUCCESS
}
