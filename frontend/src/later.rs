//! The parts of the app that are not in its first load: what nobody needs to see their chats, to read and to write.
//!
//! They are one file of wasm beside the app's own, divided from it by the bundler at the one function here that is
//! marked for it. The file is fetched as soon as the first screen is there, so that it has mostly come when somebody
//! wants one of its parts; who is faster sees grey rows meanwhile.

use std::cell::Cell;

use domain::ids::{ChatId, PersonId};
use futures::FutureExt;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_split::{SplitLoaderError, wasm_split};

use crate::api::Failure;
use crate::components::acts::{self, Act, Acts};
use crate::components::group_panel::GroupPanel;
use crate::components::palette::Finder;
use crate::components::panel::{FailedPanel, Skeleton};
use crate::components::person_panel::PersonPanel;
use crate::pages::invite::InvitePage;
use crate::pages::new_group::NewGroup;
use crate::pages::people::PeopleList;
use crate::pages::settings::Settings;
use crate::state::Conversation;

/// A part of the app that comes later.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "one of it is on its way at a time")]
pub enum Part {
    Settings,
    People,
    /// `page` says that it is a page of its own, not a panel beside a conversation.
    Person {
        id: PersonId,
        page: bool,
    },
    NewGroup,
    Group(ChatId),
    Invite,
    Finder,
    Act(Conversation, Acts, Act),
}

#[wasm_split(later, wasm_split_path = ::leptos::wasm_split, preload(load), fallible)]
fn build(part: Part) -> Result<AnyView, SplitLoaderError> {
    Ok(match part {
        Part::Settings => view! { <Settings/> }.into_any(),
        Part::People => view! { <PeopleList/> }.into_any(),
        Part::Person { id, page } => view! { <PersonPanel id page/> }.into_any(),
        Part::NewGroup => view! { <NewGroup/> }.into_any(),
        Part::Group(id) => view! { <GroupPanel id/> }.into_any(),
        Part::Invite => view! { <InvitePage/> }.into_any(),
        Part::Finder => view! { <Finder/> }.into_any(),
        Part::Act(conversation, acts, act) => acts::content(conversation, acts, act),
    })
}

thread_local! {
    /// Whether the parts are there, so that a view of one can be built at once.
    static HERE: Cell<bool> = const { Cell::new(false) };
}

/// Fetches the parts, unless they are there.
pub async fn fetch() -> Result<(), SplitLoaderError> {
    load().await?;
    HERE.set(true);
    Ok(())
}

#[derive(Clone, Copy)]
enum Stage {
    Coming,
    Here,
    Missing,
}

impl Part {
    /// The part on the screen: at once if it is there, else as soon as it has come.
    pub fn view(self) -> AnyView {
        let part = self;
        let stage = RwSignal::new(if HERE.get() { Stage::Here } else { Stage::Coming });
        let fetch = move || {
            stage.set(Stage::Coming);
            spawn_local(async move {
                let come = fetch().await;
                stage.try_set(if come.is_ok() { Stage::Here } else { Stage::Missing });
            });
        };
        if !HERE.get() {
            fetch();
        }
        let shown = move || match stage.get() {
            Stage::Coming => view! { <Skeleton rows=4/> }.into_any(),
            Stage::Here => build(part.clone()).now_or_never().and_then(Result::ok).into_any(),
            Stage::Missing => view! { <FailedPanel failure=Failure::Offline retry=fetch/> }.into_any(),
        };
        view! { {shown} }.into_any()
    }
}
