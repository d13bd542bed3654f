//! The history of a conversation: what is on the page, and where it is scrolled to.
//!
//! The place in view never moves by itself: at the bottom it stays at the bottom, whatever grows; elsewhere the
//! message at the top edge stays where it is when older ones come in above.

use leptos::html::Div;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;
use web_sys::{Element, HtmlElement, ResizeObserver};

use super::icon::Icon;
use super::line::lines_view;
use super::message::{MessageRow, reply_to};
use super::panel::{EmptyPanel, FailedPanel, Skeleton};
use super::rows::rows;
use crate::browser::{document, focus, is_attended, next_frame, sleep};
use crate::i18n::{t, t_count, t_with};
use crate::pages::shell::short_count;
use crate::state::{Conversation, Paging, Phase, Store, Window};

/// Pixels from an end at which the next page is asked for.
const NEAR: f64 = 1_500.0;
/// Pixels from the bottom that still count as the bottom.
const BOTTOM: f64 = 60.0;
/// Milliseconds after which a touch is a long one.
const LONG_TOUCH: u32 = 600;
/// The scrolled element and the signals that hang on it.
#[derive(Clone, Copy)]
struct Scroller {
    element: NodeRef<Div>,
    at_bottom: RwSignal<bool>,
}

/// What is to stay where it is.
#[derive(Clone)]
struct Anchor {
    number: String,
    /// Pixels below the top edge.
    offset: f64,
    /// The number of the message that has the focus.
    focused: Option<String>,
}

fn focused_message() -> Option<String> {
    document().active_element()?.closest("article").ok()??.get_attribute("data-number")
}

impl Scroller {
    fn get(self) -> Option<HtmlElement> {
        self.element.try_get_untracked().flatten().map(|element| (*element).clone().unchecked_into())
    }

    fn to_bottom(self) {
        self.at_bottom.set(true);
        if let Some(element) = self.get() {
            element.set_scroll_top(element.scroll_height());
        }
    }

    /// The message at the top edge, and how far below it begins.
    fn anchor(self) -> Option<Anchor> {
        let element = self.get()?;
        let top = element.get_bounding_client_rect().top();
        let articles = element.query_selector_all("article[data-number]").ok()?;
        (0..articles.length()).find_map(|index| {
            let article: Element = articles.item(index)?.unchecked_into();
            let place = article.get_bounding_client_rect();
            let number = article.get_attribute("data-number").filter(|_| place.bottom() > top)?;
            Some(Anchor { number, offset: place.top() - top, focused: focused_message() })
        })
    }

    /// Brings the message back to where it was. The first row is another one now that something stands above it, and
    /// loses the focus.
    fn hold(self, anchor: Option<Anchor>) {
        let Some((element, Anchor { number, offset, focused })) = self.get().zip(anchor) else { return };
        if let Some(focused) = focused.filter(|_| focused_message().is_none())
            && document().active_element().is_none_or(|it| it.tag_name() == "BODY")
            && let Ok(Some(article)) = element.query_selector(&format!("article[data-number='{focused}']"))
            && let Some(article) = article.dyn_ref::<HtmlElement>()
        {
            let _ = article.focus();
        }
        if let Ok(Some(article)) = element.query_selector(&format!("article[data-number='{number}']")) {
            let moved =
                article.get_bounding_client_rect().top() - element.get_bounding_client_rect().top() - offset;
            element.set_scroll_top(element.scroll_top() + moved.round() as i32);
        }
    }

    fn show(self, selector: &str) -> Option<HtmlElement> {
        let article: HtmlElement = self.get()?.query_selector(selector).ok()??.dyn_into().ok()?;
        let options = web_sys::ScrollIntoViewOptions::new();
        options.set_block(web_sys::ScrollLogicalPosition::Center);
        article.scroll_into_view_with_scroll_into_view_options(&options);
        Some(article)
    }

    /// Pixels above and below what is in view.
    fn room(self) -> Option<(f64, f64)> {
        let element = self.get()?;
        let above = f64::from(element.scroll_top());
        Some((above, f64::from(element.scroll_height() - element.client_height()) - above))
    }
}

#[component]
pub fn Timeline(conversation: Conversation, named: bool) -> impl IntoView {
    let store = expect_context::<Store>();
    let retry = {
        let conversation = conversation.clone();
        move || {
            let conversation = conversation.clone();
            spawn_local(async move { store.visit(&conversation).await });
        }
    };
    let phase = conversation.phase.clone();
    let phase = Memo::new(move |_| phase.get());
    move || match phase.get() {
        Phase::Loading => view! { <div class="history"><Skeleton rows=8/></div> }.into_any(),
        Phase::Failed(failure) => {
            view! { <div class="history"><FailedPanel failure retry=retry.clone()/></div> }.into_any()
        }
        Phase::Ready => view! { <History conversation=conversation.clone() named/> }.into_any(),
    }
}

