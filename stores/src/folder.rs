//! Generations of an embedded engine: a folder a port, in it a folder a generation, and `CURRENT`,
//! which names the one that is served.
//!
//! One process has the folder (it holds the data folder's lock), so writers within it are told
//! apart here, by an epoch.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::Checkpoint;
use crate::error::{Result, StoreError};
use crate::read_model::ReadModel;
use crate::shelf::{Asked, Generation, Held, Shelf};

const CURRENT: &str = "CURRENT";
/// Beside the rows of a generation that is being built: how it was asked for.
const ASKED: &str = "asked.json";
const DAMAGED: &str = "damaged";

type Open<M> = Arc<dyn Fn(&Path) -> Result<Arc<M>> + Send + Sync>;

/// The generations in one folder.
pub(crate) struct Folder<M: ?Sized> {
    path: PathBuf,
    open: Open<M>,
    serving: RwLock<Numbered<M>>,
    /// Held while the pointer or a writer changes.
    state: Mutex<State<M>>,
}

struct Numbered<M: ?Sized> {
    number: u64,
    model: Arc<M>,
}

impl<M: ?Sized> Clone for Numbered<M> {
    fn clone(&self) -> Self {
        Self { number: self.number, model: self.model.clone() }
    }
}

struct State<M: ?Sized> {
    epoch: u64,
    building: Option<(Numbered<M>, Asked)>,
    left: Vec<u64>,
}

impl<M: ?Sized> State<M> {
    fn fence(&self, epoch: u64) -> Result<()> {
        if self.epoch > epoch {
            return Err(StoreError::StaleEpoch { mine: epoch, theirs: self.epoch });
        }
        Ok(())
    }
}

fn failed(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Engine { engine: "folder", message: format!("{}: {error}", path.display()) }
}

impl<M: ReadModel + ?Sized> Folder<M> {
    /// Opens the folder, or makes it with an empty first generation. `open` opens the rows in a
    /// generation's folder, or makes them.
    ///
    /// # Errors
    /// A folder that cannot be used. A generation whose rows are no such rows is set aside.
    pub fn open(path: &Path, open: impl Fn(&Path) -> Result<Arc<M>> + Send + Sync + 'static) -> Result<Self> {
        let open: Open<M> = Arc::new(open);
        fs::create_dir_all(path).map_err(|error| failed(path, &error))?;
        let numbers = numbers(path)?;
        let current = current(path)?.filter(|number| numbers.contains(number));
        let serving = match current {
            Some(number) => match open(&path.join(number.to_string())) {
                Ok(model) => Some(Numbered { number, model }),
                Err(error @ (StoreError::Damaged { .. } | StoreError::Unreadable { .. })) => {
                    set_aside(path, number, &error)?;
                    None
                }
                Err(error) => return Err(error),
            },
            None => None,
        };
        let begun_anew = serving.is_none();
        let serving = match serving {
            Some(serving) => serving,
            None => {
                let number = numbers.last().copied().unwrap_or(0) + 1;
                let model = make(path, number, &open)?;
                point(path, number)?;
                Numbered { number, model }
            }
        };
        let mut building = None;
        for number in numbers {
            let folder = path.join(number.to_string());
            if number > serving.number && building.is_none() && !begun_anew {
                building = resume(&folder, number, &open);
            }
            let kept = building.as_ref().is_some_and(|(it, _)| it.number == number);
            if number != serving.number && !kept {
                remove(&folder)?;
            }
        }
        let state = Mutex::new(State { epoch: 0, building, left: Vec::new() });
        Ok(Self { path: path.to_owned(), open, serving: RwLock::new(serving), state })
    }

