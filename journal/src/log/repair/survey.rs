//! The survey: from what verify finds to what a repair does.
//!
//! ```text
//!  findings > put right without loss (mends)       index, length of a file, zeros, a seal whose neighbours say what it
//!           |                                      was, a header that is proved
//!           > where the journal begins (marker)    pruned.json anew, so that it begins where its first segment does
//!           > the first that is not: the cut       | steps that stay | p: cut > quarantine |   segments: > quarantine
//!  whole frames, headers and names behind the cut > what is lost, and whether it was on disk
//! ```
//!
//! Invariants: it changes nothing; at equal files it decides the same; whatever recovery would refuse needs consent.

use std::ffi::OsStr;

use crate::log::control::{Epoch, KIND_EPOCH, SEAL_SPAN, SEALED_ENDED, SEALED_RECOVERED, SEALED_ROLLED};
use crate::log::directory::{Directory, index_name, segment_name, spare_name};
use crate::log::error::{Damage, JournalError};
use crate::log::frame::FrameHeader;
use crate::log::header::{Fields, HEADER_BYTES};
use crate::log::index::{Index, Samples};
use crate::log::recovery::{Stopped, follows, is_successor, walk_to_end};
use crate::log::segment::{Head, Segment, read_head};
use crate::log::storage::{Region as _, Storage};
use crate::log::verified::Finding;
use crate::log::walk::{Evidence, Seen, Walk};

use super::header::Rebuilt;

/// A file that is a segment of the journal, or that the writer has gone on in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) first_sequence: u64,
    /// The file's name: the segment's, or a spare's.
    pub(super) name: String,
    file_bytes: u64,
    head: PlaceHead,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PlaceHead {
    Whole(Fields),
    Torn,
    Damaged,
}

/// Damage that is put right without giving anything up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mend {
    /// The place it is in.
    pub(super) at: usize,
    pub(super) first_sequence: u64,
    pub(super) how: How,
}

/// How damage is put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Write the seal that the segments around it tell of.
    Seal { walk: Walk, reason: u16 },
    /// Clear bytes that belong to no frame.
    Clear { offset: usize, bytes: usize },
    /// Give the file its length again: everything beyond its last frame was zero.
    Grow,
    /// Take bytes behind the segment's end away.
    Shrink,
    /// Write the index anew.
    Index,
    /// Write the header that was found for it.
    Header,
}

/// What is to be done about `pruned.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MarkerMend {
    /// It goes: the journal has its first segment, so it has nothing to say.
    Goes,
    /// It is written anew: the journal is to begin with this segment.
    Begins { first_sequence: u64, index: u64, journal_id: [u8; 16] },
}

/// Where the journal is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    /// The last place that stays.
    pub(super) at: usize,
    /// Where in it the steps end.
    pub(super) walk: Walk,
    /// Whether that is in front of a seal that stays, and promises another segment or not.
    pub(super) sealed: Option<u16>,
    /// What whole frames behind it say.
    pub(super) evidence: Evidence,
    /// The last step that is known to have been behind it; below `walk.next` if none is.
    pub(super) lost_until: u64,
    /// Whether it gives up what a writer would refuse to give up.
    pub(super) needs_consent: bool,
}

/// What the repair does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Decision {
    pub(super) mends: Vec<Mend>,
    pub(super) cut: Option<Cut>,
    pub(super) marker: Option<MarkerMend>,
    /// The last place that stays.
    pub(super) end: usize,
}

/// Every file that is a segment, in order, spares that the writer has gone on in included.
pub(super) fn places<S: Storage>(directory: &Directory<S>) -> Result<Vec<Place>, JournalError> {
    let storage = &directory.storage;
    let mut places = Vec::new();
    for first_sequence in directory.segments()? {
        let name = segment_name(first_sequence);
        let file_bytes = storage.head(&name, 0)?.map_or(0, |(_, len)| len);
        let head = match directory.rebuilt(&name) {
            Some(fields) => PlaceHead::Whole(*fields),
            None => PlaceHead::of_file(directory, &name, first_sequence)?,
        };
        places.push(Place { first_sequence, name, file_bytes, head });
    }
    while let Some(PlaceHead::Whole(last)) = places.last().map(|place| place.head.clone()) {
        let Some(fields) = directory.started_spare(last.index + 1)? else { break };
        if follows(&last, &fields, false).is_err() || fields.epoch != last.epoch {
            break;
        }
        let name = spare_name(fields.index);
        let file_bytes = storage.head(&name, 0)?.map_or(0, |(_, len)| len);
        let (first_sequence, head) = (fields.first_sequence, PlaceHead::Whole(fields));
        places.push(Place { first_sequence, name, file_bytes, head });
    }
    Ok(places)
}

