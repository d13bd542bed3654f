//! A labelled field of a form with its hint and what is wrong with it.

use leptos::prelude::*;

use crate::api::Failure;
use crate::wording::field_text;

/// What a form shows of its last attempt.
pub type Attempt = RwSignal<Option<Failure>>;

/// The text beside the field `name`, if the last attempt failed there.
pub fn error_of(attempt: Attempt, name: &'static str) -> Memo<Option<String>> {
    Memo::new(move |_| attempt.with(|failure| failure.as_ref().and_then(|failure| field_text(failure, name))))
}

#[component]
pub fn Field(
    /// Also the end of the JSON pointer under which the server speaks of it.
    name: &'static str,
    label: String,
    value: RwSignal<String>,
    attempt: Attempt,
    #[prop(default = "text")] kind: &'static str,
    #[prop(default = "off")] autocomplete: &'static str,
    #[prop(optional, into)] hint: String,
    #[prop(optional)] autofocus: bool,
    #[prop(optional)] multiline: bool,
) -> impl IntoView {
    let error = error_of(attempt, name);
    let field = NodeRef::<leptos::html::Input>::new();
    Effect::new(move || {
        if let Some(field) = field.get().filter(|_| autofocus) {
            let _ = field.focus();
        }
    });
    let id = format!("field-{name}");
    let hint_id = format!("{id}-hint");
    let error_id = format!("{id}-error");
    let described = {
        let (hint_id, error_id, has_hint) = (hint_id.clone(), error_id.clone(), !hint.is_empty());
        move || match (error.with(Option::is_some), has_hint) {
            (true, _) => Some(error_id.clone()),
            (false, true) => Some(hint_id.clone()),
            (false, false) => None,
        }
    };
    let invalid = move || error.with(Option::is_some).then_some("true");
    let input = if multiline {
        view! {
            <textarea id=id.clone() name=name rows="3" dir="auto" class="input"
                aria-describedby=described aria-invalid=invalid
                prop:value=move || value.get()
                on:input=move |event| value.set(event_target_value(&event))></textarea>
        }
        .into_any()
    } else {
        view! {
            <input id=id.clone() name=name type=kind class="input" autocomplete=autocomplete node_ref=field
                dir=(kind == "text").then_some("auto")
                spellcheck="false" autocapitalize=(name != "name").then_some("none")
                aria-describedby=described aria-invalid=invalid
                prop:value=move || value.get()
                on:input=move |event| value.set(event_target_value(&event))/>
        }
        .into_any()
    };
    view! {
        <div class="field">
            <label for=id>{label}</label>
            {input}
            {move || match error.get() {
                Some(text) => view! { <p class="field-error" id=error_id.clone()>{text}</p> }.into_any(),
                None if hint.is_empty() => ().into_any(),
                None => view! { <p class="field-hint" id=hint_id.clone()>{hint.clone()}</p> }.into_any(),
            }}
        </div>
    }
    .into_any()
}
