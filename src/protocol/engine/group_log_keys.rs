//! Keys of a group for members who name no mailbox: they lie in the group's logs, as mail in a frame.
//!
//! What is said lies there too, and without them it could not be read there: a newcomer has the chains of those alone whom
//! it met, and after a removal everything is said under new keys. A key goes into the logs of those secrets that the device
//! holds, as far as that is known here; who was removed and holds them as well sees for which device an envelope is, and no
//! more. In the outbox it stays until the device confirms it, as all else does.

use super::{
    GroupMemory,
    mailbox_send::LeftWhat,
    outbox::Sealing,
    rows::{DeviceRow, MemberRow, OutboxRow, Row, parse},
    sessions::Hearing,
    turn::{Step, Turn},
};
use crate::protocol::{
    group::{FrameContent, GossipKeys},
    identity::bundle::{BoxId, MailboxBox},
    ids::{DeviceId, OpId, TransportKey},
    view::{Direction, View},
    wire::{
        limits::MAX_DEPOSITS_UNDER_WAY,
        mailbox::{BlobId, blob_id},
    },
};

/// Logs that a key is left in, the newest that the device can read: of the newest it may lack the secret.
const MOST_LOGS: usize = 2;
/// Devices of one group for which keys are left at a time: a start is 16 KiB, and a log has room for what is said.
const MOST_DEVICES: usize = 64;

impl Turn<'_> {
    /// Leaves keys that wait for devices which are away and name no mailbox. Whether any is not durable there yet.
    pub(super) fn leave_keys(&mut self, group: OpId, memory: &GroupMemory) -> Step<bool> {
        if memory.membership.meta.mailboxes.is_empty() {
            return Ok(false);
        }
        let own = self.own()?.account;
        let (mut waits, mut devices) = (false, 0);
        for (account, member) in memory.membership.members.iter().filter(|(account, _)| **account != own) {
            for device in &member.devices {
                let Some(mut row) = self.read::<DeviceRow>(&DeviceRow::key(*device))? else { continue };
                if !row.boxes().is_empty() || self.mem.peers.contains_key(&row.transport) {
                    continue;
                }
                let places = self.key_places(group, *device)?;
                devices += usize::from(!places.is_empty());
                if devices > MOST_DEVICES {
                    return Ok(waits);
                }
                for place in places {
                    let known = self.read::<MemberRow>(&MemberRow::key(group, *account))?;
                    let logs = known.map(|known| read_by(memory, &known, *device)).unwrap_or_default();
                    waits |= self.leave_key(group, memory, &mut row, place, &logs)?;
                }
            }
        }
        Ok(waits)
    }

    /// Where in a device's outbox keys of a group wait.
    fn key_places(&self, group: OpId, device: DeviceId) -> Step<Vec<u64>> {
        let mut places = Vec::new();
        for (place, bytes) in self.scan(OutboxRow::TABLE, device.as_ref(), None, Direction::Forward, usize::MAX)? {
            let Ok(place) = place.try_into().map(u64::from_be_bytes) else { continue };
            if parse::<OutboxRow>(&bytes)?.is_key_of(group) {
                places.push(place);
            }
        }
        Ok(places)
    }

    fn leave_key(
        &mut self,
        group: OpId,
        memory: &GroupMemory,
        device: &mut DeviceRow,
        place: u64,
        logs: &[GossipKeys],
    ) -> Step<bool> {
        if logs.is_empty() {
            return Ok(false);
        }
        let what = LeftWhat::Key(group, device.device, place);
        let mut waits = false;
        for mailbox in &memory.membership.meta.mailboxes {
            let Some(row) = self.read::<OutboxRow>(&OutboxRow::key(device.device, place))? else { return Ok(waits) };
            let at = |keys: &GossipKeys| MailboxBox {
                node: mailbox.node,
                id: keys.mailbox(),
                addresses: mailbox.addresses.clone(),
            };
            if logs.iter().any(|keys| row.is_left_at(&at(keys), self.now)) {
                continue;
            }
            waits = true;
            if !self.is_there(mailbox.node) {
                if let Some(keys) = logs.first() {
                    self.seek_mailbox(&at(keys));
                }
                continue;
            }
            if self.is_under_way(mailbox.node, what) || self.under_way_to(mailbox.node) >= MAX_DEPOSITS_UNDER_WAY {
                continue;
            }
            let Sealing::Sealed(sealed) = self.sealed_parcel(device, place, row)? else { return Ok(waits) };
            let mail = FrameContent::Mail(device.device, sealed.wire);
            for keys in logs {
                if !self.rests(mailbox.node, keys.mailbox())
                    && let Ok(frame) = keys.seal_for_log(&mail)
                {
                    self.leave(&at(keys), what, frame);
                }
            }
        }
        Ok(waits)
    }

    /// A key is durable in a log.
    pub(super) fn note_key_left(
        &mut self,
        (device, place): (DeviceId, u64),
        group: OpId,
        (node, id, name): (TransportKey, BoxId, BlobId),
    ) -> Step {
        let key = OutboxRow::key(device, place);
        let Some(mut row) = self.read::<OutboxRow>(&key)? else { return Ok(()) };
        let memory = self.group(group)?;
        let log = memory.secrets.iter().map(|held| GossipKeys::derive(&held.secret)).find(|keys| keys.mailbox() == id);
        let (Some(log), Some(sealed)) = (log, &row.sealed) else { return Ok(()) };
        let frame = log.seal_for_log(&FrameContent::Mail(device, sealed.wire.clone()));
        // It may have been sealed anew since.
        if frame.is_ok_and(|frame| blob_id(&frame) == name) {
            row.note_left(node, id, self.now);
            self.put(key, &row);
        }
        Ok(())
    }

    /// An envelope out of a log. Whether it need not be read again.
    pub(super) fn logged_mail(&mut self, to: DeviceId, wire: &[u8]) -> Step<bool> {
        if to != self.own()?.device {
            return Ok(true);
        }
        match self.hear(None, wire)? {
            // Who is blocked may say it again later.
            Hearing::Shut => Ok(true),
            hearing => self.settle_hearing(hearing),
        }
    }
}

/// The logs that a device can read, as far as is known: of the secrets whose ops it named, or had when it was added.
fn read_by(memory: &GroupMemory, member: &MemberRow, device: DeviceId) -> Vec<GossipKeys> {
    let named = member.heads.iter().filter(|(of, _)| *of == device).flat_map(|(_, heads)| heads.iter().copied());
    let known: Vec<OpId> = named.chain(member.joined).filter(|op| memory.graph.contains(op)).collect();
    let counts = |op: &OpId| memory.membership.rotations.iter().any(|rotation| rotation.op == *op);
    let mut held: Vec<_> =
        memory.secrets.iter().filter(|held| counts(&held.op) && memory.graph.within(&held.op, &known)).collect();
    // What another of them is behind is the older one.
    held.sort_by_key(|held| held_before(memory, &held.op));
    held.into_iter().rev().take(MOST_LOGS).map(|held| GossipKeys::derive(&held.secret)).collect()
}

fn held_before(memory: &GroupMemory, op: &OpId) -> usize {
    memory.secrets.iter().filter(|other| memory.graph.within(&other.op, &[*op])).count()
}
