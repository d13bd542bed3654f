//! Making a group.

use std::collections::BTreeSet;

use domain::ids::PersonId;
use domain::views::{History, Relation};
use leptos::prelude::*;
use leptos::task::spawn_local;
use uuid::Uuid;

use crate::api::Failure;
use crate::browser::{focus, new_key};
use crate::components::field::{Attempt, Field};
use crate::components::friend_picker::FriendPicker;
use crate::components::icon::Icon;
use crate::i18n::t;
use crate::pages::sign_up::FormAlert;
use crate::route::Route;
use crate::state::Store;
use crate::wording::field_text;

const FIELDS: &[&str] = &["title"];

/// What a group is made of.
#[derive(Clone, PartialEq)]
struct Form {
    title: String,
    members: Vec<PersonId>,
    history: History,
}

#[component]
pub fn NewGroup() -> impl IntoView {
    let store = expect_context::<Store>();
    let title = RwSignal::new(String::new());
    let chosen = RwSignal::new(BTreeSet::new());
    let history = RwSignal::new(History::Joining);
    let attempt: Attempt = RwSignal::new(None);
    let busy = RwSignal::new(false);
    let friends = store.related(Relation::Friends);
    // Sent again unchanged, after an answer that got lost, the form must not make a second group.
    let sent = StoredValue::new(None::<(Form, Uuid)>);
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        attempt.set(None);
        let members = friends.with_untracked(|friends| {
            let ids = friends.iter().map(|friend| friend.user_id);
            chosen.with_untracked(|chosen| ids.filter(|id| chosen.contains(id)).collect())
        });
        let form = Form { title: title.get_untracked(), members, history: history.get_untracked() };
        let key =
            sent.with_value(|sent| sent.as_ref().filter(|(before, _)| *before == form).map(|(_, key)| *key));
        let key = key.unwrap_or_else(new_key);
        sent.set_value(Some((form.clone(), key)));
        spawn_local(async move {
            if let Err(failure) = make(store, form, key).await {
                let wrong = field_text(&failure, "title").is_some();
                busy.try_set(false);
                attempt.try_set(Some(failure));
                if wrong {
                    focus("field-title");
                }
            }
        });
    };
    let choice = move |to: History, words: &str| {
        view! {
            <label class="choice">
                <input type="radio" name="history" prop:checked=move || history.get() == to on:change=move |_| history.set(to)/>
                <span>{t(words)}</span>
            </label>
        }
    };
    view! {
        <div class="scroll">
            <div class="settings">
                <header class="settings-head">
                    <a class="icon-button back" href="/chats" title=t("back") aria-label=t("back")>{Icon::Back.view()}</a>
                    <h1>{t("new-group.title")}</h1>
                </header>
                <form class="block" on:submit=submit novalidate>
                    <div class="form">
                        <Field name="title" label=t("group.title") hint=t("group.title.hint") value=title attempt autofocus=true/>
                        <FriendPicker chosen without=BTreeSet::new()/>
                        <fieldset class="choices">
                            <legend>{t("group.history")}</legend>
                            {choice(History::Joining, "group.history.joining")}
                            {choice(History::All, "group.history.all")}
                        </fieldset>
                        <p class="field-hint">{t("group.history.hint")}</p>
                        <FormAlert attempt fields=FIELDS/>
                        <div class="form-end">
                            <button type="submit" class="button primary" aria-disabled=move || busy.get().then_some("true")>
                                {move || if busy.get() { t("new-group.busy") } else { t("new-group.submit") }}
                            </button>
                            <a class="button" href="/chats">{t("cancel")}</a>
                        </div>
                    </div>
                </form>
            </div>
        </div>
    }
    .into_any()
}

async fn make(store: Store, form: Form, key: Uuid) -> Result<(), Failure> {
    let made = store.api.create_group(form.title, form.members, form.history, key).await?;
    store.refresh_chat(made.chat_id).await?;
    store.router.replace(Route::Chats(Some(made.chat_id)));
    Ok(())
}
