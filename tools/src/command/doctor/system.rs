//! `System`: what a machine's system files say, below any root.

use std::path::{Path, PathBuf};

use pawl_engine::runtime::Cores;

/// What a machine's system files say.
pub(super) struct System {
    root: PathBuf,
    /// Its cores.
    pub(super) cores: Cores,
}

/// Capabilities, by their bit (linux/capability.h).
pub(super) const CAP_IPC_LOCK: u32 = 14;
pub(super) const CAP_SYS_NICE: u32 = 23;

impl System {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), cores: Cores::under(root) }
    }

    /// A file's text without the blanks around it; `None` if there is no such file, or it cannot be read.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.root.join(path)).ok()?;
        Some(text.trim().to_owned())
    }

    /// The words behind `name` at the beginning of a line of a file.
    pub(super) fn words(&self, path: &str, name: &str) -> Option<Vec<String>> {
        let text = self.read(path)?;
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(rest.split_whitespace().map(str::to_owned).collect())
    }

    /// The soft limit of this name: `None` if it is not told, `u64::MAX` if there is none.
    pub(super) fn limit(&self, name: &str) -> Option<u64> {
        match self.words("proc/self/limits", name)?.first()?.as_str() {
            "unlimited" => Some(u64::MAX),
            number => number.parse().ok(),
        }
    }

    /// Whether the process has a capability.
    pub(super) fn is_capable(&self, capability: u32) -> bool {
        let words = self.words("proc/self/status", "CapEff:");
        let bits = words.and_then(|words| u64::from_str_radix(words.first()?, 16).ok());
        bits.is_some_and(|bits| bits >> capability & 1 == 1)
    }

    /// Whether the processors have this flag.
    pub(super) fn has_flag(&self, flag: &str) -> bool {
        let flags = self.words("proc/cpuinfo", "flags");
        flags.is_some_and(|words| words.iter().any(|word| word == flag))
    }
}

/// A machine made up of files.
#[cfg(test)]
pub(super) struct Fake(tempfile::TempDir);

#[cfg(test)]
impl Fake {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    /// The machine with this file.
    pub(super) fn with(self, path: &str, text: &str) -> Self {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
        self
    }

    pub(super) fn system(&self) -> System {
        System::new(self.0.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_capabilities_and_flags_are_read_as_the_kernel_writes_them() {
        let fake = Fake::new()
            .with("proc/self/limits", "Limit                     Soft Limit\nMax locked memory         8388608              9 bytes\nMax realtime priority     unlimited            0\n")
            .with("proc/self/status", "Name:\tpawl\nCapEff:\t0000000000004000\nCpus_allowed_list:\t0-1\n")
            .with("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu nonstop_tsc\n");
        let system = fake.system();
        assert_eq!(system.limit("Max locked memory"), Some(8 << 20));
        assert_eq!(system.limit("Max realtime priority"), Some(u64::MAX));
        assert_eq!(system.limit("Max nonsense"), None);
        assert!(system.is_capable(CAP_IPC_LOCK) && !system.is_capable(CAP_SYS_NICE));
        assert!(system.has_flag("nonstop_tsc") && !system.has_flag("nonstop"));
        assert_eq!(system.cores.allowed, [0, 1]);
    }
}
