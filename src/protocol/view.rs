//! The contract between the engine and a store: what is read through [`View`] and what is written by [`Write`]s.
//!
//! The engine never holds whole histories in memory. It reads rows through a `View` and writes only by handing batches of
//! `Write`s to its caller, which applies each batch whole or not at all. Rows are named by a [`Key`]: a table, a scope
//! inside it, and an item inside that. A store may blind scopes and named items (it keeps equality, not the bytes) but
//! must keep the order of [`Item::At`], which therefore carries nothing secret but times and counts.

/// The longest value of a row, in bytes. The largest rows of the protocol are events of 56 KiB; the rest is room for
/// tables that gather many small things. A longer thing is a file and goes to the blob store.
pub const MAX_ROW: usize = 512 * 1024;

/// The kinds of rows. The number is on disk: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "engine::rows documents each table beside the type of its rows")]
pub enum Table {
    Own = 1,
    Prekey = 2,
    Ticket = 3,
    Contact = 4,
    Device = 5,
    Session = 6,
    Skipped = 7,
    Tag = 8,
    Outbox = 9,
    Chat = 10,
    Event = 11,
    Timeline = 12,
    Waiting = 13,
    Author = 14,
    Group = 15,
    Op = 16,
    Chain = 17,
    GroupSecret = 18,
    Bundle = 19,
    Feed = 20,
    Seen = 21,
    Held = 22,
    Counter = 23,
    Address = 24,
    Receipt = 25,
    Control = 26,
    List = 27,
    Mailbox = 32,
    Box = 33,
    Mail = 34,
    Owed = 35,
    Order = 36,
    Cell = 38,
    Expiry = 39,
    Timer = 40,
    Segment = 41,
    Postings = 42,
    Voucher = 44,
    Unsettled = 45,
    Post = 46,
}

impl Table {
    /// Tables of secrets that must be gone for good once they are deleted or replaced: a store keeps their rows under a key
    /// that it throws away again and again.
    pub const SECRETS: &[Self] = &[
        Self::Prekey,
        Self::Session,
        Self::Skipped,
        Self::Tag,
        Self::Outbox,
        Self::Control,
        Self::Chain,
        Self::GroupSecret,
    ];

    /// Tables whose rows may be in a [`Cell`].
    pub const IN_CELLS: &[Self] = &[Self::Event, Self::Held, Self::Postings];
}

/// The last part of a row's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// A name that only equality is asked of; a store blinds it. Order among named items means nothing.
    Named(Vec<u8>),
    /// A place in an order (big-endian, the same width throughout a scope); a store keeps the order.
    At(Vec<u8>),
}

/// The name of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub table: Table,
    /// What it belongs to (a chat, a device…); empty where the table has one scope. A store blinds it.
    pub scope: Vec<u8>,
    /// Which one in that scope.
    pub item: Item,
}

impl Key {
    /// A row that is found by name.
    pub fn named(table: Table, scope: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> Self {
        Self { table, scope: scope.as_ref().to_vec(), item: Item::Named(name.as_ref().to_vec()) }
    }

    /// A row that has a place in an order.
    pub fn at(table: Table, scope: impl AsRef<[u8]>, place: impl AsRef<[u8]>) -> Self {
        Self { table, scope: scope.as_ref().to_vec(), item: Item::At(place.as_ref().to_vec()) }
    }
}

/// Rows that are erased together: by throwing away the one key they are under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// What its rows belong to (a chat). A store blinds it.
    pub scope: Vec<u8>,
    /// The hour since 1970 in which its rows are over; 0 where they last.
    pub hour: u64,
}

impl Cell {
    /// The cell of what lasts.
    pub fn lasting(scope: impl AsRef<[u8]>) -> Self {
        Self { scope: scope.as_ref().to_vec(), hour: 0 }
    }

    /// The cell of what is over by the end of an hour.
    pub fn until(scope: impl AsRef<[u8]>, hour: u64) -> Self {
        Self { scope: scope.as_ref().to_vec(), hour }
    }
}

/// One change to the store. A batch of them is applied whole, in order, or not at all.
#[derive(Clone, PartialEq, Eq)]
pub enum Write {
    /// Insert or replace a row.
    Put(Key, Vec<u8>),
    /// Insert or replace a row of a table of [`Table::IN_CELLS`], in this cell from now on.
    PutIn(Cell, Key, Vec<u8>),
    /// Remove a row; no error where it is not there.
    Delete(Key),
    /// Remove every row of a cell. Soon after, nothing on the disk opens them any more. Rows put into it later are in a
    /// new cell of the same name.
    EraseCell(Cell),
    /// Soon after, nothing on the disk opens what was deleted or replaced in this cell; its present rows stay.
    RenewCell(Cell),
    /// Remove what [`Input::RolledBack`](crate::protocol::engine::Input::RolledBack) was about.
    ForgetLost,
}

impl Write {
    /// The row that it puts, if it puts one.
    pub fn row(&self) -> Option<(&Key, &Vec<u8>)> {
        match self {
            Self::Put(key, value) | Self::PutIn(_, key, value) => Some((key, value)),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Put(key, value) => write!(f, "Put({:?}, {} bytes)", key.table, value.len()),
            Self::PutIn(_, key, value) => write!(f, "PutIn({:?}, {} bytes)", key.table, value.len()),
            Self::Delete(key) => write!(f, "Delete({:?})", key.table),
            Self::EraseCell(cell) => write!(f, "EraseCell({})", cell.hour),
            Self::RenewCell(cell) => write!(f, "RenewCell({})", cell.hour),
            Self::ForgetLost => f.write_str("ForgetLost"),
        }
    }
}

/// Which end of a scope a scan starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the least place upwards.
    Forward,
    /// From the greatest place downwards.
    Backward,
}

/// The store could not answer. The engine stops what it was doing and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// The disk or the store below failed.
    #[error("the store could not be read: {0}")]
    Io(String),
    /// A row is there but is not what was written.
    #[error("a row of table {0:?} is damaged")]
    Damaged(Table),
}

/// Rows of one scope as a scan gives them: item bytes (the place for [`Item::At`], a blinded name otherwise) and value.
pub type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// The same with nothing in the place of a damaged row.
pub type EachRow = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Reading, synchronous and snapshot-like: every staged write of the present drain is seen.
pub trait View {
    /// One row.
    fn row(&self, key: &Key) -> Result<Option<Vec<u8>>, ViewError>;

    /// Up to `limit` rows of a scope. For [`Item::At`] rows `from` is the first place that is wanted (inclusive, in the
    /// direction of the scan); `None` starts at the end the direction starts from. Named rows come in an order of the
    /// store's own and take no `from`. A scope holds rows of one kind of item only.
    fn scan(
        &self,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Rows, ViewError>;

    /// As [`scan`](Self::scan), with nothing in the place of a row that is damaged: for those who go on with the others.
    fn scan_each(
        &self,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<EachRow, ViewError> {
        let rows = self.scan(table, scope, from, direction, limit)?;
        Ok(rows.into_iter().map(|(item, value)| (item, Some(value))).collect())
    }

    /// The places alone of up to `limit` rows of a scope: where a place says enough, no row need be opened.
    fn places(
        &self,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, ViewError> {
        let rows = self.scan_each(table, scope, from, direction, limit)?;
        Ok(rows.into_iter().map(|(place, _)| place).collect())
    }
}
