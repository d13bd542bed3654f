//! A batch of changes as a few statements.
//!
//! A statement can change a row once. So the changes of one row are put together here, in their
//! order and by the rule that the rows go by: a change with a lower position than the row's does
//! nothing. Where that depends on what is held, the row is read first; nobody else can change it
//! before the batch is committed.

use std::collections::BTreeMap;

use domain::ids::PersonId;
use domain::views::Relation;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Change, LinkRow, UserColumns, UserRow};
use crate::directory::{AccountRow, Seen, json_of};
use crate::error::Result;
use crate::postgres::{Rows, column, named, number, text, unsigned};
use crate::sqlite::name_of;

const PUT_ACCOUNTS: &str = include_str!("sql/put_accounts.sql");
const PUT_USERS: &str = include_str!("sql/put_users.sql");
const PUT_LINKS: &str = include_str!("sql/put_links.sql");
const PUT_RELATIONS: &str = include_str!("sql/put_relations.sql");
const HELD_RELATIONS: &str = include_str!("sql/held_relations.sql");

/// One person's side of a link.
type Side = (PersonId, PersonId);

/// How one person sees another, as it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sight {
    seen: Seen,
    blocked_me: bool,
    parted_me: bool,
    shown_position: u64,
    position: u64,
}

/// Puts changes into a transaction that [`Rows::begin`] began.
pub(super) async fn put(rows: &Rows, tx: &mut PgConnection, changes: &[Change]) -> Result<()> {
    put_accounts(rows, tx, changes).await?;
    put_users(rows, tx, changes).await?;
    put_links(rows, tx, changes).await?;
    put_relations(rows, tx, changes).await
}

/// Keeps the newest of a row's changes; of two at one position, the later.
fn newest<K: Ord, R>(newest: &mut BTreeMap<K, R>, key: K, row: R, position: impl Fn(&R) -> u64) {
    if newest.get(&key).is_none_or(|held| position(&row) >= position(held)) {
        newest.insert(key, row);
    }
}

async fn put_accounts(rows: &Rows, tx: &mut PgConnection, changes: &[Change]) -> Result<()> {
    let mut accounts: BTreeMap<PersonId, &AccountRow> = BTreeMap::new();
    for change in changes {
        if let Change::Account(account) = change {
            newest(&mut accounts, account.user_id, account, |account| account.position);
        }
    }
    let accounts: Vec<_> = accounts.into_values().collect();
    if accounts.is_empty() {
        return Ok(());
    }
    sqlx::query(&rows.sql(PUT_ACCOUNTS))
        .bind(column(&accounts, |it| it.user_id.0))
        .bind(column(&accounts, |it| text(&it.email)))
        .bind(column(&accounts, |it| name_of(it.state)))
        .bind(column(&accounts, |it| number(it.position)))
        .execute(tx)
        .await?;
    Ok(())
}

/// The profiles that `changes` make of those that are held; those that they leave as they are, too.
fn profiles(mut users: BTreeMap<PersonId, UserRow>, changes: &[Change]) -> Vec<UserRow> {
    for change in changes {
        match change {
            Change::User(user) => newest(&mut users, user.user_id, user.clone(), |user| user.position),
            Change::UserEdited { user_id, nickname, name, about, position } => {
                let Some(user) = users.get_mut(user_id).filter(|user| user.position <= *position) else {
                    continue;
                };
                if let Some(new) = nickname {
                    user.nickname.clone_from(&new.nickname);
                    user.nickname_key.clone_from(&new.key);
                }
                if let Some(new) = name {
                    user.name.clone_from(&new.name);
                    user.sort_key.clone_from(&new.sort_key);
                }
                if let Some(about) = about {
                    user.about.clone_from(about);
                }
                user.position = *position;
            }
            Change::Photo { user_id, photo, position } => {
                if let Some(user) = users.get_mut(user_id).filter(|user| user.position <= *position) {
                    (user.photo, user.position) = (*photo, *position);
                }
            }
            Change::Settings { user_id, settings, position } => {
                if let Some(user) = users.get_mut(user_id).filter(|user| user.position <= *position) {
                    (user.settings, user.position) = (*settings, *position);
                }
            }
            Change::Account(_) | Change::Link { .. } => {}
        }
    }
    users.into_values().collect()
}

