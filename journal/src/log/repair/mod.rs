//! Repair: makes a damaged journal usable again. Says first what that gives up, and writes down what it did.
//!
//! ```text
//!  plan:       lost headers > verify > survey > what is put right, where the journal is to end, what goes to quarantine
//!  carry out:  lock > same as planned? > record "begun" > mends > cut > record "done" > verify
//!
//!  JOURNAL/repairs/20261121T114300.123456789Z.json      what was done, whole or not at all
//!  JOURNAL/quarantine/                                  what was given up, byte for byte
//! ```
//!
//! Invariants: nothing is deleted but indexes, which are derived; steps that a writer would refuse to give up are
//! given up only with consent; interrupted anywhere, the next repair does the rest.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::record::{Sequence, Time};

use super::beside;
use super::control::{SEALED_RECOVERED, SEALED_ROLLED};
use super::cut::{self, Quarantined};
use super::directory::{Directory, segment_name, spare_name};
use super::error::{CursorDamage, Damage, JournalError};
use super::header::{COMPATIBLE_REBUILT, Fields};
use super::pruned::MARKER;
use super::segment::Segment;
use super::storage::{Disk, Region as _, Storage};
use super::verified::{Finding, Verified};
use super::verify::{verify_directory, verify_in};
use super::walk::Evidence;

use header::Rebuilt;
use mend::Mender;
use record::{Record, record_name};
use survey::{Decision, How, MarkerMend, Mend, Place, Survey, outdated, places};

mod header;
mod mend;
mod record;
mod survey;

/// The highest step that whole frames in these segments say was on disk. Where a header is lost, they are read under the
/// one that a repair would give it.
pub(super) fn durable_behind<S: Storage>(
    directory: &Directory<S>,
    segments: &[u64],
) -> Result<u64, JournalError> {
    let (directory, _) = header::rebuild(directory.clone())?;
    let mut durable = 0;
    for first_sequence in segments {
        match Segment::open(&directory, *first_sequence) {
            Ok(Some(segment)) => durable = durable.max(Evidence::of_all(&segment).durable),
            // Nothing in it can be read, so nothing in it says anything.
            Ok(None) | Err(JournalError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(durable)
}

/// What a repair of a journal would do.
#[derive(Debug)]
pub struct RepairPlan<S: Storage = Disk> {
    /// Everything that is wrong with the journal; nothing is done if that is nothing.
    pub findings: Vec<Finding>,
    /// The first step there is; 0 if none is whole.
    pub kept_from: Sequence,
    /// The last step that stays; 0 if none does.
    pub kept_until: Sequence,
    /// Its time; 0 if there is none.
    pub kept_until_time: Time,
    /// Damage that is put right without giving anything up: the file, and how.
    pub mended: Vec<(String, String)>,
    /// The first step of a journal that is to begin with it from now on: those before it are not there, and nothing
    /// says whether they were pruned. None if the journal begins where it should.
    pub begins_at: Option<Sequence>,
    /// What is given up; none if every step stays.
    pub loss: Option<Loss>,
    /// What goes to quarantine.
    pub quarantined: Vec<Quarantined>,
    /// Named cursors that are beyond the end then: the sequences behind it are used again, for other steps.
    pub cursors_ahead: Vec<CursorAhead>,
    /// Cursors that cannot be used as they are, by name, and why. A repair leaves them alone: whoever keeps one removes
    /// it ([`Cursor::remove`](super::Cursor::remove)) and begins anew.
    pub cursors_damaged: Vec<(String, CursorDamage)>,
    /// Whether it gives up steps that may have been on disk, or cannot be told, or takes a start for one that may not be
    /// it: a writer, or a reader, refuses that.
    pub needs_consent: bool,
    /// Whether a writer does the same by itself when it opens the journal.
    pub is_recovery: bool,
    directory: Directory<S>,
    rebuilt: Vec<Rebuilt>,
    places: Vec<Place>,
    decision: Decision,
}

/// What a repair gives up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The first step that is given up, or was lost by the damage.
    pub first: Sequence,
    /// The last one that is known of, from whole frames, headers and names behind the damage; none if none is.
    pub last: Option<Sequence>,
    /// Whether there may be steps behind `last`.
    pub is_open: bool,
    /// Time of the last step that is whole in what goes to quarantine; none if none is.
    pub last_time: Option<Time>,
}

impl Loss {
    /// How many steps are known to be given up.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.last.map_or(0, |last| last.0 + 1 - self.first.0)
    }
}

/// A named cursor whose place is beyond the end of the repaired journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorAhead {
    /// Its name.
    pub name: String,
    /// The step it waits for.
    pub next_sequence: Sequence,
}

