//! A home: the folder of one account's device, for its owner only, used by one process at a time.
//!
//! | entry | what it is |
//! |---|---|
//! | `keyslots` | root key and account entropy under the passphrase, rotating keys under the root; there once the home is whole |
//! | `lock` | held by the process that has the home open |
//! | `store/` | sled: encrypted rows |
//! | `ballast` | room kept aside for a full disk |
//! | `tally` | how many commits were durable, so that an older store is noticed |
//! | `creating` | there while a home is being made |
//! | `config.toml`, `api.sock`, `blobs/`, `testnet/` | other modules' |
//!
//! The node opens a home and takes its store; the command line makes one.

use crate::protocol::crypto::secret::Secret;
use crate::store::{
    SledStore, StoreError, files,
    keyslots::{Cost, Keyslots, Passphrase, Purpose, random},
    mark,
    rings::{Ring, SlotFile},
};
use std::{
    fmt,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// How long a lock may be somebody's who has just let go: a process that is ending, or a child of this one between fork
/// and exec, which shares our files for that moment.
const LOCK_WAIT: Duration = Duration::from_millis(300);

/// An open home. Nobody else can open it while this, its store or a reader of it lives.
pub struct Home {
    dir: PathBuf,
    lock: Arc<File>,
    keyslots: Arc<SlotFile>,
    root: Secret,
}

/// A home could not be made, opened or changed. Each says what happened and what to do.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Nothing of moim's is in that folder.
    #[error("there is no moim home in {}: make one with `moim init`", .0.display())]
    NoHome(PathBuf),
    /// Making it was interrupted; it holds nothing yet.
    #[error("the home in {} was not finished: run `moim init` again", .0.display())]
    HalfMade(PathBuf),
    /// There is a home already.
    #[error("there is a moim home in {} already: choose another folder with --home", .0.display())]
    Exists(PathBuf),
    /// The folder is somebody else's.
    #[error("{} holds other files: choose an empty folder", .0.display())]
    NotEmpty(PathBuf),
    /// Another process has it.
    #[error("another moim process has the home in {} open: stop it first, or talk to it", .0.display())]
    Locked(PathBuf),
    /// It is closed with a passphrase and none was given.
    #[error("this home needs its passphrase")]
    NeedsPassphrase,
    /// The passphrase does not open it.
    #[error("this is not the passphrase of this home")]
    WrongPassphrase,
    /// A file of the home is not what was written.
    #[error("the home is damaged ({0}): put back a copy of it, or restore from the words or a backup")]
    Damaged(&'static str),
    /// A newer moim wrote it.
    #[error("keyslots has format {found} and this moim knows up to {known}: use a newer moim")]
    Newer {
        /// The format found.
        found: u16,
        /// The newest format this program knows.
        known: u16,
    },
    /// No room.
    #[error("the disk is full: free some space and try again")]
    Full,
    /// The system gave no random bytes.
    #[error("the system gives no randomness: no key can be made")]
    NoRandomness,
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store inside.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for HomeError {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Full) { Self::Full } else { Self::Store(error) }
    }
}

impl Home {
    /// Makes a home in a folder that is not there, is empty, or holds a home that was not finished. Without a passphrase
    /// whoever reads the folder reads everything. Kept whole or not at all: after a crash it is made again from the start.
    pub fn create(dir: &Path, passphrase: Option<&Passphrase>, cost: Cost) -> Result<Self, HomeError> {
        let (home, ()) = Self::make(dir, passphrase, cost, None, |_| Ok::<_, HomeError>(()))?;
        Ok(home)
    }

    /// As [`create`](Self::create), with an account in it: the entropy of its words in their slot, and in the store what
    /// `fill` commits. All of it is there from the moment the home is.
    pub fn create_for<T, E: From<HomeError>>(
        dir: &Path,
        passphrase: Option<&Passphrase>,
        cost: Cost,
        entropy: &Secret,
        fill: impl FnOnce(&mut SledStore) -> Result<T, E>,
    ) -> Result<T, E> {
        let (_, filled) = Self::make(dir, passphrase, cost, Some(entropy), fill)?;
        Ok(filled)
    }

