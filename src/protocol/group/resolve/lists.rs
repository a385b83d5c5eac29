//! The first pass: which device lists count, and what they make void. It rests on account keys and on nobody's role.

use super::{Record, Resolver, Verdict, VoidReason};
use crate::protocol::{
    group::{
        bits::Bits,
        op::{Action, Devices},
    },
    ids::{AccountId, DeviceId},
};
use std::{cmp::Reverse, collections::BTreeMap};

/// The order of an account's device lists: the greater counts.
pub(in crate::protocol::group) type ListOrder = (u64, Reverse<[u8; 32]>);

impl<'a> Resolver<'a> {
    pub(super) fn settle_devices(&mut self) {
        for at in self.places() {
            let op = self.op(at);
            let past = &self.graph.node(at).past;
            if let Some(list) = op.devices() {
                self.record(list.account).lists.push(at);
            }
            let newest = self.newest_list(&op.account, past);
            if !newest.is_some_and(|list| list.devices.contains(&op.device)) {
                let by = newest.and_then(|list| self.carrier(&op.account, list, at));
                self.settle(at, Err(VoidReason::NotItsDevice.by(by)));
                if let Some(list) = op.devices() {
                    self.record(list.account).lists.pop();
                }
            }
        }
        for account in self.accounts.keys().copied().collect::<Vec<_>>() {
            self.drop_devices(&account);
        }
        for at in self.places().filter(|at| self.verdict(*at).is_none()).collect::<Vec<_>>() {
            if matches!(self.op(at).action, Action::Leave(_)) {
                self.record(self.op(at).account).leaves.push(at);
            }
        }
    }

    /// The account's own lists, the newest first, void what devices they drop say beside them.
    fn drop_devices(&mut self, account: &AccountId) {
        let Some(record) = self.accounts.get(account) else { return };
        if record.lists.len() < 2 {
            return;
        }
        let last_listed = self.last_listed(record);
        let is_own = |at: &usize| self.op(*at).account == *account && !self.comes_back(record, *at);
        let mut own: Vec<usize> = record.lists.iter().copied().filter(is_own).collect();
        own.sort_by_key(|at| (Reverse(self.list(*at).map(order)), self.op(*at).id()));
        let authored = record.authored.clone();
        for at in own {
            let (None, Some(list)) = (self.verdict(at), self.list(at)) else { continue };
            for other in &authored {
                let dropped = last_listed.get(&self.op(*other).device).is_some_and(|last| *last < order(list));
                if dropped && self.verdict(*other).is_none() && self.concurrent(at, *other) {
                    self.settle(*other, Err(VoidReason::DeviceDropped.by(Some(at))));
                }
            }
        }
    }

    /// Whether a device lists itself that no list before had: one made of a backup. It cannot know what the one it replaces
    /// did last.
    fn comes_back(&self, record: &Record, at: usize) -> bool {
        let mut before = record.lists.iter().filter(|other| **other != at && self.precedes(**other, at));
        !before.any(|other| self.list(*other).is_some_and(|list| list.devices.contains(&self.op(at).device)))
    }

    /// For each device that was ever the account's the newest list that has it.
    pub(super) fn last_listed(&self, record: &Record) -> BTreeMap<DeviceId, ListOrder> {
        let mut last: BTreeMap<DeviceId, ListOrder> = BTreeMap::new();
        for list in record.lists.iter().filter_map(|at| self.list(*at)) {
            for device in &list.devices {
                let newest = last.entry(*device).or_insert_with(|| order(list));
                *newest = order(list).max(*newest);
            }
        }
        last
    }

    pub(super) fn newest_list(&self, account: &AccountId, past: &Bits) -> Option<&'a Devices> {
        let lists = self.accounts.get(account)?.lists.iter();
        lists.filter(|at| past.contains(**at)).filter_map(|at| self.list(*at)).max_by_key(|list| order(list))
    }

    /// Whether a list is news where it was issued, and takes a device off that an op not made after it still lists.
    pub(super) fn drops(
        &self,
        at: usize,
        list: &Devices,
        lists: &[(usize, &Devices)],
        last_listed: &BTreeMap<DeviceId, ListOrder>,
    ) -> bool {
        let not_news = |(earlier, known): &(usize, &Devices)| {
            *earlier != at && self.precedes(*earlier, at) && order(known) >= order(list)
        };
        let is_dropped = |verdict: Verdict| verdict.is_err_and(|cause| cause.reason == VoidReason::DeviceDropped);
        if self.verdict(at).is_some_and(is_dropped) || lists.iter().any(not_news) {
            return false;
        }
        let before = lists.iter().filter(|(other, _)| !self.precedes(at, *other));
        before.flat_map(|(_, list)| &list.devices).any(|d| last_listed.get(d).is_some_and(|last| *last < order(list)))
    }
}

/// Which of an account's lists counts: the greatest.
pub(in crate::protocol::group) fn order(list: &Devices) -> ListOrder {
    (list.list_seq, Reverse(list.list_hash))
}
