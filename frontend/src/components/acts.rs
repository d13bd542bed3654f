//! What one does about a message or a conversation, each in a dialog of its own: the browser keeps the focus in it,
//! closes it on Escape, and gives the focus back.

use domain::Timestamp;
use domain::ids::{ChatId, MessageId};
use domain::views::{Attachment, AttachmentKind, Deleted, ReportReason, Version};
use leptos::html::Dialog;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::attachment::{ask_again, download_link};
use super::chat_row::chat_name;
use super::icon::Icon;
use super::message_text::message_text;
use super::panel::{FailedPanel, Skeleton};
use crate::api::{Answer, Failure, blob_path};
use crate::browser::new_key;
use crate::format;
use crate::i18n::{t, t_with};
use crate::later::Part;
use crate::state::{Conversation, Store};

/// The usual ones first.
pub const EMOJI: &[&str] = &[
    "👍", "❤️", "😂", "😮", "😢", "🙏", "👎", "🎉", "🔥", "👏", "😊", "😍", "🤔", "😅", "😎", "🥳", "😭",
    "😡", "🤯", "🙈", "💪", "🤝", "👀", "✅", "❌", "❓", "❗", "💯", "⭐", "🌹", "☕", "🍻", "🎂", "🚀",
    "💡", "⏰", "📌", "🐟", "🧊", "🕊️",
];

/// How many of them are offered before the others are asked for.
const USUAL: usize = 6;

/// What is asked or shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    TakeAway(u64, Deleted),
    React(u64),
    Forward(u64),
    Report(u64),
    Versions(u64),
    /// One of the pictures that a message carries.
    Picture(u64, usize),
    GoToDate,
}

impl Act {
    /// The number of the message without which there is nothing to show.
    fn shows(self) -> Option<u64> {
        match self {
            Self::TakeAway(number, _)
            | Self::React(number)
            | Self::Forward(number)
            | Self::Versions(number)
            | Self::Picture(number, _) => Some(number),
            Self::Report(_) | Self::GoToDate => None,
        }
    }
}

/// The dialog that is open.
#[derive(Clone, Copy)]
pub struct Acts(RwSignal<Option<Act>>);

impl Acts {
    pub fn new() -> Self {
        Self(RwSignal::new(None))
    }
    pub fn ask(self, act: Act) {
        self.0.set(Some(act));
    }
    pub fn close(self) {
        self.0.set(None);
    }
}

#[component]
pub fn ActDialog(conversation: Conversation, acts: Acts) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    Effect::new(move || {
        let open = acts.0.with(Option::is_some);
        if let Some(dialog) = dialog.get() {
            if open && !dialog.open() {
                let _ = dialog.show_modal();
            } else if !open && dialog.open() {
                dialog.close();
            }
        }
    });
    let kept = StoredValue::new(conversation);
    // What is deleted goes from here, too.
    Effect::new(move || {
        let number = acts.0.get().and_then(Act::shows);
        let row = number.and_then(|number| kept.with_value(|conversation| conversation.row(number)));
        if row.is_some_and(|row| row.item.with(|item| item.message.deleted.is_some())) {
            acts.close();
        }
    });
    // From picture to picture the dialog stays, and the focus in it.
    let act = Memo::new(move |_| match acts.0.get() {
        Some(Act::Picture(number, _)) => Some(Act::Picture(number, 0)),
        act => act,
    });
    let content = move || {
        let act = act.get()?;
        Some(Part::Act(kept.get_value(), acts, act).view())
    };
    let title = move || acts.0.get().map(|act| t(title(act)));
    let is_picture = move || matches!(acts.0.get(), Some(Act::Picture(..)));
    view! {
        <dialog class="act" class:light=is_picture node_ref=dialog aria-labelledby="act-title" on:close=move |_| acts.close()
            on:keydown=move |event| kept.with_value(|conversation| on_key(&event, conversation, acts))
            on:click=move |event| {
                // A click beside the dialog is on the dialog itself; what is in it lies in an element of its own.
                if event.target() == dialog.get_untracked().map(|dialog| (*dialog).clone().into()) {
                    acts.close();
                }
            }>
            <div class="act-body">
                <div class="act-head">
                    <h2 id="act-title">{title}</h2>
                    <button type="button" class="icon-button" title=t("close") aria-label=t("close") on:click=move |_| acts.close()>
                        {Icon::Close.view()}
                    </button>
                </div>
                {content}
            </div>
        </dialog>
    }
    .into_any()
}

