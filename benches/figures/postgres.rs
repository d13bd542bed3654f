//! The PostgreSQL server that both sides use, and the first rival: pgbench's single-row INSERT.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Executor, Row};

use crate::machine::parent_of;
use crate::measure::Window;

/// A table like the log's: a position, a unique key of stream and sequence, JSON.
const RIVAL: &str = include_str!("rival.sql");

/// A server of our own.
#[derive(Clone)]
pub struct Server {
    options: PgConnectOptions,
    pgbench: PathBuf,
}

impl Server {
    /// # Errors
    /// A URL that is none.
    pub fn new(url: &str, pgbench: &Path) -> anyhow::Result<Self> {
        let options: PgConnectOptions = url.parse().context("--postgres: not a PostgreSQL URL")?;
        Ok(Self { options, pgbench: pgbench.to_owned() })
    }

    async fn connect(&self, database: &str) -> anyhow::Result<PgConnection> {
        let connected = self.options.clone().database(database).connect().await;
        connected.context("--postgres: the server can't be reached")
    }

    /// The process whose children serve.
    ///
    /// # Errors
    /// A server on another machine.
    pub async fn process(&self) -> anyhow::Result<u32> {
        let mut connection = self.connect("postgres").await?;
        let own: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await?;
        let parent = u32::try_from(own).ok().and_then(parent_of);
        parent.context(
            "--postgres: its processes are not on this machine, so their work can't be told from others'",
        )
    }

    pub async fn version(&self) -> anyhow::Result<String> {
        let mut connection = self.connect("postgres").await?;
        Ok(sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await?)
    }

    /// An empty database; any other of this name is gone. Answers its URL.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn fresh(&self, name: &str) -> anyhow::Result<String> {
        let mut connection = self.connect("postgres").await?;
        connection.execute(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)").as_str()).await?;
        connection.execute(format!("CREATE DATABASE {name}").as_str()).await?;
        connection.close().await?;
        // Its parameters are sqlx's own, and pgbench knows none of them.
        let mut url = self.options.clone().database(name).to_url_lossy();
        url.set_query(None);
        Ok(url.to_string())
    }

    /// An empty database with the rival's table.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn rival(&self, typical: &str) -> anyhow::Result<Pgbench> {
        const NAME: &str = "bench_pgbench";
        let url = self.fresh(NAME).await?;
        let mut connection = self.connect(NAME).await?;
        connection.execute(RIVAL).await?;
        let settings = settings(&mut connection).await?;
        connection.close().await?;
        let script = tempfile::Builder::new().prefix("letopis-pgbench-").suffix(".sql").tempfile()?;
        // What a message would be in clear; pgbench itself looks for colons in front of names.
        let payload = serde_json::json!({ "MessageSent": { "author": uuid::Uuid::nil(), "number": 1, "text": typical } });
        let payload =
            payload.to_string().replace('\'', "''").replace(':', "\\u003a").replace("\"\\u003a", "\": ");
        let insert = format!(
            "INSERT INTO rival (stream, sequence, payload) VALUES (gen_random_uuid(), 1, '{payload}');\n"
        );
        std::fs::write(script.path(), insert)?;
        Ok(Pgbench { url, settings, program: self.pgbench.clone(), script })
    }
}

/// What a connection says of its durability.
///
/// # Errors
/// If it does not answer.
pub async fn settings(connection: &mut PgConnection) -> anyhow::Result<String> {
    let mut read = Vec::new();
    for name in ["fsync", "synchronous_commit", "full_page_writes"] {
        let row = sqlx::query("SELECT current_setting($1)").bind(name).fetch_one(&mut *connection).await?;
        read.push(format!("{name}={}", row.try_get::<String, _>(0)?));
    }
    Ok(read.join(" "))
}

/// pgbench with one INSERT a transaction, its own commit each.
pub struct Pgbench {
    url: String,
    /// Of a connection like those that it makes.
    pub settings: String,
    program: PathBuf,
    script: tempfile::NamedTempFile,
}

impl Pgbench {
    /// Transactions a second at `clients` connections.
    ///
    /// # Errors
    /// If pgbench fails.
    pub async fn rate(&self, clients: usize, window: Window) -> anyhow::Result<f64> {
        let seconds = (window.warm + window.time).as_secs_f64().ceil().max(1.0);
        let output = tokio::process::Command::new(&self.program)
            .args(["-n", "-M", "prepared", "-f"])
            .arg(self.script.path())
            .args(["-c", &clients.to_string(), "-j", &clients.min(2).to_string(), "-T", &seconds.to_string()])
            .arg(&self.url)
            .stdin(Stdio::null())
            .output()
            .await
            .with_context(|| format!("{} can't be run", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("pgbench: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let tps = said
            .lines()
            .find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse().ok());
        let tps: f64 = tps.with_context(|| format!("pgbench says no tps:\n{said}"))?;
        ensure!(tps > 0.0, "pgbench did nothing:\n{said}");
        Ok(tps)
    }
}
