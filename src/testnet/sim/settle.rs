//! What must have come about once the weather is over: everything everywhere, and nothing owed.

use super::world::World;
use crate::protocol::{
    engine::{
        Command, Refusal, Reply, Token,
        rows::{
            self, ChatKind, ChatRow, ContactRow, ContactState, EventRow, GroupRow, GroupState, HeldRow, OwnRow,
            ReceiptRow, Side, Waits,
        },
    },
    group::GroupEvent,
    ids::{ChatId, DeviceId, EventId, OpId},
    view::{Direction, Table, View},
};
use std::collections::{BTreeMap, BTreeSet};

/// What was said, and who must have it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Who is meant by the message that a command asks for.
    meant: BTreeMap<Token, BTreeSet<usize>>,
    /// Commands to say something in a group in which the author is not.
    outside: BTreeSet<Token>,
    /// Messages that are durable at their author.
    pub(super) written: BTreeMap<EventId, Written>,
    /// Those of which the author was told so.
    pub(super) acknowledged: BTreeSet<EventId>,
}

/// A message.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) from: usize,
    pub(super) chat: ChatId,
    pub(super) to: BTreeSet<usize>,
    pub(super) at: u64,
    /// Whether its author was in the group, if it is one, as it knew itself.
    pub(super) by_member: bool,
}

impl Ledger {
    /// A drain with this answer is durable.
    pub(super) fn enter(&mut self, from: usize, token: Token, answer: &Result<Reply, Refusal>, at: u64) {
        let Some(to) = self.meant.remove(&token) else { return };
        let by_member = !self.outside.remove(&token);
        if let Ok(Reply::Sent { id, chat }) = answer {
            self.written.insert(*id, Written { from, chat: *chat, to, at, by_member });
        }
    }
}

impl World {
    /// Notes who is meant by a message, as its author knows the group at this moment.
    pub(super) fn before_command(&mut self, who: usize, token: Token, command: &Command) {
        let Command::Send { chat, .. } = command else { return };
        let row = rows::read::<ChatRow>(&self.devices[who].store, &ChatRow::key(*chat));
        let accounts: Vec<_> = match row.ok().flatten().map(|row| row.kind) {
            Some(ChatKind::Direct(account)) => vec![account],
            Some(ChatKind::Group(group)) => {
                if self.joined_group(who).is_none() {
                    self.ledger.outside.insert(token);
                }
                self.members(who, group).into_iter().filter(|row| row.current).map(|row| row.account).collect()
            }
            _ => return,
        };
        let meant = self.devices.iter().filter(|device| accounts.contains(&device.account) && device.index != who);
        self.ledger.meant.insert(token, meant.map(|device| device.index).collect());
    }

    /// The author is told.
    pub(super) fn acknowledge(&mut self, answer: &Result<Reply, Refusal>) {
        if let Ok(Reply::Sent { id, .. }) = answer {
            self.ledger.acknowledged.insert(*id);
        }
    }

    /// Whether nothing is owed to anybody; else what.
    pub(super) fn settled(&self) -> Result<(), String> {
        for id in &self.ledger.acknowledged {
            if !self.ledger.written.contains_key(id) {
                return Err(format!("{id:?} was acknowledged and is not there"));
            }
        }
        for (id, written) in &self.ledger.written {
            match self.truth.as_ref().filter(|_| self.group_chat(written.chat)) {
                Some(truth) => self.settled_by_rules(truth, *id, written)?,
                None => self.settled_message(*id, written)?,
            }
        }
        for who in (0..self.devices.len()).filter(|who| !self.lies(*who)) {
            self.settled_device(who)?;
        }
        self.settled_mail()?;
        let Some(group) = self.group else { return Ok(()) };
        if let Some(truth) = &self.truth {
            self.settled_rights(truth, group)?;
        }
        self.settled_group(group)
    }

    /// Whether all that was said before the partition ended is everywhere it was meant for, in one order, and the members
    /// are the same everywhere.
    pub(super) fn healed(&self) -> Result<(), String> {
        for (id, written) in self.ledger.written.iter().filter(|(_, written)| written.at < self.weather.until) {
            for to in written.to.iter().filter(|to| !self.lies(**to)) {
                if self.event(*to, *id).is_none() {
                    return Err(format!(
                        "{} has not {id:?} of {}",
                        self.devices[*to].name, self.devices[written.from].name
                    ));
                }
            }
        }
        if let Some(group) = self.group {
            self.settled_members(group)?;
        }
        self.judge_orders()
    }

