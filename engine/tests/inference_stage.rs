//! The inference stage, step by step: who speaks when, what the signal says, what a replay takes from the journal, and
//! every reason for which a model is refused.

use std::path::{Path, PathBuf};

use pawl_engine::Stage as _;
use pawl_engine::feature::{Feature, FeatureSettings};
use pawl_engine::inference::{
    AgentSettings, Backend, BuiltinModel, Inference, InferenceError, LIBRARY_VARIABLE, MODEL_BYTES_MAX,
    Models, RuleSettings, SignalSettings, Trigger,
};
use pawl_engine::instrument::Instrument;
use pawl_engine::quantity::Span;
use pawl_engine::settings::{AccountSettings, Settings};
use pawl_journal::record::{
    BarClosed, Features, InstrumentId, Prediction, Sequence, Signal, SignalFlags, Step, StepRef, Tick, Time,
    Vote,
};

const COLUMNS: usize = 6;

fn settings(agents: Vec<AgentSettings>) -> Settings {
    let columns = (0..COLUMNS).map(|index| format!("sma_{}", 10 + index)).collect();
    Settings {
        account: AccountSettings::default(),
        instruments: ["EURUSD", "BTCUSD"]
            .map(|symbol| Instrument::well_known(symbol).expect("known"))
            .to_vec(),
        ingress: pawl_engine::runtime::IngressSettings::default(),
        features: FeatureSettings { columns, ..FeatureSettings::default() },
        agents,
        signal: SignalSettings::default(),
        risk: pawl_engine::risk::RiskSettings::default(),
        order: pawl_engine::order::OrderSettings::default(),
        checkpoint: pawl_engine::settings::CheckpointSettings::default(),
    }
}

fn rule(name: &str) -> AgentSettings {
    let rule = RuleSettings { fast: "sma_10".to_owned(), slow: "sma_15".to_owned() };
    AgentSettings { rule: Some(rule), ..AgentSettings::named(name) }
}

fn with_model(name: &str, directory: &Path) -> AgentSettings {
    AgentSettings { model: Some(directory.display().to_string()), ..AgentSettings::named(name) }
}

fn onnx(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models");
    std::fs::read(folder.join(format!("{name}.onnx"))).expect(name)
}

