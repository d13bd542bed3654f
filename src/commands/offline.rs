//! The same work without a running `serve`: the data folder is opened here, and the projections
//! run for as long as it takes.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use chronicle::Clock;
use chronicle::entropy::Entropy;
use projectors::{Health, Running};
use stores::Stores;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::control::{self, Ask, Connected, Desk, Reply, Who, answer};
use crate::house::House;
use crate::machine::{SystemClock, SystemEntropy};

/// A start takes this long at most until its socket answers, or it has failed.
pub const START: Duration = Duration::from_secs(10);
/// Projections are given this long to say how they are.
const SETTLING: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// Who does what is asked.
pub enum Worker {
    /// The `serve` that has the folder.
    /// Of this data folder.
    Server(PathBuf),
    Here(Box<Offline>),
}

/// The folder, opened by ourselves.
pub struct Offline {
    house: House,
    running: Running,
    desk: Desk,
    stop: CancellationToken,
}

/// Connects to whoever has the folder; `None` if nobody has it.
///
/// # Errors
/// Somebody has it who does not answer, or there is no folder.
pub async fn reach(data: &Path, patience: Duration) -> anyhow::Result<Option<Connected>> {
    let until = Instant::now() + patience;
    loop {
        if let Some(connected) = control::connect(data).await? {
            return Ok(Some(connected));
        }
        if !is_locked(data)? {
            return Ok(None);
        }
        if Instant::now() > until {
            bail!(
                "another letopis has {}, and its control socket does not answer: wait until it has started or \
                 ended, or stop it",
                data.display()
            );
        }
        sleep(LOOK).await;
    }
}

/// Whether a process holds the folder's lock.
///
/// # Errors
/// If there is no folder of a letopis.
pub fn is_locked(data: &Path) -> anyhow::Result<bool> {
    let path = data.join("lock");
    let file = match File::options().write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "there is no letopis in {}: set LETOPIS_DATA to the folder of one that was started",
            data.display()
        ),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            bail!("{} belongs to somebody else: run this as the user whom letopis runs as", path.display())
        }
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
    }
}

impl Worker {
    /// The server where there is one, and else the folder itself.
    ///
    /// # Errors
    /// What keeps either from working.
    pub async fn find(config: &Config) -> anyhow::Result<Self> {
        match reach(&config.data, START).await? {
            Some(_) => Ok(Self::Server(config.data.clone())),
            None => Ok(Self::Here(Box::new(Offline::open(config).await?))),
        }
    }

    /// Asks, and tells every reply before the last, which it answers.
    ///
    /// # Errors
    /// If the server hangs up.
    pub async fn ask(&self, ask: Ask, told: &mut (dyn FnMut(Reply) + Send)) -> anyhow::Result<Reply> {
        match self {
            Self::Server(data) => match reach(data, START).await? {
                Some(connected) => connected.ask(ask, told).await,
                None => bail!("letopis was stopped meanwhile: ask again"),
            },
            Self::Here(offline) => offline.ask(ask, told).await,
        }
    }

    pub fn is_server(&self) -> bool {
        matches!(self, Self::Server(_))
    }

    /// Leaves the folder in order, if it was opened here.
    pub async fn close(self) {
        if let Self::Here(offline) = self {
            offline.close().await;
        }
    }
}

impl Offline {
    async fn open(config: &Config) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let house = House::open(config, &clock, entropy).await?;
        let (log, log_id, keyring) = (house.log.clone(), house.log_id, house.keyring.clone());
        std::fs::create_dir_all(config.projections())
            .with_context(|| format!("{} can't be made", config.projections().display()))?;
        let stores = Stores::open(&config.urls()).await?;
        let stop = CancellationToken::new();
        let head = log.watch();
        let context = projectors::Context { log, log_id, keyring, stores, clock, node: house.node };
        let running = projectors::start(&context, &stop);
        let who = Who {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            log_id,
            listen: String::new(),
            head: 0,
        };
        let desk = Desk { projections: running.handle(), who, head };
        let offline = Self { house, running, desk, stop };
        offline.settle().await;
        Ok(offline)
    }

    /// Until every projection says how it is, or has had long enough.
    async fn settle(&self) {
        let settled = async {
            while self.desk.projections.status().iter().any(|it| matches!(it.health, Health::Waiting { .. }))
            {
                sleep(LOOK).await;
            }
        };
        // One that still waits says so in its status.
        let _ = timeout(SETTLING, settled).await;
    }

    async fn ask(&self, ask: Ask, told: &mut (dyn FnMut(Reply) + Send)) -> anyhow::Result<Reply> {
        let (tell, mut replies) = mpsc::channel(1);
        let answering = async {
            answer(&self.desk, ask, &tell).await;
            drop(tell);
        };
        let telling = async {
            while let Some(reply) = replies.recv().await {
                if reply.is_last() {
                    return Ok(reply);
                }
                told(reply);
            }
            bail!("the projections stopped before they had answered")
        };
        let ((), last) = tokio::join!(answering, telling);
        last
    }

    async fn close(mut self) {
        self.stop.cancel();
        while self.running.ended().await.is_some() {}
        self.house.close().await;
    }
}
