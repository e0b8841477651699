//! The check: what must hold of an image of the machine, before a writer opens it, when it has, and when it dies again.
//!
//! ```text
//!  image > read as it is > recover ---------------> read, verify > go on > leave > recover > read, verify
//!                             | dies, at any call
//!                             +--> image > recover > the same files
//! ```
//!
//! Invariants: the image itself is not changed; every recovery works on a copy.

use std::collections::BTreeMap;

use super::account::Account;
use super::history::{build, open};
use super::picture::picture;
use super::random::Random;
use super::{Violation, hold};
use crate::log::appender::Appender;
use crate::log::control::{CONTROL_BYTES, SEALED_RECOVERED, Standing};
use crate::log::directory::{Directory, segment_name};
use crate::log::error::{Damage, HeaderDamage, JournalError};
use crate::log::frame::Frame;
use crate::log::header::HEADER_BYTES;
use crate::log::options::JournalOptions;
use crate::log::reader::Reader;
use crate::log::segment::Segment;
use crate::log::storage::Region as _;
use crate::log::storage::machine::{Death, Image, Imaging, Machine};
use crate::log::storage::simulated::Simulated;
use crate::log::tailer::{From, Tailer};
use crate::log::verify::verify_in;
use crate::log::walk::{Seen, Walk};
use crate::record::{Sequence, Step};

/// How often, of a thousand calls of a recovery, it dies there.
const DIES_AGAIN: usize = 120;

/// Files by name.
type Files = BTreeMap<String, Vec<u8>>;

/// The check of one image.
pub(super) struct Check {
    account: Account,
    call: u64,
    /// Whether there may be something in memory that is not on disk.
    is_volatile: bool,
    random: Random,
    options: JournalOptions,
}

/// What a recovery made of an image.
struct Recovery {
    appender: Appender<Simulated>,
    last: usize,
    images: Vec<Image>,
}

impl Check {
    /// Checks an image, and those of it that die again so many times. `recovered` says how many steps it has if that
    /// is known. Gives the number of images.
    pub(super) fn of(image: Image, depth: usize, recovered: Option<usize>) -> Result<u64, Violation> {
        let (death, call) = (image.death, image.call);
        Self::judge(image, depth, recovered)
            .map_err(|violation| format!("{violation}, when {death:?} dies before call {call}"))
    }

    fn judge(image: Image, depth: usize, recovered: Option<usize>) -> Result<u64, Violation> {
        let Image { mut machine, death, call } = image;
        let random = machine.random.fork();
        let mut account = machine.account.clone();
        if let Some(count) = recovered {
            account.steps.truncate(count);
            // Another death of the machine may take what the first one of the process left in memory.
            account.committed = if death == Death::Machine { account.told } else { count };
        }
        let options =
            JournalOptions { segment_bytes: JournalOptions::SEGMENT_BYTES_MIN, ..Default::default() };
        let is_volatile = death == Death::Process;
        let mut check = Self { account, call, is_volatile, random, options };
        let work = Simulated::new(machine.die(Death::Process));
        let image = Simulated::new(machine);
        let least = check.before(&image)?;
        let Recovery { appender, last, images } = check.recover(&work, depth)?;
        hold!(last >= least, "a tailer gave {least} steps before, and {last} are recovered");
        check.steps_are(&work, last)?;
        let after = files(&work, last);
        // An interrupted recovery has copied some of it already.
        let tails = if check.account.was_open { check.nothing_vanishes(&image, &work)? } else { 0 };
        hold!(
            tails == 0 || check.account.is_torn,
            "a committed frame goes to quarantine although no machine died"
        );
        check.goes_on(&work, appender, last)?;
        let mut count = 1;
        for again in images {
            count += check.again(again, depth, last, &after)?;
        }
        Ok(count)
    }

    /// What readers make of the image as it is. Gives the number of steps that they gave as durable.
    fn before(&mut self, image: &Simulated) -> Result<usize, Violation> {
        let is_settled = !self.account.is_torn;
        let (mut committed, mut durable) = (0, 0);
        for (is_durable, count) in [(false, &mut committed), (true, &mut durable)] {
            let read = match Tailer::open_in(image, From::Start, is_durable) {
                Ok(mut tailer) => read_some(&mut tailer, &self.account.steps, count),
                Err(JournalError::NoJournal { .. }) if self.account.committed == 0 => Ok(()),
                Err(error) => Err(error.to_string()),
            };
            match read {
                Err(what) if is_settled || what.starts_with("wrong") => return Err(what),
                _ => {}
            }
        }
        hold!(
            !is_settled || committed >= self.account.committed,
            "a tailer gives {committed} steps of {}",
            self.account.committed
        );
        if self.random.chance(300) {
            self.findings_before(image)?;
        }
        Ok(durable)
    }

