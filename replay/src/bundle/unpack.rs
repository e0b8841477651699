//! Unpacking a bundle: first whether it is what was written, then file by file what its manifest says, and nothing else.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use pawl_journal::log::{JournalError, Reader};
use sha2::{Digest as _, Sha256};

use super::error::BundleError;
use super::manifest::{FORMAT, FileTold, MANIFEST, MANIFEST_BYTES_MAX, Manifest};
use super::{END_BYTES, END_HEAD, hex};

/// Where the journal is in the directory that a bundle was unpacked in, and the folder of its models.
pub const JOURNAL: &str = "journal";
/// See [`JOURNAL`].
pub const MODELS: &str = "models";

/// What every zstd stream begins with (RFC 8878, 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Largest window that a bundle may ask for: 2 to the power of this many bytes.
const WINDOW_LOG_MAX: u32 = 27;

/// How much is read at once.
const CHUNK_BYTES: usize = 1 << 18;

/// Unpacks the bundle `file` into the empty directory `into`, if its files have no more than `room` bytes together.
/// `progress` is told the bytes done and those of all, as far as it is known.
///
/// # Errors
/// [`BundleError`]; what is in `into` then is not to be used.
pub fn unpack(
    file: &Path,
    into: &Path,
    room: u64,
    mut progress: impl FnMut(u64, u64),
) -> Result<Manifest, BundleError> {
    let packed = check_end(file, &mut progress)?;
    let damaged = |what: String| BundleError::damaged(file, what);
    let broken = |error: io::Error| damaged(format!("it cannot be unpacked ({error})"));
    let source = File::open(file).map_err(|error| BundleError::io("open", file, error))?;
    let mut decoder = zstd::Decoder::new(source.take(packed)).map_err(broken)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(broken)?;
    let mut archive = tar::Archive::new(decoder);
    // Raw: what follows is in plain sight, no entry says that another one is something else.
    let mut entries = archive.entries().map_err(broken)?.raw(true);
    let manifest = match entries.next() {
        Some(entry) => read_manifest(file, entry.map_err(broken)?)?,
        None => return Err(damaged("it is empty".to_owned())),
    };
    let (all, mut done) = (manifest.bytes(), 0);
    if all > room {
        return Err(BundleError::TooLarge { path: file.to_owned(), bytes: all, room });
    }
    for told in &manifest.files {
        let entry = entries.next().ok_or_else(|| damaged(format!("{} is missing", told.path)))?;
        let mut entry = entry.map_err(broken)?;
        check_entry(&entry, &told.path, told.bytes).map_err(damaged)?;
        let sha256 = write(&mut entry, &into.join(&told.path), told, broken, |bytes| {
            done += bytes;
            progress(done, all);
        });
        if sha256? != told.sha256 {
            return Err(damaged(format!("{} is not what its SHA-256 says", told.path)));
        }
    }
    match entries.next() {
        None => Ok(manifest),
        Some(_) => Err(damaged("there is more in it than its manifest says".to_owned())),
    }
}

/// Whether what the manifest of the bundle `file` says of its journal, unpacked in `into`, is what the journal says itself.
///
/// # Errors
/// [`BundleError::Damaged`] if it is not, or the journal cannot be read.
pub fn check_journal(file: &Path, into: &Path, manifest: &Manifest) -> Result<(), BundleError> {
    let journal = into.join(JOURNAL);
    let facts = || -> Result<(String, u64, u64), JournalError> {
        let reader = Reader::open(&journal)?;
        let id = hex(&reader.journal_id());
        Ok((id, reader.first_sequence()?.0, reader.last_sequence()?.0))
    };
    let found = facts()
        .map_err(|error| BundleError::damaged(file, format!("its journal cannot be read ({error})")))?;
    let told = (manifest.journal_id.clone(), manifest.first_step, manifest.last_step);
    if found == told && (told.1..=told.2.saturating_add(1)).contains(&manifest.replay_from) {
        return Ok(());
    }
    let (id, first, last) = found;
    let what = format!(
        "its manifest tells of steps {} to {} of journal {}, replayed from {}; in it are steps {first} to {last} of journal {id}",
        told.1, told.2, told.0, manifest.replay_from
    );
    Err(BundleError::damaged(file, what))
}

/// Whether the file begins as a bundle does; the rest of it may be damaged.
///
/// # Errors
/// If it cannot be opened.
pub fn is_bundle(file: &Path) -> io::Result<bool> {
    let mut decoder = zstd::Decoder::new(File::open(file)?)?;
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    let mut name = [0; MANIFEST.len() + 1];
    Ok(decoder.read_exact(&mut name).is_ok() && name[..] == *[MANIFEST.as_bytes(), &[0]].concat())
}