#[component]
fn History(conversation: Conversation, named: bool) -> impl IntoView {
    let store = expect_context::<Store>();
    let id = conversation.chat_id;
    let scroller = Scroller { element: NodeRef::new(), at_bottom: RwSignal::new(true) };
    let touched = StoredValue::new(0_u32);
    let feed = NodeRef::<Div>::new();
    let chat = store.chat(id);
    let peer_read = Memo::new(move |_| {
        chat.with(|chat| chat.as_ref().and_then(|chat| chat.peer_read_number).unwrap_or(0))
    });
    let unread = Memo::new(move |_| chat.with(|chat| chat.as_ref().map_or(0, |chat| chat.unread)));
    let can_send = Memo::new(move |_| chat.with(|chat| chat.as_ref().is_some_and(|chat| chat.can_send)));
    let kept = StoredValue::new(conversation.clone());
    let laid_out = Memo::new_with_compare(
        move |_| kept.with_value(|conversation| rows(conversation, store.my_id)),
        |_, _| true,
    );
    let blocks = Memo::new(move |_| {
        let mut blocks = laid_out.with(|rows| rows.iter().map(|row| row.block).collect::<Vec<_>>());
        blocks.dedup();
        blocks
    });
    let rows_of = move |block: u64| {
        laid_out.with(|rows| rows.iter().filter(|row| row.block == block).cloned().collect::<Vec<_>>())
    };
    // With messages on their way they stand above the first of them.
    let last_lines = {
        let (window, outbox) = (conversation.window.clone(), conversation.outbox.clone());
        Memo::new(move |_| {
            let taken = outbox.with(|rows| !rows.is_empty()) && window.with(|window| !window.newer);
            window.with(
                |window| if taken { Vec::new() } else { window.lines_before(window.entries.len()).to_vec() },
            )
        })
    };
    let newer = {
        let window = conversation.window.clone();
        Memo::new(move |_| window.with(|window| window.newer))
    };
    let empty = {
        let (window, outbox) = (conversation.window.clone(), conversation.outbox.clone());
        Memo::new(move |_| window.with(Window::is_empty) && outbox.with(Vec::is_empty))
    };
    let speechless = {
        let (window, outbox) = (conversation.window.clone(), conversation.outbox.clone());
        Memo::new(move |_| window.with(|window| window.entries.is_empty()) && outbox.with(Vec::is_empty))
    };
    let paging = {
        let paging = conversation.paging.clone();
        Memo::new(move |_| paging.get())
    };

    // Everything up to the newest message is read once it is seen by somebody who is here.
    let read = move || {
        let shows_newest = !newer.get_untracked() && scroller.at_bottom.get_untracked();
        let last = kept.with_value(|conversation| conversation.window.with_untracked(Window::last));
        if let Some(last) = last.filter(|_| shows_newest && is_attended()) {
            store.mark_read(id, last);
        }
    };
    // Until a page is in its place, what is near to an end says nothing.
    let placing = StoredValue::new(false);
    let page = move |older: bool| {
        let conversation = kept.get_value();
        placing.set_value(true);
        spawn_local(async move {
            let anchor = StoredValue::new(None);
            let at = move || anchor.set_value(scroller.anchor());
            let paged = if older {
                store.page_older(&conversation, at).await
            } else {
                store.page_newer(&conversation, at).await
            };
            if paged {
                // The rows are in the page now, and not painted yet.
                next_frame().await;
                scroller.hold(anchor.try_get_value().flatten());
            }
            placing.try_set_value(false);
        });
    };
    let on_scroll = move |_| {
        let Some((above, below)) = scroller.room() else { return };
        // The end of a window that has newer messages behind it is no place to stay at.
        let bottom = below < BOTTOM && !newer.get_untracked();
        if scroller.at_bottom.get_untracked() != bottom {
            scroller.at_bottom.set(bottom);
        }
        kept.with_value(|conversation| conversation.scroll.set((!bottom).then_some(above)));
        // An end that failed is asked again on a click; the other one is not.
        let may = |older: bool| {
            let paging = paging.get_untracked();
            let free = paging == Paging::Idle || paging == Paging::Failed { older: !older };
            free && !placing.get_value()
        };
        let older = || kept.with_value(|it| it.window.with_untracked(|window| window.older));
        if above < NEAR && may(true) && older() {
            page(true);
        } else if below < NEAR && may(false) && newer.get_untracked() {
            page(false);
        }
        if bottom {
            read();
        }
    };
    let present = move || {
        let conversation = kept.get_value();
        spawn_local(async move {
            if newer.get_untracked() {
                store.show_newest(&conversation).await;
                next_frame().await;
            }
            if newer.try_get_untracked().is_some() {
                scroller.to_bottom();
                read();
            }
        });
    };
    let on_jump = Callback::new(move |number: u64| {
        let conversation = kept.get_value();
        spawn_local(async move {
            if conversation.window.with_untracked(|window| window.entry(number).is_none()) {
                store.show_around(&conversation, number).await;
            }
            next_frame().await;
            if let Some(article) = scroller.show(&format!("article[data-number='{number}']")) {
                let _ = article.focus();
            }
            // Nothing may have moved, which no scrolling tells.
            let Some(newer) = newer.try_get_untracked() else { return };
            let at_end = !newer && scroller.room().is_some_and(|(_, below)| below < BOTTOM);
            scroller.at_bottom.set(at_end);
            read();
        });
    });

    Effect::new(move || {
        let wanted = kept.with_value(|conversation| conversation.jump.get());
        if let Some(number) = wanted {
            kept.with_value(|conversation| conversation.jump.set(None));
            on_jump.run(number);
        }
    });

    // At the start: where it was left, at the first unread message, or at the bottom.
    let placed = StoredValue::new(false);
    Effect::new(move || {
        let Some(element) = scroller.element.get() else { return };
        if placed.get_value() {
            return;
        }
        placed.set_value(true);
        let left_at = kept.with_value(|conversation| conversation.scroll.get_untracked());
        if let Some(above) = left_at {
            element.set_scroll_top(above as i32);
            scroller.at_bottom.set(false);
        } else if scroller.show("#unread-line").is_some() {
            scroller.at_bottom.set(scroller.room().is_some_and(|(_, below)| below < BOTTOM));
        } else {
            scroller.to_bottom();
            scroller.at_bottom.set(!newer.get_untracked());
        }
        read();
    });
    // Stays at the bottom when messages come in, the window narrows or the composer grows.
    let observer = StoredValue::new_local(None::<ResizeObserver>);
    Effect::new(move || {
        let (Some(outer), Some(inner)) = (scroller.element.get(), feed.get()) else { return };
        let grown = Closure::<dyn FnMut()>::new(move || {
            if scroller.at_bottom.try_get_untracked() == Some(true)
                && !newer.try_get_untracked().unwrap_or(true)
            {
                scroller.to_bottom();
            }
        });
        if let Ok(resize) = ResizeObserver::new(grown.into_js_value().unchecked_ref()) {
            resize.observe(&outer);
            resize.observe(&inner);
            observer.set_value(Some(resize));
        }
    });
    on_cleanup(move || {
        observer.try_update_value(|observer| observer.take().inspect(ResizeObserver::disconnect));
    });
    // A message of one's own is always looked after.
    Effect::new(move |before: Option<usize>| {
        let count = kept.with_value(|conversation| conversation.outbox.with(Vec::len));
        if before.is_some_and(|before| count > before) {
            present();
        }
        count
    });
    Effect::new(move || {
        kept.with_value(|conversation| conversation.window.track());
        read();
    });
    for event in ["focus", "visibilitychange"] {
        let here = window_event_listener_untyped(event, move |_| read());
        on_cleanup(move || here.remove());
    }

    let paging_failed = move |end: bool| {
        move || {
            (paging.get() == Paging::Failed { older: end }).then(|| {
                let words = if end { "conversation.older-failed" } else { "conversation.newer-failed" };
                let retry = move |_| page(end);
                view! {
                    <p class="paging-failed">
                        {t(words)} " " <button type="button" class="link" on:click=retry>{t("retry")}</button>
                    </p>
                }
            })
        }
    };
    // A feed without an article is none.
    let holds = move |value: &'static str| (!speechless.get()).then_some(value);
    let label = move || {
        let name = chat.with(|chat| chat.as_ref().map(super::chat_row::chat_name)).unwrap_or_default();
        t_with("conversation.history", &[("name", &name)])
    };
    view! {
        <div class="history">
            <div class="scroll history-scroll" node_ref=scroller.element on:scroll=on_scroll>
                <div class="feed" node_ref=feed role=move || holds("feed") tabindex=move || holds("0") aria-label=move || holds("").map(|_| label())
                    aria-busy=move || if matches!(paging.get(), Paging::Older | Paging::Newer) { "true" } else { "false" }
                    on:keydown=move |event| kept.with_value(|conversation| walk(&event, conversation, can_send.get_untracked()))
                    on:contextmenu=move |event| open_menu(&event)
                    on:touchstart=move |event| hold(touched, &event) on:touchmove=move |_| let_go(touched)
                    on:touchend=move |_| let_go(touched) on:touchcancel=move |_| let_go(touched)>
                    {paging_failed(true)}
                    <For each=move || blocks.get() key=|block| *block children=move |block| view! {
                        <div class="turns">
                            <For each=move || rows_of(block) key=|row| (row.entry.author, row.entry.id, row.day, row.unread, row.lead, row.lines.last().map(|line| line.position), row.lines.len())
                                children=move |row| view! { <MessageRow row conversation=kept.get_value() peer_read named on_jump can_send/> }/>
                        </div>
                    }/>
                    {move || last_lines.with(|lines| lines_view(lines))}
                    {paging_failed(false)}
                </div>
                <Show when=move || empty.get()>
                    <EmptyPanel icon=Icon::Chats title=t("conversation.empty.title") text=t("conversation.empty.text")/>
                </Show>
            </div>
            <Show when=move || newer.get() || !scroller.at_bottom.get()>
                <button type="button" class="jump" title=t("conversation.present") on:click=move |_| present()>
                    {Icon::Down.view()}
                    <span class="sr">{t("conversation.present")}</span>
                    {move || (unread.get() > 0).then(|| view! {
                        <span class="badge" aria-hidden="true">{short_count(unread.get())}</span>
                        <span class="sr">{t_count("nav.unread", unread.get())}</span>
                    })}
                </button>
            </Show>
        </div>
    }
    .into_any()
}

