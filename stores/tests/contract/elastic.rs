//! What Elasticsearch adds to the contract: how it is opened, and what its faults come to.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use elasticsearch::Elasticsearch;
use elasticsearch::cat::CatIndicesParts;
use elasticsearch::http::transport::Transport;
use elasticsearch::indices::IndicesDeleteParts;
use serde_json::Value;
use stores::Port;
use stores::search::Search;
use tokio::sync::OnceCell;

use crate::{engine, namespace};

/// What a run that ended long ago has left in a server that stays.
const LEFT: Duration = Duration::from_secs(1_800);

static SWEPT: OnceCell<()> = OnceCell::const_new();

/// The search of a test.
pub async fn open(folder: &Path) -> Port<dyn Search> {
    SWEPT.get_or_init(sweep).await;
    stores::resolver::search(&url(folder)).await.expect("opened")
}

pub fn url(folder: &Path) -> String {
    format!("{}/{}", engine("ELASTICSEARCH"), namespace(folder))
}

/// The server's own client.
pub fn server() -> Elasticsearch {
    let url = engine("ELASTICSEARCH").replacen("elasticsearch", "http", 1);
    Elasticsearch::new(Transport::single_node(&url).expect("a URL"))
}

/// A server takes a thousand indices at most.
#[expect(clippy::disallowed_methods, reason = "it dates indices by the clock")]
async fn sweep() {
    let server = server();
    let cat = server.cat();
    let found = cat.indices(CatIndicesParts::Index(&["t*-letopis", "t*-search-*"]));
    let found = found.format("json").h(&["index", "creation.date"]).send().await.expect("an answer");
    let found: Vec<Value> = found.json().await.expect("a list");
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    for it in found {
        let made = it["creation.date"].as_str().and_then(|made| made.parse().ok()).expect("when it was made");
        if now.saturating_sub(Duration::from_millis(made)) > LEFT {
            let index = it["index"].as_str().expect("a name");
            server.indices().delete(IndicesDeleteParts::Index(&[index])).send().await.expect("an answer");
        }
    }
}
