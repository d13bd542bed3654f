//! One message in the history.

use std::sync::Arc;

use domain::ids::MessageId;
use domain::views::{Attachment, Author, ChatKind, Deleted, PersonState, Reaction, ReplyTo, Role};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::acts::{Act, Acts};
use super::attachment::attachments_view;
use super::avatar::{Size, avatar};
use super::icon::Icon;
use super::line::{gone, lines_view, of_me};
use super::loads::uploads_view;
use super::menu::{Menu, MenuItem};
use super::message_text::message_text;
use super::rows::Row;
use crate::browser::copy;
use crate::format;
use crate::i18n::{t, t_count, t_with};
use crate::state::{Conversation, Delivery, Entry, Store, excerpt};
use crate::wording::failure_text;

/// What of a message its bubble shows.
#[derive(Clone, PartialEq)]
struct Body {
    number: Option<u64>,
    deleted: Option<Deleted>,
    collapsed: bool,
    text: String,
    reply_to: Option<ReplyTo>,
    forwarded_from: Option<Author>,
    attachments: Vec<Attachment>,
}

#[component]
pub fn MessageRow(
    row: Row,
    conversation: Conversation,
    /// How far the other one has read.
    peer_read: Memo<u64>,
    /// Whether authors are named: there may be more than two.
    named: bool,
    on_jump: Callback<u64>,
    /// Whether one may write here, and so answer and react.
    can_send: Memo<bool>,
) -> impl IntoView {
    let store = expect_context::<Store>();
    let entry = row.entry.clone();
    let id = entry.id;
    let first = entry.item.get_untracked().message;
    let mine = first.author.user_id == store.my_id;
    let author = of_me(mine, &first.author);
    let number = part(&entry, |item| match item.delivery {
        Delivery::Sent(number) => Some(number),
        _ => None,
    });
    let failure = part(&entry, |item| match &item.delivery {
        Delivery::Failed(failure) => Some(failure.clone()),
        _ => None,
    });
    let sent_at = part(&entry, |item| item.message.sent_at);
    let edited_at = part(&entry, |item| item.message.edited_at);
    let reactions = part(&entry, |item| item.message.reactions.clone());
    let body = part(&entry, |item| {
        let message = &item.message;
        Body {
            number: if let Delivery::Sent(number) = item.delivery { Some(number) } else { None },
            deleted: message.deleted,
            collapsed: message.collapsed,
            text: message.text.clone(),
            reply_to: message.reply_to.clone(),
            forwarded_from: message.forwarded_from.clone(),
            attachments: message.attachments.clone(),
        }
    });
    if first.text.contains('@') {
        store.ask_names(&conversation);
    }
    let label = move || t_with("message.label", &[("name", &author), ("time", &format::time(sent_at.get()))]);
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
    let face = (!mine && row.lead).then(|| {
        let author = &first.author;
        avatar(author.user_id, &author.name, author.state, store.photo_of_author(author), Size::Tiny)
    });
    let kept = StoredValue::new(conversation.clone());
    let opened = RwSignal::new(false);
    let shown = move || {
        let body = body.get();
        if body.collapsed && !opened.get() {
            return view! {
                <button type="button" class="collapsed" on:click=move |_| opened.set(true)>
                    {t("message.collapsed")} " · " <span class="link">{t("message.show")}</span>
                </button>
            }
            .into_any();
        }
        body_view(store, kept, id, body, on_jump)
    };
    let acts = use_context::<Acts>();
    let edited = move || {
        let (_, number) = edited_at.get().zip(number.get())?;
        let open = move |_| {
            if let Some(acts) = acts {
                acts.ask(Act::Versions(number));
            }
        };
        Some(
            view! { <button type="button" class="edited" title=t("act.versions") on:click=open>{t("message.edited")}</button> },
        )
    };
    let reply = {
        let conversation = conversation.clone();
        move |_| reply_to(&conversation, number.get_untracked())
    };
    let actions = {
        let conversation = conversation.clone();
        move || {
            let number = number.get()?;
            let is_there = body.with(|body| body.deleted.is_none());
            let conversation = conversation.clone();
            is_there.then(|| {
                let items = Arc::new(move || acts.map_or_else(Vec::new, |acts| items(store, &conversation, acts, number)));
                let reply = reply.clone();
                view! {
                    {move || can_send.get().then(|| view! {
                        <button type="button" class="message-action" title=t("message.reply") aria-label=t("message.reply") on:click=reply.clone()>
                            {Icon::Reply.view()}
                        </button>
                    })}
                    <Menu label=t("message.menu") items/>
                }
            })
        }
    };
    let name = first.author.clone();
    view! {
        <div class="turn" class:mine=mine class:lead=row.lead>
            {lines_view(&row.lines)}
            {row.day.map(|_| view! { <p class="day"><span>{format::day(first.sent_at)}</span></p> })}
            {row.unread.then(|| view! { <p class="unread-line" id="unread-line"><span>{t("message.unread")}</span></p> })}
            <article class="message" tabindex="-1" aria-label=label
                aria-posinset=move || number.get().map(|number| number.to_string()) aria-setsize="-1"
                data-number=move || number.get().map(|number| number.to_string())
                class:failed=move || failure.with(Option::is_some)>
                {face}
                <div class="bubble">
                    {(named && !mine && row.lead).then(|| view! { <p class="author" dir="auto">{author_name(&name)}</p> })}
                    {shown}
                    <span class="meta">
                        {edited}
                        {move || view! {
                            <time datetime=format::machine(sent_at.get()) title=format::full(sent_at.get())>{format::time(sent_at.get())}</time>
                        }}
                        {mine.then(|| view! { <Tick number failed=failure peer_read/> })}
                    </span>
                    {move || {
                        let reactions = reactions.get();
                        (!reactions.is_empty()).then(|| reactions_view(store, kept, number, reactions, can_send))
                    }}
                </div>
                {actions}
            </article>
            {failed}
        </div>
    }
    .into_any()
}

