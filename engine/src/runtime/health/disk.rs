//! `Disk`: a disk that tests play: it syncs what was asked for after so many looks, or fails, or fills up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use pawl_journal::log::Supply;
use pawl_journal::record::Sequence;

use super::Health;

/// A disk that tests play; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<State>);

#[derive(Debug, Default)]
struct State {
    durable: AtomicU64,
    wanted: AtomicU64,
    /// Looks at the watermark until what was asked for is durable; 0 is never.
    looks: AtomicU64,
    looked: AtomicU64,
    supply: AtomicU8,
    failed: AtomicBool,
}

impl Disk {
    /// Makes what is asked for durable after so many looks at the watermark.
    pub(crate) fn syncing_after(looks: u64) -> Self {
        let disk = Self::default();
        disk.0.looks.store(looks, Ordering::SeqCst);
        disk
    }

    pub(crate) fn sync(&self, durable: u64) {
        self.0.durable.store(durable, Ordering::SeqCst);
    }

    pub(crate) fn fail(&self) {
        self.0.failed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn set_supply(&self, supply: Supply) {
        self.0.supply.store(supply as u8, Ordering::SeqCst);
    }

    pub(crate) fn wanted(&self) -> u64 {
        self.0.wanted.load(Ordering::SeqCst)
    }
}

impl Health for Disk {
    fn durable(&self) -> Sequence {
        let (state, looks) = (&*self.0, self.0.looks.load(Ordering::SeqCst));
        let wanted = state.wanted.load(Ordering::SeqCst);
        if looks > 0
            && wanted > state.durable.load(Ordering::SeqCst)
            && state.looked.fetch_add(1, Ordering::SeqCst) >= looks
        {
            state.looked.store(0, Ordering::SeqCst);
            state.durable.store(wanted, Ordering::SeqCst);
        }
        Sequence(state.durable.load(Ordering::SeqCst))
    }

    fn request(&self, sequence: Sequence) {
        self.0.wanted.fetch_max(sequence.0, Ordering::SeqCst);
    }

    fn failure(&self) -> Option<&str> {
        self.0.failed.load(Ordering::SeqCst).then_some("fdatasync of a played disk: I/O error")
    }

    fn supply(&self) -> Supply {
        match self.0.supply.load(Ordering::SeqCst) {
            0 => Supply::Enough,
            1 => Supply::Low,
            _ => Supply::Out,
        }
    }
}
