//! A sweep as people and programs read it: tables, JSON, CSV. Programs get every cell in the order of the grid.

use pawl_adapters::feed::TimeRange;
use pawl_engine::quantity::Span;
use serde_json::{Map, Value, json};

use super::cell::{Cell, Ended, Plan, Role};
use super::figures::{Figures, Metric};
use super::forward::{Forward, Walked};
use crate::output::{Table, csv_cell, moment, money, percent, put, ratio, say, thousands, time_text};

/// How a sweep was cut, for its heading.
pub struct Heading {
    /// What was swept.
    pub range: TimeRange,
    /// Ticks in it.
    pub ticks: u64,
    /// How far apart returns are.
    pub every: &'static str,
    /// How long a test is, if there are windows.
    pub test: Option<Span>,
}

/// Every cell as a row of values: what it is, what it sets, what became of it, its figures.
pub fn rows(plan: &Plan, forward: &Forward) -> Vec<Map<String, Value>> {
    let mut rows = Vec::new();
    for (place, walked) in forward.walked.iter().enumerate() {
        let trains = forward.trains().filter(|cell| cell.window == place);
        rows.extend(trains.map(|cell| row(plan, &cell, walked, &walked.trains[cell.point])));
        if let (Some(range), Some(point)) = (walked.window.test, walked.chosen) {
            let cell = Cell { window: place, role: Role::Test, point, range };
            rows.push(row(plan, &cell, walked, &walked.test));
        }
    }
    rows
}

fn row(plan: &Plan, cell: &Cell, walked: &Walked, ended: &Ended) -> Map<String, Value> {
    let (state, message) = match ended {
        Ended::Done(_) => ("done", None),
        Ended::NoTicks => ("no_ticks", None),
        Ended::Stopped => ("not_run", None),
        Ended::Failed { message, .. } => ("failed", Some(message)),
    };
    let bound = |time, none| if time == none { Value::Null } else { time_text(time).into() };
    let mut row = Map::new();
    let mut put = |name: &str, value: Value| drop(row.insert(name.to_owned(), value));
    put("window", json!((cell.role != Role::Whole).then_some(cell.window + 1)));
    put("role", json!(cell.role.name()));
    put("point", json!(cell.point + 1));
    put("from", bound(cell.range.from, TimeRange::ALL.from));
    put("until", bound(cell.range.until, TimeRange::ALL.until));
    for (key, value) in plan.grid.point(cell.point) {
        put(key, json!(value));
    }
    put("chosen", json!(walked.chosen == Some(cell.point)));
    put("state", json!(state));
    put("message", json!(message));
    row.extend(Figures::json(ended.figures()));
    let is_kept = plan.keeps && !matches!(ended, Ended::NoTicks | Ended::Stopped);
    let journal = is_kept.then(|| plan.journal(cell).display().to_string());
    row.insert("journal".to_owned(), json!(journal));
    row
}

/// The whole sweep as JSON.
pub fn json(plan: &Plan, forward: &Forward, heading: &Heading) -> Value {
    let chain = forward.chain().map(|(windows, figures)| {
        let mut chain = Figures::json(Some(&figures));
        chain.shift_insert(0, "windows".to_owned(), json!(windows));
        Value::Object(chain)
    });
    json!({
        "metric": forward.metric.name(),
        "every": heading.every,
        "from": time_text(heading.range.from),
        "until": time_text(heading.range.until),
        "ticks": heading.ticks,
        "points": plan.grid.len(),
        "cells": rows(plan, forward),
        "out_of_sample": chain,
    })
}

/// Every cell as CSV.
pub fn csv(plan: &Plan, forward: &Forward) -> String {
    let rows = rows(plan, forward);
    let header = rows.first().map(|row| row.keys().map(|key| csv_cell(&json!(key))).collect::<Vec<_>>());
    let lines = rows.iter().map(|row| row.values().map(csv_cell).collect::<Vec<_>>());
    header.into_iter().chain(lines).map(|cells| cells.join(",") + "\n").collect()
}

/// The sweep as tables, of at most `limit` rows.
pub fn text(plan: &Plan, forward: &Forward, heading: &Heading, limit: usize) -> anyhow::Result<()> {
    let Heading { range, ticks, every, test } = heading;
    let (from, until) = (moment(range.from, 0), moment(range.until, 0));
    say!("{from} .. {until} UTC, {} ticks; returns by the {every}", thousands(*ticks));
    match test {
        None => points(plan, forward, limit)?,
        Some(_) => windows(plan, forward, limit)?,
    }
    Ok(())
}

const FIGURES: [&str; 8] = ["P&L", "Sharpe", "Sortino", "Calmar", "drawdown", "trips", "won", "factor"];

fn cells(figures: Option<&Figures>) -> Vec<String> {
    let Some(it) = figures else { return vec!["-".to_owned(); FIGURES.len()] };
    let or_none = |value: Option<f64>, text: fn(f64) -> String| value.map_or_else(|| "-".to_owned(), text);
    vec![
        money(it.profit),
        or_none(it.ratios.sharpe, ratio),
        or_none(it.ratios.sortino, ratio),
        or_none(it.ratios.calmar, ratio),
        percent(it.drawdown),
        thousands(it.trips.count),
        or_none(it.trips.win_rate(), percent),
        or_none(it.trips.profit_factor(), ratio),
    ]
}

