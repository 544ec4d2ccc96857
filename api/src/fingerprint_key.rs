//! The secrets that turn query texts into fingerprints: 32 bytes each, made once, readable by their owner alone.
//!
//! They lie apart from the data, beside the store and not in it: whoever is given the tables cannot test guesses of what was
//! asked. The store holds the names of its keys (`fingerprint-keys.json`), which tell nothing about them, so that a machine
//! with another key is refused in place of recording queries that match nothing.
//!
//! Rotation: [`KeyRing::rotate`] makes a new key and keeps the one before. As long as both are there, events carry both
//! fingerprints, and windows from before and after the rotation match. [`KeyRing::forget_previous`] ends it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemark_lake::object_store::path::Path as ObjectPath;
use tidemark_lake::object_store::{self, ObjectStore, ObjectStoreExt};
use tidemark_schema::{FingerprintKey, FingerprintKeys};

/// Where the key is taken from when the environment has it, as 64 hexadecimal digits: one key for several machines.
pub const VARIABLE: &str = "TIDEMARK_FINGERPRINT_KEY";
/// The same for the key before, while keys are rotated.
pub const PREVIOUS_VARIABLE: &str = "TIDEMARK_PREVIOUS_FINGERPRINT_KEY";

const CURRENT_FILE: &str = "fingerprint.key";
const PREVIOUS_FILE: &str = "fingerprint-previous.key";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The environment has something else in its place.
    #[error("{0} is not 64 hexadecimal digits")]
    Variable(&'static str),
    /// The file has something else in it.
    #[error("{} does not hold 64 hexadecimal digits", .0.display())]
    Content(PathBuf),
    /// The file could not be read or made.
    #[error("the fingerprint key in {} could not be read or made", path.display())]
    File {
        /// Where it lies.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store was recorded with another key.
    #[error("the key in {} is {found}, and the store was recorded with {}", folder.display(), known.join(" and "))]
    Other {
        /// Where the key lies.
        folder: PathBuf,
        /// Its name.
        found: String,
        /// The names of the store's keys.
        known: Vec<String>,
    },
    /// The store has a key, and it is not on this machine.
    #[error("the store was recorded with the fingerprint key {}, and there is none in {}", known.join(" and "), folder.display())]
    Missing {
        /// Where it should lie.
        folder: PathBuf,
        /// The names of the store's keys.
        known: Vec<String>,
    },
    /// The names of the keys could not be read from the store or written into it.
    #[error("the names of the store's fingerprint keys could not be read or written")]
    Names(#[source] object_store::Error),
    /// The key comes from the environment, so its files are not what is used.
    #[error("the key comes from {VARIABLE}, which a rotation cannot change")]
    FromEnvironment,
    /// A rotation is under way already.
    #[error("the keys are being rotated already")]
    Rotating,
    /// No rotation is under way.
    #[error("no rotation is under way: there is no previous key")]
    NotRotating,
}

impl Error {
    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Variable(_) => {
                "use the output of `openssl rand -hex 32`, the same on every machine that records for this store"
            }
            Self::Content(_) => {
                "restore the file from a backup: with another key, queries no longer match their history"
            }
            Self::File { .. } => "check that the directory exists and can be written by this user",
            Self::Other { .. } | Self::Missing { .. } => {
                "copy the key from where the store was recorded, or name its directory with --keys (TIDEMARK_KEYS); \
                 with another key, queries no longer match their history"
            }
            Self::Names(_) => "check that the store can be reached and written",
            Self::FromEnvironment => {
                "put the present key into TIDEMARK_PREVIOUS_FINGERPRINT_KEY and a new one into TIDEMARK_FINGERPRINT_KEY"
            }
            Self::Rotating => "end it with `tidemark key forget-previous` once no comparison reaches back before it",
            Self::NotRotating => "begin one with `tidemark key rotate`",
        }
    }
}

/// The names of all keys that a store was recorded with, newest last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Names {
    keys: Vec<String>,
}

/// The keys of a store on this machine.
#[derive(Debug, Clone)]
pub struct KeyRing {
    folder: PathBuf,
    objects: Arc<dyn ObjectStore>,
    names: ObjectPath,
}

impl KeyRing {
    /// The keys in a folder, for the store under a prefix.
    pub fn new(folder: PathBuf, objects: Arc<dyn ObjectStore>, prefix: &ObjectPath) -> Self {
        Self { folder, objects, names: prefix.clone().join("fingerprint-keys.json") }
    }

    /// Where they lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The keys: from the environment, from their files, or a new one if the store has none yet.
    pub async fn load_or_create(&self) -> Result<FingerprintKeys, Error> {
        let mut names = self.read_names().await?;
        let current = match (from_environment(VARIABLE)?, read(&self.folder.join(CURRENT_FILE))?) {
            (Some(key), _) | (None, Some(key)) => key,
            (None, None) if names.keys.is_empty() => create(&self.folder, CURRENT_FILE)?,
            (None, None) => return Err(Error::Missing { folder: self.folder.clone(), known: names.keys }),
        };
        if names.keys.is_empty() {
            names.keys.push(current.id());
            self.write_names(&names).await?;
        } else if !names.keys.contains(&current.id()) {
            return Err(Error::Other { folder: self.folder.clone(), found: current.id(), known: names.keys });
        }
        let previous = match from_environment(PREVIOUS_VARIABLE)? {
            Some(key) => Some(key),
            None => read(&self.folder.join(PREVIOUS_FILE))?,
        };
        Ok(FingerprintKeys { current, previous })
    }

