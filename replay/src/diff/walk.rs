//! The walk: both sides at once, from one input of both to the next.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use pawl_engine::pipeline::Passed;
use pawl_engine::settings::Settings;
use pawl_journal::record::{
    Checkpoint, CheckpointOf, ExecutionReport, KeptStep, Kind, OrderChanged, Record, Sequence, StepRef, Time,
};

use super::finding::{Compared, Finding, First, KindCount, Place, Source, StepCount, What};
use super::lane::{Class, Key, Lane, Steps};
use super::orders::{Orders, Partner};
use super::records::{Comparer, Differs, is_compared};
use crate::error::ReplayError;

pub(super) struct Walk<'s, 'n, 'v> {
    lanes: [Lane<'s>; 2],
    comparer: Comparer<'n>,
    orders: Orders,
    visit: &'v mut dyn FnMut(&Finding<'_>) -> ControlFlow<()>,
    stopped: bool,
    first: Option<First>,
    /// The first difference that is about a timer pulse.
    first_pulse: Option<First>,
    steps: StepCount,
    kinds: BTreeMap<Kind, KindCount>,
    /// Inputs in a row that only one side has, up to the last step.
    row: Option<Row>,
    /// Reports, by order and step, that came since the last input from outside and had to wait.
    held_here: Vec<(Source, u64, Sequence)>,
    /// Orders that ended on both sides since the last input from outside; a late report on one may still come.
    ended_here: Vec<(Source, u64)>,
    /// The last step of a run whose counterpart has not come.
    run_ends: [Option<KeptStep>; 2],
    inputs_differ_from: Option<[Option<Place>; 2]>,
    state_differs_from: Option<([Place; 2], CheckpointOf)>,
}

/// Inputs in a row that only one side has.
struct Row {
    source: Source,
    first: Place,
    last: Place,
    steps: u64,
    pulses: u64,
}

/// Whether a step came of a timer pulse, which comes with silence, and which a report ends.
fn is_pulse(step: StepRef<'_>) -> bool {
    step.input().is_some_and(|input| input.kind() == Some(Kind::Timer))
}

