//! Mail for devices that are away: what waits in their outbox is left at the mailboxes that their bundles name.
//!
//! What is left is the outbox entry's own envelope, so nothing is ever sealed at two positions for this. A mailbox's word
//! that it is durable there is noted with the entry; the entry stays until the device itself confirms it, and is left
//! again before the mailbox's time is over. Receipts owed to a device that is away go the same way (`mailbox_owed.rs`).

use super::{
    Timer,
    feed::Progress,
    outbox::Sealing,
    rows::{self, DeviceRow, LeftAt, OutboxRow, OwedRow, Parcel, Row},
    turn::{Step, Turn},
};
use crate::protocol::{
    identity::bundle::{BoxId, MailboxBox},
    ids::{DeviceId, OpId, TransportKey},
    time::{Millis, minutes},
    view::{Direction, View},
    wire::{
        limits::{DEPOSIT_AGAIN_AFTER, MAIL_COPIES, MAIL_KEPT, MAX_DEPOSITS_UNDER_WAY},
        mailbox::{Ask, BlobId, Verdict, blob_id},
    },
};
use std::{collections::BTreeMap, time::Duration};

/// How long a device is waited for before mail is left for it: a restart, or a network that changes.
const GRACE: Duration = Duration::from_secs(5);
/// What a device was told so short a time before its connection ended may not have reached it.
pub(super) const MAY_BE_LOST: Duration = minutes(1);
/// A mailbox that is not reached in this time makes room for another.
const REACH_WAIT: Duration = Duration::from_secs(20);
/// The longest wait before it is looked again.
const LONGEST_WAIT: Duration = minutes(10);
/// A deposit that is not answered in this time is made again, elsewhere first.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// How long a mailbox that is full or silent is left alone…
const REST: Duration = minutes(1);
/// …and one that does not keep the box.
const LONG_REST: Duration = minutes(30);
/// A connection made to leave mail is ended after this time without need.
const KEPT_IDLE: Duration = minutes(2);
/// Entries looked at in one step.
const PAGE: usize = 64;

/// What is under way to the mailboxes of a device that is away.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// The outbox before this was looked at and needs nothing now.
    next: u64,
    timer: Option<Millis>,
    /// When it is looked over from the front again, and how often in a row that came to nothing.
    again_at: Option<Millis>,
    tries: u32,
}

/// A deposit that is not answered yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    what: LeftWhat,
    id: BoxId,
    since: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftWhat {
    Parcel(DeviceId, u64),
    Owed(DeviceId),
    /// Something for all members of a group.
    Post(OpId, u64),
    /// A key of a group for a member's device that names no mailbox.
    Key(OpId, DeviceId, u64),
}

impl LeftWhat {
    fn is_for(self, device: DeviceId) -> bool {
        matches!(self, Self::Parcel(to, _) | Self::Owed(to) if to == device)
    }
}

/// A mailbox that was dialled to leave mail there.
#[derive(Debug)]
pub(super) struct Sought {
    since: Millis,
    needed: Millis,
}

impl OutboxRow {
    /// Forgets the envelope, and with it where copies of it lie, but not that there may be some.
    pub(super) fn unseal(&mut self) {
        self.was_left = self.may_be_read();
        self.sealed = None;
        self.left = None;
    }

    /// A copy is durable in a box, instead of in another there. Whether it is the first.
    pub(super) fn note_left(&mut self, node: TransportKey, id: BoxId, now: Millis) -> bool {
        let left = self.left.get_or_insert_default();
        left.retain(|other| now.since(other.at) < MAIL_KEPT);
        let first = left.is_empty();
        left.retain(|other| other.node != node);
        left.push(LeftAt { node, id, at: now });
        first
    }

    /// Whether a copy lies in this box and will for a while.
    pub(super) fn is_left_at(&self, mailbox: &MailboxBox, now: Millis) -> bool {
        self.left
            .iter()
            .flatten()
            .any(|left| left.node == mailbox.node && left.id == mailbox.id && now.since(left.at) < DEPOSIT_AGAIN_AFTER)
    }
}

