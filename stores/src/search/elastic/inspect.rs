//! What an operator would look at in Elasticsearch.

use elasticsearch::cluster::ClusterHealthParts;
use elasticsearch::indices::{IndicesGetAliasParts, IndicesGetSettingsParts};
use elasticsearch::security::SecurityHasPrivilegesParts;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Address, Client, answer, done};
use super::{Elastic, banner, unfit};
use crate::error::Result;
use crate::inspect::{Inspected, State};
use crate::shared::Engine;

/// What is done to the indices.
const PRIVILEGES: &[&str] = &["read", "write", "manage"];

/// Looks at the engine of a URL. One that does not answer is a finding, too.
pub(crate) async fn inspect(url: &str) -> Vec<Inspected> {
    let connected = async {
        let address = Address::of(url)?;
        let client = Client::of(&address)?;
        let banner = banner(&client).await?;
        Ok::<_, crate::StoreError>((address, client, banner))
    };
    let (address, client, banner) = match connected.await {
        Ok(connected) => connected,
        Err(error) => {
            let advice = "start it, or set the URL, its user and its password right";
            return vec![Inspected::problem("connection", error.to_string(), advice)];
        }
    };
    let version = format!("Elasticsearch {}", banner.version.number);
    if let Some(why) = unfit(&banner) {
        return vec![Inspected::problem("version", version, why)];
    }
    let elastic = Elastic::of(&address, client);
    let mut found = vec![Inspected::ok("version", version)];
    for (name, looked) in [
        ("health", elastic.health().await),
        ("settings", elastic.settings().await),
        ("privileges", elastic.privileges(address.is_loopback()).await),
        ("alias", elastic.alias_in_step().await),
    ] {
        found.push(looked.unwrap_or_else(|error| {
            let advice =
                format!("let the URL's user have monitor on the cluster, and {}", PRIVILEGES.join(", "));
            Inspected::warning(name, error.to_string(), advice)
        }));
    }
    found
}

#[derive(Deserialize)]
struct Health {
    status: String,
    active_primary_shards: u64,
}

#[derive(Deserialize)]
struct Privileges {
    has_all_requested: bool,
    username: String,
}

impl Elastic {
    fn all(&self) -> String {
        format!("{}-*", self.prefix)
    }

    async fn health(&self) -> Result<Inspected> {
        let all = self.all();
        let health: Health = self
            .client
            .guard
            .read(async || {
                let cluster = self.client.server.cluster();
                done(cluster.health(ClusterHealthParts::Index(&[&all])).send().await).await
            })
            .await?;
        let said = format!("{}, {} shards of {all}", health.status, health.active_primary_shards);
        Ok(match &*health.status {
            "green" => Inspected::ok("health", said),
            "yellow" => Inspected::warning(
                "health",
                said,
                "copies are missing: see that all nodes run (GET _cluster/allocation/explain says why)",
            ),
            _ => Inspected::problem(
                "health",
                said,
                "start the nodes that are missing; if their data are lost: letopis projections rebuild search --accept",
            ),
        })
    }

    /// What stops writing, fails searches, or loses what was answered.
    async fn settings(&self) -> Result<Inspected> {
        let all = self.all();
        let indices: Value = self
            .client
            .guard
            .read(async || {
                let parts = IndicesGetSettingsParts::Index(&[&all]);
                done(self.client.server.indices().get_settings(parts).flat_settings(true).send().await).await
            })
            .await?;
        let cluster: Value = self
            .client
            .guard
            .read(async || {
                let cluster = self.client.server.cluster();
                let settings = cluster.get_settings();
                done(settings.flat_settings(true).send().await).await
            })
            .await?;
        Ok(settings(&indices, &cluster))
    }

    async fn privileges(&self, is_loopback: bool) -> Result<Inspected> {
        let all = self.all();
        let body = json!({
            "cluster": ["monitor"],
            "index": [{ "names": [all], "privileges": PRIVILEGES }],
        });
        let found: std::result::Result<Privileges, _> = self
            .client
            .guard
            .read(async || {
                let security = self.client.server.security();
                let asked = security.has_privileges(SecurityHasPrivilegesParts::None).body(&body);
                answer(asked.send().await).await
            })
            .await?;
        let needed = PRIVILEGES.join(", ");
        Ok(match found {
            Ok(found) if found.has_all_requested => {
                Inspected::ok("privileges", format!("user {} has {needed} on {all}", found.username))
            }
            Ok(found) => Inspected::problem(
                "privileges",
                format!("user {} lacks some of what is needed", found.username),
                format!("give its role monitor on the cluster, and {needed} on {all}"),
            ),
            // A server without access control knows no such question.
            Err(no) if no.status == 400 || no.status == 405 => {
                let said = "access control is off";
                if is_loopback {
                    Inspected::ok("privileges", said)
                } else {
                    let advice =
                        "whoever reaches the port reads everybody's names: set xpack.security.enabled";
                    Inspected::warning("privileges", said, advice)
                }
            }
            Err(no) => return Err(no.into_error()),
        })
    }

