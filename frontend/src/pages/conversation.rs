//! An open chat.

use domain::ids::ChatId;
use domain::views::{Chat, ChatKind, PersonState};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::browser::{focus, next_frame};
use crate::components::acts::{ActDialog, Acts};
use crate::components::avatar::Size;
use crate::components::chat_menu::ChatMenu;
use crate::components::chat_row::{
    chat_avatar, chat_end, chat_name, chat_subtitle, photo_of_chat, typing_text,
};
use crate::components::composer::Composer;
use crate::components::icon::Icon;
use crate::components::person_panel::CLOSE;
use crate::components::timeline::Timeline;
use crate::i18n::t;
use crate::later::{self, Part};
use crate::state::Store;

/// The button that opens and closes the panel about the chat.
const ABOUT: &str = "talk-about";

#[component]
pub fn ConversationPage(id: ChatId) -> impl IntoView {
    let store = expect_context::<Store>();
    let conversation = store.conversation(id);
    store.panel.set(false);
    {
        let conversation = conversation.clone();
        spawn_local(async move { store.visit(&conversation).await });
    }
    let chat = store.chat(id);
    let kind = Memo::new(move |_| chat.with(|chat| chat.as_ref().map(|chat| chat.kind)));
    // Nobody may write, and why: the words for it.
    let closed = Memo::new(move |_| chat.with(|chat| chat.as_ref().map(closed_text)));
    let acts = Acts::new();
    provide_context(acts);
    let [talk, writer, asked] = [conversation.clone(), conversation.clone(), conversation];
    Effect::new(move |before: Option<bool>| {
        let open = store.panel.get();
        if before.is_some_and(|before| before != open) {
            spawn_local(async move {
                if open {
                    let _ = later::fetch().await;
                }
                next_frame().await;
                focus(if open { CLOSE } else { ABOUT });
            });
        }
        open
    });
    view! {
        <div class="conversation">
            <div class="talk">
                <TalkHead id chat/>
                {move || {
                    let named = kind.get() == Some(ChatKind::Group);
                    view! { <Timeline conversation=talk.clone() named/> }
                }}
                {move || match closed.get() {
                    Some(None) => view! { <Composer conversation=writer.clone()/> }.into_any(),
                    Some(Some(words)) => view! { <p class="no-composer">{t(words)}</p> }.into_any(),
                    None => ().into_any(),
                }}
                <ActDialog conversation=asked acts/>
            </div>
            {move || kind.get().filter(|_| store.panel.get()).map(|kind| {
                let peer = chat.with_untracked(|chat| chat.as_ref().and_then(|chat| chat.peer.as_ref().map(|it| it.user_id)));
                match peer {
                    Some(peer) => view! {
                        <aside class="drawer" aria-label=t("conversation.about")>{Part::Person { id: peer, page: false }.view()}</aside>
                    }
                    .into_any(),
                    None if kind == ChatKind::Group => view! {
                        <aside class="drawer" aria-label=t("conversation.about-group")>{Part::Group(id).view()}</aside>
                    }
                    .into_any(),
                    None => ().into_any(),
                }
            })}
        </div>
    }
    .into_any()
}

/// Why nobody may write, where it is so.
fn closed_text(chat: &Chat) -> Option<&'static str> {
    match (chat.can_send, chat_end(chat)) {
        (true, _) => None,
        (false, Some("chats.left")) => Some("conversation.left"),
        (false, Some(_)) => Some("conversation.dissolved"),
        (false, None) => Some(match &chat.peer {
            Some(peer) if peer.blocked => "conversation.blocked",
            Some(peer) if peer.state == PersonState::Erased => "conversation.erased",
            _ => "conversation.closed",
        }),
    }
}

#[component]
fn TalkHead(id: ChatId, chat: Memo<Option<Chat>>) -> impl IntoView {
    let store = expect_context::<Store>();
    // The head is built anew only when what it shows changes, not with every message.
    let head = Memo::new(move |_| {
        chat.with(|chat| chat.as_ref().map(|chat| (chat_name(chat), chat.peer.as_ref().map(|it| it.user_id))))
    });
    let subtitle = Memo::new(move |_| chat.with(|chat| chat.as_ref().map(chat_subtitle)).unwrap_or_default());
    let photo = photo_of_chat(chat);
    let typing = typing_text(store, id);
    view! {
        <header class="talk-head">
            <a class="icon-button back" href="/chats" title=t("back") aria-label=t("back")>{Icon::Back.view()}</a>
            {move || head.get().map(|(name, peer)| {
                let face = chat.with_untracked(|chat| chat.as_ref().map(|chat| chat_avatar(chat, photo, Size::Small)));
                let here = peer.map(|peer| store.presence.is_here(peer));
                let about = if peer.is_some() { "conversation.about" } else { "conversation.about-group" };
                let state = move || match typing.get() {
                    Some(text) => view! { <span class="typing">{text}</span> }.into_any(),
                    None if here.is_some_and(|here| here.get()) => view! {
                        <span class="here">{t("presence.here")}</span> {subtitle.with(|it| (!it.is_empty()).then(|| format!(" · {it}")))}
                    }
                    .into_any(),
                    None => subtitle.get().into_any(),
                };
                view! {
                    <h1 class="talk-title">
                        <button type="button" class="talk-button" id=ABOUT title=t(about)
                            aria-expanded=move || if store.panel.get() { "true" } else { "false" }
                            on:click=move |_| store.panel.update(|open| *open = !*open)>
                            {face}
                            <span class="talk-who">
                                <span class="talk-name" dir="auto">{name}</span>
                                <span class="talk-sub">{state}</span>
                            </span>
                        </button>
                    </h1>
                    <ChatMenu id/>
                }
            })}
        </header>
    }
    .into_any()
}
