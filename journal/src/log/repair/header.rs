//! Headers that are lost, and what proves what they were.
//!
//! ```text
//!  its own checksum    one bit is wrong, or only what must be zero is not       > the very header
//!  its frames          two frames in a row have one seed                        > salt and epoch
//!  segment before      its walk ends at the first step of this one              > index, base time, predecessor
//!  index, neighbours, pruned.json, cursors                                      > salt, journal id, epoch, length
//! ```
//!
//! A checksum can be run backwards, so that each frame tells the seed that it was written with. Damage tells one too;
//! that two frames in a row tell the same is chance once in 2^32.
//!
//! Invariants: it changes nothing; at equal files it finds the same; a header is called proved only if it is right of
//! itself or frames check under it, so no step is read that was not written; a header under which steps check is never
//! taken for lost.

use std::fs;

use crate::log::beside;
use crate::log::control::{Epoch, KIND_DIGEST, KIND_EPOCH, SEAL_SPAN};
use crate::log::directory::{Directory, segment_name};
use crate::log::error::{Damage, HeaderDamage, JournalError};
use crate::log::frame::{FRAME_ALIGN, FRAME_BYTES_MAX, FrameHeader, Seed, span, split_word};
use crate::log::header::{Fields, HEADER_BYTES, restored};
use crate::log::index::{Samples, index_header};
use crate::log::options::{JournalOptions, check_segment_bytes};
use crate::log::pruned::MARKER;
use crate::log::recovery::{Stopped, walk_to_end};
use crate::log::segment::{Head, Segment, contradiction, read_head};
use crate::log::storage::{Region, Storage};
use crate::log::walk::{Evidence, Walk};

/// Most places of a segment whose bytes are taken for a frame to be tried.
const TRIES: u32 = 4096;

/// Most bytes that a new journal id is made from.
const ID_FROM_BYTES: usize = 64 * 1024;

/// A header in place of one that is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rebuilt {
    pub(super) first_sequence: u64,
    pub(super) fields: Fields,
    /// What is wrong with the one that is there.
    pub(super) what: Damage,
    /// Where it comes from, for people.
    pub(super) how: String,
    /// Whether it is that of these frames for certain. If not, no step can be read behind it.
    pub(super) is_proved: bool,
    /// Whether it is the very header that was there.
    pub(super) is_exact: bool,
}

/// Finds every header that is lost and can be had again, and gives the directory as it is with them. That of the first
/// segment is found in any case, for a journal needs one to begin with.
pub(super) fn rebuild<S: Storage>(
    mut directory: Directory<S>,
) -> Result<(Directory<S>, Vec<Rebuilt>), JournalError> {
    let names = directory.segments()?;
    let mut heads = Vec::new();
    for first_sequence in &names {
        heads.push(head_of(&directory, *first_sequence)?);
    }
    let mut rebuilt = Vec::new();
    for (at, first_sequence) in names.iter().enumerate() {
        let Err(what) = heads[at] else { continue };
        let whole = |at: usize| heads.get(at).and_then(|head| head.as_ref().ok()).copied();
        let (before, after) = (at.checked_sub(1).and_then(whole), whole(at + 1));
        let other = before.or(after).or_else(|| heads.iter().find_map(|head| head.as_ref().ok()).copied());
        let lost = Lost::open(&directory, *first_sequence, at == 0, before, after, other)?;
        let Some(found) = lost.rebuild(what)? else { continue };
        heads[at] = Ok(found.fields);
        directory = directory.with_header(segment_name(*first_sequence), found.fields);
        rebuilt.push(found);
    }
    Ok((directory, rebuilt))
}

/// The header of a segment, or what is wrong with it.
fn head_of<S: Storage>(
    directory: &Directory<S>,
    first_sequence: u64,
) -> Result<Result<Fields, Damage>, JournalError> {
    match read_head(&directory.storage, &segment_name(first_sequence), Some(first_sequence)) {
        Ok(Some(Head::Whole { fields, .. })) if is_of_other_frames(directory, &fields)? => {
            Ok(Err(HeaderDamage::File("frames").into()))
        }
        Ok(Some(Head::Whole { fields, .. })) => Ok(Ok(fields)),
        Ok(Some(Head::Torn)) => Ok(Err(HeaderDamage::Torn.into())),
        Ok(None) => Err(directory.missing(first_sequence)),
        Err(JournalError::Damaged { what, .. }) => Ok(Err(what)),
        Err(error) => Err(error),
    }
}

