//! `serve`: all in one process. Reads top to bottom: open, start, listen, stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use chronicle::entropy::Entropy;
use chronicle::keys::Keyring;
use chronicle::tokens::Tokens;
use chronicle::{Clock, Executor};
use command_api::passwords::Passwords;
use command_api::throttle::{self, InMemory, Off, Throttle};
use command_api::{CommandState, Photos};
use domain::Timestamp;
use projectors::attachments::Previews;
use projectors::photos::PhotoSizes;
use projectors::studio::Studio;
use projectors::sweep::Sweep;
use query_api::{Means, QueryState};
use stores::Stores;
use stores::blobs::Pictures;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app;
use crate::config::{Config, Switch, s3_access};
use crate::control::{self, Desk, Who};
use crate::gateway::credentials::Credentials;
use crate::gateway::limits::{self, Rates};
use crate::gateway::ports::{self, Invitations, SessionRows, SocketStanding};
use crate::gateway::standing::Standing;
use crate::gateway::{self, Gateway, PublicUrl};
use crate::health;
use crate::house::House;
use crate::listener::{self, Limits};
use crate::machine::{SystemClock, SystemEntropy, new_id};
use crate::metrics;

/// Everything is closed this long after the signal to stop, or left.
const STOP_PATIENCE: Duration = Duration::from_secs(8);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// What keeps it from starting, by name and with what to do.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("LETOPIS_LISTEN={} can't be listened on", config.listen))?;
    let bound = listener.local_addr()?;
    let public = config.public(bound)?;

    let house = House::open(&config, &clock, entropy.clone()).await?;
    let (log, log_id, keyring) = (house.log.clone(), house.log_id, house.keyring.clone());
    let head = log.head().await?;
    let stopping = CancellationToken::new();
    let metrics_page = metrics::start(clock.now().0 as f64 / 1e6, stopping.clone())?;
    let (executor, committing) = Executor::start(log.clone(), log_id, keyring.clone(), clock.clone()).await?;

    std::fs::create_dir_all(config.projections())
        .with_context(|| format!("{} can't be made", config.projections().display()))?;
    let stores = Stores::open(&config.urls()).await?;
    let blobs = stores::resolver::blobs(&config.blobs(), &s3_access()).await?;
    let owner = blobs.claim(log_id).await.context("LETOPIS_BLOBS_URL")?;
    anyhow::ensure!(
        owner == log_id,
        "LETOPIS_BLOBS_URL: the blobs there are of log {owner}, and this log is {log_id}: name an empty place, \
         or the one that belongs to this log"
    );
    let pictures = Pictures::default();
    let context = projectors::Context {
        log: log.clone(),
        log_id,
        keyring,
        stores: stores.clone(),
        clock: clock.clone(),
        node: house.node,
    };
    let mut projecting = projectors::start(&context, &stopping);
    let studio =
        Studio { blobs: blobs.clone(), pictures: pictures.clone(), keyring: context.keyring.clone() };
    projecting.react(PhotoSizes(studio.clone()));
    projecting.react(Previews(studio));
    let sweep = Sweep {
        blobs: blobs.clone(),
        directory: stores.directory.clone(),
        timeline: stores.timeline.clone(),
        log: log.clone(),
        log_id,
        clock: clock.clone(),
        age: Duration::from_secs(config.blobs_keep),
    };
    let sweeping = tokio::spawn(sweep.run(stopping.clone()));

    let tokens = Arc::new(Tokens::new(executor.keyring()));
    let standing = Arc::new(Standing::new(
        SessionRows { sessions: stores.sessions.clone(), progress: stores.progress.clone() },
        executor.clone(),
    ));
    let sockets = CancellationToken::new();
    let throttle = throttle(&config, executor.keyring()).await?;
    let photos = Photos::new(blobs.clone(), pictures.clone(), Duration::from_secs(config.blobs_keep));
    let commands = command_state(&config, &executor, &tokens, &stores, photos, throttle, entropy.clone())?;
    let queries = QueryState::new(Means {
        stores: stores.clone(),
        keyring: executor.keyring().clone(),
        blobs: blobs.clone(),
        pictures: pictures.clone(),
        head: Arc::new(log.clone()),
        standing: Arc::new(SocketStanding { standing: standing.clone(), now: now(&clock) }),
        invitations: Arc::new(Invitations(executor.clone())),
        public_origin: public.origin.clone(),
        shutdown: sockets.clone(),
    });
    let jwks = tokens.jwks();
    let sources = metrics::Sources {
        log: log.clone(),
        projections: projecting.handle(),
        passwords: commands.passwords.clone(),
        queries: queries.clone(),
    };
    let marking = tokio::spawn(ports::follow(standing.clone(), log.watch()));
    let router = Router::new()
        .merge(command_api::router(commands))
        .merge(query_api::router(queries.clone()))
        .merge(gateway::pages::pages())
        .merge(gateway::jwks::routes(&jwks))
        .merge(health::routes(projecting.handle(), head.position))
        .merge(metrics::routes(metrics_page, sources))
        .merge(app::routes());
    let router = gateway::layer(gate(&config, public.clone(), tokens, standing, clock, entropy), router);

    let listening = CancellationToken::new();
    let desk = Desk {
        projections: projecting.handle(),
        who: Who {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            log_id,
            listen: bound.to_string(),
            head: head.position,
        },
        head: log.watch(),
    };
    let control = control::listen(&config.data, desk, listening.clone())?;
    tracing::info!(%log_id, position = head.position, "serving {} on {bound}", public.origin);
    let serving = tokio::spawn(listener::serve(listener, router, Limits::default(), listening.clone()));

    let stop_asked = stop_signal();
    tokio::pin!(stop_asked);
    loop {
        tokio::select! {
            asked = &mut stop_asked => break asked?,
            // What stopped it is in the log already; the others and the commands go on.
            Some(_) = projecting.ended() => {}
        }
    }
    tracing::info!("stopping");
    let orderly = async {
        listening.cancel();
        control.ended().await;
        sockets.cancel();
        queries.sockets_closed().await;
        let served = serving.await;
        drop(queries);
        marking.abort();
        stopping.cancel();
        while projecting.ended().await.is_some() {}
        sweeping.await?;
        drop(executor);
        let committed = committing.await;
        house.close().await;
        served?;
        committed.map_err(anyhow::Error::from)
    };
    match tokio::time::timeout(STOP_PATIENCE, orderly).await {
        Ok(ended) => ended,
        Err(_elapsed) => {
            tracing::warn!("some connections would not end; leaving them");
            Ok(())
        }
    }
}

