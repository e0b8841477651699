//! The place a benchmark writes in: a new directory in the one it was given, removed when it is over.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use pawl_journal::log::file_system_of;

use crate::signals::remove_at_once;

/// Left free, however much a benchmark asks for.
const RESERVE_BYTES: u64 = 256 << 20;

/// A directory of our own.
#[derive(Debug)]
pub struct Place {
    own: tempfile::TempDir,
    file_system: &'static str,
}

impl Place {
    /// A new directory in `parent`, or in the system's for temporary files.
    pub fn new(parent: Option<&Path>) -> anyhow::Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let shown = parent.display();
        let about = std::fs::metadata(&parent).with_context(|| {
            format!("cannot write journals in {shown}: name an existing directory with --dir")
        })?;
        if !about.is_dir() {
            bail!("{shown} is no directory: name one with --dir");
        }
        let file_system = match file_system_of(&parent) {
            Ok(name) => name,
            // Not passed on as it is: nothing has failed yet, the directory is the wrong one.
            Err(error) => bail!("{error}; name another directory with --dir"),
        };
        let own = tempfile::Builder::new()
            .prefix("pawl-bench-")
            .tempdir_in(&parent)
            .with_context(|| format!("cannot write in {shown}: name another directory with --dir"))?;
        remove_at_once(own.path())?;
        Ok(Self { own, file_system })
    }

    /// The file system it is on.
    pub fn file_system(&self) -> &'static str {
        self.file_system
    }

    /// The directory that was given.
    pub fn parent(&self) -> &Path {
        self.own.path().parent().unwrap_or(self.own.path())
    }

    /// Refuses a benchmark that would fill the disk. `way_out` names the option that asks for less, if there is one.
    pub fn need(&self, bytes: u64, way_out: Option<&str>) -> anyhow::Result<()> {
        let parent = self.parent();
        let space = rustix::fs::statvfs(parent)
            .with_context(|| format!("cannot see how much room there is in {}", parent.display()))?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free < bytes.saturating_add(RESERVE_BYTES) {
            let less = way_out.map(|option| format!("ask for less with {option}, or ")).unwrap_or_default();
            bail!(
                "this needs {} in {}, where {} are free (and {} stay so): {less}name another directory with --dir",
                mebibytes(bytes),
                parent.display(),
                mebibytes(free),
                mebibytes(RESERVE_BYTES),
            );
        }
        Ok(())
    }

    /// A name in it that nothing has yet.
    pub fn path(&self, name: &str) -> PathBuf {
        self.own.path().join(name)
    }

    /// Removes it, and says so if that fails.
    pub fn remove(self) -> anyhow::Result<()> {
        let path = self.own.path().to_path_buf();
        self.own.close().with_context(|| format!("cannot remove {}: remove it yourself", path.display()))
    }
}

/// Bytes on disk that a journal of `bytes` takes: whole segments, and two spares that stand ready.
pub fn allocated_bytes(bytes: u64, segment_bytes: u64) -> u64 {
    (bytes.div_ceil(segment_bytes).max(1) + 2).saturating_mul(segment_bytes)
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", crate::output::thousands(bytes >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_new_and_goes_away() {
        let home = tempfile::tempdir().unwrap();
        let place = Place::new(Some(home.path())).unwrap();
        std::fs::create_dir(place.path("journal")).unwrap();
        assert_eq!(place.parent(), home.path());
        place.need(0, None).unwrap();
        let error = place.need(u64::MAX / 2, Some("--open-gib")).unwrap_err().to_string();
        assert!(error.contains("--open-gib") && error.contains("--dir") && error.contains("free"), "{error}");
        let error = place.need(u64::MAX / 2, None).unwrap_err().to_string();
        assert!(error.contains("--dir") && !error.contains("less"), "{error}");
        place.remove().unwrap();
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_place_for_a_journal_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        std::fs::write(&file, b"").unwrap();
        for wrong in [home.path().join("missing"), file, PathBuf::from("/proc")] {
            let error = Place::new(Some(&wrong)).unwrap_err();
            assert!(error.to_string().contains("--dir"), "{error:#}");
            assert!(!wrong.join("pawl-bench-").exists());
        }
        assert_eq!(allocated_bytes(0, 4096), 3 * 4096);
    }
}
