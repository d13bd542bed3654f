//! The log's engine and the key store's.

use std::path::Path;

use chronicle::Clock;
use chronicle::verify::settings::{Settings, settings};
use stores::inspect::{Inspected, State};

use super::super::inspect;
use super::Findings;
use crate::config::{Config, Place, s3_access};

/// Connections to the log's database that one letopis takes at most.
const CONNECTIONS: u64 = 16;
/// Beyond it nothing is appended, in microseconds.
const CLOCKS_APART: i64 = 2_000_000;
const OLDEST: u32 = 130_000;
const EMPTY: &str = "the first start begins it";

pub(super) async fn log(config: &Config, clock: &dyn Clock, found: &mut Findings) {
    const NAME: &str = "log";
    match config.log() {
        Err(error) => return found.problem(NAME, format!("{error:#}"), "set LETOPIS_LOG_URL right"),
        Ok(Place::Sqlite(path)) => {
            if !path.is_file() {
                return found.warn(
                    NAME,
                    format!("there is none at {}", path.display()),
                    "the first start makes it",
                );
            }
            sqlite(NAME, &path, found);
        }
        Ok(Place::Postgres(url)) => match postgres(NAME, &url, clock, found).await {
            None => return,
            Some(said) if said.is_empty => return found.warn(NAME, "it is empty", EMPTY),
            Some(_) => {}
        },
    }
    let head = async {
        let mut log = inspect::log(config, false).await?;
        let log_id = inspect::log_id(&mut *log).await?;
        anyhow::Ok((log.head().await?, log_id))
    };
    match head.await {
        Ok((head, Some(log_id))) => found.ok(NAME, format!("{log_id}, {} events", head.position)),
        Ok((head, None)) if head.position == 0 => found.warn(NAME, "it is empty", EMPTY),
        Ok((_, None)) => found.problem(NAME, "event 1 opens no chronicle", "see letopis log verify"),
        Err(error) => {
            found.problem(NAME, format!("{error:#}"), "name an engine that answers in LETOPIS_LOG_URL")
        }
    }
}

/// Whether photos can be read where they should be. A folder that is not there is not made.
pub(super) async fn blobs(config: &Config, found: &mut Findings) {
    const NAME: &str = "blobs";
    let url = config.blobs();
    if let Some(path) = url.strip_prefix("file:") {
        let folder = Path::new(path.strip_prefix("//").unwrap_or(path));
        return match std::fs::read_dir(folder) {
            Ok(_) => found.ok(NAME, format!("{}, sealed files", folder.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => found.warn(
                NAME,
                format!("there is no folder {}", folder.display()),
                "the first start makes it; if there were photos, put it back from the backup",
            ),
            Err(error) => found.problem(
                NAME,
                format!("{}: {error}", folder.display()),
                "let whoever runs letopis read and write it",
            ),
        };
    }
    match stores::inspect::inspect_blobs(&url, &s3_access()).await {
        Some(inspected) => tell(NAME, inspected, found),
        None => found.problem(
            NAME,
            format!("no blob store has the scheme {:?}", url.split(':').next().unwrap_or_default()),
            "set LETOPIS_BLOBS_URL to file:<folder> or s3://<bucket>[/<prefix>]",
        ),
    }
}

/// What was found in an engine on the network.
fn tell(port: &str, inspected: Vec<Inspected>, found: &mut Findings) {
    for Inspected { name, state, said, advice } in inspected {
        let name = format!("{port} {name}");
        let advice = advice.unwrap_or_default();
        match state {
            State::Ok => found.ok(&name, said),
            State::Warning => found.warn(&name, said, advice),
            State::Problem => found.problem(&name, said, advice),
        }
    }
}

/// Reads how the file is kept. `synchronous` is no property of the file: letopis sets it to FULL on
/// the connection that commits.
fn sqlite(name: &str, path: &Path, found: &mut Findings) {
    let name = format!("{name} settings");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let mode = rusqlite::Connection::open_with_flags(path, flags)
        .and_then(|file| file.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0)));
    match mode {
        Ok(mode) if mode == "wal" => {
            let version = rusqlite::version();
            found.ok(&name, format!("SQLite {version}, journal_mode wal, each commit synced (FULL)"));
        }
        Ok(mode) => {
            let said = format!("journal_mode {mode}");
            found.warn(
                &name,
                said,
                "another program has changed it; the next start of letopis sets wal again",
            );
        }
        Err(error) => {
            found.problem(&name, format!("{}: {error}", path.display()), "restore it from the newest backup");
        }
    }
}

/// What the server says of itself, if it answers.
async fn postgres(name: &str, url: &str, clock: &dyn Clock, found: &mut Findings) -> Option<Settings> {
    let name = format!("{name} settings");
    let variable = format!("LETOPIS_{}_URL", name.split(' ').next().unwrap_or_default().to_uppercase());
    let said = match settings(url, clock).await {
        Ok(said) => said,
        Err(error) => {
            let advice = format!("start the server, or set {variable} to one that answers");
            found.problem(&name, format!("PostgreSQL does not answer: {error}"), advice);
            return None;
        }
    };
    let before = found.0.len();
    judge(&name, &said, found);
    if found.0.len() == before {
        found.ok(
            &name,
            format!(
                "PostgreSQL {}, {}, fsync {}, synchronous_commit {}, full_page_writes {}, {} of {} connections used, \
                 clocks {:.3} s apart",
                said.version,
                said.encoding,
                said.fsync,
                said.synchronous_commit,
                said.full_page_writes,
                said.connections,
                said.max_connections,
                said.clock_apart as f64 / 1e6
            ),
        );
    }
    Some(said)
}

