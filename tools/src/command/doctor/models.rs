//! Check of ONNX Runtime: whether a model needs it, and whether it is there.

use std::path::{Path, PathBuf};

use pawl_engine::inference::{Backend, InferenceError};
use pawl_engine::instrument::Instrument;
use pawl_engine::pipeline::PipelineError;

use super::{Advice, Check};
use crate::config::{Config, resolve_instruments};
use crate::exit::message;
use crate::inputs::models_beside;
use crate::session::Session;

const NAME: &str = "ONNX Runtime";

/// Whether every model of a configuration can be loaded; without one, whether the library is where the environment says.
pub(super) fn onnx_runtime(file: Option<&Path>, config: Config) -> Check {
    match file {
        Some(_) => needed(backends(models_beside(file), config)),
        None => at_hand(std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from).as_deref()),
    }
}

fn backends(models: PathBuf, config: Config) -> anyhow::Result<Vec<(String, Backend)>> {
    if config.agent.iter().all(|agent| agent.model.is_none()) {
        return Ok(Vec::new());
    }
    let mut instruments = resolve_instruments(&config)?;
    if instruments.is_empty() {
        // Feeds may come by flags; a model does not depend on what is traded.
        instruments.extend(Instrument::well_known("EURUSD"));
    }
    Session::new(config, instruments, models, Vec::new()).backends()
}

fn needed(found: anyhow::Result<Vec<(String, Backend)>>) -> Check {
    match found {
        Ok(agents) => {
            let by_runtime =
                |(agent, backend): (String, Backend)| (backend == Backend::OnnxRuntime).then_some(agent);
            let agents: Vec<String> = agents.into_iter().filter_map(by_runtime).collect();
            match agents.as_slice() {
                [] => Check::pass(NAME, "no model needs it"),
                agents => Check::pass(NAME, format!("loaded, for {}", agents.join(", "))),
            }
        }
        Err(error) => match error.downcast_ref() {
            Some(PipelineError::Inference(InferenceError::RuntimeMissing { agent, .. })) => Check::fail(
                NAME,
                format!("agent {agent} needs it, and it is not there"),
                install(message(&error)),
            ),
            _ => {
                let advice = Advice {
                    change: message(&error),
                    command: "pawl run --config FILE --print-config".to_owned(),
                    why: "a run with this configuration is refused",
                };
                Check::fail(NAME, "the models cannot be loaded", advice)
            }
        },
    }
}

fn at_hand(library: Option<&Path>) -> Check {
    match library {
        None => Check::pass(
            NAME,
            "ORT_DYLIB_PATH is not set; only models that are neither trees nor linear need it",
        ),
        Some(path) if path.is_file() => Check::pass(NAME, path.display().to_string()),
        Some(path) => {
            let change = "point ORT_DYLIB_PATH to the library, or unset it".to_owned();
            Check::warn(NAME, format!("ORT_DYLIB_PATH = {} is no file", path.display()), install(change))
        }
    }
}

fn install(change: String) -> Advice {
    Advice {
        change,
        command: "python3 -m pip install onnxruntime; export ORT_DYLIB_PATH=.../onnxruntime/capi/libonnxruntime.so.VERSION"
            .to_owned(),
        why: "models that are neither trees nor linear are evaluated by it",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn a_library_that_no_model_needs_passes_and_one_that_is_not_where_it_should_be_warns() {
        let home = tempfile::tempdir().expect("a directory");
        let library = home.path().join("libonnxruntime.so");
        assert_eq!(at_hand(None).grade, Grade::Pass);
        assert_eq!(at_hand(Some(&library)).grade, Grade::Warn);
        std::fs::write(&library, "").expect("written");
        assert_eq!(at_hand(Some(&library)).grade, Grade::Pass);
    }

    #[test]
    fn a_model_that_cannot_be_loaded_fails_by_the_name_of_its_agent() {
        let agents = |backend| Ok(vec![("fast".to_owned(), Backend::Native), ("slow".to_owned(), backend)]);
        assert_eq!(needed(agents(Backend::Native)).found, "no model needs it");
        assert_eq!(needed(agents(Backend::OnnxRuntime)).found, "loaded, for slow");
        let missing = InferenceError::RuntimeMissing {
            agent: "slow".into(),
            directory: "models/slow".into(),
            reason: "it is an MLP".into(),
            path: "libonnxruntime.so".into(),
            problem: "no such file".into(),
        };
        let check = needed(Err(PipelineError::from(missing).into()));
        assert!(check.grade == Grade::Fail && check.found.contains("agent slow"), "{check:?}");
        let check = needed(Err(anyhow::anyhow!("risk.max_position = -1 must be above 0")));
        assert!(check.grade == Grade::Fail, "{check:?}");
        assert!(check.advice.expect("advice").change.contains("risk.max_position"));
    }
}
