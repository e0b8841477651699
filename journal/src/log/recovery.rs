//! Recovery: what the next writer does with the journal it finds, under the lock, before it writes anything of its own.
//!
//! ```text
//!  spares that the writer had gone on in get their names > headers and their chain
//!    > last segment sealed in order: done, whatever the length of the journal
//!    > walk from the first segment that is not known to be durable to p, the first frame that is not sane, whole
//!      and next; W: the highest durable sequence that any whole frame or header tells
//!    > p <= W: damage, refuse      > else: copy everything behind p to quarantine, clear it, seal at p
//! ```
//!
//! Memory is not believed to be on disk: a sync may have failed before this process began, and the kernel counts pages
//! that it could not write as written. What nothing says was on disk is rewritten as it is, so that the sync behind it
//! writes it.
//!
//! Invariants: every step is either not done or done, and doing it again changes nothing; a committed frame at or
//! below W is never changed; nothing that is not zero is cleared before its copy is on disk; what the next turn begins
//! behind was written by a sync that succeeded.

use crate::record::{Sequence, Time};

use super::appender::Recovered;
use super::control::{SEAL_SPAN, SEALED_ENDED, SEALED_FAILED, SEALED_ROLLED, Seal, Sync};
use super::cut::{bytes_of, copy_spare, end_behind, end_settled, rewrite, seal_at, settle};
use super::directory::{Directory, segment_name, spare_name};
use super::error::{Damage, HeaderDamage, JournalError};
use super::flusher::Finished;
use super::frame::FRAME_ALIGN;
use super::header::{Fields, HEADER_BYTES};
use super::index::{Index, Samples, put_index};
use super::planted::{Bug, planted};
use super::repair;
use super::segment::{Head, Segment, read_head};
use super::storage::{Region as _, Storage};
use super::walk::{Evidence, Seen, Walk};

/// Where the next writer's turn begins.
#[derive(Debug)]
pub(super) struct Turn<S: Storage> {
    /// Next sequence, last time.
    pub(super) place: Place,
    pub(super) journal_id: [u8; 16],
    /// The new segment's place in the journal.
    pub(super) index: u64,
    pub(super) epoch: u64,
    pub(super) predecessor_first_sequence: u64,
    pub(super) predecessor_used_bytes: u64,
    /// Reason in the seal of the turn before; 0 if there was none.
    pub(super) predecessor_reason: u16,
    pub(super) quarantined_bytes: u64,
    /// The highest step that was moved to quarantine; 0 if there was none.
    pub(super) lost_until: u64,
    /// The segment before, to be hashed; none if the new one takes its place.
    pub(super) predecessor: Option<Finished<S>>,
    /// Spares that nobody went on in, to be deleted when the turn has begun.
    pub(super) stale_spares: Vec<u64>,
}

/// Next sequence, last time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) next: u64,
    pub(super) time: i64,
}

impl<S: Storage> Turn<S> {
    /// The first turn of a new journal.
    fn first(journal_id: [u8; 16], stale_spares: Vec<u64>) -> Self {
        Self {
            place: Place { next: 1, time: 0 },
            journal_id,
            index: 1,
            epoch: 1,
            predecessor_first_sequence: 0,
            predecessor_used_bytes: 0,
            predecessor_reason: 0,
            quarantined_bytes: 0,
            lost_until: 0,
            predecessor: None,
            stale_spares,
        }
    }

    /// What the appender tells of it.
    pub(super) fn recovered(&self) -> Recovered {
        Recovered {
            last_sequence: Sequence(self.place.next - 1),
            last_time: Time(self.place.time),
            quarantined_bytes: self.quarantined_bytes,
            lost_until: Sequence(self.lost_until),
            was_clean: matches!(self.predecessor_reason, 0 | SEALED_ENDED | SEALED_FAILED),
        }
    }
}

