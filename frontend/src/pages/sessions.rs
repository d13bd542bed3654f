//! Where one is signed in.

use domain::ids::SessionId;
use domain::views::Session;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::Answer;
use crate::browser::{has_focus_in, pass_focus_on};
use crate::components::panel::{FailedPanel, Skeleton};
use crate::format;
use crate::i18n::{t, t_with};
use crate::state::Store;

const TITLE: &str = "sessions-title";

/// Browser and system of a User-Agent, as far as they can be told.
fn device_name(agent: &str) -> String {
    let first = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    let browser = first(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("YaBrowser/", "Yandex Browser"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser}, {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => agent.chars().take(60).collect(),
    }
}

#[component]
pub fn Sessions() -> impl IntoView {
    let store = expect_context::<Store>();
    let sessions = RwSignal::new(None::<Answer<Vec<Session>>>);
    let load = move || {
        spawn_local(async move {
            let answer = store.api.sessions().await.map(|list| list.items);
            // What was there is better than a failure to look again.
            if answer.is_ok() || !matches!(sessions.try_get_untracked(), Some(Some(Ok(_)))) {
                let held = has_focus_in(&format!("[aria-labelledby={TITLE}]"));
                sessions.try_set(Some(answer));
                if held {
                    // Its button has gone with a session.
                    pass_focus_on(format!("#{TITLE}")).await;
                }
            }
        });
    };
    Effect::new(move || {
        store.sessions_changed.track();
        load();
    });
    let end = move |which: Option<SessionId>| {
        spawn_local(async move {
            let done = match which {
                Some(session) => store.api.end_session(session).await,
                None => store.api.end_other_sessions().await,
            };
            match done {
                Ok(_) => load(),
                Err(failure) => store.complain(&failure),
            }
        });
    };
    let list = move |all: Vec<Session>| {
        view! {
            <ul class="sessions" aria-label=t("settings.sessions")>
                {all.into_iter().map(|session| session_row(session, end)).collect_view()}
            </ul>
        }
        .into_any()
    };
    // It stays under the pointer while the list above it is built anew.
    let others = move || {
        sessions.with(|known| matches!(known, Some(Ok(all)) if all.iter().any(|session| !session.current)))
    };
    view! {
        <section class="block" aria-labelledby=TITLE>
            <h2 id=TITLE tabindex="-1">{t("settings.sessions")}</h2>
            {move || match sessions.get() {
                None => view! { <Skeleton rows=2/> }.into_any(),
                Some(Err(failure)) => view! { <FailedPanel failure retry=load/> }.into_any(),
                Some(Ok(all)) => list(all),
            }}
            <Show when=others>
                <button type="button" class="button danger" on:click=move |_| end(None)>{t("settings.sessions.end-others")}</button>
            </Show>
        </section>
    }
    .into_any()
}

fn session_row(session: Session, end: impl Fn(Option<SessionId>) + Copy + 'static) -> AnyView {
    let id = session.session_id;
    let device =
        if session.device.is_empty() { t("settings.sessions.unknown") } else { device_name(&session.device) };
    let began = t_with("settings.sessions.began", &[("time", &format::full(session.started_at))]);
    let used = t_with("settings.sessions.used", &[("time", &format::full(session.refreshed_at))]);
    let label = t_with("settings.sessions.end.name", &[("device", &device)]);
    view! {
        <li class="session">
            <div>
                <p class="session-device" title=session.device.clone()>
                    {device}
                    {session.current.then(|| view! { " " <span class="pill">{t("settings.sessions.current")}</span> })}
                </p>
                <p class="muted">{used} " · " {session.address.clone()}</p>
                <p class="muted">{began}</p>
            </div>
            {(!session.current).then(|| view! {
                <button type="button" class="button small danger" aria-label=label on:click=move |_| end(Some(id))>{t("settings.sessions.end")}</button>
            })}
        </li>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::device_name;

    #[test]
    fn a_browser_and_its_system_are_told_from_the_user_agent() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
        assert_eq!(device_name(chrome), "Chrome, Linux");
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Safari/604.1";
        assert_eq!(device_name(phone), "Safari, iPhone");
        assert_eq!(device_name("curl/8.5.0"), "curl/8.5.0");
    }
}
