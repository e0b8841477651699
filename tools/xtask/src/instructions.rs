//! Instruction counts: the hot operations under callgrind, held against the table in `benches/record/instructions.toml`.
//!
//! ```text
//!  release build of benches/src/bin/instructions.rs --> valgrind --tool=callgrind, once an operation --> / calls --> table
//! ```
//!
//! A count does not depend on how busy the machine is, nor on its clock. It depends on the compiler and on how the processor
//! is told to valgrind, so the table says both, and a count that differs under another one is told and not failed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use toml::Table;

/// Calls that count, of each operation.
const CALLS: u64 = 2_000;

/// The function between whose entry and exit callgrind counts.
const COUNTED: &str = "instructions::counted";

/// Most that a count may grow, in percent.
const GROWTH_MAX: f64 = 3.0;

/// The table, from the root of the repository.
const TABLE: &str = "benches/record/instructions.toml";

const INSTALL: &str = "install valgrind (Debian, Ubuntu: apt install valgrind)";

/// What a comparison came to.
struct Compared {
    lines: String,
    grown: Vec<String>,
    is_comparable: bool,
}

/// Counts, and compares with the table; or writes the table.
pub(crate) fn run(root: &Path, binary: &Path, accept: bool) -> Result<()> {
    let counts = count_all(root, binary)?;
    let path = root.join(TABLE);
    if accept {
        std::fs::write(&path, table_text(&counts)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("xtask: {TABLE} holds these counts now: commit it together with what changed them");
        return Ok(());
    }
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {TABLE}: `cargo xtask instructions --accept` writes it"))?;
    let compared =
        compare(&text.parse().with_context(|| format!("{TABLE} is no TOML"))?, &counts, &machine()?)?;
    eprint!("{}", compared.lines);
    if compared.grown.is_empty() {
        return Ok(());
    }
    let what = format!(
        "{} more than {GROWTH_MAX} % above {TABLE}: {}",
        if compared.grown.len() == 1 { "an operation takes" } else { "operations take" },
        compared.grown.join(", ")
    );
    if !compared.is_comparable {
        eprintln!(
            "xtask: note: {what}; the table is of another compiler or processor, so this is no failure"
        );
        return Ok(());
    }
    bail!(
        "{what}. Find out why (callgrind_annotate target/callgrind/NAME.out), or accept it: cargo xtask instructions --accept"
    )
}

/// Whether valgrind can be run.
pub(crate) fn has_valgrind() -> bool {
    let status =
        Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The name and the instructions per call of every operation.
fn count_all(root: &Path, binary: &Path) -> Result<Vec<(String, f64)>> {
    if !has_valgrind() {
        bail!("valgrind cannot be run: {INSTALL}");
    }
    let list = Command::new(binary)
        .arg("list")
        .output()
        .with_context(|| format!("cannot run {}", binary.display()))?;
    let names = String::from_utf8(list.stdout).context("the operations have names in UTF-8")?;
    let folder =
        root.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into())).join("callgrind");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut counts = Vec::new();
    for name in names.lines() {
        let out = folder.join(format!("{name}.out"));
        counts.push((name.to_owned(), count(binary, name, &out)? as f64 / CALLS as f64));
    }
    Ok(counts)
}

fn count(binary: &Path, name: &str, out: &PathBuf) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(binary)
        .args([name, &CALLS.to_string()]);
    let output = command.output().context("cannot run valgrind")?;
    if !output.status.success() {
        bail!(
            "`{name}` under valgrind failed ({}):\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let profile = std::fs::read_to_string(out).with_context(|| format!("cannot read {}", out.display()))?;
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    match total {
        Some(total) if total > 0 => Ok(total),
        _ => bail!("callgrind counted nothing of `{name}`: is `{COUNTED}` still a function of its own?"),
    }
}

fn compare(table: &Table, counts: &[(String, f64)], machine: &str) -> Result<Compared> {
    let accepted =
        table.get("operations").and_then(toml::Value::as_table).context("the table has no [operations]")?;
    let is_comparable = table.get("machine").and_then(toml::Value::as_str) == Some(machine);
    let mut compared = Compared { lines: String::new(), grown: Vec::new(), is_comparable };
    writeln!(compared.lines, "xtask: instructions  accepted       now")?;
    for (name, now) in counts {
        let before =
            accepted.get(name).and_then(|value| value.as_float().or(value.as_integer().map(|it| it as f64)));
        let Some(before) = before else {
            writeln!(compared.lines, "  {name:<18}         -  {now:>8.1}  not in the table")?;
            compared.grown.push(format!("{name} (not in the table)"));
            continue;
        };
        let growth = 100.0 * (now / before - 1.0);
        let note = if growth < -GROWTH_MAX { "  better: accept it, so that it stays" } else { "" };
        writeln!(compared.lines, "  {name:<18}{before:>10.1}{now:>10.1}  {growth:+.1} %{note}")?;
        if growth > GROWTH_MAX {
            compared.grown.push(format!("{name} ({growth:+.1} %)"));
        }
    }
    Ok(compared)
}

fn table_text(counts: &[(String, f64)]) -> Result<String> {
    let mut text = String::from(
        "# Instructions per call of the hot operations (benches/src/operation.rs), counted by callgrind.\n\
         # `cargo xtask instructions` fails when one grows by more than 3 %; `--accept` writes this file.\n",
    );
    writeln!(text, "machine = \"{}\"\n\n[operations]", machine()?)?;
    for (name, count) in counts {
        writeln!(text, "{name} = {count:.1}")?;
    }
    Ok(text)
}

/// The compiler and the processor: the C library takes other paths on another one.
fn machine() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().context("cannot run rustc")?;
    let version = String::from_utf8(output.stdout).context("rustc speaks UTF-8")?;
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let processor = model.map_or(std::env::consts::ARCH, |(_, model)| model.trim());
    Ok(format!("{}, {processor}", version.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        "machine = \"r, x\"\n[operations]\nstep = 1000.0\nring = 50".parse().expect("TOML")
    }

    #[test]
    fn a_count_that_grew_too_much_or_is_new_is_named() {
        let counts = |step, ring| vec![("step".to_owned(), step), ("ring".to_owned(), ring)];
        let same = compare(&table(), &counts(1_029.0, 40.0), "r, x").expect("a table");
        assert!(same.is_comparable && same.grown.is_empty(), "{}", same.lines);
        assert!(same.lines.contains("better"), "{}", same.lines);
        let grown = compare(&table(), &counts(1_031.0, 50.0), "r, x").expect("a table");
        assert_eq!(grown.grown, ["step (+3.1 %)"]);
        let new = compare(&table(), &[("line".to_owned(), 9.0)], "other").expect("a table");
        assert_eq!(
            (new.grown.as_slice(), new.is_comparable),
            (["line (not in the table)".to_owned()].as_slice(), false)
        );
    }
}
