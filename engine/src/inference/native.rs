//! `NativeModel`: the small graphs that exporters write around one tree ensemble or linear model.
//!
//! ```text
//! input -> [Cast, Scaler, Normalizer, arithmetic] -> ensemble or linear -> [Normalizer, arithmetic, ZipMap] -> output
//!                                                          `-> label -> [Cast]    (not evaluated)
//! ```
//!
//! The graph is read backwards from its outputs, so it makes no difference how nodes are called or ordered. Everything
//! that does not have this shape is [`ModelProblem::Unsupported`] and left to ONNX Runtime. Nothing is allocated
//! per row; the result has the same bits on every machine.

use std::collections::BTreeMap;

use pawl_journal::record::{CLASSES_MAX, FEATURE_COLUMNS_MAX};

use super::ensemble::Ensemble;
use super::error::ModelProblem;
use super::forest::Forest;
use super::linear::{Linear, Step};
use super::onnx::{FLOAT, Graph, Model, Node};
use super::transform::Norm;

/// A model that the engine evaluates itself.
#[derive(Debug, Clone)]
pub struct NativeModel {
    columns: usize,
    before: Vec<Step>,
    core: Core,
    after: Vec<Step>,
    row: Box<[f32; FEATURE_COLUMNS_MAX]>,
}

#[derive(Debug, Clone)]
enum Core {
    Forest(Forest),
    Linear(Linear),
}

/// Where a walk backwards from an output ended.
enum Origin<'a> {
    /// At the answer of an ensemble or linear model.
    Answer(&'a Node, Vec<Step>),
    /// At the label of a classifier.
    Label,
}

impl NativeModel {
    /// Reads a model over rows of `columns` columns (1 to 128) from the bytes of an ONNX file.
    ///
    /// # Errors
    /// [`ModelProblem`]: not an ONNX model, another input, an operator that only ONNX Runtime evaluates, or a graph
    /// that contradicts itself.
    ///
    /// # Panics
    /// If `columns` is 0 or above 128, which a feature schema excludes.
    pub fn from_onnx(bytes: &[u8], columns: usize) -> Result<Self, ModelProblem> {
        assert!((1..=FEATURE_COLUMNS_MAX).contains(&columns), "a schema has 1 to 128 columns");
        let model = Model::from_bytes(bytes).map_err(ModelProblem::Malformed)?;
        let graph = model.graph.ok_or_else(|| ModelProblem::Malformed("it holds no graph".to_owned()))?;
        let reader = Reader::new(&graph, columns)?;
        let (node, after) = reader.answer()?;
        let before = reader.before(node)?;
        let core = match node.op_type.as_str() {
            "TreeEnsembleClassifier" | "TreeEnsembleRegressor" => {
                Core::Forest(Forest::new(&Ensemble::read(node, columns)?)?)
            }
            _ => Core::Linear(Linear::read(node, columns)?),
        };
        Ok(Self { columns, before, core, after, row: Box::new([0.0; FEATURE_COLUMNS_MAX]) })
    }

    /// How many numbers the answer has: the classes of a classifier, 1 for a regression.
    #[must_use]
    pub const fn outputs(&self) -> usize {
        match &self.core {
            Core::Forest(forest) => forest.outputs(),
            Core::Linear(linear) => linear.outputs,
        }
    }

    /// Columns of a row.
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// The answer for one row: class probabilities in the model's order, or the regression's value first.
    ///
    /// # Panics
    /// If the row has another number of columns than the model.
    #[must_use]
    pub fn score(&mut self, values: &[f32]) -> [f32; CLASSES_MAX] {
        let columns = self.columns;
        self.row[..columns].copy_from_slice(values);
        for step in &self.before {
            step.apply(&mut self.row[..columns]);
        }
        let mut scores = match &mut self.core {
            Core::Forest(forest) => forest.score(&self.row[..columns]),
            Core::Linear(linear) => linear.score(&self.row[..columns]),
        };
        for step in &self.after {
            step.apply(&mut scores[..self.outputs()]);
        }
        scores
    }
}

