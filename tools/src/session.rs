//! A session: from a configuration to a run, driven with progress, signals and the control socket.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use crossbeam_channel::Receiver;
use pawl_adapters::control::Server;
use pawl_adapters::feed::Ahead;
use pawl_adapters::metrics::{Metrics, MetricsServer};
use pawl_adapters::venue::{Paper, PaperSettings};
use pawl_engine::inference::{Backend, BuiltinModel, Models};
use pawl_engine::instrument::Instrument;
use pawl_engine::order::OrderSettings;
use pawl_engine::pipeline::Pipeline;
use pawl_engine::port::{Feed, Venue};
use pawl_engine::quantity::Span;
use pawl_engine::runtime::counters::catalogue::LabelNames;
use pawl_engine::runtime::counters::{CountersFile, Publisher};
use pawl_engine::runtime::{
    CommandRequest, Cores, MemoryLock, Outcome, Progress, Run, RunOptions, RunTexts, Sources, Threading,
    keep_off, lock_memory,
};
use pawl_engine::settings::{RecordedEnvironment, RecordedFeed, RecordedSettings, Settings};
use pawl_journal::log::{Cursor, CursorDamage, Durability, JournalOptions, Recovered};
use pawl_journal::record::{InstrumentId, Sequence};

use crate::config::{Config, check_live, crowded_spin};
use crate::lag::LagWatch;
use crate::machine;
use crate::output::{Bar, time_text};
use crate::shadow::RunShadow;
use crate::signals::stop_on_signals;

/// Commands that may wait for the engine at once.
const COMMANDS_MAX: usize = 64;

/// Everything a run is made of.
pub struct Session {
    config: Config,
    settings: Settings,
    models: PathBuf,
    feeds: Vec<NamedFeed>,
}

/// A feed, its instrument, and where it comes from.
pub struct NamedFeed {
    /// The feed.
    pub feed: Box<dyn Feed>,
    /// The instrument it quotes.
    pub instrument: InstrumentId,
    /// The file or the generator.
    pub origin: String,
    /// How far its clock is ahead of UTC.
    pub utc_offset: Span,
}

impl Session {
    /// A session over these feeds; models of the configuration are found from the folder `models`.
    pub fn new(config: Config, instruments: Vec<Instrument>, models: PathBuf, feeds: Vec<NamedFeed>) -> Self {
        let settings = settings_of(&config, instruments);
        Self { config, settings, models, feeds }
    }

    /// Refuses settings that no run would take. Models are loaded for it.
    pub fn check(&self) -> anyhow::Result<()> {
        self.build().map(drop)
    }

    /// What evaluates the model of each agent that has one. Models are loaded for it.
    pub fn backends(&self) -> anyhow::Result<Vec<(String, Backend)>> {
        let (pipeline, ..) = self.build()?;
        Ok(pipeline.inference.models().map(|model| (model.agent.clone(), model.backend)).collect())
    }

    /// Runs on this thread until the feeds end or `stop` is set: nothing is shown, and nobody can command it.
    pub fn backtest(self, journal: &Path, stop: Arc<AtomicBool>) -> anyhow::Result<Outcome> {
        Ok(self.begin(journal, stop, |paper| Box::new(paper))?.drive()?)
    }

    /// The run that [`Self::backtest`] drives, begun in its journal; `venue` may put something around the paper venue.
    pub fn begin(
        self,
        journal: &Path,
        stop: Arc<AtomicBool>,
        venue: impl FnOnce(Paper) -> Box<dyn Venue>,
    ) -> anyhow::Result<Run> {
        let (pipeline, paper, texts) = self.build()?;
        let (_, commands) = crossbeam_channel::bounded(0);
        let progress = self.progress();
        let (options, settings) = (self.options(), self.settings);
        let sources = sources(self.feeds, venue(paper), commands, stop);
        let prepared = Run::prepare(journal, &settings, pipeline, &texts, options, sources, &progress)?;
        Ok(prepared.begin()?)
    }

