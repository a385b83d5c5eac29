//! Who is who: accounts from words, their devices, and the small records by which strangers find each other.
//!
//! It promises that no public key is believed without the signatures that bind it ([`certificate`], [`bundle`]) and
//! that whatever a person types or pastes ([`words`], [`ticket`], [`safety`], [`profile`]) is parsed into a type or
//! refused with what to do. It knows no contacts, sessions or clocks: the engine calls it and keeps what it returns.

pub mod account;
pub mod bundle;
pub mod certificate;
pub mod device;
pub mod hint;
pub mod prekey;
pub mod profile;
pub mod record;
pub mod safety;
pub mod ticket;
pub mod words;

pub use account::AccountKey;
pub use bundle::{Bundle, SignedBundle};
pub use certificate::{DeviceCert, DeviceList, SignedCert, SignedList};
pub use device::DeviceKeys;
pub use prekey::Prekey;
pub use profile::Name;
pub use safety::{Fingerprint, SafetyNumber};
pub use ticket::Ticket;
pub use words::Words;