/// Who has accepted what a repair gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Nobody: it must not need consent.
    None,
    /// A person who was asked on a terminal.
    Terminal,
    /// Whoever gave the flag `--accept-loss`.
    Flag,
}

/// What a repair has done.
#[derive(Debug)]
pub struct Repaired {
    /// Where it is written down; nowhere if nothing was to be done.
    pub record: Option<PathBuf>,
    /// What went to quarantine.
    pub quarantined: Vec<Quarantined>,
    /// What the journal is now. Findings that are left need another repair.
    pub verified: Verified,
}

/// Looks at the whole journal in `dir` and plans its repair; changes nothing. Calls `progress` with the bytes done and
/// the bytes of all, now and then.
///
/// # Errors
/// [`JournalError::Locked`] while it is written; [`JournalError::NoJournal`], [`JournalError::NotAJournal`],
/// [`JournalError::NewerFormat`], [`JournalError::Io`]. Whatever is damaged, there is a plan.
pub fn plan(dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<RepairPlan, JournalError> {
    let mut plan = plan_in(Disk::new(dir), progress)?;
    if plan.loss.is_some() {
        plan.cursors_ahead = cursors_ahead(dir, plan.kept_until);
    }
    Ok(plan)
}

/// Plans the repair of a journal in a storage.
pub(super) fn plan_in<S: Storage>(
    storage: S,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<RepairPlan<S>, JournalError> {
    let directory = Directory::new(storage);
    directory.segments()?;
    if directory.storage.is_locked() {
        return Err(JournalError::Locked { dir: directory.storage.dir().to_path_buf() });
    }
    let (directory, rebuilt) = header::rebuild(directory)?;
    let (directory, verified) = verified_with(directory, &rebuilt, progress)?;
    let places = places(&directory)?;
    let survey = Survey { directory: &directory, places: &places, rebuilt: &rebuilt };
    let decision = survey.decide(&verified.findings)?;
    let begins_at = match decision.marker {
        Some(MarkerMend::Begins { first_sequence, .. }) => Some(Sequence(first_sequence)),
        _ => None,
    };
    let mut plan = RepairPlan {
        findings: verified.findings,
        kept_from: verified.first_sequence,
        kept_until: verified.last_sequence,
        kept_until_time: verified.last_time,
        mended: mended(&decision, &rebuilt),
        begins_at,
        loss: None,
        quarantined: Vec::new(),
        cursors_ahead: Vec::new(),
        cursors_damaged: Vec::new(),
        needs_consent: begins_at.is_some(),
        is_recovery: false,
        rebuilt,
        places: Vec::new(),
        decision: Decision::default(),
        directory: directory.clone(),
    };
    if let Some(cut) = &decision.cut {
        let until = cut.walk.next - 1;
        let has_steps = (1..=until).contains(&plan.kept_from.0);
        plan.kept_until = Sequence(if has_steps { until } else { 0 });
        plan.kept_until_time = Time(if has_steps { cut.walk.time } else { 0 });
        plan.needs_consent |= cut.needs_consent;
        let is_all = decision.mends.is_empty() && decision.marker.is_none();
        plan.is_recovery = !cut.needs_consent && !cut.evidence.is_ended && is_all;
        let last = (cut.lost_until > until).then_some(Sequence(cut.lost_until));
        if last.is_some() || cut.needs_consent || decision.end + 1 < places.len() {
            let has_time = cut.evidence.last_step > until;
            plan.loss = Some(Loss {
                first: Sequence(until + 1),
                last,
                is_open: cut.evidence.last_step < cut.lost_until.max(until + 1),
                last_time: has_time.then_some(Time(cut.evidence.last_time)),
            });
        }
    }
    plan.cursors_damaged = cursors_damaged(&directory, &places)?;
    (plan.places, plan.decision) = (places, decision);
    plan.quarantined = plan.to_quarantine()?;
    Ok(plan)
}

/// Verifies the journal as it is with the headers that were found for it. The hash that was taken of a segment holds no
/// more if its header is another one than it was: the header says so then.
fn verified_with<S: Storage>(
    mut directory: Directory<S>,
    rebuilt: &[Rebuilt],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Directory<S>, Verified), JournalError> {
    let mut verified = verify_directory(&directory, progress)?;
    let mut lost = Vec::new();
    for Rebuilt { first_sequence, fields, what, is_exact, .. } in rebuilt {
        let name = segment_name(*first_sequence);
        let file = directory.storage.path(&name);
        let findings = &mut verified.findings;
        let count = findings.len();
        findings.retain(|it| *is_exact || it.what != Damage::Digest || it.file != file);
        if findings.len() < count {
            let compatible = fields.compatible | COMPATIBLE_REBUILT;
            directory = directory.with_header(name, Fields { compatible, ..*fields });
        }
        lost.push(Finding { file, offset: 0, sequence: Sequence(*first_sequence), what: *what });
    }
    verified.findings.splice(0..0, lost);
    Ok((directory, verified))
}

/// What is put right, for people.
fn mended(decision: &Decision, rebuilt: &[Rebuilt]) -> Vec<(String, String)> {
    let of = |mend: &Mend| {
        let found =
            rebuilt.iter().find(|it| mend.how == How::Header && it.first_sequence == mend.first_sequence);
        (mend.file(), found.map_or_else(|| mend.how.text().to_owned(), |it| it.how.clone()))
    };
    let marker = decision.marker.map(|marker| (MARKER.to_owned(), marker.text().to_owned()));
    marker.into_iter().chain(decision.mends.iter().map(of)).collect()
}

impl<S: Storage> RepairPlan<S> {
    /// Whether there is nothing to repair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Decision { mends, cut, marker, .. } = &self.decision;
        mends.is_empty() && cut.is_none() && marker.is_none()
    }

    /// The journal's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.directory.storage.dir()
    }

    /// Segments that go to quarantine whole.
    #[must_use]
    pub fn lost_segments(&self) -> usize {
        self.quarantined.iter().filter(|it| it.offset == 0 && it.name.ends_with(".pawl")).count()
    }

    /// Does what is planned, as far as that was not done before, and verifies the journal. Interrupted anywhere, a plan
    /// that is made anew does the rest. Does nothing if the plan is empty but to verify.
    ///
    /// # Errors
    /// [`JournalError::LossNotAccepted`] if the plan needs consent and there is none, [`JournalError::PlanOutdated`] if
    /// the journal was changed since it was planned, [`JournalError::Locked`] while it is written: then nothing was
    /// changed. [`JournalError::NotWritable`], [`JournalError::UnsupportedFileSystem`], [`JournalError::DiskFull`],
    /// [`JournalError::Io`].
    pub fn carry_out(
        &self,
        consent: Consent,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Repaired, JournalError> {
        if self.needs_consent && consent == Consent::None {
            let dir = self.dir().to_path_buf();
            return Err(match (&self.loss, self.begins_at) {
                (None, Some(first_sequence)) => JournalError::StartGone { dir, first_sequence },
                (loss, _) => {
                    let first = loss.as_ref().map_or(Sequence(0), |loss| loss.first);
                    JournalError::LossNotAccepted { dir, first }
                }
            });
        }
        let storage = &self.directory.storage;
        let mut done = None;
        if !self.is_empty() {
            storage.prepare()?;
            let _lock = storage.lock()?;
            self.check()?;
            let begun = now();
            let name = record_name(begun);
            let mut record = Record::new(self, consent, begun);
            storage.put(&name, &record.file())?;
            let quarantined = self.execute()?;
            record.done(&quarantined);
            storage.put(&name, &record.file())?;
            done = Some((storage.path(&name), quarantined));
        }
        // Without the lock: while it is held, verify takes bytes that follow the last frame for an append.
        let verified = verify_in(storage.clone(), progress)?;
        let (record, quarantined) = done.map_or((None, Vec::new()), |(path, kept)| (Some(path), kept));
        Ok(Repaired { record, quarantined, verified })
    }

    /// Makes sure that the files are those that were looked at.
    fn check(&self) -> Result<(), JournalError> {
        let Self { directory, places: before, rebuilt, findings, decision, .. } = self;
        let is_same = header::rebuild(Directory::new(directory.storage.clone()))?.1 == *rebuilt
            && places(directory)? == *before
            && Survey { directory, places: before, rebuilt }.decide(findings)? == *decision;
        if is_same { Ok(()) } else { Err(outdated(&self.directory)) }
    }

    /// Segments behind the cut.
    fn behind(&self) -> &[Place] {
        &self.places[self.decision.end + 1..]
    }

    /// Spares that nobody went on in, as far as the journal tells, and that hold something all the same.
    fn stray_spares(&self) -> Result<Vec<u64>, JournalError> {
        let storage = &self.directory.storage;
        let mut stray = self.directory.list()?.spares;
        stray.retain(|index| !self.places.iter().any(|place| place.name == spare_name(*index)));
        let mut held = Vec::new();
        for index in stray {
            let name = spare_name(index);
            let Some((_, len @ 8..)) = storage.head(&name, 0)? else { continue };
            if storage.open(&name, len)?.last_nonzero(0, len as usize).is_some() {
                held.push(index);
            }
        }
        Ok(held)
    }

    /// What the plan moves and copies, under the names that it has if nobody else uses them first.
    fn to_quarantine(&self) -> Result<Vec<Quarantined>, JournalError> {
        let directory = &self.directory;
        let mut found = Vec::new();
        if self.decision.marker.is_some() {
            found.extend(MarkerMend::to_keep(directory)?);
        }
        for mend in &self.decision.mends {
            found.extend(Mender { directory, place: &self.places[mend.at] }.to_keep(mend.how)?);
        }
        let Some(ending) = &self.decision.cut else { return Ok(found) };
        for index in self.stray_spares()? {
            found.push(cut::to_move(directory, &spare_name(index), &spare_name(index))?);
        }
        if ending.sealed.is_none() {
            let segment = self.places[ending.at].open(directory)?;
            found.extend(cut::to_keep_behind(directory, &segment, &ending.walk, SEALED_RECOVERED)?);
        }
        for place in self.behind() {
            found.push(cut::to_move(directory, &place.name, &segment_name(place.first_sequence))?);
        }
        Ok(found)
    }

    /// Does everything; every step of it is either not done or done.
    fn execute(&self) -> Result<Vec<Quarantined>, JournalError> {
        let (directory, storage) = (&self.directory, &self.directory.storage);
        let mut kept = Vec::new();
        let mut places = self.places.clone();
        for place in &mut places {
            let name = segment_name(place.first_sequence);
            if place.name != name {
                storage.rename(&place.name, &name)?;
                storage.sync_names()?;
                place.name = name;
            }
        }
        if let Some(marker) = self.decision.marker {
            kept.extend(marker.carry_out(directory, now())?);
        }
        for mend in &self.decision.mends {
            kept.extend(Mender { directory, place: &places[mend.at] }.carry_out(mend.how)?);
        }
        let Some(ending) = &self.decision.cut else { return Ok(kept) };
        for index in self.stray_spares()? {
            kept.push(cut::move_file(directory, &spare_name(index))?);
        }
        let behind: Vec<u64> = self.behind().iter().map(|place| place.first_sequence).collect();
        let segment = places[ending.at].open(directory)?;
        if let Some(reason) = ending.sealed {
            let is_rolled = reason == SEALED_ROLLED;
            kept.extend(cut::end_behind(directory, &segment, is_rolled, &behind)?);
        } else {
            let (walk, samples) = survey::walk_to(&segment, ending.walk.offset);
            if walk != ending.walk {
                return Err(outdated(directory));
            }
            kept.extend(cut::end_within(directory, &segment, walk, &samples, &behind)?.1);
        }
        Ok(kept)
    }
}

/// Named cursors that wait for a step behind this one. A cursor that cannot be read is not this command's business.
fn cursors_ahead(dir: &Path, last: Sequence) -> Vec<CursorAhead> {
    let entries = fs::read_dir(dir.join("cursors")).into_iter().flatten().flatten();
    let mut ahead: Vec<_> = entries
        .filter_map(|entry| {
            let name = entry.file_name().to_str()?.strip_suffix(".cursor")?.to_owned();
            let place: serde_json::Value = serde_json::from_slice(&fs::read(entry.path()).ok()?).ok()?;
            let next_sequence = Sequence(place.get("next_sequence")?.as_u64()?);
            (next_sequence.0 > last.0 + 1).then_some(CursorAhead { name, next_sequence })
        })
        .collect();
    ahead.sort_by(|a, b| a.name.cmp(&b.name));
    ahead
}

/// Named cursors whose files are not what was written, or are of another journal.
fn cursors_damaged<S: Storage>(
    directory: &Directory<S>,
    places: &[Place],
) -> Result<Vec<(String, CursorDamage)>, JournalError> {
    let journal_id = places.iter().find_map(Place::fields).map(|fields| beside::id_text(fields.journal_id));
    let mut damaged = Vec::new();
    for file in header::cursor_names(directory) {
        let Some((bytes, _)) = directory.storage.head(&file, beside::BYTES_MAX)? else { continue };
        let what = match beside::content_of::<serde_json::Value>(&bytes) {
            Some(it) if it.get("journal_id").and_then(|it| it.as_str()) == journal_id.as_deref() => continue,
            Some(_) => CursorDamage::Journal,
            None => CursorDamage::Bytes,
        };
        let name = file.trim_start_matches("cursors/").trim_end_matches(".cursor");
        damaged.push((name.to_owned(), what));
    }
    Ok(damaged)
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
