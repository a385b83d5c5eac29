//! Sessions: found by tag, opened on a copy, stored with what they said; started, replaced and dropped.

use super::{
    bundles::verified,
    record::{Position, Record},
    rows::{
        ContactRow, ContactState, DeviceRow, GroupRow, GroupState, Intro, Origin, OwnRow, PrekeyRow, SeenRow,
        SessionRow, SkippedRow, TagRow, all,
    },
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::{
        envelope::{Outer, Sid, Tag, open_outer, peek},
        secret::Secret,
        session::{OpenError, SealError, Sealed, Session, SkipId},
        start::{Begun, PrekeyPublic, PrekeySecret, Recipient, Responder, StartSeen, intro_tag},
    },
    identity::{Bundle, DeviceKeys, SignedBundle, ticket::Inv},
    ids::{AccountId, DeviceId, OpId, TransportKey},
    view::{Table, ViewError},
    wire::{
        decode,
        frame::Frame,
        limits::{MAX_DEVICES, MAX_HELD_STARTS, MAX_STARTS_PER_ACCOUNT},
    },
};

/// Sessions kept with one device: the one in use and those that late envelopes may still come under.
const MAX_SESSIONS_PER_DEVICE: usize = 4;

/// A record that was opened, and whose it is.
pub(super) struct Heard {
    pub(super) record: Vec<u8>,
    pub(super) device: DeviceRow,
    pub(super) origin: Origin,
    pub(super) at: Position,
    pub(super) ticket: Option<Inv>,
}

/// What became of an envelope.
pub(super) enum Hearing {
    /// It opened; the session is stored.
    Heard(Heard),
    /// Its position was used before: what it said is here already.
    Again(DeviceId, Position),
    /// Its key is gone: it must be sealed anew.
    Lost(DeviceId, Position),
    /// It starts a session as a member of a group, which its sender is not known to be; it may become known.
    Early,
    /// It is of an account that is blocked. Nothing changed; without the block it may be heard.
    Shut,
    /// It is the bundle of a contact, which is known now.
    Told,
    /// A contact left it to start a session, with a prekey that is gone here.
    Outdated(AccountId),
    /// It was left to start a session by a link that is used, or with a prekey of it that is gone here.
    Spent,
    /// Nothing came of it, and nothing changed.
    Nothing,
}

