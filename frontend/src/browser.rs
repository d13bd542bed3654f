//! The few things that the app asks of the browser itself: clock, randomness, storage, timers, focus.

use std::cell::Cell;

use js_sys::{Function, Promise, Reflect};
use uuid::{Builder, Uuid};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

pub fn window() -> web_sys::Window {
    web_sys::window().expect("the app runs in a page, and a page has a window")
}

pub fn document() -> web_sys::Document {
    window().document().expect("a page has a document")
}

/// Milliseconds since 1970 UTC.
pub fn now() -> f64 {
    js_sys::Date::now()
}

/// A random number in 0..1, good enough to spread reconnects.
pub fn jitter() -> f64 {
    js_sys::Math::random()
}

thread_local! {
    static LAST_KEY: Cell<(u64, u16)> = const { Cell::new((0, 0)) };
}

/// A UUIDv7 that is greater than every one made before it in this tab.
pub fn new_key() -> Uuid {
    let mut random = [0_u8; 10];
    if let Ok(crypto) = window().crypto() {
        // It fails only for more than 65,536 bytes.
        let _ = crypto.get_random_values_with_u8_array(&mut random);
    }
    let clock = now() as u64;
    let (millis, counter) = LAST_KEY.with(|last| {
        let (before, count) = last.get();
        let next = if clock > before { (clock, 0) } else { (before, count + 1) };
        last.set(next);
        next
    });
    // The first 12 bits after the time are a counter within the millisecond.
    let [high, low] = counter.to_be_bytes();
    (random[0], random[1]) = (high, low);
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

pub async fn sleep(millis: u32) {
    let promise = js_sys::Promise::new(&mut |done, _| {
        let millis = i32::try_from(millis).unwrap_or(i32::MAX);
        let _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(&done, millis);
    });
    let _ = JsFuture::from(promise).await;
}

/// Waits for the moment before the next paint: what changed is laid out, and nobody has seen it yet.
pub async fn next_frame() {
    let promise = js_sys::Promise::new(&mut |done, _| {
        let _ = window().request_animation_frame(&done);
    });
    let _ = JsFuture::from(promise).await;
}

/// What tells this tab from others; a reload changes nothing of it.
pub fn tab() -> String {
    let Some(area) = window().session_storage().ok().flatten() else { return String::new() };
    if let Ok(Some(known)) = area.get_item("letopis:tab") {
        return known;
    }
    let fresh = new_key().to_string();
    let _ = area.set_item("letopis:tab", &fresh);
    fresh
}

/// What the browser keeps for this origin: language, theme, drafts, unsent messages. Never a credential.
pub mod storage {
    use super::window;

    fn area() -> Option<web_sys::Storage> {
        window().local_storage().ok().flatten()
    }

    pub fn get(key: &str) -> Option<String> {
        area()?.get_item(key).ok().flatten()
    }

    /// Keeps `value`; a full or forbidden storage is no reason to fail, so nothing is said.
    pub fn set(key: &str, value: &str) {
        if let Some(area) = area() {
            let _ = area.set_item(key, value);
        }
    }

    pub fn remove(key: &str) {
        if let Some(area) = area() {
            let _ = area.remove_item(key);
        }
    }

    /// Every key that begins with `prefix`.
    pub fn keys(prefix: &str) -> Vec<String> {
        let Some(area) = area() else { return Vec::new() };
        let keys = (0..area.length().unwrap_or(0)).filter_map(|index| area.key(index).ok().flatten());
        keys.filter(|key| key.starts_with(prefix)).collect()
    }

    /// Removes every key that begins with `prefix`.
    pub fn remove_all(prefix: &str) {
        for key in keys(prefix) {
            remove(&key);
        }
    }
}

/// The program is broken beyond repair: says so on the page, and why in the console.
pub fn crash(why: &std::panic::PanicHookInfo<'_>) {
    web_sys::console::error_1(&why.to_string().into());
    if let Some(notice) = document().get_element_by_id("crashed") {
        let _ = notice.remove_attribute("hidden");
    }
}

/// Whether somebody is looking at this page now.
pub fn is_attended() -> bool {
    let document = document();
    !document.hidden() && document.has_focus().unwrap_or(false)
}

/// Whether the browser knows that it has no network.
pub fn is_offline() -> bool {
    !window().navigator().on_line()
}

/// Focuses the element with this id, if it is there.
pub fn focus(id: &str) {
    focus_on(document().get_element_by_id(id));
}

/// Focuses the first element that a selector finds, if there is one.
pub fn focus_first(selector: &str) {
    focus_on(document().query_selector(selector).ok().flatten());
}

fn focus_on(element: Option<web_sys::Element>) {
    if let Some(element) = element.and_then(|it| it.dyn_into::<web_sys::HtmlElement>().ok()) {
        let _ = element.focus();
    }
}

/// Whether the focus is within an element that the selector finds.
pub fn has_focus_in(selector: &str) -> bool {
    document()
        .active_element()
        .is_some_and(|element| element.closest(selector).is_ok_and(|found| found.is_some()))
}

/// Once the page is as it will be painted: if nothing has the focus, since what had it has gone, gives it to the first
/// element that the selector finds.
pub async fn pass_focus_on(selector: String) {
    next_frame().await;
    let document = document();
    let body = document.body().map(web_sys::Element::from);
    if document.active_element().is_none_or(|element| Some(element) == body) {
        focus_first(&selector);
    }
}

/// Puts a text on the clipboard; false where the browser does not let it.
pub async fn copy(text: &str) -> bool {
    let clipboard = Reflect::get(&window().navigator(), &"clipboard".into()).unwrap_or_default();
    let write =
        Reflect::get(&clipboard, &"writeText".into()).ok().and_then(|it| it.dyn_into::<Function>().ok());
    let Some(promise) = write.and_then(|write| write.call1(&clipboard, &text.into()).ok()) else {
        return false;
    };
    JsFuture::from(promise.unchecked_into::<Promise>()).await.is_ok()
}

/// Calls `work` on every `event` of the window for as long as the page lives.
pub fn on_window(event: &str, work: impl FnMut(web_sys::Event) + 'static) {
    let closure = Closure::<dyn FnMut(web_sys::Event)>::new(work);
    let _ = window().add_event_listener_with_callback(event, closure.as_ref().unchecked_ref());
    closure.forget();
}
