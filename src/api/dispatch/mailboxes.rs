//! Mailboxes: those of this account, and this node as one.

use super::{Dispatcher, Reading, Serve, invites::unexpected, reading::safe, refusal};
use crate::{
    api::{ApiError, Reason, methods::*, types::*},
    protocol::{
        engine::{
            Command, Reply,
            command::{MailboxAt, Serving},
            rows::{self, MailboxRow, ServingRow},
        },
        ids::AccountId,
        view::ViewError,
    },
};

impl Serve for MailboxServe {
    async fn serve(at: &Dispatcher, params: MailboxServeParams) -> Result<MailboxesResult, ApiError> {
        let serving = if params.serve { Serving::On } else { Serving::Off };
        at.command(move |_| Ok((Command::ServeMailbox(serving), ()))).await?;
        at.read(list).await
    }
}

impl Serve for MailboxLink {
    async fn serve(at: &Dispatcher, _: Nothing) -> Result<InviteResult, ApiError> {
        match at.command(move |_| Ok((Command::MakeMailboxLink, ()))).await? {
            (Reply::Ticket { link, expires, reachable }, ()) => {
                Ok(InviteResult { v: V1, link, expires: expires.into(), without_address: !reachable })
            }
            (other, ()) => Err(unexpected(&other)),
        }
    }
}

impl Serve for MailboxAdd {
    async fn serve(at: &Dispatcher, params: MailboxAddParams) -> Result<MailboxResult, ApiError> {
        let typed = params.at.clone();
        let added = at.command(move |reading| {
            let is_link = params.at.trim().get(..5).is_some_and(|start| start.eq_ignore_ascii_case("moim:"));
            let at = match is_link {
                true => MailboxAt::Link(params.at),
                false => MailboxAt::Contact(reading.contact_called(&params.at)?.account),
            };
            Ok((Command::AddMailbox(at), ()))
        });
        match added.await.map_err(|error| refusal::about(error, &typed, &typed))? {
            (Reply::Mailbox(account), ()) => at.read(move |reading| result(reading, account)).await,
            (other, ()) => Err(unexpected(&other)),
        }
    }
}

impl Serve for MailboxRemove {
    async fn serve(at: &Dispatcher, params: Who) -> Result<MailboxResult, ApiError> {
        let typed = params.who.clone();
        let removed = at.command(move |reading| {
            let mailbox = called(reading, &params.who)?;
            Ok((Command::RemoveMailbox(mailbox.id), mailbox))
        });
        let (_, mailbox) = removed.await.map_err(|error| refusal::about(error, &typed, &typed))?;
        Ok(MailboxResult { v: V1, mailbox: mailbox.id, name: mailbox.name, state: MailboxState::Gone })
    }
}

impl Serve for MailboxList {
    async fn serve(at: &Dispatcher, _: Nothing) -> Result<MailboxesResult, ApiError> {
        at.read(list).await
    }
}

fn list(reading: &Reading) -> Result<MailboxesResult, ApiError> {
    let serving: ServingRow = rows::read(reading.view, &ServingRow::key())?.unwrap_or_default();
    let keeps =
        Keeps { boxes: serving.boxes + serving.guests, messages: serving.kept.blobs, bytes: serving.kept.bytes };
    let keeps = (serving.on || keeps.boxes > 0).then_some(keeps);
    Ok(MailboxesResult { v: V1, serving: serving.on, keeps, mailboxes: all(reading)? })
}

fn all(reading: &Reading) -> Result<Vec<Mailbox>, ViewError> {
    let mut rows: Vec<MailboxRow> = rows::all(reading.view, MailboxRow::SCOPE)?;
    rows.retain(|row| row.state != rows::MailboxState::Leaving);
    rows.sort_by_key(|row| (row.since, row.node));
    let shaped = rows.into_iter().map(|row| {
        let state = match row.state {
            rows::MailboxState::Asked => MailboxState::Pending,
            rows::MailboxState::Active => MailboxState::Active,
            rows::MailboxState::Refused(_) | rows::MailboxState::Leaving => MailboxState::Refused,
        };
        let name = safe(&reading.person(row.account, None)?.name);
        Ok(Mailbox { id: row.account, name, state, online: reading.around.peers.contains(&row.node) })
    });
    shaped.collect()
}

fn called(reading: &Reading, typed: &str) -> Result<Mailbox, ApiError> {
    let all = all(reading)?;
    let (id, _) = one_called(all.iter().map(|mailbox| (mailbox.id, mailbox.name.clone())), typed)?;
    let found = all.into_iter().find(|mailbox| mailbox.id == id);
    found.ok_or_else(|| ApiError::new(Reason::NoSuchMailbox).with("given", typed))
}

/// A mailbox of this account, or the account itself, where its own node is to be a group's.
pub(super) fn nameable(reading: &Reading, typed: &str) -> Result<(AccountId, String), ApiError> {
    let own = (reading.own.account, reading.own.name.clone());
    let mailboxes = all(reading)?.into_iter().map(|mailbox| (mailbox.id, mailbox.name));
    one_called(mailboxes.chain([own]), typed)
}

/// The one among these that was typed: by name, by id, or by the beginning of an id.
pub(super) fn one_called(
    those: impl Iterator<Item = (AccountId, String)>,
    typed: &str,
) -> Result<(AccountId, String), ApiError> {
    let name = typed.trim_start_matches('@');
    let lower = name.to_ascii_lowercase();
    let fits = |(id, called): &(AccountId, String)| {
        let id = id.to_string();
        called == name || id == lower || (lower.len() >= crate::api::names::MIN_PREFIX && id.starts_with(&lower))
    };
    let mut found: Vec<(AccountId, String)> = those.filter(fits).collect();
    match found.len() {
        0 => Err(ApiError::new(Reason::NoSuchMailbox).with("given", typed)),
        1 => Ok(found.remove(0)),
        _ => {
            let list: Vec<String> = found.iter().map(|(id, _)| id.to_string()).collect();
            Err(ApiError::new(Reason::Ambiguous).with("given", typed).with("candidates", list.join(", ")))
        }
    }
}

fn result(reading: &Reading, account: AccountId) -> Result<MailboxResult, ApiError> {
    let found = all(reading)?.into_iter().find(|mailbox| mailbox.id == account);
    let mailbox = found.ok_or_else(|| ApiError::internal("the mailbox is gone"))?;
    Ok(MailboxResult { v: V1, mailbox: mailbox.id, name: mailbox.name, state: mailbox.state })
}
