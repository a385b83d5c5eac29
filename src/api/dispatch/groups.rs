//! Groups and who is in them.

use super::{
    Dispatcher, Reading, Serve, group_log,
    invites::unexpected,
    mailboxes,
    reading::{group_name, safe},
    refusal,
};
use crate::{
    api::{
        ApiError, Reason,
        methods::*,
        types::{self, *},
    },
    protocol::{
        engine::{
            Command, Reply,
            rows::{GroupRow, GroupState},
        },
        group,
        ids::{AccountId, ChatId, OpId},
    },
};

/// Groups that one is in.
const MINE: &[GroupState] = &[GroupState::Joined, GroupState::Joining];
/// Groups whose members are known.
pub(super) const SEEN: &[GroupState] =
    &[GroupState::Joined, GroupState::Joining, GroupState::Left, GroupState::Removed];

impl Serve for GroupNew {
    async fn serve(at: &Dispatcher, params: GroupNewParams) -> Result<GroupResult, ApiError> {
        match at.node.ask(Command::NewGroup(params.name)).await?.answer().await? {
            Reply::Group(group) => described(at, group).await,
            other => Err(unexpected(&other)),
        }
    }
}

impl Serve for GroupInvite {
    async fn serve(at: &Dispatcher, params: GroupInviteParams) -> Result<GroupStateResult, ApiError> {
        if params.who.is_empty() {
            return Err(ApiError::new(Reason::BadParams).with("detail", "“who” names nobody"));
        }
        // Everybody is found before anybody is invited, so that a typing mistake invites nobody.
        let (typed, who) = (params.group.clone(), params.who.clone());
        let (group, people) = at
            .read(move |reading| {
                let group = reading.group_called(&typed, MINE, Reason::NoSuchGroup)?;
                let people = who.iter().map(|who| reading.contact_called(who)).collect::<Result<Vec<_>, _>>()?;
                Ok((group, people))
            })
            .await?;
        for person in people {
            let invited = at.node.ask(Command::InviteToGroup(group.group, person.account)).await?.answer().await;
            invited.map_err(|error| {
                let error = ApiError::from(error);
                let of_group = error.is(Reason::NotMember) || error.is(Reason::NotAdmin);
                let name = if of_group { group_name(&group) } else { safe(&person.name) };
                refusal::about(error, &params.group, &name)
            })?;
        }
        Ok(GroupStateResult { v: V1, group: ChatId::from(group.group), state: types::GroupState::Invited })
    }
}

impl Serve for GroupAccept {
    async fn serve(at: &Dispatcher, params: Group) -> Result<GroupStateResult, ApiError> {
        let row = ask(at, params.group, &[GroupState::Invited], Reason::NotInvited, Command::AcceptGroup).await?;
        standing(at, row.group).await
    }
}

impl Serve for GroupDecline {
    async fn serve(at: &Dispatcher, params: Group) -> Result<GroupStateResult, ApiError> {
        let row = ask(at, params.group, &[GroupState::Invited], Reason::NotInvited, Command::DeclineGroup).await?;
        Ok(GroupStateResult { v: V1, group: ChatId::from(row.group), state: types::GroupState::Declined })
    }
}

impl Serve for GroupMembers {
    async fn serve(at: &Dispatcher, params: Group) -> Result<MembersResult, ApiError> {
        at.read(move |reading| {
            let group = reading.group_called(&params.group, SEEN, Reason::NoSuchGroup)?.group;
            let rows = reading.members(group)?;
            let mut members = Vec::with_capacity(rows.len());
            for row in rows {
                let name = reading.person(row.account, Some(group))?.name;
                members.push(Member { id: row.account, name, role: role(row.role) });
            }
            members.sort_by(|a, b| (a.role != Role::Founder, &a.name).cmp(&(b.role != Role::Founder, &b.name)));
            Ok(MembersResult { v: V1, members })
        })
        .await
    }
}

impl Serve for GroupRemove {
    async fn serve(at: &Dispatcher, params: GroupMemberParams) -> Result<GroupMemberResult, ApiError> {
        act_on(at, params, Command::RemoveMember).await
    }
}

