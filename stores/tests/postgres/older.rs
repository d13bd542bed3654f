//! Rows that an older version of this code has made.

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::server::Server;
use crate::{fresh, open, put, whole};

#[tokio::test]
async fn rows_of_an_older_version_are_made_anew_beside_what_nobody_reads() {
    let server = Server::start(&[]).await;
    let url = server.database().await;
    let mut operator = PgConnection::connect(&url).await.expect("a connection");
    let port = open(&url).await;
    let held = port.shelf().take_over(Uuid::from_u128(1), fresh()).await.expect("taken over");
    put(&*held.serving.expect("it can be read").model, 1, 1).await.expect("written");
    drop(port);
    let older = sqlx::query("UPDATE letopis_directory_1.made SET version = 0");
    older.execute(&mut operator).await.expect("done");

    let (one, two) = tokio::join!(open(&url), open(&url));
    for port in [&one, &two] {
        assert_eq!(whole(&*port.serving()).await, 0, "nothing of the older rows is shown");
    }
    let held = one.shelf().take_over(Uuid::from_u128(1), fresh()).await.expect("taken over");
    assert_eq!((held.number, held.epoch), (2, 2));
    put(&*held.serving.expect("it can be read").model, 1, 2).await.expect("written");
    assert_eq!(whole(&*two.serving()).await, 1, "both are on the same");
    let left = sqlx::query_scalar::<_, i64>(
        "SELECT count(*) FROM pg_namespace WHERE nspname = 'letopis_directory_1'",
    );
    assert_eq!(left.fetch_one(&mut operator).await.expect("an answer"), 0, "the older rows are gone");
}
