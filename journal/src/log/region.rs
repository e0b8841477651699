//! The bytes of one segment file, mapped: the only file of this crate with `unsafe`, and the only one that names `memmap2`.
//!
//! ```text
//!  0                                   committed frames |  the writer's business  | file length
//!  [=====================================================|.........................]
//!    word(): atomic        committed(): slices              write(), then commit(): atomic
//! ```
//!
//! What the rest of the crate must keep, and what the SAFETY arguments below lean on:
//!
//! 1. *Bounds.* Every access is checked against the mapped length, which is the file's length when it was opened.
//!    A published file never shrinks. (Somebody who truncates one under a reader ends that reader with SIGBUS.)
//! 2. *Alignment.* A mapping starts on a page, so an offset that is a multiple of 8 is an aligned word.
//! 3. *One writer.* Only the holder of the journal's lock has a writable region of a file, and only one of it, so
//!    `&mut self` excludes every other writer.
//! 4. *Immutable once committed.* A byte of a frame is not written again after the frame's first word was stored
//!    non-zero with Release. So a slice is made only over a frame whose first word was loaded non-zero with
//!    Acquire, and never over bytes that may still be written. (Recovery clears bytes behind the last committed
//!    frame; nobody has a slice there, for a reader stops at the first frame that is not whole.)
//! 5. *One mapping, one owner.* Every region is a mapping of its own, at addresses of its own. What another region
//!    of the same file does, in this process or another, reaches this one through the page cache and not through a
//!    place that both access; only the order of the commit word has to be enforced across them.
#![expect(unsafe_code, reason = "memory shared with other processes; every block argues from the list above")]

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use memmap2::{Advice, MmapOptions, MmapRaw};

const _: () = assert!(size_of::<usize>() == 8, "segments of 4 GiB need 64-bit addresses");

/// Bytes of a page; prefault works in whole pages.
const PAGE_BYTES: usize = 4096;

/// The mapped bytes of one segment file, shared with every other mapping of it.
#[derive(Debug)]
pub(super) struct Region {
    map: MmapRaw,
    writable: bool,
}

impl Region {
    /// Maps the first `len` bytes of `file` for the one writer.
    pub(super) fn writable(file: &File, len: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(len).map_raw(file)?;
        Ok(Self { map, writable: true })
    }

    /// Maps the first `len` bytes of `file`, which it must have, for reading.
    pub(super) fn readable(file: &File, len: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(len).map_raw_read_only(file)?;
        Ok(Self { map, writable: false })
    }

    /// Bytes of the region.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// Loads the 8-byte word at `offset` with Acquire: what was stored before a [`Self::commit`] of it is visible.
    ///
    /// # Panics
    /// If `offset` is not a multiple of 8 or the word is not inside the region.
    #[inline]
    pub(super) fn word(&self, offset: usize) -> u64 {
        let value = self.peek(offset);
        // An Acquire load of read-only memory is not promised to work; a Relaxed one and this fence are.
        fence(Ordering::Acquire);
        value
    }

    #[inline]
    fn peek(&self, offset: usize) -> u64 {
        assert!(offset.is_multiple_of(8) && offset < self.len() && self.len() - offset >= 8);
        // SAFETY: 1 (the assert keeps the word inside the mapping) and 2 (aligned). The mapping lives as long as
        // `self`. 5: no store of this region races with this load, for stores take `&mut self`; a store through
        // another one is one aligned 8-byte store of a commit word, or is of bytes that only `last_nonzero` looks
        // at, where an old value is as good an answer. A Relaxed load of 8 bytes is allowed on read-only memory.
        unsafe {
            AtomicU64::from_ptr(self.map.as_mut_ptr().add(offset).cast::<u64>()).load(Ordering::Relaxed)
        }
    }

    /// The `len` bytes of a frame at `offset` whose first word was loaded non-zero through [`Self::word`].
    ///
    /// # Panics
    /// If they are not all inside the region.
    #[inline]
    pub(super) fn committed(&self, offset: usize, len: usize) -> &[u8] {
        assert!(offset <= self.len() && self.len() - offset >= len);
        // SAFETY: 1 (inside the mapping, which outlives the borrow of `self`) and 4 (the caller has seen the
        // first word non-zero, so the writer is done with these bytes for good). Any bit pattern is a `u8`. The
        // length may be wrong only in a damaged file, and damage is never written to: recovery seals the segment.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(offset), len) }
    }

    /// Copies bytes of a frame that is not committed yet.
    ///
    /// # Panics
    /// If the region was mapped for reading or the bytes do not fit.
    #[inline]
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        assert!(self.writable && offset <= self.len() && self.len() - offset >= bytes.len());
        // SAFETY: 1, and the region is writable. 3: nobody else writes here. 4: no slice covers bytes of a frame
        // that is not committed, in this process or in another, and `bytes` cannot come from this region because
        // `&mut self` excludes a borrow of it.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.map.as_mut_ptr().add(offset), bytes.len());
        }
    }

    /// Stores the first word of a frame with Release: with this one store the frame is there for every reader.
    ///
    /// # Panics
    /// If the region was mapped for reading, `offset` is not a multiple of 8, or the word is not inside.
    #[inline]
    pub(super) fn commit(&mut self, offset: usize, word: u64) {
        assert!(self.writable && offset.is_multiple_of(8));
        assert!(offset < self.len() && self.len() - offset >= 8);
        // SAFETY: 1, 2 and 3, and the region is writable. Readers load this word atomically.
        unsafe {
            AtomicU64::from_ptr(self.map.as_mut_ptr().add(offset).cast::<u64>())
                .store(word, Ordering::Release);
        }
    }

    /// Faults the pages of a range in for writing, so that no append does. Kernels before 5.14 cannot; there the
    /// first store to each page faults.
    pub(super) fn prefault(&self, offset: usize, len: usize) -> io::Result<()> {
        let start = offset / PAGE_BYTES * PAGE_BYTES;
        let end = (offset + len).min(self.len());
        match self.map.advise_range(Advice::PopulateWrite, start, end.saturating_sub(start)) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            other => other,
        }
    }

    /// Offset just past the last word that is not zero in `from..to` (both multiples of 8), or `None`.
    pub(super) fn last_nonzero(&self, from: usize, to: usize) -> Option<usize> {
        (from / 8..to / 8).rev().find(|word| self.peek(word * 8) != 0).map(|word| word * 8 + 8)
    }
}