/// What the dialog shows of an act.
pub fn content(conversation: Conversation, acts: Acts, act: Act) -> AnyView {
    match act {
        Act::TakeAway(number, by) => take_away(conversation, acts, number, by),
        Act::React(number) => react(conversation, acts, number),
        Act::Forward(number) => view! { <ForwardTo conversation acts number/> }.into_any(),
        Act::Report(number) => report(conversation, acts, number),
        Act::Versions(number) => versions(&conversation, number),
        Act::Picture(number, _) => picture(&conversation, acts, number),
        Act::GoToDate => go_to_date(conversation, acts),
    }
}

/// Keys within the dialog. Escape is used up here: whatever the dialog lies over would take it for its own.
fn on_key(event: &web_sys::KeyboardEvent, conversation: &Conversation, acts: Acts) {
    match event.key().as_str() {
        "Escape" => acts.close(),
        "ArrowRight" => turn(conversation, acts, true),
        "ArrowLeft" => turn(conversation, acts, false),
        _ => return,
    }
    if event.key() == "Escape" {
        event.prevent_default();
    }
}

/// Shows the next or the previous picture of the message.
fn turn(conversation: &Conversation, acts: Acts, onward: bool) {
    if let Some(Act::Picture(number, index)) = acts.0.get_untracked() {
        let count = pictures(conversation, number).len();
        if count > 1 {
            acts.ask(Act::Picture(number, (index + if onward { 1 } else { count - 1 }) % count));
        }
    }
}

fn pictures(conversation: &Conversation, number: u64) -> Vec<Attachment> {
    let all = conversation.message(number).map(|message| message.attachments).unwrap_or_default();
    all.into_iter().filter(|it| it.kind == AttachmentKind::Image).collect()
}

fn title(act: Act) -> &'static str {
    match act {
        Act::TakeAway(_, Deleted::Author) => "act.delete",
        Act::TakeAway(_, Deleted::Moderator) => "act.take-away",
        Act::React(_) => "act.react",
        Act::Forward(_) => "act.forward",
        Act::Report(_) => "act.report",
        Act::Versions(_) => "act.versions",
        Act::Picture(..) => "attachment.picture",
        Act::GoToDate => "act.date",
    }
}

/// Does it, then closes; what goes wrong is said, and the dialog stays.
fn perform<T: 'static>(
    store: Store,
    acts: Acts,
    busy: RwSignal<bool>,
    work: impl Future<Output = Answer<T>> + 'static,
) {
    if busy.get_untracked() {
        return;
    }
    busy.set(true);
    spawn_local(async move {
        match work.await {
            Ok(_) => acts.close(),
            Err(failure) => store.complain(&failure),
        }
        busy.try_set(false);
    });
}

fn take_away(conversation: Conversation, acts: Acts, number: u64, by: Deleted) -> AnyView {
    let store = expect_context::<Store>();
    let busy = RwSignal::new(false);
    let (text, yes) = match by {
        Deleted::Author => ("act.delete.text", "act.delete.yes"),
        Deleted::Moderator => ("act.take-away.text", "act.take-away.yes"),
    };
    let act = move |_| {
        let conversation = conversation.clone();
        perform(store, acts, busy, async move { store.take_away(&conversation, number, by).await });
    };
    view! {
        <p>{t(text)}</p>
        <div class="act-steps">
            <button type="button" class="button" on:click=move |_| acts.close()>{t("cancel")}</button>
            <button type="button" class="button danger" aria-disabled=move || busy.get().then_some("true") on:click=act>{t(yes)}</button>
        </div>
    }
    .into_any()
}

