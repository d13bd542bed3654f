//! The own profile.

use domain::requests::EditInfo;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::browser::{focus, new_key};
use crate::components::field::{Attempt, Field};
use crate::i18n::{t, t_with};
use crate::pages::photo::OwnPhoto;
use crate::pages::sign_up::FormAlert;
use crate::state::Store;
use crate::wording::field_text;

const FIELDS: &[&str] = &["nickname", "name", "about"];

#[component]
pub fn Profile() -> impl IntoView {
    let store = expect_context::<Store>();
    let me = store.me.get_untracked();
    let email = me.email.clone();
    let nickname = RwSignal::new(me.nickname.unwrap_or_default());
    let name = RwSignal::new(me.name.unwrap_or_default());
    let about = RwSignal::new(me.about.unwrap_or_default());
    let attempt: Attempt = RwSignal::new(None);
    let busy = RwSignal::new(false);
    let saved = RwSignal::new(false);
    // What is as it was is not sent.
    let edit = move || {
        let me = store.me.get();
        let changed = |field: RwSignal<String>, before: Option<String>| {
            Some(field.get()).filter(|now| *now != before.unwrap_or_default())
        };
        EditInfo {
            nickname: changed(nickname, me.nickname),
            name: changed(name, me.name),
            about: changed(about, me.about),
        }
    };
    let unchanged = Memo::new(move |_| edit() == EditInfo { nickname: None, name: None, about: None });
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() || unchanged.get_untracked() {
            return;
        }
        busy.set(true);
        saved.set(false);
        attempt.set(None);
        let body = untrack(edit);
        spawn_local(async move {
            match store.api.edit_info(&body, new_key()).await {
                Ok(_) => {
                    store.reload_me().await;
                    saved.try_set(true);
                }
                Err(failure) => {
                    let wrong = FIELDS.iter().find(|field| field_text(&failure, field).is_some());
                    attempt.try_set(Some(failure));
                    if let Some(field) = wrong {
                        focus(&format!("field-{field}"));
                    }
                }
            }
            busy.try_set(false);
        });
    };
    view! {
        <section class="block" aria-labelledby="profile-title">
            <h2 id="profile-title">{t("settings.profile")}</h2>
            <p class="muted">{t_with("settings.signed-in-as", &[("email", &email)])}</p>
            <OwnPhoto/>
            <form class="form" on:submit=submit novalidate>
                <Field name="nickname" label=t("field.nickname") hint=t("field.nickname.hint") value=nickname attempt/>
                <Field name="name" label=t("field.name") value=name attempt autocomplete="name"/>
                <Field name="about" label=t("field.about") hint=t("field.about.hint") value=about attempt multiline=true/>
                <FormAlert attempt fields=FIELDS/>
                <div class="form-end">
                    <button type="submit" class="button primary"
                        aria-disabled=move || (busy.get() || unchanged.get()).then_some("true")>{t("save")}</button>
                    <span role="status" class="good">{move || (saved.get() && unchanged.get()).then(|| t("saved"))}</span>
                </div>
            </form>
        </section>
    }
    .into_any()
}
