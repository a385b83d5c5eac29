//! Bundles: offered to who holds an intro, and learned of others, the newest of each device.

use super::{
    rows::{DeviceRow, Intro, ListRow, PeerRow, TicketRow},
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::{envelope::Tag, secret::Secret, sign::Verified},
    identity::{
        Bundle, SignedBundle,
        bundle::{open_bundle, seal_bundle},
        certificate::{Choice, DeviceCert, DeviceList, choose},
    },
    ids::{AccountId, TransportKey},
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
                let own = self.own()?;
                match self.is_member_device(*group, device.device)? {
                    true => own.bundle,
                    // Who left is to hand over its last words, and learns nothing but how to begin.
                    false if self.has_left_lately(*group, device.device)? => self.bare_bundle(&own)?,
                    false => return Ok(()),
                }
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
        if !self.is_believed(bundle)? {
            return Ok(None);
        }
        let has_changed = self.learn_list(bundle)?;
        let cert = &bundle.cert;
        let held = self.read::<DeviceRow>(&DeviceRow::key(cert.device))?;
        let is_instead = held.is_none() && has_changed;
        let replaced = if is_instead { self.devices_that_went(&bundle.list)? } else { Vec::new() };
        let named: Vec<String> = bundle.addresses.iter().map(ToString::to_string).collect();
        let mut device = held.unwrap_or_else(|| DeviceRow { replaced, ..DeviceRow::new(cert) });
        if device.bundle.is_empty() || bundle.seq > device.bundle_seq {
            device.bundle = encode(signed);
            device.bundle_seq = bundle.seq;
            device.addresses = super::peers::freshest(&named, &device.addresses);
            if device.boxes() != bundle.boxes {
                // What it is told once found no way before, or lies only where it looks no more, or at one that withholds it.
                self.owe_all(&device)?;
                self.owe_told_by_mail(device.device);
                device.boxes = Some(bundle.boxes.clone());
                self.rewind_mail(device.device);
            }
        }
        self.put(DeviceRow::key(device.device), &device);
        self.note_peer(&device)?;
        if is_instead {
            for gone in &device.replaced {
                self.hand_on_parting(*gone, device.device)?;
            }
        }
        self.read(&DeviceRow::key(device.device))
    }

    /// A device that was gone before it was heard of here, as its account's newer list says: those on that list speak for what
    /// it wrote.
    pub(super) fn note_gone(&mut self, gone: &DeviceCert) -> Step {
        if self.held_list(gone.account)?.is_none_or(|list| list.holds(gone)) {
            return Ok(());
        }
        for row in self.sound::<DeviceRow>(b"")?.into_iter().filter(|row| row.account == gone.account) {
            if self.is_listed(&row)? {
                self.speaks_for(&row, gone.device)?;
            }
        }
        Ok(())
    }

    /// Keeps a bundle for the next start, though a newer one may be known: a ticket's own counts for a start under it.
    pub(super) fn keep_bundle(&mut self, device: DeviceRow, signed: &SignedBundle) -> DeviceRow {
        let device = DeviceRow { bundle: encode(signed), ..device };
        self.put(DeviceRow::key(device.device), &device);
        device
    }

    /// Whether the bundle's device is on the newest list of its account, and is not known with other keys.
    pub(super) fn is_believed(&self, bundle: &Verified<Bundle>) -> Step<bool> {
        let cert = &bundle.cert;
        let held = self.read::<DeviceRow>(&DeviceRow::key(cert.device))?;
        let same = held.is_none_or(|held| {
            held.account == cert.account && held.transport == cert.transport && held.noise == cert.noise
        });
        let peer = self.read::<PeerRow>(&PeerRow::key(cert.transport))?.and_then(|peer| peer.device);
        if !same || peer.is_some_and(|device| device != cert.device) {
            return Ok(false);
        }
        let held = self.held_list(cert.account)?;
        Ok(counts(held.as_ref(), &bundle.list) || held.is_some_and(|held| held.holds(cert)))
    }

    /// Keeps the newest device list of an account, and acts on what it changes. Whether it took an older one's place.
    fn learn_list(&mut self, bundle: &Bundle) -> Step<bool> {
        let held = self.held_list(bundle.list.account)?;
        if !counts(held.as_ref(), &bundle.list) {
            return Ok(false);
        }
        self.put(ListRow::key(bundle.list.account), &ListRow(bundle.signed_list.clone()));
        let Some(held) = held else { return Ok(false) };
        self.tell_those_replaced(bundle.list.account)?;
        self.devices_changed(&held, &bundle.list)?;
        Ok(true)
    }

    /// Whether a device is on the newest list of its account.
    pub(super) fn is_listed(&self, device: &DeviceRow) -> Step<bool> {
        let (Some(list), Some((_, bundle))) = (self.held_list(device.account)?, verified(&device.bundle)) else {
            return Ok(false);
        };
        Ok(list.holds(&bundle.cert))
    }

    fn held_list(&self, account: AccountId) -> Step<Option<Verified<DeviceList>>> {
        Ok(self.read::<ListRow>(&ListRow::key(account))?.and_then(|row| row.0.verify().ok()))
    }
}

/// Whether a list is to replace the one that is held.
pub(super) fn counts(held: Option<&Verified<DeviceList>>, offered: &Verified<DeviceList>) -> bool {
    match held.and_then(|held| choose(held, offered)) {
        None | Some(Choice::Offered) => true,
        Some(Choice::Held) => false,
        Some(Choice::Fork(fork)) => fork.counts == *offered.hash(),
    }
}

/// A bundle that was sealed under an intro, if it proves itself and is of a device of this account.
pub(super) fn opened(intro: &Secret, sealed: &[u8], account: AccountId) -> Option<(SignedBundle, Verified<Bundle>)> {
    let signed = open_bundle(intro, sealed).ok()?;
    let bundle = signed.verify().ok()?;
    (bundle.cert.account == account).then_some((signed, bundle))
}

/// A bundle's bytes, parsed and verified.
pub(super) fn verified(bytes: &[u8]) -> Option<(SignedBundle, Verified<Bundle>)> {
    let signed = SignedBundle::parse(bytes).ok()?;
    let bundle = signed.verify().ok()?;
    Some((signed, bundle))
}
