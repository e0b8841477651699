//! `Forward`: the results of a sweep, window by window, and the chain of its tests.
//!
//! ```text
//! window 1   train: every point --> the best one --> test --+
//! window 2   train: every point --> the best one --> test --+--> one history out of sample
//! ```
//!
//! Without windows there is one, which trains on everything and has no test. Results arrive in any order and are kept by
//! place, so that nothing depends on which came first.

use pawl_adapters::feed::TimeRange;
use pawl_journal::record::{Micros, Time};
use pawl_replay::{Interval, Ratios, Sample};

use super::cell::{Cell, Ended, Role};
use super::figures::{Figures, Metric};
use super::windows::Window;

/// A window and what its runs came to.
pub struct Walked {
    /// When.
    pub window: Window,
    /// Every point on the train, in grid order.
    pub trains: Vec<Ended>,
    /// Trains that have not ended.
    missing: usize,
    /// The best of them; none if none can tell the metric, or they have not all ended.
    pub chosen: Option<usize>,
    /// The chosen one on the test.
    pub test: Ended,
    /// Equity at every boundary of the interval within the test.
    equity: Vec<Micros>,
}

/// The results of a sweep.
pub struct Forward {
    /// What the best is best in.
    pub metric: Metric,
    /// How far apart samples are; none if each report chooses.
    pub every: Option<Interval>,
    /// In the order of time.
    pub walked: Vec<Walked>,
}

impl Forward {
    /// Nothing run yet.
    pub fn new(windows: Vec<Window>, points: usize, metric: Metric, every: Option<Interval>) -> Self {
        let walked = windows
            .into_iter()
            .map(|window| Walked {
                window,
                trains: vec![Ended::Stopped; points],
                missing: points,
                chosen: None,
                test: Ended::Stopped,
                equity: Vec::new(),
            })
            .collect();
        Self { metric, every, walked }
    }

    /// Every cell that is known before anything is run.
    pub fn trains(&self) -> impl Iterator<Item = Cell> {
        self.walked.iter().enumerate().flat_map(|(place, it)| {
            let role = if it.window.test.is_some() { Role::Train } else { Role::Whole };
            let range = it.window.train;
            (0..it.trains.len()).map(move |point| Cell { window: place, role, point, range })
        })
    }

    /// Takes a result; gives the test that it makes known.
    pub fn take(&mut self, cell: Cell, ended: Ended, samples: &[Sample]) -> Option<Cell> {
        let every = self.every;
        let walked = self.walked.get_mut(cell.window)?;
        if cell.role == Role::Test {
            if let Some(every) = every {
                walked.equity = at_boundaries(samples, cell.range, every);
            }
            walked.test = ended;
            return None;
        }
        walked.missing -= usize::from(!matches!(ended, Ended::Stopped));
        walked.trains[cell.point] = ended;
        if walked.missing > 0 {
            return None;
        }
        let order = self.metric.order(walked.trains.iter().map(Ended::figures));
        let (point, _) = order.first().copied().filter(|(_, rank)| rank.is_some())?;
        walked.chosen = Some(point);
        Some(Cell { window: cell.window, role: Role::Test, point, range: walked.window.test? })
    }

    /// The tests as one history, as far as windows have ended without a gap, and how many these are. Each begins with the
    /// opening balance; their profits are added up. A window in which nothing was chosen or traded is flat.
    pub fn chain(&self) -> Option<(usize, Figures)> {
        let every = self.every?;
        let is_known = |test: &Ended| matches!(test, Ended::Done(_) | Ended::NoTicks);
        let is_over = |it: &&Walked| it.missing == 0 && (it.chosen.is_none() || is_known(&it.test));
        let over: Vec<&Walked> = self.walked.iter().take_while(is_over).collect();
        let opening = over.iter().find_map(|it| it.equity.first().copied())?;
        let (mut chain, mut figures) = (vec![opening], Figures::default());
        for it in &over {
            let before = *chain.last()?;
            match it.equity.split_first() {
                Some((own, rest)) => chain.extend(rest.iter().map(|equity| before + (*equity - *own))),
                None => {
                    let test = it.window.test?;
                    chain.extend(std::iter::repeat_n(before, boundaries(test, every).count()));
                }
            }
            it.test.figures().into_iter().for_each(|test| figures.add(test));
        }
        figures.ratios = Ratios::of(chain, every.per_year());
        figures.drawdown = figures.ratios.drawdown.unwrap_or(0.0);
        Some((over.len(), figures))
    }
}

