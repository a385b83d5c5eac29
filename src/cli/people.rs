//! Commands about the own card, invitations and contacts.

use super::{
    Runtime, Session,
    args::{Invite, InviteCommand, Picture},
    node::identity,
    out::{Out, Stop},
};
use crate::{
    api::{
        ApiError, Reason,
        methods::{self, Method},
        types::{
            AddParams, Contact, ContactResult, ContactState, GoneResult, InviteParams, InviteResult, LinkProblem,
            MAX_TEXT, Nothing, RenameParams, RevokeParams, VerifyParams, Who,
        },
    },
    ui::{
        format::{grouped, moment, short},
        qr::{Drawing, Qr},
    },
};
use std::{fs, io::Read, path::Path};

/// What is read of stdin at the most: more than any message, so that one that is a little too long is told its length.
const MAX_STDIN: u64 = 1024 * 1024;

/// What every link begins with.
const LINK: &str = "moim:";

pub(super) async fn id<R: Runtime>(session: &mut Session<'_, R>, picture: Picture) -> Result<(), Stop> {
    let own = session.ask::<methods::Id>(Nothing {}).await?;
    let text = own.account.to_string();
    session.out.result(&own, |out| {
        if picture.is_drawn() {
            draw(out, &text, &picture)?;
        }
        identity(out, &own)
    })?;
    save(&mut session.out, &text, picture.png.as_deref())
}

pub(super) async fn invite<R: Runtime>(session: &mut Session<'_, R>, invite: Invite) -> Result<(), Stop> {
    match invite.command {
        Some(InviteCommand::List) => return invites(session).await,
        Some(InviteCommand::Revoke { invite }) => {
            let result = session.ask::<methods::InviteRevoke>(RevokeParams { invite }).await?;
            return session.out.result(&result, |out| out.tell("invite-revoked", &[("id", short(&result.id).into())]));
        }
        None => {}
    }
    let who_uses_it = if invite.auto_accept { "invite-accepts" } else { "invite-asks" };
    let params = InviteParams { expires: invite.expires, auto_accept: invite.auto_accept };
    let result = session.ask::<methods::InviteCreate>(params).await?;
    session.out.result(&result, |out| show_invite(out, &result, &invite.picture))?;
    save(&mut session.out, &result.link, invite.picture.png.as_deref())?;
    let date = moment(result.expires, &session.out.zone);
    session.out.say("invite-next", &[("date", date.into())]);
    session.out.say(who_uses_it, &[]);
    if result.without_address {
        session.out.say("invite-without-address", &[]);
    }
    Ok(())
}

fn show_invite(out: &mut Out, invite: &InviteResult, picture: &Picture) -> Result<(), Stop> {
    if picture.is_drawn() {
        draw(out, &invite.link, picture)?;
    }
    // A code of 23 lines and its link would not fit a screen together; whoever asks for the code wants the code.
    if picture.is_drawn() && out.color { Ok(()) } else { out.line(&invite.link) }
}

async fn invites<R: Runtime>(session: &mut Session<'_, R>) -> Result<(), Stop> {
    let result = session.ask::<methods::InviteList>(Nothing {}).await?;
    session.out.result(&result, |out| {
        let mut rows = Vec::new();
        for invite in &result.invites {
            let accepts = out.texts.get(if invite.auto_accept { "word-yes" } else { "word-no" });
            let expires = moment(invite.expires, &out.zone);
            rows.push(vec![short(&invite.id), expires, accepts, invite.pending.to_string()]);
        }
        if rows.is_empty() {
            out.say("invites-none", &[]);
            return Ok(());
        }
        out.table(&["id", "expires", "auto-accept", "requests"], rows)
    })
}

pub(super) async fn add<R: Runtime>(
    session: &mut Session<'_, R>,
    link: String,
    name: Option<String>,
) -> Result<(), Stop> {
    let link = if link == "-" { session.read_link()? } else { link.trim().to_owned() };
    let params = AddParams { link, name };
    let result = session.ask::<methods::ContactAdd>(params).await?;
    session.out.result(&result, |out| show_contact(out, &result))?;
    let next = match result.state {
        ContactState::Connected => "add-connected",
        ContactState::Blocked => return Ok(()),
        _ => "add-next",
    };
    session.out.say(next, &[("name", result.name.as_str().into())]);
    Ok(())
}

