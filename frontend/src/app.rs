//! The root: who is here, in which language, on which screen.

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::{Failure, SignedOut, on_end};
use crate::browser::document;
use crate::components::chat_row::chat_name;
use crate::components::panel::{FailedPanel, Skeleton};
use crate::components::person_row::person_name;
use crate::i18n::{Lang, lang, t};
use crate::invite;
use crate::later;
use crate::live;
use crate::pages::shell::Shell;
use crate::pages::sign_in::SignIn;
use crate::pages::sign_up::SignUp;
use crate::prefs;
use crate::route::{Route, Router};
use crate::state::Store;

/// Who uses the app.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one of it in the page")]
enum Who {
    /// It is being asked.
    Unknown,
    /// It could not be asked.
    Unreachable(Failure),
    Nobody,
    Somebody(Store),
}

/// What every screen may want of the root.
#[derive(Clone, Copy)]
pub struct Root {
    pub router: Router,
    lang: RwSignal<Lang>,
    who: RwSignal<Who>,
    /// Whether the sign-in page should say that a session has ended.
    pub session_ended: RwSignal<bool>,
}

impl Root {
    /// Changes the language; the screen is built anew in it.
    pub fn set_lang(self, lang: Lang) {
        prefs::choose_lang(lang);
        self.lang.set(lang);
    }

    /// Finds out who is here.
    async fn resume(self) {
        self.who.set(Who::Unknown);
        let trace = prefs::leaves_trace();
        if !trace && self.router.peek().is_public() {
            self.who.set(Who::Nobody);
            return;
        }
        let resumed = if trace { SignedOut.resume().await } else { SignedOut.resume_as_is().await };
        match resumed {
            Ok((api, me)) => self.enter(Store::new(api, self.router, me)),
            Err(Failure::Offline | Failure::Unreadable) if !trace => self.leave(false),
            Err(failure @ (Failure::Offline | Failure::Unreadable)) => {
                self.who.set(Who::Unreachable(failure))
            }
            Err(Failure::Refused(problem)) if problem.status >= 429 => {
                self.who.set(Who::Unreachable(Failure::Refused(problem)));
            }
            Err(_) => self.leave(trace),
        }
    }

    /// After signing in or up: the cookies are set, so the session is there to be resumed.
    pub async fn signed_in(self) -> Result<(), Failure> {
        let (api, me) = SignedOut.resume().await?;
        self.enter(Store::new(api, self.router, me));
        Ok(())
    }

    fn enter(self, store: Store) {
        prefs::set_trace(true);
        self.session_ended.set(false);
        // Signing in was on the way to an invitation.
        let kept = invite::take().filter(|_| self.router.peek() != Route::Invite);
        match kept {
            Some(token) => self.router.replace_with_invite(&token),
            None if self.router.peek().is_public() => self.router.replace(Route::Chats(None)),
            None => {}
        }
        on_end(move || self.leave(true));
        self.who.set(Who::Somebody(store));
        spawn_local(start(store));
    }

    /// To the sign-in page.
    pub fn leave(self, session_ended: bool) {
        prefs::set_trace(false);
        self.session_ended.set(session_ended);
        if self.router.peek() == Route::Invite {
            invite::keep();
        }
        if !self.router.peek().is_public() {
            self.router.replace(Route::SignIn);
        }
        self.who.set(Who::Nobody);
    }
}

/// Loads the lists, and keeps them up to date from what they show.
async fn start(store: Store) {
    let shown = store.me.with_untracked(|me| me.position);
    if let (Err(Failure::Ended), _) | (_, Err(Failure::Ended)) =
        futures::future::join(store.load_chats(), store.load_people()).await
    {
        return;
    }
    store.resume_outboxes();
    live::keep(store, shown);
    // Whoever wants a part before it has come, or after this has failed, fetches it then.
    let _ = later::fetch().await;
}

#[component]
pub fn App() -> impl IntoView {
    let root = Root {
        router: Router::start(),
        lang: RwSignal::new(lang()),
        who: RwSignal::new(Who::Unknown),
        session_ended: RwSignal::new(false),
    };
    provide_context(root);
    spawn_local(root.resume());
    Effect::new(move || {
        root.lang.track();
        let route = root.router.get();
        let (unread, place) = match root.who.get() {
            Who::Somebody(store) => (store.total_unread(), place_name(store, route)),
            _ if route == Route::SignUp => (0, Some(t("signup.title"))),
            _ => (0, Some(t("signin.title"))),
        };
        let count = if unread > 0 { format!("({unread}) ") } else { String::new() };
        let place = place.map(|place| format!("{place} · ")).unwrap_or_default();
        document().set_title(&format!("{count}{place}{}", t("app.name")));
    });
    // What was painted before the program arrived makes room for the first real screen.
    Effect::new(move || {
        let known = root.who.with(|who| !matches!(who, Who::Unknown));
        if let Some(shell) = painted_shell().filter(|_| known) {
            shell.remove();
        }
    });
    move || {
        root.lang.track();
        match root.who.get() {
            Who::Unknown => view! {
                <main class="boot" aria-busy="true">
                    <h1 class="sr">{t("app.name")}</h1>
                    {painted_shell().is_none().then(|| view! { <Skeleton rows=6/> })}
                </main>
            }
            .into_any(),
            Who::Unreachable(failure) => view! {
                <main class="boot">
                    <h1 class="sr">{t("app.name")}</h1>
                    <FailedPanel failure retry=move || spawn_local(root.resume())/>
                </main>
            }
            .into_any(),
            Who::Nobody => view! { <Guest/> }.into_any(),
            Who::Somebody(store) => {
                provide_context(store);
                view! { <Shell/> }.into_any()
            }
        }
    }
}

/// The skeleton that the page comes with.
fn painted_shell() -> Option<web_sys::Element> {
    document().get_element_by_id("shell")
}

/// What the window's title says of the open screen.
fn place_name(store: Store, route: Route) -> Option<String> {
    match route {
        Route::Chats(Some(id)) => {
            store.chats.with(|chats| chats.iter().find(|it| it.chat_id == id).map(chat_name))
        }
        Route::People(Some(id)) => store.people.with(|people| people.get(&id).map(person_name)),
        Route::People(None) => Some(t("nav.people")),
        Route::Settings => Some(t("nav.settings")),
        Route::NewGroup => Some(t("new-group.title")),
        Route::Invite => Some(t("invite.title")),
        _ => Some(t("nav.chats")),
    }
}

#[component]
fn Guest() -> impl IntoView {
    let root = expect_context::<Root>();
    let up = Memo::new(move |_| root.router.get() == Route::SignUp);
    move || if up.get() { view! { <SignUp/> }.into_any() } else { view! { <SignIn/> }.into_any() }
}
