//! `pawl bench inference` in its smoke form: every model is scored by both backends, and left out is what is not there.

use serde_json::Value;

use crate::support::{binary, command, pawl, scratch, text};

/// The four models that both backends evaluate.
const BOTH: [&str; 4] = [
    "XGBoost 3x200, depth 6",
    "LightGBM 3x200, 31 leaves",
    "random forest 100, depth 8",
    "logistic regression",
];

/// Model and backend of every row; asserts that its percentiles rise up to the maximum.
#[track_caller]
fn rows(report: &Value) -> Vec<(&str, Option<&str>)> {
    let rows = report["inference"]["rows"].as_array().expect("rows");
    for row in rows {
        let whole = &row["took"]["whole"];
        let names = ["p50_ns", "p90_ns", "p99_ns", "p999_ns", "p9999_ns", "max_ns"];
        let values = names.map(|name| whole[name].as_u64().unwrap_or_else(|| panic!("{name}: {row}")));
        assert!(values.is_sorted() && values[5] > 0, "{row}");
        assert_eq!(whole["count"], 2_000, "{row}");
        assert_eq!(row["over_baseline"].is_null(), row["backend"].is_null(), "{row}");
    }
    rows.iter().map(|row| (row["model"].as_str().expect("a name"), row["backend"].as_str())).collect()
}

#[test]
fn the_smoke_form_scores_every_model_in_both_backends() {
    let scratch = scratch();
    let report =
        pawl(&["bench", "inference", "--quick", "--json", "--dir", text(scratch.path())]).expect(0).json();
    assert_eq!((&report["bench"], &report["quick"]), (&"inference".into(), &true.into()));
    let mut expected = vec![("baseline: nothing", None)];
    for model in BOTH {
        expected.extend([(model, Some("native")), (model, Some("onnxruntime"))]);
    }
    expected.push(("perceptron 32x16", Some("onnxruntime")));
    assert_eq!(rows(&report), expected);
    let inference = &report["inference"];
    assert!(inference["onnx_runtime_missing"].is_null(), "{inference}");
    for row in inference["rows"].as_array().expect("rows") {
        let is_native = row["backend"] == "native";
        assert_eq!(row["ratio_p50"].as_f64().is_some_and(|ratio| ratio > 0.0), is_native, "{row}");
    }
    let aims = inference["aims"].as_array().expect("aims");
    assert_eq!(aims.len(), 2, "{inference}");
    for aim in aims {
        assert_eq!(aim["met"], aim["value"].as_f64() <= aim["bound"].as_f64(), "{aim}");
    }
    assert_eq!(std::fs::read_dir(scratch.path()).expect("readable").count(), 0, "the models are removed");
}

#[test]
fn without_onnx_runtime_its_rows_are_left_out_and_the_way_to_it_is_told() {
    let scratch = scratch();
    let run = |more: &[&str]| {
        let arguments = ["bench", "inference", "--quick", "--dir", text(scratch.path())];
        let output = command(binary(), &[&arguments[..], more].concat())
            .env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so")
            .output()
            .expect("pawl runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let report: Value = serde_json::from_str(&run(&["--json"])).expect("JSON");
    let mut expected = vec![("baseline: nothing", None)];
    expected.extend(BOTH.map(|model| (model, Some("native"))));
    assert_eq!(rows(&report), expected);
    let told = run(&["--only", "perceptron,logistic", "--rate", "10000"]);
    for part in [
        "Conditions",
        "What one row takes, 10,000 a second",
        "logistic regression",
        "ONNX Runtime is left out",
        "/nowhere/libonnxruntime.so",
        "pip install",
        "ORT_DYLIB_PATH",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("XGBoost"), "{told}");
}

#[test]
fn nonsense_is_refused() {
    let scratch = scratch();
    for wrong in [&["--only", "oracle"][..], &["--rate", "0"], &["--count", "1999"], &["--dir", "/missing"]] {
        let finished = pawl(&[&["bench", "inference", "--quick"][..], wrong].concat()).expect(2);
        assert!(finished.stdout.is_empty(), "{finished:?}");
    }
    assert_eq!(std::fs::read_dir(scratch.path()).expect("readable").count(), 0);
}
