//! Health: what the threads behind the journal tell the edge about it.
//!
//! A trait, so that tests can play a disk that is slow, full or broken.

use pawl_journal::log::{Supply, Watermarks};
use pawl_journal::record::{Command, CommandAction, CommandReason, CommandSource, Sequence};

/// How the journal being written is. Every call is cheap and waits for nothing.
pub(crate) trait Health: Send {
    /// Every step up to this one is on disk.
    fn durable(&self) -> Sequence;
    /// Asks for this step to be made durable now.
    fn request(&self, sequence: Sequence);
    /// Why nothing becomes durable any more, if that is so.
    fn failure(&self) -> Option<&str>;
    /// How many segments stand ready for the writer.
    fn supply(&self) -> Supply;
}

impl Health for Watermarks {
    #[inline]
    fn durable(&self) -> Sequence {
        self.durable()
    }

    fn request(&self, sequence: Sequence) {
        self.request(sequence);
    }

    fn failure(&self) -> Option<&str> {
        self.failure()
    }

    fn supply(&self) -> Supply {
        self.supply()
    }
}

/// Turns a dwindling supply of segments into the engine's own commands, each once per change for the worse. When the
/// supply recovers, the operator resumes and not the engine.
#[derive(Debug)]
pub(crate) struct SupplyWatch {
    last: Supply,
}

impl SupplyWatch {
    /// A watch that has seen nothing bad yet.
    pub(crate) const fn new() -> Self {
        Self { last: Supply::Enough }
    }

    /// The command that the supply `now` asks for, if it got worse since the last look.
    #[inline]
    pub(crate) fn look(&mut self, now: Supply) -> Option<Command> {
        let worse = now > std::mem::replace(&mut self.last, now);
        let (action, reason) = match now {
            Supply::Low if worse => (CommandAction::REDUCE_ONLY, CommandReason::JOURNAL_LOW),
            Supply::Out if worse => (CommandAction::HALT, CommandReason::JOURNAL_OUT),
            _ => return None,
        };
        Some(Command { action, reason, source: CommandSource::ENGINE, ..Command::default() })
    }
}

#[cfg(test)]
pub(crate) mod disk;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_for_the_worse_is_one_command_and_no_recovery_is_one() {
        let mut watch = SupplyWatch::new();
        let mut look = |now| watch.look(now).map(|it| (it.action, it.reason, it.source));
        let low = Some((CommandAction::REDUCE_ONLY, CommandReason::JOURNAL_LOW, CommandSource::ENGINE));
        let out = Some((CommandAction::HALT, CommandReason::JOURNAL_OUT, CommandSource::ENGINE));
        use Supply::{Enough, Low, Out};
        let told = [Enough, Low, Low, Out, Out, Low, Enough, Enough, Out, Enough, Low].map(&mut look);
        assert_eq!(told, [None, low, None, out, None, None, None, None, out, None, low]);
    }
}
