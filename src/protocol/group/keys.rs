//! The one rule for keys of a group, and when a gossip secret is rotated. Data in, data out: no timers.
//!
//! A sender chain or gossip secret **is used, and handed on, only once the past of the heads it was made at is known
//! here, only while every counting Remove, Leave and device drop I know lies in that past, and under its age and count
//! limits.** This needs no agreement and is right under any concurrency: who does not know a removal yet uses the old
//! key, who knows it does not.
//!
//! Who calls: the engine, before each use. Ages count from when the key or its op arrived here, by the own clock.

use super::{
    graph::Graph,
    resolve::{Membership, Rotation},
};
use crate::protocol::{
    crypto::{kdf::hash, secret::Secret},
    ids::{AccountId, OpId},
    time::Millis,
    wire::limits::{
        CHAIN_LIFE, GOSSIP_SECRET_LIFE, MAX_CHAIN_MESSAGES, ROTATE_ANYWAY_AFTER, ROTATE_JITTER, ROTATE_JITTER_EACH,
    },
};
use std::{collections::BTreeMap, time::Duration};

/// Whether a key may be used and handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Usable,
    /// Not yet: these ops are not here.
    Awaits(Vec<OpId>),
    /// No more: this Remove, Leave or device drop is not in its past.
    Overtaken(OpId),
    /// No more: too old, or used too often.
    Spent,
}

/// The standing of a sender chain made at `heads`, here `since` then, of which `used` keys were used.
pub fn chain_standing(
    graph: &Graph,
    membership: &Membership,
    heads: &[OpId],
    since: Millis,
    used: u32,
    now: Millis,
) -> Standing {
    if used >= MAX_CHAIN_MESSAGES || now.since(since) >= CHAIN_LIFE {
        return Standing::Spent;
    }
    standing(graph, membership, heads)
}

/// A gossip secret that is held here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSecret {
    /// The rotation that made it.
    pub op: OpId,
    /// The secret, GS.
    pub secret: Secret,
}

/// The gossip secret in force: of the usable ones that are held the deepest op's, then the lowest id's.
///
/// `arrived` gives when an op arrived here; an op it does not know counts as just arrived.
pub fn in_force<'h>(
    graph: &Graph,
    membership: &Membership,
    held: &'h [HeldSecret],
    arrived: &dyn Fn(&OpId) -> Option<Millis>,
    now: Millis,
) -> Option<&'h HeldSecret> {
    let mut usable = usable_rotations(graph, membership, arrived, now);
    usable.find_map(|rotation| held.iter().find(|held| held.op == rotation.op && is_secret_of(&held.secret, &rotation)))
}

/// The rotation whose secret should be in force: the deepest that is usable, held or not.
pub fn foremost(
    graph: &Graph,
    membership: &Membership,
    arrived: &dyn Fn(&OpId) -> Option<Millis>,
    now: Millis,
) -> Option<OpId> {
    usable_rotations(graph, membership, arrived, now).next().map(|rotation| rotation.op)
}

/// When this member issues a rotation: at `from` and a delay drawn evenly from zero to `jitter`, unless a usable secret is
/// in force by then. The jitter keeps all members from rotating at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationDue {
    /// Not before.
    pub from: Millis,
    /// The longest delay to add.
    pub jitter: Duration,
}

