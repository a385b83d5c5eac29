//! Keys of a group: gossip secrets and their topics, the own sender chain and those of others.

use super::chats::{NewEvent, NextEvent};
use super::{
    GroupMemory, Timer,
    groups::{Bundles, member_devices},
    record::Record,
    rows::{ChainRow, GossipSecretRow, GroupRow, GroupState, HeldRow, OwnChainRow, Row, SkippedRow, all},
    sessions::{Heard, device_keys, verified},
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::secret::Secret,
    event::Content,
    group::{
        Action, ChainId, ChainKey, FrameContent, Gate, GossipKeys, GroupEvent, ReceiverChain, SenderChain, SignedOp,
        Topic,
        chain::{ChainError, Draft},
        keys::{HeldSecret, Standing, chain_standing, in_force, rotation_due, secret_hash},
    },
    ids::{ChatId, DeviceId, EventId, OpId},
    time::Millis,
    view::{Key, Table, ViewError},
    wire::{
        decode, encode,
        limits::{MAX_GOSSIP_SECRETS, OLD_TOPIC_READ},
    },
};
use std::{sync::Arc, time::Duration};

impl Turn<'_> {
    /// Makes a new gossip secret and hands it to every member's device, in one transaction.
    pub(super) fn rotate(&mut self, group: OpId) -> Step {
        let memory = self.group(group)?;
        let secret = Secret::random(self.rng);
        let heads = self.named_heads(&memory);
        let op = self.make_op(Some(group), &heads, Action::RotateGossipSecret(secret_hash(&secret)))?;
        // Told under the secrets it ends, so that who holds only those learns of it.
        self.gossip(group, &FrameContent::Op(op.to_bytes()))?;
        self.keep_secret(group, op.id(), secret.clone())?;
        self.take_op(group, op.clone())?;
        let own = self.own()?.device;
        for device in member_devices(&self.group(group)?.membership.clone()).filter(|device| *device != own) {
            self.post(device, &Record::GossipSecret(group, op.to_bytes(), secret.clone()))?;
        }
        self.refresh_gossip(group)
    }

    /// Hands the secret in force to a member's device.
    pub(super) fn hand_secret(&mut self, group: OpId, memory: &GroupMemory, device: DeviceId) -> Step {
        let Some(held) = self.secret_in_force(memory) else { return Ok(()) };
        let Some(op) = memory.graph.op(&held.op).map(|op| op.to_bytes()) else { return Ok(()) };
        self.post(device, &Record::GossipSecret(group, op, held.secret))
    }

    /// A member hands over a gossip secret with the op that made it.
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
        let id = op.id();
        if !self.has_secret(group, id)? {
            self.keep_secret(group, id, secret)?;
        }
        self.take_op(group, op)?;
        if !self.has_graph(group)? || !self.group(group)?.graph.contains(&id) {
            self.ask_missing(group, Some(heard.device.device));
            return Ok(());
        }
        self.refresh_gossip(group)
    }

    fn has_secret(&self, group: OpId, op: OpId) -> Step<bool> {
        Ok(self.read::<GossipSecretRow>(&GossipSecretRow::key(group, op))?.is_some())
    }

    fn keep_secret(&mut self, group: OpId, op: OpId, secret: Secret) -> Step {
        let mut rows = all::<GossipSecretRow>(self, group)?;
        rows.sort_by_key(|row| row.arrived);
        let over = (rows.len() + 1).saturating_sub(MAX_GOSSIP_SECRETS);
        let old = |row: &GossipSecretRow, now: Millis| now.since(row.arrived) >= OLD_TOPIC_READ;
        for (i, row) in rows.iter().enumerate() {
            if i < over || old(row, self.now) {
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

    /// Subscribes to every topic that is read, under gates that know the group as it is now, and sees to rotation.
    pub(super) fn refresh_gossip(&mut self, group: OpId) -> Step {
        if !self.mem.online {
            return self.plan_rotation(group);
        }
        let memory = self.group(group)?;
        let ops: Vec<OpId> = memory.graph.ops().map(|op| op.id()).collect();
        let mut topics = Vec::new();
        for held in &memory.secrets {
            let keys = GossipKeys::derive(&held.secret);
            topics.push(keys.topic().clone());
            let gate = Gate::new(keys, group, ops.iter().copied(), &memory.membership, bundle_author);
            self.subscribe(gate.topic().clone(), gate);
        }
        let before = self.mem.topics.insert(group, topics.clone()).unwrap_or_default();
        for gone in before.into_iter().filter(|topic| !topics.contains(topic)) {
            self.mem.topic_groups.remove(&gone);
            self.unsubscribe(gone);
        }
        for topic in topics {
            self.mem.topic_groups.insert(topic, group);
        }
        self.plan_rotation(group)
    }

    pub(super) fn leave_topics(&mut self, group: OpId) -> Step {
        for topic in self.mem.topics.remove(&group).unwrap_or_default() {
            self.mem.topic_groups.remove(&topic);
            self.unsubscribe(topic);
        }
        Ok(())
    }

    /// Sets the timer for a rotation that is due, a random while later, so that not all members rotate at once.
    fn plan_rotation(&mut self, group: OpId) -> Step {
        let memory = self.group(group)?;
        let due = self.rotation_due(&memory);
        if self.mem.rotation_planned.contains(&group) {
            return Ok(());
        }
        let at = due.0.max(self.now).plus(self.jitter(due.1));
        self.mem.rotation_planned.insert(group);
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
        let joined = self.read::<GroupRow>(&GroupRow::key(group))?.is_some_and(|row| row.state == GroupState::Joined);
        if !joined {
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
        let in_force = self.secret_in_force(&memory);
        // Without one, ops still go out under what is held: the op that ends a secret is told under it.
        let op = matches!(content, FrameContent::Op(_));
        let secrets: Vec<Secret> = match (in_force, op) {
            (Some(held), _) => vec![held.secret],
            (None, true) => memory.secrets.iter().map(|held| held.secret.clone()).collect(),
            (None, false) => return Ok(false),
        };
        for secret in secrets {
            let keys = GossipKeys::derive(&secret);
            if let Ok(frame) = keys.seal(content, self.rng) {
                self.publish(keys.topic().clone(), frame);
            }
        }
        Ok(true)
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
            key: Some(key),
            raw: bytes.clone(),
        })?;
        self.take_profile(group, own.account, &content)?;
        if !self.gossip(group, &FrameContent::Event(bytes.clone()))? {
            self.whisper_event(group, &memory, bytes)?;
        }
        Ok(id)
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

    /// A member's device hands over its own sender chain.
    pub(super) fn chain_came(&mut self, heard: &Heard, group: OpId, bytes: &[u8]) -> Step {
        let Ok(key) = decode::<ChainKey>(bytes, "chain key") else { return Ok(()) };
        let is_here = self.read::<GroupRow>(&GroupRow::key(group))?.is_some();
        if !is_here || key.device != heard.device.device {
            return Ok(());
        }
        let row = ChainRow::key(group, key.device, key.id);
        if self.read::<ChainRow>(&row)?.is_some_and(|held| held.0.share().i <= key.i) {
            return Ok(());
        }
        self.put(row, &ChainRow(key.into()));
        self.release_held(group)
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
        match row.0.step_to(event.i) {
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

    /// Events that waited for keys or ops are judged again.
    pub(super) fn release_held(&mut self, group: OpId) -> Step {
        let mut held = all::<HeldRow>(self, group)?;
        held.sort_by_key(|row| (row.since, row.id));
        for row in held {
            let Some(event) = GroupEvent::parse(&row.bytes).ok().and_then(|event| event.verify().ok()) else {
                self.unhold(group, row.id)?;
                continue;
            };
            self.take_group_event(event, super::group_sync::Held::Before)?;
        }
        Ok(())
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
