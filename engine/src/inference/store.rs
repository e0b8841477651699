//! `Models`: where a configured model's files come from.
//!
//! ```text
//! "models/precise"    a directory, relative to the base (the configuration's folder)
//! "builtin:precise"   compiled into the program
//! "sha256:9f86d0.."   as a journal names it: a built-in model, or one in a folder of the base, with this hash
//! ```

use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::error::InferenceError;
use super::manifest::{MANIFEST_BYTES_MAX, is_hex};

/// Most bytes of a model file.
pub const MODEL_BYTES_MAX: u64 = 64 << 20;

/// In front of the hash by which a journal names a model.
pub(super) const HASH_PREFIX: &str = "sha256:";

const BUILTIN_PREFIX: &str = "builtin:";

/// A model compiled into the program.
#[derive(Debug, Clone, Copy)]
pub struct BuiltinModel {
    /// Its name, for `builtin:NAME`.
    pub name: &'static str,
    /// Its `model.onnx`.
    pub model: &'static [u8],
    /// Its `manifest.json`.
    pub manifest: &'static [u8],
}

/// Where models come from.
#[derive(Debug, Clone)]
pub struct Models {
    base: PathBuf,
    builtin: Vec<BuiltinModel>,
}

/// The two files of a model.
#[derive(Debug)]
pub struct ModelFiles {
    /// The directory, for messages.
    pub directory: String,
    /// Its `manifest.json`.
    pub manifest: Vec<u8>,
    /// Its `model.onnx`.
    pub model: Vec<u8>,
}

impl Models {
    /// Models of directories; a relative one starts at `base`, usually the folder of the configuration file.
    #[must_use]
    pub fn new(base: impl Into<PathBuf>) -> Self {
        Self { base: base.into(), builtin: Vec::new() }
    }

    /// Adds models that are compiled into the program.
    #[must_use]
    pub fn with_builtin(mut self, models: &[BuiltinModel]) -> Self {
        self.builtin.extend_from_slice(models);
        self
    }

    /// The files of the model that an agent refers to.
    ///
    /// # Errors
    /// [`InferenceError`] if there is none, or it cannot be read.
    pub fn open(&self, agent: &str, reference: &str) -> Result<ModelFiles, InferenceError> {
        if let Some(hash) = reference.strip_prefix(HASH_PREFIX) {
            return self.open_hash(agent, reference, hash);
        }
        if let Some(name) = reference.strip_prefix(BUILTIN_PREFIX) {
            return self.builtin.iter().find(|model| model.name == name).map(BuiltinModel::files).ok_or_else(
                || {
                    let names: Vec<_> = self.builtin.iter().map(|model| model.name).collect();
                    InferenceError::NotFound {
                        agent: agent.to_owned(),
                        reference: reference.to_owned(),
                        searched: format!("the built-in models ({})", names.join(", ")),
                        way_out: "name one of these or give a directory",
                    }
                },
            );
        }
        let directory = self.base.join(reference);
        Ok(ModelFiles {
            manifest: read(agent, &directory.join("manifest.json"), MANIFEST_BYTES_MAX)?,
            model: read(agent, &directory.join("model.onnx"), MODEL_BYTES_MAX)?,
            directory: directory.display().to_string(),
        })
    }

    fn open_hash(&self, agent: &str, reference: &str, hash: &str) -> Result<ModelFiles, InferenceError> {
        if is_hex(hash, 64) {
            if let Some(model) = self.builtin.iter().find(|model| sha256(model.model) == hash) {
                return Ok(model.files());
            }
            let mut folders: Vec<PathBuf> = std::fs::read_dir(&self.base)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .collect();
            folders.push(self.base.clone());
            folders.sort();
            for folder in folders.iter().filter(|folder| folder.join("manifest.json").is_file()) {
                let path = folder.to_string_lossy();
                // A folder that cannot be read is not the one that is looked for.
                if let Ok(files) = Self::new("").open(agent, &path)
                    && sha256(&files.model) == hash
                {
                    return Ok(files);
                }
            }
        }
        Err(InferenceError::NotFound {
            agent: agent.to_owned(),
            reference: reference.to_owned(),
            searched: format!("the built-in models and the folders of {}", self.base.display()),
            way_out: "name the folder that holds the model's directory; a replay without recomputation needs no model",
        })
    }
}

impl BuiltinModel {
    fn files(&self) -> ModelFiles {
        ModelFiles {
            directory: format!("{BUILTIN_PREFIX}{}", self.name),
            manifest: self.manifest.to_vec(),
            model: self.model.to_vec(),
        }
    }
}

/// The SHA-256 of some bytes, 64 lower-case hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}

fn read(agent: &str, path: &Path, bytes_max: u64) -> Result<Vec<u8>, InferenceError> {
    let unreadable = |source| InferenceError::Unreadable {
        agent: agent.to_owned(),
        path: path.display().to_string(),
        source,
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > bytes_max {
        return Err(InferenceError::Size {
            agent: agent.to_owned(),
            path: path.display().to_string(),
            bytes: std::fs::metadata(path).map_or(bytes.len() as u64, |metadata| metadata.len()),
            bytes_max,
        });
    }
    Ok(bytes)
}
