//! The file itself: one line that names it, then items, each behind its length, all inside age's encryption.
//!
//! A file that is not whole is never seen under its name: it is written beside it, synced and then named. Reading trusts
//! nothing: age authenticates every byte and the end; what it reads before it can is at most [`MAX_HEADER`]; a length
//! beyond [`MAX_ITEM`] is damage. So a file costs memory for one item, and time for its own length.

use super::Failed;
use crate::{
    api::{ApiError, Reason},
    protocol::{engine::backup::Kept, identity::Words, wire::decode},
};
use age::{Decryptor, Encryptor, scrypt, secrecy::SecretString, stream::StreamWriter};
use std::{
    cell::Cell,
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, Read, Write},
    iter,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    rc::Rc,
};
use zeroize::Zeroizing;

/// The first line: the name and the number of the format.
const MAGIC: &[u8] = b"moim backup 1\n";
/// What the first line of any format begins with.
const NAME: &[u8] = b"moim backup ";
/// An item, in bytes: the largest event with its original bytes, twice over.
const MAX_ITEM: usize = 256 * 1024;
/// The base-two logarithm of scrypt's cost. The passphrase has 256 random bits, so stretching it adds nothing.
const WORK: u8 = 10;
/// The highest cost that is paid in reading, 256 MiB and a second: another program may have sealed the file anew.
const MOST_WORK: u8 = 18;
/// age's own header, in bytes: a few lines for each way in, of which a backup has one.
const MAX_HEADER: u64 = 16 * 1024;

/// A backup being written.
pub(super) struct Writer {
    path: PathBuf,
    partial: Partial,
    sealed: StreamWriter<BufWriter<File>>,
}

/// The unfinished file; it goes when it is dropped.
struct Partial(PathBuf);

impl Partial {
    /// The unfinished file of a backup that is to be at `path`, in the same folder: one that was left behind by a process
    /// that was killed is written over, one that is being written is not.
    fn open(path: &Path) -> Result<(Self, File), ApiError> {
        let failed = |error: io::Error| ApiError::file(path, &error);
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".moim-part");
        let beside = path.with_file_name(name);
        if beside.symlink_metadata().is_ok_and(|found| !found.is_file()) {
            return Err(exists(&beside));
        }
        let under_way = || ApiError::new(Reason::BackupUnderWay).with("path", path.display().to_string());
        let locked = || {
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&beside);
            let file = file.map_err(failed)?;
            file.try_lock().map_err(|_| under_way())?;
            let found = file.metadata().map_err(failed)?;
            // Who had the lock until now has taken the name away: then this file is none.
            let is_there = fs::symlink_metadata(&beside).is_ok_and(|named| named.ino() == found.ino());
            if is_there { Ok((file, found.nlink())) } else { Err(under_way()) }
        };
        let (mut file, mut names) = locked()?;
        if names > 1 {
            // A whole backup whose writer was killed before it took this name away: it has another by now.
            fs::remove_file(&beside).map_err(failed)?;
            (file, names) = locked()?;
        }
        if names > 1 {
            return Err(under_way());
        }
        let partial = Self(beside);
        file.set_permissions(fs::Permissions::from_mode(0o600)).and_then(|()| file.set_len(0)).map_err(failed)?;
        Ok((partial, file))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Once it has been renamed there is none, and once it was linked this name is of no use.
        let _ = fs::remove_file(&self.0);
    }
}

