//! The one task that owns the swarm: it carries out commands, follows what the swarm says, and tells the node.
//!
//! It never waits for the node. What a full channel does not take is held back within bounds; at the bound the swarm
//! is not asked for more, and gossip is dropped well before. Frames do not pass here: each peer's [`Link`] has its own
//! task.

use crate::{
    net::{
        Command, Gate, NetEvent, QueueLimits, Topic, Unreached, Verdict, address, direct,
        gossip::{acceptance, topic_score},
        limits::{MAX_DIALS, MAX_HELD_EVENTS, MAX_HELD_GOSSIP, MAX_NEARBY, MAX_NEARBY_ADDRESSES, MAX_REACHED},
        link::{Ended, Ends, Link, Standing, Why},
        offences::Offences,
        reach::{Dial, Reach},
        swarm::{Behaviour, BehaviourEvent},
    },
    protocol::{ids::TransportKey, wire::limits::MAX_GOSSIP_FRAME},
};
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, gossipsub, mdns,
    swarm::{
        ConnectionId, DialError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, task::JoinSet, time::sleep_until};
use tokio_util::sync::CancellationToken;

/// See the module.
pub(super) struct Driver {
    swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<NetEvent>,
    held: VecDeque<NetEvent>,
    held_gossip: usize,
    links: HashMap<PeerId, Link>,
    tasks: JoinSet<Ended>,
    queue: QueueLimits,
    /// How long a stranger may be silent.
    silence: Duration,
    reach: Reach,
    dialling: HashMap<ConnectionId, Dialled>,
    gates: HashMap<gossipsub::TopicHash, (Topic, Gate)>,
    offences: Offences,
    told_addresses: Vec<String>,
    /// Who was discovered on the local network, wanted or not: one that is wanted later is found at once.
    nearby: HashMap<PeerId, Vec<String>>,
}

/// What a dial under way is for.
enum Dialled {
    Peer,
    Probe(Multiaddr),
}

/// How often the driver looks round where nothing is due.
const IDLE: Duration = Duration::from_secs(60);

