//! Mail out of this device's boxes: fetched, opened, and only then deleted at the mailbox.
//!
//! "Took" is sent by the turn that keeps what was taken, so it leaves after that is durable. A mailbox is not believed: it
//! may give garbage, another's mail, old mail or no end of it. What is not ours costs one look-up; what a mailbox gives in
//! an hour is bounded, and a box that gives too much of no use is left alone for an hour. What it withholds another brings.

use super::{
    Effect, Notice, Timer,
    rows::TagRow,
    sessions::Hearing,
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::envelope::peek,
    identity::bundle::BoxId,
    ids::TransportKey,
    time::{Millis, minutes},
    wire::{
        frame::Frame,
        limits::{MAX_FETCHED, MAX_MAIL_PER_HOUR, MAX_TAKEN, MAX_USELESS_PER_HOUR},
        mailbox::{Ask, Say, Verdict, blob_id},
    },
};
use std::time::Duration;

/// An answer that did not come to its end in this time is asked for again.
const FETCH_WAIT: Duration = Duration::from_secs(30);
/// What is in memory alone may become durable in this time; after that it is to be sealed anew. Each mail in the box is a
/// reason to look again, so that less would have both sides seal and fetch all the time.
const SEALED_ANEW_AFTER: Duration = minutes(5);
/// A mailbox that is busy is asked again after this time.
const BUSY_WAIT: Duration = Duration::from_secs(2);
/// What a mailbox gave is counted over this time.
const COUNTED: Duration = minutes(60);
/// All its boxes together may give as much as so many may alone.
const SHARES: u32 = 4;
/// Copies of one thing that come within this time are answered once: else receipts would answer receipts for ever.
const COPIES_COME_WITHIN: Duration = minutes(60);
/// Things that are remembered to have come by mail: the mail of two full boxes.
const SEEN_KEPT: usize = 8_192;

/// A fetch under way.
#[derive(Debug)]
pub(super) struct Fetch {
    since: Millis,
    after: u64,
    came: usize,
    /// The mailbox told of more meanwhile.
    again: bool,
}

/// One thing out of a box.
struct Mail<'m> {
    place: u64,
    blob: &'m [u8],
    sender: TransportKey,
}

/// What a mailbox gave lately.
#[derive(Debug)]
pub(super) struct Taken {
    since: Millis,
    all: u32,
    useless: u32,
}