struct Reader<'a> {
    graph: &'a Graph,
    columns: usize,
    input: &'a str,
    constants: BTreeMap<&'a str, Vec<f32>>,
    producers: BTreeMap<&'a str, &'a Node>,
}

impl<'a> Reader<'a> {
    fn new(graph: &'a Graph, columns: usize) -> Result<Self, ModelProblem> {
        let constants: BTreeMap<_, _> = graph
            .initializer
            .iter()
            .filter_map(|tensor| Some((tensor.name.as_str(), tensor.floats()?)))
            .collect();
        let mut inputs = graph
            .input
            .iter()
            .filter(|input| graph.initializer.iter().all(|constant| constant.name != input.name));
        let input = inputs.next().ok_or_else(|| ModelProblem::Input("no input".to_owned()))?;
        if inputs.next().is_some() {
            return Err(ModelProblem::Unsupported("a graph with several inputs".to_owned()));
        }
        let tensor = input.r#type.as_ref().and_then(|kind| kind.tensor.as_ref());
        if tensor.is_none_or(|tensor| tensor.element != FLOAT) {
            return Err(ModelProblem::Unsupported("an input that is no tensor of floats".to_owned()));
        }
        if let Some(shape) = tensor.and_then(|tensor| tensor.shape.as_ref()) {
            let dims: Vec<i64> = shape.dim.iter().map(|dim| dim.value).collect();
            let fits = match dims.as_slice() {
                [] => true,
                [rows, width] => (0..=1).contains(rows) && [0, columns as i64].contains(width),
                _ => return Err(ModelProblem::Unsupported(format!("an input of {} dimensions", dims.len()))),
            };
            if !fits {
                return Err(ModelProblem::Input(format!("{dims:?} (rows, columns; 0 is any)")));
            }
        }
        let producers = graph
            .node
            .iter()
            .flat_map(|node| node.output.iter().map(move |output| (output.as_str(), node)))
            .collect();
        Ok(Self { graph, columns, input: &input.name, constants, producers })
    }

    /// The node that gives the answer, and the steps behind it.
    fn answer(&self) -> Result<(&'a Node, Vec<Step>), ModelProblem> {
        let mut answers = Vec::new();
        for output in &self.graph.output {
            if let Origin::Answer(node, after) = self.origin(&output.name)? {
                answers.push((node, after));
            }
        }
        match answers.pop() {
            Some(answer) if answers.is_empty() => Ok(answer),
            Some(_) => Err(ModelProblem::Unsupported("a graph with several answers".to_owned())),
            None => Err(ModelProblem::Unsupported("a graph that gives labels only".to_owned())),
        }
    }