impl Driver {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<NetEvent>,
        queue: QueueLimits,
        silence: Duration,
    ) -> Self {
        let reach = Reach::new(*swarm.local_peer_id());
        Self {
            swarm,
            commands,
            events,
            held: VecDeque::new(),
            held_gossip: 0,
            links: HashMap::new(),
            tasks: JoinSet::new(),
            queue,
            silence,
            reach,
            dialling: HashMap::new(),
            gates: HashMap::new(),
            offences: Offences::default(),
            told_addresses: Vec::new(),
            nearby: HashMap::new(),
        }
    }

    /// Runs until `stop`, or until the node has dropped its ends; then every task of the network has ended.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        // Kept from round to round: a place in the queue for the channel that is given up each time is never reached.
        let mut place = Box::pin(self.events.clone().reserve_owned());
        loop {
            let room_to_dial = self.dialling.len() < MAX_DIALS;
            let idle = Instant::now() + IDLE;
            let wake = self.reach.next_due().filter(|_| room_to_dial).map_or(idle, |due| due.min(idle));
            tokio::select! {
                () = stop.cancelled() => break,
                permit = &mut place, if !self.held.is_empty() => {
                    let (Ok(permit), Some(event)) = (permit, self.held.pop_front()) else { break };
                    self.held_gossip -= usize::from(matches!(event, NetEvent::Gossip { .. }));
                    place = Box::pin(permit.send(event).reserve_owned());
                }
                Some(ended) = self.tasks.join_next() => self.on_link_ended(ended),
                command = self.commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => break,
                },
                event = self.swarm.select_next_some(), if self.held.len() < MAX_HELD_EVENTS => self.on_swarm(event),
                () = sleep_until(wake.into()) => self.on_time(),
            }
        }
        self.tasks.shutdown().await;
    }

    fn on_command(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Send { to, frames } => self.send(&to, frames),
            Command::Publish { topic, frame } => self.publish(topic, frame),
            Command::Subscribe { topic, gate } => self.subscribe(topic, gate),
            Command::Unsubscribe { topic } => {
                self.gates.remove(&topic.ident().hash());
                self.swarm.behaviour_mut().circle.gossip().unsubscribe(&topic.ident());
            }
            Command::Circle { peers } => {
                let circle = peers.iter().take(MAX_REACHED).filter_map(address::peer_id).collect();
                self.swarm.behaviour_mut().circle.draw(circle);
            }
            Command::Reach { peer, addresses } => self.want(&peer, &addresses),
            Command::Forget { peer } => {
                let Some(peer) = address::peer_id(&peer) else { return };
                self.reach.forget(&peer);
                self.swarm.behaviour_mut().door.forget(&peer);
                if let Some(link) = self.links.get(&peer) {
                    link.standing(Standing::Stranger);
                }
            }
            Command::Disconnect { peer } => {
                let Some(peer) = address::peer_id(&peer) else { return };
                let _was_connected = self.swarm.disconnect_peer_id(peer);
            }
            Command::Probe { addresses } => {
                let known = |address: &Multiaddr| self.swarm.listeners().any(|own| own == address);
                let addresses = address::dialable(&addresses, None).into_iter().filter(|a| !known(a)).collect();
                self.reach.probe(addresses, now);
            }
            Command::TryNow => self.reach.try_now(now),
        }
    }

    fn on_swarm(&mut self, event: SwarmEvent<<Behaviour as libp2p::swarm::NetworkBehaviour>::ToSwarm>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::NewListenAddr { .. }
            | SwarmEvent::ExpiredListenAddr { .. }
            | SwarmEvent::ListenerClosed { .. } => self.tell_addresses(),
            SwarmEvent::ConnectionEstablished { connection_id, .. } => self.on_dialled(connection_id),
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                // The link drains what came in, tells the node, and leaves the list in `on_link_ended`.
                if let Some(link) = self.links.get(&peer_id) {
                    link.close();
                }
                self.reach.lost(&peer_id, Instant::now());
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                self.on_dial_failed(connection_id, peer_id, &error);
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener has trouble"),
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Direct(direct::Event::Settled { peer, connection, dialled, outbound, inbound }) => {
                self.reach.connected(&peer, dialled.as_ref(), Instant::now());
                let Some(key) = address::transport_key(&peer) else { return };
                let address = dialled.as_ref().map(Multiaddr::to_string);
                let (events, queue, silence) = (self.events.clone(), self.queue, self.silence);
                let before = self.links.remove(&peer).and_then(Link::end);
                let ends = Ends { peer, key, connection, address, inbound, outbound, events, queue, silence };
                let standing = if self.reach.wants(&peer) { Standing::Wanted } else { Standing::Stranger };
                let (link, task) = Link::new(ends, standing, before);
                self.links.insert(peer, link);
                self.tasks.spawn(task);
            }
            BehaviourEvent::Direct(direct::Event::Unsettled { peer }) => self.tell_unreached(&peer, Unreached::NotMoim),
            // The first failure in a row is free: ping reports the second.
            BehaviourEvent::Ping(ping) if ping.result.is_err() => {
                self.swarm.close_connection(ping.connection);
            }
            BehaviourEvent::Circle(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                self.judge(&propagation_source, &message_id, message);
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => self.on_discovered(found),
            BehaviourEvent::Mdns(mdns::Event::Expired(gone)) => {
                gone.iter().for_each(|(peer, _)| drop(self.nearby.remove(peer)));
            }
            _ => {}
        }
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        for peer in self.offences.forgive(now) {
            self.swarm.behaviour_mut().blocked.unblock_peer(peer);
        }
        for dial in self.reach.due(MAX_DIALS.saturating_sub(self.dialling.len()), now) {
            match dial {
                Dial::Peer(peer, addresses) => self.dial(peer, addresses),
                Dial::Address(address) => self.dial_unknown(address),
            }
        }
    }

    fn on_link_ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) => return tracing::error!(%error, "a link's task did not end well"),
        };
        // Where the connection lives on without its link, it is of no use: the peer dials again, or we do.
        self.swarm.close_connection(ended.connection);
        if self.links.get(&ended.peer).is_some_and(|link| link.connection == ended.connection) {
            self.links.remove(&ended.peer);
        }
        if matches!(ended.why, Why::Lied) && self.offences.note(ended.peer, Instant::now()) {
            self.swarm.behaviour_mut().blocked.block_peer(ended.peer);
        }
    }

    // Direct

    fn send(&mut self, to: &TransportKey, frames: Vec<Vec<u8>>) {
        // Not connected: the node has been told, or is about to be, and its outbox sends again.
        let Some(link) = address::peer_id(to).and_then(|peer| self.links.get(&peer)) else { return };
        frames.into_iter().for_each(|frame| link.send(frame));
    }

    // Dialling

    fn want(&mut self, key: &TransportKey, addresses: &[String]) {
        let Some(peer) = address::peer_id(key) else { return };
        let now = Instant::now();
        let nearby = self.nearby.get(&peer).map_or(&[][..], Vec::as_slice);
        let addresses = [addresses, nearby].concat();
        if !self.reach.want(peer, address::dialable(&addresses, Some(&peer)), now) {
            return;
        }
        // Strangers never take the place of someone this node wants.
        self.swarm.behaviour_mut().door.welcome(peer);
        if let Some(link) = self.links.get(&peer) {
            link.standing(Standing::Wanted);
        }
        if self.swarm.is_connected(&peer) {
            self.reach.connected(&peer, None, now);
        }
    }

    fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let addresses: Vec<_> =
            addresses.into_iter().filter(|address| !self.swarm.listeners().any(|own| own == address)).collect();
        // A port of its own for each dial: two nodes that dial from their listening ports can meet half-way, and a port
        // just left cannot be dialled from again.
        let options = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses)
            .allocate_new_port()
            .build();
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.dialling.insert(connection, Dialled::Peer);
            }
            Err(DialError::DialPeerConditionFalse(_)) if self.swarm.is_connected(&peer) => {
                self.reach.connected(&peer, None, Instant::now());
            }
            // An earlier dial is still under way.
            Err(DialError::DialPeerConditionFalse(_)) => self.reach.lost(&peer, Instant::now()),
            Err(error) => self.on_dial_failed(connection, Some(peer), &error),
        }
    }

    fn dial_unknown(&mut self, address: Multiaddr) {
        let options = DialOpts::unknown_peer_id().address(address.clone()).allocate_new_port().build();
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.dialling.insert(connection, Dialled::Probe(address));
            }
            Err(_) => self.reach.silent(&address, Instant::now()),
        }
    }

    fn on_dialled(&mut self, connection: ConnectionId) {
        if let Some(Dialled::Probe(address)) = self.dialling.remove(&connection) {
            self.reach.answered(&address);
        }
    }

    fn on_dial_failed(&mut self, connection: ConnectionId, peer: Option<PeerId>, error: &DialError) {
        let now = Instant::now();
        let why = Unreached::from(error);
        tracing::debug!(%why, "a dial failed");
        match (self.dialling.remove(&connection), peer) {
            // Somebody answered, and is connected already.
            (Some(Dialled::Probe(address)), _) if why == Unreached::Refused => self.reach.answered(&address),
            (Some(Dialled::Probe(address)), _) => self.reach.silent(&address, now),
            (_, Some(peer)) if self.swarm.is_connected(&peer) => self.reach.connected(&peer, None, now),
            (_, Some(peer)) => {
                self.reach.lost(&peer, now);
                self.tell_unreached(&peer, why);
            }
            (_, None) => {}
        }
    }

    fn on_discovered(&mut self, found: Vec<(PeerId, Multiaddr)>) {
        let mut peers: HashMap<PeerId, Vec<String>> = HashMap::new();
        for (peer, address) in found {
            peers.entry(peer).or_default().push(address.to_string());
        }
        for (peer, mut addresses) in peers {
            // A few, so that made-up ones do not push out those that a peer gave itself.
            addresses.truncate(MAX_NEARBY_ADDRESSES);
            // Named by anyone on the network: no stranger is dialled, and nothing held back, on that word alone.
            let Some(key) = address::transport_key(&peer) else { continue };
            self.reach.appeared(&peer, address::dialable(&addresses, Some(&peer)), Instant::now());
            if self.nearby.len() < MAX_NEARBY || self.nearby.contains_key(&peer) {
                self.nearby.insert(peer, addresses.clone());
            }
            if self.held.len() < MAX_HELD_EVENTS / 2 {
                self.held.push_back(NetEvent::Discovered { peer: key, addresses });
            }
        }
    }

    // Gossip

    fn subscribe(&mut self, topic: Topic, gate: Gate) {
        let gossip = self.swarm.behaviour_mut().circle.gossip();
        if let Err(error) = gossip.set_topic_params(topic.ident(), topic_score()) {
            tracing::error!(error, "gossip is not scored");
        }
        match gossip.subscribe(&topic.ident()) {
            Ok(_) => drop(self.gates.insert(topic.ident().hash(), (topic, gate))),
            Err(error) => tracing::error!(?error, "a topic was not subscribed"),
        }
    }

    fn publish(&mut self, topic: Topic, frame: Vec<u8>) {
        if frame.len() > MAX_GOSSIP_FRAME {
            return tracing::error!(size = frame.len(), "a gossip frame of ours is too long; dropped");
        }
        match self.swarm.behaviour_mut().circle.gossip().publish(topic.ident(), frame) {
            // Alone on the topic, or said before: what gossip does not carry, sync does.
            Ok(_) | Err(gossipsub::PublishError::NoPeersSubscribedToTopic | gossipsub::PublishError::Duplicate) => {}
            Err(error) => tracing::debug!(%error, "a gossip frame did not leave"),
        }
    }

    fn judge(&mut self, from: &PeerId, id: &gossipsub::MessageId, message: gossipsub::Message) {
        let gate = self.gates.get(&message.topic);
        let verdict = gate.map_or(Verdict::Ignore(None), |(_, gate)| gate(&message.data));
        let topic = gate.map(|(topic, _)| *topic);
        let gossip = self.swarm.behaviour_mut().circle.gossip();
        gossip.report_message_validation_result(id, from, acceptance(&verdict));
        let (payload, forwarded) = match verdict {
            Verdict::Accept(payload) => (payload, true),
            Verdict::Ignore(Some(payload)) => (payload, false),
            Verdict::Ignore(None) | Verdict::Reject => return,
        };
        let Some(topic) = topic else { return };
        if self.held_gossip >= MAX_HELD_GOSSIP {
            return tracing::debug!("the node is behind; a gossip frame is left to sync");
        }
        self.held_gossip += 1;
        self.held.push_back(NetEvent::Gossip { topic, payload, forwarded });
    }

    // Telling

    fn tell_addresses(&mut self) {
        let addresses = address::to_tell(self.swarm.listeners());
        if addresses != self.told_addresses {
            // Whoever moved to another network may reach there what it did not reach here.
            if !self.told_addresses.is_empty() {
                self.reach.try_now(Instant::now());
            }
            self.told_addresses.clone_from(&addresses);
            self.held.push_back(NetEvent::Listening { addresses });
        }
    }

    fn tell_unreached(&mut self, peer: &PeerId, why: Unreached) {
        if let Some(peer) = address::transport_key(peer) {
            self.held.push_back(NetEvent::Unreachable { peer, why });
        }
    }
}
