//! Where one writes.

use domain::ids::ChatId;
use leptos::html::Textarea;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::HtmlTextAreaElement;

use super::icon::Icon;
use super::message::author_name;
use crate::i18n::{t, t_with};
use crate::state::{Conversation, Store, drafts};

/// The longest message, in scalar values as sent.
const LIMIT: usize = 4_000;
/// The count shows when so few are left.
const CLOSE: usize = 300;

/// Fits the height to the text, up to what the style sheet allows.
fn fit(element: &HtmlTextAreaElement) {
    let style = web_sys::HtmlElement::style(element);
    let _ = style.set_property("height", "auto");
    let _ = style.set_property("height", &format!("{}px", element.scroll_height()));
}

#[component]
pub fn Composer(conversation: Conversation) -> impl IntoView {
    let store = expect_context::<Store>();
    let chat_id: ChatId = conversation.chat_id;
    let text = RwSignal::new(drafts::read(store.my_id, chat_id));
    let length = Memo::new(move |_| text.with(|text| text.chars().count()));
    let field = NodeRef::<Textarea>::new();
    let kept = StoredValue::new(conversation.clone());
    let send = move || {
        let words = text.get_untracked();
        if words.trim().is_empty() || length.get_untracked() > LIMIT {
            return;
        }
        kept.with_value(|conversation| store.send(conversation, words));
        text.set(String::new());
        drafts::keep(store.my_id, chat_id, "");
        if let Some(element) = field.get_untracked() {
            element.set_value("");
            fit(&element);
            let _ = element.focus();
        }
    };
    let on_input = move |event: web_sys::Event| {
        let words = event_target_value(&event);
        drafts::keep(store.my_id, chat_id, &words);
        text.set(words);
        if let Some(element) = event.target().and_then(|target| target.dyn_into().ok()) {
            fit(&element);
        }
    };
    let reply = conversation.reply.clone();
    let reply = Memo::new(move |_| reply.get());
    let on_key = move |event: web_sys::KeyboardEvent| {
        // While letters are being composed, Enter belongs to the input method.
        if event.key() == "Enter" && !event.shift_key() && !event.is_composing() {
            event.prevent_default();
            send();
        } else if event.key() == "Escape" && reply.with_untracked(Option::is_some) {
            event.prevent_default();
            kept.with_value(|conversation| conversation.reply.set(None));
        }
    };
    Effect::new(move || {
        if let Some(element) = field.get() {
            fit(&element);
            // On a touch screen the keyboard would cover what one came to read.
            let fine = window().match_media("(hover: hover) and (pointer: fine)").ok().flatten();
            if fine.is_some_and(|query| query.matches()) {
                let _ = element.focus();
            }
        }
    });
    view! {
        <form class="composer" on:submit=move |event| { event.prevent_default(); send(); }>
            {move || reply.get().map(|reply| view! {
                <div class="replying">
                    {Icon::Reply.view()}
                    <p>
                        <span class="quote-name" dir="auto">{t_with("composer.replying", &[("name", &author_name(&reply.author))])}</span>
                        <span class="quote-text" dir="auto">{reply.excerpt}</span>
                    </p>
                    <button type="button" class="icon-button" title=t("composer.no-reply") aria-label=t("composer.no-reply")
                        on:click=move |_| kept.with_value(|conversation| conversation.reply.set(None))>{Icon::Close.view()}</button>
                </div>
            })}
            <div class="composer-line">
                <textarea id="composer" node_ref=field rows="1" dir="auto" enterkeyhint="send" autocomplete="off"
                    aria-label=t("composer.label") placeholder=t("composer.placeholder")
                    aria-describedby="composer-count" aria-invalid=move || (length.get() > LIMIT).then_some("true")
                    prop:value=text.get_untracked() on:input=on_input on:keydown=on_key></textarea>
                <button type="submit" class="send" title=t("composer.send") aria-label=t("composer.send")
                    aria-disabled=move || (length.get() > LIMIT || text.with(|text| text.trim().is_empty())).then_some("true")>
                    {Icon::Send.view()}
                </button>
            </div>
            <p class="composer-count" id="composer-count" class:over=move || { length.get() > LIMIT } aria-live="polite">
                {move || {
                    let length = length.get();
                    (length + CLOSE > LIMIT).then(|| t_with(
                        if length > LIMIT { "composer.over" } else { "composer.count" },
                        &[("count", &length.to_string()), ("max", &LIMIT.to_string())],
                    ))
                }}
            </p>
        </form>
    }
    .into_any()
}
