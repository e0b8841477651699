//! `pawl bundle`: a part of a journal in one file, with all that a replay of it needs elsewhere.

use std::io::{BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::Args;
use pawl_journal::record::Sequence;
use pawl_replay::bundle::{Manifest, PackOptions, is_bundle, pack};
use serde_json::json;

use crate::exit::{Exit, FileError};
use crate::machine;
use crate::opened::Opened;
use crate::output::{Bar, OutFile, Replaces, say, thousands};
use crate::signals::stop_on_signals;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// Put a journal, or a part of it, with its models and settings into one file that replays elsewhere.
#[derive(Args)]
#[command(after_help = "Examples:\n  pawl bundle J --out incident.pawl\n  \
    pawl bundle J --out incident.pawl --until 20000\n  \
    pawl snapshot J --at 19000 && pawl bundle J --out incident.pawl --from 19500 --until 20000\n  \
    pawl replay incident.pawl --recompute\n\n\
    The bundle takes the place of a journal in replay, state, chain, diff, bisect, fingerprint, whatif, tail, verify, \
    report, slowest and export: it is checked, unpacked to a temporary directory, read, and removed. It is a tar compressed with zstd \
    (`tar --zstd -tf`), whose manifest.json lists every file with its SHA-256; the same part of the same journal is \
    the same bytes.\n\n\
    Segments are whole, up to the last step. With --from the bundle begins with the segment that goes on from the \
    newest verified snapshot of this build before N; with the journal if there is none. A snapshot is read only by the \
    build that took it: for another build leave --from away. Of a journal that is being written, what is committed now \
    is bundled.\n\n\
    Ctrl-C leaves nothing behind.\n\n\
    Exit codes: 0 done, 2 unusable, 3 the environment failed, 130 stopped.")]
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
    /// Replace a bundle that is there
    #[arg(long)]
    replace: bool,
    /// Print the manifest as JSON
    #[arg(long)]
    json: bool,
}

impl Bundle {
    /// Runs the command.
    pub fn run(mut self) -> anyhow::Result<Exit> {
        let replaces = if self.replace {
            Replaces::Own("a bundle", is_bundle)
        } else {
            Replaces::Nothing("name another file, or give --replace")
        };
        let file = OutFile::check("--out", &self.out, replaces)?;
        let opened = Opened::take(&mut self.journal)?;
        opened.check_state()?;
        let options = PackOptions {
            from: self.from.map(Sequence),
            until: self.until.map(Sequence),
            models: (!self.without_models).then(|| opened.models(self.models.as_deref())),
            build_hash: machine::build_hash()?,
            build: machine::build(),
        };
        let stop = stop_on_signals()?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, file.create()?);
        let bar = Bar::new("bundling", 1);
        let manifest = pack(&self.journal, &options, (&mut out, &self.out), |done, all| {
            bar.set_total(all);
            bar.set(done);
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        drop(bar);
        let failed = FileError::of(&self.out);
        out.flush().map_err(&failed)?;
        let bytes = file.keep(out.into_inner().map_err(|error| failed(error.into_error()))?)?;
        self.print(&manifest, bytes)?;
        Ok(Exit::Yes)
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
