//! The secret that turns query texts into fingerprints: 32 bytes, made once, readable by its owner alone.

use std::io::Write;
use std::path::{Path, PathBuf};

use tidemark_schema::FingerprintKey;

/// Where the key is taken from when the environment has it, as 64 hexadecimal digits: one key for several machines.
pub const VARIABLE: &str = "TIDEMARK_FINGERPRINT_KEY";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The environment has something else in its place.
    #[error("{VARIABLE} is not 64 hexadecimal digits")]
    Variable,
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
}

impl Error {
    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Variable => {
                "use the output of `openssl rand -hex 32`, the same on every machine that records for this store"
            }
            Self::Content(_) => {
                "restore the file from a backup: with another key, queries no longer match their history"
            }
            Self::File { .. } => "check that the directory exists and can be written by this user",
        }
    }
}

/// The key of a store on this machine: from the environment, from its file, or a new one.
pub fn load_or_create(state: &Path) -> Result<FingerprintKey, Error> {
    if let Ok(digits) = std::env::var(VARIABLE) {
        return parse(&digits).ok_or(Error::Variable);
    }
    let path = state.join("fingerprint.key");
    let failed = |source| Error::File { path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(digits) => parse(digits.trim()).ok_or_else(|| Error::Content(path.clone())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(state, &path).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

fn create(state: &Path, path: &Path) -> std::io::Result<FingerprintKey> {
    std::fs::create_dir_all(state)?;
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(std::io::Error::other)?;
    let digits = secret.iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(mut file) => {
            file.write_all(digits.as_bytes())?;
            file.sync_all()?;
            Ok(FingerprintKey::new(secret))
        }
        // Another process made it in the meantime.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            parse(std::fs::read_to_string(path)?.trim()).ok_or_else(|| std::io::Error::other("it is not a key"))
        }
        Err(error) => Err(error),
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
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let state = tempfile::tempdir().unwrap();
        let first = load_or_create(state.path()).unwrap().fingerprint("x");
        assert_eq!(load_or_create(state.path()).unwrap().fingerprint("x"), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(state.path().join("fingerprint.key")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_key_is_an_error_and_not_a_new_key() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("fingerprint.key"), "abc").unwrap();
        assert!(matches!(load_or_create(state.path()), Err(Error::Content(_))));
    }
}