fn schema_hash(settings: &Settings) -> String {
    format!("{:016x}", Feature::new(settings).expect("columns").schema().hash())
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn manifest(settings: &Settings, bytes: &[u8], classes: &[&str]) -> serde_json::Value {
    serde_json::json!({
        "name": "test", "version": "1", "sha256": sha256(bytes),
        "schema": {
            "hash": schema_hash(settings), "bars": settings.features.bars, "columns": settings.features.columns,
        },
        "classes": classes, "threshold": 0.25, "trained": { "by": "fixtures.py" },
    })
}

/// A model directory made of a fixture.
fn directory(root: &Path, name: &str, classes: &[&str]) -> PathBuf {
    let settings = settings(Vec::new());
    let bytes = onnx(name);
    let directory = root.join(name);
    std::fs::create_dir_all(&directory).expect("directory");
    let text = manifest(&settings, &bytes, classes).to_string();
    std::fs::write(directory.join("manifest.json"), text).expect("manifest");
    std::fs::write(directory.join("model.onnx"), bytes).expect("model");
    directory
}

fn load(settings: &Settings) -> Result<Inference, InferenceError> {
    let feature = Feature::new(settings).expect("columns");
    Inference::load(settings, feature.schema(), &Models::new(""))
}

fn refusal(agent: AgentSettings) -> String {
    load(&settings(vec![agent])).expect_err("refused").to_string()
}

/// A step as the feature stage leaves it.
fn step(sequence: u64, time: i64, instrument: u16, values: &[f32], ready: bool, bar: bool) -> Step {
    let mut step = Step::new();
    step.begin(Sequence(sequence), Time(time));
    let instrument = InstrumentId(instrument);
    step.push(&Tick { instrument, ..Tick::default() });
    if bar {
        step.push(&BarClosed { instrument, ..BarClosed::default() });
    }
    let columns = values.len() as u16;
    let features = Features { instrument, columns, ready: u16::from(ready), ..Features::default() };
    step.push_with_reals(&features, values.len()).copy_from_slice(values);
    step
}

fn row(fast: f32, slow: f32) -> [f32; COLUMNS] {
    [fast, 0.1, -0.2, 0.3, 0.4, slow]
}

fn predictions(step: &Step) -> Vec<Prediction> {
    step.view().all::<Prediction>().copied().collect()
}

fn signal(step: &Step) -> Option<Signal> {
    step.view().get::<Signal>().copied()
}

#[test]
fn a_rule_votes_for_the_column_that_is_above_and_keeps_its_side_on_equality() {
    let mut stage = load(&settings(vec![rule("cross")])).expect("a rule");
    let mut votes = Vec::new();
    for (sequence, (fast, slow)) in
        [(1.0, 1.0), (2.0, 1.0), (2.0, 2.0), (1.0, 2.0), (2.0, 2.0)].into_iter().enumerate()
    {
        let mut step = step(sequence as u64 + 1, 1_000, 0, &row(fast, slow), true, false);
        stage.on_step(&mut step);
        let signal = signal(&step).expect("a signal");
        assert_eq!(predictions(&step)[0].vote, signal.direction);
        votes.push(signal.direction.sign());
    }
    assert_eq!(votes, [0, 1, 1, -1, -1]);
}

#[test]
fn a_vector_that_is_not_ready_is_scored_by_nobody_and_makes_no_signal() {
    let mut stage = load(&settings(vec![rule("cross")])).expect("a rule");
    let mut step = step(1, 1_000, 0, &row(2.0, 1.0), false, false);
    stage.on_step(&mut step);
    assert!(predictions(&step).is_empty() && signal(&step).is_none());
    assert!(!stage.state().agents[0].instruments[0].spoke);
}

#[test]
fn an_agent_on_bars_speaks_once_after_each_bar_of_its_instrument_even_if_a_timer_closed_it() {
    let agent = AgentSettings { on: Trigger::Bar, ..rule("cross") };
    let mut stage = load(&settings(vec![agent])).expect("a rule");
    let mut spoken = Vec::new();
    for (sequence, (instrument, bar)) in
        [(0, false), (0, true), (0, false), (1, true), (0, false)].into_iter().enumerate()
    {
        let mut step = step(sequence as u64 + 1, 1_000, instrument, &row(2.0, 1.0), true, bar);
        stage.on_step(&mut step);
        spoken.push(predictions(&step).len());
    }
    assert_eq!(spoken, [0, 1, 0, 1, 0]);
    let mut timer = Step::new();
    timer.begin(Sequence(6), Time(2_000));
    timer.push(&pawl_journal::record::Timer::default());
    timer.push(&BarClosed { instrument: InstrumentId(0), ..BarClosed::default() });
    stage.on_step(&mut timer);
    assert!(predictions(&timer).is_empty());
    let mut after = step(7, 3_000, 0, &row(2.0, 1.0), true, false);
    stage.on_step(&mut after);
    assert_eq!(predictions(&after).len(), 1);
}

#[test]
fn the_signal_is_the_weighted_mean_and_flat_until_every_agent_has_spoken() {
    let heavy = AgentSettings { weight: 3.0, ..rule("heavy") };
    let other = RuleSettings { fast: "sma_11".to_owned(), slow: "sma_12".to_owned() };
    let late = AgentSettings { rule: Some(other), on: Trigger::Bar, ..AgentSettings::named("late") };
    let mut stage = load(&settings(vec![heavy, late])).expect("rules");
    let mut first = step(1, 1_000, 0, &row(1.0, 2.0), true, false);
    stage.on_step(&mut first);
    let alone = signal(&first).expect("a signal");
    assert_eq!((alone.direction, alone.agents, alone.score), (Vote::FLAT, 1, -1.0));
    assert!(alone.flags.has(SignalFlags::UNREADY) && alone.confidence == 0.0);
    let mut second = step(2, 2_000, 0, &row(1.0, 2.0), true, true);
    stage.on_step(&mut second);
    let both = signal(&second).expect("a signal");
    assert_eq!((both.direction, both.agents, both.score), (Vote::DOWN, 2, -0.5));
    assert!(both.flags.is_empty() && both.confidence == 0.5 && both.age_ns == 0);
}

#[test]
fn a_prediction_that_is_too_old_leaves_the_mean_and_marks_the_signal() {
    let slow = AgentSettings { on: Trigger::Bar, max_age: Span::seconds(10), ..rule("slow") };
    let mut stage = load(&settings(vec![rule("fast"), slow])).expect("rules");
    let mut at = |sequence, time, bar| {
        let mut step = step(sequence, time, 0, &row(2.0, 1.0), true, bar);
        stage.on_step(&mut step);
        signal(&step).expect("a signal")
    };
    assert_eq!((at(1, 0, true).agents, at(2, 10_000_000_000, false).age_ns), (2, 10_000_000_000));
    let stale = at(3, 10_000_000_001, false);
    assert_eq!((stale.agents, stale.age_ns, stale.direction), (1, 0, Vote::UP));
    assert!(stale.flags.has(SignalFlags::STALE));
}

#[test]
fn a_score_below_the_signal_s_threshold_is_no_direction() {
    let other = RuleSettings { fast: "sma_11".to_owned(), slow: "sma_12".to_owned() };
    let down = AgentSettings { rule: Some(other), weight: 0.8, ..AgentSettings::named("other") };
    let mut settings = settings(vec![rule("cross"), down]);
    settings.signal.threshold = 0.5;
    let mut stage = load(&settings).expect("rules");
    let mut step = step(1, 1_000, 0, &[2.0, 0.1, 0.2, 0.0, 0.0, 1.0], true, false);
    stage.on_step(&mut step);
    let signal = signal(&step).expect("a signal");
    assert!(signal.score > 0.1 && signal.score < 0.2);
    assert_eq!((signal.direction, signal.confidence), (Vote::FLAT, 0.0));
}

#[test]
fn an_agent_without_weight_is_journaled_and_left_out_of_the_signal() {
    let shadow = AgentSettings { weight: 0.0, on: Trigger::Bar, ..rule("shadow") };
    let mut stage = load(&settings(vec![rule("cross"), shadow])).expect("rules");
    let mut step = step(1, 1_000, 0, &row(2.0, 1.0), true, true);
    stage.on_step(&mut step);
    assert_eq!(predictions(&step).len(), 2);
    assert_eq!(signal(&step).expect("a signal").agents, 1);
}

#[test]
fn a_classifier_scores_up_less_down_and_votes_by_its_manifest_s_threshold() {
    let root = tempfile::tempdir().expect("a directory");
    let directory = directory(root.path(), "xgboost-multiclass", &["down", "flat", "up"]);
    let mut stage = load(&settings(vec![with_model("precise", &directory)])).expect("a model");
    for index in 0..20_u8 {
        let x = f32::from(index) / 10.0 - 1.0;
        let mut step = step(u64::from(index) + 1, 1_000, 1, &[x, x, 1.0, 0.0, 0.5, -x], true, false);
        stage.on_step(&mut step);
        let prediction = predictions(&step)[0];
        let [down, _, up, unused] = prediction.probabilities;
        assert_eq!((prediction.classes, unused, prediction.score), (3, 0.0, up - down));
        let sign = if prediction.score.abs() < 0.25 { 0 } else { prediction.score.signum() as i64 };
        assert_eq!(prediction.vote.sign(), sign);
        assert_eq!(format!("{:016x}", prediction.model_hash), sha256(&onnx("xgboost-multiclass"))[..16]);
    }
}

#[test]
fn a_regression_scores_between_minus_one_and_one() {
    let root = tempfile::tempdir().expect("a directory");
    let directory = directory(root.path(), "linear", &["score"]);
    let mut stage = load(&settings(vec![with_model("linear", &directory)])).expect("a model");
    for (x, expected) in [(1e6, 1.0), (-1e6, -1.0)] {
        let mut step = step(1, 1_000, 0, &[x, 0.0, 0.0, 0.0, 0.0, 0.0], true, false);
        stage.on_step(&mut step);
        let prediction = predictions(&step)[0];
        assert_eq!((prediction.score, prediction.classes, prediction.probabilities), (expected, 0, [0.0; 4]));
    }
    let mut step = step(2, 1_000, 0, &[f32::NAN; COLUMNS], true, false);
    stage.on_step(&mut step);
    assert!(predictions(&step).is_empty() && signal(&step).is_none(), "no finite answer is no prediction");
    assert_eq!(stage.state().agents[0].unanswered, 1);
}

#[test]
fn a_replay_takes_model_predictions_from_the_journal_and_computes_the_rest() {
    let root = tempfile::tempdir().expect("a directory");
    let directory = directory(root.path(), "lightgbm-binary", &["down", "up"]);
    let live = settings(vec![with_model("model", &directory), rule("cross")]);
    let mut stage = load(&live).expect("a model");
    let recorded = stage.recorded_settings(&live);
    let text = serde_json::to_string(&recorded).expect("JSON");
    assert!(!text.contains(&*root.path().to_string_lossy()), "no path in a journal: {text}");
    assert_eq!(recorded.agents[0].model, Some(format!("sha256:{}", sha256(&onnx("lightgbm-binary")))));
    assert_eq!(
        (recorded.agents[0].threshold, recorded.agents[0].backend),
        (Some(0.25), Some(Backend::Native))
    );

    let feature = Feature::new(&recorded).expect("columns");
    let mut replay = Inference::recorded(&recorded, feature.schema()).expect("recorded");
    let mut again =
        Inference::load(&recorded, feature.schema(), &Models::new(root.path())).expect("by its hash");
    for index in 0..50_u8 {
        let x = f32::from(index) / 25.0 - 1.0;
        let fresh =
            || step(u64::from(index) + 1, i64::from(index), 0, &row(x, -x), index > 3, index % 7 == 0);
        let (mut first, mut second, mut third) = (fresh(), fresh(), fresh());
        stage.on_step(&mut first);
        replay.supply(StepRef::from_frame(first.bytes()).expect("a frame"));
        replay.on_step(&mut second);
        again.on_step(&mut third);
        assert_eq!(first.bytes(), second.bytes());
        assert_eq!(first.bytes(), third.bytes());
    }
    assert_eq!(stage.state(), replay.state());
}

#[test]
fn a_neural_network_is_an_agent_through_onnx_runtime() {
    let root = tempfile::tempdir().expect("a directory");
    let directory = directory(root.path(), "mlp", &["down", "flat", "up"]);
    let mut stage = load(&settings(vec![with_model("network", &directory)])).unwrap_or_else(|error| {
        panic!("run this through `cargo xtask test`, which fetches ONNX Runtime: {error}")
    });
    assert_eq!(stage.models().next().expect("one").backend, Backend::OnnxRuntime);
    let mut step = step(1, 1_000, 0, &row(1.0, -1.0), true, false);
    stage.on_step(&mut step);
    assert!((predictions(&step)[0].probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
}

#[test]
fn without_onnx_runtime_the_error_names_the_model_the_path_and_the_command() {
    // In a process of its own, because a library is loaded once per process.
    let output = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "a_neural_network_is_an_agent_through_onnx_runtime"])
        .env(LIBRARY_VARIABLE, Path::new("/nowhere/libonnxruntime.so"))
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{text}");
    for part in [
        "network",
        "mlp",
        "/nowhere/libonnxruntime.so",
        "python3 -m pip install onnxruntime",
        LIBRARY_VARIABLE,
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn a_built_in_model_needs_no_directory() {
    let settings = settings(vec![AgentSettings {
        model: Some("builtin:tiny".to_owned()),
        ..AgentSettings::named("tiny")
    }]);
    let model: &'static [u8] = onnx("logistic-binary").leak();
    let manifest = manifest(&settings, model, &["down", "up"]).to_string();
    let builtin = BuiltinModel { name: "tiny", model, manifest: manifest.leak().as_bytes() };
    let feature = Feature::new(&settings).expect("columns");
    let models = Models::new("nowhere").with_builtin(&[builtin]);
    assert!(Inference::load(&settings, feature.schema(), &models).is_ok());
    let error =
        Inference::load(&settings, feature.schema(), &Models::new("nowhere")).expect_err("not built in");
    assert!(error.to_string().contains("builtin:tiny"), "{error}");
}

#[test]
fn a_model_that_does_not_fit_is_refused_with_its_name_and_the_way_out() {
    let root = tempfile::tempdir().expect("a directory");
    let good = directory(root.path(), "forest-multiclass", &["down", "flat", "up"]);
    let says = |agent: AgentSettings, parts: &[&str]| {
        let text = refusal(agent);
        for part in parts.iter().chain(&["precise"]) {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
    };
    let precise = |directory: &Path| with_model("precise", directory);
    let write = |name: &str, content: &[u8]| std::fs::write(good.join(name), content).expect(name);
    let manifest = std::fs::read_to_string(good.join("manifest.json")).expect("manifest");

    says(precise(&root.path().join("nothing")), &["nothing", "manifest.json", "model.onnx"]);
    write("manifest.json", manifest.replace("\"up\"", "\"down\"").as_bytes());
    says(precise(&good), &["manifest.json", "classes"]);
    write("manifest.json", b"{ \"name\": ");
    says(precise(&good), &["manifest.json", "line 1"]);
    write("manifest.json", manifest.replace("[\"down\",\"flat\",\"up\"]", "[\"down\",\"up\"]").as_bytes());
    says(precise(&good), &["promises 2", "gives 3", "classes"]);
    let hash = schema_hash(&settings(Vec::new()));
    let columns = manifest.replace("sma_12", "rsi_14").replace(&hash, "00000000000000ff");
    write("manifest.json", columns.as_bytes());
    says(precise(&good), &["00000000000000ff", &hash, "rsi_14", "sma_12", "[features]"]);
    write("manifest.json", manifest.as_bytes());
    says(AgentSettings { rule: rule("x").rule, ..precise(&good) }, &["give the agent"]);
    says(AgentSettings { threshold: Some(1.5), ..precise(&good) }, &["threshold", "between 0 and 1"]);
    write("model.onnx", b"not a model");
    says(precise(&good), &["SHA-256", "model.onnx", &sha256(b"not a model")]);
    write(
        "manifest.json",
        manifest.replace(&sha256(&onnx("forest-multiclass")), &sha256(b"not a model")).as_bytes(),
    );
    says(precise(&good), &["not an ONNX model"]);
    std::fs::File::create(good.join("model.onnx"))
        .and_then(|file| file.set_len(MODEL_BYTES_MAX + 1))
        .expect("large");
    says(precise(&good), &["model.onnx", "at most 67108864"]);

    let network = directory(root.path(), "mlp", &["down", "flat", "up"]);
    says(
        AgentSettings { backend: Some(Backend::Native), ..precise(&network) },
        &["does not evaluate", "backend"],
    );
}

#[test]
fn a_rule_over_a_column_that_is_not_computed_is_refused() {
    let rule = RuleSettings { fast: "sma_10".to_owned(), slow: "sma_99".to_owned() };
    let text = refusal(AgentSettings { rule: Some(rule), ..AgentSettings::named("cross") });
    assert!(text.contains("cross") && text.contains("sma_99") && text.contains("sma_10, "), "{text}");
}

#[test]
fn a_replay_wants_models_by_their_hash() {
    let settings =
        settings(vec![AgentSettings { model: Some("models/x".to_owned()), ..AgentSettings::named("x") }]);
    let feature = Feature::new(&settings).expect("columns");
    let error = Inference::recorded(&settings, feature.schema()).expect_err("a path");
    assert!(error.to_string().contains("sha256:"), "{error}");
}