impl Turn<'_> {
    /// Something waits for a device: if it stays away, it is left at its mailboxes.
    pub(super) fn leave_mail_soon(&mut self, device: &DeviceRow, at_least: Duration) {
        if !self.mem.online || device.boxes().is_empty() || self.mem.peers.contains_key(&device.transport) {
            return;
        }
        let gone = *self.mem.mail.gone.entry(device.transport).or_insert(self.now);
        self.set_mail_timer(device.device, gone.plus(GRACE).max(self.now.plus(at_least)));
    }

    pub(super) fn set_mail_timer(&mut self, device: DeviceId, due: Millis) {
        let outgoing = self.mem.mail.outgoing.entry(device).or_default();
        if outgoing.timer.is_none_or(|at| at > due) {
            outgoing.timer = Some(due);
            self.mem.timers.insert((due, Timer::Mail(device)));
        }
    }

    /// The network is up, or an hour has passed: whoever is away and has something waiting.
    pub(super) fn look_for_mail_to_leave(&mut self) -> Step {
        for device in self.sound::<DeviceRow>(b"")? {
            if device.boxes().is_empty() || self.mem.peers.contains_key(&device.transport) {
                continue;
            }
            let waits = !self.scan(OutboxRow::TABLE, device.device.as_ref(), None, Direction::Forward, 1)?.is_empty();
            if waits || self.read::<OwedRow>(&OwedRow::key(device.device))?.is_some() {
                self.rewind_mail(device.device);
                self.leave_mail_soon(&device, Duration::ZERO);
            }
        }
        Ok(())
    }

    /// What was left for a device is looked over from the front again.
    pub(super) fn rewind_mail(&mut self, device: DeviceId) {
        if let Some(outgoing) = self.mem.mail.outgoing.get_mut(&device) {
            outgoing.next = 0;
        }
    }

    /// A device is here: what was owed to it is told directly.
    pub(super) fn end_mail_to(&mut self, device: &DeviceRow) -> Step {
        self.mem.mail.gone.remove(&device.transport);
        self.mem.mail.outgoing.remove(&device.device);
        self.owe_told_by_mail(device.device);
        if let Some(owed) = self.read::<OwedRow>(&OwedRow::key(device.device))? {
            self.owe_again(device.device, owed.positions, owed.lost);
            for chat in owed.chats {
                self.owe_chat(device.device, chat);
            }
            for tag in owed.unknown {
                self.owe_unknown(device.device, tag);
            }
            self.delete(OwedRow::key(device.device));
        }
        Ok(())
    }

    /// Nothing is left for a device any more.
    pub(super) fn forget_mail_to(&mut self, device: DeviceId) {
        self.mem.mail.outgoing.remove(&device);
        self.mem.mail.told_by_mail.remove(&device);
        self.delete(OwedRow::key(device));
    }

    /// A device went.
    pub(super) fn begin_mail_to(&mut self, device: &DeviceRow) -> Step {
        self.mem.mail.gone.insert(device.transport, self.now);
        self.end_telling(device.device);
        if self.mem.owed_later.iter().any(|(waiting, _)| *waiting == device.device) {
            self.owe_all(device)?;
        }
        if let Some(told) = self.mem.mail.told_lately.remove(&device.device)
            && self.now.since(told.at) < MAY_BE_LOST
        {
            self.owe_all(device)?;
            // Who has no mailbox left nothing as mail, and sends again what was not confirmed.
            match device.boxes().is_empty() {
                true => self.note_told_by_mail(device.device, told.positions),
                false => self.owe_again(device.device, told.positions, told.lost),
            }
        }
        if !self.scan(OutboxRow::TABLE, device.device.as_ref(), None, Direction::Forward, 1)?.is_empty() {
            self.leave_mail_soon(device, Duration::ZERO);
            if device.boxes().is_empty() {
                device.groups.iter().try_for_each(|group| self.leave_keys_soon(*group))?;
            }
        }
        Ok(())
    }

    /// A mailbox may have been waited for.
    pub(super) fn mailbox_came(&mut self, node: TransportKey) -> Step {
        let devices: Vec<DeviceId> = self.mem.mail.outgoing.keys().copied().collect();
        for device in devices {
            let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { continue };
            if row.boxes().iter().any(|mailbox| mailbox.node == node) {
                self.rewind_mail(device);
                self.leave_mail_if_due(row)?;
            }
        }
        self.leave_posts_at(node)
    }

    /// A mailbox went: what was not answered is left again.
    pub(super) fn mailbox_went(&mut self, node: TransportKey) -> Step {
        self.mem.mail.asked.remove(&node);
        self.mem.mail.reached.remove(&node);
        self.mem.mail.fetches.retain(|(peer, _), _| *peer != node);
        self.mem.mail.closing.retain(|(peer, _), _| *peer != node);
        self.mem.mail.opening.retain(|(peer, _)| *peer != node);
        if let Some(sought) = self.mem.mail.sought.get_mut(&node) {
            sought.since = self.now;
        }
        self.mem.mail.readers.values_mut().for_each(|readers| {
            readers.remove(&node);
        });
        self.logs_went(node);
        let lost = self.mem.mail.under_way.remove(&node).unwrap_or_default();
        for left in lost.into_values() {
            match left.what {
                LeftWhat::Parcel(device, _) | LeftWhat::Owed(device) => {
                    self.rewind_mail(device);
                    self.set_mail_timer(device, self.now.plus(GRACE));
                }
                LeftWhat::Post(group, _) | LeftWhat::Key(group, ..) => self.post_again(group)?,
            }
        }
        Ok(())
    }

    pub(super) fn mail_due(&mut self, device: DeviceId) -> Step {
        let Some(outgoing) = self.mem.mail.outgoing.get_mut(&device) else { return Ok(()) };
        outgoing.timer = None;
        if outgoing.again_at.is_some_and(|at| at <= self.now) {
            outgoing.again_at = None;
            outgoing.next = 0;
            outgoing.tries = outgoing.tries.saturating_add(1);
        }
        let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return Ok(()) };
        self.leave_mail_if_due(row)
    }

    fn leave_mail_if_due(&mut self, device: DeviceRow) -> Step {
        if self.mem.peers.contains_key(&device.transport) {
            self.mem.mail.outgoing.remove(&device.device);
            return Ok(());
        }
        let gone = *self.mem.mail.gone.entry(device.transport).or_insert(self.now);
        if self.now < gone.plus(GRACE) {
            self.set_mail_timer(device.device, gone.plus(GRACE));
            return Ok(());
        }
        self.leave_mail(device)
    }

    fn leave_mail(&mut self, device: DeviceRow) -> Step {
        let id = device.device;
        let mut device = self.leave_stale_start(device)?;
        let silent = self.drop_silent_deposits(&device);
        if silent {
            self.rewind_mail(id);
        }
        let mailboxes = self.choose_mailboxes(&device)?;
        let mut waits = self.leave_owed(&mut device, &mailboxes)?;
        waits |= self.leave_parcels(&mut device, &mailboxes)?;
        waits |= self.leave_offers(&device, &mailboxes)?;
        if waits {
            let outgoing = self.mem.mail.outgoing.entry(id).or_default();
            let due = self.now.plus((REACH_WAIT * (1 << outgoing.tries.min(8))).min(LONGEST_WAIT));
            let due = *outgoing.again_at.get_or_insert(due);
            self.set_mail_timer(id, due);
        }
        Ok(())
    }

    /// Leaves outbox entries, as many as the windows allow. Whether anything is still to be done.
    fn leave_parcels(&mut self, device: &mut DeviceRow, mailboxes: &[MailboxBox]) -> Step<bool> {
        let id = device.device;
        let mut waits = false;
        loop {
            let from = self.mem.mail.outgoing.entry(id).or_default().next.to_be_bytes();
            let page = self.scan(OutboxRow::TABLE, id.as_ref(), Some(&from), Direction::Forward, PAGE)?;
            if page.is_empty() {
                return Ok(waits);
            }
            for (place, bytes) in page {
                let Ok(place) = place.try_into().map(u64::from_be_bytes) else { continue };
                match self.leave_parcel(device, place, rows::parse(&bytes)?, mailboxes)? {
                    Leaving::Stop => return Ok(true),
                    Leaving::Waits => waits = true,
                    Leaving::Enough => {}
                }
                self.mem.mail.outgoing.entry(id).or_default().next = place + 1;
            }
        }
    }

    fn leave_parcel(
        &mut self,
        device: &mut DeviceRow,
        place: u64,
        row: OutboxRow,
        mailboxes: &[MailboxBox],
    ) -> Step<Leaving> {
        let what = LeftWhat::Parcel(device.device, place);
        let own = self.own()?.transport;
        let wanted = MAIL_COPIES.min(device.boxes().iter().filter(|mailbox| mailbox.node != own).count());
        let copies = device.boxes().iter().filter(|mailbox| row.is_left_at(mailbox, self.now)).count();
        if copies >= wanted {
            return Ok(Leaving::Enough);
        }
        let missing: Vec<&MailboxBox> =
            mailboxes.iter().filter(|mailbox| !row.is_left_at(mailbox, self.now)).take(wanted - copies).collect();
        let mut here = Vec::new();
        for mailbox in missing {
            if self.is_under_way(mailbox.node, what) {
                continue;
            }
            if !self.mem.peers.contains_key(&mailbox.node) {
                self.seek_mailbox(mailbox);
            } else if self.under_way_to(mailbox.node) >= MAX_DEPOSITS_UNDER_WAY {
                return Ok(Leaving::Stop);
            } else {
                here.push(mailbox);
            }
        }
        if here.is_empty() {
            return Ok(Leaving::Waits);
        }
        let wire = match self.sealed_parcel(device, place, row)? {
            Sealing::Sealed(sealed) => sealed.wire,
            Sealing::Gone => return Ok(Leaving::Enough),
            Sealing::NoSession => return Ok(Leaving::Stop),
        };
        for mailbox in here {
            self.leave(mailbox, what, wire.clone());
        }
        Ok(Leaving::Waits)
    }

    pub(super) fn leave(&mut self, mailbox: &MailboxBox, what: LeftWhat, wire: Vec<u8>) {
        let left = Left { what, id: mailbox.id, since: self.now };
        self.mem.mail.under_way.entry(mailbox.node).or_default().insert(blob_id(&wire), left);
        self.ask_mailbox(mailbox.node, Ask::Deposit(mailbox.id, wire));
    }

    pub(super) fn under_way_to(&self, node: TransportKey) -> usize {
        self.mem.mail.under_way.get(&node).map_or(0, BTreeMap::len)
    }

    /// Whether a mailbox is left alone with a box for a while.
    pub(super) fn rests(&self, node: TransportKey, id: BoxId) -> bool {
        self.mem.mail.resting.get(&(node, id)).is_some_and(|until| *until > self.now)
    }

    pub(super) fn is_under_way(&self, node: TransportKey, what: LeftWhat) -> bool {
        self.mem.mail.under_way.get(&node).is_some_and(|all| all.values().any(|left| left.what == what))
    }

    /// Dials a mailbox to leave mail there.
    pub(super) fn seek_mailbox(&mut self, mailbox: &MailboxBox) {
        let now = self.now;
        let new = !self.mem.mail.sought.contains_key(&mailbox.node);
        self.mem.mail.sought.entry(mailbox.node).or_insert(Sought { since: now, needed: now }).needed = now;
        if new {
            self.set_mailbox_timer();
            self.reach(mailbox.node, mailbox.addresses.iter().map(ToString::to_string).collect());
        }
    }

    /// The mailboxes at which something for this device is left now: the first that answer, as it named them.
    fn choose_mailboxes(&mut self, device: &DeviceRow) -> Step<Vec<MailboxBox>> {
        let own = self.own()?.transport;
        let now = self.now;
        let mail = &self.mem.mail;
        let (mut good, mut rest) = (Vec::new(), Vec::new());
        for mailbox in device.boxes().iter().filter(|mailbox| mailbox.node != own) {
            let rests = self.rests(mailbox.node, mailbox.id);
            let here = self.mem.peers.contains_key(&mailbox.node);
            let hoped = mail.sought.get(&mailbox.node).is_none_or(|sought| now.since(sought.since) < REACH_WAIT);
            match (rests, here || hoped) {
                (true, _) => {}
                (false, true) => good.push(mailbox.clone()),
                (false, false) => rest.push(mailbox.clone()),
            }
        }
        good.extend(rest);
        Ok(good)
    }

    /// Forgets deposits that were not answered, and leaves those mailboxes alone for a while. Whether there were any.
    fn drop_silent_deposits(&mut self, device: &DeviceRow) -> bool {
        let id = device.device;
        let nodes: Vec<TransportKey> = device.boxes().iter().map(|mailbox| mailbox.node).collect();
        let mut any = false;
        for node in nodes {
            any |= self.drop_silent(node, |what| what.is_for(id));
        }
        any
    }

    /// The same for what was left at one mailbox.
    pub(super) fn drop_silent(&mut self, node: TransportKey, such: impl Fn(LeftWhat) -> bool) -> bool {
        let now = self.now;
        let Some(all) = self.mem.mail.under_way.get_mut(&node) else { return false };
        let is_silent = |left: &Left| such(left.what) && now.since(left.since) >= ANSWER_WAIT;
        let silent: Vec<BoxId> = all.values().filter(|left| is_silent(left)).map(|left| left.id).collect();
        all.retain(|_, left| !is_silent(left));
        for id in &silent {
            self.mem.mail.resting.insert((node, *id), now.plus(REST));
        }
        !silent.is_empty()
    }

    /// A mailbox answers a deposit.
    pub(super) fn deposited(&mut self, peer: TransportKey, id: BoxId, name: BlobId, verdict: Verdict) -> Step {
        let Some(all) = self.mem.mail.under_way.get_mut(&peer) else { return Ok(()) };
        let Some(left) = all.get(&name).copied().filter(|left| left.id == id) else { return Ok(()) };
        all.remove(&name);
        let device = match left.what {
            LeftWhat::Parcel(device, _) | LeftWhat::Owed(device) => device,
            LeftWhat::Post(group, _) | LeftWhat::Key(group, ..) => {
                return self.post_left((peer, id, name), group, left.what, verdict);
            }
        };
        if let Some(outgoing) = self.mem.mail.outgoing.get_mut(&device).filter(|_| verdict == Verdict::Done) {
            outgoing.tries = 0;
        }
        match (verdict, left.what) {
            (Verdict::Done, LeftWhat::Parcel(device, place)) => self.note_left(device, place, peer, id, name)?,
            (Verdict::Done, _) => self.note_owed_left(device, peer, name)?,
            (refused, _) => {
                self.let_rest(peer, id, refused);
                self.rewind_mail(device);
            }
        }
        match self.read::<DeviceRow>(&DeviceRow::key(device))? {
            Some(row) if !self.mem.peers.contains_key(&row.transport) => self.leave_mail(row),
            _ => Ok(()),
        }
    }

    fn let_rest(&mut self, peer: TransportKey, id: BoxId, refused: Verdict) {
        let rest = match refused {
            Verdict::Full | Verdict::Busy | Verdict::TooLarge => REST,
            _ => LONG_REST,
        };
        self.mem.mail.resting.insert((peer, id), self.now.plus(rest));
    }

    /// A mailbox answers whether it has a post of a group.
    fn post_left(
        &mut self,
        (peer, id, name): (TransportKey, BoxId, BlobId),
        group: OpId,
        what: LeftWhat,
        verdict: Verdict,
    ) -> Step {
        match verdict {
            Verdict::Done => {
                match what {
                    LeftWhat::Post(_, place) => self.note_posted(group, place, peer, id)?,
                    LeftWhat::Key(_, device, place) => self.note_key_left((device, place), group, (peer, id, name))?,
                    LeftWhat::Parcel(..) | LeftWhat::Owed(_) => {}
                }
                return self.leave_posts(group);
            }
            // Somebody may open it at any time.
            Verdict::NotRegistered => {
                self.mem.mail.resting.insert((peer, id), self.now.plus(REST));
                self.look_into_logs(peer)?;
            }
            refused => self.let_rest(peer, id, refused),
        }
        self.post_again(group)
    }

    /// A copy of an entry is durable at a mailbox.
    fn note_left(&mut self, device: DeviceId, place: u64, node: TransportKey, id: BoxId, name: BlobId) -> Step {
        let key = OutboxRow::key(device, place);
        let Some(mut row) = self.read::<OutboxRow>(&key)? else { return Ok(()) };
        if row.sealed.as_ref().is_none_or(|sealed| blob_id(&sealed.wire) != name) {
            return Ok(());
        }
        let first = row.note_left(node, id, self.now);
        self.put(key, &row);
        let (Parcel::Event(chat, event), true) = (row.what, first) else { return Ok(()) };
        let Some(to) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return Ok(()) };
        self.tell_receipt(&to, chat, Progress::Mailbox, vec![event])
    }

    /// Ends the wish for mailboxes that nothing was left at for a while.
    pub(super) fn leave_sought(&mut self) -> Step {
        let now = self.now;
        let mail = &mut self.mem.mail;
        let busy = |node: &TransportKey| mail.under_way.get(node).is_some_and(|all| !all.is_empty());
        let idle: Vec<TransportKey> = mail
            .sought
            .iter()
            .filter(|(node, sought)| now.since(sought.needed) >= KEPT_IDLE && !busy(node))
            .map(|(node, _)| *node)
            .collect();
        for node in idle {
            self.mem.mail.sought.remove(&node);
            self.forget_mailbox(node)?;
        }
        Ok(())
    }
}

/// What came of looking at an outbox entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// It lies at as many mailboxes as it should.
    Enough,
    /// An answer or a mailbox is waited for.
    Waits,
    /// No more can be left now.
    Stop,
}
