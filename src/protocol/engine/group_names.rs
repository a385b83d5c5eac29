//! Names of members: each says its own in a signed event of the group, and nobody says another's.
//!
//! Who comes later was not meant by those events. So a newcomer asks members what the others are called, and is given the
//! very events with the keys that open them: the owner's signature vouches for the name, whoever hands it on. Others may
//! hand on one that is out of date; so the owner's own device is asked too, once it is met. From then on it knows the
//! newcomer, and whatever it says later is meant for it.
//!
//! Two who never meet have it from the group's log: there everybody leaves the same for newcomers, once for all of them.

use super::{
    GroupMemory,
    feed::FeedEntry,
    record::Record,
    rows::{MemberRow, Posted, VoucherRow, all},
    sessions::Heard,
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::secret::Secret,
    event::Content,
    group::{GroupEvent, Member},
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
        for (bytes, key) in names.iter().take(MAX_MEMBERS) {
            let voucher = VoucherRow { event: bytes.to_vec(), key: key.clone() };
            self.take_voucher(group, voucher, Some(heard.device.account))?;
        }
        Ok(())
    }

    /// A name out of the group's log. Whether it can be judged: ops before it may come later.
    pub(super) fn logged_name(&mut self, group: OpId, event: Vec<u8>, key: Secret) -> Step<bool> {
        Ok(self.take_voucher(group, VoucherRow { event, key }, None)? != Vouched::NotYet)
    }

    /// An event in which somebody said a name, handed on by this account if that is known.
    fn take_voucher(&mut self, group: OpId, voucher: VoucherRow, by: Option<AccountId>) -> Step<Vouched> {
        let event = GroupEvent::parse(&voucher.event).ok().filter(|event| event.group == group);
        let Some(event) = event.and_then(|event| event.verify().ok()) else { return Ok(Vouched::Judged) };
        let Ok(Content::Profile(name)) = event.open(&voucher.key) else { return Ok(Vouched::Judged) };
        let author = match self.group(group)?.member_at(&event.heads, event.device) {
            Ok(Some(author)) => author,
            Ok(None) => return Ok(Vouched::Judged),
            Err(_) => return Ok(Vouched::NotYet),
        };
        // Who is out could say another name under heads of before for ever: what stands of it came as an event.
        let row = self.read::<MemberRow>(&MemberRow::key(group, author))?;
        if row.is_some_and(|row| !row.current && row.name.is_some()) {
            return Ok(Vouched::Judged);
        }
        let said = if by == Some(author) { Said::ByOwner } else { Said::ByOther };
        self.take_name(group, author, (event.device, event.no), name.as_str(), voucher, said)?;
        Ok(Vouched::Judged)
    }

    /// Leaves the own name in the group's log, if there is a member for whom it was not meant: the two may never meet.
    pub(super) fn post_name(&mut self, group: OpId) -> Step {
        let memory = self.group(group)?;
        if self.name_to_post(&memory)?.is_some() { self.post_to_group(group, Posted::Name, Vec::new()) } else { Ok(()) }
    }

    /// The own name as it was said, if a member is none of those for whom it was meant.
    pub(super) fn name_to_post(&self, memory: &GroupMemory) -> Step<Option<VoucherRow>> {
        let own = self.own()?.account;
        let Some(voucher) = self.read::<VoucherRow>(&VoucherRow::key(memory.graph.group(), own))? else {
            return Ok(None);
        };
        let Ok(event) = GroupEvent::parse(&voucher.event) else { return Ok(None) };
        let is_meant = |member: &Member| memory.graph.knows(member, &event.heads);
        let mut others = memory.membership.members.iter().filter(|(account, _)| **account != own);
        Ok(others.any(|(_, member)| !is_meant(member)).then_some(voucher))
    }
}

/// Whether a voucher could be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vouched {
    /// It was, and is taken where it is one.
    Judged,
    /// The ops it was said after are not all here.
    NotYet,
}

/// Who handed a name on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// The one whose it is: there is no newer one.
    ByOwner,
    /// Another: there may be.
    ByOther,
}
