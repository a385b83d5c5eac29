//! The outbox: what each device has not confirmed yet. Nothing leaves it but by that device's receipt.
//!
//! An entry is (event or control record, device). Its envelope is a cache bound to one position of one session; it is
//! sealed anew, at a new position, when that session is gone or the device says that it cannot open it. A window of
//! entries is under way to a connected device; what is not confirmed in time is sent again, the same bytes.

use super::{
    Timer,
    feed::{FeedEntry, MAX_RECEIPT_IDS, Progress},
    record::{ChatReceipt, Position, Receipt, Record, control_id},
    rows::{
        self, AuthorRow, ContactRow, ContactState, ControlRow, CounterRow, DeviceRow, EventRow, OutboxRow, Parcel,
        RawRow, ReceiptRow, Row, SealedAt, Side,
    },
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::{envelope::Tag, session::Sealed},
    delivery::Numbers,
    ids::{AccountId, ChatId, DeviceId, EventId},
    time::Millis,
    view::{Direction, View},
    wire::{
        decode, encode,
        frame::Frame,
        limits::{MAX_NO, MAX_UNKNOWN_TAGS},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Entries under way to one device: enough to fill a fast link between two receipts, few enough to queue nowhere.
const WINDOW: usize = 256;
/// The first wait for a receipt; it doubles with each repetition.
const FIRST_WAIT: Duration = Duration::from_secs(3);
/// The longest wait between repetitions.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Wait after the network's queue was full.
pub(super) const OVERFLOW_WAIT: Duration = Duration::from_millis(200);

/// What came of an entry that is to be sealed.
pub(super) enum Sealing {
    /// It is, and stored so.
    Sealed(SealedAt),
    /// What it was about is gone, and so is the entry.
    Gone,
    /// No session can be started yet.
    NoSession,
}

/// What is under way to a connected device. May be lost: it is rebuilt from the outbox.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// The outbox from here on was not looked at since the device connected.
    next: u64,
    /// Sent and not confirmed.
    under_way: BTreeMap<u64, Flight>,
    /// Nothing is sent before then.
    paused_until: Option<Millis>,
    /// The timer that is set.
    timer: Option<Millis>,
    /// How often in a row nothing was confirmed.
    tries: u32,
    /// Frames were dropped, receipts perhaps among them: all that is held is told again.
    dropped: bool,
}

/// One entry under way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    at: Position,
    sent: Millis,
}

impl Lane {
    /// How long a receipt is waited for.
    fn wait(&self) -> Duration {
        FIRST_WAIT.saturating_mul(1 << self.tries.min(8)).min(LONGEST_WAIT)
    }

    /// When something is to be done next.
    fn due(&self) -> Option<Millis> {
        let oldest = self.under_way.values().map(|flight| flight.sent).min();
        self.paused_until.or(oldest.map(|sent| sent.plus(self.wait())))
    }

    /// The clock was set back.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.under_way.values_mut().for_each(|flight| flight.sent = flight.sent.minus(by));
        self.paused_until = self.paused_until.map(|until| until.minus(by));
        self.timer = self.timer.map(|at| at.minus(by));
    }

    /// Forgets what is under way, so that sending begins at the front again.
    fn rewind(&mut self) {
        self.under_way.clear();
        self.next = 0;
    }
}

