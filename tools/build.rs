//! Tells the command which compiler built it: a benchmark prints it with its numbers.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=PAWL_COMMIT");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    if let Ok(output) = Command::new(rustc).arg("--version").output()
        && let Ok(version) = String::from_utf8(output.stdout)
        && output.status.success()
    {
        println!("cargo:rustc-env=PAWL_RUSTC={}", version.trim());
    }
}