/// Opens the menu of the message that an event is in; false if there is none, or it is open.
fn show_menu(event: &web_sys::Event) -> bool {
    let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
    // A link has a menu of its own.
    let article = target.filter(|it| it.closest("a, .menu").ok().flatten().is_none());
    let article = article.and_then(|target| target.closest("article").ok().flatten());
    let button = article.and_then(|article| {
        article.query_selector(".menu > [aria-expanded=false]").ok()??.dyn_into::<HtmlElement>().ok()
    });
    if let Some(button) = &button {
        button.click();
    }
    button.is_some()
}

/// The menu key or a long touch; the mouse's own button is left to the browser.
fn open_menu(event: &web_sys::MouseEvent) {
    if event.button() != 2 && show_menu(event) {
        event.prevent_default();
    }
}

/// A finger has come down. Where the browser makes nothing of a long touch, the menu opens all the same.
fn hold(touched: StoredValue<u32>, event: &web_sys::TouchEvent) {
    touched.update_value(|count| *count += 1);
    let (this, event) = (touched.get_value(), event.clone());
    spawn_local(async move {
        sleep(LONG_TOUCH).await;
        if touched.try_get_value() == Some(this) {
            show_menu(&event);
        }
    });
}

fn let_go(touched: StoredValue<u32>) {
    touched.update_value(|count| *count += 1);
}