/// A part of a row's item, that tells when it changes.
fn part<T: Clone + PartialEq + Send + Sync + 'static>(
    entry: &Entry,
    read: impl Fn(&crate::state::Item) -> T + Send + Sync + 'static,
) -> Memo<T> {
    let item = entry.item.clone();
    Memo::new(move |_| item.with(&read))
}

fn body_view(
    store: Store,
    conversation: StoredValue<Conversation>,
    id: MessageId,
    body: Body,
    on_jump: Callback<u64>,
) -> AnyView {
    if let Some(by) = body.deleted {
        return gone(by);
    }
    let forwarded = body.forwarded_from.map(|first| {
        view! { <p class="forwarded" dir="auto">{t_with("message.forwarded", &[("name", &author_name(&first))])}</p> }
    });
    let quote = body.reply_to.map(|reply| {
        let number = reply.number;
        view! {
            <button type="button" class="quote" on:click=move |_| on_jump.run(number)>
                <span class="sr">{t("message.in-reply-to")} " "</span>
                <span class="quote-name" dir="auto">{author_name(&reply.author)}</span>
                <span class="quote-text" dir="auto">{reply.excerpt.unwrap_or_default()}</span>
            </button>
        }
    });
    // What lies in this browser needs no way there and back.
    let uploads = if body.number.is_none() { store.carried(id) } else { Vec::new() };
    let carried = if !uploads.is_empty() {
        Some(uploads_view(&uploads))
    } else {
        (!body.attachments.is_empty()).then(|| attachments_view(&body.attachments, body.number))
    };
    let text = body.text;
    let words = (!text.is_empty()).then(|| {
        let names = conversation.with_value(|conversation| conversation.names.clone());
        view! {
            <div class="text" dir="auto">{move || names.with(|names| {
                message_text(&text, &|nickname| {
                    let nickname = nickname.to_lowercase();
                    let meant = names.iter().find(|author| author.nickname.to_lowercase() == nickname)?;
                    Some(meant.user_id == store.my_id)
                })
            })}</div>
        }
    });
    view! { {forwarded} {quote} {carried} {words} }.into_any()
}

