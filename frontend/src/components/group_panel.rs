//! Everything about a group, and what one may do about it.

use domain::ids::ChatId;
use domain::views::{Chat, History, Role};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::avatar::{Size, group_avatar};
use super::chat_row::{chat_end, chat_name};
use super::field::{Attempt, Field};
use super::group_invites::GroupInvites;
use super::group_members::{GroupMembers, Members};
use super::icon::Icon;
use super::person_panel::CLOSE;
use super::question::Question;
use crate::api::{Answer, Failure};
use crate::browser::{focus, next_frame};
use crate::i18n::{t, t_count};
use crate::pages::sign_up::FormAlert;
use crate::state::Store;

const RENAME: &str = "group-rename";
const LEAVE: &str = "group-leave";
const DISSOLVE: &str = "group-dissolve";

/// Whether this role may rename, add, invite and remove members.
pub fn moderates(role: Role) -> bool {
    matches!(role, Role::Owner | Role::Admin)
}

/// What of a group this panel shows; it is built anew when that changes, and not with every message.
#[derive(Clone, PartialEq)]
struct Shown {
    title: String,
    role: Role,
    member_count: u64,
    history: Option<History>,
    end: Option<&'static str>,
}

fn shown(chat: &Chat) -> Shown {
    Shown {
        title: chat_name(chat),
        role: chat.my_role,
        member_count: chat.member_count,
        history: chat.history,
        end: chat_end(chat),
    }
}

#[component]
pub fn GroupPanel(id: ChatId) -> impl IntoView {
    let store = expect_context::<Store>();
    let chat = store.chat(id);
    let group = Memo::new(move |_| chat.with(|chat| chat.as_ref().map(shown)));
    let role = Memo::new(move |_| group.with(|group| group.as_ref().map_or(Role::Member, |it| it.role)));
    let left = Memo::new(move |_| chat.with(|chat| chat.as_ref().is_none_or(|chat| chat.left)));
    let open = Memo::new(move |_| group.with(|group| group.as_ref().is_some_and(|it| it.end.is_none())));
    let members = Members::new(store, id);
    Effect::new(move || {
        // Whoever comes, goes or gets another role changes one of these.
        store.group_round.track();
        if !left.get() {
            members.load();
        }
    });
    let inviting = Memo::new(move |_| open.get() && moderates(role.get()));
    view! {
        <div class="person-panel group-panel">
            <header class="panel-head">
                <button type="button" class="icon-button" id=CLOSE title=t("close") aria-label=t("close")
                    on:click=move |_| store.panel.set(false)>{Icon::Close.view()}</button>
            </header>
            <Head id group/>
            <Show when=move || !left.get()><GroupMembers members role open/></Show>
            <Show when=move || inviting.get()><GroupInvites id/></Show>
            <Show when=move || !left.get()><Endings id role open members/></Show>
        </div>
    }
    .into_any()
}

/// Picture, title, and what goes for all.
#[component]
fn Head(id: ChatId, group: Memo<Option<Shown>>) -> impl IntoView {
    let renaming = RwSignal::new(false);
    // Each apart, so that somebody's coming takes nothing from who is typing a title.
    let title = Memo::new(move |_| group.with(|group| group.as_ref().map(|it| it.title.clone())));
    let title = move || title.get().unwrap_or_default();
    let may = Memo::new(move |_| {
        group.with(|group| group.as_ref().is_some_and(|it| moderates(it.role) && it.end.is_none()))
    });
    let name = move || {
        if renaming.get() && may.get() {
            return view! { <Rename id title=untrack(title) renaming/> }.into_any();
        }
        view! {
            <h2 class="person-name" dir="auto">{title()}</h2>
            {may.get().then(|| view! {
                <button type="button" class="button small" id=RENAME on:click=move |_| renaming.set(true)>{t("group.rename")}</button>
            })}
        }
        .into_any()
    };
    let state = move || {
        let group = group.get()?;
        let history = group.history.map(|history| match history {
            History::Joining => t("group.history.joining.note"),
            History::All => t("group.history.all.note"),
        });
        Some(match group.end {
            Some(end) => view! { <p class="relation">{t(end)}</p> }.into_any(),
            None => view! {
                <p class="muted">{t_count("group.members", group.member_count)}</p>
                {history.map(|history| view! { <p class="muted">{history}</p> })}
            }
            .into_any(),
        })
    };
    view! {
        <div class="person-card">
            {move || group_avatar(id, &title(), Size::Large)}
            {name}
            {state}
        </div>
    }
    .into_any()
}