    /// Runs until the feeds end or a signal stops it. Shows progress on a terminal.
    pub fn run(self, journal: &Path) -> anyhow::Result<(Outcome, MemoryLock)> {
        let (pipeline, venue, texts) = self.build()?;
        let (commands, receiver) = crossbeam_channel::bounded(COMMANDS_MAX);
        let progress = self.progress();
        let _metrics = self.serve_metrics(&progress)?;
        let options = self.options();
        let machine = Cores::here();
        if let Some(told) = crowded_spin(options.threading, &options.waits, machine.usable().len()) {
            eprintln!("pawl: warning: {told}");
        }
        // Before any thread is started: each runs where the one that started it may.
        keep_off(&options.cores, &machine);
        let stop = stop_on_signals()?;
        let snapshot_every = self.config.runtime.snapshot_every;
        let lock = self.config.runtime.lock_memory;
        let feeds = read_ahead(self.feeds, options.threading, &machine);
        let sources = sources(feeds, Box::new(venue), receiver, stop);
        let watched = Arc::clone(&progress);
        let done = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&done);
        let interval = match options.journal.durability {
            Durability::Async(interval) => Some(interval),
            Durability::PageCache | Durability::Gated => None,
        };
        let watcher = std::thread::Builder::new()
            .name("pawl-progress".into())
            .spawn(move || watch(&watched, interval, &seen))?;
        let settings = self.settings;
        let outcome = (|| {
            let prepared = Run::prepare(journal, &settings, pipeline, &texts, options, sources, &progress);
            // A run that is refused has recovered too, and the next one finds nothing to tell any more.
            if let Some(recovered) = progress.recovered() {
                tell_recovered(journal, recovered);
            }
            let prepared = prepared?;
            let _server = Server::start(journal, commands, Arc::clone(&progress))
                .with_context(|| format!("cannot listen for `pawl ctl` in {}", journal.display()))?;
            let memory =
                lock_memory(lock).context("runtime.lock_memory = true, but memory cannot be locked")?;
            let run = prepared.begin()?;
            let _publisher = publish(journal, run.resumed_after(), &progress)?;
            let _shadow =
                RunShadow::start(journal, snapshot_every, run.resumed_after().0, Arc::clone(&progress))?;
            anyhow::Ok((run.drive()?, memory))
        })();
        done.store(true, Ordering::Release);
        watcher.thread().unpark();
        // The watcher only draws; how it ended does not matter.
        let _ = watcher.join();
        outcome
    }

    /// Serves the counters over HTTP, if the configuration says where.
    fn serve_metrics(&self, progress: &Arc<Progress>) -> anyhow::Result<Option<MetricsServer>> {
        let listen = &self.config.metrics.listen;
        if listen.is_empty() {
            return Ok(None);
        }
        let metrics = Metrics { progress: Arc::clone(progress), names: LabelNames::of(&self.settings) };
        let server = MetricsServer::start(listen, metrics)?;
        eprintln!("pawl: metrics at http://{}/metrics", server.address());
        Ok(Some(server))
    }

    fn progress(&self) -> Arc<Progress> {
        Arc::new(if self.config.runtime.counters { Progress::counted() } else { Progress::default() })
    }

    /// The pipeline, the venue, and what the journal is told of them.
    fn build(&self) -> anyhow::Result<(Pipeline, Paper, RunTexts)> {
        let paper = &self.config.venue.paper;
        let venue = Paper::new(paper, &self.settings.instruments)?;
        check_reply_timeout(paper, &self.config.order)?;
        check_live(self.config.mode, false, |name| std::env::var(name).ok())?;
        let pipeline = Pipeline::new(&self.settings, &models_in(&self.models))?;
        let texts = self.texts(&pipeline)?;
        Ok((pipeline, venue, texts))
    }

    fn options(&self) -> RunOptions {
        let runtime = &self.config.runtime;
        let machine = Cores::here();
        let is_lockstep = runtime.speed == 0.0 && self.feeds.iter().all(|it| !it.feed.is_live());
        let threading = self.config.threading.threading(machine.usable().len(), is_lockstep);
        RunOptions {
            threading,
            cores: runtime.cores.cores(threading, &machine),
            waits: runtime.wait.waits(),
            ring_slots: runtime.ring_slots,
            on_ring_full: runtime.ring_full,
            speed: (runtime.speed > 0.0).then_some(runtime.speed),
            stamps: runtime.stamps,
            journal: JournalOptions {
                segment_bytes: self.config.journal.segment_bytes,
                durability: self.durability(),
            },
        }
    }

    fn durability(&self) -> Durability {
        self.config.journal.durability.durability(self.config.mode)
    }

    fn texts(&self, pipeline: &Pipeline) -> anyhow::Result<RunTexts> {
        let feed = |it: &NamedFeed| RecordedFeed {
            symbol: self.settings.instruments[usize::from(it.instrument.0)].symbol.clone(),
            utc_offset: it.utc_offset,
        };
        let mut models = BTreeMap::new();
        let mut classes = Vec::new();
        for model in pipeline.inference.models() {
            let builtin = model.directory.starts_with("builtin:");
            let place = if builtin {
                model.directory.clone()
            } else {
                std::path::absolute(&model.directory)?.display().to_string()
            };
            models.insert(format!("sha256:{}", model.sha256), place);
            classes.push(format!("{}: {}", model.agent, serde_json::to_string(&model.classes)?));
        }
        let settings = serde_json::to_string(&RecordedSettings {
            engine: pipeline.inference.recorded_settings(&self.settings),
            venue: serde_json::json!({ "paper": self.config.venue.paper }),
            feeds: self.feeds.iter().map(feed).collect(),
            classes,
        })?;
        let environment = serde_json::to_string(&RecordedEnvironment {
            build: machine::build(),
            machine: machine::describe(),
            threading: format!("{:?}", self.options().threading).to_lowercase(),
            durability: self.durability().to_string(),
            command: machine::command(),
            started: time_text(machine::now()),
            feeds: self.feeds.iter().map(|it| it.origin.clone()).collect(),
            models,
        })?;
        Ok(RunTexts {
            settings_hash: machine::hash(settings.as_bytes()),
            build_hash: machine::build_hash()?,
            settings,
            environment,
        })
    }
}

