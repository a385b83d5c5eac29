//! A file that only takes room. sled does not open on a full disk, so the room it needs is kept aside in good times,
//! given up when opening fails for want of it, and taken again before anything new is written.

use crate::store::files;
use std::{fs, io, io::Write, path::PathBuf};

/// Bytes kept aside: several segments of sled (512 KiB each), which is what opening may write.
const BALLAST: usize = 4 * 1024 * 1024;

/// The ballast of one home.
pub(super) struct Ballast {
    path: PathBuf,
    held: bool,
}

impl Ballast {
    /// The ballast at `path`, taken if it is not there. Without room for it, it is not held.
    pub(super) fn at(path: PathBuf) -> io::Result<Self> {
        let held = fs::metadata(&path).is_ok_and(|found| found.len() == BALLAST as u64);
        let mut ballast = Self { path, held };
        ballast.take()?;
        Ok(ballast)
    }

    /// Takes the room if it is not held; `false` where there is not enough.
    pub(super) fn take(&mut self) -> io::Result<bool> {
        if self.held {
            return Ok(true);
        }
        match self.fill() {
            Ok(()) => self.held = true,
            Err(error) if files::is_full(&error) => self.release()?,
            Err(error) => return Err(error),
        }
        Ok(self.held)
    }

    /// Gives the room up.
    pub(super) fn release(&mut self) -> io::Result<()> {
        self.held = false;
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn fill(&self) -> io::Result<()> {
        let mut file = files::private_file(&self.path)?;
        file.set_len(0)?;
        // Bytes that no file system compresses or leaves out.
        let mut noise = blake3::Hasher::new_derive_key("moim ballast").finalize_xof();
        let mut piece = [0; 64 * 1024];
        for _ in 0..BALLAST / piece.len() {
            noise.fill(&mut piece);
            file.write_all(&piece)?;
        }
        file.sync_all()
    }
}