    fn make<T, E: From<HomeError>>(
        dir: &Path,
        passphrase: Option<&Passphrase>,
        cost: Cost,
        entropy: Option<&Secret>,
        fill: impl FnOnce(&mut SledStore) -> Result<T, E>,
    ) -> Result<(Self, T), E> {
        check_free(dir)?;
        let is_new = !dir.exists();
        files::private_dir(dir).map_err(|error| HomeError::io(dir, error))?;
        let lock = lock(dir)?;
        check_free(dir)?;
        let creating = dir.join("creating");
        clear_half_made(dir)?;
        files::replace(&creating, b"").map_err(|error| HomeError::io(&creating, error))?;

        let root = Secret::from(*Zeroizing::new(random()?));
        let mut keyslots = Keyslots::new()?;
        keyslots.set(Purpose::Root, &root, passphrase, cost)?;
        if let Some(entropy) = entropy {
            keyslots.set(Purpose::Account, entropy, passphrase, cost)?;
        }
        for purpose in [Purpose::State, Purpose::Cells] {
            keyslots.set_ring(purpose, &Ring::new()?, &root)?;
        }
        let keyslots = Arc::new(SlotFile::new(dir.join("keyslots"), keyslots));
        let mut store =
            SledStore::open(dir, &root, Arc::clone(&keyslots), Arc::clone(&lock)).map_err(HomeError::from)?;
        let filled = fill(&mut store);
        drop(store);
        let filled = filled.inspect_err(|_| {
            forget_begun(dir);
            if is_new {
                // Unless something else has come to be in it.
                let _ = remove(&dir.join("lock")).map(|()| fs::remove_dir(dir));
            }
        })?;
        // Without its keys the home is half made: this is the moment from which it is whole.
        keyslots.change(|_| Ok(()))?;
        finish(dir)?;
        Ok((Self { dir: dir.to_path_buf(), lock, keyslots, root }, filled))
    }

    /// Opens a home. A passphrase that is given to a home without one is not looked at.
    pub fn open(dir: &Path, passphrase: Option<&Passphrase>) -> Result<Self, HomeError> {
        // Who has the home is found out before a second is spent on the passphrase, and a wrong passphrase never keeps the
        // owner's own process out: the lock is taken for good only by one who can open.
        Self::check_free(dir)?;
        let before = slots_of(dir)?;
        let mut root = root_of(&before, passphrase)?;
        let lock = lock(dir)?;
        check_whole(dir)?;
        files::private_dir(dir).map_err(|error| HomeError::io(dir, error))?;
        let keyslots = slots_of(dir)?;
        if !keyslots.has_same(Purpose::Root, &before) {
            // Another process changed the passphrase in between.
            root = root_of(&keyslots, passphrase)?;
        }
        finish(dir)?;
        let keyslots = Arc::new(SlotFile::new(dir.join("keyslots"), keyslots));
        Ok(Self { dir: dir.to_path_buf(), lock, keyslots, root })
    }

    /// Waits a moment for a process that is ending, and fails where another has the home: to be asked before a person is
    /// asked for the passphrase. It may be taken right after; [`Home::open`] looks again.
    pub fn check_free(dir: &Path) -> Result<(), HomeError> {
        check_whole(dir)?;
        wait_until_free(dir)
    }

    /// Fails where a home cannot be made: to be asked before a person chooses a passphrase. [`Home::create`] looks again.
    pub fn check_new(dir: &Path) -> Result<(), HomeError> {
        check_free(dir)
    }

    /// Whether a home asks for a passphrase. Its lock is not needed: the file is only ever replaced whole.
    pub fn is_locked(dir: &Path) -> Result<bool, HomeError> {
        Ok(slots_of(dir)?.is_locked(Purpose::Root))
    }

