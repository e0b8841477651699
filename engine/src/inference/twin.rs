//! The naive twin of the native backend: trees walked one node at a time, straight from the attributes of ONNX, on
//! ensembles that no exporter would write. The flat layout must give the same bits, ONNX Runtime the same numbers.

use pawl_journal::record::{CLASSES_MAX, FEATURE_COLUMNS_MAX};
use proptest::prelude::*;

use super::ensemble::{Branch, Comparison, Ensemble};
use super::error::ModelProblem;
use super::forest::Forest;
use super::native::NativeModel;
use super::onnx::{Attribute, Dimension, FLOAT, Graph, Model, Node, Opset, Shape, TensorType, Type, Value};
use super::ort::{LIBRARY_VARIABLE, OrtModel};

const COLUMNS: usize = 5;
const INT64: i32 = 7;
const MODES: [&str; 6] = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];
const VALUES: [f32; 9] =
    [-1.5, -1.0, -0.0, 0.0, 0.5, 1.0, f32::MIN_POSITIVE, f32::INFINITY, f32::NEG_INFINITY];

/// A small generator, so that one number from proptest makes a whole ensemble.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % count as u64) as usize
    }

    fn value(&mut self) -> f32 {
        VALUES[self.below(VALUES.len())]
    }
}

/// What kind of ensemble to make.
#[derive(Debug, Clone, Copy)]
struct Plan {
    classes: usize,
    /// Leaves with a weight for each class, or for one.
    dense: bool,
    /// The one class of every weight; otherwise any.
    single: Option<usize>,
    positive: bool,
    bases: usize,
    transform: &'static str,
    average: bool,
}

#[derive(Default)]
struct Lists {
    ints: std::collections::BTreeMap<&'static str, Vec<i64>>,
    floats: std::collections::BTreeMap<&'static str, Vec<f32>>,
    modes: Vec<Vec<u8>>,
}

impl Lists {
    fn int(&mut self, name: &'static str, value: usize) {
        self.ints.entry(name).or_default().push(value as i64);
    }

    fn float(&mut self, name: &'static str, value: f32) {
        self.floats.entry(name).or_default().push(value);
    }

    /// Adds a tree of at most this depth; returns the id of its root.
    fn tree(&mut self, dice: &mut Dice, plan: Plan, tree: usize, next: &mut usize, depth: usize) -> usize {
        let id = *next;
        *next += 1;
        let place = self.modes.len();
        self.modes.push(b"LEAF".to_vec());
        for (name, value) in [("nodes_treeids", tree), ("nodes_nodeids", id), ("nodes_featureids", 0)] {
            self.int(name, value);
        }
        self.int("nodes_truenodeids", 0);
        self.int("nodes_falsenodeids", 0);
        self.int("nodes_missing_value_tracks_true", 0);
        self.float("nodes_values", 0.0);
        if depth == 0 || dice.below(4) == 0 {
            for class in 0..if plan.dense { plan.classes } else { 1 } {
                let target = plan.single.unwrap_or(if plan.dense { class } else { dice.below(plan.classes) });
                let weight = (dice.below(2_001) as f32 - if plan.positive { 0.0 } else { 1_000.0 }) / 2_001.0;
                self.int("treeids", tree);
                self.int("nodeids", id);
                self.int("ids", target);
                self.float("weights", weight);
            }
            return id;
        }
        self.modes[place] = MODES[dice.below(MODES.len())].as_bytes().to_vec();
        let values = [dice.below(COLUMNS) as i64, dice.below(2) as i64];
        self.ints.entry("nodes_featureids").or_default()[place] = values[0];
        self.ints.entry("nodes_missing_value_tracks_true").or_default()[place] = values[1];
        self.floats.entry("nodes_values").or_default()[place] = dice.value();
        let yes = self.tree(dice, plan, tree, next, depth - 1);
        let no = self.tree(dice, plan, tree, next, depth - 1);
        self.ints.entry("nodes_truenodeids").or_default()[place] = yes as i64;
        self.ints.entry("nodes_falsenodeids").or_default()[place] = no as i64;
        id
    }
}

