//! Settings: what there is, what it may be, and where each value comes from.
//!
//! A value is taken from the flags of the command, else from the environment (`MOIM_…`), else from `config.toml` in the
//! home, else it is the default. Pure of files: callers hand in the text of the file and write what they get back.

use crate::api::{
    error::{ApiError, Reason},
    names::nearest,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{collections::BTreeMap, path::Path, str::FromStr};
use toml::{Table, Value};

/// The languages there are texts in, by their BCP 47 names.
pub const LANGUAGES: &[&str] = &["en", "ko"];

/// All settings with their origins.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    values: BTreeMap<Key, (Value, Origin)>,
}

impl Config {
    /// Reads the file's text (empty where there is none) and the environment (any names; others are ignored), and lets
    /// `flags` go before both.
    ///
    /// # Errors
    /// `bad-config` for a file that is no TOML or names an unknown setting, `bad-setting` for a value that does not fit.
    pub fn read<'e>(
        path: &Path,
        file: &str,
        environment: impl IntoIterator<Item = (&'e str, &'e str)>,
        flags: impl IntoIterator<Item = (Key, Value)>,
    ) -> Result<Self, ApiError> {
        let mut values: BTreeMap<Key, (Value, Origin)> =
            Key::ALL.iter().map(|key| (*key, (key.default(), Origin::Default))).collect();
        for (key, value) in parse_file(path, file)? {
            values.insert(key, (value, Origin::File));
        }
        for (name, value) in environment {
            if let Some(key) = Key::ALL.iter().find(|key| key.variable() == name) {
                values.insert(*key, (key.parse(value)?, Origin::Environment));
            }
        }
        for (key, value) in flags {
            values.insert(key, (value, Origin::Flag));
        }
        Ok(Self { values })
    }

    /// One value and where it comes from.
    pub fn value(&self, key: Key) -> (&Value, Origin) {
        // Every key has a value from the moment the table is made.
        self.values.get(&key).map_or((&Value::Boolean(false), Origin::Default), |(value, origin)| (value, *origin))
    }

    /// The language of texts; `None` leaves it to the system's locale.
    pub fn language(&self) -> Option<&str> {
        self.value(Key::Language).0.as_str().filter(|language| !language.is_empty())
    }

    /// Multiaddresses to listen on; empty: all interfaces, any port.
    pub fn listen(&self) -> Vec<String> {
        self.list(Key::Listen)
    }

    /// Multiaddresses of peers to begin with.
    pub fn bootstrap(&self) -> Vec<String> {
        self.list(Key::Bootstrap)
    }

    /// Whether peers on the same local network are looked for.
    pub fn mdns(&self) -> bool {
        self.flag(Key::Mdns)
    }

    /// What is logged, in `tracing`'s filter syntax.
    pub fn log(&self) -> &str {
        self.value(Key::Log).0.as_str().unwrap_or_default()
    }

    /// Whether others learn that their messages were read.
    pub fn receipts_read(&self) -> bool {
        self.flag(Key::ReceiptsRead)
    }

    /// Whether an invitation to a group by a connected contact is accepted at once.
    pub fn groups_auto_join(&self) -> AutoJoin {
        match self.value(Key::GroupsAutoJoin).0.as_str() {
            Some("never") => AutoJoin::Never,
            _ => AutoJoin::Contacts,
        }
    }

    fn flag(&self, key: Key) -> bool {
        self.value(key).0.as_bool().unwrap_or_default()
    }

    fn list(&self, key: Key) -> Vec<String> {
        let list = self.value(key).0.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}

/// Whose invitations to groups are accepted without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoJoin {
    /// Those of connected contacts.
    Contacts,
    /// Nobody's.
    Never,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A flag of this command.
    Flag,
    /// The environment.
    Environment,
    /// `config.toml`.
    File,
    /// Nobody said anything.
    Default,
}

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The language of texts.
    Language,
    /// Where the node listens.
    Listen,
    /// Peers to begin with.
    Bootstrap,
    /// Whether to look on the local network.
    Mdns,
    /// What to log.
    Log,
    /// Whether to tell that messages were read.
    ReceiptsRead,
    /// Whose groups to join at once.
    GroupsAutoJoin,
}

/// What values a setting takes.
enum Shape {
    Words(&'static [&'static str]),
    Flag,
    Addresses,
    Text,
}

impl Key {
    /// Every setting, in the order in which they are shown.
    pub const ALL: &[Self] = &[
        Self::Language,
        Self::Listen,
        Self::Bootstrap,
        Self::Mdns,
        Self::Log,
        Self::ReceiptsRead,
        Self::GroupsAutoJoin,
    ];

