//! Files for the system around moim: shell completions, manual pages, a service.

use super::{
    args::Gen,
    help,
    out::{Out, Stop},
};
use crate::api::ApiError;
use std::{fs, path::Path};

/// A hardened user-less service. The passphrase comes as a systemd credential, never by flag or environment.
const UNIT: &str = include_str!("moim.service");

pub(super) fn generate(out: &mut Out, what: Gen) -> Result<(), Stop> {
    match what {
        Gen::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut help::command(&out.texts), "moim", &mut script);
            out.raw(String::from_utf8_lossy(&script).trim_end())
        }
        Gen::Man { dir } => {
            let pages = man(out, &dir).map_err(|error| ApiError::file(&dir, &error))?;
            out.say("man-written", &[("count", pages.into()), ("path", dir.display().to_string().into())]);
            Ok(())
        }
        Gen::Systemd => out.raw(UNIT.trim_end()),
    }
}

/// One page a command, `moim-group-new.1`; returns how many.
fn man(out: &Out, dir: &Path) -> std::io::Result<usize> {
    fs::create_dir_all(dir)?;
    clap_mangen::generate_to(examples_last(help::command(&out.texts)), dir)?;
    let pages =
        fs::read_dir(dir)?.filter_map(Result::ok).filter(|file| file.path().extension().is_some_and(|e| e == "1"));
    Ok(pages.count())
}

/// Manual pages have their examples at the end.
fn examples_last(command: clap::Command) -> clap::Command {
    let examples = command.get_before_help().cloned().unwrap_or_default();
    command.after_help(examples).mut_subcommands(examples_last)
}