impl Serve for GroupPromote {
    async fn serve(at: &Dispatcher, params: GroupMemberParams) -> Result<GroupMemberResult, ApiError> {
        act_on(at, params, |group, member| Command::SetRole(group, member, group::Role::Admin)).await
    }
}

impl Serve for GroupDemote {
    async fn serve(at: &Dispatcher, params: GroupMemberParams) -> Result<GroupMemberResult, ApiError> {
        act_on(at, params, |group, member| Command::SetRole(group, member, group::Role::Member)).await
    }
}

impl Serve for GroupHandOver {
    async fn serve(at: &Dispatcher, params: GroupMemberParams) -> Result<GroupMemberResult, ApiError> {
        act_on(at, params, Command::HandOver).await
    }
}

/// Finds the group and the member that were typed, and asks for something about that one.
async fn act_on(
    at: &Dispatcher,
    params: GroupMemberParams,
    command: impl FnOnce(OpId, AccountId) -> Command,
) -> Result<GroupMemberResult, ApiError> {
    let typed = params.member.clone();
    let found = at.read(move |reading| {
        let group = reading.group_called(&params.group, MINE, Reason::NoSuchGroup)?;
        let member = reading.member_called(group.group, &params.member);
        let member = member.map_err(|error| refusal::about(error, &params.member, &group_name(&group)))?;
        let name = safe(&reading.person(member, Some(group.group))?.name);
        Ok((group, member, name))
    });
    let (group, member, name) = found.await?;
    let acted = at.node.ask(command(group.group, member)).await?.answer().await;
    acted.map_err(|error| {
        let error = ApiError::from(error);
        let of_group = [Reason::NotMember, Reason::NotAdmin, Reason::NotFounder, Reason::NoSuchMember];
        let is_of_group = of_group.into_iter().any(|reason| error.is(reason));
        refusal::about(error, &typed, if is_of_group { &group.name } else { &name })
    })?;
    at.read(move |reading| {
        let rows = reading.members(group.group)?;
        let role = rows.iter().find(|row| row.account == member).map(|row| role(row.role));
        let known = if role.is_none() { group_log::applied(reading, group.group, member)? } else { None };
        let (applied, of) = known.unzip();
        Ok(GroupMemberResult { v: V1, group: ChatId::from(group.group), member, name, role, applied, of })
    })
    .await
}

impl Serve for GroupRename {
    async fn serve(at: &Dispatcher, params: GroupRenameParams) -> Result<GroupResult, ApiError> {
        let rename = move |group| Command::RenameGroup(group, params.name);
        let group = ask(at, params.group, MINE, Reason::NoSuchGroup, rename).await?.group;
        described(at, group).await
    }
}

impl Serve for GroupMailboxAdd {
    async fn serve(at: &Dispatcher, params: GroupMailboxParams) -> Result<GroupMailboxesResult, ApiError> {
        change_mailboxes(at, params, mailboxes::nameable, Command::NameGroupMailbox).await
    }
}

impl Serve for GroupMailboxRemove {
    async fn serve(at: &Dispatcher, params: GroupMailboxParams) -> Result<GroupMailboxesResult, ApiError> {
        let group = params.group.clone();
        let find = move |reading: &Reading, typed: &str| {
            let row = reading.group_called(&group, MINE, Reason::NoSuchGroup)?;
            mailboxes::one_called(mailboxes_of(reading, &row)?.into_iter().map(|it| (it.id, it.name)), typed)
        };
        change_mailboxes(at, params, find, Command::DropGroupMailbox).await
    }
}

impl Serve for GroupMailboxList {
    async fn serve(at: &Dispatcher, params: Group) -> Result<GroupMailboxesResult, ApiError> {
        at.read(move |reading| {
            let group = reading.group_called(&params.group, MINE, Reason::NoSuchGroup)?.group;
            mailboxes_result(reading, group)
        })
        .await
    }
}

