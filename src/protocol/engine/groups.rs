//! Groups: founded, invited to, joined, named, left.

use super::{
    command::{Refusal, Reply},
    feed::FeedEntry,
    group_ops::{Bundles, member_devices, ops_records},
    record::Record,
    rows::{ContactRow, ContactState, DeviceRow, GroupRow, GroupState, OutboxRow, Parcel, Row, all, parse},
    sessions::{Heard, device_keys},
    turn::{Answer, Step, Stop, Turn},
};
use crate::protocol::{
    event::Content,
    group::{Action, GroupEvent, History, Meta, Role, SignedJoin, op::Join},
    identity::{Name, profile::NameError},
    ids::{AccountId, ChatId, DeviceId, OpId},
    view::{Direction, View},
    wire::{
        encode,
        limits::{MAX_GROUPS, MAX_INVITATIONS, MAX_MEMBERS},
    },
};
use minicbor::bytes::ByteVec;

impl Turn<'_> {
    pub(super) fn new_group(&mut self, name: &str) -> Answer {
        let meta = Meta { mailboxes: self.mailboxes_of_founder()?, ..parse_meta(name)? };
        if all::<GroupRow>(self, b"")?.iter().filter(|group| is_open(group.state)).count() >= MAX_GROUPS {
            return Err(Refusal::TooManyGroups { max: MAX_GROUPS }.into());
        }
        let create = self.make_op(None, &[], Action::Create { meta, bundles: self.own_bundles()? })?;
        let group = create.id();
        let row = self.new_group_row(group, name.to_owned(), GroupState::Joined, None);
        self.put(GroupRow::key(group), &row);
        self.issue(group, create)?;
        self.rotate(group)?;
        self.tell_name_to(group)?;
        Ok(Reply::Group(group))
    }

    fn new_group_row(&self, group: OpId, name: String, state: GroupState, inviter: Option<AccountId>) -> GroupRow {
        GroupRow {
            group,
            name,
            state,
            inviter,
            ops: 0,
            since: self.now,
            held: 0,
            invited: Vec::new(),
            mailboxes: Vec::new(),
            asked_again: Vec::new(),
            late: Vec::new(),
        }
    }

    pub(super) fn invite_to_group(&mut self, group: OpId, account: AccountId) -> Answer {
        let mut row = self.joined(group)?;
        let memory = self.group(group)?;
        let own = self.own()?.account;
        if !memory.membership.members.get(&own).is_some_and(|member| is_admin(member.role)) {
            return Err(Refusal::NotAllowed.into());
        }
        if memory.membership.members.contains_key(&account) {
            return Err(Refusal::AlreadyMember { account }.into());
        }
        if memory.membership.members.len() >= MAX_MEMBERS {
            return Err(Refusal::GroupFull { max: MAX_MEMBERS }.into());
        }
        let contact = self.contact(account)?.ok_or(Refusal::NoSuchContact)?;
        if contact.state != ContactState::Connected {
            return Err(Refusal::NotConnected { account }.into());
        }
        if !row.invited.contains(&account) {
            row.invited.push(account);
            self.put(GroupRow::key(group), &row);
        }
        for device in contact.devices {
            self.post(device, &Record::Invite(group, memory.membership.meta.name.clone(), self.now))?;
        }
        Ok(Reply::Group(group))
    }

    /// "Come into this group."
    pub(super) fn invite_came(&mut self, heard: &Heard, group: OpId, name: &str) -> Step {
        let inviter = heard.device.account;
        let known = self.speaking_contact(heard)?.is_some();
        let Ok(name) = name.parse::<Name>() else { return Ok(()) };
        let row = self.read::<GroupRow>(&GroupRow::key(group))?;
        let (fresh, open) = match row.as_ref().map(|row| row.state) {
            Some(GroupState::Joined) => return Ok(()),
            // Accepted before, and perhaps the answer was lost with the inviter's session: answer again.
            Some(GroupState::Joining) => (false, true),
            Some(_) => (false, false),
            None => (true, false),
        };
        if !known || (row.is_none() && !self.has_room_for_invitation(inviter)?) {
            return Ok(());
        }
        let mut row = row.unwrap_or_else(|| self.new_group_row(group, name.to_string(), GroupState::Invited, None));
        row.inviter = Some(inviter);
        // Asked again while it is open, it waits since it was first asked.
        if row.state != GroupState::Invited {
            row.since = self.now;
        }
        row.state = GroupState::Invited;
        self.put(GroupRow::key(group), &row);
        self.tell(&FeedEntry::Group { group })?;
        // Who left or declined before is asked, not pulled in again.
        if open || (fresh && self.settings.join_contacts_groups) { self.answer_invite(row) } else { Ok(()) }
    }

    /// Who takes this account for a member, though it is none as far as is known here, is told so where an older store was
    /// put back. Else it left, or was not asked yet, and the other will hear of that.
    pub(super) fn tell_outside(&mut self, heard: &Heard, group: OpId) -> Step {
        if self.own()?.rolled_back.is_none() || !self.is_by_contact(heard)? {
            return Ok(());
        }
        let Some(left) = self.begin_answer(group, heard.device.device) else { return Ok(()) };
        self.end_answer(group, heard.device.device, left);
        self.whisper(heard.device.device, &Record::Outside(group))
    }

    /// A contact that is a member here is none as far as it knows: an older store took the place of the one that knew. It is
    /// asked in again, and what it left meanwhile was said before.
    pub(super) fn outside_came(&mut self, heard: &Heard, group: OpId) -> Step {
        if !self.is_by_contact(heard)? || !self.is_joined(group)? {
            return Ok(());
        }
        let (memory, device) = (self.group(group)?, heard.device.device);
        let is_asked = |record: &Record| matches!(record, Record::Invite(of, ..) if *of == group);
        let waiting = self.scan(OutboxRow::TABLE, device.as_ref(), None, Direction::Forward, usize::MAX)?;
        let mut controls = waiting.iter().filter_map(|(_, bytes)| match parse::<OutboxRow>(bytes).ok()?.what {
            Parcel::Control(_, record) => Record::parse(&record),
            Parcel::Event(..) | Parcel::Nothing(..) => None,
        });
        let waits = controls.any(|record| is_asked(&record));
        if waits || !memory.membership.members.contains_key(&heard.device.account) {
            return Ok(());
        }
        let account = heard.device.account;
        if let Some(mut row) = self.read::<GroupRow>(&GroupRow::key(group))?
            && !row.asked_again.contains(&account)
        {
            row.asked_again.push(account);
            self.put(GroupRow::key(group), &row);
        }
        self.post(device, &Record::Invite(group, memory.membership.meta.name.clone(), self.now))
    }

    /// A member speaks as one: whether it was asked in again or not, it knows.
    pub(super) fn note_inside(&mut self, group: OpId, account: AccountId) -> Step {
        if let Some(mut row) = self.read::<GroupRow>(&GroupRow::key(group))?
            && row.asked_again.contains(&account)
        {
            row.asked_again.retain(|asked| *asked != account);
            self.put(GroupRow::key(group), &row);
        }
        Ok(())
    }

    /// Whether somebody who is a contact says this.
    fn is_by_contact(&self, heard: &Heard) -> Step<bool> {
        let contact = self.contact(heard.device.account)?;
        let is_its_device = |contact: &ContactRow| contact.devices.contains(&heard.device.device);
        Ok(contact.is_some_and(|contact| contact.state == ContactState::Connected && is_its_device(&contact)))
    }

    fn has_room_for_invitation(&self, inviter: AccountId) -> Step<bool> {
        let open: Vec<GroupRow> = all(self, b"")?;
        let open = open.iter().filter(|row| is_open(row.state));
        let by_inviter = open.clone().filter(|row| row.state != GroupState::Joined && row.inviter == Some(inviter));
        Ok(by_inviter.count() < MAX_INVITATIONS && open.count() < MAX_GROUPS)
    }

    pub(super) fn accept_group(&mut self, group: OpId) -> Answer {
        let row = self.read::<GroupRow>(&GroupRow::key(group))?;
        let row = row.filter(|row| row.state == GroupState::Invited).ok_or(Refusal::NoSuchInvitation)?;
        self.answer_invite(row)?;
        Ok(Reply::Group(group))
    }

    /// Consents: a signed Join goes to the inviter, which adds us.
    pub(super) fn answer_invite(&mut self, mut row: GroupRow) -> Step {
        let Some(inviter) = row.inviter else { return Ok(()) };
        let own = self.own()?;
        let join = Join {
            group: row.group,
            inviter,
            account: own.account,
            device: own.device,
            time: self.now,
            bundles: self.own_bundles()?,
        };
        let signed = SignedJoin::sign(join, &device_keys(&own)?.device);
        row.state = GroupState::Joining;
        self.put(GroupRow::key(row.group), &row);
        self.start_repair(row.group);
        let Some(contact) = self.contact(inviter)? else { return Ok(()) };
        for device in contact.devices {
            self.post(device, &Record::Join(row.group, signed.to_bytes()))?;
        }
        self.tell(&FeedEntry::Group { group: row.group })
    }

    pub(super) fn decline_group(&mut self, group: OpId) -> Answer {
        let row = self.read::<GroupRow>(&GroupRow::key(group))?;
        let mut row = row.filter(|row| row.state == GroupState::Invited).ok_or(Refusal::NoSuchInvitation)?;
        row.state = GroupState::Declined;
        self.put(GroupRow::key(group), &row);
        self.tell(&FeedEntry::Group { group })?;
        Ok(Reply::Group(group))
    }

    /// A newcomer consented: add it, and give it what a member has.
    pub(super) fn join_came(&mut self, heard: &Heard, group: OpId, bytes: &[u8]) -> Step {
        let account = heard.device.account;
        let Some(row) = self.read::<GroupRow>(&GroupRow::key(group))? else { return Ok(()) };
        if row.state != GroupState::Joined {
            return Ok(());
        }
        let memory = self.group(group)?;
        if memory.membership.members.contains_key(&account) {
            self.note_inside(group, account)?;
            self.list_device(group, &heard.device)?;
            return self.welcome(group, heard.device.device);
        }
        let own = self.own()?.account;
        let may_add = memory.membership.members.get(&own).is_some_and(|member| is_admin(member.role));
        let Ok(join) = SignedJoin::parse(bytes) else { return Ok(()) };
        let expected = row.invited.contains(&account) && join.account == account && join.group == group;
        if !may_add || !expected || join.inviter != own || join.verify(&Bundles).is_err() {
            return Ok(());
        }
        if memory.membership.members.len() >= MAX_MEMBERS {
            return Ok(());
        }
        let op = self.make_op(Some(group), &self.named_heads(&memory), Action::Add(join))?;
        self.issue(group, op)?;
        if self.group(group)?.membership.members.contains_key(&account)
            && let Some(mut row) = self.read::<GroupRow>(&GroupRow::key(group))?
        {
            row.invited.retain(|invited| *invited != account);
            self.put(GroupRow::key(group), &row);
        }
        self.welcome(group, heard.device.device)
    }

    /// A member's account has another device than the one it joined with: anybody may say so for it.
    pub(super) fn list_device(&mut self, group: OpId, device: &DeviceRow) -> Step {
        if self.is_member_device(group, device.device)? {
            return Ok(());
        }
        let bundles = encode(&vec![ByteVec::from(device.bundle.clone())]);
        let memory = self.group(group)?;
        let op = self.make_op(Some(group), &self.named_heads(&memory), Action::Devices(bundles))?;
        self.issue(group, op)
    }

    /// Gives a member's device all ops, then the gossip secret in force; anybody else nothing.
    fn welcome(&mut self, group: OpId, device: DeviceId) -> Step {
        if !self.is_member_device(group, device)? {
            return Ok(());
        }
        let memory = self.group(group)?;
        for record in ops_records(group, memory.graph.ops()) {
            self.post(device, &record)?;
        }
        self.hand_secret(group, device)
    }

    pub(super) fn rename_group(&mut self, group: OpId, name: &str) -> Answer {
        let Meta { name, .. } = parse_meta(name)?;
        let meta = Meta { name, ..self.meta_to_change(group)? };
        self.change_meta(group, meta)
    }

    /// Goes. A founder first hands the group over to the member of the highest rank.
    pub(super) fn leave_group(&mut self, group: OpId) -> Answer {
        let row = self.joined(group)?;
        let own = self.own()?;
        let memory = self.group(group)?;
        let others = memory.membership.members.iter().filter(|(account, _)| **account != own.account);
        let heir = others.min_by_key(|(_, member)| member.rank).map(|(account, _)| *account);
        let founder = memory.membership.members.get(&own.account).is_some_and(|member| member.role == Role::Founder);
        if let (true, Some(heir)) = (founder, heir) {
            let op = self.make_op(Some(group), &self.named_heads(&memory), Action::HandOver(heir))?;
            self.issue(group, op)?;
        }
        let memory = self.group(group)?;
        let last = self.chat(ChatId::from(group))?.and_then(|chat| chat.previous);
        let op = self.make_op(Some(group), &self.named_heads(&memory), Action::Leave(last))?;
        // Published before it takes effect here, under the secret that it ends; and to every member's outbox, since
        // nobody may be there to hear it now.
        let known = ops_records(group, memory.newest_ops());
        let parting = ops_records(group, [&op].into_iter());
        for device in member_devices(&memory.membership).filter(|device| *device != own.device) {
            // Nobody asks a former member what it said last, so it is said now, after the ops that it rests on and before
            // the one that makes a former member of who said it. Its key waits in the same outbox.
            let said = self.unconfirmed_events(group, device, |_| true)?;
            for record in known.iter().chain(&said).chain(&parting) {
                self.post(device, record)?;
            }
        }
        self.publish_op(group, &op)?;
        let row = GroupRow { state: GroupState::Left, ..self.read(&GroupRow::key(group))?.unwrap_or(row) };
        self.put(GroupRow::key(group), &row);
        self.take_ops(group, own.device, vec![op])?;
        self.leave_topics(group)?;
        self.part(group)?;
        self.tell(&FeedEntry::Group { group })?;
        Ok(Reply::Group(group))
    }

    /// Says to all other members what they have not confirmed of what this device said before this account came back: that
    /// is compared with nobody.
    pub(super) fn say_unconfirmed(&mut self, group: OpId) -> Step {
        let (own, memory) = (self.own()?, self.group(group)?);
        let Some(member) = memory.membership.members.get(&own.account) else { return Ok(()) };
        let is_of_before = |event: &GroupEvent| !memory.graph.knows(member, &event.heads);
        for device in member_devices(&memory.membership).filter(|device| *device != own.device) {
            for record in self.unconfirmed_events(group, device, is_of_before)? {
                self.post(device, &record)?;
            }
        }
        Ok(())
    }

    /// A group this account is in.
    pub(super) fn joined(&self, group: OpId) -> Answer<GroupRow> {
        let row = self.read::<GroupRow>(&GroupRow::key(group))?.ok_or(Stop::Refused(Refusal::NoSuchGroup))?;
        match row.state {
            GroupState::Joined => Ok(row),
            GroupState::Invited => Err(Refusal::NotJoined.into()),
            GroupState::Declined => Err(Refusal::NoSuchGroup.into()),
            GroupState::Joining | GroupState::Left | GroupState::Removed => Err(Refusal::NotAMember.into()),
        }
    }

    /// Takes part in all groups again after a start.
    pub(super) fn groups_online(&mut self) -> Step {
        for row in self.sound::<GroupRow>(b"")? {
            self.attempt(|turn| turn.group_online(&row))?;
        }
        Ok(())
    }

    fn group_online(&mut self, row: &GroupRow) -> Step {
        match row.state {
            GroupState::Joined if self.has_graph(row.group)? => {
                let memory = self.group(row.group)?;
                let own = self.own()?.device;
                for device in member_devices(&memory.membership).filter(|device| *device != own) {
                    self.attempt(|turn| turn.reach_device(device))?;
                }
                self.reach_leavers(row.group)?;
                self.refresh_gossip(row.group)
            }
            GroupState::Joining => {
                self.start_repair(row.group);
                Ok(())
            }
            GroupState::Left => {
                self.resume_posts(row.group)?;
                self.part(row.group)
            }
            _ => Ok(()),
        }
    }

    fn reach_device(&mut self, device: DeviceId) -> Step {
        if let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))? {
            self.reach(row.transport, row.addresses);
        }
        Ok(())
    }

    /// The own name changed: groups learn it by an event.
    pub(super) fn tell_name_to_groups(&mut self) -> Step {
        for row in self.sound::<GroupRow>(b"")? {
            if row.state == GroupState::Joined {
                self.attempt(|turn| turn.tell_name_to(row.group))?;
            }
        }
        Ok(())
    }

    pub(super) fn tell_name_to(&mut self, group: OpId) -> Step {
        let name = self.own()?.name;
        let Ok(name) = name.parse::<Name>() else { return Ok(()) };
        match self.say_in_group(group, Content::Profile(name)) {
            Ok(_) | Err(Stop::Refused(_)) => Ok(()),
            Err(Stop::View(error)) => Err(error),
        }
    }
}

pub(super) fn is_admin(role: Role) -> bool {
    matches!(role, Role::Admin | Role::Founder)
}

/// Whether a group in this state counts against [`MAX_GROUPS`].
fn is_open(state: GroupState) -> bool {
    matches!(state, GroupState::Invited | GroupState::Joining | GroupState::Joined)
}

fn parse_meta(name: &str) -> Result<Meta, Refusal> {
    let name = Name::typed(name).map_err(Refusal::BadName)?;
    let too_long = NameError::TooLong { bytes: name.as_str().len() };
    Meta::new(name.as_str(), History::NOTHING).map_err(|_| Refusal::BadName(too_long))
}
