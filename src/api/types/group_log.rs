//! Shapes of a group's log: who did what in it.

use super::*;

shapes! {
    /// Which changes of a group to list.
    #[serde(deny_unknown_fields)]
    pub struct GroupLogParams {
        /// The group.
        pub group: String,
        /// How many at most; 50 where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub limit: Option<u32>,
        /// Only those before this change.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub before: Option<String>,
        /// Whether changes of secrets, and what devices pass on of others, are listed too; they are not where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub all: Option<bool>,
    }

    /// What was done in a group.
    pub struct GroupLogResult {
        /// The version of the shape.
        pub v: V1,
        /// The group.
        pub group: ChatId,
        /// The latest last.
        pub changes: Vec<GroupChange>,
        /// Whether not all that was asked for fits one answer: ask again with `before` the first of these.
        #[serde(default, skip_serializing_if = "is_false")]
        pub more: bool,
    }

    /// One thing that was done in a group.
    pub struct GroupChange {
        /// Its id. One change may be listed as several, one after the other.
        pub id: OpId,
        /// When, by the clock of who did it.
        pub at: Time,
        /// Who did it.
        pub by: Person,
        /// What was done.
        pub did: GroupDid,
        /// To whom, or about whom.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub who: Option<Person>,
        /// The name that it gave the group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
        /// Why it does not count; absent where it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub void: Option<GroupVoid>,
        /// Where it ended a membership: how many of the members of now are known to have applied it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub applied: Option<u32>,
        /// How many members there are now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub of: Option<u32>,
    }

    /// Why a change does not count.
    pub struct GroupVoid {
        /// The rule.
        pub why: WhyVoid,
        /// The change by which the rule holds, where it rests on one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub cause: Option<GroupCause>,
    }

    /// A change that made another void.
    pub struct GroupCause {
        /// Its id.
        pub id: OpId,
        /// Who did it.
        pub by: Person,
        /// What was done.
        pub did: GroupDid,
        /// To whom, or about whom.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub who: Option<Person>,
    }
}

words! {
    /// What somebody did in a group.
    pub enum GroupDid {
        /// Made it.
        Founded,
        /// Let somebody in.
        Added,
        /// Ended somebody's membership.
        Removed,
        /// Left.
        Left,
        /// Made a member an admin.
        Promoted,
        /// Made an admin a member.
        Demoted,
        /// Made somebody else the founder.
        HandedOver,
        /// Gave it another name.
        Renamed,
        /// Had its messages kept by somebody's node.
        MailboxNamed,
        /// Had them kept there no more.
        MailboxDropped,
        /// Changed something else of it.
        Settings,
        /// Told that a device of somebody took another's place.
        DeviceReplaced,
        /// Told that somebody has a device more.
        DeviceAdded,
        /// Told that somebody has a device less.
        DeviceDropped,
        /// Told of somebody's devices what was known.
        DevicesListed,
        /// Changed its secret.
        SecretChanged,
        /// Something of a newer version.
        #[serde(other)]
        Other,
    }

    /// Why a change does not count.
    pub enum WhyVoid {
        /// It was signed on a device that was not of who did it.
        NotTheirDevice,
        /// Who did it had given up the device, beside it.
        DeviceDropped,
        /// Who did it was no member.
        NotMember,
        /// Whom it is about was no member.
        TargetNotMember,
        /// It takes a role that who did it did not have.
        NotAllowed,
        /// Who did it was removed beside it, by one who is above.
        Removed,
        /// The role of who did it was taken away beside it, by one who is above.
        Demoted,
        /// Whom it is about is not below who did it.
        Outranked,
        /// Nobody does this to themselves.
        Oneself,
        /// The newcomer had agreed once, and that was used.
        JoinUsed,
        /// The group was handed to somebody else.
        HandedOver,
        /// A rule of a newer version.
        #[serde(other)]
        Other,
    }
}
