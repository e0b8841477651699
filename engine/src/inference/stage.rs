//! `Inference`: the stage: agents score the vector of a step, and one signal comes of their scores.
//!
//! ```text
//! Features --> agent 0 (trigger) --> Prediction --> last score per agent and instrument --> weighted mean --> Signal
//!          `-> agent 1 (trigger) --> Prediction --^
//! ```
//!
//! Invariants: a vector that is not ready is scored by nobody; a signal is made only in a step in which an agent spoke;
//! an agent that never spoke keeps the signal flat. Nothing is allocated per step (ONNX Runtime does, inside a call).

use pawl_journal::record::{
    AgentId, BarClosed, Body as _, CLASSES_MAX, Features, InstrumentId, Kind, Prediction, Signal,
    SignalFlags, Step, StepRef, Time, Vote,
};
use serde::Serialize;

use super::agent::{Agent, Answer, ModelDescription, Scorer, Vector, direction, setting};
use super::error::InferenceError;
use super::meter::Meter;
use super::store::{HASH_PREFIX, Models};
use super::{Trigger, validate};
use crate::Stage;
use crate::feature::Schema;
use crate::instrument::INSTRUMENTS_MAX;
use crate::settings::Settings;
use crate::stateful;

/// Most agents of one engine.
pub const AGENTS_MAX: usize = 16;

/// The inference stage.
#[derive(Debug)]
pub struct Inference {
    agents: Vec<Agent>,
    threshold: f32,
    instruments: usize,
    /// By agent, then instrument.
    seats: Box<[Seat]>,
    unanswered: Box<[u64]>,
    supplied: [Option<Prediction>; AGENTS_MAX],
    /// Whether there are any.
    is_supplied: bool,
    /// Whether the next step takes them, though the models are loaded.
    supplying: bool,
    /// Who times the calls of models; nobody in a replay.
    meter: Option<Box<dyn Meter>>,
}

stateful!(Inference { seats, unanswered } but {
    agents, threshold, instruments, supplied, is_supplied, supplying, meter,
});

/// What one agent said last of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Seat {
    /// When it spoke; meaningless if it never did.
    pub time: Time,
    /// Its score.
    pub score: f32,
    /// Whether it ever spoke.
    pub spoke: bool,
    /// A bar closed and no vector came since.
    pub bar_closed: bool,
}

stateful!(Seat { time, score, spoke, bar_closed });

/// The stage's whole state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InferenceState {
    /// One per agent.
    pub agents: Vec<AgentState>,
}

/// The state of one agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgentState {
    /// Its name.
    pub name: String,
    /// Vectors for which its model gave no finite answer.
    pub unanswered: u64,
    /// What it said last of each instrument, by instrument.
    pub instruments: Vec<Seat>,
}

impl Inference {
    /// Loads every configured model and checks that it was trained on this schema.
    ///
    /// # Errors
    /// [`InferenceError`], naming agent, model and what to do.
    pub fn load(settings: &Settings, schema: &Schema, models: &Models) -> Result<Self, InferenceError> {
        Self::build(settings, schema, |agent, vector| Agent::load(agent, vector, models))
    }

    /// The stage of a replay: model predictions are taken from the journal, rules and the signal are computed.
    ///
    /// # Errors
    /// [`InferenceError`] if a rule names a column that the schema does not have, or a model is not given by its hash.
    pub fn recorded(settings: &Settings, schema: &Schema) -> Result<Self, InferenceError> {
        Self::build(settings, schema, Agent::recorded)
    }

    /// The stage of a what-if: the models of the agents for which `runs` is true are loaded, the predictions of the
    /// others are taken from the journal, as [`Self::supply_recorded`] gives them.
    ///
    /// # Errors
    /// As [`Self::load`] and [`Self::recorded`].
    pub fn partly_recorded(
        settings: &Settings,
        schema: &Schema,
        models: &Models,
        runs: impl Fn(&super::AgentSettings) -> bool,
    ) -> Result<Self, InferenceError> {
        Self::build(settings, schema, |agent, vector| {
            if runs(agent) { Agent::load(agent, vector, models) } else { Agent::recorded(agent, vector) }
        })
    }

