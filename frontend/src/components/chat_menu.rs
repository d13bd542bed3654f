//! What one sets for oneself about a chat: pinned, muted.

use std::sync::Arc;

use domain::Timestamp;
use domain::ids::ChatId;
use domain::views::ChatKind;
use leptos::prelude::*;

use super::acts::{Act, Acts};
use super::menu::{Menu, MenuItem};
use crate::browser::now;
use crate::i18n::{t, t_count, t_with};
use crate::state::{FOREVER, Store, is_muted};

const HOUR: i64 = 3_600 * Timestamp::SECOND;

#[component]
pub fn ChatMenu(id: ChatId) -> impl IntoView {
    let (store, acts) = (expect_context::<Store>(), expect_context::<Acts>());
    let items = move || {
        let read = |chat: &domain::views::Chat| (chat.pinned, is_muted(chat), chat.kind);
        let Some((pinned, muted, kind)) = store.peek_chat(id, read) else { return Vec::new() };
        let pin = if pinned { "menu.unpin" } else { "menu.pin" };
        let mut items = vec![MenuItem::new(t(pin), move || store.pin(id, !pinned))];
        if muted {
            items.push(MenuItem::new(t("menu.unmute"), move || store.mute(id, None)));
        } else {
            for (span, words) in [
                (HOUR, t_count("duration.hours", 1)),
                (8 * HOUR, t_count("duration.hours", 8)),
                (24 * HOUR, t_count("duration.days", 1)),
            ] {
                let text = t_with("menu.mute-for", &[("time", &words)]);
                items.push(MenuItem::new(text, move || {
                    let now = Timestamp((now() * 1_000.0) as i64);
                    store.mute(id, Some(now.plus(span)));
                }));
            }
            items.push(MenuItem::new(t("menu.mute"), move || store.mute(id, Some(FOREVER))));
        }
        let about = if kind == ChatKind::Group { "conversation.about-group" } else { "conversation.about" };
        items.push(MenuItem::new(t("act.date"), move || acts.ask(Act::GoToDate)));
        items.push(MenuItem::new(t(about), move || store.panel.set(true)));
        items
    };
    view! { <Menu label=t("menu.chat") items=Arc::new(items)/> }.into_any()
}
