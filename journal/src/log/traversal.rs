//! The traversal: walks a journal across its segments. Readers and tailers are traversals with manners.
//!
//! Invariants: it gives every step once and in order; it leaves a segment only over its seal, and enters the next
//! one only if that one follows; after an error it stays where it is.

use crate::record::{FLAG_ORDERS, Sequence, Time};

use super::control::{SEAL_SPAN, SEALED_ROLLED, Seal};
use super::directory::{Directory, segment_name};
use super::error::{Damage, HeaderDamage, JournalError};
use super::frame::Frame;
use super::header::Fields;
use super::index::{Index, IndexEntry};
use super::pruned;
use super::recovery::follows;
use super::segment::{Head, Segment, read_head};
use super::storage::{Region as _, Storage};
use super::walk::{Seen, Walk};

/// A place in a journal.
#[derive(Debug)]
pub(super) struct Traversal<S: Storage> {
    segment: Segment<S>,
    walk: Walk,
    seal: Option<Seal>,
    directory: Directory<S>,
    durable: u64,
    from_sequence: u64,
    from_time: i64,
    /// What comes from `from_sequence` on was written by this process.
    is_own: bool,
}

/// Where a step is in the traversal's segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    offset: usize,
    len: usize,
}

impl<S: Storage> Traversal<S> {
    /// The start of a journal.
    pub(super) fn open(directory: &Directory<S>) -> Result<Self, JournalError> {
        pruned::steady(directory, || Self::at_segment(directory.clone(), directory.segments()?[0], |_| false))
    }

    /// A place in the segment that begins with this sequence: the last one in its index for which `is_before` holds,
    /// or its start.
    fn at_segment(
        directory: Directory<S>,
        first_sequence: u64,
        is_before: impl Fn(&IndexEntry) -> bool,
    ) -> Result<Self, JournalError> {
        let segment = Segment::open(&directory, first_sequence)?.ok_or_else(|| directory.no_journal())?;
        let index = Index::read(&directory, &segment.fields)?.and_then(Result::ok);
        let place = index.and_then(|index| index.place(&segment, is_before));
        let walk = place.unwrap_or_else(|| Walk::start(&segment));
        let durable = segment.fields.durable_sequence;
        Ok(Self {
            segment,
            walk,
            seal: None,
            directory,
            durable,
            from_sequence: 0,
            from_time: i64::MIN,
            is_own: false,
        })
    }

    /// The journal's id.
    pub(super) fn journal_id(&self) -> [u8; 16] {
        self.segment.fields.journal_id
    }

    /// The journal's directory.
    pub(super) fn directory(&self) -> &Directory<S> {
        &self.directory
    }

    /// The highest step that was durable, as far as what lies behind this place says.
    pub(super) fn durable(&self) -> u64 {
        self.durable
    }

    /// The sequence that comes next.
    pub(super) fn next_sequence(&self) -> u64 {
        self.walk.next
    }

    /// Goes to the first step whose sequence is not below this one.
    pub(super) fn seek(&mut self, sequence: Sequence) -> Result<(), JournalError> {
        let directory = self.directory.clone();
        *self = pruned::steady(&directory, || {
            let segments = directory.segments()?;
            let index = segments.partition_point(|first| *first <= sequence.0).saturating_sub(1);
            Self::at_segment(directory.clone(), segments[index], |entry| entry.next_sequence <= sequence.0)
        })?;
        self.from_sequence = sequence.0;
        Ok(())
    }

    /// From the step it was told to begin with on, this process has written what it finds: a step that holds no order
    /// need not prove itself.
    pub(super) fn trust_own(&mut self) {
        self.is_own = true;
    }