    fn build(
        settings: &Settings,
        schema: &Schema,
        make: impl Fn(&super::AgentSettings, Vector<'_>) -> Result<Agent, InferenceError>,
    ) -> Result<Self, InferenceError> {
        let vector = Vector { columns: schema.columns(), hash: schema.hash(), bars: &settings.features.bars };
        validate(settings)?;
        let agents =
            settings.agents.iter().map(|agent| make(agent, vector)).collect::<Result<Vec<_>, _>>()?;
        let instruments = settings.instruments.len().min(INSTRUMENTS_MAX);
        Ok(Self {
            threshold: settings.signal.threshold,
            instruments,
            seats: vec![Seat::default(); agents.len() * instruments].into_boxed_slice(),
            unanswered: vec![0; agents.len()].into_boxed_slice(),
            supplied: [None; AGENTS_MAX],
            is_supplied: false,
            supplying: false,
            meter: None,
            agents,
        })
    }

    /// The settings as a journal records them: every model by the hash of its file instead of its path, with the
    /// threshold and the backend in force. Enough for [`Self::recorded`], and to find the same model again.
    #[must_use]
    pub fn recorded_settings(&self, settings: &Settings) -> Settings {
        let mut recorded = settings.clone();
        for (agent, own) in recorded.agents.iter_mut().zip(&self.agents) {
            agent.threshold = Some(own.threshold);
            if let Some(model) = &own.model {
                agent.model = Some(format!("{HASH_PREFIX}{}", model.sha256));
                agent.backend = Some(model.backend);
            }
        }
        recorded
    }

    /// Has every call of a model timed by this meter.
    pub fn set_meter(&mut self, meter: Box<dyn Meter>) {
        self.meter = Some(meter);
    }

    /// The models that were loaded, in the order of their agents; none in a replay from the journal.
    pub fn models(&self) -> impl Iterator<Item = &ModelDescription> {
        self.agents.iter().filter_map(|agent| agent.model.as_ref())
    }

    /// Gives the recorded step whose model predictions the next `on_step` takes, loaded models or not: so a replay
    /// needs no model, and a recovery ends in exactly the state that the journal tells of.
    pub fn supply(&mut self, recorded: StepRef<'_>) {
        self.supply_recorded(recorded);
        self.supplying = true;
    }

    /// As [`Self::supply`], for the agents whose models are not loaded; the others score by themselves.
    pub fn supply_recorded(&mut self, recorded: StepRef<'_>) {
        self.supplied = [None; AGENTS_MAX];
        self.is_supplied = true;
        for prediction in recorded.all::<Prediction>() {
            if let Some(place) = self.supplied.get_mut(usize::from(prediction.agent.0)) {
                *place = Some(*prediction);
            }
        }
    }

    /// The stage's whole state: what each agent said last of each instrument.
    #[must_use]
    pub fn state(&self) -> InferenceState {
        let agents = self.agents.iter().enumerate().map(|(index, agent)| AgentState {
            name: agent.name.clone(),
            unanswered: self.unanswered[index],
            instruments: self.seats[index * self.instruments..(index + 1) * self.instruments].to_vec(),
        });
        InferenceState { agents: agents.collect() }
    }

    fn seat(&mut self, agent: usize, instrument: InstrumentId) -> &mut Seat {
        &mut self.seats[agent * self.instruments + usize::from(instrument.0)]
    }

    /// The vector of a step, if it has one: its header and its values.
    #[inline]
    fn vector<'a>(&self, step: &'a Step) -> Option<(&'a Features, &'a [f32])> {
        let (features, values) = step.get_with_reals::<Features>()?;
        let is_ours = usize::from(features.instrument.0) < self.instruments
            && values.len() == usize::from(features.columns);
        is_ours.then_some((features, values))
    }

    /// Notes the bars that closed in this step.
    #[cold]
    fn bars_closed(&mut self, step: &Step) {
        for bar in step.outputs_from(Kind::BarClosed).filter_map(|record| record.get::<BarClosed>()) {
            if usize::from(bar.instrument.0) < self.instruments {
                for agent in 0..self.agents.len() {
                    self.seat(agent, bar.instrument).bar_closed = true;
                }
            }
        }
    }

