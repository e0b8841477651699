//! Recovery: what the next writer does with the journal it finds, under the lock, before it writes anything of its own.
//!
//! ```text
//!  headers and their chain > the last but one is sealed (or its roll was interrupted: seal it)
//!    > walk the last one to p, the first frame that is not sane, whole and next
//!    > sealed: nothing to do      > not sealed: copy what follows p to quarantine, clear it, seal at p
//! ```
//!
//! Invariants: every step is either not done or done, and doing it again changes nothing; a committed frame is
//! never touched; nothing that is not zero is cleared before its copy is on disk.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use crate::record::{Sequence, Time};

use super::appender::Recovered;
use super::control::{
    SEAL_SPAN, SEALED_ENDED, SEALED_FAILED, SEALED_RECOVERED, SEALED_ROLLED, Seal, Standing,
};
use super::directory::Directory;
use super::error::{Damage, HeaderDamage, JournalError};
use super::frame::FRAME_ALIGN;
use super::header::{Fields, HEADER_BYTES};
use super::segment::{Segment, read_header};
use super::walk::{Seen, Walk};
use super::writer::SegmentWriter;

/// Where the next writer's turn begins.
#[derive(Debug)]
pub(super) struct Turn {
    /// Next sequence, last time.
    pub(super) standing: Standing,
    pub(super) journal_id: [u8; 16],
    /// The new segment's place in the journal.
    pub(super) index: u64,
    pub(super) epoch: u64,
    pub(super) predecessor_first_sequence: u64,
    pub(super) predecessor_used_bytes: u64,
    /// Reason in the seal of the turn before; 0 if there was none.
    pub(super) predecessor_reason: u16,
    pub(super) quarantined_bytes: u64,
}

impl Turn {
    /// The first turn of a new journal.
    pub(super) fn first(journal_id: [u8; 16]) -> Self {
        Self {
            standing: Standing { next: 1, time: 0 },
            journal_id,
            index: 1,
            epoch: 1,
            predecessor_first_sequence: 0,
            predecessor_used_bytes: 0,
            predecessor_reason: 0,
            quarantined_bytes: 0,
        }
    }

    /// What the appender tells of it.
    pub(super) fn recovered(&self) -> Recovered {
        Recovered {
            last_sequence: Sequence(self.standing.next - 1),
            last_time: Time(self.standing.time),
            quarantined_bytes: self.quarantined_bytes,
            was_clean: matches!(self.predecessor_reason, 0 | SEALED_ENDED | SEALED_FAILED),
        }
    }
}

/// Brings the journal with these segments into order and says where to go on.
pub(super) fn recover(directory: &Directory, segments: &[u64]) -> Result<Turn, JournalError> {
    let (before, last) = check_chain(directory, segments)?;
    if let Some(before) = before {
        check_sealed(directory, &before, &last)?;
    }
    let path = directory.segment_path(last.first_sequence);
    let segment = Segment::open(path, last.first_sequence)?.ok_or_else(|| missing(directory, &last))?;
    let mut walk = Walk::start(&segment);
    let (seal, quarantined_bytes) = match walk_to_end(&segment, &mut walk)? {
        Some(seal) => (seal.reason, 0),
        None => (SEALED_RECOVERED, seal_crashed(directory, segment, &walk)?),
    };
    if seal == SEALED_ROLLED {
        return Err(missing(directory, &Fields { first_sequence: walk.next, ..last }));
    }
    let turn = Turn {
        standing: Standing { next: walk.next, time: walk.time },
        journal_id: last.journal_id,
        index: last.index + 1,
        epoch: last.epoch + 1,
        predecessor_first_sequence: last.first_sequence,
        predecessor_used_bytes: (walk.offset + SEAL_SPAN) as u64,
        predecessor_reason: seal,
        quarantined_bytes,
    };
    if walk.next > last.first_sequence {
        return Ok(turn);
    }
    // The last segment holds no step, and the new one has its name: it takes its place.
    Ok(Turn {
        index: last.index,
        predecessor_first_sequence: last.predecessor_first_sequence,
        predecessor_used_bytes: last.predecessor_used_bytes,
        ..turn
    })
}

/// Whether a header can be the one behind another. `stepless` says that the older segment holds no step and may
/// have been replaced.
pub(super) fn follows(old: &Fields, new: &Fields, stepless: bool) -> Result<(), HeaderDamage> {
    let replaced = stepless && new.first_sequence == old.first_sequence;
    let chained = if replaced {
        new.index == old.index && new.predecessor_first_sequence == old.predecessor_first_sequence
    } else {
        new.index.checked_sub(1) == Some(old.index) && new.predecessor_first_sequence == old.first_sequence
    };
    let checks = [
        (new.journal_id == old.journal_id, "another journal's id"),
        (chained, "not its index"),
        (new.epoch >= old.epoch, "an earlier epoch"),
        (new.base_time >= old.base_time, "an earlier time"),
    ];
    match checks.iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(HeaderDamage::Chain(what)),
        None => Ok(()),
    }
}