/// When a rotation is due, as things are. It may lie in the past.
pub fn rotation_due(
    graph: &Graph,
    membership: &Membership,
    held: &[HeldSecret],
    arrived: &dyn Fn(&OpId) -> Option<Millis>,
    now: Millis,
) -> RotationDue {
    let at = |op: &OpId| arrived(op).unwrap_or(now);
    let from = match in_force(graph, membership, held, arrived, now) {
        Some(held) => at(&held.op).plus(GOSSIP_SECRET_LIFE),
        None => {
            // Somebody's usable secret is on its way, or else the last cut left none. Of each maker the first counts: who
            // goes on making secrets that nobody is given must not keep all others without.
            let mut firsts: BTreeMap<AccountId, Millis> = BTreeMap::new();
            for rotation in usable_rotations(graph, membership, arrived, now) {
                let Some(maker) = graph.op(&rotation.op).map(|op| op.account) else { continue };
                let first = firsts.entry(maker).or_insert(now);
                *first = at(&rotation.op).min(*first);
            }
            let cut = membership.cuts.iter().map(at).max();
            let last = firsts.into_values().max();
            last.map(|seen| seen.plus(ROTATE_ANYWAY_AFTER)).or(cut).unwrap_or_else(|| at(&graph.group()))
        }
    };
    let members = u32::try_from(membership.members.len()).unwrap_or(u32::MAX);
    RotationDue { from, jitter: ROTATE_JITTER_EACH.saturating_mul(members).min(ROTATE_JITTER) }
}

/// Whether this is the secret whose hash the rotation gives.
pub fn is_secret_of(secret: &Secret, rotation: &Rotation) -> bool {
    secret_hash(secret) == rotation.hash
}

/// H(GS), which a RotateGossipSecret op carries.
pub fn secret_hash(secret: &Secret) -> [u8; 32] {
    hash(&[secret.expose()])
}

fn usable_rotations(
    graph: &Graph,
    membership: &Membership,
    arrived: &dyn Fn(&OpId) -> Option<Millis>,
    now: Millis,
) -> impl Iterator<Item = Rotation> {
    membership.rotations.iter().copied().filter(move |rotation| {
        let young = arrived(&rotation.op).is_none_or(|at| now.since(at) < GOSSIP_SECRET_LIFE);
        young && standing(graph, membership, &[rotation.op]) == Standing::Usable
    })
}