/// Whether a header that is whole stands before frames that were written under another one: no frame of the segment
/// checks under it, and the first two agree on another seed.
fn is_of_other_frames<S: Storage>(directory: &Directory<S>, fields: &Fields) -> Result<bool, JournalError> {
    let Some(segment) = Segment::open(directory, fields.first_sequence)? else { return Ok(false) };
    if Walk::start(&segment).is_place(&segment) {
        return Ok(false);
    }
    let agreed = Agreed::find(&segment.region, fields.first_sequence);
    let is_other = agreed.is_some_and(|it| it.is_pair && it.first.is_some() && it.seed != segment.seed);
    Ok(is_other && Evidence::of_all(&segment) == Evidence::default())
}

/// What frames say of the seed of their segment.
#[derive(Debug, Clone, Copy)]
struct Agreed {
    seed: Seed,
    /// The first frame, if it has this seed and the sequence that the segment begins with.
    first: Option<FrameHeader>,
    /// Whether two frames in a row say so; else the first one alone.
    is_pair: bool,
}

impl Agreed {
    /// Looks from the start of a segment on for two frames in a row that have one seed.
    fn find(region: &impl Region, first_sequence: u64) -> Option<Self> {
        let mut tries = TRIES;
        let begin = shape(region, HEADER_BYTES, first_sequence, &mut tries);
        let begin = begin.filter(|(header, _)| header.sequence == first_sequence);
        let mut offset = HEADER_BYTES;
        while offset + FrameHeader::BYTES <= region.len() && tries > 0 {
            let found = shape(region, offset, first_sequence, &mut tries);
            let pair = found.and_then(|(header, seed)| {
                let behind = offset + span(header.len as usize);
                let (_, next) = shape(region, behind, first_sequence, &mut tries)?;
                (next == seed).then_some(seed)
            });
            if let Some(seed) = pair {
                let first = begin.and_then(|(header, its)| (its == seed).then_some(header));
                return Some(Self { seed, first, is_pair: true });
            }
            offset += FRAME_ALIGN;
        }
        let (header, seed) = begin?;
        Some(Self { seed, first: Some(header), is_pair: false })
    }
}

/// What looks like a frame of a segment that begins with this sequence, and the seed that it has its checksum with.
fn shape(
    region: &impl Region,
    offset: usize,
    first_sequence: u64,
    tries: &mut u32,
) -> Option<(FrameHeader, Seed)> {
    if region.len() < offset + FrameHeader::BYTES {
        return None;
    }
    let (len, stored) = split_word(region.word(offset));
    let bytes = len as usize;
    let sane = (FrameHeader::BYTES..=FRAME_BYTES_MAX).contains(&bytes) && bytes.is_multiple_of(8);
    if !sane || region.len() - offset < bytes {
        return None;
    }
    let header = FrameHeader::get(region.committed(offset, FrameHeader::BYTES));
    let most = first_sequence.saturating_add((region.len() / FRAME_ALIGN) as u64);
    if !(first_sequence..=most).contains(&header.sequence) || !(1..=KIND_DIGEST).contains(&header.kind) {
        return None;
    }
    *tries = tries.checked_sub(1)?;
    Some((header, Seed::of_frame(offset, region.committed(offset, bytes), stored)))
}

/// How the segment before leads to the lost one.
struct Lead {
    walk: Walk,
    /// The highest step that was durable, as far as the segment before says.
    durable: u64,
}

/// A segment whose header is lost.
struct Lost<'a, S: Storage> {
    directory: &'a Directory<S>,
    first_sequence: u64,
    is_first: bool,
    page: Vec<u8>,
    region: S::Region,
    file_bytes: u64,
    before: Option<Fields>,
    after: Option<Fields>,
    /// Any header of the journal.
    other: Option<Fields>,
}

impl<'a, S: Storage> Lost<'a, S> {
    fn open(
        directory: &'a Directory<S>,
        first_sequence: u64,
        is_first: bool,
        before: Option<Fields>,
        after: Option<Fields>,
        other: Option<Fields>,
    ) -> Result<Self, JournalError> {
        let (storage, name) = (&directory.storage, segment_name(first_sequence));
        let Some((page, file_bytes)) = storage.head(&name, HEADER_BYTES)? else {
            return Err(directory.missing(first_sequence));
        };
        let region = storage.open(&name, file_bytes.min(JournalOptions::SEGMENT_BYTES_MAX))?;
        Ok(Self { directory, first_sequence, is_first, page, region, file_bytes, before, after, other })
    }

