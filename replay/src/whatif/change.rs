//! `Change`: what a what-if changes in a journal's settings, and which models have to run for it.

use pawl_engine::inference::{AgentSettings, Models};
use pawl_engine::pipeline::Pipeline;
use pawl_engine::settings::{RecordedSettings, Settings};
use serde_json::Value;

use crate::ModelSource;
use crate::error::ReplayError;
use crate::settings::RunTold;

/// What may be set, for messages.
const KEYS: &str = "risk.*, order.*, signal.*, features.*, agent.NAME.* and venue.paper.*";

/// What a what-if changes.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Keys as the configuration has them (an agent's as `agent.NAME.KEY` or `agent[N].KEY`), and their values.
    pub keys: Vec<(String, Value)>,
    /// Agents, and where the model is that they have instead: a directory or `builtin:NAME`.
    pub models: Vec<(String, String)>,
}

/// A change that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// A key that does not decide, or one that decides what came in.
    #[error(
        "{key} cannot be set: a what-if has the recorded inputs, account and instruments, and changes {KEYS}"
    )]
    Key {
        /// The key.
        key: String,
    },
    /// A model is no setting.
    #[error("{key} cannot be set: `--model NAME=DIR` gives an agent another model")]
    Model {
        /// The key.
        key: String,
    },
    /// The journal has no such agent.
    #[error("there is no agent {name} in the journal, which has {}", known.join(", "))]
    Agent {
        /// What was asked for.
        name: String,
        /// Those it has.
        known: Vec<String>,
    },
    /// The key does not take this value, or is not there.
    #[error("{key}: {message}")]
    Value {
        /// The key.
        key: String,
        /// What is wrong.
        message: String,
    },
}

/// A journal's settings with a change made.
#[derive(Debug)]
pub struct Changed {
    /// The settings, as a run would record them.
    pub settings: RecordedSettings,
    /// A pipeline with these settings, at its beginning.
    pub pipeline: Pipeline,
}

impl Change {
    /// The settings of a journal, `told`, with this change made, and a pipeline built from them. Models are run where
    /// the recorded predictions do not hold: another model, other features, or another moment to score. They come from
    /// `source`.
    ///
    /// # Errors
    /// [`ReplayError::Change`] for a change that cannot be made; [`ReplayError::Pipeline`] if the settings do not go
    /// together, or a model cannot be loaded or was trained on other features.
    pub fn apply(&self, told: &RunTold, source: &ModelSource) -> Result<Changed, ReplayError> {
        let mut settings = self.set(told)?;
        let recorded = &told.settings.engine;
        let engine = &mut settings.engine;
        let mut runs = vec![false; engine.agents.len()];
        for (place, (own, was)) in engine.agents.iter_mut().zip(&recorded.agents).enumerate() {
            let given = self.models.iter().rfind(|(name, _)| *name == was.name);
            if let Some((_, model)) = given {
                own.model = Some(model.clone());
                own.rule = None;
                // The model's own, unless they were asked for.
                if !self.sets(place, &was.name, "threshold") {
                    own.threshold = None;
                }
                if !self.sets(place, &was.name, "backend") {
                    own.backend = None;
                }
            }
            let is_like = own.on == was.on && own.backend == was.backend;
            runs[place] =
                own.model.is_some() && (given.is_some() || !is_like || engine.features != recorded.features);
            let known = own.model.as_ref().and_then(|hash| told.environment.models.get(hash));
            if let Some(known) = known.filter(|_| runs[place] && source.as_recorded) {
                own.model = Some(known.clone());
            }
        }
        let pipeline = build(engine, &source.models, &runs)?;
        settings.engine = pipeline.inference.recorded_settings(engine);
        for model in pipeline.inference.models() {
            let name = format!("{}: ", model.agent);
            settings.classes.retain(|it| !it.starts_with(&name));
            settings.classes.push(name + &serde_json::to_string(&model.classes).unwrap_or_default());
        }
        let place = |it: &String| {
            let of = |agent: &AgentSettings| it.starts_with(&format!("{}: ", agent.name));
            settings.engine.agents.iter().position(of)
        };
        settings.classes.sort_by_key(place);
        Ok(Changed { settings, pipeline })
    }

