//! Layers: merges defaults, file, environment and flags, and remembers where each value came from.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::file::{Config, DurabilityChoice, Mode};

/// Bytes of a configuration file, at most: a device or a file of another kind has no end, or much of nothing.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// A line of the configuration file.
    File(PathBuf, usize),
    /// An environment variable.
    Environment(&'static str),
    /// A command-line flag.
    Flag(String),
    /// It was left to the mode of trading, by what is named here.
    ByMode(Mode, Box<Origin>),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::ByMode(mode, by) => write!(f, "{by} for mode {}", format!("{mode:?}").to_lowercase()),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is too large for one.
    #[error("{} is no configuration: it has more than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// The file is not valid: syntax, an unknown key, a wrong unit.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Line, column, key and what was expected.
        message: String,
    },
    /// A value from the environment or a flag is not valid.
    #[error("{origin}: {message}")]
    Value {
        /// Where it came from.
        origin: Origin,
        /// What is wrong.
        message: String,
    },
    /// Values that contradict each other or the command line.
    #[error("{0}")]
    Contradiction(String),
}

/// The layers so far.
#[derive(Debug, Clone)]
pub struct Layers {
    merged: Table,
    origins: BTreeMap<String, Origin>,
}

/// A whole configuration and where each value came from.
#[derive(Debug)]
pub struct Loaded {
    /// The values in force.
    pub config: Config,
    merged: Table,
    origins: BTreeMap<String, Origin>,
}

impl Layers {
    /// The defaults alone.
    ///
    /// # Panics
    /// If the defaults cannot be written as TOML, which a test excludes.
    #[must_use]
    pub fn defaults() -> Self {
        let merged = Table::try_from(Config::default()).expect("the defaults are valid TOML");
        Self { merged, origins: BTreeMap::new() }
    }

    /// Lays a file over what there is.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line and key.
    pub fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(ConfigError::TooLarge { path: path.to_owned() });
        }
        let invalid = |error: toml::de::Error| ConfigError::Invalid {
            path: path.to_owned(),
            message: in_plain_words(error.to_string().trim_end()),
        };
        toml::from_str::<Config>(&text).map_err(invalid)?;
        let table: Table = toml::from_str(&text).map_err(invalid)?;
        let spans = DeTable::parse(&text).map_err(invalid)?;
        let mut lines = Vec::new();
        key_lines("", spans.get_ref(), &text, &mut lines);
        for (key, line) in lines {
            self.origins.insert(key, Origin::File(path.to_owned(), line));
        }
        overlay(&mut self.merged, table);
        Ok(())
    }

    /// Sets one key, written as a path (`risk.max_position`, `agent.NAME.weight`, `agent[0].weight`).
    ///
    /// # Errors
    /// [`ConfigError::Value`] if there is no such key, or it does not take such a value.
    pub fn set(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), ConfigError> {
        let fail = |message: String| ConfigError::Value { origin: origin.clone(), message };
        let Some((path, table, own)) = seek(&mut self.merged, key) else {
            return Err(fail(format!("there is no key `{key}`; `pawl run --print-config` shows all keys")));
        };
        table.insert(own.to_owned(), value);
        if let Err(error) = self.merged.clone().try_into::<Config>() {
            return Err(fail(format!("`{key}`: {}", in_plain_words(error.message()))));
        }
        self.origins.insert(path, origin);
        Ok(())
    }

    /// Sets one key from a text `KEY=VALUE`, the value written as in the file (quotes may be left out).
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn set_text(&mut self, assignment: &str) -> Result<(), ConfigError> {
        let origin = Origin::Flag("--set".to_owned());
        let Some((key, text)) = assignment.split_once('=') else {
            return Err(ConfigError::Value { origin, message: format!("`{assignment}` is not KEY=VALUE") });
        };
        self.set(key.trim(), value_of(text.trim()), origin)
    }

    /// Lays the environment over what there is.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn environment(&mut self, variable: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        let number = |name: &'static str, text: &str| {
            text.parse::<f64>().map(Value::Float).map_err(|_| ConfigError::Value {
                origin: Origin::Environment(name),
                message: format!("`{text}` is not a number"),
            })
        };
        if let Some(mode) = variable("TRADING_MODE") {
            self.set("mode", Value::String(mode), Origin::Environment("TRADING_MODE"))?;
        }
        if let Some(text) = variable("PAPER_TRADE_MODE") {
            let name = "PAPER_TRADE_MODE";
            if parse_switch(name, &text)? {
                if self.merged.get("mode").and_then(Value::as_str) == Some("live") {
                    return Err(ConfigError::Value {
                        origin: Origin::Environment(name),
                        message: "is true, but the mode is live: unset one of them".to_owned(),
                    });
                }
                self.set("mode", Value::String("paper".to_owned()), Origin::Environment(name))?;
            }
        }
        for (name, key) in
            [("MAX_POSITION_SIZE", "risk.max_position"), ("MAX_DAILY_LOSS", "risk.max_daily_loss")]
        {
            if let Some(text) = variable(name) {
                self.set(key, number(name, &text)?, Origin::Environment(name))?;
            }
        }
        Ok(())
    }

    /// The whole configuration.
    ///
    /// # Errors
    /// [`ConfigError`] if the layers together are not valid.
    pub fn finish(self) -> Result<Loaded, ConfigError> {
        let config: Config = self
            .merged
            .clone()
            .try_into()
            .map_err(|error: toml::de::Error| ConfigError::Contradiction(error.message().to_owned()))?;
        let mut loaded = Loaded { config, merged: self.merged, origins: self.origins };
        loaded.settle_durability();
        Ok(loaded)
    }
}

