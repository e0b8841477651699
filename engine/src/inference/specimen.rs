//! `Specimen`: models made up from a seed, of the size and form that exporters give them, as ONNX files.
//!
//! Benchmarks and tests measure them without a download. Every split is within the range that the splits above it leave,
//! between a quarter and three quarters of it, so that no branch can be foretold from a row of [`rows`] and every leaf
//! can be reached. The same seed is the same file, to the bit.

use super::onnx::{Attribute, Graph, Model, Node, Tensor};

/// Columns of every specimen.
pub const SPECIMEN_COLUMNS: usize = 16;

/// Classes of every specimen.
const CLASSES: usize = 3;

/// Width of the hidden layers of the perceptron.
const HIDDEN: [usize; 2] = [32, 16];

/// A model of three classes over 16 columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Specimen {
    /// XGBoost: 3 x 200 trees, complete to depth 6.
    Xgboost,
    /// LightGBM: 3 x 200 trees of 31 leaves, at most depth 6.
    Lightgbm,
    /// Random forest: 100 trees of 200 leaves, at most depth 8; a leaf has a weight for each class.
    RandomForest,
    /// Logistic regression behind a scaler.
    Logistic,
    /// A perceptron with hidden layers of 32 and 16, which only ONNX Runtime evaluates.
    Perceptron,
}

/// How the trees of a specimen are made.
struct Growth {
    trees: usize,
    leaves: usize,
    depth_max: usize,
    mode: &'static str,
    transform: &'static str,
    /// A leaf has a weight for each class; otherwise the tree has one class.
    every_class: bool,
}

impl Specimen {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Xgboost, Self::Lightgbm, Self::RandomForest, Self::Logistic, Self::Perceptron];

    /// What it is, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xgboost => "XGBoost 3x200, depth 6",
            Self::Lightgbm => "LightGBM 3x200, 31 leaves",
            Self::RandomForest => "random forest 100, depth 8",
            Self::Logistic => "logistic regression",
            Self::Perceptron => "perceptron 32x16",
        }
    }

    /// The bytes of its ONNX file.
    #[must_use]
    pub fn to_onnx(self, seed: u64) -> Vec<u8> {
        let dice = &mut Dice::new(seed);
        match self {
            Self::Xgboost => {
                let growth = Growth {
                    trees: 600,
                    leaves: 64,
                    depth_max: 6,
                    mode: "BRANCH_LT",
                    transform: "SOFTMAX",
                    every_class: false,
                };
                classifier(vec![growth.grow(dice)])
            }
            Self::Lightgbm => {
                let growth = Growth {
                    trees: 600,
                    leaves: 31,
                    depth_max: 6,
                    mode: "BRANCH_LEQ",
                    transform: "SOFTMAX",
                    every_class: false,
                };
                classifier(vec![growth.grow(dice)])
            }
            Self::RandomForest => {
                let growth = Growth {
                    trees: 100,
                    leaves: 200,
                    depth_max: 8,
                    mode: "BRANCH_LEQ",
                    transform: "NONE",
                    every_class: true,
                };
                classifier(vec![growth.grow(dice)])
            }
            Self::Logistic => classifier(logistic(dice)),
            Self::Perceptron => perceptron(dice),
        }
    }
}

/// Rows for a specimen: every column evenly spread from 0 to 1, another row each time.
#[must_use]
pub fn rows(count: usize, seed: u64) -> Vec<[f32; SPECIMEN_COLUMNS]> {
    let dice = &mut Dice::new(!seed);
    (0..count).map(|_| std::array::from_fn(|_| dice.fraction())).collect()
}

/// A small generator (`SplitMix64`), so that one number makes a whole model.
pub(super) struct Dice(u64);

