//! What an operator would look at in Cassandra.

use super::{Cassandra, Place};
use crate::error::Result;
use crate::inspect::Inspected;

/// Of `system_views.gossip_info`, which tells the servers' lives.
const OLDEST: (u32, u32) = (4, 1);
/// What the loss window counts on, in milliseconds.
const SYNCED: u64 = 10_000;

const LOCAL: &str = "SELECT release_version, data_center FROM system.local";
const DATACENTERS: &str = "SELECT data_center FROM system.peers";
const REPLICATION: &str = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
const GOSSIP: &str = "SELECT host_id, generation, heartbeat FROM system_views.gossip_info";
const SETTING: &str = "SELECT value FROM system_views.settings WHERE name = ?";

/// Looks at the servers of a URL.
pub(crate) async fn inspect(url: &str) -> Vec<Inspected> {
    let cassandra = async { Cassandra::connect(Place::parse(url)?).await };
    let cassandra = match cassandra.await {
        Ok(cassandra) => cassandra,
        Err(error) => {
            let advice = "start it, or set LETOPIS_TIMELINE_URL right: host, port, user and datacenter";
            return vec![Inspected::problem("server", error.to_string(), advice)];
        }
    };
    let mut found = Vec::new();
    for looked in [
        version(&cassandra).await,
        datacenter(&cassandra).await,
        lives(&cassandra).await,
        commit_log(&cassandra).await,
        timestamps(&cassandra).await,
        snapshots(&cassandra).await,
        keyspace(&cassandra).await,
    ] {
        found.push(looked.unwrap_or_else(|error| {
            let advice = "see that the URL's user may read system, system_schema and system_views";
            Inspected::warning("permissions", error.to_string(), advice)
        }));
    }
    found
}

async fn local(cassandra: &Cassandra) -> Result<(String, String)> {
    let local = cassandra.prepare(LOCAL).await?;
    Ok(cassandra.rows::<(String, String)>(&local, ()).await?.pop().unwrap_or_default())
}

async fn version(cassandra: &Cassandra) -> Result<Inspected> {
    let (version, _) = local(cassandra).await?;
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let is_old = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < OLDEST;
    Ok(match is_old {
        true => {
            let advice = "use 4.1 or later: it says when a server was started";
            Inspected::problem("version", format!("Cassandra {version}"), advice)
        }
        false => Inspected::ok("version", format!("Cassandra {version}")),
    })
}

async fn datacenter(cassandra: &Cassandra) -> Result<Inspected> {
    let (_, here) = local(cassandra).await?;
    let peers = cassandra.prepare(DATACENTERS).await?;
    let mut all: Vec<String> = cassandra
        .rows::<(Option<String>,)>(&peers, ())
        .await?
        .into_iter()
        .filter_map(|(name,)| name)
        .collect();
    all.push(here);
    all.sort();
    all.dedup();
    let known = all.join(", ");
    Ok(match &cassandra.place().datacenter {
        Some(named) if !all.contains(named) => {
            let advice = "name one of them in the URL's parameter datacenter";
            Inspected::problem("datacenter", format!("{named:?} is none of {known}"), advice)
        }
        None if all.len() > 1 => {
            let advice = "name the one nearby in the URL's parameter datacenter";
            Inspected::warning("datacenter", format!("there are {known}, and the URL names none"), advice)
        }
        _ => Inspected::ok("datacenter", known),
    })
}

async fn lives(cassandra: &Cassandra) -> Result<Inspected> {
    const NAME: &str = "lives";
    let advice = "GRANT SELECT ON KEYSPACE system_views to the URL's user";
    let rows = async {
        let gossip = cassandra.prepare(GOSSIP).await?;
        cassandra.rows::<(Option<String>, Option<i32>, Option<i32>)>(&gossip, ()).await
    };
    Ok(match rows.await {
        Ok(rows) if !rows.is_empty() => {
            Inspected::ok(NAME, format!("{} servers tell when they started", rows.len()))
        }
        Ok(_) => Inspected::problem(NAME, "system_views.gossip_info is empty", advice),
        Err(error) => Inspected::problem(NAME, error.to_string(), advice),
    })
}