    fn findings_before(&self, image: &Simulated) -> Result<(), Violation> {
        let verified = match verify_in(image.clone(), &mut |_, _| {}) {
            Err(JournalError::NoJournal { .. }) if self.account.committed == 0 => return Ok(()),
            other => other.map_err(|error| format!("it cannot be verified: {error}"))?,
        };
        for finding in verified.findings {
            let explained = match finding.what {
                Damage::Tail { .. } => true,
                Damage::Header(HeaderDamage::Torn | HeaderDamage::Chain(_))
                | Damage::FrameLength { .. }
                | Damage::FrameChecksum { .. }
                | Damage::NotSealed
                | Damage::NotZero { .. }
                | Damage::SegmentMissing { .. } => self.account.is_torn,
                _ => false,
            };
            hold!(explained, "a crash does not explain {finding}");
        }
        Ok(())
    }

    /// Opens the image for writing, taking images on the way.
    fn recover(&self, work: &Simulated, depth: usize) -> Result<Recovery, Violation> {
        let Account { committed, steps, .. } = &self.account;
        {
            let mut machine = work.machine();
            machine.account = self.account.clone();
            machine.imaging = if depth > 0 { Imaging::Some(DIES_AGAIN) } else { Imaging::Never };
        }
        let refused = |error| format!("recovery refuses: {error}, of{}", picture(work));
        let appender = open(work, &self.options).map_err(refused)?;
        let recovered = *appender.recovered();
        let last = recovered.last_sequence.0 as usize;
        let range = *committed..=steps.len();
        hold!(range.contains(&last), "{last} steps are recovered instead of {range:?}");
        let lost_until = recovered.lost_until.0 as usize;
        hold!(lost_until == 0 || lost_until > last, "lost until {lost_until}, which is not behind {last}");
        hold!(lost_until <= self.account.begun, "lost until {lost_until}, which was never appended");
        let mut machine = work.machine();
        machine.account.recovered(last, None);
        if depth > 0 {
            let death = machine.random.pick(&[Death::Process, Death::Machine]);
            machine.take_image(death);
        }
        machine.imaging = Imaging::Never;
        let images = std::mem::take(&mut machine.images);
        drop(machine);
        Ok(Recovery { appender, last, images })
    }

    /// Whether the journal holds exactly the first `last` steps, for a reader from the start and for one that seeks.
    fn steps_are(&mut self, storage: &Simulated, last: usize) -> Result<(), Violation> {
        let steps = &self.account.steps;
        let mut tailer =
            Tailer::open_in(storage, From::Start, false).map_err(|error| format!("a tailer: {error}"))?;
        let count = read(&mut tailer, 0, steps)?;
        hold!(count == last, "a tailer gives {count} steps of {last} in{}", picture(storage));
        if last > 0 {
            let sequence = 1 + self.random.below(last);
            let mut reader =
                Reader::open_in(storage.clone()).map_err(|error| format!("a reader: {error}"))?;
            reader.seek(Sequence(sequence as u64)).map_err(|error| format!("a seek: {error}"))?;
            let frame = reader.next().map_err(|error| format!("a seek: {error}"))?;
            hold!(
                frame.is_some_and(|frame| is_step(&frame, sequence, steps)),
                "wrong step at {sequence} sought"
            );
        }
        Ok(())
    }

