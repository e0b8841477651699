//! Conditions: what a number depends on and does not say.

use serde::Serialize;

use crate::machine;
use crate::output::Table;

use super::place::Place;
use super::thread::Cores;

/// What a number depends on and does not say.
#[derive(Debug, Serialize)]
pub struct Conditions {
    /// Processor, cores, kernel.
    pub machine: String,
    /// The cores used, in the order of their use.
    pub cores: Cores,
    /// The frequency governor of the first of them, if the system controls frequencies.
    pub governor: Option<String>,
    /// Cores that the kernel keeps other work off, as it lists them; empty if none.
    pub isolated: String,
    /// Processes that ran or waited in the minute before, on average.
    pub load: f64,
    /// Whether that is more than half the cores: then something else takes part in every number.
    pub is_busy: bool,
    /// Version, profile and architecture of this build.
    pub build: String,
    /// The compiler of this build.
    pub rustc: Option<&'static str>,
    /// The commit of this build, if the builder told it in `PAWL_COMMIT`.
    pub commit: Option<&'static str>,
    /// Where was written.
    pub directory: String,
    /// The file system there.
    pub file_system: &'static str,
}

impl Conditions {
    /// Those of this moment.
    pub fn now(place: &Place, cores: &Cores) -> Self {
        let core = cores.first().unwrap_or(0);
        let load = read("/proc/loadavg").unwrap_or_default();
        let load = load.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
        Self {
            machine: machine::describe(),
            cores: cores.clone(),
            governor: read(&format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor")),
            isolated: read("/sys/devices/system/cpu/isolated").unwrap_or_default(),
            load,
            is_busy: load > cores.count() as f64 / 2.0,
            build: machine::build(),
            rustc: option_env!("PAWL_RUSTC"),
            commit: option_env!("PAWL_COMMIT"),
            directory: place.parent().display().to_string(),
            file_system: place.file_system(),
        }
    }
}

impl std::fmt::Display for Conditions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let isolated = if self.isolated.is_empty() { "none" } else { &self.isolated };
        let mut table = Table::new(&[]);
        table.row(["machine", &self.machine]);
        let governor = self.governor.as_deref().unwrap_or("not under the system's control");
        table.row([
            "cores",
            &format!("{} usable, isolated: {isolated}, governor: {governor}", self.cores.count()),
        ]);
        let busy = if self.is_busy { ": the machine is busy, its numbers do not count" } else { "" };
        table.row(["load", &format!("{:.2}{busy}", self.load)]);
        table.row([
            "build",
            &format!(
                "{}, {}{}",
                self.build,
                self.rustc.unwrap_or("unknown compiler"),
                self.commit.map(|commit| format!(", commit {commit}")).unwrap_or_default()
            ),
        ]);
        table.row(["directory", &format!("{} ({})", self.directory, self.file_system)]);
        write!(f, "{table}")
    }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}
