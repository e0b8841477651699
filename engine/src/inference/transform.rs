//! Transforms of a handful of scores: logistic, softmax and the norms of `Normalizer`.
//!
//! `exp` comes from `libm`, so the result is the same to the last bit on every machine; formulas and their order of
//! operations are those of ONNX-ML (<https://onnx.ai/onnx/operators/>, `post_transform`), in single precision.

/// What is done with raw scores (`post_transform`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transform {
    /// Nothing.
    None,
    /// Each score through the logistic function.
    Logistic,
    /// Exponentials over their sum.
    Softmax,
    /// As softmax, except that scores of zero stay zero.
    SoftmaxZero,
}

/// How a vector is scaled to length one (`Normalizer.norm`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Norm {
    /// By its largest element.
    Max,
    /// By the sum of its absolute elements.
    L1,
    /// By the root of the sum of its squares.
    L2,
}

impl Transform {
    /// The transform with this ONNX name, if the native backend has it.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "NONE" => Some(Self::None),
            "LOGISTIC" => Some(Self::Logistic),
            "SOFTMAX" => Some(Self::Softmax),
            "SOFTMAX_ZERO" => Some(Self::SoftmaxZero),
            _ => None,
        }
    }

    /// Applies it in place.
    pub(super) fn apply(self, scores: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Logistic => scores.iter_mut().for_each(|score| *score = logistic(*score)),
            Self::Softmax => softmax(scores, |_| true),
            Self::SoftmaxZero => softmax(scores, |score| score.abs() > 1e-7),
        }
    }
}

impl Norm {
    /// The norm with this ONNX name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "MAX" => Some(Self::Max),
            "L1" => Some(Self::L1),
            "L2" => Some(Self::L2),
            _ => None,
        }
    }

    /// Scales in place; a vector of length zero stays as it is.
    pub(super) fn apply(self, values: &mut [f32]) {
        let length = match self {
            Self::Max => {
                values.iter().copied().fold(f32::MIN, |max, value| if max < value { value } else { max })
            }
            Self::L1 => values.iter().fold(0.0, |sum, value| sum + value.abs()),
            Self::L2 => values.iter().fold(0.0, |sum, value| sum + value * value),
        };
        if length == 0.0 {
            return;
        }
        for value in values {
            *value = match self {
                Self::Max | Self::L1 => *value / length,
                Self::L2 if *value < 0.0 => -(*value * *value / length).sqrt(),
                Self::L2 => (*value * *value / length).sqrt(),
            };
        }
    }
}

/// 1 / (1 + exp(-x)), computed from the side where the exponential is small.
pub(super) fn logistic(score: f32) -> f32 {
    let upper = 1.0 / (1.0 + libm::expf(-score.abs()));
    if score < 0.0 { 1.0 - upper } else { upper }
}

fn softmax(scores: &mut [f32], takes_part: impl Fn(f32) -> bool) {
    let max = scores.iter().copied().fold(f32::MIN, |max, score| if max < score { score } else { max });
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        if takes_part(*score) {
            *score = libm::expf(*score - max);
            sum += *score;
        } else {
            *score *= libm::expf(-max);
        }
    }
    for score in scores {
        *score /= sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logistic_is_symmetric_and_saturates() {
        assert_eq!(logistic(0.0), 0.5);
        assert_eq!(logistic(200.0), 1.0);
        assert_eq!(logistic(-200.0), 0.0);
        assert!((logistic(1.0) - 0.731_058_6).abs() < 1e-6);
        assert!((logistic(-1.0) + logistic(1.0) - 1.0).abs() < 1e-7);
    }

    #[test]
    fn softmax_sums_to_one_even_for_large_scores() {
        let mut scores = [1_000.0, 1_001.0, 1_002.0];
        Transform::Softmax.apply(&mut scores);
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((scores[2] - 0.665_240_94).abs() < 1e-6);
        let mut scores = [0.0, 1.0, 2.0];
        Transform::SoftmaxZero.apply(&mut scores);
        assert_eq!(scores[0], 0.0);
    }

    #[test]
    fn norms_scale_to_one_and_leave_zero_alone() {
        for (norm, expected) in [
            (Norm::L1, [-0.25, 0.75]),
            (Norm::Max, [-1.0 / 3.0, 1.0]),
            (Norm::L2, [-0.316_227_77, 0.948_683_3]),
        ] {
            let mut values = [-1.0, 3.0];
            norm.apply(&mut values);
            let near = values.iter().zip(expected).all(|(value, expected)| (value - expected).abs() < 1e-6);
            assert!(near, "{norm:?}: {values:?}");
            let mut zero = [0.0, 0.0];
            norm.apply(&mut zero);
            assert_eq!(zero, [0.0, 0.0]);
        }
    }
}
