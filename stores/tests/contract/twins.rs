//! Two engines that were told the same say the same, whatever it was.

use std::path::Path;

use domain::ids::{BlobId, Pair, PersonId, PhotoId};
use domain::user::Photo;
use domain::views::{Audience, PersonState, Relation, Settings};
use sqlx::{Connection, Executor, PgConnection};
use stores::directory::{
    AccountRow, Change, Directory, LinkState, LinkedQuery, NameText, NicknameText, Seen, UserRow,
};
use stores::{Batch, Checkpoint, Parked, Parking};

use crate::{at, fresh, person};

const PEOPLE: u64 = 6;

/// Numbers that look random and are the same at every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    fn person(&mut self) -> PersonId {
        person(u128::from(self.below(PEOPLE)))
    }

    fn text(&mut self) -> String {
        // By bytes they have another order than by any language, and some are as long as none.
        self.one_of(&["", "a", "B", "b", "ä", "z", "Z", "ы", "_", "b a", "😀", "a\u{301}"]).to_owned()
    }

    fn maybe<T>(&mut self, of: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 0).then(|| of(self))
    }

    fn photo(&mut self) -> Photo {
        photo(self.one_of(&[1, 2, 3, 4]))
    }

    fn settings(&mut self) -> Settings {
        let photo = self.one_of(&[Audience::Everyone, Audience::Friends]);
        Settings { discoverable: self.below(2) == 0, photo, ..Settings::default() }
    }

    fn seen(&mut self) -> Seen {
        let relations = [Relation::None, Relation::Outgoing, Relation::Incoming, Relation::Friends];
        Seen { relation: self.one_of(&relations), blocked: self.below(4) == 0, parted: self.below(4) == 0 }
    }

    fn change(&mut self, position: u64) -> Change {
        let (user_id, state) = (self.person(), self.one_of(&[PersonState::Active, PersonState::Erased]));
        match self.below(7) {
            0 => Change::Account(AccountRow { user_id, email: self.text(), state, position }),
            1 => Change::User(UserRow {
                user_id,
                nickname: self.text(),
                nickname_key: self.text(),
                name: self.text(),
                about: self.text(),
                sort_key: self.text(),
                photo: self.maybe(Self::photo),
                settings: self.settings(),
                state,
                position,
            }),
            2 => Change::UserEdited {
                user_id,
                nickname: self.maybe(|it| NicknameText { nickname: it.text(), key: it.text() }),
                name: self.maybe(|it| NameText { name: it.text(), sort_key: it.text() }),
                about: self.maybe(Self::text),
                position,
            },
            3 => Change::Photo { user_id, photo: self.maybe(Self::photo), position },
            4 => Change::Settings { user_id, settings: self.settings(), position },
            _ => {
                let Some(pair) = Pair::of(user_id, self.person()) else { return self.change(position) };
                Change::Link { pair, state: self.text(), seen: [self.seen(), self.seen()], position }
            }
        }
    }

    /// Mostly in order, some of it again, some of it late.
    fn batch(&mut self, checkpoint: Checkpoint, follows: u64) -> Batch<Change> {
        let changes = (0..self.below(40))
            .map(|_| {
                let back = self.one_of(&[0, 0, 0, 1, 7]);
                self.change(checkpoint.position.saturating_sub(back).max(1))
            })
            .collect();
        let parking = (0..self.below(3))
            .map(|_| {
                let stream = format!("User/{}", self.text());
                let (position, sequence, why) = (checkpoint.position, self.below(9), self.text());
                let since = domain::Timestamp(5);
                match self.below(2) {
                    0 => Parking::Unpark(stream),
                    _ => Parking::Park(Parked { stream, position, sequence, why, since }),
                }
            })
            .collect();
        Batch { changes, parking, checkpoint, follows: Some(follows) }
    }
}

fn photo(n: u8) -> Photo {
    Photo { photo_id: PhotoId(uuid::Uuid::from_u128(n.into())), blob: BlobId([n; 32]) }
}