impl<'s, 'n, 'v> Walk<'s, 'n, 'v> {
    pub(super) fn new(
        sources: [&'s mut dyn Steps; 2],
        settings: [&'n Settings; 2],
        visit: &'v mut dyn FnMut(&Finding<'_>) -> ControlFlow<()>,
    ) -> Self {
        let [a, b] = sources;
        let opening = settings.map(|it| it.account.balance.to_micros());
        Self {
            lanes: [Lane::new(a, opening[0]), Lane::new(b, opening[1])],
            comparer: Comparer::new(settings),
            orders: Orders::default(),
            visit,
            stopped: false,
            first: None,
            first_pulse: None,
            steps: StepCount::default(),
            kinds: BTreeMap::new(),
            row: None,
            held_here: Vec::new(),
            ended_here: Vec::new(),
            run_ends: [None, None],
            inputs_differ_from: None,
            state_differs_from: None,
        }
    }

    pub(super) fn run(&mut self) -> Result<(), ReplayError> {
        while !self.stopped {
            self.reports()?;
            let (a, b) = (self.lanes[0].class()?, self.lanes[1].class()?);
            match (a, b) {
                (None, None) => break,
                (Some(_), None) => self.input_of_one(Source::A)?,
                (None, Some(_)) => self.input_of_one(Source::B)?,
                (Some(Class::Outside(left)), Some(Class::Outside(right))) if left == right => {
                    self.inputs_of_both()?;
                }
                (Some(Class::Outside(left)), Some(Class::Outside(right))) => {
                    match self.behind(left, right)? {
                        Some(source) => self.input_of_one(source)?,
                        None => self.inputs_of_both()?,
                    }
                }
                // What is no input from outside has been taken.
                _ => break,
            }
        }
        self.end_row();
        for source in Source::BOTH {
            while !self.stopped
                && let Some(id) = self.orders.any_held(source)
            {
                self.flush(source, id)?;
            }
        }
        Ok(())
    }

    /// Which side's next input the other one does not have; none if it is the same one, changed.
    fn behind(&mut self, left: Key, right: Key) -> Result<Option<Source>, ReplayError> {
        let time = |lane: &mut Lane<'_>| lane.time().map(|time| time.unwrap_or(Time(i64::MAX)));
        let (a, b) = (time(&mut self.lanes[0])?, time(&mut self.lanes[1])?);
        if a != b && !left.is_like(right) {
            return Ok(Some(if a < b { Source::A } else { Source::B }));
        }
        let (to_left, to_right) = (self.lanes[1].distance(left, a)?, self.lanes[0].distance(right, b)?);
        Ok(match (to_left, to_right) {
            (Some(to_left), Some(to_right)) if to_left > to_right => Some(Source::A),
            (Some(_), _) => Some(Source::B),
            (None, Some(_)) => Some(Source::A),
            (None, None) if left.is_like(right) => None,
            (None, None) => Some(Source::A),
        })
    }

    /// Takes everything in front of the next inputs from outside.
    fn reports(&mut self) -> Result<(), ReplayError> {
        self.held_here.clear();
        while !self.stopped {
            let mut moved = false;
            for source in Source::BOTH {
                match self.lanes[source.index()].class()? {
                    Some(Class::Run) => {
                        if let Some(step) = self.lanes[source.index()].take() {
                            self.run_of_one(source, step);
                        }
                        moved = true;
                    }
                    Some(Class::Report) => {
                        if let Some(step) = self.lanes[source.index()].take() {
                            self.report(source, step)?;
                        }
                        moved = true;
                    }
                    _ => {}
                }
            }
            if !moved {
                break;
            }
        }
        for (source, id) in std::mem::take(&mut self.ended_here) {
            self.flush(source, id)?;
        }
        for (source, id, at) in std::mem::take(&mut self.held_here) {
            self.elsewhere(source, id, at)?;
        }
        Ok(())
    }

    /// The start of a run, with the venue's statement, or its end, which has a checkpoint. A side that was restarted has
    /// more of them; what a statement changed shows in the decisions behind it.
    fn run_of_one(&mut self, source: Source, step: KeptStep) {
        if step.view().record(Kind::RunEnded).is_none() || step.view().record(Kind::Checkpoint).is_none() {
            return self.lanes[source.index()].give_back(step);
        }
        self.run_ends[source.index()] = Some(step);
        if let [Some(a), Some(b)] = &self.run_ends {
            let (a, b) = (a.clone(), b.clone());
            self.run_ends = [None, None];
            self.compare_state(a.view(), b.view());
        }
    }

    fn report(&mut self, source: Source, step: KeptStep) -> Result<(), ReplayError> {
        let id = step.view().get::<ExecutionReport>().map_or(0, |it| it.client_order_id.0);
        match self.orders.partner(source, id) {
            Partner::Alone => return self.step_of_one(source, step),
            Partner::With(partner) => {
                if let Some(other) = self.orders.release(source.other(), partner) {
                    let pair = if source == Source::A { [step, other] } else { [other, step] };
                    return self.steps_of_both(pair);
                }
            }
            Partner::Waiting => {}
        }
        self.orders.unpaired(source, step.view(), Partner::Waiting);
        self.held_here.push((source, id, step.view().sequence()));
        match self.orders.hold(source, id, step) {
            Some(too_many) => self.step_of_one(source, too_many),
            None => Ok(()),
        }
    }

    /// Tells of a report that is not there on the other side before the next input. Where the order has ended there, it
    /// will not come either.
    fn elsewhere(&mut self, source: Source, id: u64, at: Sequence) -> Result<(), ReplayError> {
        let Some(step) = self.orders.waiting(source, id, at).cloned() else { return Ok(()) };
        if let Partner::With(partner) = self.orders.partner(source, id)
            && self.orders.has_ended(source.other(), partner)
        {
            return self.flush(source, id);
        }
        let mut steps = [None, None];
        steps[source.index()] = Some(step.view());
        let Some(record) = step.view().input() else { return Ok(()) };
        self.note_first(steps, &Differs::Only { source, place: 0 })?;
        self.tell(steps, What::Elsewhere { source, record });
        Ok(())
    }

    fn inputs_of_both(&mut self) -> Result<(), ReplayError> {
        self.end_row();
        // A run that ended on one side only, and goes on.
        self.run_ends = [None, None];
        if let (Some(a), Some(b)) = (self.lanes[0].take(), self.lanes[1].take()) {
            self.steps_of_both([a, b])?;
        }
        Ok(())
    }

    fn steps_of_both(&mut self, pair: [KeptStep; 2]) -> Result<(), ReplayError> {
        let (a, b) = (pair[0].view(), pair[1].view());
        let paired = self.orders.pair(a, b);
        let differs = self.comparer.compare(a, b, &self.orders);
        if differs.is_empty() {
            self.steps.equal += 1;
        } else {
            self.steps.changed += 1;
        }
        for it in &differs {
            self.difference([Some(a), Some(b)], it)?;
        }
        self.compare_state(a, b);
        self.end_orders([Some(a), Some(b)]);
        for ids in paired {
            self.settle(ids)?;
        }
        let [a, b] = pair;
        self.lanes[0].give_back(a);
        self.lanes[1].give_back(b);
        Ok(())
    }

    /// An input from outside that only one side has.
    fn input_of_one(&mut self, source: Source) -> Result<(), ReplayError> {
        let Some(step) = self.lanes[source.index()].take() else { return Ok(()) };
        let place = Place::of(step.view());
        let is_pulse = is_pulse(step.view());
        if self.row.as_ref().is_none_or(|row| row.source != source) {
            self.end_row();
        }
        let row = self.row.get_or_insert(Row { source, first: place, last: place, steps: 0, pulses: 0 });
        (row.last, row.steps, row.pulses) = (place, row.steps + 1, row.pulses + u64::from(is_pulse));
        let mut steps = [None, None];
        steps[source.index()] = Some(step.view());
        self.note_first(steps, &Differs::Only { source, place: 0 })?;
        if !is_pulse {
            self.note_inputs(steps)?;
        }
        self.step_of_one(source, step)
    }

    /// A step without counterpart.
    fn step_of_one(&mut self, source: Source, step: KeptStep) -> Result<(), ReplayError> {
        let mut steps = [None, None];
        steps[source.index()] = Some(step.view());
        self.steps.only[source.index()] += 1;
        let alone = self.orders.unpaired(source, step.view(), Partner::Alone);
        for (place, record) in step.view().records().enumerate().filter(|(_, it)| is_compared(it)) {
            let told = matches!(
                record.kind(),
                Some(Kind::ExecutionReport | Kind::Verdict | Kind::OrderRequest | Kind::Alert)
            );
            if told {
                self.difference(steps, &Differs::Only { source, place })?;
            } else {
                self.count_only(source, &record, steps);
            }
        }
        self.end_orders(steps);
        for id in alone {
            let mut ids = [None, None];
            ids[source.index()] = Some(id);
            self.settle(ids)?;
        }
        self.lanes[source.index()].give_back(step);
        Ok(())
    }

    /// Takes up the reports that waited for these orders to be known.
    fn settle(&mut self, ids: [Option<u64>; 2]) -> Result<(), ReplayError> {
        match ids {
            [Some(a), Some(b)] => {
                while self.orders.waits(Source::A, a) && self.orders.waits(Source::B, b) {
                    let pair = (self.orders.release(Source::A, a), self.orders.release(Source::B, b));
                    if let (Some(a), Some(b)) = pair {
                        self.steps_of_both([a, b])?;
                    }
                }
                Ok(())
            }
            [Some(a), None] => self.flush(Source::A, a),
            [None, Some(b)] => self.flush(Source::B, b),
            [None, None] => Ok(()),
        }
    }

    /// Tells of the reports on an order that waited in vain.
    fn flush(&mut self, source: Source, id: u64) -> Result<(), ReplayError> {
        while let Some(step) = self.orders.release(source, id) {
            self.step_of_one(source, step)?;
        }
        Ok(())
    }

    fn end_orders(&mut self, steps: [Option<StepRef<'_>>; 2]) {
        for source in Source::BOTH {
            let Some(step) = steps[source.index()] else { continue };
            for change in step.all::<OrderChanged>().filter(|it| it.to.is_final()) {
                let Some(ids) = self.orders.end(source, change.client_order_id.0) else { continue };
                for source in Source::BOTH {
                    self.ended_here.extend(ids[source.index()].map(|id| (source, id)));
                }
            }
        }
    }

    /// Checkpoints tell of the state, which no decision need have shown yet.
    fn compare_state(&mut self, a: StepRef<'_>, b: StepRef<'_>) {
        if self.state_differs_from.is_some() {
            return;
        }
        let differs = |it: &&Checkpoint| {
            let other = b.all::<Checkpoint>().find(|other| other.of == it.of);
            it.of != CheckpointOf::OUTPUT && other.is_some_and(|other| other.hash != it.hash)
        };
        if let Some(checkpoint) = a.all::<Checkpoint>().find(differs) {
            self.state_differs_from = Some(([Place::of(a), Place::of(b)], checkpoint.of));
        }
    }

    fn difference(&mut self, steps: [Option<StepRef<'_>>; 2], it: &Differs<'_>) -> Result<(), ReplayError> {
        self.note_first(steps, it)?;
        match it {
            Differs::Only { source, place } => {
                let record = steps[source.index()].and_then(|step| step.records().nth(*place));
                if let Some(record) = record {
                    self.count_only(*source, &record, steps);
                    self.tell(steps, What::Only { source: *source, record });
                }
            }
            Differs::Changed { places, fields } => {
                let [Some(a), Some(b)] = steps else { return Ok(()) };
                let records = (a.records().nth(places[0]), b.records().nth(places[1]));
                let (Some(left), Some(right)) = records else { return Ok(()) };
                if left
                    .kind()
                    .is_some_and(|it| it.is_input() && !matches!(it, Kind::ExecutionReport | Kind::Timer))
                {
                    self.note_inputs(steps)?;
                }
                if let Some(count) = self.count(&left, steps) {
                    count.changed += 1;
                }
                self.tell(steps, What::Changed { records: [left, right], fields });
            }
        }
        Ok(())
    }

    fn count_only(&mut self, source: Source, record: &Record<'_>, steps: [Option<StepRef<'_>>; 2]) {
        if let Some(count) = self.count(record, steps) {
            count.only[source.index()] += 1;
        }
    }

    fn count(&mut self, record: &Record<'_>, steps: [Option<StepRef<'_>>; 2]) -> Option<&mut KindCount> {
        let count = self.kinds.entry(record.kind()?).or_default();
        let places = steps.map(|step| step.map(Place::of));
        // A report that waited in vain is told late.
        let time = |places: [Option<Place>; 2]| places.into_iter().flatten().map(|it| it.time).min();
        if count.first.is_none_or(|first| time(places) < time(first)) {
            count.first = Some(places);
        }
        Some(count)
    }

    fn tell(&mut self, steps: [Option<StepRef<'_>>; 2], what: What<'_>) {
        let finding = Finding { steps, what, inputs_differ: self.inputs_differ_from.is_some() };
        if !self.stopped {
            self.stopped = (self.visit)(&finding).is_break();
        }
    }

    fn end_row(&mut self) {
        if let Some(Row { source, first, last, steps, pulses }) = self.row.take() {
            self.tell([None, None], What::Inputs { source, first, last, steps, pulses });
        }
    }

    fn note_inputs(&mut self, steps: [Option<StepRef<'_>>; 2]) -> Result<(), ReplayError> {
        if self.inputs_differ_from.is_none() {
            let mut places = steps.map(|step| step.map(Place::of));
            for source in Source::BOTH {
                if places[source.index()].is_none() {
                    let next = self.lanes[source.index()].peek(0)?;
                    places[source.index()] = next.map(|step| Place::of(step.view()));
                }
            }
            self.inputs_differ_from = Some(places);
        }
        Ok(())
    }

    #[inline]
    fn note_first(&mut self, steps: [Option<StepRef<'_>>; 2], it: &Differs<'_>) -> Result<(), ReplayError> {
        if self.first.is_none() { self.keep_first(steps, it) } else { Ok(()) }
    }

    #[cold]
    fn keep_first(&mut self, steps: [Option<StepRef<'_>>; 2], it: &Differs<'_>) -> Result<(), ReplayError> {
        let (records, fields) = match it {
            Differs::Only { source, place } => {
                let mut records = [None, None];
                records[source.index()] = Some(*place);
                (records, Vec::new())
            }
            Differs::Changed { places, fields } => {
                (places.map(Some), fields.iter().map(|it| (*it).to_owned()).collect())
            }
        };
        let mut kinds =
            steps.iter().zip(records).filter_map(|(step, place)| (*step)?.records().nth(place?)?.kind());
        let kind = kinds.next().map_or("unknown", Kind::name);
        let is_of_pulse = kind == Kind::Timer.name();
        if is_of_pulse && self.first_pulse.is_some() {
            return Ok(());
        }
        let [a, b] = &mut self.lanes;
        let first = First {
            before: [a.before(steps[0]), b.before(steps[1])],
            after: [a.after()?, b.after()?],
            steps: steps.map(|step| step.map(KeptStep::of)),
            stage: if kind == Kind::ExecutionReport.name() { "venue" } else { Passed::stage_of(kind) },
            records,
            fields,
            kind,
        };
        *(if is_of_pulse { &mut self.first_pulse } else { &mut self.first }) = Some(first);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Compared {
        let [a, b] = self.lanes.map(|lane| lane.tally);
        for kind in Kind::ALL {
            let records = [a.records(*kind), b.records(*kind)];
            if records != [0, 0] {
                self.kinds.entry(*kind).or_default().records = records;
            }
        }
        Compared {
            first: self.first.or(self.first_pulse),
            steps: self.steps,
            kinds: self.kinds,
            inputs_differ_from: self.inputs_differ_from,
            state_differs_from: self.state_differs_from,
            tallies: [a, b],
            is_complete: !self.stopped,
        }
    }
}
