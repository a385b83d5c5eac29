//! Members with rights, in worlds of their own: they remove others, give and take roles, hand the group over, invite those
//! who went again; some at the same moment, parted, or just before they crash. Drawn apart, so that worlds without any of
//! this stay as they are.

use super::{
    chance::Chance,
    scenario::{Goal, HUB, Next, Place, Wish, has_group},
    weather::Weather,
    world::{Happening, World},
};
use crate::protocol::{
    engine::{
        Command,
        rows::{ContactState, GroupState},
    },
    group::Role,
    ids::OpId,
};

/// With fewer people nobody is left to whom it could look different.
const FEWEST: usize = 3;
/// How long somebody tries what it has no right to yet, or no more, in milliseconds.
const TRIES_FOR: u64 = 10_000;
/// How long after the weather nobody wants anything of a group any more that did not come to be.
const GIVES_UP_AFTER: u64 = 60_000;

/// What somebody does about another member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Remove,
    Promote,
    Demote,
    HandOver,
}

/// Who has rights in a world; nobody uses any in most.
#[derive(Debug, Default)]
pub(super) struct Rights {
    chance: Option<Chance>,
    /// Whether a mailbox is still to be named, without which two who never meet know nothing of each other.
    pub(super) wait: bool,
}

impl Rights {
    /// Whether anybody uses them.
    pub(super) fn are_used(&self) -> bool {
        self.chance.is_some()
    }
}

/// Adds what members with rights want to the wishes of a seed, and parts them meanwhile.
pub(super) fn draw(seed: u64, people: usize, goals: &mut Vec<Goal>, weather: &mut Weather) -> Rights {
    let chance = Chance::new(seed, 11);
    if people < FEWEST || !has_group(goals) {
        return Rights::default();
    }
    let mut plot = Plot { chance, people, founder: HUB, goals, weather };
    plot.draw();
    Rights { chance: Some(plot.chance), wait: false }
}

/// The deeds of a world while they are drawn.
struct Plot<'w> {
    chance: Chance,
    people: usize,
    /// Who should be the founder by now.
    founder: usize,
    goals: &'w mut Vec<Goal>,
    weather: &'w mut Weather,
}

impl Plot<'_> {
    fn draw(&mut self) {
        for _ in 0..self.chance.between(0, 2) {
            let (at, [admin, ..]) = (self.chance.between(4_000, 12_000), self.cast());
            self.deed(at, HUB, Deed::Promote, admin);
        }
        let last = self.weather.until - 10_000;
        let mut times: Vec<u64> = (0..self.chance.between(1, 4)).map(|_| self.chance.between(10_000, last)).collect();
        times.sort_unstable();
        for (n, at) in times.into_iter().enumerate() {
            self.scene(at);
            for m in 0..self.chance.between(1, 5) {
                let (from, at) = (self.chance.index(self.people), at + self.chance.between(0, 10_000));
                self.say(at, from, format!("s{n}.{m}"));
            }
        }
    }

    /// Three who are not the founder; the last two are one where there are no more.
    fn cast(&mut self) -> [usize; 3] {
        let mut others: Vec<usize> = (0..self.people).filter(|who| *who != self.founder).collect();
        let mut next = || others.swap_remove(self.chance.index(others.len()));
        let (a, b) = (next(), next());
        [a, b, if self.people > FEWEST { next() } else { b }]
    }

    fn scene(&mut self, at: u64) {
        let (founder, [a, b, c]) = (self.founder, self.cast());
        let soon = at + self.chance.between(0, 3_000);
        match self.chance.between(0, 10) {
            0 => self.deed(at, founder, Deed::Remove, a),
            1 => {
                // Two admins remove each other.
                self.admins(at, &[a, b]);
                self.part(at, a, b);
                self.deed(at, a, Deed::Remove, b);
                self.deed(soon, b, Deed::Remove, a);
            }
            2 => {
                // One who is demoted removes somebody meanwhile.
                self.admins(at, &[a]);
                self.part(at, founder, a);
                self.deed(at, founder, Deed::Demote, a);
                self.deed(soon, a, Deed::Remove, b);
            }
            3 => {
                // One who is removed goes on writing.
                self.part(at, founder, a);
                self.deed(at, founder, Deed::Remove, a);
                for n in 0..3 {
                    let at = at + self.chance.between(0, 6_000);
                    self.say(at, a, format!("unaware {n}"));
                }
            }
            4 => {
                // One who is removed invites meanwhile, whom somebody else has removed perhaps.
                self.admins(at, &[a]);
                self.part(at, founder, a);
                self.deed(at, founder, Deed::Remove, a);
                self.deed(at.saturating_sub(8_000), founder, Deed::Remove, b);
                self.want(soon, Wish::InviteBack { by: a, guest: b, invited: false });
            }
            5 => {
                // The group is handed over, and whoever handed it over is removed by the new founder.
                self.deed(at, founder, Deed::HandOver, a);
                let later = soon + self.chance.between(0, 5_000);
                self.deed(later, a, Deed::Remove, founder);
                self.founder = a;
            }
            6 => {
                // The group is handed over to one whom an admin removes meanwhile.
                self.admins(at, &[a]);
                self.part(at, founder, a);
                self.deed(at, founder, Deed::HandOver, b);
                self.deed(soon, a, Deed::Remove, b);
                self.founder = b;
            }
            7 => {
                // Who was removed is invited again.
                self.deed(at, founder, Deed::Remove, a);
                let by = if self.chance.permille(500) { founder } else { b };
                self.admins(at, &[by]);
                self.want(soon, Wish::InviteBack { by, guest: a, invited: false });
            }
            8 => {
                // What a demoted admin gave another rests on nothing.
                self.admins(at, &[a]);
                self.part(at, founder, a);
                self.deed(at, founder, Deed::Demote, a);
                self.deed(at, a, Deed::Promote, b);
                self.deed(soon + 2_000, b, Deed::Remove, c);
            }
            9 => {
                // One leaves while it is removed.
                self.part(at, founder, a);
                self.deed(at, founder, Deed::Remove, a);
                self.want(soon, Wish::Leave { who: a });
            }
            _ => {
                // An admin removes somebody, and the one that it removes is an admin who removes a third.
                self.admins(at, &[a, b]);
                self.part(at, a, b);
                self.deed(soon, b, Deed::Remove, c);
                self.deed(at, a, Deed::Remove, b);
                self.deed(soon, founder, Deed::Demote, a);
            }
        }
    }

    /// They are made admins some time before.
    fn admins(&mut self, at: u64, admins: &[usize]) {
        let founder = self.founder;
        for admin in admins.iter().filter(|admin| **admin != founder) {
            let before = at.saturating_sub(self.chance.between(2_000, 8_000));
            self.deed(before, founder, Deed::Promote, *admin);
        }
    }

    /// These two are parted for a while, with some on either side, in most of the worlds.
    fn part(&mut self, at: u64, a: usize, b: usize) {
        let (from, to) = (at.saturating_sub(self.chance.between(0, 500)), at + self.chance.between(2_000, 12_000));
        let side = (self.chance.between(0, (1 << self.people) - 1) | 1 << a) & !(1 << b);
        if self.chance.permille(800) {
            self.weather.splits.push((from, to.min(self.weather.until), side));
        }
    }

    fn deed(&mut self, at: u64, by: usize, deed: Deed, on: usize) {
        // Where there are few, two parts fall to one.
        if by != on {
            self.want(at, Wish::Do { by, deed, on, until: at + TRIES_FOR });
        }
    }

    fn say(&mut self, at: u64, from: usize, text: String) {
        self.want(at, Wish::Say { from, place: Place::Group, text });
    }

    fn want(&mut self, at: u64, wish: Wish) {
        self.goals.push(Goal::new(at, wish));
    }
}

