//! The naive twin of the native backend: trees walked one node at a time, straight from the attributes of ONNX, on
//! ensembles that no exporter would write. The flat layout must give the same bits, ONNX Runtime the same numbers.

use pawl_journal::record::{CLASSES_MAX, FEATURE_COLUMNS_MAX};
use proptest::prelude::*;

use super::ensemble::{Branch, Comparison, Ensemble};
use super::error::ModelProblem;
use super::forest::Forest;
use super::native::NativeModel;
use super::onnx::{Attribute, Graph, Model, Node};
use super::ort::{LIBRARY_VARIABLE, OrtModel};
use super::specimen::Dice;

const COLUMNS: usize = 5;
/// Where the columns of a wide row are: the last one has no slot for missing values below everything.
const WIDE: [usize; COLUMNS] = [FEATURE_COLUMNS_MAX - 1, 0, 64, 1, FEATURE_COLUMNS_MAX - 2];
const MODES: [&str; 6] = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];
const VALUES: [f32; 9] =
    [-1.5, -1.0, -0.0, 0.0, 0.5, 1.0, f32::MIN_POSITIVE, f32::INFINITY, f32::NEG_INFINITY];

/// A value that a threshold or a column has.
fn value(dice: &mut Dice) -> f32 {
    VALUES[dice.below(VALUES.len())]
}

/// What kind of ensemble to make.
#[derive(Debug, Clone, Copy)]
struct Plan {
    classes: usize,
    /// Leaves with a weight for each class, or for one.
    dense: bool,
    /// The one class of every weight; otherwise any.
    single: Option<usize>,
    /// Without a single class: each tree has its own, as boosting does it.
    by_tree: bool,
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
                let target = match plan {
                    Plan { single: Some(single), .. } => single,
                    Plan { dense: true, .. } => class,
                    Plan { by_tree: true, .. } => tree % plan.classes,
                    _ => dice.below(plan.classes),
                };
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
        self.floats.entry("nodes_values").or_default()[place] = value(dice);
        let yes = self.tree(dice, plan, tree, next, depth - 1);
        let no = self.tree(dice, plan, tree, next, depth - 1);
        self.ints.entry("nodes_truenodeids").or_default()[place] = yes as i64;
        self.ints.entry("nodes_falsenodeids").or_default()[place] = no as i64;
        id
    }
}

fn node(seed: u64, plan: Plan) -> Node {
    let dice = &mut Dice::new(seed);
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
    let mut attribute =
        vec![Attribute::text("post_transform", plan.transform), Attribute::texts("nodes_modes", lists.modes)];
    attribute.extend(lists.ints.into_iter().map(|(name, ints)| Attribute::ints(&named(name), ints)));
    attribute.extend(lists.floats.into_iter().map(|(name, floats)| Attribute::floats(&named(name), floats)));
    if classifier {
        let labels = (0..plan.classes as i64).collect();
        attribute.push(Attribute::ints("classlabels_int64s", labels));
        Node::learned("TreeEnsembleClassifier", "features", &["label", "scores"], attribute)
    } else {
        attribute.push(Attribute::int("n_targets", 1));
        let aggregate = if plan.average { "AVERAGE" } else { "SUM" };
        attribute.push(Attribute::text("aggregate_function", aggregate));
        Node::learned("TreeEnsembleRegressor", "features", &["scores"], attribute)
    }
}

fn model(node: Node) -> Model {
    let outputs = node.output.clone();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    Model::of(Graph::new("twin", vec![node], (1, COLUMNS), &outputs))
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
    let mut dice = Dice::new(!seed);
    let row = |_| {
        std::array::from_fn(|_| match dice.below(8) {
            0 => f32::NAN,
            1 => dice.below(4_001) as f32 / 1_000.0 - 2.0,
            _ => value(&mut dice),
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
        any::<bool>(),
    )
        .prop_map(|(classes, dense, single, positive, bases, transform, by_tree)| Plan {
            classes,
            dense: dense && single.is_none(),
            single,
            by_tree,
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
        by_tree: false,
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
    fn the_flat_layout_gives_the_bits_of_the_naive_twin(seed: u64, plan in plans(), is_wide: bool) {
        let mut ensemble = Ensemble::read(&node(seed, plan), COLUMNS).expect("a sound ensemble");
        let place = |column: usize| if is_wide { WIDE[column] } else { column };
        for node in &mut ensemble.nodes {
            if let Branch::Split { feature, .. } = node {
                *feature = place(*feature);
            }
        }
        let mut forest = Forest::new(&ensemble).expect("small trees");
        for values in rows(seed) {
            let mut row = [0.0; FEATURE_COLUMNS_MAX];
            values.iter().enumerate().for_each(|(column, value)| row[place(column)] = *value);
            let row = if is_wide { &row[..] } else { &row[..COLUMNS] };
            let (flat, naive) = (forest.score(row), naive(&ensemble, row));
            prop_assert_eq!(flat.map(f32::to_bits), naive.map(f32::to_bits), "row {:?}", row);
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

/// A classifier of trees that are chains: each node a leaf and the next one, `length` of them.
fn chains(trees: usize, length: usize) -> Ensemble {
    let (mut nodes, mut roots) = (Vec::new(), Vec::new());
    let comparisons = [Comparison::Eq, Comparison::Neq, Comparison::Leq, Comparison::Gt];
    for tree in 0..trees {
        roots.push(nodes.len());
        for step in 0..length {
            let (leaf, next) = (nodes.len() + 1, nodes.len() + 2);
            let (yes, no) = if step % 2 == 0 { (leaf, next) } else { (next, leaf) };
            nodes.push(Branch::Split {
                comparison: comparisons[step % 4],
                feature: step % COLUMNS,
                value: (step / 7) as f32,
                missing_is_yes: step % 3 == 0,
                yes,
                no,
            });
            nodes.push(Branch::Leaf(vec![(tree % 3, step as f32 + 0.1)]));
        }
        nodes.push(Branch::Leaf(vec![(tree % 3, -0.3)]));
    }
    let finish = Ensemble::read(&sound(), COLUMNS).expect("a sound ensemble").finish;
    Ensemble { nodes, roots, finish }
}

#[track_caller]
fn assert_twins(ensemble: &Ensemble) {
    let mut forest = Forest::new(ensemble).expect("trees that fit");
    for row in rows(1).into_iter().chain((0..40).map(|step| [(step * 11) as f32; COLUMNS])) {
        let (flat, naive) = (forest.score(&row), naive(ensemble, &row));
        assert_eq!(flat.map(f32::to_bits), naive.map(f32::to_bits), "row {row:?}");
    }
}

#[test]
fn what_two_questions_lead_to_is_laid_out_once() {
    // Every second node asks for equality, which takes two questions: copies would double with each of them.
    assert_twins(&chains(3, 2_000));
}

#[test]
fn an_ensemble_of_more_nodes_than_a_chunk_goes_on_in_the_next() {
    assert_twins(&chains(21, 6_000));
}

#[test]
fn a_tree_that_fits_no_chunk_is_left_to_onnx_runtime() {
    let problem = Forest::new(&chains(1, 40_000)).expect_err("unsupported");
    assert!(matches!(&problem, ModelProblem::Unsupported(what) if what.contains("65,536")), "{problem}");
}

fn sound() -> Node {
    let plan = Plan {
        classes: 3,
        dense: true,
        single: None,
        by_tree: false,
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
