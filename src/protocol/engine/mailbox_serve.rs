//! This node as a mailbox: boxes kept for contacts and holders of a link, mail taken within quotas and given to its owner
//! alone.
//!
//! It never sees inside what it keeps. Every answer goes out after the commit it rests on, as all frames do; so "done"
//! means durable. What is asked too often, or past a quota, is refused and said so.

use super::{
    command::{Refusal, Reply, Serving},
    rows::{
        BoxRight, BoxRow, ContactState, MailPlaceRow, MailRow, MailboxLinkRow, OpenedLogRow, OwnedBoxRow, PinnedRow,
        Row, SenderRow, ServingRow, all, parse,
    },
    turn::{Answer, Step, Turn},
};
use crate::protocol::{
    delivery::mailbox::judge_deposit,
    identity::{
        Ticket,
        bundle::BoxId,
        ticket::{Inv, Purpose},
    },
    ids::{AccountId, TransportKey},
    time::Millis,
    view::{Direction, View},
    wire::{
        frame::Frame,
        limits::{
            BOX_KEPT_UNSEEN, CLOSED_REMEMBERED, GUEST_BOX_KEPT, MAIL_KEPT, MAILBOX_LINK_LIFE, MAX_ADDRESSES,
            MAX_ASKS_PER_SECOND, MAX_BOXES, MAX_BOXES_PER_OWNER, MAX_BUNDLE, MAX_FETCHED, MAX_FETCHED_BYTES,
            MAX_GIVEN_PER_SECOND, MAX_GUESTS, MAX_MAILBOX_LINKS,
        },
        mailbox::{Ask, Opening, Say, Verdict, blob_id},
    },
};
use std::time::Duration;

/// A sealed bundle is at most this much longer than the bundle.
const SEAL_OVERHEAD: usize = 64;
/// Mail that is left again is kept from then on if it lay here for so long already.
const LEFT_ANEW_AFTER: Duration = Duration::from_secs(24 * 3600);
/// How exactly it is remembered when an owner came.
const SEEN_EVERY: Duration = Duration::from_secs(3600);
/// The time in which questions are counted together.
const ASKS_COUNTED: Duration = Duration::from_secs(1);

/// What one peer asked for lately. May be lost.
#[derive(Debug)]
pub(super) struct Asked {
    since: Millis,
    asks: u32,
    bytes: usize,
}

