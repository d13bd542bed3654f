//! Friends, requests, and finding people.

use domain::views::{Person, Relation};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::Failure;
use crate::browser::{pass_focus_on, sleep};
use crate::components::icon::Icon;
use crate::components::panel::{EmptyPanel, FailedPanel, Skeleton};
use crate::components::person_row::PersonRow;
use crate::i18n::{t, t_with};
use crate::state::{Phase, Store};

/// A pause in typing that is long enough to search, in milliseconds.
const PAUSE: u32 = 180;
/// The server takes no shorter ones.
pub const SHORTEST: usize = 2;

/// A search of people that follows what is typed.
#[derive(Clone, Copy)]
pub struct Search {
    pub words: RwSignal<String>,
    /// What was found for the last words that were searched.
    pub found: RwSignal<Option<Result<Vec<Person>, Failure>>>,
    /// Leads to those that were found and are not fetched.
    next: RwSignal<Option<String>>,
    attempt: RwSignal<u32>,
    /// Whether more is being fetched.
    busy: StoredValue<bool>,
}

impl Search {
    pub fn new() -> Self {
        Self {
            words: RwSignal::new(String::new()),
            found: RwSignal::new(None),
            next: RwSignal::new(None),
            attempt: RwSignal::new(0),
            busy: StoredValue::new(false),
        }
    }

    pub fn is_long_enough(self) -> bool {
        self.words.with(|words| words.trim().trim_start_matches('@').chars().count() >= SHORTEST)
    }

    /// Takes what was typed, and searches once the typing pauses.
    pub fn type_in(self, store: Store, words: String) {
        self.words.set(words);
        self.run(store, PAUSE);
    }

    pub fn again(self, store: Store) {
        self.found.set(None);
        self.run(store, 0);
    }

    fn run(self, store: Store, pause: u32) {
        self.attempt.update(|count| *count += 1);
        let this = self.attempt.get_untracked();
        self.next.set(None);
        self.busy.set_value(false);
        if !untrack(|| self.is_long_enough()) {
            self.found.set(None);
            return;
        }
        spawn_local(async move {
            sleep(pause).await;
            let is_last = move || self.attempt.try_get_untracked() == Some(this);
            if !is_last() {
                return;
            }
            let found = self.page(store, None).await;
            if is_last() {
                self.found.set(Some(found.map(|(found, next)| {
                    self.next.set(next);
                    found
                })));
            }
        });
    }

    async fn page(
        self,
        store: Store,
        cursor: Option<String>,
    ) -> Result<(Vec<Person>, Option<String>), Failure> {
        let words = self.words.get_untracked();
        let words = words.trim().trim_start_matches('@');
        let page = store.api.search_people(words, cursor.as_deref()).await?;
        store.put_people(page.items.iter().cloned());
        Ok((page.items, page.next))
    }

    /// Fetches more of what was found.
    fn more(self, store: Store) {
        if self.busy.get_value() {
            return;
        }
        self.busy.set_value(true);
        let (this, cursor) = (self.attempt.get_untracked(), self.next.get_untracked());
        spawn_local(async move {
            let page = self.page(store, cursor).await;
            self.busy.try_set_value(false);
            if self.attempt.try_get_untracked() != Some(this) {
                return;
            }
            match page {
                Ok((more, next)) => {
                    self.next.set(next);
                    let mut known = 0;
                    self.found.update(|found| {
                        if let Some(Ok(found)) = found {
                            known = found.len();
                            found.extend(more);
                        }
                    });
                    // With the last of them the button goes.
                    pass_focus_on(format!(".side .rows > :nth-child({}) .row", known + 1)).await;
                }
                Err(failure) => store.complain(&failure),
            }
        });
    }
}