fn judge(name: &str, said: &Settings, found: &mut Findings) {
    if said.version_num < OLDEST {
        found.problem(name, format!("PostgreSQL {}", said.version), "use version 13 or newer");
    }
    if said.encoding != "UTF8" {
        let advice = "make a database with CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'";
        found.problem(name, format!("the database is in {}", said.encoding), advice);
    }
    if said.in_recovery {
        found.problem(name, "the server is a standby and takes no events", "name the primary");
    }
    for (setting, value) in [
        ("fsync", &said.fsync),
        ("full_page_writes", &said.full_page_writes),
        ("synchronous_commit", &said.synchronous_commit),
    ] {
        if value == "off" {
            let advice =
                format!("set {setting} = on: without it a power cut loses or damages what was acknowledged");
            found.problem(name, format!("{setting} is off"), advice);
        }
    }
    let left = said.max_connections.saturating_sub(said.connections);
    if left < CONNECTIONS {
        let said = format!("{left} of {} connections are left", said.max_connections);
        found.warn(name, said, format!("letopis takes up to {CONNECTIONS}: raise max_connections"));
    }
    if said.clock_apart.abs() > CLOCKS_APART {
        let apart = format!("its clock is {:.3} s from this machine's", said.clock_apart as f64 / 1e6);
        found.problem(name, apart, "nothing is appended while they are more than 2 s apart: set both by NTP");
    }
}

/// The engines of the read side that are not embedded: whether each answers, and is as it has to be.
pub(super) async fn on_the_network(config: &Config, found: &mut Findings) {
    let ports = inspect::engines(config);
    // Beside each other: one that is away is waited for.
    let looked_at = ports.iter().map(|(port, url)| stores::inspect::inspect(port, url));
    for ((port, _), inspected) in ports.iter().zip(futures::future::join_all(looked_at).await) {
        tell(port, inspected.unwrap_or_default(), found);
    }
}

pub(super) async fn keys(config: &Config, clock: &dyn Clock, found: &mut Findings) {
    const NAME: &str = "keys";
    let place = match config.keys() {
        Ok(place) => place,
        Err(error) => return found.problem(NAME, format!("{error:#}"), "set LETOPIS_KEYS_URL right"),
    };
    if let Err(error) = config.refuse_shared_files() {
        return found.problem(NAME, format!("{error:#}"), "keys never lie beside what they seal");
    }
    match &place {
        Place::Sqlite(path) if !path.is_file() => {
            let is_new = !config.data.join("lock").exists();
            return match is_new {
                true => found.warn(NAME, "there are none yet", "the first start makes them"),
                false => found.problem(
                    NAME,
                    format!("there is no key store at {}", path.display()),
                    "put back the one that belongs to this log",
                ),
            };
        }
        Place::Sqlite(_) => {}
        Place::Postgres(url) => {
            let Some(said) = postgres(NAME, url, clock, found).await else { return };
            if said.is_empty {
                return found.warn(NAME, "the key store is empty", EMPTY);
            }
            if let Ok(Place::Postgres(log)) = config.log()
                && let Ok(log) = settings(&log, clock).await
                && log.identity == said.identity
            {
                let advice = "make the key store a database of its own, and name it in LETOPIS_KEYS_URL";
                return found.problem(NAME, "the key store lies in the log's database", advice);
            }
        }
    }
    let belongs = async {
        let mut log = inspect::log(config, false).await?;
        match inspect::log_id(&mut *log).await? {
            Some(log_id) => anyhow::Ok(inspect::keys(config, log_id).map(|_| Some(log_id))?),
            None => anyhow::Ok(inspect::key_store(config)?.identity()?.map(|identity| identity.log_id)),
        }
    };
    match belongs.await {
        Ok(Some(log_id)) => {
            found.ok(NAME, format!("the master key opens them, and they are of log {log_id}"))
        }
        Ok(None) => found.warn(NAME, "the key store is empty", EMPTY),
        Err(error) => found.problem(NAME, format!("{error:#}"), "put back what belongs together"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    /// A change, and what is said of it.
    type Case = (fn(&mut Settings), State, &'static str);

    #[test]
    fn every_setting_that_matters_is_judged() {
        let good = Settings {
            version_num: 150_018,
            version: "15.18".into(),
            encoding: "UTF8".into(),
            fsync: "on".into(),
            full_page_writes: "on".into(),
            synchronous_commit: "on".into(),
            in_recovery: false,
            max_connections: 97,
            connections: 12,
            identity: String::new(),
            is_empty: false,
            clock_apart: -1_900_000,
        };
        let judged = |settings: &Settings| {
            let mut found = Findings::default();
            judge("log settings", settings, &mut found);
            found.0.into_iter().map(|finding| (finding.state, finding.said)).collect::<Vec<_>>()
        };
        assert_eq!(judged(&good), []);
        let cases: [Case; 8] = [
            (|it| it.version_num = 120_022, State::Problem, "PostgreSQL 15.18"),
            (|it| it.encoding = "LATIN1".into(), State::Problem, "the database is in LATIN1"),
            (|it| it.fsync = "off".into(), State::Problem, "fsync is off"),
            (|it| it.full_page_writes = "off".into(), State::Problem, "full_page_writes is off"),
            (|it| it.synchronous_commit = "off".into(), State::Problem, "synchronous_commit is off"),
            (|it| it.in_recovery = true, State::Problem, "the server is a standby and takes no events"),
            (|it| it.connections = 90, State::Warning, "7 of 97 connections are left"),
            (|it| it.clock_apart = 2_100_000, State::Problem, "its clock is 2.100 s from this machine's"),
        ];
        for (change, state, said) in cases {
            let mut settings = good.clone();
            change(&mut settings);
            assert_eq!(judged(&settings), [(state, said.to_owned())]);
        }
    }
}
