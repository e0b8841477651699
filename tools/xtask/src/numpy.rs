//! numpy for the tests of the Python reader, fetched with pip.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::pip::{PYTHON, install};

/// Environment variable that names a folder with numpy in it; read by `tests/it/python.rs`.
pub(crate) const PATH_VARIABLE: &str = "PAWL_PYTHONPATH";

/// The version the tests were last seen to pass with.
const VERSION: &str = "2.4.6";

/// The folder: the one that is set, or the one in the target folder, fetched if numpy cannot be imported from it.
pub(crate) fn folder(target: &Path) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(PATH_VARIABLE).filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        if !is_importable(&path) {
            bail!(
                "{PATH_VARIABLE} is set to {}, from where {PYTHON} cannot import numpy: correct or unset it",
                path.display()
            );
        }
        return Ok(path);
    }
    let folder = target.join("python").join(VERSION);
    if folder.is_dir() && is_importable(&folder) {
        return Ok(folder);
    }
    let way_out = format!(
        "install Python 3.11 or later with pip, or set {PATH_VARIABLE} to a folder from which {PYTHON} can import numpy"
    );
    install(&format!("numpy=={VERSION}"), &folder, &way_out)?;
    if !is_importable(&folder) {
        bail!(
            "pip installed numpy {VERSION} into {}, but {PYTHON} cannot import it: {way_out}",
            folder.display()
        );
    }
    Ok(folder)
}

/// Whether numpy can be imported from a folder: it is compiled for one version of Python.
fn is_importable(folder: &Path) -> bool {
    let status = Command::new(PYTHON)
        .args(["-c", "import numpy"])
        .env("PYTHONPATH", folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
