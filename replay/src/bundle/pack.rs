//! Making a bundle: which files, their hashes, then all of them in one stream.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use pawl_engine::snapshot::{Snapshot, Snapshots};
use pawl_journal::log::{Reader, Slice, SliceFile, run_start, slice};
use pawl_journal::record::{RunStarted, Sequence};
use sha2::{Digest as _, Sha256};

use super::error::BundleError;
use super::manifest::{FORMAT, FileTold, MANIFEST, Manifest, SnapshotTold};
use super::{END_HEAD, hex};
use crate::error::ReplayError;
use crate::recompute::ModelSource;
use crate::replay::{Scope, check_scope};
use crate::settings::{RunTold, told};

/// What is to be bundled.
#[derive(Debug)]
pub struct PackOptions {
    /// The first step to be replayed; the journal's first if none.
    pub from: Option<Sequence>,
    /// The last step; the last that is committed if none.
    pub until: Option<Sequence>,
    /// Where the models of the journal's runs are; none leaves them out.
    pub models: Option<ModelSource>,
    /// What identifies this build, whose snapshots can be relied on.
    pub build_hash: u64,
    /// The same, for people.
    pub build: String,
}

/// A file on its way into the bundle.
enum Content {
    Slice(SliceFile),
    File(PathBuf),
    Bytes(Vec<u8>),
}

/// Writes a bundle. `progress` is told the bytes read and those of all, and may end it; every file is read twice.
///
/// # Errors
/// [`ReplayError`] if the journal cannot be read, does not hold the steps, or needs a snapshot or a model that is not
/// there; [`ReplayError::Stopped`] if `progress` ended it; [`ReplayError::Bundle`] if the bundle cannot be written to `out`, which `place` names.
pub fn pack(
    directory: &Path,
    options: &PackOptions,
    (out, place): (&mut dyn Write, &Path),
    mut progress: impl FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Manifest, ReplayError> {
    let run = told(directory)?;
    check_scope(directory, Scope { from: options.from, until: options.until, ..Scope::default() })?;
    let snapshot = snapshot_for(directory, options)?;
    let slice = slice_for(directory, options, snapshot.as_ref())?;
    // What begins with the journal needs none, and is replayed by any build.
    let snapshot = snapshot.filter(|_| slice.first.0 > 1);
    let mut contents = contents_beside(directory, options, &run, snapshot.as_ref())?;
    for file in slice.files {
        contents.insert(format!("journal/{}", file.name), Content::Slice(file));
    }
    let sizes = contents.values().map(Content::bytes).collect::<Result<Vec<_>, _>>()?;
    let (mut done, all) = (0, 2 * sizes.iter().sum::<u64>());
    let is_stopped = Cell::new(false);
    let mut read_on = |read: u64| {
        done += read;
        let flow = progress(done, all);
        is_stopped.set(flow.is_break());
        flow
    };
    let ended = |error: BundleError| if is_stopped.get() { ReplayError::Stopped } else { error.into() };
    let mut files = Vec::new();
    for ((path, content), bytes) in contents.iter().zip(sizes) {
        let sha256 = hash_of(path, content, &mut read_on).map_err(ended)?;
        files.push(FileTold { path: path.clone(), bytes, sha256 });
    }
    let start = run_start(directory)?.ok_or(ReplayError::NoSettings { sequence: slice.first })?;
    let started = start.get::<RunStarted>().copied().unwrap_or_default();
    let manifest = Manifest {
        format: FORMAT,
        journal_id: hex(&Reader::open(directory)?.journal_id()),
        first_step: slice.first.0,
        last_step: slice.last.0,
        replay_from: snapshot.as_ref().map_or(1, |it| it.sequence + 1),
        build: run.environment.build,
        build_hash: format!("{:016x}", started.build_hash),
        bundled_by: options.build.clone(),
        platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        snapshot: snapshot.map(|it| SnapshotTold {
            step: it.sequence,
            build: options.build.clone(),
            build_hash: format!("{:016x}", it.build_hash),
        }),
        files,
    };
    write(&manifest, &contents, out, place, &mut read_on).map_err(ended)?;
    Ok(manifest)
}

/// The snapshot that a replay of the range begins behind; none if it begins with the journal.
fn snapshot_for(directory: &Path, options: &PackOptions) -> Result<Option<Snapshot>, ReplayError> {
    let reader = Reader::open(directory)?;
    let (first, snapshots) = (reader.first_sequence()?, Snapshots::of(directory));
    let newest =
        |until| snapshots.newest(reader.journal_id(), options.build_hash, Sequence(until), |_, _| {});
    let found = match options.from {
        Some(from) => newest(from.0.saturating_sub(1))?,
        None if first.0 <= 1 => None,
        // The oldest that what is left of the journal goes on from.
        None => {
            let mut oldest = None;
            for file in snapshots.list()?.iter().filter(|file| file.sequence >= first) {
                oldest = newest(file.sequence.0)?.filter(|it| it.sequence == file.sequence.0);
                if oldest.is_some() {
                    break;
                }
            }
            oldest
        }
    };
    match found {
        None if first.0 > 1 => Err(BundleError::NoSnapshot { first: first.0 }.into()),
        found => Ok(found),
    }
}

/// The steps.
fn slice_for(
    directory: &Path,
    options: &PackOptions,
    snapshot: Option<&Snapshot>,
) -> Result<Slice, ReplayError> {
    let until = options.until.map_or_else(|| Reader::open(directory)?.last_sequence(), Ok)?;
    // The snapshot's own last step is in it: by that it is known to be of this history.
    let from = snapshot.map_or(Sequence(1), |it| Sequence(it.sequence));
    let slice = slice(directory, from, until)?;
    // Not asked for, what has a name now is all that is committed as far as the bundle is concerned.
    if slice.last < until && options.until.is_some() {
        return Err(BundleError::Unnamed { until: until.0, last: slice.last.0 }.into());
    }
    Ok(slice)
}

/// The files beside the steps, by their path in the bundle.
fn contents_beside(
    directory: &Path,
    options: &PackOptions,
    run: &RunTold,
    snapshot: Option<&Snapshot>,
) -> Result<BTreeMap<String, Content>, ReplayError> {
    let mut contents = BTreeMap::new();
    contents.insert("settings.json".to_owned(), Content::Bytes(run.text.clone().into_bytes()));
    let environment = serde_json::to_vec_pretty(&run.environment).expect("texts are JSON");
    contents.insert("environment.json".to_owned(), Content::Bytes(environment));
    if let Some(snapshot) = snapshot {
        for ending in ["snapshot", "verified"] {
            let name = format!("{:020}.{ending}", snapshot.sequence);
            let path = directory.join("snapshots").join(&name);
            contents.insert(format!("journal/snapshots/{name}"), Content::File(path));
        }
    }
    if let Some(source) = &options.models {
        models_of(run, source, &mut contents)?;
    }
    Ok(contents)
}

/// The models that the journal names, each by the hash of its file.
fn models_of(
    run: &RunTold,
    source: &ModelSource,
    contents: &mut BTreeMap<String, Content>,
) -> Result<(), ReplayError> {
    for agent in &run.settings.engine.agents {
        let Some(reference) = &agent.model else { continue };
        let place = run.environment.models.get(reference).filter(|_| source.as_recorded);
        let files = source.models.open(&agent.name, place.unwrap_or(reference))?;
        let hash = hex(&Sha256::digest(&files.model));
        if reference.strip_prefix("sha256:") != Some(&hash) {
            return Err(BundleError::OtherModel { agent: agent.name.clone(), hash: reference.clone() }.into());
        }
        contents.insert(format!("models/{hash}/model.onnx"), Content::Bytes(files.model));
        contents.insert(format!("models/{hash}/manifest.json"), Content::Bytes(files.manifest));
    }
    Ok(())
}

impl Content {
    fn bytes(&self) -> Result<u64, BundleError> {
        match self {
            Self::Slice(file) => Ok(file.bytes),
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::File(path) => {
                let metadata = path.metadata().map_err(|error| BundleError::io("read", path, error))?;
                Ok(metadata.len())
            }
        }
    }

    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        match self {
            Self::Slice(file) => file.open(),
            Self::Bytes(bytes) => Ok(Box::new(bytes.as_slice())),
            Self::File(path) => Ok(Box::new(File::open(path)?)),
        }
    }
}

