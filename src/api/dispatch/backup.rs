//! What a backup holds, part by part.

use super::{Dispatcher, Serve};
use crate::{
    api::{ApiError, Reason, methods::BackupPage, types::*},
    node,
    protocol::{
        engine::backup::{Cursor, Page, page},
        wire::{decode, encode},
    },
};
use data_encoding::{BASE64, HEXLOWER};

impl Serve for BackupPage {
    async fn serve(at: &Dispatcher, params: BackupPageParams) -> Result<BackupPageResult, ApiError> {
        let from = params.after.as_deref().map_or(Ok(Cursor::START), cursor)?;
        at.read(move |reading| {
            let Page { items, next, damaged } = page(reading.view, from, node::now())?;
            let items = items.iter().map(|item| BASE64.encode(&encode(item))).collect();
            Ok(BackupPageResult { v: V1, items, next: next.map(|next| HEXLOWER.encode(&encode(&next))), damaged })
        })
        .await
    }
}

fn cursor(text: &str) -> Result<Cursor, ApiError> {
    let bytes = HEXLOWER.decode(text.as_bytes()).ok();
    let cursor = bytes.and_then(|bytes| decode(&bytes, "cursor").ok());
    cursor.ok_or_else(|| ApiError::new(Reason::BadParams).with("detail", "after is not of an earlier answer"))
}