impl Dice {
    /// One that begins at a seed.
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A whole number below `count`.
    pub(super) const fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    /// A number from 0 to 1, 1 left out.
    fn fraction(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    /// A number from -1 to 1.
    fn weight(&mut self) -> f32 {
        2.0 * self.fraction() - 1.0
    }
}

/// The lists of attributes of an ensemble on its way.
#[derive(Default)]
struct Lists {
    modes: Vec<Vec<u8>>,
    trees: Vec<i64>,
    nodes: Vec<i64>,
    features: Vec<i64>,
    values: Vec<f32>,
    yes: Vec<i64>,
    no: Vec<i64>,
    missing: Vec<i64>,
    weight_trees: Vec<i64>,
    weight_nodes: Vec<i64>,
    weight_classes: Vec<i64>,
    weights: Vec<f32>,
}

/// One tree on its way: which nodes have which children, and how deep each is.
type Shape = Vec<(Option<[usize; 2]>, usize)>;

impl Growth {
    fn grow(&self, dice: &mut Dice) -> Node {
        let mut lists = Lists::default();
        for tree in 0..self.trees {
            let shape = self.shape(dice);
            let start = lists.nodes.len();
            self.write(&mut lists, dice, (&shape, 0), (tree, start), [(0.0, 1.0); SPECIMEN_COLUMNS]);
        }
        lists.node(self.transform)
    }

    /// Splits a leaf that may be split, any of them, until there are enough.
    fn shape(&self, dice: &mut Dice) -> Shape {
        let mut shape: Shape = vec![(None, 0)];
        let mut open = vec![0];
        for _ in 1..self.leaves {
            let at = open.swap_remove(dice.below(open.len()));
            let depth = shape[at].1 + 1;
            let children = [shape.len(), shape.len() + 1];
            shape[at].0 = Some(children);
            shape.extend([(None, depth); 2]);
            if depth < self.depth_max {
                open.extend(children);
            }
        }
        shape
    }

    /// Writes a node and what is below it, in that order, as exporters do.
    fn write(
        &self,
        lists: &mut Lists,
        dice: &mut Dice,
        (shape, at): (&Shape, usize),
        (tree, start): (usize, usize),
        ranges: [(f32, f32); SPECIMEN_COLUMNS],
    ) {
        let place = lists.nodes.len();
        lists.trees.push(tree as i64);
        lists.nodes.push((place - start) as i64);
        let Some([yes, no]) = shape[at].0 else {
            lists.leaf();
            let classes = if self.every_class { 0..CLASSES } else { tree % CLASSES..tree % CLASSES + 1 };
            let parts: Vec<f32> = classes.clone().map(|_| dice.weight()).collect();
            let sum: f32 = parts.iter().map(|part| part.abs()).sum();
            for (class, part) in classes.zip(&parts) {
                // Shares of the classes, over all trees; or a step of boosting.
                let weight =
                    if self.every_class { part.abs() / sum / self.trees as f32 } else { part / 20.0 };
                lists.weight(class, weight);
            }
            return;
        };
        let column = dice.below(SPECIMEN_COLUMNS);
        let (low, high) = ranges[column];
        let value = low + (high - low) * (0.25 + 0.5 * dice.fraction());
        lists.split(self.mode, column, value, dice.below(2));
        let part = |range| {
            let mut ranges = ranges;
            ranges[column] = range;
            ranges
        };
        lists.yes[place] = (lists.nodes.len() - start) as i64;
        self.write(lists, dice, (shape, yes), (tree, start), part((low, value)));
        lists.no[place] = (lists.nodes.len() - start) as i64;
        self.write(lists, dice, (shape, no), (tree, start), part((value, high)));
    }
}

impl Lists {
    fn split(&mut self, mode: &str, column: usize, value: f32, missing_is_yes: usize) {
        self.modes.push(mode.as_bytes().to_vec());
        self.features.push(column as i64);
        self.values.push(value);
        self.missing.push(missing_is_yes as i64);
        self.yes.push(0);
        self.no.push(0);
    }

    fn leaf(&mut self) {
        self.split("LEAF", 0, 0.0, 0);
    }

    /// A weight of the node written last.
    fn weight(&mut self, class: usize, weight: f32) {
        self.weight_trees.extend(self.trees.last());
        self.weight_nodes.extend(self.nodes.last());
        self.weight_classes.push(class as i64);
        self.weights.push(weight);
    }

