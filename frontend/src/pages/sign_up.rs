//! Signing up, and the frame that it shares with signing in.

use domain::requests::{Register, Secret};
use leptos::prelude::*;
use leptos::task::spawn_local;
use uuid::Uuid;

use crate::api::{Failure, SignedOut};
use crate::app::Root;
use crate::browser::{focus, new_key};
use crate::components::field::{Attempt, Field};
use crate::i18n::{Lang, lang, t};
use crate::invite;
use crate::wording::{failure_text, field_text};

#[component]
pub fn SignUp() -> impl IntoView {
    let root = expect_context::<Root>();
    let [email, password, nickname, name] = std::array::from_fn(|_| RwSignal::new(String::new()));
    let attempt: Attempt = RwSignal::new(None);
    let busy = RwSignal::new(false);
    // Sent again unchanged, after an answer that got lost, the form must not find its own email taken.
    let sent = StoredValue::new(None::<(Register, Uuid)>);
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        attempt.set(None);
        let full_name = name.get_untracked();
        let form = Register {
            email: email.get_untracked(),
            password: Secret(password.get_untracked()),
            nickname: nickname.get_untracked(),
            name: (!full_name.trim().is_empty()).then_some(full_name),
        };
        let key =
            sent.with_value(|sent| sent.as_ref().filter(|(before, _)| *before == form).map(|(_, key)| *key));
        let key = key.unwrap_or_else(new_key);
        sent.set_value(Some((form.clone(), key)));
        spawn_local(async move {
            let done = sign_up(root, &form, key).await;
            if let Err(failure) = done {
                let wrong = FIELDS.iter().find(|field| field_text(&failure, field).is_some());
                busy.try_set(false);
                attempt.try_set(Some(failure));
                if let Some(field) = wrong {
                    focus(&format!("field-{field}"));
                }
            }
        });
    };
    view! {
        <PublicPage title=t("signup.title") lead=t("signup.lead")>
            <form class="form" on:submit=submit novalidate>
                <Field name="email" label=t("field.email") value=email attempt kind="email" autocomplete="username" autofocus=true/>
                <Field name="password" label=t("field.password") hint=t("field.password.hint") value=password attempt kind="password" autocomplete="new-password"/>
                <Field name="nickname" label=t("field.nickname") hint=t("field.nickname.hint") value=nickname attempt/>
                <Field name="name" label=t("field.name.optional") hint=t("field.name.hint") value=name attempt autocomplete="name"/>
                <FormAlert attempt fields=FIELDS/>
                <button type="submit" class="button primary wide" aria-disabled=move || busy.get().then_some("true")>
                    {move || if busy.get() { t("signup.busy") } else { t("signup.submit") }}
                </button>
            </form>
            <p class="aside">{t("signup.has-account")} " " <a href="/signin">{t("signup.signin")}</a></p>
        </PublicPage>
    }
    .into_any()
}

const FIELDS: &[&str] = &["email", "password", "nickname", "name"];

async fn sign_up(root: Root, form: &Register, key: Uuid) -> Result<(), Failure> {
    SignedOut.register(form, key).await?;
    root.signed_in().await
}

/// What went wrong with a form as a whole; what belongs to one of its fields stands there.
#[component]
pub fn FormAlert(attempt: Attempt, fields: &'static [&'static str]) -> impl IntoView {
    let text = move || {
        attempt.with(|failure| {
            let failure = failure.as_ref()?;
            let beside = fields.iter().any(|field| field_text(failure, field).is_some());
            (!beside).then(|| failure_text(failure))
        })
    };
    view! {
        <div role="alert">
            {move || text().map(|text| view! { <p class="form-alert">{text}</p> })}
        </div>
    }
    .into_any()
}

/// The frame of the screens that need no session.
#[component]
pub fn PublicPage(title: String, lead: String, children: Children) -> impl IntoView {
    let root = expect_context::<Root>();
    let switch = |to: Lang| {
        view! {
            <button type="button" class="link" lang=to.tag() aria-pressed=if lang() == to { "true" } else { "false" }
                on:click=move |_| root.set_lang(to)>{to.name()}</button>
        }
    };
    view! {
        <main class="public">
            <div class="card">
                <p class="brand"><span class="brand-mark" aria-hidden="true"></span>{t("app.name")}</p>
                <h1>{title}</h1>
                <p class="lead">{lead}</p>
                {invite::is_kept().then(|| view! { <p class="note" role="status">{t("invite.sign-in-first")}</p> })}
                {children()}
            </div>
            <div class="languages" role="group" aria-label=t("settings.language")>
                {Lang::ALL.map(switch).collect_view()}
            </div>
        </main>
    }
    .into_any()
}
