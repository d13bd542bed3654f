//! Counters in KeyDB: `<prefix>:counters:<name>` is a hash of `attempts` and `last`, in
//! microseconds, which expires once it is forgotten. One script looks and counts, so that attempts
//! at the same time are counted one after the other.
//!
//! Lost with the server's last second at most; guessing gains as much from that as from waiting.

use std::sync::LazyLock;

use async_trait::async_trait;
use domain::Timestamp;
use redis::Script;

use super::{Act, Counter, Counters};
use crate::error::Result;
use crate::keydb::{Address, Keydb};

static ACT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("act.lua")));

pub(crate) struct KeydbCounters {
    keydb: Keydb,
    prefix: String,
}

impl KeydbCounters {
    /// # Errors
    /// A server that does not answer, or that can't be relied on.
    pub async fn open(url: &str) -> Result<Self> {
        let address = Address::parse(url)?;
        Ok(Self { keydb: Keydb::open(&address).await?, prefix: address.prefix })
    }
}

#[async_trait]
impl Counters for KeydbCounters {
    async fn act(&self, act: Act, counters: &[Counter], now: Timestamp) -> Result<u64> {
        if counters.is_empty() {
            return Ok(0);
        }
        let mut script = ACT.prepare_invoke();
        script.arg(match act {
            Act::Attempt => "attempt",
            Act::Check => "check",
            Act::Count => "count",
            Act::Forgive => "forgive",
            Act::Reset => "reset",
        });
        script.arg(now.0);
        for Counter { name, free, longest, forget, only_after_others } in counters {
            script.key(format!("{}:counters:{name}", self.prefix));
            script.arg(free).arg(longest).arg(forget).arg(u8::from(*only_after_others));
        }
        self.keydb.write(&script).await
    }
}
