//! An open chat.

use domain::ids::ChatId;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::components::avatar::Size;
use crate::components::chat_row::{chat_avatar, chat_name, chat_subtitle, photo_of_chat};
use crate::components::composer::Composer;
use crate::components::icon::Icon;
use crate::components::person_panel::PersonPanel;
use crate::components::timeline::Timeline;
use crate::i18n::t;
use crate::state::Store;
use domain::views::ChatKind;

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
    // The head is built anew only when what it shows changes, not with every message.
    let head = Memo::new(move |_| {
        chat.with(|chat| {
            chat.as_ref()
                .map(|chat| (chat_name(chat), chat_subtitle(chat), chat.peer.as_ref().map(|it| it.user_id)))
        })
    });
    let photo = photo_of_chat(chat);
    let can_send = Memo::new(move |_| chat.with(|chat| chat.as_ref().map(|chat| chat.can_send)));
    let named = chat.with_untracked(|chat| chat.as_ref().is_some_and(|chat| chat.kind == ChatKind::Group));
    let writer = conversation.clone();
    view! {
        <div class="conversation">
            <div class="talk">
                <header class="talk-head">
                    <a class="icon-button back" href="/chats" title=t("back") aria-label=t("back")>{Icon::Back.view()}</a>
                    {move || head.get().map(|(name, subtitle, peer)| {
                        let face = chat.with_untracked(|chat| chat.as_ref().map(|chat| chat_avatar(chat, photo, Size::Small)));
                        let text = view! {
                            {face}
                            <span class="talk-who">
                                <span class="talk-name" dir="auto">{name}</span>
                                <span class="talk-sub">{subtitle}</span>
                            </span>
                        };
                        match peer {
                            Some(_) => view! {
                                <h1 class="talk-title">
                                    <button type="button" class="talk-button" title=t("conversation.about")
                                        aria-expanded=move || if store.panel.get() { "true" } else { "false" }
                                        on:click=move |_| store.panel.update(|open| *open = !*open)>{text}</button>
                                </h1>
                            }
                            .into_any(),
                            None => view! { <h1 class="talk-title">{text}</h1> }.into_any(),
                        }
                    })}
                </header>
                <Timeline conversation=conversation named/>
                {move || match can_send.get() {
                    Some(true) => view! { <Composer conversation=writer.clone()/> }.into_any(),
                    Some(false) => view! { <p class="no-composer">{t("conversation.closed")}</p> }.into_any(),
                    None => ().into_any(),
                }}
            </div>
            {move || head.get().and_then(|(_, _, peer)| peer).filter(|_| store.panel.get()).map(|peer| view! {
                <aside class="drawer" aria-label=t("conversation.about")><PersonPanel id=peer/></aside>
            })}
        </div>
    }
    .into_any()
}