/// Attempts are counted where the sessions are, if other processes count there, too.
async fn throttle(config: &Config, keyring: &Keyring) -> anyhow::Result<Arc<dyn Throttle>> {
    if config.rate_limit == Switch::Off {
        return Ok(Arc::new(Off));
    }
    Ok(match stores::resolver::counters(&config.urls().sessions).await? {
        Some(counters) => {
            let keyring = keyring.clone();
            let keyed = move |name: &str| keyring.claim_key("attempts/1", name);
            Arc::new(throttle::Shared::new(counters, Box::new(keyed)))
        }
        None => Arc::new(InMemory::default()),
    })
}

fn command_state(
    config: &Config,
    executor: &Executor,
    tokens: &Arc<Tokens>,
    stores: &Stores,
    photos: Photos,
    throttle: Arc<dyn Throttle>,
    entropy: Arc<dyn Entropy>,
) -> anyhow::Result<CommandState> {
    let passwords = Passwords::new(config.password_hash, entropy.clone())
        .map_err(|error| anyhow::anyhow!("the password hash's parameters: {error}"))?;
    Ok(CommandState {
        executor: executor.clone(),
        tokens: tokens.clone(),
        passwords,
        throttle,
        registration: config.registration.clone(),
        sessions: stores.sessions.clone(),
        progress: stores.progress.clone(),
        photos,
        entropy,
    })
}

fn gate(
    config: &Config,
    public: PublicUrl,
    tokens: Arc<Tokens>,
    standing: Arc<Standing>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Gateway {
    Gateway {
        credentials: Arc::new(Credentials::new(tokens)),
        standing,
        public,
        trusted_proxies: config.trusted_proxies.clone().into(),
        limits: (config.rate_limit == Switch::On).then(limits),
        now: now(&clock),
        request_id: Arc::new(move || new_id(&*clock, &*entropy)),
        timeout: gateway::TIMEOUT,
    }
}

/// Limits that are tidied for as long as somebody counts by them.
fn limits() -> Arc<limits::Limits> {
    let limits = Arc::new(limits::Limits::new(Rates::default()));
    let counted = Arc::downgrade(&limits);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(limits::TIDY).await;
            match counted.upgrade() {
                Some(limits) => limits.tidy(),
                None => return,
            }
        }
    });
    limits
}

fn now(clock: &Arc<dyn Clock>) -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
    let clock = clock.clone();
    Arc::new(move || clock.now())
}

async fn stop_signal() -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