    pub(super) fn lies(&self, who: usize) -> bool {
        self.weather.liar == Some(who)
    }

    fn settled_message(&self, id: EventId, written: &Written) -> Result<(), String> {
        if self.lies(written.from) {
            return Ok(());
        }
        let author = &self.devices[written.from];
        if self.losses.unkept.contains(&id) {
            let came_back = self.event(written.from, id).filter(|_| self.group_chat(written.chat));
            return came_back.map_or(Ok(()), |own| self.settled_meant(&own, written));
        }
        let own = self.event(written.from, id).ok_or_else(|| format!("{} lost its own {id:?}", author.name))?;
        let left =
            |who: &usize| self.left.contains(who) && written.chat == self.group.map_or(written.chat, ChatId::from);
        if self.group_chat(written.chat) && !self.left.contains(&written.from) {
            self.settled_meant(&own, written)?;
        }
        let wanted = |to: &&usize| {
            !self.lies(**to) && (!self.group_chat(written.chat) || !left(to)) && !self.went_with_a_device(id, **to)
        };
        for to in written.to.iter().filter(wanted) {
            let reader = &self.devices[*to];
            if self.event(*to, id).is_none() {
                let held = self.held_of(*to, written.chat, id);
                return Err(format!("{} has not {id:?} ({}) of {}{held}", reader.name, own.no, author.name));
            }
            if self.group_chat(written.chat) && self.left.contains(&written.from) {
                continue;
            }
            if !self.knows_of(&own, written, *to) {
                return Err(format!("{} does not know that {} has {id:?} ({})", author.name, reader.name, own.no));
            }
        }
        Ok(())
    }

    /// Whether an author knows that somebody has its message.
    pub(super) fn knows_of(&self, own: &EventRow, written: &Written, to: usize) -> bool {
        // Of one that was lost the device before may have told it.
        self.devices[to].ever().any(|device| {
            let receipt = self.receipt_of(written.from, written.chat, own.device, device);
            receipt.is_some_and(|row| row.numbers().is_ok_and(|held| held.contains(own.no)))
        })
    }

    /// Whether a group message is held, and what it waits for.
    pub(super) fn held_of(&self, who: usize, chat: ChatId, id: EventId) -> String {
        let held: Vec<HeldRow> = rows::all(&self.devices[who].store, OpId(chat.0)).unwrap_or_default();
        let row = held.into_iter().find(|row| row.id == id);
        row.map_or(String::new(), |row| format!(", which it holds: {:?}", row.waits))
    }

    /// Of the members now, a group message counts those it was meant for, and no newcomer.
    fn settled_meant(&self, event: &EventRow, written: &Written) -> Result<(), String> {
        let no = event.no;
        let Some(group) = self.group else { return Ok(()) };
        for row in self.members(written.from, group).into_iter().filter(|row| row.current) {
            let Some(other) = self.devices.iter().find(|device| device.account == row.account) else { continue };
            let (counts, meant) = (row.meant.has(event.device, no), written.to.contains(&other.index));
            if other.index != written.from && counts != meant {
                let (own, other) = (self.devices[written.from].name, other.name);
                return Err(format!("{own} counts {other} for its message {no}: {counts}; it was meant: {meant}"));
            }
        }
        Ok(())
    }

    pub(super) fn group_chat(&self, chat: ChatId) -> bool {
        self.group.is_some_and(|group| chat == ChatId::from(group))
    }

    fn settled_device(&self, who: usize) -> Result<(), String> {
        let device = &self.devices[who];
        if self.is_dead(who) {
            return Ok(());
        }
        if device.run.is_none() {
            return Err(format!("{} does not run", device.name));
        }
        for other in &self.devices {
            // Who left what a lost device was in, and is known to nobody who took its place, owes it that for a while.
            let owes = self.left.contains(&who) && self.losses.has_lost(other.index);
            for to in other.ever().filter(|_| !owes && !self.is_beyond_reach(who, other.index)) {
                let waiting = device.store.scan(Table::Outbox, to.as_ref(), None, Direction::Forward, 100);
                let waiting = waiting.map_err(|error| error.to_string())?;
                if !waiting.is_empty() {
                    let what: Vec<String> = waiting.iter().map(|(_, bytes)| parcel(bytes)).collect();
                    let (own, other, what) = (device.name, other.name, what.join(", "));
                    return Err(format!("the outbox of {own} for {other} ({to:?}) holds {what}"));
                }
            }
            self.settled_contact(who, other.index)?;
        }
        Ok(())
    }

