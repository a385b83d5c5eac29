//! A mailbox that an older store was put back at has lost what was left there since.
//!
//! It says so to whoever connects, for as long as such a thing would have been kept. What was left there before is left
//! again, and until then is not said to be there. Nobody has to believe more than that: what lies there is kept once.

use super::{
    rows::{DeviceRow, EventRow, LeftAt, OutboxRow, Posted, Row, parse},
    turn::{Step, Turn},
};
use crate::protocol::{
    ids::{ChatId, DeviceId, TransportKey},
    time::{Millis, minutes},
    view::{Direction, View},
    wire::{
        limits::{MAIL_KEPT, MAX_POSTS},
        mailbox::Say,
    },
};
use std::time::Duration;

/// Two clocks may be so far apart.
const CLOCKS: Duration = minutes(10);
/// How often one mailbox may say it: all that is left there is looked through.
const HEARD_EVERY: Duration = minutes(1);

impl Turn<'_> {
    /// Tells a peer that has just connected since when what it left here may be gone.
    pub(super) fn tell_what_was_lost(&mut self, peer: TransportKey) -> Step {
        let put_back = self.own()?.rolled_back.filter(|at| self.now.since(*at) < MAIL_KEPT);
        let Some(at) = put_back.filter(|_| self.mem.online) else { return Ok(()) };
        if self.serving()?.on {
            self.answer_mail(peer, Say::PutBack(at));
        }
        Ok(())
    }

    /// "What was left here before this time may be gone."
    pub(super) fn mailbox_lost(&mut self, node: TransportKey, at: Millis) -> Step {
        let now = self.now;
        self.mem.mail.put_back_heard.retain(|_, heard| now.since(*heard) < HEARD_EVERY);
        if self.mem.mail.put_back_heard.contains_key(&node) {
            return Ok(());
        }
        self.mem.mail.put_back_heard.insert(node, now);
        let before = at.plus(CLOCKS);
        let groups = self.groups_at(node);
        for device in self.sound::<DeviceRow>(b"")? {
            // Keys for who names no mailbox lie in a log.
            let has_keys = device.boxes().is_empty() && device.groups.iter().any(|group| groups.contains(group));
            let has_box = device.boxes().iter().any(|mailbox| mailbox.node == node);
            if (has_box || has_keys) && self.unleave(device.device, node, before)? {
                self.rewind_mail(device.device);
                self.leave_mail_soon(&device, Duration::ZERO);
            }
        }
        self.unpost(node, before)
    }

    /// Forgets that copies for a device lie there. Whether any did.
    fn unleave(&mut self, device: DeviceId, node: TransportKey, before: Millis) -> Step<bool> {
        let is_gone = |left: &LeftAt| left.node == node && left.at <= before;
        let mut any = false;
        for (place, bytes) in self.scan(OutboxRow::TABLE, device.as_ref(), None, Direction::Forward, usize::MAX)? {
            let Ok(place) = place.try_into().map(u64::from_be_bytes) else { continue };
            let mut row: OutboxRow = parse(&bytes)?;
            if !row.left.iter().flatten().any(is_gone) {
                continue;
            }
            // It may have been read from there all the same.
            row.was_left = true;
            row.left.iter_mut().for_each(|left| left.retain(|left| !is_gone(left)));
            self.put(OutboxRow::key(device, place), &row);
            any = true;
        }
        Ok(any)
    }

    /// The same of what was said in groups whose log it keeps.
    fn unpost(&mut self, node: TransportKey, before: Millis) -> Step {
        for group in self.groups_at(node) {
            self.leave_keys_soon(group)?;
            for author in self.own()?.authors() {
                let written = self.written_by(ChatId::from(group), author)?;
                for (_, id) in written.iter().rev().take(MAX_POSTS) {
                    let Some(event) = self.event(*id)?.filter(|event| event.kept.is_some_and(|at| at <= before)) else {
                        continue;
                    };
                    self.put(EventRow::key(*id), &EventRow { kept: None, ..event });
                    self.post_to_group(group, Posted::Event(*id), Vec::new())?;
                }
            }
        }
        Ok(())
    }
}
