//! One chat in the list: who, what was said last, when, and how much of it is new.

use domain::ids::{ChatId, PersonId};
use domain::views::{Chat, ChatKind, Message, PersonState};
use leptos::prelude::*;

use super::avatar::{Size, avatar, group_avatar};
use super::icon::Icon;
use super::message::author_name;
use crate::format;
use crate::gist::gist;
use crate::i18n::{t, t_count, t_with};
use crate::pages::shell::short_count;
use crate::route::Route;
use crate::state::{Store, drafts, is_muted};

/// As much of a name as leaves room for words behind it, in scalar values.
const NAME_ROOM: usize = 24;

/// How a chat is called.
pub fn chat_name(chat: &Chat) -> String {
    match (&chat.peer, &chat.title) {
        (Some(peer), _) if peer.state == PersonState::Erased => t("person.erased"),
        (Some(peer), _) => peer.name.clone(),
        (None, title) => title_or(title.as_deref().unwrap_or_default()),
    }
}

/// A group's title; it is lost with the key of whoever gave it.
pub fn title_or(title: &str) -> String {
    if title.is_empty() { t("chat.untitled") } else { title.to_owned() }
}

pub fn chat_avatar(chat: &Chat, photo: Memo<Option<String>>, size: Size) -> AnyView {
    match &chat.peer {
        Some(peer) => avatar(peer.user_id, &peer.name, peer.state, photo, size),
        None => group_avatar(chat.chat_id, &chat_name(chat), size),
    }
}

pub fn chat_photo(chat: &Chat) -> Option<String> {
    chat.peer.as_ref()?.photo_id.clone()
}

/// [`chat_photo`], followed.
pub fn photo_of_chat(chat: Memo<Option<Chat>>) -> Memo<Option<String>> {
    Memo::new(move |_| chat.with(|chat| chat.as_ref().and_then(chat_photo)))
}

/// The line under a chat's name in its header.
pub fn chat_subtitle(chat: &Chat) -> String {
    match &chat.peer {
        Some(peer) if peer.state == PersonState::Erased => String::new(),
        Some(peer) => format!("@{}", peer.nickname),
        None => chat_end(chat).map_or_else(|| t_count("group.members", chat.member_count), t),
    }
}

/// That a group is over, for the reader or for all; the key of the words for it.
pub fn chat_end(chat: &Chat) -> Option<&'static str> {
    match chat {
        Chat { kind: ChatKind::Direct, .. } => None,
        Chat { left: true, .. } => Some("chats.left"),
        Chat { dissolved: true, .. } => Some("chats.dissolved"),
        _ => None,
    }
}

/// Who is writing in a chat, in words, followed.
pub fn typing_text(store: Store, id: ChatId) -> Memo<Option<String>> {
    let writers = store.typing.writers(id);
    Memo::new(move |_| {
        let writers = writers.get();
        match writers[..] {
            [] => None,
            [one] => Some(t_with("typing.single", &[("name", &short_name(store, one))])),
            [one, other] => {
                let [one, other] = [one, other].map(|person| short_name(store, person));
                Some(t_with("typing.two", &[("name", &one), ("other", &other)]))
            }
            _ => Some(t_count("typing.several", writers.len() as u64)),
        }
    })
}

fn short_name(store: Store, person: PersonId) -> String {
    let known = store.people.with(|people| people.get(&person).map(|person| person.name.clone()));
    let name = known.unwrap_or_else(|| t("typing.somebody"));
    if name.chars().count() > NAME_ROOM {
        let start = name.chars().take(NAME_ROOM).collect::<String>();
        format!("{}…", start.trim_end())
    } else {
        name
    }
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
    let over = Memo::new(move |_| chat.with(|chat| chat.as_ref().is_some_and(|it| chat_end(it).is_some())));
    let photo = photo_of_chat(chat);
    let typing = typing_text(store, id);
    let shown = move || {
        chat.get().map(|chat| {
            // The draft of the open chat is on the screen already.
            let draft = if open.get() { String::new() } else { drafts::read(store.my_id, id) };
            preview(store, &chat, &draft, typing.get())
        })
    };
    let here = move || {
        let peer = head.with(|head| head.as_ref().and_then(|(_, peer)| *peer))?;
        let here = store.presence.is_here(peer);
        Some(move || here.get().then(|| view! { <span class="sr">{t("presence.here")}</span> }))
    };
    view! {
        <li>
            <a class="row" class:over=over href=href aria-current=move || open.get().then_some("true")>
                {move || { head.track(); chat.with_untracked(|chat| chat.as_ref().map(|chat| chat_avatar(chat, photo, Size::Medium))) }}
                <span class="row-main">
                    <span class="row-name" dir="auto">{move || head.get().map(|(name, _)| name)}</span>
                    {here}
                    {shown}
                </span>
            </a>
        </li>
    }
    .into_any()
}

/// The second line, with the time and the count beside.
fn preview(store: Store, chat: &Chat, draft: &str, typing: Option<String>) -> AnyView {
    let muted = is_muted(chat);
    let mark = |icon: Icon, words: &str| {
        view! { <span class="row-mark">{icon.view()}<span class="sr">{t(words)}</span></span> }
    };
    let time = chat.last.as_ref().map(|last| {
        view! { <time class="row-time" datetime=format::machine(last.sent_at)>{format::brief(last.sent_at)}</time> }
    });
    let end = chat_end(chat).map(|words| view! { <span class="row-end">{t(words)}</span> });
    let text = match &chat.last {
        _ if typing.is_some() => view! { <span class="typing">{typing}</span> }.into_any(),
        _ if !draft.trim().is_empty() => {
            view! { <span class="draft">{t("chats.draft")}</span> " " {one_line(draft)} }.into_any()
        }
        Some(last) => said(store, chat, last),
        // The end of the group is all there is to say.
        None if end.is_some() => ().into_any(),
        None => view! { <span class="faint">{t("chats.no-messages")}</span> }.into_any(),
    };
    let unread = (chat.unread > 0).then(|| {
        view! {
            <span class="badge" class:quiet=muted aria-hidden="true">{short_count(chat.unread)}</span>
            <span class="sr">{t_count("nav.unread", chat.unread)}</span>
        }
    });
    view! {
        <span class="row-when">
            {muted.then(|| mark(Icon::Muted, "chats.muted"))}
            {chat.pinned.then(|| mark(Icon::Pin, "chats.pinned"))}
            {time}
        </span>
        <span class="row-text" dir="auto">{end}{text}</span>
        <span class="row-badge">{unread}</span>
    }
    .into_any()
}

/// The last message: in a group after its author's name, an own one between two after what has become of it.
fn said(store: Store, chat: &Chat, last: &Message) -> AnyView {
    let words = one_line(&gist(last));
    let words = if last.deleted.is_some() || last.collapsed {
        view! { <span class="faint">{words}</span> }.into_any()
    } else {
        words.into_any()
    };
    let mine = last.author.user_id == store.my_id;
    if chat.kind == ChatKind::Group {
        let name = if mine { t("message.you") } else { author_name(&last.author) };
        return view! { <bdi class="row-author">{name}</bdi> ": " {words} }.into_any();
    }
    let tick = (mine && last.deleted.is_none()).then(|| {
        let read = chat.peer_read_number.is_some_and(|read| read >= last.number);
        let icon = if read { Icon::Checks } else { Icon::Check };
        let state = if read { t("message.read") } else { t("message.sent") };
        view! { <span class="tick" class:read=read>{icon.view()}<span class="sr">{state}</span></span> }
    });
    view! { {tick}{words} }.into_any()
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
