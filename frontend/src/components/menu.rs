//! A button that opens a list of things to do.

use std::cell::Cell;
use std::sync::Arc;

use leptos::html::Div;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent};

use super::icon::Icon;
use crate::browser::{document, focus, next_frame, window};

/// One thing to do.
#[derive(Clone)]
pub struct MenuItem {
    text: String,
    danger: bool,
    act: Arc<dyn Fn() + Send + Sync>,
}

impl MenuItem {
    pub fn new(text: String, act: impl Fn() + Send + Sync + 'static) -> Self {
        Self { text, danger: false, act: Arc::new(act) }
    }

    /// It is hard to take back.
    pub fn danger(self) -> Self {
        Self { danger: true, ..self }
    }
}

/// What a menu offers, found out whenever it is opened.
pub type Items = Arc<dyn Fn() -> Vec<MenuItem> + Send + Sync>;

thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

#[component]
pub fn Menu(
    /// What the button is called.
    label: String,
    items: Items,
) -> impl IntoView {
    let number = COUNT.with(|count| {
        count.set(count.get() + 1);
        count.get()
    });
    let [button_id, list_id] = ["menu-button", "menu"].map(|part| format!("{part}-{number}"));
    let (open, up) = (RwSignal::new(false), RwSignal::new(false));
    let root = NodeRef::<Div>::new();
    let close = {
        let button_id = button_id.clone();
        move || {
            open.set(false);
            focus(&button_id);
        }
    };
    let toggle = {
        let list_id = list_id.clone();
        move |_| {
            // Towards where there is more room.
            let place = root.get_untracked().map(|root| root.get_bounding_client_rect().top());
            let height = window().inner_height().ok().and_then(|height| height.as_f64());
            up.set(place.zip(height).is_some_and(|(top, height)| top > height / 2.0));
            open.update(|open| *open = !*open);
            if open.get_untracked() {
                let list_id = list_id.clone();
                spawn_local(async move {
                    next_frame().await;
                    step(&list_id, "Home");
                });
            }
        }
    };
    let on_key = {
        let (close, list_id) = (close.clone(), list_id.clone());
        move |event: KeyboardEvent| {
            if !open.get_untracked() {
                return;
            }
            match event.key().as_str() {
                "Escape" => close(),
                "Tab" => {
                    open.set(false);
                    return;
                }
                key if step(&list_id, key) => {}
                _ => return,
            }
            event.prevent_default();
        }
    };
    let on_leave = move |event: web_sys::FocusEvent| {
        let to = event.related_target().and_then(|target| target.dyn_into::<Element>().ok());
        let inside = root.get_untracked().is_some_and(|root| root.contains(to.as_ref().map(AsRef::as_ref)));
        if !inside {
            open.try_set(false);
        }
    };
    let list_label = label.clone();
    let list = {
        let list_id = list_id.clone();
        move || {
            let close = close.clone();
            let row = move |item: MenuItem| {
                let close = close.clone();
                let act = item.act.clone();
                let choose = move |_| {
                    // First, so that what is done may take the focus elsewhere.
                    close();
                    act();
                };
                view! {
                    <button type="button" class="menu-item" class:danger=item.danger role="menuitem" tabindex="-1"
                        on:click=choose>{item.text}</button>
                }
            };
            open.get().then(|| {
                view! {
                    <div class="menu-list" class:up=up id=list_id.clone() role="menu" aria-label=list_label.clone()>
                        {items().into_iter().map(row).collect_view()}
                    </div>
                }
            })
        }
    };
    view! {
        <div class="menu" node_ref=root on:keydown=on_key on:focusout=on_leave>
            <button type="button" class="icon-button" id=button_id tabindex="0" title=label.clone() aria-label=label
                aria-haspopup="menu" aria-expanded=move || if open.get() { "true" } else { "false" }
                aria-controls=move || open.get().then(|| list_id.clone()) on:click=toggle>{Icon::More.view()}</button>
            {list}
        </div>
    }
    .into_any()
}

/// Moves the focus within a menu; false if the key does not do that.
fn step(list_id: &str, key: &str) -> bool {
    let Some(list) = document().get_element_by_id(list_id) else { return false };
    let Ok(items) = list.query_selector_all("[role=menuitem]") else { return false };
    let count = items.length();
    let here = document().active_element();
    let at =
        (0..count).find(|index| items.item(*index).is_some_and(|item| item.is_same_node(here.as_deref())));
    let to = match (key, at) {
        _ if count == 0 => return false,
        ("ArrowDown", Some(at)) => (at + 1) % count,
        ("ArrowUp", Some(at)) => (at + count - 1) % count,
        ("Home" | "ArrowDown", _) => 0,
        ("End" | "ArrowUp", _) => count - 1,
        _ => return false,
    };
    if let Some(item) = items.item(to).and_then(|item| item.dyn_into::<HtmlElement>().ok()) {
        let _ = item.focus();
    }
    true
}