    /// What one agent says of a vector, if it has to and can.
    #[inline]
    fn ask(&mut self, index: usize, features: &Features, row: &[f32]) -> Option<Answer> {
        let last = self.seat(index, features.instrument);
        let (last_score, bar_closed) = (last.score, std::mem::take(&mut last.bar_closed));
        let agent = &mut self.agents[index];
        if features.ready == 0 || (agent.trigger == Trigger::Bar && !bar_closed) {
            return None;
        }
        let recorded = matches!(agent.scorer, Scorer::Recorded) || (self.supplying && agent.model.is_some());
        let answer = if recorded {
            self.supplied[index].filter(|prediction| prediction.instrument == features.instrument).map(
                |prediction| Answer {
                    probabilities: prediction.probabilities,
                    classes: prediction.classes,
                    score: prediction.score,
                },
            )
        } else {
            let meter = self.meter.as_mut().filter(|_| agent.model.is_some());
            match meter {
                Some(meter) => {
                    meter.begin();
                    let answer = agent.score(row, last_score);
                    meter.end(index);
                    answer
                }
                None => agent.score(row, last_score),
            }
        };
        if answer.is_none() {
            self.unanswered[index] += 1;
        }
        answer
    }

    fn signal(&self, instrument: InstrumentId, now: Time) -> Signal {
        let mut signal = Signal { instrument, ..Signal::default() };
        let (mut sum, mut weights) = (0.0_f64, 0.0_f64);
        for (index, agent) in self.agents.iter().enumerate().filter(|(_, agent)| agent.weight > 0.0) {
            let seat = &self.seats[index * self.instruments + usize::from(instrument.0)];
            let age = (now - seat.time).0;
            if !seat.spoke {
                signal.flags = signal.flags.with(SignalFlags::UNREADY);
            } else if age > agent.max_age.0 {
                signal.flags = signal.flags.with(SignalFlags::STALE);
            } else {
                // A score below the agent's threshold is no vote: it counts as flat.
                let voted = if agent.vote(seat.score) == Vote::FLAT { 0.0 } else { seat.score };
                sum += f64::from(agent.weight) * f64::from(voted);
                weights += f64::from(agent.weight);
                signal.agents += 1;
                signal.age_ns = signal.age_ns.max(age);
            }
        }
        if signal.agents > 0 {
            signal.score = (sum / weights) as f32;
        }
        if !signal.flags.has(SignalFlags::UNREADY) {
            signal.direction = direction(signal.score, self.threshold);
        }
        if signal.direction != Vote::FLAT {
            signal.confidence = signal.score.abs();
        }
        signal
    }
}

impl Stage for Inference {
    fn on_step(&mut self, step: &mut Step) {
        if step.holds(Kind::BarClosed) {
            self.bars_closed(step);
        }
        let now = step.time();
        let mut spoke = None;
        for index in 0..self.agents.len() {
            let Some((features, row)) = self.vector(step) else { break };
            let instrument = features.instrument;
            let Some(answer) = self.ask(index, features, row) else { continue };
            let agent = &self.agents[index];
            step.push(&Prediction {
                model_hash: agent.model_hash,
                age_ns: 0,
                probabilities: answer.probabilities,
                score: answer.score,
                agent: AgentId(index as u16),
                instrument,
                classes: answer.classes,
                vote: agent.vote(answer.score),
                reserved: 0,
            });
            let seat = self.seat(index, instrument);
            (seat.time, seat.score, seat.spoke) = (now, answer.score, true);
            spoke = Some(instrument);
        }
        if let Some(instrument) = spoke {
            step.push(&self.signal(instrument, now));
        }
        if self.is_supplied {
            self.supplied = [None; AGENTS_MAX];
            self.is_supplied = false;
        }
        self.supplying = false;
    }
}

const _: () =
    assert!(CLASSES_MAX == 4 && Prediction::VERSION == 1, "a new layout needs a new way to supply it");

/// Too many agents, as an error of the first that is too many.
pub(super) fn too_many(settings: &Settings) -> Option<InferenceError> {
    settings.agents.get(AGENTS_MAX).map(|agent| {
        setting(agent, "agents", settings.agents.len(), "is more than the 16 agents of an engine")
    })
}