/// What became of a cell that has no figures.
fn remark(ended: &Ended) -> String {
    match ended {
        Ended::Done(_) => String::new(),
        Ended::NoTicks => "no ticks".to_owned(),
        Ended::Stopped => "not run".to_owned(),
        Ended::Failed { message, .. } => format!("failed: {message}"),
    }
}

fn points(plan: &Plan, forward: &Forward, limit: usize) -> anyhow::Result<()> {
    let Some(walked) = forward.walked.first() else { return Ok(()) };
    let order = forward.metric.order(walked.trains.iter().map(Ended::figures));
    let keys: Vec<&str> = plan.grid.keys().collect();
    let mut table = Table::new(&[&["point"][..], &keys, &FIGURES, &[""]].concat());
    for (point, _) in order.iter().take(limit) {
        let ended = &walked.trains[*point];
        let mut row = vec![(point + 1).to_string()];
        row.extend(plan.grid.point(*point).iter().map(|(_, value)| (*value).to_owned()));
        row.extend(cells(ended.figures()));
        row.push(remark(ended));
        table.row(row);
    }
    table.numbers_from(0);
    say!(
        "\n{}, the best {} first, equal ones in the order of the grid",
        counted(order.len(), "point"),
        forward.metric.name()
    );
    put!("{table}");
    left_out(order.len(), limit)?;
    if plan.keeps {
        say!("journals: {}/point-0001 ..", plan.place.display());
    }
    Ok(())
}

fn windows(plan: &Plan, forward: &Forward, limit: usize) -> anyhow::Result<()> {
    let (metric, keys) = (forward.metric, plan.grid.keys().collect::<Vec<_>>());
    let (inside, outside) = (format!("train {}", metric.name()), format!("test {}", metric.name()));
    let measures = match metric {
        Metric::Profit => vec!["train P&L", "test P&L"],
        _ => vec!["train P&L", &inside, "test P&L", &outside],
    };
    let head = ["", "train from", "test from", "until"];
    let mut table = Table::new(&[&head[..], &keys, &measures, &["drawdown", "trips", ""]].concat());
    for (place, walked) in forward.walked.iter().enumerate().take(limit) {
        table.row(window(plan, metric, place, walked));
    }
    table.numbers_from(0);
    say!(
        "\n{} of {}: the best {} of the train, the first of equal ones, is run on the test",
        counted(forward.walked.len(), "window"),
        counted(plan.grid.len(), "point"),
        metric.name()
    );
    put!("{table}");
    left_out(forward.walked.len(), limit)?;
    if let Some((count, chain)) = forward.chain() {
        let mut table = Table::new(&FIGURES);
        table.row(cells(Some(&chain)));
        table.numbers_from(0);
        say!("\nOut of sample: the tests of windows 1 to {count} as one history, drawdown at the samples");
        put!("{table}");
    }
    if plan.keeps {
        say!("journals: {}/window-0001/train-0001 .., {0}/window-0001/test ..", plan.place.display());
    }
    Ok(())
}

fn window(plan: &Plan, metric: Metric, place: usize, walked: &Walked) -> Vec<String> {
    let none = || "-".to_owned();
    let test = walked.window.test.unwrap_or(walked.window.train);
    let mut row = vec![(place + 1).to_string()];
    row.extend([walked.window.train.from, test.from, test.until].map(|time| moment(time, 0)));
    match walked.chosen {
        Some(point) => row.extend(plan.grid.point(point).iter().map(|(_, value)| (*value).to_owned())),
        None => row.extend(plan.grid.keys().map(|_| none())),
    }
    let tested = walked.test.figures();
    for figures in [walked.chosen.and_then(|point| walked.trains[point].figures()), tested] {
        row.push(figures.map_or_else(none, |it| money(it.profit)));
        if metric != Metric::Profit {
            row.push(figures.map_or_else(none, |it| metric.text(it)));
        }
    }
    row.push(tested.map_or_else(none, |it| percent(it.drawdown)));
    row.push(tested.map_or_else(none, |it| thousands(it.trips.count)));
    row.push(why(walked, metric.name()));
    row
}

fn counted(count: usize, what: &str) -> String {
    format!("{} {what}{}", thousands(count as u64), if count == 1 { "" } else { "s" })
}

/// Why a window has no test, or how many of its points failed.
fn why(walked: &Walked, metric: &str) -> String {
    let count = |is: fn(&Ended) -> bool| walked.trains.iter().filter(|it| is(it)).count();
    let failed = count(|it| matches!(it, Ended::Failed { .. }));
    let mut said = match (
        walked.chosen,
        count(|it| matches!(it, Ended::Stopped)),
        count(|it| matches!(it, Ended::NoTicks)),
    ) {
        (Some(_), ..) => remark(&walked.test),
        (None, 1.., _) => "not run".to_owned(),
        (None, _, 1..) => "no ticks to train on".to_owned(),
        (None, ..) => format!("no point has a {metric}"),
    };
    if failed > 0 {
        let first = walked
            .trains
            .iter()
            .find(|it| matches!(it, Ended::Failed { .. }))
            .map(remark)
            .unwrap_or_default();
        said = format!("{said} {} {first}", counted(failed, "point")).trim().to_owned();
    }
    said
}

fn left_out(rows: usize, limit: usize) -> anyhow::Result<()> {
    if rows > limit {
        say!(" and {} more: --limit, --csv and --json show them", rows - limit);
    }
    Ok(())
}