/// How a journal ends.
#[derive(Debug)]
struct End<S: Storage> {
    segment: Segment<S>,
    walk: Walk,
    seal: Seal,
    quarantined_bytes: u64,
    lost_until: u64,
}

/// Brings the journal into order and says where to go on.
pub(super) fn recover<S: Storage>(directory: &Directory<S>) -> Result<Turn<S>, JournalError> {
    let mut listing = directory.list()?;
    if listing.segments.is_empty() {
        let mut journal_id = [0; 16];
        journal_id[..8].copy_from_slice(&directory.storage.random()?.to_le_bytes());
        journal_id[8..].copy_from_slice(&directory.storage.random()?.to_le_bytes());
        // The first segment is made under the first of these names.
        listing.spares.retain(|index| *index != 1);
        return Ok(Turn::first(journal_id, listing.spares));
    }
    let chain = Chain::read(directory)?;
    let sealed = if chain.torn.is_empty() { sealed_end(directory, chain.last())? } else { None };
    chain.check_turn(directory)?;
    let end = match sealed {
        Some(end) => end,
        None => chain.find_end(directory)?,
    };
    let last = end.segment.fields;
    let used_bytes = (end.walk.offset + SEAL_SPAN) as u64;
    let mut turn = Turn {
        place: Place { next: end.walk.next, time: end.walk.time },
        journal_id: last.journal_id,
        index: last.index + 1,
        epoch: last.epoch + 1,
        predecessor_first_sequence: last.first_sequence,
        predecessor_used_bytes: used_bytes,
        predecessor_reason: end.seal.reason,
        quarantined_bytes: end.quarantined_bytes,
        lost_until: end.lost_until,
        predecessor: None,
        stale_spares: Vec::new(),
    };
    if end.walk.next > last.first_sequence {
        // Opened again: a file that was cut has all its bytes again.
        let segment = Segment::open_listed(directory, last.first_sequence)?;
        turn.predecessor = Some(Finished::new(last, segment.region, used_bytes));
    } else {
        // The last segment holds no step, and the new one has its name: it takes its place.
        turn.index = last.index;
        turn.predecessor_first_sequence = last.predecessor_first_sequence;
        turn.predecessor_used_bytes = last.predecessor_used_bytes;
    }
    // The new segment is made under the name of the spare with its index, so that one stays.
    turn.stale_spares = directory.list()?.spares;
    for index in &turn.stale_spares {
        turn.quarantined_bytes += copy_spare(directory, *index)?;
    }
    turn.stale_spares.retain(|index| *index != turn.index);
    Ok(turn)
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
        (replaced || new.first_sequence > old.first_sequence, "not a later sequence"),
        (new.epoch >= old.epoch, "an earlier epoch"),
        (new.base_time >= old.base_time, "an earlier time"),
    ];
    match checks.iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(HeaderDamage::Chain(what)),
        None => Ok(()),
    }
}

/// The seal of the last segment, if the writer ended its turn: found from the last entry of the index if there is one.
fn sealed_end<S: Storage>(directory: &Directory<S>, last: &Fields) -> Result<Option<End<S>>, JournalError> {
    let Some(segment) = Segment::open(directory, last.first_sequence)? else { return Ok(None) };
    let index = Index::read(directory, last)?.and_then(Result::ok);
    let place = index.and_then(|index| index.place(&segment, |_| true));
    let mut walk = place.unwrap_or_else(|| Walk::start(&segment));
    loop {
        match walk.advance(&segment) {
            Ok(Some(Seen::Seal(seal))) if seal.is_durable() => {
                // What is before a seal was on disk when it was written; it itself may be in memory alone.
                rewrite(directory, last, walk.offset, walk.offset + SEAL_SPAN)?;
                let synced = segment.region.sync(walk.offset, SEAL_SPAN);
                synced.map_err(|error| JournalError::io("sync", &segment.path, error))?;
                return Ok(Some(End { segment, walk, seal, quarantined_bytes: 0, lost_until: 0 }));
            }
            Ok(None | Some(Seen::Seal(_))) | Err(_) => return Ok(None),
            Ok(Some(_)) => {}
        }
    }
}

