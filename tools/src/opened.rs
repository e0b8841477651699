//! `Opened`: a journal, or a bundle unpacked for as long as a command needs it. The one place that tells the two apart.
//!
//! ```text
//!  directory -------------------------------------------> the journal
//!  file ------ checked, unpacked --> $TMPDIR/pawl-bundle-XXXXXX/journal --> the journal; removed when the command ends
//! ```
//!
//! Invariant: what was unpacked is gone when the command ends, also by a signal.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use pawl_replay::ModelSource;
use pawl_replay::bundle::{JOURNAL, MODELS, Manifest, check_journal, unpack};
use tempfile::TempDir;

use crate::machine;
use crate::output::Bar;
use crate::session::models_in;
use crate::signals::remove_at_once;

/// A journal that a command reads.
pub struct Opened {
    /// What the user named.
    named: PathBuf,
    bundle: Option<(Manifest, TempDir)>,
}

impl Opened {
    /// Opens what `journal` names; a bundle is unpacked, and `journal` is the directory of its journal from then on.
    ///
    /// # Errors
    /// If it is a bundle that is damaged, foreign or of a later format, or there is no room for it.
    pub fn take(journal: &mut PathBuf) -> anyhow::Result<Self> {
        let named = journal.clone();
        if !journal.is_file() {
            return Ok(Self { named, bundle: None });
        }
        let home = tempfile::Builder::new().prefix("pawl-bundle-").tempdir();
        let home = home.context("cannot make a directory to unpack the bundle in")?;
        remove_at_once(home.path())?;
        let room =
            rustix::fs::statvfs(home.path()).map_or(u64::MAX, |it| it.f_bavail.saturating_mul(it.f_frsize));
        let bar = Bar::new("unpacking", 1);
        let manifest = unpack(&named, home.path(), room, |done, all| {
            bar.set_total(all);
            bar.set(done);
        })?;
        check_journal(&named, home.path(), &manifest)?;
        *journal = home.path().join(JOURNAL);
        Ok(Self { named, bundle: Some((manifest, home)) })
    }

    /// What the user named.
    pub fn named(&self) -> &Path {
        &self.named
    }

    /// Whether it is a bundle.
    pub fn is_bundle(&self) -> bool {
        self.bundle.is_some()
    }

    /// The folder in which a recomputation finds the models: the one the user named, or that of the bundle. None is where
    /// the run had them.
    pub fn models_folder(&self, named: Option<&Path>) -> Option<PathBuf> {
        let inside = self.bundle.as_ref().map(|(_, home)| home.path().join(MODELS));
        named.map(Path::to_path_buf).or(inside)
    }

    /// Where a recomputation finds the models.
    pub fn models(&self, named: Option<&Path>) -> ModelSource {
        let folder = self.models_folder(named);
        ModelSource {
            models: models_in(folder.as_deref().unwrap_or(Path::new("."))),
            as_recorded: folder.is_none(),
        }
    }

    /// Refuses a bundle from whose snapshot this build can rebuild no state.
    pub fn check_state(&self) -> anyhow::Result<()> {
        let Some((manifest, _)) = &self.bundle else { return Ok(()) };
        let Some(snapshot) = &manifest.snapshot else { return Ok(()) };
        let build_hash = format!("{:016x}", machine::build_hash()?);
        if snapshot.build_hash != build_hash {
            bail!(
                "{} begins at step {} behind a snapshot that only the build which took it reads: {}, {}; this is {}, \
                 {build_hash}. Use that build, or bundle from the beginning of the journal (`pawl bundle` without --from), \
                 which every build can replay. `pawl tail`, `verify`, `chain` and `diff` read this one",
                self.named.display(),
                manifest.replay_from,
                snapshot.build,
                snapshot.build_hash,
                machine::build()
            );
        }
        Ok(())
    }
}
