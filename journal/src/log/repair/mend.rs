//! Mends: damage that is put right without giving up a step.
//!
//! Invariants: as for the cut: bytes that are not zero are in quarantine before they are cleared, and doing it again
//! changes nothing.

use crate::log::beside;
use crate::log::control::SEAL_SPAN;
use crate::log::cut::{Quarantined, Tail, keep_behind, seal_at, to_keep_behind};
use crate::log::directory::{Directory, index_name, segment_name};
use crate::log::error::JournalError;
use crate::log::header::HEADER_BYTES;
use crate::log::index::put_index;
use crate::log::pruned::{MARKER, Marker};
use crate::log::run_start::{self, Kept};
use crate::log::segment::Segment;
use crate::log::storage::{Region as _, Storage, WritableRegion as _};
use crate::record::Time;

use super::survey::{How, MarkerMend, Mend, Place, outdated, walk_to};

/// Where a file is written anew before it takes its name; left behind by an interruption, it is written over.
const UNFINISHED: &str = "repair.unfinished";

/// Bytes copied at once.
const COPY_BYTES: usize = 1 << 20;

impl Mend {
    /// The file that it is about.
    pub(super) fn file(&self) -> String {
        match self.how {
            How::Index => index_name(self.first_sequence),
            _ => segment_name(self.first_sequence),
        }
    }
}

impl How {
    /// What it does, for people.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Seal { .. } => "its seal is written again: the segments around it say what it was",
            Self::Clear { .. } => "bytes that belong to no frame are cleared",
            Self::Grow => "it gets its length again: what it misses was zero",
            Self::Shrink => "bytes behind its end are taken away",
            Self::Index => "it is written anew from the frames",
            Self::Header => "its header is written anew",
        }
    }
}

impl MarkerMend {
    /// What it does, for people.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Goes => "it is taken away: the journal has its first segment, so no step is missing",
            Self::Begins { .. } => "it is written anew: the journal begins with its first segment",
        }
    }

    /// What goes to quarantine: the marker that is there, if there is one.
    pub(super) fn to_keep<S: Storage>(directory: &Directory<S>) -> Result<Option<Quarantined>, JournalError> {
        let storage = &directory.storage;
        let Some((_, bytes)) = storage.head(MARKER, 0)? else { return Ok(None) };
        for number in 1_u32.. {
            let name = format!("quarantine/pruned-{number}.json");
            if storage.head(&name, 0)?.is_none() {
                return Ok(Some(Quarantined { from: MARKER.to_owned(), offset: 0, bytes, name }));
            }
        }
        unreachable!("a directory holds fewer files than numbers")
    }

    /// Puts the marker right. Interrupted in the middle the journal has none, which asks for the same.
    pub(super) fn carry_out<S: Storage>(
        self,
        directory: &Directory<S>,
        now: Time,
    ) -> Result<Option<Quarantined>, JournalError> {
        let storage = &directory.storage;
        let kept = Self::to_keep(directory)?;
        if let Some(kept) = &kept {
            storage.rename(MARKER, &kept.name)?;
            storage.sync_names()?;
        }
        if let Self::Begins { first_sequence, index, journal_id } = self {
            let marker = Marker {
                journal_id: beside::id_text(journal_id),
                first_sequence,
                segment_index: index,
                when_ns: now.0,
                removed_segments: index - 1,
                removed_steps: first_sequence - 1,
                removed_bytes: 0,
                run_started: match run_start::kept(directory, journal_id)? {
                    Kept::Whole(step) => step.sequence().0,
                    Kept::Missing | Kept::Unusable(_) => 0,
                },
            };
            storage.put(MARKER, beside::text_of(&marker).as_bytes())?;
        }
        Ok(kept)
    }
}

/// Puts one segment right.
pub(super) struct Mender<'a, S: Storage> {
    pub(super) directory: &'a Directory<S>,
    pub(super) place: &'a Place,
}