fn hash_of(
    path: &str,
    content: &Content,
    told: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<String, BundleError> {
    let failed = |error| BundleError::io("read", Path::new(path), error);
    let mut hashing = Hashing::new(content.open().map_err(failed)?, told);
    io::copy(&mut BufReader::with_capacity(CHUNK_BYTES, &mut hashing), &mut io::sink()).map_err(failed)?;
    Ok(hashing.finish())
}

/// How much is read at once.
const CHUNK_BYTES: usize = 1 << 18;

/// A reader that hashes what it reads, tells how much it was, and may be told to end.
struct Hashing<'a> {
    inner: Box<dyn Read + 'a>,
    hasher: Sha256,
    told: &'a mut dyn FnMut(u64) -> ControlFlow<()>,
}

impl<'a> Hashing<'a> {
    fn new(inner: Box<dyn Read + 'a>, told: &'a mut dyn FnMut(u64) -> ControlFlow<()>) -> Self {
        Self { inner, hasher: Sha256::new(), told }
    }

    fn finish(self) -> String {
        hex(&self.hasher.finalize())
    }
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        match (self.told)(read as u64) {
            ControlFlow::Continue(()) => Ok(read),
            ControlFlow::Break(()) => Err(io::Error::other("stopped")),
        }
    }
}

/// A writer that hashes what it writes.
struct Sealed<'a> {
    inner: &'a mut dyn Write,
    hasher: Sha256,
}

impl Write for Sealed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn write(
    manifest: &Manifest,
    contents: &BTreeMap<String, Content>,
    out: &mut dyn Write,
    place: &Path,
    told: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<(), BundleError> {
    let failed = |error| BundleError::io("write", place, error);
    let mut sealed = Sealed { inner: out, hasher: Sha256::new() };
    let compressed = zstd::Encoder::new(&mut sealed, zstd::DEFAULT_COMPRESSION_LEVEL).map_err(failed)?;
    let mut archive = tar::Builder::new(compressed);
    let text = serde_json::to_vec_pretty(manifest).expect("texts and numbers are JSON");
    archive.append(&header(MANIFEST, text.len() as u64).map_err(failed)?, text.as_slice()).map_err(failed)?;
    for ((path, content), file) in contents.iter().zip(&manifest.files) {
        let read = |error| BundleError::io("read", Path::new(path), error);
        let mut hashing = Hashing::new(content.open().map_err(read)?, told);
        let whole = BufReader::with_capacity(CHUNK_BYTES, (&mut hashing).take(file.bytes));
        archive.append(&header(path, file.bytes).map_err(failed)?, whole).map_err(failed)?;
        if hashing.finish() != file.sha256 {
            return Err(BundleError::Changed { name: path.clone() });
        }
    }
    archive.into_inner().and_then(zstd::Encoder::finish).map_err(failed)?;
    let Sealed { inner, hasher } = sealed;
    inner.write_all(&END_HEAD).and_then(|()| inner.write_all(&hasher.finalize())).map_err(failed)
}

/// The header of a regular file without owner and time: they are no property of what is bundled.
fn header(path: &str, bytes: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path)?;
    header.set_size(bytes);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}
