//! People: contacts, requests, safety numbers.

use super::{
    Dispatcher, Reading, Serve,
    invites::unexpected,
    reading::{group_name, is_request, safe, state_of},
    refusal,
};
use crate::{
    api::{ApiError, Reason, methods::*, types::*},
    protocol::{
        engine::{
            Command, Refusal, Reply,
            rows::{ContactRow, GroupState},
        },
        identity::{Fingerprint, SafetyNumber},
        ids::{AccountId, ChatId},
    },
};

impl Serve for ContactAdd {
    async fn serve(at: &Dispatcher, params: AddParams) -> Result<ContactResult, ApiError> {
        let name = params.name.clone().unwrap_or_default();
        let asked = at.node.ask(Command::AddContact { link: params.link, alias: params.name }).await?;
        let account = match asked.answer().await {
            Ok(Reply::Contact(account)) => account,
            Ok(other) => return Err(unexpected(&other)),
            // Adding twice is not a fault: the answer says how far it is.
            Err(crate::node::CommandError::Refused(
                Refusal::AlreadyContact { account } | Refusal::Blocked { account },
            )) => account,
            Err(error) => return Err(refusal::about(error.into(), &name, &name)),
        };
        result(at, account).await
    }
}

impl Serve for ContactList {
    async fn serve(at: &Dispatcher, _: Nothing) -> Result<ContactsResult, ApiError> {
        at.read(|reading| {
            let mut contacts = Vec::new();
            for row in reading.contacts()? {
                contacts.extend(reading.as_contact(&row)?);
            }
            contacts.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
            Ok(ContactsResult { v: V1, contacts })
        })
        .await
    }
}

impl Serve for ContactRequests {
    async fn serve(at: &Dispatcher, _: Nothing) -> Result<RequestsResult, ApiError> {
        at.read(|reading| {
            let mut requests = reading.contacts()?;
            requests.retain(is_request);
            requests.sort_by_key(|row| (row.since, row.account));
            let requests = requests.iter().map(|row| request(reading, row)).collect::<Result<_, _>>()?;
            let mut groups = reading.groups()?;
            groups.retain(|group| group.state == GroupState::Invited);
            groups.sort_by_key(|group| (group.since, group.group));
            let groups = groups.iter().map(|group| {
                let from = group.inviter.unwrap_or(reading.own.account);
                Ok::<_, ApiError>(GroupRequest {
                    id: ChatId::from(group.group),
                    name: group_name(group),
                    from: reading.person(from, Some(group.group))?,
                    since: group.since.into(),
                })
            });
            Ok(RequestsResult { v: V1, requests, groups: groups.collect::<Result<_, _>>()? })
        })
        .await
    }
}

/// Who wants to become a contact, as the API shows it.
pub(super) fn request(reading: &Reading, row: &ContactRow) -> Result<Request, ApiError> {
    Ok(Request {
        id: row.account,
        name: reading.person(row.account, None)?.name,
        fingerprint: Fingerprint::of(row.account).digits().to_owned(),
        since: row.since.into(),
    })
}

impl Serve for ContactAccept {
    async fn serve(at: &Dispatcher, params: Who) -> Result<ContactResult, ApiError> {
        let account = ask(at, params.who, |all, typed| all.request_called(typed), Command::Accept).await?.account;
        result(at, account).await
    }
}

impl Serve for ContactDecline {
    async fn serve(at: &Dispatcher, params: Who) -> Result<GoneResult, ApiError> {
        let row = ask(at, params.who, |all, typed| all.request_called(typed), Command::Decline).await?;
        Ok(gone(&row))
    }
}

impl Serve for ContactBlock {
    async fn serve(at: &Dispatcher, params: Who) -> Result<ContactResult, ApiError> {
        let given = params.who.clone();
        let asked = at.command(move |reading| {
            let account = reading.anyone_called(&params.who)?;
            Ok((Command::Block(account), account))
        });
        let (_, account) = asked.await.map_err(|error| refusal::about(error, &given, &given))?;
        result(at, account).await
    }
}

impl Serve for ContactUnblock {
    async fn serve(at: &Dispatcher, params: Who) -> Result<ContactResult, ApiError> {
        let row = ask(at, params.who, |all, typed| all.contact_called(typed), Command::Unblock).await?;
        result(at, row.account).await
    }
}

impl Serve for ContactRename {
    async fn serve(at: &Dispatcher, params: RenameParams) -> Result<ContactResult, ApiError> {
        let name = params.name.clone();
        let renamed = at.command(move |reading| {
            let account = reading.contact_called(&params.who)?.account;
            Ok((Command::Rename(account, params.name), account))
        });
        // A name that is taken is the new one, not that of the contact.
        let (_, account) = renamed.await.map_err(|error| refusal::about(error, &name, &name))?;
        result(at, account).await
    }
}

impl Serve for ContactRemove {
    async fn serve(at: &Dispatcher, params: Who) -> Result<GoneResult, ApiError> {
        let row = ask(at, params.who, |all, typed| all.contact_called(typed), Command::Remove).await?;
        Ok(gone(&row))
    }
}

impl Serve for ContactVerify {
    async fn serve(at: &Dispatcher, params: VerifyParams) -> Result<VerifyResult, ApiError> {
        let who = params.who;
        let (row, name, number) = at
            .read(move |reading| {
                let row = reading.contact_called(&who)?;
                let number = SafetyNumber::of(&Fingerprint::of(reading.own.account), &Fingerprint::of(row.account));
                let name = reading.person(row.account, None)?.name;
                Ok((row, name, number))
            })
            .await?;
        let mut verified = row.verified;
        if let Some(typed) = params.matches {
            let not_a_number = |_| ApiError::new(Reason::NotSafetyNumber).with("given", typed.as_str());
            let read_out: SafetyNumber = typed.parse().map_err(not_a_number)?;
            if read_out != number {
                // A slip of the tongue must not undo what was compared: it stays until somebody says otherwise.
                let differs = if row.verified { Reason::VerifiedNumberDiffers } else { Reason::NumberDiffers };
                return Err(ApiError::new(differs).with("name", name));
            }
            at.node.ask(Command::MarkVerified(row.account)).await?.answer().await?;
            verified = true;
        }
        Ok(VerifyResult { v: V1, contact: row.account, safety_number: number.digits().to_owned(), verified })
    }
}

/// Finds who was typed and asks for something about them.
async fn ask(
    at: &Dispatcher,
    typed: String,
    find: fn(&Reading, &str) -> Result<ContactRow, ApiError>,
    command: impl FnOnce(AccountId) -> Command + Send + 'static,
) -> Result<ContactRow, ApiError> {
    let given = typed.clone();
    let asked = at.command(move |reading| {
        let row = find(reading, &typed)?;
        Ok((command(row.account), row))
    });
    let (_, row) = asked.await.map_err(|error| refusal::about(error, &given, &given))?;
    Ok(row)
}

/// How it stands with a contact now.
async fn result(at: &Dispatcher, account: AccountId) -> Result<ContactResult, ApiError> {
    at.read(move |reading| {
        let row = reading.contact(account)?.ok_or_else(|| ApiError::internal("the contact is gone"))?;
        let name = reading.person(account, None)?.name;
        // Whoever was unblocked may be one that was removed, or never was a contact.
        Ok(ContactResult { v: V1, contact: account, name, state: state_of(&row).unwrap_or(ContactState::NoContact) })
    })
    .await
}

fn gone(row: &ContactRow) -> GoneResult {
    GoneResult { v: V1, contact: row.account, name: safe(&row.name) }
}