    fn origin(&self, output: &'a str) -> Result<Origin<'a>, ModelProblem> {
        let mut name = output;
        let mut steps = Vec::new();
        for _ in 0..=self.graph.node.len() {
            let node = self.producer(name)?;
            let width = || self.outputs_of(node);
            match operator(node)? {
                "TreeEnsembleClassifier" | "LinearClassifier"
                    if node.output.get(1).is_none_or(|it| it != name) =>
                {
                    return Ok(Origin::Label);
                }
                "TreeEnsembleClassifier"
                | "TreeEnsembleRegressor"
                | "LinearClassifier"
                | "LinearRegressor" => {
                    steps.reverse();
                    return Ok(Origin::Answer(node, steps));
                }
                // A cast to anything but float is the way of a label.
                "Cast" if node.int("to", 0) != i64::from(FLOAT) => {
                    return match self.origin(first_input(node)?)? {
                        Origin::Label => Ok(Origin::Label),
                        Origin::Answer(..) => {
                            Err(ModelProblem::Unsupported("a Cast of the answer".to_owned()))
                        }
                    };
                }
                "ZipMap" => {}
                _ => steps.extend(self.step(node, width()?)?),
            }
            name = self.data_input(node)?;
        }
        Err(ModelProblem::Invalid("its nodes form a circle".to_owned()))
    }

    /// The steps between the graph's input and this node.
    fn before(&self, node: &'a Node) -> Result<Vec<Step>, ModelProblem> {
        let mut name = first_input(node)?;
        let mut steps = Vec::new();
        for _ in 0..=self.graph.node.len() {
            if name == self.input {
                steps.reverse();
                return Ok(steps);
            }
            let node = self.producer(name)?;
            if operator(node)? == "Cast" && node.int("to", 0) != i64::from(FLOAT) {
                return Err(ModelProblem::Unsupported("a Cast of the input".to_owned()));
            }
            steps.extend(self.step(node, self.columns)?);
            name = self.data_input(node)?;
        }
        Err(ModelProblem::Invalid("its nodes form a circle".to_owned()))
    }

    /// What a node between input and model, or model and output, does; nothing for identities.
    fn step(&self, node: &Node, width: usize) -> Result<Option<Step>, ModelProblem> {
        match operator(node)? {
            "Identity" | "Cast" => Ok(None),
            "Scaler" => Step::scaler(node, width).map(Some),
            "Normalizer" => {
                let name = node.text("norm", "MAX");
                let norm = Norm::from_name(&name)
                    .ok_or_else(|| ModelProblem::Invalid(format!("Normalizer with norm {name}")))?;
                Ok(Some(Step::Normalize(norm)))
            }
            name => {
                let constant = node.input.iter().find_map(|input| self.constants.get(input.as_str()));
                let constant = constant.ok_or_else(|| ModelProblem::Unsupported(name.to_owned()))?;
                Step::arithmetic(name, constant, width).map(Some)
            }
        }
    }

    /// The input of a step that is not its constant.
    fn data_input(&self, node: &'a Node) -> Result<&'a str, ModelProblem> {
        match node.input.as_slice() {
            [only] => Ok(only),
            [data, constant] if self.constants.contains_key(constant.as_str()) => Ok(data),
            [constant, data]
                if self.constants.contains_key(constant.as_str())
                    && matches!(node.op_type.as_str(), "Add" | "Mul") =>
            {
                Ok(data)
            }
            _ => Err(ModelProblem::Unsupported(format!("{} of two variables", node.op_type))),
        }
    }

    /// The width of the answer that flows through a node behind the model.
    fn outputs_of(&self, node: &'a Node) -> Result<usize, ModelProblem> {
        let mut node = node;
        for _ in 0..=self.graph.node.len() {
            match node.op_type.as_str() {
                "TreeEnsembleClassifier" | "LinearClassifier" => {
                    let labels = ["classlabels_int64s", "classlabels_ints"].map(|name| node.ints(name).len());
                    return Ok(labels[0].max(labels[1]).max(node.texts("classlabels_strings").len()));
                }
                "TreeEnsembleRegressor" | "LinearRegressor" => return Ok(1),
                _ => node = self.producer(self.data_input(node)?)?,
            }
        }
        Err(ModelProblem::Invalid("its nodes form a circle".to_owned()))
    }

    fn producer(&self, name: &str) -> Result<&'a Node, ModelProblem> {
        self.producers.get(name).copied().ok_or_else(|| {
            ModelProblem::Unsupported(format!("a graph without a model (nothing computes `{name}`)"))
        })
    }
}

fn first_input(node: &Node) -> Result<&str, ModelProblem> {
    node.input
        .first()
        .map(String::as_str)
        .ok_or_else(|| ModelProblem::Invalid(format!("{} without an input", node.op_type)))
}

/// The node's operator, if its domain is the one that defines it.
fn operator(node: &Node) -> Result<&str, ModelProblem> {
    let name = node.op_type.as_str();
    let learning = matches!(
        name,
        "TreeEnsembleClassifier"
            | "TreeEnsembleRegressor"
            | "LinearClassifier"
            | "LinearRegressor"
            | "Scaler"
            | "Normalizer"
            | "ZipMap"
    );
    let known = match node.domain.as_str() {
        "ai.onnx.ml" => learning,
        "" | "ai.onnx" => matches!(name, "Identity" | "Cast" | "Add" | "Sub" | "Mul" | "Div"),
        _ => false,
    };
    if known { Ok(name) } else { Err(ModelProblem::Unsupported(format!("the operator {name}"))) }
}