/// The headers of a journal, in order and chained, and what they say of the disk.
struct Chain {
    /// Every segment with a whole header.
    fields: Vec<Fields>,
    /// Segments behind those, whose headers never reached the disk.
    torn: Vec<u64>,
    /// The highest step that a header says was durable.
    durable: u64,
}

impl Chain {
    /// Names the spares that the writer had gone on in, then reads every header.
    fn read<S: Storage>(directory: &Directory<S>) -> Result<Self, JournalError> {
        let mut chain = Self { fields: Vec::new(), torn: Vec::new(), durable: 0 };
        for first_sequence in directory.segments()? {
            let name = segment_name(first_sequence);
            match read_head(&directory.storage, &name, Some(first_sequence))? {
                Some(Head::Whole { fields, .. }) if chain.torn.is_empty() => {
                    chain.check(directory, &fields)?;
                    chain.push(fields);
                }
                // Behind a header that never reached the disk: what it says of the disk counts, its steps do not.
                Some(Head::Whole { fields, .. }) => {
                    chain.durable = chain.durable.max(fields.durable_sequence);
                    chain.torn.push(first_sequence);
                }
                Some(Head::Torn) if !chain.fields.is_empty() => chain.torn.push(first_sequence),
                Some(Head::Torn) => {
                    return Err(directory.damaged_header(first_sequence, HeaderDamage::Torn));
                }
                None => return Err(directory.missing(first_sequence)),
            }
        }
        if let Some(&first_sequence) = chain.torn.first() {
            chain.durable = chain.durable.max(repair::durable_behind(directory, &chain.torn)?);
            if chain.durable >= first_sequence {
                return Err(directory.damaged_header(first_sequence, HeaderDamage::Torn));
            }
            return Ok(chain);
        }
        while let Some(fields) = directory.started_spare(chain.last().index + 1)? {
            if follows(chain.last(), &fields, false).is_err() || fields.epoch != chain.last().epoch {
                break;
            }
            let name = segment_name(fields.first_sequence);
            directory.storage.rename(&spare_name(fields.index), &name)?;
            directory.storage.sync_names()?;
            chain.push(fields);
        }
        Ok(chain)
    }

    fn check<S: Storage>(&self, directory: &Directory<S>, fields: &Fields) -> Result<(), JournalError> {
        let Some(old) = self.fields.last() else { return Ok(()) };
        follows(old, fields, false).map_err(|what| directory.damaged_header(fields.first_sequence, what))
    }

    fn push(&mut self, fields: Fields) {
        self.durable = self.durable.max(fields.durable_sequence);
        self.fields.push(fields);
    }

    fn last(&self) -> &Fields {
        self.fields.last().expect("a journal has a segment")
    }

    /// The first segment of the last turn.
    fn turn(&self) -> usize {
        self.fields.partition_point(|fields| fields.epoch < self.last().epoch)
    }

    /// The first segment that may hold a step which is not durable. A turn begins when everything before it is.
    fn first_not_durable(&self) -> usize {
        let durable = self.fields.partition_point(|fields| fields.first_sequence <= self.durable + 1);
        self.turn().max(durable.saturating_sub(1))
    }