fn reactions_view(
    store: Store,
    conversation: StoredValue<Conversation>,
    number: Memo<Option<u64>>,
    reactions: Vec<Reaction>,
    can_send: Memo<bool>,
) -> AnyView {
    let one = move |Reaction { emoji, count, mine }: Reaction| {
        let label = t_count("message.reacted", count).replace("{emoji}", &emoji);
        let set = emoji.clone();
        let toggle = move |_| {
            if let Some(number) = number.get_untracked() {
                conversation.with_value(|conversation| store.react(conversation, number, &set));
            }
        };
        view! {
            <li><button type="button" class="reaction" aria-pressed=if mine { "true" } else { "false" } aria-label=label
                disabled=move || !can_send.get() on:click=toggle>
                {emoji} " " {count}
            </button></li>
        }
    };
    view! { <ul class="reactions" aria-label=t("message.reactions")>{reactions.into_iter().map(one).collect_view()}</ul> }.into_any()
}

/// What can be done with a message, as it is when the menu is opened.
fn items(store: Store, conversation: &Conversation, acts: Acts, number: u64) -> Vec<MenuItem> {
    let Some(message) = conversation.message(number) else { return Vec::new() };
    let mine = message.author.user_id == store.my_id;
    let (can_send, is_member, moderates) = store
        .peek_chat(conversation.chat_id, |chat| {
            let is_member = !chat.left;
            let leads = matches!(chat.my_role, Role::Owner | Role::Admin);
            (chat.can_send, is_member, is_member && leads && chat.kind == ChatKind::Group)
        })
        .unwrap_or_default();
    let mut items = Vec::new();
    if can_send {
        let answered = conversation.clone();
        items.push(MenuItem::new(t("message.reply"), move || reply_to(&answered, Some(number))));
        items.push(MenuItem::new(t("act.react"), move || acts.ask(Act::React(number))));
    }
    if can_send && mine && message.forwarded_from.is_none() {
        let edited = conversation.clone();
        items.push(MenuItem::new(t("act.edit"), move || {
            edited.edit(number);
            crate::browser::focus("composer");
        }));
    }
    if !message.text.is_empty() {
        let text = message.text.clone();
        items.push(MenuItem::new(t("act.copy"), move || {
            let text = text.clone();
            spawn_local(async move {
                let key = if copy(&text).await { "act.copied" } else { "act.not-copied" };
                store.notice.set(Some(t(key)));
            });
        }));
    }
    items.push(MenuItem::new(t("act.forward"), move || acts.ask(Act::Forward(number))));
    if message.edited_at.is_some() {
        items.push(MenuItem::new(t("act.versions"), move || acts.ask(Act::Versions(number))));
    }
    if !is_member {
        return items;
    }
    if mine {
        let act = Act::TakeAway(number, Deleted::Author);
        items.push(MenuItem::new(t("act.delete"), move || acts.ask(act)).danger());
    } else {
        items.push(MenuItem::new(t("act.report"), move || acts.ask(Act::Report(number))));
        if moderates {
            let act = Act::TakeAway(number, Deleted::Moderator);
            items.push(MenuItem::new(t("act.take-away"), move || acts.ask(act)).danger());
        }
    }
    items
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

pub fn author_name(author: &Author) -> String {
    if author.state == PersonState::Erased { t("person.erased") } else { author.name.clone() }
}

/// Has the next message answer the one with this number.
pub fn reply_to(conversation: &Conversation, number: Option<u64>) {
    let Some(message) = number.and_then(|number| conversation.message(number)) else { return };
    if message.deleted.is_none() {
        let excerpt = excerpt(&message);
        conversation.editing.set(None);
        conversation.reply.set(Some(ReplyTo { number: message.number, author: message.author, excerpt }));
        crate::browser::focus("composer");
    }
}