    /// As [`account_secret`](Self::account_secret), of a home that another process may have open.
    pub fn read_account_secret(dir: &Path, passphrase: Option<&Passphrase>) -> Result<Option<Secret>, HomeError> {
        slots_of(dir)?.secret(Purpose::Account, passphrase)
    }

    /// Opens the store. There is one writer: while the last one or a reader of it lives, this is
    /// [`StoreError::InUse`].
    pub fn store(&self) -> Result<SledStore, StoreError> {
        if Arc::strong_count(&self.lock) > 1 {
            return Err(StoreError::InUse);
        }
        SledStore::open(&self.dir, &self.root, Arc::clone(&self.keyslots), Arc::clone(&self.lock))
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Puts another passphrase, or none, in place of the present one, which must be given. What was written under the old
    /// one may stay on the disk's free blocks: who has those and the old passphrase still opens them.
    pub fn change_passphrase(
        &mut self,
        old: Option<&Passphrase>,
        new: Option<&Passphrase>,
        cost: Cost,
    ) -> Result<(), HomeError> {
        let held = self.keyslots.read(|slots| slots.secret(Purpose::Root, old))?;
        let root = held.ok_or(HomeError::Damaged("keyslots has no root key"))?;
        let account = self.keyslots.read(|slots| slots.secret(Purpose::Account, old))?;
        self.keyslots.change(|keyslots| {
            keyslots.set(Purpose::Root, &root, new, cost)?;
            match &account {
                Some(account) => keyslots.set(Purpose::Account, account, new, cost),
                None => Ok(()),
            }
        })
    }

    /// Keeps the entropy of the account's words, durably, in a slot of its own under the passphrase of the home: an open
    /// home does not hold it, so using the account key asks for the passphrase again.
    pub fn keep_account_secret(
        &mut self,
        entropy: &Secret,
        passphrase: Option<&Passphrase>,
        cost: Cost,
    ) -> Result<(), HomeError> {
        // Proves that it is the passphrase of this home: two different ones could not be changed together.
        self.keyslots.read(|slots| slots.secret(Purpose::Root, passphrase))?;
        let passphrase = passphrase.filter(|_| self.keyslots.read(|slots| slots.is_locked(Purpose::Root)));
        self.keyslots.change(|keyslots| keyslots.set(Purpose::Account, entropy, passphrase, cost))
    }

    /// The entropy of the account's words; `None` on a device that does not hold the account key.
    pub fn account_secret(&self, passphrase: Option<&Passphrase>) -> Result<Option<Secret>, HomeError> {
        self.keyslots.read(|slots| slots.secret(Purpose::Account, passphrase))
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Home({})", self.dir.display())
    }
}

impl HomeError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        if files::is_full(&source) { Self::Full } else { Self::Io { path: path.to_path_buf(), source } }
    }
}

/// What is in a folder, as far as its names tell.
enum Found {
    Nothing,
    OtherFiles,
    HalfMade,
    /// A store whose keys are gone. Never made anew over: the keys may come back.
    WithoutKeys,
    Home,
}

fn look(dir: &Path) -> Result<Found, HomeError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(HomeError::io(dir, error)),
    };
    let mut found = Found::Nothing;
    let has = |name: &str| dir.join(name).exists();
    if has("keyslots") {
        return Ok(Found::Home);
    }
    if has("creating") {
        return Ok(Found::HalfMade);
    }
    if has("store") && has("lock") {
        return Ok(Found::WithoutKeys);
    }
    for entry in entries {
        let name = entry.map_err(|error| HomeError::io(dir, error))?.file_name();
        // A configuration may be written, a testnet run before the home is made. `creating.new` is the first thing a crash can
        // leave; `config.toml.…` is what one leaves of a configuration that was not finished.
        let of_configuration = name.to_string_lossy().starts_with("config.toml");
        if !of_configuration && !["lock", "creating.new", "testnet"].iter().any(|own| name == *own) {
            found = Found::OtherFiles;
        }
    }
    Ok(found)
}

