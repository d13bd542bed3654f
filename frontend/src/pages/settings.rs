//! Settings: who one is, where one is signed in, how the app looks.

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::app::Root;
use crate::browser::{focus, next_frame};
use crate::components::icon::Icon;
use crate::i18n::{Lang, lang, t};
use crate::pages::privacy::Privacy;
use crate::pages::profile::Profile;
use crate::pages::sessions::Sessions;
use crate::prefs::{Theme, choose_theme, theme};
use crate::state::Store;

#[component]
pub fn Settings() -> impl IntoView {
    view! {
        <div class="scroll">
            <div class="settings">
                <header class="settings-head">
                    <a class="icon-button back" href="/chats" title=t("back") aria-label=t("back")>{Icon::Back.view()}</a>
                    <h1>{t("nav.settings")}</h1>
                </header>
                <Profile/>
                <Privacy/>
                <Looks/>
                <Sessions/>
                <SignOut/>
            </div>
        </div>
    }
    .into_any()
}

#[component]
fn Looks() -> impl IntoView {
    let root = expect_context::<Root>();
    let chosen = RwSignal::new(theme());
    let languages = Lang::ALL.map(|to| {
        let id = format!("lang-{}", to.tag());
        let choose = move |_| {
            root.set_lang(to);
            // The screen is new: the focus goes back to where it was.
            spawn_local(async move {
                next_frame().await;
                focus(&format!("lang-{}", to.tag()));
            });
        };
        view! {
            <label class="choice" lang=to.tag()>
                <input type="radio" name="lang" id=id prop:checked=lang() == to on:change=choose/>
                <span>{to.name()}</span>
            </label>
        }
    });
    let themes = Theme::ALL.map(|to| {
        let name = match to {
            Theme::System => t("settings.theme.system"),
            Theme::Light => t("settings.theme.light"),
            Theme::Dark => t("settings.theme.dark"),
        };
        let choose = move |_| {
            choose_theme(to);
            chosen.set(to);
        };
        view! {
            <label class="choice">
                <input type="radio" name="theme" prop:checked=move || chosen.get() == to on:change=choose/>
                <span>{name}</span>
            </label>
        }
    });
    view! {
        <section class="block" aria-labelledby="looks-title">
            <h2 id="looks-title">{t("settings.looks")}</h2>
            <fieldset class="choices">
                <legend>{t("settings.language")}</legend>
                {languages.collect_view()}
            </fieldset>
            <fieldset class="choices">
                <legend>{t("settings.theme")}</legend>
                {themes.collect_view()}
            </fieldset>
        </section>
    }
    .into_any()
}

#[component]
fn SignOut() -> impl IntoView {
    let root = expect_context::<Root>();
    let store = expect_context::<Store>();
    let busy = RwSignal::new(false);
    let sign_out = move |_| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            match store.api.sign_out().await {
                Ok(_) => {
                    store.forget();
                    root.leave(false);
                    // Nothing of the person stays in memory either.
                    let _ = window().location().replace("/signin");
                }
                Err(failure) => {
                    busy.try_set(false);
                    store.complain(&failure);
                }
            }
        });
    };
    view! {
        <section class="block" aria-labelledby="leave-title">
            <h2 id="leave-title">{t("settings.leave")}</h2>
            <p class="muted">{t("settings.leave.text")}</p>
            <button type="button" class="button danger" aria-disabled=move || busy.get().then_some("true") on:click=sign_out>{t("settings.sign-out")}</button>
        </section>
    }
    .into_any()
}