impl PlaceHead {
    fn of_file<S: Storage>(
        directory: &Directory<S>,
        name: &str,
        first_sequence: u64,
    ) -> Result<Self, JournalError> {
        match read_head(&directory.storage, name, Some(first_sequence)) {
            Ok(Some(Head::Whole { fields, .. })) => Ok(Self::Whole(fields)),
            Ok(Some(Head::Torn)) => Ok(Self::Torn),
            Ok(None) => Err(directory.missing(first_sequence)),
            Err(JournalError::Damaged { .. }) => Ok(Self::Damaged),
            Err(error) => Err(error),
        }
    }
}

impl Place {
    pub(super) fn fields(&self) -> Option<&Fields> {
        match &self.head {
            PlaceHead::Whole(fields) => Some(fields),
            _ => None,
        }
    }

    /// Opens the segment, whose header is whole.
    pub(super) fn open<S: Storage>(&self, directory: &Directory<S>) -> Result<Segment<S>, JournalError> {
        let opened = if self.name == segment_name(self.first_sequence) {
            Segment::open(directory, self.first_sequence)?
        } else {
            let index = self.fields().map_or(0, |fields| fields.index);
            Segment::open_spare(directory, index, self.first_sequence)?
        };
        opened.ok_or_else(|| outdated(directory))
    }
}

/// The error for files that are not what they were a moment ago.
pub(super) fn outdated<S: Storage>(directory: &Directory<S>) -> JournalError {
    JournalError::PlanOutdated { dir: directory.storage.dir().to_path_buf() }
}

/// Walks a segment up to a frame at this offset, or to the end of its frames.
pub(super) fn walk_to<S: Storage>(segment: &Segment<S>, offset: usize) -> (Walk, Samples) {
    let mut samples = Samples::for_segment(segment.fields.segment_bytes);
    let mut walk = Walk::start(segment);
    loop {
        samples.note(&walk);
        if walk.offset >= offset || !matches!(walk.advance(segment), Ok(Some(seen)) if !is_seal(&seen)) {
            return (walk, samples);
        }
    }
}

fn is_seal(seen: &Seen) -> bool {
    matches!(seen, Seen::Seal(_))
}

/// A place where the journal cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Break {
    at: usize,
    /// 0: at the header, so the journal ends with the segment before.
    offset: u64,
    what: Damage,
}

/// The survey of one journal.
pub(super) struct Survey<'a, S: Storage> {
    pub(super) directory: &'a Directory<S>,
    pub(super) places: &'a [Place],
    pub(super) rebuilt: &'a [Rebuilt],
}