    fn now(&self) -> Numbered<M> {
        self.serving.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn folder(&self, number: u64) -> PathBuf {
        self.path.join(number.to_string())
    }

    /// A folder of a new generation. How it was asked for is written last: without, nobody goes on
    /// with it.
    async fn begin_in(
        &self,
        number: u64,
        fresh: Checkpoint,
        epoch: u64,
        asked: Asked,
    ) -> Result<Generation<M>> {
        let (path, open) = (self.path.clone(), self.open.clone());
        let model = blocking(move || make(&path, number, &open)).await?;
        let fresh = Checkpoint { generation: number, epoch: epoch.saturating_sub(1), ..fresh };
        let checkpoint = model.take_over(fresh).await?;
        let folder = self.folder(number);
        blocking(move || put_asked(&folder, asked)).await?;
        Ok(Generation { number, model, checkpoint })
    }

    /// Drops a generation that was being built and is damaged. An engine that is away is asked again.
    async fn give_up(&self, state: &mut State<M>, error: StoreError) -> Result<()> {
        if !error.is_damage() {
            return Err(error);
        }
        let Some((building, _)) = state.building.take() else { return Ok(()) };
        tracing::warn!(folder = %self.path.display(), number = building.number, %error, "a rebuild cannot go on: ask for it again");
        self.remove(building.number).await
    }

    async fn remove(&self, number: u64) -> Result<()> {
        let folder = self.folder(number);
        blocking(move || remove(&folder)).await
    }
}

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let stopped =
        |error: tokio::task::JoinError| StoreError::Engine { engine: "folder", message: error.to_string() };
    tokio::task::spawn_blocking(act).await.map_err(stopped)?
}

/// The generations that have a folder, in order. What was set aside by an earlier start goes: it
/// may hold names in clear, and is of no more use.
fn numbers(path: &Path) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| failed(path, &error))? {
        let entry = entry.map_err(|error| failed(path, &error))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        match name.split_once('.') {
            Some((number, DAMAGED)) if number.parse::<u64>().is_ok() => remove(&entry.path())?,
            _ => numbers.extend(name.parse::<u64>().ok()),
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn current(path: &Path) -> Result<Option<u64>> {
    let file = path.join(CURRENT);
    match fs::read_to_string(&file) {
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(failed(&file, &error)),
    }
}

/// Points to a generation, durably: whoever opens the folder finds the old one or the new one.
fn point(path: &Path, number: u64) -> Result<()> {
    replace(path, CURRENT, format!("{number}\n").as_bytes())
}

/// Keeps how a generation was asked for, durably.
fn put_asked(folder: &Path, asked: Asked) -> Result<()> {
    replace(folder, ASKED, &serde_json::to_vec(&asked).unwrap_or_default())
}

/// Writes a file whole, or leaves the one that is there.
fn replace(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let next = folder.join(format!("{name}.next"));
    let written = || {
        let mut file = File::create(&next)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&next, folder.join(name))?;
        File::open(folder)?.sync_all()
    };
    written().map_err(|error| failed(folder, &error))
}

fn make<M: ?Sized>(path: &Path, number: u64, open: &Open<M>) -> Result<Arc<M>> {
    let folder = path.join(number.to_string());
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    open(&folder)
}

fn set_aside(path: &Path, number: u64, error: &StoreError) -> Result<()> {
    let aside = path.join(format!("{number}.{DAMAGED}"));
    tracing::error!(folder = %path.display(), number, %error, "rows can't be opened: set aside, and made anew from the log");
    fs::rename(path.join(number.to_string()), &aside).map_err(|error| failed(&aside, &error))
}

/// A generation that was being built, if it can be gone on with.
fn resume<M: ?Sized>(folder: &Path, number: u64, open: &Open<M>) -> Option<(Numbered<M>, Asked)> {
    let asked = fs::read(folder.join(ASKED)).ok()?;
    let asked = serde_json::from_slice(&asked).ok()?;
    match open(folder) {
        Ok(model) => Some((Numbered { number, model }, asked)),
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "a rebuild cannot go on: ask for it again");
            None
        }
    }
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(folder, &error)),
        _ => Ok(()),
    }
}

#[async_trait]
impl<M: ReadModel + ?Sized> Shelf<M> for Folder<M> {
    fn serving(&self) -> Arc<M> {
        self.now().model
    }

