//! The Python reader in `tools/python`: its own tests, against the `pawl` command of this build.

use std::process::Command;

use crate::support::{binary, root};

/// A folder from which Python can import numpy.
const PATH_VARIABLE: &str = "PAWL_PYTHONPATH";

#[test]
fn the_python_reader_gives_what_tail_shows() {
    let numpy = std::env::var_os(PATH_VARIABLE).unwrap_or_else(|| {
        panic!("{PATH_VARIABLE} is not set: run `cargo xtask test`, which fetches numpy and sets it")
    });
    let output = Command::new(if cfg!(windows) { "python" } else { "python3" })
        .args(["-m", "unittest", "discover", "tests"])
        .current_dir(root().join("tools/python"))
        .env("PAWL_BIN", binary())
        .env("PYTHONPATH", numpy)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("Python runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    // A discovery that finds nothing, or a test that skips itself, succeeds too.
    let ran = told.lines().find_map(|line| line.strip_prefix("Ran ")?.split(' ').next()?.parse().ok());
    assert!(ran >= Some(40) && !told.contains("skipped"), "{told}");
}
