//! Names of members: each says its own in a signed event of the group, and nobody says another's.
//!
//! Who comes later was not meant by those events. So a newcomer asks members what the others are called, and is given the
//! very events with the keys that open them: the owner's signature vouches for the name, whoever hands it on. Others may
//! hand on one that is out of date; so the owner's own device is asked too, once it is met. From then on it knows the
//! newcomer, and whatever it says later is meant for it.

use super::{
    feed::FeedEntry,
    record::Record,
    rows::{MemberRow, VoucherRow, all},
    sessions::Heard,
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::secret::Secret,
    event::Content,
    group::GroupEvent,
    ids::{AccountId, DeviceId, OpId},
    wire::limits::MAX_MEMBERS,
};
use minicbor::bytes::ByteVec;

/// Bytes of vouchers in one answer; who lacks more asks again with the next comparison.
const NAMES_PER_RECORD: usize = 40 * 1024;

impl Turn<'_> {
    /// A member says its name, in an event that is meant for this account.
    pub(super) fn take_profile(
        &mut self,
        group: OpId,
        author: AccountId,
        at: (DeviceId, u64),
        content: &Content,
        voucher: VoucherRow,
    ) -> Step {
        match content {
            Content::Profile(name) => self.take_name(group, author, at, name.as_str(), voucher, Said::ByOwner),
            _ => Ok(()),
        }
    }

    fn take_name(
        &mut self,
        group: OpId,
        author: AccountId,
        (device, no): (DeviceId, u64),
        name: &str,
        voucher: VoucherRow,
        said: Said,
    ) -> Step {
        let key = MemberRow::key(group, author);
        let Some(held) = self.read::<MemberRow>(&key)? else { return Ok(()) };
        let mut row = held.clone();
        row.name_sure |= said == Said::ByOwner;
        // What was lost on the way comes later than what was said after it. A device that took another's place counts anew.
        let is_newer = match row.named_on {
            Some(before) if before != device => row.devices.contains(&device) && !row.devices.contains(&before),
            _ => no >= row.named_by,
        };
        if row.name.is_none() || is_newer {
            (row.named_by, row.named_on) = (no, Some(device));
            row.name = Some(name.to_owned());
            self.put(VoucherRow::key(group, author), &voucher);
        }
        if row == held {
            return Ok(());
        }
        self.put(key, &row);
        if row.name == held.name { Ok(()) } else { self.tell(&FeedEntry::Group { group }) }
    }

    /// Asks a member's device for names that are not known, and for its own if only others have said it.
    pub(super) fn ask_names(&mut self, group: OpId, device: DeviceId) -> Step {
        let own = self.own()?.account;
        let memory = self.group(group)?;
        let owner = memory.membership.owner(&device);
        let rows = all::<MemberRow>(self, group)?.into_iter();
        let lacking = rows
            .filter(|row| row.current && row.account != own)
            .filter(|row| row.name.is_none() || (Some(row.account) == owner && !row.name_sure));
        let accounts: Vec<AccountId> = lacking.map(|row| row.account).take(MAX_MEMBERS).collect();
        if accounts.is_empty() { Ok(()) } else { self.whisper(device, &Record::NamesWanted(group, accounts)) }
    }

    /// A member asks what others are called.
    pub(super) fn names_wanted(&mut self, heard: &Heard, group: OpId, accounts: &[AccountId]) -> Step {
        if !self.is_member_device(group, heard.device.device)? {
            return Ok(());
        }
        let (mut names, mut size) = (Vec::new(), 0);
        for account in accounts.iter().take(MAX_MEMBERS) {
            let Some(VoucherRow { event, key }) = self.read(&VoucherRow::key(group, *account))? else { continue };
            size += event.len();
            if size > NAMES_PER_RECORD {
                break;
            }
            names.push((ByteVec::from(event), key));
        }
        if names.is_empty() { Ok(()) } else { self.whisper(heard.device.device, &Record::Names(group, names)) }
    }

    /// Names, from any member: each event itself proves whose it is.
    pub(super) fn names_came(&mut self, heard: &Heard, group: OpId, names: &[(ByteVec, Secret)]) -> Step {
        if !self.is_joined(group)? || !self.is_member_device(group, heard.device.device)? {
            return Ok(());
        }
        let memory = self.group(group)?;
        for (bytes, key) in names.iter().take(MAX_MEMBERS) {
            let Some(event) = GroupEvent::parse(bytes).ok().filter(|event| event.group == group) else { continue };
            let Ok(event) = event.verify() else { continue };
            let Ok(Some(author)) = memory.member_at(&event.heads, event.device) else { continue };
            let Ok(Content::Profile(name)) = event.open(key) else { continue };
            let said = if heard.device.account == author { Said::ByOwner } else { Said::ByOther };
            let voucher = VoucherRow { event: bytes.to_vec(), key: key.clone() };
            self.take_name(group, author, (event.device, event.no), name.as_str(), voucher, said)?;
        }
        Ok(())
    }
}

/// Who handed a name on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// The one whose it is: there is no newer one.
    ByOwner,
    /// Another: there may be.
    ByOther,
}
