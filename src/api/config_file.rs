//! Puts a new `config.toml` in the place of the old: whole or not at all, whoever else does the same at that moment.
//!
//! Called by the command line and by the method `config`; what is in the file is [`config`](super::config)'s matter.

use super::ApiError;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Names that are tried: one is free unless an earlier process of the same number left as many behind.
const TRIES: u32 = 100;

/// Writes a file of its owner alone beside the old one, makes it durable, and renames it. What a crash leaves beside it is
/// never read.
///
/// # Errors
/// What the system says; then the old file stays.
pub fn write(path: &Path, text: &str) -> Result<(), ApiError> {
    replace(path, text).map_err(|error| ApiError::file(path, &error))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let (beside, mut file) = new_file(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| fs::rename(&beside, path)) {
        // The half-written file would only be in the way; what matters is the error.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// A new file in the same folder whose name nobody else has.
fn new_file(path: &Path) -> io::Result<(PathBuf, File)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    for _ in 0..TRIES {
        let beside = path.with_extension(format!("toml.{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        match options.open(&beside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return Ok((beside, opened?)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt, thread};

    #[test]
    fn a_configuration_is_replaced_whole_by_many_at_once_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        // What an earlier process with this number may have left.
        let left = dir.path().join(format!("config.toml.{}-0", process::id()));
        fs::write(&left, "half").unwrap();
        fs::write(&path, "log = 'info'\n").unwrap();
        let text = |n: u8| format!("# {}\n", char::from(b'a' + n).to_string().repeat(20_000));
        let writers: Vec<_> = (0..8)
            .map(|n| {
                let path = path.clone();
                thread::spawn(move || (0..10).for_each(|_| write(&path, &text(n)).unwrap()))
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let read = fs::read_to_string(&path).unwrap();
        assert!((0..8).any(|n| read == text(n)), "two are mixed");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let names = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!((names, fs::read_to_string(&left).unwrap().as_str()), (2, "half"), "nothing is left or taken");
    }

    #[test]
    fn where_it_cannot_be_written_the_old_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, "x").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