    /// The settings with the keys set.
    fn set(&self, told: &RunTold) -> Result<RecordedSettings, ChangeError> {
        let names: Vec<String> = told.settings.engine.agents.iter().map(|it| it.name.clone()).collect();
        for (name, _) in &self.models {
            if !names.contains(name) {
                return Err(ChangeError::Agent { name: name.clone(), known: names });
            }
        }
        let mut settings = told.settings.clone();
        for (key, value) in &self.keys {
            let wrong = |message: String| ChangeError::Value { key: key.clone(), message };
            let pointer = pointer(key, &names)?;
            let (parent, last) = pointer.rsplit_once('/').unwrap_or(("", &pointer));
            let mut json = serde_json::to_value(&settings).map_err(|error| wrong(error.to_string()))?;
            let section = json.pointer_mut(parent).and_then(Value::as_object_mut).ok_or_else(|| {
                wrong("there is no such key; `pawl run --print-config` shows all keys".to_owned())
            })?;
            section.insert(last.to_owned(), value.clone());
            settings = serde_json::from_value(json).map_err(|error| wrong(error.to_string()))?;
        }
        Ok(settings)
    }

    /// Whether a key of an agent is set.
    fn sets(&self, place: usize, name: &str, key: &str) -> bool {
        let ways = [format!("agent.{name}.{key}"), format!("agent[{place}].{key}")];
        self.keys.iter().any(|(set, _)| ways.contains(set))
    }
}

fn build(settings: &Settings, models: &Models, runs: &[bool]) -> Result<Pipeline, ReplayError> {
    let runs = |agent: &AgentSettings| {
        settings.agents.iter().zip(runs).any(|(own, runs)| *runs && own.name == agent.name)
    };
    Ok(Pipeline::partly_recorded(settings, models, runs)?)
}

/// Where a key of the configuration is in the recorded settings, as a JSON pointer.
fn pointer(key: &str, agents: &[String]) -> Result<String, ChangeError> {
    let path = |rest: &str| rest.replace('.', "/");
    let (section, rest) = key.split_once('.').unwrap_or((key, ""));
    let unknown = || ChangeError::Key { key: key.to_owned() };
    if rest.is_empty() {
        return Err(unknown());
    }
    let (place, rest) = match section {
        "risk" | "order" | "signal" | "features" => return Ok(format!("/engine/{}", path(key))),
        "venue" if rest.starts_with("paper.") => return Ok(format!("/{}", path(key))),
        "agent" => {
            let named = |name: &String| rest.strip_prefix(name.as_str())?.strip_prefix('.');
            let found = agents.iter().enumerate().find_map(|(place, name)| Some((place, named(name)?)));
            found.ok_or_else(|| ChangeError::Agent {
                name: rest.split('.').next().unwrap_or(rest).to_owned(),
                known: agents.to_vec(),
            })?
        }
        _ => {
            let index =
                section.strip_prefix("agent[").and_then(|it| it.strip_suffix(']')).ok_or_else(unknown)?;
            let place = index.parse::<usize>().ok().filter(|place| *place < agents.len());
            let none = || ChangeError::Agent { name: section.to_owned(), known: agents.to_vec() };
            (place.ok_or_else(none)?, rest)
        }
    };
    match rest {
        "model" => Err(ChangeError::Model { key: key.to_owned() }),
        "name" => Err(unknown()),
        _ => Ok(format!("/engine/agents/{place}/{}", path(rest))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_configuration_are_found_and_those_that_do_not_decide_are_refused() {
        let agents = ["fast".to_owned(), "a.b".to_owned()];
        for (key, place) in [
            ("risk.max_position", "/engine/risk/max_position"),
            ("venue.paper.seed", "/venue/paper/seed"),
            ("agent.fast.weight", "/engine/agents/0/weight"),
            ("agent.a.b.rule.fast", "/engine/agents/1/rule/fast"),
            ("agent[1].threshold", "/engine/agents/1/threshold"),
        ] {
            assert_eq!(pointer(key, &agents).expect(key), place);
        }
        for (key, says) in [
            ("journal.dir", "journal.dir cannot be set"),
            ("ingress.timer", "ingress.timer cannot be set"),
            ("risk", "risk cannot be set"),
            ("venue.live.key", "venue.live.key cannot be set"),
            ("agent.slow.weight", "no agent slow in the journal, which has fast, a.b"),
            ("agent[2].weight", "no agent agent[2] in the journal"),
            ("agent.fast.model", "--model NAME=DIR"),
        ] {
            let error = pointer(key, &agents).expect_err(key).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