    /// Makes a new key; the one in force becomes the previous one.
    pub async fn rotate(&self) -> Result<FingerprintKeys, Error> {
        if from_environment(VARIABLE)?.is_some() {
            return Err(Error::FromEnvironment);
        }
        let keys = self.load_or_create().await?;
        if keys.previous.is_some() {
            return Err(Error::Rotating);
        }
        let (current, previous) = (self.folder.join(CURRENT_FILE), self.folder.join(PREVIOUS_FILE));
        let failed = |source| Error::File { path: current.clone(), source };
        let made = create(&self.folder, "fingerprint-next.key")?;
        let mut names = self.read_names().await?;
        names.keys.push(made.id());
        self.write_names(&names).await?;
        // A crash between the two leaves a previous key and no current one, which the next start refuses by name.
        std::fs::rename(&current, &previous).map_err(failed)?;
        std::fs::rename(self.folder.join("fingerprint-next.key"), &current).map_err(failed)?;
        self.load_or_create().await
    }

    /// Ends a rotation: from now on events carry one fingerprint.
    pub fn forget_previous(&self) -> Result<(), Error> {
        let path = self.folder.join(PREVIOUS_FILE);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::NotRotating),
            result => result.map_err(|source| Error::File { path, source }),
        }
    }

    async fn read_names(&self) -> Result<Names, Error> {
        match self.objects.get(&self.names).await {
            Ok(found) => {
                let bytes = found.bytes().await.map_err(Error::Names)?;
                serde_json::from_slice(&bytes).map_err(|source| {
                    Error::Names(object_store::Error::Generic { store: "fingerprint-keys.json", source: source.into() })
                })
            }
            Err(object_store::Error::NotFound { .. }) => Ok(Names::default()),
            Err(error) => Err(Error::Names(error)),
        }
    }

    async fn write_names(&self, names: &Names) -> Result<(), Error> {
        // Serialising a list of texts cannot fail.
        let json = serde_json::to_vec(names).unwrap_or_default();
        self.objects.put(&self.names, json.into()).await.map(|_| ()).map_err(Error::Names)
    }
}

fn from_environment(variable: &'static str) -> Result<Option<FingerprintKey>, Error> {
    std::env::var(variable).ok().map(|digits| parse(&digits).ok_or(Error::Variable(variable))).transpose()
}

fn read(path: &Path) -> Result<Option<FingerprintKey>, Error> {
    match std::fs::read_to_string(path) {
        Ok(digits) => parse(digits.trim()).map(Some).ok_or_else(|| Error::Content(path.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { path: path.to_owned(), source }),
    }
}

/// Makes a key, or takes the one that another process made in the meantime.
fn create(folder: &Path, name: &str) -> Result<FingerprintKey, Error> {
    let path = folder.join(name);
    let failed = |source| Error::File { path: path.clone(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| failed(std::io::Error::other(error)))?;
    let digits = secret.iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let made = options.open(&path).and_then(|mut file| {
        file.write_all(digits.as_bytes())?;
        file.sync_all()
    });
    match made {
        Ok(()) => Ok(FingerprintKey::new(secret)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            read(&path)?.ok_or_else(|| Error::Content(path.clone()))
        }
        Err(source) => Err(failed(source)),
    }
}

fn parse(digits: &str) -> Option<FingerprintKey> {
    if digits.len() != 64 {
        return None;
    }
    let mut secret = [0; 32];
    for (byte, pair) in secret.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(FingerprintKey::new(secret))
}

#[cfg(test)]
mod tests {
    use tidemark_lake::object_store::memory::InMemory;

    use super::*;

    fn ring() -> (tempfile::TempDir, KeyRing) {
        let folder = tempfile::tempdir().unwrap();
        let ring = KeyRing::new(folder.path().to_owned(), Arc::new(InMemory::new()), &ObjectPath::from("store"));
        (folder, ring)
    }

    #[tokio::test]
    async fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let (folder, ring) = ring();
        let first = ring.load_or_create().await.unwrap().current.fingerprint("x");
        assert_eq!(ring.load_or_create().await.unwrap().current.fingerprint("x"), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(folder.path().join(CURRENT_FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn a_damaged_a_lost_and_another_key_are_errors_and_not_a_new_key() {
        let (folder, ring) = ring();
        ring.load_or_create().await.unwrap();
        let path = folder.path().join(CURRENT_FILE);
        std::fs::write(&path, "abc").unwrap();
        assert!(matches!(ring.load_or_create().await, Err(Error::Content(_))));
        std::fs::write(&path, "00".repeat(32)).unwrap();
        assert!(matches!(ring.load_or_create().await, Err(Error::Other { .. })));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(ring.load_or_create().await, Err(Error::Missing { .. })));
    }

    #[tokio::test]
    async fn while_keys_are_rotated_both_are_there_and_afterwards_one() {
        let (_folder, ring) = ring();
        let before = ring.load_or_create().await.unwrap();
        let during = ring.rotate().await.unwrap();
        assert_ne!(during.current.id(), before.current.id());
        assert_eq!(during.previous.map(|key| key.id()), Some(before.current.id()));
        assert!(matches!(ring.rotate().await, Err(Error::Rotating)));
        ring.forget_previous().unwrap();
        let after = ring.load_or_create().await.unwrap();
        assert!(after.previous.is_none() && after.current.id() == during.current.id());
        assert!(matches!(ring.forget_previous(), Err(Error::NotRotating)));
    }

    #[test]
    fn a_secret_is_64_hexadecimal_digits() {
        assert!(parse(&"0f".repeat(32)).is_some());
        assert!(parse(&"0g".repeat(32)).is_none() && parse(&"0f".repeat(31)).is_none() && parse("").is_none());
    }
}