impl World {
    /// Whether a wish will not come to be any more, since somebody is in the group no more or may not do what it wants.
    pub(super) fn is_hopeless(&self, wish: &Wish) -> bool {
        let is_of_group = match wish {
            // Whoever is asked to come back answers, if who asks is still there.
            Wish::InviteBack { by, guest, .. } => {
                self.state_in_group(*guest) != Some(GroupState::Invited) || self.joined_group(*by).is_none()
            }
            Wish::Invite { .. } | Wish::Do { .. } | Wish::NameGroup { .. } | Wish::NameMailbox { .. } => true,
            Wish::Leave { .. } | Wish::Say { place: Place::Group, .. } | Wish::Read { place: Place::Group, .. } => true,
            _ => false,
        };
        self.rights.are_used() && is_of_group && self.now > self.weather.until + GIVES_UP_AFTER
    }

    pub(super) fn next_of_deed(&self, by: usize, deed: Deed, on: usize, until: u64) -> Next {
        let account = self.devices[on].account;
        match self.joined_group(by) {
            // Without a log of the group two who never meet would not know of what the others do.
            _ if self.rights.wait => Next::Wait,
            Some(group) => Next::Ask(
                by,
                match deed {
                    Deed::Remove => Command::RemoveMember(group, account),
                    Deed::Promote => Command::SetRole(group, account, Role::Admin),
                    Deed::Demote => Command::SetRole(group, account, Role::Member),
                    Deed::HandOver => Command::HandOver(group, account),
                },
            ),
            None if self.now > until => Next::Done,
            None => Next::Wait,
        }
    }

    /// Who was removed is asked to come back, and does.
    pub(super) fn next_of_coming_back(&self, by: usize, guest: usize, invited: bool) -> Next {
        let Some(group) = self.joined_group(by) else { return Next::Wait };
        match (self.state_in_group(guest), invited) {
            (Some(GroupState::Removed), false) => {
                let connected = self.contact(by, guest).is_some_and(|row| row.state == ContactState::Connected);
                let account = self.devices[guest].account;
                if connected { Next::Ask(by, Command::InviteToGroup(group, account)) } else { Next::Wait }
            }
            (Some(GroupState::Invited), _) => Next::Ask(guest, Command::AcceptGroup(group)),
            (Some(GroupState::Joined), true) | (Some(GroupState::Left), _) => Next::Done,
            _ => Next::Wait,
        }
    }

    /// Perhaps whoever has just done something about another crashes.
    pub(super) fn tempt_doer(&mut self, who: usize) {
        let Some(chance) = &mut self.rights.chance else { return };
        if chance.permille(200) {
            let at = self.now + chance.between(0, 60);
            self.at(at, Happening::Fall(who));
        }
    }

    /// A process is killed just now.
    pub(super) fn fall(&mut self, who: usize) {
        if self.is_stormy() && self.devices[who].run.is_some() {
            self.crash(who);
        }
    }

    /// Whether somebody was put out of the group, as it knows itself.
    pub(super) fn is_removed(&self, who: usize) -> bool {
        self.state_in_group(who) == Some(GroupState::Removed)
    }

    pub(super) fn state_in_group(&self, who: usize) -> Option<GroupState> {
        self.group.and_then(|group: OpId| self.group_row(who, group)).map(|row| row.state)
    }
}