async fn put_users(rows: &Rows, tx: &mut PgConnection, changes: &[Change]) -> Result<()> {
    // Only an edit goes on from what is held.
    let mut edited: Vec<Uuid> = changes
        .iter()
        .filter_map(|change| match change {
            Change::UserEdited { user_id, .. }
            | Change::Photo { user_id, .. }
            | Change::Settings { user_id, .. } => Some(user_id.0),
            _ => None,
        })
        .collect();
    edited.sort_unstable();
    edited.dedup();
    let mut held = BTreeMap::new();
    if !edited.is_empty() {
        let found: Vec<UserColumns> =
            sqlx::query_as(&rows.sql(super::USERS)).bind(edited).fetch_all(&mut *tx).await?;
        for user in found {
            let user = super::user(user)?;
            held.insert(user.user_id, user);
        }
    }
    let users = profiles(held, changes);
    if users.is_empty() {
        return Ok(());
    }
    sqlx::query(&rows.sql(PUT_USERS))
        .bind(column(&users, |it| it.user_id.0))
        .bind(column(&users, |it| text(&it.nickname)))
        .bind(column(&users, |it| text(&it.nickname_key)))
        .bind(column(&users, |it| text(&it.name)))
        .bind(column(&users, |it| text(&it.about)))
        .bind(column(&users, |it| text(&it.sort_key)))
        .bind(column(&users, |it| it.photo.map(|photo| photo.photo_id.0)))
        .bind(column(&users, |it| it.photo.map(|photo| photo.blob.0)))
        .bind(column(&users, |it| json_of(it.settings)))
        .bind(column(&users, |it| name_of(it.state)))
        .bind(column(&users, |it| number(it.position)))
        .execute(tx)
        .await?;
    Ok(())
}

async fn put_links(rows: &Rows, tx: &mut PgConnection, changes: &[Change]) -> Result<()> {
    let mut links = BTreeMap::new();
    for change in changes {
        if let Change::Link { pair, state, position, .. } = change {
            let link = LinkRow { state: text(state).into_owned(), position: *position };
            newest(&mut links, pair.both(), link, |link| link.position);
        }
    }
    if links.is_empty() {
        return Ok(());
    }
    let (pairs, links): (Vec<_>, Vec<_>) = links.into_iter().unzip();
    sqlx::query(&rows.sql(PUT_LINKS))
        .bind(column(&pairs, |[low, _]| low.0))
        .bind(column(&pairs, |[_, high]| high.0))
        .bind(column(&links, |it| &it.state))
        .bind(column(&links, |it| number(it.position)))
        .execute(tx)
        .await?;
    Ok(())
}

/// What a link's change shows to each of the two.
fn sides(change: &Change) -> Option<[(Side, Sight); 2]> {
    let Change::Link { pair, seen: [of_low, of_high], position, .. } = change else { return None };
    let [low, high] = pair.both();
    let side = |side: Side, seen: Seen, theirs: Seen| {
        let nothing_to_see = seen.relation == Relation::None && !seen.blocked;
        let shown_position = if nothing_to_see { 0 } else { *position };
        let (blocked_me, parted_me) = (theirs.blocked, theirs.parted);
        (side, Sight { seen, blocked_me, parted_me, shown_position, position: *position })
    };
    Some([side((low, high), *of_low, *of_high), side((high, low), *of_high, *of_low)])
}

/// What `changes` make of what is held.
fn sights(mut held: BTreeMap<Side, Sight>, changes: &[Change]) -> BTreeMap<Side, Sight> {
    for (side, new) in changes.iter().filter_map(sides).flatten() {
        match held.get_mut(&side) {
            None => {
                held.insert(side, new);
            }
            Some(held) if new.position >= held.position => {
                let shown_position =
                    if new.seen.shows_as(&held.seen) { held.shown_position } else { new.position };
                *held = Sight { shown_position, ..new };
            }
            Some(_) => {}
        }
    }
    held
}

async fn put_relations(rows: &Rows, tx: &mut PgConnection, changes: &[Change]) -> Result<()> {
    let mut asked: Vec<Side> = changes.iter().filter_map(sides).flatten().map(|(side, _)| side).collect();
    if asked.is_empty() {
        return Ok(());
    }
    asked.sort_unstable();
    asked.dedup();
    type Columns = (Uuid, Uuid, String, bool, bool, bool, bool, i64, i64);
    let found: Vec<Columns> = sqlx::query_as(&rows.sql(HELD_RELATIONS))
        .bind(column(&asked, |(person, _)| person.0))
        .bind(column(&asked, |(_, other)| other.0))
        .fetch_all(&mut *tx)
        .await?;
    let mut held = BTreeMap::new();
    for (person, other, relation, blocked, blocked_me, parted, parted_me, shown_position, position) in found {
        let seen = Seen { relation: named(relation)?, blocked, parted };
        let (shown_position, position) = (unsigned(shown_position)?, unsigned(position)?);
        let sight = Sight { seen, blocked_me, parted_me, shown_position, position };
        held.insert((PersonId(person), PersonId(other)), sight);
    }
    let (sides, sights): (Vec<_>, Vec<_>) = sights(held, changes).into_iter().unzip();
    sqlx::query(&rows.sql(PUT_RELATIONS))
        .bind(column(&sides, |(person, _)| person.0))
        .bind(column(&sides, |(_, other)| other.0))
        .bind(column(&sights, |it| name_of(it.seen.relation)))
        .bind(column(&sights, |it| it.seen.blocked))
        .bind(column(&sights, |it| it.blocked_me))
        .bind(column(&sights, |it| it.seen.parted))
        .bind(column(&sights, |it| it.parted_me))
        .bind(column(&sights, |it| number(it.shown_position)))
        .bind(column(&sights, |it| number(it.position)))
        .execute(tx)
        .await?;
    Ok(())
}
