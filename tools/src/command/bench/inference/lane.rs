//! A lane: one model in one backend, or nothing, driven turn about with the others.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use pawl_engine::inference::{NativeModel, OrtModel, OrtProblem, SPECIMEN_COLUMNS, Specimen, specimen_rows};

use crate::measure::{Call, Failure, Pace, Tape, Windows, on_core};
use crate::output::Bar;

use super::Plan;

/// Seed of the models and of the rows.
const SEED: u64 = 1;

/// Rows that are scored in turn: more than a processor's branch predictor could learn.
const ROWS: usize = 4_096;

/// Calls of a turn.
pub const CALLS: usize = 2_000;

/// How far the backends may be apart.
const TOLERANCE: f32 = 1e-6;

/// An answer, as both backends give it.
type Answer = [f32; 4];

/// What evaluates a model.
#[derive(Debug)]
pub enum Evaluator {
    Native(NativeModel),
    OnnxRuntime(OrtModel),
}

impl Evaluator {
    pub const NATIVE: &str = "native";
    pub const ONNX_RUNTIME: &str = "onnxruntime";

    fn score(&mut self, row: &[f32]) -> Answer {
        match self {
            Self::Native(model) => model.score(row),
            // A failure is an answer that is wrong.
            Self::OnnxRuntime(model) => model.score(row).unwrap_or([f32::NAN; 4]),
        }
    }
}

/// One row on its way.
pub struct Lane {
    /// The model's name, or that of the baseline.
    pub model: &'static str,
    /// How long each call took.
    pub took: Windows,
    evaluator: Option<Evaluator>,
    rows: Vec<[f32; SPECIMEN_COLUMNS]>,
    answers: Vec<Answer>,
    next: usize,
}

impl Lane {
    /// The empty baseline.
    pub fn baseline() -> Self {
        Self {
            model: "baseline: nothing",
            took: Windows::default(),
            evaluator: None,
            rows: specimen_rows(ROWS, SEED),
            answers: vec![Answer::default(); ROWS],
            next: 0,
        }
    }

    /// What evaluates it, in words; nothing of the baseline.
    pub fn backend(&self) -> Option<&'static str> {
        self.evaluator.as_ref().map(|evaluator| match evaluator {
            Evaluator::Native(_) => Evaluator::NATIVE,
            Evaluator::OnnxRuntime(_) => Evaluator::ONNX_RUNTIME,
        })
    }

    /// Adds the lanes of a model, with answers that agree. Gives why ONNX Runtime is not there, if it is not.
    pub fn add(plan: &Plan<'_>, specimen: Specimen, lanes: &mut Vec<Self>) -> anyhow::Result<Option<String>> {
        let path = plan.place.path(&format!("{specimen:?}.onnx"));
        let cannot = || format!("cannot write {}: name another directory with --dir", path.display());
        std::fs::write(&path, specimen.to_onnx(SEED)).with_context(cannot)?;
        let bytes = std::fs::read(&path).with_context(cannot)?;
        let native = match specimen {
            Specimen::Perceptron => None,
            _ => Some(Evaluator::Native(NativeModel::from_onnx(&bytes, SPECIMEN_COLUMNS)?)),
        };
        let (runtime, missing) = match OrtModel::from_onnx(&bytes, SPECIMEN_COLUMNS) {
            Ok(model) => (Some(Evaluator::OnnxRuntime(model)), None),
            Err(OrtProblem::Missing { path, problem }) => {
                (None, Some(format!("cannot load {path}: {problem}")))
            }
            Err(problem) => return Err(anyhow!("ONNX Runtime refuses {}: {problem:?}", specimen.name())),
        };
        let first = lanes.len();
        for evaluator in [native, runtime].into_iter().flatten() {
            lanes.push(Self { model: specimen.name(), ..Self::of(evaluator) });
        }
        if let [native, runtime] = &lanes[first..] {
            let differs =
                native.answers.iter().zip(&runtime.answers).position(|(own, other)| !near(own, other));
            Failure::unless(differs.is_none(), || {
                format!("the backends differ by more than {TOLERANCE:e} on a row of {}", specimen.name())
            })?;
        }
        Ok(missing)
    }

    fn of(mut evaluator: Evaluator) -> Self {
        let baseline = Self::baseline();
        let answers = baseline.rows.iter().map(|row| evaluator.score(row)).collect();
        Self { evaluator: Some(evaluator), answers, ..baseline }
    }

    /// One turn: calls, then their readings.
    fn turn(&mut self, plan: &Plan<'_>, tape: &mut Tape) -> Result<(), Failure> {
        tape.rewind();
        let start = Instant::now();
        let pace = Pace::new(start, plan.rate);
        let mut is_right = true;
        for index in 0..CALLS {
            if index % 64 == 0 {
                plan.stop.check()?;
            }
            self.next = (self.next + 1) % ROWS;
            let (row, expected) = (&self.rows[self.next], &self.answers[self.next]);
            let due = pace.wait(index);
            let began = Instant::now();
            let answer = match &mut self.evaluator {
                None => *black_box(expected),
                Some(evaluator) => evaluator.score(black_box(row)),
            };
            let ended = Instant::now();
            tape.push(Call { due, began, ended });
            is_right &= match self.evaluator {
                Some(Evaluator::OnnxRuntime(_)) => near(&answer, expected),
                _ => answer.map(f32::to_bits) == expected.map(f32::to_bits),
            };
        }
        let at = |call: &Call| call.began.saturating_duration_since(start);
        self.took.stretch(tape.calls().iter().map(|call| (at(call), call.took_ns())));
        Failure::unless(is_right, || format!("{} answers the same row in two ways", self.model))
    }
}

/// Measures every lane, in turns.
pub fn drive(plan: &Plan<'_>, lanes: &mut [Lane]) -> anyhow::Result<()> {
    let mut tape = Tape::new(CALLS);
    let bar = Bar::new("inference", plan.turns * lanes.len() as u64);
    let mut done = 0;
    for _ in 0..plan.turns {
        for lane in lanes.iter_mut() {
            bar.set_with(done, lane.model.to_owned());
            done += 1;
            on_core(plan.cores.first(), || lane.turn(plan, &mut tape))?;
        }
    }
    Ok(())
}

fn near(own: &Answer, other: &Answer) -> bool {
    own.iter().zip(other).all(|(own, other)| (own - other).abs() <= TOLERANCE)
}
