//! Members of groups, and which own events are meant for them.

use super::Row;
use crate::protocol::{
    group::Role,
    ids::{AccountId, DeviceId, OpId},
    view::{Key, Table},
    wire::limits::MAX_MEANT,
};
use minicbor::{Decode, Encode};

/// A member of a group, as the ops say now; a copy for views.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct MemberRow {
    /// Who.
    #[n(0)]
    pub account: AccountId,
    /// Its role; the last one for a former member.
    #[n(1)]
    pub role: Role,
    /// The name it gave itself in this group.
    #[n(2)]
    pub name: Option<String>,
    /// Whether it is a member now (rows of former ones stay for the names in the history).
    #[n(3)]
    pub current: bool,
    /// Its devices now.
    #[n(4)]
    pub devices: Vec<DeviceId>,
    /// The number of its event that said the name; 0 where none did.
    #[n(5)]
    pub named_by: u64,
    /// The op that made it a member; `meant` is by this one.
    #[n(7)]
    pub joined: Option<OpId>,
    /// Whether its own device said the name to this account, and so says any later one. Else others said it, and there may
    /// be a newer one that was not meant for this account.
    #[n(8)]
    #[cbor(default)]
    pub name_sure: bool,
    /// The device that said the name.
    #[n(9)]
    pub named_on: Option<DeviceId>,
    /// The newest ops that its devices named in events, or when they compared, up to
    /// [`MAX_HEADS`](crate::protocol::wire::limits::MAX_HEADS) of each: these, and what they were made after, they have.
    #[cbor(n(11), default)]
    pub heads: Vec<(DeviceId, Vec<OpId>)>,
    /// Of who was a member before: the first of this device's events that was meant for it then.
    #[n(12)]
    pub meant_then: Option<u64>,
    /// Which events of own devices are meant for it: what was written before it came is not.
    #[cbor(n(13), default)]
    pub meant: Meant,
}

impl Row for MemberRow {
    const TABLE: Table = Table::Bundle;
}

impl MemberRow {
    /// The first event of this device that was ever meant for it.
    pub fn first_ever_meant(&self, own: DeviceId) -> Option<u64> {
        self.meant.first(own).into_iter().chain(self.meant_then).min()
    }

    /// By group and account.
    pub fn key(group: OpId, account: AccountId) -> Key {
        Key::named(Self::TABLE, group, account)
    }
}

/// Which events of own devices are meant for a member.
///
/// A device's events know more and more joinings, so one number would do, were it not for stores that are put back: what is
/// written then does not know what was known before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Meant(#[n(0)] Vec<Span>);

/// Numbers of one device from `first` to `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
struct Span {
    #[n(0)]
    device: DeviceId,
    #[n(1)]
    first: u64,
    #[n(2)]
    last: u64,
}

impl Meant {
    /// Whether what this device wrote under a number is.
    pub fn has(&self, device: DeviceId, no: u64) -> bool {
        self.of(device).any(|(first, last)| (first..=last).contains(&no))
    }

    /// The numbers of a device, as inclusive ranges, the least first.
    pub fn of(&self, device: DeviceId) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().filter(move |span| span.device == device).map(|span| (span.first, span.last))
    }

    /// The least of a device's numbers.
    pub fn first(&self, device: DeviceId) -> Option<u64> {
        self.of(device).next().map(|(first, _)| first)
    }

    /// Adds the numbers of a device from one to another. Where there are more than [`MAX_MEANT`] ranges, the two nearest
    /// become one: rather a message waits for somebody for ever than that it is told as delivered too early.
    pub fn add(&mut self, device: DeviceId, (first, last): (u64, u64)) {
        self.0.push(Span { device, first, last });
        self.0.sort_unstable();
        self.0.dedup_by(|next, span| span.joins(next, 1));
        while self.0.len() > MAX_MEANT {
            let gaps = self.0.windows(2).filter(|two| two[0].device == two[1].device);
            let Some(least) = gaps.map(|two| two[1].first - two[0].last).min() else { break };
            self.0.dedup_by(|next, span| span.joins(next, least));
        }
    }

    /// Takes one number of a device out.
    pub fn remove(&mut self, device: DeviceId, no: u64) {
        let cut = |span: Span| {
            let is_in = span.device == device && (span.first..=span.last).contains(&no);
            let below = Span { last: no.saturating_sub(1), ..span };
            let above = Span { first: no.saturating_add(1), ..span };
            let parts = if is_in { [Some(below), Some(above)] } else { [Some(span), None] };
            parts.into_iter().flatten().filter(|part| part.first <= part.last)
        };
        self.0 = std::mem::take(&mut self.0).into_iter().flat_map(cut).collect();
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Span {
    /// Takes the next one in if it is no farther than this.
    fn joins(&mut self, next: &Span, reach: u64) -> bool {
        let is_near = self.device == next.device && next.first <= self.last.saturating_add(reach);
        if is_near {
            self.last = self.last.max(next.last);
        }
        is_near
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const OWN: DeviceId = DeviceId([1; 32]);
    const FORMER: DeviceId = DeviceId([2; 32]);

    proptest! {
        #[test]
        fn numbers_are_in_or_out_as_they_were_put(
            steps in prop::collection::vec((any::<bool>(), any::<bool>(), 1_u64..60, 0_u64..4), 0..30),
        ) {
            let (mut meant, mut model) = (Meant::default(), BTreeSet::new());
            for (is_own, is_added, first, more) in steps {
                let device = if is_own { OWN } else { FORMER };
                if is_added {
                    meant.add(device, (first, first + more));
                    model.extend((first..=first + more).map(|no| (device, no)));
                } else {
                    meant.remove(device, first);
                    model.remove(&(device, first));
                }
            }
            for device in [OWN, FORMER] {
                for no in 0..70 {
                    prop_assert_eq!(meant.has(device, no), model.contains(&(device, no)));
                }
                let first = model.iter().find(|(of, _)| *of == device).map(|(_, no)| *no);
                prop_assert_eq!(meant.first(device), first);
            }
        }
    }

    #[test]
    fn too_many_ranges_become_wider_and_none_is_lost() {
        let mut meant = Meant::default();
        meant.add(FORMER, (1, 1));
        let numbers: Vec<u64> = (1..=MAX_MEANT as u64 + 5).map(|at| at * 1000 + at).collect();
        numbers.iter().for_each(|no| meant.add(OWN, (*no, *no)));
        assert!(numbers.iter().all(|no| meant.has(OWN, *no)));
        assert!(meant.0.len() <= MAX_MEANT && meant.has(FORMER, 1) && !meant.has(FORMER, 2));
    }
}
