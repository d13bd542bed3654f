//! The search of chats and people that opens over everything (Ctrl-K).

use domain::ids::{ChatId, PersonId};
use leptos::html::Dialog;
use leptos::prelude::*;

use super::avatar::{Size, avatar};
use super::chat_row::{chat_avatar, chat_name, chat_photo, chat_subtitle};
use super::icon::Icon;
use super::person_row::{person_name, relation_text};
use crate::browser::document;
use crate::i18n::{t, t_with};
use crate::later::Part;
use crate::pages::people::Search;
use crate::route::Route;
use crate::state::Store;

/// How many chats are offered.
const CHATS: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Hit {
    Chat(ChatId),
    Person(PersonId),
    NewGroup,
}

impl Hit {
    fn element_id(self) -> String {
        match self {
            Self::Chat(id) => format!("hit-{id}"),
            Self::Person(id) => format!("hit-{id}"),
            Self::NewGroup => "hit-new-group".to_owned(),
        }
    }

    fn route(self) -> Route {
        match self {
            Self::Chat(id) => Route::Chats(Some(id)),
            Self::Person(id) => Route::People(Some(id)),
            Self::NewGroup => Route::NewGroup,
        }
    }
}

#[component]
pub fn Palette() -> impl IntoView {
    let store = expect_context::<Store>();
    let dialog = NodeRef::<Dialog>::new();
    Effect::new(move || {
        let Some(dialog) = dialog.get() else { return };
        match (store.searching.get(), dialog.open()) {
            (true, false) => {
                let _ = dialog.show_modal();
            }
            (false, true) => dialog.close(),
            _ => {}
        }
    });
    view! {
        <dialog class="palette" node_ref=dialog aria-label=t("search.title")
            on:close=move |_| store.searching.set(false)
            on:click=move |event| {
                // A click beside the dialog is on the dialog itself; what is in it lies in an element of its own.
                if event.target() == dialog.get_untracked().map(|dialog| (*dialog).clone().into()) {
                    store.searching.set(false);
                }
            }>
            {move || store.searching.get().then(|| Part::Finder.view())}
        </dialog>
    }
    .into_any()
}

