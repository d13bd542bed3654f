//! The links by which people come into a group.

use domain::ids::{ChatId, InviteId};
use domain::requests::CreateInvite;
use domain::views::Invite;
use leptos::html::Input;
use leptos::prelude::*;
use leptos::task::spawn_local;
use uuid::Uuid;

use super::message::author_name;
use super::panel::{FailedPanel, Skeleton};
use super::question::Question;
use crate::browser::{copy, focus, new_key, next_frame};
use crate::format;
use crate::i18n::{t, t_count, t_with};
use crate::invite::link;
use crate::state::{Phase, Store};
use crate::wording::failure_text;

const TITLE: &str = "invites-title";
const NEW: &str = "invite-new";
const SPAN: &str = "invite-span";

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// For how many seconds a link may open the group; the usual one is the third.
const SPANS: [u64; 5] = [HOUR, DAY, 7 * DAY, 30 * DAY, 365 * DAY];
const USUAL_SPAN: u64 = SPANS[2];
/// How often; 0 stands for without end.
const USES: [u32; 5] = [0, 1, 5, 25, 100];

fn span_text(seconds: u64) -> String {
    if seconds < DAY {
        t_count("duration.hours", seconds / HOUR)
    } else {
        t_count("duration.days", seconds / DAY)
    }
}

/// What the parts share.
#[derive(Clone, Copy)]
struct Desk {
    store: Store,
    chat: ChatId,
    invites: RwSignal<Vec<Invite>>,
    phase: RwSignal<Phase>,
    asked: RwSignal<Option<InviteId>>,
    busy: RwSignal<bool>,
    /// A passing word about what has been done.
    said: RwSignal<Option<String>>,
}

impl Desk {
    async fn load(self) {
        match self.store.api.invites(self.chat).await {
            Ok(found) => {
                self.invites.try_set(found.items);
                self.phase.try_set(Phase::Ready);
            }
            // What was there is better than a failure to look again.
            Err(failure) if self.phase.try_get_untracked() != Some(Phase::Ready) => {
                self.phase.try_set(Phase::Failed(failure));
            }
            Err(_) => {}
        }
    }

    fn revoke(self, invite: InviteId) {
        if self.busy.get_untracked() {
            return;
        }
        self.busy.set(true);
        spawn_local(async move {
            match self.store.api.revoke_invite(self.chat, invite).await {
                Ok(_) => {
                    self.said.try_set(Some(t("invites.revoked")));
                }
                Err(failure) => self.store.complain(&failure),
            }
            self.load().await;
            self.busy.try_set(false);
            self.asked.try_set(None);
            focus(TITLE);
        });
    }
}

#[component]
pub fn GroupInvites(id: ChatId) -> impl IntoView {
    let store = expect_context::<Store>();
    let desk = Desk {
        store,
        chat: id,
        invites: RwSignal::new(Vec::new()),
        phase: RwSignal::new(Phase::Loading),
        asked: RwSignal::new(None),
        busy: RwSignal::new(false),
        said: RwSignal::new(None),
    };
    // Somebody who came by a link has used it up by one.
    Effect::new(move || {
        store.group_round.track();
        spawn_local(desk.load());
    });
    let making = RwSignal::new(false);
    let phase = Memo::new(move |_| desk.phase.get());
    let empty = Memo::new(move |_| desk.invites.with(Vec::is_empty));
    view! {
        <section class="group-part" aria-labelledby=TITLE>
            <h3 id=TITLE tabindex="-1">{t("invites.title")}</h3>
            <p class="field-hint">{t("invites.hint")}</p>
            {move || if making.get() {
                view! { <NewInvite desk making/> }.into_any()
            } else {
                view! { <button type="button" class="button small" id=NEW on:click=move |_| making.set(true)>{t("invites.new")}</button> }.into_any()
            }}
            {move || match phase.get() {
                Phase::Loading => view! { <Skeleton rows=1/> }.into_any(),
                Phase::Failed(failure) => view! { <FailedPanel failure retry=move || spawn_local(desk.load())/> }.into_any(),
                Phase::Ready if empty.get() => ().into_any(),
                Phase::Ready => view! {
                    <ul class="invites" aria-labelledby=TITLE>
                        <For each=move || desk.invites.get() key=|it| (it.invite_id, it.uses_left)
                            children=move |invite| view! { <InviteRow desk invite/> }/>
                    </ul>
                }
                .into_any(),
            }}
            <p class="good" role="status">{move || desk.said.get()}</p>
        </section>
    }
    .into_any()
}