fn node(seed: u64, plan: Plan) -> Node {
    let dice = &mut Dice(seed);
    let mut lists = Lists::default();
    for tree in 0..1 + dice.below(20) {
        let depth = dice.below(6);
        lists.tree(dice, plan, tree, &mut 0, depth);
    }
    for _ in 0..plan.bases {
        lists.float("base_values", dice.below(100) as f32 / 100.0 - 0.5);
    }
    let classifier = plan.classes > 1;
    let prefix = if classifier { "class_" } else { "target_" };
    let named = |name: &str| match name {
        "treeids" | "nodeids" | "ids" | "weights" => format!("{prefix}{name}"),
        other => other.to_owned(),
    };
    let mut attribute = vec![
        text("post_transform", plan.transform),
        Attribute { name: "nodes_modes".to_owned(), strings: lists.modes, kind: 8, ..Attribute::default() },
    ];
    for (name, ints) in lists.ints {
        attribute.push(Attribute { name: named(name), ints, kind: 7, ..Attribute::default() });
    }
    for (name, floats) in lists.floats {
        attribute.push(Attribute { name: named(name), floats, kind: 6, ..Attribute::default() });
    }
    if classifier {
        let ints = (0..plan.classes as i64).collect();
        let name = "classlabels_int64s".to_owned();
        attribute.push(Attribute { name, ints, kind: 7, ..Attribute::default() });
    } else {
        attribute.push(Attribute { name: "n_targets".to_owned(), i: 1, kind: 2, ..Attribute::default() });
        attribute.push(text("aggregate_function", if plan.average { "AVERAGE" } else { "SUM" }));
    }
    let output = if classifier { vec!["label", "scores"] } else { vec!["scores"] };
    Node {
        input: vec!["features".to_owned()],
        output: output.into_iter().map(str::to_owned).collect(),
        op_type: if classifier { "TreeEnsembleClassifier" } else { "TreeEnsembleRegressor" }.to_owned(),
        attribute,
        domain: "ai.onnx.ml".to_owned(),
    }
}

fn text(name: &str, value: &str) -> Attribute {
    Attribute { name: name.to_owned(), s: value.as_bytes().to_vec(), kind: 3, ..Attribute::default() }
}

