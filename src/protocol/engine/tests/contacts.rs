use super::{super::feed::ContactNotice, *};

const SOON: Duration = Duration::from_secs(10);
const LATER: Duration = Duration::from_secs(300);

fn is_told(world: &World, at: usize, of: usize, notice: ContactNotice) -> bool {
    world.feed(at).contains(&FeedEntry::Contact { account: world.account(of), notice })
}

#[test]
fn a_new_device_of_a_contact_is_told_loudly_and_gets_only_what_none_confirmed() {
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    world.command(0, Command::MarkVerified(world.account(1))).unwrap();
    world.tell(0, 1, "read on the old device");
    world.pass(SOON);
    world.part(0, 1);
    world.tell(0, 1, "written while it was away");
    let new = world.restore(1);
    world.add(0, new, Acceptance::AtOnce).unwrap();
    world.pass(SOON);
    world.tell(0, 1, "written to the new device");
    world.pass(SOON);

    assert_eq!(world.texts_of(new, chat), ["written while it was away", "written to the new device"]);
    let contact = world.contact(0, 1);
    assert!(contact.new_device.is_some() && !contact.verified, "the badge does not vouch for the new device");
    assert!(is_told(&world, 0, 1, ContactNotice::NewDevice));
    assert_eq!((world.outbox(0, 1), world.outbox(0, new)), (0, 0));
    world.command(0, Command::MarkVerified(world.account(1))).unwrap();
    let contact = world.contact(0, 1);
    assert!(contact.new_device.is_none() && contact.verified);
}

#[test]
fn a_device_that_is_out_is_not_heard_and_confirms_nothing() {
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    world.part(0, 1);
    world.tell(0, 1, "for whoever holds the account");
    let new = world.restore(1);
    world.add(0, new, Acceptance::AtOnce).unwrap();
    world.pass(SOON);
    world.part(0, new);
    world.tell(0, 1, "not for the old device");
    world.connect(0, 1);
    world.ignore_its_replacement(1);
    world.tell(1, 0, "from the old device");
    world.pass(LATER);
    assert_eq!(world.contact(0, 1).devices, [world.device(new)]);
    assert!(world.texts_of(1, chat).iter().all(|text| text == "from the old device"));
    assert!(!world.texts_of(0, chat).contains(&"from the old device".to_owned()));
    assert_eq!(world.outbox(0, new), 1, "nobody else can take it");
    world.connect(0, new);
    world.pass(SOON);
    assert_eq!(world.texts_of(new, chat).len(), 2);
}

#[test]
fn a_contact_that_keeps_its_device_is_no_news() {
    let mut world = World::new(2);
    world.command(0, Command::MarkVerified(world.account(1))).unwrap();
    world.pass(Duration::from_secs(40 * 24 * 3600));
    world.restart(1);
    world.pass(LATER);
    let contact = world.contact(0, 1);
    assert!(contact.verified && contact.new_device.is_none());
}

#[test]
fn the_link_of_one_who_removed_us_begins_anew() {
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    world.command(0, Command::Remove(world.account(1))).unwrap();
    world.tell(1, 0, "to one who removed me");
    world.pass(SOON);
    assert!(world.texts_of(0, chat).is_empty());
    world.add(0, 1, Acceptance::AtOnce).unwrap();
    world.pass(LATER);
    world.tell(0, 1, "here again");
    world.tell(1, 0, "good");
    world.pass(LATER);
    let both = ["to one who removed me", "here again", "good"];
    assert_eq!(world.texts_of(0, chat), both);
    assert_eq!(world.texts_of(1, chat), both);
    assert_eq!(world.contact(1, 0).state, rows::ContactState::Connected);
    assert!(world.contact(1, 0).ticket.is_none());
    assert_eq!((world.outbox(0, 1), world.outbox(1, 0)), (0, 0));
}

#[test]
fn who_removed_us_is_asked_and_answers_when_it_likes() {
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    world.command(0, Command::Remove(world.account(1))).unwrap();
    world.add(0, 1, Acceptance::ByHand).unwrap();
    world.pass(LATER);
    assert_eq!(world.contact(0, 1).state, rows::ContactState::Incoming);
    assert_eq!(world.contact(1, 0).state, rows::ContactState::Requested);
    world.tell(1, 0, "for when you accept");
    world.command(0, Command::Accept(world.account(1))).unwrap();
    world.pass(LATER);
    assert_eq!(world.contact(1, 0).state, rows::ContactState::Connected);
    assert_eq!(world.texts_of(0, chat), ["for when you accept"]);
}

#[test]
fn the_link_of_one_who_did_not_remove_us_changes_nothing() {
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    world.tell(0, 1, "before");
    world.tell(1, 0, "before too");
    world.pass(SOON);
    let sessions = |world: &World| {
        let sending = |at: usize, to: usize| {
            let row: rows::DeviceRow = world.row(at, &rows::DeviceRow::key(world.device(to))).unwrap();
            row.sending
        };
        (sending(0, 1), sending(1, 0))
    };
    let before = sessions(&world);
    world.add(0, 1, Acceptance::ByHand).unwrap();
    world.pass(LATER);
    assert_eq!(sessions(&world), before);
    assert_eq!(world.contact(1, 0).state, rows::ContactState::Connected);
    assert_eq!(world.contact(0, 1).state, rows::ContactState::Connected);
    assert!(world.contact(1, 0).ticket.is_none(), "the answer ended the asking");
    assert!(!is_told(&world, 1, 0, ContactNotice::SessionRestarted));
    world.tell(1, 0, "after");
    world.pass(SOON);
    assert_eq!(world.texts_of(0, chat), ["before", "before too", "after"]);
    assert_eq!((world.outbox(0, 1), world.outbox(1, 0)), (0, 0));
}

