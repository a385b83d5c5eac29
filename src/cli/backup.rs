//! Backups: written into a file that the 24 words open, and made a home of again.

use super::{NewHome, Runtime, Session, args::Restore, node::new_passphrase, out::Stop};
use crate::{
    api::{ApiError, Reason},
    ui::format::size,
};
use std::{fs, path::PathBuf};
use zeroize::Zeroizing;

pub(super) async fn backup<R: Runtime>(session: &mut Session<'_, R>, file: PathBuf) -> Result<(), Stop> {
    if file.as_os_str() == "-" {
        // It has to be whole under its name or not there, which a pipe cannot be.
        let error = ApiError::new(Reason::BadValue).with("given", "-").with("option", "FILE");
        return Err(error.with("command", "moim backup").into());
    }
    let passphrase = &session.passphrase;
    let written = session.runtime.backup(&session.home, &file, &|| passphrase.read()).await?;
    session.out.result(&written, |out| {
        out.tell("backup-written", &[("path", written.path.as_str().into()), ("size", size(written.size).into())])
    })?;
    if written.damaged > 0 {
        session.out.say("backup-damaged", &[("count", written.damaged.into())]);
    }
    session.out.say("backup-keep", &[]);
    Ok(())
}

pub(super) async fn restore<R: Runtime>(session: &mut Session<'_, R>, restore: Restore) -> Result<(), Stop> {
    session.runtime.may_make(&session.home)?;
    let words = match (&restore.restore_words_file, session.stdin_is_terminal) {
        (Some(path), _) => Zeroizing::new(fs::read_to_string(path).map_err(|error| ApiError::file(path, &error))?),
        (None, true) => session.passphrase.ask(&session.out.texts.get("ask-words"))?,
        (None, false) => return Err(ApiError::new(Reason::NoWords).into()),
    };
    let passphrase = new_passphrase(session, restore.no_passphrase)?;
    let new = NewHome { name: String::new(), passphrase, words: Some(words) };
    let restored = session.runtime.restore(&session.home, &restore.file, new).await?;
    session.out.result(&restored, |out| {
        out.tell("identity-name", &[("name", restored.name.as_str().into())])?;
        out.tell("identity-account", &[("account", restored.account.to_string().into())])?;
        out.tell("restore-messages", &[("count", restored.messages.into())])
    })?;
    session.out.say("restore-next", &[]);
    Ok(())
}