    /// Whether everything behind the end of the journal is in quarantine. Gives the number of copies that begin with a
    /// commit word.
    fn nothing_vanishes(&self, before: &Simulated, after: &Simulated) -> Result<usize, Violation> {
        let mut committed = 0;
        let kept = files_where(after, |name| name.starts_with("quarantine/"));
        let had = files_where(before, |name| name.ends_with(".pawl") && !name.starts_with("quarantine/"));
        for (name, bytes) in had {
            let is_kept = |bytes: &[u8]| kept.values().any(|kept| kept.as_slice() == bytes);
            let now = files_where(after, |other| other == name);
            let is_segment = !name.starts_with("spare-");
            // Where a turn begins with an epoch frame, or a segment with a sync frame: nobody's step.
            let frames = bytes.get(HEADER_BYTES + CONTROL_BYTES..).unwrap_or_default();
            let is_whole =
                is_segment && Segment::open(&Directory::new(before.clone()), first_of(&name)).is_ok();
            if !is_whole {
                let is_named = now.values().next() == Some(&bytes) || named(after, &bytes);
                // Its header is whole, but it holds no step: its place is taken.
                let is_tail =
                    |kept: &Vec<u8>| kept.len() + HEADER_BYTES + 256 >= bytes.len() && bytes.ends_with(kept);
                let is_named = is_named || kept.values().any(is_tail);
                hold!(
                    frames.iter().all(|byte| *byte == 0) || is_kept(&bytes) || is_named,
                    "{name} vanishes of{}",
                    picture(before)
                );
                continue;
            }
            if now.is_empty() {
                hold!(is_kept(&bytes), "{name} vanishes");
                continue;
            }
            let (walk, end) = tail(before, &name)?;
            let at = walk.offset;
            if end > at {
                let copy = &bytes[at..end];
                hold!(
                    is_kept(copy) || is_begun_seal(copy, &walk),
                    "{} bytes behind {at} of {name} vanish",
                    end - at
                );
                committed += usize::from(copy[..8] != [0; 8]);
            }
        }
        Ok(committed)
    }

    /// Whether the writer can go on, and the next one behind it.
    fn goes_on(
        &mut self,
        work: &Simulated,
        mut appender: Appender<Simulated>,
        last: usize,
    ) -> Result<(), Violation> {
        self.account.steps.truncate(last);
        let mut step = Step::new();
        let count = self.random.below(4);
        for _ in 0..count {
            let sequence = appender.next_sequence().0;
            let bytes = self.random.below(2000);
            let frame = build(&mut step, &mut self.random, sequence, appender.last_time().0, bytes);
            self.account.steps.push(frame);
            appender.append(&step).map_err(|error| format!("the next writer fails: {error}"))?;
        }
        if self.random.chance(300) {
            drop(appender);
            let verified = verify_in(work.clone(), &mut |_, _| {}).map_err(|error| error.to_string())?;
            hold!(
                verified.findings.is_empty(),
                "behind the recovery: {}, of{}",
                verified.findings[0],
                picture(work)
            );
            hold!(verified.steps as usize == last + count, "{} steps are verified", verified.steps);
            let again = open(work, &self.options).map_err(|error| format!("the writer after: {error}"))?;
            let found = again.recovered().last_sequence.0 as usize;
            hold!(found == last + count, "the writer after finds {found} steps of {}", last + count);
        }
        self.steps_are(work, last + count)?;
        self.account.steps.truncate(last);
        Ok(())
    }

    /// A recovery that died in the middle ends as the one that did not.
    fn again(&self, mut image: Image, depth: usize, last: usize, after: &Files) -> Result<u64, Violation> {
        let (death, call) = (image.death, image.call);
        if self.is_volatile && death == Death::Machine {
            // What only the memory of the machine held is not what the next recovery finds.
            return Self::of(image, depth - 1, None);
        }
        image.machine.account.steps.truncate(last);
        image.machine.account.committed = last;
        let work = Simulated::new(image.machine.die(Death::Process));
        let again = Self {
            account: image.machine.account.clone(),
            is_volatile: self.is_volatile,
            call,
            random: Random::new(call),
            options: self.options,
        };
        let which = |violation| {
            format!(
                "{violation}, when recovery dies before call {call} ({death:?}; it began behind {})",
                self.call
            )
        };
        let Recovery { appender, images, .. } = again.recover(&work, depth - 1).map_err(which)?;
        let now = files(&work, last);
        let new = now.keys().filter(|name| !after.contains_key(*name));
        for name in after.keys().chain(new) {
            // A page that recovery was writing when it died may show what was at its place of the disk before, and
            // is kept then. What recovering once keeps is kept in any case.
            let is_same = after.get(name) == now.get(name)
                || name.starts_with("quarantine/") && !after.contains_key(name);
            hold!(is_same, "{}", which(format!("{name} is not what recovering once makes of it")));
        }
        drop(appender);
        let mut count = 1;
        for deeper in images {
            count += again.again(deeper, depth - 1, last, after)?;
        }
        Ok(count)
    }
}

