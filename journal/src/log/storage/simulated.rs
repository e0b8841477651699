//! Simulated storage: the files of a [`Machine`] as the log sees them.
//!
//! Invariants: every call that changes something is counted before it takes effect, and between its parts, so that an
//! image can be taken there; reading is no such call.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::machine::{Call, Image, Machine};
use super::{Region, Storage, WritableRegion};
use crate::log::error::JournalError;
use crate::log::region::Bytes;

/// The directory of one journal on a simulated machine.
#[derive(Debug, Clone)]
pub(in crate::log) struct Simulated(Arc<Mutex<Machine>>);

/// The bytes of a file on a simulated machine.
#[derive(Debug, Clone)]
pub(in crate::log) struct SimulatedRegion {
    // Gone before the machine is, which uses memory again that nobody has.
    bytes: Bytes,
    storage: Simulated,
    file: u64,
    len: usize,
}

/// The same for its writer.
#[derive(Debug)]
pub(in crate::log) struct SimulatedWritable(SimulatedRegion);

/// The writer's lock.
#[derive(Debug)]
pub(in crate::log) struct SimulatedLock(Simulated);

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        self.0.machine().is_locked = false;
    }
}

impl Simulated {
    pub(in crate::log) fn new(machine: Machine) -> Self {
        Self(Arc::new(Mutex::new(machine)))
    }

    /// The machine behind it.
    pub(in crate::log) fn machine(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The images taken so far.
    pub(in crate::log) fn take_images(&self) -> Vec<Image> {
        std::mem::take(&mut self.machine().images)
    }

    fn region(&self, machine: &Machine, file: u64, len: u64) -> SimulatedRegion {
        let (bytes, len) = (machine.bytes(file), len as usize);
        SimulatedRegion { storage: self.clone(), file, bytes, len }
    }

    fn not_found(&self, doing: &'static str, name: &str) -> JournalError {
        JournalError::io(doing, &self.path(name), io::ErrorKind::NotFound.into())
    }

    fn failed(&self, doing: &'static str, name: &str) -> impl Fn(io::Error) -> JournalError {
        let path = self.path(name);
        move |error| JournalError::io(doing, &path, error)
    }

    /// Makes a file under another name and renames it; its bytes are on disk before it has its name.
    fn put_file(&self, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
        let unfinished = format!("{name}.unfinished");
        let failed = self.failed("write", &unfinished);
        let mut machine = self.machine();
        machine.call(Call::Put).map_err(failed)?;
        let file = machine.link(&unfinished);
        let _ = machine.call(Call::Other);
        machine.resize(file, bytes.len() as u64);
        machine.write(file, 0, bytes);
        let _ = machine.call(Call::Other);
        machine.sync(file, 0, bytes.len());
        let _ = machine.call(Call::Other);
        machine.rename(&unfinished, name);
        Ok(())
    }
}

impl Storage for Simulated {
    type Region = SimulatedRegion;
    type Writable = SimulatedWritable;
    type Lock = SimulatedLock;

    fn dir(&self) -> &Path {
        Path::new("simulated")
    }

    fn prepare(&self) -> Result<(), JournalError> {
        Ok(())
    }

    fn names(&self) -> Result<Vec<OsString>, JournalError> {
        let machine = self.machine();
        let top: BTreeSet<_> = machine.names().map(|name| name.split('/').next().unwrap_or(name)).collect();
        Ok(top.into_iter().map(OsString::from).collect())
    }

    fn create(&self, name: &str, len: u64) -> Result<SimulatedWritable, JournalError> {
        let mut machine = self.machine();
        let result = machine.call(Call::Create);
        let file = machine.link(name);
        result.map_err(|_| JournalError::DiskFull { dir: self.dir().to_path_buf(), wanted_bytes: len })?;
        let _ = machine.call(Call::Other);
        machine.resize(file, len);
        Ok(SimulatedWritable(self.region(&machine, file, len)))
    }

    fn reopen(&self, name: &str, len: u64) -> Result<SimulatedWritable, JournalError> {
        let mut machine = self.machine();
        let file = machine.find(name).ok_or_else(|| self.not_found("write to", name))?;
        if machine.len(file) < len {
            let _ = machine.call(Call::Other);
            machine.resize(file, len);
        }
        Ok(SimulatedWritable(self.region(&machine, file, len)))
    }

