//! A store is put back under the keys of now: the present one, or a copy of before.
//!
//! What was written or received after the copy went with the store, as where a device is lost; but the device stays the
//! same, and what it tells from then on must not pass for what it told before.

use super::world::World;
use crate::{
    protocol::{
        engine::rows::{
            self, ContactRow, ContactState, DeviceRow, EventRow, GroupRow, GroupState, HeldRow, MailboxRow, OpRow,
            OwnRow, TicketRow,
        },
        group::SignedOp,
        identity::bundle::BoxId,
        ids::AccountId,
        wire::encode,
    },
    store::MemoryStore,
};

/// What only others would tell a device again if it went with its store: a copy that differs in it is not put back.
#[derive(PartialEq)]
struct Standing {
    name: Option<String>,
    contacts: Vec<Met>,
    links: Vec<BoxId>,
    /// How many mailboxes it has.
    mailboxes: usize,
    /// Where mail may be left for others.
    boxes: Vec<Option<Vec<BoxId>>>,
    group: Option<(GroupState, Vec<AccountId>, usize)>,
}

/// A contact: what it is, and of one that is none yet what a session with it begins under.
type Met = (AccountId, ContactState, bool, Option<(Option<BoxId>, Vec<Vec<u8>>)>);

fn met(row: ContactRow) -> Met {
    let way = || (row.ticket.as_ref().map(|inv| inv.ticket_box()), row.intros.iter().map(encode).collect());
    let is_met = row.state == ContactState::Connected && row.ticket.is_none();
    (row.account, row.state, row.blocked, (!is_met).then(way))
}

impl World {
    /// A store is put back without the secrets that only older keys open.
    pub(super) fn put_store_back(&mut self, who: usize) {
        let now = self.devices[who].store.clone();
        // A mailbox would lose what was left at it, and those who left it there would not know.
        let (is_older, is_person) = (self.chance.permille(500), who < self.mailboxes.people);
        let copy = self.devices[who]
            .copy
            .take()
            .filter(|copy| is_older && is_person && self.standing(who, copy) == self.standing(who, &now));
        self.devices[who].store.roll_back(copy.as_ref().unwrap_or(&now));
        if copy.is_none() {
            return self.note(who, format_args!("loses its secrets"));
        }
        self.note(who, format_args!("has an older store put back"));
        self.losses.note_put_back(who);
        self.note_what_went(who, &now);
    }

    /// Perhaps a copy is made of a store.
    pub(super) fn copy_store(&mut self, who: usize) {
        if self.chance.permille(400) {
            self.devices[who].copy = Some(self.devices[who].store.clone());
            self.note(who, format_args!("has a copy made of its store"));
        }
    }

    fn standing(&self, who: usize, store: &MemoryStore) -> Standing {
        let own: Option<OwnRow> = rows::read(store, &OwnRow::key()).ok().flatten();
        let group = self.group.and_then(|group| rows::read(store, &GroupRow::key(group)).ok().flatten());
        let links: Vec<TicketRow> = rows::all(store, b"").unwrap_or_default();
        let devices: Vec<DeviceRow> = rows::all(store, b"").unwrap_or_default();
        let own_ops = |group| {
            let ops: Vec<OpRow> = rows::all(store, group).unwrap_or_default();
            let by_own = |op: &OpRow| SignedOp::parse(&op.bytes).is_ok_and(|op| op.device == self.devices[who].device);
            ops.into_iter().filter(by_own).count()
        };
        Standing {
            name: own.map(|own| own.name),
            contacts: rows::all(store, b"").unwrap_or_default().into_iter().map(met).collect(),
            mailboxes: rows::all::<MailboxRow>(store, MailboxRow::SCOPE).unwrap_or_default().len(),
            boxes: devices.iter().map(|row| Some(row.boxes.as_ref()?.iter().map(|of| of.id).collect())).collect(),
            links: links.into_iter().map(|row| row.inv.ticket_box()).collect(),
            group: group.map(|row: GroupRow| (row.state, row.invited, own_ops(row.group))),
        }
    }

    /// Notes the messages that were in a store and are not in the one that took its place.
    pub(super) fn note_what_went(&mut self, who: usize, had: &MemoryStore) {
        for id in self.ledger.written.keys() {
            let was_there: Option<EventRow> = rows::read(had, &EventRow::key(*id)).ok().flatten();
            let was_held = self.group.is_some_and(|group| {
                rows::read::<HeldRow>(had, &HeldRow::key(group, *id)).is_ok_and(|row| row.is_some())
            });
            if was_held {
                self.losses.held.insert(*id);
            }
            if let Some(event) = was_there.filter(|_| self.event(who, *id).is_none()) {
                let went = if event.own { &mut self.losses.unkept } else { &mut self.losses.held };
                went.insert(*id);
            }
        }
    }
}
