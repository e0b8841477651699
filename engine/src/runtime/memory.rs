//! Memory: keeping what the hot threads touch in memory, so that they never wait for a page.
//!
//! ```text
//!  what is there when the run begins   code, libraries, models, windows, tables, stacks     locked, and faulted in by it
//!  what comes later                    the journal's segments, snapshots, summaries         not locked
//! ```
//!
//! Only what is mapped at that moment is locked (`MCL_CURRENT`, not `MCL_FUTURE`). Every segment that the writer, a
//! tailer or the shadow of a run maps later would be locked with the rest otherwise: each counts in full, and again for
//! every reader, against the limit; the mapping that passes it fails, which would end a run in the middle of the day;
//! and whole journals would be held in memory. The pages that the writer comes to next are faulted in by the supplier.

use rustix::io::Errno;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, getrlimit};
use serde::{Deserialize, Serialize};

/// Whether memory is to be locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum LockMemory {
    /// If the system permits it.
    #[default]
    Auto,
    /// It must be.
    Yes,
    /// Not at all.
    No,
}

/// `LockMemory` as configurations have it: `"auto"`, `true` or `false`.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected \"auto\", true or false")]
enum Written {
    Flag(bool),
    Word(String),
}

impl TryFrom<Written> for LockMemory {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written {
            Written::Flag(true) => Ok(Self::Yes),
            Written::Flag(false) => Ok(Self::No),
            Written::Word(word) if word == "auto" => Ok(Self::Auto),
            Written::Word(_) => Err("expected \"auto\", true or false"),
        }
    }
}

impl From<LockMemory> for Written {
    fn from(choice: LockMemory) -> Self {
        match choice {
            LockMemory::Auto => Self::Word("auto".to_owned()),
            LockMemory::Yes => Self::Flag(true),
            LockMemory::No => Self::Flag(false),
        }
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum MemoryLock {
    /// Nobody asked for it.
    NotAsked,
    /// Locked, and faulted in.
    Locked {
        /// How much.
        bytes: u64,
    },
    /// The system does not permit it; nothing is locked.
    Refused {
        /// Why.
        problem: MemoryError,
    },
}

/// Why memory is not locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum MemoryError {
    /// The limit is below what is mapped.
    #[error(
        "the limit of {} KiB (RLIMIT_MEMLOCK) is below the {} KiB that the process has mapped: raise it with `ulimit -l unlimited` \
         (LimitMEMLOCK=infinity in a unit, --ulimit memlock=-1 for a container)",
        limit_bytes >> 10, mapped_bytes >> 10
    )]
    Limit {
        /// The limit.
        limit_bytes: u64,
        /// What is mapped, and would count.
        mapped_bytes: u64,
    },
    /// The system said something else.
    #[error("the system says: {message}")]
    System {
        /// What.
        message: String,
    },
}

/// Locks what is mapped now, and faults it in.
///
/// # Errors
/// [`MemoryError`] if that is not possible and must be; `Auto` takes it as an answer.
pub fn lock_memory(choice: LockMemory) -> Result<MemoryLock, MemoryError> {
    if choice == LockMemory::No {
        return Ok(MemoryLock::NotAsked);
    }
    match mlockall(MlockAllFlags::CURRENT) {
        Ok(()) => Ok(MemoryLock::Locked { bytes: status_bytes("VmLck:") }),
        Err(errno) => {
            let problem = explain(errno);
            if choice == LockMemory::Yes { Err(problem) } else { Ok(MemoryLock::Refused { problem }) }
        }
    }
}

fn explain(errno: Errno) -> MemoryError {
    match getrlimit(Resource::Memlock).current {
        Some(limit_bytes) if matches!(errno, Errno::NOMEM | Errno::PERM | Errno::AGAIN) => {
            MemoryError::Limit { limit_bytes, mapped_bytes: status_bytes("VmSize:") }
        }
        _ => MemoryError::System { message: errno.to_string() },
    }
}

/// A size that the system tells of this process; 0 if it does not.
fn status_bytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_written_as_it_is_read() {
        for (text, choice) in
            [("\"auto\"", LockMemory::Auto), ("true", LockMemory::Yes), ("false", LockMemory::No)]
        {
            assert_eq!(serde_json::from_str::<LockMemory>(text).expect("a choice"), choice);
            assert_eq!(serde_json::to_string(&choice).expect("written"), text);
        }
        for wrong in ["\"yes\"", "1", "[]"] {
            let error = serde_json::from_str::<LockMemory>(wrong).expect_err("none").to_string();
            assert!(error.contains("\"auto\", true or false"), "{error}");
        }
    }

    #[test]
    fn a_refusal_names_both_sizes_and_the_way_out() {
        let error = MemoryError::Limit { limit_bytes: 8 << 20, mapped_bytes: 512 << 20 }.to_string();
        for word in ["8192 KiB", "524288 KiB", "ulimit -l unlimited", "LimitMEMLOCK=infinity"] {
            assert!(error.contains(word), "{error}");
        }
        assert!(status_bytes("VmSize:") > 1 << 20 && status_bytes("VmNothing:") == 0);
        assert_eq!(lock_memory(LockMemory::No), Ok(MemoryLock::NotAsked));
    }
}