/// Everything that can be asked, in words.
async fn told(rows: &dyn Directory, bounds: &[Option<(String, PersonId)>], since: u64) -> Vec<String> {
    let people: Vec<PersonId> = (0..PEOPLE + 1).rev().map(|n| person(u128::from(n))).collect();
    let twice: Vec<PersonId> = people.iter().chain(&people[..2]).copied().collect();
    let mut told = vec![
        format!("{:?}", rows.checkpoint().await.expect("a checkpoint")),
        format!("{:?}", rows.parked().await.expect("what is parked")),
        format!("{:?}", rows.persons(&twice).await.expect("people")),
    ];
    for n in 1..=4 {
        let found = rows.by_photo(photo(n).photo_id).await.expect("an answer");
        told.push(format!("photo {n}: {:?}", found.map(|user| user.position)));
    }
    let blobs: Vec<BlobId> = (1..=5).map(|n| photo(n).blob).collect();
    let mut named = rows.photos_in(&blobs).await.expect("an answer");
    named.sort_unstable();
    named.dedup();
    told.push(format!("{named:?}"));
    for key in ["", "a", "B", "ä", "😀", "none"] {
        told.push(format!("{key}: {:?}", rows.by_nickname(key).await.expect("an answer")));
    }
    for one in &people {
        told.push(format!("{:?}", rows.account(*one).await.expect("an account")));
        told.push(format!("{:?}", rows.relations(*one, &twice).await.expect("relations")));
        told.push(format!("{:?}", rows.linked_with(*one).await.expect("people")));
        for limit in [2, 99] {
            let changed = rows.relations_changed_since(*one, since, limit).await.expect("changes");
            told.push(format!("since {since}, {limit}: {changed:?}"));
            for state in [LinkState::Accepted, LinkState::Incoming, LinkState::Outgoing, LinkState::Blocked] {
                for (after, before) in [(0, 1), (2, 1), (1, 2), (2, 3), (1, 1)] {
                    let (after, before) = (bounds[after].clone(), bounds[before].clone());
                    let query = LinkedQuery { state, after, before, limit };
                    told.push(format!(
                        "{query:?}: {:?}",
                        rows.linked(*one, query.clone()).await.expect("people")
                    ));
                }
            }
        }
        let pairs: Vec<Pair> = people.iter().filter_map(|other| Pair::of(*one, *other)).collect();
        let mut links: Vec<_> = rows.links(&pairs).await.expect("links").into_iter().collect();
        links.sort_by_key(|(pair, _)| *pair);
        told.push(format!("{links:?}"));
    }
    told
}

async fn opened(url: &str) -> std::sync::Arc<dyn Directory> {
    let rows = stores::resolver::directory(url).await.expect("opened").serving();
    rows.take_over(fresh()).await.expect("taken over");
    rows
}

#[tokio::test]
async fn a_directory_on_postgres_answers_as_one_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let path: &Path = folder.path();
    let sqlite = opened(&format!("sqlite:{}/directory", path.display())).await;
    // A database whose own order is that of a language.
    let (server, database) = (crate::engine("POSTGRES"), crate::namespace(path));
    let mut admin = PgConnection::connect(&format!("{server}/postgres")).await.expect("connects");
    let create = "TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en'";
    admin.execute(&*format!("CREATE DATABASE {database} {create}")).await.expect("made");
    let postgres = opened(&format!("{server}/{database}")).await;
    let mut numbers = Numbers(7);
    let mut position = 0;
    for round in 0..24 {
        let before = position;
        position += numbers.below(9) + 1;
        let batch = std::sync::Arc::new(numbers.batch(at(position, 1), before));
        sqlite.put(batch.clone()).await.expect("written");
        postgres.put(batch).await.expect("written");
        if round == 12 {
            sqlite.index().await.expect("indexed");
            postgres.index().await.expect("indexed");
        }
        let bounds =
            [None, None, Some((numbers.text(), numbers.person())), Some((numbers.text(), numbers.person()))];
        let since = numbers.below(position + 1);
        let (expected, found) =
            (told(&*sqlite, &bounds, since).await, told(&*postgres, &bounds, since).await);
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(expected, found, "in round {round}");
        }
    }
    drop(postgres);
    admin.execute(&*format!("DROP DATABASE {database} WITH (FORCE)")).await.expect("dropped");
}
