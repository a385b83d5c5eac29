//! What this device says in a group, and does to it, left at the mailboxes that the group names: for who is away when
//! nobody else who has it will be there.
//!
//! A post is an id, and where it lies already. It is sealed when it is left, always to the same bytes, so that a mailbox
//! keeps it once however often it is left. A message is left only if somebody has not confirmed it after a moment, and
//! under the secret in force then, and again under a deeper one that was on its way; an op under those that were in force
//! when it was made, since it may end them.

use super::{
    GroupMemory, Timer,
    feed::{FeedEntry, Progress},
    group_ops::member_devices,
    mailbox_send::{Leaving, LeftWhat},
    rows::{EventRow, PostRow, Posted, RawRow, Row, VoucherRow, all, parse},
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::sign::Verified,
    group::{Action, FrameContent, GossipKeys, GroupEvent, GroupMailbox, Membership, SignedOp},
    identity::bundle::{BoxId, MailboxBox},
    ids::{ChatId, DeviceId, EventId, OpId, TransportKey},
    time::{Millis, days, minutes},
    view::{Direction, View},
    wire::limits::{MAIL_KEPT, MAX_DEPOSITS_UNDER_WAY, MAX_POSTS},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// How long members are waited for before a message is left at a mailbox.
const GRACE: Duration = Duration::from_secs(5);
/// So long ops go before messages: what lies in a mailbox should be of use to who fetches it, and a message of one who knows
/// an op is of none without it.
const OPS_FIRST: Duration = Duration::from_secs(15);
/// Ops of others that are left beside one new secret.
const MOST_ENDED: usize = 64;
/// The first wait before mailboxes that could not be reached, or refused, are tried again; each is twice as long…
const AGAIN_AFTER: Duration = Duration::from_secs(20);
/// …up to this one.
const LONGEST_WAIT: Duration = minutes(10);
/// How often what a maker of secrets does not hold is left again: it may make one at any time, and confirm nothing…
const POSTED_ANEW_EVERY: Duration = days(1);
/// …and how much, so that there is room for what is new.
const MOST_POSTED_ANEW: usize = MAX_POSTS / 8;
/// Posts looked at in one step.
const PAGE: usize = 64;

/// What is remembered of the posts of one group. May be lost.
#[derive(Debug, Default)]
pub(super) struct Posts {
    count: usize,
    last: u64,
    /// The posts before this place need nothing now.
    next: u64,
    timer: Option<Millis>,
    /// How often in a row looking over them again came to nothing.
    tries: u32,
    /// Places of ops that no mailbox has yet, and since when they are known to be.
    ops: BTreeMap<u64, Millis>,
}

impl Turn<'_> {
    /// Something of this device is to be left at the group's mailboxes.
    pub(super) fn post_to_group(&mut self, group: OpId, what: Posted, under: Vec<OpId>) -> Step {
        if self.group(group)?.membership.meta.mailboxes.is_empty() {
            return Ok(());
        }
        let now = self.now;
        let is_there = what == Posted::Name && self.read::<PostRow>(&PostRow::key(group, PostRow::NAME))?.is_some();
        let posts = self.posts(group)?;
        if !is_there && posts.count >= MAX_POSTS {
            return Ok(());
        }
        posts.count += usize::from(!is_there);
        let place = match what {
            Posted::Name => PostRow::NAME,
            Posted::Event(_) | Posted::Op(_) => {
                posts.last += 1;
                posts.last
            }
        };
        if let Posted::Op(_) = what {
            posts.ops.insert(place, now);
        }
        self.put(PostRow::key(group, place), &PostRow { what, under, left: Vec::new() });
        self.set_posts_timer(group, GRACE)
    }

    /// The ops of others that ended the secrets of before, as a secret is made in their place: who made them may have gone
    /// before leaving them, and who reads the log alone understands nothing of what follows without them.
    pub(super) fn post_what_ended(&mut self, group: OpId, under: &[OpId]) -> Step {
        let memory = self.group(group)?;
        let own = self.own()?.device;
        let is_known = |op: &OpId| memory.secrets.iter().any(|held| memory.graph.within(op, &[held.op]));
        let mut ended: BTreeSet<OpId> = memory.membership.cuts.iter().filter(|cut| !is_known(cut)).copied().collect();
        ended.extend(self.named_heads(&memory).into_iter().filter(|head| !is_known(head)));
        for op in ended.into_iter().take(MOST_ENDED) {
            if memory.graph.op(&op).is_some_and(|op| op.device != own) {
                self.post_to_group(group, Posted::Op(op), under.to_vec())?;
            }
        }
        Ok(())
    }

    /// Mailboxes keep the log that did not when this was said: what somebody still lacks of it is left there.
    pub(super) fn post_to_named(&mut self, group: OpId, before: Option<&Membership>) -> Step {
        let memory = self.group(group)?;
        let now = &memory.membership.meta.mailboxes;
        let kept = |node| before.is_none_or(|before| before.meta.mailboxes.iter().any(|mailbox| mailbox.node == node));
        if now.iter().all(|mailbox| kept(mailbox.node)) {
            return Ok(());
        }
        for op in ops_beside_meta(&memory, self.own()?.device) {
            let Some(action) = memory.graph.op(&op).map(|op| &op.action) else { continue };
            let under = self.told_under(&memory, action).into_iter().map(|held| held.op).collect();
            self.post_to_group(group, Posted::Op(op), under)?;
        }
        self.post_name(group)?;
        let chat = ChatId::from(group);
        for author in self.own()?.authors() {
            let written = self.written_by(chat, author)?;
            for (_, id) in written.iter().skip(written.len().saturating_sub(MAX_POSTS)) {
                self.post_to_group(group, Posted::Event(*id), Vec::new())?;
            }
        }
        Ok(())
    }

    /// A device made the gossip secret of now, perhaps since it holds none of those before: what it has not confirmed lies in
    /// logs that it may not know, and is left again under this one.
    pub(super) fn post_what_is_not_held_by(&mut self, group: OpId, device: DeviceId) -> Step {
        let now = self.now;
        let was_done = self.mem.posted_anew.get(&(group, device)).is_some_and(|at| now.since(*at) < POSTED_ANEW_EVERY);
        if device == self.own()?.device || was_done || self.group(group)?.membership.meta.mailboxes.is_empty() {
            return Ok(());
        }
        let chat = ChatId::from(group);
        let waiting: Vec<Posted> = all::<PostRow>(self, group)?.into_iter().map(|row| row.what).collect();
        for author in self.own()?.authors() {
            let newest = self.written_by(chat, author)?.into_iter().rev().take(MOST_POSTED_ANEW);
            let mut lacking = Vec::new();
            for (no, id) in newest {
                if self.was_delivered(chat, device, (author, no))? {
                    continue;
                }
                // What is older is in no log any more.
                if self.event(id)?.is_none_or(|event| self.now.since(event.arrived) >= MAIL_KEPT) {
                    break;
                }
                lacking.push(Posted::Event(id));
            }
            for event in lacking.into_iter().rev().filter(|event| !waiting.contains(event)) {
                self.mem.posted_anew.insert((group, device), now);
                self.post_to_group(group, event, Vec::new())?;
            }
        }
        Ok(())
    }

    /// Posts are looked over from the front, soon: there is a network, a mailbox, or a secret that there was not.
    pub(super) fn resume_posts(&mut self, group: OpId) -> Step {
        let posts = self.posts(group)?;
        posts.next = 0;
        if posts.count > 0 { self.set_posts_timer(group, GRACE) } else { self.leave_keys_soon(group) }
    }

    pub(super) fn leave_keys_soon(&mut self, group: OpId) -> Step {
        let has_logs = self.has_graph(group)? && !self.group(group)?.membership.meta.mailboxes.is_empty();
        if has_logs { self.set_posts_timer(group, GRACE) } else { Ok(()) }
    }

    fn set_posts_timer(&mut self, group: OpId, wait: Duration) -> Step {
        let due = self.now.plus(wait);
        let posts = self.posts(group)?;
        if posts.timer.is_none_or(|at| at > due) {
            posts.timer = Some(due);
            self.mem.timers.insert((due, Timer::Posts(group)));
        }
        Ok(())
    }

    /// The timer for posts.
    pub(super) fn posts_due(&mut self, group: OpId) -> Step {
        let posts = self.posts(group)?;
        (posts.timer, posts.next) = (None, 0);
        posts.tries = posts.tries.saturating_add(1);
        self.leave_posts(group)
    }

    /// A mailbox is there: whatever waited for it is left now.
    pub(super) fn leave_posts_at(&mut self, node: TransportKey) -> Step {
        for group in self.groups_at(node) {
            self.posts(group)?.next = 0;
            self.attempt(|turn| turn.leave_posts(group))?;
        }
        Ok(())
    }

    /// Leaves posts, as many as the windows allow.
    pub(super) fn leave_posts(&mut self, group: OpId) -> Step {
        if !self.mem.online || !self.has_graph(group)? {
            return Ok(());
        }
        let memory = self.group(group)?;
        let is_of_group = |what| matches!(what, LeftWhat::Post(of, _) | LeftWhat::Key(of, ..) if of == group);
        for mailbox in &memory.membership.meta.mailboxes {
            self.drop_silent(mailbox.node, is_of_group);
        }
        let mut waits = self.leave_keys(group, &memory)?;
        if self.posts(group)?.count == 0 {
            return if waits { self.leave_again(group) } else { Ok(()) };
        }
        loop {
            let from = self.posts(group)?.next.to_be_bytes();
            let page = self.scan(PostRow::TABLE, group.as_ref(), Some(&from), Direction::Forward, PAGE)?;
            if page.is_empty() {
                break;
            }
            for (place, bytes) in page {
                let Ok(place) = place.try_into().map(u64::from_be_bytes) else { continue };
                match self.leave_post(group, &memory, place, parse(&bytes)?)? {
                    Leaving::Stop => return self.leave_again(group),
                    Leaving::Waits => waits = true,
                    Leaving::Enough => {}
                }
                self.posts(group)?.next = place + 1;
            }
        }
        if waits { self.leave_again(group) } else { Ok(()) }
    }

    fn leave_again(&mut self, group: OpId) -> Step {
        let tries = self.posts(group)?.tries.min(8);
        self.set_posts_timer(group, (AGAIN_AFTER * (1 << tries)).min(LONGEST_WAIT))
    }

    fn leave_post(&mut self, group: OpId, memory: &Arc<GroupMemory>, place: u64, row: PostRow) -> Step<Leaving> {
        let Some(content) = self.post_content(memory, row.what)? else { return self.drop_post(group, place) };
        if matches!(row.what, Posted::Event(_)) && self.ops_go_first(group)? {
            return Ok(Leaving::Waits);
        }
        let Some(targets) = self.targets(memory, &row) else { return Ok(Leaving::Waits) };
        if targets.is_empty() {
            let awaits = !matches!(row.what, Posted::Op(_)) && self.awaits_secret(memory);
            return if awaits { Ok(Leaving::Waits) } else { self.drop_post(group, place) };
        }
        let what = LeftWhat::Post(group, place);
        for (mailbox, keys) in targets {
            let at = MailboxBox { node: mailbox.node, id: keys.mailbox(), addresses: mailbox.addresses };
            if self.rests(at.node, at.id) || self.is_under_way(at.node, what) {
                continue;
            }
            if !self.is_there(at.node) {
                self.seek_mailbox(&at);
            } else if self.under_way_to(at.node) >= MAX_DEPOSITS_UNDER_WAY {
                return Ok(Leaving::Stop);
            } else if let Ok(frame) = keys.seal_for_log(&content) {
                self.leave(&at, what, frame);
                if let Posted::Event(id) = row.what {
                    self.note_sent(id)?;
                }
            }
        }
        Ok(Leaving::Waits)
    }

    fn drop_post(&mut self, group: OpId, place: u64) -> Step<Leaving> {
        self.delete(PostRow::key(group, place));
        let posts = self.posts(group)?;
        posts.count = posts.count.saturating_sub(1);
        posts.ops.remove(&place);
        Ok(Leaving::Enough)
    }

    fn ops_go_first(&mut self, group: OpId) -> Step<bool> {
        let now = self.now;
        Ok(self.posts(group)?.ops.values().any(|since| now.since(*since) < OPS_FIRST))
    }

    /// What is to be left; `None` where everybody has it, or nobody should any more.
    fn post_content(&mut self, memory: &GroupMemory, what: Posted) -> Step<Option<FrameContent>> {
        match what {
            Posted::Op(id) => Ok(memory.graph.op(&id).map(|op| FrameContent::Op(op.to_bytes()))),
            Posted::Name => {
                let voucher = self.name_to_post(memory)?;
                Ok(voucher.map(|VoucherRow { event, key }| FrameContent::Name(event, key)))
            }
            Posted::Event(id) => {
                let Some(event) = self.event(id)? else { return Ok(None) };
                let Some(RawRow(bytes)) = self.read(&RawRow::key(id))? else { return Ok(None) };
                let lacking = self.somebody_lacks(memory, &event, &bytes)?;
                Ok(lacking.then_some(FrameContent::Event(bytes)))
            }
        }
    }

    /// Whether a member that an event is meant for has not confirmed it on some device.
    pub(super) fn somebody_lacks(&self, memory: &GroupMemory, event: &EventRow, bytes: &[u8]) -> Step<bool> {
        let Ok(heads) = GroupEvent::parse(bytes).map(|event| event.heads.clone()) else { return Ok(false) };
        let own = self.own()?.device;
        for device in member_devices(&memory.membership).filter(|device| *device != event.device && *device != own) {
            let meant = memory
                .membership
                .owner(&device)
                .and_then(|account| memory.membership.members.get(&account))
                .is_some_and(|member| memory.graph.knows(member, &heads));
            if meant && !self.was_delivered(event.chat, device, (event.device, event.no))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where something is still to be left, and under which keys; `None` where there are none to leave it under now.
    fn targets(&self, memory: &GroupMemory, row: &PostRow) -> Option<Vec<(GroupMailbox, GossipKeys)>> {
        let keys: Vec<GossipKeys> = match row.what {
            Posted::Event(_) | Posted::Name => vec![GossipKeys::derive(&self.secret_in_force(memory)?.secret)],
            Posted::Op(_) => {
                let told_under = memory.secrets.iter().filter(|held| row.under.contains(&held.op));
                told_under.map(|held| GossipKeys::derive(&held.secret)).collect()
            }
        };
        let lies_there = |node: TransportKey, id: BoxId| row.left.contains(&(node, id));
        let mut targets = Vec::new();
        for mailbox in &memory.membership.meta.mailboxes {
            let open = keys.iter().filter(|keys| !lies_there(mailbox.node, keys.mailbox()));
            targets.extend(open.map(|keys| (mailbox.clone(), keys.clone())));
        }
        Some(targets)
    }

    /// A post is durable at a mailbox.
    pub(super) fn note_posted(&mut self, group: OpId, place: u64, node: TransportKey, id: BoxId) -> Step {
        let key = PostRow::key(group, place);
        let Some(mut row) = self.read::<PostRow>(&key)? else { return Ok(()) };
        let posts = self.posts(group)?;
        posts.tries = 0;
        if posts.ops.remove(&place).is_some() && posts.ops.is_empty() {
            // Messages may have waited for it.
            posts.next = 0;
            self.set_posts_timer(group, Duration::ZERO)?;
        }
        let first = row.left.is_empty();
        row.left.push((node, id));
        self.put(key, &row);
        if let (Posted::Event(event), true) = (row.what, first) {
            self.note_kept(group, node, event)?;
        }
        let memory = self.group(group)?;
        self.leave_post(group, &memory, place, row).map(|_| ())
    }

    /// The first mailbox has a message: the views are told.
    fn note_kept(&mut self, group: OpId, node: TransportKey, id: EventId) -> Step {
        let Some(mut event) = self.event(id)?.filter(|event| !event.is_erased()) else { return Ok(()) };
        event.kept = Some(self.now);
        self.put(EventRow::key(id), &event);
        let memory = self.group(group)?;
        let mailbox = memory.membership.meta.mailboxes.iter().find(|mailbox| mailbox.node == node);
        let Some(by) = mailbox.map(|mailbox| mailbox.account) else { return Ok(()) };
        self.tell(&FeedEntry::Receipt { chat: ChatId::from(group), by, state: Progress::Mailbox, ids: vec![id] })
    }

    /// What was under way to a mailbox of a group is lost or was refused.
    pub(super) fn post_again(&mut self, group: OpId) -> Step {
        self.posts(group)?.next = 0;
        self.leave_again(group)
    }

    fn posts(&mut self, group: OpId) -> Step<&mut Posts> {
        if !self.mem.posts.contains_key(&group) {
            let rows = self.scan(PostRow::TABLE, group.as_ref(), None, Direction::Forward, MAX_POSTS)?;
            let mut ops = BTreeMap::new();
            for (place, bytes) in &rows {
                let Ok(place) = place.as_slice().try_into().map(u64::from_be_bytes) else { continue };
                let row: PostRow = parse(bytes)?;
                if matches!(row.what, Posted::Op(_)) && row.left.is_empty() {
                    ops.insert(place, self.now);
                }
            }
            let count = rows.len();
            let last = self.scan(PostRow::TABLE, group.as_ref(), None, Direction::Backward, 1)?.pop();
            let last = last.and_then(|(place, _)| place.try_into().ok()).map_or(0, u64::from_be_bytes);
            self.mem.posts.insert(group, Posts { count, last, ops, ..Posts::default() });
        }
        Ok(self.mem.posts.entry(group).or_default())
    }
}

/// Ops of a device that who named the group's mailboxes did not know: nobody is given them with that op.
fn ops_beside_meta(memory: &GroupMemory, device: DeviceId) -> Vec<OpId> {
    let names = |op: &&Verified<SignedOp>| matches!(&op.action, Action::Meta(meta) if *meta == memory.membership.meta);
    let Some(named) = memory.graph.ops().filter(names).last().map(|op| op.id()) else { return Vec::new() };
    memory.graph.beyond(&[named]).into_iter().filter(|op| op.device == device).map(|op| op.id()).collect()
}
