//! Invitation links of this account.

use super::{Dispatcher, Serve, refusal};
use crate::{
    api::{
        ApiError, Reason,
        methods::*,
        names::MIN_PREFIX,
        time::{Span, Time},
        types::*,
    },
    node,
    protocol::{
        crypto::{kdf::hash, labels},
        engine::{
            Command, Reply,
            command::Acceptance,
            rows::{self, TicketRow, TicketState},
        },
        ids::base32,
        time::Millis,
        view::{View, ViewError},
        wire::limits::TICKET_LIFE,
    },
};

impl Serve for InviteCreate {
    async fn serve(at: &Dispatcher, params: InviteParams) -> Result<InviteResult, ApiError> {
        let life = params.expires.map_or(TICKET_LIFE, <Span as Into<std::time::Duration>>::into);
        if life.is_zero() {
            return Err(ApiError::new(Reason::BadLife));
        }
        let accept = if params.auto_accept { Acceptance::AtOnce } else { Acceptance::ByHand };
        match at.command(move |_| Ok((Command::CreateTicket { life, accept }, ()))).await? {
            (Reply::Ticket { link, expires, reachable }, ()) => {
                Ok(InviteResult { v: V1, link, expires: expires.into(), without_address: !reachable })
            }
            (other, ()) => Err(unexpected(&other)),
        }
    }
}

impl Serve for InviteList {
    async fn serve(at: &Dispatcher, _: Nothing) -> Result<InvitesResult, ApiError> {
        at.read(|reading| {
            let mut tickets = open_tickets(reading.view)?;
            tickets.sort_by_key(|ticket| (ticket.expires, ticket.made));
            let invites = tickets.iter().map(|ticket| Invite {
                id: name_of(ticket),
                created: Time::from(ticket.made),
                expires: Time::from(ticket.expires),
                auto_accept: ticket.auto_accept,
                pending: ticket.pending.len() as u64,
            });
            Ok(InvitesResult { v: V1, invites: invites.collect() })
        })
        .await
    }
}

impl Serve for InviteRevoke {
    async fn serve(at: &Dispatcher, params: RevokeParams) -> Result<RevokeResult, ApiError> {
        let typed = params.invite.clone();
        let revoked = at.command(move |reading| {
            let ticket = ticket_called(reading.view, &params.invite)?;
            let id = name_of(&ticket);
            Ok((Command::RevokeTicket(ticket.link), id))
        });
        let (_, id) = revoked.await.map_err(|error| refusal::about(error, &typed, ""))?;
        Ok(RevokeResult { v: V1, id })
    }
}

/// An answer of the engine that does not fit the command.
pub(super) fn unexpected(reply: &Reply) -> ApiError {
    let what = match reply {
        Reply::Done => "nothing",
        Reply::ReadReceipts { .. } => "a choice",
        Reply::Ticket { .. } => "a link",
        Reply::Contact(_) => "a contact",
        Reply::Sent { .. } => "a message",
        Reply::Group(_) => "a group",
        Reply::Mailbox(_) => "a mailbox",
        Reply::Withdrawn { .. } => "a withdrawal",
        Reply::Cleared { .. } => "a clearing",
    };
    ApiError::internal(format!("the engine answered with {what}"))
}

fn open_tickets(view: &dyn View) -> Result<Vec<TicketRow>, ViewError> {
    let now: Millis = node::now();
    let mut tickets: Vec<TicketRow> = rows::all(view, b"")?;
    tickets.retain(|ticket| ticket.state == TicketState::Open && ticket.expires > now);
    Ok(tickets)
}

/// The open ticket that was typed: its name, the beginning of it, or the link itself.
fn ticket_called(view: &dyn View, typed: &str) -> Result<TicketRow, ApiError> {
    let wanted = typed.trim().to_ascii_lowercase();
    let fits = |ticket: &TicketRow| {
        ticket.link.eq_ignore_ascii_case(&wanted)
            || (wanted.len() >= MIN_PREFIX && name_of(ticket).starts_with(&wanted))
    };
    let mut found: Vec<TicketRow> = open_tickets(view)?.into_iter().filter(fits).collect();
    match found.len() {
        0 => Err(ApiError::new(Reason::NoSuchInvite).with("given", typed)),
        1 => Ok(found.remove(0)),
        _ => {
            let names: Vec<String> = found.iter().map(name_of).collect();
            Err(ApiError::new(Reason::Ambiguous).with("given", typed).with("candidates", names.join(", ")))
        }
    }
}

/// What a ticket is listed by: a hash of its box, which is derived from its secret.
fn name_of(ticket: &TicketRow) -> String {
    base32(&hash(&[labels::INVITE_NAME.as_bytes(), &ticket.inv.ticket_box().0]))
}
