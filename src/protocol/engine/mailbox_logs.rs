//! This node as a mailbox of groups: logs of sealed frames, for whoever knows their id.
//!
//! The id comes from a group's gossip secret, so that only members name it; it is all the mailbox goes by. Nobody takes
//! anything out of a log: what is in it ends by its time alone, so no member can hide something from another. Who opens one
//! needs what the owner of a box needs, and the log counts as that device's.

use super::{
    rows::{BoxRight, BoxRow, OpenedLogRow, OwnedBoxRow, ServingRow, all},
    turn::{Step, Turn},
};
use crate::protocol::{
    delivery::mailbox::Kept,
    identity::bundle::BoxId,
    ids::TransportKey,
    wire::{
        limits::{MAX_LOG_READERS, MAX_LOGS, MAX_LOGS_PER_OPENER},
        mailbox::{Say, Verdict},
    },
};

impl Turn<'_> {
    /// "Keep a log under this id."
    pub(super) fn keep_log(&mut self, peer: TransportKey, id: BoxId) -> Step<Verdict> {
        let mut serving = self.serving()?;
        if !serving.on {
            return Ok(Verdict::NotServing);
        }
        if let Some(row) = self.box_row(id)? {
            return Ok(if row.right == BoxRight::Log { Verdict::Done } else { Verdict::NotAllowed });
        }
        if !self.may_open_log(peer)? {
            return Ok(Verdict::NotAllowed);
        }
        if all::<OpenedLogRow>(self, OpenedLogRow::scope(peer))?.len() >= MAX_LOGS_PER_OPENER {
            return Ok(Verdict::TooMany);
        }
        if serving.logs >= MAX_LOGS {
            return Ok(Verdict::Full);
        }
        serving.logs += 1;
        self.put(ServingRow::key(), &serving);
        self.put(OpenedLogRow::key(peer, id), &OpenedLogRow(id));
        // Places begin with the time: should this store be lost and the log opened anew, its readers are not ahead of it.
        let (right, kept, last, seen) = (BoxRight::Log, Kept::default(), self.now.0, self.now);
        self.put(BoxRow::key(id), &BoxRow { id, owner: peer, right, until: None, kept, last, seen });
        Ok(Verdict::Done)
    }

    /// A contact, one that has a box here, or this node itself.
    fn may_open_log(&self, peer: TransportKey) -> Step<bool> {
        if self.mem.mail.own == Some(peer) {
            return Ok(true);
        }
        if let Some(device) = self.device_of(peer)?
            && self.is_friend(device.account)?
        {
            return Ok(true);
        }
        for OwnedBoxRow(id) in all::<OwnedBoxRow>(self, OwnedBoxRow::scope(peer))? {
            if self.box_row(id)?.is_some_and(|row| matches!(row.right, BoxRight::Contact(_) | BoxRight::Link)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A peer reads a log: when more comes, it is told once.
    pub(super) fn note_reader(&mut self, id: BoxId, peer: TransportKey) {
        let readers = self.mem.mail.readers.entry(id).or_default();
        if readers.len() < MAX_LOG_READERS {
            readers.insert(peer);
        }
    }

    /// More is in a log: who read it and is still here is told, but not who left it.
    pub(super) fn tell_readers(&mut self, id: BoxId, from: TransportKey) {
        let readers = self.mem.mail.readers.remove(&id).unwrap_or_default();
        for peer in readers {
            if peer == from {
                self.note_reader(id, peer);
            } else if self.mem.peers.contains_key(&peer) || self.mem.mail.own == Some(peer) {
                self.answer_mail(peer, Say::Waiting(id));
            }
        }
    }
}
