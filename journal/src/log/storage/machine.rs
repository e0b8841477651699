//! The simulated machine: what of its files is in memory, what is on disk, and what is left when it dies.
//!
//! ```text
//!  write ---> current bytes        dirty pages          a process dies: current bytes and names stay
//!                 |  sync, or the kernel when it likes
//!                 v
//!             durable pages                             a machine dies: each dirty page is the old one, the new
//!  rename --> names > pending changes > durable names   one, or torn between them by sectors; of the pending
//!                                                       changes of names a prefix survives, in order
//! ```
//!
//! Invariants: everything that is drawn comes from the seed; a page that was synced and not written since survives; a
//! page that was never synced may come back as what some other file left at that place of the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::pages::{File, Page};
use crate::log::proof::account::Account;
use crate::log::proof::random::Random;
use crate::log::region::{Bytes, PAGE_BYTES};

/// What a disk writes whole.
const SECTOR_BYTES: usize = 512;

/// Most stale pages that are kept for one place in a file.
const STALE_MAX: usize = 4;

/// How often, of a thousand, the kernel writes a page back behind a call.
const WRITE_BACK: usize = 60;

/// A call that a test can make fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) enum Call {
    Create,
    Put,
    Rename,
    Sync,
    SyncNames,
    /// One that cannot fail.
    Other,
}

/// What died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) enum Death {
    /// The process: the kernel has everything.
    Process,
    /// The machine, and nothing was lost by it.
    Lossless,
    /// The machine.
    Machine,
}

/// When images of the machine are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) enum Imaging {
    Never,
    /// At so many calls of a thousand, one.
    Some(usize),
    /// At every call, two: of the process and of the machine.
    Every,
}

/// The machine at a moment at which something died.
#[derive(Debug)]
pub(in crate::log) struct Image {
    pub(in crate::log) machine: Machine,
    pub(in crate::log) death: Death,
    /// Calls before it.
    pub(in crate::log) call: u64,
}

/// A change of the names.
#[derive(Debug, Clone)]
enum Change {
    Link(String, u64),
    Len(u64, u64),
    Rename(String, String),
    Remove(String),
}

/// A machine with the files of one journal.
#[derive(Debug)]
pub(in crate::log) struct Machine {
    /// What the journal's writer was told so far, as the harness keeps it.
    pub(in crate::log) account: Account,
    pub(in crate::log) imaging: Imaging,
    pub(in crate::log) images: Vec<Image>,
    /// The call to fail, and how many of its kind go well before.
    pub(in crate::log) failing: Option<(Call, usize)>,
    pub(in crate::log) is_locked: bool,
    pub(in crate::log) random: Random,
    calls: u64,
    files: BTreeMap<u64, File>,
    next_file: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    pending: Vec<Change>,
    /// Pages of files that are gone, by their place in them.
    stale: BTreeMap<usize, Vec<Page>>,
}

impl Machine {
    /// A machine with an empty directory.
    pub(in crate::log) fn new(random: Random) -> Self {
        Self {
            account: Account::default(),
            imaging: Imaging::Never,
            images: Vec::new(),
            failing: None,
            is_locked: false,
            random,
            calls: 0,
            files: BTreeMap::new(),
            next_file: 1,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending: Vec::new(),
            stale: BTreeMap::new(),
        }
    }

