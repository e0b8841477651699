//! `Account`: balance, equity, the peak it fell from, and where the day began.
//!
//! Days are those of UTC, by the step's time. The first step of a day takes the equity before it as the day's base.

use pawl_journal::record::{EquityChanged, Micros, Time};

use super::position::saturate;
use crate::stateful;

const DAY_NS: i64 = 86_400 * Time::SECOND;

/// What the account is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    /// Opening balance plus realised profit less commission.
    pub(super) balance: Micros,
    /// Sum of the unrealised profit of every instrument.
    pub(super) unrealised: Micros,
    /// Highest equity so far, or since it was last restarted.
    pub(super) peak: Micros,
    /// Peak less equity, in millionths of the peak.
    pub(super) drawdown_ppm: i64,
    /// Deepest drawdown so far, in millionths of the peak of its time.
    pub(super) drawdown_ppm_max: i64,
    /// Equity when the day began, or since it was last restarted.
    pub(super) day_start: Micros,
    /// End of the day that the last step was in, exclusive.
    day_end: Time,
    /// Equity that peak and drawdown know.
    followed: Micros,
    /// Equity as the journal knows it.
    told: Micros,
}

stateful!(Account {
    balance,
    unrealised,
    peak,
    drawdown_ppm,
    drawdown_ppm_max,
    day_start,
    day_end,
    followed,
    told,
});

impl Account {
    /// An account with an opening balance and nothing held.
    pub(super) const fn new(balance: Micros) -> Self {
        Self {
            balance,
            unrealised: Micros(0),
            peak: balance,
            drawdown_ppm: 0,
            drawdown_ppm_max: 0,
            day_start: balance,
            day_end: Time(i64::MIN),
            followed: balance,
            told: balance,
        }
    }

    /// Balance plus unrealised profit.
    #[inline]
    pub(super) const fn equity(&self) -> Micros {
        Micros(self.balance.0.saturating_add(self.unrealised.0))
    }

    /// Equity less equity at the start of the day.
    #[inline]
    pub(super) const fn daily(&self) -> Micros {
        Micros(self.equity().0.saturating_sub(self.day_start.0))
    }

    /// Begins a new day if `now` lies beyond the last one. Time never goes back.
    #[inline]
    pub(super) fn roll(&mut self, now: Time) {
        if now >= self.day_end {
            self.day_end = Time((now.0.div_euclid(DAY_NS) + 1).saturating_mul(DAY_NS));
            self.day_start = self.equity();
        }
    }

    /// Follows the equity: a new peak, a deeper drawdown.
    #[inline]
    pub(super) fn follow(&mut self) {
        if self.followed != self.equity() {
            self.measure();
        }
    }

    fn measure(&mut self) {
        self.followed = self.equity();
        self.peak = self.peak.max(self.followed);
        self.drawdown_ppm = ppm_of(self.peak.0, self.peak.0.saturating_sub(self.followed.0));
        self.drawdown_ppm_max = self.drawdown_ppm_max.max(self.drawdown_ppm);
    }

    /// The drawdown starts over from here.
    pub(super) const fn restart_peak(&mut self) {
        self.peak = self.equity();
        self.drawdown_ppm = 0;
    }

    /// The day's loss starts over from here.
    pub(super) const fn restart_day(&mut self) {
        self.day_start = self.equity();
    }

    /// Whether the equity is not what the journal was last told.
    pub(super) fn is_news(&self) -> bool {
        self.told != self.equity()
    }

    /// The record of the account as it is now.
    pub(super) fn tell(&mut self) -> EquityChanged {
        self.told = self.equity();
        EquityChanged {
            balance: self.balance,
            equity: self.equity(),
            peak: self.peak,
            drawdown_ppm: self.drawdown_ppm,
            drawdown_ppm_max: self.drawdown_ppm_max,
            daily: self.daily(),
        }
    }
}

/// A fall from a peak in millionths of the peak, rounded down; 0 if there is no peak to fall from.
fn ppm_of(peak: i64, fall: i64) -> i64 {
    if peak <= 0 {
        return 0;
    }
    // The narrow division is the usual one, and runs at every tick of a holding.
    match fall.checked_mul(1_000_000) {
        Some(product) => product / peak,
        None => saturate(i128::from(fall) * 1_000_000 / i128::from(peak)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_of_a_day_takes_the_equity_before_it() {
        let mut account = Account::new(Micros(1_000_000));
        account.roll(Time(DAY_NS - 1));
        account.unrealised = Micros(-200_000);
        account.roll(Time(DAY_NS - 1));
        assert_eq!(account.daily(), Micros(-200_000));
        account.roll(Time(DAY_NS));
        assert_eq!(account.daily(), Micros(0));
        account.unrealised = Micros(-300_000);
        assert_eq!(account.daily(), Micros(-100_000));
    }

    #[test]
    fn drawdowns_of_any_size_are_exact() {
        assert_eq!(ppm_of(1_000_000, 600), 600);
        assert_eq!(ppm_of(3_000_000_000_000_000, 1_000_000_000_000_000), 333_333);
        assert_eq!(ppm_of(i64::MAX, i64::MAX), 1_000_000);
        assert_eq!(ppm_of(1, i64::MAX), i64::MAX);
        assert_eq!((ppm_of(0, 5), ppm_of(-5, 5)), (0, 0));
    }

    #[test]
    fn drawdown_is_measured_from_the_peak_of_its_time() {
        let mut account = Account::new(Micros(1_000_000));
        for (unrealised, ppm) in [(0, 0), (-100_000, 100_000), (1_000_000, 0), (500_000, 250_000)] {
            account.unrealised = Micros(unrealised);
            account.follow();
            assert_eq!(account.drawdown_ppm, ppm);
        }
        assert_eq!((account.peak, account.drawdown_ppm_max), (Micros(2_000_000), 250_000));
        account.restart_peak();
        assert_eq!((account.drawdown_ppm, account.drawdown_ppm_max), (0, 250_000));
    }
}
