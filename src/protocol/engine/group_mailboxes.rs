//! Which mailboxes keep a group's log: named by an admin, for all.

use super::{
    command::{Refusal, Reply},
    group_ops::{member_devices, ops_records},
    groups::is_admin,
    rows::MailboxState,
    turn::{Answer, Step, Turn},
};
use crate::protocol::{
    group::{Action, GroupMailbox, Meta},
    ids::{AccountId, OpId},
    wire::limits::{MAX_GROUP_MAILBOXES, MAX_MAILBOX_ADDRESSES},
};

impl Turn<'_> {
    /// Has a group's log kept by a mailbox of this device, or by this node itself.
    pub(super) fn name_group_mailbox(&mut self, group: OpId, account: AccountId) -> Answer {
        let mut meta = self.meta_to_change(group)?;
        let named = self.nameable(account)?;
        if meta.mailboxes.iter().any(|mailbox| mailbox.node == named.node) {
            return Ok(Reply::Group(group));
        }
        if meta.mailboxes.len() >= MAX_GROUP_MAILBOXES {
            return Err(Refusal::TooManyGroupMailboxes { max: MAX_GROUP_MAILBOXES }.into());
        }
        meta.mailboxes.push(named);
        let reply = self.change_meta(group, meta)?;
        self.tell_where_log_is(group)?;
        Ok(reply)
    }

    /// The newest op goes to every member's outbox: it names the log, so who is away cannot have it from there.
    fn tell_where_log_is(&mut self, group: OpId) -> Step {
        let own = self.own()?.device;
        let memory = self.group(group)?;
        let records = ops_records(group, memory.newest_ops());
        for device in member_devices(&memory.membership).filter(|device| *device != own) {
            for record in &records {
                self.post(device, record)?;
            }
        }
        Ok(())
    }

    /// Has it kept there no more. What lies there is read until its time is over.
    pub(super) fn drop_group_mailbox(&mut self, group: OpId, account: AccountId) -> Answer {
        let mut meta = self.meta_to_change(group)?;
        let before = meta.mailboxes.len();
        meta.mailboxes.retain(|mailbox| mailbox.account != account);
        if meta.mailboxes.len() == before {
            return Err(Refusal::NoSuchMailbox.into());
        }
        self.change_meta(group, meta)
    }

    /// Name and policy of a group that this account may change.
    pub(super) fn meta_to_change(&mut self, group: OpId) -> Answer<Meta> {
        self.joined(group)?;
        let memory = self.group(group)?;
        let own = self.own()?.account;
        if !memory.membership.members.get(&own).is_some_and(|member| is_admin(member.role)) {
            return Err(Refusal::NotAllowed.into());
        }
        Ok(memory.membership.meta.clone())
    }

    pub(super) fn change_meta(&mut self, group: OpId, meta: Meta) -> Answer {
        let memory = self.group(group)?;
        let op = self.make_op(Some(group), &self.named_heads(&memory), Action::Meta(meta))?;
        self.issue(group, op)?;
        Ok(Reply::Group(group))
    }

    fn nameable(&mut self, account: AccountId) -> Answer<GroupMailbox> {
        let own = self.own()?;
        if account == own.account {
            if !self.serving()?.on {
                return Err(Refusal::NotServing.into());
            }
            let addresses = own.addresses.iter().filter_map(|text| text.parse().ok()).take(MAX_MAILBOX_ADDRESSES);
            return Ok(GroupMailbox { node: own.transport, account, addresses: addresses.collect() });
        }
        let row = self.mailboxes()?.into_iter().find(|row| row.account == account).ok_or(Refusal::NoSuchMailbox)?;
        if row.state != MailboxState::Active {
            return Err(Refusal::MailboxNotActive { account }.into());
        }
        Ok(GroupMailbox { node: row.node, account, addresses: row.addresses })
    }

    /// The mailboxes of a group that is founded here: those of its founder.
    pub(super) fn mailboxes_of_founder(&self) -> Step<Vec<GroupMailbox>> {
        let active = self.mailboxes()?.into_iter().filter(|row| row.state == MailboxState::Active);
        let named = active.map(|row| GroupMailbox { node: row.node, account: row.account, addresses: row.addresses });
        Ok(named.take(MAX_GROUP_MAILBOXES).collect())
    }
}