fn model(node: Node) -> Model {
    let value = |name: &str, element| {
        let dim = |value: usize| Dimension { value: value as i64 };
        let shape = (name == "features").then(|| Shape { dim: vec![dim(1), dim(COLUMNS)] });
        Value { name: name.to_owned(), r#type: Some(Type { tensor: Some(TensorType { element, shape }) }) }
    };
    let output =
        node.output.iter().map(|name| value(name, if name == "label" { INT64 } else { FLOAT })).collect();
    let opset = |domain: &str, version| Opset { domain: domain.to_owned(), version };
    let graph = Graph {
        name: "twin".to_owned(),
        node: vec![node],
        initializer: Vec::new(),
        input: vec![value("features", FLOAT)],
        output,
    };
    Model { ir_version: 8, graph: Some(graph), opset_import: vec![opset("", 17), opset("ai.onnx.ml", 3)] }
}

/// The twin: one node after the other, as ONNX-ML says it.
fn naive(ensemble: &Ensemble, row: &[f32]) -> [f32; CLASSES_MAX] {
    let mut sums = [0.0; CLASSES_MAX];
    let mut scored = 0;
    for root in &ensemble.roots {
        let mut at = *root;
        let weights = loop {
            match &ensemble.nodes[at] {
                Branch::Leaf(weights) => break weights,
                Branch::Split { comparison, feature, value, missing_is_yes, yes, no } => {
                    let (x, value) = (row[*feature], *value);
                    let answer = match comparison {
                        Comparison::Leq => x <= value,
                        Comparison::Lt => x < value,
                        Comparison::Gte => x >= value,
                        Comparison::Gt => x > value,
                        Comparison::Eq => x == value,
                        Comparison::Neq => x != value,
                    };
                    at = if answer || (*missing_is_yes && x.is_nan()) { *yes } else { *no };
                }
            }
        };
        for (target, weight) in weights {
            sums[*target] += weight;
            scored |= 1 << target;
        }
    }
    ensemble.finish.apply(&mut sums, scored);
    sums
}

fn rows(seed: u64) -> Vec<[f32; COLUMNS]> {
    let mut dice = Dice(!seed);
    let row = |_| {
        std::array::from_fn(|_| match dice.below(8) {
            0 => f32::NAN,
            1 => dice.below(4_001) as f32 / 1_000.0 - 2.0,
            _ => dice.value(),
        })
    };
    (0..24).map(row).collect()
}

fn plans() -> impl Strategy<Value = Plan> {
    let classifier = (
        prop_oneof![Just(2_usize), Just(2), Just(3), Just(4)],
        any::<bool>(),
        proptest::option::of(0..2_usize),
        any::<bool>(),
        0..3_usize,
        prop_oneof![Just("NONE"), Just("LOGISTIC"), Just("SOFTMAX"), Just("SOFTMAX_ZERO")],
    )
        .prop_map(|(classes, dense, single, positive, bases, transform)| Plan {
            classes,
            dense: dense && single.is_none(),
            single,
            positive,
            bases: match (classes, single) {
                (2, Some(0)) => bases.min(1),
                (2, _) => 0,
                _ => bases.min(1) * classes,
            },
            transform,
            average: false,
        });
    let regressor = (0..2_usize, any::<bool>()).prop_map(|(bases, average)| Plan {
        classes: 1,
        dense: false,
        single: None,
        positive: false,
        bases,
        transform: "NONE",
        average,
    });
    prop_oneof![4 => classifier, 1 => regressor]
}

fn need_runtime() {
    assert!(
        std::env::var_os(LIBRARY_VARIABLE).is_some(),
        "{LIBRARY_VARIABLE} is not set: run `cargo xtask test`, which fetches ONNX Runtime and sets it"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_flat_layout_gives_the_bits_of_the_naive_twin(seed: u64, plan in plans()) {
        let ensemble = Ensemble::read(&node(seed, plan), COLUMNS).expect("a sound ensemble");
        let forest = Forest::new(&ensemble);
        for values in rows(seed) {
            let mut row = [0.0; FEATURE_COLUMNS_MAX];
            row[..COLUMNS].copy_from_slice(&values);
            let (flat, naive) = (forest.score(&row), naive(&ensemble, &values));
            prop_assert_eq!(flat.map(f32::to_bits), naive.map(f32::to_bits), "row {:?}", values);
        }
    }

    #[test]
    fn onnx_runtime_agrees_on_ensembles_that_no_exporter_writes(seed: u64, plan in plans()) {
        need_runtime();
        let bytes = model(node(seed, plan)).to_bytes();
        let mut native = NativeModel::from_onnx(&bytes, COLUMNS).expect("a sound model");
        let mut runtime = OrtModel::from_onnx(&bytes, COLUMNS).expect("a sound model");
        for row in rows(seed) {
            let (own, other) = (native.score(&row), runtime.score(&row).expect("an answer"));
            for (own, other) in own.iter().zip(other).take(native.outputs()) {
                let near = (own - other).abs() <= 1e-6 || (own.is_nan() && other.is_nan());
                prop_assert!(near, "native {own}, ONNX Runtime {other}, row {row:?}, {plan:?}");
            }
        }
    }

    #[test]
    fn damaged_models_are_refused_or_evaluated_but_never_crash(
        seed: u64, plan in plans(), cuts in proptest::collection::vec((any::<u32>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = model(node(seed, plan)).to_bytes();
        for (at, value) in cuts {
            let at = at as usize % bytes.len();
            bytes[at] = value;
        }
        if let Ok(mut model) = NativeModel::from_onnx(&bytes, COLUMNS) {
            for row in rows(seed) {
                let _ = model.score(&row);
            }
        }
    }
}

fn sound() -> Node {
    let plan = Plan {
        classes: 3,
        dense: true,
        single: None,
        positive: false,
        bases: 3,
        transform: "SOFTMAX",
        average: false,
    };
    node(5, plan)
}

fn attribute<'a>(node: &'a mut Node, name: &str) -> &'a mut Attribute {
    node.attribute.iter_mut().find(|attribute| attribute.name == name).expect("it is there")
}

#[test]
fn a_tree_that_leads_back_to_itself_is_invalid() {
    let mut node = sound();
    let split =
        attribute(&mut node, "nodes_modes").strings.iter().position(|mode| mode != b"LEAF").expect("one");
    let own = attribute(&mut node, "nodes_nodeids").ints[split];
    attribute(&mut node, "nodes_truenodeids").ints[split] = own;
    assert!(matches!(Ensemble::read(&node, COLUMNS), Err(ModelProblem::Invalid(_))));
}

#[test]
fn a_node_of_a_column_that_the_model_does_not_have_is_invalid() {
    let node = sound();
    let columns = node.ints("nodes_featureids").iter().max().copied().unwrap_or(0) as usize;
    assert!(matches!(Ensemble::read(&node, columns), Err(ModelProblem::Invalid(_))));
    assert!(Ensemble::read(&node, columns + 1).is_ok());
}

#[test]
fn lists_of_different_length_are_invalid() {
    for name in ["nodes_values", "class_weights"] {
        let mut node = sound();
        attribute(&mut node, name).floats.pop();
        assert!(matches!(Ensemble::read(&node, COLUMNS), Err(ModelProblem::Invalid(_))), "{name}");
    }
}

#[test]
fn what_only_onnx_runtime_evaluates_is_unsupported_and_says_what() {
    let mut probit = sound();
    attribute(&mut probit, "post_transform").s = b"PROBIT".to_vec();
    let problem = Ensemble::read(&probit, COLUMNS).expect_err("unsupported");
    assert!(matches!(&problem, ModelProblem::Unsupported(what) if what.contains("PROBIT")), "{problem}");
    let mut custom = sound();
    custom.domain = "com.example".to_owned();
    let problem = NativeModel::from_onnx(&model(custom).to_bytes(), COLUMNS).expect_err("unsupported");
    assert!(matches!(problem, ModelProblem::Unsupported(_)), "{problem}");
}
