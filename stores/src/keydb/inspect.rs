//! What `letopis doctor` says of a KeyDB.

use redis::Script;

use super::{Address, ENGINE, Facts, Keydb};
use crate::error::{Result, StoreError};
use crate::inspect::Inspected;

/// The oldest Redis whose commands are spoken; KeyDB 6.3 has them.
const OLDEST: (u32, u32) = (6, 2);
const PERMISSIONS: &str = "give the user in the URL what docs/operations.md lists (ACL SETUSER)";

/// Looks at the KeyDB of a URL.
pub(crate) async fn inspect(url: &str) -> Vec<Inspected> {
    match look(url).await {
        Ok(found) => found,
        Err(error) => vec![Inspected::problem(
            "connection",
            error.to_string(),
            "start it, or set host, port, user and password right in the URL",
        )],
    }
}

async fn look(url: &str) -> Result<Vec<Inspected>> {
    let address = Address::parse(url)?;
    let keydb = Keydb::connect(&address).await?;
    let facts = keydb.facts().await?;
    let mut found = vec![version(&facts)];
    match facts.refusal() {
        Some((what, advice)) => found.push(Inspected::problem("settings", what, advice)),
        None => match facts.setting("maxmemory-policy") {
            Some(policy) => found.push(Inspected::ok("settings", format!("maxmemory-policy {policy}"))),
            None => found.push(Inspected::warning(
                "settings",
                "CONFIG and INFO are kept from us, so nobody knows whether rows may be evicted",
                "see that maxmemory-policy is noeviction; for this to say so, allow +config|get or +info",
            )),
        },
    }
    found.extend(durability(&facts));
    found.push(permissions(&address, &keydb).await);
    found.push(channels(&address).await);
    Ok(found)
}

fn version(facts: &Facts) -> Inspected {
    let Some(said) = facts.info("redis_version") else {
        return Inspected::warning("version", "it does not say its version", "allow +info");
    };
    let mut numbers = said.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let role = facts.info("role").unwrap_or("unknown");
    let said = format!("{said}, role {role}");
    if version < OLDEST {
        return Inspected::problem("version", said, "use KeyDB 6.3, Redis 6.2 or newer");
    }
    Inspected::ok("version", said)
}

fn durability(facts: &Facts) -> Option<Inspected> {
    let appends = facts.setting("appendonly")?;
    let sync = facts.setting("appendfsync").unwrap_or("unknown");
    let said = format!("appendonly {appends}, appendfsync {sync}");
    Some(match (appends, sync) {
        ("yes", "no") => Inspected::warning(
            "durability",
            said,
            "CONFIG SET appendfsync everysec: a killed machine then costs a second",
        ),
        ("yes", _) => Inspected::ok("durability", said),
        _ => Inspected::warning(
            "durability",
            said,
            "CONFIG SET appendonly yes: else a restart reads sessions from the whole log anew",
        ),
    })
}

/// Whether the user may run what we run. The key is none that anybody uses.
async fn permissions(address: &Address, keydb: &Keydb) -> Inspected {
    let script = Script::new("redis.call('TIME'); return redis.call('DEL', KEYS[1])");
    let ran: Result<u64> = keydb.write(&script.key(format!("{}:doctor", address.prefix))).await;
    match ran {
        Ok(_) => Inspected::ok("permissions", format!("scripts may write under {}:", address.prefix)),
        Err(error) => Inspected::problem("permissions", error.to_string(), PERMISSIONS),
    }
}

async fn channels(address: &Address) -> Inspected {
    let listen = async {
        let mut pubsub = address.client.get_async_pubsub().await?;
        pubsub.subscribe(format!("{}:doctor", address.prefix)).await
    };
    let late = |_| StoreError::Engine { engine: ENGINE, message: "no answer within 2 s".to_owned() };
    let listened = tokio::time::timeout(super::CONNECT, listen).await.map_err(late);
    match listened.and_then(|listened| Ok(listened?)) {
        Ok(()) => Inspected::ok("channels", format!("{}: may be listened to", address.prefix)),
        Err(error) => Inspected::problem("channels", error.to_string(), PERMISSIONS),
    }
}
