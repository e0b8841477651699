//! Checks of values that no key can make alone: what contradicts itself, and what is slow on this machine.

use pawl_engine::runtime::{Threading, Wait};

use super::file::{Config, ThreadingChoice, WaitChoice};
use super::layer::ConfigError;

/// Refuses values that no run takes.
///
/// # Errors
/// [`ConfigError::Contradiction`], naming the key and what it may be.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    let runtime = &config.runtime;
    let refuse = |message: String| Err(ConfigError::Contradiction(message));
    if !runtime.ring_slots.is_power_of_two() || !(2..=1 << 20).contains(&runtime.ring_slots) {
        return refuse(format!(
            "runtime.ring_slots = {} must be a power of two between 2 and 1048576",
            runtime.ring_slots
        ));
    }
    if !(runtime.speed.is_finite() && runtime.speed >= 0.0) {
        return refuse(format!(
            "runtime.speed = {} must be a number: 0 (as fast as possible), 1 (real time) or any other above 0",
            runtime.speed
        ));
    }
    // `auto` may come to have all of them, on another machine.
    let (threading, threads) = match config.threading {
        ThreadingChoice::This(threading) => (name(threading), threading.threads()),
        ThreadingChoice::Named(_) => ("auto".to_owned(), Threading::Staged.threads()),
    };
    if let WaitChoice::Each(waits) = &runtime.wait
        && waits.len() > threads
    {
        return refuse(format!(
            "runtime.wait is a list of {}, and threading = \"{threading}\" has {threads} at most: name one for each, or one \
             for all",
            waits.len()
        ));
    }
    if !config.metrics.listen.is_empty() && !runtime.counters {
        return refuse(format!(
            "metrics.listen = {:?} needs runtime.counters = true: it shows them",
            config.metrics.listen
        ));
    }
    Ok(())
}

/// What is to be said of threads that never let go of a core where there are fewer cores than threads.
pub fn crowded_spin(threading: Threading, waits: &[Wait], cores: usize) -> Option<String> {
    let threads = threading.threads();
    let spins = (0..threads).any(|thread| waits.get(thread).or(waits.last()) == Some(&Wait::Spin));
    (threads > cores && spins).then(|| {
        format!(
            "threading = \"{}\" has {threads} threads, and {cores} to run on: with runtime.wait = \"spin\" one that waits \
             keeps its core from one that works, and a step takes milliseconds. Say runtime.wait = \"yield\", or \
             threading = \"single\"",
            name(threading)
        )
    })
}

fn name(threading: Threading) -> String {
    format!("{threading:?}").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::file::AutoName;
    use super::*;

    #[test]
    fn values_that_contradict_each_other_are_refused_by_their_keys() {
        let refused = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            check(&config).expect_err("refused").to_string()
        };
        assert!(check(&Config::default()).is_ok());
        for (change, key) in [
            ((|it| it.runtime.ring_slots = 3) as fn(&mut Config), "runtime.ring_slots"),
            (|it| it.runtime.speed = -1.0, "runtime.speed"),
            (|it| it.runtime.wait = WaitChoice::Each(vec![Wait::Spin; 3]), "runtime.wait"),
            (|it| (it.metrics.listen, it.runtime.counters) = ("127.0.0.1:1".into(), false), "metrics.listen"),
        ] {
            let said = refused(change);
            assert!(said.contains(key), "{said}");
        }
        let mut config = Config::default();
        config.runtime.wait = WaitChoice::Each(vec![Wait::Spin; 5]);
        config.threading = ThreadingChoice::Named(AutoName::Auto);
        assert!(check(&config).is_ok(), "auto has five where there are cores enough");
    }

    #[test]
    fn spinning_is_told_only_where_there_are_fewer_cores_than_threads() {
        use Threading::{Fused, Single, Staged};
        use Wait::{Spin, Yield};
        let told = |threading, waits: &[Wait], cores| crowded_spin(threading, waits, cores).is_some();
        assert!(told(Staged, &[Spin], 4) && told(Fused, &[Yield, Spin], 1));
        assert!(!told(Staged, &[Spin], 5) && !told(Single, &[Spin], 1), "a core for each");
        assert!(
            !told(Staged, &[Yield], 1) && !told(Staged, &[], 1) && !told(Fused, &[Yield, Yield, Spin], 1)
        );
        let said = crowded_spin(Staged, &[Spin], 2).expect("told");
        assert!(said.contains("staged") && said.contains("runtime.wait"), "{said}");
    }
}
