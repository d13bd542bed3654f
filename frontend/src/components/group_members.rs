//! Who is in a group, and what one may do about each.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::ids::{ChatId, PersonId};
use domain::views::{Member, PersonState, Role};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::avatar::{Size, avatar};
use super::friend_picker::{FriendPicker, SEARCH};
use super::group_panel::moderates;
use super::menu::{Menu, MenuItem};
use super::panel::{FailedPanel, Skeleton};
use super::person_row::person_name;
use super::question::Question;
use crate::api::Answer;
use crate::browser::{focus, has_focus_in, next_frame, pass_focus_on};
use crate::i18n::{t, t_with};
use crate::route::Route;
use crate::state::{Phase, Store};

const TITLE: &str = "members-title";
const ADD: &str = "members-add";

/// The members of a group as far as they are loaded, in the server's order: owners, admins, members.
#[derive(Clone, Copy)]
pub struct Members {
    store: Store,
    chat: ChatId,
    list: RwSignal<Vec<Member>>,
    /// Leads to those that are not loaded yet.
    next: RwSignal<Option<String>>,
    phase: RwSignal<Phase>,
    /// Counts the times they were asked for, of which the last one matters.
    round: StoredValue<u32>,
}

impl Members {
    pub fn new(store: Store, chat: ChatId) -> Self {
        Self {
            store,
            chat,
            list: RwSignal::new(Vec::new()),
            next: RwSignal::new(None),
            phase: RwSignal::new(Phase::Loading),
            round: StoredValue::new(0),
        }
    }

    /// Loads them anew, as many as are shown.
    pub fn load(self) {
        let wanted = self.list.with_untracked(Vec::len);
        self.run(Vec::new(), None, wanted);
    }

    fn more(self) {
        let cursor = self.next.get_untracked();
        self.run(self.list.get_untracked(), cursor, 0);
    }

    fn run(self, known: Vec<Member>, cursor: Option<String>, wanted: usize) {
        self.round.update_value(|round| *round += 1);
        let (this, after_some) = (self.round.get_value(), !known.is_empty());
        spawn_local(async move {
            let fetched = self.fetch(known, cursor, wanted).await;
            if self.round.try_get_value() != Some(this) {
                return;
            }
            match fetched {
                Ok((list, next)) => {
                    let known = self.list.with_untracked(Vec::len);
                    let held = has_focus_in(".members");
                    self.list.set(list);
                    self.next.set(next);
                    self.phase.set(Phase::Ready);
                    if after_some {
                        // With the last of them the button goes.
                        pass_focus_on(format!(".members > :nth-child({}) .row", known + 1)).await;
                    } else if held {
                        // A member who has changed has another row.
                        pass_focus_on(format!("#{TITLE}")).await;
                    }
                }
                Err(failure) if self.phase.get_untracked() == Phase::Ready => self.store.complain(&failure),
                Err(failure) => self.phase.set(Phase::Failed(failure)),
            }
        });
    }

    async fn fetch(
        self,
        mut list: Vec<Member>,
        mut cursor: Option<String>,
        wanted: usize,
    ) -> Answer<(Vec<Member>, Option<String>)> {
        loop {
            let page = self.store.api.members(self.chat, cursor.as_deref()).await?;
            self.store.put_people(page.items.iter().map(|member| member.person.clone()));
            list.extend(page.items);
            cursor = page.next;
            if cursor.is_none() || list.len() >= wanted {
                return Ok((list, cursor));
            }
        }
    }

    /// They come first, so that more of them than of the loaded there are not.
    pub fn owners(self) -> usize {
        self.list.with(|list| list.iter().filter(|member| member.role == Role::Owner).count())
    }
}

/// What is asked about before it is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Remove,
    Become(Role),
}

/// What the rows share.
#[derive(Clone, Copy)]
struct Desk {
    store: Store,
    members: Members,
    role: Memo<Role>,
    /// Whether the group goes on.
    open: Memo<bool>,
    /// Whether there is more than one owner.
    several: Memo<bool>,
    busy: RwSignal<bool>,
    asked: RwSignal<Option<(PersonId, Step)>>,
}

