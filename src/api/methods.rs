//! Every method by name, with the types of its question and its answer. One table: client, server and views read it.

use crate::api::types::*;
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// A method of the API. The unit types of this module implement it; `M::Params` and `M::Result` tie the two ends.
pub trait Method: Send + Sync + 'static {
    /// Its name on the wire.
    const NAME: &'static str;
    /// What is asked with it.
    type Params: Serialize + DeserializeOwned + Send + Sync + 'static;
    /// What comes back.
    type Result: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// How long the node is asked to wait before it answers.
    fn waits(_: &Self::Params) -> Duration {
        Duration::ZERO
    }
}

macro_rules! methods {
    ($($(#[$doc:meta])* $method:ident $name:literal ($params:ty) -> $result:ty $(, waits $waits:path)?;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub enum $method {}

            impl Method for $method {
                const NAME: &'static str = $name;
                type Params = $params;
                type Result = $result;

                $(fn waits(params: &Self::Params) -> Duration {
                    $waits(params)
                })?
            }
        )*

        /// The names of all methods.
        pub const NAMES: &[&str] = &[$($name,)*];

        /// Calls another macro with the list of all methods: how a dispatcher is sure to miss none.
        macro_rules! for_each_method {
            ($each:ident) => { $each! { $($method,)* } };
        }
        pub(crate) use for_each_method;
    };
}

methods! {
    /// How the node and its store are.
    Status "status" (Nothing) -> StatusResult;
    /// Stops the node.
    Down "down" (Nothing) -> DownResult;
    /// Shows or changes settings; a change holds from the node's next start.
    Config "config" (ConfigParams) -> ConfigResult;
    /// Who this account is.
    Id "id" (Nothing) -> Identity;
    /// Shows or changes the account's own name.
    Profile "profile" (ProfileParams) -> Identity;
    /// Makes an invitation link.
    InviteCreate "invite.create" (InviteParams) -> InviteResult;
    /// Open invitations.
    InviteList "invite.list" (Nothing) -> InvitesResult;
    /// Closes an invitation.
    InviteRevoke "invite.revoke" (RevokeParams) -> RevokeResult;
    /// Asks the maker of a link to become a contact.
    ContactAdd "contact.add" (AddParams) -> ContactResult;
    /// All contacts.
    ContactList "contact.list" (Nothing) -> ContactsResult;
    /// Who waits for an answer.
    ContactRequests "contact.requests" (Nothing) -> RequestsResult;
    /// Accepts a request.
    ContactAccept "contact.accept" (Who) -> ContactResult;
    /// Declines a request.
    ContactDecline "contact.decline" (Who) -> GoneResult;
    /// Takes nothing more from a contact.
    ContactBlock "contact.block" (Who) -> ContactResult;
    /// Takes messages of a blocked contact again.
    ContactUnblock "contact.unblock" (Who) -> ContactResult;
    /// Gives a contact another local name.
    ContactRename "contact.rename" (RenameParams) -> ContactResult;
    /// Forgets a contact; the history stays.
    ContactRemove "contact.remove" (Who) -> GoneResult;
    /// Shows the safety number, or marks a contact as verified by it.
    ContactVerify "contact.verify" (VerifyParams) -> VerifyResult;
    /// Sends a message.
    MessageSend "message.send" (SendParams) -> SendResult, waits SendParams::waits;
    /// The last messages of a chat, oldest first.
    MessageLog "message.log" (LogParams) -> LogResult;
    /// Marks messages as read.
    MessageRead "message.read" (ReadParams) -> ReadResult;
    /// Shows or chooses how long messages last that are written here in a chat.
    ChatTimer "chat.timer" (TimerParams) -> TimerResult;
    /// Takes what was said in a chat off this device.
    ChatClear "chat.clear" (ChatParams) -> ClearResult;
    /// Chats, the latest first.
    ChatList "chat.list" (ChatsParams) -> ChatsResult;
    /// Shows or changes whether others in a chat learn what was read.
    ChatReceipts "chat.receipts" (ReceiptsParams) -> ReceiptsResult;
    /// Makes a group.
    GroupNew "group.new" (GroupNewParams) -> GroupResult;
    /// Invites contacts into a group.
    GroupInvite "group.invite" (GroupInviteParams) -> GroupStateResult;
    /// Joins a group that one was invited to.
    GroupAccept "group.accept" (Group) -> GroupStateResult;
    /// Declines an invitation to a group.
    GroupDecline "group.decline" (Group) -> GroupStateResult;
    /// Who is in a group.
    GroupMembers "group.members" (Group) -> MembersResult;
    /// What was done in a group, by whom, and whether it counts.
    GroupLog "group.log" (GroupLogParams) -> GroupLogResult;
    /// Ends another's membership of a group.
    GroupRemove "group.remove" (GroupMemberParams) -> GroupMemberResult;
    /// Makes a member an admin.
    GroupPromote "group.promote" (GroupMemberParams) -> GroupMemberResult;
    /// Makes an admin a member.
    GroupDemote "group.demote" (GroupMemberParams) -> GroupMemberResult;
    /// Makes a member the founder, and the founder an admin.
    GroupHandOver "group.hand_over" (GroupMemberParams) -> GroupMemberResult;
    /// Gives a group another name, for all.
    GroupRename "group.rename" (GroupRenameParams) -> GroupResult;
    /// Has a group's messages kept by a mailbox for members who are away.
    GroupMailboxAdd "group.mailbox.add" (GroupMailboxParams) -> GroupMailboxesResult;
    /// Has them kept there no more.
    GroupMailboxRemove "group.mailbox.remove" (GroupMailboxParams) -> GroupMailboxesResult;
    /// The mailboxes of a group.
    GroupMailboxList "group.mailbox.list" (Group) -> GroupMailboxesResult;
    /// Leaves a group.
    GroupLeave "group.leave" (Group) -> GroupStateResult;
    /// Begins or ends keeping mail for others.
    MailboxServe "mailbox.serve" (MailboxServeParams) -> MailboxesResult;
    /// Makes a link by which others may have their mail kept here.
    MailboxLink "mailbox.link" (Nothing) -> InviteResult;
    /// Asks a node to keep mail for this account.
    MailboxAdd "mailbox.add" (MailboxAddParams) -> MailboxResult;
    /// Leaves a mailbox.
    MailboxRemove "mailbox.remove" (Who) -> MailboxResult;
    /// The mailboxes of this account.
    MailboxList "mailbox.list" (Nothing) -> MailboxesResult;
    /// Messages that have not arrived yet.
    OutboxList "outbox.list" (Nothing) -> OutboxResult;
    /// Takes a message back that nobody has yet.
    OutboxCancel "outbox.cancel" (CancelParams) -> CancelResult;
    /// The next part of what a backup holds.
    BackupPage "backup.page" (BackupPageParams) -> BackupPageResult;
    /// Starts a stream of events on this connection.
    Watch "watch" (WatchParams) -> WatchResult;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_method_has_a_name_of_its_own_and_a_dispatcher_can_reach_it() {
        macro_rules! names {
            ($($method:ident,)*) => { [$(<$method as Method>::NAME,)*] };
        }
        let reached = for_each_method!(names);
        assert_eq!(reached.as_slice(), NAMES);
        assert_eq!(NAMES.iter().collect::<BTreeSet<_>>().len(), NAMES.len());
    }

    /// The contract: what product.md promises to scripts, an answer of each method.
    #[test]
    fn every_answer_has_the_shape_of_the_contract() {
        fn keeps<M: Method>() {
            let golden = crate::api::samples::answer(M::NAME, "mina");
            let read: M::Result = serde_json::from_value(golden.clone()).expect(M::NAME);
            assert_eq!(serde_json::to_value(&read).unwrap(), golden, "{}", M::NAME);
            assert_eq!(golden["v"], 1, "{}", M::NAME);
        }
        macro_rules! keep {
            ($($method:ident,)*) => { $(keeps::<$method>();)* };
        }
        for_each_method!(keep);
    }

    #[test]
    fn another_version_of_an_answer_is_refused() {
        let mut answer = crate::api::samples::answer("down", "");
        answer["v"] = 2.into();
        assert!(serde_json::from_value::<DownResult>(answer).is_err());
    }

    #[test]
    fn every_event_has_the_shape_of_the_contract() {
        for golden in crate::api::samples::events("mina") {
            let read: WatchEvent = serde_json::from_value(golden.clone()).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), golden);
        }
    }
}
