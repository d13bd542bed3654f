//! A person's photo; until it is there, and where there is none, initials on a colour that their id picks.

use domain::ids::{ChatId, PersonId};
use domain::views::PersonState;
use leptos::prelude::*;
use leptos::task::spawn_local;
use uuid::Uuid;

use crate::api::photo_path;
use crate::browser::sleep;
use crate::state::Store;

/// Milliseconds until a photo that did not load is asked for again.
const PAUSES: [u32; 2] = [1_500, 10_000];

/// How many colours the style sheet has (`.tint-0` …).
const TINTS: u128 = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Tiny,
    Small,
    Medium,
    Large,
}

impl Size {
    fn class(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }

    /// The address of the photo, and those for denser screens.
    fn sources(self, photo: &str) -> (String, String) {
        let [normal, dense] = if self == Self::Large { [256, 1024] } else { [64, 256] };
        let (normal, dense) = (photo_path(photo, normal), photo_path(photo, dense));
        // A large one is sharp enough for two pixels a point as it is.
        let from = if self == Self::Large { 3 } else { 2 };
        let set = format!("{normal} 1x, {dense} {from}x");
        (normal, set)
    }
}

/// The first letters of the first and the last word, at most two.
fn initials(name: &str) -> String {
    let mut letters =
        name.split_whitespace().filter_map(|word| word.chars().find(|letter| letter.is_alphanumeric()));
    let first = letters.next();
    let letters = first.into_iter().chain(letters.next_back());
    letters.flat_map(char::to_uppercase).collect()
}

pub fn avatar(
    id: PersonId,
    name: &str,
    state: PersonState,
    photo: Memo<Option<String>>,
    size: Size,
) -> AnyView {
    let class = size.class();
    let tint =
        if state == PersonState::Erased { "tint-none".to_owned() } else { format!("tint-{}", tint(id.0)) };
    // What a screen reader should say is the name, which always stands beside.
    let letters = if state == PersonState::Erased { String::new() } else { initials(name) };
    view! {
        <span class=format!("avatar {class} {tint}") aria-hidden="true">
            {letters}
            {move || photo.get().map(|photo| view! { <Photo photo size/> })}
            {(size != Size::Tiny).then(|| view! { <HereDot id/> })}
        </span>
    }
    .into_any()
}

/// The picture of a group: the initials of its title.
pub fn group_avatar(id: ChatId, title: &str, size: Size) -> AnyView {
    let class = format!("avatar group {} tint-{}", size.class(), tint(id.0));
    view! { <span class=class aria-hidden="true">{initials(title)}</span> }.into_any()
}

/// Shows while somebody else is here; what it means is said in words beside.
#[component]
fn HereDot(id: PersonId) -> impl IntoView {
    let store = expect_context::<Store>();
    let here = store.presence.is_here(id);
    move || (id != store.my_id && here.get()).then(|| view! { <span class="here-dot"></span> })
}

/// Lies over the initials once it is loaded.
#[component]
fn Photo(photo: String, size: Size) -> impl IntoView {
    let store = expect_context::<Store>();
    let [wanted, loaded] = [RwSignal::new(true), RwSignal::new(false)];
    let failures = StoredValue::new(0_usize);
    let on_error = move |_| {
        wanted.set(false);
        loaded.set(false);
        let Some(pause) = PAUSES.get(failures.get_value()) else { return };
        failures.update_value(|count| *count += 1);
        spawn_local(async move {
            sleep(*pause).await;
            store.renew_for_photos().await;
            wanted.try_set(true);
        });
    };
    Effect::new(move |before: Option<u32>| {
        let round = store.photos_round.get();
        if before.is_some_and(|before| before != round) {
            failures.set_value(0);
            wanted.set(true);
        }
        round
    });
    let (source, set) = size.sources(&photo);
    let wanted = Memo::new(move |_| wanted.get());
    move || {
        wanted.get().then(|| {
            view! {
                <img class="face" class:loaded=loaded alt="" loading="lazy" decoding="async" draggable="false"
                    srcset=set.clone() src=source.clone() on:load=move |_| loaded.set(true) on:error=on_error/>
            }
        })
    }
}

fn tint(id: Uuid) -> u128 {
    // The first half of a UUIDv7 is a time: the random bits spread better.
    (id.as_u128() & u128::from(u32::MAX)) % TINTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_of_the_first_and_the_last_word() {
        for (name, expected) in [
            ("Anna Maria Petrova", "AP"),
            ("борис", "Б"),
            ("  ", ""),
            ("(x) ý", "XÝ"),
            ("ßa", "SS"),
            ("Ю. Б.", "ЮБ"),
        ] {
            assert_eq!(initials(name), expected, "{name}");
        }
    }
}
