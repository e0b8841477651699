//! What this build is and what it runs on.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use pawl_journal::record::Time;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Version and profile of this build.
pub fn build() -> String {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("pawl {} ({profile}, {})", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH)
}

/// What identifies this build: a hash of the program's own file, so that no two programs that differ share it.
///
/// # Errors
/// If the file cannot be read.
pub fn build_hash() -> anyhow::Result<u64> {
    static HASH: OnceLock<u64> = OnceLock::new();
    if let Some(hash) = HASH.get() {
        return Ok(*hash);
    }
    let program = std::env::current_exe().context("cannot find the program's own file")?;
    let hash = hash_of_file(&program).with_context(|| format!("cannot read {}", program.display()))?;
    Ok(*HASH.get_or_init(|| hash))
}

/// The command line, as far as it fits into a run's first step.
pub fn command() -> Vec<String> {
    const BYTES_MAX: usize = 8 << 10;
    let all: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut bytes = 0;
    let fitting = all.iter().take_while(|word| {
        bytes += word.len();
        bytes <= BYTES_MAX
    });
    let mut words: Vec<String> = fitting.cloned().collect();
    if words.len() < all.len() {
        words.push(format!("(and {} more)", all.len() - words.len()));
    }
    words
}

/// Processor, kernel and cores.
pub fn describe() -> String {
    let uname = rustix::system::uname();
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let plural = if cores == 1 { "" } else { "s" };
    format!(
        "{model}, {cores} core{plural}, {} {}",
        uname.sysname().to_string_lossy(),
        uname.release().to_string_lossy()
    )
}

/// The wall-clock time.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// XXH3 of some bytes, as the journal's records hold hashes.
pub fn hash(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// The same of a file, a part at a time.
fn hash_of_file(path: &Path) -> io::Result<u64> {
    let (mut file, mut part) = (File::open(path)?, vec![0; 1 << 18]);
    let mut hasher = Xxh3::new();
    loop {
        match file.read(&mut part)? {
            0 => return Ok(hasher.digest()),
            bytes => hasher.update(&part[..bytes]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_parts_has_the_hash_of_its_bytes() {
        let home = tempfile::tempdir().expect("a directory");
        for bytes in [0, 1, (1 << 18) - 1, 1 << 18, 700_001] {
            let (path, content) = (home.path().join("file"), vec![7; bytes]);
            std::fs::write(&path, &content).expect("written");
            assert_eq!(hash_of_file(&path).expect("read"), hash(&content), "{bytes}");
        }
    }
}
