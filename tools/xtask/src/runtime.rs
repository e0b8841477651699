//! ONNX Runtime for the tests: the library inside the Python package `onnxruntime`, fetched with pip.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::pip::install;

/// Environment variable that names the library; read by the engine.
pub(crate) const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// The version the tests were last seen to pass with.
const VERSION: &str = "1.31.1";

/// The library: the one that is set, or the one in the target folder, fetched if it is not there.
pub(crate) fn library(target: &Path) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(LIBRARY_VARIABLE).filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        if !path.is_file() {
            bail!("{LIBRARY_VARIABLE} is set to {}, where no file is: correct or unset it", path.display());
        }
        return Ok(path);
    }
    let folder = target.join("onnxruntime").join(VERSION);
    if let Some(path) = find(&folder) {
        return Ok(path);
    }
    let way_out = format!(
        "install Python 3 with pip, or get the library of ONNX Runtime {VERSION} yourself and set {LIBRARY_VARIABLE} \
         to its path"
    );
    install(&format!("onnxruntime=={VERSION}"), &folder, &way_out)?;
    find(&folder).with_context(|| {
        format!(
            "pip installed onnxruntime {VERSION} into {}, but there is no library in it: remove that folder and try \
             again, or set {LIBRARY_VARIABLE}",
            folder.display()
        )
    })
}

/// The library inside an installed package.
fn find(folder: &Path) -> Option<PathBuf> {
    let is_library = |name: &str| {
        let stem = if cfg!(windows) { "onnxruntime.dll" } else { "libonnxruntime." };
        name.starts_with(stem) && !name.contains("providers")
    };
    let files = std::fs::read_dir(folder.join("onnxruntime").join("capi")).ok()?;
    let mut found: Vec<PathBuf> = files
        .flatten()
        .filter(|file| file.file_name().to_str().is_some_and(is_library))
        .map(|file| file.path())
        .collect();
    found.sort();
    found.pop()
}
