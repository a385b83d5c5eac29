//! What people in a world want, and how they go about it: they look now and then, and ask again where no answer came.

use super::{
    chance::Chance,
    mailbox::Mailboxes,
    roles::Deed,
    world::{Outcome, World},
};
use crate::protocol::{
    engine::{
        Command, Input, Refusal, Reply, Token,
        command::{Acceptance, MailboxAt, Serving},
        rows::{self, ChatRow, ContactState, GroupRow, GroupState},
    },
    ids::{ChatId, OpId},
    time::days,
};

/// The founder of the group, and everybody's first contact.
pub(super) const HUB: usize = 0;
/// Messages of a world at the most.
const MOST_SAID: u64 = 40;
/// Names to choose from: few, so that one comes back.
const NAMES: [&str; 3] = ["Sun", "Moon", "Star"];

/// Where something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Direct(usize),
    Group,
}

/// One thing somebody wants.
#[derive(Debug)]
pub(super) enum Wish {
    /// To be contacts, by a link of the maker.
    Meet {
        maker: usize,
        adder: usize,
        accept: Acceptance,
        link: Option<String>,
        added: bool,
    },
    Found {
        founder: usize,
        name: String,
    },
    Invite {
        inviter: usize,
        guest: usize,
    },
    Say {
        from: usize,
        place: Place,
        text: String,
    },
    Read {
        who: usize,
        place: Place,
    },
    CallSelf {
        who: usize,
        name: String,
    },
    NameGroup {
        who: usize,
        name: String,
    },
    Leave {
        who: usize,
    },
    /// To do something about another member, if it may by then.
    Do {
        by: usize,
        deed: Deed,
        on: usize,
        until: u64,
    },
    /// To have somebody back who was removed.
    InviteBack {
        by: usize,
        guest: usize,
        invited: bool,
    },
    /// To take nothing from another for a while.
    Shun {
        who: usize,
        other: usize,
        until: u64,
        blocked: bool,
    },
    /// To keep mail for those who have the link.
    Serve {
        who: usize,
        on: bool,
        link: Option<String>,
    },
    /// To have mail kept there.
    Use {
        who: usize,
        mailbox: usize,
    },
    /// To have the group's log kept there.
    NameMailbox {
        who: usize,
        mailbox: usize,
    },
}

/// A wish and how far it is.
#[derive(Debug)]
pub(super) struct Goal {
    pub(super) wish: Wish,
    /// Not before this time.
    after: u64,
    waiting: Option<Token>,
    pub(super) done: bool,
}

impl Goal {
    /// Something to be wanted from that time on.
    pub(super) fn new(after: u64, wish: Wish) -> Self {
        Self { wish, after, waiting: None, done: false }
    }
}

/// What to do about a wish now.
pub(super) enum Next {
    Ask(usize, Command),
    Wait,
    Done,
}