impl<R: Runtime> Session<'_, R> {
    /// All of stdin as text, which is where secrets go that must not stand in a list of processes. What could not be
    /// used is not kept: stdin may never end.
    pub(super) fn read_all(&mut self) -> Result<String, Stop> {
        let mut bytes = Vec::new();
        let mut bounded = (&mut self.stdin).take(MAX_STDIN);
        bounded.read_to_end(&mut bytes).map_err(|error| ApiError::file("stdin".as_ref(), &error))?;
        if bytes.len() as u64 == MAX_STDIN {
            return Err(ApiError::new(Reason::InputTooLong).with("max", MAX_TEXT).into());
        }
        String::from_utf8(bytes).map_err(|_| ApiError::new(Reason::NotText).into())
    }

    /// The one link that stdin holds, be it broken into lines by what it was sent with. Anything more that is no link makes
    /// it a mistyped one.
    pub(super) fn read_link(&mut self) -> Result<String, Stop> {
        let text = self.read_all()?;
        let begins_link = |word: &&str| word.get(..LINK.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(LINK));
        match text.split_whitespace().filter(begins_link).count() {
            0 | 1 if !text.trim().is_empty() => Ok(text.split_whitespace().collect()),
            0 => Err(ApiError::new(Reason::NoLink).into()),
            _ => Err(ApiError::new(Reason::NotOneLink).into()),
        }
    }

    async fn contact<M>(&mut self, params: M::Params) -> Result<(), Stop>
    where
        M: Method<Result = ContactResult>,
    {
        let result = self.ask::<M>(params).await?;
        self.out.result(&result, |out| show_contact(out, &result))
    }

    async fn gone<M>(&mut self, who: String, text: &str) -> Result<(), Stop>
    where
        M: Method<Params = Who, Result = GoneResult>,
    {
        let result = self.ask::<M>(Who { who }).await?;
        self.out.result(&result, |out| out.tell(text, &[("name", result.name.as_str().into())]))
    }
}

fn show_contact(out: &mut Out, contact: &ContactResult) -> Result<(), Stop> {
    let state = out.texts.get(contact_word(contact.state));
    out.tell("contact-state", &[("name", contact.name.as_str().into()), ("state", state.into())])
}

fn contact_word(state: ContactState) -> &'static str {
    match state {
        ContactState::Pending => "contact-pending",
        ContactState::Requested => "contact-requested",
        ContactState::Connected => "contact-connected",
        ContactState::Blocked => "contact-blocked",
        ContactState::NoContact => "contact-no-contact",
    }
}

/// Whether numbers were compared, or that they have to be again.
fn identity_word(out: &Out, contact: &Contact) -> String {
    match contact.new_device {
        Some(since) => {
            let since = moment(since, &out.zone);
            out.texts.with("word-new-device", &[("since".to_owned(), since.into())].into())
        }
        None => out.texts.get(if contact.verified { "word-verified" } else { "word-unverified" }),
    }
}

fn problem_word(problem: LinkProblem) -> &'static str {
    match problem {
        LinkProblem::LinkUsed => "contact-link-used",
        LinkProblem::LinkExpired => "contact-link-expired",
        LinkProblem::Other => "contact-link-useless",
    }
}

pub(super) async fn contacts<R: Runtime>(session: &mut Session<'_, R>) -> Result<(), Stop> {
    let result = session.ask::<methods::ContactList>(Nothing {}).await?;
    session.out.result(&result, |out| {
        let mut rows = Vec::new();
        for contact in &result.contacts {
            rows.push(vec![
                contact.name.clone(),
                out.texts.get(contact.problem.map_or_else(|| contact_word(contact.state), problem_word)),
                out.texts.get(if contact.online { "word-online" } else { "word-away" }),
                identity_word(out, contact),
                short(&contact.id),
            ]);
        }
        if rows.is_empty() {
            out.say("contacts-none", &[]);
            return Ok(());
        }
        out.table(&["name", "state", "here", "identity", "id"], rows)
    })
}

