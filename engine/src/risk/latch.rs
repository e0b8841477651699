//! `Latch`: what stops new risk until an operator says `resume`.

use pawl_journal::record::Reasons;
use serde::Serialize;

use crate::stateful;

/// How freely the engine trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// As the signal and the limits allow.
    Active,
    /// Only orders that bring a position nearer to zero, because an operator said so or the disk runs out.
    ReduceOnly,
    /// Stopped by an operator, a limit, a full disk or ring, or a venue that holds something else: no order adds risk.
    Halted,
}

impl Mode {
    /// The mode as a number, for counters that other threads read.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Active => 0,
            Self::ReduceOnly => 1,
            Self::Halted => 2,
        }
    }

    /// The mode with this number; an unknown one is `Halted`.
    #[must_use]
    pub const fn from_code(code: u16) -> Self {
        match code {
            0 => Self::Active,
            1 => Self::ReduceOnly,
            _ => Self::Halted,
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Active => "active",
            Self::ReduceOnly => "reduce-only",
            Self::Halted => "halted",
        })
    }
}

/// Every cause that stops new risk. Causes add up; only `resume` takes them away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Latch {
    /// An operator halted.
    pub(super) command: bool,
    /// An operator asked to flatten; positions are closed until `resume`.
    pub(super) flatten: bool,
    /// The daily loss reached its limit.
    pub(super) daily_loss: bool,
    /// The drawdown reached its limit.
    pub(super) drawdown: bool,
    /// An operator set reduce-only.
    pub(super) reduce_only: bool,
    /// The disk has room for one more segment of the journal: reduce-only.
    pub(super) journal_low: bool,
    /// The disk has no room for another segment of the journal: halted.
    pub(super) journal_out: bool,
    /// The pipeline fell behind a live feed: halted.
    pub(super) ring_full: bool,
    /// The venue holds something else than we knew: halted.
    pub(super) reconcile: bool,
}

stateful!(Latch {
    command,
    flatten,
    daily_loss,
    drawdown,
    reduce_only,
    journal_low,
    journal_out,
    ring_full,
    reconcile
});

impl Latch {
    /// How freely the engine trades.
    pub(super) const fn mode(self) -> Mode {
        if self.is_halted() {
            Mode::Halted
        } else if self.is_reduce_only() {
            Mode::ReduceOnly
        } else {
            Mode::Active
        }
    }

    /// Whether the engine is halted, by whomever.
    pub(super) const fn is_halted(self) -> bool {
        self.command
            || self.daily_loss
            || self.drawdown
            || self.journal_out
            || self.ring_full
            || self.reconcile
    }

    /// Whether it is reduce-only, halted or not.
    const fn is_reduce_only(self) -> bool {
        self.reduce_only || self.journal_low
    }

    /// Whether a limit halted it.
    pub(super) const fn is_limit(self) -> bool {
        self.daily_loss || self.drawdown
    }

    /// Whether orders that add risk are refused.
    #[inline]
    pub(super) const fn blocks(self) -> bool {
        self.is_halted() || self.is_reduce_only()
    }

    /// Why orders that add risk are refused.
    pub(super) const fn reasons(self) -> Reasons {
        let mut reasons = Reasons::NONE;
        reasons.set_if(Reasons::HALTED, self.is_halted());
        reasons.set_if(Reasons::REDUCE_ONLY, self.is_reduce_only());
        reasons.set_if(Reasons::MAX_DAILY_LOSS, self.daily_loss);
        reasons.set_if(Reasons::MAX_DRAWDOWN, self.drawdown);
        reasons
    }

    /// The names of the causes, for people.
    pub(super) fn causes(self) -> Vec<&'static str> {
        [
            (self.command && !self.flatten, "halt"),
            (self.flatten, "flatten"),
            (self.daily_loss, "daily_loss"),
            (self.drawdown, "drawdown"),
            (self.reduce_only, "reduce-only"),
            (self.journal_low, "journal_low"),
            (self.journal_out, "journal_out"),
            (self.ring_full, "ring_full"),
            (self.reconcile, "reconcile"),
        ]
        .into_iter()
        .filter_map(|(set, name)| set.then_some(name))
        .collect()
    }
}
