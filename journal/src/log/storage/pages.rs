//! A file of the simulated machine, by its pages: what of it is in memory and what is on disk.
//!
//! Invariants: a page that is neither dirty nor dropped is the same in both; memory that nobody has any
//! more is used again, as zeros.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::log::region::{Bytes, PAGE_BYTES, WritableBytes};
use crate::log::storage::{Region as _, WritableRegion as _};

/// Most files' memory that is kept for other files.
const ZEROS_MAX: usize = 64;

/// A page.
pub(super) type Page = Arc<[u8; PAGE_BYTES]>;

/// A file, whatever its names are.
#[derive(Debug)]
pub(super) struct File {
    /// What everybody reads.
    pub(super) bytes: Bytes,
    pub(super) len: u64,
    pub(super) durable_len: u64,
    /// Pages on disk; zeros where there is none.
    pub(super) durable: BTreeMap<usize, Page>,
    /// Pages that differ in memory, and that a sync writes.
    pub(super) dirty: BTreeSet<usize>,
    /// Pages that differ in memory, and that no sync writes: an earlier one could not.
    dropped: BTreeSet<usize>,
    /// Pages that were ever written.
    pub(super) touched: BTreeSet<usize>,
}

impl File {
    /// Zeros, not on disk.
    pub(super) fn new(len: u64) -> Self {
        // Few lengths, so that there is mostly one to use again.
        let bytes = take_zeros((len as usize).next_power_of_two().max(PAGE_BYTES));
        Self {
            bytes,
            len,
            durable_len: 0,
            durable: BTreeMap::new(),
            dirty: BTreeSet::new(),
            dropped: BTreeSet::new(),
            touched: BTreeSet::new(),
        }
    }

    /// An empty file that had a length.
    pub(super) fn of_len(durable_len: u64) -> Self {
        let mut file = Self::new(0);
        file.durable_len = durable_len;
        file
    }

    /// A page in memory.
    pub(super) fn page(&self, page: usize) -> Page {
        let bytes = self.bytes.committed(page * PAGE_BYTES, PAGE_BYTES);
        Arc::new(bytes.try_into().expect("a page"))
    }

    /// A page on disk.
    pub(super) fn durable_page(&self, page: usize) -> Page {
        self.durable.get(&page).cloned().unwrap_or_else(|| Arc::new([0; PAGE_BYTES]))
    }

    /// Brings a page to disk if it differs there.
    pub(super) fn write_back(&mut self, page: usize) {
        if self.dirty.remove(&page) {
            self.durable.insert(page, self.page(page));
        }
    }

    /// Puts a page into memory.
    pub(super) fn fill(&mut self, page: usize, with: &Page) {
        WritableBytes::succeed(&self.bytes).write(page * PAGE_BYTES, &with[..]);
        self.touched.insert(page);
    }

    /// The same file for another process.
    pub(super) fn copy(&self) -> Self {
        let mut copy = Self::new(self.len);
        for page in &self.touched {
            let from = self.bytes.committed(page * PAGE_BYTES, PAGE_BYTES);
            WritableBytes::succeed(&copy.bytes).write(page * PAGE_BYTES, from);
        }
        copy.durable_len = self.durable_len;
        copy.durable.clone_from(&self.durable);
        copy.dirty.clone_from(&self.dirty);
        copy.dropped.clone_from(&self.dropped);
        copy.touched.clone_from(&self.touched);
        copy
    }

    /// Gives it another length: what is new of it is zeros.
    pub(super) fn resize(&mut self, len: u64) {
        let mut longer = Self::new(len);
        for &page in self.touched.iter().filter(|page| **page * PAGE_BYTES < len as usize) {
            longer.fill(page, &self.page(page));
        }
        std::mem::swap(&mut self.bytes, &mut longer.bytes);
        (self.len, longer.touched) = (len, std::mem::take(&mut self.touched));
        self.touched.clone_from(&longer.touched);
    }

    /// The file when all of it reached the disk that was still to be written.
    pub(super) fn all_on_disk(&self, len: u64) -> Self {
        let mut new = self.copy();
        for page in std::mem::take(&mut new.dropped) {
            new.fill(page, &self.durable_page(page));
        }
        for page in std::mem::take(&mut new.dirty) {
            new.durable.insert(page, new.page(page));
        }
        new.durable_len = len;
        new
    }

    /// Stores bytes in memory.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        WritableBytes::succeed(&self.bytes).write(offset, bytes);
        self.soil(offset, bytes.len());
    }

    /// Stores a commit word in memory.
    pub(super) fn commit(&mut self, offset: usize, word: u64) {
        WritableBytes::succeed(&self.bytes).commit(offset, word);
        self.soil(offset, 8);
    }

    fn soil(&mut self, offset: usize, len: usize) {
        for page in offset / PAGE_BYTES..(offset + len).div_ceil(PAGE_BYTES) {
            self.dropped.remove(&page);
            self.dirty.insert(page);
            self.touched.insert(page);
        }
    }

    /// Stores a range of bytes over themselves. (Pages that were never written are zeros, on disk too.)
    pub(super) fn rewrite(&mut self, from: usize, to: usize) {
        let pages = from / PAGE_BYTES..to.min(self.len as usize).div_ceil(PAGE_BYTES);
        if pages.start < pages.end {
            let touched: Vec<_> = self.touched.range(pages).copied().collect();
            self.dropped.retain(|page| !touched.contains(page));
            self.dirty.extend(touched);
        }
    }

    /// Takes a page for written that is not.
    pub(super) fn drop_page(&mut self, page: usize) {
        if self.dirty.remove(&page) {
            self.dropped.insert(page);
        }
    }

    /// Pages of a range that differ on disk.
    pub(super) fn dirty_in(&self, offset: usize, len: usize) -> Vec<usize> {
        self.dirty.range(offset / PAGE_BYTES..(offset + len).div_ceil(PAGE_BYTES)).copied().collect()
    }

    /// Offset just past the last word that is not zero in `from..to`, or `None`.
    pub(super) fn last_nonzero(&self, from: usize, to: usize) -> Option<usize> {
        let pages = self.touched.range(from / PAGE_BYTES..to.div_ceil(PAGE_BYTES)).rev();
        pages.copied().find_map(|page| {
            let start = page * PAGE_BYTES;
            self.bytes.last_nonzero(from.max(start), to.min(start + PAGE_BYTES))
        })
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if WritableBytes::is_alone(&self.bytes) {
            let mut bytes = WritableBytes::succeed(&self.bytes);
            self.touched.iter().for_each(|page| bytes.write(page * PAGE_BYTES, &[0; PAGE_BYTES]));
            give_zeros(self.bytes.clone());
        }
    }
}

thread_local! {
    /// Memory of files that are gone, zeros again: the system takes long to give so much so often.
    static ZEROS: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
}

fn take_zeros(len: usize) -> Bytes {
    let again = ZEROS.with_borrow_mut(|zeros| {
        let at = zeros.iter().rposition(|bytes| bytes.len() == len)?;
        Some(zeros.swap_remove(at))
    });
    again.unwrap_or_else(|| WritableBytes::heap(len).region().clone())
}

fn give_zeros(bytes: Bytes) {
    // Nothing is kept where the thread ends.
    let _ = ZEROS.try_with(|zeros| {
        let mut zeros = zeros.borrow_mut();
        if zeros.len() < ZEROS_MAX && bytes.len() > PAGE_BYTES {
            zeros.push(bytes);
        }
    });
}