    /// A contact is one on both sides, under the name it has, and what was read is known.
    fn settled_contact(&self, who: usize, other: usize) -> Result<(), String> {
        let Some(contact) = self.contact(who, other) else { return Ok(()) };
        if contact.state != ContactState::Connected {
            return Ok(());
        }
        let (name, theirs) = (self.devices[who].name, self.devices[other].name);
        if self.contact(other, who).is_none_or(|back| back.state != ContactState::Connected) {
            return Err(format!("{theirs} is a contact of {name} and not the other way"));
        }
        let called = self.own_name(other);
        if contact.own_name != called {
            return Err(format!("{name} knows {theirs} as {:?}, which is {called:?} now", contact.own_name));
        }
        let chat = ChatId::direct(self.devices[who].account, self.devices[other].account);
        self.settled_read(who, other, chat)
    }

    fn settled_read(&self, who: usize, other: usize, chat: ChatId) -> Result<(), String> {
        let told = self.receipt(who, chat, self.devices[who].device, other).map_or(0, |row| row.read);
        let key = ReceiptRow::key(chat, Side::Ours, self.devices[who].device);
        let held = rows::read::<ReceiptRow>(&self.devices[other].store, &key).ok().flatten();
        let truth = held.map_or(0, |row| row.read);
        // Where one of the two was lost, what was read before they met again is told with the next that is read; and what it
        // had read before may have gone with its store.
        let is_late = (told < truth && self.losses.has_lost(who)) || self.losses.has_lost(other);
        if told != truth && !is_late {
            let (own, other) = (self.devices[who].name, self.devices[other].name);
            return Err(format!("{own} does not know that {other} read up to {truth} (it knows of {told})"));
        }
        Ok(())
    }

    /// All members know the same members under the same names, and one name of the group.
    fn settled_group(&self, group: OpId) -> Result<(), String> {
        self.settled_members(group)?;
        let states: Vec<Option<GroupRow>> = (0..self.devices.len()).map(|who| self.group_row(who, group)).collect();
        let joined: Vec<usize> = (0..self.devices.len())
            .filter(|who| states[*who].as_ref().is_some_and(|row| row.state == GroupState::Joined))
            .collect();
        let names: BTreeSet<&str> =
            joined.iter().filter_map(|who| states[*who].as_ref()).map(|row| &row.name[..]).collect();
        if names.len() > 1 {
            return Err(format!("the group is called {names:?}"));
        }
        for who in joined.iter().filter(|who| !self.lies(**who)) {
            let members = self.members(*who, group);
            for other in &joined {
                let row = members.iter().find(|row| row.account == self.devices[*other].account);
                let name = row.and_then(|row| row.name.clone());
                let called = self.own_name(*other);
                // A name that went with a store is asked for where the two meet.
                let (a, b) = (*who.min(other), *who.max(other));
                let is_lost = self.losses.has_lost(*who) && self.mailboxes.strangers == Some((a, b));
                if name != called && !is_lost {
                    let (own, other) = (self.devices[*who].name, self.devices[*other].name);
                    return Err(format!("{own} knows the member {other} as {name:?}, which is {called:?} now"));
                }
                if who != other && !self.lies(*other) {
                    self.settled_read(*who, *other, ChatId::from(group))?;
                }
            }
            if states[*who].as_ref().is_some_and(|row| row.held != 0) && self.holds_words_of_others(*who, group) {
                let held: Vec<HeldRow> = rows::all(&self.devices[*who].store, group).unwrap_or_default();
                let waits: Vec<_> = held.into_iter().map(|row| (row.id, row.waits)).collect();
                return Err(format!("{} holds group events that it cannot place: {waits:?}", self.devices[*who].name));
            }
        }
        Ok(())
    }

