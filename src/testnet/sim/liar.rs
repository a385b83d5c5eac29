//! A member that lies in what it compares: sums and ids of events that never were, in its own index and in what it says,
//! and questions without end. Everything else it does as all do, so what it is given and owes it keeps.

use super::world::World;
use crate::{
    protocol::{
        engine::{
            Effect,
            record::{Given, Record},
            rows::{self, ClassRow, OrderRow, SumRow},
        },
        ids::{ChatId, DeviceId, EventId},
        sync::{Range, Ranges, Spot, Tally, Told},
        time::Millis,
        view::Write,
        wire::encode,
    },
    store::Store,
};

/// Events that never were, in one lie.
const INVENTED: usize = 300;

impl World {
    /// One lie to one of those that are connected.
    pub(super) fn lie(&mut self) {
        let (Some(who), Some(group)) = (self.weather.liar, self.group) else { return };
        let Some(run) = &self.devices[who].run else { return };
        let peers: Vec<usize> = run.connected.keys().copied().collect();
        if peers.is_empty() {
            return;
        }
        let to = self.devices[peers[self.chance.index(peers.len())]].device;
        let chat = ChatId::from(group);
        let ids: Vec<EventId> = (0..INVENTED).map(|_| self.invented()).collect();
        match self.chance.between(0, 6) {
            0 => self.falsify_index(who, chat, &ids),
            1 => self.say_as(who, to, Record::Wanted(chat, ids)),
            2 => self.say_as(
                who,
                to,
                Record::Given(Given {
                    chat,
                    events: vec![vec![7; 99].into()],
                    lacking: ids,
                    last: true,
                    stubs: vec![vec![7; 99].into(); 3],
                }),
            ),
            3 => self.say_as(who, to, Record::Compare(chat, 0, vec![0xff; 40])),
            4 => {
                let print = Range { lower: [0; 40], told: Told::Print([self.now as u8; 16]) };
                self.say_as(who, to, Record::Compare(chat, 1, Ranges::made_up(vec![print]).to_bytes()));
            }
            5 => {
                let news = Range { lower: [9; 40], told: Told::News(ids) };
                self.say_as(who, to, Record::Compare(chat, 3, Ranges::made_up(vec![news]).to_bytes()));
            }
            _ => {
                let all = Range { lower: [0; 40], told: Told::All(ids) };
                self.say_as(who, to, Record::Compare(chat, 2, Ranges::made_up(vec![all]).to_bytes()));
            }
        }
    }

    fn invented(&mut self) -> EventId {
        EventId(std::array::from_fn(|_| self.chance.between(0, 255) as u8))
    }

    /// Its own index tells of events that it never had: from now on it lies by merely answering.
    fn falsify_index(&mut self, who: usize, chat: ChatId, ids: &[EventId]) {
        let clock = self.devices[who].clock(self.now);
        let classes = rows::all::<ClassRow>(&self.devices[who].store, ClassRow::scope(chat)).unwrap_or_default();
        let Some(class) = classes.first().map(|row| row.id) else { return };
        let mut writes = Vec::new();
        for (n, id) in ids.iter().enumerate() {
            let at = Spot { clock: Millis(clock.0.saturating_sub(n as u64 * 1_000)), id: *id }.to_key();
            writes.push(Write::Put(OrderRow::key(chat, &at), encode(&OrderRow(class))));
        }
        let mut block = SumRow::default();
        block.join(class, &Tally { count: ids.len() as u64, sum: [5; 32] });
        writes.push(Write::Put(SumRow::key(chat, &[0; 40]), encode(&block)));
        self.keep(who, writes);
    }

    /// Says a record as this device.
    fn say_as(&mut self, who: usize, to: DeviceId, record: Record) {
        let device = &mut self.devices[who];
        let clock = device.clock(self.now);
        let Some(run) = &mut device.run else { return };
        let Ok(effects) = run.engine.say_anything(to, &record, clock, &mut device.rng, &device.store) else { return };
        self.note(who, format_args!("lies to {to:?}"));
        for effect in effects {
            match effect {
                Effect::Persist(writes) => self.keep(who, writes),
                Effect::Send(peer, frames) => self.send(who, peer, frames),
                _ => {}
            }
        }
    }

    fn keep(&mut self, who: usize, writes: Vec<Write>) {
        let store = &mut self.devices[who].store;
        if let Err(error) = store.stage(writes).and_then(|()| store.commit()) {
            self.fail(error.to_string());
        }
    }
}
