//! By which op a rule makes another void.
//!
//! Where several would do, one is named: of those beside an op the first by depth and id, of those before it the last. So
//! the cause is a function of the set of ops, as the verdict is.

use super::{Action, Resolver, Voided};
use crate::protocol::{
    group::{bits::Bits, op::Devices, resolve::Class},
    ids::{AccountId, OpId},
};
use std::cmp::Reverse;

impl Resolver<'_> {
    /// An op and why it is void, if it is.
    pub(super) fn voided(&self, at: usize) -> Option<(OpId, Voided)> {
        let cause = self.verdict(at)?.err()?;
        let by = cause.by.map(|by| self.op(by).id());
        Some((self.op(at).id(), Voided { reason: cause.reason, by }))
    }

    /// The first of these by depth and id.
    pub(super) fn first(&self, places: impl Iterator<Item = usize>) -> Option<usize> {
        places.min_by_key(|at| self.rank(Class::Member, *at))
    }

    fn last(&self, places: impl Iterator<Item = usize>) -> Option<usize> {
        places.max_by_key(|at| (self.graph.node(*at).depth, Reverse(self.op(*at).id())))
    }

    /// What ended the author's membership or role beside an op: a removal rather than a demotion.
    pub(super) fn end_beside(&self, account: &AccountId, at: usize) -> Option<usize> {
        let record = self.accounts.get(account)?;
        let beside = |ends: &[usize]| self.first(ends.iter().copied().filter(|end| self.concurrent(*end, at)));
        beside(&record.removals).or_else(|| beside(&record.demotions))
    }

    /// Why an account is no member where an op was made: the last that ended its membership, else an Add that does not count.
    pub(super) fn end_of_membership(&self, account: &AccountId, at: usize) -> Option<usize> {
        let record = self.accounts.get(account)?;
        let within = |earlier: &usize| *earlier != at && self.precedes(*earlier, at);
        let ends = record.removals.iter().chain(&record.leaves).copied().filter(within);
        let joins = || record.admissions.iter().copied().filter(within);
        let ends_one = ends.filter(|end| joins().any(|join| !self.precedes(*end, join)));
        let is_add = |at: &usize| matches!(self.op(*at).action, Action::Add(_));
        let is_void = |at: &usize| self.verdict(*at).is_some_and(|verdict| verdict.is_err());
        let void_adds = record.lists.iter().copied().filter(within).filter(is_add).filter(is_void);
        self.last(ends_one).or_else(|| self.last(void_adds))
    }

    /// Why an account has no role at a set of ops: the last that took it, or would have given it and does not count.
    pub(super) fn lack_of_role(&self, account: &AccountId, past: &Bits) -> Option<usize> {
        let record = self.accounts.get(account)?;
        let is_void = |at: &usize| self.verdict(*at).is_some_and(|verdict| verdict.is_err());
        let void = record.promotions.iter().copied().filter(is_void);
        self.last(record.demotions.iter().copied().chain(void).filter(|at| past.contains(*at)))
    }

    /// An op other than this one that brought a list into its past.
    pub(super) fn carrier(&self, account: &AccountId, list: &Devices, at: usize) -> Option<usize> {
        let lists = self.accounts.get(account)?.lists.iter().copied();
        let same = |place: &usize| self.list(*place).is_some_and(|other| other.list_hash == list.list_hash);
        self.first(lists.filter(|place| *place != at && self.precedes(*place, at)).filter(same))
    }
}
