//! The kinds of signed records. A signature is over "moim/1/sig-" ‖ kind ‖ bytes, so no signature of one kind is ever
//! one of another. A signed record keeps its body as received bytes beside the signatures and is read only by verifying
//! it.

/// A device certificate, signed by the account, the device and its transport key.
pub const DEVICE_CERT: &str = "device-cert";
/// The list of an account's devices, signed by the account.
pub const DEVICE_LIST: &str = "device-list";
/// A device's bundle, signed by the device.
pub const BUNDLE: &str = "bundle";
/// A membership op of a group, signed by its author's device.
pub const OP: &str = "op";
/// A newcomer's consent to join a group, signed by one of its devices.
pub const JOIN: &str = "join";
/// A message in a group, signed by its author's device.
pub const GROUP_EVENT: &str = "group-event";

/// All kinds there are, for the test that keeps them apart.
pub const ALL: &[&str] = &[DEVICE_CERT, DEVICE_LIST, BUNDLE, OP, JOIN, GROUP_EVENT];

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn no_record_kind_equals_or_begins_another() {
        for (i, a) in ALL.iter().enumerate() {
            for b in ALL.iter().skip(i + 1) {
                assert!(!a.starts_with(b) && !b.starts_with(a), "{a} and {b}");
            }
        }
    }
}