impl<S: Storage> Survey<'_, S> {
    /// What to do about these findings.
    pub(super) fn decide(&self, findings: &[Finding]) -> Result<Decision, JournalError> {
        let mut decision = Decision { end: self.places.len() - 1, ..Decision::default() };
        for broken in self.sort(findings, &mut decision)? {
            let cut = match broken.offset {
                0 if broken.at > 0 => self.cut_before(&broken)?,
                _ => self.cut_at(&broken, &mut decision)?,
            };
            let Some(cut) = cut else { continue };
            decision.mends.retain(|mend| mend.stays(&cut));
            decision.end = cut.at;
            decision.cut = Some(cut);
            break;
        }
        // Frames are read under their header, and an index is of frames that are all there.
        decision.mends.sort_by_key(|mend| (mend.at, mend.how != How::Header, mend.how == How::Index));
        Ok(decision)
    }

    /// Sorts findings into what can be mended and where the journal breaks, in order.
    fn sort(&self, findings: &[Finding], decision: &mut Decision) -> Result<Vec<Break>, JournalError> {
        let Decision { mends, marker, .. } = decision;
        let mut breaks = Vec::new();
        let mut unlike = Vec::new();
        for finding in findings {
            let (name, offset, what) = (finding.file.file_name(), finding.offset, finding.what);
            let index = |place: &Place| Some(OsStr::new(&index_name(place.first_sequence))) == name;
            let file = |place: &Place| Some(OsStr::new(&place.name)) == name;
            // It is beside the journal, and no other file can bring it back.
            if matches!(what, Damage::RunStart(_)) {
                continue;
            }
            if let Some(at) = self.places.iter().position(index) {
                mends.push(self.mend(at, How::Index));
                continue;
            }
            let found = self.places.iter().position(file);
            let Some(at) = found else {
                // What is missing behind the last segment has no file.
                if matches!(what, Damage::SegmentMissing { .. }) {
                    breaks.push(Break { at: self.places.len(), offset: 0, what });
                    continue;
                }
                return Err(outdated(self.directory));
            };
            match what {
                Damage::StartMissing { .. } | Damage::PrunedMarker { .. } => *marker = self.marker(what),
                _ if offset == 0 && self.rebuilt(at).is_some_and(|it| it.what == what) => {
                    mends.push(self.mend(at, How::Header));
                    if self.is_made_up(at) {
                        breaks.push(Break { at, offset: HEADER_BYTES as u64, what });
                    }
                }
                Damage::NotZero { bytes } => {
                    mends.push(self.mend(at, How::Clear { offset: offset as usize, bytes: bytes as usize }));
                }
                Damage::Truncated { expected, found } if self.places[at].fields().is_some() && offset > 0 => {
                    if found > expected {
                        mends.push(self.mend(at, How::Shrink));
                    } else {
                        self.short(at, what, mends, &mut breaks)?;
                    }
                }
                Damage::Digest => unlike.push(Break { at, offset: 0, what }),
                _ => breaks.push(Break { at, offset, what }),
            }
        }
        // Bytes that are to be cleared make a hash another one; without them it may be right.
        unlike.retain(|it| !mends.iter().any(|mend| mend.at == it.at && mend.how != How::Index));
        breaks.append(&mut unlike);
        breaks.sort_by_key(|it| (it.at, it.offset));
        breaks.dedup_by_key(|it| (it.at, it.offset));
        Ok(breaks)
    }

    /// What a start that is missing, or not told, asks for.
    fn marker(&self, what: Damage) -> Option<MarkerMend> {
        let Fields { first_sequence, index, journal_id, .. } = *self.places[0].fields()?;
        match what {
            Damage::PrunedMarker { .. } if index == 1 => Some(MarkerMend::Goes),
            _ => Some(MarkerMend::Begins { first_sequence, index, journal_id }),
        }
    }

    /// The header that was found for a place.
    fn rebuilt(&self, at: usize) -> Option<&Rebuilt> {
        self.rebuilt.iter().find(|it| it.first_sequence == self.places[at].first_sequence)
    }

    /// Whether the header of a place was not found but made.
    fn is_made_up(&self, at: usize) -> bool {
        self.rebuilt(at).is_some_and(|it| !it.is_proved)
    }

    fn mend(&self, at: usize, how: How) -> Mend {
        Mend { at, first_sequence: self.places[at].first_sequence, how }
    }

    /// A file that is too short: nothing is lost if it still has its seal.
    fn short(
        &self,
        at: usize,
        what: Damage,
        mends: &mut Vec<Mend>,
        breaks: &mut Vec<Break>,
    ) -> Result<(), JournalError> {
        let segment = self.places[at].open(self.directory)?;
        let mut walk = Walk::start(&segment);
        let mut samples = Samples::for_segment(segment.fields.segment_bytes);
        match walk_to_end(&segment, &mut walk, &mut samples, &mut 0)? {
            Stopped::Sealed(_) => mends.push(self.mend(at, How::Grow)),
            _ => breaks.push(Break { at, offset: walk.offset as u64, what }),
        }
        Ok(())
    }

    /// The cut at a frame, unless only the seal is missing there.
    fn cut_at(&self, broken: &Break, decision: &mut Decision) -> Result<Option<Cut>, JournalError> {
        let segment = self.places[broken.at].open(self.directory)?;
        // Of a first segment that is not there at all nothing stays but its header.
        let offset = broken.offset.max(HEADER_BYTES as u64);
        let (walk, _) = walk_to(&segment, offset as usize);
        if walk.offset as u64 != offset {
            return Err(outdated(self.directory));
        }
        if let Some(reason) = self.seal_of(broken.at, &segment, &walk)? {
            decision.mends.push(self.mend(broken.at, How::Seal { walk, reason }));
            return Ok(None);
        }
        self.weigh(broken, broken.at, &segment, walk, None).map(Some)
    }

    /// The cut behind the segment before a header, or before a segment that is missing.
    fn cut_before(&self, broken: &Break) -> Result<Option<Cut>, JournalError> {
        let before = broken.at - 1;
        let segment = self.places[before].open(self.directory)?;
        let mut walk = Walk::start(&segment);
        let mut samples = Samples::for_segment(segment.fields.segment_bytes);
        let sealed = match walk_to_end(&segment, &mut walk, &mut samples, &mut 0)? {
            Stopped::Sealed(seal) => Some(seal.reason),
            _ => None,
        };
        self.weigh(broken, before, &segment, walk, sealed).map(Some)
    }

    /// The reason in the seal that must have been at a place, if the next segment says that one was, and which.
    fn seal_of(&self, at: usize, segment: &Segment<S>, walk: &Walk) -> Result<Option<u16>, JournalError> {
        let Some((next, fields)) = self.places.get(at + 1).and_then(|next| Some((next, next.fields()?)))
        else {
            return Ok(None);
        };
        let room = walk.offset + SEAL_SPAN <= segment.fields.segment_bytes as usize;
        let is_seal = room && follows(&segment.fields, fields, false).is_ok() && is_successor(walk, fields);
        if !is_seal {
            return Ok(None);
        }
        if fields.epoch == segment.fields.epoch {
            return Ok(Some(SEALED_ROLLED));
        }
        let next = next.open(self.directory)?;
        let mut first = Walk::start(&next);
        if !matches!(first.advance(&next), Ok(Some(Seen::Control))) {
            return Ok(None);
        }
        let frame = next.region.committed(HEADER_BYTES, FrameHeader::BYTES + Epoch::BYTES);
        let epoch = Epoch::get(&frame[FrameHeader::BYTES..]);
        let is_known = FrameHeader::get(frame).kind == KIND_EPOCH
            && (SEALED_ENDED..=SEALED_RECOVERED).contains(&epoch.predecessor_reason);
        Ok(is_known.then_some(epoch.predecessor_reason))
    }

    /// What a cut gives up.
    fn weigh(
        &self,
        broken: &Break,
        at: usize,
        segment: &Segment<S>,
        walk: Walk,
        sealed: Option<u16>,
    ) -> Result<Cut, JournalError> {
        let ours = segment.fields.journal_id;
        let mut evidence = if sealed.is_some() { Evidence::default() } else { walk.evidence_behind(segment) };
        let mut lost_until = 0;
        // Recovery refuses all of these, but what a machine that died leaves.
        let mut refused = broken.offset == 0 && !self.is_torn(broken.at)
            || self.is_made_up(broken.at.min(self.places.len() - 1))
            || matches!(broken.what, Damage::Records | Damage::Durable { .. });
        refused |=
            sealed.is_none() && Index::end_lost(self.directory, &segment.fields, walk.offset)?.is_some();
        let (mut before, mut was_torn) = (&segment.fields, false);
        let mut durable = segment.fields.durable_sequence;
        for place in &self.places[at + 1..] {
            match &place.head {
                PlaceHead::Whole(fields) if fields.journal_id == ours => {
                    refused |= !was_torn && follows(before, fields, false).is_err();
                    if fields.epoch > segment.fields.epoch {
                        // A turn begins when everything before it is on disk.
                        durable = durable.max(self.turn_of(fields) - 1);
                    }
                    durable = durable.max(fields.durable_sequence);
                    lost_until = lost_until.max(place.first_sequence - 1);
                    evidence = evidence.and(Evidence::of_all(&place.open(self.directory)?));
                    before = fields;
                }
                PlaceHead::Whole(_) => refused = true,
                PlaceHead::Torn => {
                    (was_torn, lost_until) = (true, lost_until.max(place.first_sequence - 1));
                }
                PlaceHead::Damaged => {
                    (refused, lost_until) = (true, lost_until.max(place.first_sequence.saturating_sub(1)));
                }
            }
        }
        durable = durable.max(evidence.durable);
        Ok(Cut {
            at,
            walk,
            sealed,
            lost_until: lost_until.max(evidence.last_step).max(durable),
            evidence,
            needs_consent: refused || walk.next <= durable,
        })
    }

    fn is_torn(&self, at: usize) -> bool {
        self.places.get(at).is_some_and(|place| place.head == PlaceHead::Torn)
    }

    /// First sequence of the turn that a segment with these fields belongs to, as far as it is there.
    fn turn_of(&self, fields: &Fields) -> u64 {
        let of_turn = |place: &&Place| {
            place.fields().is_some_and(|it| it.epoch == fields.epoch && it.journal_id == fields.journal_id)
        };
        self.places.iter().find(of_turn).map_or(1, |place| place.first_sequence)
    }
}

impl Mend {
    /// Whether it is in what a cut leaves. The cut writes seal, length and index of its own segment itself.
    fn stays(&self, cut: &Cut) -> bool {
        self.at < cut.at
            || self.at == cut.at
                && match self.how {
                    How::Clear { offset, .. } => cut.sealed.is_some() || offset < cut.walk.offset,
                    How::Shrink | How::Header => true,
                    How::Seal { .. } | How::Grow | How::Index => cut.sealed.is_some(),
                }
    }
}
