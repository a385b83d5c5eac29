//! Why something was not done, as people and scripts read it: what happened, why, and what to do next.

use crate::{
    api::{
        ApiError, Reason,
        time::{Span, Time},
    },
    node::CommandError,
    protocol::{
        engine::Refusal,
        identity::profile::{NameError, OWN_CHAT},
        view::{Table, ViewError},
        wire::limits::MAX_NAME,
    },
};

impl From<CommandError> for ApiError {
    fn from(refused: CommandError) -> Self {
        match refused {
            CommandError::Refused(refusal) => refusal.into(),
            CommandError::DiskFull => Self::new(Reason::DiskFull),
            CommandError::Damaged(table) => damaged(table),
            CommandError::Io(why) => failed(&why),
            CommandError::Stopped => Self::new(Reason::NodeGone),
        }
    }
}

impl From<ViewError> for ApiError {
    fn from(failure: ViewError) -> Self {
        match failure {
            ViewError::Damaged(table) => damaged(table),
            ViewError::Io(why) => failed(&why),
        }
    }
}

fn damaged(table: Table) -> ApiError {
    ApiError::new(Reason::StoreDamaged).with("detail", format!("rows of {table:?} are not what was written"))
}

fn failed(why: &str) -> ApiError {
    ApiError::new(Reason::StoreFailed).with("detail", why)
}

/// Without the names of those concerned: who knows them puts them in with `about`.
impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotALink => Self::new(Reason::BadLink),
            Refusal::LinkTruncated => Self::new(Reason::LinkTruncated),
            Refusal::LinkMistyped => Self::new(Reason::LinkMistyped),
            Refusal::LinkTooNew => Self::new(Reason::LinkTooNew),
            Refusal::LinkOfOtherKind => Self::new(Reason::LinkOfOtherKind),
            Refusal::OwnLink => Self::new(Reason::OwnLink),
            Refusal::LinkExpired { ended } => {
                Self::new(Reason::LinkExpired).with("date", Time::from(ended).to_string())
            }
            Refusal::NoSuchLink => Self::new(Reason::NoSuchInvite),
            Refusal::TooManyLinks { max } => Self::new(Reason::TooManyInvites).with("max", max),
            Refusal::AlreadyContact { .. } => Self::new(Reason::AlreadyContact),
            Refusal::Blocked { .. } => Self::new(Reason::ContactBlocked),
            Refusal::NotBlocked { .. } => Self::new(Reason::NotBlocked),
            Refusal::NoSuchContact => Self::new(Reason::NoSuchContact),
            Refusal::NoSuchRequest => Self::new(Reason::NoSuchRequest),
            Refusal::NotConnected { .. } => Self::new(Reason::NotConnected),
            Refusal::ContactEnded { .. } => Self::new(Reason::ContactEnded),
            Refusal::NameTaken => Self::new(Reason::NameTaken),
            Refusal::BadName(error) => error.into(),
            Refusal::EmptyText => Self::new(Reason::EmptyText),
            Refusal::TextTooLong { bytes, max } => Self::new(Reason::TextTooLong).with("bytes", bytes).with("max", max),
            Refusal::BadTimer { least, most } => Self::new(Reason::BadTimer)
                .with("least", Span::from(least).to_string())
                .with("most", Span::from(most).to_string()),
            Refusal::NoSuchChat => Self::new(Reason::NoSuchChat),
            Refusal::NoSuchMessage => Self::new(Reason::NoSuchMessage),
            Refusal::NoSuchGroup => Self::new(Reason::NoSuchGroup),
            Refusal::NoSuchInvitation => Self::new(Reason::NotInvited),
            Refusal::AlreadyMember { .. } => Self::new(Reason::AlreadyMember),
            Refusal::NotAMember => Self::new(Reason::NotMember),
            Refusal::NotJoined => Self::new(Reason::NotJoined),
            Refusal::NotAllowed => Self::new(Reason::NotAdmin),
            Refusal::NoSuchMember => Self::new(Reason::NoSuchMember),
            Refusal::Outranked { .. } => Self::new(Reason::Outranked),
            Refusal::NotFounder => Self::new(Reason::NotFounder),
            Refusal::OneSelf => Self::new(Reason::NotOneself),
            Refusal::HasRole { .. } => Self::new(Reason::HasRole),
            Refusal::GroupFull { max } => Self::new(Reason::GroupFull).with("max", max),
            Refusal::Replaced { since } => Self::new(Reason::Replaced).with("date", Time::from(since).to_string()),
            Refusal::NotWithdrawable => Self::new(Reason::NotWithdrawable),
            Refusal::NotAMailboxLink => Self::new(Reason::NotMailboxLink),
            Refusal::NotServing => Self::new(Reason::NotServing),
            Refusal::NoSuchMailbox => Self::new(Reason::NoSuchMailbox),
            Refusal::MailboxNotActive { .. } => Self::new(Reason::MailboxNotActive),
            Refusal::TooManyGroupMailboxes { max } => Self::new(Reason::TooManyGroupMailboxes).with("max", max),
            Refusal::TooManyMailboxes { max } => Self::new(Reason::TooManyMailboxes).with("max", max),
            Refusal::TooManyGroups { max } => Self::new(Reason::TooManyGroups).with("max", max),
        }
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        let at = |reason: Reason, code: u32| Self::new(reason).with("code", format!("U+{code:04X}"));
        match error {
            NameError::Empty => Self::new(Reason::NameEmpty),
            NameError::TooLong { bytes } => Self::new(Reason::NameTooLong).with("bytes", bytes).with("max", MAX_NAME),
            NameError::LineBreak => Self::new(Reason::NameLineBreak),
            NameError::Control { code } => at(Reason::NameControl, code),
            NameError::Direction { code } => at(Reason::NameDirection, code),
            NameError::Invisible { code } => at(Reason::NameInvisible, code),
            NameError::Misplaced => Self::new(Reason::NameMisplaced),
            NameError::Reserved => Self::new(Reason::NameReserved).with("given", OWN_CHAT),
            NameError::Sign { sign } => Self::new(Reason::NameSign).with("sign", sign.to_string()),
        }
    }
}