    /// Its name in the file and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Language => "language",
            Self::Listen => "listen",
            Self::Bootstrap => "bootstrap",
            Self::Mdns => "mdns",
            Self::Log => "log",
            Self::ReceiptsRead => "receipts.read",
            Self::GroupsAutoJoin => "groups.auto_join",
        }
    }

    /// Its name in the environment.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Language => "MOIM_LANG",
            Self::Listen => "MOIM_LISTEN",
            Self::Bootstrap => "MOIM_BOOTSTRAP",
            Self::Mdns => "MOIM_MDNS",
            Self::Log => "MOIM_LOG",
            Self::ReceiptsRead => "MOIM_RECEIPTS_READ",
            Self::GroupsAutoJoin => "MOIM_GROUPS_AUTO_JOIN",
        }
    }

    /// A typed value; lists are separated by commas or spaces.
    ///
    /// # Errors
    /// `bad-setting`, naming what it takes.
    pub fn parse(self, typed: &str) -> Result<Value, ApiError> {
        let value = match self.shape() {
            Shape::Flag => match typed {
                "true" | "on" | "yes" => Value::Boolean(true),
                "false" | "off" | "no" => Value::Boolean(false),
                _ => return Err(self.refuses(typed)),
            },
            Shape::Addresses => Value::Array(
                typed
                    .split([',', ' '])
                    .filter(|part| !part.is_empty())
                    .map(|part| Value::String(part.to_owned()))
                    .collect(),
            ),
            Shape::Words(_) | Shape::Text => Value::String(typed.to_owned()),
        };
        if self.takes(&value) { Ok(value) } else { Err(self.refuses(typed)) }
    }

    fn default(self) -> Value {
        match self {
            Self::Language => Value::String(String::new()),
            Self::Listen | Self::Bootstrap => Value::Array(Vec::new()),
            Self::Mdns | Self::ReceiptsRead => Value::Boolean(true),
            Self::Log => Value::String("warn".to_owned()),
            Self::GroupsAutoJoin => Value::String("contacts".to_owned()),
        }
    }

    fn shape(self) -> Shape {
        match self {
            Self::Language => Shape::Words(LANGUAGES),
            Self::Listen | Self::Bootstrap => Shape::Addresses,
            Self::Mdns | Self::ReceiptsRead => Shape::Flag,
            Self::Log => Shape::Text,
            Self::GroupsAutoJoin => Shape::Words(&["contacts", "never"]),
        }
    }

    fn takes(self, value: &Value) -> bool {
        match self.shape() {
            Shape::Flag => value.is_bool(),
            Shape::Text => value.is_str(),
            Shape::Words(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            // Whether it is an address that this node can use, the network says.
            Shape::Addresses => value.as_array().is_some_and(|list| {
                list.iter().all(|item| item.as_str().is_some_and(|address| address.starts_with('/')))
            }),
        }
    }

    fn refuses(self, given: &str) -> ApiError {
        let allowed = match self.shape() {
            Shape::Words(words) => words.join(", "),
            Shape::Flag => "true, false".to_owned(),
            Shape::Addresses => "/ip4/…, /ip6/…, /dns/…".to_owned(),
            Shape::Text => "…".to_owned(),
        };
        ApiError::new(Reason::BadSetting).with("given", given).with("key", self.name()).with("allowed", allowed)
    }
}

impl FromStr for Key {
    type Err = ApiError;

