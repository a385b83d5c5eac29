//! Commands about mailboxes and the outbox.

use super::{
    Runtime, Session,
    args::{self, OutboxCommand, Switch},
    messages::why_word,
    node::state_word,
    out::{Out, Stop},
};
use crate::{
    api::{
        ApiError, Reason, methods,
        types::{
            CancelParams, MailboxAddParams, MailboxResult, MailboxServeParams, MailboxState, MailboxesResult, Nothing,
            Who,
        },
    },
    protocol::ids::AccountId,
    ui::format::{moment, short, size},
};

pub(super) async fn mailbox<R: Runtime>(session: &mut Session<'_, R>, command: args::Mailbox) -> Result<(), Stop> {
    match command {
        args::Mailbox::Serve { switch } => {
            let params = MailboxServeParams { serve: switch == Switch::On };
            let result = session.ask::<methods::MailboxServe>(params).await?;
            session.out.result(&result, |out| out.tell(serving_text(&result), &[]))?;
            if result.serving {
                session.out.say("mailbox-serving-next", &[]);
            }
            Ok(())
        }
        args::Mailbox::Link => {
            let result = session.ask::<methods::MailboxLink>(Nothing {}).await?;
            session.out.result(&result, |out| out.line(&result.link))?;
            let date = moment(result.expires, &session.out.zone);
            session.out.say("mailbox-link-next", &[("date", date.into())]);
            if result.without_address {
                session.out.say("invite-without-address", &[]);
            }
            Ok(())
        }
        args::Mailbox::Add { at } => {
            let at = if at == "-" { session.read_link()? } else { at };
            let result = session.ask::<methods::MailboxAdd>(MailboxAddParams { at }).await?;
            session.out.result(&result, |out| show(out, &result))
        }
        args::Mailbox::Remove { at } => {
            let result = session.ask::<methods::MailboxRemove>(Who { who: at }).await?;
            session.out.result(&result, |out| show(out, &result))
        }
        args::Mailbox::List => list(session).await,
    }
}

fn show(out: &mut Out, mailbox: &MailboxResult) -> Result<(), Stop> {
    let state = out.texts.get(word(mailbox.state));
    let name = called(out, &mailbox.name, &mailbox.mailbox);
    out.tell("mailbox-state", &[("name", name.into()), ("state", state.into())])
}

/// What a mailbox is called. That of a link has no name until its owner is a contact: the API gives the beginning of its id.
pub(super) fn called(out: &Out, name: &str, id: &AccountId) -> String {
    if !id.to_string().starts_with(name) {
        return name.to_owned();
    }
    out.texts.with("mailbox-nameless", &[("id".to_owned(), short(id).into())].into())
}

fn serving_text(result: &MailboxesResult) -> &'static str {
    if result.serving { "mailbox-serving" } else { "mailbox-not-serving" }
}

fn word(state: MailboxState) -> &'static str {
    match state {
        MailboxState::Pending => "mailbox-pending",
        MailboxState::Active => "mailbox-active",
        MailboxState::Refused => "mailbox-refused",
        MailboxState::Gone => "mailbox-gone",
        MailboxState::Other => "mailbox-other",
    }
}

async fn list<R: Runtime>(session: &mut Session<'_, R>) -> Result<(), Stop> {
    let result = session.ask::<methods::MailboxList>(Nothing {}).await?;
    session.out.result(&result, |out| {
        if let Some(keeps) = result.keeps {
            out.tell(serving_text(&result), &[])?;
            let args =
                [("boxes", keeps.boxes.into()), ("count", keeps.messages.into()), ("size", size(keeps.bytes).into())];
            out.tell("mailbox-keeps", &args)?;
        }
        let mut rows = Vec::new();
        for mailbox in &result.mailboxes {
            rows.push(vec![
                called(out, &mailbox.name, &mailbox.id),
                out.texts.get(word(mailbox.state)),
                out.texts.get(if mailbox.online { "word-online" } else { "word-away" }),
                short(&mailbox.id),
            ]);
        }
        if rows.is_empty() {
            // Who serves others is up, and so is there for what is sent.
            out.say(if result.serving { "mailboxes-none-needed" } else { "mailboxes-none" }, &[]);
            return Ok(());
        }
        out.table(&["name", "state", "here", "id"], rows)
    })
}

pub(super) async fn outbox<R: Runtime>(
    session: &mut Session<'_, R>,
    command: Option<OutboxCommand>,
) -> Result<(), Stop> {
    let Some(OutboxCommand::Cancel { id }) = command else { return waiting(session).await };
    let result = session.ask::<methods::OutboxCancel>(CancelParams { id }).await?;
    let id = short(&result.id);
    let came_of_it = match (result.delivered, result.mailbox, result.under_way) {
        (0, 0, 0) => Ok("outbox-withdrawn"),
        (0, 0, _) => Ok("outbox-under-way"),
        (0, _, _) => Err(Reason::InMailbox),
        _ => Err(Reason::WasDelivered),
    };
    session.out.result(&result, |out| match came_of_it {
        Ok(text) => out.tell(text, &[("id", id.as_str().into())]),
        Err(_) => Ok(()),
    })?;
    came_of_it.map(drop).map_err(|reason| ApiError::new(reason).with("given", id).into())
}

async fn waiting<R: Runtime>(session: &mut Session<'_, R>) -> Result<(), Stop> {
    let result = session.ask::<methods::OutboxList>(Nothing {}).await?;
    session.out.result(&result, |out| {
        let mut rows = Vec::new();
        for waiting in &result.waiting {
            rows.push(vec![
                short(&waiting.id),
                waiting.to.name.clone(),
                out.texts.get(state_word(waiting.state)),
                out.texts.get(why_word(waiting.why)),
                moment(waiting.since, &out.zone),
            ]);
        }
        if rows.is_empty() {
            out.say("outbox-empty", &[]);
            return Ok(());
        }
        out.table(&["id", "to", "state", "why", "since"], rows)
    })
}