/// Lets feeds of the past be read on threads of their own where a core is left for that beside those of the hot threads.
/// Where there is none, reading in between costs the same and hands nothing over; a live feed does not wait anyway.
fn read_ahead(feeds: Vec<NamedFeed>, threading: Threading, machine: &Cores) -> Vec<NamedFeed> {
    if machine.usable().len() <= threading.threads() {
        return feeds;
    }
    let ahead = |it: NamedFeed| {
        let feed = if it.feed.is_live() { it.feed } else { Box::new(Ahead::of(it.feed)) };
        NamedFeed { feed, ..it }
    };
    feeds.into_iter().map(ahead).collect()
}

/// What decides, of a configuration over these instruments.
pub fn settings_of(config: &Config, instruments: Vec<Instrument>) -> Settings {
    Settings {
        account: config.account.clone(),
        instruments,
        ingress: config.ingress.clone(),
        features: config.features.clone(),
        agents: config.agent.clone(),
        signal: config.signal.clone(),
        risk: config.risk.clone(),
        order: config.order.clone(),
        checkpoint: config.checkpoint,
    }
}

fn sources(
    feeds: Vec<NamedFeed>,
    venue: Box<dyn Venue>,
    commands: Receiver<CommandRequest>,
    stop: Arc<AtomicBool>,
) -> Sources {
    let feeds = feeds.into_iter().map(|it| (it.feed, it.instrument)).collect();
    Sources { feeds, venue, commands, stop }
}

/// Publishes the counters of a run behind step `after` in its journal. A run goes on without their file.
fn publish(journal: &Path, after: Sequence, progress: &Arc<Progress>) -> anyhow::Result<Publisher> {
    let file = progress.counters().and_then(|_| {
        let file = CountersFile::create(journal, Sequence(after.0 + 1), machine::now());
        file.inspect_err(|error| eprintln!("pawl: `pawl top` will not see this run: {error}")).ok()
    });
    Ok(Publisher::start(Arc::clone(progress), file)?)
}

