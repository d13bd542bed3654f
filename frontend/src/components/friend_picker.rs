//! Choosing some of one's friends.

use std::collections::BTreeSet;

use domain::ids::PersonId;
use domain::views::{Person, Relation};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent};

use super::avatar::{Size, avatar};
use super::icon::Icon;
use super::person_row::person_name;
use crate::i18n::{t, t_count, t_with};
use crate::state::Store;

/// Where one types a name.
pub const SEARCH: &str = "picker-search";

#[component]
pub fn FriendPicker(
    chosen: RwSignal<BTreeSet<PersonId>>,
    /// Who is not offered.
    #[prop(into)]
    without: Signal<BTreeSet<PersonId>>,
) -> impl IntoView {
    let store = expect_context::<Store>();
    let friends = store.related(Relation::Friends);
    let words = RwSignal::new(String::new());
    let offered = Memo::new(move |_| {
        without.with(|without| {
            let mut friends = friends.get();
            friends.retain(|friend| !without.contains(&friend.user_id));
            friends
        })
    });
    let shown = Memo::new(move |_| {
        let words = words.with(|words| words.trim().trim_start_matches('@').to_lowercase());
        let mut friends = offered.get();
        friends.retain(|friend| {
            friend.name.to_lowercase().contains(&words) || friend.nickname.to_lowercase().contains(&words)
        });
        friends
    });
    let count = Memo::new(move |_| chosen.with(BTreeSet::len) as u64);
    let row = move |friend: Person| {
        let id = friend.user_id;
        let choose = move |event| {
            let on = event_target_checked(&event);
            chosen.update(|chosen| {
                if on {
                    chosen.insert(id);
                } else {
                    chosen.remove(&id);
                }
            });
        };
        view! {
            <li>
                <label class="pick">
                    <input type="checkbox" prop:checked=move || chosen.with(|chosen| chosen.contains(&id)) on:change=choose/>
                    {avatar(id, &friend.name, friend.state, store.photo_of(id), Size::Small)}
                    <span class="pick-who">
                        <span class="row-name" dir="auto">{person_name(&friend)}</span>
                        <span class="row-text">{format!("@{}", friend.nickname)}</span>
                    </span>
                </label>
            </li>
        }
    };
    let nobody = move || match (offered.with(Vec::is_empty), shown.with(Vec::is_empty)) {
        (true, _) => Some(t("picker.no-friends")),
        (false, true) => Some(t_with("people.search.nobody", &[("words", words.get().trim())])),
        (false, false) => None,
    };
    view! {
        <fieldset class="picker">
            <legend>{t("people.friends")}</legend>
            <div class="searchbox" role="search">
                {Icon::Search.view()}
                <input type="search" id=SEARCH aria-label=t("picker.search") placeholder=t("people.search.hint")
                    autocomplete="off" spellcheck="false" autocapitalize="none" dir="auto"
                    prop:value=move || words.get() on:input=move |event| words.set(event_target_value(&event))
                    on:keydown=move |event: KeyboardEvent| on_search_key(&event, words)/>
            </div>
            <ul class="picks" aria-label=t("people.friends") on:keydown=|event| walk(&event)>
                <For each=move || shown.get() key=|friend| (friend.user_id, friend.name.clone()) children=row/>
            </ul>
            <p class="field-hint" role="status">
                {move || nobody().or_else(|| (count.get() > 0).then(|| t_count("picker.chosen", count.get())))}
            </p>
        </fieldset>
    }
    .into_any()
}

fn on_search_key(event: &KeyboardEvent, words: RwSignal<String>) {
    match event.key().as_str() {
        // It would send the form.
        "Enter" => event.prevent_default(),
        "Escape" if !words.with_untracked(String::is_empty) => {
            event.prevent_default();
            words.set(String::new());
        }
        "ArrowDown" => {
            let picker = event.target().and_then(|it| it.dyn_into::<Element>().ok());
            let picker = picker.and_then(|field| field.closest(".picker").ok().flatten());
            let first = picker.and_then(|picker| picker.query_selector(".pick input").ok().flatten());
            if let Some(first) = first.and_then(|first| first.dyn_into::<HtmlElement>().ok()) {
                event.prevent_default();
                let _ = first.focus();
            }
        }
        _ => {}
    }
}

/// Up and down go from friend to friend, besides Tab.
fn walk(event: &KeyboardEvent) {
    let Some(row) = event
        .target()
        .and_then(|target| target.dyn_into::<Element>().ok())
        .and_then(|target| target.closest("li").ok().flatten())
    else {
        return;
    };
    let next = match event.key().as_str() {
        "ArrowDown" => row.next_element_sibling(),
        "ArrowUp" => row.previous_element_sibling(),
        _ => return,
    };
    event.prevent_default();
    let next = next.and_then(|next| next.query_selector("input").ok().flatten());
    if let Some(next) = next.and_then(|next| next.dyn_into::<HtmlElement>().ok()) {
        let _ = next.focus();
    }
}