    /// Whether any group event that is held is not of a lost device, whose last words may have no follower.
    fn holds_words_of_others(&self, who: usize, group: OpId) -> bool {
        if let Some(truth) = &self.truth {
            return self.holds_words_of_members(truth, who, group);
        }
        let lost = |device: &DeviceId| self.devices.iter().any(|other| other.formers.contains(device));
        let held: Vec<HeldRow> = rows::all(&self.devices[who].store, group).unwrap_or_default();
        let of_lost = |row: &HeldRow| GroupEvent::parse(&row.bytes).is_ok_and(|event| lost(&event.device));
        let of_gone = |row: &HeldRow| {
            let gone = |device: &DeviceId| {
                let of = self.devices.iter().find(|other| other.ever().any(|ever| ever == *device));
                of.is_some_and(|other| {
                    let may_lack = self.losses.has_lost(who) || self.losses.silent.contains(&other.index);
                    self.left.contains(&other.index) && may_lack
                })
            };
            GroupEvent::parse(&row.bytes).is_ok_and(|event| gone(&event.device))
        };
        // What went with its author's store is read by those alone who had its key before.
        let of_unkept = |row: &HeldRow| matches!(row.waits, Waits::Chain(..)) && self.losses.unkept.contains(&row.id);
        // So is a name that it had just taken.
        let is_unread = |row: &HeldRow| (0..self.devices.len()).all(|other| self.event(other, row.id).is_none());
        let of_none = |row: &HeldRow| matches!(row.waits, Waits::Chain(..)) && of_lost(row) && is_unread(row);
        let followed_by_none = |row: &HeldRow| row.waits == Waits::Follower && of_lost(row);
        !held.iter().all(|row| followed_by_none(row) || of_gone(row) || of_unkept(row) || of_none(row))
    }

    /// All members know the same members.
    fn settled_members(&self, group: OpId) -> Result<(), String> {
        let is_joined = |who: &usize| self.group_row(*who, group).is_some_and(|row| row.state == GroupState::Joined);
        let joined: Vec<usize> = (0..self.devices.len()).filter(is_joined).collect();
        let present: BTreeSet<_> = joined.iter().map(|who| self.devices[*who].account).collect();
        for who in joined.into_iter().filter(|who| !self.lies(*who)) {
            let members = self.members(who, group);
            let known: BTreeSet<_> = members.iter().filter(|row| row.current).map(|row| row.account).collect();
            if known != present {
                return Err(format!("{} counts {} members of {}", self.devices[who].name, known.len(), present.len()));
            }
        }
        Ok(())
    }

    pub(super) fn contact(&self, who: usize, other: usize) -> Option<ContactRow> {
        let key = ContactRow::key(self.devices[other].account);
        rows::read::<ContactRow>(&self.devices[who].store, &key).ok().flatten()
    }

    pub(super) fn group_row(&self, who: usize, group: OpId) -> Option<GroupRow> {
        rows::read::<GroupRow>(&self.devices[who].store, &GroupRow::key(group)).ok().flatten()
    }

    pub(super) fn event(&self, who: usize, id: EventId) -> Option<EventRow> {
        rows::read::<EventRow>(&self.devices[who].store, &EventRow::key(id)).ok().flatten()
    }

    fn own_name(&self, who: usize) -> Option<String> {
        rows::read::<OwnRow>(&self.devices[who].store, &OwnRow::key()).ok().flatten().map(|own| own.name)
    }

    /// What a device knows that another confirmed of the events of an own device.
    fn receipt(&self, who: usize, chat: ChatId, author: DeviceId, other: usize) -> Option<ReceiptRow> {
        self.receipt_of(who, chat, author, self.devices[other].device)
    }

    fn receipt_of(&self, who: usize, chat: ChatId, author: DeviceId, other: DeviceId) -> Option<ReceiptRow> {
        let side = if author == self.devices[who].device { Side::Theirs } else { Side::TheirsOf(author) };
        let key = ReceiptRow::key(chat, side, other);
        rows::read::<ReceiptRow>(&self.devices[who].store, &key).ok().flatten()
    }
}

fn parcel(bytes: &[u8]) -> String {
    use crate::protocol::engine::{record::Record, rows::Parcel};
    match rows::parse::<rows::OutboxRow>(bytes).map(|row| row.what) {
        Ok(Parcel::Event(_, id) | Parcel::Nothing(_, id)) => format!("{id:?}"),
        Ok(Parcel::Control(_, record)) => format!("{:.40}", format!("{:?}", Record::parse(&record))),
        Err(error) => error.to_string(),
    }
}