fn react(conversation: Conversation, acts: Acts, number: u64) -> AnyView {
    let store = expect_context::<Store>();
    let more = RwSignal::new(false);
    let set = conversation.message(number).and_then(|it| it.reactions.into_iter().find(|one| one.mine));
    let kept = StoredValue::new(conversation);
    let one = move |emoji: &'static str| {
        let choose = move |_| {
            kept.with_value(|conversation| store.react(conversation, number, emoji));
            acts.close();
        };
        let pressed = if set.as_ref().is_some_and(|it| it.emoji == emoji) { "true" } else { "false" };
        view! { <button type="button" class="emoji" aria-pressed=pressed on:click=choose>{emoji}</button> }
    };
    let grid = {
        let one = one.clone();
        move || {
            more.get().then(|| {
                let rest = EMOJI[USUAL..].iter().copied().map(&one).collect_view();
                view! { <div class="emoji-grid">{rest}</div> }
            })
        }
    };
    view! {
        <div class="emoji-grid usual">
            {EMOJI[..USUAL].iter().copied().map(&one).collect_view()}
            <button type="button" class="emoji" title=t("act.react.more") aria-label=t("act.react.more")
                aria-expanded=move || if more.get() { "true" } else { "false" }
                on:click=move |_| more.update(|more| *more = !*more)>{Icon::Plus.view()}</button>
        </div>
        {grid}
    }
    .into_any()
}

#[component]
fn ForwardTo(conversation: Conversation, acts: Acts, number: u64) -> impl IntoView {
    let store = expect_context::<Store>();
    let (busy, words) = (RwSignal::new(false), RwSignal::new(String::new()));
    let chats = Memo::new(move |_| {
        let words = words.with(|words| words.trim().to_lowercase());
        store.chats.with(|chats| {
            let fits =
                chats.iter().filter(|chat| chat.can_send && chat_name(chat).to_lowercase().contains(&words));
            fits.map(|chat| (chat.chat_id, chat_name(chat))).collect::<Vec<(ChatId, String)>>()
        })
    });
    let kept = StoredValue::new(conversation);
    // Tried again, it is the same message: one whose answer was lost may have arrived.
    let ids = StoredValue::new(Vec::<(ChatId, MessageId)>::new());
    let row = move |(to, name): (ChatId, String)| {
        let said = name.clone();
        let choose = move |_| {
            let (conversation, said) = (kept.get_value(), said.clone());
            let known = ids.with_value(|ids| ids.iter().find(|(chat, _)| *chat == to).map(|(_, id)| *id));
            let id = known.unwrap_or_else(|| MessageId(new_key()));
            ids.update_value(|ids| ids.push((to, id)));
            perform(store, acts, busy, async move {
                store.forward(id, &conversation, number, to).await?;
                store.notice.set(Some(t_with("act.forwarded", &[("name", &said)])));
                Ok(())
            });
        };
        view! { <li><button type="button" class="menu-item" dir="auto" on:click=choose>{name}</button></li> }
    };
    view! {
        <input type="search" class="input" aria-label=t("act.forward.search") placeholder=t("act.forward.search") autofocus
            on:input=move |event| words.set(event_target_value(&event))/>
        <ul class="act-list">{move || chats.get().into_iter().map(row).collect_view()}</ul>
        <p class="muted" role="status">{move || chats.with(Vec::is_empty).then(|| t("act.forward.nothing"))}</p>
    }
    .into_any()
}

fn report(conversation: Conversation, acts: Acts, number: u64) -> AnyView {
    let store = expect_context::<Store>();
    let busy = RwSignal::new(false);
    let reasons = [
        (ReportReason::Spam, "report.spam"),
        (ReportReason::Abuse, "report.abuse"),
        (ReportReason::Illegal, "report.illegal"),
        (ReportReason::Other, "report.else"),
    ];
    let row = move |(reason, key): (ReportReason, &'static str)| {
        let conversation = conversation.clone();
        let choose = move |_| {
            let conversation = conversation.clone();
            perform(store, acts, busy, async move {
                store.report(&conversation, number, reason).await?;
                store.notice.set(Some(t("report.done")));
                Ok(())
            });
        };
        view! { <li><button type="button" class="menu-item" on:click=choose>{t(key)}</button></li> }
    };
    view! { <p>{t("report.text")}</p> <ul class="act-list">{reasons.into_iter().map(row).collect_view()}</ul> }.into_any()
}

