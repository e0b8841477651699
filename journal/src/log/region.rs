//! The bytes of one file, mapped or on the heap: the only file of this crate with `unsafe`, and the only one that
//! names `memmap2`.
//!
//! ```text
//!  0                                   committed frames |  the writer's business  | length
//!  [=====================================================|.........................]
//!    word(): atomic        committed(): slices              write(), then commit(): atomic
//! ```
//!
//! What the rest of the crate must keep, and what the SAFETY arguments below lean on:
//!
//! 1. *Bounds.* Every access is checked against the length, which is that of the mapping or the allocation. A
//!    published file never shrinks. (Somebody who truncates one under a reader ends that reader with SIGBUS.)
//! 2. *Alignment.* A mapping starts on a page and an allocation of ours is made of 8-byte words, so an offset that
//!    is a multiple of 8 is an aligned word.
//! 3. *One writer.* Only the holder of the journal's lock has [`WritableBytes`] of a file, and only one of it, so
//!    `&mut self` excludes every other writer.
//! 4. *Immutable once committed.* A byte of a frame is not written again after the frame's first word was stored
//!    non-zero with Release. So a slice is made only over a frame whose first word was loaded non-zero with
//!    Acquire, or by the holder of the lock over a file that it does not write, and never over bytes that may still
//!    be written. (Recovery clears bytes behind the last committed frame; nobody has a slice there, for a reader
//!    stops at the first frame that is not whole.)
//! 5. *Lifetime.* Clones share one owner of the bytes, and the pointer is good as long as the owner lives.
#![expect(unsafe_code, reason = "memory shared with other processes; every block argues from the list above")]

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use memmap2::{Advice, MmapOptions, MmapRaw, UncheckedAdvice};

use super::storage::{Region, WritableRegion};

const _: () = assert!(size_of::<usize>() == 8, "segments of 4 GiB need 64-bit addresses");

/// Bytes of a page; prefault and sync work in whole pages.
pub(super) const PAGE_BYTES: usize = 4096;

/// How far before the writer lines are asked for, and most bytes that are asked for at once.
const PREFETCH_BYTES: usize = 1024;

/// Bytes of a cache line.
const LINE_BYTES: usize = 64;

/// The bytes of one file.
#[derive(Debug, Clone)]
pub struct Bytes {
    start: *mut u8,
    len: usize,
    owner: Owner,
}

/// Who holds the bytes.
#[derive(Debug, Clone)]
enum Owner {
    /// A mapping of a file.
    Mapped(Arc<MmapRaw>),
    /// Memory of this process.
    #[cfg(test)]
    Heap { _words: Arc<HeapWords> },
}

/// The bytes of one file for the one writer.
#[derive(Debug)]
pub struct WritableBytes(Bytes);

// SAFETY: 5: the pointer stays good on any thread, for mapping and allocation belong to no thread. What the
// threads do at the same time is argued at each access below.
unsafe impl Send for Bytes {}
// SAFETY: as for Send; through a shared reference bytes are only read, prefaulted and synced.
unsafe impl Sync for Bytes {}

/// Words on the heap that are reached through a pointer.
#[cfg(test)]
#[derive(Debug)]
struct HeapWords(std::cell::UnsafeCell<Box<[u64]>>);

// SAFETY: nobody reaches the words through this value after it was made, only through the pointers of `Bytes`.
#[cfg(test)]
unsafe impl Send for HeapWords {}
// SAFETY: as for Send.
#[cfg(test)]
unsafe impl Sync for HeapWords {}

impl Bytes {
    fn mapped(map: MmapRaw) -> Self {
        Self { start: map.as_mut_ptr(), len: map.len(), owner: Owner::Mapped(Arc::new(map)) }
    }

    /// Maps the first `len` bytes of `file`, which it must have, for reading.
    pub(super) fn readable(file: &File, len: usize) -> io::Result<Self> {
        MmapOptions::new().len(len).map_raw_read_only(file).map(Self::mapped)
    }

    #[inline]
    fn peek(&self, offset: usize) -> u64 {
        assert!(offset.is_multiple_of(8) && offset < self.len && self.len - offset >= 8);
        // SAFETY: 1 (the assert keeps the word inside), 2 (aligned) and 5. No plain store races with this load: a
        // store through `WritableBytes` to a word that is loaded here is one aligned 8-byte store of a commit word,
        // or is of bytes that only `last_nonzero` looks at, under the lock. A Relaxed load of 8 bytes is allowed on
        // read-only memory.
        unsafe { AtomicU64::from_ptr(self.start.add(offset).cast::<u64>()).load(Ordering::Relaxed) }
    }
}

/// Asks the processor for lines that are about to be written, or read.
#[inline]
fn prefetch<const WRITTEN: bool>(start: *const u8, offset: usize, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (offset..offset + len.min(PREFETCH_BYTES)).step_by(LINE_BYTES) {
        // SAFETY: a prefetch reads and writes nothing and may name any address, beyond the region too; it is part of
        // SSE, which every x86-64 processor has.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch};
            let line = start.wrapping_add(line).cast::<i8>();
            if WRITTEN { _mm_prefetch::<_MM_HINT_ET0>(line) } else { _mm_prefetch::<_MM_HINT_T0>(line) }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, offset, len);
}

impl Region for Bytes {
    #[inline]
    fn expect(&self, offset: usize, len: usize) {
        prefetch::<false>(self.start, offset, len);
    }

    #[inline]
    fn len(&self) -> usize {
        self.len
    }

