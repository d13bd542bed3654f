//! The frame of the app for somebody who is signed in: navigation, a list, and what is open beside it.

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::components::icon::Icon;
use crate::components::palette::Palette;
use crate::components::panel::EmptyPanel;
use crate::components::status::{Announcer, Banner, Notice};
use crate::i18n::{t, t_count};
use crate::later::Part;
use crate::pages::chats::ChatsList;
use crate::pages::conversation::ConversationPage;
use crate::route::Route;
use crate::state::Store;
use domain::views::Relation;

/// Which part of the app an address belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Chats,
    People,
    Settings,
}

fn section(route: Route) -> Section {
    match route {
        Route::People(_) => Section::People,
        Route::Settings => Section::Settings,
        _ => Section::Chats,
    }
}

#[component]
pub fn Shell() -> impl IntoView {
    let store = expect_context::<Store>();
    let router = store.router;
    let route = Memo::new(move |_| router.get());
    let here = Memo::new(move |_| section(route.get()));
    // On a narrow screen either the list or what is open shows.
    let depth = move || match route.get() {
        Route::Chats(None) | Route::People(None) | Route::Unknown | Route::SignIn | Route::SignUp => "list",
        Route::Chats(Some(_)) => "open in-talk",
        Route::People(Some(_)) | Route::Settings | Route::NewGroup | Route::Invite => "open",
    };
    let keys = window_event_listener(leptos::ev::keydown, move |event| shortcut(store, &event));
    let leaving = window_event_listener(leptos::ev::beforeunload, move |event| {
        if store.has_unsent_files() {
            event.prevent_default();
        }
    });
    on_cleanup(move || {
        keys.remove();
        leaving.remove();
    });
    // Who is writing is named, even if nothing was heard of them before.
    Effect::new(move || {
        for person in store.typing.everybody() {
            store.ask_who(person);
        }
    });
    let incoming = store.related(Relation::Incoming);
    let requests = Memo::new(move |_| incoming.with(|people| people.len() as u64));
    let unread = Memo::new(move |_| store.total_unread());
    view! {
        <div class=move || format!("app {}", depth())>
            <Banner/>
            <nav class="rail" aria-label=t("nav.label")>
                <span class="brand-mark" aria-hidden="true"></span>
                {tab(here, Section::Chats, Icon::Chats, t("nav.chats"), Some((unread, "nav.unread")))}
                {tab(here, Section::People, Icon::People, t("nav.people"), Some((requests, "nav.requests")))}
                {tab(here, Section::Settings, Icon::Settings, t("nav.settings"), None)}
            </nav>
            <main class="stage">
                <section class="side" aria-labelledby="side-title">
                    {move || match here.get() {
                        Section::People => Part::People.view(),
                        Section::Chats | Section::Settings => view! { <ChatsList/> }.into_any(),
                    }}
                </section>
                <section class="detail" aria-label=t("detail.label")>
                    {move || match route.get() {
                        Route::Chats(Some(id)) => view! { <ConversationPage id/> }.into_any(),
                        Route::People(Some(id)) => view! { <div class="scroll">{Part::Person { id, page: true }.view()}</div> }.into_any(),
                        Route::NewGroup => Part::NewGroup.view(),
                        Route::Invite => Part::Invite.view(),
                        Route::Settings => Part::Settings.view(),
                        Route::People(None) => view! {
                            <EmptyPanel icon=Icon::People title=t("people.none.title") text=t("people.none.text")/>
                        }.into_any(),
                        _ => view! {
                            <EmptyPanel icon=Icon::Chats title=t("chats.none.title") text=t("chats.none.text")/>
                        }.into_any(),
                    }}
                </section>
            </main>
            <Notice/>
            <Announcer/>
            <Palette/>
        </div>
    }
    .into_any()
}

/// A link of the navigation. Its badge counts, and says what it counts to who cannot see it.
fn tab(
    here: Memo<Section>,
    to: Section,
    icon: Icon,
    name: String,
    badge: Option<(Memo<u64>, &'static str)>,
) -> AnyView {
    let href = match to {
        Section::Chats => "/chats",
        Section::People => "/people",
        Section::Settings => "/settings",
    };
    let describes = format!("badge{}", href.replace('/', "-"));
    let count = move || badge.map_or(0, |(count, _)| count.get());
    let described_by = describes.clone();
    view! {
        <a class="tab" href=href aria-current=move || (here.get() == to).then_some("page")
            aria-describedby=move || (count() > 0).then(|| described_by.clone())>
            {icon.view()}
            <span class="tab-name">{name}</span>
            {move || (count() > 0).then(|| view! {
                <span class="badge" aria-hidden="true">{short_count(count())}</span>
            })}
        </a>
        <span class="sr" id=describes aria-hidden="true">
            {move || badge.filter(|_| count() > 0).map(|(_, key)| t_count(key, count()))}
        </span>
    }
    .into_any()
}

/// A count that fits a badge.
pub fn short_count(count: u64) -> String {
    if count > 999 { "999+".to_owned() } else { count.to_string() }
}

/// Keys that work everywhere.
fn shortcut(store: Store, event: &web_sys::KeyboardEvent) {
    let key = event.key();
    if (event.ctrl_key() || event.meta_key()) && !event.alt_key() && event.code() == "KeyK" {
        event.prevent_default();
        store.searching.update(|open| *open = !*open);
    } else if event.alt_key() && (key == "ArrowDown" || key == "ArrowUp") && !store.searching.get_untracked()
    {
        if let Some(chat) = store.neighbour(key == "ArrowDown") {
            event.prevent_default();
            store.router.go(Route::Chats(Some(chat)));
        }
    } else if key == "Escape" && !event.default_prevented() && !store.searching.get_untracked() {
        escape(store);
    }
}

/// Steps out of what is open, unless something on the screen has used the key.
fn escape(store: Store) {
    if store.notice.with_untracked(Option::is_some) {
        store.notice.set(None);
        return;
    }
    if store.panel.get_untracked() {
        store.panel.set(false);
        return;
    }
    match store.router.peek() {
        Route::Chats(Some(_)) | Route::NewGroup | Route::Invite | Route::Settings => {
            store.router.go(Route::Chats(None));
        }
        Route::People(Some(_)) => store.router.go(Route::People(None)),
        _ => return,
    }
    spawn_local(async {
        crate::browser::next_frame().await;
        crate::browser::focus_first(".side .row");
    });
}
