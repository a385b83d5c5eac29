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
