//! Where everything a command says goes through: data to stdout, messages to stderr, nothing unsafe to either.

use crate::{
    api::{
        ApiError,
        error::{Arg, Args, ErrorReport},
    },
    protocol::wire::text::SafeText,
    ui::{
        format::{safe_json, table},
        texts::Texts,
    },
};
use jiff::tz::TimeZone;
use serde::Serialize;
use std::io::{self, Write};

/// Why a command ends before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    /// It failed; the error is still to be told.
    #[error(transparent)]
    Failed(#[from] ApiError),
    /// Nobody reads stdout any more: a quiet end.
    #[error("stdout is closed")]
    Unread,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Failed(ApiError::file("stdout".as_ref(), &error)),
        }
    }
}

/// How a command speaks.
pub(super) struct Out {
    pub(super) stdout: Box<dyn Write>,
    pub(super) stderr: Box<dyn Write>,
    /// The reader's language.
    pub texts: Texts,
    /// Whether data is JSON.
    pub json: bool,
    /// Whether messages are left out; errors are not.
    pub quiet: bool,
    /// Whether escapes may go to stdout.
    pub color: bool,
    /// Whether escapes may go to stderr.
    pub color_messages: bool,
    /// The zone of shown moments.
    pub zone: TimeZone,
}

impl Out {
    /// A result: as JSON, or as `show` says it.
    pub(super) fn result<T: Serialize>(
        &mut self,
        value: &T,
        show: impl FnOnce(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        if self.json { self.object(value) } else { show(self) }
    }

    /// One JSON object on a line of stdout.
    pub(super) fn object<T: Serialize>(&mut self, value: &T) -> Result<(), Stop> {
        let json = serde_json::to_string(value).map_err(ApiError::internal)?;
        writeln!(self.stdout, "{}", safe_json(&json))?;
        Ok(self.stdout.flush()?)
    }

    /// A line of data, made safe.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Stop> {
        self.raw(&SafeText::line(text).to_string())
    }

    /// A line of data of our own making: a QR code, a help page.
    pub(super) fn raw(&mut self, text: &str) -> Result<(), Stop> {
        writeln!(self.stdout, "{text}")?;
        Ok(self.stdout.flush()?)
    }

    /// A sentence as data.
    pub(super) fn tell(&mut self, id: &str, args: &[(&str, Arg)]) -> Result<(), Stop> {
        // Arguments cannot break lines, so these are the text's own.
        let text = self.texts.with(id, &named(args));
        text.lines().try_for_each(|line| self.line(line))
    }

    /// A message beside the data: what was done, what to do next. Nobody needs it, so a closed stderr is no failure.
    pub(super) fn say(&mut self, id: &str, args: &[(&str, Arg)]) {
        if self.quiet || self.json {
            return;
        }
        for line in self.texts.with(id, &named(args)).lines() {
            writeln!(self.stderr, "{}", SafeText::line(line)).ok();
        }
    }

    /// Aligned columns under headings (`column-NAME`), the headings dimmed.
    pub(super) fn table(&mut self, columns: &[&str], rows: Vec<Vec<String>>) -> Result<(), Stop> {
        let safe = |row: Vec<String>| row.iter().map(|cell| SafeText::line(cell).to_string()).collect();
        let headings = columns.iter().map(|name| self.texts.get(&format!("column-{name}"))).collect();
        let rows: Vec<Vec<String>> = std::iter::once(headings).chain(rows.into_iter().map(safe)).collect();
        for (at, line) in table(&rows).into_iter().enumerate() {
            let heading = at == 0 && self.color;
            self.raw(&if heading { format!("\x1b[2m{line}\x1b[0m") } else { line })?;
        }
        Ok(())
    }

    /// An error, on stderr: what happened, why, and what to do.
    pub(super) fn error(&mut self, error: &ApiError) {
        if self.json {
            if let Ok(json) = serde_json::to_string(&ErrorReport::from(error.clone())) {
                writeln!(self.stderr, "{}", safe_json(&json)).ok();
            }
            return;
        }
        let (message, hint) = self.texts.error(error);
        let label = self.texts.get("label-error");
        let label = if self.color_messages { format!("\x1b[1;31m{label}\x1b[0m") } else { label };
        writeln!(self.stderr, "{label} {}", SafeText::line(&message)).ok();
        if !hint.is_empty() {
            writeln!(self.stderr, "  → {}", SafeText::line(&hint)).ok();
        }
    }
}

/// The arguments of a sentence as a list.
fn named(args: &[(&str, Arg)]) -> Args {
    args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}
