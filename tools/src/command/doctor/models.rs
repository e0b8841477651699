//! Check of ONNX Runtime: whether a model needs it, and whether it is there.

use std::path::{Path, PathBuf};

use pawl_engine::inference::{Backend, LIBRARY_VARIABLE, OrtModel, OrtProblem};

use super::{Advice, Check};

const NAME: &str = "ONNX Runtime";

/// Models that are there, each by what evaluates it.
pub(super) fn needed(agents: Vec<(String, Backend)>) -> Check {
    let by_runtime = |(agent, backend): (String, Backend)| (backend == Backend::OnnxRuntime).then_some(agent);
    let agents: Vec<String> = agents.into_iter().filter_map(by_runtime).collect();
    match agents.as_slice() {
        [] => Check::pass(NAME, "no model needs it"),
        agents => Check::pass(NAME, format!("loaded, for {}", agents.join(", "))),
    }
}

/// An agent's model that needs the library, where it is not.
pub(super) fn missing(agent: &str, change: String) -> Check {
    Check::fail(NAME, format!("agent {agent} needs it, and it is not there"), install(change))
}

/// Whether the library is where the environment says, for whatever configuration is to come.
pub(super) fn at_hand() -> Check {
    let path = std::env::var_os(LIBRARY_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    // The library is loaded before it looks at the model, which is none.
    found(path.as_deref(), || match OrtModel::from_onnx(&[], 1) {
        Err(OrtProblem::Missing { problem, .. }) => Err(problem),
        _ => Ok(()),
    })
}

fn found(library: Option<&Path>, load: impl FnOnce() -> Result<(), String>) -> Check {
    let Some(path) = library else {
        return Check::pass(
            NAME,
            "ORT_DYLIB_PATH is not set; only models that are neither trees nor linear need it",
        );
    };
    match load() {
        Ok(()) => Check::pass(NAME, path.display().to_string()),
        Err(problem) => {
            let change = format!("point ORT_DYLIB_PATH to the library, or unset it ({problem})");
            Check::warn(
                NAME,
                format!("ORT_DYLIB_PATH = {} is not the library", path.display()),
                install(change),
            )
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
    fn a_library_that_no_model_needs_passes_and_what_cannot_be_loaded_for_one_warns() {
        let library = Path::new("libonnxruntime.so");
        assert_eq!(found(None, || Err("not asked".to_owned())).grade, Grade::Pass);
        assert_eq!(found(Some(library), || Ok(())).grade, Grade::Pass);
        let check = found(Some(library), || Err("no symbol OrtGetApiBase".to_owned()));
        assert_eq!(check.grade, Grade::Warn);
        assert!(check.advice.expect("advice").change.contains("no symbol"));
    }

    #[test]
    fn agents_are_named_whose_models_need_it() {
        let agents = |backend| vec![("fast".to_owned(), Backend::Native), ("slow".to_owned(), backend)];
        assert_eq!(needed(agents(Backend::Native)).found, "no model needs it");
        assert_eq!(needed(agents(Backend::OnnxRuntime)).found, "loaded, for slow");
    }
}
