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
    /// What was named as a journal's directory is none.
    #[error("{} is not a journal, it is no directory: give the directory that holds the journal's .pawl files", path.display())]
    NotADirectory {
        /// What was named.
        path: PathBuf,
    },
    /// Something else than a file, or than a folder, has a name that only one of the journal's own may have.
    #[error("{} is not {wanted} but {found}: move it away, and put the journal's own back if it had one", path.display())]
    WrongKind {
        /// The name.
        path: PathBuf,
        /// What must be there.
        wanted: &'static str,
        /// What is.
        found: &'static str,
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
    #[error("{} is damaged {}: {what}; `pawl verify` lists all damage, `pawl repair` says what can be kept", file.display(), place(*offset, *sequence))]
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
    /// The first segments are gone, and nothing says that they were pruned: nobody has accepted that the journal begins
    /// behind them.
    #[error("repairing the journal in {} lets it begin at step {first_sequence}, for the segments before it are not there: accept that, or put them back (or the right pruned.json)", dir.display())]
    StartGone {
        /// The journal's directory.
        dir: PathBuf,
        /// First sequence that is there.
        first_sequence: Sequence,
    },
    /// The repair would give up steps, and nobody has accepted that.
    #[error("repairing the journal in {} gives up every step from {first} on: accept that loss, or restore the damaged files from a copy", dir.display())]
    LossNotAccepted {
        /// The journal's directory.
        dir: PathBuf,
        /// The first step that would be given up.
        first: Sequence,
    },
    /// Somebody else has changed the journal between the plan of a repair and the repair.
    #[error("the journal in {} was changed while its repair was planned: begin the repair again", dir.display())]
    PlanOutdated {
        /// The journal's directory.
        dir: PathBuf,
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
    #[error("journal.segment_bytes = {segment_bytes} must be a multiple of 4096 from 1 MiB to 4 GiB")]
    SegmentBytes {
        /// The size asked for.
        segment_bytes: u64,
    },
    /// The text names no durability mode.
    #[error("durability `{text}` is none of: page-cache, async:50ms (1ms to 60s, in ms or s), gated")]
    Durability {
        /// The text.
        text: String,
    },
    /// Bytes of the journal could not be made durable. That is final: what the system kept of them is not known,
    /// so nothing more is released in this run.
    #[error("the journal in {} could not be made durable ({what}); steps up to {durable} are: check the disk, then start again", dir.display())]
    SyncFailed {
        /// The journal's directory.
        dir: PathBuf,
        /// The last step that is known to be durable.
        durable: Sequence,
        /// What failed and what the system said.
        what: String,
    },
    /// No cursor has such a name.
    #[error("`{name}` is no name of a cursor: use 1 to 64 of a-z, 0-9, _ and -")]
    CursorName {
        /// The name that was given.
        name: String,
    },
    /// There is no cursor of this name.
    #[error("there is no cursor `{name}` in {}: `pawl cursor list` shows those that are", dir.display())]
    NoCursor {
        /// The name that was given.
        name: String,
        /// The journal's directory.
        dir: PathBuf,
    },
    /// A cursor's place cannot be told, or the journal does not hold it.
    #[error("the cursor in {} cannot be used, it {what}: {}", file.display(), way_out(file, *what))]
    CursorUnusable {
        /// The cursor's file.
        file: PathBuf,
        /// What is wrong.
        what: CursorDamage,
    },
    /// A new cursor was to begin where the journal has not come to.
    #[error("the cursor `{name}` cannot begin at step {asked}: the journal ends with step {last}")]
    CursorBegin {
        /// Its name.
        name: String,
        /// Where it was to begin.
        asked: Sequence,
        /// The journal's last step.
        last: Sequence,
    },
    /// A cursor goes only forward.
    #[error("the cursor `{name}` is at step {at} and cannot go back to {asked}: remove it and open it anew")]
    CursorBack {
        /// Its name.
        name: String,
        /// Where it is.
        at: Sequence,
        /// Where it was to go.
        asked: Sequence,
    },
    /// Another process has a cursor, or is changing what is in the folder of the cursors.
    #[error("{} is in use by another process: stop that one, or use another name", path.display())]
    InUse {
        /// The cursor's file, or the folder of the cursors.
        path: PathBuf,
    },
    /// The file that says where a pruned journal begins does not say so.
    #[error("{} is damaged or from another journal: put the right one back, or let `pawl repair` write it anew", file.display())]
    PrunedMarker {
        /// The file.
        file: PathBuf,
    },
    /// What the numbers of a pruned journal mean cannot be told: the copy of the start of its runs cannot be used.
    #[error("{} {what}, and no run begins in what is left of the journal: put the right file back", file.display())]
    RunStart {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The steps that come next for a reader were pruned while it read.
    #[error("step {next} of the journal {} was pruned, it begins at step {first} now: begin there, or keep the steps still to be seen with a cursor", dir.display())]
    Overtaken {
        /// The journal's directory.
        dir: PathBuf,
        /// The step that would come next.
        next: Sequence,
        /// The first step there is.
        first: Sequence,
    },
    /// We may not read here.
    #[error("could not {doing} {} ({source}): have its owner let you read it, or become a user who may", path.display())]
    NotReadable {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
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
            io::ErrorKind::PermissionDenied => Self::NotReadable { doing, path, source },
            _ => Self::Io { doing, path, source },
        }
    }
}

/// A place in a segment, for a message: its sequence is left out where it is not known.
pub(super) fn place(offset: u64, sequence: Sequence) -> String {
    match sequence {
        Sequence(0) => format!("at offset {offset}"),
        known => format!("at offset {offset} (sequence {known})"),
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
    /// There is nothing where there was a step that the journal says was on disk.
    #[error("no step is here, but the journal says that steps up to {durable} were on disk")]
    Durable {
        /// The last step that was on disk.
        durable: u64,
    },
    /// The index beside a segment is not the one of its frames.
    #[error("the index {0}: it may be deleted, nothing needs it")]
    Index(&'static str),
    /// A segment does not have the hash that a later one holds of it.
    #[error("its bytes do not have the hash that a later segment holds of them")]
    Digest,
    /// A segment that another one follows does not end in a seal.
    #[error("the segment does not end in a seal although another one follows")]
    NotSealed,
    /// The steps of a segment that was finished end before its seal.
    #[error("there is nothing here, but the segment was finished with {used_bytes} bytes, as its index says")]
    EndLost {
        /// Bytes that were used, seal included.
        used_bytes: u64,
    },
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
    /// A cursor of the journal cannot be used.
    #[error("the cursor {0}: `pawl cursor remove` forgets it, and until then nothing is pruned")]
    Cursor(CursorDamage),
    /// The steps before the first segment are gone, and the file that would say whether they were pruned is damaged.
    #[error(
        "the journal begins at sequence {first_sequence}, and its pruned.json, which should say why, is damaged"
    )]
    PrunedMarker {
        /// First sequence that is there.
        first_sequence: u64,
    },
    /// The copy of the start of the runs that were pruned, which says what the journal's numbers mean, cannot be used.
    #[error("the start of a run that is kept here for a pruned journal {0}: put the right file back")]
    RunStart(&'static str),
}

/// What is wrong with a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorDamage {
    /// The file is not what was written.
    #[error("is damaged")]
    Bytes,
    /// The file's name is not one of a cursor.
    #[error("has a name that no cursor has")]
    Name,
    /// It was copied from another journal.
    #[error("belongs to another journal")]
    Journal,
    /// The journal does not hold its place any more.
    #[error("is at step {at}, but the journal begins at step {first}: what lies between was pruned")]
    Pruned {
        /// The cursor's place.
        at: u64,
        /// Where the journal begins.
        first: u64,
    },
    /// Other steps have the sequences of steps that it has passed: the journal was cut there, by a recovery or a
    /// repair, and written on.
    #[error("stands behind step {}, but the journal was cut: the steps from {at} on are not those that it has passed", next - 1)]
    Replaced {
        /// The first step that is not the one that it has passed.
        at: u64,
        /// The cursor's place.
        next: u64,
    },
    /// The journal ends before its place: it was cut, by a recovery or a repair, or is an older copy.
    #[error("stands behind step {}, but the journal was cut: it ends with step {last}, or is an older copy", at - 1)]
    Ahead {
        /// The cursor's place.
        at: u64,
        /// The journal's last step.
        last: u64,
    },
}

/// What an operator does about a cursor.
fn way_out(file: &Path, what: CursorDamage) -> String {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let dir = file.parent().and_then(Path::parent).unwrap_or(Path::new("")).display();
    let anew = |step: u64| {
        format!(
            "remove it (`pawl cursor remove {dir} {name}`) and begin anew at step {step} (`--from {step}`)"
        )
    };
    match what {
        CursorDamage::Replaced { at, .. } => anew(at),
        CursorDamage::Ahead { last, .. } => anew(last + 1),
        CursorDamage::Pruned { first, .. } => anew(first),
        CursorDamage::Bytes | CursorDamage::Journal => {
            format!(
                "put the right file back, or remove it (`pawl cursor remove {dir} {name}`) and begin anew"
            )
        }
        CursorDamage::Name => "move it away, it is nobody's place".to_owned(),
    }
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
    /// Part of it never reached the disk.
    #[error("is not all there: it was lost, or the machine died before it was on disk")]
    Torn,
    /// It is whole but contradicts the file it is in.
    #[error("contradicts the file in its {0}")]
    File(&'static str),
    /// It is whole but does not follow the segment before it.
    #[error("does not follow the segment before it: {0}")]
    Chain(&'static str),
}
