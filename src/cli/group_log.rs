//! What was done in a group, in plain words.

use super::{
    Runtime, Session, args,
    out::{Out, Stop},
};
use crate::{
    api::{
        Api,
        error::{Arg, Args},
        methods,
        types::{GroupChange, GroupDid, GroupLogParams, GroupLogResult, GroupVoid, Person, WhyVoid},
    },
    ui::format::{moment, short},
};

/// Changes that are shown where nothing is said, as the API does.
const LINES: u32 = 50;

pub(super) async fn log<R: Runtime>(session: &mut Session<'_, R>, log: args::GroupLog) -> Result<(), Stop> {
    let result = whole_log(session, log).await?;
    session.out.result(&result, |out| {
        if result.changes.is_empty() {
            out.say("group-log-none", &[]);
        }
        result.changes.iter().try_for_each(|change| show(out, change))
    })
}

/// As many changes as were asked for, in as many answers as they take.
async fn whole_log<R: Runtime>(session: &mut Session<'_, R>, log: args::GroupLog) -> Result<GroupLogResult, Stop> {
    let mut wanted = log.limit.unwrap_or(LINES);
    let all = log.all.then_some(true);
    let mut params = GroupLogParams { group: log.group, limit: log.limit, before: log.before, all };
    let mut api = session.connect().await?;
    let mut result = api.call::<methods::GroupLog>(params.clone()).await?;
    let mut page = changes(&result);
    while result.more && page < wanted {
        wanted -= page;
        params.before = result.changes.first().map(|first| first.id.to_string());
        params.limit = Some(wanted);
        let mut earlier = api.call::<methods::GroupLog>(params.clone()).await?;
        page = changes(&earlier);
        result.more = earlier.more && page > 0;
        earlier.changes.append(&mut result.changes);
        result.changes = earlier.changes;
    }
    result.more = false;
    Ok(result)
}

/// How many changes are listed: one may be listed as several.
fn changes(result: &GroupLogResult) -> u32 {
    let mut ids: Vec<_> = result.changes.iter().map(|change| change.id).collect();
    ids.dedup();
    ids.len().try_into().unwrap_or(u32::MAX)
}

/// A line of id, time and what was done; below it, why it does not count, or how many know of it.
fn show(out: &mut Out, change: &GroupChange) -> Result<(), Stop> {
    let done = out.texts.with(did_text(change.did), &args_of(change));
    out.line(&format!("{}  {}  {done}", short(&change.id), moment(change.at, &out.zone)))?;
    if let Some(void) = &change.void {
        let mut args = args_of(change);
        let cause = void.cause.as_ref();
        args.insert("cause".to_owned(), cause.map_or_else(String::new, |cause| cause.by.name.clone()).into());
        args.insert("heir".to_owned(), name(cause.and_then(|cause| cause.who.as_ref())));
        let why = out.texts.with(void_text(void, change.did), &args);
        out.line(&format!("    · {}", out.texts.with("group-void", &[("why".to_owned(), why.into())].into())))?;
    }
    if let (Some(applied), Some(of)) = (change.applied, change.of) {
        let known = out
            .texts
            .with("group-applied", &[("applied".to_owned(), applied.into()), ("of".to_owned(), of.into())].into());
        out.line(&format!("    · {known}"))?;
    }
    Ok(())
}

fn args_of(change: &GroupChange) -> Args {
    let name_of_group = change.name.clone().unwrap_or_default();
    [
        ("by".to_owned(), change.by.name.as_str().into()),
        ("who".to_owned(), name(change.who.as_ref())),
        ("name".to_owned(), name_of_group.into()),
    ]
    .into()
}

fn name(person: Option<&Person>) -> Arg {
    person.map_or("", |person| &person.name).into()
}

fn did_text(did: GroupDid) -> &'static str {
    match did {
        GroupDid::Founded => "group-did-founded",
        GroupDid::Added => "group-did-added",
        GroupDid::Removed => "group-did-removed",
        GroupDid::Left => "group-did-left",
        GroupDid::Promoted => "group-did-promoted",
        GroupDid::Demoted => "group-did-demoted",
        GroupDid::HandedOver => "group-did-handed-over",
        GroupDid::Renamed => "group-did-renamed",
        GroupDid::MailboxNamed => "group-did-mailbox-named",
        GroupDid::MailboxDropped => "group-did-mailbox-dropped",
        GroupDid::Settings => "group-did-settings",
        GroupDid::DeviceReplaced => "group-did-device-replaced",
        GroupDid::DeviceAdded => "group-did-device-added",
        GroupDid::DeviceDropped => "group-did-device-dropped",
        GroupDid::DevicesListed => "group-did-devices-listed",
        GroupDid::SecretChanged => "group-did-secret-changed",
        GroupDid::Other => "group-did-other",
    }
}

/// The sentence for why something does not count; it depends on what made it so.
fn void_text(void: &GroupVoid, did: GroupDid) -> &'static str {
    match (void.why, void.cause.as_ref().map(|cause| cause.did)) {
        (WhyVoid::NotTheirDevice, _) => "group-void-not-their-device",
        (WhyVoid::DeviceDropped, _) => "group-void-device-dropped",
        (WhyVoid::NotMember, Some(GroupDid::Removed)) => "group-void-was-removed",
        (WhyVoid::NotMember, Some(GroupDid::Left)) => "group-void-had-left",
        (WhyVoid::NotMember, Some(GroupDid::Added)) => "group-void-not-let-in",
        (WhyVoid::NotMember, _) => "group-void-not-member",
        (WhyVoid::TargetNotMember, Some(GroupDid::Removed)) => "group-void-target-was-removed",
        (WhyVoid::TargetNotMember, Some(GroupDid::Left)) => "group-void-target-had-left",
        (WhyVoid::TargetNotMember, Some(GroupDid::Added)) => "group-void-target-not-let-in",
        (WhyVoid::TargetNotMember, _) => "group-void-target-not-member",
        (WhyVoid::NotAllowed, Some(GroupDid::Demoted)) => "group-void-was-demoted",
        (WhyVoid::NotAllowed, Some(GroupDid::Promoted)) => "group-void-not-promoted",
        (WhyVoid::NotAllowed, Some(GroupDid::HandedOver)) => "group-void-gave-it-away",
        (WhyVoid::NotAllowed, _) if did == GroupDid::HandedOver => "group-void-not-founder",
        (WhyVoid::NotAllowed, _) => "group-void-not-allowed",
        (WhyVoid::Removed, _) => "group-void-removed",
        (WhyVoid::Demoted, _) => "group-void-demoted",
        (WhyVoid::Outranked, _) => "group-void-outranked",
        (WhyVoid::Oneself, _) => "group-void-oneself",
        (WhyVoid::JoinUsed, _) => "group-void-join-used",
        (WhyVoid::HandedOver, _) => "group-void-handed-over",
        (WhyVoid::Other, _) => "group-void-other",
    }
}
