//! Homes as commands meet them: made, opened for their words, and their configuration read.

use moim::{
    api::{
        ApiError, Reason,
        client::Socket,
        config::{Config, Key},
        types::{Identity, RestoreResult, V1, WordsResult},
    },
    archive,
    cli::{AskPassphrase, NewHome},
    node,
    protocol::identity::{Fingerprint, Words, words::WordsError},
    store::{Cost, Home, HomeError, Passphrase},
};
use std::{env, fs, io, path::Path};
use toml::Value;

/// Whether a home can be made there.
pub(crate) fn may_make(home: &Path) -> Result<(), ApiError> {
    Ok(Home::check_new(home)?)
}

/// Makes a home with a new account, or with that of given words.
pub(crate) async fn init(home: &Path, new: NewHome) -> Result<Identity, ApiError> {
    let words = match &new.words {
        Some(typed) => Words::parse(typed).map_err(|error| bad_words(&error))?,
        None => node::new_words()?,
    };
    let home = home.to_path_buf();
    let making = tokio::task::spawn_blocking(move || {
        let passphrase = chosen_passphrase(&new)?;
        node::create(&home, passphrase.as_ref(), Cost::STANDARD, &new.name, &words).map_err(ApiError::from)
    });
    let account = making.await.map_err(ApiError::internal)??;
    let fingerprint = Fingerprint::of(account.id).digits().to_owned();
    Ok(Identity { v: V1, account: account.id, name: account.name, fingerprint })
}

/// Which word is wrong is for the owner to see: it goes to the terminal it was typed at.
fn bad_words(error: &WordsError) -> ApiError {
    let mut refused = ApiError::new(Reason::BadWords);
    refused.hint = error.to_string();
    refused
}

/// The account's words, from the slot that only the passphrase opens. A running node is not asked: it does not know them.
pub(crate) async fn words(home: &Path, ask: &AskPassphrase<'_>) -> Result<WordsResult, ApiError> {
    Ok(WordsResult { v: V1, words: recovery_words(home, ask).await?.phrase().to_string() })
}

/// The same for a program.
pub(crate) async fn recovery_words(home: &Path, ask: &AskPassphrase<'_>) -> Result<Words, ApiError> {
    let passphrase = passphrase(home, ask)?;
    let dir = home.to_path_buf();
    let opening = tokio::task::spawn_blocking(move || Home::read_account_secret(&dir, passphrase.as_ref()));
    let entropy = opening.await.map_err(ApiError::internal)??.ok_or_else(|| ApiError::new(Reason::WordsNotHere))?;
    Ok(Words::from_entropy(entropy))
}

/// Makes a home of a backup.
pub(crate) async fn restore(home: &Path, file: &Path, new: NewHome) -> Result<RestoreResult, ApiError> {
    let typed = new.words.as_ref().map_or("", |words| words.as_str());
    let words = Words::parse(typed).map_err(|error| bad_words(&error))?;
    let (home, file) = (home.to_path_buf(), file.to_path_buf());
    let making = tokio::task::spawn_blocking(move || {
        let passphrase = chosen_passphrase(&new)?;
        archive::restore(&file, &words, &home, passphrase.as_ref(), Cost::STANDARD)
    });
    making.await.map_err(ApiError::internal)?
}

fn chosen_passphrase(new: &NewHome) -> Result<Option<Passphrase>, ApiError> {
    let passphrase = new.passphrase.as_ref().and_then(|typed| Passphrase::new(typed));
    if new.passphrase.is_some() && passphrase.is_none() {
        return Err(ApiError::new(Reason::EmptyPassphrase));
    }
    Ok(passphrase)
}

/// The passphrase of a home, asked for only where the home has one.
pub(crate) fn passphrase(home: &Path, ask: &AskPassphrase<'_>) -> Result<Option<Passphrase>, ApiError> {
    if !Home::is_locked(home)? {
        return Ok(None);
    }
    match Passphrase::new(&ask()?) {
        Some(passphrase) => Ok(Some(passphrase)),
        None => Err(HomeError::WrongPassphrase.into()),
    }
}

/// The same to open the home with: nobody is asked for it in vain while another process has the home.
pub(crate) fn passphrase_to_open(home: &Path, ask: &AskPassphrase<'_>) -> Result<Option<Passphrase>, ApiError> {
    if Home::is_locked(home)? {
        Home::check_free(home)?;
    }
    passphrase(home, ask)
}

/// Whether a node of this home answers.
pub(crate) async fn is_served(home: &Path) -> Result<bool, ApiError> {
    Ok(Socket::connect(home).await?.is_some())
}

/// The settings of a home: its file, the environment, and flags before both.
pub(crate) fn config(home: &Path, flags: &[(Key, Value)]) -> Result<Config, ApiError> {
    let path = home.join("config.toml");
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|error| ApiError::file(&path, &error))?,
    };
    let environment: Vec<(String, String)> = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let environment = environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Config::read(&path, &text, environment, flags.iter().cloned())
}