#[component]
fn InviteRow(desk: Desk, invite: Invite) -> impl IntoView {
    let id = invite.invite_id;
    let address = link(&invite.token);
    let field = NodeRef::<Input>::new();
    let on_copy = {
        let address = address.clone();
        move |_| {
            let address = address.clone();
            spawn_local(async move {
                if copy(&address).await {
                    desk.said.try_set(Some(t("invites.copied")));
                } else if let Some(field) = field.get_untracked() {
                    // Then one copies it by hand.
                    let _ = field.focus();
                    field.select();
                }
            });
        }
    };
    let until = t_with("invites.until", &[("time", &format::full(invite.expires_at))]);
    let uses = invite.uses_left.map(|left| t_count("invites.uses-left", left.into()));
    let by = t_with("invites.by", &[("name", &author_name(&invite.by))]);
    let revoke_id = format!("revoke-{id}");
    let back = revoke_id.clone();
    let question = move || {
        let back = back.clone();
        let cancel = move || {
            desk.asked.set(None);
            focus(&back);
        };
        (desk.asked.get() == Some(id)).then(|| {
            view! { <Question text=t("invites.revoke.question") yes=t("invites.revoke") busy=desk.busy
            on_yes=move || desk.revoke(id) on_no=cancel/> }
        })
    };
    view! {
        <li class="invite">
            <input type="text" class="input" dir="ltr" readonly node_ref=field prop:value=address aria-label=t("invites.link")
                on:focus=move |_| if let Some(field) = field.get_untracked() { field.select() }/>
            <p class="field-hint" dir="auto">{until}{uses.map(|uses| format!(" · {uses}"))} " · " {by}</p>
            <div class="form-end">
                <button type="button" class="button small primary" on:click=on_copy>{t("invites.copy")}</button>
                <button type="button" class="button small danger" id=revoke_id on:click=move |_| desk.asked.set(Some(id))>{t("invites.revoke")}</button>
            </div>
            {question}
        </li>
    }
    .into_any()
}

/// Moves the focus once the screen shows where to.
fn focus_soon(id: &'static str) {
    spawn_local(async move {
        next_frame().await;
        focus(id);
    });
}

#[component]
fn NewInvite(desk: Desk, making: RwSignal<bool>) -> impl IntoView {
    let span = RwSignal::new(USUAL_SPAN);
    let uses = RwSignal::new(0_u32);
    let busy = RwSignal::new(false);
    let trouble = RwSignal::new(None::<String>);
    // Sent again unchanged, after an answer that got lost, the form must not make a second link.
    let sent = StoredValue::new(None::<(CreateInvite, Uuid)>);
    focus_soon(SPAN);
    let end = move |to: &'static str| {
        making.try_set(false);
        focus_soon(to);
    };
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        trouble.set(None);
        let uses = Some(uses.get_untracked()).filter(|uses| *uses > 0);
        let body = CreateInvite { chat_id: desk.chat, expires_in: Some(span.get_untracked()), uses };
        let key =
            sent.with_value(|sent| sent.as_ref().filter(|(before, _)| *before == body).map(|(_, key)| *key));
        let key = key.unwrap_or_else(new_key);
        sent.set_value(Some((body.clone(), key)));
        spawn_local(async move {
            match desk.store.api.create_invite(&body, key).await {
                Ok(_) => {
                    desk.load().await;
                    desk.said.try_set(Some(t("invites.made")));
                    end(TITLE);
                }
                Err(failure) => {
                    trouble.try_set(Some(failure_text(&failure)));
                }
            }
            busy.try_set(false);
        });
    };
    let on_key = move |event: web_sys::KeyboardEvent| {
        if event.key() == "Escape" {
            event.prevent_default();
            end(NEW);
        }
    };
    let uses_text =
        |count: u32| if count == 0 { t("invites.uses.any") } else { t_count("invites.uses", count.into()) };
    view! {
        <form class="form panel-form" on:submit=submit on:keydown=on_key>
            <div class="field">
                <label for=SPAN>{t("invites.span")}</label>
                <select class="input" id=SPAN
                    on:change=move |event| span.set(event_target_value(&event).parse().unwrap_or(USUAL_SPAN))>
                    {SPANS.map(|seconds| view! {
                        <option value=seconds.to_string() selected=seconds == USUAL_SPAN>{span_text(seconds)}</option>
                    }).collect_view()}
                </select>
            </div>
            <div class="field">
                <label for="invite-uses">{t("invites.uses.label")}</label>
                <select class="input" id="invite-uses"
                    on:change=move |event| uses.set(event_target_value(&event).parse().unwrap_or(0))>
                    {USES.map(|count| view! { <option value=count.to_string()>{uses_text(count)}</option> }).collect_view()}
                </select>
            </div>
            <div role="alert">{move || trouble.get().map(|text| view! { <p class="form-alert">{text}</p> })}</div>
            <div class="form-end">
                <button type="submit" class="button small primary" aria-disabled=move || busy.get().then_some("true")>{t("invites.make")}</button>
                <button type="button" class="button small" on:click=move |_| end(NEW)>{t("cancel")}</button>
            </div>
        </form>
    }
    .into_any()
}
