//! `pawl replay --step`: go through a journal by hand, on and back, over a terminal or a pipe.
//!
//! ```text
//!  a line of input --Request--> Rewind --> the step, as `pawl tail` prints it, and where this build decides otherwise
//! ```
//!
//! Invariant: what cannot be done is told, and leaves it where it is.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use pawl_journal::record::{ExecutionKind, ExecutionReport, Kind, Outcome, Sequence, StepRef, Verdict};
use pawl_replay::{ReplayError, Rewind, Scope};

use super::state::{print_tree, state_json};
use crate::exit::{Exit, OutputError};
use crate::output::{Bar, Names, put, say, step_text};

const HELP: &str = "\
  n, Enter   the next step; n 10: ten steps on
  b          the step before; b 10: ten steps back
  g N        step N
  o          the next step that sends an order
  f          the next fill
  r          the next refusal by risk
  a          the next alert
  s          the whole state after this step, as `pawl state` prints it
  ?          these lines
  q          quit (so does the end of the input)";

/// A journal gone through by hand.
pub(super) struct Stepper {
    rewind: Rewind,
    names: Names,
    differed: bool,
}

/// What a line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Forward(u64),
    Back(u64),
    Go(u64),
    Next(Wanted),
    State,
    Help,
    Quit,
}

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Order,
    Fill,
    Refusal,
    Alert,
}

impl Stepper {
    /// Opens a journal in front of the first step of `scope`.
    pub(super) fn open(journal: &Path, scope: Scope) -> anyhow::Result<Self> {
        let rewind = Rewind::open(journal, scope)?;
        Ok(Self { rewind, names: Names::of_journal(journal), differed: false })
    }

    /// Reads and answers lines until the end, or until told to quit. A finding if a step that was shown differs.
    pub(super) fn run(mut self) -> anyhow::Result<Exit> {
        let stdin = std::io::stdin();
        let is_terminal = stdin.is_terminal() && std::io::stdout().is_terminal();
        say!("steps {} .. {}; ? lists the commands", self.rewind.first(), self.rewind.last());
        self.go(self.rewind.first())?;
        let mut lines = stdin.lock().lines();
        loop {
            if is_terminal {
                put!("{}> ", self.rewind.at());
                std::io::stdout().flush().map_err(OutputError)?;
            }
            let Some(line) = lines.next() else { break };
            match Request::parse(&line?) {
                Ok(Request::Quit) => break,
                Ok(request) => self.answer(request)?,
                Err(problem) => say!("{problem}"),
            }
        }
        Ok(if self.differed { Exit::Finding } else { Exit::Yes })
    }

    fn answer(&mut self, request: Request) -> anyhow::Result<()> {
        let at = self.rewind.at().0;
        match request {
            Request::Forward(_) if at == self.rewind.last().0 => say!("this is the last step"),
            Request::Forward(steps) => {
                self.go(Sequence(at.saturating_add(steps)).min(self.rewind.last()))?;
            }
            Request::Back(_) if at == self.rewind.first().0 => say!("this is the first step"),
            Request::Back(steps) => {
                self.go(Sequence(at.saturating_sub(steps)).max(self.rewind.first()))?;
            }
            Request::Go(sequence) => self.go(Sequence(sequence))?,
            Request::Next(wanted) => match self.rewind.find(|step| wanted.is(step))? {
                Some(sequence) => self.go(sequence)?,
                None => say!("no {} behind step {at}", wanted.name()),
            },
            Request::State => print_tree("", &state_json(self.rewind.rerun()))?,
            Request::Help => say!("{HELP}"),
            Request::Quit => {}
        }
        Ok(())
    }

    /// Goes to a step and shows it.
    fn go(&mut self, to: Sequence) -> anyhow::Result<()> {
        let bar = Bar::new("replaying", to.0);
        let shown = match self.rewind.go(to, |at| bar.set(at.0)) {
            Ok(shown) => shown,
            Err(ReplayError::OutOfRange { asked, first, last }) => {
                drop(bar);
                say!("there is no step {asked} here: steps {first} .. {last}");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        drop(bar);
        put!("{}", step_text(shown.step.view(), &[], &self.names));
        if let Some((difference, computed)) = &shown.differs {
            self.differed = true;
            say!(
                "differs in record {} ({}), field {}: recorded {}, computed {}; as computed",
                difference.record,
                difference.kind,
                difference.field,
                difference.left,
                difference.right
            );
            put!("{}", step_text(computed.view(), &[], &self.names));
        }
        Ok(())
    }
}

impl Request {
    fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let (word, number) = (words.next().unwrap_or("n"), words.next());
        let number = match number.map(str::parse::<u64>) {
            None => None,
            Some(Ok(number)) if words.next().is_none() => Some(number),
            Some(_) => return Err(format!("`{}` is no command: ? lists them", line.trim())),
        };
        match (word, number) {
            ("n", steps) => Ok(Self::Forward(steps.unwrap_or(1))),
            ("b", steps) => Ok(Self::Back(steps.unwrap_or(1))),
            ("g", Some(sequence)) => Ok(Self::Go(sequence)),
            ("g", None) => Err("g wants the number of a step: g 1000".to_owned()),
            ("o", None) => Ok(Self::Next(Wanted::Order)),
            ("f", None) => Ok(Self::Next(Wanted::Fill)),
            ("r", None) => Ok(Self::Next(Wanted::Refusal)),
            ("a", None) => Ok(Self::Next(Wanted::Alert)),
            ("s", None) => Ok(Self::State),
            ("?" | "h" | "help", None) => Ok(Self::Help),
            ("q" | "quit", None) => Ok(Self::Quit),
            _ => Err(format!("`{}` is no command: ? lists them", line.trim())),
        }
    }
}

impl Wanted {
    const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Fill => "fill",
            Self::Refusal => "refusal",
            Self::Alert => "alert",
        }
    }

    fn is(self, step: StepRef<'_>) -> bool {
        match self {
            Self::Order => step.has_orders(),
            Self::Fill => step
                .get::<ExecutionReport>()
                .is_some_and(|it| matches!(it.kind, ExecutionKind::FILLED | ExecutionKind::PARTIALLY_FILLED)),
            Self::Refusal => step.all::<Verdict>().any(|it| it.outcome == Outcome::REFUSED),
            Self::Alert => step.record(Kind::Alert).is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_letter_and_a_number_and_an_empty_one_goes_on() {
        for (line, request) in [
            ("", Request::Forward(1)),
            (" n 10 ", Request::Forward(10)),
            ("b", Request::Back(1)),
            ("g 7", Request::Go(7)),
            ("r", Request::Next(Wanted::Refusal)),
            ("?", Request::Help),
        ] {
            assert_eq!(Request::parse(line), Ok(request), "{line}");
        }
        for wrong in ["g", "g x", "o 3", "n 1 2", "-1", "next order"] {
            assert!(Request::parse(wrong).is_err(), "{wrong}");
        }
    }
}
