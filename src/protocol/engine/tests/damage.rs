use super::*;

const LATER: Duration = Duration::from_secs(300);

/// A node whose row is damaged starts again; the others and it talk on.
fn goes_on_without(damaged: impl Fn(&World) -> Key) -> World {
    let mut world = World::new(3);
    let key = damaged(&world);
    let table = key.table;
    world.damage(0, key);
    world.restart(0);
    world.tell(1, 0, "to it");
    world.tell(0, 1, "from it");
    world.pass(Duration::from_secs(2 * 3600));
    let chat = world.direct(0, 1);
    assert_eq!(world.texts_of(0, chat).len(), 2);
    assert_eq!(world.texts_of(1, chat).len(), 2);
    assert_eq!(world.damaged(0), [table].into());
    world
}

#[test]
fn a_damaged_contact_does_not_stop_the_others() {
    let mut world = goes_on_without(|world| rows::ContactRow::key(world.account(2)));
    world.command(0, Command::SetName("another".into())).unwrap();
    world.pass(LATER);
    assert_eq!(world.contact(1, 0).own_name.as_deref(), Some("another"));
}

#[test]
fn a_damaged_device_does_not_stop_the_others() {
    let mut world = goes_on_without(|world| rows::DeviceRow::key(world.device(2)));
    world.tell(2, 0, "nobody can read this there");
    world.pass(LATER);
    assert_eq!(world.outbox(2, 0), 1, "what could not be taken is not confirmed");
}

#[test]
fn a_damaged_group_does_not_stop_the_others() {
    let mut world = World::new(3);
    let broken = world.group();
    let whole = world.group();
    world.damage(0, rows::OpRow::key(broken, 0));
    world.restart(0);
    world.pass(LATER);
    world.say(1, broken, "not for the damaged");
    world.say(1, whole, "to all");
    world.say(0, whole, "from it");
    world.pass(LATER);
    for at in 0..3 {
        assert_eq!(world.texts(at, whole).len(), 2);
    }
    assert_eq!(world.texts(2, broken).len(), 1);
    assert_eq!(world.damaged(0), [Table::Op].into());
}
