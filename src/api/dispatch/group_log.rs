//! What was done in a group, by whom, whether it counts, and how many members know of an end.

use super::{Dispatcher, Reading, Serve, groups::SEEN, reading::safe};
use crate::{
    api::{
        ApiError, Reason,
        methods::GroupLog,
        names::{self, MIN_PREFIX},
        types::{GroupCause, GroupChange, GroupDid, GroupLogParams, GroupLogResult, GroupVoid, Person, V1, WhyVoid},
    },
    protocol::{
        engine::group_log::{self, LogEntry},
        group::{Deed, VoidReason, Voided},
        ids::{AccountId, ChatId, OpId},
        view::ViewError,
    },
};
use std::{cell::RefCell, collections::BTreeMap};

/// Changes that the log gives where nothing is said.
const PAGE: u32 = 50;
/// Changes in one answer at the most: half a thousand with the longest names are less than 1 MiB.
const LONGEST_PAGE: u32 = 500;

impl Serve for GroupLog {
    async fn serve(at: &Dispatcher, params: GroupLogParams) -> Result<GroupLogResult, ApiError> {
        at.read(move |reading| {
            let group = reading.group_called(&params.group, SEEN, Reason::NoSuchGroup)?.group;
            let told = Told::of(reading, group)?;
            let end = params.before.as_deref().map(|typed| told.place_called(typed)).transpose()?;
            let earlier = told.log.entries.iter().take(end.unwrap_or(usize::MAX));
            let mut shown: Vec<&LogEntry> =
                earlier.filter(|entry| params.all == Some(true) || !is_routine(entry)).collect();
            let asked = params.limit.unwrap_or(PAGE);
            let first = shown.len().saturating_sub(asked.min(LONGEST_PAGE) as usize);
            let page = shown.split_off(first);
            let changes = page.into_iter().map(|entry| told.changes(entry)).collect::<Result<Vec<_>, _>>()?;
            Ok(GroupLogResult {
                v: V1,
                group: ChatId::from(group),
                changes: changes.into_iter().flatten().collect(),
                more: asked > LONGEST_PAGE && first > 0,
            })
        })
        .await
    }
}

/// How many of the members of a group are known to have applied the last removal of an account, and how many there are.
pub(super) fn applied(reading: &Reading, group: OpId, member: AccountId) -> Result<Option<(u32, u32)>, ViewError> {
    let log = group_log::GroupLog::of(reading.view, group)?;
    let last =
        log.entries.iter().rev().find(|entry| entry.deeds.contains(&Deed::Removed(member)) && entry.void.is_none());
    Ok(last.and_then(|entry| Some((small(entry.applied?), small(log.members)))))
}