    /// Makes sure that the turn before the last one ends in a seal where the last one says.
    fn check_turn<S: Storage>(&self, directory: &Directory<S>) -> Result<(), JournalError> {
        let turn = self.turn();
        let Some(before) = turn.checked_sub(1).map(|before| &self.fields[before]) else { return Ok(()) };
        let first = &self.fields[turn];
        let segment = Segment::open_listed(directory, before.first_sequence)?;
        let used = first.predecessor_used_bytes;
        let sane = (HEADER_BYTES as u64 + SEAL_SPAN as u64..=before.segment_bytes).contains(&used);
        if !sane || !used.is_multiple_of(FRAME_ALIGN as u64) {
            return Err(directory.damaged_header(first.first_sequence, HeaderDamage::Chain("not its length")));
        }
        let offset = used as usize - SEAL_SPAN;
        let mut walk = Walk { offset, next: first.first_sequence, time: first.base_time };
        match walk.advance(&segment) {
            Ok(Some(Seen::Seal(_))) => Ok(()),
            Ok(_) => Err(segment.damaged(offset, first.first_sequence, Damage::NotSealed)),
            Err(damage) => Err(segment.damaged(offset, first.first_sequence, damage)),
        }
    }

    /// Walks to the end of the journal, and makes it one if the writer did not. Every segment on the way may be in
    /// memory alone, and is on disk then.
    fn find_end<S: Storage>(self, directory: &Directory<S>) -> Result<End<S>, JournalError> {
        let mut durable = self.durable;
        let mut at = self.first_not_durable();
        // The segment before may miss the seal of a roll that was interrupted.
        at = at.saturating_sub(usize::from(at > 0 && self.fields[at - 1].epoch == self.fields[at].epoch));
        loop {
            let fields = &self.fields[at];
            let segment = Segment::open_listed(directory, fields.first_sequence)?;
            let mut samples = Samples::for_segment(fields.segment_bytes);
            let mut walk = Walk::start(&segment);
            let mut durable_bytes = 0;
            let stopped = walk_with(&segment, &mut walk, &mut samples, |sync| {
                durable = durable.max(sync.durable_sequence);
                if sync.segment_first_sequence == fields.first_sequence {
                    durable_bytes = durable_bytes.max(sync.durable_bytes as usize);
                }
            })?;
            let next = self.fields.get(at + 1);
            if !planted(Bug::RecoveryNotSynced) {
                settle(directory, &segment, durable_bytes)?;
            }
            match stopped {
                Stopped::Sealed(seal) => match next {
                    Some(next) if is_successor(&walk, next) => {}
                    Some(next) => {
                        let what = HeaderDamage::Chain("not where the segment before ends");
                        return Err(directory.damaged_header(next.first_sequence, what));
                    }
                    None if seal.is_durable() => {
                        drop(put_index(directory, fields, &samples, seal.used_bytes));
                        // A header behind it that never reached the disk belongs to a turn without a step.
                        let quarantined = end_behind(directory, &segment, false, &self.torn)?;
                        let quarantined_bytes = bytes_of(&quarantined);
                        return Ok(End { segment, walk, seal, quarantined_bytes, lost_until: 0 });
                    }
                    None => return self.end_behind_roll(directory, segment, walk, seal, durable),
                },
                Stopped::Nothing if next.is_some_and(|next| is_interrupted_roll(&segment, &walk, next)) => {
                    seal_at(directory, &segment, walk, SEALED_ROLLED, &samples)?;
                }
                Stopped::Nothing | Stopped::Damaged(_) => {
                    let damage = match stopped {
                        Stopped::Damaged(damage) => Some(damage),
                        _ => None,
                    };
                    return self.cut(directory, at, segment, (walk, &samples), durable, damage);
                }
            }
            at += 1;
        }
    }

    /// The last segment is sealed by a roll, and the next one was never begun, or its header never reached the disk.
    fn end_behind_roll<S: Storage>(
        &self,
        directory: &Directory<S>,
        segment: Segment<S>,
        walk: Walk,
        seal: Seal,
        durable: u64,
    ) -> Result<End<S>, JournalError> {
        let next = seal.next_first_sequence;
        let is_there = self.torn.first() == Some(&next)
            || directory.list()?.spares.contains(&(segment.fields.index + 1));
        if !is_there || durable >= next {
            return Err(directory.missing(next));
        }
        let quarantined = end_behind(directory, &segment, true, &self.torn)?;
        let quarantined_bytes = bytes_of(&quarantined);
        Ok(End { segment, walk, seal, quarantined_bytes, lost_until: 0 })
    }

