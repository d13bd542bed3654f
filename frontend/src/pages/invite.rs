//! What an invitation leads to. Looking at it changes nothing.

use domain::ids::ChatId;
use domain::problem::Kind;
use domain::views::Invitation;
use leptos::prelude::*;
use leptos::task::spawn_local;
use uuid::Uuid;

use crate::api::{Answer, Failure};
use crate::browser::{focus, new_key, next_frame};
use crate::components::avatar::{Size, group_avatar};
use crate::components::chat_row::title_or;
use crate::components::icon::Icon;
use crate::components::message::author_name;
use crate::components::panel::{EmptyPanel, FailedPanel, Skeleton};
use crate::i18n::{t, t_count, t_with};
use crate::invite;
use crate::route::Route;
use crate::state::Store;
use crate::wording::failure_text;

/// Where the focus goes once there is something to read.
const TITLE: &str = "invite-group";

/// What is known of the invitation.
#[derive(Clone)]
enum Known {
    Loading,
    /// It is over, was revoked, or never was: nobody is told which.
    Over,
    Open(Invitation),
    /// One was put out of the group.
    Removed,
    Failed(Failure),
}

#[component]
pub fn InvitePage() -> impl IntoView {
    let store = expect_context::<Store>();
    let known = RwSignal::new(Known::Loading);
    let round = StoredValue::new(0_u32);
    let load = move || {
        round.update_value(|round| *round += 1);
        let this = round.get_value();
        known.set(Known::Loading);
        spawn_local(async move {
            let found = match invite::from_address() {
                Some(token) => look(store.api.invitation(&token).await),
                None => Known::Over,
            };
            if round.try_get_value() != Some(this) {
                return;
            }
            let open = matches!(found, Known::Open(_));
            known.set(found);
            if open {
                next_frame().await;
                focus(TITLE);
            }
        });
    };
    load();
    // Another link pasted into the same window changes nothing but what stands behind `#`.
    let elsewhere = window_event_listener_untyped("hashchange", move |_| load());
    on_cleanup(move || elsewhere.remove());
    view! {
        <div class="scroll">
            <div class="settings">
                <header class="settings-head">
                    <a class="icon-button back" href="/chats" title=t("back") aria-label=t("back")>{Icon::Back.view()}</a>
                    <h1>{t("invite.title")}</h1>
                </header>
                {move || match known.get() {
                    Known::Loading => view! { <Skeleton rows=2/> }.into_any(),
                    Known::Over => view! {
                        <EmptyPanel icon=Icon::Link title=t("invite.over") text=t("invite.over.text")>
                            <a class="button" href="/chats">{t("invite.to-chats")}</a>
                        </EmptyPanel>
                    }
                    .into_any(),
                    Known::Removed => view! { <p class="trouble" role="alert">{t("invite.removed")}</p> }.into_any(),
                    Known::Failed(failure) => view! { <FailedPanel failure retry=load/> }.into_any(),
                    Known::Open(invitation) => view! { <Offer invitation known/> }.into_any(),
                }}
            </div>
        </div>
    }
    .into_any()
}

fn look(answer: Answer<Invitation>) -> Known {
    match answer {
        Ok(invitation) => Known::Open(invitation),
        Err(failure) if failure.is(Kind::NotFound) => Known::Over,
        Err(failure) if failure.is(Kind::NotPermitted) => Known::Removed,
        Err(failure) => Known::Failed(failure),
    }
}

#[component]
fn Offer(invitation: Invitation, known: RwSignal<Known>) -> impl IntoView {
    let store = expect_context::<Store>();
    let chat_id = invitation.chat_id;
    let busy = RwSignal::new(false);
    let trouble = RwSignal::new(None::<String>);
    // The same while it is tried again.
    let key: Uuid = new_key();
    let join = move |_| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        trouble.set(None);
        spawn_local(async move {
            let Some(token) = invite::from_address() else {
                known.try_set(Known::Over);
                return;
            };
            match accept(store, &token, key).await {
                Ok(chat_id) => store.router.replace(Route::Chats(Some(chat_id))),
                Err(failure) if failure.is(Kind::NotFound) => {
                    known.try_set(Known::Over);
                }
                Err(failure) => {
                    let removed = failure.is(Kind::NotPermitted);
                    let text = if removed { t("invite.removed") } else { failure_text(&failure) };
                    trouble.try_set(Some(text));
                    busy.try_set(false);
                }
            }
        });
    };
    let step = if invitation.joined {
        view! {
            <p class="muted">{t("invite.joined")}</p>
            <a class="button primary" href=Route::Chats(Some(chat_id)).path()>{t("invite.open")}</a>
        }
        .into_any()
    } else {
        view! {
            <button type="button" class="button primary" aria-disabled=move || busy.get().then_some("true")
                on:click=join>{move || if busy.get() { t("invite.busy") } else { t("invite.join") }}</button>
        }
        .into_any()
    };
    let title = title_or(&invitation.title);
    view! {
        <section class="block invitation" aria-labelledby=TITLE>
            {group_avatar(chat_id, &title, Size::Large)}
            <h2 class="person-name" id=TITLE tabindex="-1" dir="auto">{title}</h2>
            <p class="muted">{t_count("group.members", invitation.member_count)}</p>
            <p class="invited-by" dir="auto">{t_with("invite.by", &[("name", &author_name(&invitation.by))])}</p>
            {step}
            <div role="alert">{move || trouble.get().map(|text| view! { <p class="form-alert">{text}</p> })}</div>
        </section>
    }
    .into_any()
}

async fn accept(store: Store, token: &str, key: Uuid) -> Answer<ChatId> {
    let chat_id = store.api.accept_invite(token, key).await?.chat_id;
    store.refresh_chat(chat_id).await?;
    Ok(chat_id)
}