impl Image {
    /// The same image once more.
    pub(super) fn copy(&self) -> Self {
        Self { machine: self.machine.copy(), death: self.death, call: self.call }
    }
}

/// Whether a frame is this step.
fn is_step(frame: &Frame<'_>, sequence: usize, steps: &[std::sync::Arc<[u8]>]) -> bool {
    frame.sequence().0 == sequence as u64
        && steps.get(sequence - 1).is_some_and(|step| frame.step().bytes()[8..] == step[..])
}

/// Reads to the end behind `given` steps, every one of which must be the one that was appended. Gives their number.
pub(super) fn read(
    tailer: &mut Tailer<Simulated>,
    given: usize,
    steps: &[std::sync::Arc<[u8]>],
) -> Result<usize, Violation> {
    let mut count = 0;
    while let Some(frame) = tailer.poll().map_err(|error| format!("a tailer: {error}"))? {
        count += 1;
        hold!(
            is_step(&frame, given + count, steps),
            "wrong step {} where {} is next",
            frame.sequence(),
            given + count
        );
    }
    Ok(count)
}

/// As [`read`] from the start, and tells how many there were even if an error ends it.
fn read_some(
    tailer: &mut Tailer<Simulated>,
    steps: &[std::sync::Arc<[u8]>],
    count: &mut usize,
) -> Result<(), Violation> {
    while let Some(frame) = tailer.poll().map_err(|error| format!("a tailer: {error}"))? {
        *count += 1;
        hold!(is_step(&frame, *count, steps), "wrong step {} where {count} is next", frame.sequence());
    }
    Ok(())
}

/// Where the frames of a segment end, and where the bytes behind them do; the same place if it is sealed.
fn tail(storage: &Simulated, name: &str) -> Result<(Walk, usize), Violation> {
    let segment = Segment::open(&Directory::new(storage.clone()), first_of(name));
    let segment = segment.map_err(|error| error.to_string())?.ok_or("no segment")?;
    let mut walk = Walk::start(&segment);
    loop {
        match walk.advance(&segment) {
            Ok(Some(Seen::Seal(_))) => return Ok((walk, walk.offset)),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return Ok((walk, segment.end_of_bytes(walk.offset))),
        }
    }
}

/// Whether bytes are a part of a seal without its commit word, but for its reason.
fn is_begun_seal(bytes: &[u8], walk: &Walk) -> bool {
    let seal = Standing { next: walk.next, time: walk.time }.seal(walk.offset, SEALED_RECOVERED);
    let is_part = |(at, (byte, whole)): (usize, (&u8, &u8))| at == 56 || *byte == 0 || byte == whole;
    bytes.len() <= seal.len()
        && bytes[..8] == [0; 8]
        && bytes.iter().zip(&seal).enumerate().skip(8).all(is_part)
}

fn first_of(name: &str) -> u64 {
    name.trim_end_matches(".pawl").parse().unwrap_or(0)
}

/// Whether a segment with these bytes is there under another name, sealed since or not.
fn named(storage: &Simulated, bytes: &[u8]) -> bool {
    let same = |other: &Vec<u8>| other.get(..HEADER_BYTES) == bytes.get(..HEADER_BYTES);
    files_where(storage, |name| name.ends_with(".pawl")).values().any(same)
}

/// The files that a recovery answers for: segments and quarantine, without the segment of the new turn.
fn files(storage: &Simulated, last: usize) -> Files {
    let new = segment_name(last as u64 + 1);
    files_where(storage, |name| {
        let is_kept = name.starts_with("quarantine/") && !name.ends_with(".unfinished");
        is_kept || name.ends_with(".pawl") && !name.starts_with("spare-") && name != new
    })
}

fn files_where(storage: &Simulated, is_wanted: impl Fn(&str) -> bool) -> Files {
    let machine = storage.machine();
    let names: Vec<String> = machine.names().filter(|name| is_wanted(name)).map(str::to_owned).collect();
    names.into_iter().map(|name| (name.clone(), content(&machine, &name))).collect()
}

/// A file's bytes, without the zeros at its end.
pub(super) fn content(machine: &Machine, name: &str) -> Vec<u8> {
    let Some(file) = machine.find(name) else { return Vec::new() };
    let len = machine.len(file) as usize;
    let end = machine.last_nonzero(file, 0, len.next_multiple_of(8)).unwrap_or(0);
    machine.bytes(file).committed(0, end.min(len)).to_vec()
}