/// What nobody but a developer looks for: it happens by itself.
fn is_routine(entry: &LogEntry) -> bool {
    entry.deeds.iter().all(|deed| matches!(deed, Deed::SecretChanged | Deed::DevicesListed(_)))
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A group's log with the names of the people in it.
struct Told<'r, 'v> {
    reading: &'r Reading<'v>,
    group: OpId,
    log: group_log::GroupLog,
    by_id: BTreeMap<OpId, usize>,
    people: RefCell<BTreeMap<AccountId, Person>>,
}

impl<'r, 'v> Told<'r, 'v> {
    fn of(reading: &'r Reading<'v>, group: OpId) -> Result<Self, ViewError> {
        let log = group_log::GroupLog::of(reading.view, group)?;
        let by_id = log.entries.iter().enumerate().map(|(at, entry)| (entry.op, at)).collect();
        Ok(Self { reading, group, log, by_id, people: RefCell::default() })
    }

    /// The place of the change whose id, or the beginning of it, was typed.
    fn place_called(&self, typed: &str) -> Result<usize, ApiError> {
        let missing = || ApiError::new(Reason::NoSuchChange).with("given", typed);
        if let Ok(id) = typed.parse::<OpId>() {
            return self.by_id.get(&id).copied().ok_or_else(missing);
        }
        if typed.len() < MIN_PREFIX {
            return Err(ApiError::new(Reason::BadId).with("given", typed));
        }
        let (low, high) = names::id_range(typed).ok_or_else(missing)?;
        let found: Vec<(&OpId, &usize)> = self.by_id.range(OpId(low)..=OpId(high)).collect();
        match &found[..] {
            [] => Err(missing()),
            [(_, at)] => Ok(**at),
            _ => {
                let list: Vec<String> = found.iter().map(|(id, _)| id.to_string()).collect();
                Err(ApiError::new(Reason::Ambiguous).with("given", typed).with("candidates", list.join(", ")))
            }
        }
    }

    fn changes(&self, entry: &LogEntry) -> Result<Vec<GroupChange>, ApiError> {
        let void = entry.void.map(|void| self.void(&void)).transpose()?;
        let change = |deed: &Deed| -> Result<GroupChange, ApiError> {
            let (did, who, name) = parts(deed);
            Ok(GroupChange {
                id: entry.op,
                at: entry.at.into(),
                by: self.person(entry.by)?,
                did,
                who: who.map(|who| self.person(who)).transpose()?,
                name: name.map(safe),
                void: void.clone(),
                applied: entry.applied.map(small),
                of: entry.applied.map(|_| small(self.log.members)),
            })
        };
        entry.deeds.iter().map(change).collect()
    }

    fn void(&self, void: &Voided) -> Result<GroupVoid, ViewError> {
        let cause = void.by.and_then(|by| self.by_id.get(&by)).and_then(|at| self.log.entries.get(*at));
        let cause = cause.map(|entry| self.cause(entry)).transpose()?;
        let why = match void.reason {
            VoidReason::NotItsDevice => WhyVoid::NotTheirDevice,
            VoidReason::DeviceDropped => WhyVoid::DeviceDropped,
            VoidReason::NotAMember => WhyVoid::NotMember,
            VoidReason::TargetNotAMember => WhyVoid::TargetNotMember,
            VoidReason::NotAllowed => WhyVoid::NotAllowed,
            VoidReason::Overruled if cause.as_ref().is_some_and(|it| it.did == GroupDid::Demoted) => WhyVoid::Demoted,
            VoidReason::Overruled => WhyVoid::Removed,
            VoidReason::Outranked => WhyVoid::Outranked,
            VoidReason::OneSelf => WhyVoid::Oneself,
            VoidReason::JoinUsed => WhyVoid::JoinUsed,
            VoidReason::HandedOver => WhyVoid::HandedOver,
        };
        Ok(GroupVoid { why, cause })
    }

    fn cause(&self, entry: &LogEntry) -> Result<GroupCause, ViewError> {
        let (did, who, _) = entry.deeds.first().map_or((GroupDid::Other, None, None), parts);
        let who = who.map(|who| self.person(who)).transpose()?;
        Ok(GroupCause { id: entry.op, by: self.person(entry.by)?, did, who })
    }

    fn person(&self, account: AccountId) -> Result<Person, ViewError> {
        if let Some(known) = self.people.borrow().get(&account) {
            return Ok(known.clone());
        }
        let person = self.reading.person(account, Some(self.group))?;
        self.people.borrow_mut().insert(account, person.clone());
        Ok(person)
    }
}

/// What was done, to whom, and the name that it gave.
fn parts(deed: &Deed) -> (GroupDid, Option<AccountId>, Option<&str>) {
    match deed {
        Deed::Founded(name) => (GroupDid::Founded, None, Some(name)),
        Deed::Added(who) => (GroupDid::Added, Some(*who), None),
        Deed::Removed(who) => (GroupDid::Removed, Some(*who), None),
        Deed::Left => (GroupDid::Left, None, None),
        Deed::Promoted(who) => (GroupDid::Promoted, Some(*who), None),
        Deed::Demoted(who) => (GroupDid::Demoted, Some(*who), None),
        Deed::HandedOver(who) => (GroupDid::HandedOver, Some(*who), None),
        Deed::Renamed(name) => (GroupDid::Renamed, None, Some(name)),
        Deed::MailboxNamed(who) => (GroupDid::MailboxNamed, Some(*who), None),
        Deed::MailboxDropped(who) => (GroupDid::MailboxDropped, Some(*who), None),
        Deed::Settings => (GroupDid::Settings, None, None),
        Deed::DevicesReplaced(who) => (GroupDid::DeviceReplaced, Some(*who), None),
        Deed::DeviceAdded(who) => (GroupDid::DeviceAdded, Some(*who), None),
        Deed::DeviceDropped(who) => (GroupDid::DeviceDropped, Some(*who), None),
        Deed::DevicesListed(who) => (GroupDid::DevicesListed, Some(*who), None),
        Deed::SecretChanged => (GroupDid::SecretChanged, None, None),
        Deed::Other => (GroupDid::Other, None, None),
    }
}
