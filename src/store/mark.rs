//! The mark by which a home knows that it is a copy: a file that says when it was made itself.
//!
//! A copy of a whole home that is put back opens like the home itself, and would say under keys and numbers of then what
//! differs from what was said under them since. But a copied file is made when it is copied, and what it says was when it was
//! made is then another time. Where the file system does not tell, or gives that back too (a snapshot), nothing is noticed.

use crate::store::files::private_file;
use std::{
    fs,
    io::{self, Write},
    path::Path,
    time::UNIX_EPOCH,
};

/// Its name in a home.
pub(super) const FILE: &str = "made";

/// Whether the mark of a home was copied, and so the home.
pub(super) fn is_copied(home: &Path) -> bool {
    let says = fs::read_to_string(home.join(FILE)).ok().and_then(|text| text.trim().parse::<u128>().ok());
    match (says, made(home)) {
        (Some(says), Some(made)) => says != made,
        // None was made yet, or its writing was cut short, or the file system does not tell.
        _ => false,
    }
}

/// Marks a home that has no mark, or one of another home. One that cannot be marked now may be later.
pub(super) fn mark(home: &Path) {
    if let Err(error) = make(home) {
        tracing::warn!(%error, "this home is not marked, so a copy of it would not be noticed");
    }
}

fn make(home: &Path) -> io::Result<()> {
    let path = home.join(FILE);
    let is_marked = fs::read_to_string(&path).is_ok_and(|text| !text.is_empty());
    if is_marked && !is_copied(home) {
        return Ok(());
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Written in place: a file that is renamed keeps the time at which it was made under the other name.
    let mut file = private_file(&path)?;
    if let Some(made) = made(home) {
        file.write_all(made.to_string().as_bytes())?;
        file.sync_all()?;
    }
    Ok(())
}

/// When the mark was made, in nanoseconds since 1970.
fn made(home: &Path) -> Option<u128> {
    let made = fs::metadata(home.join(FILE)).ok()?.created().ok()?;
    made.duration_since(UNIX_EPOCH).ok().map(|since| since.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_told_from_the_home_itself_until_it_is_marked_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (home, copy) = (dir.path().join("home"), dir.path().join("copy"));
        [&home, &copy].into_iter().for_each(|dir| fs::create_dir(dir).unwrap());
        assert!(!is_copied(&home), "no mark says nothing");
        mark(&home);
        if made(&home).is_none() {
            eprintln!("skipped: this file system does not say when a file was made");
            return;
        }
        mark(&home);
        let moved = dir.path().join("moved");
        fs::rename(&home, &moved).unwrap();
        assert!(!is_copied(&moved));
        fs::copy(moved.join(FILE), copy.join(FILE)).unwrap();
        assert!(is_copied(&copy) && !is_copied(&moved));
        mark(&copy);
        assert!(!is_copied(&copy));
        // Cut short.
        fs::write(copy.join(FILE), "").unwrap();
        assert!(!is_copied(&copy));
        mark(&copy);
        assert_eq!(fs::read_to_string(copy.join(FILE)).unwrap(), made(&copy).unwrap().to_string());
    }
}