    fn from_str(typed: &str) -> Result<Self, ApiError> {
        if let Some(key) = Self::ALL.iter().find(|key| key.name() == typed) {
            return Ok(*key);
        }
        let names: Vec<&str> = Self::ALL.iter().map(|key| key.name()).collect();
        let error = ApiError::new(Reason::UnknownSetting).with("given", typed);
        Err(match nearest(&names, typed).first() {
            Some(at) => error.suggesting(names[*at]),
            None => error,
        })
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// The text of the file with one value changed. Everything else in it stays as it was, comments too, but where the
/// setting stands inside a `[table]`: then the file is written anew.
///
/// # Errors
/// As [`Config::read`], when the present text is not understood.
pub fn with_value(path: &Path, file: &str, key: Key, value: &Value) -> Result<String, ApiError> {
    parse_file(path, file)?;
    let mut wanted = table(path, file)?;
    put(&mut wanted, key.name(), value.clone());

    let line = format!("{} = {value}", key.name());
    let mut lines: Vec<&str> = file.lines().collect();
    let top = lines.iter().position(|line| line.trim_start().starts_with('[')).unwrap_or(lines.len());
    let is_key = |line: &&str| line.split_once('=').is_some_and(|(name, _)| name.trim() == key.name());
    match lines[..top].iter().position(is_key) {
        Some(at) => lines[at] = &line,
        None => lines.insert(top, &line),
    }
    let edited = lines.join("\n") + "\n";
    // The edit by lines counts only if it says what it should; a value of several lines or a table defeats it.
    if edited.parse::<Table>().is_ok_and(|table| table == wanted) {
        return Ok(edited);
    }
    Ok(wanted.to_string())
}

fn put(table: &mut Table, name: &str, value: Value) {
    let Some((group, rest)) = name.split_once('.') else {
        table.insert(name.to_owned(), value);
        return;
    };
    let group = table.entry(group).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(group) = group {
        put(group, rest, value);
    }
}

fn table(path: &Path, file: &str) -> Result<Table, ApiError> {
    file.parse::<Table>().map_err(|error| bad_config(path, error.message()))
}

fn bad_config(path: &Path, detail: &str) -> ApiError {
    ApiError::new(Reason::BadConfig).with("path", path.display().to_string()).with("detail", detail)
}

fn parse_file(path: &Path, file: &str) -> Result<Vec<(Key, Value)>, ApiError> {
    let mut found = Vec::new();
    for (name, value) in flattened(table(path, file)?) {
        let key: Key =
            name.parse().map_err(|error: ApiError| bad_config(path, &format!("{}; {}", error.message, error.hint)))?;
        if !key.takes(&value) {
            return Err(bad_config(path, &key.refuses(&value.to_string()).message));
        }
        found.push((key, value));
    }
    Ok(found)
}

/// `[receipts] read = true` as `receipts.read = true`. Settings have at most two parts.
fn flattened(table: Table) -> Vec<(String, Value)> {
    let mut flat = Vec::new();
    for (name, value) in table {
        match value {
            Value::Table(inner) => {
                flat.extend(inner.into_iter().map(|(rest, value)| (format!("{name}.{rest}"), value)));
            }
            value => flat.push((name, value)),
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> &'static Path {
        Path::new("config.toml")
    }

    #[test]
    fn flags_go_before_the_environment_before_the_file_before_the_default() {
        let file = "log = 'info'\nlanguage = 'ko'\nmdns = false\n[receipts]\nread = false\n";
        let environment = [("MOIM_LOG", "debug"), ("MOIM_LANG", "en"), ("HOME", "/x")];
        let flags = [(Key::Language, Value::String("ko".into()))];
        let config = Config::read(path(), file, environment, flags).unwrap();
        assert_eq!((config.language(), config.value(Key::Language).1), (Some("ko"), Origin::Flag));
        assert_eq!((config.log(), config.value(Key::Log).1), ("debug", Origin::Environment));
        assert_eq!((config.mdns(), config.value(Key::Mdns).1), (false, Origin::File));
        assert!(!config.receipts_read());
        assert_eq!(config.groups_auto_join(), AutoJoin::Contacts);
        assert_eq!(config.value(Key::GroupsAutoJoin).1, Origin::Default);
        assert!(config.listen().is_empty() && config.bootstrap().is_empty());
    }

    #[test]
    fn values_are_checked_wherever_they_come_from() {
        for (key, bad) in
            [(Key::Mdns, "maybe"), (Key::Listen, "1.2.3.4"), (Key::Language, "xx"), (Key::GroupsAutoJoin, "all")]
        {
            assert!(key.parse(bad).unwrap_err().is(Reason::BadSetting), "{bad}");
        }
        assert!(Config::read(path(), "mdns = 'maybe'", [], []).unwrap_err().is(Reason::BadConfig));
        assert!(Config::read(path(), "listen = [1]", [], []).unwrap_err().is(Reason::BadConfig));
        assert!(Config::read(path(), "= [1", [], []).unwrap_err().is(Reason::BadConfig));
        let error = Config::read(path(), "mdsn = true", [], []).unwrap_err();
        assert!(error.message.contains("mdns"), "{}", error.message);
        assert_eq!("receipt.read".parse::<Key>().unwrap_err().hint, "did you mean “receipts.read”?");
        assert_eq!(Key::Listen.parse("/ip4/127.0.0.1/tcp/0, /ip6/::1/tcp/0").unwrap().as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_change_keeps_what_else_is_in_the_file() {
        let file = "# mine\nlog = \"info\" # often\n\n[receipts]\nread = true\n";
        let set =
            |file: &str, key: Key, typed: &str| with_value(path(), file, key, &key.parse(typed).unwrap()).unwrap();
        assert_eq!(
            set(file, Key::Mdns, "off"),
            "# mine\nlog = \"info\" # often\n\nmdns = false\n[receipts]\nread = true\n"
        );
        assert_eq!(set(file, Key::Log, "warn"), "# mine\nlog = \"warn\"\n\n[receipts]\nread = true\n");
        assert_eq!(set("", Key::ReceiptsRead, "off"), "receipts.read = false\n");
        let rewritten = set(file, Key::ReceiptsRead, "off");
        assert!(!Config::read(path(), &rewritten, [], []).unwrap().receipts_read());
        let many = set("listen = [\n  '/ip4/1.1.1.1/tcp/1',\n]\n", Key::Listen, "/ip4/127.0.0.1/tcp/0");
        assert_eq!(Config::read(path(), &many, [], []).unwrap().listen(), ["/ip4/127.0.0.1/tcp/0"]);
    }
}
