//! Keys of a group: gossip secrets and their topics, the own sender chain and those of others.

use super::chats::{NewEvent, NextEvent};
use super::{
    GroupMemory, Timer,
    bundles::verified,
    group_ops::{Bundles, member_devices},
    record::Record,
    rows::{
        ChainRow, GossipSecretRow, GroupRow, GroupState, OwnChainRow, Posted, Row, SkippedRow, VoucherRow, Waits, all,
        parse,
    },
    sessions::{Heard, device_keys},
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::secret::Secret,
    event::Content,
    group::{
        Action, ChainId, ChainKey, FrameContent, Gate, GossipKeys, GroupEvent, ReceiverChain, SenderChain, SignedOp,
        Topic,
        chain::{ChainError, Draft},
        keys::{HeldSecret, Standing, chain_standing, foremost, in_force, rotation_due, secret_hash},
    },
    ids::{ChatId, DeviceId, EventId, OpId},
    time::Millis,
    view::{Direction, Key, Table, View, ViewError},
    wire::{
        decode, encode,
        limits::{MAX_CHAINS_PER_DEVICE, MAX_GOSSIP_SECRETS, MAX_HEADS, MAX_KEYS_ASIDE, OLD_TOPIC_READ, SKIPPED_KEPT},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// The wait before a gossip secret is handed again to a device that still says it lacks it.
const HAND_AGAIN_AFTER: Duration = Duration::from_secs(60);

impl Turn<'_> {
    /// Makes a new gossip secret and hands it to every member's device, in one transaction.
    pub(super) fn rotate(&mut self, group: OpId) -> Step {
        let memory = self.group(group)?;
        let secret = Secret::random(self.rng);
        let heads = self.named_heads(&memory);
        let op = self.make_op(Some(group), &heads, Action::RotateGossipSecret(secret_hash(&secret)))?;
        // Told under the secrets it ends, so that who holds only those learns of it.
        let under: Vec<OpId> = self.told_under(&memory, &op.action).into_iter().map(|held| held.op).collect();
        self.post_what_ended(group, &under)?;
        self.publish_op(group, &op)?;
        self.keep_secret(group, op.id(), secret.clone())?;
        let own = self.own()?.device;
        self.take_ops(group, own, vec![op.clone()])?;
        let memory = self.group(group)?;
        for device in member_devices(&memory.membership).filter(|device| *device != own) {
            self.post(device, &Record::GossipSecret(group, op.to_bytes(), secret.clone()))?;
        }
        Ok(())
    }

    /// Hands the secret in force to a member's device; to no other.
    pub(super) fn hand_secret(&mut self, group: OpId, device: DeviceId) -> Step {
        if !self.is_member_device(group, device)? {
            return Ok(());
        }
        let memory = self.group(group)?;
        let Some(held) = self.secret_in_force(&memory) else { return Ok(()) };
        let Some(op) = memory.graph.op(&held.op).map(|op| op.to_bytes()) else { return Ok(()) };
        self.post(device, &Record::GossipSecret(group, op, held.secret))
    }

    /// The same for a device that says it lacks it, unless that was just done.
    pub(super) fn hand_secret_again(&mut self, group: OpId, device: DeviceId, op: OpId) -> Step {
        let now = self.now;
        self.mem.secrets_handed.retain(|_, at| now.since(*at) < HAND_AGAIN_AFTER);
        match self.mem.secrets_handed.insert((group, device, op), now) {
            Some(at) => {
                self.mem.secrets_handed.insert((group, device, op), at);
                Ok(())
            }
            None => self.hand_secret(group, device),
        }
    }

    /// A member hands over a gossip secret with the op that made it. Kept aside, one for each device, until the op is in
    /// the graph and the device is known as a member's.
    pub(super) fn secret_came(&mut self, heard: &Heard, group: OpId, op: &[u8], secret: Secret) -> Step {
        let Some(row) = self.read::<GroupRow>(&GroupRow::key(group))? else { return Ok(()) };
        if !matches!(row.state, GroupState::Joining | GroupState::Joined) {
            return Ok(());
        }
        let Some(op) = SignedOp::parse(op).ok().filter(|op| op.group() == group) else { return Ok(()) };
        let Ok(op) = op.verify(&Bundles) else { return Ok(()) };
        if op.action != Action::RotateGossipSecret(secret_hash(&secret)) {
            return Ok(());
        }
        let (id, from) = (op.id(), heard.device.device);
        let aside = self.mem.secrets_aside.entry(group).or_default();
        if aside.len() < MAX_KEYS_ASIDE || aside.contains_key(&from) {
            aside.insert(from, HeldSecret { op: id, secret });
        }
        self.take_ops(group, from, vec![op])?;
        if self.is_joined(group)? && self.settle_secrets(group)? {
            self.refresh_gossip(group)?;
        }
        let kept = self.mem.secrets_aside.get(&group).and_then(|aside| aside.get(&from));
        self.in_memory |= kept.is_some_and(|held| held.op == id);
        if !self.has_graph(group)? || !self.group(group)?.graph.contains(&id) {
            self.ask_missing(group, Some(from));
        }
        Ok(())
    }

    /// Keeps the secrets aside whose rotations count and that members' devices handed over. Whether there were any.
    pub(super) fn settle_secrets(&mut self, group: OpId) -> Step<bool> {
        let memory = self.group(group)?;
        let (ready, aside): (BTreeMap<_, _>, _) = self
            .mem
            .secrets_aside
            .remove(&group)
            .unwrap_or_default()
            .into_iter()
            .partition(|(_, held)| memory.graph.contains(&held.op));
        if !aside.is_empty() {
            self.mem.secrets_aside.insert(group, aside);
        }
        let mut kept = false;
        for (from, HeldSecret { op, secret }) in ready {
            let counts = memory.membership.rotations.iter().any(|rotation| rotation.op == op);
            // The op tells of the secret, whoever brings it: one who made it and was lost since may have left it as mail.
            let is_or_was = memory.membership.owner(&from).is_some() || memory.membership.former.contains(&from);
            if counts && is_or_was && !self.has_secret(group, op)? {
                self.keep_secret(group, op, secret)?;
                kept = true;
                if let Some(made) = memory.graph.op(&op) {
                    self.post_what_is_not_held_by(group, made.device)?;
                }
            }
        }
        Ok(kept)
    }

    fn has_secret(&self, group: OpId, op: OpId) -> Step<bool> {
        Ok(self.read::<GossipSecretRow>(&GossipSecretRow::key(group, op))?.is_some())
    }

    fn keep_secret(&mut self, group: OpId, op: OpId, secret: Secret) -> Step {
        let memory = self.group(group)?;
        let in_force = self.secret_in_force(&memory).map(|held| held.op);
        drop(memory);
        let mut rows = all::<GossipSecretRow>(self, group)?;
        rows.retain(|row| Some(row.op) != in_force);
        rows.sort_by_key(|row| row.arrived);
        let over = (rows.len() + 2).saturating_sub(MAX_GOSSIP_SECRETS);
        // Counted from when another came after it: who was away reads what was said meanwhile under the old one.
        let replaced = rows.iter().skip(1).map(|next| next.arrived).chain([self.now]);
        let old: Vec<bool> = replaced.map(|at| self.now.since(at) >= OLD_TOPIC_READ).collect();
        for (i, (row, old)) in rows.iter().zip(old).enumerate() {
            if i < over || old {
                self.delete(GossipSecretRow::key(group, row.op));
            }
        }
        self.put(GossipSecretRow::key(group, op), &GossipSecretRow { op, secret: secret.clone(), arrived: self.now });
        let kept: Vec<HeldSecret> = all::<GossipSecretRow>(self, group)?
            .into_iter()
            .map(|row| HeldSecret { op: row.op, secret: row.secret })
            .collect();
        if let Some(memory) = self.mem.groups.get_mut(&group) {
            Arc::make_mut(memory).secrets = kept;
        }
        Ok(())
    }

    pub(super) fn secret_in_force(&self, memory: &GroupMemory) -> Option<HeldSecret> {
        let arrived = |op: &OpId| memory.arrived.get(op).copied();
        in_force(&memory.graph, &memory.membership, &memory.secrets, &arrived, self.now).cloned()
    }

    /// Whether the secret that should be in force is on its way: who joined under that one may hold no other.
    pub(super) fn awaits_secret(&self, memory: &GroupMemory) -> bool {
        let arrived = |op: &OpId| memory.arrived.get(op).copied();
        let foremost = foremost(&memory.graph, &memory.membership, &arrived, self.now);
        foremost != self.secret_in_force(memory).map(|held| held.op)
    }

    /// Subscribes to every topic that is read, under gates that know the group as it is now, and sees to rotation.
    pub(super) fn refresh_gossip(&mut self, group: OpId) -> Step {
        if !self.mem.online {
            return self.plan_rotation(group);
        }
        self.start_repair(group);
        let memory = self.group(group)?;
        let ops: Vec<OpId> = memory.graph.ops().map(|op| op.id()).collect();
        let mut topics = Vec::new();
        for held in &memory.secrets {
            let keys = GossipKeys::derive(&held.secret);
            topics.push(keys.topic());
            let gate = Gate::new(keys, group, ops.iter().copied(), &memory.membership, bundle_author);
            self.subscribe(gate.topic(), gate);
        }
        let before = self.mem.topics.insert(group, topics.clone()).unwrap_or_default();
        for gone in before.into_iter().filter(|topic| !topics.contains(topic)) {
            self.mem.topic_groups.remove(&gone);
            self.unsubscribe(gone);
        }
        for topic in topics {
            self.mem.topic_groups.insert(topic, group);
        }
        self.follow_logs(group)?;
        self.resume_posts(group)?;
        self.plan_rotation(group)
    }

    /// Listens to a group no more. The network may do so still for an engine of before that failed: what is in memory is
    /// not all that there may be.
    pub(super) fn leave_topics(&mut self, group: OpId) -> Step {
        let known = self.mem.topics.remove(&group).unwrap_or_default();
        let kept = self.held_secrets(group)?;
        let kept = kept.iter().map(|held| GossipKeys::derive(&held.secret).topic());
        for topic in known.into_iter().chain(kept).collect::<BTreeSet<_>>() {
            self.mem.topic_groups.remove(&topic);
            self.unsubscribe(topic);
        }
        self.unfollow_logs(group)
    }

    /// Sets the timer for a rotation that is due, a random while later, so that not all members rotate at once.
    fn plan_rotation(&mut self, group: OpId) -> Step {
        let memory = self.group(group)?;
        let (due, longest) = self.rotation_due(&memory);
        let from = due.max(self.now);
        match self.mem.rotation_planned.get(&group) {
            Some(planned) if *planned <= from.plus(longest) => return Ok(()),
            // A cut made it due earlier.
            Some(planned) => self.mem.timers.remove(&(*planned, Timer::Rotate(group))),
            None => false,
        };
        let at = from.plus(self.jitter(longest));
        self.mem.rotation_planned.insert(group, at);
        self.mem.timers.insert((at, Timer::Rotate(group)));
        Ok(())
    }

    fn rotation_due(&self, memory: &GroupMemory) -> (Millis, Duration) {
        let arrived = |op: &OpId| memory.arrived.get(op).copied();
        let due = rotation_due(&memory.graph, &memory.membership, &memory.secrets, &arrived, self.now);
        (due.from, due.jitter)
    }

    /// The timer for a rotation: issue one if it is still due.
    pub(super) fn rotate_if_due(&mut self, group: OpId) -> Step {
        self.mem.rotation_planned.remove(&group);
        if !self.is_joined(group)? {
            return Ok(());
        }
        let memory = self.group(group)?;
        if self.rotation_due(&memory).0 <= self.now {
            return self.rotate(group);
        }
        self.plan_rotation(group)
    }

    /// A time between zero and `longest`, drawn anew.
    pub(super) fn jitter(&mut self, longest: Duration) -> Duration {
        let mut bytes = [0; 8];
        self.rng.fill_bytes(&mut bytes);
        let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(u64::from_le_bytes(bytes) % longest.saturating_add(1))
    }

    /// Publishes under the secret in force. Whether there is one.
    pub(super) fn gossip(&mut self, group: OpId, content: &FrameContent) -> Step<bool> {
        if !self.mem.online || !self.has_graph(group)? {
            return Ok(false);
        }
        let memory = self.group(group)?;
        let secrets = match content {
            FrameContent::Op(bytes) => match SignedOp::parse(bytes) {
                Ok(op) => self.told_under(&memory, &op.action),
                Err(_) => Vec::new(),
            },
            _ => self.secret_in_force(&memory).into_iter().collect(),
        };
        let is_told = !secrets.is_empty();
        for held in secrets {
            let keys = GossipKeys::derive(&held.secret);
            if let Ok(frame) = keys.seal(content, self.rng) {
                self.publish(keys.topic(), frame);
            }
        }
        Ok(is_told)
    }

    /// The secrets under which an op is told: the one in force. Without one, what ends a secret and what makes the next is
    /// told under those of before; all else is not for who went with them.
    pub(super) fn told_under(&self, memory: &GroupMemory, action: &Action) -> Vec<HeldSecret> {
        if let Some(held) = self.secret_in_force(memory) {
            return vec![held];
        }
        if !matches!(action, Action::Remove(_) | Action::Leave(_) | Action::Devices(_) | Action::RotateGossipSecret(_))
        {
            return Vec::new();
        }
        let counts = |held: &&HeldSecret| memory.membership.rotations.iter().any(|made| made.op == held.op);
        memory.secrets.iter().filter(counts).cloned().collect()
    }

    /// Says something in a group. The own chain's key goes first to every device that lacks it.
    pub(super) fn say_in_group(&mut self, group: OpId, content: Content) -> super::turn::Answer<EventId> {
        self.joined(group)?;
        let memory = self.group(group)?;
        let own = self.own()?;
        let heads = self.named_heads(&memory);
        let mut chain = self.usable_chain(group, &memory, &heads)?;
        let lacking: Vec<DeviceId> = member_devices(&memory.membership)
            .filter(|device| *device != own.device && !chain.given.contains(device))
            .collect();
        let key = encode(&chain.chain.share(own.device));
        for device in lacking {
            self.post(device, &Record::Chain(group, key.clone()))?;
            chain.given.push(device);
        }
        let chat = ChatId::from(group);
        let NextEvent { no, previous, deps, clock } = self.next_event(chat)?;
        let draft = Draft { group, heads, no, previous, deps, clock };
        let mut reader = ReceiverChain::from(chain.chain.share(own.device));
        let damaged = || ViewError::Damaged(Table::Chain);
        let event = chain.chain.seal(draft, &content, &device_keys(&own)?.device).map_err(|_| damaged())?;
        let key = reader.step_to(event.i).map_err(|_| damaged())?.key;
        self.put(OwnChainRow::key(group), &chain);
        let id = event.id();
        let bytes = event.to_bytes();
        self.place(NewEvent {
            chat,
            id,
            author: own.account,
            device: own.device,
            no,
            clock,
            follows: follows(&event),
            content: content.clone(),
            key: Some(key.clone()),
            raw: bytes.clone(),
            heads: event.heads.clone(),
        })?;
        self.take_profile(group, own.account, (own.device, no), &content, VoucherRow { event: bytes.clone(), key })?;
        if !self.may_be_heard(group)? {
            self.note_unsent(id)?;
        } else if !self.gossip(group, &FrameContent::Event(bytes.clone()))? {
            self.whisper_event(group, &memory, bytes)?;
        }
        self.post_to_group(group, Posted::Event(id), Vec::new())?;
        Ok(id)
    }

    /// A member's device asks for keys of what this one said: it lost the chain that it was given, and is given it again.
    pub(super) fn give_chain_again(&mut self, group: OpId, device: DeviceId) -> Step {
        let Some(chain) = self.read::<OwnChainRow>(&OwnChainRow::key(group))? else { return Ok(()) };
        if !chain.given.contains(&device) {
            return Ok(());
        }
        let key = encode(&chain.chain.share(self.own()?.device));
        self.post(device, &Record::Chain(group, key))
    }

    /// Between a removal and the next rotation there is no gossip: members who are connected are told directly.
    fn whisper_event(&mut self, group: OpId, memory: &GroupMemory, bytes: Vec<u8>) -> Step {
        let record = Record::Events(group, vec![bytes.into()]);
        for device in member_devices(&memory.membership) {
            self.whisper(device, &record)?;
        }
        Ok(())
    }

    fn usable_chain(&mut self, group: OpId, memory: &GroupMemory, heads: &[OpId]) -> Step<OwnChainRow> {
        if let Some(row) = self.read::<OwnChainRow>(&OwnChainRow::key(group))? {
            let chain = &row.chain;
            let (made_at, since, used) = (chain.heads(), chain.since(), chain.used());
            let standing = chain_standing(&memory.graph, &memory.membership, made_at, since, used, self.now);
            if standing == Standing::Usable {
                return Ok(row);
            }
        }
        Ok(OwnChainRow { chain: SenderChain::new(heads.to_vec(), self.now, self.rng), given: Vec::new() })
    }

    /// A device hands over its own sender chain. Until it is known as a member's, one of it is kept aside.
    pub(super) fn chain_came(&mut self, heard: &Heard, group: OpId, bytes: &[u8]) -> Step {
        let Ok(key) = decode::<ChainKey>(bytes, "chain key") else { return Ok(()) };
        let from = heard.device.device;
        let state = self.read::<GroupRow>(&GroupRow::key(group))?.map(|row| row.state);
        let is_here = matches!(state, Some(GroupState::Joining | GroupState::Joined));
        if !is_here || key.device != from || key.heads.len() > MAX_HEADS {
            return Ok(());
        }
        // Who left may still owe what it said before.
        if state == Some(GroupState::Joined) && self.is_or_was_member_device(group, from)? {
            return self.take_chain(group, key);
        }
        let aside = self.mem.chains_aside.entry(group).or_default();
        if aside.len() < MAX_KEYS_ASIDE || aside.contains_key(&from) {
            aside.insert(from, key);
            self.in_memory = true;
        }
        Ok(())
    }

    /// Takes the chains kept aside of devices that are known as members' now, or as such that went.
    pub(super) fn settle_chains(&mut self, group: OpId) -> Step {
        let memory = self.group(group)?;
        let (ready, aside): (BTreeMap<_, _>, _) =
            self.mem.chains_aside.remove(&group).unwrap_or_default().into_iter().partition(|(from, _)| {
                memory.membership.owner(from).is_some() || memory.membership.former.contains(from)
            });
        if !aside.is_empty() {
            self.mem.chains_aside.insert(group, aside);
        }
        ready.into_values().try_for_each(|key| self.take_chain(group, key))
    }

    fn take_chain(&mut self, group: OpId, key: ChainKey) -> Step {
        let (device, id) = (key.device, key.id);
        let row = ChainRow::key(group, device, id);
        if self.read::<ChainRow>(&row)?.is_some_and(|held| held.chain.share().i <= key.i) {
            return Ok(());
        }
        let mut others = all::<ChainRow>(self, ChainRow::scope(group, device))?;
        others.retain(|other| other.chain.share().id != id);
        others.sort_by_key(|other| (other.arrived, other.chain.share().id));
        let over = (others.len() + 1).saturating_sub(MAX_CHAINS_PER_DEVICE);
        for old in others.iter().take(over).map(|old| old.chain.share().id) {
            self.expire_skipped(device, old, Duration::ZERO)?;
            self.delete(ChainRow::key(group, device, old));
        }
        self.put(row, &ChainRow { chain: key.into(), arrived: self.now });
        self.release_held(group, |waits| *waits == Waits::Chain(device, id))?;
        self.read_logs_again(group);
        Ok(())
    }

    /// Erases kept keys of this group's messages that are too old.
    pub(super) fn expire_group_keys(&mut self, group: OpId) -> Step {
        let memory = self.group(group)?;
        let devices = member_devices(&memory.membership).chain(memory.membership.former.iter().copied());
        for device in devices {
            for row in all::<ChainRow>(self, ChainRow::scope(group, device))? {
                self.expire_skipped(device, row.chain.share().id, SKIPPED_KEPT)?;
            }
        }
        Ok(())
    }

    fn expire_skipped(&mut self, device: DeviceId, chain: ChainId, age: Duration) -> Step {
        let scope = ChainRow::skipped_scope(device, chain);
        for (place, bytes) in self.scan(SkippedRow::TABLE, &scope, None, Direction::Forward, usize::MAX)? {
            if self.now.since(parse::<SkippedRow>(&bytes)?.at) >= age {
                self.delete(Key::at(SkippedRow::TABLE, &scope, place));
            }
        }
        Ok(())
    }

    /// The key of a group event, if it can be had now; what was stepped over is kept.
    pub(super) fn event_key(&mut self, event: &GroupEvent) -> Step<Option<Secret>> {
        let (device, chain) = (event.device, event.chain);
        let skipped = skipped_key(device, chain, event.i);
        if let Some(row) = self.read::<SkippedRow>(&skipped)? {
            return Ok(Some(row.key));
        }
        let key = ChainRow::key(event.group, device, chain);
        let Some(mut row) = self.read::<ChainRow>(&key)? else { return Ok(None) };
        match row.chain.step_to(event.i) {
            Ok(step) => {
                for (i, key) in step.skipped {
                    self.put(skipped_key(device, chain, i), &SkippedRow { key, at: self.now });
                }
                self.put(key, &row);
                Ok(Some(step.key))
            }
            Err(ChainError::Passed(_) | ChainError::TooFar(_)) => Ok(None),
        }
    }

    /// A kept key was used.
    pub(super) fn drop_skipped_key(&mut self, event: &GroupEvent) {
        self.delete(skipped_key(event.device, event.chain, event.i));
    }
}

pub(super) fn skipped_key(device: DeviceId, chain: ChainId, i: u32) -> Key {
    Key::at(SkippedRow::TABLE, ChainRow::skipped_scope(device, chain), i.to_be_bytes())
}

/// All that a group event comes after.
pub(super) fn follows(event: &GroupEvent) -> Vec<EventId> {
    crate::protocol::event::direct::follows(&event.deps, event.previous)
}

/// For the gate: whose bundle this is.
fn bundle_author(bytes: &[u8]) -> Option<DeviceId> {
    verified(bytes).map(|(_, bundle)| bundle.cert.device)
}

/// The group whose topic this is.
pub(super) fn topic_group(turn: &Turn<'_>, topic: &Topic) -> Option<OpId> {
    turn.mem.topic_groups.get(topic).copied()
}
