//! Whether a message lies in a mailbox for somebody who can read it there.

use crate::protocol::{
    engine::rows::{self, EventRow, MemberRow, OutboxRow},
    ids::{AccountId, DeviceId, OpId},
    view::{Direction, Table, View, ViewError},
};
use std::{cell::RefCell, collections::BTreeMap};

/// Whether a message lies in a mailbox of a device it is for, or of its group. No mailbox keeps it for ever: one that is
/// not reached to leave it again may have it no more.
pub(super) fn is_in_mailbox(view: &dyn View, event: &EventRow) -> Result<bool, ViewError> {
    let now = crate::node::now();
    if event.is_in_mailbox(now) {
        return Ok(true);
    }
    for (device, place) in &event.outbox {
        let row: Option<OutboxRow> = rows::read(view, &OutboxRow::key(*device, *place))?;
        if row.is_some_and(|row| row.is_in_mailbox(now)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Which members of a group are still to get a key of it from here, that no mailbox has for them: what the group's own
/// mailbox keeps is of no use to them before. Looked up once, when it is asked for.
pub(super) struct Keys {
    group: Option<OpId>,
    devices: BTreeMap<AccountId, Vec<DeviceId>>,
    missing: RefCell<BTreeMap<AccountId, bool>>,
}

impl Keys {
    pub(super) fn of(group: Option<OpId>, members: &[MemberRow]) -> Self {
        let devices = members.iter().map(|member| (member.account, member.devices.clone())).collect();
        Self { group, devices, missing: RefCell::default() }
    }

    pub(super) fn are_missing_to(&self, view: &dyn View, account: AccountId) -> Result<bool, ViewError> {
        let Some(group) = self.group else { return Ok(false) };
        if let Some(known) = self.missing.borrow().get(&account) {
            return Ok(*known);
        }
        let (now, mut missing) = (crate::node::now(), false);
        for device in self.devices.get(&account).into_iter().flatten() {
            let rows = view.scan_each(Table::Outbox, device.as_ref(), None, Direction::Forward, usize::MAX)?;
            let mut rows = rows.into_iter().filter_map(|(_, bytes)| rows::parse::<OutboxRow>(&bytes?).ok());
            missing |= rows.any(|row| row.is_key_of(group) && !row.is_in_mailbox(now));
        }
        self.missing.borrow_mut().insert(account, missing);
        Ok(missing)
    }
}
