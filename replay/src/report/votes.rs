//! `Votes`: what each agent said last, and so whose order an order is.
//!
//! An order of the signal belongs to the agents whose vote pointed its way when it was decided, each by its weight
//! times its absolute score, as the signal's mean counts them. Orders of a limit or an operator belong to nobody.

use pawl_engine::settings::Settings;
use pawl_journal::record::{AgentId, InstrumentId, Micros, Prediction, Side, Time, Vote};

/// An agent's share of an order, above 0; the shares of an order add up to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Who.
    pub agent: AgentId,
    /// How much of it.
    pub part: f64,
}

#[derive(Debug, Clone, Copy)]
struct Voice {
    weight: f64,
    max_age_ns: i64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Said {
    time: Time,
    score: f32,
    vote: Vote,
}

/// What each agent said last of each instrument.
#[derive(Debug)]
pub(super) struct Votes {
    voices: Vec<Voice>,
    instruments: usize,
    /// By agent, then instrument.
    said: Vec<Option<Said>>,
}

impl Votes {
    pub(super) fn new(settings: &Settings) -> Self {
        let voices: Vec<_> = settings
            .agents
            .iter()
            .map(|it| Voice { weight: f64::from(it.weight), max_age_ns: it.max_age.0 })
            .collect();
        let instruments = settings.instruments.len();
        Self { said: vec![None; voices.len() * instruments], instruments, voices }
    }

    /// Takes in what an agent says.
    pub(super) fn on_prediction(&mut self, prediction: &Prediction, now: Time) {
        let (agent, instrument) = (usize::from(prediction.agent.0), usize::from(prediction.instrument.0));
        if instrument < self.instruments
            && let Some(said) = self.said.get_mut(agent * self.instruments + instrument)
        {
            *said = Some(Said { time: now, score: prediction.score, vote: prediction.vote });
        }
    }

    /// Who is behind an order of the signal that is decided now.
    pub(super) fn shares(&self, instrument: InstrumentId, side: Side, now: Time) -> Vec<Share> {
        let mut shares = Vec::new();
        for (agent, voice) in self.voices.iter().enumerate() {
            let place = agent * self.instruments + usize::from(instrument.0);
            let Some(said) = self.said.get(place).copied().flatten() else { continue };
            let counts = said.vote.sign() == side.sign() && (now - said.time).0 <= voice.max_age_ns;
            let part = voice.weight * f64::from(said.score.abs());
            if counts && part > 0.0 {
                shares.push(Share { agent: AgentId(agent as u16), part });
            }
        }
        let sum: f64 = shares.iter().map(|it| it.part).sum();
        for share in &mut shares {
            share.part /= sum;
        }
        shares
    }
}

/// Money in these shares, to the micro: what rounding leaves goes to the largest share.
pub(super) fn split(amount: Micros, shares: &[Share]) -> Vec<(AgentId, Micros)> {
    let mut parts: Vec<_> =
        shares.iter().map(|it| (it.agent, Micros((amount.0 as f64 * it.part) as i64))).collect();
    let given: i64 = parts.iter().map(|(_, part)| part.0).sum();
    let largest = (0..shares.len()).reduce(|a, b| if shares[b].part > shares[a].part { b } else { a });
    if let Some(largest) = largest {
        parts[largest].1.0 += amount.0 - given;
    }
    parts
}

#[cfg(test)]
mod tests {
    use pawl_engine::inference::AgentSettings;
    use pawl_engine::quantity::Span;

    use super::super::tests::settings;
    use super::*;

    const EURUSD: InstrumentId = InstrumentId(0);

    fn votes() -> Votes {
        let mut settings = settings();
        settings.agents = [("fast", 1.0, 5), ("precise", 2.0, 120), ("watcher", 0.0, 120)]
            .map(|(name, weight, seconds)| AgentSettings {
                weight,
                max_age: Span::seconds(seconds),
                ..AgentSettings::named(name)
            })
            .to_vec();
        Votes::new(&settings)
    }

    fn say(votes: &mut Votes, agent: u16, score: f32, vote: Vote, second: i64) {
        let said = Prediction { agent: AgentId(agent), score, vote, ..Prediction::default() };
        votes.on_prediction(&said, Time(second * Time::SECOND));
    }

    fn shares(votes: &Votes, side: Side, second: i64) -> Vec<(u16, f64)> {
        let found = votes.shares(EURUSD, side, Time(second * Time::SECOND));
        found.into_iter().map(|it| (it.agent.0, it.part)).collect()
    }

    #[test]
    fn an_order_belongs_to_those_who_voted_for_it_by_weight_and_score() {
        let mut votes = votes();
        assert_eq!(shares(&votes, Side::BUY, 0), []);
        say(&mut votes, 0, 0.5, Vote::UP, 0);
        say(&mut votes, 1, 0.75, Vote::UP, 0);
        say(&mut votes, 2, 1.0, Vote::UP, 0);
        assert_eq!(shares(&votes, Side::BUY, 1), [(0, 0.25), (1, 0.75)], "weight 0 has no part");
        assert_eq!(shares(&votes, Side::SELL, 1), []);
        assert_eq!(shares(&votes, Side::BUY, 6), [(1, 1.0)], "too old");
        say(&mut votes, 1, -0.5, Vote::DOWN, 7);
        say(&mut votes, 0, -0.1, Vote::FLAT, 7);
        assert_eq!(shares(&votes, Side::SELL, 7), [(1, 1.0)], "a score below its threshold is no vote");
        assert_eq!(shares(&votes, Side::BUY, 7), []);
    }

    #[test]
    fn shares_of_money_add_up_to_the_micro() {
        let shares = [0.3, 0.4, 0.3].map(|part| Share { agent: AgentId(0), part });
        for amount in [1, -1, 100_000_001, -99_999_999, 7] {
            let parts = split(Micros(amount), &shares);
            assert_eq!(parts.iter().map(|it| it.1.0).sum::<i64>(), amount);
        }
        assert!(split(Micros(5), &[]).is_empty());
    }
}
