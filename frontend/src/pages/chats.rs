//! The list of chats.

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::components::chat_row::ChatRow;
use crate::components::icon::Icon;
use crate::components::panel::{EmptyPanel, FailedPanel, Skeleton};
use crate::i18n::t;
use crate::state::{Phase, Store};

#[component]
pub fn ChatsList() -> impl IntoView {
    let store = expect_context::<Store>();
    let order = Memo::new(move |_| {
        store.chats.with(|chats| chats.iter().map(|chat| chat.chat_id).collect::<Vec<_>>())
    });
    let retry = move || {
        store.chats_phase.set(Phase::Loading);
        spawn_local(async move {
            let _ = store.load_chats().await;
        });
    };
    let empty = Memo::new(move |_| order.with(Vec::is_empty));
    view! {
        <header class="side-head">
            <div class="side-line">
                <h1 id="side-title">{t("nav.chats")}</h1>
                <a class="icon-button" href="/chats/new" title=t("new-group.title") aria-label=t("new-group.title")>{Icon::Plus.view()}</a>
            </div>
            <SearchButton/>
        </header>
        <div class="scroll">
            {move || match store.chats_phase.get() {
                Phase::Loading => view! { <Skeleton rows=7/> }.into_any(),
                Phase::Failed(failure) => view! { <FailedPanel failure retry/> }.into_any(),
                Phase::Ready if empty.get() => view! {
                    <EmptyPanel icon=Icon::Chats title=t("chats.empty.title") text=t("chats.empty.text")>
                        <a class="button primary" href="/people">{t("chats.empty.action")}</a>
                        <a class="button" href="/chats/new">{t("new-group.title")}</a>
                    </EmptyPanel>
                }
                .into_any(),
                Phase::Ready => view! {
                    <ul class="rows" aria-label=t("nav.chats")>
                        <For each=move || order.get() key=|id| *id children=|id| view! { <ChatRow id/> }/>
                    </ul>
                }
                .into_any(),
            }}
        </div>
    }
    .into_any()
}

/// Opens the search of people and chats.
#[component]
fn SearchButton() -> impl IntoView {
    let store = expect_context::<Store>();
    view! {
        <button type="button" class="searchbox" aria-keyshortcuts="Control+K Meta+K" on:click=move |_| store.searching.set(true)>
            {Icon::Search.view()}
            <span>{t("search.button")}</span>
            <kbd aria-hidden="true">"Ctrl K"</kbd>
        </button>
    }
    .into_any()
}