    /// Counts a call that is about to happen: the moment for an image, for the kernel, and for a failure.
    pub(in crate::log) fn call(&mut self, call: Call) -> Result<(), std::io::Error> {
        self.calls += 1;
        match self.imaging {
            Imaging::Never => {}
            Imaging::Some(per_mille) if !self.random.chance(per_mille) => {}
            Imaging::Some(_) => {
                let death = match self.random.below(8) {
                    0 => Death::Lossless,
                    1 | 2 => Death::Process,
                    _ => Death::Machine,
                };
                self.take_image(death);
            }
            Imaging::Every => {
                self.take_image(Death::Process);
                self.take_image(Death::Machine);
            }
        }
        if self.random.chance(WRITE_BACK) {
            self.write_back();
        }
        match &mut self.failing {
            Some((failing, before)) if *failing == call => {
                if *before == 0 {
                    self.failing = None;
                    return Err(std::io::Error::other("the simulated disk failed"));
                }
                *before -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes an image.
    pub(in crate::log) fn take_image(&mut self, death: Death) {
        let machine = self.die(death);
        let image = Image { machine, death, call: self.calls };
        self.images.push(image);
    }

    /// The file that a name leads to.
    pub(in crate::log) fn find(&self, name: &str) -> Option<u64> {
        self.names.get(name).copied()
    }

    /// All names.
    pub(in crate::log) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// A file's bytes.
    pub(in crate::log) fn bytes(&self, file: u64) -> Bytes {
        self.files[&file].bytes.clone()
    }

    /// A file's length.
    pub(in crate::log) fn len(&self, file: u64) -> u64 {
        self.files[&file].len
    }

    /// Begins an empty file under a name.
    pub(in crate::log) fn link(&mut self, name: &str) -> u64 {
        let file = self.next_file;
        self.next_file += 1;
        self.files.insert(file, File::new(0));
        let old = self.names.insert(name.to_owned(), file);
        self.pending.push(Change::Link(name.to_owned(), file));
        self.bury(old);
        file
    }

    /// Gives a file a length: what is new of it is zeros.
    pub(in crate::log) fn resize(&mut self, file: u64, len: u64) {
        self.files.get_mut(&file).expect("a file").resize(len);
        self.pending.push(Change::Len(file, len));
    }

    /// Gives a file another name; false if it has none.
    pub(in crate::log) fn rename(&mut self, from: &str, to: &str) -> bool {
        let Some(file) = self.names.remove(from) else { return false };
        let old = self.names.insert(to.to_owned(), file);
        self.pending.push(Change::Rename(from.to_owned(), to.to_owned()));
        self.bury(old);
        true
    }

    /// Takes a name away; false if there is none.
    pub(in crate::log) fn remove(&mut self, name: &str) -> bool {
        let old = self.names.remove(name);
        self.pending.push(Change::Remove(name.to_owned()));
        self.bury(old);
        old.is_some()
    }

    /// Makes every change of names durable.
    pub(in crate::log) fn sync_names(&mut self) {
        let changes = std::mem::take(&mut self.pending);
        self.apply(&changes);
    }

    fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Link(name, file) => {
                    self.durable_names.insert(name.clone(), *file);
                }
                Change::Len(file, len) => {
                    let file = self.files.get_mut(file).expect("a file");
                    file.durable_len = file.durable_len.max(*len);
                }
                Change::Rename(from, to) => {
                    let file = self.durable_names.remove(from).expect("a name before its change");
                    self.durable_names.insert(to.clone(), file);
                }
                Change::Remove(name) => {
                    self.durable_names.remove(name);
                }
            }
        }
    }

    /// Stores bytes in memory.
    pub(in crate::log) fn write(&mut self, file: u64, offset: usize, bytes: &[u8]) {
        self.files.get_mut(&file).expect("a file").write(offset, bytes);
    }

    /// Stores a commit word in memory.
    pub(in crate::log) fn commit(&mut self, file: u64, offset: usize, word: u64) {
        self.files.get_mut(&file).expect("a file").commit(offset, word);
    }

    /// Makes a range of a file durable, and the file's length.
    pub(in crate::log) fn sync(&mut self, file: u64, offset: usize, len: usize) {
        let file = self.files.get_mut(&file).expect("a file");
        for page in file.dirty_in(offset, len) {
            file.write_back(page);
        }
        file.durable_len = file.len;
    }

    /// Stores a range of bytes over themselves.
    pub(in crate::log) fn rewrite(&mut self, file: u64, from: usize, to: usize) {
        self.files.get_mut(&file).expect("a file").rewrite(from, to);
    }

    /// A sync that failed: the kernel may take pages for clean that it could not write. Memory shows them as they were
    /// to be, to the next process too, and nothing that it can ask tells it: only the death of the machine shows what
    /// is on disk.
    pub(in crate::log) fn drop_dirty(&mut self, file: u64, offset: usize, len: usize) {
        let file = self.files.get_mut(&file).expect("a file");
        for page in file.dirty_in(offset, len) {
            if self.random.chance(500) {
                file.drop_page(page);
            }
        }
    }

    /// Offset just past the last word that is not zero in `from..to`, or `None`.
    pub(in crate::log) fn last_nonzero(&self, file: u64, from: usize, to: usize) -> Option<usize> {
        self.files[&file].last_nonzero(from, to)
    }

    /// The kernel writes something back because it likes to: a page, or the first of the changes of names.
    fn write_back(&mut self) {
        let count: usize = self.files.values().map(|file| file.dirty.len()).sum();
        if count == 0 || self.random.chance(200) {
            if !self.pending.is_empty() {
                let first = self.pending.remove(0);
                self.apply(&[first]);
            }
            return;
        }
        let mut nth = self.random.below(count);
        for file in self.files.values_mut() {
            if let Some(&page) = file.dirty.iter().nth(nth) {
                file.write_back(page);
                return;
            }
            nth -= file.dirty.len();
        }
    }

    /// Keeps what a file that lost its last name leaves on the disk.
    fn bury(&mut self, file: Option<u64>) {
        let Some(file) = file.and_then(|file| self.files.get(&file)) else { return };
        let pages: Vec<_> = file.touched.iter().map(|page| (*page, file.page(*page))).collect();
        pages.into_iter().for_each(|(place, page)| bury(&mut self.stale, place, page));
    }