/// Reads every header; gives the last two.
fn check_chain(directory: &Directory, segments: &[u64]) -> Result<(Option<Fields>, Fields), JournalError> {
    let mut before = None;
    let mut last: Option<Fields> = None;
    for &first_sequence in segments {
        let path = directory.segment_path(first_sequence);
        let file = File::open(&path).map_err(|error| JournalError::io("open", &path, error))?;
        let (fields, _) = read_header(&file, &path, first_sequence)?;
        if let Some(old) = last.replace(fields) {
            follows(&old, &fields, false).map_err(|what| JournalError::Damaged {
                file: path,
                offset: 0,
                sequence: Sequence(first_sequence),
                what: what.into(),
            })?;
            before = Some(old);
        }
    }
    Ok((before, last.expect("a journal has a segment")))
}

/// Makes sure that the last segment but one ends in a seal where the last one says. A roll that was interrupted has
/// left everything but the seal.
fn check_sealed(directory: &Directory, before: &Fields, last: &Fields) -> Result<(), JournalError> {
    let path = directory.segment_path(before.first_sequence);
    let segment =
        Segment::open(path.clone(), before.first_sequence)?.ok_or_else(|| missing(directory, before))?;
    let used = last.predecessor_used_bytes;
    let sane = (HEADER_BYTES as u64 + SEAL_SPAN as u64..=before.segment_bytes).contains(&used);
    if !sane || !used.is_multiple_of(FRAME_ALIGN as u64) {
        let what = HeaderDamage::Chain("not its length").into();
        return Err(segment.damaged(0, last.first_sequence, what));
    }
    let offset = used as usize - SEAL_SPAN;
    let damaged = |what| segment.damaged(offset, last.first_sequence, what);
    let mut walk = Walk { offset, next: last.first_sequence, time: last.base_time };
    match walk.advance(&segment).map_err(damaged)? {
        Some(Seen::Seal(_)) => Ok(()),
        None if before.epoch == last.epoch => {
            let segment = Segment::reopen(path, before.first_sequence)?;
            let mut writer = SegmentWriter::at(segment, offset);
            writer.seal(Standing { next: walk.next, time: walk.time }, SEALED_ROLLED)?;
            writer.sync()
        }
        _ => Err(damaged(Damage::NotSealed)),
    }
}

/// Walks to the seal, or to the first frame that is not sane, whole and next.
fn walk_to_end(segment: &Segment, walk: &mut Walk) -> Result<Option<Seal>, JournalError> {
    loop {
        match walk.advance(segment) {
            Ok(Some(Seen::Seal(seal))) => return Ok(Some(seal)),
            Ok(Some(_)) => {}
            Err(newer @ Damage::FrameKind { .. }) => {
                return Err(segment.damaged(walk.offset, walk.next, newer));
            }
            Err(damage) if walk.is_sealed_behind(segment) => {
                return Err(segment.damaged(walk.offset, walk.next, damage));
            }
            Ok(None) | Err(_) => return Ok(None),
        }
    }
}

/// Moves what follows the last whole frame to quarantine and seals the segment there. Gives the bytes moved.
fn seal_crashed(directory: &Directory, segment: Segment, walk: &Walk) -> Result<u64, JournalError> {
    let Segment { path, fields, region, .. } = segment;
    let from = walk.offset as u64;
    let to = if region.len().is_multiple_of(8) {
        region.last_nonzero(walk.offset, region.len()).map_or(from, |end| end as u64)
    } else {
        region.len() as u64
    };
    drop(region);
    let failed = |error| JournalError::io("write to", &path, error);
    let file = File::options().read(true).write(true).open(&path).map_err(failed)?;
    let name = format!("{:020}-epoch-{}-offset-{from}.tail", fields.first_sequence, fields.epoch);
    let quarantined = directory.quarantine(&name, &file, from, to - from)?;
    directory.allocate(&file, &path, fields.segment_bytes)?;
    let zeros = [0; 64 * 1024];
    let mut at = from;
    while at < to {
        let len = (to - at).min(zeros.len() as u64);
        file.write_all_at(&zeros[..len as usize], at).map_err(failed)?;
        at += len;
    }
    let mut writer = SegmentWriter::at(Segment::reopen(path, fields.first_sequence)?, walk.offset);
    writer.seal(Standing { next: walk.next, time: walk.time }, SEALED_RECOVERED)?;
    writer.sync()?;
    Ok(quarantined)
}

fn missing(directory: &Directory, fields: &Fields) -> JournalError {
    let first_sequence = fields.first_sequence;
    JournalError::Damaged {
        file: directory.segment_path(first_sequence),
        offset: 0,
        sequence: Sequence(first_sequence),
        what: Damage::SegmentMissing { first_sequence },
    }
}
