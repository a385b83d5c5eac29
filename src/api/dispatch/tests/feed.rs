//! From where one may watch.

use super::*;
use crate::api::types::WatchParams;

#[tokio::test]
async fn a_cursor_that_nothing_ever_had_is_refused() {
    let at = with_feed(3);
    for after in [0, 2, 3] {
        let (started, _) = at.watch(WatchParams { after: Some(after) }).await.unwrap();
        assert_eq!(started.cursor, after);
    }
    let error = at.watch(WatchParams { after: Some(4) }).await.unwrap_err();
    assert_eq!((error.reason.as_str(), error.code.exit_code()), ("no-such-cursor", 6));
    assert!(error.message.contains("the newest is 3"), "{}", error.message);
}

#[tokio::test]
async fn a_cursor_whose_news_are_still_on_the_way_is_good() {
    let mut at = with_feed(3);
    at.node = at.node.fed(2);
    assert_eq!(at.watch(WatchParams { after: Some(3) }).await.unwrap().0.cursor, 3);
}