fn standing(graph: &Graph, membership: &Membership, heads: &[OpId]) -> Standing {
    let missing: Vec<OpId> = heads.iter().filter(|head| !graph.contains(head)).copied().collect();
    if !missing.is_empty() {
        return Standing::Awaits(missing);
    }
    match membership.cuts.iter().find(|cut| !graph.within(cut, heads)) {
        Some(cut) => Standing::Overtaken(*cut),
        None => Standing::Usable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        group::{
            op::Action,
            testing::{Person, World, person},
        },
        time::{days, minutes},
    };

    const NOW: Millis = Millis(1_000_000_000_000);

    fn secret(n: u8) -> Secret {
        Secret::from([n; 32])
    }

    fn world() -> (World, Person, Person) {
        let (founder, member) = (person(0), person(1));
        let mut world = World::new(&founder);
        world.add(&founder, &member);
        (world, founder, member)
    }

    fn rotate(world: &mut World, at: &[OpId], by: &Person, n: u8) -> HeldSecret {
        let op = world.at(at, by, Action::RotateGossipSecret(secret_hash(&secret(n))));
        HeldSecret { op, secret: secret(n) }
    }

    fn force(world: &World, held: &[HeldSecret]) -> Option<OpId> {
        in_force(&world.graph, &world.graph.membership(), held, &|_| Some(NOW), NOW).map(|held| held.op)
    }

    #[test]
    fn a_chain_is_used_until_a_removal_it_does_not_know() {
        let (mut world, founder, member) = world();
        let heads = world.graph.heads();
        let of = |world: &World, heads: &[OpId], used, now| {
            chain_standing(&world.graph, &world.graph.membership(), heads, NOW, used, now)
        };
        assert_eq!(of(&world, &heads, 0, NOW), Standing::Usable);
        assert_eq!(of(&world, &heads, 1_000, NOW), Standing::Spent);
        assert_eq!(of(&world, &heads, 0, NOW.plus(days(7))), Standing::Spent);
        assert_eq!(of(&world, &[OpId([9; 32])], 0, NOW), Standing::Awaits(vec![OpId([9; 32])]));
        world.add(&founder, &person(2));
        assert_eq!(of(&world, &heads, 0, NOW), Standing::Usable, "who joins ends no chain");
        let cut = world.at(&heads, &founder, Action::Remove(member.account));
        assert_eq!(of(&world, &heads, 0, NOW), Standing::Overtaken(cut));
        assert_eq!(of(&world, &[cut], 0, NOW), Standing::Usable);
    }

    #[test]
    fn the_deepest_usable_secret_that_is_held_is_in_force() {
        let (mut world, founder, member) = world();
        let heads = world.graph.heads();
        let (a, b) = (rotate(&mut world, &heads, &founder, 1), rotate(&mut world, &heads, &member, 2));
        let lowest = a.op.min(b.op);
        assert_eq!(force(&world, &[a.clone(), b.clone()]), Some(lowest));
        let c = rotate(&mut world, &[a.op, b.op], &founder, 3);
        let held = [a.clone(), b.clone(), c.clone()];
        assert_eq!(force(&world, &held), Some(c.op));
        assert_eq!(force(&world, &held[..1]), Some(a.op), "one that is not held is not in force");
        let wrong = HeldSecret { secret: secret(9), ..c.clone() };
        assert_eq!(force(&world, &[wrong]), None, "nor one that is not the op's");
        world.op(&founder, Action::Remove(member.account));
        assert_eq!(force(&world, &held), None, "after a removal no older secret is");
        let heads = world.graph.heads();
        let d = rotate(&mut world, &heads, &founder, 4);
        assert_eq!(force(&world, &[a, d.clone()]), Some(d.op));
    }

    #[test]
    fn a_removed_member_makes_no_secret() {
        let (mut world, founder, member) = world();
        let heads = world.graph.heads();
        world.at(&heads, &founder, Action::Remove(member.account));
        let beside = rotate(&mut world, &heads, &member, 1);
        let now = world.graph.heads();
        let after = rotate(&mut world, &now, &member, 2);
        assert_eq!(force(&world, &[beside, after]), None);
    }

    #[test]
    fn a_rotation_is_due_at_once_after_a_cut_later_while_one_comes_and_at_its_age() {
        let (mut world, founder, member) = world();
        let due = |world: &World, held: &[HeldSecret]| {
            rotation_due(&world.graph, &world.graph.membership(), held, &|_| Some(NOW), NOW).from
        };
        let heads = world.graph.heads();
        let first = rotate(&mut world, &heads, &founder, 1);
        assert_eq!(due(&world, std::slice::from_ref(&first)), NOW.plus(days(30)));
        assert_eq!(due(&world, &[]), NOW.plus(minutes(5)));
        world.op(&founder, Action::Remove(member.account));
        assert_eq!(due(&world, &[first]), NOW);
    }

    #[test]
    fn in_a_small_group_nobody_waits_long_to_rotate() {
        let (world, ..) = world();
        let membership = world.graph.membership();
        let due = rotation_due(&world.graph, &membership, &[], &|_| Some(NOW), NOW);
        let members = u32::try_from(membership.members.len()).unwrap();
        assert_eq!(due.jitter, Duration::from_secs(1) * members);
        assert!(due.jitter < ROTATE_JITTER);
    }

    #[test]
    fn secrets_that_nobody_is_given_put_off_nobody_elses() {
        let (mut world, founder, member) = world();
        let leaver = person(2);
        world.add(&founder, &leaver);
        world.op(&founder, Action::Remove(leaver.account));
        let mut made = Vec::new();
        for n in 0..9 {
            let heads = world.graph.heads();
            made.push(rotate(&mut world, &heads, &member, n).op);
        }
        let came = |op: &OpId| made.iter().position(|made| made == op).map_or(NOW, |n| NOW.plus(minutes(4 * n as u64)));
        let now = NOW.plus(minutes(33));
        let due = rotation_due(&world.graph, &world.graph.membership(), &[], &|op| Some(came(op)), now);
        assert_eq!(due.from, NOW.plus(ROTATE_ANYWAY_AFTER));
    }
}