    fn open(&self, name: &str, len: u64) -> Result<SimulatedRegion, JournalError> {
        let machine = self.machine();
        let file = machine.find(name).ok_or_else(|| self.not_found("open", name))?;
        assert!(len <= machine.len(file), "{name} is opened past its end");
        Ok(self.region(&machine, file, len))
    }

    fn head(&self, name: &str, bytes: usize) -> Result<Option<(Vec<u8>, u64)>, JournalError> {
        let machine = self.machine();
        let Some(file) = machine.find(name) else { return Ok(None) };
        let len = machine.len(file);
        let head = machine.bytes(file).committed(0, bytes.min(len as usize)).to_vec();
        Ok(Some((head, len)))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
        self.put_file(name, bytes)?;
        self.sync_names()
    }

    fn put_derived(&self, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
        self.put_file(name, bytes)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), JournalError> {
        let mut machine = self.machine();
        machine.call(Call::Rename).map_err(self.failed("write", to))?;
        if machine.rename(from, to) { Ok(()) } else { Err(self.not_found("write", from)) }
    }

    fn remove(&self, name: &str) -> Result<(), JournalError> {
        let mut machine = self.machine();
        let _ = machine.call(Call::Other);
        if machine.remove(name) { Ok(()) } else { Err(self.not_found("write", name)) }
    }

    fn rewrite(&self, name: &str, from: usize, to: usize) -> Result<(), JournalError> {
        let mut machine = self.machine();
        let _ = machine.call(Call::Other);
        let file = machine.find(name).ok_or_else(|| self.not_found("write to", name))?;
        machine.rewrite(file, from, to);
        Ok(())
    }

    fn sync_names(&self) -> Result<(), JournalError> {
        let mut machine = self.machine();
        machine.call(Call::SyncNames).map_err(self.failed("sync", ""))?;
        machine.sync_names();
        Ok(())
    }

    fn lock(&self) -> Result<SimulatedLock, JournalError> {
        if std::mem::replace(&mut self.machine().is_locked, true) {
            return Err(JournalError::Locked { dir: self.dir().to_path_buf() });
        }
        Ok(SimulatedLock(self.clone()))
    }

    fn is_locked(&self) -> bool {
        self.machine().is_locked
    }

    fn random(&self) -> Result<u64, JournalError> {
        Ok(self.machine().random.next())
    }
}

impl Region for SimulatedRegion {
    fn len(&self) -> usize {
        self.len
    }

    fn word(&self, offset: usize) -> u64 {
        assert!(offset + 8 <= self.len);
        self.bytes.word(offset)
    }

    fn committed(&self, offset: usize, len: usize) -> &[u8] {
        assert!(offset + len <= self.len);
        self.bytes.committed(offset, len)
    }

    fn last_nonzero(&self, from: usize, to: usize) -> Option<usize> {
        assert!(to <= self.len);
        self.storage.machine().last_nonzero(self.file, from, to)
    }

    fn prefault(&self, _offset: usize, _len: usize) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self, offset: usize, len: usize) -> io::Result<()> {
        let mut machine = self.storage.machine();
        match machine.call(Call::Sync) {
            Ok(()) => machine.sync(self.file, offset, len),
            Err(error) => {
                machine.drop_dirty(self.file, offset, len);
                return Err(error);
            }
        }
        Ok(())
    }
}

impl WritableRegion for SimulatedWritable {
    type Region = SimulatedRegion;

    fn region(&self) -> &SimulatedRegion {
        &self.0
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.0.len);
        let mut machine = self.0.storage.machine();
        let _ = machine.call(Call::Other);
        // A process can die with half of it done.
        let half = machine.random.below(bytes.len() + 1);
        machine.write(self.0.file, offset, &bytes[..half]);
        let _ = machine.call(Call::Other);
        machine.write(self.0.file, offset + half, &bytes[half..]);
    }

    fn commit(&mut self, offset: usize, word: u64) {
        assert!(offset + 8 <= self.0.len);
        let mut machine = self.0.storage.machine();
        let _ = machine.call(Call::Other);
        machine.commit(self.0.file, offset, word);
    }
}
