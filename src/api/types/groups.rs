//! Shapes of groups.

use super::*;

shapes! {
    /// A new group.
    #[serde(deny_unknown_fields)]
    pub struct GroupNewParams {
        /// Its name.
        pub name: String,
    }

    /// A group.
    pub struct GroupResult {
        /// The version of the shape.
        pub v: V1,
        /// Its id.
        pub group: ChatId,
        /// Its name.
        pub name: String,
    }

    /// Whom to invite.
    #[serde(deny_unknown_fields)]
    pub struct GroupInviteParams {
        /// The group.
        pub group: String,
        /// The contacts.
        pub who: Vec<String>,
    }

    /// How one stands, or those invited stand, with a group.
    pub struct GroupStateResult {
        /// The version of the shape.
        pub v: V1,
        /// The group.
        pub group: ChatId,
        /// How far it is.
        pub state: GroupState,
    }

    /// A group and one of its members.
    #[serde(deny_unknown_fields)]
    pub struct GroupMemberParams {
        /// The group.
        pub group: String,
        /// The member: its name, or its id.
        pub member: String,
    }

    /// What became of a member.
    pub struct GroupMemberResult {
        /// The version of the shape.
        pub v: V1,
        /// The group.
        pub group: ChatId,
        /// Its account.
        pub member: AccountId,
        /// Its name.
        pub name: String,
        /// What it may do now; absent where it is no member any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub role: Option<Role>,
        /// Where it was removed: how many of the members of now are known to have applied that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub applied: Option<u32>,
        /// How many members there are now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub of: Option<u32>,
    }

    /// A new name for a group.
    #[serde(deny_unknown_fields)]
    pub struct GroupRenameParams {
        /// The group.
        pub group: String,
        /// The name.
        pub name: String,
    }

    /// A group and a mailbox.
    #[serde(deny_unknown_fields)]
    pub struct GroupMailboxParams {
        /// The group.
        pub group: String,
        /// One of the account's own mailboxes, or the account itself: its own node.
        pub mailbox: String,
    }

    /// The mailboxes of a group.
    pub struct GroupMailboxesResult {
        /// The version of the shape.
        pub v: V1,
        /// The group.
        pub group: ChatId,
        /// The first named first.
        pub mailboxes: Vec<GroupMailboxOf>,
    }

    /// A node that keeps a group's messages for members who are away.
    pub struct GroupMailboxOf {
        /// The account whose node it is.
        pub id: AccountId,
        /// Its name, if it is known here.
        pub name: String,
        /// Whether it is connected now.
        pub online: bool,
    }

    /// Who is in a group.
    pub struct MembersResult {
        /// The version of the shape.
        pub v: V1,
        /// The founder first, then by name.
        pub members: Vec<Member>,
    }

    /// A member of a group.
    pub struct Member {
        /// Its account.
        pub id: AccountId,
        /// Its name.
        pub name: String,
        /// What it may do.
        pub role: Role,
    }
}

words! {
    /// How far a membership is.
    pub enum GroupState {
        /// Invited; they have not joined yet.
        Invited,
        /// Joining; the others do not know yet.
        Pending,
        /// A member.
        Joined,
        /// Declined.
        Declined,
        /// Left.
        Left,
        /// Removed by another.
        Removed,
    }

    /// What a member may do.
    pub enum Role {
        /// Everything; made the group.
        Founder,
        /// Invite and remove.
        Admin,
        /// Read and write.
        Member,
    }
}