    async fn take_over(&self, _holder: Uuid, fresh: Checkpoint) -> Result<Held<M>> {
        let mut state = self.state.lock().await;
        for number in std::mem::take(&mut state.left) {
            self.remove(number).await?;
        }
        let Numbered { number, model } = self.now();
        let held = model.checkpoint().await;
        let mut epoch = state.epoch;
        if let Ok(Some(held)) = &held {
            epoch = epoch.max(held.epoch);
        }
        if let Some((building, _)) = &state.building {
            match building.model.checkpoint().await {
                Ok(held) => epoch = epoch.max(held.map_or(0, |held| held.epoch)),
                Err(error) => self.give_up(&mut state, error).await?,
            }
        }
        let take = async |number, model: Arc<M>| {
            let fresh = Checkpoint { generation: number, epoch, ..fresh.clone() };
            let checkpoint = model.take_over(fresh).await?;
            Ok(Generation { number, model, checkpoint })
        };
        let serving = match held {
            Ok(_) => take(number, model).await,
            Err(error) => Err(error),
        };
        // An engine that is away is asked again; only what lasts is told of.
        let serving = match serving {
            Err(error @ StoreError::Engine { .. }) => return Err(error),
            serving => serving,
        };
        let building = match &state.building {
            Some((it, asked)) => Some((take(it.number, it.model.clone()).await, *asked)),
            None => None,
        };
        let building = match building {
            Some((Ok(building), asked)) => Some((building, asked)),
            Some((Err(error), _)) => {
                self.give_up(&mut state, error).await?;
                None
            }
            None => None,
        };
        state.epoch = epoch + 1;
        Ok(Held { epoch: state.epoch, number, serving, building })
    }

    async fn begin(&self, fresh: Checkpoint, epoch: u64, asked: Asked) -> Result<Generation<M>> {
        let mut state = self.state.lock().await;
        state.fence(epoch)?;
        if let Some((old, _)) = state.building.take() {
            self.remove(old.number).await?;
        }
        let path = self.path.clone();
        let number = blocking(move || Ok(numbers(&path)?.last().copied().unwrap_or(0) + 1)).await?;
        let begun = self.begin_in(number, fresh, epoch, asked).await;
        match &begun {
            Ok(begun) => {
                state.building = Some((Numbered { number, model: begun.model.clone() }, asked));
            }
            Err(_) => {
                if let Err(error) = self.remove(number).await {
                    tracing::warn!(number, %error, "what could not be begun stays until the next start");
                }
            }
        }
        begun
    }

    async fn amend(&self, number: u64, epoch: u64, asked: Asked) -> Result<()> {
        let mut state = self.state.lock().await;
        state.fence(epoch)?;
        let Some((_, before)) = state.building.as_mut().filter(|(it, _)| it.number == number) else {
            return Err(StoreError::Refused(format!("generation {number} is not being built")));
        };
        let folder = self.folder(number);
        blocking(move || put_asked(&folder, asked)).await?;
        *before = asked;
        Ok(())
    }

    async fn switch(&self, number: u64, epoch: u64) -> Result<()> {
        let mut state = self.state.lock().await;
        state.fence(epoch)?;
        let next = match &state.building {
            Some((it, _)) if it.number == number => it.clone(),
            _ if self.now().number == number => return Ok(()),
            _ => return Err(StoreError::Refused(format!("generation {number} is not being built"))),
        };
        let path = self.path.clone();
        blocking(move || point(&path, number)).await?;
        state.building = None;
        let old = std::mem::replace(&mut *self.serving.write().unwrap_or_else(PoisonError::into_inner), next);
        state.left.push(old.number);
        Ok(())
    }

    async fn discard(&self, number: u64, epoch: u64) -> Result<()> {
        let mut state = self.state.lock().await;
        state.fence(epoch)?;
        if self.now().number == number {
            return Err(StoreError::Refused(format!("generation {number} is served")));
        }
        state.building.take_if(|(it, _)| it.number == number);
        state.left.retain(|left| *left != number);
        self.remove(number).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::timeline::SqliteTimeline;

    #[tokio::test]
    async fn what_cannot_be_begun_leaves_no_folder() {
        let path = tempfile::tempdir().expect("a folder");
        let fails = Arc::new(AtomicBool::new(false));
        let failing = fails.clone();
        let folder = Folder::open(path.path(), move |folder| {
            if failing.load(Ordering::SeqCst) {
                return Err(failed(folder, &std::io::Error::other("the disk is full")));
            }
            SqliteTimeline::open(folder).map(Arc::new)
        })
        .expect("opened");
        let fresh = Checkpoint::start(uuid::Uuid::nil(), 1);
        let epoch = folder.take_over(Uuid::nil(), fresh.clone()).await.expect("taken over").epoch;
        fails.store(true, Ordering::SeqCst);
        let begun = folder.begin(fresh, epoch, Asked::default()).await;
        assert!(begun.is_err(), "the disk is full");
        assert_eq!(numbers(path.path()).expect("read"), [1]);
    }
}
