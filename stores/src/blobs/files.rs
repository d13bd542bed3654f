//! Blobs as files: `<folder>/ab/cd/<name>`, by the first four digits of the name, each of mode 0600.
//!
//! A file is written beside its place, made durable, and then renamed to it; so what has a name is
//! whole, and what a killed process left half-written has none of a blob. It is swept with the rest.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use domain::Timestamp;
use uuid::Uuid;

use super::{BlobName, Blobs, LOG_ID, Names, PAGE, log_id_of};
use crate::error::{Result, StoreError};

const ENGINE: &str = "files";

/// Ends the name of a file that is not whole yet.
const UNFINISHED: &str = ".new";

/// Blobs in a folder.
#[derive(Clone, Debug)]
pub struct FileBlobs {
    folder: Arc<Path>,
    /// Tells apart what is written at once under one name.
    written: Arc<AtomicU64>,
}

impl FileBlobs {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub fn open(folder: &Path) -> Result<Self> {
        let made = make(folder).and_then(|()| match folder.parent() {
            Some(above) if !above.as_os_str().is_empty() => durable(above),
            _ => Ok(()),
        });
        made.map_err(|error| of_io(folder, &error))?;
        Ok(Self { folder: folder.into(), written: Arc::default() })
    }

    fn place(&self, name: BlobName) -> (PathBuf, PathBuf) {
        let name = name.to_string();
        let folder = self.folder.join(&name[..2]).join(&name[2..4]);
        let file = folder.join(name);
        (folder, file)
    }

    fn write(&self, name: BlobName, sealed: &[u8]) -> Result<()> {
        let (folder, file) = self.place(name);
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let new = folder.join(format!("{name}.{}-{number}{UNFINISHED}", std::process::id()));
        let written = (|| {
            if !file.try_exists()? {
                make(&folder)?;
                let mut out =
                    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
                out.write_all(sealed)?;
                out.sync_all()?;
                fs::rename(&new, &file)?;
            }
            // The names, too, down from the root; also of one that somebody put a moment ago.
            durable(&folder)?;
            folder.ancestors().skip(1).take(2).try_for_each(durable)
        })();
        written.map_err(|error| {
            // What is left of it is swept.
            let _ = fs::remove_file(&new);
            of_io(&file, &error)
        })
    }

    fn list(&self, before: SystemTime, after: Option<&str>) -> io::Result<Names> {
        let mut names = Names::default();
        for first in sorted(&self.folder)? {
            if after.is_some_and(|after| first.as_str() < after.get(..2).unwrap_or_default()) {
                continue;
            }
            let folder = self.folder.join(&first);
            for second in sorted(&folder)? {
                let digits = format!("{first}{second}");
                if after.is_some_and(|after| digits.as_str() < after.get(..4).unwrap_or_default()) {
                    continue;
                }
                let folder = folder.join(&second);
                for file in sorted(&folder)? {
                    if after.is_some_and(|after| file.as_str() <= after) {
                        continue;
                    }
                    let path = folder.join(&file);
                    // It may be deleted meanwhile.
                    let Ok(found) = fs::metadata(&path) else { continue };
                    if found.modified()? >= before {
                        continue;
                    }
                    match file.parse() {
                        Ok(name) => names.names.push(name),
                        Err(_) if file.ends_with(UNFINISHED) => fs::remove_file(&path)?,
                        Err(_) => {}
                    }
                    if names.names.len() == PAGE {
                        names.next = Some(file);
                        return Ok(names);
                    }
                }
            }
        }
        Ok(names)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || act(&this))
            .await
            .unwrap_or_else(|error| Err(StoreError::Engine { engine: ENGINE, message: error.to_string() }))
    }
}

fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn durable(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// What lies in a folder; nothing in one that is no folder.
fn sorted(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::NotFound) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

fn of_io(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Engine { engine: ENGINE, message: format!("{}: {error}", path.display()) }
}

#[async_trait]
impl Blobs for FileBlobs {
    async fn put(&self, name: BlobName, sealed: Vec<u8>) -> Result<()> {
        self.blocking(move |this| this.write(name, &sealed)).await
    }

    async fn get(&self, name: BlobName) -> Result<Option<Vec<u8>>> {
        self.blocking(move |this| {
            let (_, file) = this.place(name);
            match fs::read(&file) {
                Ok(sealed) => Ok(Some(sealed)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(of_io(&file, &error)),
            }
        })
        .await
    }

    async fn delete(&self, name: BlobName) -> Result<()> {
        self.blocking(move |this| {
            let (folder, file) = this.place(name);
            let deleted = match fs::remove_file(&file) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                deleted => deleted.and_then(|()| durable(&folder)),
            };
            deleted.map_err(|error| of_io(&file, &error))
        })
        .await
    }

    async fn claim(&self, log_id: Uuid) -> Result<Uuid> {
        self.blocking(move |this| {
            let file = this.folder.join(LOG_ID);
            let claimed = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file) {
                Ok(mut new) => new
                    .write_all(log_id.to_string().as_bytes())
                    .and_then(|()| new.sync_all())
                    .and_then(|()| durable(&this.folder))
                    .map(|()| log_id.to_string().into_bytes()),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => fs::read(&file),
                Err(error) => Err(error),
            };
            log_id_of(ENGINE, &claimed.map_err(|error| of_io(&file, &error))?)
        })
        .await
    }

    async fn older(&self, before: Timestamp, after: Option<String>) -> Result<Names> {
        let before = UNIX_EPOCH + Duration::from_micros(u64::try_from(before.0).unwrap_or_default());
        self.blocking(move |this| {
            this.list(before, after.as_deref()).map_err(|error| of_io(&this.folder, &error))
        })
        .await
    }
}
