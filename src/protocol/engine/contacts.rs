//! Contacts: asked for by link, accepted, named, blocked, removed.

use super::{
    command::{Refusal, Reply},
    feed::{ContactNotice, FeedEntry},
    record::Record,
    rows::{
        self, ChatKind, ChatRow, ContactProblem, ContactRow, ContactState, DeviceRow, PeerRow, SessionRow, TicketRow,
    },
    sessions::Heard,
    turn::{Answer, Step, Turn},
};
use crate::protocol::{
    crypto::{envelope::Tag, start::intro_tag},
    identity::{
        Name, Ticket,
        profile::OWN_CHAT,
        ticket::{Inv, Purpose, TicketError},
    },
    ids::{AccountId, ChatId, DeviceId, TransportKey},
    time::Millis,
    wire::frame::Frame,
};
use std::time::Duration;

impl Turn<'_> {
    pub(super) fn set_name(&mut self, name: &str) -> Answer {
        let name = parse_name(name)?;
        let mut own = self.own()?;
        if own.name == name.as_str() {
            return Ok(Reply::Done);
        }
        own.name = name.to_string();
        own.name_chosen = self.now.max(own.name_chosen.plus(Duration::from_millis(1)));
        self.put(rows::OwnRow::key(), &own);
        for contact in self.sound::<ContactRow>(b"")? {
            if contact.state != ContactState::Connected {
                continue;
            }
            for device in contact.devices {
                self.attempt(|turn| {
                    // Only the newest name is of use.
                    turn.drop_controls(device, &|record| matches!(record, Record::Profile(..)))?;
                    turn.post(device, &Record::Profile(own.name.clone(), own.name_chosen))
                })?;
            }
        }
        self.tell_name_to_groups()?;
        Ok(Reply::Done)
    }

    pub(super) fn add_contact(&mut self, link: &str, alias: Option<&str>) -> Answer {
        let ticket = Ticket::parse(link).map_err(link_refusal)?;
        let account = ticket.account();
        if account == self.own()?.account {
            return Err(Refusal::OwnLink.into());
        }
        if ticket.purpose() != Purpose::Contact {
            return Err(Refusal::LinkOfOtherKind.into());
        }
        if ticket.expires() <= self.now {
            return Err(Refusal::LinkExpired { ended: ticket.expires() }.into());
        }
        let alias = alias.map(parse_name).transpose()?;
        let known = self.contact(account)?;
        if known.as_ref().is_some_and(|contact| contact.blocked) {
            return Err(Refusal::Blocked { account }.into());
        }
        if let Some(contact) = known.as_ref().filter(|contact| contact.state == ContactState::Connected) {
            return self.ask_anew(contact.clone(), &ticket);
        }
        let waits = known.as_ref().is_some_and(|contact| contact.state == ContactState::Incoming);
        if let Some(alias) = &alias
            && self.name_owner(alias.as_str())?.is_some_and(|owner| owner != account)
        {
            return Err(Refusal::NameTaken.into());
        }
        let mut contact = known.unwrap_or_else(|| self.new_contact(account, ContactState::Pending));
        if waits {
            // It asked us before we asked it: both agree.
            self.put(ContactRow::key(account), &contact);
            return self.accept(account);
        }
        contact.state = ContactState::Pending;
        contact.problem = None;
        contact.ticket = Some(ticket.inv().clone());
        contact.ticket_ends = ticket.expires();
        contact.ticket_transport = Some(ticket.transport());
        match alias {
            Some(alias) => {
                contact.name = alias.to_string();
                contact.named = true;
            }
            None if contact.name.is_empty() => contact.name = self.free_name(&provisional_name(account), account)?,
            None => {}
        }
        self.put(ContactRow::key(account), &contact);
        self.ensure_chat(ChatId::direct(self.own()?.account, account), ChatKind::Direct(account))?;
        self.tell_contact(account)?;
        self.look_for_ticket_maker(&ticket)?;
        Ok(Reply::Contact(account))
    }

    pub(super) fn look_for_ticket_maker(&mut self, ticket: &Ticket) -> Step {
        let transport = ticket.transport();
        let hints: Vec<String> = ticket.hints().iter().map(ToString::to_string).collect();
        let known = self.read::<PeerRow>(&PeerRow::key(transport))?;
        let addresses = super::peers::freshest(&hints, known.as_ref().map_or(&[], |row| &row.addresses));
        let device = known.and_then(|row| row.device);
        let row = PeerRow { device, account: ticket.account(), transport, addresses: addresses.clone() };
        self.put(PeerRow::key(transport), &row);
        self.reach(transport, addresses);
        if self.mem.peers.contains_key(&transport) {
            self.ask_ticket_bundle(ticket.account(), transport)?;
            return Ok(());
        }
        match self.contact(ticket.account())? {
            Some(contact) => self.seek_by_link(&contact),
            None => Ok(()),
        }
    }

    /// The bundle of the one who made a link is here: ask to be a contact.
    pub(super) fn request_of(&mut self, account: AccountId, device: &DeviceRow) -> Step {
        let Some(mut contact) = self.contact(account)? else { return Ok(()) };
        if contact.state != ContactState::Pending && !contact.is_asked_anew() {
            return Ok(());
        }
        if !contact.devices.contains(&device.device) {
            contact.devices.push(device.device);
            self.put(ContactRow::key(account), &contact);
        }
        if contact.is_asked_anew() {
            return self.ask_beside(&contact, device.device);
        }
        // Asked in a session of its own under the link, not in one of a common group.
        let mut device = self.read::<DeviceRow>(&DeviceRow::key(device.device))?.unwrap_or_else(|| device.clone());
        if !self.sends_under_link(&device, &contact)? {
            device.sending = None;
            self.put(DeviceRow::key(device.device), &device);
        }
        let own = self.own()?;
        self.post(device.device, &Record::Request(own.name, own.name_chosen))
    }

    fn sends_under_link(&self, device: &DeviceRow, contact: &ContactRow) -> Step<bool> {
        let Some(sid) = device.sending else { return Ok(false) };
        let Some(row) = self.read::<SessionRow>(&SessionRow::key(sid))? else { return Ok(false) };
        Ok(contact.ticket.as_ref().is_some_and(|inv| intro_tag(&inv.intro()).0 == row.intro_tag))
    }

    /// A start under one of our links: whoever made it asks to be a contact.
    pub(super) fn note_request(&mut self, account: AccountId, device: DeviceId, ticket: &TicketRow) -> Step {
        let mut contact = match self.contact(account)? {
            Some(contact) => contact,
            None => self.new_contact(account, ContactState::Incoming),
        };
        if matches!(contact.state, ContactState::Removed | ContactState::Stranger) {
            contact.state = ContactState::Incoming;
        }
        if contact.state == ContactState::Incoming {
            contact.ticket = Some(ticket.inv.clone());
            contact.ticket_ends = ticket.expires;
        }
        if contact.name.is_empty() {
            contact.name = self.free_name(&provisional_name(account), account)?;
        }
        if !contact.devices.contains(&device) {
            contact.devices.push(device);
        }
        self.put(ContactRow::key(account), &contact);
        Ok(())
    }

    pub(super) fn accept(&mut self, account: AccountId) -> Answer {
        let contact = self.contact(account)?.filter(|contact| contact.state == ContactState::Incoming);
        let contact = contact.ok_or(Refusal::NoSuchRequest)?;
        self.connect(contact)?;
        Ok(Reply::Contact(account))
    }

    /// Both agreed: what was saved meanwhile goes out.
    pub(super) fn connect(&mut self, mut contact: ContactRow) -> Step {
        let account = contact.account;
        let was_incoming = contact.state == ContactState::Incoming;
        let ticket = contact.ticket.take();
        contact.state = ContactState::Connected;
        contact.problem = None;
        contact.ticket_transport = None;
        self.reopen_intros(&mut contact)?;
        self.put(ContactRow::key(account), &contact);
        if let (true, Some(inv)) = (was_incoming, ticket) {
            self.use_ticket(&inv, account)?;
        }
        // Who asked said its name when it asked, which may be long ago.
        let own = self.own()?;
        let said = if was_incoming { Record::Accepted } else { Record::Profile };
        let word = said(own.name, own.name_chosen);
        for device in &contact.devices {
            // Where both asked, this answers it.
            self.drop_controls(*device, &|record| matches!(record, Record::Request(..)))?;
            self.prefer_contact_session(*device)?;
            self.end_pause(*device);
            self.post(*device, &word)?;
        }
        let chat = ChatId::direct(self.own()?.account, account);
        self.ensure_chat(chat, ChatKind::Direct(account))?;
        for device in &contact.devices {
            self.post_unsent(*device, chat)?;
            self.tell_boxes(*device)?;
            self.pump(*device)?;
        }
        self.reach_contact(&contact)?;
        self.tell_contact(account)
    }

    pub(super) fn decline(&mut self, account: AccountId) -> Answer {
        let contact = self.contact(account)?.filter(|contact| contact.state == ContactState::Incoming);
        let contact = contact.ok_or(Refusal::NoSuchRequest)?;
        if let Some(inv) = &contact.ticket {
            let key = TicketRow::key(inv.ticket_box());
            if let Some(mut ticket) = self.read::<TicketRow>(&key)? {
                ticket.pending.retain(|waiting| *waiting != account);
                self.put(key, &ticket);
            }
        }
        self.forget_contact(contact)?;
        Ok(Reply::Done)
    }

    pub(super) fn rename(&mut self, account: AccountId, name: &str) -> Answer {
        let name = parse_name(name)?;
        let mut contact = self.contact(account)?.filter(is_listed).ok_or(Refusal::NoSuchContact)?;
        if self.name_owner(name.as_str())?.is_some_and(|owner| owner != account) {
            return Err(Refusal::NameTaken.into());
        }
        contact.name = name.to_string();
        contact.named = true;
        self.put(ContactRow::key(account), &contact);
        self.tell_contact(account)?;
        Ok(Reply::Contact(account))
    }

    pub(super) fn remove(&mut self, account: AccountId) -> Answer {
        let contact = self.contact(account)?.filter(is_listed).ok_or(Refusal::NoSuchContact)?;
        self.forget_contact(contact)?;
        Ok(Reply::Done)
    }

    pub(super) fn mark_verified(&mut self, account: AccountId) -> Answer {
        let mut contact = self.contact(account)?.filter(is_listed).ok_or(Refusal::NoSuchContact)?;
        contact.verified = true;
        contact.new_device = None;
        self.put(ContactRow::key(account), &contact);
        self.tell_contact(account)?;
        Ok(Reply::Contact(account))
    }

    /// Ends a contact: sessions and outbox go, and its intros let nobody in; its name stays for the history.
    fn forget_contact(&mut self, mut contact: ContactRow) -> Step {
        let chat = ChatId::direct(self.own()?.account, contact.account);
        for device in contact.devices.clone() {
            self.forget_device(device, chat)?;
        }
        if let Some(transport) = contact.ticket_transport {
            self.forget_unneeded(transport)?;
        }
        self.close_intros(&mut contact)?;
        contact.state = ContactState::Removed;
        contact.ticket = None;
        contact.ticket_transport = None;
        contact.verified = false;
        contact.new_device = None;
        contact.problem = None;
        self.put(ContactRow::key(contact.account), &contact);
        self.tell_contact(contact.account)
    }

    /// Nothing is owed to a contact's device any more, and it is heard as a member of common groups alone.
    pub(super) fn forget_device(&mut self, device: DeviceId, chat: ChatId) -> Step {
        let Some(mut row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return Ok(()) };
        self.empty_outbox(&row, chat)?;
        self.forget_mail_to(device);
        if !row.groups.is_empty() {
            return Ok(());
        }
        if !self.is_kept_for_mail(device)? {
            for sid in std::mem::take(&mut row.sessions) {
                self.drop_session(sid)?;
            }
        }
        row.sending = None;
        self.put(DeviceRow::key(device), &row);
        self.mem.lanes.remove(&device);
        self.forget(row.transport);
        Ok(())
    }

    /// Stops dialling a key that a link named, unless it belongs to somebody one is connected with.
    pub(super) fn forget_unneeded(&mut self, transport: TransportKey) -> Step {
        let Some(device) = self.device_of(transport)? else {
            self.forget(transport);
            return Ok(());
        };
        let contact = self.contact(device.account)?;
        let connected = contact.is_some_and(|contact| contact.state == ContactState::Connected && !contact.blocked);
        if !connected && device.groups.is_empty() {
            self.forget(transport);
        }
        Ok(())
    }

    /// Another was accepted by the same link: the request is over. Its maker is told now, or when it asks again.
    pub(super) fn turn_away(&mut self, account: AccountId, tag: Tag) -> Step {
        let Some(contact) = self.contact(account)?.filter(|contact| contact.state == ContactState::Incoming) else {
            return Ok(());
        };
        for device in &contact.devices {
            if let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(*device))?
                && self.mem.peers.contains_key(&row.transport)
            {
                self.send(row.transport, &Frame::TicketUsed(tag));
            }
        }
        self.forget_contact(contact)
    }

    /// A request of ours came to nothing; the contact stays, with the reason, until it is removed or added anew.
    pub(super) fn fail_request(
        &mut self,
        mut contact: ContactRow,
        problem: ContactProblem,
        notice: ContactNotice,
    ) -> Step {
        if contact.problem == Some(problem) {
            return Ok(());
        }
        contact.problem = Some(problem);
        contact.state = ContactState::Pending;
        if let Some(transport) = contact.ticket_transport {
            self.forget_unneeded(transport)?;
        }
        self.put(ContactRow::key(contact.account), &contact);
        self.tell(&FeedEntry::Contact { account: contact.account, notice })
    }

    /// "May I be your contact?"
    pub(super) fn request_came(&mut self, heard: &Heard, name: &str, chosen: Millis) -> Step {
        let Some(mut contact) = self.contact(heard.device.account)? else { return Ok(()) };
        if !contact.devices.contains(&heard.device.device) {
            return Ok(());
        }
        self.take_own_name(&mut contact, name, chosen)?;
        self.put(ContactRow::key(contact.account), &contact);
        match contact.state {
            ContactState::Incoming => {
                self.tell(&FeedEntry::Request { account: contact.account })?;
                if self.accepts_at_once(contact.ticket.as_ref())? { self.connect(contact) } else { Ok(()) }
            }
            // We asked it too, by its own link: both agree.
            ContactState::Pending | ContactState::Requested => {
                contact.ticket = heard.ticket.clone();
                contact.state = ContactState::Incoming;
                self.connect(contact)
            }
            // It was accepted on another device than the one it has now.
            ContactState::Connected if heard.ticket.is_none() => {
                let own = self.own()?;
                self.post(heard.device.device, &Record::Accepted(own.name, own.name_chosen))
            }
            // It lost or removed us, or its request came after it was accepted; to us it is a contact.
            ContactState::Connected => {
                contact.ticket = heard.ticket.clone();
                contact.state = ContactState::Incoming;
                self.connect(contact)
            }
            ContactState::Removed | ContactState::Stranger => Ok(()),
        }
    }

    fn accepts_at_once(&self, inv: Option<&Inv>) -> Step<bool> {
        let Some(inv) = inv else { return Ok(false) };
        let ticket = self.read::<TicketRow>(&TicketRow::key(inv.ticket_box()))?;
        Ok(ticket.is_some_and(|ticket| ticket.auto_accept))
    }

    /// "You are my contact now."
    pub(super) fn accepted_came(&mut self, heard: &Heard, name: &str, chosen: Millis) -> Step {
        let Some(mut contact) = self.contact(heard.device.account)? else { return Ok(()) };
        // Of a device that another took the place of it may come late, as mail.
        if self.is_late(heard)? {
            return Ok(());
        }
        if contact.state == ContactState::Connected && !contact.is_asked_anew() {
            // What was said after it came before it; the name in it may be new all the same. Or it has an older store
            // now, and what it was told once is told again.
            self.tell_of_self(heard.device.device)?;
            return self.profile_came(heard, name, chosen);
        }
        let was_asked = matches!(contact.state, ContactState::Pending | ContactState::Requested);
        if !(was_asked || contact.is_asked_anew()) || !contact.devices.contains(&heard.device.device) {
            return Ok(());
        }
        self.take_own_name(&mut contact, name, chosen)?;
        self.connect(contact)
    }

    /// The contact that speaks, if it is one. What it says after it accepted may overtake the word that it did.
    pub(super) fn speaking_contact(&mut self, heard: &Heard) -> Step<Option<ContactRow>> {
        let Some(contact) = self.contact(heard.device.account)? else { return Ok(None) };
        if !contact.devices.contains(&heard.device.device) {
            return Ok(None);
        }
        match contact.state {
            ContactState::Connected => Ok(Some(contact)),
            ContactState::Pending | ContactState::Requested => {
                self.connect(contact)?;
                self.contact(heard.device.account)
            }
            _ => Ok(None),
        }
    }

    /// What a contact's device is told once, and keeps: the own name, and where mail may be left.
    pub(super) fn tell_of_self(&mut self, device: DeviceId) -> Step {
        let own = self.own()?;
        self.post(device, &Record::Profile(own.name, own.name_chosen))?;
        self.tell_boxes(device)
    }

    /// "My name is now this."
    pub(super) fn profile_came(&mut self, heard: &Heard, name: &str, chosen: Millis) -> Step {
        let Some(mut contact) = self.speaking_contact(heard)? else { return Ok(()) };
        self.take_own_name(&mut contact, name, chosen)?;
        self.put(ContactRow::key(contact.account), &contact);
        self.tell_contact(contact.account)
    }

    /// Notes what another calls itself. Its first name becomes the local one, unless the owner chose one; later ones do
    /// not, so that nobody turns into somebody else in the list.
    fn take_own_name(&mut self, contact: &mut ContactRow, name: &str, chosen: Millis) -> Step {
        let Ok(name) = name.parse::<Name>() else { return Ok(()) };
        if contact.own_name.is_some() && chosen < contact.own_name_chosen {
            return Ok(());
        }
        if contact.own_name.is_none() && !contact.named {
            // What it calls itself must not be what means another: “me”, “@mina”.
            let harmless =
                name.without_signs().map_or_else(|| provisional_name(contact.account), |name| name.to_string());
            contact.name = self.free_name(&harmless, contact.account)?;
        }
        contact.own_name = Some(name.to_string());
        contact.own_name_chosen = chosen;
        Ok(())
    }

    /// The name, or the name with the least number behind it that no other contact has.
    pub(super) fn free_name(&self, name: &str, account: AccountId) -> Step<String> {
        let taken: Vec<String> = rows::sound::<ContactRow>(self, b"")?
            .0
            .into_iter()
            .filter(|contact| contact.account != account)
            .map(|contact| contact.name)
            .collect();
        let numbered = (2_u32..).map(|n| format!("{name} {n}"));
        let is_free = |name: &String| name != OWN_CHAT && !taken.contains(name);
        let free = std::iter::once(name.to_owned()).chain(numbered).find(is_free);
        Ok(free.unwrap_or_else(|| name.to_owned()))
    }

    fn name_owner(&self, name: &str) -> Step<Option<AccountId>> {
        let mut contacts = rows::sound::<ContactRow>(self, b"")?.0.into_iter().filter(is_listed);
        Ok(contacts.find(|contact| contact.name == name).map(|contact| contact.account))
    }

    pub(super) fn new_contact(&self, account: AccountId, state: ContactState) -> ContactRow {
        ContactRow {
            account,
            name: String::new(),
            own_name: None,
            named: false,
            state,
            blocked: false,
            verified: false,
            problem: None,
            ticket: None,
            ticket_ends: Millis(0),
            intros: Vec::new(),
            devices: Vec::new(),
            since: self.now,
            ticket_transport: None,
            own_name_chosen: Millis(0),
            new_device: None,
            former_intros: Vec::new(),
        }
    }

    pub(super) fn contact(&self, account: AccountId) -> Step<Option<ContactRow>> {
        self.read(&ContactRow::key(account))
    }

    pub(super) fn tell_contact(&mut self, account: AccountId) -> Step {
        self.tell_contact_notice(account, ContactNotice::Changed)
    }

    pub(super) fn tell_contact_notice(&mut self, account: AccountId, notice: ContactNotice) -> Step {
        match self.contact(account)? {
            Some(_) => self.tell(&FeedEntry::Contact { account, notice }),
            None => Ok(()),
        }
    }

    pub(super) fn ensure_chat(&mut self, chat: ChatId, kind: ChatKind) -> Step {
        if self.chat(chat)?.is_none() {
            let mut row = ChatRow::new(chat, kind, self.now);
            // It may have been there, and gone with a store that was replaced by an older one.
            if self.own()?.rolled_back.is_some() {
                row.written = self.beyond(0);
            }
            self.put(ChatRow::key(chat), &row);
        }
        Ok(())
    }
}

impl ContactRow {
    /// Whether this account agreed, or asked, to hear from the contact.
    pub(super) fn wants_to_hear(&self) -> bool {
        matches!(self.state, ContactState::Pending | ContactState::Requested | ContactState::Connected)
    }
}

/// Whether a contact is shown in the list and found by name.
fn is_listed(contact: &ContactRow) -> bool {
    matches!(contact.state, ContactState::Pending | ContactState::Requested | ContactState::Connected)
}

/// What a contact is called until it says its name.
pub(super) fn provisional_name(account: AccountId) -> String {
    account.to_string().chars().take(8).collect()
}

fn parse_name(name: &str) -> Result<Name, Refusal> {
    Name::typed(name).map_err(Refusal::BadName)
}

pub(super) fn link_refusal(error: TicketError) -> Refusal {
    match error {
        TicketError::NotALink => Refusal::NotALink,
        TicketError::Truncated => Refusal::LinkTruncated,
        TicketError::Newer => Refusal::LinkTooNew,
        _ => Refusal::LinkMistyped,
    }
}
