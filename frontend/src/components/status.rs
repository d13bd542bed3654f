//! What the app says on its own: that it is offline, that something failed, that a message came.

use leptos::prelude::*;
use leptos::task::spawn_local;

use super::icon::Icon;
use crate::browser::{is_offline, sleep};
use crate::i18n::t;
use crate::state::{Link, Store};

/// How long a notice stays, in milliseconds.
const STAY: u32 = 8_000;

/// Says that what is on the screen may be old.
#[component]
pub fn Banner() -> impl IntoView {
    let store = expect_context::<Store>();
    view! {
        <div role="status">
            {move || (store.link.get() == Link::Lost).then(|| view! {
                <p class="banner">
                    {Icon::Offline.view()}
                    {t(if is_offline() { "banner.offline" } else { "banner.lost" })}
                </p>
            })}
        </div>
    }
    .into_any()
}

/// A passing word about what did not work.
#[component]
pub fn Notice() -> impl IntoView {
    let store = expect_context::<Store>();
    let shown = RwSignal::new(0_u32);
    Effect::new(move || {
        if store.notice.with(Option::is_some) {
            shown.update(|count| *count += 1);
            let this = shown.get_untracked();
            spawn_local(async move {
                sleep(STAY).await;
                if shown.try_get_untracked() == Some(this) {
                    store.notice.set(None);
                }
            });
        }
    });
    view! {
        <div class="notices" role="alert">
            {move || store.notice.get().map(|text| view! {
                <div class="notice">
                    {Icon::Alert.view()}
                    <p>{text}</p>
                    <button type="button" class="icon-button" title=t("close") aria-label=t("close")
                        on:click=move |_| store.notice.set(None)>{Icon::Close.view()}</button>
                </div>
            })}
        </div>
    }
    .into_any()
}

/// Reads new messages out, and nothing else.
#[component]
pub fn Announcer() -> impl IntoView {
    let store = expect_context::<Store>();
    view! {
        <div class="sr" role="log" aria-live="polite" aria-label=t("announcer.label")>
            {move || store.announcements.get().into_iter().map(|words| view! { <p>{words}</p> }).collect_view()}
        </div>
    }
    .into_any()
}