#[component]
pub fn Finder() -> impl IntoView {
    let store = expect_context::<Store>();
    let search = Search::new();
    let chosen = RwSignal::new(0_usize);
    let field = NodeRef::<leptos::html::Input>::new();
    Effect::new(move || {
        if let Some(field) = field.get() {
            let _ = field.focus();
        }
    });
    let chats = Memo::new(move |_| {
        let words = search.words.with(|words| words.trim().trim_start_matches('@').to_lowercase());
        let wanted = |name: String| name.to_lowercase().contains(&words);
        store.chats.with(|chats| {
            let hits = chats
                .iter()
                .filter(|chat| words.is_empty() || wanted(chat_name(chat)) || wanted(chat_subtitle(chat)));
            hits.take(CHATS).map(|chat| chat.chat_id).collect::<Vec<_>>()
        })
    });
    let people = Memo::new(move |_| match search.found.get() {
        Some(Ok(found)) => {
            found.iter().map(|person| person.user_id).filter(|id| *id != store.my_id).collect::<Vec<_>>()
        }
        _ => Vec::new(),
    });
    let actions = Memo::new(move |_| {
        let words = search.words.with(|words| words.trim().to_lowercase());
        let wanted = t("new-group.title").to_lowercase().contains(&words);
        wanted.then_some(Hit::NewGroup).into_iter().collect::<Vec<_>>()
    });
    let hits = Memo::new(move |_| {
        let chats = chats.get().into_iter().map(Hit::Chat);
        let people = people.get().into_iter().map(Hit::Person);
        chats.chain(people).chain(actions.get()).collect::<Vec<_>>()
    });
    let current = Memo::new(move |_| {
        hits.with(|hits| hits.get(chosen.get().min(hits.len().saturating_sub(1))).copied())
    });
    let go = move |hit: Hit| {
        store.searching.set(false);
        store.router.go(hit.route());
    };
    let on_key = move |event: web_sys::KeyboardEvent| {
        let count = hits.with_untracked(Vec::len);
        match event.key().as_str() {
            "ArrowDown" if count > 0 => chosen.update(|at| *at = (*at + 1) % count),
            "ArrowUp" if count > 0 => chosen.update(|at| *at = (*at + count - 1) % count),
            "Enter" if !event.is_composing() => {
                if let Some(hit) = current.get_untracked() {
                    go(hit);
                }
            }
            _ => return,
        }
        event.prevent_default();
        if let Some(element) =
            current.get_untracked().and_then(|hit| document().get_element_by_id(&hit.element_id()))
        {
            let options = web_sys::ScrollIntoViewOptions::new();
            options.set_block(web_sys::ScrollLogicalPosition::Nearest);
            element.scroll_into_view_with_scroll_into_view_options(&options);
        }
    };
    let row = move |hit: Hit| {
        let content = match hit {
            Hit::Chat(id) => store.peek_chat(id, |chat| {
                let photo = chat_photo(chat);
                let face = chat_avatar(chat, Memo::new(move |_| photo.clone()), Size::Small);
                hit_row(face, chat_name(chat), chat_subtitle(chat))
            }),
            Hit::NewGroup => Some(
                view! { <span class="hit-mark">{Icon::Plus.view()}</span> <span class="row-name">{t("new-group.title")}</span> }
                    .into_any(),
            ),
            Hit::Person(id) => store.people.with_untracked(|people| people.get(&id).cloned()).map(|person| {
                let note = relation_text(&person).map(|note| format!(" · {note}")).unwrap_or_default();
                let face = avatar(id, &person.name, person.state, store.photo_of(id), Size::Small);
                hit_row(face, person_name(&person), format!("@{}{note}", person.nickname))
            }),
        };
        view! {
            <li class="hit" role="option" id=hit.element_id() aria-selected=move || if current.get() == Some(hit) { "true" } else { "false" }
                on:click=move |_| go(hit)>{content}</li>
        }
    };
    let group = move |title: &'static str, of: Memo<Vec<Hit>>| {
        move || {
            let hits = of.get();
            (!hits.is_empty()).then(|| {
                view! {
                    <ul role="group" aria-label=t(title)>
                        <li class="hits-title" role="presentation">{t(title)}</li>
                        {hits.into_iter().map(row).collect_view()}
                    </ul>
                }
            })
        }
    };
    let chat_hits = Memo::new(move |_| chats.with(|ids| ids.iter().copied().map(Hit::Chat).collect()));
    let person_hits = Memo::new(move |_| people.with(|ids| ids.iter().copied().map(Hit::Person).collect()));
    let status = move || match search.found.get() {
        Some(Err(failure)) => Some(crate::wording::failure_text(&failure)),
        Some(Ok(_)) if hits.with(Vec::is_empty) => {
            Some(t_with("people.search.nobody", &[("words", search.words.get().trim())]))
        }
        None if hits.with(Vec::is_empty) && !search.is_long_enough() => Some(t("search.tip")),
        _ => None,
    };
    view! {
        <div class="finder">
            <input type="text" class="finder-input" node_ref=field autofocus role="combobox" aria-expanded="true" aria-controls="hits"
                aria-autocomplete="list" aria-label=t("search.title") placeholder=t("search.placeholder")
                aria-activedescendant=move || current.get().map(Hit::element_id)
                autocomplete="off" spellcheck="false" autocapitalize="none" dir="auto"
                on:input=move |event| { chosen.set(0); search.type_in(store, event_target_value(&event)); }
                on:keydown=on_key/>
            <div class="hits" id="hits" role="listbox" aria-label=t("search.title")>
                {group("nav.chats", chat_hits)}
                {group("nav.people", person_hits)}
                {group("search.actions", actions)}
            </div>
            <p class="tip" role="status">{status}</p>
            {move || matches!(search.found.get(), Some(Err(_))).then(|| view! {
                <p class="tip"><button type="button" class="link" on:click=move |_| {
                    search.again(store);
                    // The button goes with the failure.
                    if let Some(field) = field.get_untracked() {
                        let _ = field.focus();
                    }
                }>{t("retry")}</button></p>
            })}
        </div>
    }
    .into_any()
}

fn hit_row(face: AnyView, name: String, note: String) -> AnyView {
    view! {
        {face}
        <span class="row-main">
            <span class="row-name" dir="auto">{name}</span>
            <span class="row-text">{note}</span>
        </span>
    }
    .into_any()
}
