//! Every row the engine keeps: its type, its table, its key. Views read the same rows through the same functions.

mod account;
mod chats;
mod contacts;
mod groups;
mod index;
mod mailboxes;
mod members;
mod order;
mod outbox;
mod receipts;
mod sessions;

pub use account::*;
pub use chats::*;
pub use contacts::*;
pub use groups::*;
pub use index::*;
pub use mailboxes::*;
pub use members::*;
pub use order::*;
pub use outbox::*;
pub use receipts::*;
pub use sessions::*;

use crate::protocol::{
    event::DirectEvent,
    group::GroupEvent,
    ids::ChatId,
    view::{Cell, Direction, Key, Table, View, ViewError},
    wire,
};
use minicbor::{Decode, Encode};

/// A type that is kept as a row.
pub trait Row: Encode<()> + for<'b> Decode<'b, ()> {
    /// Where its rows are.
    const TABLE: Table;

    /// The cell it is erased with, if it is in one.
    fn cell(&self) -> Option<Cell> {
        None
    }
}

/// The row under `key`, decoded.
pub fn read<R: Row>(view: &dyn View, key: &Key) -> Result<Option<R>, ViewError> {
    view.row(key)?.map(|bytes| parse(&bytes)).transpose()
}

/// A stored row's bytes, decoded; what does not decode was not written by us.
pub fn parse<R: Row>(bytes: &[u8]) -> Result<R, ViewError> {
    wire::decode(bytes, "row").map_err(|_| ViewError::Damaged(R::TABLE))
}

/// The cell that a stored row belongs in, by the number of its table and its value: for rows of stores made before there
/// were cells.
pub fn cell_of(table: u8, value: &[u8]) -> Option<Cell> {
    if table == Table::Event as u8 {
        return parse::<EventRow>(value).ok()?.cell();
    }
    if table != Table::Held as u8 {
        return None;
    }
    let RawRow(bytes) = parse(value).ok()?;
    let chat = match DirectEvent::parse(&bytes) {
        Ok(event) => event.chat,
        Err(_) => ChatId::from(GroupEvent::parse(&bytes).ok()?.stub().header().group),
    };
    Some(Cell::lasting(chat))
}

/// All rows of a scope, in the order of the store; meant for scopes that are small by nature.
pub fn all<R: Row>(view: &dyn View, scope: impl AsRef<[u8]>) -> Result<Vec<R>, ViewError> {
    view.scan(R::TABLE, scope.as_ref(), None, Direction::Forward, usize::MAX)?
        .iter()
        .map(|(_, bytes)| parse(bytes))
        .collect()
}

/// The rows of a scope that can be read, and how many cannot: for rows that stand each for itself.
pub fn sound<R: Row>(view: &dyn View, scope: impl AsRef<[u8]>) -> Result<(Vec<R>, usize), ViewError> {
    let each = view.scan_each(R::TABLE, scope.as_ref(), None, Direction::Forward, usize::MAX)?;
    let count = each.len();
    let sound: Vec<R> = each.into_iter().filter_map(|(_, bytes)| parse(&bytes?).ok()).collect();
    let damaged = count - sound.len();
    Ok((sound, damaged))
}

/// The entries of the feed are rows too.
impl Row for crate::protocol::engine::feed::FeedEntry {
    const TABLE: Table = Table::Feed;
}