    /// The machine as the next process finds it.
    pub(in crate::log) fn die(&mut self, death: Death) -> Self {
        let random = self.random.fork();
        if death == Death::Process {
            let mut next = self.copy();
            (next.account, next.random) = (self.account.at_death(death), random);
            return next;
        }
        let mut next = Self::new(random);
        next.next_file = self.next_file;
        next.calls = self.calls;
        next.stale.clone_from(&self.stale);
        next.account = self.account.at_death(death);
        let survive = match death {
            Death::Lossless => self.pending.len(),
            _ => next.random.below(self.pending.len() + 1),
        };
        next.durable_names.clone_from(&self.durable_names);
        // Only the lengths of these are needed to go through the changes.
        let only_len = |(id, file): (u64, &File)| (id, File::of_len(file.durable_len));
        next.files = self.named().map(only_len).collect();
        next.apply(&self.pending[..survive]);
        next.names.clone_from(&next.durable_names);
        let lens: Vec<_> = next.durable_names.values().map(|id| (*id, next.files[id].durable_len)).collect();
        next.files.clear();
        let losses = Losses::draw(&mut next.random);
        for (id, len) in lens {
            let file = match death {
                Death::Lossless => self.files[&id].all_on_disk(len),
                _ => next.after_power_loss(&self.files[&id], len, losses),
            };
            next.files.insert(id, file);
        }
        next
    }

    /// The same machine once more, with nobody at work.
    pub(in crate::log) fn copy(&self) -> Self {
        let mut copy = Self::new(self.random.clone());
        copy.account = self.account.clone();
        copy.calls = self.calls;
        copy.next_file = self.next_file;
        copy.stale.clone_from(&self.stale);
        copy.names.clone_from(&self.names);
        copy.durable_names.clone_from(&self.durable_names);
        copy.pending.clone_from(&self.pending);
        copy.files = self.named().map(|(id, file)| (id, file.copy())).collect();
        copy
    }

    /// Files that a name leads to, now or on disk or on the way there.
    fn named(&self) -> impl Iterator<Item = (u64, &File)> {
        let pending = self.pending.iter().filter_map(|change| match change {
            Change::Link(_, file) | Change::Len(file, _) => Some(*file),
            _ => None,
        });
        let mut ids: BTreeSet<u64> = pending.collect();
        ids.extend(self.names.values());
        ids.extend(self.durable_names.values());
        ids.into_iter().map(|id| (id, &self.files[&id]))
    }

    fn after_power_loss(&mut self, old: &File, len: u64, losses: Losses) -> File {
        let mut new = File::new(len);
        new.durable_len = len;
        let pages: BTreeSet<usize> = old.durable.keys().chain(&old.dirty).copied().collect();
        for place in pages.into_iter().filter(|place| place * PAGE_BYTES < len as usize) {
            let page = if old.dirty.contains(&place) {
                self.page_after_power_loss(old, place, losses)
            } else {
                old.durable[&place].clone()
            };
            new.fill(place, &page);
            new.durable.insert(place, page);
        }
        new
    }

    /// A page that was not on disk as it was in memory: the old one, the new one, or some sectors of each; or, if there
    /// was no old one, what another file left there.
    fn page_after_power_loss(&mut self, old: &File, place: usize, losses: Losses) -> Page {
        let (new, before) = (old.page(place), old.durable_page(place));
        if !self.random.chance(losses.lost) {
            return new;
        }
        let stale = self.stale.get(&place).map(|pages| pages[self.random.below(pages.len())].clone());
        bury(&mut self.stale, place, new.clone());
        if !self.random.chance(losses.torn) {
            // A header is told from what never reached the disk by its blank sectors, so no other file's is put there.
            let shows_stale = losses.shows_stale && place > 0 && !old.durable.contains_key(&place);
            return stale.filter(|_| shows_stale).unwrap_or(before);
        }
        // A block counts as written when all of it is, so what is torn is torn against zeros or against itself.
        let mut torn = *before;
        for sector in 0..PAGE_BYTES / SECTOR_BYTES {
            if self.random.chance(500) {
                let range = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
                torn[range.clone()].copy_from_slice(&new[range]);
            }
        }
        Arc::new(torn)
    }
}

/// How a machine loses pages that are not on disk, of a thousand.
#[derive(Debug, Clone, Copy)]
struct Losses {
    lost: usize,
    torn: usize,
    shows_stale: bool,
}

impl Losses {
    fn draw(random: &mut Random) -> Self {
        Self {
            lost: random.pick(&[20, 100, 500, 900, 1000]),
            torn: random.pick(&[0, 0, 200, 1000]),
            shows_stale: random.chance(400),
        }
    }
}

fn bury(stale: &mut BTreeMap<usize, Vec<Page>>, place: usize, page: Page) {
    let pages = stale.entry(place).or_default();
    if pages.len() == STALE_MAX {
        pages.remove(0);
    }
    pages.push(page);
}