/// Reads a switch from the environment.
pub(super) fn parse_switch(name: &'static str, text: &str) -> Result<bool, ConfigError> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" | "" => Ok(false),
        _ => Err(ConfigError::Value {
            origin: Origin::Environment(name),
            message: format!("`{text}` is neither true nor false"),
        }),
    }
}

impl Loaded {
    /// Puts the value in force where `auto` leaves it to the mode.
    fn settle_durability(&mut self) {
        let key = "journal.durability";
        let (mode, journal) = (self.config.mode, &mut self.config.journal);
        if journal.durability != DurabilityChoice::Auto {
            return;
        }
        let durability = journal.durability.durability(mode);
        journal.durability = DurabilityChoice::This(durability);
        if let Some(Value::Table(journal)) = self.merged.get_mut("journal") {
            journal.insert("durability".to_owned(), Value::String(durability.to_string()));
        }
        let origin = self.origin(key);
        self.origins.insert(key.to_owned(), Origin::ByMode(mode, Box::new(origin)));
    }

    /// Every value in force, its key, and where it came from.
    #[must_use]
    pub fn rows(&self) -> Vec<(String, String, Origin)> {
        let mut rows = Vec::new();
        flatten("", &Value::Table(self.merged.clone()), &mut rows);
        rows.into_iter()
            .map(|(key, value)| {
                let origin = self.origin(&key);
                (key, value, origin)
            })
            .collect()
    }

    /// Where the key a message speaks of came from, appended to the message.
    #[must_use]
    pub fn locate(&self, message: &str) -> String {
        let named = self
            .origins
            .iter()
            .filter(|(key, _)| message.contains(key.as_str()))
            .max_by_key(|(key, _)| key.len());
        named.map_or_else(
            || message.to_owned(),
            |(key, origin)| format!("{message} ({key} is set by {origin})"),
        )
    }

    fn origin(&self, key: &str) -> Origin {
        let mut key = key;
        loop {
            if let Some(origin) = self.origins.get(key) {
                return origin.clone();
            }
            match key.rfind(['.', '[']) {
                Some(cut) => key = &key[..cut],
                None => return Origin::Default,
            }
        }
    }
}