    /// Ends the journal at a place where there is no whole frame, if nothing says that there was one on disk.
    fn cut<S: Storage>(
        &self,
        directory: &Directory<S>,
        at: usize,
        segment: Segment<S>,
        (walk, samples): (Walk, &Samples),
        mut durable: u64,
        damage: Option<Damage>,
    ) -> Result<End<S>, JournalError> {
        let lost = Index::end_lost(directory, &segment.fields, walk.offset)?;
        if let Some(lost) = lost {
            return Err(segment.damaged(walk.offset, walk.next, damage.unwrap_or(lost)));
        }
        let mut evidence = walk.evidence_behind(&segment);
        for fields in &self.fields[at + 1..] {
            if let Some(later) = Segment::open(directory, fields.first_sequence)? {
                evidence = evidence.and(Evidence::of_all(&later));
            }
        }
        durable = durable.max(evidence.durable);
        if walk.next <= durable {
            return Err(segment.damaged(
                walk.offset,
                walk.next,
                damage.unwrap_or(Damage::Durable { durable }),
            ));
        }
        let behind = self.segments_from(at + 1);
        let (seal, quarantined) = end_settled(directory, &segment, walk, samples, &behind)?;
        let quarantined_bytes = bytes_of(&quarantined);
        let lost_until = if evidence.last_step >= walk.next { evidence.last_step } else { 0 };
        Ok(End { segment, walk, seal, quarantined_bytes, lost_until })
    }

    /// The segments from this one on, and those whose headers never reached the disk, in order.
    fn segments_from(&self, from: usize) -> Vec<u64> {
        let whole = self.fields[from..].iter().map(|fields| fields.first_sequence);
        whole.chain(self.torn.iter().copied()).collect()
    }
}

/// Why a walk stopped.
pub(super) enum Stopped {
    /// At a seal.
    Sealed(Seal),
    /// Where nothing is.
    Nothing,
    /// Where something is that is no frame of this place.
    Damaged(Damage),
}

/// Walks to the seal, or to the first frame that is not sane, whole and next.
pub(super) fn walk_to_end<S: Storage>(
    segment: &Segment<S>,
    walk: &mut Walk,
    samples: &mut Samples,
    durable: &mut u64,
) -> Result<Stopped, JournalError> {
    walk_with(segment, walk, samples, |sync| *durable = (*durable).max(sync.durable_sequence))
}

/// As [`walk_to_end`], with every sync frame on the way.
fn walk_with<S: Storage>(
    segment: &Segment<S>,
    walk: &mut Walk,
    samples: &mut Samples,
    mut told: impl FnMut(&Sync),
) -> Result<Stopped, JournalError> {
    loop {
        samples.note(walk);
        match walk.advance(segment) {
            Ok(Some(Seen::Seal(seal))) => return Ok(Stopped::Sealed(seal)),
            Ok(Some(Seen::Sync(sync))) => told(&sync),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Stopped::Nothing),
            Err(newer @ Damage::FrameKind { .. }) => {
                return Err(segment.damaged(walk.offset, walk.next, newer));
            }
            Err(damage) => return Ok(Stopped::Damaged(damage)),
        }
    }
}

/// Whether a segment with this header goes on where a walk ended at a seal.
pub(super) fn is_successor(walk: &Walk, next: &Fields) -> bool {
    next.first_sequence == walk.next
        && next.base_time == walk.time
        && next.predecessor_used_bytes == (walk.offset + SEAL_SPAN) as u64
}

/// Whether only the seal is missing that would send a reader to the next segment.
fn is_interrupted_roll<S: Storage>(segment: &Segment<S>, walk: &Walk, next: &Fields) -> bool {
    segment.fields.epoch == next.epoch
        && is_successor(walk, next)
        && segment.end_of_bytes(walk.offset) <= walk.offset + SEAL_SPAN
}