    /// The alias is for others: nothing of ours rests on it.
    async fn alias_in_step(&self) -> Result<Inspected> {
        let Some(pointer) = self.pointer().await? else {
            return Ok(Inspected::ok("alias", "nothing is made yet"));
        };
        let (alias, served) = (self.alias(), self.index(pointer.serving));
        let found: std::result::Result<Value, _> = self
            .client
            .guard
            .read(async || {
                let parts = IndicesGetAliasParts::Name(&[&alias]);
                answer(self.client.server.indices().get_alias(parts).send().await).await
            })
            .await?;
        let found = match found {
            Ok(found) => found,
            Err(no) if no.is_nothing() => json!({}),
            Err(no) => return Err(no.into_error()),
        };
        let named: Vec<&String> = found.as_object().into_iter().flat_map(serde_json::Map::keys).collect();
        Ok(if named == [&served] {
            Inspected::ok("alias", format!("{alias} names {served}"))
        } else {
            let said = format!("{alias} names {named:?}, and {served} is served");
            Inspected::warning(
                "alias",
                said,
                "restart letopis, which puts it right; its own searches are not concerned",
            )
        })
    }
}

/// Over the flat settings of the indices and the cluster.
fn settings(indices: &Value, cluster: &Value) -> Inspected {
    let mut problems: Vec<String> = Vec::new();
    let mut advice: Vec<&str> = Vec::new();
    let mut asynchronous = false;
    for (index, found) in indices.as_object().into_iter().flatten() {
        for (name, value) in found["settings"].as_object().into_iter().flatten() {
            if name.starts_with("index.blocks.") && value == "true" {
                problems.push(format!("{index} has {name}"));
                advice.push(if name.ends_with("read_only_allow_delete") {
                    "make room on its disk: it lifts the block by itself"
                } else {
                    "lift the block: set it to null in the index's settings"
                });
            }
            asynchronous |= name == "index.translog.durability" && value == "async";
        }
    }
    for kind in ["persistent", "transient"] {
        for (name, value) in cluster[kind].as_object().into_iter().flatten() {
            if name.starts_with("cluster.blocks.") && value == "true" {
                problems.push(format!("the cluster has {name}"));
                advice.push("lift the block: set it to null in the cluster's settings");
            }
            if name == "search.allow_expensive_queries" && value == "false" {
                problems.push(format!("{name} is false"));
                advice.push("set it to null: a typing error is found by such queries");
            }
        }
    }
    advice.dedup();
    if !problems.is_empty() {
        return Inspected::problem("settings", problems.join("; "), advice.join("; "));
    }
    if asynchronous {
        return Inspected::warning(
            "settings",
            "index.translog.durability is async",
            "set it to request: a server that is killed loses its last seconds otherwise, and they are written again",
        );
    }
    Inspected {
        name: "settings",
        state: State::Ok,
        said: "no blocks, all queries allowed".to_owned(),
        advice: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stops_writing_or_searching_is_named_with_what_to_do() {
        let clear = (json!({}), json!({ "persistent": {}, "transient": {} }));
        assert_eq!(settings(&clear.0, &clear.1).state, State::Ok);
        let full = json!({ "a": { "settings": { "index.blocks.read_only_allow_delete": "true" } } });
        let met = settings(&full, &clear.1);
        assert_eq!((met.state, met.said.contains("a has")), (State::Problem, true));
        assert!(met.advice.is_some_and(|advice| advice.contains("room")));
        for name in ["cluster.blocks.read_only", "search.allow_expensive_queries"] {
            let value = if name.starts_with("search") { "false" } else { "true" };
            let met = settings(&clear.0, &json!({ "transient": { name: value } }));
            assert_eq!((met.state, met.said.contains(name)), (State::Problem, true), "{name}");
        }
        let lax = json!({ "a": { "settings": { "index.translog.durability": "async" } } });
        assert_eq!(settings(&lax, &clear.1).state, State::Warning);
    }
}