/// Finds the group and the mailbox that were typed, and changes whether one keeps what is said in the other.
async fn change_mailboxes(
    at: &Dispatcher,
    params: GroupMailboxParams,
    find: impl FnOnce(&Reading, &str) -> Result<(AccountId, String), ApiError> + Send + 'static,
    command: fn(OpId, AccountId) -> Command,
) -> Result<GroupMailboxesResult, ApiError> {
    let typed = params.group.clone();
    let found = at.read(move |reading| {
        let group = reading.group_called(&params.group, MINE, Reason::NoSuchGroup)?;
        let mailbox = find(reading, &params.mailbox)?;
        Ok((group, mailbox))
    });
    let (group, (account, name)) = found.await?;
    let changed = at.node.ask(command(group.group, account)).await?.answer().await;
    changed.map_err(|error| {
        let error = ApiError::from(error);
        let of_group = error.is(Reason::NotMember) || error.is(Reason::NotAdmin);
        let name = if of_group { group_name(&group) } else { safe(&name) };
        refusal::about(error, &typed, &name)
    })?;
    at.read(move |reading| mailboxes_result(reading, group.group)).await
}

fn mailboxes_result(reading: &Reading, group: OpId) -> Result<GroupMailboxesResult, ApiError> {
    let mailboxes = mailboxes_of(reading, &row(reading, group)?)?;
    Ok(GroupMailboxesResult { v: V1, group: ChatId::from(group), mailboxes })
}

fn mailboxes_of(reading: &Reading, row: &GroupRow) -> Result<Vec<GroupMailboxOf>, ApiError> {
    let shaped = row.mailboxes.iter().map(|mailbox| {
        let name = safe(&reading.person(mailbox.account, Some(row.group))?.name);
        let here = mailbox.account == reading.own.account || reading.around.peers.contains(&mailbox.node);
        Ok(GroupMailboxOf { id: mailbox.account, name, online: here })
    });
    shaped.collect()
}

impl Serve for GroupLeave {
    async fn serve(at: &Dispatcher, params: Group) -> Result<GroupStateResult, ApiError> {
        let row = ask(at, params.group, MINE, Reason::NoSuchGroup, Command::LeaveGroup).await?;
        standing(at, row.group).await
    }
}

/// Finds the group that was typed and asks for something about it.
async fn ask(
    at: &Dispatcher,
    typed: String,
    states: &'static [GroupState],
    missing: Reason,
    command: impl FnOnce(OpId) -> Command + Send + 'static,
) -> Result<GroupRow, ApiError> {
    let given = typed.clone();
    let asked = at.command(move |reading| {
        let row = reading.group_called(&typed, states, missing)?;
        Ok((command(row.group), row))
    });
    let (_, row) = asked.await.map_err(|error| refusal::about(error, &given, &given))?;
    Ok(row)
}

async fn described(at: &Dispatcher, group: OpId) -> Result<GroupResult, ApiError> {
    at.read(move |reading| {
        let name = group_name(&row(reading, group)?);
        Ok(GroupResult { v: V1, group: ChatId::from(group), name })
    })
    .await
}

async fn standing(at: &Dispatcher, group: OpId) -> Result<GroupStateResult, ApiError> {
    at.read(move |reading| {
        let state = state_of(row(reading, group)?.state);
        Ok(GroupStateResult { v: V1, group: ChatId::from(group), state })
    })
    .await
}

fn row(reading: &Reading, group: OpId) -> Result<GroupRow, ApiError> {
    reading.group(group)?.ok_or_else(|| ApiError::internal("the group is gone"))
}

/// How one stands with a group, as the API says it.
pub(super) fn state_of(state: GroupState) -> types::GroupState {
    match state {
        GroupState::Invited => types::GroupState::Invited,
        GroupState::Joining => types::GroupState::Pending,
        GroupState::Joined => types::GroupState::Joined,
        GroupState::Declined => types::GroupState::Declined,
        GroupState::Left => types::GroupState::Left,
        GroupState::Removed => types::GroupState::Removed,
    }
}

fn role(role: group::Role) -> Role {
    match role {
        group::Role::Founder => Role::Founder,
        group::Role::Admin => Role::Admin,
        group::Role::Member => Role::Member,
    }
}