/// The wishes of a seed.
pub(super) fn draw(chance: &mut Chance, devices: usize) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut want = |after, wish| goals.push(Goal::new(after, wish));
    let mut pairs = Vec::new();
    for guest in 1..devices {
        pairs.push((HUB, guest));
    }
    for a in 1..devices {
        for b in a + 1..devices {
            if chance.permille(200) {
                pairs.push((a, b));
            }
        }
    }
    for (a, b) in &pairs {
        let (maker, adder) = if chance.permille(500) { (*a, *b) } else { (*b, *a) };
        let accept = |chance: &mut Chance| if chance.permille(600) { Acceptance::AtOnce } else { Acceptance::ByHand };
        let after = chance.between(0, 6_000);
        want(after, Wish::Meet { maker, adder, accept: accept(chance), link: None, added: false });
        if chance.permille(150) {
            // Both ask each other at once.
            let after = after + chance.between(0, 1_500);
            want(after, Wish::Meet { maker: adder, adder: maker, accept: accept(chance), link: None, added: false });
        }
    }
    for n in 0..chance.between(2, 8) {
        let (a, b) = pairs[chance.index(pairs.len())];
        let (from, to) = if chance.permille(500) { (a, b) } else { (b, a) };
        want(chance.between(0, 40_000), Wish::Say { from, place: Place::Direct(to), text: format!("d{n}") });
    }
    for _ in 0..chance.between(0, 2) {
        let (who, other) = pairs[chance.index(pairs.len())];
        want(chance.between(5_000, 50_000), Wish::Read { who, place: Place::Direct(other) });
    }
    for _ in 0..chance.between(0, 4) {
        let name = NAMES[chance.index(NAMES.len())].to_owned();
        want(chance.between(0, 50_000), Wish::CallSelf { who: chance.index(devices), name });
    }
    if devices > 2 || chance.permille(300) {
        group(chance, devices, &mut want);
    }
    if chance.permille(250) {
        let (a, b) = pairs[chance.index(pairs.len())];
        let (who, other) = if chance.permille(500) { (a, b) } else { (b, a) };
        let after = chance.between(5_000, 30_000);
        let until = after + chance.between(1_000, 20_000);
        want(after, Wish::Shun { who, other, until, blocked: false });
    }
    goals
}

/// The wishes of a partition: everybody meets and joins, and then speaks through all of it, on every side.
pub(super) fn draw_parted(chance: &mut Chance, devices: usize, until: u64) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut want = |after, wish| goals.push(Goal::new(after, wish));
    for guest in 1..devices {
        let accept = Acceptance::AtOnce;
        want(0, Wish::Meet { maker: HUB, adder: guest, accept, link: None, added: false });
        want(0, Wish::Invite { inviter: HUB, guest });
    }
    want(0, Wish::Found { founder: HUB, name: "Group".into() });
    for n in 0..chance.between(10, 60) {
        let from = chance.index(devices);
        want(chance.between(10_000, until - 1_000), Wish::Say { from, place: Place::Group, text: format!("g{n}") });
    }
    for n in 0..chance.between(0, 8) {
        let (from, to) = (HUB, 1 + chance.index(devices - 1));
        let (from, to) = if chance.permille(500) { (from, to) } else { (to, from) };
        want(
            chance.between(10_000, until - 1_000),
            Wish::Say { from, place: Place::Direct(to), text: format!("d{n}") },
        );
    }
    if chance.permille(300) {
        want(chance.between(60_000, until), Wish::NameGroup { who: HUB, name: "Group of ours".into() });
    }
    goals
}

/// The wishes without the group, in half of the worlds.
pub(super) fn without_group(seed: u64, mut goals: Vec<Goal>) -> Vec<Goal> {
    if Chance::new(seed, 8).permille(500) {
        goals.retain(|goal| {
            !matches!(
                goal.wish,
                Wish::Found { .. }
                    | Wish::Invite { .. }
                    | Wish::NameGroup { .. }
                    | Wish::Leave { .. }
                    | Wish::Say { place: Place::Group, .. }
                    | Wish::Read { place: Place::Group, .. }
            )
        });
    }
    goals
}

/// More to say in one world of seven, so that some have forty messages: drawn apart, so that the others stay as they are.
pub(super) fn with_talk(seed: u64, devices: usize, mut goals: Vec<Goal>) -> Vec<Goal> {
    let mut chance = Chance::new(seed, 9);
    if !chance.permille(150) {
        return goals;
    }
    let said = goals.iter().filter(|goal| matches!(goal.wish, Wish::Say { .. })).count() as u64;
    let group = has_group(&goals);
    for n in 0..chance.between(0, MOST_SAID.saturating_sub(said)) {
        let guest = 1 + chance.index(devices - 1);
        let (a, b) = if chance.permille(500) { (HUB, guest) } else { (guest, HUB) };
        let place = if group && chance.permille(500) { Place::Group } else { Place::Direct(b) };
        let wish = Wish::Say { from: a, place, text: format!("t{n}") };
        goals.push(Goal::new(chance.between(3_000, 50_000), wish));
    }
    goals
}

