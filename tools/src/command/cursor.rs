//! `pawl cursor`: the named places of tailers in a journal.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use pawl_journal::log::{self, CursorDamage, CursorEntry, CursorPlace, Reader};
use pawl_journal::record::{Sequence, Time};
use serde_json::json;

use crate::exit::Exit;
use crate::machine;
use crate::output::{Table, put, say, thousands, time_text};

/// Show or remove the cursors of a journal: the named places of programs that follow it.
#[derive(Args)]
#[command(after_help = "Examples:\n  pawl cursor list J\n  pawl cursor list J --json\n  \
    pawl cursor remove J database\n\n\
    Exit codes: 0 all can be used, 1 some cannot (which and why), 2 cannot open.\n\n\
    A cursor is registered by `pawl tail --cursor NAME`, or by a program that uses the library. Pruning keeps every step \
    that a cursor has still to see, so remove those that nobody uses any more.")]
pub struct Cursor {
    #[command(subcommand)]
    action: Action,
    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Action {
    /// Where each cursor stands, how far behind the journal's end, and since when
    List {
        /// Directory of the journal
        journal: PathBuf,
    },
    /// Forget a cursor: nothing is kept for it any more, and its name begins anew
    Remove {
        /// Directory of the journal
        journal: PathBuf,
        /// Its name
        name: String,
    },
}

impl Cursor {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        match &self.action {
            Action::List { journal } => self.list(journal),
            Action::Remove { journal, name } => self.remove(journal, name),
        }
    }

    fn list(&self, journal: &Path) -> anyhow::Result<Exit> {
        let entries = log::Cursor::list(journal)?;
        let last = Reader::open(journal)?.last_sequence()?;
        let now = machine::now();
        let is_damaged = entries.iter().any(|entry| entry.damage.is_some());
        let exit = if is_damaged { Exit::Finding } else { Exit::Yes };
        if self.json {
            let cursors: Vec<_> = entries.iter().map(|entry| entry_json(entry, last, now)).collect();
            say!("{}", json!({ "last": last.0, "cursors": cursors }));
            return Ok(exit);
        }
        if entries.is_empty() {
            say!("{} has no cursors", journal.display());
            return Ok(exit);
        }
        let mut table = Table::new(&["cursor", "next step", "steps behind", "saved", "in use", "state"]);
        for entry in &entries {
            let cells = entry.place.map_or(["?"; 3].map(str::to_owned), |place| {
                let behind = match behind(&place, last) {
                    behind if behind < 0 => format!("{} ahead", thousands(behind.unsigned_abs())),
                    behind => thousands(behind.unsigned_abs()),
                };
                let saved = format!("{} ago", age_text(age(&place, now)));
                [place.next_sequence.to_string(), behind, saved]
            });
            let [next, behind, saved] = cells;
            let in_use = if entry.is_in_use { "yes" } else { "no" };
            let state = state(entry.damage).to_owned();
            table.row([entry.name.clone(), next, behind, saved, in_use.to_owned(), state]);
        }
        table.numbers_from(1);
        put!("{table}");
        say!(" the journal's last step is {last}");
        for entry in &entries {
            if let Some(what) = entry.damage {
                let error = log::JournalError::CursorUnusable { file: entry.file.clone(), what };
                say!(" {error}");
            }
        }
        Ok(exit)
    }

    fn remove(&self, journal: &Path, name: &str) -> anyhow::Result<Exit> {
        let place = log::Cursor::remove(journal, name)?;
        if self.json {
            say!("{}", json!({ "removed": name, "next": place.map(|place| place.0) }));
        } else {
            match place {
                Some(place) => say!("removed the cursor `{name}`, which was at step {place}"),
                None => say!("removed the cursor `{name}`, whose file was damaged"),
            }
        }
        Ok(Exit::Yes)
    }
}

/// What a cursor's damage is called in a table.
fn state(damage: Option<CursorDamage>) -> &'static str {
    match damage {
        None => "good",
        Some(CursorDamage::Bytes) => "damaged",
        Some(CursorDamage::Name) => "bad name",
        Some(CursorDamage::Journal) => "another journal's",
        Some(CursorDamage::Pruned { .. }) => "pruned",
        Some(CursorDamage::Replaced { .. }) => "replaced",
        Some(CursorDamage::Ahead { .. }) => "ahead",
    }
}

fn entry_json(entry: &CursorEntry, last: Sequence, now: Time) -> serde_json::Value {
    json!({
        "name": entry.name,
        "next": entry.place.map(|place| place.next_sequence.0),
        "behind": entry.place.map(|place| behind(&place, last)),
        "saved": entry.place.map(|place| time_text(place.saved)),
        "age_s": entry.place.map(|place| age(&place, now).as_secs_f64()),
        "in_use": entry.is_in_use,
        "state": state(entry.damage),
        "problem": entry.damage.map(|what| what.to_string()),
    })
}

/// Steps that the journal has and the cursor has not seen; negative if it is ahead of the journal.
fn behind(place: &CursorPlace, last: Sequence) -> i64 {
    (last.0 + 1).wrapping_sub(place.next_sequence.0).cast_signed()
}

fn age(place: &CursorPlace, now: Time) -> Duration {
    Duration::from_nanos(u64::try_from(now.0.saturating_sub(place.saved.0)).unwrap_or(0))
}

/// A length of time in the largest unit of which it has at least two.
fn age_text(age: Duration) -> String {
    let seconds = age.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    match units.iter().find(|(unit, _)| seconds >= 2 * unit) {
        Some((unit, name)) => format!("{} {name}", seconds / unit),
        None => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_a_unit_of_which_it_has_two() {
        let text = |seconds| age_text(Duration::from_secs(seconds));
        let told = [0, 119, 120, 7_199, 7_200, 172_799, 172_800].map(text);
        assert_eq!(told, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]);
    }
}