impl Writer {
    pub(super) fn create(path: &Path, words: &Words) -> Result<Self, ApiError> {
        // A link that leads nowhere is something too.
        if path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        let failed = |error: io::Error| ApiError::file(path, &error);
        let (partial, file) = Partial::open(path)?;
        let mut recipient = scrypt::Recipient::new(passphrase(words));
        recipient.set_work_factor(WORK);
        let encryptor =
            Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient)).map_err(ApiError::internal)?;
        let mut sealed = encryptor.wrap_output(BufWriter::new(file)).map_err(failed)?;
        sealed.write_all(MAGIC).map_err(failed)?;
        Ok(Self { path: path.to_path_buf(), partial, sealed })
    }

    pub(super) fn item(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        if bytes.len() > MAX_ITEM {
            // Never seen: but a backup that cannot be restored must not come to be.
            return Err(ApiError::internal("an item of a backup is too long"));
        }
        let length = u32::try_from(bytes.len()).map_err(ApiError::internal)?.to_be_bytes();
        let written = self.sealed.write_all(&length).and_then(|()| self.sealed.write_all(bytes));
        written.map_err(|error| ApiError::file(&self.path, &error))
    }

    /// Puts the whole file under its name and gives its size, in bytes.
    pub(super) fn finish(self) -> Result<u64, ApiError> {
        let Self { path, partial, sealed } = self;
        let finished = || {
            let file = sealed.finish()?.into_inner().map_err(|error| error.into_error())?;
            file.sync_all()?;
            name(&partial.0, &path)?;
            // While the lock is held: the next backup would write over what is still under this name too.
            let _ = fs::remove_file(&partial.0);
            if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
                File::open(dir)?.sync_all()?;
            }
            Ok(file.metadata()?.len())
        };
        finished().map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => exists(&path),
            _ => ApiError::file(&path, &error),
        })
    }
}

/// Gives a file its name, where nothing has come to be under it meanwhile.
fn name(partial: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(partial, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Disks that go from hand to hand often know no links.
        Err(_) if path.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(partial, path),
        Ok(()) => Ok(()),
    }
}

fn passphrase(words: &Words) -> SecretString {
    SecretString::from(words.backup_passphrase().as_str().to_owned())
}

/// The items of a backup, one after the other.
pub(super) struct Reader {
    path: PathBuf,
    opened: Box<dyn Read>,
    ended: bool,
}

impl Reader {
    pub(super) fn open(path: &Path, words: &Words) -> Result<Self, ApiError> {
        let file = File::open(path).map_err(|error| ApiError::file(path, &error))?;
        let left = Rc::new(Cell::new(MAX_HEADER));
        let bounded = Bounded { file, left: Rc::clone(&left) };
        let decryptor = Decryptor::new_buffered(BufReader::new(bounded)).map_err(|_| not_a_backup(path))?;
        left.set(u64::MAX);
        let mut identity = scrypt::Identity::new(passphrase(words));
        identity.set_max_work_factor(MOST_WORK);
        let mut opened =
            decryptor.decrypt(iter::once(&identity as &dyn age::Identity)).map_err(|error| match error {
                age::DecryptError::ExcessiveWork { .. } => ApiError::new(Reason::BackupTooCostly),
                age::DecryptError::DecryptionFailed
                | age::DecryptError::KeyDecryptionFailed
                | age::DecryptError::NoMatchingKeys => ApiError::new(Reason::BackupOfOtherAccount),
                _ => not_a_backup(path),
            })?;
        let mut magic = [0; MAGIC.len()];
        opened.read_exact(&mut magic).map_err(|_| damaged())?;
        if magic != MAGIC {
            let is_newer = magic.starts_with(NAME);
            return Err(if is_newer { ApiError::new(Reason::BackupNewer) } else { not_a_backup(path) });
        }
        Ok(Self { path: path.to_path_buf(), opened: Box::new(opened), ended: false })
    }

    fn read(&mut self) -> Result<Option<Kept>, ApiError> {
        let mut length = [0; 4];
        if !self.fill_or_end(&mut length)? {
            return Ok(None);
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_ITEM {
            return Err(damaged());
        }
        let mut bytes = Zeroizing::new(vec![0; length]);
        if !self.fill_or_end(&mut bytes)? && length > 0 {
            return Err(damaged());
        }
        decode(&bytes, "backup").map(Some).map_err(|_| damaged())
    }

    /// Fills the buffer; `false` where the file ends before its first byte.
    fn fill_or_end(&mut self, buffer: &mut [u8]) -> Result<bool, ApiError> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.opened.read(rest) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(damaged()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
                    return Err(damaged());
                }
                Err(error) => return Err(ApiError::file(&self.path, &error)),
            }
        }
        Ok(true)
    }
}