/// Whether a group is among the wishes.
pub(super) fn has_group(goals: &[Goal]) -> bool {
    goals.iter().any(|goal| matches!(goal.wish, Wish::Found { .. }))
}

/// What mailboxes and those who use them want.
pub(super) fn of_mailboxes(mailboxes: &Mailboxes) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut want = |wish| goals.push(Goal::new(0, wish));
    for mailbox in (0..mailboxes.manners.len()).map(|place| mailboxes.people + place) {
        want(Wish::Serve { who: mailbox, on: false, link: None });
        (0..mailboxes.people).for_each(|who| want(Wish::Use { who, mailbox }));
    }
    if mailboxes.keep_the_log {
        want(Wish::NameMailbox { who: HUB, mailbox: mailboxes.people });
    }
    goals
}

fn group(chance: &mut Chance, devices: usize, want: &mut impl FnMut(u64, Wish)) {
    want(chance.between(0, 4_000), Wish::Found { founder: HUB, name: "Group".into() });
    let late = (devices > 2 && chance.permille(500)).then_some(devices - 1);
    for guest in 1..devices {
        let after = if Some(guest) == late { chance.between(20_000, 40_000) } else { chance.between(0, 5_000) };
        want(after, Wish::Invite { inviter: HUB, guest });
    }
    for n in 0..chance.between(2, 10) {
        let from = chance.index(devices);
        want(chance.between(3_000, 50_000), Wish::Say { from, place: Place::Group, text: format!("g{n}") });
    }
    if chance.permille(400) {
        want(chance.between(10_000, 40_000), Wish::NameGroup { who: HUB, name: "Group of ours".into() });
    }
    if chance.permille(300) {
        want(chance.between(10_000, 50_000), Wish::Read { who: chance.index(devices), place: Place::Group });
    }
    if devices > 2 && chance.permille(400) {
        want(chance.between(15_000, 50_000), Wish::Leave { who: chance.index(devices) });
    }
}

impl World {
    /// Everybody goes after what they want.
    pub(super) fn pursue(&mut self) {
        let mut goals = std::mem::take(&mut self.goals);
        let open = |such: fn(&Wish) -> bool| goals.iter().any(|goal| such(&goal.wish) && !goal.done);
        let inviting = open(|wish| matches!(wish, Wish::Invite { .. }));
        self.rights.wait = open(|wish| matches!(wish, Wish::NameMailbox { .. }));
        for goal in &mut goals {
            if goal.done || goal.after > self.now {
                continue;
            }
            if let Some(token) = goal.waiting {
                let Some(outcome) = self.outcomes.remove(&token) else { continue };
                goal.waiting = None;
                goal.done = self.take_outcome(&mut goal.wish, outcome);
                continue;
            }
            if self.is_hopeless(&goal.wish) {
                goal.done = true;
                continue;
            }
            match self.next_of(&goal.wish, inviting) {
                Next::Wait => {}
                Next::Done => goal.done = true,
                Next::Ask(who, command) => {
                    goal.waiting = self.ask(who, command);
                    if matches!(goal.wish, Wish::Do { .. }) {
                        self.tempt_doer(who);
                    }
                }
            }
        }
        self.goals = goals;
    }

    fn ask(&mut self, who: usize, command: Command) -> Option<Token> {
        self.devices[who].run.as_ref()?;
        self.last_token += 1;
        let token = self.last_token;
        self.asked.insert(token, who);
        self.hand(who, Input::Command(token, command));
        Some(token)
    }