    /// Goes to the first step whose time is not before this one.
    pub(super) fn seek_time(&mut self, time: Time) -> Result<(), JournalError> {
        let directory = self.directory.clone();
        *self = pruned::steady(&directory, || {
            let segments = directory.segments()?;
            let (mut low, mut high) = (0, segments.len());
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                if self.base_time(segments[middle])? < time.0 {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            Self::at_segment(directory.clone(), segments[low], |entry| entry.time < time.0)
        })?;
        self.from_time = time.0;
        Ok(())
    }

    /// Goes to the start of the last turn of writing.
    pub(super) fn seek_turn(&mut self) -> Result<(), JournalError> {
        let directory = self.directory.clone();
        *self = pruned::steady(&directory, || {
            let segments = directory.segments()?;
            // Without a whole header it can only be the last one, and a turn of its own.
            let epoch = |first: &u64| Ok(self.fields_of(*first)?.map_or(u64::MAX, |fields| fields.epoch));
            let (mut low, mut high) = (0, segments.len() - 1);
            let last = epoch(&segments[high])?;
            while low < high {
                let middle = low + (high - low) / 2;
                if epoch(&segments[middle])? < last {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            Self::at_segment(directory.clone(), segments[low], |_| false)
        })?;
        Ok(())
    }

    fn base_time(&self, first_sequence: u64) -> Result<i64, JournalError> {
        // Without a whole header nothing in it can be later than anything.
        Ok(self.fields_of(first_sequence)?.map_or(i64::MAX, |fields| fields.base_time))
    }

    /// The header of the segment that begins with this sequence, if it is there and whole.
    fn fields_of(&self, first_sequence: u64) -> Result<Option<Fields>, JournalError> {
        let head = read_head(&self.directory.storage, &segment_name(first_sequence), Some(first_sequence))?;
        Ok(match head {
            Some(Head::Whole { fields, .. }) => Some(fields),
            _ => None,
        })
    }

    /// Goes behind the last committed step.
    pub(super) fn seek_end(&mut self) -> Result<(), JournalError> {
        self.seek(Sequence(u64::MAX))?;
        while self.advance()?.is_some() {}
        self.from_sequence = 0;
        Ok(())
    }

    /// Moves to the next step; `None` if none is committed yet.
    #[inline]
    pub(super) fn advance(&mut self) -> Result<Option<Found>, JournalError> {
        loop {
            if self.seal.is_some() && !self.enter_next()? {
                return Ok(None);
            }
            let is_own = self.is_own && self.walk.next >= self.from_sequence;
            let seen = if is_own { self.advance_own() } else { self.walk.advance(&self.segment) };
            match seen {
                Ok(None) => return Ok(None),
                Ok(Some(Seen::Step { offset, len })) => {
                    if self.walk.next > self.from_sequence && self.walk.time >= self.from_time {
                        return Ok(Some(Found { offset, len }));
                    }
                }
                Ok(Some(Seen::Sync(sync))) => self.durable = self.durable.max(sync.durable_sequence),
                Ok(Some(Seen::Control | Seen::Digest(_))) => {}
                Ok(Some(Seen::Seal(seal))) => {
                    self.seal = Some(seal);
                    if seal.is_durable() {
                        self.durable = self.durable.max(seal.last_sequence);
                    }
                }
                Err(damage) => return Err(self.segment.damaged(self.walk.offset, self.walk.next, damage)),
            }
        }
    }

    /// Moves past the next frame, which this process has written.
    #[inline]
    fn advance_own(&mut self) -> Result<Option<Seen>, Damage> {
        let (region, offset) = (&self.segment.region, self.walk.offset);
        self.walk.advance_trusting(&self.segment, |frame| {
            let has_orders = frame.flags & FLAG_ORDERS != 0;
            if has_orders {
                // Its writer may be on another core: its lines come all at once, and not one behind the other.
                region.expect(offset, frame.len as usize);
            }
            !has_orders
        })
    }

    /// The step that the last [`Self::advance`] found.
    #[inline]
    pub(super) fn frame(&self, found: Found) -> Frame<'_> {
        Frame::of_verified(self.segment.region.committed(found.offset, found.len), found.offset)
    }

    /// Whether this place is behind a seal that ended a writer's turn, and no other turn has begun.
    pub(super) fn is_closed(&self) -> bool {
        self.seal.is_some_and(|seal| seal.is_durable())
    }

    /// What is wrong with this place if it looks like the end and is not: a later segment begins behind a step that is
    /// not here, or this one was finished and has no seal here. Asked before the last look for a step.
    pub(super) fn end_lost(&self) -> Result<Option<Damage>, JournalError> {
        let last = *self.directory.segments()?.last().expect("a journal has a segment");
        if last > self.walk.next {
            return Ok(Some(Damage::NotSealed));
        }
        if self.seal.is_some() {
            return Ok(None);
        }
        Index::end_lost(&self.directory, &self.segment.fields, self.walk.offset)
    }

    /// The error for damage at this place.
    pub(super) fn damaged_here(&self, what: Damage) -> JournalError {
        self.segment.damaged(self.walk.offset, self.walk.next, what)
    }

    /// Enters the segment that the seal names; `false` if it is not there yet.
    #[cold]
    fn enter_next(&mut self) -> Result<bool, JournalError> {
        let Some(seal) = self.seal else { return Ok(true) };
        let Some(segment) = self.open_next(seal)? else { return Ok(false) };
        let old = &self.segment.fields;
        let new = &segment.fields;
        if new.salt == old.salt && new.epoch == old.epoch {
            return Ok(false);
        }
        let stepless = self.walk.next == old.first_sequence;
        check_successor(&self.segment, new, &self.walk, stepless)
            .map_err(|what| segment.damaged(0, self.walk.next, what.into()))?;
        self.walk = Walk::start(&segment);
        self.durable = self.durable.max(segment.fields.durable_sequence);
        self.segment = segment;
        self.seal = None;
        Ok(true)
    }

    /// Opens the segment that the seal names; `None` if it is not there yet.
    fn open_next(&self, seal: Seal) -> Result<Option<Segment<S>>, JournalError> {
        let (directory, first_sequence) = (&self.directory, seal.next_first_sequence);
        let (index, is_rolled) = (self.segment.fields.index + 1, seal.reason == SEALED_ROLLED);
        let found = if is_rolled {
            Segment::open_rolled(directory, index, first_sequence)?
        } else {
            Segment::open(directory, first_sequence)?
        };
        if found.is_some() {
            return Ok(found);
        }
        if let Some(first) = pruned::given_up(directory, first_sequence)? {
            let (dir, next) = (directory.storage.dir().to_path_buf(), Sequence(self.walk.next));
            return Err(JournalError::Overtaken { dir, next, first: Sequence(first) });
        }
        if !is_rolled || directory.list()?.spares.contains(&index) {
            return Ok(None);
        }
        let what = Damage::SegmentMissing { first_sequence };
        Err(self.segment.damaged(self.walk.offset, self.walk.next, what))
    }
}

/// Whether a segment with these fields goes on where the walk of another one ended.
pub(super) fn check_successor<S: Storage>(
    old: &Segment<S>,
    new: &Fields,
    walk: &Walk,
    stepless: bool,
) -> Result<(), HeaderDamage> {
    follows(&old.fields, new, stepless)?;
    let replaced = stepless && new.first_sequence == old.fields.first_sequence;
    if !replaced && new.predecessor_used_bytes != (walk.offset + SEAL_SPAN) as u64 {
        return Err(HeaderDamage::Chain("not its length"));
    }
    if new.base_time != walk.time {
        return Err(HeaderDamage::Chain("not its last time"));
    }
    Ok(())
}