fn slots_of(dir: &Path) -> Result<Keyslots, HomeError> {
    check_whole(dir)?;
    Keyslots::load(&dir.join("keyslots"))?.ok_or_else(|| HomeError::NoHome(dir.to_path_buf()))
}

fn check_free(dir: &Path) -> Result<(), HomeError> {
    match look(dir)? {
        Found::Nothing | Found::HalfMade => Ok(()),
        Found::OtherFiles => Err(HomeError::NotEmpty(dir.to_path_buf())),
        Found::WithoutKeys => Err(HomeError::Damaged("keyslots is missing")),
        Found::Home => Err(HomeError::Exists(dir.to_path_buf())),
    }
}

fn check_whole(dir: &Path) -> Result<(), HomeError> {
    match look(dir)? {
        Found::Nothing | Found::OtherFiles => Err(HomeError::NoHome(dir.to_path_buf())),
        Found::HalfMade => Err(HomeError::HalfMade(dir.to_path_buf())),
        Found::WithoutKeys => Err(HomeError::Damaged("keyslots is missing")),
        Found::Home => Ok(()),
    }
}

fn root_of(keyslots: &Keyslots, passphrase: Option<&Passphrase>) -> Result<Secret, HomeError> {
    keyslots.secret(Purpose::Root, passphrase)?.ok_or(HomeError::Damaged("keyslots has no root key"))
}

fn lock(dir: &Path) -> Result<Arc<File>, HomeError> {
    locked(dir, File::try_lock).map(Arc::new)
}

/// Looks whether another process has the home, without keeping others out who look too.
fn wait_until_free(dir: &Path) -> Result<(), HomeError> {
    locked(dir, File::try_lock_shared).map(drop)
}

fn locked(dir: &Path, try_lock: fn(&File) -> Result<(), TryLockError>) -> Result<File, HomeError> {
    let path = dir.join("lock");
    let file = files::private_file(&path).map_err(|error| HomeError::io(&path, error))?;
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match try_lock(&file) {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::WouldBlock) => return Err(HomeError::Locked(dir.to_path_buf())),
            Err(TryLockError::Error(error)) => return Err(HomeError::io(&path, error)),
        }
    }
}

/// Removes what an interrupted `create` left. Its keys were never kept, so nothing in it can be read again.
fn clear_half_made(dir: &Path) -> Result<(), HomeError> {
    let store = dir.join("store");
    match fs::remove_dir_all(&store) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(HomeError::io(&store, error)),
        _ => {}
    }
    for name in ["ballast", "tally", mark::FILE, "keyslots.new", "creating.new"] {
        remove(&dir.join(name))?;
    }
    Ok(())
}

/// What was to be in the home could not be had: takes away what was begun. Whatever stays is cleared when a home is made.
fn forget_begun(dir: &Path) {
    let _ = clear_half_made(dir).and_then(|()| remove(&dir.join("creating")));
}

/// The home is whole: takes away the mark that it is being made, durably.
fn finish(dir: &Path) -> Result<(), HomeError> {
    if !dir.join("creating").exists() {
        return Ok(());
    }
    remove(&dir.join("creating"))?;
    files::sync_dir(dir).map_err(|error| HomeError::io(dir, error))?;
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Some parents cannot be opened for reading; the home itself is durable already.
    let _ = files::sync_dir(parent);
    Ok(())
}

