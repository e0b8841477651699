//! `pawl doctor`: is this machine fit, and what to change.

use std::path::{Path, PathBuf};

use clap::Args;
use pawl_engine::runtime::available_cores;
use pawl_journal::log::file_system_of;
use serde::Serialize;

use crate::exit::Exit;
use crate::machine;
use crate::output::{Table, put, say};

/// Check whether this machine is fit to run the engine, and say what to change and why.
#[derive(Args)]
#[command(after_help = "Examples:\n  pawl doctor\n  pawl doctor --journal /data/journal --json\n\n\
    Exit codes: 0 nothing failed, 1 something failed. Warnings do not fail.")]
pub struct Doctor {
    /// Where the journal is to be
    #[arg(long, value_name = "DIR", default_value = ".")]
    journal: PathBuf,
    /// Print the checks as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Pass,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    grade: Grade,
    found: String,
    advice: &'static str,
}

impl Doctor {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let checks = [
            cores(),
            isolation(),
            governor(),
            clock_source(),
            huge_pages(),
            memory_lock(),
            real_time(),
            file_system(&self.journal),
            onnx_runtime(),
        ];
        let failed = checks.iter().any(|check| check.grade == Grade::Fail);
        if self.json {
            say!(
                "{}",
                serde_json::json!({ "machine": machine::describe(), "checks": checks, "fit": !failed })
            );
        } else {
            say!("{}\n{}\n", machine::build(), machine::describe());
            let mut table = Table::new(&["", "check", "found", "what to change"]);
            for check in &checks {
                let grade = match check.grade {
                    Grade::Pass => "pass",
                    Grade::Warn => "warn",
                    Grade::Fail => "FAIL",
                };
                let advice = if check.grade == Grade::Pass { "" } else { check.advice };
                table.row([grade, check.name, &check.found, advice]);
            }
            put!("{table}");
        }
        Ok(if failed { Exit::Finding } else { Exit::Yes })
    }
}

fn check(name: &'static str, grade: Grade, found: impl Into<String>, advice: &'static str) -> Check {
    Check { name, grade, found: found.into(), advice }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn pass_if(condition: bool) -> Grade {
    if condition { Grade::Pass } else { Grade::Warn }
}

fn cores() -> Check {
    let count = available_cores().len();
    let advice =
        "`fused` wants a core for the edge and one for the pipeline; with one core use --threading single";
    check("cores", pass_if(count >= 2), format!("{count} usable"), advice)
}

fn isolation() -> Check {
    let isolated = read("/sys/devices/system/cpu/isolated").unwrap_or_default();
    let found =
        if isolated.is_empty() { "no core is isolated".to_owned() } else { format!("cores {isolated}") };
    let advice = "boot with isolcpus= and nohz_full= for the engine's cores, so that the kernel keeps other work off them";
    check("isolation", pass_if(!isolated.is_empty()), found, advice)
}

fn governor() -> Check {
    let advice = "cpupower frequency-set -g performance: a core that slows down when idle adds microseconds";
    match read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") {
        Some(governor) => check("governor", pass_if(governor == "performance"), governor, advice),
        None => check("governor", Grade::Pass, "not under the system's control", advice),
    }
}

fn clock_source() -> Check {
    let source = read("/sys/devices/system/clocksource/clocksource0/current_clocksource").unwrap_or_default();
    let fit = matches!(source.as_str(), "tsc" | "kvm-clock" | "arch_sys_counter");
    let found = if source.is_empty() { "unknown".to_owned() } else { source };
    check(
        "clock source",
        pass_if(fit),
        found,
        "boot with clocksource=tsc if the processor's counter is stable: others cost microseconds a read",
    )
}

fn huge_pages() -> Check {
    let setting = read("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_else(|| "unknown".to_owned());
    let chosen = setting
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or("unknown", |(word, _)| word);
    let advice = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled: `always` lets the kernel stall a thread to build pages";
    check("huge pages", pass_if(chosen != "always"), chosen, advice)
}

fn limit(name: &str) -> Option<String> {
    let limits = read("/proc/self/limits")?;
    let line = limits.lines().find(|line| line.starts_with(name))?;
    line[name.len()..].split_whitespace().next().map(str::to_owned)
}

fn memory_lock() -> Check {
    let value = limit("Max locked memory").unwrap_or_else(|| "unknown".to_owned());
    let enough = value == "unlimited" || value.parse::<u64>().is_ok_and(|bytes| bytes >= 256 << 20);
    let found = value.parse::<u64>().map_or(value.clone(), |bytes| format!("{} MiB", bytes >> 20));
    check(
        "memory lock",
        pass_if(enough),
        found,
        "ulimit -l unlimited (or LimitMEMLOCK= in the unit): pages that stay in memory never fault",
    )
}

fn real_time() -> Check {
    let value = limit("Max realtime priority").unwrap_or_else(|| "unknown".to_owned());
    let allowed = value.parse::<u32>().is_ok_and(|priority| priority > 0);
    check(
        "real-time priority",
        pass_if(allowed),
        value,
        "ulimit -r 80 (or LimitRTPRIO=): only needed where cores are shared with other work",
    )
}

fn file_system(journal: &Path) -> Check {
    let existing = journal.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    let advice = "put the journal on a local ext4, xfs, btrfs or tmpfs: memory-mapped files on others lose data or order";
    match file_system_of(existing) {
        Ok(name) => check("file system", Grade::Pass, name, advice),
        Err(error) => check("file system", Grade::Fail, error.to_string(), advice),
    }
}

fn onnx_runtime() -> Check {
    let advice = "only models that are neither trees nor linear need it: python3 -m pip install onnxruntime, then set ORT_DYLIB_PATH to its libonnxruntime.so";
    match std::env::var("ORT_DYLIB_PATH") {
        Ok(path) if Path::new(&path).is_file() => check("ONNX Runtime", Grade::Pass, path, advice),
        Ok(path) => check("ONNX Runtime", Grade::Warn, format!("ORT_DYLIB_PATH = {path} is no file"), advice),
        Err(_) => check("ONNX Runtime", Grade::Warn, "ORT_DYLIB_PATH is not set", advice),
    }
}
