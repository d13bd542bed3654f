//! Where one writes.

use domain::ids::ChatId;
use domain::live::ClientFrame;
use domain::views::Author;
use leptos::html::{Input, Textarea};
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsCast;
use web_sys::{HtmlTextAreaElement, KeyboardEvent};

use super::icon::Icon;
use super::loads::Loads;
use super::mention::{asked, offered};
use super::message::author_name;
use crate::browser::{next_frame, now};
use crate::i18n::{t, t_with};
use crate::state::{Conversation, Store, drafts};

/// The longest message, in scalar values as sent.
const LIMIT: usize = 4_000;
/// The count shows when so few are left.
const CLOSE: usize = 300;
/// Milliseconds between two signs that one is writing.
const WRITING: f64 = 3_000.0;

/// Fits the height to the text, up to what the style sheet allows.
fn fit(element: &HtmlTextAreaElement) {
    let style = web_sys::HtmlElement::style(element);
    let _ = style.set_property("height", "auto");
    let _ = style.set_property("height", &format!("{}px", element.scroll_height()));
}

/// Whom the word at the caret may mention, and the one that is chosen.
#[derive(Clone, PartialEq)]
struct Offer {
    /// Where the `@` begins, in bytes, and where the caret stands.
    from: usize,
    to: usize,
    people: Vec<Author>,
    at: usize,
}

