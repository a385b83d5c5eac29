//! Names that would mean something else where names are typed.

use super::*;
use crate::protocol::engine::record::Record;
use crate::protocol::identity::profile::NameError;

#[test]
fn a_peer_that_calls_itself_me_or_with_a_sign_gets_a_harmless_name_here() {
    let world = World::of(&["p0", "me", "@p1", "##", "#me"]);
    assert_eq!(world.name_of(1, 0), "me 2");
    assert_eq!(world.name_of(2, 0), "p1");
    let id = world.account(3).to_string();
    assert!(id.starts_with(&world.name_of(3, 0)), "nothing of it is left: the beginning of its id");
    assert_eq!(world.name_of(4, 0), "me 3");
}

#[test]
fn names_that_mean_something_else_are_refused_from_their_owner() {
    let mut world = World::new(2);
    let other = world.account(1);
    let group = world.group();
    let wish = Command::CreateTicket { life: Duration::from_secs(60), accept: Acceptance::ByHand };
    let Ok(Reply::Ticket { link, .. }) = world.command(1, wish) else { panic!("no link") };
    for (name, why) in
        [("me", NameError::Reserved), ("@x", NameError::Sign { sign: '@' }), ("#x", NameError::Sign { sign: '#' })]
    {
        let refused = Err(Refusal::BadName(why));
        assert_eq!(world.command(0, Command::Rename(other, name.into())), refused);
        assert_eq!(world.command(0, Command::SetName(name.into())), refused);
        assert_eq!(world.command(0, Command::NewGroup(name.into())), refused);
        assert_eq!(world.command(0, Command::RenameGroup(group, name.into())), refused);
        let asked = Command::AddContact { link: link.clone(), alias: Some(name.into()) };
        assert_eq!(world.command(0, asked), refused);
    }
}

#[test]
fn who_was_removed_is_called_nothing_new() {
    let mut world = World::new(3);
    let group = world.group();
    world.pass(Duration::from_secs(10));
    let before = world.member(0, group, 2).name;
    assert!(before.is_some());
    world.part_all(2);
    let removed = world.account(2);
    world.command(0, Command::RemoveMember(group, removed)).unwrap();
    world.pass(Duration::from_secs(10));
    // It does not know yet, and signs under the heads of before; another member hands it on.
    world.command(2, Command::SetName("Founder".into())).unwrap();
    let voucher: rows::VoucherRow = world.row(2, &rows::VoucherRow::key(group, removed)).unwrap();
    world.lie(1, 0, &Record::Names(group, vec![(voucher.event.into(), voucher.key)]));
    assert_eq!(world.member(0, group, 2).name, before);
}
