//! Bundles: offered to who holds an intro, and learned of others, the newest of each device.

use super::{
    rows::{DeviceRow, Intro, ListRow, PeerRow, TicketRow},
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::{envelope::Tag, secret::Secret, sign::Verified},
    identity::{
        Bundle, SignedBundle,
        bundle::seal_bundle,
        certificate::{Choice, choose},
    },
    ids::TransportKey,
    view::{Table, ViewError},
    wire::{encode, frame::Frame},
};

impl Turn<'_> {
    /// Answers who holds an intro with the newest bundle.
    pub(super) fn offer_bundle(&mut self, peer: TransportKey, tag: Tag, intro: &Intro, secret: &Secret) -> Step {
        let bytes = match intro {
            Intro::Ticket(ticket) => match self.read::<TicketRow>(&TicketRow::key(*ticket))? {
                Some(ticket) => ticket.bundle,
                None => return Ok(()),
            },
            Intro::Again(account) => {
                if self.contact(*account)?.is_none_or(|contact| contact.blocked) {
                    return Ok(());
                }
                self.own()?.bundle
            }
            Intro::Group(group) => {
                let Some(device) = self.device_of(peer)? else { return Ok(()) };
                if !self.is_member_device(*group, device.device)? {
                    return Ok(());
                }
                self.own()?.bundle
            }
            Intro::Closed => return Ok(()),
        };
        let bundle = SignedBundle::parse(&bytes).map_err(|_| ViewError::Damaged(Table::Own))?;
        let sealed = seal_bundle(secret, &bundle, self.rng);
        self.send(peer, &Frame::Bundle(tag, sealed));
        Ok(())
    }

    /// Takes note of a device's bundle if it is newer than what is held. `None`: it is not believed, since its account has a
    /// newer list without the device, or the device is known with other keys.
    pub(super) fn learn_bundle(&mut self, bundle: &Verified<Bundle>, signed: &SignedBundle) -> Step<Option<DeviceRow>> {
        let cert = &bundle.cert;
        let held = self.read::<DeviceRow>(&DeviceRow::key(cert.device))?;
        let same = held.as_ref().is_none_or(|held| {
            held.account == cert.account && held.transport == cert.transport && held.noise == cert.noise
        });
        let peer = self.read::<PeerRow>(&PeerRow::key(cert.transport))?.and_then(|peer| peer.device);
        if !same || peer.is_some_and(|device| device != cert.device) || !self.learn_list(bundle)? {
            return Ok(None);
        }
        let named: Vec<String> = bundle.addresses.iter().map(ToString::to_string).collect();
        let mut device = held.unwrap_or_else(|| DeviceRow {
            device: cert.device,
            account: cert.account,
            transport: cert.transport,
            noise: cert.noise,
            bundle: Vec::new(),
            bundle_seq: 0,
            addresses: Vec::new(),
            sending: None,
            sessions: Vec::new(),
            groups: Vec::new(),
        });
        if device.bundle.is_empty() || bundle.seq > device.bundle_seq {
            device.bundle = encode(signed);
            device.bundle_seq = bundle.seq;
            device.addresses = super::peers::freshest(&named, &device.addresses);
        }
        self.put(DeviceRow::key(device.device), &device);
        self.note_peer(&device)?;
        Ok(Some(device))
    }

    /// Keeps the newest device list of an account. Whether the bundle's device is on it.
    fn learn_list(&mut self, bundle: &Bundle) -> Step<bool> {
        let key = ListRow::key(bundle.list.account);
        let held = self.read::<ListRow>(&key)?.and_then(|row| row.0.verify().ok());
        let counts = match held.as_ref().and_then(|held| choose(held, &bundle.list)) {
            None => true,
            Some(Choice::Held) => false,
            Some(Choice::Offered) => true,
            Some(Choice::Fork(fork)) => fork.counts == *bundle.list.hash(),
        };
        if counts {
            self.put(key, &ListRow(bundle.signed_list.clone()));
            return Ok(true);
        }
        Ok(held.is_some_and(|held| held.holds(&bundle.cert)))
    }
}

/// A bundle's bytes, parsed and verified.
pub(super) fn verified(bytes: &[u8]) -> Option<(SignedBundle, Verified<Bundle>)> {
    let signed = SignedBundle::parse(bytes).ok()?;
    let bundle = signed.verify().ok()?;
    Some((signed, bundle))
}
