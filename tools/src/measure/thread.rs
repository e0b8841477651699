//! Threads that measure: each on a core of its own where there are enough.

use pawl_engine::runtime::{available_cores, pin};
use serde::Serialize;

/// The cores that a benchmark uses: the last ones first, since the system's own work is mostly on the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cores(Vec<usize>);

impl Cores {
    /// Those this process may run on.
    pub fn usable() -> Self {
        let mut cores = available_cores();
        cores.reverse();
        Self(cores)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The core of the thread that is measured, or that writes. None if the system does not tell.
    pub fn first(&self) -> Option<usize> {
        self.0.first().copied()
    }

    /// A core for the `index`-th of several readers: never the first unless it is the only one, shared if they are few.
    pub fn reader(&self, index: usize) -> Option<usize> {
        let others = self.0.get(1..).filter(|others| !others.is_empty()).unwrap_or(&self.0);
        (!others.is_empty()).then(|| others[index % others.len()])
    }

    /// Whether `readers` of them have to share a core.
    pub fn are_shared_by(&self, readers: usize) -> bool {
        readers + 1 > self.0.len()
    }
}

/// Runs `work` on a thread pinned to `core`. The calling thread stays free, so that what it starts is free too.
///
/// # Panics
/// If `work` does.
pub fn on_core<T: Send>(core: Option<usize>, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let handle = scope.spawn(|| {
            pin_if(core);
            work()
        });
        handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Pins the calling thread where the system allows it; a benchmark goes on where it does not.
pub fn pin_if(core: Option<usize>) -> bool {
    core.is_some_and(pin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_share_cores_only_where_there_are_too_few() {
        let cores = Cores(vec![3, 2, 1, 0]);
        assert_eq!(
            (cores.first(), cores.reader(0), cores.reader(2), cores.reader(3)),
            (Some(3), Some(2), Some(0), Some(2))
        );
        assert!(!cores.are_shared_by(3) && cores.are_shared_by(4));
        assert_eq!(Cores(vec![0]).reader(1), Some(0));
        assert_eq!((Cores(vec![]).first(), Cores(vec![]).reader(0)), (None, None));
    }
}
