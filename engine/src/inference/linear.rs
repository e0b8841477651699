//! `Linear` and `Step`: linear models, and the element-wise steps that exporters put in front of a model and behind it.
//!
//! Sums are taken in double precision, column by column, and rounded to single once: closer to the exact value than any
//! order of single-precision additions, and the same on every machine.

use pawl_journal::record::CLASSES_MAX;

use super::error::ModelProblem;
use super::onnx::Node;
use super::transform::{Norm, Transform};

/// `LinearClassifier` or `LinearRegressor`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Linear {
    /// How many numbers the answer has.
    pub(super) outputs: usize,
    /// One run of columns per output.
    coefficients: Box<[f32]>,
    intercepts: Box<[f32]>,
    transform: Transform,
}

/// One step of a vector on its way, element by element or by its norm.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// (x - offset) * scale, as `Scaler`.
    Scale(Box<[(f32, f32)]>),
    /// `Normalizer`.
    Normalize(Norm),
    /// x + c.
    Add(Box<[f32]>),
    /// x - c.
    Subtract(Box<[f32]>),
    /// x * c.
    Multiply(Box<[f32]>),
    /// x / c.
    Divide(Box<[f32]>),
}

impl Linear {
    /// Reads a `LinearClassifier` or `LinearRegressor` node over rows of `columns` columns.
    ///
    /// # Errors
    /// [`ModelProblem::Unsupported`] for what ONNX allows and this backend does not evaluate,
    /// [`ModelProblem::Invalid`] for lists that contradict each other.
    pub(super) fn read(node: &Node, columns: usize) -> Result<Self, ModelProblem> {
        let classifier = node.op_type == "LinearClassifier";
        let coefficients = node.floats("coefficients");
        let intercepts = node.floats("intercepts");
        let outputs = if classifier {
            let labels = node.ints("classlabels_ints").len().max(node.texts("classlabels_strings").len());
            if intercepts.len() < 2 || intercepts.len() != labels {
                let scores = intercepts.len();
                let what = format!("LinearClassifier with {scores} scores for {labels} classes");
                return Err(ModelProblem::Unsupported(what));
            }
            labels
        } else {
            usize::try_from(node.int("targets", 1)).unwrap_or(0)
        };
        if outputs == 0 || outputs > CLASSES_MAX || (!classifier && outputs != 1) {
            return Err(ModelProblem::Unsupported(format!("{} with {outputs} outputs", node.op_type)));
        }
        if coefficients.len() != outputs * columns || (!classifier && intercepts.len() > 1) {
            return Err(ModelProblem::Invalid(format!(
                "{} coefficients and {} intercepts for {outputs} outputs of {columns} columns",
                coefficients.len(),
                intercepts.len()
            )));
        }
        let name = node.text("post_transform", "NONE");
        let transform = match Transform::from_name(&name) {
            Some(transform) if classifier || transform == Transform::None => transform,
            _ => {
                return Err(ModelProblem::Unsupported(format!(
                    "{} with post_transform {name}",
                    node.op_type
                )));
            }
        };
        let intercepts = if intercepts.is_empty() { &[0.0][..] } else { intercepts };
        Ok(Self { outputs, coefficients: coefficients.into(), intercepts: intercepts.into(), transform })
    }

    /// The answer for one row of as many columns as the model was read for.
    pub(super) fn score(&self, row: &[f32]) -> [f32; CLASSES_MAX] {
        let mut scores = [0.0; CLASSES_MAX];
        let rows = self.coefficients.chunks_exact(row.len());
        for ((score, coefficients), intercept) in scores.iter_mut().zip(rows).zip(&self.intercepts) {
            let mut sum = f64::from(*intercept);
            for (coefficient, x) in coefficients.iter().zip(row) {
                sum += f64::from(*coefficient) * f64::from(*x);
            }
            *score = sum as f32;
        }
        self.transform.apply(&mut scores[..self.outputs]);
        scores
    }
}

impl Step {
    /// Reads a `Scaler` node for a vector of `width` elements.
    ///
    /// # Errors
    /// [`ModelProblem::Invalid`] if its lists fit neither one element nor all.
    pub(super) fn scaler(node: &Node, width: usize) -> Result<Self, ModelProblem> {
        let offsets = spread(node.floats("offset"), width)?;
        let scales = spread(node.floats("scale"), width)?;
        Ok(Self::Scale(offsets.into_iter().zip(scales).collect()))
    }

    /// Reads `Add`, `Sub`, `Mul` or `Div` with a constant, for a vector of `width` elements.
    ///
    /// # Errors
    /// [`ModelProblem::Invalid`] if the constant fits neither one element nor all, [`ModelProblem::Unsupported`] for
    /// another operator.
    pub(super) fn arithmetic(operator: &str, constant: &[f32], width: usize) -> Result<Self, ModelProblem> {
        let constant = spread(constant, width)?.into();
        match operator {
            "Add" => Ok(Self::Add(constant)),
            "Sub" => Ok(Self::Subtract(constant)),
            "Mul" => Ok(Self::Multiply(constant)),
            "Div" => Ok(Self::Divide(constant)),
            other => Err(ModelProblem::Unsupported(other.to_owned())),
        }
    }

    /// Applies it in place.
    pub(super) fn apply(&self, values: &mut [f32]) {
        match self {
            Self::Scale(pairs) => {
                for (value, (offset, scale)) in values.iter_mut().zip(pairs) {
                    *value = (*value - offset) * scale;
                }
            }
            Self::Normalize(norm) => norm.apply(values),
            Self::Add(constant) => values.iter_mut().zip(constant).for_each(|(value, c)| *value += c),
            Self::Subtract(constant) => values.iter_mut().zip(constant).for_each(|(value, c)| *value -= c),
            Self::Multiply(constant) => values.iter_mut().zip(constant).for_each(|(value, c)| *value *= c),
            Self::Divide(constant) => values.iter_mut().zip(constant).for_each(|(value, c)| *value /= c),
        }
    }
}

fn spread(values: &[f32], width: usize) -> Result<Vec<f32>, ModelProblem> {
    match values {
        [one] => Ok(vec![*one; width]),
        all if all.len() == width => Ok(all.to_vec()),
        other => Err(ModelProblem::Invalid(format!("a list of {} values for {width} elements", other.len()))),
    }
}