/// A message of the parser, its names of types put into words.
fn in_plain_words(message: &str) -> String {
    const WORDS: [(&str, &str); 6] = [
        ("expected u64", "expected a whole number, 0 or above"),
        ("expected u32", "expected a whole number, 0 or above"),
        ("expected usize", "expected a whole number, 0 or above"),
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a number such as 0.5"),
        ("expected f32", "expected a number such as 0.5"),
    ];
    let message =
        WORDS.iter().fold(message.to_owned(), |message, (name, words)| message.replace(name, words));
    let message = match message.split_once("expected struct ") {
        Some((before, name)) => {
            let rest = name.trim_start_matches(|letter: char| letter.is_alphanumeric());
            format!("{before}expected a section, with keys of its own{rest}")
        }
        None => message,
    };
    match elsewhere(&message) {
        Some(place) => format!("{message}; {place}"),
        None => message,
    }
}

/// Where the field is that a message does not know in its section, if another section has one of that name.
fn elsewhere(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("unknown field `")?;
    let (name, _) = rest.split_once('`')?;
    let mut rows = Vec::new();
    flatten("", &Value::Table(Layers::defaults().merged), &mut rows);
    let is_it = |key: &String| key.rsplit('.').next() == Some(name) && !key.contains('[');
    let mut places = rows.into_iter().map(|(key, _)| key).filter(is_it);
    match places.next()? {
        top if top == name => Some(format!("`{name}` is at the top level, in no section")),
        place => Some(format!("there is `{place}`")),
    }
}

/// A value written as in the file; quotes may be left out. What stands behind the value, another line or a comment, makes
/// it no value but a text.
#[must_use]
pub fn value_of(text: &str) -> Value {
    text.parse().unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// The table that holds a key, what the key is called in it, and where it is, as the file is counted (`agent[0].weight`).
/// Agents, feeds and instruments are found by name or symbol, or by their place.
fn seek<'t, 'k>(table: &'t mut Table, key: &'k str) -> Option<(String, &'t mut Table, &'k str)> {
    let Some((part, rest)) = key.split_once('.') else {
        return Some((key.to_owned(), table, key));
    };
    let (section, index) = match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
        Some((section, index)) => (section, Some(index.parse::<usize>().ok()?)),
        None => (part, None),
    };
    match (table.get_mut(section)?, index) {
        (Value::Table(inner), None) => {
            let (path, table, own) = seek(inner, rest)?;
            Some((format!("{section}.{path}"), table, own))
        }
        (Value::Array(items), index) => {
            let named = |item: &Value| {
                let name = item.get("name").or_else(|| item.get("symbol"))?.as_str()?;
                rest.strip_prefix(name)?.strip_prefix('.')
            };
            let (index, rest) = match index {
                Some(index) => (index, rest),
                None => items.iter().enumerate().find_map(|(index, item)| Some((index, named(item)?)))?,
            };
            let (path, table, own) = seek(items.get_mut(index)?.as_table_mut()?, rest)?;
            Some((format!("{section}[{index}].{path}"), table, own))
        }
        _ => None,
    }
}