#[component]
pub fn PeopleList() -> impl IntoView {
    let store = expect_context::<Store>();
    let search = Search::new();
    view! {
        <header class="side-head">
            <h1 id="side-title">{t("nav.people")}</h1>
            <div class="searchbox" role="search">
                {Icon::Search.view()}
                <input type="search" id="people-search" aria-label=t("people.search") placeholder=t("people.search.hint")
                    autocomplete="off" spellcheck="false" autocapitalize="none" dir="auto"
                    prop:value=move || search.words.get()
                    on:input=move |event| search.type_in(store, event_target_value(&event))
                    on:keydown=move |event: web_sys::KeyboardEvent| {
                        if event.key() == "Escape" && !search.words.with_untracked(String::is_empty) {
                            event.prevent_default();
                            search.type_in(store, String::new());
                        }
                    }/>
            </div>
        </header>
        <div class="scroll">
            {move || if search.words.with(|words| words.trim().is_empty()) {
                view! { <Circles/> }.into_any()
            } else {
                view! { <Found search/> }.into_any()
            }}
        </div>
    }
    .into_any()
}

/// What the search has found.
#[component]
fn Found(search: Search) -> impl IntoView {
    let store = expect_context::<Store>();
    let ready = Memo::new(move |_| search.is_long_enough());
    let goes_on =
        move || search.next.with(Option::is_some) && search.found.with(|found| matches!(found, Some(Ok(_))));
    let found = move || {
        if !ready.get() {
            return view! { <p class="tip">{t("people.search.short")}</p> }.into_any();
        }
        match search.found.get() {
            None => view! { <Skeleton rows=4/> }.into_any(),
            Some(Err(failure)) => {
                view! { <FailedPanel failure retry=move || search.again(store)/> }.into_any()
            }
            Some(Ok(found)) if found.is_empty() => {
                let words = search.words.get_untracked();
                let title = t_with("people.search.nobody", &[("words", words.trim())]);
                view! { <EmptyPanel icon=Icon::Search title text=t("people.search.nobody.text")/> }.into_any()
            }
            Some(Ok(found)) => {
                // The link with somebody may change while the result stands.
                let rows = found.into_iter().map(|person| {
                    let known = store.person(person.user_id);
                    move || known.get().map(|person| view! { <PersonRow person linked=true/> })
                });
                view! { <ul class="rows" aria-label=t("people.search.found")>{rows.collect_view()}</ul> }
                    .into_any()
            }
        }
    };
    view! {
        {found}
        <Show when=goes_on>
            <p class="tip">
                <button type="button" class="button small" on:click=move |_| search.more(store)>{t("people.search.more")}</button>
            </p>
        </Show>
    }
}

/// The people one has something to do with, by what it is.
#[component]
fn Circles() -> impl IntoView {
    let store = expect_context::<Store>();
    let circles = [
        ("people.incoming", store.related(Relation::Incoming)),
        ("people.friends", store.related(Relation::Friends)),
        ("people.outgoing", store.related(Relation::Outgoing)),
        ("people.blocked", store.blocked()),
    ];
    let empty = Memo::new(move |_| circles.iter().all(|(_, people)| people.with(Vec::is_empty)));
    let retry = move || {
        store.people_phase.set(Phase::Loading);
        spawn_local(async move {
            let _ = store.load_people().await;
        });
    };
    move || {
        match store.people_phase.get() {
        Phase::Loading => view! { <Skeleton rows=6/> }.into_any(),
        Phase::Failed(failure) => view! { <FailedPanel failure retry/> }.into_any(),
        Phase::Ready if empty.get() => view! {
            <EmptyPanel icon=Icon::PersonAdd title=t("people.empty.title") text=t("people.empty.text")>
                <button type="button" class="button primary" on:click=|_| crate::browser::focus("people-search")>{t("people.empty.action")}</button>
            </EmptyPanel>
        }
        .into_any(),
        Phase::Ready => circles.map(|(title, people)| view! { <CircleList title people/> }).collect_view().into_any(),
    }
    }
}

#[component]
fn CircleList(title: &'static str, people: Memo<Vec<Person>>) -> impl IntoView {
    move || {
        let people = people.get();
        let count = people.len();
        (count > 0).then(|| {
            view! {
                <section class="circle" aria-labelledby=title>
                    <h2 id=title>{t(title)} " " <span class="count">{count}</span></h2>
                    <ul class="rows">{people.into_iter().map(|person| view! { <PersonRow person/> }).collect_view()}</ul>
                </section>
            }
        })
    }
}
