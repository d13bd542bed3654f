//! A PostgreSQL server as an operator would look at it.

use sqlx::{Connection, Row};

use super::NAME;
use super::connecting::{Place, READERS, SUMMARIES, WRITERS};
use crate::error::Result;
use crate::inspect::Inspected;

const INSPECT: &str = include_str!("sql/inspect.sql");
/// The oldest that is tested with.
const VERSION: i64 = 130_000;

/// Looks, and changes nothing.
pub(crate) async fn inspect(url: &str, schema: &str) -> Vec<Inspected> {
    // A server that can't be asked is what was found.
    look(url, schema).await.unwrap_or_else(|error| {
        vec![Inspected::problem("server", error.to_string(), "start it, or set the URL right")]
    })
}

async fn look(url: &str, schema: &str) -> Result<Vec<Inspected>> {
    let place = Place::of(url, schema)?;
    let mut connection = place.connect().await?;
    let row = sqlx::query(INSPECT).bind(&place.schema).bind(NAME).fetch_one(&mut connection).await?;
    // It was asked, and has answered; how it parts changes nothing.
    let _ = connection.close().await;
    let text = |column: &str| row.try_get::<String, _>(column);
    let number = |column: &str| row.try_get::<i64, _>(column);

    let mut found = Vec::new();
    let (version, number_of) = (text("version")?, number("version_num")?);
    found.push(if number_of < VERSION {
        Inspected::problem("version", format!("PostgreSQL {version}"), "bring the server to 13 or newer")
    } else {
        Inspected::ok("version", format!("PostgreSQL {version}"))
    });

    let encoding = text("encoding")?;
    found.push(if encoding == "UTF8" {
        Inspected::ok("encoding", encoding)
    } else {
        let database = text("database")?;
        Inspected::problem(
            "encoding",
            format!("{database} is encoded in {encoding}"),
            format!("make another database with CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8' in place of {database}"),
        )
    });

    if row.try_get("in_recovery")? {
        let advice = "name the primary in the URL: a standby takes no rows";
        found.push(Inspected::problem("role", "a standby", advice));
    }

    found.push(rights(&place, &row)?);

    let (fsync, pages) = (text("fsync")?, text("full_page_writes")?);
    let said = format!("fsync {fsync}, full_page_writes {pages}");
    found.push(if fsync == "on" && pages == "on" {
        Inspected::ok("settings", said)
    } else {
        // Rows can be made again, so it is a matter of time, not of loss.
        let advice = "set both on: a power cut may damage the rows, and they would have to be made again";
        Inspected::warning("settings", said, advice)
    });

    let (most, used, ours) = (number("max_connections")?, number("connections")?, number("ours")?);
    let needed = i64::from(READERS + WRITERS + SUMMARIES);
    let said = format!("{used} of {most} used");
    // Whoever looks is one of them, and goes.
    let left = most - used + 1;
    found.push(if ours <= 1 && left < needed {
        let advice = format!("raise max_connections: a directory takes up to {needed}, and {left} are left");
        Inspected::problem("connections", said, advice)
    } else {
        Inspected::ok("connections", said)
    });
    Ok(found)
}

/// Every generation needs a schema of its own.
fn rights(place: &Place, row: &sqlx::postgres::PgRow) -> Result<Inspected> {
    let (database, role): (String, String) = (row.try_get("database")?, row.try_get("role")?);
    let schema = &place.schema;
    if !row.try_get::<bool, _>("may_create")? {
        let said = format!("{role} may not make schemas in {database}, and needs one for every generation");
        let advice = format!("as its owner: GRANT CREATE ON DATABASE {database} TO {role}");
        return Ok(Inspected::problem("rights", said, advice));
    }
    Ok(match row.try_get::<Option<bool>, _>("may_use")? {
        Some(false) => Inspected::problem(
            "rights",
            format!("schema {schema} belongs to somebody else"),
            format!(
                "as its owner: GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}; or name another with ?schema=…"
            ),
        ),
        Some(true) => Inspected::ok("rights", format!("{role} has schema {schema} and may make others")),
        None => Inspected::ok("rights", format!("{role} may make schema {schema}")),
    })
}