    fn next_of(&self, wish: &Wish, inviting: bool) -> Next {
        match wish {
            Wish::Meet { maker, adder, accept, link, added } => {
                self.next_of_meeting(*maker, *adder, *accept, link.as_deref(), *added)
            }
            Wish::Found { founder, name } => Next::Ask(*founder, Command::NewGroup(name.clone())),
            Wish::Invite { inviter, guest } => self.next_of_invitation(*inviter, *guest),
            Wish::Say { from, place, text } => match self.chat_to_write_in(*from, *place) {
                Some(chat) => Next::Ask(*from, Command::Send { chat, text: text.clone(), reply_to: None }),
                None if *place == Place::Group && self.left.contains(from) => Next::Done,
                // It may try.
                None if *place == Place::Group && self.is_removed(*from) => match self.group {
                    Some(group) => Next::Ask(
                        *from,
                        Command::Send { chat: ChatId::from(group), text: text.clone(), reply_to: None },
                    ),
                    None => Next::Wait,
                },
                None => Next::Wait,
            },
            Wish::Read { who, place } => match self.chat_of(*who, *place) {
                Some(chat) => Next::Ask(*who, Command::MarkRead { chat, up_to: None }),
                None => Next::Wait,
            },
            Wish::CallSelf { who, name } => Next::Ask(*who, Command::SetName(name.clone())),
            Wish::NameGroup { who, name } => match self.joined_group(*who) {
                Some(group) => Next::Ask(*who, Command::RenameGroup(group, name.clone())),
                None if self.left.contains(who) => Next::Done,
                None => Next::Wait,
            },
            Wish::Shun { who, other, until, blocked } => {
                let account = self.devices[*other].account;
                let connected = self.contact(*who, *other).is_some_and(|row| row.state == ContactState::Connected);
                match (blocked, connected) {
                    (false, false) => Next::Wait,
                    (false, true) => Next::Ask(*who, Command::Block(account)),
                    (true, _) if self.now < *until => Next::Wait,
                    (true, _) => Next::Ask(*who, Command::Unblock(account)),
                }
            }
            Wish::Serve { who, .. } if self.is_dead(*who) => Next::Done,
            Wish::Serve { who, on: false, .. } => Next::Ask(*who, Command::ServeMailbox(Serving::On)),
            Wish::Serve { who, link: None, .. } => Next::Ask(*who, Command::MakeMailboxLink),
            Wish::Serve { .. } => Next::Done,
            Wish::Use { mailbox, .. } if self.is_dead(*mailbox) => Next::Done,
            Wish::Use { who, mailbox } => match self.mailbox_link(*mailbox) {
                Some(link) => Next::Ask(*who, Command::AddMailbox(MailboxAt::Link(link))),
                None => Next::Wait,
            },
            Wish::NameMailbox { who, mailbox } => match self.joined_group(*who) {
                Some(group) if self.has_boxes(*who) => {
                    Next::Ask(*who, Command::NameGroupMailbox(group, self.devices[*mailbox].account))
                }
                None if self.left.contains(who) => Next::Done,
                _ => Next::Wait,
            },
            Wish::Leave { who } => match self.joined_group(*who) {
                Some(group) if *who != HUB || !inviting => Next::Ask(*who, Command::LeaveGroup(group)),
                _ => Next::Wait,
            },
            Wish::Do { by, deed, on, until } => self.next_of_deed(*by, *deed, *on, *until),
            Wish::InviteBack { by, guest, invited } => self.next_of_coming_back(*by, *guest, *invited),
        }
    }

    fn next_of_meeting(&self, maker: usize, adder: usize, accept: Acceptance, link: Option<&str>, added: bool) -> Next {
        let state = |who, other| self.contact(who, other).map(|contact| contact.state);
        let (here, there) = (state(maker, adder), state(adder, maker));
        if here == Some(ContactState::Connected) && there == Some(ContactState::Connected) {
            return Next::Done;
        }
        let Some(link) = link else {
            if self.mailboxes.never_met(maker, adder) && !self.has_boxes(maker) {
                return Next::Wait;
            }
            let life = if self.weather.is_of_days() { days(365 * 25) } else { days(7) };
            return Next::Ask(maker, Command::CreateTicket { life, accept });
        };
        if !added {
            return Next::Ask(adder, Command::AddContact { link: link.to_owned(), alias: None });
        }
        if here == Some(ContactState::Incoming) && accept == Acceptance::ByHand {
            return Next::Ask(maker, Command::Accept(self.devices[adder].account));
        }
        Next::Wait
    }