impl Desk {
    fn take(self, person: PersonId, step: Step) {
        if self.busy.get_untracked() {
            return;
        }
        self.busy.set(true);
        let (store, chat) = (self.store, self.members.chat);
        spawn_local(async move {
            let done = match step {
                Step::Remove => store.api.remove_member(chat, person).await,
                Step::Become(role) => store.api.set_role(chat, person, role).await,
            };
            if let Err(failure) = done {
                store.complain(&failure);
            }
            self.busy.try_set(false);
            // Something else may be asked by now.
            if self.asked.try_get_untracked() == Some(Some((person, step))) {
                self.asked.set(None);
                pass_focus_on(format!("#{TITLE}")).await;
            }
            // After a refusal too: what the screen offered was out of date. The members follow the chat.
            let _ = store.refresh_chat(chat).await;
        });
    }

    /// What the reader may do about a member.
    fn steps(self, member: &Member) -> Vec<MenuItem> {
        let (id, theirs) = (member.person.user_id, member.role);
        let (mine, open) = (self.role.get_untracked(), self.open.get_untracked());
        let myself = id == self.store.my_id;
        let mut items = Vec::new();
        if !myself && member.person.state == PersonState::Active && !member.person.blocked {
            items.push(MenuItem::new(t("act.write"), move || {
                spawn_local(async move {
                    if let Err(failure) = self.store.write_to(id).await {
                        self.store.complain(&failure);
                    }
                });
            }));
        }
        // The last owner cannot step down.
        let may_set = mine == Role::Owner && open && (!myself || self.several.get_untracked());
        if may_set {
            for (role, words) in [
                (Role::Owner, "group.make-owner"),
                (Role::Admin, "group.make-admin"),
                (Role::Member, "group.make-member"),
            ] {
                if role != theirs {
                    let words = if myself { stepping_down(role) } else { words };
                    let item = if role == Role::Owner || myself {
                        MenuItem::new(t(words), move || self.asked.set(Some((id, Step::Become(role)))))
                    } else {
                        MenuItem::new(t(words), move || self.take(id, Step::Become(role)))
                    };
                    items.push(item);
                }
            }
        }
        let may_remove = mine == Role::Owner || (mine == Role::Admin && theirs == Role::Member);
        if may_remove && open && !myself {
            let ask = move || self.asked.set(Some((id, Step::Remove)));
            items.push(MenuItem::new(t("group.remove"), ask).danger());
        }
        items
    }
}

fn stepping_down(role: Role) -> &'static str {
    if role == Role::Admin { "group.become-admin" } else { "group.become-member" }
}

#[component]
pub fn GroupMembers(members: Members, role: Memo<Role>, open: Memo<bool>) -> impl IntoView {
    let store = expect_context::<Store>();
    let desk = Desk {
        store,
        members,
        role,
        open,
        several: Memo::new(move |_| members.owners() > 1),
        busy: RwSignal::new(false),
        asked: RwSignal::new(None),
    };
    let adding = RwSignal::new(false);
    let phase = Memo::new(move |_| members.phase.get());
    let may_add = Memo::new(move |_| open.get() && moderates(role.get()));
    view! {
        <section class="group-part" aria-labelledby=TITLE>
            <h3 id=TITLE tabindex="-1">{t("group.members.title")}</h3>
            {move || may_add.get().then(|| if adding.get() {
                view! { <AddMembers members adding/> }.into_any()
            } else {
                view! { <button type="button" class="button small" id=ADD on:click=move |_| adding.set(true)>{t("group.add")}</button> }.into_any()
            })}
            {move || match phase.get() {
                Phase::Loading => view! { <Skeleton rows=3/> }.into_any(),
                Phase::Failed(failure) => view! { <FailedPanel failure retry=move || members.load()/> }.into_any(),
                Phase::Ready => view! {
                    <ul class="members" aria-labelledby=TITLE>
                        <For each=move || members.list.get() key=|it| (it.person.user_id, it.role as u8, it.person.name.clone())
                            children=move |member| member_row(desk, member)/>
                    </ul>
                    <Show when=move || members.next.with(Option::is_some)>
                        <button type="button" class="button small" on:click=move |_| members.more()>{t("group.members.more")}</button>
                    </Show>
                }
                .into_any(),
            }}
        </section>
    }
    .into_any()
}