impl<S: Storage> Mender<'_, S> {
    /// What goes to quarantine.
    pub(super) fn to_keep(&self, how: How) -> Result<Option<Quarantined>, JournalError> {
        let segment = self.place.open(self.directory)?;
        match how {
            How::Seal { walk, reason } => to_keep_behind(self.directory, &segment, &walk, reason),
            How::Clear { offset, bytes } => {
                Tail { segment: &segment, from: offset, to: offset + bytes }.to_keep(self.directory, &[])
            }
            How::Shrink => {
                let (whole, from, to) = self.whole(segment)?;
                Tail { segment: &whole, from, to }.to_keep(self.directory, &[])
            }
            How::Header => Ok(self.header_page()?.map(|(kept, _)| kept)),
            How::Grow | How::Index => Ok(None),
        }
    }

    /// Puts it right.
    pub(super) fn carry_out(&self, how: How) -> Result<Option<Quarantined>, JournalError> {
        let segment = self.place.open(self.directory)?;
        match how {
            How::Seal { walk, reason } => {
                let (found, samples) = walk_to(&segment, walk.offset);
                if found != walk {
                    return Err(outdated(self.directory));
                }
                let kept = keep_behind(self.directory, &segment, &walk, reason)?;
                seal_at(self.directory, &segment, walk, reason, &samples)?;
                Ok(kept)
            }
            How::Clear { offset, bytes } => {
                let tail = Tail { segment: &segment, from: offset, to: offset + bytes };
                let kept = tail.keep(self.directory, &[])?;
                self.write(&segment, |to| to.write(offset, &vec![0; bytes]))?;
                Ok(kept)
            }
            How::Grow => self.write(&segment, |_| ()).map(|()| None),
            How::Shrink => self.shrink(segment),
            How::Index => {
                let (walk, samples) = walk_to(&segment, usize::MAX);
                put_index(self.directory, &segment.fields, &samples, (walk.offset + SEAL_SPAN) as u64)?;
                Ok(None)
            }
            How::Header => {
                let kept = self.header_page()?;
                if let Some((kept, page)) = &kept {
                    self.directory.storage.put(&kept.name, page)?;
                }
                self.write(&segment, |to| to.write(0, &segment.fields.page()))?;
                Ok(kept.map(|(kept, _)| kept))
            }
        }
    }

    /// The page that is in the place of the header, if anything is in it, and where it goes. The copy is named by its
    /// content, so that it is made once.
    fn header_page(&self) -> Result<Option<(Quarantined, Vec<u8>)>, JournalError> {
        let head = self.directory.storage.head(&self.place.name, HEADER_BYTES)?;
        let Some((page, _)) = head.filter(|(page, _)| page.iter().any(|byte| *byte != 0)) else {
            return Ok(None);
        };
        // All pages that end in their own checksum have one checksum.
        let checksum = crc32c::crc32c(&page[..page.len().min(HEADER_BYTES - 4)]);
        let from = segment_name(self.place.first_sequence);
        let name = format!("quarantine/{:020}-header-{checksum:08x}.page", self.place.first_sequence);
        Ok(Some((Quarantined { from, offset: 0, bytes: page.len() as u64, name }, page)))
    }

    /// Changes bytes of the segment, which has all its bytes then, and makes that durable.
    fn write(&self, segment: &Segment<S>, change: impl FnOnce(&mut S::Writable)) -> Result<(), JournalError> {
        let mut bytes = self.directory.storage.reopen(&self.place.name, segment.fields.segment_bytes)?;
        change(&mut bytes);
        let region = bytes.region();
        region.sync(0, region.len()).map_err(|error| JournalError::io("sync", &segment.path, error))
    }

    /// All bytes of a file that is longer than its segment, and where those behind its end are.
    fn whole(&self, segment: Segment<S>) -> Result<(Segment<S>, usize, usize), JournalError> {
        let Segment { path, fields, file_bytes, .. } = segment;
        let region = self.directory.storage.open(&self.place.name, file_bytes)?;
        let (from, to) = (fields.segment_bytes as usize, file_bytes as usize);
        Ok((Segment::new(path, file_bytes, fields, region), from, to))
    }

    /// Writes a file anew without the bytes behind its segment's end. A file that has been a segment never shrinks.
    fn shrink(&self, segment: Segment<S>) -> Result<Option<Quarantined>, JournalError> {
        let storage = &self.directory.storage;
        let (whole, from, to) = self.whole(segment)?;
        let kept = Tail { segment: &whole, from, to }.keep(self.directory, &[])?;
        let mut bytes = storage.create(UNFINISHED, from as u64)?;
        for at in (0..from).step_by(COPY_BYTES) {
            bytes.write(at, whole.region.committed(at, COPY_BYTES.min(from - at)));
        }
        let region = bytes.region();
        region.sync(0, from).map_err(|error| JournalError::io("sync", &whole.path, error))?;
        storage.rename(UNFINISHED, &self.place.name)?;
        storage.sync_names()?;
        Ok(kept)
    }
}
