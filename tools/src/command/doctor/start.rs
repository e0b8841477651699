//! Checks of what keeps a run from starting, made by the code that `pawl run` starts with.

use std::io::ErrorKind;
use std::path::PathBuf;

use pawl_adapters::feed::TimeRange;
use pawl_adapters::metrics::{MetricsError, MetricsServer};
use pawl_engine::inference::{Backend, InferenceError};
use pawl_engine::instrument::Instrument;
use pawl_engine::pipeline::PipelineError;

use super::{Advice, Check, models};
use crate::config::{Config, Loaded, check, resolve_instruments};
use crate::exit::message;
use crate::inputs::{self, locate};
use crate::session::Session;

/// Whether a run of a configuration would begin, but for its cores and its journal, and what its models need.
pub(super) fn configuration(loaded: &Loaded, folder: PathBuf) -> Vec<Check> {
    graded(loaded, backends(loaded.config.clone(), folder))
}

/// What evaluates the model of each agent, once everything has been asked that a run asks.
fn backends(config: Config, folder: PathBuf) -> anyhow::Result<Vec<(String, Backend)>> {
    if !config.feed.is_empty() {
        return inputs::session(config, folder, TimeRange::ALL)?.backends();
    }
    // Feeds may come by flags; what is asked here does not depend on them.
    check(&config)?;
    let mut instruments = resolve_instruments(&config)?;
    if instruments.is_empty() {
        instruments.extend(Instrument::well_known("EURUSD"));
    }
    Session::new(config, instruments, folder, Vec::new()).backends()
}

fn graded(loaded: &Loaded, found: anyhow::Result<Vec<(String, Backend)>>) -> Vec<Check> {
    const NAME: &str = "configuration";
    let fits = || Check::pass(NAME, "its values, feeds and models are what a run takes");
    match found {
        Ok(agents) => vec![fits(), models::needed(agents)],
        Err(error) => match error.downcast_ref() {
            Some(PipelineError::Inference(InferenceError::RuntimeMissing { agent, .. })) => {
                vec![fits(), models::missing(agent, message(&error))]
            }
            _ => {
                let advice = Advice {
                    change: message(&locate(loaded, error)),
                    command: "pawl run --config FILE --print-config    (every value, and where it came from)"
                        .to_owned(),
                    why: "a run with this configuration is refused",
                };
                vec![Check::fail(NAME, "a run with it does not start", advice)]
            }
        },
    }
}

/// Whether metrics can be served where the configuration says; `is_running`, whether an engine runs on its journal.
pub(super) fn metrics(listen: &str, is_running: bool) -> Check {
    const NAME: &str = "metrics";
    match MetricsServer::check(listen) {
        Ok(()) => Check::pass(NAME, format!("{listen} is free")),
        Err(MetricsError::Listen { source, .. }) if is_running && source.kind() == ErrorKind::AddrInUse => {
            Check::pass(NAME, format!("{listen} is in use, and so is the journal: by the engine that runs"))
        }
        Err(error) => {
            let advice = Advice {
                change: error.to_string(),
                command: "pawl run --set metrics.listen=127.0.0.1:9464    (or \"\": none)".to_owned(),
                why: "a run that cannot serve what it is told to serve is refused",
            };
            Check::fail(NAME, format!("{listen:?} cannot be listened on"), advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;
    use crate::config::Layers;

    #[test]
    fn a_model_without_its_runtime_fails_by_the_name_of_its_agent_and_all_else_by_what_a_run_says() {
        let loaded = Layers::defaults().finish().expect("the defaults");
        let missing = InferenceError::RuntimeMissing {
            agent: "slow".into(),
            directory: "models/slow".into(),
            reason: "it is an MLP".into(),
            path: "libonnxruntime.so".into(),
            problem: "no such file".into(),
        };
        let checks = graded(&loaded, Err(PipelineError::from(missing).into()));
        assert_eq!((checks[0].grade, checks[1].grade), (Grade::Pass, Grade::Fail));
        assert!(checks[1].found.contains("agent slow"), "{checks:?}");
        let checks = graded(&loaded, Err(anyhow::anyhow!("risk.max_position = -1 must be above 0")));
        let [check] = &checks[..] else { panic!("one check: {checks:?}") };
        assert_eq!(check.grade, Grade::Fail);
        assert!(check.advice.as_ref().expect("advice").change.contains("risk.max_position"));
    }

    #[test]
    fn an_address_that_is_taken_fails_unless_the_engine_has_it() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let listen = taken.local_addr().expect("bound").to_string();
        assert_eq!(metrics(&listen, false).grade, Grade::Fail);
        assert_eq!(metrics(&listen, true).grade, Grade::Pass);
        for running in [false, true] {
            assert_eq!(metrics("foo", running).grade, Grade::Fail);
            assert_eq!(metrics("127.0.0.1:0", running).grade, Grade::Pass);
        }
    }
}