fn member_row(desk: Desk, member: Member) -> AnyView {
    let store = desk.store;
    let person = member.person.clone();
    let id = person.user_id;
    let name = person_name(&person);
    let role = match member.role {
        Role::Owner => Some(t("role.owner")),
        Role::Admin => Some(t("role.admin")),
        Role::Member => None,
    };
    let handle = (person.state != PersonState::Erased).then(|| format!("@{}", person.nickname));
    let you = (id == store.my_id).then(|| format!(" · {}", t("relation.self")));
    let photo = store.photo_or(id, person.photo_id.clone());
    let here = store.presence.is_here(id);
    // What one may do hangs on one's own role, too.
    let menu = {
        let (member, label) = (member.clone(), t_with("group.member.menu", &[("name", &name)]));
        move || {
            desk.role.track();
            desk.open.track();
            desk.several.track();
            let member = member.clone();
            (!desk.steps(&member).is_empty())
                .then(|| view! { <Menu label=label.clone() items=Arc::new(move || desk.steps(&member))/> })
        }
    };
    let question = {
        let name = name.clone();
        move || {
            let (_, step) = desk.asked.get().filter(|(asked, _)| *asked == id)?;
            let (text, yes) = match step {
                Step::Remove => ("group.remove.question", "group.remove"),
                Step::Become(Role::Owner) => ("group.make-owner.question", "group.make-owner"),
                Step::Become(role) => ("group.step-down.question", stepping_down(role)),
            };
            let text = t_with(text, &[("name", &name)]);
            let cancel = move || {
                desk.asked.set(None);
                focus(TITLE);
            };
            Some(
                view! { <Question text yes=t(yes) busy=desk.busy on_yes=move || desk.take(id, step) on_no=cancel/> },
            )
        }
    };
    view! {
        <li class="member">
            <div class="member-line">
                <a class="row" href=Route::People(Some(id)).path()>
                    {avatar(id, &person.name, person.state, photo, Size::Small)}
                    <span class="row-main">
                        <span class="row-name" dir="auto">{name}</span>
                        {move || (id != store.my_id && here.get()).then(|| view! { <span class="sr">{t("presence.here")}</span> })}
                        {role.map(|role| view! { <span class="pill">{role}</span> })}
                        <span class="row-text">{handle}{you}</span>
                    </span>
                </a>
                {menu}
            </div>
            {question}
        </li>
    }
    .into_any()
}

#[component]
fn AddMembers(members: Members, adding: RwSignal<bool>) -> impl IntoView {
    let store = expect_context::<Store>();
    let chosen = RwSignal::new(BTreeSet::new());
    let busy = RwSignal::new(false);
    let there =
        Signal::derive(move || members.list.with(|list| list.iter().map(|it| it.person.user_id).collect()));
    spawn_local(async {
        next_frame().await;
        focus(SEARCH);
    });
    let end = move || {
        adding.try_set(false);
        spawn_local(pass_focus_on(format!("#{ADD}")));
    };
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() || chosen.with_untracked(BTreeSet::is_empty) {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            let mut failed = false;
            for person in chosen.get_untracked() {
                match store.api.add_member(members.chat, person).await {
                    Ok(_) => {
                        let _ = chosen.try_update(|chosen| chosen.remove(&person));
                    }
                    Err(failure) => {
                        store.complain(&failure);
                        failed = true;
                        break;
                    }
                }
            }
            let _ = store.refresh_chat(members.chat).await;
            if busy.try_set(false).is_none() && !failed {
                end();
            }
        });
    };
    let on_key = move |event: web_sys::KeyboardEvent| {
        if event.key() == "Escape" && !event.default_prevented() {
            event.prevent_default();
            end();
        }
    };
    view! {
        <form class="form panel-form" on:submit=submit on:keydown=on_key>
            <FriendPicker chosen without=there/>
            <div class="form-end">
                <button type="submit" class="button small primary"
                    aria-disabled=move || (busy.get() || chosen.with(BTreeSet::is_empty)).then_some("true")>{t("group.add.submit")}</button>
                <button type="button" class="button small" on:click=move |_| end()>{t("cancel")}</button>
            </div>
        </form>
    }
    .into_any()
}