    /// The header that proves right; for the first segment any that can be put in its place.
    fn rebuild(&self, what: Damage) -> Result<Option<Rebuilt>, JournalError> {
        let first_sequence = self.first_sequence;
        let agreed = Agreed::find(&self.region, first_sequence);
        if let Some(fields) = self.restored(agreed.as_ref()) {
            let how = "its header is set right by its own checksum: no step is lost by that".to_owned();
            return Ok(Some(Rebuilt { first_sequence, fields, what, how, is_proved: true, is_exact: true }));
        }
        let is_proved = agreed.is_some_and(|it| it.is_pair || self.is_lone_epoch(&it));
        if !is_proved && !self.is_first {
            return Ok(None);
        }
        let mut sources = vec!["its frames".to_owned()];
        let fields = self.compose(agreed, &mut sources)?;
        let how = if is_proved {
            format!("its header is written anew from {}: no step is lost by that", sources.join(", "))
        } else {
            "its header is made anew, for no two frames tell what it was".to_owned()
        };
        Ok(Some(Rebuilt { first_sequence, fields, what, how, is_proved, is_exact: false }))
    }

    /// The header that its own checksum still tells.
    fn restored(&self, agreed: Option<&Agreed>) -> Option<Fields> {
        let fields = restored(&self.page)?;
        let is_ours = self.other.is_none_or(|other| other.journal_id == fields.journal_id);
        let seed = Seed::new(fields.salt, fields.epoch);
        let is_denied = agreed.is_some_and(|it| it.is_pair && it.first.is_some() && it.seed != seed);
        (is_ours && !is_denied && contradiction(&fields, Some(self.first_sequence)).is_none())
            .then_some(fields)
    }

    /// Whether the only frame is the start of a turn that has no step: there is none that could be wrong.
    fn is_lone_epoch(&self, agreed: &Agreed) -> bool {
        let Some(header) = agreed.first else { return false };
        let behind = HEADER_BYTES + span(header.len as usize);
        self.epoch_of(&header).is_some()
            && self.region.last_nonzero(behind, self.region.len() / 8 * 8).is_none()
    }

    /// The turn that begins with the first frame, if that is what it is.
    fn epoch_of(&self, first: &FrameHeader) -> Option<u64> {
        let frame = self.region.committed(HEADER_BYTES, first.len as usize);
        let is_epoch = first.kind == KIND_EPOCH && frame.len() == FrameHeader::BYTES + Epoch::BYTES;
        let epoch = is_epoch.then(|| Epoch::get(&frame[FrameHeader::BYTES..]).epoch)?;
        Epoch::is_consistent(frame, epoch, self.first_sequence).then_some(epoch)
    }

    /// The header, from everything around it.
    fn compose(&self, agreed: Option<Agreed>, sources: &mut Vec<String>) -> Result<Fields, JournalError> {
        let first_sequence = self.first_sequence;
        let first = agreed.and_then(|it| it.first);
        let begins = first.as_ref().and_then(|header| self.epoch_of(header));
        let lead = self.lead()?;
        let own_index = index_header(self.directory, first_sequence)?;
        // The first of these, but where the index knows the salt the one that goes with it.
        let mut epochs: Vec<u64> = match begins {
            Some(epoch) => vec![epoch],
            None => {
                let after = self.after.map_or(1, |after| after.epoch);
                let before = self.before.map(|before| before.epoch);
                before.into_iter().chain([after, after - 1]).filter(|epoch| *epoch > 0).collect()
            }
        };
        epochs.push(1);
        let seed = agreed.map_or_else(|| Seed::new(0, epochs[0]), |it| it.seed);
        let indexed = own_index.and_then(|index| {
            let epoch = epochs.iter().find(|epoch| Seed::new(index.salt, **epoch) == seed);
            epoch.map(|epoch| (index.salt, *epoch))
        });
        let (salt, epoch) = indexed.unwrap_or((seed.some_salt(epochs[0]), epochs[0]));
        if indexed.is_some() {
            sources.push("its index".to_owned());
        }
        if lead.is_some() {
            sources.push("the segment before".to_owned());
        }
        let index = self.index(lead.as_ref())?;
        let (predecessor_first_sequence, predecessor_used_bytes) = match (&self.before, &lead) {
            (Some(before), Some(lead)) => (before.first_sequence, (lead.walk.offset + SEAL_SPAN) as u64),
            (Some(before), None) => (before.first_sequence, 0),
            (None, _) => (0, 0),
        };
        let durable_sequence = match begins {
            Some(_) => first_sequence - 1,
            None => lead.as_ref().map_or(0, |lead| lead.durable.min(first_sequence - 1)),
        };
        let base_time = match (&lead, first) {
            (Some(lead), _) => lead.walk.time,
            (None, Some(header)) if index > 1 => header.time,
            (None, _) => 0,
        };
        let journal_id = self.journal_id(own_index.map(|index| index.journal_id), sources)?;
        let fields = Fields::new(journal_id, salt, self.segment_bytes(epoch));
        let format_minor = self.other.map_or(fields.format_minor, |other| other.format_minor);
        Ok(Fields {
            format_minor,
            index,
            first_sequence,
            base_time,
            epoch,
            predecessor_first_sequence,
            predecessor_used_bytes,
            durable_sequence,
            ..fields
        })
    }

