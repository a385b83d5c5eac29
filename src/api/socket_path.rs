//! Where the socket of a home is: `api.sock` in it, or, where that path is too long for a socket, a short one under the
//! runtime directory, which the file `api.path` in the home names.

use crate::protocol::{crypto::kdf::hash, ids::base32};
use std::{
    env,
    ffi::OsStr,
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

/// The longest path of a socket, in bytes: `sun_path` has 104 on some systems, with its final zero.
pub(super) const MAX_SOCKET_PATH: usize = 100;
const SOCKET: &str = "api.sock";
const POINTER: &str = "api.path";
/// Bytes of the hash that tells homes apart in the runtime directory.
const NAME_BYTES: usize = 10;

/// The path a client connects to, whether anybody listens there or not; `None` where surely nobody does.
pub(super) fn find(home: &Path) -> Option<PathBuf> {
    let home = fs::canonicalize(home).unwrap_or_else(|_| home.to_path_buf());
    let near = home.join(SOCKET);
    if fits(&near) {
        return Some(near);
    }
    let path = fs::read(home.join(POINTER)).ok()?;
    Some(PathBuf::from(OsStr::from_bytes(&path)))
}

/// The path to listen at, where nothing is any more. Only for the one process that has the home open.
pub(super) fn prepare(home: &Path) -> io::Result<PathBuf> {
    let home = fs::canonicalize(home)?;
    let near = home.join(SOCKET);
    let path = if fits(&near) { near } else { far(&home)? };
    remove_file(&path)?;
    Ok(path)
}

/// Takes the socket away, and what points at it.
pub(super) fn remove(home: &Path, path: &Path) {
    for file in [path.to_path_buf(), home.join(POINTER)] {
        if let Err(error) = remove_file(&file) {
            tracing::warn!(path = %file.display(), %error, "a file of the API could not be removed");
        }
    }
}

/// A short path for a home whose own is too long, noted in the home.
fn far(home: &Path) -> io::Result<PathBuf> {
    let name = base32(&hash(&[home.as_os_str().as_bytes()])[..NAME_BYTES]);
    let path = runtime_dir(home)?.join(format!("{name}.sock"));
    if !fits(&path) {
        let why =
            format!("{} is longer than {MAX_SOCKET_PATH} bytes; set XDG_RUNTIME_DIR to a short one", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    fs::write(home.join(POINTER), path.as_os_str().as_bytes())?;
    Ok(path)
}

/// A folder that is the owner's alone: in a shared one, another could have put its own there first.
fn runtime_dir(home: &Path) -> io::Result<PathBuf> {
    let owner = fs::metadata(home)?.uid();
    let dir = match env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute()) {
        Some(dir) => dir.join("moim"),
        None => env::temp_dir().join(format!("moim-{owner}")),
    };
    match fs::DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(&dir)?;
    if !found.is_dir() || found.uid() != owner || found.permissions().mode() & 0o077 != 0 {
        let why = format!("{} is not a folder of yours alone: remove it", dir.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(dir)
}

fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= MAX_SOCKET_PATH
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
