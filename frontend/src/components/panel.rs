//! What stands where a list or a screen is not there: skeletons, empty states, failures.

use leptos::prelude::*;

use super::icon::Icon;
use crate::api::Failure;
use crate::i18n::t;
use crate::wording::failure_text;

/// Rows in grey, of the shape of what is coming.
#[component]
pub fn Skeleton(rows: usize) -> impl IntoView {
    let row = || view! { <div class="skeleton-row"><span></span><span></span><span></span></div> };
    view! {
        <div class="skeleton" role="status">
            <span class="sr">{t("loading")}</span>
            {(0..rows).map(|_| row()).collect_view()}
        </div>
    }
    .into_any()
}

/// What went wrong, and a way to try again.
#[component]
pub fn FailedPanel(failure: Failure, retry: impl Fn() + 'static) -> impl IntoView {
    view! {
        <div class="hollow" role="alert">
            <span class="hollow-mark bad">{Icon::Alert.view()}</span>
            <p class="hollow-title">{t("failure.title")}</p>
            <p class="muted">{failure_text(&failure)}</p>
            <button type="button" class="button" on:click=move |_| retry()>{t("retry")}</button>
        </div>
    }
    .into_any()
}

/// An empty list says what it is for, and what to do next.
#[component]
pub fn EmptyPanel(
    icon: Icon,
    title: String,
    text: String,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="hollow">
            <span class="hollow-mark">{icon.view()}</span>
            <p class="hollow-title">{title}</p>
            <p class="muted">{text}</p>
            {children.map(|children| children())}
        </div>
    }
    .into_any()
}