impl Turn<'_> {
    /// Opens an envelope, by a session that is here or by the start that it carries. `peer` sent it itself; one that came
    /// by mail has nobody to answer to.
    pub(super) fn hear(&mut self, peer: Option<TransportKey>, wire: &[u8]) -> Step<Hearing> {
        let Ok(tag) = peek(wire) else { return Ok(Hearing::Nothing) };
        let Some(row) = self.read::<TagRow>(&TagRow::key(tag))? else {
            self.answer(peer, &Frame::Unknown(tag));
            return Ok(Hearing::Nothing);
        };
        let Some(outer) = row.key.as_ref().and_then(|key| open_outer(wire, key).ok()) else {
            return Ok(Hearing::Nothing);
        };
        if let Some(sealed) = outer.offer() {
            // Who is connected has a frame for that.
            return if peer.is_none() { self.hear_offer(row, sealed) } else { Ok(Hearing::Nothing) };
        }
        if let Some(session) = self.read::<SessionRow>(&SessionRow::key(outer.sid()))? {
            return self.hear_in(peer, session, &outer);
        }
        match row.intro {
            Some(Intro::Closed) => {
                let Some(peer) = peer else { return Ok(Hearing::Spent) };
                if !self.ticket_is_used(peer, tag)? {
                    // It is of the one that was accepted, in a session that is not here: it has, or will have, another.
                    self.send(peer, &Frame::Unknown(tag));
                }
            }
            Some(intro) => {
                let hearing = self.hear_start(peer, &intro, row.secret, outer)?;
                if let (Intro::Group(group), Hearing::Early, Some(peer)) = (intro, &hearing, peer) {
                    self.keep_early_start(group, peer, wire);
                }
                return Ok(hearing);
            }
            None => self.answer(peer, &Frame::Unknown(tag)),
        }
        Ok(Hearing::Nothing)
    }

    fn answer(&mut self, peer: Option<TransportKey>, frame: &Frame) {
        if let Some(peer) = peer {
            self.send(peer, frame);
        }
    }

    fn hear_in(&mut self, peer: Option<TransportKey>, row: SessionRow, outer: &Outer) -> Step<Hearing> {
        let Some(device) = self.read::<DeviceRow>(&DeviceRow::key(row.device))? else { return Ok(Hearing::Nothing) };
        let blocked = self.is_blocked(device.account)?;
        if blocked && device.groups.is_empty() {
            return Ok(Hearing::Shut);
        }
        let session = load(&row)?;
        let at = Position { sid: outer.sid().0, epoch: outer.epoch(), index: outer.index() };
        let sid = outer.sid();
        let skipped = |id: SkipId| {
            let row: Option<SkippedRow> = self.read(&SkippedRow::key(sid, id.epoch, id.index)).ok().flatten();
            row.map(|row| row.key)
        };
        let opened = match session.open(outer, &skipped, self.now) {
            Ok(opened) => opened,
            Err(OpenError::Replayed { .. }) => return Ok(Hearing::Again(device.device, at)),
            Err(OpenError::KeyGone { .. }) => return Ok(Hearing::Lost(device.device, at)),
            Err(_) => return Ok(Hearing::Nothing),
        };
        // Not read, so that it is not confirmed: it comes again after the block. What is told again by a device that is out,
        // and was left as mail before it was, comes as mail.
        let is_out = peer.is_some() && self.is_kept_for_mail(device.device)?;
        if (blocked || is_out) && !passes_a_block(&opened.record) {
            return Ok(Hearing::Shut);
        }
        for id in opened.forget {
            self.delete(SkippedRow::key(sid, id.epoch, id.index));
        }
        for (id, key) in opened.keep {
            self.put(SkippedRow::key(sid, id.epoch, id.index), &SkippedRow { key, at: self.now });
        }
        let origin = row.origin;
        let ticket = row.ticket.clone();
        self.store_session(row, &opened.session)?;
        Ok(Hearing::Heard(Heard { record: opened.record, device, origin, at, ticket }))
    }

    fn hear_start(
        &mut self,
        peer: Option<TransportKey>,
        intro: &Intro,
        secret: Option<Secret>,
        outer: Outer,
    ) -> Step<Hearing> {
        let (Some(secret), Ok(seen)) = (secret, StartSeen::of(&outer)) else { return Ok(Hearing::Nothing) };
        if self.read::<SeenRow>(&SeenRow::key(&seen.prekey_id(), &seen.start_id()))?.is_some() {
            // It began a session that is gone: what comes under it must be sealed anew.
            self.answer(peer, &Frame::Unknown(outer.tag()));
            return Ok(Hearing::Nothing);
        }
        let own = self.own()?;
        let Some(prekey) = self.read::<PrekeyRow>(&PrekeyRow::key(&seen.prekey_id()))? else {
            // Made with a prekey that was erased since: here is the newest.
            return match (peer, intro) {
                (Some(peer), _) => self.offer_bundle(peer, outer.tag(), intro, &secret).map(|()| Hearing::Nothing),
                (None, Intro::Again(account)) => Ok(Hearing::Outdated(*account)),
                (None, Intro::Ticket(_)) => Ok(Hearing::Spent),
                (None, _) => Ok(Hearing::Nothing),
            };
        };
        let keys = device_keys(&own)?;
        let prekey_secret: PrekeySecret =
            decode(&prekey.secret, "prekey").map_err(|_| ViewError::Damaged(Table::Prekey))?;
        let responder =
            Responder { account: own.account, transport: own.transport, noise: &keys.noise, prekey: &prekey_secret };
        let Ok(read) = seen.read(responder, &secret) else { return Ok(Hearing::Nothing) };
        let Ok(signed) = SignedBundle::parse(read.bundle()) else { return Ok(Hearing::Nothing) };
        let Ok(bundle) = signed.verify() else { return Ok(Hearing::Nothing) };
        let account = bundle.cert.account;
        let starts = all::<SeenRow>(self, prekey.id)?.iter().filter(|seen| seen.account == account).count();
        // Who is not believed is not let in: a device that is out, or one whose list is older than the one that is held.
        if bundle.cert.device == own.device || starts >= MAX_STARTS_PER_ACCOUNT {
            return Ok(Hearing::Nothing);
        }
        let is_believed = self.is_believed(&bundle)?;
        let late = if is_believed { None } else { self.late_device(peer, &bundle)? };
        if late.is_none() && !is_believed {
            self.tell_if_out(&bundle.cert)?;
            return Ok(Hearing::Nothing);
        }
        let Ok(begun) = read.accept(bundle.cert.noise, self.now) else { return Ok(Hearing::Nothing) };
        // The session is kept only together with a first record that opens: who saw the intro alone leaves no trace.
        let Ok(opened) = begun.session.open(&outer, &|_| None, self.now) else { return Ok(Hearing::Nothing) };
        if self.is_blocked(account)? && !passes_a_block(&opened.record) {
            return Ok(Hearing::Shut);
        }
        let is_connected = self.contact(account)?.is_some_and(|contact| contact.state == ContactState::Connected);
        let is_new = matches!(intro, Intro::Again(_))
            && is_connected
            && !self.is_contacts_device(account, bundle.cert.device)?;
        let admitted = match &late {
            Some(_) => self.admit_late(intro, &bundle)?.map(|origin| (origin, None)),
            None => self.admit(peer, outer.tag(), intro, &bundle)?,
        };
        let Some((origin, ticket)) = admitted else {
            return Ok(match intro {
                Intro::Group(group) if self.hears_of_members(*group)? => Hearing::Early,
                Intro::Again(_) if self.is_blocked(account)? => Hearing::Shut,
                _ => Hearing::Nothing,
            });
        };
        let (is_late, device) = match late {
            Some(device) => (true, Some(device)),
            None => (false, self.learn_bundle(&bundle, &signed)?),
        };
        let Some(device) = device else { return Ok(Hearing::Nothing) };
        let row = SessionRow {
            device: bundle.cert.device,
            session: Vec::new(),
            tags: Vec::new(),
            origin,
            prekey: None,
            intro_tag: outer.tag(),
            ticket: ticket.clone(),
        };
        for (id, key) in opened.keep {
            self.put(SkippedRow::key(outer.sid(), id.epoch, id.index), &SkippedRow { key, at: self.now });
        }
        let start = seen.start_id();
        let seen = SeenRow { sid: outer.sid(), prekey: prekey.id, start, account };
        self.put(SeenRow::key(&prekey.id, &start), &seen);
        let mut device = self.add_session(device, row, &opened.session, begun.intro_again)?;
        if matches!(intro, Intro::Again(_)) && !is_late && device.bundle_seq == bundle.seq {
            device = self.seal_on_for(device, outer.sid(), &bundle.prekey.id)?;
        }
        if is_new && !is_late {
            self.meet_new_device(&device)?;
        }
        if peer.is_some() {
            // When it was met there was no session to tell it in.
            self.owe_all(&device)?;
        }
        let at = Position { sid: outer.sid().0, epoch: outer.epoch(), index: outer.index() };
        Ok(Hearing::Heard(Heard { record: opened.record, device, origin, at, ticket }))
    }

    /// Whether members of a group may still become known here: not of one that was left.
    pub(super) fn hears_of_members(&self, group: OpId) -> Step<bool> {
        let row = self.read::<GroupRow>(&GroupRow::key(group))?;
        Ok(row.is_some_and(|row| matches!(row.state, GroupState::Joining | GroupState::Joined)))
    }

    /// Keeps a start until its sender is known as a member; the oldest goes where there are too many.
    fn keep_early_start(&mut self, group: OpId, peer: TransportKey, wire: &[u8]) {
        let held = self.mem.early_starts.entry(group).or_default();
        if held.iter().any(|(_, other)| other == wire) {
            return;
        }
        if held.len() >= MAX_HELD_STARTS {
            held.pop_front();
        }
        held.push_back((peer, wire.to_vec()));
    }

    /// Whether a start under this intro by this device is let in, and what may be said in it.
    fn admit(
        &mut self,
        peer: Option<TransportKey>,
        tag: Tag,
        intro: &Intro,
        bundle: &Bundle,
    ) -> Step<Option<(Origin, Option<Inv>)>> {
        let account = bundle.cert.account;
        let contact = self.contact(account)?;
        if contact.as_ref().is_some_and(|contact| contact.blocked) && !matches!(intro, Intro::Group(_)) {
            return Ok(None);
        }
        match intro {
            Intro::Ticket(ticket_box) => {
                let inv = self.admit_request(*ticket_box, account, bundle.cert.device)?;
                if inv.is_none() {
                    self.answer(peer, &Frame::TicketUsed(tag));
                }
                Ok(inv.map(|inv| (Origin::Contact, Some(inv))))
            }
            Intro::Again(known) => {
                let Some(contact) = contact.filter(|_| *known == account) else { return Ok(None) };
                let is_let_in = self.admit_device(contact, bundle.cert.device)?;
                Ok(is_let_in.then_some((Origin::Contact, None)))
            }
            Intro::Group(group) => {
                // A device that a member's account has in place of another is none of the group's yet, and says so by an op.
                let member = self.is_or_was_member_device(*group, bundle.cert.device)?
                    || self.is_or_was_member(*group, &account)?;
                Ok(member.then_some((Origin::Group, None)))
            }
            Intro::Closed => Ok(None),
        }
    }

    /// Whether a device of a contact is let in under an intro that is shared with that; it is the contact's then.
    pub(super) fn admit_device(&mut self, mut contact: ContactRow, device: DeviceId) -> Step<bool> {
        let is_device = contact.devices.contains(&device);
        // Who was asked and knows this secret has heard the request, whether it came to confirm that or not.
        // One who asked us may go on asking with another device.
        let ours = contact.wants_to_hear() || contact.state == ContactState::Incoming;
        if !ours || (!is_device && contact.devices.len() >= MAX_DEVICES) {
            return Ok(false);
        }
        if !is_device {
            contact.devices.push(device);
            self.put(ContactRow::key(contact.account), &contact);
        }
        Ok(true)
    }

    /// Seals a record for a device, starting a session where none is. `None`: no session can be started yet.
    pub(super) fn seal_for(&mut self, device: &mut DeviceRow, record: &[u8]) -> Step<Option<Sealed>> {
        if device.sending.is_none() && !self.start_session(device)? {
            return Ok(None);
        }
        let Some(sid) = device.sending else { return Ok(None) };
        let Some(row) = self.read::<SessionRow>(&SessionRow::key(sid))? else {
            device.sending = None;
            self.put(DeviceRow::key(device.device), device);
            return Ok(None);
        };
        let mut session = load(&row)?;
        match session.seal(record, self.now, self.rng) {
            Ok(sealed) => {
                self.store_session(row, &session)?;
                Ok(Some(sealed))
            }
            Err(SealError::TooLong(_)) => Ok(None),
            // It can go no further; the next try starts anew.
            Err(SealError::FlightFull | SealError::Damaged) => {
                *device = self.leave_session(device.clone(), sid)?;
                Ok(None)
            }
        }
    }

    /// Seals a record in a session that is started for it under this intro, and sent on from then on.
    pub(super) fn seal_in_new_session(
        &mut self,
        device: &mut DeviceRow,
        intro: &Secret,
        record: &[u8],
    ) -> Step<Option<Sealed>> {
        device.sending = None;
        if !self.start_session_under(device, intro.clone(), Origin::Contact)? {
            return Ok(None);
        }
        self.seal_for(device, record)
    }

    /// Starts a session by the intro this account shares with the device's. Whether one is there now.
    fn start_session(&mut self, device: &mut DeviceRow) -> Step<bool> {
        match self.intro_to(device)? {
            Some((intro, origin)) => self.start_session_under(device, intro, origin),
            None => Ok(false),
        }
    }

    fn start_session_under(&mut self, device: &mut DeviceRow, intro: Secret, origin: Origin) -> Step<bool> {
        let (tag, _) = intro_tag(&intro);
        let Some((_, bundle)) = verified(&device.bundle) else {
            self.want_bundle(device.transport, tag);
            return Ok(false);
        };
        let own = self.own()?;
        let keys = device_keys(&own)?;
        let to = recipient(&bundle);
        let own_bundle = self.bundle_for_start(&own, device)?;
        let Ok(Begun { session, intro_again, .. }) =
            Session::start(&keys.noise, &to, &intro, &own_bundle, self.now, self.rng)
        else {
            return Ok(false);
        };
        // The other may have erased this prekey; it then answers with its newest bundle under the same tag.
        let row = SessionRow {
            device: device.device,
            session: Vec::new(),
            tags: Vec::new(),
            origin,
            prekey: Some(bundle.prekey.id.to_vec().into()),
            intro_tag: tag,
            ticket: None,
        };
        *device = self.add_session(device.clone(), row, &session, intro_again)?;
        Ok(true)
    }

    /// Keeps a session with a device; of the sessions neither side has left epoch 0 of, the smaller is sent on.
    fn add_session(
        &mut self,
        mut device: DeviceRow,
        row: SessionRow,
        session: &Session,
        intro_again: Secret,
    ) -> Step<DeviceRow> {
        let sid = session.sid();
        let live = match device.sending {
            Some(sid) => self.read::<SessionRow>(&SessionRow::key(sid))?,
            None => None,
        };
        let replaces = match live {
            None => true,
            // What is said between contacts is not heard in a session of members.
            Some(live) if live.origin == Origin::Contact && row.origin == Origin::Group => false,
            Some(live) if live.origin == Origin::Group && row.origin == Origin::Contact => is_fresh(&load(&live)?),
            Some(live) => {
                let live = load(&live)?;
                is_fresh(&live) && is_fresh(session) && sid < live.sid()
            }
        };
        if replaces {
            device.sending = Some(sid);
        }
        self.keep_intro(&device, &row, intro_again)?;
        self.store_session(row, session)?;
        device.sessions.push(sid);
        while device.sessions.len() > MAX_SESSIONS_PER_DEVICE {
            let victim = device.sessions.iter().position(|sid| Some(*sid) != device.sending).unwrap_or(0);
            let old = device.sessions.remove(victim);
            self.drop_session(old)?;
            // What waits in it may be of a start that the other cannot read.
            self.unseal(device.device, old)?;
        }
        self.put(DeviceRow::key(device.device), &device);
        Ok(device)
    }

    /// Sends to a new contact's device on the session by which it asked, not on one of members, which stays open to read.
    pub(super) fn prefer_contact_session(&mut self, device: DeviceId) -> Step {
        let Some(mut row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return Ok(()) };
        let sending = row.sending.map(|sid| self.read::<SessionRow>(&SessionRow::key(sid))).transpose()?.flatten();
        if sending.is_some_and(|session| session.origin == Origin::Contact) {
            return Ok(());
        }
        for sid in row.sessions.iter().rev() {
            let session = self.read::<SessionRow>(&SessionRow::key(*sid))?;
            if session.is_some_and(|session| session.origin == Origin::Contact) {
                row.sending = Some(*sid);
                self.put(DeviceRow::key(device), &row);
                break;
            }
        }
        Ok(())
    }

    /// A request is not heard in a session of members: where that is what is sent on, one of contacts begins.
    pub(super) fn leave_members_session(&mut self, device: &mut DeviceRow) -> Step {
        let sending = device.sending.map(|sid| self.read::<SessionRow>(&SessionRow::key(sid))).transpose()?.flatten();
        if sending.is_none_or(|session| session.origin != Origin::Group) {
            return Ok(());
        }
        let Some((intro, Origin::Contact)) = self.intro_to(device)? else { return Ok(()) };
        let in_use = device.sending.take();
        if !self.start_session_under(device, intro, Origin::Contact)? {
            device.sending = in_use;
        }
        Ok(())
    }

    /// Stores a session and the tags it is found by.
    fn store_session(&mut self, mut row: SessionRow, session: &Session) -> Step {
        let sid = session.sid();
        let wanted = session.tags();
        for tag in row.tags.iter().filter(|tag| !wanted.iter().any(|(wanted, _)| wanted == *tag)) {
            self.unlink_tag(*tag, sid)?;
        }
        for (tag, key) in &wanted {
            if row.tags.contains(tag) {
                continue;
            }
            let mut tag_row = self.read::<TagRow>(&TagRow::key(*tag))?.unwrap_or_default();
            tag_row.key = Some(key.clone());
            tag_row.sessions.push(sid);
            self.put(TagRow::key(*tag), &tag_row);
        }
        row.tags = wanted.into_iter().map(|(tag, _)| tag).collect();
        row.session = session.to_row();
        self.put(SessionRow::key(sid), &row);
        Ok(())
    }

    fn unlink_tag(&mut self, tag: Tag, sid: Sid) -> Step {
        let Some(mut row) = self.read::<TagRow>(&TagRow::key(tag))? else { return Ok(()) };
        row.sessions.retain(|held| *held != sid);
        self.put_tag(tag, &row);
        Ok(())
    }

    /// Erases a session with its tags and skipped keys.
    pub(super) fn drop_session(&mut self, sid: Sid) -> Step {
        let Some(row) = self.read::<SessionRow>(&SessionRow::key(sid))? else { return Ok(()) };
        for tag in &row.tags {
            self.unlink_tag(*tag, sid)?;
        }
        for id in load(&row)?.skipped() {
            self.delete(SkippedRow::key(sid, id.epoch, id.index));
        }
        self.delete(SessionRow::key(sid));
        Ok(())
    }

    /// Sends on another session from now on: the newest other one, or one to be started. What was sealed in this one and
    /// is not confirmed is sealed anew.
    pub(super) fn leave_session(&mut self, device: DeviceRow, sid: Sid) -> Step<DeviceRow> {
        self.drop_session(sid)?;
        self.retire_session(device, sid)
    }

    /// The same, and what the other sealed in it can still be read.
    pub(super) fn retire_session(&mut self, mut device: DeviceRow, sid: Sid) -> Step<DeviceRow> {
        device.sessions.retain(|held| *held != sid);
        if device.sending == Some(sid) {
            device.sending = device.sessions.last().copied();
        }
        self.unseal(device.device, sid)?;
        self.put(DeviceRow::key(device.device), &device);
        Ok(device)
    }

    /// Whether the session that is sent on was answered by anything.
    pub(super) fn is_answered(&self, device: &DeviceRow) -> Step<bool> {
        let row = device.sending.map(|sid| self.read::<SessionRow>(&SessionRow::key(sid))).transpose()?.flatten();
        Ok(row.map(|row| load(&row)).transpose()?.is_some_and(|session| session.answered()))
    }

    /// Lets go of what a session has kept long enough.
    pub(super) fn expire_session(&mut self, row: SessionRow) -> Step {
        let mut session = load(&row)?;
        let sid = session.sid();
        for id in session.expire(self.now) {
            self.delete(SkippedRow::key(sid, id.epoch, id.index));
        }
        if session.to_row() == row.session { Ok(()) } else { self.store_session(row, &session) }
    }

    /// Seals a record that need not arrive and sends it if the device is connected.
    pub(super) fn whisper(&mut self, device: DeviceId, record: &Record) -> Step {
        let Some(mut row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return Ok(()) };
        if !self.mem.peers.contains_key(&row.transport) {
            return Ok(());
        }
        if let Some(sealed) = self.seal_for(&mut row, &record.to_bytes())? {
            self.send(row.transport, &Frame::Envelope(sealed.wire));
        }
        Ok(())
    }
}

/// The private keys of this device.
pub(super) fn device_keys(own: &OwnRow) -> Step<DeviceKeys> {
    decode(&own.keys, "device keys").map_err(|_| ViewError::Damaged(Table::Own))
}

pub(super) fn load(row: &SessionRow) -> Step<Session> {
    Session::from_row(&row.session).map_err(|_| ViewError::Damaged(Table::Session))
}

fn passes_a_block(record: &[u8]) -> bool {
    Record::parse(record).is_some_and(|record| record.passes_a_block())
}

fn is_fresh(session: &Session) -> bool {
    session.own_epoch().unwrap_or(0) == 0 && session.peer_epoch().unwrap_or(0) == 0
}

fn recipient(bundle: &Bundle) -> Recipient {
    Recipient {
        account: bundle.cert.account,
        transport: bundle.cert.transport,
        noise: bundle.cert.noise,
        prekey: PrekeyPublic {
            id: bundle.prekey.id,
            x25519: bundle.prekey.x25519,
            kem: Box::new(bundle.prekey.kem_ek),
            record_hash: *bundle.prekey.hash(),
        },
    }
}