pub(super) async fn requests<R: Runtime>(session: &mut Session<'_, R>) -> Result<(), Stop> {
    let result = session.ask::<methods::ContactRequests>(Nothing {}).await?;
    session.out.result(&result, |out| {
        if result.requests.is_empty() && result.groups.is_empty() {
            out.say("requests-none", &[]);
        }
        if !result.requests.is_empty() {
            let rows = result.requests.iter().map(|request| {
                let since = moment(request.since, &out.zone);
                vec![request.name.clone(), since, grouped(&request.fingerprint), short(&request.id)]
            });
            out.table(&["name", "since", "fingerprint", "id"], rows.collect())?;
            out.say("requests-next", &[]);
        }
        if !result.groups.is_empty() {
            let rows = result.groups.iter().map(|group| {
                vec![group.name.clone(), moment(group.since, &out.zone), group.from.name.clone(), short(&group.id)]
            });
            out.table(&["group", "since", "from", "id"], rows.collect())?;
            out.say("requests-groups-next", &[]);
        }
        Ok(())
    })
}

pub(super) async fn accept<R: Runtime>(session: &mut Session<'_, R>, who: String) -> Result<(), Stop> {
    session.contact::<methods::ContactAccept>(Who { who }).await
}

pub(super) async fn decline<R: Runtime>(session: &mut Session<'_, R>, who: String) -> Result<(), Stop> {
    session.gone::<methods::ContactDecline>(who, "contact-declined").await
}

pub(super) async fn block<R: Runtime>(session: &mut Session<'_, R>, who: String) -> Result<(), Stop> {
    session.contact::<methods::ContactBlock>(Who { who }).await
}

pub(super) async fn unblock<R: Runtime>(session: &mut Session<'_, R>, who: String) -> Result<(), Stop> {
    session.contact::<methods::ContactUnblock>(Who { who }).await
}

pub(super) async fn rename<R: Runtime>(session: &mut Session<'_, R>, who: String, name: String) -> Result<(), Stop> {
    session.contact::<methods::ContactRename>(RenameParams { who, name }).await
}

pub(super) async fn remove<R: Runtime>(session: &mut Session<'_, R>, who: String) -> Result<(), Stop> {
    session.gone::<methods::ContactRemove>(who, "contact-removed").await
}

pub(super) async fn verify<R: Runtime>(
    session: &mut Session<'_, R>,
    who: String,
    matches: Option<String>,
) -> Result<(), Stop> {
    let compared = matches.is_some();
    let result = session.ask::<methods::ContactVerify>(VerifyParams { who, matches }).await?;
    session.out.result(&result, |out| {
        let digits = grouped(&result.safety_number);
        // Twelve groups of five: three lines of four, as they are read aloud.
        for line in digits.split(' ').collect::<Vec<_>>().chunks(4) {
            out.line(&line.join(" "))?;
        }
        out.tell(if result.verified { "verify-verified" } else { "verify-unverified" }, &[])
    })?;
    if !compared && !result.verified {
        session.out.say("verify-next", &[]);
    }
    Ok(())
}

impl Picture {
    fn is_drawn(&self) -> bool {
        self.qr || self.ascii
    }
}

fn draw(out: &mut Out, text: &str, picture: &Picture) -> Result<(), Stop> {
    let drawing = match (picture.ascii, out.color) {
        (true, _) => Drawing::Ascii,
        (false, true) => Drawing::Colored,
        (false, false) => Drawing::Plain,
    };
    let qr = Qr::new(text).map_err(ApiError::internal)?;
    qr.draw(drawing).iter().try_for_each(|line| out.raw(line))
}

fn save(out: &mut Out, text: &str, path: Option<&Path>) -> Result<(), Stop> {
    let Some(path) = path else { return Ok(()) };
    let png = Qr::new(text).and_then(|qr| qr.png()).map_err(ApiError::internal)?;
    fs::write(path, png).map_err(|error| ApiError::file(path, &error))?;
    out.say("picture-saved", &[("path", path.display().to_string().into())]);
    Ok(())
}