    fn next_of_invitation(&self, inviter: usize, guest: usize) -> Next {
        let Some(group) = self.group else { return Next::Wait };
        match self.group_row(guest, group).map(|row| row.state) {
            Some(GroupState::Joined | GroupState::Left | GroupState::Removed) => return Next::Done,
            Some(GroupState::Invited) => return Next::Ask(guest, Command::AcceptGroup(group)),
            // The inviter was lost with what it knew of this: it asks again.
            Some(GroupState::Joining) if self.losses.has_lost(inviter) && !self.counts_in(inviter, group, guest) => {}
            Some(_) => return Next::Wait,
            None => {}
        }
        let connected = self.contact(inviter, guest).is_some_and(|row| row.state == ContactState::Connected);
        let invited = self
            .group_row(inviter, group)
            .is_none_or(|row| row.state != GroupState::Joined || row.invited.contains(&self.devices[guest].account));
        let account = self.devices[guest].account;
        let member = self.members(inviter, group).iter().any(|row| row.current && row.account == account);
        if connected && !invited && !member {
            Next::Ask(inviter, Command::InviteToGroup(group, self.devices[guest].account))
        } else {
            Next::Wait
        }
    }

    fn counts_in(&self, who: usize, group: OpId, other: usize) -> bool {
        self.members(who, group).iter().any(|row| row.current && row.account == self.devices[other].account)
    }