/// The boundaries of the interval behind the beginning of a range, and its end.
fn boundaries(range: TimeRange, every: Interval) -> impl Iterator<Item = i64> {
    let every = every.nanoseconds();
    let first = (range.from.0.div_euclid(every) + 1) * every;
    let inside = (0..).map(move |at| first + at * every).take_while(move |at| *at < range.until.0);
    inside.chain([range.until.0])
}

/// Equity at the beginning of a range and at every boundary in it: the last sample until then.
fn at_boundaries(samples: &[Sample], range: TimeRange, every: Interval) -> Vec<Micros> {
    let Some(first) = samples.first() else { return Vec::new() };
    let until = |at: i64| {
        let behind = samples.partition_point(|sample| sample.time <= Time(at));
        behind.checked_sub(1).map_or(first.equity, |place| samples[place].equity)
    };
    std::iter::once(first.equity).chain(boundaries(range, every).map(until)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60 * Time::SECOND;

    fn range(from: i64, until: i64) -> TimeRange {
        TimeRange { from: Time(from * MINUTE), until: Time(until * MINUTE) }
    }

    fn done(profit: i64, sharpe: Option<f64>) -> Ended {
        let ratios = Ratios { sharpe, ..Ratios::default() };
        Ended::Done(Box::new(Figures { profit: Micros(profit), ratios, ..Figures::default() }))
    }

    fn two_windows() -> Forward {
        let window = |from| Window { train: range(from, from + 3), test: Some(range(from + 3, from + 6)) };
        Forward::new(vec![window(0), window(3)], 2, Metric::Sharpe, Some(Interval::Minute))
    }

    fn sample(seconds: i64, equity: i64) -> Sample {
        Sample { time: Time(seconds * Time::SECOND), equity: Micros(equity) }
    }

    #[test]
    fn the_best_of_a_window_is_tested_once_all_its_trains_have_ended() {
        let mut forward = two_windows();
        let cells: Vec<Cell> = forward.trains().collect();
        assert_eq!(cells.len(), 4);
        assert!(forward.take(cells[3], done(5, Some(1.0)), &[]).is_none());
        assert!(forward.take(cells[0], done(1, Some(2.0)), &[]).is_none());
        let test = forward.take(cells[1], done(9, Some(2.0)), &[]).expect("the window is whole");
        assert_eq!((test.window, test.point, test.range), (0, 0, range(3, 6)), "the first of equal ones");
        assert!(forward.take(cells[2], Ended::Stopped, &[]).is_none());
        assert_eq!(forward.walked[1].chosen, None, "one was stopped");
        assert!(forward.chain().is_none());
    }

    #[test]
    fn tests_are_chained_by_what_they_earned_and_a_window_without_a_choice_is_flat() {
        let mut forward = two_windows();
        let cells: Vec<Cell> = forward.trains().collect();
        assert!(forward.take(cells[0], done(0, None), &[]).is_none());
        assert!(forward.take(cells[1], done(0, None), &[]).is_none(), "none can tell");
        assert!(forward.take(cells[2], done(0, None), &[]).is_none());
        let test = forward.take(cells[3], done(1, Some(1.0)), &[]).expect("one can tell");
        assert_eq!((test.window, test.point), (1, 1));
        // From minute 6 to 9: it opens with 1,000 and has 1,010 at minute 8, and 990 from then on.
        let samples = [sample(365, 1_000), sample(420, 1_000), sample(480, 1_010), sample(539, 990)];
        forward.take(test, done(-10, Some(0.0)), &samples);
        let (windows, chain) = forward.chain().expect("both are over");
        assert_eq!((windows, chain.profit), (2, Micros(-10)));
        let expected = Ratios::of(
            [1_000, 1_000, 1_000, 1_000, 1_000, 1_010, 990].map(Micros),
            Interval::Minute.per_year(),
        );
        assert_eq!(chain.ratios, expected);
    }
}
