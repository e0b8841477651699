//! Checks of where the journal is to be.

use std::path::Path;

use pawl_journal::log::{JournalError, Reader, file_system_of, writer_alive};
use rustix::fs::{Access, access};

use super::{Advice, Check};

/// Segments that a journal takes at once: the one that is written, and two that stand ready.
const SEGMENTS_MIN: u64 = 3;

/// Segments under which a day may not fit.
const SEGMENTS_FEW: u64 = 32;

/// Whether a run could go on with the journal there, or begin one.
pub(super) fn journal(journal: &Path) -> Check {
    const NAME: &str = "journal";
    let advice = |change, why| Advice {
        change,
        command:
            "pawl run --journal DIR    (a journal, or an empty or new directory, that this user may write)"
                .to_owned(),
        why,
    };
    match usable(journal) {
        Ok(_) if writer_alive(journal) => Check::warn(
            NAME,
            format!("an engine runs on {}", journal.display()),
            advice("stop it first, or name another directory".to_owned(), "a second engine is refused"),
        ),
        Ok(found) => Check::pass(NAME, format!("{}, {found}", journal.display())),
        Err(error) => Check::fail(
            NAME,
            format!("{} cannot be taken", journal.display()),
            advice(error.to_string(), "a run on it is refused"),
        ),
    }
}

/// What is there for a run; an error is one that the run would get, too.
fn usable(journal: &Path) -> Result<&'static str, JournalError> {
    let there = existing(journal);
    if !there.is_dir() {
        return Err(JournalError::NotADirectory { path: there.to_owned() });
    }
    access(there, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|errno| JournalError::NotWritable { path: there.to_owned(), source: errno.into() })?;
    if there != journal {
        return Ok("to be made");
    }
    match Reader::open(journal) {
        Ok(_) => Ok("to go on with"),
        Err(JournalError::NoJournal { .. }) => Ok("empty"),
        Err(error) => Err(error),
    }
}

/// Whether mapped files are coherent there, and stay.
pub(super) fn file_system(journal: &Path) -> Check {
    graded(file_system_of(existing(journal)).map_err(|error| error.to_string()))
}

fn graded(found: Result<&str, String>) -> Check {
    const NAME: &str = "file system";
    let advice = |change: &str, why| Advice {
        change: change.to_owned(),
        command: "pawl run --journal DIR    (on ext4, xfs or btrfs of a local disk)".to_owned(),
        why,
    };
    match found {
        Ok(name @ "tmpfs") => Check::warn(
            NAME,
            format!("{name}: in memory"),
            advice(
                "put the journal on a disk, unless it is to be lost",
                "what is in memory is gone with the power",
            ),
        ),
        Ok(name) => Check::pass(NAME, name),
        Err(problem) => Check::fail(
            NAME,
            problem,
            advice(
                "put the journal on a local disk",
                "memory-mapped files elsewhere lose data, or their order",
            ),
        ),
    }
}

/// Whether a journal has room there.
pub(super) fn free_space(journal: &Path, segment_bytes: u64) -> Check {
    let space = rustix::fs::statvfs(existing(journal));
    room(space.ok().map(|space| space.f_bavail.saturating_mul(space.f_frsize)), segment_bytes)
}

fn room(free: Option<u64>, segment_bytes: u64) -> Check {
    const NAME: &str = "free space";
    let advice = |why| Advice {
        change: "make room, keep less, or write smaller segments".to_owned(),
        command: "pawl prune JOURNAL --older-than 30d    (a look: with --apply it is done)".to_owned(),
        why,
    };
    let Some(free) = free else {
        return Check::fail(NAME, "the system does not tell", advice("a journal cannot be written there"));
    };
    let found = format!("{} MiB, segments of {} MiB", free >> 20, segment_bytes >> 20);
    let fits = |segments: u64| free >= segments.saturating_mul(segment_bytes);
    if fits(SEGMENTS_FEW) {
        Check::pass(NAME, found)
    } else if fits(SEGMENTS_MIN) {
        let why = "a step with all columns takes about 300 bytes; when room runs out the engine adds no risk, then halts";
        Check::warn(NAME, found, advice(why))
    } else {
        Check::fail(NAME, found, advice("a journal needs room for three segments to begin"))
    }
}

/// What is there of a path.
fn existing(path: &Path) -> &Path {
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    if there.as_os_str().is_empty() { Path::new(".") } else { there }
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn a_file_system_passes_on_a_disk_warns_in_memory_and_fails_where_mapping_is_not_safe() {
        assert_eq!(graded(Ok("ext4")).grade, Grade::Pass);
        assert_eq!(file_system(Path::new("/dev/shm/pawl-nothing/journal")).grade, Grade::Warn);
        let check = file_system(Path::new("/proc/journal"));
        assert!(check.grade == Grade::Fail && check.found.contains("proc"), "{check:?}");
    }

    #[test]
    fn a_journal_that_no_run_would_take_fails_and_nothing_is_made() {
        let home = tempfile::tempdir().expect("a directory");
        let (file, new) = (home.path().join("thesis.doc"), home.path().join("a/b"));
        assert_eq!(journal(&new).grade, Grade::Pass);
        assert_eq!(journal(home.path()).grade, Grade::Pass, "empty");
        assert!(!home.path().join("a").exists());
        std::fs::write(&file, "years of work").expect("written");
        for (wrong, said) in [
            (file.as_path(), "no directory"),
            (&file.join("journal"), "no directory"),
            (Path::new("/dev/null"), "no directory"),
            (home.path(), "thesis.doc"),
            (Path::new("/proc/journal"), "not writable"),
        ] {
            // Root may write everywhere; the file system's own check fails then.
            let check = journal(wrong);
            let change = check.advice.map(|advice| advice.change).unwrap_or_default();
            let is_proc = wrong.starts_with("/proc") && check.grade == Grade::Pass;
            assert!(is_proc || (check.grade == Grade::Fail && change.contains(said)), "{wrong:?}: {change}");
        }
    }

    #[test]
    fn room_passes_for_many_segments_warns_for_few_and_fails_for_none() {
        let grade = |free| room(free, 64 << 20).grade;
        assert_eq!(grade(Some(2 << 30)), Grade::Pass);
        assert_eq!(grade(Some((2 << 30) - 1)), Grade::Warn);
        assert_eq!(grade(Some(192 << 20)), Grade::Warn);
        assert_eq!(grade(Some(191 << 20)), Grade::Fail);
        assert_eq!(grade(None), Grade::Fail);
        assert_eq!(free_space(Path::new("journal"), 1).grade, Grade::Pass);
        assert_eq!(free_space(Path::new("/tmp/x"), u64::MAX / 64).grade, Grade::Fail);
    }
}
