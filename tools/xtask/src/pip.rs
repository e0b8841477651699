//! Packages for the tests from the Python package index, each in a folder of its own version.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The interpreter.
pub(crate) const PYTHON: &str = if cfg!(windows) { "python" } else { "python3" };

/// Installs one package beside the folder and moves it in place when it is whole. `way_out` says what to do when
/// that fails.
pub(crate) fn install(package: &str, folder: &Path, way_out: &str) -> Result<()> {
    let partial = folder.with_file_name("partial");
    let _ = std::fs::remove_dir_all(&partial);
    eprintln!("xtask: {PYTHON} -m pip install --no-deps --target {} {package}", partial.display());
    let status = Command::new(PYTHON)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"])
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .arg(&partial)
        .arg(package)
        .status();
    match status {
        Err(error) => bail!("cannot run {PYTHON} ({error}): {way_out}"),
        Ok(status) if !status.success() => {
            bail!("`{PYTHON} -m pip install {package}` failed ({status}; its own words are above): {way_out}")
        }
        Ok(_) => {}
    }
    let _ = std::fs::remove_dir_all(folder);
    std::fs::rename(&partial, folder)
        .with_context(|| format!("cannot move {} to {}", partial.display(), folder.display()))
}
