//! Everything about one person, and what one can do about them.

use domain::ids::PersonId;
use domain::views::{Person, PersonState, Relation};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::avatar::{Size, avatar};
use super::icon::Icon;
use super::panel::{FailedPanel, Skeleton};
use super::person_row::{person_name, relation_text};
use crate::api::{Act, Failure};
use crate::i18n::{t, t_with};
use crate::route::Route;
use crate::state::Store;

/// The button that closes the panel beside a conversation.
pub const CLOSE: &str = "panel-close";

/// What happens on a press, and the words for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Write,
    Do(Act),
}

#[component]
pub fn PersonPanel(
    id: PersonId,
    /// A page of its own, not a panel beside a conversation.
    #[prop(optional)]
    page: bool,
) -> impl IntoView {
    let store = expect_context::<Store>();
    let person = store.person(id);
    let failure = RwSignal::new(None::<Failure>);
    let load = move || {
        failure.set(None);
        spawn_local(async move {
            if let Err(why) = store.refresh_person(id).await {
                failure.try_set(Some(why));
            }
        });
    };
    load();
    let back = Route::People(None).path();
    view! {
        <div class="person-panel" class:page=page>
            <header class="panel-head">
                {if page {
                    // The list with the screen's title is not there on a narrow screen.
                    view! { <h1 class="sr">{t("nav.people")}</h1><a class="icon-button back" href=back title=t("back") aria-label=t("back")>{Icon::Back.view()}</a> }.into_any()
                } else {
                    view! {
                        <button type="button" class="icon-button" id=CLOSE title=t("close") aria-label=t("close")
                            on:click=move |_| store.panel.set(false)>{Icon::Close.view()}</button>
                    }
                    .into_any()
                }}
            </header>
            {move || match (person.get(), failure.get()) {
                (Some(person), _) => view! { <About person/> }.into_any(),
                (None, Some(failure)) => view! { <FailedPanel failure retry=load/> }.into_any(),
                (None, None) => view! { <Skeleton rows=3/> }.into_any(),
            }}
        </div>
    }
    .into_any()
}

#[component]
fn About(person: Person) -> impl IntoView {
    let store = expect_context::<Store>();
    let id = person.user_id;
    let busy = RwSignal::new(false);
    // A step that is hard to take back is asked about first.
    let asked = RwSignal::new(None::<Act>);
    let take = move |step: Step| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            let done = match step {
                Step::Write => store.write_to(id).await,
                Step::Do(act) => store.act(act, id).await,
            };
            if let Err(failure) = done {
                store.complain(&failure);
            }
            busy.try_set(false);
            asked.try_set(None);
        });
    };
    let button = move |step: Step, class: &'static str, key: &str| {
        view! {
            <button type="button" class=format!("button {class}") aria-disabled=move || busy.get().then_some("true")
                on:click=move |_| take(step)>{t(key)}</button>
        }
        .into_any()
    };
    let asks = move |act: Act, key: &str| {
        view! { <button type="button" class="button quiet danger" on:click=move |_| asked.set(Some(act))>{t(key)}</button> }.into_any()
    };
    let writes = person.relation == Relation::Friends || untrack(|| store.direct_chat(id)).is_some();
    let erased = person.state == PersonState::Erased;
    let mut steps = Vec::new();
    if person.relation != Relation::Oneself && !erased {
        if writes && !person.blocked {
            steps.push(button(Step::Write, "primary", "act.write"));
        }
        match person.relation {
            _ if person.blocked => steps.push(button(Step::Do(Act::Unblock), "", "act.unblock")),
            Relation::None => {
                steps.push(button(Step::Do(Act::Add), if writes { "" } else { "primary" }, "act.add"))
            }
            Relation::Outgoing => steps.push(button(Step::Do(Act::Remove), "", "act.withdraw")),
            Relation::Incoming => {
                steps.push(button(Step::Do(Act::Accept), "primary", "act.accept"));
                steps.push(button(Step::Do(Act::Decline), "", "act.decline"));
            }
            Relation::Friends => steps.push(asks(Act::Remove, "act.remove")),
            Relation::Oneself => {}
        }
        if !person.blocked {
            steps.push(asks(Act::Block, "act.block"));
        }
    }
    let here = store.presence.is_here(id);
    let name = person_name(&person);
    let question_name = name.clone();
    let question = move || {
        asked.get().map(|act| {
        let (question, yes) = match act {
            Act::Block => ("act.block.question", "act.block"),
            _ => ("act.remove.question", "act.remove"),
        };
        view! {
            <div class="question" role="group" aria-label=t(yes)>
                <p>{t_with(question, &[("name", &question_name)])}</p>
                <button type="button" class="button danger" on:click=move |_| take(Step::Do(act))>{t(yes)}</button>
                <button type="button" class="button" on:click=move |_| asked.set(None)>{t("cancel")}</button>
            </div>
        }
    })
    };
    view! {
        <div class="person-card">
            {avatar(id, &person.name, person.state, store.photo_of(id), Size::Large)}
            <h2 class="person-name" dir="auto">{name}</h2>
            {(!erased).then(|| view! { <p class="muted">{format!("@{}", person.nickname)}</p> })}
            {move || (id != store.my_id && here.get()).then(|| view! { <p class="here">{t("presence.here")}</p> })}
            {relation_text(&person).map(|text| view! { <p class="relation">{text}</p> })}
            {person.about.clone().map(|about| view! { <p class="about" dir="auto">{about}</p> })}
            <div class="steps">{steps}</div>
            {question}
        </div>
    }
    .into_any()
}
