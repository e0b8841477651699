//! The two messages of the control socket, each one line of JSON.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Longest line either side accepts, in bytes.
pub(super) const LINE_BYTES_MAX: u64 = 4_096;

/// Name of the socket in the journal's directory.
pub(super) const SOCKET: &str = "ctl.sock";

/// What an operator asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// `halt`, `resume`, `reduce-only`, `flatten`, `limit` or `status`.
    pub action: String,
    /// Which limit, for `limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// Its new value in its own unit, for `limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
}

/// What the engine answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Reply {
    /// The command is in the journal.
    Done {
        /// The step that holds it.
        sequence: u64,
        /// What the engine may do after it.
        mode: String,
    },
    /// How the engine is.
    Status {
        /// What the engine may do.
        mode: String,
        /// The last step.
        sequence: u64,
        /// Its time, ns since the UNIX epoch.
        time: i64,
        /// Ticks of this run.
        ticks: u64,
        /// How far the feeds are, 0 to 1.
        share: f64,
    },
    /// It was not understood or could not be done.
    Refused {
        /// Why, and what would be right.
        message: String,
    },
}

/// A path to the socket that is short enough for any directory, valid while the returned file is open.
pub(super) fn socket_path(directory: &Path) -> std::io::Result<(File, PathBuf)> {
    let opened = File::open(directory)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd()));
    Ok((opened, path))
}
