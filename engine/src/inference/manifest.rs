//! `Manifest`: what `manifest.json` beside a `model.onnx` says of it.
//!
//! ```json
//! { "name": "precise", "version": "1", "sha256": "9f86d0..", "schema": { "hash": "00c0ffee00c0ffee", "bars": "1m",
//!   "columns": ["mid_return_1"] }, "classes": ["down", "flat", "up"], "threshold": 0.1, "trained": { } }
//! ```
//!
//! The schema is the one the model was trained on; the engine computes the same or refuses to start.

use pawl_journal::record::CLASSES_MAX;
use serde::{Deserialize, Serialize};

use super::agent::Backend;

/// Most bytes of a manifest.
pub const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// What one output of a model means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Meaning {
    /// Probability that the mid falls.
    Down,
    /// Probability that it stays within the band of the label.
    Flat,
    /// Probability that it rises.
    Up,
    /// A score from -1 (surely down) to +1 (surely up); a regression has this one output.
    Score,
}

/// The feature vector that a model was trained on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSchema {
    /// Hash of the engine's schema, 16 hexadecimal digits.
    pub hash: String,
    /// Bar interval, as `features.bars` writes it.
    pub bars: String,
    /// Columns, in order.
    pub columns: Vec<String>,
}

/// What `manifest.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What people call the model.
    pub name: String,
    /// Which of its versions this is.
    pub version: String,
    /// SHA-256 of `model.onnx`, 64 hexadecimal digits.
    pub sha256: String,
    /// What it was trained on.
    pub schema: ModelSchema,
    /// What its outputs mean, in order: `["down", "flat", "up"]`, `["down", "up"]` or `["score"]`.
    pub classes: Vec<Meaning>,
    /// Smallest absolute score that is a vote, 0 to 1, unless the agent sets its own.
    #[serde(default)]
    pub threshold: f32,
    /// Which backend evaluates it, unless the agent sets its own; left out, the native one if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<Backend>,
    /// How it was trained: data, period, parameters, out-of-sample figures. For people.
    #[serde(default)]
    pub trained: serde_json::Value,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        manifest.schema_hash().ok_or("`schema.hash` must be 16 hexadecimal digits")?;
        if !is_hex(&manifest.sha256, 64) {
            return Err("`sha256` must be 64 lower-case hexadecimal digits".to_owned());
        }
        if !(0.0..=1.0).contains(&manifest.threshold) {
            return Err(format!("`threshold` = {} must be between 0 and 1", manifest.threshold));
        }
        let count = |meaning| manifest.classes.iter().filter(|class| **class == meaning).count();
        let classes = count(Meaning::Down) == 1 && count(Meaning::Up) == 1 && count(Meaning::Flat) <= 1;
        let known = match count(Meaning::Score) {
            0 => classes && manifest.classes.len() <= CLASSES_MAX,
            _ => manifest.classes.len() == 1,
        };
        if !known {
            return Err(
                "`classes` must hold \"down\" and \"up\" once and \"flat\" at most once, or be [\"score\"]"
                    .to_owned(),
            );
        }
        Ok(manifest)
    }

    /// The hash of the schema as the engine computes it; `None` if it is malformed.
    #[must_use]
    pub fn schema_hash(&self) -> Option<u64> {
        is_hex(&self.schema.hash, 16).then(|| u64::from_str_radix(&self.schema.hash, 16).ok()).flatten()
    }
}

/// Whether the text is so many lower-case hexadecimal digits.
pub(super) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
