//! Rows read for an answer: who is meant, what they are called, whether they are here.

use crate::{
    api::{
        ApiError, Reason,
        names::{self, Candidate, Kind, MIN_PREFIX, Resolution},
        types::{self, Contact, Person},
    },
    node::{Reach, Surroundings},
    protocol::{
        engine::rows::{
            self, ChatKind, ChatRow, ContactProblem, ContactRow, ContactState, DeviceRow, EventRow, GroupRow,
            GroupState, MemberRow, OwnRow, TimelineRow,
        },
        event::Place,
        identity::{Name, profile::OWN_CHAT},
        ids::{AccountId, ChatId, EventId, OpId},
        view::{Direction, Table, View, ViewError},
        wire::text::SafeText,
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// Lines of a conversation that the beginning of an id is looked for in, the newest: about a second.
const PREFIX_SEARCH: usize = 1_000_000;
/// So many at once.
const PREFIX_STEP: usize = 4_000;
/// Letters of an id that views show: among a million ids no two begin with the same.
const SHOWN: usize = 8;
/// Letters of an id that stand for somebody without a name.
const NAMELESS: usize = 8;

/// What an answer is read from.
pub(super) struct Reading<'v> {
    pub(super) view: &'v dyn View,
    pub(super) own: OwnRow,
    pub(super) around: Arc<Surroundings>,
    pub(super) reach: Reach,
}

impl<'v> Reading<'v> {
    pub(super) fn new(view: &'v dyn View, around: Arc<Surroundings>, reach: Reach) -> Result<Self, ViewError> {
        let own = rows::read(view, &OwnRow::key())?.ok_or(ViewError::Damaged(Table::Own))?;
        Ok(Self { view, own, around, reach })
    }

    // Who is meant

    /// The contact that was typed; blocked ones too.
    pub(super) fn contact_called(&self, typed: &str) -> Result<ContactRow, ApiError> {
        let contacts: Vec<_> = self.contacts()?.into_iter().filter(is_contact).collect();
        self.pick(contacts, typed, Reason::NoSuchContact)
    }

    /// The one who waits for an answer that was typed.
    pub(super) fn request_called(&self, typed: &str) -> Result<ContactRow, ApiError> {
        let requests: Vec<_> = self.contacts()?.into_iter().filter(is_request).collect();
        self.pick(requests, typed, Reason::NoSuchRequest)
    }

    /// Whoever was typed: a contact or requester; else one that was a contact, or a member of a common group.
    pub(super) fn anyone_called(&self, typed: &str) -> Result<AccountId, ApiError> {
        let (people, others): (Vec<_>, Vec<_>) =
            self.contacts()?.into_iter().partition(|row| is_contact(row) || is_request(row));
        let known = self.pick(people, typed, Reason::NoSuchContact);
        let Err(missing) = known else { return Ok(known?.account) };
        if !missing.is(Reason::NoSuchContact) {
            return Err(missing);
        }
        let mut candidates: BTreeMap<AccountId, Candidate> =
            others.iter().map(|row| (row.account, self.as_candidate(row))).collect();
        for group in self.groups()?.iter().filter(|group| is_member(group)) {
            for member in self.members(group.group)?.into_iter().filter(|row| row.account != self.own.account) {
                let name = member.name.unwrap_or_default();
                let (kind, id) = (Kind::Contact, member.account.to_string());
                candidates.entry(member.account).or_insert(Candidate { kind, id, also: None, name });
            }
        }
        let (accounts, candidates): (Vec<_>, Vec<_>) = candidates.into_iter().unzip();
        match names::resolve(&candidates, typed) {
            Resolution::Nothing(_) => Err(missing),
            found => {
                let chosen = found.one(typed, Reason::NoSuchContact)?;
                let place = candidates.iter().position(|candidate| std::ptr::eq(candidate, chosen));
                place.and_then(|at| accounts.get(at).copied()).ok_or_else(|| ApiError::internal("a candidate is gone"))
            }
        }
    }

    /// The member of a group that was typed: by the name that this account gave it as a contact, by its own, or by id.
    pub(super) fn member_called(&self, group: OpId, typed: &str) -> Result<AccountId, ApiError> {
        let mut candidates = Vec::new();
        let members = self.members(group)?;
        for row in &members {
            let contact = self.contact(row.account)?.filter(is_contact);
            candidates.push(match contact {
                Some(contact) => self.as_candidate(&contact),
                None => Candidate {
                    kind: Kind::Contact,
                    id: row.account.to_string(),
                    also: None,
                    name: self.person(row.account, Some(group))?.name,
                },
            });
        }
        let chosen = names::resolve(&candidates, typed).one(typed, Reason::NoSuchMember)?;
        let place = candidates.iter().position(|candidate| std::ptr::eq(candidate, chosen));
        let member = place.and_then(|at| members.get(at)).map(|row| row.account);
        member.ok_or_else(|| ApiError::internal("a candidate is gone"))
    }

    fn pick(&self, contacts: Vec<ContactRow>, typed: &str, missing: Reason) -> Result<ContactRow, ApiError> {
        let candidates: Vec<Candidate> = contacts.iter().map(|row| self.as_candidate(row)).collect();
        let chosen = names::resolve(&candidates, typed).one(typed, missing)?;
        let place = candidates.iter().position(|candidate| std::ptr::eq(candidate, chosen));
        place.and_then(|at| contacts.into_iter().nth(at)).ok_or_else(|| ApiError::internal("a candidate is gone"))
    }

    /// The group that was typed, among those in one of `states`. One that this account was removed from is found by its
    /// name where no other has it.
    pub(super) fn group_called(
        &self,
        typed: &str,
        states: &[GroupState],
        missing: Reason,
    ) -> Result<GroupRow, ApiError> {
        let (groups, others): (Vec<GroupRow>, Vec<GroupRow>) =
            self.groups()?.into_iter().partition(|group| states.contains(&group.state));
        let is_past = |group: &GroupRow| is_done_with(group) || group.state == GroupState::Removed;
        let named = |past: &dyn Fn(&GroupRow) -> bool| -> Vec<Candidate> {
            groups.iter().map(|group| if past(group) { past_group(group) } else { group_candidate(group) }).collect()
        };
        let mut candidates = named(&is_past);
        if matches!(names::resolve(&candidates, typed), Resolution::Nothing(_)) {
            candidates = named(&is_done_with);
        }
        let found = names::resolve(&candidates, typed);
        if missing == Reason::NoSuchGroup
            && matches!(found, Resolution::Nothing(_))
            && let Some(why) = why_not_usable(others.iter().chain(&groups), typed)
        {
            return Err(why);
        }
        let chosen = found.one(typed, missing)?;
        let place = candidates.iter().position(|candidate| std::ptr::eq(candidate, chosen));
        place.and_then(|at| groups.into_iter().nth(at)).ok_or_else(|| ApiError::internal("a candidate is gone"))
    }

    /// The chat that was typed: a contact's, a group's, one's own; also those that ended, whose history stays.
    pub(super) fn chat_called(&self, typed: &str) -> Result<ChatId, ApiError> {
        let mut candidates = vec![Candidate {
            kind: Kind::Own,
            id: self.own_chat().to_string(),
            also: Some(self.own.account.to_string()),
            name: OWN_CHAT.to_owned(),
        }];
        let (contacts, ended): (Vec<_>, Vec<_>) = self.contacts()?.into_iter().partition(is_contact);
        candidates.extend(contacts.iter().map(|row| self.as_candidate(row)));
        let (groups, other_groups): (Vec<_>, Vec<_>) = self.groups()?.into_iter().partition(is_member);
        candidates.extend(groups.iter().map(group_candidate));
        let found = names::resolve(&candidates, typed);
        if !matches!(found, Resolution::Nothing(_)) {
            return chat_of(found.one(typed, Reason::NoSuchChat)?);
        }
        let mut past = Vec::new();
        for row in &ended {
            if self.chat(ChatId::direct(self.own.account, row.account))?.is_some() {
                past.push(self.as_candidate(row));
            }
        }
        for group in &other_groups {
            let has_history = self.chat(ChatId::from(group.group))?.is_some();
            past.push(if has_history && !is_done_with(group) { group_candidate(group) } else { past_group(group) });
        }
        match names::resolve(&past, typed) {
            // What is spelled nearly so is looked for among those that are there.
            Resolution::Nothing(_) => chat_of(found.one(typed, Reason::NoSuchChat)?),
            ended => chat_of(ended.one(typed, Reason::NoSuchChat)?),
        }
    }

    /// The message of a chat whose id, or the beginning of it, was typed.
    pub(super) fn message_called(&self, chat: ChatId, typed: &str) -> Result<EventRow, ApiError> {
        let missing = || ApiError::new(Reason::NoSuchMessage).with("given", typed);
        if let Ok(id) = typed.parse::<EventId>() {
            return self.event(id)?.filter(|event| event.chat == chat).ok_or_else(missing);
        }
        let (low, high) = names::id_range(typed).ok_or_else(|| {
            if typed.len() < MIN_PREFIX { ApiError::new(Reason::BadId).with("given", typed) } else { missing() }
        })?;
        let found = self.places_between(chat, low, high, typed.len())?;
        match &found[..] {
            [] => Err(missing()),
            [place] => self.event(place.id)?.ok_or_else(missing),
            _ => {
                let list: Vec<String> = found.iter().map(|place| place.id.to_string()).collect();
                Err(ApiError::new(Reason::Ambiguous).with("given", typed).with("candidates", list.join(", ")))
            }
        }
    }

    /// Places of a conversation whose ids are in a range, the latest first. Where so many letters were typed as views show
    /// of an id, the search ends where it finds something.
    fn places_between(
        &self,
        chat: ChatId,
        low: [u8; 32],
        high: [u8; 32],
        letters: usize,
    ) -> Result<Vec<Place>, ViewError> {
        let (mut found, mut from) = (Vec::new(), None::<Vec<u8>>);
        for _ in 0..PREFIX_SEARCH / PREFIX_STEP {
            let before = from.as_deref();
            let lines = self.view.places(Table::Timeline, &chat.0, before, Direction::Backward, PREFIX_STEP + 1)?;
            let ended = lines.len() <= PREFIX_STEP;
            let new = lines.iter().filter(|place| before != Some(place.as_slice()));
            let new = new.filter_map(|place| Place::from_key(place));
            found.extend(new.filter(|place| (low..=high).contains(&place.id.0)));
            if ended || (letters >= SHOWN && !found.is_empty()) {
                break;
            }
            from = lines.into_iter().next_back();
        }
        Ok(found)
    }

    /// The place of the message that was typed, be it damaged: one must be able to go on behind it.
    pub(super) fn place_called(&self, chat: ChatId, typed: &str) -> Result<Vec<u8>, ApiError> {
        let damaged = match self.message_called(chat, typed) {
            Err(error) if error.is(Reason::StoreDamaged) => error,
            found => return Ok(found?.place),
        };
        let range = typed.parse::<EventId>().map(|id| (id.0, id.0)).ok().or_else(|| names::id_range(typed));
        let Some((low, high)) = range else { return Err(damaged) };
        let found = self.places_between(chat, low, high, SHOWN)?;
        found.first().map(|place| place.to_key().to_vec()).ok_or(damaged)
    }

    // What there is

    pub(super) fn contacts(&self) -> Result<Vec<ContactRow>, ViewError> {
        rows::all(self.view, b"")
    }

    pub(super) fn contact(&self, account: AccountId) -> Result<Option<ContactRow>, ViewError> {
        rows::read(self.view, &ContactRow::key(account))
    }

    pub(super) fn groups(&self) -> Result<Vec<GroupRow>, ViewError> {
        rows::all(self.view, b"")
    }

    pub(super) fn group(&self, group: OpId) -> Result<Option<GroupRow>, ViewError> {
        rows::read(self.view, &GroupRow::key(group))
    }

    pub(super) fn chat(&self, chat: ChatId) -> Result<Option<ChatRow>, ViewError> {
        rows::read(self.view, &ChatRow::key(chat))
    }

    pub(super) fn event(&self, id: EventId) -> Result<Option<EventRow>, ViewError> {
        rows::read(self.view, &EventRow::key(id))
    }

    /// Those who are members now, in no order.
    pub(super) fn members(&self, group: OpId) -> Result<Vec<MemberRow>, ViewError> {
        let mut members: Vec<MemberRow> = rows::all(self.view, group)?;
        members.retain(|member| member.current);
        Ok(members)
    }

    pub(super) fn own_chat(&self) -> ChatId {
        ChatId::direct(self.own.account, self.own.account)
    }

    // What they are called

    /// The local name of a contact; else the one it gave itself in this group or at all; else the beginning of its id.
    pub(super) fn person(&self, account: AccountId, group: Option<OpId>) -> Result<Person, ViewError> {
        Ok(Person { id: account, name: self.name(account, group)? })
    }

    fn name(&self, account: AccountId, group: Option<OpId>) -> Result<String, ViewError> {
        if account == self.own.account {
            return Ok(safe(&self.own.name));
        }
        let contact = self.contact(account)?;
        if let Some(name) = contact.as_ref().map(|row| &row.name).filter(|name| !name.is_empty()) {
            return Ok(safe(name));
        }
        if let Some(group) = group {
            let member: Option<MemberRow> = rows::read(self.view, &MemberRow::key(group, account))?;
            if let Some(name) = member.and_then(|member| member.name) {
                return Ok(safe(&name));
            }
        }
        Ok(contact.and_then(|row| row.own_name).map_or_else(|| nameless(account), |name| safe(&name)))
    }

    pub(super) fn name_of_chat(&self, kind: ChatKind) -> Result<String, ViewError> {
        match kind {
            ChatKind::Own => Ok(OWN_CHAT.to_owned()),
            ChatKind::Direct(account) => self.name(account, None),
            ChatKind::Group(group) => Ok(self.group(group)?.map(|row| group_name(&row)).unwrap_or_default()),
        }
    }

    /// A contact as the API shows it; `None` for those that are none.
    pub(super) fn as_contact(&self, row: &ContactRow) -> Result<Option<Contact>, ViewError> {
        let Some(state) = state_of(row) else { return Ok(None) };
        Ok(Some(Contact {
            id: row.account,
            name: self.name(row.account, None)?,
            state,
            verified: row.verified,
            online: self.is_online(row)?,
            problem: row.problem.map(|problem| match problem {
                ContactProblem::LinkUsed => types::LinkProblem::LinkUsed,
                ContactProblem::LinkExpired => types::LinkProblem::LinkExpired,
            }),
            new_device: row.new_device.map(Into::into),
        }))
    }

    // Whether they are here

    /// Whether a device of it is connected now.
    pub(super) fn is_online(&self, contact: &ContactRow) -> Result<bool, ViewError> {
        if contact.blocked || contact.state != ContactState::Connected {
            return Ok(false);
        }
        for device in &contact.devices {
            let row: Option<DeviceRow> = rows::read(self.view, &DeviceRow::key(*device))?;
            if row.is_some_and(|row| self.around.peers.contains(&row.transport)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn as_candidate(&self, row: &ContactRow) -> Candidate {
        Candidate {
            kind: Kind::Contact,
            id: row.account.to_string(),
            also: Some(ChatId::direct(self.own.account, row.account).to_string()),
            name: if row.name.is_empty() { row.own_name.clone().unwrap_or_default() } else { row.name.clone() },
        }
    }
}

/// A group that one is not in: its history is found by its id, and its name is free for others.
fn past_group(group: &GroupRow) -> Candidate {
    Candidate { name: String::new(), ..group_candidate(group) }
}

fn group_candidate(group: &GroupRow) -> Candidate {
    Candidate { kind: Kind::Group, id: group.group.to_string(), also: None, name: group_name(group) }
}

/// The event at a place of a timeline, by its row, or by the place itself where the row is damaged.
pub(super) fn line_id(place: &[u8], row: Option<&[u8]>) -> Option<EventId> {
    let named = row.and_then(|bytes| rows::parse::<TimelineRow>(bytes).ok());
    named.map(|TimelineRow(id)| id).or_else(|| Place::from_key(place).map(|place| place.id))
}

/// The chat behind a candidate: a contact's is its second id.
fn chat_of(candidate: &Candidate) -> Result<ChatId, ApiError> {
    let id = match candidate.kind {
        Kind::Contact => candidate.also.as_deref().unwrap_or_default(),
        Kind::Group | Kind::Own => &candidate.id,
    };
    id.parse().map_err(ApiError::internal)
}

/// How far it is with a contact, as the API says it; `None` for one that is none.
pub(super) fn state_of(row: &ContactRow) -> Option<types::ContactState> {
    if row.blocked {
        return Some(types::ContactState::Blocked);
    }
    match row.state {
        ContactState::Pending => Some(types::ContactState::Pending),
        ContactState::Requested => Some(types::ContactState::Requested),
        ContactState::Connected => Some(types::ContactState::Connected),
        ContactState::Incoming | ContactState::Removed | ContactState::Stranger => None,
    }
}

fn is_contact(row: &ContactRow) -> bool {
    state_of(row).is_some()
}

pub(super) fn is_request(row: &ContactRow) -> bool {
    row.state == ContactState::Incoming && !row.blocked
}

/// Whether one went out of a group, or did not come back into it, by oneself: it is out of mind, and its name is free. Who
/// was removed by another is told so where the group was, and who is invited again finds what was said before.
pub(super) fn is_done_with(group: &GroupRow) -> bool {
    matches!(group.state, GroupState::Left | GroupState::Declined)
}

fn is_member(group: &GroupRow) -> bool {
    matches!(group.state, GroupState::Joined | GroupState::Joining)
}

/// What a group is called here: its members may have given it a name that would mean something else when typed.
pub(super) fn group_name(group: &GroupRow) -> String {
    let shown = safe(&group.name);
    let without_signs = shown.parse::<Name>().ok().and_then(|name| name.without_signs());
    without_signs.map_or(shown, |name| name.to_string())
}

/// Why a group that is known cannot be used, where one of these was typed: better than that there is none.
fn why_not_usable<'g>(groups: impl Iterator<Item = &'g GroupRow>, typed: &str) -> Option<ApiError> {
    let groups: Vec<&GroupRow> = groups.collect();
    let candidates: Vec<Candidate> = groups.iter().map(|group| group_candidate(group)).collect();
    let chosen = names::resolve(&candidates, typed).one(typed, Reason::NoSuchGroup).ok()?;
    let at = candidates.iter().position(|candidate| std::ptr::eq(candidate, chosen))?;
    let group = groups.get(at)?;
    let reason = match group.state {
        GroupState::Invited => Reason::NotJoined,
        GroupState::Joining | GroupState::Left | GroupState::Removed => Reason::NotMember,
        GroupState::Joined | GroupState::Declined => return None,
    };
    Some(ApiError::new(reason).with("name", group_name(group)))
}

/// A name made safe to show on one line.
pub(super) fn safe(name: &str) -> String {
    SafeText::line(name).as_str().to_owned()
}

fn nameless(account: AccountId) -> String {
    account.to_string().chars().take(NAMELESS).collect()
}
