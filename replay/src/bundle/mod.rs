//! Bundles: a part of a journal in one file, with all that a replay of it needs elsewhere.
//!
//! ```text
//!  | zstd( tar( manifest.json  environment.json  journal/..  models/..  settings.json ) ) | end: 40 bytes |
//!                   `-- path, size and SHA-256 of every file behind it                      `-- SHA-256 of all before
//! ```
//!
//! The end is a skippable frame of zstd, so `tar --zstd -xf` unpacks a bundle too. The settings and the environment are
//! those that the journal holds, for people; a replay takes them from the journal.
//!
//! Invariants: the same part of the same journal gives the same bytes; nothing of a bundle is used before all of it is
//! known to be what was written; nothing is written outside the directory it is unpacked in.

mod error;
mod manifest;
mod pack;
#[cfg(test)]
mod tests;
mod unpack;

pub use error::BundleError;
pub use manifest::{FileTold, Manifest, SnapshotTold};
pub use pack::{PackOptions, pack};
pub use unpack::{JOURNAL, MODELS, check_journal, is_bundle, unpack};

/// What a bundle ends with: magic number and length of a skippable frame, then a SHA-256 (RFC 8878, 3.1.2).
const END_HEAD: [u8; 8] = [0x50, 0x2a, 0x4d, 0x18, 32, 0, 0, 0];
const END_BYTES: u64 = 40;

/// The digits of a hash.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