#[component]
pub fn Composer(conversation: Conversation) -> impl IntoView {
    let store = expect_context::<Store>();
    let chat_id: ChatId = conversation.chat_id;
    let being_written = move |conversation: &Conversation| match conversation.editing.get_untracked() {
        Some((_, words)) => words,
        None => drafts::read(store.my_id, chat_id),
    };
    let text = RwSignal::new(being_written(&conversation));
    let length = Memo::new(move |_| text.with(|text| text.chars().count()));
    let field = NodeRef::<Textarea>::new();
    let picker = NodeRef::<Input>::new();
    let kept = StoredValue::new(conversation.clone());
    let loads = Loads::new(store, chat_id);
    let offer = RwSignal::new(None::<Offer>);
    let dropping = RwSignal::new(false);
    let told = StoredValue::new(0.0_f64);
    let put = move |words: String| {
        if let Some(element) = field.get_untracked() {
            element.set_value(&words);
            fit(&element);
        }
        text.set(words);
    };
    let reply = conversation.reply.clone();
    let reply = Memo::new(move |_| reply.get());
    let editing = conversation.editing.clone();
    let editing = Memo::new(move |_| editing.with(|editing| editing.as_ref().map(|(number, _)| *number)));
    let stop_editing = move || kept.with_value(|conversation| conversation.editing.set(None));
    // Its text comes into the field; afterwards what was being written is there again.
    Effect::new(move |before: Option<Option<u64>>| {
        let now = editing.get();
        if before.is_some_and(|before| before != now) {
            put(kept.with_value(being_written));
            if now.is_some() {
                loads.wait_no_more();
                kept.with_value(|conversation| conversation.reply.set(None));
                crate::browser::focus("composer");
            }
        }
        now
    });
    let may_send = Memo::new(move |_| {
        let blank = text.with(|text| text.trim().is_empty());
        let carries = editing.get().is_none() && !loads.is_empty();
        length.get() <= LIMIT
            && (!blank || (carries && text.with(String::is_empty)))
            && (editing.get().is_some() || loads.is_good())
    });
    let send = move || {
        let words = text.get_untracked();
        if let Some(number) = editing.get_untracked() {
            let conversation = kept.get_value();
            let before = conversation.message(number);
            if before.as_ref().is_some_and(|message| message.text == words) {
                stop_editing();
            } else if may_send.get_untracked()
                || (words.is_empty() && before.is_some_and(|it| !it.attachments.is_empty()))
            {
                spawn_local(async move {
                    match store.edit(&conversation, number, words).await {
                        Ok(()) => conversation.editing.set(None),
                        Err(failure) => store.complain(&failure),
                    }
                });
            }
            return;
        }
        if loads.waits_to_send() {
            return;
        }
        if !may_send.get_untracked() {
            return;
        }
        kept.with_value(|conversation| store.send(conversation, words, loads.take()));
        drafts::keep(store.my_id, chat_id, "");
        offer.set(None);
        told.set_value(0.0);
        put(String::new());
        if let Some(element) = field.get_untracked() {
            let _ = element.focus();
        }
    };
    Effect::new(move || {
        if loads.can_go_now() {
            untrack(send);
        }
    });
    // Whoever goes to another chat and comes back goes on where they were.
    let keep = move |words: &str| match editing.get_untracked() {
        Some(number) => kept.with_value(|it| it.editing.set(Some((number, words.to_owned())))),
        None => drafts::keep(store.my_id, chat_id, words),
    };
    let look_for_names = move |element: &HtmlTextAreaElement, words: &str| {
        let caret = element.selection_start().ok().flatten().unwrap_or(0);
        let found = asked(words, caret).and_then(|(from, typed)| {
            let conversation = kept.get_value();
            store.ask_names(&conversation);
            let people: Vec<Author> = conversation
                .names
                .with_untracked(|names| offered(names, store.my_id, typed).into_iter().cloned().collect());
            (!people.is_empty()).then(|| Offer { from, to: from + 1 + typed.len(), people, at: 0 })
        });
        if offer.get_untracked() != found {
            offer.set(found);
        }
    };
    let on_input = move |event: web_sys::Event| {
        let words = event_target_value(&event);
        keep(&words);
        if editing.get_untracked().is_none() {
            let since = now() - told.get_value();
            if !words.trim().is_empty() && since > WRITING {
                told.set_value(now());
                crate::live::say(&ClientFrame::Typing { chat_id });
            }
        }
        if let Some(element) = event.target().and_then(|target| target.dyn_into::<HtmlTextAreaElement>().ok())
        {
            fit(&element);
            look_for_names(&element, &words);
        }
        text.set(words);
    };
    // The first `@` asks who is here; the answer may come after it.
    let known = conversation.names.clone();
    Effect::new(move |before: Option<usize>| {
        let count = known.with(Vec::len);
        if let Some(element) = field.get_untracked().filter(|_| before.is_some_and(|before| before != count))
        {
            look_for_names(&element, &text.get_untracked());
        }
        count
    });
    let mention = move |author: &Author| {
        let Some(Offer { from, to, .. }) = offer.get_untracked() else { return };
        let mut words = text.get_untracked();
        if !words.is_char_boundary(from) || !words.is_char_boundary(to.min(words.len())) {
            return;
        }
        let inserted = format!("@{} ", author.nickname);
        let caret = words[..from].encode_utf16().count() + inserted.encode_utf16().count();
        words.replace_range(from..to.min(words.len()), &inserted);
        offer.set(None);
        keep(&words);
        put(words);
        if let Some(element) = field.get_untracked() {
            let _ = element.focus();
            let caret = u32::try_from(caret).unwrap_or(0);
            let _ = element.set_selection_range(caret, caret);
        }
    };
    // The key chose among the names that are offered.
    let choose = move |event: &KeyboardEvent| {
        let Some(mut now) = offer.get_untracked() else { return false };
        let count = now.people.len();
        match event.key().as_str() {
            "ArrowDown" => now.at = (now.at + 1) % count,
            "ArrowUp" => now.at = (now.at + count - 1) % count,
            "Enter" | "Tab" => {
                mention(&now.people[now.at]);
                return true;
            }
            "Escape" => {
                offer.set(None);
                return true;
            }
            _ => return false,
        }
        offer.set(Some(now));
        true
    };
    let on_key = move |event: KeyboardEvent| {
        // While letters are being composed, keys belong to the input method.
        if event.is_composing() {
            return;
        }
        if choose(&event) {
            event.prevent_default();
        } else if event.key() == "Enter" && !event.shift_key() {
            event.prevent_default();
            send();
        } else if event.key() == "Escape" && editing.get_untracked().is_some() {
            event.prevent_default();
            stop_editing();
        } else if event.key() == "Escape" && reply.with_untracked(Option::is_some) {
            event.prevent_default();
            kept.with_value(|conversation| conversation.reply.set(None));
        } else if event.key() == "ArrowUp"
            && text.with_untracked(String::is_empty)
            && editing.get_untracked().is_none()
            && let Some(last) = kept.with_value(|conversation| last_own(conversation, store))
        {
            event.prevent_default();
            kept.with_value(|conversation| conversation.edit(last));
        }
    };
    let on_paste = move |event: web_sys::ClipboardEvent| {
        let files = event.clipboard_data().and_then(|data| data.files()).filter(|files| files.length() > 0);
        if let Some(files) = files.filter(|_| editing.get_untracked().is_none()) {
            event.prevent_default();
            loads.add_list(&files);
        }
    };
    let holds_files = |event: &web_sys::DragEvent| {
        event.data_transfer().is_some_and(|data| data.types().includes(&"Files".into(), 0))
    };
    let on_drag = move |event: web_sys::DragEvent| {
        if holds_files(&event) {
            event.prevent_default();
            dropping.set(true);
        }
    };
    let on_drop = move |event: web_sys::DragEvent| {
        dropping.set(false);
        if let Some(files) =
            event.data_transfer().and_then(|data| data.files()).filter(|files| files.length() > 0)
        {
            event.prevent_default();
            loads.add_list(&files);
        }
    };
    // What is dropped anywhere in the conversation is meant for it.
    let over = window_event_listener(leptos::ev::dragover, on_drag);
    let dropped = window_event_listener(leptos::ev::drop, on_drop);
    let left = window_event_listener(leptos::ev::dragleave, move |event: web_sys::DragEvent| {
        if event.related_target().is_none() {
            dropping.set(false);
        }
    });
    on_cleanup(move || {
        over.remove();
        dropped.remove();
        left.remove();
    });
    let pick = move |_| {
        if let Some(picker) = picker.get_untracked() {
            if let Some(files) = picker.files() {
                loads.add_list(&files);
            }
            picker.set_value("");
        }
        spawn_local(async {
            next_frame().await;
            crate::browser::focus("composer");
        });
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
    let names = move || {
        offer.get().map(|offer| {
            let at = offer.at;
            let row = move |(index, author): (usize, Author)| {
                let (name, nickname) = (author.name.clone(), format!("@{}", author.nickname));
                view! {
                    <li role="option" id=format!("mention-{index}") class="mention-row" aria-selected=if index == at { "true" } else { "false" }
                        on:mousedown=move |event| { event.prevent_default(); mention(&author); }>
                        <span class="file-name" dir="auto">{name}</span> <span class="muted" dir="auto">{nickname}</span>
                    </li>
                }
            };
            view! {
                <ul class="mentions" id="mentions" role="listbox" aria-label=t("composer.mentions")>
                    {offer.people.into_iter().enumerate().map(row).collect_view()}
                </ul>
            }
        })
    };
    let banner = move || {
        let (icon, title, words, cancel) = match (editing.get(), reply.get()) {
            (Some(number), _) => {
                let words = kept.with_value(|it| it.message(number)).map(|message| message.text);
                (Icon::Check, t("composer.editing"), words, "composer.no-edit")
            }
            (None, Some(reply)) => {
                let title = t_with("composer.replying", &[("name", &author_name(&reply.author))]);
                (Icon::Reply, title, reply.excerpt, "composer.no-reply")
            }
            (None, None) => return None,
        };
        let away = move |_| {
            kept.with_value(|conversation| {
                if conversation.editing.get_untracked().is_some() {
                    conversation.editing.set(None);
                } else {
                    conversation.reply.set(None);
                }
            });
        };
        Some(view! {
            <div class="replying">
                {icon.view()}
                <p>
                    <span class="quote-name" dir="auto">{title}</span>
                    <span class="quote-text" dir="auto">{words}</span>
                </p>
                <button type="button" class="icon-button" title=t(cancel) aria-label=t(cancel) on:click=away>{Icon::Close.view()}</button>
            </div>
        })
    };
    view! {
        <form class="composer" class:dropping=dropping on:submit=move |event| { event.prevent_default(); send(); }>
            {move || dropping.get().then(|| view! { <p class="drop-here">{t("composer.drop")}</p> })}
            {banner}
            {loads.view()}
            {names}
            <div class="composer-line">
                <label class="icon-button attach" title=t("composer.attach")>
                    <input type="file" class="sr" multiple node_ref=picker aria-label=t("composer.attach") on:change=pick/>
                    {Icon::Clip.view()}
                </label>
                <textarea id="composer" node_ref=field rows="1" dir="auto" enterkeyhint="send" autocomplete="off"
                    aria-label=t("composer.label") placeholder=t("composer.placeholder")
                    aria-describedby="composer-count" aria-invalid=move || (length.get() > LIMIT).then_some("true")
                    aria-autocomplete="list" aria-controls=move || offer.with(Option::is_some).then_some("mentions")
                    aria-activedescendant=move || offer.with(|offer| offer.as_ref().map(|offer| format!("mention-{}", offer.at)))
                    prop:value=text.get_untracked() on:input=on_input on:keydown=on_key on:paste=on_paste
                    on:blur=move |_| offer.set(None)></textarea>
                <button type="submit" class="send" title=t("composer.send") aria-label=t("composer.send")
                    aria-disabled=move || (!may_send.get()).then_some("true")>
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

/// The last own message that can be edited.
fn last_own(conversation: &Conversation, store: Store) -> Option<u64> {
    conversation.window.with_untracked(|window| {
        if window.newer {
            // It is not shown.
            return None;
        }
        window.entries.iter().rev().find_map(|entry| {
            let number = entry.number()?;
            let can = entry.item.with_untracked(|item| {
                let message = &item.message;
                message.author.user_id == store.my_id
                    && message.deleted.is_none()
                    && message.forwarded_from.is_none()
            });
            can.then_some(number)
        })
    })
}