/// The same with what was asked about in it, wherever its sentences have a place for it.
pub(super) fn about(mut error: ApiError, given: &str, name: &str) -> ApiError {
    for (place, value) in [("given", given), ("name", name)] {
        if error.message.contains(&format!("{{{place}}}")) {
            error = error.with(place, value);
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ids::AccountId, time::Millis};
    use std::time::Duration;

    #[test]
    fn every_refusal_is_whole_and_says_what_to_do_next() {
        let account = AccountId([1; 32]);
        let refusals = [
            Refusal::NotALink,
            Refusal::LinkTruncated,
            Refusal::LinkMistyped,
            Refusal::LinkTooNew,
            Refusal::LinkOfOtherKind,
            Refusal::OwnLink,
            Refusal::LinkExpired { ended: Millis(0) },
            Refusal::NoSuchLink,
            Refusal::TooManyLinks { max: 1 },
            Refusal::AlreadyContact { account },
            Refusal::Blocked { account },
            Refusal::NotBlocked { account },
            Refusal::NoSuchContact,
            Refusal::NoSuchRequest,
            Refusal::NotConnected { account },
            Refusal::ContactEnded { account },
            Refusal::NameTaken,
            Refusal::BadTimer { least: Duration::from_secs(5), most: Duration::from_secs(7_200) },
            Refusal::NoSuchChat,
            Refusal::NoSuchMessage,
            Refusal::NoSuchGroup,
            Refusal::NoSuchInvitation,
            Refusal::NotJoined,
            Refusal::TooManyGroups { max: 1 },
            Refusal::NoSuchMember,
            Refusal::Outranked { account },
            Refusal::NotFounder,
            Refusal::OneSelf,
            Refusal::HasRole { account },
            Refusal::NotWithdrawable,
            Refusal::NotAMailboxLink,
            Refusal::NotServing,
            Refusal::NoSuchMailbox,
            Refusal::TooManyMailboxes { max: 1 },
            Refusal::MailboxNotActive { account },
            Refusal::TooManyGroupMailboxes { max: 1 },
            Refusal::TextTooLong { bytes: 2, max: 1 },
            Refusal::BadName(NameError::Empty),
            Refusal::BadName(NameError::TooLong { bytes: 257 }),
            Refusal::BadName(NameError::LineBreak),
            Refusal::BadName(NameError::Control { code: 9 }),
            Refusal::BadName(NameError::Direction { code: 0x202e }),
            Refusal::BadName(NameError::Invisible { code: 0x200b }),
            Refusal::BadName(NameError::Misplaced),
            Refusal::BadName(NameError::Reserved),
            Refusal::BadName(NameError::Sign { sign: '#' }),
        ];
        for refusal in refusals {
            let error = about(refusal.clone().into(), "what was typed", "mina");
            assert!(!error.message.contains('{'), "{refusal:?}: {}", error.message);
            assert!(!error.hint.is_empty(), "{refusal:?}");
        }
    }
}
