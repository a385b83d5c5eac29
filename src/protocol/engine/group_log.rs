//! A group's membership as views tell it: who did what when, whether it counts, and how many members know of an end.
//!
//! Read from rows alone, also of a group that one left: what is here.

use super::{
    group_ops::kept_graph,
    rows::{self, MemberRow, OwnRow},
};
use crate::protocol::{
    group::{Action, Applied, Deed, Membership, SignedOp, Voided, applied::Named},
    ids::{AccountId, OpId},
    time::Millis,
    view::{Table, View, ViewError},
};

/// The story of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLog {
    /// All that was done, the latest last.
    pub entries: Vec<LogEntry>,
    /// How many members there are now.
    pub members: usize,
}

/// One op of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The op.
    pub op: OpId,
    /// When, by the author's clock, but not after it came here.
    pub at: Millis,
    /// Who did it.
    pub by: AccountId,
    /// What was done.
    pub deeds: Vec<Deed>,
    /// Why it has no effect, if it has none.
    pub void: Option<Voided>,
    /// Of an op that ended a membership: how many members of now are known to have it.
    pub applied: Option<usize>,
}

impl GroupLog {
    /// What a store holds of a group; nothing where no op is here.
    pub fn of(view: &dyn View, group: OpId) -> Result<Self, ViewError> {
        let Some((graph, arrived)) = kept_graph(view, group)? else {
            return Ok(Self { entries: Vec::new(), members: 0 });
        };
        let own: OwnRow = rows::read(view, &OwnRow::key())?.ok_or(ViewError::Damaged(Table::Own))?;
        let membership = graph.membership();
        let named: Named = rows::all::<MemberRow>(view, group)?.into_iter().flat_map(|row| row.heads).collect();
        let applied = Applied::new(&graph, &membership, own.device, &named);
        let mut entries = Vec::with_capacity(graph.len());
        for entry in graph.log(&membership) {
            let Some(op) = graph.op(&entry.op) else { continue };
            let came = arrived.get(&entry.op).copied().unwrap_or(op.time);
            entries.push(LogEntry {
                op: entry.op,
                at: op.time.min(came),
                by: op.account,
                applied: is_end(&membership, op).then(|| applied.count(&entry.op)),
                deeds: entry.deeds,
                void: entry.void,
            });
        }
        Ok(Self { entries, members: applied.of() })
    }
}

fn is_end(membership: &Membership, op: &SignedOp) -> bool {
    matches!(op.action, Action::Remove(_) | Action::Leave(_)) && membership.cuts.contains(&op.id())
}
