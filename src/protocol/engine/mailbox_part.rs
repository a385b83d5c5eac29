//! Mailboxes that are left: what lies there was left in good faith, so it is read before the box is closed.

use super::{
    command::{Refusal, Reply},
    rows::{MailboxRow, MailboxState},
    turn::{Answer, Step, Turn},
};
use crate::protocol::{
    identity::bundle::BoxId,
    ids::{AccountId, TransportKey},
    wire::limits::MAIL_KEPT,
};

impl Turn<'_> {
    /// Leaves a mailbox: who knew the box there is told the others.
    pub(super) fn remove_mailbox(&mut self, account: AccountId) -> Answer {
        let row = self.mailboxes()?.into_iter().find(|row| row.account == account).ok_or(Refusal::NoSuchMailbox)?;
        let row = MailboxRow { state: MailboxState::Leaving, since: self.now, ..row };
        self.put(row.own_key(), &row);
        self.boxes_changed()?;
        self.set_mailbox_timer();
        match self.mem.peers.contains_key(&row.node) {
            true => self.part_from_mailbox(&row)?,
            false => self.reach_mailbox(&row)?,
        }
        Ok(Reply::Done)
    }

    /// It is there: what is in the boxes is read, and then they are closed.
    pub(super) fn part_from_mailbox(&mut self, row: &MailboxRow) -> Step {
        for ticket in self.tickets_with_boxes()? {
            self.close_ticket_box(row.node, &ticket)?;
        }
        self.mem.mail.closing.insert((row.node, row.id), self.now);
        self.fetch(row.node, row.id)
    }

    /// A box was read to its end, or is there no more.
    pub(super) fn mailbox_was_read(&mut self, node: TransportKey, id: BoxId) -> Step {
        match self.mailbox(node)? {
            Some(row) if row.id == id && row.state == MailboxState::Leaving => self.drop_mailbox(&row),
            _ => Ok(()),
        }
    }

    /// Nobody keeps mail for longer, so nothing is there any more.
    pub(super) fn is_left_long_ago(&self, row: &MailboxRow) -> bool {
        row.state == MailboxState::Leaving && self.now.since(row.since) >= MAIL_KEPT
    }

    pub(super) fn drop_mailbox(&mut self, row: &MailboxRow) -> Step {
        self.delete(row.own_key());
        self.mem.mail.fetches.retain(|(node, _), _| *node != row.node);
        self.forget_mailbox(row.node)
    }
}