    /// How the segment before leads here; none if it does not, or there is none.
    fn lead(&self) -> Result<Option<Lead>, JournalError> {
        let Some(before) = self.before else { return Ok(None) };
        let Some(segment) = Segment::open(self.directory, before.first_sequence)? else { return Ok(None) };
        let mut walk = Walk::start(&segment);
        let mut samples = Samples::for_segment(before.segment_bytes);
        let mut durable = before.durable_sequence;
        let stopped = walk_to_end(&segment, &mut walk, &mut samples, &mut durable)?;
        if matches!(stopped, Stopped::Sealed(seal) if seal.is_durable()) {
            durable = self.first_sequence - 1;
        }
        Ok((walk.next == self.first_sequence).then_some(Lead { walk, durable }))
    }

    /// The segment's number. The first of a journal has number 1, and each but the last holds a step.
    fn index(&self, lead: Option<&Lead>) -> Result<u64, JournalError> {
        if let (Some(before), Some(_)) = (&self.before, lead) {
            return Ok(before.index + 1);
        }
        if self.first_sequence == 1 {
            return Ok(1);
        }
        let marker = beside_text(&self.directory.storage, MARKER)?;
        let number = |field: &str| marker.as_ref().and_then(|marker| marker.get(field)?.as_u64());
        if self.is_first && number("first_sequence") == Some(self.first_sequence) {
            return Ok(number("segment_index").unwrap_or(2).max(2));
        }
        let after = self.after.map(|after| after.index.saturating_sub(1));
        Ok(after.or(self.before.map(|before| before.index + 1)).unwrap_or(2).max(2))
    }

    /// All segments of a turn have one length; else the file's is it, for a segment has all its bytes at once.
    fn segment_bytes(&self, epoch: u64) -> u64 {
        let around = || [self.before, self.after].into_iter().flatten();
        let of_turn = around().find(|fields| fields.epoch == epoch).map(|fields| fields.segment_bytes);
        let of_file = check_segment_bytes(self.file_bytes).is_ok().then_some(self.file_bytes);
        let of_any = around().chain(self.other).next().map(|fields| fields.segment_bytes);
        let (least, most) = (JournalOptions::SEGMENT_BYTES_MIN, JournalOptions::SEGMENT_BYTES_MAX);
        let around = || self.file_bytes.next_multiple_of(HEADER_BYTES as u64).clamp(least, most);
        of_turn.or(of_file).or(of_any).unwrap_or_else(around)
    }

    /// The journal's id, from whoever holds it; a new one if nobody does, made from the frames, so that it is the same
    /// at every look.
    fn journal_id(
        &self,
        indexed: Option<[u8; 16]>,
        sources: &mut Vec<String>,
    ) -> Result<[u8; 16], JournalError> {
        if let Some(other) = self.other {
            sources.push(format!("the header of {}", segment_name(other.first_sequence)));
            return Ok(other.journal_id);
        }
        if let Some(journal_id) = indexed {
            return Ok(journal_id);
        }
        let storage = &self.directory.storage;
        let id_in = |name: &str| -> Result<Option<[u8; 16]>, JournalError> {
            Ok(beside_text(storage, name)?.and_then(|it| beside::id_of_text(it.get("journal_id")?.as_str()?)))
        };
        for name in [MARKER.to_owned()].into_iter().chain(cursor_names(self.directory)) {
            if let Some(journal_id) = id_in(&name)? {
                sources.push(name);
                return Ok(journal_id);
            }
        }
        for first_sequence in self.directory.segments()? {
            if let Some(index) = index_header(self.directory, first_sequence)? {
                sources.push(format!("the index of {}", segment_name(first_sequence)));
                return Ok(index.journal_id);
            }
        }
        sources.push("a new journal id (nothing held the old one any more)".to_owned());
        let end = self.region.len().min(HEADER_BYTES + ID_FROM_BYTES);
        let bytes = self.region.committed(end.min(HEADER_BYTES), end.saturating_sub(HEADER_BYTES));
        let mut journal_id = [0; 16];
        journal_id.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
        Ok(journal_id)
    }
}

/// A small file beside the segments, if it is whole.
fn beside_text<S: Storage>(storage: &S, name: &str) -> Result<Option<serde_json::Value>, JournalError> {
    let head = storage.head(name, beside::BYTES_MAX)?;
    Ok(head.and_then(|(bytes, _)| beside::content_of(&bytes)))
}

/// The files of all cursors, by name.
pub(super) fn cursor_names<S: Storage>(directory: &Directory<S>) -> Vec<String> {
    let entries = fs::read_dir(directory.storage.path("cursors")).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> =
        named.filter(|name| name.ends_with(".cursor")).map(|name| format!("cursors/{name}")).collect();
    names.sort();
    names
}
