//! Shapes of invitations and contacts.

use super::*;

shapes! {
    /// What kind of invitation to make.
    #[derive(Default)]
    #[serde(deny_unknown_fields)]
    pub struct InviteParams {
        /// How long it is good; 7 days where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub expires: Option<Span>,
        /// Whether the first to use it is accepted without asking.
        #[serde(default, skip_serializing_if = "is_false")]
        pub auto_accept: bool,
    }

    /// An invitation.
    pub struct InviteResult {
        /// The version of the shape.
        pub v: V1,
        /// The link, `moim:1:…`. It is a secret between those who see it.
        pub link: String,
        /// When it ends.
        pub expires: Time,
        /// Whether no address is known to put into it, so that it works on the same local network only.
        #[serde(default, skip_serializing_if = "is_false")]
        pub without_address: bool,
    }

    /// Open invitations.
    pub struct InvitesResult {
        /// The version of the shape.
        pub v: V1,
        /// The next to end first.
        pub invites: Vec<Invite>,
    }

    /// An open invitation, without its secret.
    pub struct Invite {
        /// What `invite revoke` takes.
        pub id: String,
        /// When it was made.
        pub created: Time,
        /// When it ends.
        pub expires: Time,
        /// Whether the first to use it is accepted without asking.
        pub auto_accept: bool,
        /// Requests that came by it and wait.
        pub pending: u64,
    }

    /// Which invitation to close.
    #[serde(deny_unknown_fields)]
    pub struct RevokeParams {
        /// Its id, a prefix of it, or the link itself.
        pub invite: String,
    }

    /// A closed invitation.
    pub struct RevokeResult {
        /// The version of the shape.
        pub v: V1,
        /// Its id.
        pub id: String,
    }

    /// Whose link to follow.
    #[serde(deny_unknown_fields)]
    pub struct AddParams {
        /// The link.
        pub link: String,
        /// The local name; the other's own where nothing is said.
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
    }

    /// How things stand with a contact.
    pub struct ContactResult {
        /// The version of the shape.
        pub v: V1,
        /// The contact's account.
        pub contact: AccountId,
        /// Its local name.
        pub name: String,
        /// How far the acquaintance is.
        pub state: ContactState,
    }

    /// A contact or request that is no more.
    pub struct GoneResult {
        /// The version of the shape.
        pub v: V1,
        /// The account.
        pub contact: AccountId,
        /// The name it had.
        pub name: String,
    }

    /// All contacts.
    pub struct ContactsResult {
        /// The version of the shape.
        pub v: V1,
        /// By name.
        pub contacts: Vec<Contact>,
    }

    /// A contact.
    pub struct Contact {
        /// Its account.
        pub id: AccountId,
        /// Its local name.
        pub name: String,
        /// How far the acquaintance is.
        pub state: ContactState,
        /// Whether the safety number was compared, since its newest device came.
        pub verified: bool,
        /// Whether a device of it is connected now.
        pub online: bool,
        /// Why the request came to nothing: add the contact by a new link.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub problem: Option<LinkProblem>,
        /// Since when it has a device that it did not have, until numbers are compared again: whoever has its 24 words
        /// made it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub new_device: Option<Time>,
    }

    /// Who and what waits for an answer.
    pub struct RequestsResult {
        /// The version of the shape.
        pub v: V1,
        /// People, the oldest first.
        pub requests: Vec<Request>,
        /// Invitations to groups, the oldest first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub groups: Vec<GroupRequest>,
    }

    /// Someone who wants to become a contact.
    pub struct Request {
        /// Its account.
        pub id: AccountId,
        /// The name it gives itself.
        pub name: String,
        /// Its half of the safety number: 30 digits.
        pub fingerprint: String,
        /// When it came.
        pub since: Time,
    }

    /// An invitation to a group.
    pub struct GroupRequest {
        /// The group.
        pub id: ChatId,
        /// Its name.
        pub name: String,
        /// Who invites.
        pub from: Person,
        /// When it came.
        pub since: Time,
    }

    /// A contact and its new local name.
    #[serde(deny_unknown_fields)]
    pub struct RenameParams {
        /// The contact.
        pub who: String,
        /// The name.
        pub name: String,
    }

    /// A contact, and the number that the other side reads out.
    #[serde(deny_unknown_fields)]
    pub struct VerifyParams {
        /// The contact.
        pub who: String,
        /// 60 digits, spaces allowed; none only shows the number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub matches: Option<String>,
    }

    /// A safety number.
    pub struct VerifyResult {
        /// The version of the shape.
        pub v: V1,
        /// The contact.
        pub contact: AccountId,
        /// 60 digits, the same on both sides.
        pub safety_number: String,
        /// Whether it was compared.
        pub verified: bool,
    }
}

words! {
    /// Why a link led to nobody.
    pub enum LinkProblem {
        /// Another had used it before.
        LinkUsed,
        /// It ended before its maker was reached.
        LinkExpired,
        /// Something a newer moim knows.
        #[serde(other)]
        Other,
    }

    /// How far an acquaintance is.
    pub enum ContactState {
        /// Asked, not reached yet.
        Pending,
        /// Reached, not accepted yet.
        Requested,
        /// Accepted: messages flow.
        Connected,
        /// Nothing is taken from it.
        Blocked,
        /// It is no contact: it was removed, or it never was one.
        NoContact,
    }
}
