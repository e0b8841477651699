//! `Manifest`: what a bundle says of itself, the first file in it.

use serde::{Deserialize, Serialize};

/// The format that this build writes, and the latest it reads.
pub(super) const FORMAT: u64 = 1;

/// Where it is in the bundle.
pub(super) const MANIFEST: &str = "manifest.json";

/// Most bytes of it.
pub(super) const MANIFEST_BYTES_MAX: u64 = 16 << 20;

/// Most bytes of any other file: a segment's.
const FILE_BYTES_MAX: u64 = 4 << 30;

/// What a bundle holds, and who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format.
    pub format: u64,
    /// The journal's id, in hexadecimal digits.
    pub journal_id: String,
    /// The first step in it.
    pub first_step: u64,
    /// The last.
    pub last_step: u64,
    /// The first step that can be replayed.
    pub replay_from: u64,
    /// The build that wrote the journal, and the hash that identifies it.
    pub build: String,
    /// 16 hexadecimal digits.
    pub build_hash: String,
    /// The build that made the bundle.
    pub bundled_by: String,
    /// System and processor that it was made on.
    pub platform: String,
    /// The snapshot that a replay begins behind; none if it begins with the journal.
    pub snapshot: Option<SnapshotTold>,
    /// Every other file, in the order of the bundle.
    pub files: Vec<FileTold>,
}

/// The snapshot in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotTold {
    /// The last step it covers.
    pub step: u64,
    /// The only build that reads it.
    pub build: String,
    /// The hash that identifies that build.
    pub build_hash: String,
}

/// A file in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileTold {
    /// Its place in the bundle.
    pub path: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// Their SHA-256, in hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// Bytes of all files together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// What is wrong with the list of files; `None` if nothing is. Only names that a bundle may have pass, each once.
    pub(super) fn problem(&self) -> Option<String> {
        let mut before = "";
        for file in &self.files {
            let path = file.path.as_str();
            if !is_known(path) {
                return Some(format!("it names a file that has no place in a bundle: {path:?}"));
            }
            if path <= before {
                return Some(format!("it names {path:?} twice, or out of order"));
            }
            if file.bytes > FILE_BYTES_MAX {
                return Some(format!("it says that {path:?} has {} bytes", file.bytes));
            }
            before = path;
        }
        None
    }
}

/// Whether a file of a bundle may have this path. There is no other way out of the directory it is unpacked in.
fn is_known(path: &str) -> bool {
    let is_number = |text: &str| text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match path.split('/').collect::<Vec<_>>()[..] {
        ["settings.json" | "environment.json"] => true,
        ["journal", "pruned.json" | "pruned.run_started"] => true,
        ["journal", name] => name.strip_suffix(".pawl").is_some_and(is_number),
        ["journal", "snapshots", name] => {
            name.strip_suffix(".snapshot").or_else(|| name.strip_suffix(".verified")).is_some_and(is_number)
        }
        ["models", hash, "manifest.json" | "model.onnx"] => is_hash(hash),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_files_of_a_bundle_have_a_place_in_it() {
        let segment = "journal/00000000000000000001.pawl";
        for known in [
            segment,
            "journal/snapshots/00000000000000000007.verified",
            "settings.json",
            "journal/pruned.json",
        ] {
            assert!(is_known(known), "{known}");
        }
        for foreign in [
            "",
            "/etc/passwd",
            "../settings.json",
            "journal/../settings.json",
            "journal//00000000000000000001.pawl",
            "./settings.json",
            "journal/1.pawl",
            "journal/0000000000000000000x.pawl",
            "journal/snapshots/../00000000000000000001.pawl",
            "models/../../model.onnx",
            "models/00/model.onnx",
            "journal/LOCK",
            "settings.json/",
            "settings.json\0",
        ] {
            assert!(!is_known(foreign), "{foreign:?}");
        }
    }
}
