//! What `pawl fingerprint --json` prints and `pawl bisect` reads: the contract between builds, one JSON object a line.
//!
//! ```text
//!  build  fingerprint [field ..]  fingerprint [step] [field ..]  ..  end        step and fields with --whole only
//! ```
//!
//! A build that changes the meaning of a line, or of a hash in it, raises [`PROTOCOL`]. Kinds, fields and paths may come
//! and go without that: they are compared by name.

use std::collections::BTreeMap;

use pawl_engine::state::ListedField;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fingerprint::Fingerprint;

/// The version of the contract.
pub const PROTOCOL: u64 = 1;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    /// Who answers; the first line.
    Build {
        /// [`PROTOCOL`] of the build that answers.
        protocol: u64,
        /// Its name and version.
        build: String,
        /// What tells it from every other program, in hexadecimal.
        build_hash: String,
    },
    /// What it has decided and what it holds after a step.
    Fingerprint(Fingerprint),
    /// The step of the fingerprint before, as it was decided: sequence, time, records.
    Step {
        /// As `pawl tail --format json` prints it.
        step: Value,
    },
    /// A field of what the stages held then.
    Field(ListedField),
    /// The last line.
    End {
        /// Steps run since the first fingerprint.
        steps: u64,
        /// What was decided in them, by kind of record.
        decisions: BTreeMap<String, u64>,
    },
}
