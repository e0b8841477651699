//! Models of every exporter: the native backend against ONNX Runtime, and what is refused at load.

use std::path::{Path, PathBuf};

use pawl_engine::inference::{LIBRARY_VARIABLE, Manifest, ModelProblem, NativeModel, OrtModel, OrtProblem};
use proptest::prelude::*;

const COLUMNS: usize = 6;

/// Name and number of outputs of the models that the native backend evaluates.
const NATIVE: &[(&str, usize)] = &[
    ("xgboost-binary", 2),
    ("xgboost-multiclass", 3),
    ("xgboost-regression", 1),
    ("lightgbm-binary", 2),
    ("lightgbm-multiclass", 3),
    ("lightgbm-multiclass-tensor", 3),
    ("lightgbm-regression", 1),
    ("forest-binary", 2),
    ("forest-multiclass", 3),
    ("forest-regression", 1),
    ("extra-trees", 3),
    ("gradient-binary", 2),
    ("gradient-multiclass", 3),
    ("gradient-regression", 1),
    ("logistic-binary", 2),
    ("logistic-multiclass", 3),
    ("logistic-normalized", 3),
    ("linear", 1),
    ("ridge-min-max", 1),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models")
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("{name}.onnx"))).expect(name)
}

/// The rows of a model and what ONNX Runtime answered to them from Python.
fn cases(name: &str) -> Vec<(Vec<f32>, Vec<f32>)> {
    let text = std::fs::read_to_string(folder().join(format!("{name}.csv"))).expect(name);
    let number = |field: &str| if field.is_empty() { f32::NAN } else { field.parse().expect("a number") };
    text.lines()
        .map(|line| {
            let values: Vec<f32> = line.split(',').map(number).collect();
            (values[..COLUMNS].to_vec(), values[COLUMNS..].to_vec())
        })
        .collect()
}

fn runtime(name: &str) -> OrtModel {
    assert!(
        std::env::var_os(LIBRARY_VARIABLE).is_some(),
        "{LIBRARY_VARIABLE} is not set: run `cargo xtask test`, which fetches ONNX Runtime and sets it"
    );
    OrtModel::from_onnx(&bytes(name), COLUMNS).expect(name)
}

fn assert_near(own: &[f32], other: &[f32], name: &str, row: &[f32]) {
    for (own, other) in own.iter().zip(other) {
        let near = (own - other).abs() <= 1e-6 || own == other || (own.is_nan() && other.is_nan());
        assert!(near, "{name}: {own} is not {other} for {row:?}");
    }
}

#[test]
fn every_exporter_s_model_answers_as_onnx_runtime_did_when_it_was_made() {
    for (name, outputs) in NATIVE {
        let mut model = NativeModel::from_onnx(&bytes(name), COLUMNS).expect(name);
        assert_eq!(model.outputs(), *outputs, "{name}");
        let cases = cases(name);
        assert!(cases.len() >= 40, "{name}");
        for (row, expected) in cases {
            assert_eq!(expected.len(), *outputs, "{name}");
            assert_near(&model.score(&row), &expected, name, &row);
        }
    }
}

#[test]
fn every_exporter_s_model_answers_as_onnx_runtime_does_here() {
    for (name, outputs) in NATIVE {
        let mut own = NativeModel::from_onnx(&bytes(name), COLUMNS).expect(name);
        let mut other = runtime(name);
        assert_eq!(other.outputs(), *outputs, "{name}");
        for (row, _) in cases(name) {
            let (own, other) = (own.score(&row), other.score(&row).expect(name));
            assert_near(&own[..*outputs], &other[..*outputs], name, &row);
        }
    }
}

#[test]
fn neural_networks_run_in_onnx_runtime() {
    for name in ["mlp", "lstm"] {
        let problem = NativeModel::from_onnx(&bytes(name), COLUMNS).expect_err(name);
        assert!(matches!(problem, ModelProblem::Unsupported(_)), "{name}: {problem}");
        let mut model = runtime(name);
        assert_eq!(model.outputs(), 3, "{name}");
        for (row, expected) in cases(name) {
            let answer = model.score(&row).expect(name);
            assert_near(&answer, &expected, name, &row);
            assert!((answer.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{name}: probabilities");
        }
    }
}

#[test]
fn the_same_row_gives_the_same_bits_whatever_was_scored_before() {
    for (name, _) in NATIVE {
        let mut model = NativeModel::from_onnx(&bytes(name), COLUMNS).expect(name);
        let cases = cases(name);
        let first: Vec<_> = cases.iter().map(|(row, _)| model.score(row).map(f32::to_bits)).collect();
        let backwards: Vec<_> =
            cases.iter().rev().map(|(row, _)| model.score(row).map(f32::to_bits)).collect();
        assert!(first.iter().eq(backwards.iter().rev()), "{name}");
    }
}

#[test]
fn a_model_of_another_width_is_refused_by_both_backends() {
    for name in ["xgboost-binary", "logistic-multiclass"] {
        let problem = NativeModel::from_onnx(&bytes(name), COLUMNS + 1).expect_err(name);
        assert!(matches!(problem, ModelProblem::Input(_)), "{name}: {problem}");
        let _ = runtime(name);
        let problem = OrtModel::from_onnx(&bytes(name), COLUMNS + 1).expect_err(name);
        assert!(matches!(problem, OrtProblem::Input(_)), "{name}: {problem:?}");
    }
}

#[test]
fn the_committed_demo_models_are_whole_and_native() {
    for name in ["fast", "precise"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/models").join(name);
        let manifest =
            Manifest::from_bytes(&std::fs::read(folder.join("manifest.json")).expect(name)).expect(name);
        let bytes = std::fs::read(folder.join("model.onnx")).expect(name);
        assert!(bytes.len() <= 200 * 1024, "{name} has {} bytes", bytes.len());
        let model = NativeModel::from_onnx(&bytes, manifest.schema.columns.len()).expect(name);
        assert_eq!((manifest.name.as_str(), model.outputs()), (name, manifest.classes.len()));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(NativeModel::from_onnx(&bytes, COLUMNS).is_err());
    }

    #[test]
    fn a_damaged_file_is_refused_or_evaluated_without_a_panic(
        which in 0..NATIVE.len(),
        length in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
    ) {
        let mut bytes = bytes(NATIVE[which].0);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(length.index(bytes.len()) + bytes.len() / 2);
        if let Ok(mut model) = NativeModel::from_onnx(&bytes, COLUMNS) {
            let _ = model.score(&[0.5; COLUMNS]);
        }
    }
}
