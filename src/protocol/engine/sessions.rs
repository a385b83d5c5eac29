//! Sessions: found by tag, opened on a copy, stored with what they said; started, replaced and dropped.

use super::{
    record::{Position, Record},
    rows::{
        ContactRow, ContactState, DeviceRow, Intro, ListRow, Origin, OwnRow, PeerRow, PrekeyRow, SeenRow, SessionRow,
        SkippedRow, TagRow, TicketRow, all,
    },
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::{
        envelope::{Outer, Sid, Tag, open_outer, peek},
        kdf::kdf,
        labels,
        secret::Secret,
        session::{OpenError, SealError, Sealed, Session, SkipId},
        sign::Verified,
        start::{Begun, PrekeyPublic, PrekeySecret, Recipient, Responder, StartSeen, intro_tag},
    },
    identity::{
        Bundle, DeviceKeys, SignedBundle,
        bundle::seal_bundle,
        certificate::{Choice, choose},
        ticket::Inv,
    },
    ids::{AccountId, DeviceId, OpId, TransportKey},
    view::{Table, ViewError},
    wire::{
        decode, encode,
        frame::Frame,
        limits::{MAX_DEVICES, MAX_HELD_STARTS, MAX_INTROS, MAX_STARTS_PER_ACCOUNT, START_ANEW_AFTER},
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
    /// Nothing came of it, and nothing changed.
    Nothing,
}

impl Turn<'_> {
    /// Opens an envelope that came from `peer`, by a session that is here or by the start that it carries.
    pub(super) fn hear(&mut self, peer: TransportKey, wire: &[u8]) -> Step<Hearing> {
        let Ok(tag) = peek(wire) else { return Ok(Hearing::Nothing) };
        let Some(row) = self.read::<TagRow>(&TagRow::key(tag))? else {
            self.send(peer, &Frame::Unknown(tag));
            return Ok(Hearing::Nothing);
        };
        let Some(outer) = row.key.as_ref().and_then(|key| open_outer(wire, key).ok()) else {
            return Ok(Hearing::Nothing);
        };
        if let Some(session) = self.read::<SessionRow>(&SessionRow::key(outer.sid()))? {
            return self.hear_in(session, &outer);
        }
        match row.intro {
            Some(Intro::Closed) => self.ticket_is_used(peer, tag)?,
            Some(intro) => {
                let hearing = self.hear_start(peer, &intro, row.secret, outer)?;
                if let (Intro::Group(group), Hearing::Early) = (intro, &hearing) {
                    self.keep_early_start(group, peer, wire);
                }
                return Ok(hearing);
            }
            None => self.send(peer, &Frame::Unknown(tag)),
        }
        Ok(Hearing::Nothing)
    }

    fn hear_in(&mut self, row: SessionRow, outer: &Outer) -> Step<Hearing> {
        let Some(device) = self.read::<DeviceRow>(&DeviceRow::key(row.device))? else { return Ok(Hearing::Nothing) };
        if self.contact(device.account)?.is_some_and(|contact| contact.blocked) {
            return Ok(Hearing::Nothing);
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

    fn hear_start(&mut self, peer: TransportKey, intro: &Intro, secret: Option<Secret>, outer: Outer) -> Step<Hearing> {
        let (Some(secret), Ok(seen)) = (secret, StartSeen::of(&outer)) else { return Ok(Hearing::Nothing) };
        if self.read::<SeenRow>(&SeenRow::key(&seen.prekey_id(), &seen.start_id()))?.is_some() {
            // It began a session that is gone: what comes under it must be sealed anew.
            self.send(peer, &Frame::Unknown(outer.tag()));
            return Ok(Hearing::Nothing);
        }
        let own = self.own()?;
        let Some(prekey) = self.read::<PrekeyRow>(&PrekeyRow::key(&seen.prekey_id()))? else {
            // Made with a prekey that was erased since: here is the newest.
            self.offer_bundle(peer, outer.tag(), intro, &secret)?;
            return Ok(Hearing::Nothing);
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
        if bundle.cert.device == own.device || starts >= MAX_STARTS_PER_ACCOUNT {
            return Ok(Hearing::Nothing);
        }
        let Ok(begun) = read.accept(bundle.cert.noise, self.now) else { return Ok(Hearing::Nothing) };
        // The session is kept only together with a first record that opens: who saw the intro alone leaves no trace.
        let Ok(opened) = begun.session.open(&outer, &|_| None, self.now) else { return Ok(Hearing::Nothing) };
        let Some((origin, ticket)) = self.admit(peer, outer.tag(), intro, &bundle)? else {
            return Ok(if matches!(intro, Intro::Group(_)) { Hearing::Early } else { Hearing::Nothing });
        };
        let Some(device) = self.learn_bundle(&bundle, &signed)? else { return Ok(Hearing::Nothing) };
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
        let device = self.add_session(device, row, &opened.session, begun.intro_again)?;
        let at = Position { sid: outer.sid().0, epoch: outer.epoch(), index: outer.index() };
        Ok(Hearing::Heard(Heard { record: opened.record, device, origin, at, ticket }))
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
        peer: TransportKey,
        tag: Tag,
        intro: &Intro,
        bundle: &Bundle,
    ) -> Step<Option<(Origin, Option<Inv>)>> {
        let account = bundle.cert.account;
        let contact = self.contact(account)?;
        if contact.as_ref().is_some_and(|contact| contact.blocked) {
            return Ok(None);
        }
        match intro {
            Intro::Ticket(ticket_box) => {
                let inv = self.admit_request(*ticket_box, account, bundle.cert.device)?;
                if inv.is_none() {
                    self.send(peer, &Frame::TicketUsed(tag));
                }
                Ok(inv.map(|inv| (Origin::Contact, Some(inv))))
            }
            Intro::Again(known) => {
                let Some(mut contact) = contact.filter(|_| *known == account) else { return Ok(None) };
                let device = bundle.cert.device;
                let is_device = contact.devices.contains(&device);
                let ours = matches!(contact.state, ContactState::Connected | ContactState::Requested);
                if !ours || (!is_device && contact.devices.len() >= MAX_DEVICES) {
                    return Ok(None);
                }
                if !is_device {
                    contact.devices.push(device);
                    self.put(ContactRow::key(account), &contact);
                }
                Ok(Some((Origin::Contact, None)))
            }
            Intro::Group(group) => {
                let member = self.is_or_was_member_device(*group, bundle.cert.device)?;
                Ok(member.then_some((Origin::Group, None)))
            }
            Intro::Closed => Ok(None),
        }
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

    /// Starts a session by the intro this account shares with the device's. Whether one is there now.
    fn start_session(&mut self, device: &mut DeviceRow) -> Step<bool> {
        let Some((intro, origin)) = self.intro_to(device)? else { return Ok(false) };
        let (tag, _) = intro_tag(&intro);
        let Some((_, bundle)) = verified(&device.bundle) else {
            self.send(device.transport, &Frame::BundleWanted(tag));
            return Ok(false);
        };
        let own = self.own()?;
        let keys = device_keys(&own)?;
        let to = recipient(&bundle);
        let Ok(Begun { session, intro_again, .. }) =
            Session::start(&keys.noise, &to, &intro, &own.bundle, self.now, self.rng)
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

    /// The intro secret by which a session with this device is started next.
    ///
    /// A link is used only once its own bundle is here, so that its maker does not hear two starts of us under it.
    fn intro_to(&self, device: &DeviceRow) -> Step<Option<(Secret, Origin)>> {
        let met = self.contact(device.account)?.is_some_and(|contact| contact.devices.contains(&device.device));
        let mut intros = self.intros_to(device.account, Some(device))?.into_iter();
        Ok(intros.find(|(_, origin)| met || *origin == Origin::Group))
    }

    /// Every intro secret this account shares with another, the one to use first in front.
    fn intros_to(&self, account: AccountId, device: Option<&DeviceRow>) -> Step<Vec<(Secret, Origin)>> {
        let mut intros = Vec::new();
        if let Some(contact) = self.contact(account)? {
            let again = contact.intros.iter().rev().cloned().map(|intro| (intro, Origin::Contact));
            let ticket = contact.ticket.as_ref().map(|inv| (inv.intro(), Origin::Contact));
            match contact.state {
                ContactState::Pending => intros.extend(ticket),
                ContactState::Requested => intros.extend(again.chain(ticket)),
                ContactState::Connected => intros.extend(again),
                ContactState::Incoming | ContactState::Removed | ContactState::Stranger => {}
            }
        }
        let groups = device.into_iter().flat_map(|row| row.groups.iter().map(|group| (*group, row.device)));
        intros.extend(groups.map(|(group, device)| (group_intro(group, device), Origin::Group)));
        Ok(intros)
    }

    /// The intro secret with this tag that is shared with the one behind a network key.
    pub(super) fn intro_by_tag(&self, peer: TransportKey, tag: Tag) -> Step<Option<(AccountId, Secret)>> {
        let Some(known) = self.read::<PeerRow>(&PeerRow::key(peer))? else { return Ok(None) };
        let device = self.device_of(peer)?;
        let mut intros = self.intros_to(known.account, device.as_ref())?.into_iter().map(|(intro, _)| intro);
        Ok(intros.find(|intro| intro_tag(intro).0 == tag).map(|intro| (known.account, intro)))
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

    /// Remembers the intro secret of a session that began under a link, for later starts with that contact.
    fn keep_intro(&mut self, device: &DeviceRow, row: &SessionRow, secret: Secret) -> Step {
        let Some(mut contact) = self.contact(device.account)? else { return Ok(()) };
        let by_link = row.ticket.is_some() || contact.state == ContactState::Pending;
        if row.origin == Origin::Group || !by_link {
            return Ok(());
        }
        self.open_intro(&secret, Intro::Again(contact.account))?;
        contact.intros.push(secret);
        if contact.intros.len() > MAX_INTROS {
            let oldest = contact.intros.remove(0);
            self.close_intro(&oldest)?;
        }
        self.put(ContactRow::key(contact.account), &contact);
        Ok(())
    }

    /// A start under the intro in use came to nothing: another is tried next.
    pub(super) fn try_other_intro(&mut self, account: AccountId) -> Step {
        let Some(mut contact) = self.contact(account)? else { return Ok(()) };
        if contact.intros.len() > 1 {
            contact.intros.rotate_right(1);
            self.put(ContactRow::key(account), &contact);
        }
        Ok(())
    }

    /// Lets in whoever starts under this secret.
    pub(super) fn open_intro(&mut self, secret: &Secret, intro: Intro) -> Step {
        let (tag, key) = intro_tag(secret);
        let mut row = self.read::<TagRow>(&TagRow::key(tag))?.unwrap_or_default();
        row.key = Some(key);
        row.intro = Some(intro);
        row.secret = Some(secret.clone());
        self.put(TagRow::key(tag), &row);
        Ok(())
    }

    /// Lets nobody in under this secret any more; sessions that began under it go on.
    pub(super) fn close_intro(&mut self, secret: &Secret) -> Step {
        let (tag, _) = intro_tag(secret);
        let Some(mut row) = self.read::<TagRow>(&TagRow::key(tag))? else { return Ok(()) };
        row.intro = None;
        row.secret = None;
        self.put_tag(tag, &row);
        Ok(())
    }

    pub(super) fn put_tag(&mut self, tag: Tag, row: &TagRow) {
        if row.intro.is_none() && row.sessions.is_empty() {
            self.delete(TagRow::key(tag));
        } else {
            self.put(TagRow::key(tag), row);
        }
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
    pub(super) fn leave_session(&mut self, mut device: DeviceRow, sid: Sid) -> Step<DeviceRow> {
        device.sessions.retain(|held| *held != sid);
        if device.sending == Some(sid) {
            device.sending = device.sessions.last().copied();
        }
        self.drop_session(sid)?;
        self.unseal(device.device, sid)?;
        self.put(DeviceRow::key(device.device), &device);
        Ok(device)
    }

    /// Ends a start that nobody answered for too long, so that the next record starts anew.
    pub(super) fn leave_stale_start(&mut self, device: DeviceRow) -> Step<DeviceRow> {
        let Some(sid) = device.sending else { return Ok(device) };
        let Some(row) = self.read::<SessionRow>(&SessionRow::key(sid))? else { return Ok(device) };
        let session = load(&row)?;
        if session.answered() || self.now.since(session.started()) < START_ANEW_AFTER {
            return Ok(device);
        }
        self.leave_session(device, sid)
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

    /// Answers who holds an intro with the newest bundle.
    pub(super) fn offer_bundle(&mut self, peer: TransportKey, tag: Tag, intro: &Intro, secret: &Secret) -> Step {
        let bytes = match intro {
            Intro::Ticket(ticket) => match self.read::<TicketRow>(&TicketRow::key(*ticket))? {
                Some(ticket) => ticket.bundle,
                None => return Ok(()),
            },
            Intro::Again(account) => {
                if self.contact(*account)?.is_none_or(|contact| contact.blocked) {
                    return Ok(());
                }
                self.own()?.bundle
            }
            Intro::Group(group) => {
                let Some(device) = self.device_of(peer)? else { return Ok(()) };
                if !self.is_member_device(*group, device.device)? {
                    return Ok(());
                }
                self.own()?.bundle
            }
            Intro::Closed => return Ok(()),
        };
        let bundle = SignedBundle::parse(&bytes).map_err(|_| ViewError::Damaged(Table::Own))?;
        let sealed = seal_bundle(secret, &bundle, self.rng);
        self.send(peer, &Frame::Bundle(tag, sealed));
        Ok(())
    }

    /// Takes note of a device's bundle if it is newer than what is held. `None`: it is not believed, since its account has a
    /// newer list without the device, or the device is known with other keys.
    pub(super) fn learn_bundle(&mut self, bundle: &Verified<Bundle>, signed: &SignedBundle) -> Step<Option<DeviceRow>> {
        let cert = &bundle.cert;
        let held = self.read::<DeviceRow>(&DeviceRow::key(cert.device))?;
        let same = held.as_ref().is_none_or(|held| {
            held.account == cert.account && held.transport == cert.transport && held.noise == cert.noise
        });
        let peer = self.read::<PeerRow>(&PeerRow::key(cert.transport))?.and_then(|peer| peer.device);
        if !same || peer.is_some_and(|device| device != cert.device) || !self.learn_list(bundle)? {
            return Ok(None);
        }
        let named: Vec<String> = bundle.addresses.iter().map(ToString::to_string).collect();
        let mut device = held.unwrap_or_else(|| DeviceRow {
            device: cert.device,
            account: cert.account,
            transport: cert.transport,
            noise: cert.noise,
            bundle: Vec::new(),
            bundle_seq: 0,
            addresses: Vec::new(),
            sending: None,
            sessions: Vec::new(),
            groups: Vec::new(),
        });
        if device.bundle.is_empty() || bundle.seq > device.bundle_seq {
            device.bundle = encode(signed);
            device.bundle_seq = bundle.seq;
            device.addresses = super::peers::freshest(&named, &device.addresses);
        }
        self.put(DeviceRow::key(device.device), &device);
        self.note_peer(&device)?;
        Ok(Some(device))
    }

    /// Keeps the newest device list of an account. Whether the bundle's device is on it.
    fn learn_list(&mut self, bundle: &Bundle) -> Step<bool> {
        let key = ListRow::key(bundle.list.account);
        let held = self.read::<ListRow>(&key)?.and_then(|row| row.0.verify().ok());
        let counts = match held.as_ref().and_then(|held| choose(held, &bundle.list)) {
            None => true,
            Some(Choice::Held) => false,
            Some(Choice::Offered) => true,
            Some(Choice::Fork(fork)) => fork.counts == *bundle.list.hash(),
        };
        if counts {
            self.put(key, &ListRow(bundle.signed_list.clone()));
            return Ok(true);
        }
        Ok(held.is_some_and(|held| held.holds(&bundle.cert)))
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

/// The intro secret between members of a group, for this recipient.
pub(super) fn group_intro(group: OpId, recipient: DeviceId) -> Secret {
    kdf(group.as_bytes(), labels::INTRO_GROUP, &[recipient.as_bytes()])
}

/// The private keys of this device.
pub(super) fn device_keys(own: &OwnRow) -> Step<DeviceKeys> {
    decode(&own.keys, "device keys").map_err(|_| ViewError::Damaged(Table::Own))
}

/// A bundle's bytes, parsed and verified.
pub(super) fn verified(bytes: &[u8]) -> Option<(SignedBundle, Verified<Bundle>)> {
    let signed = SignedBundle::parse(bytes).ok()?;
    let bundle = signed.verify().ok()?;
    Some((signed, bundle))
}

pub(super) fn load(row: &SessionRow) -> Step<Session> {
    Session::from_row(&row.session).map_err(|_| ViewError::Damaged(Table::Session))
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