/// Refuses a venue that answers later than an order waits.
pub fn check_reply_timeout(paper: &PaperSettings, order: &OrderSettings) -> anyhow::Result<()> {
    if paper.latency.0 + paper.latency_jitter.0 >= order.reply_timeout.0 {
        bail!(
            "order.reply_timeout = {} must be longer than venue.paper.latency = {} with its jitter: every order would \
             count as unknown before it is answered",
            order.reply_timeout,
            paper.latency
        );
    }
    Ok(())
}

/// Says what a writer that died has left, and who has seen steps that are gone.
fn tell_recovered(journal: &Path, recovered: &Recovered) {
    let last = recovered.last_sequence;
    if recovered.quarantined_bytes > 0 {
        eprintln!(
            "pawl: the writer before died: {} bytes behind step {last} were not whole or not in order, and are kept in {}/quarantine",
            recovered.quarantined_bytes,
            journal.display()
        );
        if recovered.lost_until > last {
            eprintln!(
                "pawl: among them are whole steps up to {}; the run goes on behind step {last}, and a reader that was further has seen steps that are no more",
                recovered.lost_until
            );
        }
    }
    if recovered.was_clean {
        return;
    }
    // Cursors do not stop a run, and what cannot be read of them is told by those that need them.
    let beyond: Vec<_> = Cursor::list(journal)
        .unwrap_or_default()
        .into_iter()
        .filter(|cursor| {
            matches!(cursor.damage, Some(CursorDamage::Ahead { .. } | CursorDamage::Replaced { .. }))
        })
        .map(|cursor| cursor.name)
        .collect();
    if let Some(told) = seen_gone(&beyond) {
        eprintln!("pawl: {told} (`pawl cursor list {}`)", journal.display());
    }
}

/// Which cursors have seen steps that are gone; `None` if none has.
pub fn seen_gone(cursors: &[String]) -> Option<String> {
    match cursors {
        [] => None,
        [name] => Some(format!("1 cursor has seen steps that are gone: {name}")),
        names => Some(format!("{} cursors have seen steps that are gone: {}", names.len(), names.join(", "))),
    }
}

/// The models of a folder, and those that are compiled in.
pub fn models_in(folder: &Path) -> Models {
    macro_rules! builtin {
        ($name:literal) => {
            BuiltinModel {
                name: $name,
                model: include_bytes!(concat!("../models/", $name, "/model.onnx")),
                manifest: include_bytes!(concat!("../models/", $name, "/manifest.json")),
            }
        };
    }
    Models::new(folder).with_builtin(&[builtin!("fast"), builtin!("precise")])
}

/// Draws progress until `done`, unless stderr is no terminal; says so when a journal that is to be durable after
/// `interval` is not.
fn watch(progress: &Progress, interval: Option<Duration>, done: &AtomicBool) {
    const UNITS: u64 = 10_000;
    let mut lag = interval.map(|interval| LagWatch::new(interval, Instant::now()));
    let bar = Bar::new("running", UNITS);
    while !done.load(Ordering::Acquire) {
        let status = progress.status();
        let message = if status.sequence.0 == 0 && status.restored > 0 {
            format!("restoring, step {}", status.restored)
        } else {
            format!("{} ticks, {}", status.ticks, &time_text(status.time)[..19])
        };
        if let (Some(lag), Some(watermarks)) = (&mut lag, progress.watermarks()) {
            let (durable, longest) = (watermarks.durable(), watermarks.statistics().sync_ns_max);
            let longest = Duration::from_nanos(longest);
            if let Some(waiting) = lag.look(status.sequence, durable, longest, Instant::now()) {
                eprintln!(
                    "pawl: the disk does not keep up: the steps after {durable} have been waiting for {:.1} s, and \
                     would be lost with the machine's power",
                    waiting.as_secs_f64()
                );
            }
        }
        bar.set_with((status.share * UNITS as f64) as u64, message);
        std::thread::park_timeout(Duration::from_millis(100));
    }
}
