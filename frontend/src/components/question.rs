//! What is hard to take back is asked about first.

use leptos::html::Button;
use leptos::prelude::*;

use crate::i18n::t;

#[component]
pub fn Question(
    #[prop(into)] text: Signal<String>,
    /// The words for going through with it.
    yes: String,
    busy: RwSignal<bool>,
    on_yes: impl Fn() + 'static,
    on_no: impl Fn() + Clone + 'static,
) -> impl IntoView {
    // The focus goes to what changes nothing: whoever leans on Enter has not answered.
    let no = NodeRef::<Button>::new();
    Effect::new(move || {
        if let Some(no) = no.get() {
            let _ = no.focus();
        }
    });
    let escape = on_no.clone();
    let on_key = move |event: web_sys::KeyboardEvent| {
        if event.key() == "Escape" {
            event.prevent_default();
            escape();
        }
    };
    let label = yes.clone();
    view! {
        <div class="question" role="group" aria-label=label on:keydown=on_key>
            <p>{move || text.get()}</p>
            <button type="button" class="button danger" aria-disabled=move || busy.get().then_some("true")
                on:click=move |_| on_yes()>{yes}</button>
            <button type="button" class="button" node_ref=no on:click=move |_| on_no()>{t("cancel")}</button>
        </div>
    }
    .into_any()
}