impl Turn<'_> {
    /// Begins or ends taking mail for others. What is here stays to be fetched until its time.
    pub(super) fn serve_mailbox(&mut self, serving: Serving) -> Answer {
        let mut row = self.serving()?;
        row.on = serving == Serving::On;
        self.put(ServingRow::key(), &row);
        // Who is connected is told, and asks.
        for kept in all::<BoxRow>(self, b"")?.into_iter().filter(|kept| kept.right != BoxRight::Log) {
            if self.mem.peers.contains_key(&kept.owner) {
                let verdict = if row.on { Verdict::Done } else { Verdict::NotServing };
                self.answer_mail(kept.owner, Say::Opened(kept.id, verdict));
            }
        }
        Ok(Reply::Done)
    }

    /// Makes a link by which others may have a box here.
    pub(super) fn make_mailbox_link(&mut self) -> Answer {
        if !self.serving()?.on {
            return Err(Refusal::NotServing.into());
        }
        let mut links = all::<MailboxLinkRow>(self, MailboxLinkRow::SCOPE)?;
        links.retain(|link| link.expires > self.now);
        if links.len() >= MAX_MAILBOX_LINKS {
            return Err(Refusal::TooManyLinks { max: MAX_MAILBOX_LINKS }.into());
        }
        let own = self.own()?;
        let inv = Inv::random(self.rng);
        let pass = inv.mailbox_pass();
        let addresses: Vec<_> = own.addresses.iter().filter_map(|text| text.parse().ok()).take(MAX_ADDRESSES).collect();
        let expires = self.now.plus(MAILBOX_LINK_LIFE);
        let ticket = Ticket::new(own.account, own.transport, inv, expires, Purpose::Mailbox, &addresses);
        self.put(MailboxLinkRow::key(pass), &MailboxLinkRow { pass, expires: ticket.expires() });
        let reachable = !ticket.hints().is_empty();
        Ok(Reply::Ticket { link: ticket.link().to_string(), expires: ticket.expires(), reachable })
    }

    /// A peer asks this node as a mailbox.
    pub(super) fn ask_came(&mut self, peer: TransportKey, ask: Ask) -> Step {
        // What lets go of things is never too much.
        let free = matches!(ask, Ask::Took(..) | Ask::Close(..)) || self.mem.mail.own == Some(peer);
        let busy = !free && !self.count_ask(peer);
        match ask {
            Ask::Open(id, _) if busy => self.answer_mail(peer, Say::Opened(id, Verdict::Busy)),
            Ask::Open(id, opening) => {
                let verdict = self.open_box(peer, id, opening)?;
                self.answer_mail(peer, Say::Opened(id, verdict));
            }
            Ask::Close(id, until) => self.close_box(peer, id, until)?,
            Ask::Deposit(id, blob) if busy => self.answer_mail(peer, Say::Deposited(id, blob_id(&blob), Verdict::Busy)),
            Ask::Deposit(id, blob) => {
                let name = blob_id(&blob);
                let verdict = self.take_deposit(peer, id, blob)?;
                self.answer_mail(peer, Say::Deposited(id, name, verdict));
            }
            Ask::Fetch(id, _) if busy => self.answer_mail(peer, Say::End(id, true, Verdict::Busy)),
            Ask::Fetch(id, after) => self.give_mail(peer, id, after)?,
            Ask::Took(id, places) => self.take_out(peer, id, &places)?,
            Ask::Pinned(id) if busy => self.answer_mail(peer, Say::Pinned(id, Verdict::Busy, Vec::new())),
            Ask::Pinned(id) => self.show_pinned(peer, id)?,
            Ask::Keep(id) if busy => self.answer_mail(peer, Say::Opened(id, Verdict::Busy)),
            Ask::Keep(id) => {
                let verdict = self.keep_log(peer, id)?;
                self.answer_mail(peer, Say::Opened(id, verdict));
            }
        }
        Ok(())
    }

    /// Tells an owner that has just connected which of its boxes hold something.
    pub(super) fn tell_waiting(&mut self, peer: TransportKey) -> Step {
        for OwnedBoxRow(id) in all::<OwnedBoxRow>(self, OwnedBoxRow::scope(peer))? {
            if self.box_row(id)?.is_some_and(|row| row.kept.blobs > 0) {
                self.mem.mail.told.insert(id);
                self.answer_mail(peer, Say::Waiting(id));
            }
        }
        Ok(())
    }

    /// Lets go of mail and boxes whose time is over.
    pub(super) fn expire_mail(&mut self) -> Step {
        let mut guests = 0;
        for row in all::<BoxRow>(self, b"")? {
            let ended = row.until.is_some_and(|until| until <= self.now);
            let unseen = self.now.since(row.seen) >= BOX_KEPT_UNSEEN;
            if ended || unseen {
                self.drop_box(row)?;
                continue;
            }
            guests += u64::from(row.right == BoxRight::Guest);
            if row.kept.blobs > 0 {
                self.expire_box(row)?;
            }
        }
        // Guests that closed their boxes were counted for ever once.
        let serving = self.serving()?;
        if serving.guests != guests {
            self.put(ServingRow::key(), &ServingRow { guests, ..serving });
        }
        for link in all::<MailboxLinkRow>(self, MailboxLinkRow::SCOPE)? {
            if link.expires <= self.now {
                self.delete(MailboxLinkRow::key(link.pass));
            }
        }
        Ok(())
    }

    pub(super) fn serving(&self) -> Step<ServingRow> {
        Ok(self.read(&ServingRow::key())?.unwrap_or_default())
    }

    pub(super) fn box_row(&self, id: BoxId) -> Step<Option<BoxRow>> {
        self.read(&BoxRow::key(id))
    }

    pub(super) fn answer_mail(&mut self, peer: TransportKey, say: Say) {
        if self.mem.mail.own == Some(peer) {
            self.to_self.push_back(Frame::Say(say));
        } else {
            self.send(peer, &Frame::Say(say));
        }
    }

    /// Counts a question. `false`: there were too many lately.
    fn count_ask(&mut self, peer: TransportKey) -> bool {
        let asked = self.asked(peer);
        asked.asks = asked.asks.saturating_add(1);
        asked.asks <= MAX_ASKS_PER_SECOND
    }

    fn asked(&mut self, peer: TransportKey) -> &mut Asked {
        let now = self.now;
        let asked = self.mem.mail.asked.entry(peer).or_insert(Asked { since: now, asks: 0, bytes: 0 });
        if now.since(asked.since) >= ASKS_COUNTED || now < asked.since {
            *asked = Asked { since: now, asks: 0, bytes: 0 };
        }
        asked
    }

    fn open_box(&mut self, peer: TransportKey, id: BoxId, opening: Opening) -> Step<Verdict> {
        let mut serving = self.serving()?;
        if !serving.on {
            return Ok(Verdict::NotServing);
        }
        if opening.pinned.as_ref().is_some_and(|pinned| pinned.len() > MAX_BUNDLE + SEAL_OVERHEAD) {
            return Ok(Verdict::TooLarge);
        }
        if let Some(mut row) = self.box_row(id)? {
            if row.owner != peer || row.right == BoxRight::Log {
                return Ok(Verdict::NotAllowed);
            }
            if row.right == BoxRight::Closed {
                return Ok(Verdict::Closed);
            }
            row.seen = self.now;
            self.put(BoxRow::key(id), &row);
            self.pin(&row, opening.pinned);
            return Ok(Verdict::Done);
        }
        let Some(right) = self.right_to_box(peer, &opening)? else { return Ok(Verdict::NotAllowed) };
        let owned = all::<OwnedBoxRow>(self, OwnedBoxRow::scope(peer))?.len();
        let guest = right == BoxRight::Guest;
        if owned >= if guest { 1 } else { MAX_BOXES_PER_OWNER } {
            return Ok(Verdict::TooMany);
        }
        let (count, most) = if guest { (&mut serving.guests, MAX_GUESTS) } else { (&mut serving.boxes, MAX_BOXES) };
        if *count >= most {
            return Ok(Verdict::Full);
        }
        *count += 1;
        self.put(ServingRow::key(), &serving);
        let until = match opening.guest_of {
            Some(_) => Some(self.now.plus(GUEST_BOX_KEPT)),
            None => opening.until.map(|until| until.min(self.now.plus(CLOSED_REMEMBERED))),
        };
        let row = BoxRow { id, owner: peer, right, until, kept: Default::default(), last: 0, seen: self.now };
        self.put(BoxRow::key(id), &row);
        self.put(OwnedBoxRow::key(peer, id), &OwnedBoxRow(id));
        self.pin(&row, opening.pinned);
        Ok(Verdict::Done)
    }

    /// Only a ticket's box shows anything.
    fn pin(&mut self, row: &BoxRow, pinned: Option<Vec<u8>>) {
        if let (Some(pinned), true) = (pinned, row.is_small()) {
            self.put(PinnedRow::key(row.id), &PinnedRow(pinned));
        }
    }

    fn right_to_box(&self, peer: TransportKey, opening: &Opening) -> Step<Option<BoxRight>> {
        if let Some(device) = self.device_of(peer)?
            && self.is_friend(device.account)?
        {
            return Ok(Some(BoxRight::Contact(device.account)));
        }
        if let Some(pass) = opening.link {
            let link: Option<MailboxLinkRow> = self.read(&MailboxLinkRow::key(pass))?;
            return Ok(link.is_some_and(|link| link.expires > self.now).then_some(BoxRight::Link));
        }
        let Some(ticket) = opening.guest_of else { return Ok(None) };
        let open = self.box_row(ticket)?.is_some_and(|row| {
            matches!(row.right, BoxRight::Contact(_) | BoxRight::Link) && row.until.is_some_and(|end| end > self.now)
        });
        let shown = open && self.read::<PinnedRow>(&PinnedRow::key(ticket))?.is_some();
        Ok(shown.then_some(BoxRight::Guest))
    }

    pub(super) fn is_friend(&self, account: AccountId) -> Step<bool> {
        let contact = self.contact(account)?;
        Ok(contact.is_some_and(|contact| contact.state == ContactState::Connected && !contact.blocked))
    }

    fn take_deposit(&mut self, peer: TransportKey, id: BoxId, blob: Vec<u8>) -> Step<Verdict> {
        let mut serving = self.serving()?;
        if !serving.on {
            return Ok(Verdict::NotServing);
        }
        let Some(mut row) = self.box_row(id)? else { return Ok(Verdict::NotRegistered) };
        let welcome = match row.right {
            BoxRight::Contact(account) => self.is_friend(account)?,
            BoxRight::Link | BoxRight::Guest | BoxRight::Log => true,
            BoxRight::Closed => false,
        };
        if !welcome || row.until.is_some_and(|until| until <= self.now) {
            return Ok(Verdict::Closed);
        }
        let name = blob_id(&blob);
        let old = match self.read(&MailPlaceRow::key(id, name))? {
            Some(MailPlaceRow(place)) => self.read::<MailRow>(&MailRow::key(id, place))?.map(|held| (place, held)),
            None => None,
        };
        if old.as_ref().is_some_and(|(_, held)| self.now.since(held.since) < LEFT_ANEW_AFTER) {
            return Ok(Verdict::Done);
        }
        let sender = SenderRow::key(peer, row.size());
        // An older copy makes room for this one, and stays if there is none all the same.
        let mut of_sender = self.read::<SenderRow>(&sender)?.unwrap_or_default().0;
        let (mut of_box, mut of_all) = (row.kept, serving.kept);
        if let Some((_, held)) = &old {
            of_box.remove(held.blob.len());
            of_all.remove(held.blob.len());
            if held.sender == peer {
                of_sender.remove(held.blob.len());
            }
        }
        let verdict = judge_deposit(blob.len(), row.size(), of_box, of_sender, of_all);
        if verdict != Verdict::Done {
            return Ok(verdict);
        }
        if let Some((place, _)) = old {
            self.remove_mail(&mut row, &mut serving, place)?;
        }
        // By the clock, so that an older copy of this mailbox goes on past what its readers have read.
        row.last = self.now.0.max(row.last + 1);
        row.kept.add(blob.len());
        of_sender.add(blob.len());
        serving.kept.add(blob.len());
        self.put(sender, &SenderRow(of_sender));
        self.put(MailPlaceRow::key(id, name), &MailPlaceRow(row.last));
        self.put(MailRow::key(id, row.last), &MailRow { blob, sender: peer, since: self.now });
        if row.right == BoxRight::Log {
            row.seen = self.now;
            self.tell_readers(id, peer);
        } else if self.mem.peers.contains_key(&row.owner) && self.mem.mail.told.insert(id) {
            self.answer_mail(row.owner, Say::Waiting(id));
        }
        self.put(ServingRow::key(), &serving);
        self.put(BoxRow::key(id), &row);
        Ok(Verdict::Done)
    }

    fn give_mail(&mut self, peer: TransportKey, id: BoxId, after: u64) -> Step {
        let row = self.box_row(id)?.filter(|row| row.is_of(peer) || row.right == BoxRight::Log);
        let Some(mut row) = row else {
            self.answer_mail(peer, Say::End(id, false, Verdict::NotRegistered));
            return Ok(());
        };
        if row.right == BoxRight::Closed {
            self.answer_mail(peer, Say::End(id, false, Verdict::Closed));
            return Ok(());
        }
        if self.now.since(row.seen) >= SEEN_EVERY {
            row.seen = self.now;
            self.put(BoxRow::key(id), &row);
        }
        match row.right {
            BoxRight::Log => self.note_reader(id, peer),
            _ => {
                self.mem.mail.told.remove(&id);
            }
        }
        let from = after.saturating_add(1).to_be_bytes();
        let page = self.scan(MailRow::TABLE, &id.0, Some(&from), Direction::Forward, MAX_FETCHED + 1)?;
        let mut more = page.len() > MAX_FETCHED;
        let mut given = 0;
        for (place, bytes) in page.into_iter().take(MAX_FETCHED) {
            let Ok(place) = place.try_into().map(u64::from_be_bytes) else { continue };
            let MailRow { blob, sender, .. } = parse(&bytes)?;
            given += blob.len();
            let asked = self.asked(peer);
            asked.bytes += blob.len();
            if given > MAX_FETCHED_BYTES || asked.bytes > MAX_GIVEN_PER_SECOND {
                more = true;
                break;
            }
            self.answer_mail(peer, Say::Mail(id, place, blob, sender));
        }
        self.answer_mail(peer, Say::End(id, more, Verdict::Done));
        Ok(())
    }

    fn take_out(&mut self, peer: TransportKey, id: BoxId, places: &[u64]) -> Step {
        let Some(mut row) = self.box_row(id)?.filter(|row| row.is_of(peer)) else { return Ok(()) };
        let mut serving = self.serving()?;
        for place in places {
            self.remove_mail(&mut row, &mut serving, *place)?;
        }
        self.put(BoxRow::key(id), &row);
        self.put(ServingRow::key(), &serving);
        Ok(())
    }

    fn remove_mail(&mut self, row: &mut BoxRow, serving: &mut ServingRow, place: u64) -> Step {
        let Some(mail) = self.read::<MailRow>(&MailRow::key(row.id, place))? else { return Ok(()) };
        let bytes = mail.blob.len();
        row.kept.remove(bytes);
        serving.kept.remove(bytes);
        let sender = SenderRow::key(mail.sender, row.size());
        let mut of_sender: SenderRow = self.read(&sender)?.unwrap_or_default();
        of_sender.0.remove(bytes);
        if of_sender.0.blobs == 0 {
            self.delete(sender);
        } else {
            self.put(sender, &of_sender);
        }
        self.delete(MailRow::key(row.id, place));
        self.delete(MailPlaceRow::key(row.id, blob_id(&mail.blob)));
        Ok(())
    }

    fn show_pinned(&mut self, peer: TransportKey, id: BoxId) -> Step {
        let verdict = match self.box_row(id)? {
            None => Verdict::NotRegistered,
            Some(row) if row.right == BoxRight::Closed || row.until.is_none_or(|end| end <= self.now) => {
                Verdict::Closed
            }
            Some(_) => Verdict::Done,
        };
        let pinned = match verdict {
            Verdict::Done => self.read::<PinnedRow>(&PinnedRow::key(id))?,
            _ => None,
        };
        let (verdict, sealed) = match (verdict, pinned) {
            (Verdict::Done, None) => (Verdict::NotRegistered, Vec::new()),
            (verdict, pinned) => (verdict, pinned.map(|row| row.0).unwrap_or_default()),
        };
        self.answer_mail(peer, Say::Pinned(id, verdict, sealed));
        Ok(())
    }

    /// Empties a box for good. Who asks for it learns that it is closed, until the time its owner named. A guest's is
    /// forgotten at once: no link leads to it, and there is not room for many.
    fn close_box(&mut self, peer: TransportKey, id: BoxId, until: Millis) -> Step {
        let Some(row) = self.box_row(id)?.filter(|row| row.is_of(peer)) else { return Ok(()) };
        if until <= self.now || row.right == BoxRight::Guest {
            return self.drop_box(row);
        }
        let mut row = self.empty_box(row)?;
        row.right = BoxRight::Closed;
        row.until = Some(until.min(self.now.plus(CLOSED_REMEMBERED)));
        self.put(BoxRow::key(id), &row);
        Ok(())
    }

    fn expire_box(&mut self, mut row: BoxRow) -> Step {
        let mut serving = self.serving()?;
        loop {
            let page = self.scan(MailRow::TABLE, &row.id.0, None, Direction::Forward, MAX_FETCHED)?;
            let mut gone = 0;
            for (place, bytes) in &page {
                let Ok(place) = place.as_slice().try_into().map(u64::from_be_bytes) else { continue };
                if self.now.since(parse::<MailRow>(bytes)?.since) < MAIL_KEPT {
                    break;
                }
                self.remove_mail(&mut row, &mut serving, place)?;
                gone += 1;
            }
            if gone == 0 || gone < page.len() {
                break;
            }
        }
        self.put(BoxRow::key(row.id), &row);
        self.put(ServingRow::key(), &serving);
        Ok(())
    }

    fn empty_box(&mut self, mut row: BoxRow) -> Step<BoxRow> {
        let mut serving = self.serving()?;
        for (place, _) in self.scan(MailRow::TABLE, &row.id.0, None, Direction::Forward, usize::MAX)? {
            let Ok(place) = place.try_into().map(u64::from_be_bytes) else { continue };
            self.remove_mail(&mut row, &mut serving, place)?;
        }
        self.put(ServingRow::key(), &serving);
        self.delete(PinnedRow::key(row.id));
        self.mem.mail.told.remove(&row.id);
        Ok(row)
    }

    fn drop_box(&mut self, row: BoxRow) -> Step {
        let row = self.empty_box(row)?;
        let mut serving = self.serving()?;
        let count = match row.right {
            BoxRight::Guest => &mut serving.guests,
            BoxRight::Log => &mut serving.logs,
            BoxRight::Contact(_) | BoxRight::Link | BoxRight::Closed => &mut serving.boxes,
        };
        *count = count.saturating_sub(1);
        self.put(ServingRow::key(), &serving);
        self.delete(OwnedBoxRow::key(row.owner, row.id));
        self.delete(OpenedLogRow::key(row.owner, row.id));
        self.delete(BoxRow::key(row.id));
        Ok(())
    }
}