/// A setting of the server that is asked; empty where it is not set.
async fn setting(cassandra: &Cassandra, name: &str) -> Result<String> {
    let setting = cassandra.prepare(SETTING).await?;
    let rows = cassandra.rows::<(Option<String>,)>(&setting, (name,)).await?;
    Ok(rows.into_iter().next().and_then(|(value,)| value).unwrap_or_default())
}

async fn timestamps(cassandra: &Cassandra) -> Result<Inspected> {
    const NAME: &str = "timestamps";
    let enabled = setting(cassandra, "user_timestamps_enabled").await?;
    let lowest = setting(cassandra, "minimum_timestamp_fail_threshold").await?;
    Ok(if enabled == "false" || !lowest.is_empty() {
        let said = format!("user_timestamps_enabled: {enabled}, minimum_timestamp_fail_threshold: {lowest}");
        let advice = "allow them and set no lowest one: a row's timestamp is the position of its event";
        Inspected::problem(NAME, said, advice)
    } else {
        Inspected::ok(NAME, "positions of events may be timestamps; no clock is compared with another")
    })
}

async fn snapshots(cassandra: &Cassandra) -> Result<Inspected> {
    const NAME: &str = "snapshots";
    let taken = setting(cassandra, "auto_snapshot").await?;
    let kept = setting(cassandra, "auto_snapshot_ttl").await?;
    Ok(if taken == "true" && kept.is_empty() {
        let advice =
            "set auto_snapshot_ttl, or clear them with nodetool: a rebuild leaves one of each table it drops";
        Inspected::warning(NAME, "auto_snapshot: true, and each is kept for ever", advice)
    } else {
        Inspected::ok(NAME, format!("auto_snapshot: {taken} {kept}"))
    })
}

async fn commit_log(cassandra: &Cassandra) -> Result<Inspected> {
    const NAME: &str = "commit log";
    let sync = setting(cassandra, "commitlog_sync").await?;
    let period = setting(cassandra, "commitlog_sync_period").await?;
    if sync != "periodic" {
        return Ok(Inspected::ok(NAME, format!("commitlog_sync: {sync}")));
    }
    let said = format!("commitlog_sync: periodic, {period}");
    let millis = period.strip_suffix("ms").and_then(|number| number.parse::<u64>().ok());
    Ok(match millis {
        Some(millis) if millis <= SYNCED => Inspected::ok(NAME, said),
        _ => {
            let advice =
                "set commitlog_sync_period to at most 10000ms: what a killed server loses is counted as 20 s";
            Inspected::problem(NAME, said, advice)
        }
    })
}

async fn keyspace(cassandra: &Cassandra) -> Result<Inspected> {
    const NAME: &str = "keyspace";
    type Replication = std::collections::BTreeMap<String, String>;
    let place = cassandra.place();
    let replication = cassandra.prepare(REPLICATION).await?;
    let found = cassandra.rows::<(Replication,)>(&replication, (&place.keyspace,)).await?;
    let Some((mut replication,)) = found.into_iter().next() else {
        let said = format!("{} is not there yet: made at the first start, if permitted", place.keyspace);
        return Ok(Inspected::ok(NAME, said));
    };
    let class = replication.remove("class").unwrap_or_default();
    let strategy = class.rsplit('.').next().unwrap_or_default();
    let copies: Vec<String> = replication.iter().map(|(name, copies)| format!("{name} {copies}")).collect();
    let said = format!("{}: {strategy}, {}", place.keyspace, copies.join(", "));
    let single = replication.values().all(|copies| copies == "1");
    Ok(match (strategy, single) {
        (_, true) => {
            let advice = "one copy alone: a server's loss stops the timeline until a rebuild. ALTER KEYSPACE to three \
                copies with NetworkTopologyStrategy, then run nodetool repair";
            Inspected::warning(NAME, said, advice)
        }
        ("SimpleStrategy", false) => {
            let advice = "SimpleStrategy knows no racks: ALTER KEYSPACE to NetworkTopologyStrategy";
            Inspected::warning(NAME, said, advice)
        }
        _ => Inspected::ok(NAME, said),
    })
}