#[component]
fn Rename(id: ChatId, title: String, renaming: RwSignal<bool>) -> impl IntoView {
    let store = expect_context::<Store>();
    let before = title.clone();
    let title = RwSignal::new(title);
    let attempt: Attempt = RwSignal::new(None);
    let busy = RwSignal::new(false);
    let end = move || {
        renaming.try_set(false);
        spawn_local(async {
            next_frame().await;
            focus(RENAME);
        });
    };
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let wanted = title.get_untracked();
        if busy.get_untracked() {
            return;
        }
        if wanted == before {
            end();
            return;
        }
        busy.set(true);
        attempt.set(None);
        spawn_local(async move {
            match store.api.rename_chat(id, wanted.clone()).await {
                Ok(_) => {
                    store.with_chat(id, |chat| chat.title = Some(wanted));
                    end();
                }
                Err(failure) => {
                    attempt.try_set(Some(failure));
                    focus("field-title");
                }
            }
            busy.try_set(false);
        });
    };
    let on_key = move |event: web_sys::KeyboardEvent| {
        if event.key() == "Escape" {
            event.prevent_default();
            end();
        }
    };
    view! {
        <form class="form panel-form" on:submit=submit on:keydown=on_key novalidate>
            <Field name="title" label=t("group.title") value=title attempt autofocus=true/>
            <FormAlert attempt fields=&["title"]/>
            <div class="form-end">
                <button type="submit" class="button small primary" aria-disabled=move || busy.get().then_some("true")>{t("save")}</button>
                <button type="button" class="button small" on:click=move |_| end()>{t("cancel")}</button>
            </div>
        </form>
    }
    .into_any()
}

/// Two ways to part with a group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Leave,
    Dissolve,
}

#[component]
fn Endings(id: ChatId, role: Memo<Role>, open: Memo<bool>, members: Members) -> impl IntoView {
    let store = expect_context::<Store>();
    let asked = RwSignal::new(None::<Ending>);
    let busy = RwSignal::new(false);
    let take = move |ending: Ending| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            if let Err(failure) = end(store, id, ending).await {
                store.complain(&failure);
            }
            busy.try_set(false);
            asked.try_set(None);
            focus(CLOSE);
        });
    };
    let question = move || {
        asked.get().map(|ending| {
            let (yes, back) = match ending {
                Ending::Leave => ("group.leave", LEAVE),
                Ending::Dissolve => ("group.dissolve", DISSOLVE),
            };
            // Who else is there may not be known yet.
            let text = Signal::derive(move || match ending {
                Ending::Leave => leave_text(store, id, role.get(), members, open.get()),
                Ending::Dissolve => t("group.dissolve.question"),
            });
            let cancel = move || {
                asked.set(None);
                focus(back);
            };
            view! { <Question text yes=t(yes) busy on_yes=move || take(ending) on_no=cancel/> }
        })
    };
    view! {
        <section class="group-part" aria-label=t("group.endings")>
            <div class="steps">
                <button type="button" class="button quiet danger" id=LEAVE on:click=move |_| asked.set(Some(Ending::Leave))>{t("group.leave")}</button>
                {move || (open.get() && role.get() == Role::Owner).then(|| view! {
                    <button type="button" class="button quiet danger" id=DISSOLVE
                        on:click=move |_| asked.set(Some(Ending::Dissolve))>{t("group.dissolve")}</button>
                })}
            </div>
            {question}
        </section>
    }
    .into_any()
}

/// What leaving means, which hangs on who else is there.
fn leave_text(store: Store, id: ChatId, role: Role, members: Members, open: bool) -> String {
    let only_owner = role == Role::Owner && members.owners() <= 1 && open;
    let alone = store.peek_chat(id, |chat| chat.member_count) == Some(1);
    match (only_owner, alone) {
        (true, true) => t("group.leave.question.alone"),
        (true, false) => t("group.leave.question.owner"),
        (false, _) => t("group.leave.question"),
    }
}

async fn end(store: Store, id: ChatId, ending: Ending) -> Answer<()> {
    let done: Result<_, Failure> = match ending {
        Ending::Leave => store.api.leave_chat(id).await,
        Ending::Dissolve => store.api.dissolve_chat(id).await,
    };
    // After a refusal too: what the screen offered was out of date.
    store.refresh_chat(id).await?;
    done.map(drop)
}