    /// # Panics
    /// If `offset` is not a multiple of 8 or the word is not inside the region.
    #[inline]
    fn word(&self, offset: usize) -> u64 {
        let value = self.peek(offset);
        // An Acquire load of read-only memory is not promised to work; a Relaxed one and this fence are.
        fence(Ordering::Acquire);
        value
    }

    /// # Panics
    /// If they are not all inside the region.
    #[inline]
    fn committed(&self, offset: usize, len: usize) -> &[u8] {
        assert!(offset <= self.len && self.len - offset >= len);
        // SAFETY: 1, 5 (the slice borrows `self`, which shares the owner) and 4 (the caller has seen the first word
        // non-zero, so the writer is done with these bytes for good). Any bit pattern is a `u8`. The length may be
        // wrong only in a damaged file, and damage is never written to: recovery seals the segment.
        unsafe { std::slice::from_raw_parts(self.start.add(offset), len) }
    }

    fn last_nonzero(&self, from: usize, to: usize) -> Option<usize> {
        (from / 8..to / 8).rev().find(|word| self.peek(word * 8) != 0).map(|word| word * 8 + 8)
    }

    /// Faults the pages of a range in for writing, so that no append does. Kernels before 5.14 cannot; there the
    /// first store to each page faults.
    fn prefault(&self, offset: usize, len: usize) -> io::Result<()> {
        let start = offset / PAGE_BYTES * PAGE_BYTES;
        let end = (offset + len).min(self.len);
        match &self.owner {
            Owner::Mapped(map) => {
                match map.advise_range(Advice::PopulateWrite, start, end.saturating_sub(start)) {
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
                    other => other,
                }
            }
            #[cfg(test)]
            Owner::Heap { .. } => Ok(()),
        }
    }

    fn sync(&self, offset: usize, len: usize) -> io::Result<()> {
        let end = (offset + len).min(self.len);
        match &self.owner {
            // msync(MS_SYNC): an fdatasync of the range, whoever has dirtied it.
            Owner::Mapped(map) if offset < end => {
                release(map, offset, end);
                map.flush_range(offset, end - offset)
            }
            _ => Ok(()),
        }
    }
}

/// Takes the whole pages of a range out of the mapping, all at once; the next access finds the same bytes in the page
/// cache. What is mapped for writing the kernel takes out of it page by page before it writes the page to disk, and
/// interrupts every core for each, that of the engine too.
fn release(map: &MmapRaw, offset: usize, end: usize) {
    let (start, end) = (offset / PAGE_BYTES * PAGE_BYTES, end / PAGE_BYTES * PAGE_BYTES);
    if start < end {
        // SAFETY: the mapping is shared with its file, so the kernel keeps what was stored through it, and whoever
        // reads or writes there finds the page again. It is an advice: where the pages are locked nothing happens.
        drop(unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, end - start) });
    }
}

impl WritableBytes {
    /// Maps the first `len` bytes of `file` for the one writer.
    pub(super) fn mapped(file: &File, len: usize) -> io::Result<Self> {
        MmapOptions::new().len(len).map_raw(file).map(|map| Self(Bytes::mapped(map)))
    }

    /// Zeros on the heap. `len` is a multiple of 8.
    #[cfg(test)]
    pub(super) fn heap(len: usize) -> Self {
        let words = vec![0_u64; len / 8].into_boxed_slice();
        let words = Arc::new(HeapWords(std::cell::UnsafeCell::new(words)));
        // SAFETY: nobody else has the cell yet. The pointer is good while the box is not moved, which nobody can any
        // more.
        let start = unsafe { (*words.0.get()).as_mut_ptr().cast::<u8>() };
        Self(Bytes { start, len, owner: Owner::Heap { _words: words } })
    }

    /// Whether nobody else has these bytes.
    #[cfg(test)]
    pub(super) fn is_alone(bytes: &Bytes) -> bool {
        matches!(&bytes.owner, Owner::Heap { _words } if Arc::strong_count(_words) == 1)
    }

    /// Another writer's handle on the same bytes, for a writer that comes after this one is gone.
    #[cfg(test)]
    pub(super) fn succeed(bytes: &Bytes) -> Self {
        Self(bytes.clone())
    }
}

impl WritableRegion for WritableBytes {
    type Region = Bytes;

    #[inline]
    fn region(&self) -> &Bytes {
        &self.0
    }

    /// # Panics
    /// If the bytes do not fit.
    #[inline]
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset <= self.0.len && self.0.len - offset >= bytes.len());
        // SAFETY: 1, 5, and the memory is writable. 3: nobody else writes here. 4: no slice covers bytes of a frame
        // that is not committed, in this process or in another, so `bytes` does not overlap.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.start.add(offset), bytes.len()) }
        // A frame further on will be written to lines whose last writer was the kernel, when it made the page, mostly
        // on another core: without this the first frames of a page wait for it. (Measured, 96-byte frames at 1 million
        // a second: p99 215 ns without, 56 ns with, p99.9 710 ns and 100 ns.)
        prefetch::<true>(self.0.start, offset + PREFETCH_BYTES, bytes.len());
    }

    /// # Panics
    /// If `offset` is not a multiple of 8, or the word is not inside.
    #[inline]
    fn commit(&mut self, offset: usize, word: u64) {
        assert!(offset.is_multiple_of(8) && offset < self.0.len && self.0.len - offset >= 8);
        // SAFETY: 1, 2, 3 and 5, and the memory is writable. Readers load this word atomically.
        unsafe {
            AtomicU64::from_ptr(self.0.start.add(offset).cast::<u64>()).store(word, Ordering::Release);
        }
    }
}
