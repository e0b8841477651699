//! What can be wrong with a journal, one variant per thing an operator would do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::record::Sequence;

/// Why a journal could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There is no journal here to read.
    #[error("there is no journal in {}: give the directory that holds its .pawl files", dir.display())]
    NoJournal {
        /// The directory that was named.
        dir: PathBuf,
    },
    /// The directory holds something else; nothing in it was touched.
    #[error("{} is not a journal, it holds {holds:?}: give the directory of a journal, or an empty or new one to begin one in", dir.display())]
    NotAJournal {
        /// The directory that was named.
        dir: PathBuf,
        /// The first thing in it that is not ours.
        holds: String,
    },
    /// Another writer has the journal.
    #[error("the journal {} is being written by another process: stop that one, or use another directory", dir.display())]
    Locked {
        /// The journal's directory.
        dir: PathBuf,
    },
    /// We may not write here.
    #[error("{} is not writable ({source}): fix its owner or permissions, or use another directory", path.display())]
    NotWritable {
        /// What could not be created or written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file system does not give what a journal needs.
    #[error("{} is on {name}, where a mapped journal is not safe: use a directory on ext4, xfs, btrfs, tmpfs or overlayfs", dir.display())]
    UnsupportedFileSystem {
        /// The journal's directory.
        dir: PathBuf,
        /// The file system's name, or its magic number.
        name: String,
    },
    /// A later version wrote it in a way this build does not understand.
    #[error("{} needs {feature}, which this build does not know: read it with the version of pawl that wrote it", file.display())]
    NewerFormat {
        /// The segment.
        file: PathBuf,
        /// What is needed, by name.
        feature: String,
    },
    /// Bytes of the journal are not what was written.
    #[error("{} is damaged at offset {offset} (sequence {sequence}): {what}; `pawl verify` lists all damage", file.display())]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Where in it, in bytes from its start.
        offset: u64,
        /// The sequence expected there; 0 if that cannot be known.
        sequence: Sequence,
        /// What is wrong.
        what: Damage,
    },
    /// There is no room for what comes next, mostly a segment.
    #[error("no room for {wanted_bytes} more bytes in {}: free some space, then start again", dir.display())]
    DiskFull {
        /// The directory.
        dir: PathBuf,
        /// What did not fit has at least this many bytes.
        wanted_bytes: u64,
    },
    /// The options contradict the format.
    #[error("segment_bytes = {segment_bytes} must be a multiple of 4096 from 1 MiB to 4 GiB")]
    SegmentBytes {
        /// The size asked for.
        segment_bytes: u64,
    },
    /// The system refused something else.
    #[error("could not {doing} {} ({source})", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl JournalError {
    /// The error for a failed system call: permission has a variant of its own.
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let dir = path.parent().unwrap_or(&path).to_path_buf();
                Self::DiskFull { dir, wanted_bytes: 4096 }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                if doing.starts_with("create") || doing.starts_with("write") =>
            {
                Self::NotWritable { path, source }
            }
            _ => Self::Io { doing, path, source },
        }
    }
}

/// What is wrong with bytes of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The file ends before its header says.
    #[error("the file has {found} bytes instead of {expected}")]
    Truncated {
        /// Bytes there should be.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The segment's header is not what was written.
    #[error("the segment header {0}")]
    Header(HeaderDamage),
    /// A frame's length cannot be one.
    #[error("a frame of {len} bytes cannot be here")]
    FrameLength {
        /// The length found.
        len: u32,
    },
    /// A frame's bytes do not have its checksum.
    #[error("the frame's checksum is {computed:08x} instead of {stored:08x}")]
    FrameChecksum {
        /// The checksum in the frame.
        stored: u32,
        /// The checksum of its bytes.
        computed: u32,
    },
    /// A whole frame of a kind that this build does not know and that may not be skipped.
    #[error("the frame's kind {kind} is not known")]
    FrameKind {
        /// The kind found.
        kind: u16,
    },
    /// A whole frame has the wrong number.
    #[error("the frame has sequence {found} instead of {expected}")]
    Sequence {
        /// The sequence that comes next.
        expected: u64,
        /// The sequence found.
        found: u64,
    },
    /// A whole frame is earlier than the one before it.
    #[error("the frame's time {found} is before {last}")]
    TimeBack {
        /// Time of the step before, ns since the UNIX epoch.
        last: i64,
        /// Time found.
        found: i64,
    },
    /// The records of a whole frame do not fill it.
    #[error("the records of the step do not fill its frame")]
    Records,
    /// A control frame says something that cannot be.
    #[error("the control frame contradicts the frames before it")]
    Control,
    /// Bytes between two frames, or behind a seal, are not zero.
    #[error("{bytes} bytes that must be zero are not")]
    NotZero {
        /// Length of the range, up to its last byte that is not zero.
        bytes: u64,
    },
    /// A segment that nobody writes has bytes behind its last whole frame: an append that did not end, or damage.
    #[error("{bytes} bytes follow the last whole frame: an append that did not end, or damage")]
    Tail {
        /// Length of the range, up to its last byte that is not zero.
        bytes: u64,
    },
    /// A segment that another one follows does not end in a seal.
    #[error("the segment does not end in a seal although another one follows")]
    NotSealed,
    /// A segment is missing.
    #[error("the segment that begins with sequence {first_sequence} is missing")]
    SegmentMissing {
        /// First sequence of the missing segment.
        first_sequence: u64,
    },
    /// The steps before the first segment are gone.
    #[error("the journal begins at sequence {first_sequence}: the segments before it are missing")]
    StartMissing {
        /// First sequence that is there.
        first_sequence: u64,
    },
}

/// What is wrong with a segment's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderDamage {
    /// It is not there, or not a header at all.
    #[error("is missing")]
    Missing,
    /// Its bytes do not have its checksum.
    #[error("does not have its checksum")]
    Checksum,
    /// It is whole but contradicts the file it is in.
    #[error("contradicts the file in its {0}")]
    File(&'static str),
    /// It is whole but does not follow the segment before it.
    #[error("does not follow the segment before it: {0}")]
    Chain(&'static str),
}