impl Turn<'_> {
    /// Puts a control record into a device's outbox, once.
    pub(super) fn post(&mut self, device: DeviceId, record: &Record) -> Step {
        let bytes = record.to_bytes();
        let id = control_id(&bytes);
        if self.read::<ControlRow>(&ControlRow::key(device, &id))?.is_some() {
            return Ok(());
        }
        let place = self.put_parcel(device, Parcel::Control(id, bytes))?;
        self.put(ControlRow::key(device, &id), &ControlRow(place));
        self.pump(device)
    }

    /// Whether a control record waits in a device's outbox.
    pub(super) fn is_posted(&self, device: DeviceId, record: &Record) -> Step<bool> {
        let id = control_id(&record.to_bytes());
        Ok(self.read::<ControlRow>(&ControlRow::key(device, &id))?.is_some())
    }

    /// Puts a control record that is sealed already into a device's outbox, and sends it.
    pub(super) fn post_sealed(&mut self, device: &mut DeviceRow, record: &Record, sealed: Sealed) -> Step {
        let bytes = record.to_bytes();
        let id = control_id(&bytes);
        let place = self.put_parcel(device.device, Parcel::Control(id, bytes.clone()))?;
        self.put(ControlRow::key(device.device, &id), &ControlRow(place));
        let at = Position { sid: sealed.sid.0, epoch: sealed.epoch, index: sealed.index };
        let sealed = Some(SealedAt { at, wire: sealed.wire, sealed: self.now });
        let row = OutboxRow { what: Parcel::Control(id, bytes), since: self.now, sealed, left: None, was_left: false };
        self.put(OutboxRow::key(device.device, place), &row);
        if self.mem.peers.contains_key(&device.transport) {
            self.send_parcel(device, place, row)?;
        }
        Ok(())
    }

    /// Takes a chat's events out of a device's outbox; they stay written.
    pub(super) fn unpost_events(&mut self, device: DeviceId, chat: ChatId) -> Step {
        for (place, bytes) in self.scan(OutboxRow::TABLE, device.as_ref(), None, Direction::Forward, usize::MAX)? {
            let Ok(place) = place.try_into().map(u64::from_be_bytes) else { continue };
            let row: OutboxRow = rows::parse(&bytes)?;
            let (Parcel::Event(of, id) | Parcel::Nothing(of, id)) = row.what else { continue };
            if of != chat {
                continue;
            }
            if let Some(mut event) = self.read::<EventRow>(&EventRow::key(id))? {
                event.outbox.retain(|(to, _)| *to != device);
                self.put(EventRow::key(id), &event);
            }
            self.drop_parcel(device, place, &row)?;
        }
        Ok(())
    }

    /// Puts an event into a device's outbox and gives its place there.
    pub(super) fn post_event(&mut self, device: DeviceId, chat: ChatId, id: EventId) -> Step<u64> {
        self.put_parcel(device, Parcel::Event(chat, id))
    }

    fn put_parcel(&mut self, device: DeviceId, what: Parcel) -> Step<u64> {
        let mut counters = self.counters()?;
        counters.outbox += 1;
        self.put(CounterRow::key(), &counters);
        let row = OutboxRow { what, since: self.now, sealed: None, left: None, was_left: false };
        self.put(OutboxRow::key(device, counters.outbox), &row);
        Ok(counters.outbox)
    }

    /// Sends on to a device as much as the window allows. One that is not connected gets it by mail, unless it comes soon.
    pub(super) fn pump(&mut self, device: DeviceId) -> Step {
        let Some(mut row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return Ok(()) };
        if !self.mem.peers.contains_key(&row.transport) {
            self.leave_mail_soon(&row, Duration::ZERO);
            return Ok(());
        }
        loop {
            let lane = self.mem.lanes.entry(device).or_default();
            let room = WINDOW.saturating_sub(lane.under_way.len());
            let from = lane.next.to_be_bytes();
            if room == 0 || lane.paused_until.is_some() {
                return Ok(());
            }
            let page = self.scan(OutboxRow::TABLE, device.as_ref(), Some(&from), Direction::Forward, room)?;
            if page.is_empty() {
                return Ok(());
            }
            for (place, bytes) in page {
                let Ok(place) = place.try_into().map(u64::from_be_bytes) else { continue };
                if !self.send_parcel(&mut row, place, rows::parse(&bytes)?)? {
                    return Ok(());
                }
                self.mem.lanes.entry(device).or_default().next = place + 1;
            }
        }
    }

    /// Sends one entry, sealing it first where it is not. `false`: no session can be started yet.
    fn send_parcel(&mut self, device: &mut DeviceRow, place: u64, row: OutboxRow) -> Step<bool> {
        let sealed = match self.sealed_parcel(device, place, row)? {
            Sealing::Sealed(sealed) => sealed,
            Sealing::Gone => return Ok(true),
            Sealing::NoSession => return Ok(false),
        };
        let flight = Flight { at: sealed.at, sent: self.now };
        self.mem.lanes.entry(device.device).or_default().under_way.insert(place, flight);
        self.set_timer(device.device);
        self.send(device.transport, &Frame::Envelope(sealed.wire));
        Ok(true)
    }

    /// The envelope of an entry, sealed first where it is not.
    pub(super) fn sealed_parcel(&mut self, device: &mut DeviceRow, place: u64, mut row: OutboxRow) -> Step<Sealing> {
        if let Some(sealed) = row.sealed {
            return Ok(Sealing::Sealed(sealed));
        }
        let record = match &row.what {
            Parcel::Control(_, bytes) => bytes.clone(),
            Parcel::Event(_, id) | Parcel::Nothing(_, id) => match self.read::<RawRow>(&RawRow::key(*id))? {
                Some(raw) => Record::Event(raw.0).to_bytes(),
                None => return self.drop_parcel(device.device, place, &row).map(|()| Sealing::Gone),
            },
        };
        if matches!(Record::parse(&record), Some(Record::Request(..))) {
            self.leave_members_session(device)?;
        }
        let Some(sealed) = self.seal_for(device, &record)? else { return Ok(Sealing::NoSession) };
        let at = Position { sid: sealed.sid.0, epoch: sealed.epoch, index: sealed.index };
        let sealed = SealedAt { at, wire: sealed.wire, sealed: self.now };
        row.sealed = Some(sealed.clone());
        self.put(OutboxRow::key(device.device, place), &row);
        Ok(Sealing::Sealed(sealed))
    }

    /// Sees to it that the lane is looked at when something is due. A timer that comes too early sets the next.
    fn set_timer(&mut self, device: DeviceId) {
        let Some(lane) = self.mem.lanes.get_mut(&device) else { return };
        let Some(due) = lane.due() else { return };
        if lane.timer.is_none_or(|at| at > due) {
            lane.timer = Some(due);
            self.mem.timers.insert((due, Timer::Lane(device)));
        }
    }

    /// The lane's timer: what was not confirmed in time is sent again, and a pause ends.
    pub(super) fn lane_due(&mut self, device: DeviceId) -> Step {
        let now = self.now;
        let Some(lane) = self.mem.lanes.get_mut(&device) else { return Ok(()) };
        lane.timer = None;
        if lane.paused_until.is_some_and(|until| until <= now) {
            lane.paused_until = None;
        }
        let dropped = std::mem::take(&mut lane.dropped);
        let wait = lane.wait();
        let late = lane.under_way.iter().filter(|(_, flight)| flight.sent.plus(wait) <= now);
        let late: Vec<u64> = late.map(|(place, _)| *place).collect();
        if lane.paused_until.is_none() && !late.is_empty() {
            lane.tries = lane.tries.saturating_add(1);
            self.send_again(device, &late)?;
        }
        // With nothing to send and nobody who answers, receipts alone would begin sessions for ever.
        if dropped
            && let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))?
            && (self.has_parcels(device)? || self.is_answered(&row)?)
        {
            self.owe_all(&row)?;
            // What was said once may be among what was dropped.
            row.groups.iter().for_each(|group| self.ask_missing(*group, Some(device)));
        }
        self.pump(device)?;
        self.set_timer(device);
        Ok(())
    }

    fn send_again(&mut self, device: DeviceId, places: &[u64]) -> Step {
        let Some(mut row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return Ok(()) };
        for place in places {
            let Some(parcel) = self.read::<OutboxRow>(&OutboxRow::key(device, *place))? else {
                self.mem.lanes.entry(device).or_default().under_way.remove(place);
                continue;
            };
            if !self.send_parcel(&mut row, *place, parcel)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends nothing for a while, then begins at the front again.
    fn pause(&mut self, device: DeviceId, wait: Duration) {
        let until = self.now.plus(wait);
        let lane = self.mem.lanes.entry(device).or_default();
        lane.rewind();
        lane.paused_until = Some(until);
        self.set_timer(device);
    }

    /// The same for longer each time it comes to that; what was said once may have been in vain.
    pub(super) fn pause_longer(&mut self, device: DeviceId) {
        let lane = self.mem.lanes.entry(device).or_default();
        lane.tries = lane.tries.saturating_add(1);
        lane.dropped = true;
        let wait = lane.wait();
        self.pause(device, wait);
    }

    /// What was waited for has come: what waits is sent at once.
    pub(super) fn end_pause(&mut self, device: DeviceId) {
        if let Some(lane) = self.mem.lanes.get_mut(&device) {
            (lane.paused_until, lane.tries) = (None, 0);
        }
    }

    /// The places of what is under way to a connected device.
    pub(super) fn under_way_to_device(&self, device: DeviceId) -> Vec<u64> {
        self.mem.lanes.get(&device).map(|lane| lane.under_way.keys().copied().collect()).unwrap_or_default()
    }

    /// What is under way to a device is sent from the front again.
    pub(super) fn rewind_lane(&mut self, device: DeviceId) {
        if let Some(lane) = self.mem.lanes.get_mut(&device) {
            lane.rewind();
        }
    }

    /// The network dropped frames: wait a little, then send again from the front.
    pub(super) fn overflow(&mut self, device: DeviceId) {
        self.pause(device, OVERFLOW_WAIT);
        self.mem.lanes.entry(device).or_default().dropped = true;
    }

    /// Takes a device's receipt: what it confirms leaves its outbox, what it lost is sealed anew.
    pub(super) fn receipt(&mut self, device: &DeviceRow, receipt: Receipt) -> Step {
        let mut progress = false;
        for chat in &receipt.chats {
            progress |= self.chat_receipt(device, chat)?;
        }
        let by_position = self.places_of(device, &receipt)?;
        for at in &receipt.positions {
            let Some(place) = by_position.get(at).copied() else { continue };
            let key = OutboxRow::key(device.device, place);
            let Some(mut row) = self.read::<OutboxRow>(&key)? else { continue };
            match row.what {
                Parcel::Control(..) => {
                    progress = true;
                    self.drop_parcel(device.device, place, &row)?;
                }
                // It was heard and yet is not held (it came before it could be taken): it is said again in time.
                Parcel::Event(..) | Parcel::Nothing(..) => {
                    row.unseal();
                    self.put(key, &row);
                    self.rewind_mail(device.device);
                }
            }
        }
        let mut lost = Vec::new();
        for at in &receipt.lost {
            let Some(place) = by_position.get(at).copied() else { continue };
            let key = OutboxRow::key(device.device, place);
            let Some(mut row) = self.read::<OutboxRow>(&key)? else { continue };
            row.unseal();
            self.put(key, &row);
            lost.push(place);
        }
        let unknown: BTreeSet<Tag> = receipt.unknown.iter().flatten().copied().take(MAX_UNKNOWN_TAGS).collect();
        if !unknown.is_empty() {
            self.unknown_by_mail(device.device, &unknown)?;
        }
        if !self.mem.peers.contains_key(&device.transport) {
            self.rewind_mail(device.device);
            return self.pump(device.device);
        }
        if progress {
            self.mem.lanes.entry(device.device).or_default().tries = 0;
        }
        self.send_again(device.device, &lost)?;
        self.pump(device.device)
    }

    /// Where in the outbox the entries are that a receipt speaks of: among those under way, else, where mail was left for
    /// the device, among all.
    fn places_of(&self, device: &DeviceRow, receipt: &Receipt) -> Step<BTreeMap<Position, u64>> {
        let lane = self.mem.lanes.get(&device.device);
        let mut places: BTreeMap<Position, u64> =
            lane.into_iter().flat_map(|lane| &lane.under_way).map(|(place, flight)| (flight.at, *place)).collect();
        let mut told = receipt.positions.iter().chain(&receipt.lost);
        if device.boxes().is_empty() || told.all(|at| places.contains_key(at)) {
            return Ok(places);
        }
        for (place, bytes) in
            self.scan(OutboxRow::TABLE, device.device.as_ref(), None, Direction::Forward, usize::MAX)?
        {
            let Ok(place) = place.try_into().map(u64::from_be_bytes) else { continue };
            let row: OutboxRow = rows::parse(&bytes)?;
            places.extend(row.sealed.map(|sealed| (sealed.at, place)));
        }
        Ok(places)
    }

    pub(super) fn drop_parcel(&mut self, device: DeviceId, place: u64, row: &OutboxRow) -> Step {
        self.delete(OutboxRow::key(device, place));
        if let Some(lane) = self.mem.lanes.get_mut(&device) {
            lane.under_way.remove(&place);
        }
        match &row.what {
            Parcel::Event(..) | Parcel::Nothing(..) => Ok(()),
            Parcel::Control(id, bytes) => {
                self.delete(ControlRow::key(device, id));
                self.control_confirmed(device, bytes)
            }
        }
    }

    /// Takes out of a device's outbox the control records that `goes` says are of no use to it any more.
    pub(super) fn drop_controls(&mut self, device: DeviceId, goes: &dyn Fn(&Record) -> bool) -> Step {
        for (place, bytes) in self.scan(OutboxRow::TABLE, device.as_ref(), None, Direction::Forward, usize::MAX)? {
            let Ok(place) = place.try_into().map(u64::from_be_bytes) else { continue };
            let row: OutboxRow = rows::parse(&bytes)?;
            let Parcel::Control(_, record) = &row.what else { continue };
            if Record::parse(record).is_some_and(|record| goes(&record)) {
                self.drop_parcel(device, place, &row)?;
            }
        }
        Ok(())
    }

    /// What follows from a control record that reached the other's device.
    fn control_confirmed(&mut self, device: DeviceId, record: &[u8]) -> Step {
        let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return Ok(()) };
        match Record::parse(record) {
            Some(Record::Request(..)) => self.request_confirmed(row.account),
            Some(Record::Boxes(bundle)) => self.boxes_confirmed(row.account, &bundle),
            _ => Ok(()),
        }
    }

    /// A request that reached the other's device is more than pending.
    pub(super) fn request_confirmed(&mut self, account: AccountId) -> Step {
        let Some(mut contact) = self.contact(account)? else { return Ok(()) };
        if contact.state == ContactState::Pending {
            contact.state = ContactState::Requested;
            self.put(ContactRow::key(contact.account), &contact);
            self.tell_contact(contact.account)?;
        }
        Ok(())
    }

    /// What is new in a conversation's receipt. Whether anything is.
    pub(super) fn chat_receipt(&mut self, device: &DeviceRow, told: &ChatReceipt) -> Step<bool> {
        let own = self.own()?;
        let Ok(held) = decode::<Numbers>(&told.held, "receipt") else { return Ok(false) };
        let Some(side) = own.side_of(told.author) else { return Ok(false) };
        if !self.may_confirm(device, told.chat)? {
            return Ok(false);
        }
        // How far a device wrote that this one replaced is not known: what is told of it counts as soon as it is handed back.
        let written = match side {
            Side::Theirs => self.chat(told.chat)?.map_or(0, |chat| chat.written),
            _ => MAX_NO,
        };
        if side == Side::Theirs && held.greatest().is_some_and(|no| no > written) {
            self.skip_numbers_in(told.chat)?;
        }
        let key = ReceiptRow::key(told.chat, side, device.device);
        let known = self.read::<ReceiptRow>(&key)?;
        let none = || Numbers::from_base(1);
        let known = known.unwrap_or_else(|| ReceiptRow::new(device.device, device.account));
        let (before, read_before) = (known.numbers().unwrap_or_else(|_| none()), known.read);
        let seen_before = known.seen(read_before).unwrap_or_else(|_| none());
        let mut after = before.clone();
        let counted = self.counted(device, told, held.up_to(written))?;
        after.merge(&counted.confirmed);
        let void_before = known.void().unwrap_or_else(|_| none());
        let mut void = void_before.clone();
        void.merge(&counted.void);
        let read = told.read.unwrap_or(0).min(written).max(read_before);
        let told_seen = match &told.seen {
            Some(seen) => decode::<Numbers>(seen, "receipt").unwrap_or_else(|_| none()),
            None => held.clone(),
        };
        let mut seen = seen_before.clone();
        seen.merge(&told_seen.up_to(told.read.unwrap_or(0).min(written)));
        if after == before && seen == seen_before && read == read_before && void == void_before {
            return Ok(false);
        }
        let row = ReceiptRow {
            held: encode(&after),
            read,
            seen: Some(encode(&seen).into()),
            void: (void != none()).then(|| encode(&void).into()),
            ..ReceiptRow::new(device.device, device.account)
        };
        self.put(key, &row);
        let delivered = self.confirm_events(device, self.news_of(told, &after, &before)?)?;
        self.tell_receipt(device, told.chat, Progress::Delivered, delivered)?;
        let mut read = Vec::new();
        let news = self.news_of(told, &seen, &seen_before)?;
        read.extend(news.into_iter().filter(|(no, _)| after.contains(*no)).map(|(_, id)| id));
        self.tell_receipt(device, told.chat, Progress::Read, read)?;
        Ok(true)
    }

    /// The events here whose numbers are in one set and not in another, the oldest first. Any numbers may be told, so what is
    /// here is asked.
    fn news_of(&self, told: &ChatReceipt, after: &Numbers, before: &Numbers) -> Step<Vec<(u64, EventId)>> {
        let mut news = Vec::new();
        for range in after.news_over(before) {
            news.extend(AuthorRow::within(self, (told.chat, told.author), range, usize::MAX)?);
        }
        news.sort_unstable();
        Ok(news)
    }

    /// Takes confirmed events out of a device's outbox; gives their ids.
    fn confirm_events(&mut self, device: &DeviceRow, confirmed: Vec<(u64, EventId)>) -> Step<Vec<EventId>> {
        let mut ids = Vec::new();
        for (_, id) in confirmed {
            let Some(mut event) = self.read::<EventRow>(&EventRow::key(id))? else { continue };
            // Of what was taken back only that nothing stands there is delivered.
            ids.extend((!event.is_erased()).then_some(id));
            let Some(i) = event.outbox.iter().position(|(to, _)| *to == device.device) else { continue };
            let (_, place) = event.outbox.remove(i);
            self.put(EventRow::key(id), &event);
            self.end_if_over(&event)?;
            if let Some(row) = self.read::<OutboxRow>(&OutboxRow::key(device.device, place))? {
                self.drop_parcel(device.device, place, &row)?;
            }
        }
        Ok(ids)
    }

    pub(super) fn tell_receipt(
        &mut self,
        device: &DeviceRow,
        chat: ChatId,
        state: Progress,
        ids: Vec<EventId>,
    ) -> Step {
        for ids in ids.chunks(MAX_RECEIPT_IDS) {
            self.tell(&FeedEntry::Receipt { chat, by: device.account, state, ids: ids.to_vec() })?;
        }
        Ok(())
    }
}