    fn node(self, transform: &str) -> Node {
        let attribute = vec![
            labels("classlabels_int64s"),
            Attribute::text("post_transform", transform),
            Attribute::texts("nodes_modes", self.modes),
            Attribute::ints("nodes_treeids", self.trees),
            Attribute::ints("nodes_nodeids", self.nodes),
            Attribute::ints("nodes_featureids", self.features),
            Attribute::floats("nodes_values", self.values),
            Attribute::ints("nodes_truenodeids", self.yes),
            Attribute::ints("nodes_falsenodeids", self.no),
            Attribute::ints("nodes_missing_value_tracks_true", self.missing),
            Attribute::ints("class_treeids", self.weight_trees),
            Attribute::ints("class_nodeids", self.weight_nodes),
            Attribute::ints("class_ids", self.weight_classes),
            Attribute::floats("class_weights", self.weights),
        ];
        Node::learned("TreeEnsembleClassifier", "features", &["label", "scores"], attribute)
    }
}

fn labels(name: &str) -> Attribute {
    Attribute::ints(name, (0..CLASSES as i64).collect())
}

fn logistic(dice: &mut Dice) -> Vec<Node> {
    let mut list = |count: usize| (0..count).map(|_| dice.weight()).collect::<Vec<f32>>();
    let scaler = vec![
        Attribute::floats("offset", list(SPECIMEN_COLUMNS)),
        Attribute::floats("scale", list(SPECIMEN_COLUMNS).iter().map(|it| 1.0 + it.abs()).collect()),
    ];
    let linear = vec![
        labels("classlabels_ints"),
        Attribute::floats("coefficients", list(CLASSES * SPECIMEN_COLUMNS)),
        Attribute::floats("intercepts", list(CLASSES)),
        Attribute::text("post_transform", "SOFTMAX"),
    ];
    vec![
        Node::learned("Scaler", "features", &["scaled"], scaler),
        Node::learned("LinearClassifier", "scaled", &["label", "scores"], linear),
    ]
}

fn classifier(node: Vec<Node>) -> Vec<u8> {
    Model::of(Graph::new("specimen", node, (0, SPECIMEN_COLUMNS), &["label", "scores"])).to_bytes()
}

fn perceptron(dice: &mut Dice) -> Vec<u8> {
    let widths = [SPECIMEN_COLUMNS, HIDDEN[0], HIDDEN[1], CLASSES];
    let (mut node, mut initializer) = (Vec::new(), Vec::new());
    let mut last = "features".to_owned();
    for (layer, pair) in widths.windows(2).enumerate() {
        let scale = (1.0 / pair[0] as f32).sqrt();
        let mut tensor = |name: &str, dims: &[usize]| {
            let count = dims.iter().product();
            let values = (0..count).map(|_| scale * dice.weight()).collect();
            initializer.push(Tensor::floats_of(&format!("{name}{layer}"), dims, values));
            format!("{name}{layer}")
        };
        let inputs = [last, tensor("w", pair), tensor("b", &pair[1..])];
        let (sum, out) = (format!("sum{layer}"), format!("out{layer}"));
        node.push(Node::plain("Gemm", &inputs.each_ref().map(String::as_str), &sum));
        let is_last = layer + 2 == widths.len();
        let (operator, out) = if is_last { ("Softmax", "scores".to_owned()) } else { ("Relu", out) };
        node.push(Node::plain(operator, &[&sum], &out));
        last = out;
    }
    let graph = Graph { initializer, ..Graph::new("specimen", node, (0, SPECIMEN_COLUMNS), &["scores"]) };
    Model::of(graph).to_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::error::ModelProblem;
    use super::super::native::NativeModel;
    use super::*;

    #[test]
    fn specimens_are_models_and_the_same_for_the_same_seed() {
        for specimen in Specimen::ALL {
            let bytes = specimen.to_onnx(1);
            assert_eq!(bytes, specimen.to_onnx(1), "{specimen:?}");
            assert_ne!(bytes, specimen.to_onnx(2), "{specimen:?}");
            match NativeModel::from_onnx(&bytes, SPECIMEN_COLUMNS) {
                Ok(mut model) => {
                    let answers: Vec<_> = rows(20, 1).iter().map(|row| model.score(row)).collect();
                    assert!(
                        answers.iter().all(|it| (it.iter().sum::<f32>() - 1.0).abs() < 1e-4),
                        "{specimen:?}"
                    );
                    assert!(answers.windows(2).all(|pair| pair[0] != pair[1]), "{specimen:?}");
                }
                Err(problem) => assert!(
                    specimen == Specimen::Perceptron && matches!(problem, ModelProblem::Unsupported(_)),
                    "{specimen:?}: {problem}"
                ),
            }
        }
    }
}
