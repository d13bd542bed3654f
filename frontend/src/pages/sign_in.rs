//! Signing in.

use domain::requests::{Authorize, Secret};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{Failure, SignedOut};
use crate::app::Root;
use crate::browser::focus;
use crate::components::field::{Attempt, Field};
use crate::i18n::t;
use crate::pages::sign_up::{FormAlert, PublicPage};

#[component]
pub fn SignIn() -> impl IntoView {
    let root = expect_context::<Root>();
    let email = RwSignal::new(String::new());
    let password = RwSignal::new(String::new());
    let attempt: Attempt = RwSignal::new(None);
    let busy = RwSignal::new(false);
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        attempt.set(None);
        root.session_ended.set(false);
        spawn_local(async move {
            let done = sign_in(root, email.get_untracked(), password.get_untracked()).await;
            // After a success this screen is gone.
            if let Err(failure) = done {
                busy.try_set(false);
                attempt.try_set(Some(failure));
                focus("field-password");
            }
        });
    };
    view! {
        <PublicPage title=t("signin.title") lead=t("signin.lead")>
            <Show when=move || root.session_ended.get()>
                <p class="note" role="status">{t("signin.ended")}</p>
            </Show>
            <form class="form" on:submit=submit novalidate>
                <Field name="email" label=t("field.email") value=email attempt kind="email" autocomplete="username" autofocus=true/>
                <Field name="password" label=t("field.password") value=password attempt kind="password" autocomplete="current-password"/>
                <FormAlert attempt fields=&["email", "password"]/>
                <button type="submit" class="button primary wide" aria-disabled=move || busy.get().then_some("true")>
                    {move || if busy.get() { t("signin.busy") } else { t("signin.submit") }}
                </button>
            </form>
            <p class="aside">{t("signin.no-account")} " " <a href="/signup">{t("signin.signup")}</a></p>
        </PublicPage>
    }
    .into_any()
}

async fn sign_in(root: Root, email: String, password: String) -> Result<(), Failure> {
    SignedOut.authorize(&Authorize { email, password: Secret(password) }).await?;
    root.signed_in().await
}
