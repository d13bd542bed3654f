//! One chat in the list: who, what was said last, when, and how much of it is new.

use domain::ids::ChatId;
use domain::views::{Chat, PersonState};
use leptos::prelude::*;

use super::avatar::{Size, avatar};
use super::icon::Icon;
use crate::format;
use crate::i18n::{t, t_count, t_with};
use crate::pages::shell::short_count;
use crate::route::Route;
use crate::state::{Store, drafts};

/// How a chat is called.
pub fn chat_name(chat: &Chat) -> String {
    match (&chat.peer, &chat.title) {
        (Some(peer), _) if peer.state == PersonState::Erased => t("person.erased"),
        (Some(peer), _) => peer.name.clone(),
        (None, Some(title)) => title.clone(),
        (None, None) => t("chat.untitled"),
    }
}

pub fn chat_avatar(chat: &Chat, photo: Memo<Option<String>>, size: Size) -> AnyView {
    match &chat.peer {
        Some(peer) => avatar(peer.user_id, &peer.name, peer.state, photo, size),
        None => avatar(chat.chat_id.0.into(), &chat_name(chat), PersonState::Active, photo, size),
    }
}

pub fn chat_photo(chat: &Chat) -> Option<String> {
    chat.peer.as_ref()?.photo_id.clone()
}

/// [`chat_photo`], followed.
pub fn photo_of_chat(chat: Memo<Option<Chat>>) -> Memo<Option<String>> {
    Memo::new(move |_| chat.with(|chat| chat.as_ref().and_then(chat_photo)))
}

#[component]
pub fn ChatRow(id: ChatId) -> impl IntoView {
    let store = expect_context::<Store>();
    let chat = store.chat(id);
    let href = Route::Chats(Some(id)).path();
    let open = Memo::new(move |_| store.router.get() == Route::Chats(Some(id)));
    let head = Memo::new(move |_| {
        chat.with(|chat| chat.as_ref().map(|chat| (chat_name(chat), chat.peer.as_ref().map(|it| it.user_id))))
    });
    let photo = photo_of_chat(chat);
    let shown = move || {
        chat.get().map(|chat| {
            // The draft of the open chat is on the screen already.
            let draft = if open.get() { String::new() } else { drafts::read(store.my_id, id) };
            preview(store, &chat, &draft)
        })
    };
    view! {
        <li>
            <a class="row" href=href aria-current=move || open.get().then_some("true")>
                {move || { head.track(); chat.with_untracked(|chat| chat.as_ref().map(|chat| chat_avatar(chat, photo, Size::Medium))) }}
                <span class="row-main">
                    <span class="row-name" dir="auto">{move || head.get().map(|(name, _)| name)}</span>
                    {shown}
                </span>
            </a>
        </li>
    }
    .into_any()
}

/// The second line, with the time and the count beside.
fn preview(store: Store, chat: &Chat, draft: &str) -> AnyView {
    let time = chat.last.as_ref().map(|last| {
        view! { <time class="row-time" datetime=format::machine(last.sent_at)>{format::brief(last.sent_at)}</time> }
    });
    let text = match &chat.last {
        _ if !draft.trim().is_empty() => {
            view! { <span class="draft">{t("chats.draft")}</span> " " {one_line(draft)} }.into_any()
        }
        Some(last) if last.author.user_id == store.my_id => {
            let read = chat.peer_read_number.is_some_and(|read| read >= last.number);
            let icon = if read { Icon::Checks } else { Icon::Check };
            let state = if read { t("message.read") } else { t("message.sent") };
            view! {
                <span class="tick" class:read=read>{icon.view()}<span class="sr">{state}</span></span>
                {one_line(&last.text)}
            }
            .into_any()
        }
        Some(last) => one_line(&last.text).into_any(),
        None => view! { <span class="faint">{t("chats.no-messages")}</span> }.into_any(),
    };
    let unread = (chat.unread > 0).then(|| {
        view! {
            <span class="badge" aria-hidden="true">{short_count(chat.unread)}</span>
            <span class="sr">{t_count("nav.unread", chat.unread)}</span>
        }
    });
    view! {
        {time}
        <span class="row-text" dir="auto">{text}</span>
        <span class="row-badge">{unread}</span>
    }
    .into_any()
}

/// As much of a text as can show in one line.
fn one_line(text: &str) -> String {
    let words = text.split_whitespace().scan(0, |length, word| {
        let fits = *length < 160;
        *length += word.chars().count() + 1;
        fits.then_some(word)
    });
    words.collect::<Vec<_>>().join(" ").chars().take(160).collect()
}

/// The line under a chat's name in its header.
pub fn chat_subtitle(chat: &Chat) -> String {
    match &chat.peer {
        Some(peer) if peer.state == PersonState::Erased => String::new(),
        Some(peer) => format!("@{}", peer.nickname),
        None => t_with("chat.members", &[("count", &chat.member_count.to_string())]),
    }
}