/// Whether the file ends as a bundle does, with the hash of all before; how many bytes that are.
fn check_end(file: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<u64, BundleError> {
    let failed = |error| BundleError::io("read", file, error);
    let mut source = File::open(file).map_err(|error| BundleError::io("open", file, error))?;
    let len = source.metadata().map_err(failed)?.len();
    let mut magic = [0; 4];
    let is_any = len >= 4 && source.read_exact(&mut magic).is_ok() && magic == ZSTD_MAGIC;
    if !is_any {
        return Err(BundleError::NotABundle { path: file.to_owned() });
    }
    let packed = len.saturating_sub(END_BYTES);
    source.rewind().map_err(failed)?;
    let (mut hasher, mut chunk, mut done) = (Sha256::new(), vec![0; CHUNK_BYTES], 0);
    while done < packed {
        let most = chunk.len().min((packed - done) as usize);
        source.read_exact(&mut chunk[..most]).map_err(failed)?;
        hasher.update(&chunk[..most]);
        done += most as u64;
        progress(done, packed);
    }
    let mut end = Vec::new();
    source.take(END_BYTES).read_to_end(&mut end).map_err(failed)?;
    if !end.starts_with(&END_HEAD) || end.len() as u64 != END_BYTES {
        return Err(BundleError::damaged(file, "its end is missing: it was cut short"));
    }
    if end[END_HEAD.len()..] != hasher.finalize()[..] {
        return Err(BundleError::damaged(file, "its bytes are not those that were written"));
    }
    Ok(packed)
}

fn read_manifest(file: &Path, mut entry: tar::Entry<'_, impl Read>) -> Result<Manifest, BundleError> {
    let damaged = |what: String| BundleError::damaged(file, what);
    let bytes = entry.header().entry_size().unwrap_or(u64::MAX);
    if bytes > MANIFEST_BYTES_MAX {
        return Err(damaged(format!("its manifest has {bytes} bytes")));
    }
    check_entry(&entry, MANIFEST, bytes).map_err(damaged)?;
    let mut text = Vec::new();
    entry.read_to_end(&mut text).map_err(|error| damaged(error.to_string()))?;
    let value: serde_json::Value = serde_json::from_slice(&text)
        .map_err(|error| damaged(format!("its manifest is no JSON ({error})")))?;
    let format = value.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if format > FORMAT {
        return Err(BundleError::Newer { path: file.to_owned(), format, known: FORMAT });
    }
    let manifest: Manifest =
        serde_json::from_value(value).map_err(|error| damaged(format!("its manifest is none ({error})")))?;
    match manifest.problem() {
        None => Ok(manifest),
        Some(problem) => Err(damaged(format!("its manifest is wrong: {problem}"))),
    }
}

/// What is wrong with an entry that must be the regular file of this path and size.
fn check_entry(entry: &tar::Entry<'_, impl Read>, path: &str, bytes: u64) -> Result<(), String> {
    let header = entry.header();
    if entry.path_bytes() != path.as_bytes() {
        return Err(format!(
            "{} stands where its manifest has {path}",
            String::from_utf8_lossy(&entry.path_bytes()).escape_debug()
        ));
    }
    if !header.entry_type().is_file() {
        return Err(format!("{path} is no regular file"));
    }
    match header.entry_size() {
        Ok(found) if found == bytes => Ok(()),
        _ => Err(format!("{path} has not the {bytes} bytes that its manifest says")),
    }
}

/// Writes a file and gives the SHA-256 of its bytes. Zeros become holes: a segment is mostly that.
fn write(
    entry: &mut impl Read,
    path: &Path,
    told: &FileTold,
    broken: impl Fn(io::Error) -> BundleError,
    mut progress: impl FnMut(u64),
) -> Result<String, BundleError> {
    let failed = |error| BundleError::io("write", path, error);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut out = File::options().write(true).create_new(true).open(path).map_err(failed)?;
    let (mut hasher, mut chunk) = (Sha256::new(), vec![0; CHUNK_BYTES]);
    loop {
        let read = entry.read(&mut chunk).map_err(&broken)?;
        if read == 0 {
            break;
        }
        hasher.update(&chunk[..read]);
        if chunk[..read].iter().all(|byte| *byte == 0) {
            out.seek(SeekFrom::Current(read as i64)).map_err(failed)?;
        } else {
            out.write_all(&chunk[..read]).map_err(failed)?;
        }
        progress(read as u64);
    }
    out.set_len(told.bytes).map_err(failed)?;
    Ok(hex(&hasher.finalize()))
}
