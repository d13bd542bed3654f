//! A person's initials on a colour that their id picks.

use domain::ids::PersonId;
use domain::views::PersonState;
use leptos::prelude::*;

/// How many colours the style sheet has (`.tint-0` …).
const TINTS: u128 = 8;

#[derive(Clone, Copy)]
pub enum Size {
    Small,
    Medium,
    Large,
}

/// The first letters of the first and the last word, at most two.
fn initials(name: &str) -> String {
    let mut letters =
        name.split_whitespace().filter_map(|word| word.chars().find(|letter| letter.is_alphanumeric()));
    let first = letters.next();
    let letters = first.into_iter().chain(letters.next_back());
    letters.flat_map(char::to_uppercase).collect()
}

pub fn avatar(id: PersonId, name: &str, state: PersonState, size: Size) -> AnyView {
    let size = match size {
        Size::Small => "small",
        Size::Medium => "medium",
        Size::Large => "large",
    };
    let tint =
        if state == PersonState::Erased { "tint-none".to_owned() } else { format!("tint-{}", tint(id)) };
    // What a screen reader should say is the name, which always stands beside.
    let letters = if state == PersonState::Erased { String::new() } else { initials(name) };
    view! { <span class=format!("avatar {size} {tint}") aria-hidden="true">{letters}</span> }.into_any()
}

fn tint(id: PersonId) -> u128 {
    // The first half of a UUIDv7 is a time: the random bits spread better.
    (id.0.as_u128() & u128::from(u32::MAX)) % TINTS
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
