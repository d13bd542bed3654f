//! One person in a list.

use domain::views::{Person, PersonState, Relation};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::avatar::{Size, avatar};
use crate::api::Act;
use crate::i18n::{t, t_with};
use crate::route::Route;
use crate::state::Store;

pub fn person_name(person: &Person) -> String {
    if person.state == PersonState::Erased { t("person.erased") } else { person.name.clone() }
}

/// What the person is to the reader, in two words; nothing for a stranger.
pub fn relation_text(person: &Person) -> Option<String> {
    if person.blocked {
        return Some(t("relation.blocked"));
    }
    match person.relation {
        Relation::None => None,
        Relation::Outgoing => Some(t("relation.outgoing")),
        Relation::Incoming => Some(t("relation.incoming")),
        Relation::Friends => Some(t("relation.friends")),
        Relation::Oneself => Some(t("relation.self")),
    }
}

#[component]
pub fn PersonRow(
    person: Person,
    /// Whether to say what the person is to the reader, and offer the next step.
    #[prop(optional)]
    linked: bool,
) -> impl IntoView {
    let store = expect_context::<Store>();
    let id = person.user_id;
    let name = person_name(&person);
    let href = Route::People(Some(id)).path();
    let open = Memo::new(move |_| store.router.get() == Route::People(Some(id)));
    let busy = RwSignal::new(false);
    let act = move |act: Act| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            if let Err(failure) = store.act(act, id).await {
                store.complain(&failure);
            }
            busy.try_set(false);
        });
    };
    let button = |what: Act, class: &'static str, text: String, label: &str| {
        let label = t_with(label, &[("name", &name)]);
        view! {
            <button type="button" class=format!("button small {class}") aria-label=label
                aria-disabled=move || busy.get().then_some("true") on:click=move |_| act(what)>{text}</button>
        }
        .into_any()
    };
    let steps = (!person.blocked).then(|| match person.relation {
        Relation::Incoming => vec![
            button(Act::Accept, "primary", t("act.accept"), "act.accept.name"),
            button(Act::Decline, "", t("act.decline"), "act.decline.name"),
        ],
        Relation::Outgoing => vec![button(Act::Remove, "", t("act.withdraw"), "act.withdraw.name")],
        Relation::None if linked => vec![button(Act::Add, "primary", t("act.add"), "act.add.name")],
        _ => Vec::new(),
    });
    let here = store.presence.is_here(id);
    let note = if linked { relation_text(&person) } else { None };
    view! {
        <li class="person">
            <a class="row" href=href aria-current=move || open.get().then_some("true")>
                {avatar(id, &person.name, person.state, store.photo_of(id), Size::Medium)}
                <span class="row-main">
                    <span class="row-name" dir="auto">{name.clone()}</span>
                    {move || (id != store.my_id && here.get()).then(|| view! { <span class="sr">{t("presence.here")}</span> })}
                    <span class="row-text">
                        {(person.state != PersonState::Erased).then(|| format!("@{}", person.nickname))}
                        {note.map(|note| format!(" · {note}"))}
                    </span>
                </span>
            </a>
            {steps.filter(|steps| !steps.is_empty()).map(|steps| view! { <div class="row-steps">{steps}</div> })}
        </li>
    }
    .into_any()
}
