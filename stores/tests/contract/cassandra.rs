//! What Cassandra adds to the contract: a keyspace a test, which goes with it.

use std::path::Path;
use std::sync::OnceLock;

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use stores::Port;
use stores::timeline::Timeline;

use crate::{engine, namespace};

/// The keyspace of a test: dropped at its end, since a server's memory holds few tables.
#[derive(Default)]
pub struct Keyspace(OnceLock<String>);

impl Keyspace {
    pub async fn open(&self, folder: &Path) -> Port<dyn Timeline> {
        stores::resolver::timeline(&self.url(folder)).await.expect("opened")
    }

    pub fn url(&self, folder: &Path) -> String {
        let name = self.0.get_or_init(|| namespace(folder));
        format!("{}/{name}", engine("CASSANDRA"))
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        let Some(name) = self.0.take() else { return };
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let drop = format!("DROP KEYSPACE IF EXISTS {name}");
                server().await.query_unpaged(drop, ()).await.expect("dropped");
            });
        });
        // A test that has failed says why by itself.
        let _ = dropping.join();
    }
}

/// The server's own client.
pub async fn server() -> Session {
    let url = engine("CASSANDRA");
    let address = url.strip_prefix("cassandra://").expect("a URL").to_owned();
    SessionBuilder::new().known_node(address).fetch_schema_metadata(false).build().await.expect("connected")
}
