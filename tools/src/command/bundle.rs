//! `pawl bundle`: a part of a journal in one file, with all that a replay of it needs elsewhere.

use std::fs::Permissions;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use pawl_journal::record::Sequence;
use pawl_replay::bundle::{Manifest, PackOptions, pack};
use serde_json::json;

use crate::exit::{Exit, OutputError};
use crate::machine;
use crate::opened::Opened;
use crate::output::{Bar, say, thousands};

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// Put a journal, or a part of it, with its models and settings into one file that replays elsewhere.
#[derive(Args)]
#[command(after_help = "Examples:\n  pawl bundle J --out incident.pawl\n  \
    pawl bundle J --out incident.pawl --until 20000\n  \
    pawl snapshot J --at 19000 && pawl bundle J --out incident.pawl --from 19500 --until 20000\n  \
    pawl replay incident.pawl --recompute\n\n\
    The bundle takes the place of a journal in replay, state, chain, diff, whatif, tail, verify, report, slowest and \
    export: it is checked, unpacked to a temporary directory, read, and removed. It is a tar compressed with zstd \
    (`tar --zstd -tf`), whose manifest.json lists every file with its SHA-256; the same part of the same journal is \
    the same bytes.\n\n\
    Segments are whole, up to the last step. With --from the bundle begins with the segment that goes on from the \
    newest verified snapshot of this build before N; with the journal if there is none. A snapshot is read only by the \
    build that took it: for another build leave --from away. Of a journal that is being written, what is committed now \
    is bundled.\n\n\
    Exit codes: 0 done, 2 unusable, 3 the environment failed.")]
pub struct Bundle {
    /// Directory of the journal
    journal: PathBuf,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The first step that can be replayed; the journal's first if none is given
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// The last step; the last that is committed if none is given
    #[arg(long, value_name = "N")]
    until: Option<u64>,
    /// The folder that holds the models' folders; the places the run recorded if none is given
    #[arg(long, value_name = "DIR", conflicts_with = "without_models")]
    models: Option<PathBuf>,
    /// Leave the models out, which only `pawl replay --recompute` needs
    #[arg(long)]
    without_models: bool,
    /// Replace a file that is there
    #[arg(long)]
    replace: bool,
    /// Print the manifest as JSON
    #[arg(long)]
    json: bool,
}

impl Bundle {
    /// Runs the command.
    pub fn run(mut self) -> anyhow::Result<Exit> {
        let folder = self.check_place()?;
        let opened = Opened::take(&mut self.journal)?;
        opened.check_state()?;
        let options = PackOptions {
            from: self.from.map(Sequence),
            until: self.until.map(Sequence),
            models: (!self.without_models).then(|| opened.models(self.models.as_deref())),
            build_hash: machine::build_hash()?,
            build: machine::build(),
        };
        let cannot = || format!("cannot write {}", self.out.display());
        // Under a name of its own until it is whole; dropped, it is gone.
        let readable = Permissions::from_mode(0o666);
        let unfinished =
            tempfile::Builder::new().permissions(readable).tempfile_in(&folder).with_context(cannot)?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, unfinished);
        let bar = Bar::new("bundling", 1);
        let manifest = pack(&self.journal, &options, (&mut out, &self.out), |done, all| {
            bar.set_total(all);
            bar.set(done);
        })?;
        drop(bar);
        out.flush().map_err(OutputError)?;
        let unfinished = out.into_inner().map_err(|error| OutputError(error.into_error()))?;
        unfinished.as_file().sync_all().map_err(OutputError)?;
        let bytes = unfinished.as_file().metadata().map_err(OutputError)?.len();
        let kept = if self.replace {
            unfinished.persist(&self.out)
        } else {
            unfinished.persist_noclobber(&self.out)
        };
        kept.with_context(cannot)?;
        self.print(&manifest, bytes)?;
        Ok(Exit::Yes)
    }

    /// The directory that the file goes to; refuses a place before the journal is read.
    fn check_place(&self) -> anyhow::Result<PathBuf> {
        let out = &self.out;
        let folder = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if !folder.is_dir() {
            bail!("--out {}: there is no directory {}", out.display(), folder.display());
        }
        if out.is_dir() || out.file_name().is_none() {
            bail!("--out {} is a directory: name a file in it", out.display());
        }
        if out.exists() && !self.replace {
            bail!("--out {} is there already: name another file, or give --replace", out.display());
        }
        Ok(folder.to_path_buf())
    }

    fn print(&self, manifest: &Manifest, bytes: u64) -> anyhow::Result<()> {
        if self.json {
            say!("{}", json!({ "path": self.out, "bytes": bytes, "manifest": manifest }));
            return Ok(());
        }
        say!("{}: {} bytes, {} unpacked", self.out.display(), thousands(bytes), thousands(manifest.bytes()));
        say!("steps {} .. {}", manifest.first_step, manifest.last_step);
        match &manifest.snapshot {
            Some(snapshot) => {
                say!(
                    "replays from step {} behind a snapshot, which only this build reads: {}, {}",
                    manifest.replay_from,
                    snapshot.build,
                    snapshot.build_hash
                );
            }
            None => say!("replays from the beginning, in every build"),
        }
        let models = manifest.files.iter().filter(|file| file.path.ends_with("model.onnx")).count();
        if models > 0 {
            say!("models for --recompute: {models}");
        }
        say!("try it: pawl replay {}", self.out.display());
        Ok(())
    }
}