fn overlay(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => overlay(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn key_lines(prefix: &str, table: &DeTable<'_>, text: &str, lines: &mut Vec<(String, usize)>) {
    for (key, value) in table {
        let path =
            if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        let line = text[..key.span().start.min(text.len())].matches('\n').count() + 1;
        match value.get_ref() {
            DeValue::Table(inner) => key_lines(&path, inner, text, lines),
            DeValue::Array(items) => {
                lines.push((path.clone(), line));
                for (index, item) in items.iter().enumerate() {
                    if let DeValue::Table(inner) = item.get_ref() {
                        key_lines(&format!("{path}[{index}]"), inner, text, lines);
                    }
                }
            }
            _ => lines.push((path, line)),
        }
    }
}

fn flatten(prefix: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&path, value, rows);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_table) => {
            for (index, item) in items.iter().enumerate() {
                flatten(&format!("{prefix}[{index}]"), item, rows);
            }
        }
        value => rows.push((prefix.to_owned(), value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str) -> Result<Loaded, ConfigError> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("pawl.toml");
        std::fs::write(&path, text).expect("write");
        let mut layers = Layers::defaults();
        layers.file(&path)?;
        layers.finish()
    }

    #[test]
    fn what_stands_behind_a_value_is_not_dropped() {
        assert_eq!(value_of("0.5"), Value::Float(0.5));
        assert_eq!(value_of("\"market\""), Value::String("market".to_owned()));
        assert_eq!(value_of("[1, 2]"), Value::Array(vec![Value::Integer(1), Value::Integer(2)]));
        for text in ["10%", "market", "1\nrisk.max_order = 0.01", "1 # one", "1\r\n2", "", "{", "1 2"] {
            assert_eq!(value_of(text), Value::String(text.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn a_file_overrides_defaults_key_by_key_and_lines_are_known() {
        let loaded = with_file("[risk]\n\nmax_position = 2\n").expect("valid");
        assert_eq!(loaded.config.risk.max_position.to_string(), "2");
        assert_eq!(loaded.config.risk.max_order, Config::default().risk.max_order);
        let rows = loaded.rows();
        let origin = &rows.iter().find(|(key, ..)| key == "risk.max_position").expect("row").2;
        assert!(matches!(origin, Origin::File(_, 3)), "{origin}");
        assert!(loaded.locate("risk.max_position = 2 is odd").contains(":3)"));
    }

    #[test]
    fn unknown_keys_and_wrong_units_name_key_and_line() {
        let unknown = with_file("[risk]\nmax_positon = 2\n").expect_err("unknown key").to_string();
        assert!(unknown.contains("max_positon") && unknown.contains("line 2"), "{unknown}");
        let unit =
            with_file("[risk]\nmax_position = 1\nmax_quote_age = 5\n").expect_err("no unit").to_string();
        assert!(unit.contains("line 3"), "{unit}");
        let unit = with_file("[risk]\nmax_quote_age = \"5 parsecs\"\n").expect_err("wrong unit").to_string();
        assert!(unit.contains("line 2") && unit.contains("duration"), "{unit}");
    }

    #[test]
    fn a_key_in_the_wrong_section_is_told_where_it_belongs() {
        let set = |text: &str| Layers::defaults().set_text(text).expect_err("unknown").to_string();
        assert!(set("runtime.threading=staged").contains("`threading` is at the top level"));
        assert!(
            set("runtime.listen=x").ends_with("; there is `metrics.listen`"),
            "{}",
            set("runtime.listen=x")
        );
        assert!(!set("runtime.nonsense=x").contains("there is"));
        let file = with_file("[runtime]\nthreading = \"staged\"\n").expect_err("unknown").to_string();
        assert!(file.contains("line 2") && file.ends_with("in no section"), "{file}");
    }

    #[test]
    fn a_directory_that_is_none_and_a_list_of_no_waits_are_refused_where_they_stand() {
        for dir in ["", "a\\u0000b", "\\u001b[2J"] {
            let error = with_file(&format!("[journal]\n\ndir = \"{dir}\"\n")).expect_err(dir).to_string();
            assert!(error.contains("line 3") && error.contains("is no directory"), "{error}");
            assert!(!error.contains(['\0', '\u{1b}']), "{error:?}");
        }
        let error = Layers::defaults().set_text("journal.dir=").expect_err("empty").to_string();
        assert!(error.contains("`journal.dir`"), "{error}");
        let error = with_file("[runtime]\nwait = []\n").expect_err("none").to_string();
        assert!(error.contains("line 2") && error.contains("one for each thread"), "{error}");
    }

    #[test]
    fn a_file_without_an_end_is_no_configuration() {
        let error = Layers::defaults().file(Path::new("/dev/zero")).expect_err("endless").to_string();
        assert!(error.contains("/dev/zero") && error.contains("1048576"), "{error}");
    }

    #[test]
    fn the_environment_overrides_the_file_and_a_flag_overrides_both() {
        let mut layers = Layers::defaults();
        let variables = |name: &str| (name == "MAX_POSITION_SIZE").then(|| "3.5".to_owned());
        layers.environment(variables).expect("valid");
        assert_eq!(layers.merged["risk"]["max_position"], Value::Float(3.5));
        layers.set_text("risk.max_position=4").expect("valid");
        let loaded = layers.finish().expect("valid");
        assert_eq!(loaded.config.risk.max_position.to_string(), "4");
    }

    #[test]
    fn keys_of_agents_are_set_by_name_or_place_and_those_that_are_not_there_are_refused() {
        let agents = "[[agent]]\nname = \"a.b\"\nmodel = \"m\"\n[[agent]]\nname = \"c\"\nmodel = \"m\"\n";
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("pawl.toml");
        std::fs::write(&path, agents).expect("write");
        let mut layers = Layers::defaults();
        layers.file(&path).expect("valid");
        layers.set_text("agent.a.b.weight=2").expect("by name");
        layers.set_text("agent[1].threshold=0.25").expect("by place");
        for wrong in
            ["agent.d.weight=1", "agent[2].weight=1", "agent.c.wait=1", "agent.c=1", "risk[0].max_order=1"]
        {
            let error = layers.clone().set_text(wrong).expect_err(wrong).to_string();
            assert!(error.contains(wrong.split('=').next().expect("a key")), "{error}");
        }
        let loaded = layers.finish().expect("valid");
        let [first, second] = &loaded.config.agent[..] else { panic!("two agents") };
        assert_eq!((first.weight, second.threshold), (2.0, Some(0.25)));
        let rows = loaded.rows();
        let origin = |key: &str| rows.iter().find(|row| row.0 == key).expect("a row").2.to_string();
        assert_eq!(
            (origin("agent[0].weight"), origin("agent[1].threshold")),
            ("flag --set".into(), "flag --set".into())
        );
    }

    #[test]
    fn durability_is_left_to_the_mode_unless_it_is_named() {
        let shown = |text: &str| {
            let loaded = with_file(text).expect("valid");
            let rows = loaded.rows();
            let row = rows.into_iter().find(|(key, ..)| key == "journal.durability").expect("row");
            let origin = row.2.to_string();
            (row.1, origin.rsplit('/').next().unwrap_or("").to_owned())
        };
        let row = |value: &str, origin: &str| (format!("\"{value}\""), origin.to_owned());
        assert_eq!(shown(""), row("page-cache", "default for mode paper"));
        assert_eq!(shown("mode = \"live\"\n"), row("gated", "default for mode live"));
        let auto = "mode = \"live\"\n[journal]\ndurability = \"auto\"\n";
        assert_eq!(shown(auto), row("gated", "pawl.toml:3 for mode live"));
        let named = "mode = \"live\"\n[journal]\ndurability = \"async:2s\"\n";
        assert_eq!(shown(named), row("async:2s", "pawl.toml:3"));
        let wrong = with_file("[journal]\n\ndurability = \"fsync\"\n").expect_err("no such mode").to_string();
        assert!(
            wrong.contains("line 3") && wrong.contains("durability") && wrong.contains("async:50ms"),
            "{wrong}"
        );
    }

    #[test]
    fn nonsense_from_environment_and_flags_is_refused_by_name() {
        let bad = |name: &'static str, value: &'static str| {
            Layers::defaults()
                .environment(|it| (it == name).then(|| value.to_owned()))
                .expect_err("refused")
                .to_string()
        };
        assert!(bad("MAX_DAILY_LOSS", "lots").contains("MAX_DAILY_LOSS"));
        assert!(bad("TRADING_MODE", "yolo").contains("TRADING_MODE"));
        assert!(bad("PAPER_TRADE_MODE", "maybe").contains("PAPER_TRADE_MODE"));
        for assignment in [
            "risk.max_position",
            "risk.nothing=1",
            "nothing.at_all=1",
            "risk.max_quote_age=5",
            "journal.durability=async:0ms",
        ] {
            assert!(Layers::defaults().set_text(assignment).is_err(), "{assignment}");
        }
    }
}
