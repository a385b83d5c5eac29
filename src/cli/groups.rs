//! Commands about groups.

use super::{Runtime, Session, args, group_log, mailboxes, messages::group_word, out::Stop};
use crate::{
    api::{
        methods::{self, Method},
        types::{
            Group, GroupInviteParams, GroupMailboxParams, GroupMemberParams, GroupMemberResult, GroupNewParams,
            GroupRenameParams, GroupResult, GroupStateResult, Role,
        },
    },
    ui::format::short,
};

pub(super) async fn group<R: Runtime>(session: &mut Session<'_, R>, command: args::Group) -> Result<(), Stop> {
    match command {
        args::Group::New { name } => {
            session.named::<methods::GroupNew>(GroupNewParams { name }, "group-made").await?;
            session.out.say("group-next", &[]);
            Ok(())
        }
        args::Group::Rename { group, name } => {
            session.named::<methods::GroupRename>(GroupRenameParams { group, name }, "group-renamed").await
        }
        args::Group::Remove { group, member } => {
            session.member::<methods::GroupRemove>(GroupMemberParams { group, member }, "member-removed").await
        }
        args::Group::Promote { group, member } => {
            session.member::<methods::GroupPromote>(GroupMemberParams { group, member }, "member-promoted").await
        }
        args::Group::Demote { group, member } => {
            session.member::<methods::GroupDemote>(GroupMemberParams { group, member }, "member-demoted").await
        }
        args::Group::HandOver { group, member } => {
            session.member::<methods::GroupHandOver>(GroupMemberParams { group, member }, "member-founder").await
        }
        args::Group::Invite { group, who } => {
            session.standing::<methods::GroupInvite>(GroupInviteParams { group, who }).await
        }
        args::Group::Accept { group } => session.standing::<methods::GroupAccept>(Group { group }).await,
        args::Group::Decline { group } => session.standing::<methods::GroupDecline>(Group { group }).await,
        args::Group::Mailbox(command) => mailbox(session, command).await,
        args::Group::Leave { group } => session.standing::<methods::GroupLeave>(Group { group }).await,
        args::Group::Log(log) => group_log::log(session, log).await,
        args::Group::Members { group } => members(session, group).await,
    }
}

async fn mailbox<R: Runtime>(session: &mut Session<'_, R>, command: args::GroupMailbox) -> Result<(), Stop> {
    let result = match command {
        args::GroupMailbox::Add { group, mailbox } => {
            session.ask::<methods::GroupMailboxAdd>(GroupMailboxParams { group, mailbox }).await?
        }
        args::GroupMailbox::Remove { group, mailbox } => {
            session.ask::<methods::GroupMailboxRemove>(GroupMailboxParams { group, mailbox }).await?
        }
        args::GroupMailbox::List { group } => session.ask::<methods::GroupMailboxList>(Group { group }).await?,
    };
    session.out.result(&result, |out| {
        if result.mailboxes.is_empty() {
            out.say("group-mailboxes-none", &[]);
            return Ok(());
        }
        let rows = result.mailboxes.iter().map(|mailbox| {
            let here = out.texts.get(if mailbox.online { "word-online" } else { "word-away" });
            vec![mailboxes::called(out, &mailbox.name, &mailbox.id), here, short(&mailbox.id)]
        });
        out.table(&["name", "here", "id"], rows.collect())
    })
}

async fn members<R: Runtime>(session: &mut Session<'_, R>, group: String) -> Result<(), Stop> {
    let result = session.ask::<methods::GroupMembers>(Group { group }).await?;
    session.out.result(&result, |out| {
        let rows = result.members.iter().map(|member| {
            let role = match member.role {
                Role::Founder => "role-founder",
                Role::Admin => "role-admin",
                Role::Member => "role-member",
            };
            vec![member.name.clone(), out.texts.get(role), short(&member.id)]
        });
        out.table(&["name", "role", "id"], rows.collect())
    })
}

impl<R: Runtime> Session<'_, R> {
    async fn named<M: Method<Result = GroupResult>>(&mut self, params: M::Params, text: &str) -> Result<(), Stop> {
        let result = self.ask::<M>(params).await?;
        let args = [("name", result.name.as_str().into()), ("id", short(&result.group).into())];
        self.out.result(&result, |out| out.tell(text, &args))
    }

    async fn member<M: Method<Result = GroupMemberResult>>(
        &mut self,
        params: M::Params,
        text: &str,
    ) -> Result<(), Stop> {
        let result = self.ask::<M>(params).await?;
        let args = [("name", result.name.as_str().into()), ("id", short(&result.member).into())];
        self.out.result(&result, |out| {
            out.tell(text, &args)?;
            match (result.applied, result.of) {
                (Some(applied), Some(of)) => {
                    out.tell("member-removed-known", &[("applied", applied.into()), ("of", of.into())])
                }
                _ => Ok(()),
            }
        })
    }

    async fn standing<M: Method<Result = GroupStateResult>>(&mut self, params: M::Params) -> Result<(), Stop> {
        let result = self.ask::<M>(params).await?;
        self.out.result(&result, |out| out.tell(group_word(result.state), &[]))
    }
}