#[test]
fn what_a_blocked_member_says_is_not_shown_and_the_order_stays() {
    let mut world = World::new(3);
    let group = world.group();
    let unread =
        |world: &World| world.row::<rows::ChatRow>(1, &rows::ChatRow::key(ChatId::from(group))).map(|chat| chat.unread);
    world.say(2, group, "before the block");
    world.pass(SOON);
    world.command(1, Command::Block(world.account(2))).unwrap();
    world.say(2, group, "from the blocked");
    world.pass(SOON);
    world.say(0, group, "an answer to it");
    world.pass(SOON);
    assert_eq!(world.texts(1, group), ["before the block", "an answer to it"]);
    assert_eq!(unread(&world), Some(2));
    let told = world.feed(1).iter().filter(|entry| matches!(entry, FeedEntry::Message { .. })).count();
    assert_eq!(told, 2);
    // It is held all the same: the blocked one learns nothing, and who has it from here has all.
    world.command(1, Command::Unblock(world.account(2))).unwrap();
    world.say(2, group, "after it");
    world.pass(SOON);
    assert_eq!(world.texts(1, group), ["before the block", "an answer to it", "after it"]);
    let chat = ChatId::from(group);
    let receipt: rows::ReceiptRow =
        world.row(2, &rows::ReceiptRow::key(chat, rows::Side::Theirs, world.device(1))).unwrap();
    let written = world.row::<rows::ChatRow>(2, &rows::ChatRow::key(chat)).unwrap().written;
    assert!((1..=written).all(|no| receipt.numbers().unwrap().contains(no)), "it is held and said to be");
    assert_eq!(world.texts(0, group).len(), 4);
}

#[test]
fn a_group_of_two_goes_on_through_a_block() {
    let mut world = World::new(2);
    let group = world.group();
    world.command(1, Command::Block(world.account(0))).unwrap();
    world.restart(1);
    world.command(0, Command::RenameGroup(group, "renamed".into())).unwrap();
    world.say(0, group, "not shown");
    world.tell(0, 1, "1-on-1, later");
    world.pass(LATER);
    assert!(world.texts(1, group).is_empty());
    let name = world.row::<GroupRow>(1, &GroupRow::key(group)).map(|row| row.name);
    assert_eq!(name.as_deref(), Some("renamed"));
    let direct = world.direct(0, 1);
    assert!(world.texts_of(1, direct).is_empty() && world.outbox(0, 1) > 0);
    world.command(1, Command::Unblock(world.account(0))).unwrap();
    world.say(0, group, "shown");
    world.pass(LATER);
    assert_eq!(world.texts(1, group), ["shown"]);
    assert_eq!(world.texts_of(1, direct), ["1-on-1, later"]);
    assert_eq!(world.outbox(0, 1), 0);
}

#[test]
fn blocks_answer_clearly() {
    let mut world = World::new(3);
    let stranger = AccountId([9; 32]);
    assert_eq!(world.command(0, Command::Block(stranger)), Err(Refusal::NoSuchContact));
    assert_eq!(world.command(0, Command::Unblock(stranger)), Err(Refusal::NoSuchContact));
    let account = world.account(1);
    assert_eq!(world.command(0, Command::Unblock(account)), Err(Refusal::NotBlocked { account }));
    for _ in 0..2 {
        assert_eq!(world.command(0, Command::Block(account)), Ok(Reply::Contact(account)));
    }
    world.command(0, Command::Remove(account)).unwrap();
    assert_eq!(world.command(0, Command::Unblock(account)), Ok(Reply::Contact(account)));
    assert_eq!(world.contact(0, 1).state, rows::ContactState::Removed);
    assert_eq!(world.command(0, Command::Block(account)), Ok(Reply::Contact(account)), "a removed one can be blocked");
}

#[test]
fn a_link_that_is_added_once_more_after_it_was_used_changes_nothing() {
    let mut world = World::new(2);
    let life = Duration::from_secs(24 * 3600);
    let accept = Acceptance::AtOnce;
    let Ok(Reply::Ticket { link, .. }) = world.command(0, Command::CreateTicket { life, accept }) else { panic!() };
    for _ in 0..2 {
        world.command(1, Command::AddContact { link: link.clone(), alias: None }).unwrap();
        world.pass(Duration::from_secs(900));
    }
    let contact = world.contact(1, 0);
    assert!(contact.state == rows::ContactState::Connected && contact.ticket.is_none());
    assert!(!is_told(&world, 1, 0, ContactNotice::LinkUsed));
}

#[test]
fn what_was_read_before_a_block_is_told_after_it() {
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    world.tell(1, 0, "read, then blocked");
    world.pass(SOON);
    world.part(0, 1);
    world.command(0, Command::MarkRead { chat, up_to: None }).unwrap();
    world.command(0, Command::Block(world.account(1))).unwrap();
    world.connect(0, 1);
    let read = |world: &World| {
        let key = rows::ReceiptRow::key(chat, rows::Side::Theirs, world.device(0));
        world.row::<rows::ReceiptRow>(1, &key).map(|row| row.read)
    };
    world.pass(SOON);
    assert_eq!(read(&world), Some(0));
    world.command(0, Command::Unblock(world.account(1))).unwrap();
    let peer = world.nodes[1].transport;
    assert!(world.hung_up.contains(&(0, peer)), "who was not listened to is met anew");
    world.part(0, 1);
    world.connect(0, 1);
    world.pass(SOON);
    assert_eq!(read(&world), Some(1));
}
