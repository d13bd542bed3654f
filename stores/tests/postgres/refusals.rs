//! What cannot be used is refused at the start, in words that say what to do.

use sqlx::{Connection, Executor, PgConnection};
use stores::inspect::{State, inspect};
use stores::peek::peek;

use crate::server::Server;
use crate::{fresh, open, put};

async fn refused(url: &str) -> String {
    let Err(stores::StoreError::Refused(said)) = stores::resolver::directory(url).await else {
        panic!("{url} must be refused")
    };
    assert!(said.contains("LETOPIS_DIRECTORY_URL") && !said.contains("secret"), "{said}");
    said
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_what_to_do() {
    let mut server = Server::start(&[]).await;
    let url = server.database().await;
    let mut admin = PgConnection::connect(&url).await.expect("connects");
    admin
        .execute(
            "CREATE ROLE guest LOGIN PASSWORD 'secret';
            CREATE SCHEMA log; CREATE TABLE log.events (); CREATE SCHEMA mine AUTHORIZATION guest",
        )
        .await
        .expect("made");
    let guest = url.replace("app@", "guest:secret@");
    for (url, words) in [
        (format!("{url}?schema=log"), vec!["schema log", "events", "?schema="]),
        (format!("{url}?schema=public"), vec!["public", "?schema="]),
        (server.url("nowhere"), vec!["no database nowhere", "CREATE DATABASE"]),
        (guest.clone(), vec!["GRANT CREATE ON DATABASE letopis TO guest"]),
        (format!("{guest}?schema=mine"), vec!["mine_1", "GRANT CREATE ON DATABASE letopis TO guest"]),
    ] {
        let said = refused(&url).await;
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
    }
    admin.execute("GRANT CREATE ON DATABASE letopis TO guest").await.expect("granted");
    open(&guest).await;
    drop(admin);
    server.kill();
    let said = refused(&guest).await;
    assert!(said.contains("no PostgreSQL answers at 127.0.0.1:"), "{said}");
    let found = inspect("directory", &guest).await.expect("it is on the network");
    assert!(matches!(&found[..], [only] if only.state == State::Problem && !only.said.contains("secret")));
}

#[tokio::test]
async fn a_look_finds_what_an_operator_needs_and_makes_nothing() {
    let server = Server::start(&["fsync=off", "max_connections=12"]).await;
    let url = server.database().await;
    let mut admin = PgConnection::connect(&url).await.expect("connects");
    admin.execute("CREATE ROLE guest LOGIN").await.expect("made");
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'letopis%'";

    assert!(peek("directory", &url).await.expect("an answer").is_none());
    let found = inspect("directory", &url.replace("app@", "guest@")).await.expect("on the network");
    let of = |name: &str| found.iter().find(|it| it.name == name).unwrap_or_else(|| panic!("{name}"));
    assert!(of("version").state == State::Ok && of("version").said.starts_with("PostgreSQL "));
    assert_eq!((of("encoding").state, of("settings").state), (State::Ok, State::Warning));
    assert_eq!((of("rights").state, of("connections").state), (State::Problem, State::Problem));
    assert!(of("rights").advice.as_ref().is_some_and(|it| it.contains("GRANT CREATE ON DATABASE letopis")));
    let made: i64 = sqlx::query_scalar(schemas).fetch_one(&mut admin).await.expect("an answer");
    assert_eq!(made, 0);

    let port = open(&url).await;
    port.serving().take_over(fresh()).await.expect("taken over");
    put(&*port.serving(), 1, 1).await.expect("written");
    let peeked = peek("directory", &url).await.expect("an answer").expect("it was made");
    assert_eq!((peeked.generation, peeked.checkpoint.expect("one").position, peeked.parked), (1, 1, 0));
    let made: i64 = sqlx::query_scalar(schemas).fetch_one(&mut admin).await.expect("an answer");
    assert_eq!(made, 2);
}
