//! The master key: 32 random bytes from outside, in a file that its owner alone can read.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::entropy::Entropy;

/// The key that wraps all others. Debug prints nothing of it.
#[derive(Clone)]
pub struct MasterKey(pub(super) Zeroizing<[u8; 32]>);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// Why a master key could not be had; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    #[error(
        "the master key {0} does not exist; put back the file that this data was written with (without it \
         nothing personal in the log can be read), or start with an empty data folder"
    )]
    Missing(PathBuf),
    #[error("the master key {0} exists already; it is never written over, move it away first")]
    Exists(PathBuf),
    #[error("the master key {path} has mode {mode:04o}; only its owner may read it: chmod 600 {path}")]
    Mode { path: PathBuf, mode: u32 },
    #[error("the master key {0} is not a regular file; LETOPIS_MASTER_KEY must name one")]
    NotAFile(PathBuf),
    #[error(
        "the master key {0} must hold exactly 64 hexadecimal digits and a line end; put back an intact copy"
    )]
    Unreadable(PathBuf),
    #[error("the master key {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
}

/// Makes a new master key at `path` with mode 0600, durable on return. It is for the first start of
/// an empty data folder and for nothing else: a new key opens nothing that another one sealed.
///
/// # Errors
/// `Exists`, or `Io`.
pub fn create_master_key(path: &Path, entropy: &dyn Entropy) -> Result<MasterKey, MasterKeyError> {
    let io = |source| MasterKeyError::Io { path: path.to_owned(), source };
    let mut key = Zeroizing::new([0; 32]);
    entropy.fill(&mut *key);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                MasterKeyError::Exists(path.to_owned())
            } else {
                io(error)
            }
        })?;
    let text = Zeroizing::new(format!("{}\n", hex::encode(*key)));
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
    Ok(MasterKey(key))
}

/// Reads the master key at `path`.
///
/// # Errors
/// Any but `Exists`: it must be a file of 64 hexadecimal digits that no group and no other can
/// read or write.
pub fn read_master_key(path: &Path) -> Result<MasterKey, MasterKeyError> {
    let io = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => MasterKeyError::Missing(path.to_owned()),
        _ => MasterKeyError::Io { path: path.to_owned(), source },
    };
    let about = std::fs::metadata(path).map_err(io)?;
    if !about.is_file() {
        return Err(MasterKeyError::NotAFile(path.to_owned()));
    }
    if about.mode() & 0o077 != 0 {
        return Err(MasterKeyError::Mode { path: path.to_owned(), mode: about.mode() & 0o7777 });
    }
    let text = Zeroizing::new(std::fs::read(path).map_err(io)?);
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim_ascii(), &mut *key)
        .map_err(|_| MasterKeyError::Unreadable(path.to_owned()))?;
    Ok(MasterKey(key))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::entropy::Seeded;

    #[test]
    fn is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("master.key");
        assert!(matches!(read_master_key(&path), Err(MasterKeyError::Missing(_))));
        let made = create_master_key(&path, &*Seeded::from(1)).expect("made");
        assert_eq!(std::fs::metadata(&path).expect("there").mode() & 0o7777, 0o600);
        assert_eq!(*read_master_key(&path).expect("read").0, *made.0);
        let again = create_master_key(&path, &*Seeded::from(2));
        assert!(matches!(again, Err(MasterKeyError::Exists(_))));
        assert_eq!(*read_master_key(&path).expect("unharmed").0, *made.0);
    }

    #[test]
    fn a_readable_or_short_file_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("master.key");
        create_master_key(&path, &*Seeded::from(1)).expect("made");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("chmod");
        let error = read_master_key(&path).expect_err("readable by the group").to_string();
        assert!(error.contains("0640") && error.contains("chmod 600"), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        std::fs::write(&path, "abcd\n").expect("written");
        assert!(matches!(read_master_key(&path), Err(MasterKeyError::Unreadable(_))));
        assert!(matches!(read_master_key(folder.path()), Err(MasterKeyError::NotAFile(_))));
    }
}