impl Turn<'_> {
    /// A peer says something as a mailbox. What was not asked for is ignored.
    pub(super) fn mailbox_said(&mut self, peer: TransportKey, say: Say) -> Step {
        match say {
            Say::Opened(id, verdict) => self.opened(peer, id, verdict),
            Say::Deposited(id, name, verdict) => self.deposited(peer, id, name, verdict),
            Say::Mail(id, place, blob, sender) if self.is_own_box(peer, id)? => {
                self.mail_came(peer, id, Mail { place, blob: &blob, sender })
            }
            Say::Mail(id, place, frame, _) if self.log_group(peer, id).is_some() => {
                self.frame_came(peer, id, place, &frame)
            }
            Say::Mail(..) => Ok(()),
            Say::End(id, more, verdict) => self.fetch_ended(peer, id, more, verdict),
            Say::Waiting(id) if self.is_own_box(peer, id)? => self.fetch(peer, id),
            Say::Waiting(id) => {
                self.log_grew(peer, id);
                Ok(())
            }
            Say::Pinned(id, verdict, sealed) => self.pinned_came(peer, id, verdict, &sealed),
            Say::PutBack(at) => self.mailbox_lost(peer, at),
        }
    }

    /// Asks for what is in a box.
    pub(super) fn fetch(&mut self, peer: TransportKey, id: BoxId) -> Step {
        if let Some(fetch) = self.mem.mail.fetches.get_mut(&(peer, id))
            && self.now.since(fetch.since) < FETCH_WAIT
        {
            fetch.again = true;
            return Ok(());
        }
        let after = self.fetched_from(peer, id)?;
        self.fetch_behind(peer, id, after);
        Ok(())
    }

    /// Frames to a mailbox were dropped: what was asked for may never be answered, and is asked for again soon.
    pub(super) fn fetch_again(&mut self, peer: TransportKey) {
        let before = self.mem.mail.fetches.len();
        self.mem.mail.fetches.retain(|(node, _), _| *node != peer);
        if self.mem.mail.fetches.len() < before {
            self.mem.timers.insert((self.now.plus(BUSY_WAIT), Timer::Mailboxes));
        }
    }

    fn fetch_behind(&mut self, peer: TransportKey, id: BoxId, after: u64) {
        if self.gave_too_much(peer, id) {
            return;
        }
        let fetch = Fetch { since: self.now, after, came: 0, again: false };
        self.mem.mail.fetches.insert((peer, id), fetch);
        self.ask_mailbox(peer, Ask::Fetch(id, after));
    }

    /// Whether what comes at this place was asked for, and may still come. What was not asked for is counted.
    pub(super) fn is_fetched(&mut self, peer: TransportKey, id: BoxId, place: u64) -> bool {
        let fetch = self.mem.mail.fetches.get_mut(&(peer, id));
        let Some(fetch) = fetch.filter(|fetch| place > fetch.after && fetch.came < MAX_FETCHED) else {
            self.count_mail(peer, None, Use::None);
            return false;
        };
        fetch.after = place;
        fetch.came += 1;
        !self.gave_too_much(peer, id)
    }

    fn mail_came(&mut self, peer: TransportKey, id: BoxId, mail: Mail<'_>) -> Step {
        let Mail { place, blob, sender } = mail;
        if !self.is_fetched(peer, id, place) {
            return Ok(());
        }
        if self.saw_lately(blob) {
            // A second copy: whatever it is worth was done with the first.
            self.count_mail(peer, Some(id), Use::Some);
            self.mem.mail.took.entry((peer, id)).or_default().push(place);
            return Ok(());
        }
        let now = self.now;
        self.mem.mail.unsettled.retain(|_, since| now.since(*since) < SEALED_ANEW_AFTER);
        if self.mem.mail.unsettled.contains_key(&(peer, id, place)) {
            return Ok(());
        }
        let hearing = self.hear(None, blob)?;
        self.count_mail(peer, Some(id), if matches!(hearing, Hearing::Nothing) { Use::None } else { Use::Some });
        let stays_aside = matches!(hearing, Hearing::Heard(_) | Hearing::Again(..));
        let is_settled = match hearing {
            Hearing::Spent => self.answer_spent(sender).map(|()| true)?,
            Hearing::Nothing => self.note_unknown(sender, blob).map(|()| true)?,
            other => self.settle_hearing(other)?,
        };
        // Else it stays there: until its sender is known as a member, or no longer blocked, or until what it said is durable
        // here, or is to be sealed anew.
        if is_settled {
            self.mem.mail.took.entry((peer, id)).or_default().push(place);
            self.note_seen(blob);
        } else if stays_aside {
            self.mem.mail.unsettled.insert((peer, id, place), now);
        }
        Ok(())
    }

    /// What follows from an envelope that came by mail. Whether it need not come again.
    pub(super) fn settle_hearing(&mut self, hearing: Hearing) -> Step<bool> {
        match hearing {
            Hearing::Heard(heard) => self.settle(heard),
            // It came before.
            Hearing::Again(device, at) => {
                let is_old = self.unsettled_for(device, at)?.is_none_or(|time| time >= SEALED_ANEW_AFTER);
                if is_old {
                    self.settle_again(device, at)?;
                }
                Ok(is_old)
            }
            Hearing::Lost(device, at) => {
                self.owe_lost(device, at);
                Ok(true)
            }
            Hearing::Outdated(account) => self.answer_outdated(account).map(|()| true),
            Hearing::Spent | Hearing::Nothing | Hearing::Told => Ok(true),
            Hearing::Early | Hearing::Shut => Ok(false),
        }
    }

    /// What no session is known for is told to who is said to have left it, inside a session with it: it may be of an epoch
    /// that is over here, whose receipt was lost. Whose tag it is not passes it over. That session may be as unknown there: so
    /// a bundle is left too, outside sessions.
    fn note_unknown(&mut self, sender: TransportKey, blob: &[u8]) -> Step {
        let Ok(tag) = peek(blob) else { return Ok(()) };
        if self.read::<TagRow>(&TagRow::key(tag))?.is_some() {
            return Ok(());
        }
        match self.device_of(sender)? {
            Some(device) if device.sending.is_some() => {
                self.owe_unknown(device.device, tag);
                self.leave_all_again(&device)?;
                self.answer_spent(sender)
            }
            _ => Ok(()),
        }
    }

    /// Whether the same came by mail a short while ago, perhaps from another mailbox.
    fn saw_lately(&self, blob: &[u8]) -> bool {
        let seen = self.mem.mail.seen.get(&blob_id(blob));
        seen.is_some_and(|at| self.now.since(*at) < COPIES_COME_WITHIN)
    }

    fn note_seen(&mut self, blob: &[u8]) {
        let now = self.now;
        let mail = &mut self.mem.mail;
        if mail.seen.insert(blob_id(blob), now).is_none() {
            mail.seen_order.push_back(blob_id(blob));
        }
        if mail.seen_order.len() > SEEN_KEPT
            && let Some(oldest) = mail.seen_order.pop_front()
        {
            mail.seen.remove(&oldest);
        }
    }

    fn fetch_ended(&mut self, peer: TransportKey, id: BoxId, more: bool, verdict: Verdict) -> Step {
        let Some(fetch) = self.mem.mail.fetches.remove(&(peer, id)) else { return Ok(()) };
        if verdict == Verdict::Busy {
            self.mem.timers.insert((self.now.plus(BUSY_WAIT), Timer::Mailboxes));
        }
        if matches!(verdict, Verdict::Closed | Verdict::NotRegistered) {
            self.note_closed(peer, id);
            self.mailbox_was_read(peer, id)?;
        }
        if verdict != Verdict::Done {
            self.mem.mail.closing.remove(&(peer, id));
            return Ok(());
        }
        if !more {
            self.mem.mail.unread.remove(&peer);
        }
        match (more, fetch.again) {
            // More, and nothing came: it leads us on.
            (true, _) if fetch.came == 0 => self.count_mail(peer, Some(id), Use::None),
            (true, _) => self.fetch_behind(peer, id, fetch.after),
            (false, true) => self.fetch(peer, id)?,
            (false, false) => {
                self.note_emptied(id)?;
                self.log_was_read(peer, id)?;
                if let Some(until) = self.mem.mail.closing.remove(&(peer, id)) {
                    self.send(peer, &Frame::Ask(Ask::Close(id, until)));
                    self.mailbox_was_read(peer, id)?;
                }
            }
        }
        Ok(())
    }

    /// At the end of the drain: what is durable with it may be deleted.
    pub(super) fn tell_taken(&mut self) {
        for ((peer, id), places) in std::mem::take(&mut self.mem.mail.took) {
            for places in places.chunks(MAX_TAKEN) {
                self.send(peer, &Frame::Ask(Ask::Took(id, places.to_vec())));
            }
        }
    }

    /// What came out of one box, or out of all together.
    fn taken(&mut self, peer: TransportKey, from: Option<BoxId>) -> &mut Taken {
        let now = self.now;
        let is_old = |taken: &Taken| now.since(taken.since) >= COUNTED || now < taken.since;
        let fresh = Taken { since: now, all: 0, useless: 0 };
        if self.mem.mail.taken.get(&(peer, from)).is_some_and(is_old) {
            self.mem.mail.taken.retain(|_, taken| !is_old(taken));
        }
        self.mem.mail.taken.entry((peer, from)).or_insert(fresh)
    }

    /// A log that a member fills with what nobody can open must not keep one's own mail away: it has a share of what a
    /// mailbox may give.
    fn gave_too_much(&mut self, peer: TransportKey, id: BoxId) -> bool {
        let is_over = |taken: &Taken, shares: u32| {
            taken.all >= shares * MAX_MAIL_PER_HOUR || taken.useless >= shares * MAX_USELESS_PER_HOUR
        };
        is_over(self.taken(peer, Some(id)), 1) || is_over(self.taken(peer, None), SHARES)
    }

    /// Counts a thing that a mailbox gave, out of this box if it was asked for.
    pub(super) fn count_mail(&mut self, peer: TransportKey, from: Option<BoxId>, of: Use) {
        let of_its_box = from.map(|id| (Some(id), 1));
        for (from, shares) in [(None, SHARES)].into_iter().chain(of_its_box) {
            let taken = self.taken(peer, from);
            taken.all = taken.all.saturating_add(1);
            taken.useless = taken.useless.saturating_add(u32::from(of == Use::None));
            let (all, useless) = (taken.all, taken.useless);
            let no_use = useless == shares * MAX_USELESS_PER_HOUR && of == Use::None;
            if all == shares * MAX_MAIL_PER_HOUR || no_use {
                self.notice(Effect::Notice(peer, Notice::MailboxLeftAlone { all, useless }));
            }
        }
    }
}

/// Whether something that a mailbox gave was of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Some,
    None,
}
