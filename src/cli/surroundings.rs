//! What a command finds around it: arguments, environment, the three streams and whether they are terminals.
//! Tests bring their own.

use crate::api::{ApiError, Reason};
use jiff::tz::TimeZone;
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Everything a command gets from outside.
pub struct Surroundings {
    /// The arguments, the program's name first.
    pub args: Vec<OsString>,
    /// The environment, of which names and values that are no UTF-8 are left out.
    pub environment: BTreeMap<String, String>,
    /// Where `-` reads.
    pub stdin: Box<dyn Read>,
    /// Where data goes.
    pub stdout: Box<dyn Write>,
    /// Where messages go.
    pub stderr: Box<dyn Write>,
    /// Whether a person sits at stdin.
    pub stdin_is_terminal: bool,
    /// Whether stdout is a screen.
    pub stdout_is_terminal: bool,
    /// Whether stderr is a screen.
    pub stderr_is_terminal: bool,
    /// The zone in which moments are shown.
    pub zone: TimeZone,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Self {
            args: std::env::args_os().collect(),
            environment: std::env::vars_os().filter_map(text).collect(),
            stdin: Box::new(io::stdin()),
            stdout: Box::new(io::stdout()),
            stderr: Box::new(io::stderr()),
            stdin_is_terminal: io::stdin().is_terminal(),
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr_is_terminal: io::stderr().is_terminal(),
            zone: TimeZone::system(),
        }
    }

    /// A variable of the environment that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The home where no flag names one: `MOIM_HOME`, else `moim` in the XDG data directory.
    ///
    /// # Errors
    /// `usage` where the system does not tell whose home directory it is.
    pub fn default_home(&self) -> Result<PathBuf, ApiError> {
        use etcetera::BaseStrategy;
        if let Some(home) = self.variable("MOIM_HOME") {
            return Ok(home.into());
        }
        let base = etcetera::base_strategy::Xdg::new()
            .map_err(|_| ApiError::new(Reason::MissingArgument).with("given", "--home").with("command", "moim"))?;
        Ok(base.data_dir().join("moim"))
    }
}

/// Where passphrases come from.
#[derive(Debug, Clone)]
pub enum PassphraseSource {
    /// The first line of a file.
    File(PathBuf),
    /// A person.
    Prompt {
        /// What to ask the person.
        prompt: String,
    },
    /// Nowhere.
    Nobody,
}

impl PassphraseSource {
    /// Reads it, or asks for it.
    ///
    /// # Errors
    /// `auth` where there is nobody to ask; `io`.
    pub fn read(&self) -> Result<Zeroizing<String>, ApiError> {
        match self {
            Self::File(path) => first_line(path),
            Self::Prompt { prompt } => ask(prompt),
            Self::Nobody => Err(ApiError::new(Reason::NoPassphrase)),
        }
    }

    /// Asks for something else that is not to be seen.
    ///
    /// # Errors
    /// `auth` where there is nobody to ask.
    pub fn ask(&self, prompt: &str) -> Result<Zeroizing<String>, ApiError> {
        ask(prompt)
    }

    /// A new one, which a person types twice.
    ///
    /// # Errors
    /// As [`read`](Self::read), and `auth` for an empty one or two that differ.
    pub fn choose(&self, again: &str) -> Result<Zeroizing<String>, ApiError> {
        let chosen = self.read()?;
        if chosen.is_empty() {
            return Err(ApiError::new(Reason::EmptyPassphrase));
        }
        if matches!(self, Self::Prompt { .. }) && ask(again)? != chosen {
            return Err(ApiError::new(Reason::PassphrasesDiffer));
        }
        Ok(chosen)
    }
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, ApiError> {
    rpassword::prompt_password(format!("{prompt} "))
        .map(Zeroizing::new)
        .map_err(|_| ApiError::new(Reason::NoPassphrase))
}

fn first_line(path: &Path) -> Result<Zeroizing<String>, ApiError> {
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|error| ApiError::file(path, &error))?);
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_file_gives_its_first_line_and_an_empty_one_is_refused_for_a_new_home() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        fs::write(&path, "correct horse \r\nrest").unwrap();
        assert_eq!(PassphraseSource::File(path.clone()).read().unwrap().as_str(), "correct horse ");
        fs::write(&path, "\n").unwrap();
        let error = PassphraseSource::File(path).choose("again").unwrap_err();
        assert!(error.is(Reason::EmptyPassphrase));
        assert_eq!(PassphraseSource::Nobody.read().unwrap_err().code.exit_code(), 5);
    }
}