fn versions(conversation: &Conversation, number: u64) -> AnyView {
    let store = expect_context::<Store>();
    let found = RwSignal::new(None::<Answer<Vec<Version>>>);
    let kept = StoredValue::new(conversation.clone());
    let load = move || {
        found.set(None);
        spawn_local(async move {
            let answer = store.versions(&kept.get_value(), number).await;
            found.try_set(Some(answer));
        });
    };
    load();
    let list = move || match found.get() {
        None => view! { <Skeleton rows=2/> }.into_any(),
        Some(Err(failure)) => view! { <FailedPanel failure retry=load/> }.into_any(),
        Some(Ok(versions)) => {
            let row = |version: Version| {
                view! {
                    <li>
                        <time datetime=format::machine(version.at)>{format::full(version.at)}</time>
                        <div class="text" dir="auto">{message_text(&version.text, &|_| None)}</div>
                    </li>
                }
            };
            view! { <ol class="versions">{versions.into_iter().map(row).collect_view()}</ol> }.into_any()
        }
    };
    view! { {list} }.into_any()
}

fn picture(conversation: &Conversation, acts: Acts, number: u64) -> AnyView {
    let store = expect_context::<Store>();
    let pictures = StoredValue::new(pictures(conversation, number));
    let count = pictures.with_value(Vec::len);
    let index = Memo::new(move |_| match acts.0.get() {
        Some(Act::Picture(_, index)) => index,
        _ => 0,
    });
    let kept = StoredValue::new(conversation.clone());
    let failed = RwSignal::new(false);
    let go = move |onward: bool| {
        failed.set(false);
        kept.with_value(|conversation| turn(conversation, acts, onward));
    };
    let shown = move || {
        if failed.get() {
            let retry = move || failed.set(false);
            return Some(view! { <FailedPanel failure=Failure::Offline retry/> }.into_any());
        }
        let it = pictures.with_value(|all| all.get(index.get()).cloned())?;
        let (image, path) = (NodeRef::new(), blob_path(it.blob_id, None));
        let on_error = ask_again(image, path.clone(), move || failed.set(true));
        let shown = view! {
            <img node_ref=image src=path alt=it.name.clone() width=it.width height=it.height on:error=on_error/>
            {download_link(store, it.blob_id, it.name)}
        };
        Some(shown.into_any())
    };
    view! {
        <div class="whole">
            {shown}
            {(count > 1).then(|| view! {
                <div class="act-steps">
                    <button type="button" class="icon-button" title=t("picture.before") aria-label=t("picture.before")
                        on:click=move |_| go(false)>"‹"</button>
                    <span aria-live="polite">{move || format!("{} / {count}", index.get() + 1)}</span>
                    <button type="button" class="icon-button" title=t("picture.after") aria-label=t("picture.after")
                        on:click=move |_| go(true)>"›"</button>
                </div>
            })}
        </div>
    }
    .into_any()
}

fn go_to_date(conversation: Conversation, acts: Acts) -> AnyView {
    let store = expect_context::<Store>();
    let (busy, day) = (RwSignal::new(false), RwSignal::new(String::new()));
    let go = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let Some(from) = day.with_untracked(|day| beginning_of(day)) else { return };
        let conversation = conversation.clone();
        perform(store, acts, busy, async move {
            match store.show_since(&conversation, from).await? {
                Some(number) => conversation.jump.set(Some(number)),
                None => store.notice.set(Some(t("act.date.nothing"))),
            }
            Ok(())
        });
    };
    view! {
        <form on:submit=go>
            <label class="field-label" for="act-day">{t("act.date.label")}</label>
            <input type="date" class="input" id="act-day" required autofocus on:input=move |event| day.set(event_target_value(&event))/>
            <div class="act-steps">
                <button type="submit" class="button primary" aria-disabled=move || busy.get().then_some("true")>{t("act.date.go")}</button>
            </div>
        </form>
    }
    .into_any()
}

/// Midnight here, of a day as a date field writes it.
fn beginning_of(day: &str) -> Option<Timestamp> {
    let mut parts = day.splitn(3, '-').map(|part| part.parse::<i32>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let date = js_sys::Date::new_with_year_month_day(u32::try_from(year).ok()?, month - 1, day);
    let millis = date.get_time();
    (millis.is_finite()).then_some(Timestamp((millis * 1_000.0) as i64))
}
