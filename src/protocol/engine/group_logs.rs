//! The logs of one's groups at the mailboxes that they name: opened where there is none, read by a cursor.
//!
//! A mailbox is not believed: a frame that does not open is nothing, and what one holds proves itself as if it had come by
//! gossip. The cursor is kept with what it has passed, in one commit. Where something found no room here, or is in memory
//! alone, the cursor stays, and the log is read on from there once what was lacking has come.

use super::{
    Timer,
    mailbox_mail::Use,
    rows::{CursorRow, GroupRow, LateInLogs, MailboxRow, MailboxState},
    turn::{Step, Turn},
};
use crate::protocol::{
    group::{FrameContent, GossipKeys, SignedOp},
    identity::bundle::BoxId,
    ids::{AccountId, OpId, TransportKey},
    wire::{
        frame::Frame,
        limits::{MAIL_KEPT, MAX_LATE},
        mailbox::Ask,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The wait before a log is read that has more: somebody may still be writing…
const READ_AFTER: Duration = Duration::from_secs(2);
/// …and where members are connected, from whom it comes by itself.
const READ_BEHIND_GOSSIP_AFTER: Duration = Duration::from_secs(15);

/// The logs that are read. May be lost.
#[derive(Debug, Default)]
pub(super) struct Logs {
    of_groups: BTreeMap<OpId, BTreeSet<At>>,
    logs: BTreeMap<At, Log>,
    /// Those that have more.
    waiting: BTreeSet<At>,
    timed: bool,
    /// The one that a frame comes out of just now.
    reading: Option<At>,
}

/// A log, by mailbox and id.
type At = (TransportKey, BoxId);

#[derive(Debug)]
struct Log {
    group: OpId,
    /// The rotation whose secret it is of.
    op: OpId,
    /// How far it was read in this run; from the kept cursor where that is not known.
    read: Option<u64>,
    /// Whether something on the way there is to be read again.
    missed: bool,
}

impl Turn<'_> {
    /// Which logs are read follows from the group's mailboxes and secrets.
    pub(super) fn follow_logs(&mut self, group: OpId) -> Step {
        let memory = self.group(group)?;
        let mut now = BTreeMap::new();
        for mailbox in &memory.membership.meta.mailboxes {
            for held in &memory.secrets {
                now.insert((mailbox.node, GossipKeys::derive(&held.secret).mailbox()), held.op);
            }
        }
        let before = self.mem.logs.of_groups.insert(group, now.keys().copied().collect()).unwrap_or_default();
        for gone in before.iter().filter(|at| !now.contains_key(at)) {
            self.mem.logs.logs.remove(gone);
            self.delete(CursorRow::key(gone.0, gone.1));
        }
        let new: Vec<At> = now.keys().filter(|at| !before.contains(at)).copied().collect();
        self.read_late_in(group, &new)?;
        let mut nodes = BTreeSet::new();
        for (at, op) in now {
            if !before.contains(&at) {
                self.mem.logs.logs.insert(at, Log { group, op, read: None, missed: false });
                nodes.insert(at.0);
            }
        }
        for mailbox in memory.membership.meta.mailboxes.iter().filter(|mailbox| nodes.contains(&mailbox.node)) {
            if self.is_there(mailbox.node) {
                self.look_into_logs(mailbox.node)?;
            } else {
                self.reach(mailbox.node, mailbox.addresses.iter().map(ToString::to_string).collect());
            }
            self.set_mailbox_timer();
        }
        Ok(())
    }

    /// The group is over for this device.
    pub(super) fn unfollow_logs(&mut self, group: OpId) -> Step {
        for (node, id) in self.mem.logs.of_groups.remove(&group).unwrap_or_default() {
            self.mem.logs.logs.remove(&(node, id));
            self.delete(CursorRow::key(node, id));
            self.forget_mailbox(node)?;
        }
        Ok(())
    }

    /// Opens and reads the logs at a mailbox that is there.
    pub(super) fn look_into_logs(&mut self, node: TransportKey) -> Step {
        let opens = self.may_have_logs_at(node)?;
        for (at, group, op) in self.logs_at(node) {
            let memory = self.group(group)?;
            if opens && self.secret_in_force(&memory).is_some_and(|held| held.op == op) {
                self.mem.mail.opening.insert(at);
                self.ask_mailbox(node, Ask::Keep(at.1));
            }
            self.fetch(node, at.1)?;
        }
        Ok(())
    }

    /// Every mailbox of a group that is there is looked into.
    pub(super) fn look_into_all_logs(&mut self) -> Step {
        let nodes: BTreeSet<TransportKey> = self.mem.logs.logs.keys().map(|(node, _)| *node).collect();
        for node in nodes {
            if self.is_there(node) {
                self.look_into_logs(node)?;
            }
        }
        Ok(())
    }

    fn logs_at(&self, node: TransportKey) -> Vec<(At, OpId, OpId)> {
        let of_node = self.mem.logs.logs.range((node, BoxId([0; 16]))..=(node, BoxId([255; 16])));
        of_node.map(|(at, log)| (*at, log.group, log.op)).collect()
    }

    /// The groups whose logs a node keeps.
    pub(super) fn groups_at(&self, node: TransportKey) -> BTreeSet<OpId> {
        self.logs_at(node).into_iter().map(|(_, group, _)| group).collect()
    }

    /// Whether there is any log to read.
    pub(super) fn has_logs(&self) -> bool {
        !self.mem.logs.logs.is_empty()
    }

    /// Whether a node keeps a log of a group.
    pub(super) fn keeps_logs(&self, node: TransportKey) -> bool {
        !self.logs_at(node).is_empty()
    }

    /// The group whose log this is.
    pub(super) fn log_group(&self, node: TransportKey, id: BoxId) -> Option<OpId> {
        self.mem.logs.logs.get(&(node, id)).map(|log| log.group)
    }

    /// Whether the node is this one, keeps a box of this device, or is a contact's.
    fn may_have_logs_at(&self, node: TransportKey) -> Step<bool> {
        if self.mem.mail.own == Some(node) {
            return Ok(self.serving()?.on);
        }
        let own: Option<MailboxRow> = self.mailbox(node)?;
        if own.is_some_and(|row| row.state == MailboxState::Active) {
            return Ok(true);
        }
        match self.device_of(node)? {
            Some(device) => self.is_friend(device.account),
            None => Ok(false),
        }
    }

    /// A log was opened, or was there: what waited for that is left in it.
    pub(super) fn log_opened(&mut self, node: TransportKey, id: BoxId) -> Step {
        let Some(group) = self.log_group(node, id) else { return Ok(()) };
        self.mem.mail.resting.remove(&(node, id));
        self.resume_posts(group)
    }

    /// A mailbox says that a log has more.
    pub(super) fn log_grew(&mut self, node: TransportKey, id: BoxId) {
        let Some(group) = self.log_group(node, id) else { return };
        self.mem.logs.waiting.insert((node, id));
        if std::mem::replace(&mut self.mem.logs.timed, true) {
            return;
        }
        let members = self.mem.groups.get(&group).map(|memory| &memory.membership);
        let mut there = self.mem.peers.values().flatten();
        let gossips = members.is_some_and(|members| there.any(|device| members.owner(device).is_some()));
        let wait = if gossips { READ_BEHIND_GOSSIP_AFTER } else { READ_AFTER };
        self.mem.timers.insert((self.now.plus(wait), Timer::Logs));
    }

    /// The timer for logs that have more.
    pub(super) fn logs_due(&mut self) -> Step {
        self.mem.logs.timed = false;
        for (node, id) in std::mem::take(&mut self.mem.logs.waiting) {
            if self.is_there(node) && self.mem.logs.logs.contains_key(&(node, id)) {
                self.fetch(node, id)?;
            }
        }
        Ok(())
    }

    /// Something came that was lacking before: logs in which something was missed are read again from there.
    pub(super) fn read_logs_again(&mut self, group: OpId) {
        let ats = self.mem.logs.of_groups.get(&group).cloned().unwrap_or_default();
        for at in ats {
            if let Some(log) = self.mem.logs.logs.get_mut(&at).filter(|log| log.missed) {
                log.read = None;
                self.log_grew(at.0, at.1);
            }
        }
    }

    /// A mailbox went: its logs are read on from the kept cursors.
    pub(super) fn logs_went(&mut self, node: TransportKey) {
        let of_node = self.mem.logs.logs.range_mut((node, BoxId([0; 16]))..=(node, BoxId([255; 16])));
        of_node.for_each(|(_, log)| log.read = None);
    }

    /// Behind which place a box is fetched: of a log, what is not read yet; of one's own box, all that is in it.
    pub(super) fn fetched_from(&mut self, node: TransportKey, id: BoxId) -> Step<u64> {
        let kept = self.read::<CursorRow>(&CursorRow::key(node, id))?.map_or(0, |CursorRow(place)| place);
        let Some(log) = self.mem.logs.logs.get_mut(&(node, id)) else { return Ok(0) };
        log.missed &= log.read.is_some();
        Ok(*log.read.get_or_insert(kept))
    }

    /// A frame out of a log.
    pub(super) fn frame_came(&mut self, node: TransportKey, id: BoxId, place: u64, frame: &[u8]) -> Step {
        if !self.is_fetched(node, id, place) {
            return Ok(());
        }
        let Some(Log { group, op, .. }) = self.mem.logs.logs.get(&(node, id)) else { return Ok(()) };
        let (group, op) = (*group, *op);
        let memory = self.group(group)?;
        let held = memory.secrets.iter().find(|held| held.op == op);
        let content = held.and_then(|held| GossipKeys::derive(&held.secret).open(frame));
        drop(memory);
        self.count_mail(node, Some(id), if content.is_some() { Use::Some } else { Use::None });
        let settled = match content {
            Some(FrameContent::Event(bytes)) => self.logged_event(group, (node, id), &bytes)?,
            Some(FrameContent::Op(bytes)) => self.logged_op(group, &bytes)?,
            Some(FrameContent::Name(event, key)) => self.logged_name(group, event, key)?,
            Some(FrameContent::Mail(to, wire)) => self.logged_mail(to, &wire)?,
            Some(FrameContent::Bundle(_) | FrameContent::Unheard) | None => true,
        };
        let Some(log) = self.mem.logs.logs.get_mut(&(node, id)) else { return Ok(()) };
        log.read = Some(place);
        log.missed |= !settled;
        if !log.missed {
            self.put(CursorRow::key(node, id), &CursorRow(place));
        }
        Ok(())
    }

    /// Another device took the place of a member's. What it had left in the group's logs is heard until each was read to its
    /// end, as mail of such a device is ([`late`](super::late)).
    pub(super) fn read_logs_for(&mut self, group: OpId, account: AccountId) -> Step {
        let unread: Vec<At> = self.mem.logs.of_groups.get(&group).into_iter().flatten().copied().collect();
        let Some(mut row) = self.read::<GroupRow>(&GroupRow::key(group))?.filter(|_| !unread.is_empty()) else {
            return Ok(());
        };
        let now = self.now;
        row.late.retain(|late| late.account != account && now.since(late.since) < MAIL_KEPT);
        row.late.push(LateInLogs { account, since: now, unread });
        let too_many = row.late.len().saturating_sub(MAX_LATE);
        row.late.drain(..too_many);
        self.put(GroupRow::key(group), &row);
        Ok(())
    }

    /// Logs that were not known: a device that is gone may have made them, and left something there.
    fn read_late_in(&mut self, group: OpId, logs: &[At]) -> Step {
        let Some(mut row) = self.read::<GroupRow>(&GroupRow::key(group))?.filter(|row| !row.late.is_empty()) else {
            return Ok(());
        };
        for late in &mut row.late {
            let new = logs.iter().filter(|at| !late.unread.contains(at)).copied().collect::<Vec<_>>();
            late.unread.extend(new);
        }
        self.put(GroupRow::key(group), &row);
        Ok(())
    }

    /// A log was read to its end.
    pub(super) fn log_was_read(&mut self, node: TransportKey, id: BoxId) -> Step {
        let Some(log) = self.mem.logs.logs.get(&(node, id)).filter(|log| !log.missed) else { return Ok(()) };
        let group = log.group;
        let Some(mut row) = self.read::<GroupRow>(&GroupRow::key(group))?.filter(|row| !row.late.is_empty()) else {
            return Ok(());
        };
        let logs = self.mem.logs.of_groups.get(&group).cloned().unwrap_or_default();
        for late in &mut row.late {
            late.unread.retain(|at| *at != (node, id) && logs.contains(at));
        }
        row.late.retain(|late| !late.unread.is_empty());
        self.put(GroupRow::key(group), &row);
        Ok(())
    }

    /// Whether what comes out of a log just now is still heard of this member's devices that are gone.
    pub(super) fn is_read_late(&self, group: OpId, account: AccountId) -> Step<bool> {
        let Some(at) = self.mem.logs.reading else { return Ok(false) };
        let row = self.read::<GroupRow>(&GroupRow::key(group))?;
        let is_its = |late: &LateInLogs| {
            late.account == account && late.unread.contains(&at) && self.now.since(late.since) < MAIL_KEPT
        };
        Ok(row.is_some_and(|row| row.late.iter().any(is_its)))
    }

    /// Whether nothing of it was dropped for want of room.
    fn logged_event(&mut self, group: OpId, log: At, bytes: &[u8]) -> Step<bool> {
        self.no_room = false;
        self.mem.logs.reading = Some(log);
        let came = self.group_event_came(group, bytes);
        self.mem.logs.reading = None;
        came?;
        Ok(!self.no_room)
    }

    /// Whether it is in the graph, or never will be.
    fn logged_op(&mut self, group: OpId, bytes: &[u8]) -> Step<bool> {
        let Ok(op) = SignedOp::parse(bytes) else { return Ok(true) };
        self.gossiped_op(group, bytes)?;
        let waits =
            self.mem.ops_aside.get(&group).is_some_and(|aside| aside.iter().any(|(_, held)| held.id() == op.id()));
        Ok(!waits)
    }

    /// Asks a mailbox for something, which may be this node itself.
    pub(super) fn ask_mailbox(&mut self, node: TransportKey, ask: Ask) {
        if self.mem.mail.own == Some(node) {
            self.to_self.push_back(Frame::Ask(ask));
        } else {
            self.send(node, &Frame::Ask(ask));
        }
    }

    /// Whether a mailbox can be asked now.
    pub(super) fn is_there(&self, node: TransportKey) -> bool {
        self.mem.peers.contains_key(&node) || self.mem.mail.own == Some(node)
    }
}