impl Iterator for Reader {
    type Item = Result<Kept, Failed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.read().map_err(Failed::Reading).transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// A file of which so many bytes more are read.
struct Bounded {
    file: File,
    left: Rc<Cell<u64>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left.get()).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.left.set(self.left.get().saturating_sub(read as u64));
        Ok(read)
    }
}

fn exists(path: &Path) -> ApiError {
    ApiError::new(Reason::FileExists).with("path", path.display().to_string())
}

fn damaged() -> ApiError {
    ApiError::new(Reason::BackupDamaged)
}

fn not_a_backup(path: &Path) -> ApiError {
    ApiError::new(Reason::NotABackup).with("path", path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{engine::backup::KeptOwn, identity::AccountKey, wire::encode};
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    fn words(seed: u64) -> Words {
        Words::random(&mut ChaCha20Rng::seed_from_u64(seed))
    }

    fn item() -> Vec<u8> {
        let account = AccountKey::from_words(&words(1));
        let list = crate::protocol::identity::SignedList::issue(
            &account,
            1,
            [crate::protocol::identity::certificate::CertHash([7; 32])],
        )
        .unwrap();
        let (name, made) = ("mina".to_owned(), crate::protocol::time::Millis(1));
        let own = KeptOwn { account: account.id(), devices: vec![], list, name, name_chosen: made, made };
        encode(&Kept::Own(own))
    }

    /// A file with these bytes inside age's encryption.
    fn sealed(path: &Path, inside: &[u8]) {
        let mut recipient = scrypt::Recipient::new(passphrase(&words(1)));
        recipient.set_work_factor(2);
        let encryptor = Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient)).unwrap();
        let mut writer = encryptor.wrap_output(File::create(path).unwrap()).unwrap();
        writer.write_all(inside).unwrap();
        writer.finish().unwrap();
    }

    fn read(path: &Path, words: &Words) -> Result<usize, ApiError> {
        let mut count = 0;
        for item in Reader::open(path, words)? {
            item.map_err(|failed| match failed {
                Failed::Reading(error) => error,
                Failed::Making(_) => unreachable!("nothing is made"),
            })?;
            count += 1;
        }
        Ok(count)
    }

    fn write(path: &Path, items: usize) {
        let mut writer = Writer::create(path, &words(1)).unwrap();
        (0..items).for_each(|_| writer.item(&item()).unwrap());
        writer.finish().unwrap();
    }

    #[test]
    fn what_is_written_is_read_with_the_words_of_the_account_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.age");
        write(&path, 1_000);
        assert_eq!(read(&path, &words(1)).unwrap(), 1_000);
        assert!(read(&path, &words(2)).unwrap_err().is(Reason::BackupOfOtherAccount));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn nothing_is_written_over_and_nothing_unfinished_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.age");
        fs::write(&path, b"mine").unwrap();
        assert!(Writer::create(&path, &words(1)).err().unwrap().is(Reason::FileExists));
        fs::remove_file(&path).unwrap();
        let mut late = Writer::create(&path, &words(1)).unwrap();
        late.item(&item()).unwrap();
        assert!(!path.exists());
        fs::write(&path, b"came meanwhile").unwrap();
        assert!(late.finish().unwrap_err().is(Reason::FileExists));
        assert_eq!(fs::read(&path).unwrap(), b"came meanwhile");
        drop(Writer::create(&dir.path().join("other.age"), &words(1)).unwrap());
        // What a process that was killed left behind goes with the next; what is being written does not.
        let left = dir.path().join("other.age.moim-part");
        fs::write(&left, vec![7; 100_000]).unwrap();
        let writing = Writer::create(&dir.path().join("other.age"), &words(1)).unwrap();
        assert!(fs::metadata(&left).unwrap().len() < 1_000);
        let second = Writer::create(&dir.path().join("other.age"), &words(1));
        assert!(second.err().unwrap().is(Reason::BackupUnderWay));
        assert!(left.exists());
        drop(writing);
        // A whole one that was killed between its name and the end of this one.
        write(&path.with_extension("whole"), 3);
        fs::hard_link(path.with_extension("whole"), &left).unwrap();
        drop(Writer::create(&dir.path().join("other.age"), &words(1)).unwrap());
        assert_eq!(read(&path.with_extension("whole"), &words(1)).unwrap(), 3);
        fs::remove_file(path.with_extension("whole")).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let nowhere = Writer::create(&dir.path().join("no/such/folder"), &words(1));
        assert!(nowhere.err().unwrap().is(Reason::File));
    }

    #[test]
    fn a_file_cut_short_anywhere_or_changed_is_damaged_and_never_half_a_backup() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.age");
        // More than one chunk of age's, so that a cut may fall between two.
        write(&path, 1_400);
        let whole = fs::read(&path).unwrap();
        assert!(whole.len() > 3 * 65_536, "{}", whole.len());
        let header = whole.windows(4).position(|part| part == b"\n---").unwrap();
        let payload = header + 1 + whole[header + 1..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let chunk = 65_536 + 16;
        let cuts = [payload + 16 + chunk, payload + 16 + 2 * chunk, whole.len() - 1, whole.len() - 16, payload + 100];
        for cut in cuts {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(read(&path, &words(1)).unwrap_err().is(Reason::BackupDamaged), "{cut}");
        }
        for cut in [0, 10, header, payload - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(read(&path, &words(1)).unwrap_err().is(Reason::NotABackup), "{cut}");
        }
        for at in [payload + 20, payload + chunk, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(read(&path, &words(1)).unwrap_err().is(Reason::BackupDamaged), "{at}");
        }
    }

    #[test]
    fn what_is_no_backup_is_said_to_be_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        let reason = |inside: &[u8]| {
            sealed(&path, inside);
            read(&path, &words(1)).unwrap_err()
        };
        assert!(reason(b"").is(Reason::BackupDamaged));
        assert!(reason(b"somebody's diary").is(Reason::NotABackup));
        assert!(reason(b"moim backup 2\nwho knows").is(Reason::BackupNewer));
        assert!(reason(&[MAGIC, &8u32.to_be_bytes(), b"nonsense"].concat()).is(Reason::BackupDamaged));
        fs::write(&path, b"not age at all").unwrap();
        assert!(read(&path, &words(1)).unwrap_err().is(Reason::NotABackup));
        assert!(read(&dir.path().join("nothing"), &words(1)).unwrap_err().is(Reason::File));
        let empty = [MAGIC].concat();
        sealed(&path, &empty);
        assert_eq!(
            read(&path, &words(1)).unwrap(),
            0,
            "whole, with nothing in it: whoever restores it finds no beginning"
        );
    }

    #[test]
    fn a_file_that_asks_for_more_than_any_backup_needs_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        // An item of four gigabytes.
        sealed(&path, &[MAGIC, &u32::MAX.to_be_bytes(), b"x"].concat());
        assert!(read(&path, &words(1)).unwrap_err().is(Reason::BackupDamaged));
        let lengths = u32::try_from(MAX_ITEM + 1).unwrap().to_be_bytes();
        sealed(&path, &[MAGIC, &lengths, &vec![0; MAX_ITEM + 1]].concat());
        assert!(read(&path, &words(1)).unwrap_err().is(Reason::BackupDamaged));
        // A header without end: age would read it all before it can tell.
        let endless =
            [b"age-encryption.org/v1\n".to_vec(), b"-> scrypt ".to_vec(), vec![b'A'; 64 * 1024 * 1024]].concat();
        fs::write(&path, &endless).unwrap();
        assert!(read(&path, &words(1)).unwrap_err().is(Reason::NotABackup));
        let mut bounded = Bounded { file: File::open(&path).unwrap(), left: Rc::new(Cell::new(MAX_HEADER)) };
        assert_eq!(io::copy(&mut bounded, &mut io::sink()).unwrap(), MAX_HEADER, "no more of it is read");
        // A cost of a petabyte.
        let header = "age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 40\n\
            AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
        fs::write(&path, [header.as_bytes(), &[0; 64]].concat()).unwrap();
        let refused = read(&path, &words(1)).unwrap_err();
        assert!(refused.is(Reason::BackupTooCostly), "{refused:?}");
    }
}
