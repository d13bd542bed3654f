//! One message in the history.

use domain::views::PersonState;
use leptos::prelude::*;

use super::avatar::{Size, avatar};
use super::icon::Icon;
use super::message_text::message_text;
use super::timeline::Row;
use crate::format;
use crate::i18n::{t, t_with};
use crate::state::{Conversation, Delivery, Store};
use crate::wording::failure_text;

#[component]
pub fn MessageRow(
    row: Row,
    conversation: Conversation,
    /// How far the other one has read.
    peer_read: Memo<u64>,
    /// Whether authors are named: there may be more than two.
    named: bool,
    on_jump: Callback<u64>,
) -> impl IntoView {
    let store = expect_context::<Store>();
    let item = row.entry.item.clone();
    let id = row.entry.id;
    let first = item.get_untracked();
    let mine = first.author.user_id == store.my_id;
    let author = author_name(&first.author);
    let number = {
        let item = item.clone();
        Memo::new(move |_| {
            item.with(|item| match item.delivery {
                Delivery::Sent(number) => Some(number),
                _ => None,
            })
        })
    };
    let text = {
        let item = item.clone();
        Memo::new(move |_| item.with(|item| item.text.clone()))
    };
    let failure = {
        let item = item.clone();
        Memo::new(move |_| {
            item.with(|item| match &item.delivery {
                Delivery::Failed(failure) => Some(failure.clone()),
                _ => None,
            })
        })
    };
    let sent_at = Memo::new(move |_| item.with(|item| item.sent_at));
    let label = move || {
        let who = if mine { t("message.you") } else { author.clone() };
        t_with("message.label", &[("name", &who), ("time", &format::time(sent_at.get()))])
    };
    let quote = first.reply_to.clone().map(|reply| {
        let number = reply.number;
        view! {
            <button type="button" class="quote" on:click=move |_| on_jump.run(number)>
                <span class="sr">{t("message.in-reply-to")} " "</span>
                <span class="quote-name" dir="auto">{author_name(&reply.author)}</span>
                <span class="quote-text" dir="auto">{reply.excerpt.clone().unwrap_or_default()}</span>
            </button>
        }
    });
    let reply = {
        let conversation = conversation.clone();
        move |_| reply_to(&conversation, number.get_untracked())
    };
    let failed = {
        let conversation = conversation.clone();
        move || {
            failure.get().map(|failure| {
            let (again, away) = (conversation.clone(), conversation.clone());
            view! {
                <div class="message-failed" role="alert">
                    <span>{t("message.failed")} " " {failure_text(&failure)}</span>
                    <button type="button" class="link" on:click=move |_| store.retry(&again, id)>{t("retry")}</button>
                    <button type="button" class="link" on:click=move |_| store.discard(&away, id)>{t("message.discard")}</button>
                </div>
            }
        })
        }
    };
    let name = first.author.clone();
    let face = (!mine && row.lead).then(|| {
        let author = &first.author;
        avatar(author.user_id, &author.name, author.state, store.photo_of_author(author), Size::Tiny)
    });
    view! {
        <div class="turn" class:mine=mine class:lead=row.lead>
            {row.day.map(|_| view! { <p class="day"><span>{format::day(first.sent_at)}</span></p> })}
            {row.unread.then(|| view! { <p class="unread-line" id="unread-line"><span>{t("message.unread")}</span></p> })}
            <article class="message" tabindex="-1" aria-label=label
                aria-posinset=move || number.get().map(|number| number.to_string()) aria-setsize="-1"
                data-number=move || number.get().map(|number| number.to_string())
                class:failed=move || failure.with(Option::is_some)>
                {face}
                <div class="bubble">
                    {(named && !mine && row.lead).then(|| view! { <p class="author" dir="auto">{author_name(&name)}</p> })}
                    {quote}
                    <div class="text" dir="auto">{move || text.with(|text| message_text(text))}</div>
                    <span class="meta">
                        {move || view! {
                            <time datetime=format::machine(sent_at.get()) title=format::full(sent_at.get())>{format::time(sent_at.get())}</time>
                        }}
                        {mine.then(|| view! { <Tick number failed=failure peer_read/> })}
                    </span>
                </div>
                {move || number.get().map(|_| view! {
                    <button type="button" class="message-action" title=t("message.reply") aria-label=t("message.reply") on:click=reply.clone()>
                        {Icon::Reply.view()}
                    </button>
                })}
            </article>
            {failed}
        </div>
    }
    .into_any()
}

/// What has become of an own message.
#[component]
fn Tick(
    number: Memo<Option<u64>>,
    failed: Memo<Option<crate::api::Failure>>,
    peer_read: Memo<u64>,
) -> impl IntoView {
    let state = Memo::new(move |_| match number.get() {
        None if failed.with(Option::is_some) => ("failed", "message.not-sent"),
        None => ("pending", "message.pending"),
        Some(number) if number <= peer_read.get() => ("read", "message.read"),
        Some(_) => ("sent", "message.sent"),
    });
    move || {
        let (class, key) = state.get();
        let icon = match class {
            "failed" => Icon::Alert,
            "pending" => Icon::Clock,
            "read" => Icon::Checks,
            _ => Icon::Check,
        };
        view! { <span class=format!("tick {class}") data-state=class>{icon.view()}<span class="sr">{t(key)}</span></span> }.into_any()
    }
}

pub fn author_name(author: &domain::views::Author) -> String {
    if author.state == PersonState::Erased { t("person.erased") } else { author.name.clone() }
}

/// Has the next message answer the one with this number.
pub fn reply_to(conversation: &Conversation, number: Option<u64>) {
    let Some(number) = number else { return };
    let reply = conversation.window.with_untracked(|window| {
        let item = window.entry(number)?.item.get_untracked();
        let excerpt = item.text.chars().take(120).collect::<String>();
        Some(domain::views::ReplyTo { number, author: item.author, excerpt: Some(excerpt) })
    });
    if reply.is_some() {
        conversation.reply.set(reply);
        crate::browser::focus("composer");
    }
}