/// Keys within the history: from message to message, to answer one, and back to writing.
fn walk(event: &web_sys::KeyboardEvent, conversation: &Conversation, can_send: bool) {
    // What lies in a message, as its menu, has used the key.
    if event.default_prevented() || event.alt_key() || event.ctrl_key() || event.meta_key() {
        return;
    }
    let Some(target) = event.target().and_then(|target| target.dyn_into::<Element>().ok()) else { return };
    let here = target.closest("article").ok().flatten();
    let number =
        here.as_ref().and_then(|article| article.get_attribute("data-number")).and_then(|it| it.parse().ok());
    let to = match event.key().as_str() {
        "ArrowUp" | "PageUp" => here.map_or_else(|| last_article(&target), |article| beside(&article, false)),
        "ArrowDown" | "PageDown" => here.and_then(|article| beside(&article, true)),
        "r" | "R" | "к" | "К" if number.is_some() && can_send => {
            event.prevent_default();
            reply_to(conversation, number);
            return;
        }
        "Escape" if here.is_some() => {
            event.prevent_default();
            focus("composer");
            return;
        }
        _ => return,
    };
    if let Some(article) = to {
        event.prevent_default();
        let _ = article.focus();
    }
}

fn last_article(feed: &Element) -> Option<HtmlElement> {
    let articles = feed.query_selector_all("article").ok()?;
    articles.item(articles.length().checked_sub(1)?)?.dyn_into().ok()
}

/// The message after or before this one.
fn beside(article: &Element, after: bool) -> Option<HtmlElement> {
    let next = |it: &Element| if after { it.next_element_sibling() } else { it.previous_element_sibling() };
    let turn = article.closest(".turn").ok()??;
    let found = next(&turn).or_else(|| {
        let block = next(&turn.parent_element()?)?;
        if after { block.first_element_child() } else { block.last_element_child() }
    });
    found?.query_selector("article").ok()??.dyn_into().ok()
}