fn remove(path: &Path) -> Result<(), HomeError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(HomeError::io(path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::view::{Key, Table, View, Write};
    use crate::store::Store;

    fn word(text: &str) -> Option<Passphrase> {
        Passphrase::new(text)
    }

    fn make(dir: &Path, passphrase: Option<&Passphrase>) -> Home {
        Home::create(dir, passphrase, Cost::FOR_TESTS).unwrap()
    }

    #[test]
    fn a_home_opens_with_its_passphrase_only() {
        let dir = tempfile::tempdir().unwrap();
        drop(make(dir.path(), word("right").as_ref()));
        assert!(matches!(Home::open(dir.path(), None), Err(HomeError::NeedsPassphrase)));
        assert!(matches!(Home::open(dir.path(), word("wrong").as_ref()), Err(HomeError::WrongPassphrase)));
        Home::open(dir.path(), word("right").as_ref()).unwrap();
    }

    #[test]
    fn a_home_without_a_passphrase_opens_and_keeps_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let key = Key::named(Table::Own, b"", b"name");
        let home = make(dir.path(), None);
        let mut store = home.store().unwrap();
        store.stage(vec![Write::Put(key.clone(), b"value".to_vec())]).unwrap();
        store.commit().unwrap();
        drop((store, home));
        let store = Home::open(dir.path(), None).unwrap().store().unwrap();
        assert_eq!(store.row(&key).unwrap(), Some(b"value".to_vec()));
    }

    #[test]
    fn two_processes_cannot_have_one_home() {
        let dir = tempfile::tempdir().unwrap();
        let home = make(dir.path(), None);
        assert!(matches!(Home::open(dir.path(), None), Err(HomeError::Locked(_))));
        let reader = home.store().unwrap().reader();
        assert!(matches!(home.store(), Err(StoreError::InUse)));
        drop(home);
        assert!(matches!(Home::open(dir.path(), None), Err(HomeError::Locked(_))), "a reader keeps it locked");
        drop(reader);
        Home::open(dir.path(), None).unwrap();
    }

    #[test]
    fn a_home_in_use_is_found_out_before_the_passphrase_is_tried_and_a_wrong_one_keeps_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let home = make(dir.path(), word("right").as_ref());
        for passphrase in [None, word("wrong"), word("right")] {
            let opened = Home::open(dir.path(), passphrase.as_ref());
            assert!(matches!(opened, Err(HomeError::Locked(_))), "{opened:?}");
        }
        drop(home);
        // Somebody who only looks, or guesses, holds the lock shared at the most.
        let guessing = locked(dir.path(), File::try_lock_shared).unwrap();
        assert!(matches!(Home::open(dir.path(), word("wrong").as_ref()), Err(HomeError::WrongPassphrase)));
        drop(guessing);
        Home::open(dir.path(), word("right").as_ref()).unwrap();
    }

    #[test]
    fn a_home_is_never_made_over_another_nor_among_other_files() {
        let dir = tempfile::tempdir().unwrap();
        drop(make(dir.path(), None));
        assert!(matches!(Home::create(dir.path(), None, Cost::FOR_TESTS), Err(HomeError::Exists(_))));
        fs::remove_file(dir.path().join("keyslots")).unwrap();
        assert!(matches!(Home::create(dir.path(), None, Cost::FOR_TESTS), Err(HomeError::Damaged(_))));
        assert!(matches!(Home::open(dir.path(), None), Err(HomeError::Damaged(_))));

        let prepared = tempfile::tempdir().unwrap();
        for name in ["config.toml", "config.toml.123-0"] {
            fs::write(prepared.path().join(name), b"").unwrap();
        }
        drop(make(prepared.path(), None));

        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("thesis.txt"), b"mine").unwrap();
        assert!(matches!(Home::create(other.path(), None, Cost::FOR_TESTS), Err(HomeError::NotEmpty(_))));
        assert!(matches!(Home::open(other.path(), None), Err(HomeError::NoHome(_))));
        assert!(matches!(Home::open(&other.path().join("none"), None), Err(HomeError::NoHome(_))));
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1, "nothing was left in a folder of others");
    }

    #[test]
    fn a_half_made_home_is_never_taken_for_one_and_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        drop(make(dir.path(), None));
        // As a crash just before the keys were kept leaves it.
        fs::remove_file(dir.path().join("keyslots")).unwrap();
        fs::write(dir.path().join("keyslots.new"), b"half").unwrap();
        fs::write(dir.path().join("creating"), b"").unwrap();
        assert!(matches!(Home::open(dir.path(), None), Err(HomeError::HalfMade(_))));
        make(dir.path(), None).store().unwrap();
        // As a crash just after leaves it: whole.
        fs::write(dir.path().join("creating"), b"").unwrap();
        Home::open(dir.path(), None).unwrap().store().unwrap();
        assert!(!dir.path().join("creating").exists() && !dir.path().join("keyslots.new").exists());
    }

    #[test]
    fn a_home_for_an_account_has_words_and_rows_from_the_moment_it_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let (word, entropy) = (word("word"), Secret::from([9; 32]));
        let key = Key::named(Table::Own, b"", b"name");
        let filled_with = |dir: &Path, value: Vec<u8>| {
            Home::create_for(dir, word.as_ref(), Cost::FOR_TESTS, &entropy, |store| {
                store.stage(vec![Write::Put(key.clone(), value)])?;
                Ok::<_, HomeError>(store.commit()?)
            })
        };
        assert!(filled_with(dir.path(), vec![0; crate::store::MAX_ROW + 1]).is_err());
        assert!(matches!(Home::open(dir.path(), None), Err(HomeError::NoHome(_))), "a home without its rows is none");
        let new = dir.path().join("new");
        assert!(filled_with(&new, vec![0; crate::store::MAX_ROW + 1]).is_err());
        assert!(!new.exists(), "nothing is left of it");

        filled_with(dir.path(), b"value".to_vec()).unwrap();
        let home = Home::open(dir.path(), word.as_ref()).unwrap();
        assert_eq!(home.account_secret(word.as_ref()).unwrap(), Some(entropy.clone()));
        assert_eq!(home.store().unwrap().row(&key).unwrap(), Some(b"value".to_vec()));
    }

    #[test]
    fn a_changed_passphrase_opens_root_and_account_and_the_old_one_neither() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (word("old"), word("new"));
        let mut home = make(dir.path(), old.as_ref());
        let entropy = Secret::from([9; 32]);
        let stranger = home.keep_account_secret(&entropy, new.as_ref(), Cost::FOR_TESTS);
        assert!(matches!(stranger, Err(HomeError::WrongPassphrase)));
        home.keep_account_secret(&entropy, old.as_ref(), Cost::FOR_TESTS).unwrap();
        let refused = home.change_passphrase(new.as_ref(), new.as_ref(), Cost::FOR_TESTS);
        assert!(matches!(refused, Err(HomeError::WrongPassphrase)));
        home.change_passphrase(old.as_ref(), new.as_ref(), Cost::FOR_TESTS).unwrap();
        drop(home);
        assert!(matches!(Home::open(dir.path(), old.as_ref()), Err(HomeError::WrongPassphrase)));
        let home = Home::open(dir.path(), new.as_ref()).unwrap();
        assert!(matches!(home.account_secret(None), Err(HomeError::NeedsPassphrase)));
        assert!(matches!(home.account_secret(old.as_ref()), Err(HomeError::WrongPassphrase)));
        assert_eq!(home.account_secret(new.as_ref()).unwrap(), Some(entropy));
        home.store().unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_anything_in_a_home() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("home");
        let home = make(&path, None);
        let _store = home.store().unwrap();
        let mut folders = vec![path];
        while let Some(folder) = folders.pop() {
            assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700, "{folder:?}");
            for entry in fs::read_dir(&folder).unwrap() {
                let entry = entry.unwrap().path();
                if entry.is_dir() {
                    folders.push(entry);
                    continue;
                }
                assert_eq!(fs::metadata(&entry).unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
            }
        }
    }
}