    /// Whether the wish is fulfilled.
    fn take_outcome(&mut self, wish: &mut Wish, outcome: Outcome) -> bool {
        match (wish, outcome) {
            (Wish::Meet { link, .. }, Outcome::Answered(Ok(Reply::Ticket { link: text, reachable, .. }))) => {
                // Whoever is told that nobody could follow the link asks for another.
                *link = reachable.then_some(text);
                false
            }
            (
                Wish::Meet { added, .. },
                Outcome::Answered(Ok(Reply::Contact(_)) | Err(Refusal::AlreadyContact { .. } | Refusal::NoSuchRequest)),
            ) => {
                *added = true;
                false
            }
            (Wish::Serve { on, .. }, Outcome::Answered(Ok(Reply::Done))) => {
                *on = true;
                false
            }
            (
                Wish::Serve { who, link, .. },
                Outcome::Answered(Ok(Reply::Ticket { link: text, reachable: true, .. })),
            ) => {
                self.links.insert(*who, text.clone());
                *link = Some(text);
                true
            }
            // It does not know where it listens yet.
            (Wish::Serve { .. }, Outcome::Answered(Ok(Reply::Ticket { .. }))) => false,
            (Wish::Found { .. }, Outcome::Answered(Ok(Reply::Group(group)))) => {
                self.group = Some(group);
                true
            }
            (Wish::Found { founder, name }, Outcome::Unknown) => {
                let groups = rows::all::<GroupRow>(&self.devices[*founder].store, b"").unwrap_or_default();
                self.group = groups.iter().find(|row| row.name == *name).map(|row| row.group);
                self.group.is_some()
            }
            (Wish::Leave { who }, Outcome::Answered(Ok(_))) => self.left.insert(*who),
            // It was removed meanwhile, and perhaps asked to come back.
            (Wish::Leave { who }, Outcome::Unknown) if self.is_removed(*who) => true,
            (Wish::Leave { .. }, Outcome::Answered(Err(Refusal::NotAMember))) if self.rights.are_used() => true,
            (Wish::Leave { who }, Outcome::Unknown) => {
                let left = self.joined_group(*who).is_none();
                if left {
                    self.left.insert(*who);
                }
                left
            }
            (Wish::Shun { blocked, .. }, Outcome::Answered(Ok(_))) => std::mem::replace(blocked, true),
            (Wish::Shun { .. }, Outcome::Answered(Err(Refusal::NotBlocked { .. }))) => true,
            // Whoever is blocked may be spoken to again.
            (Wish::Say { .. } | Wish::Meet { .. }, Outcome::Answered(Err(Refusal::Blocked { .. }))) => false,
            (Wish::Invite { .. }, Outcome::Answered(Ok(_) | Err(Refusal::NoSuchInvitation))) => false,
            (Wish::Say { place: Place::Group, .. }, Outcome::Answered(Err(Refusal::NotAMember)))
                if self.rights.are_used() =>
            {
                true
            }
            (Wish::Say { .. }, Outcome::Answered(Err(Refusal::NotAMember | Refusal::NotConnected { .. }))) => false,
            (Wish::NameGroup { .. } | Wish::NameMailbox { .. }, Outcome::Answered(Err(Refusal::NotAllowed)))
                if self.rights.are_used() =>
            {
                true
            }
            (Wish::NameGroup { .. } | Wish::NameMailbox { .. }, Outcome::Answered(Err(Refusal::NotAMember))) => false,
            (Wish::Leave { who }, Outcome::Answered(Err(Refusal::NotAMember))) if self.losses.has_lost(*who) => {
                self.left.insert(*who);
                true
            }
            (Wish::Invite { .. }, Outcome::Answered(Err(Refusal::NotAllowed | Refusal::NotAMember)))
                if self.losses.count() > 0 =>
            {
                false
            }
            (Wish::Invite { .. }, Outcome::Answered(Err(_))) if self.rights.are_used() => false,
            (Wish::InviteBack { invited, .. }, Outcome::Answered(answer)) => {
                *invited |= answer.is_ok();
                false
            }
            // Whoever was only not told yet tries again.
            (
                Wish::Do { until, .. },
                Outcome::Answered(Err(Refusal::NotAllowed | Refusal::NoSuchMember | Refusal::NotAMember)),
            ) => self.now > *until,
            (
                Wish::Do { .. },
                Outcome::Answered(Err(Refusal::Outranked { .. } | Refusal::NotFounder | Refusal::HasRole { .. })),
            ) => true,
            (_, Outcome::Answered(Ok(_))) => true,
            (_, Outcome::Unknown) => false,
            (wish, Outcome::Answered(Err(refusal))) => {
                self.fail(format!("{wish:?} is refused: {refusal}"));
                false
            }
        }
    }

    fn mailbox_link(&self, mailbox: usize) -> Option<String> {
        self.links.get(&mailbox).cloned()
    }

    pub(super) fn joined_group(&self, who: usize) -> Option<OpId> {
        let group = self.group?;
        self.group_row(who, group).filter(|row| row.state == GroupState::Joined).map(|_| group)
    }

    fn chat_to_write_in(&self, who: usize, place: Place) -> Option<ChatId> {
        match place {
            Place::Group => self.joined_group(who).map(ChatId::from),
            Place::Direct(other) => {
                let contact = self.contact(who, other)?;
                let may =
                    matches!(contact.state, ContactState::Pending | ContactState::Requested | ContactState::Connected);
                may.then(|| ChatId::direct(self.devices[who].account, self.devices[other].account))
            }
        }
    }

    fn chat_of(&self, who: usize, place: Place) -> Option<ChatId> {
        let chat = match place {
            Place::Group => ChatId::from(self.group?),
            Place::Direct(other) => ChatId::direct(self.devices[who].account, self.devices[other].account),
        };
        rows::read::<ChatRow>(&self.devices[who].store, &ChatRow::key(chat)).ok().flatten().map(|_| chat)
    }
}
