//! The own photo: choosing, seeing it first, sending, taking it away.

use domain::problem::Kind;
use domain::views::PersonState;
use futures::future::{AbortHandle, abortable};
use leptos::html::Input;
use leptos::prelude::*;
use leptos::task::spawn_local;
use uuid::Uuid;
use wasm_bindgen::JsCast;
use web_sys::{ClipboardEvent, DataTransfer, DragEvent, Event, File, HtmlElement};

use crate::api::{Failure, photo_path};
use crate::browser::{focus, new_key, next_frame};
use crate::components::avatar::{Size, avatar};
use crate::i18n::{t, t_with};
use crate::picture::{MOST_BYTES, MOST_PIXELS, Picture, TYPES, Unfit, measure};
use crate::state::Store;
use crate::wording::failure_text;

/// Where the focus goes after a step.
const CHANGE: &str = "photo-change";
const SAVE: &str = "photo-save";
const REMOVE: &str = "photo-remove-yes";

const MILLION: u32 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Resting,
    /// A picture is chosen, and seen as it will be.
    Chosen,
    Sending,
    /// It did not arrive, and may the next time.
    Failed,
    /// The server does not take this picture; only another one helps.
    Refused,
    /// Whether the photo may really go is asked.
    Asking,
    Removing,
}

/// What is wrong with the picture itself, so that sending it again is of no use.
fn unfit(failure: &Failure) -> Option<Unfit> {
    let Failure::Refused(problem) = failure else { return None };
    match () {
        () if problem.is(Kind::TooLarge) => Some(Unfit::TooLarge),
        () if problem.is(Kind::UnsupportedType) => Some(Unfit::WrongType),
        () if problem.errors.iter().any(|error| error.code == "too-many-pixels") => {
            Some(Unfit::TooManyPixels)
        }
        () if problem.is(Kind::Invalid) => Some(Unfit::Broken),
        () => None,
    }
}

fn unfit_text(unfit: Unfit) -> String {
    let (key, max) = match unfit {
        Unfit::TooLarge => ("photo.too-large", MOST_BYTES),
        Unfit::WrongType => ("photo.wrong-type", 0),
        Unfit::TooManyPixels => ("photo.too-many-pixels", MOST_PIXELS),
        Unfit::Broken => ("photo.broken", 0),
        Unfit::Unreadable => ("photo.unreadable", 0),
    };
    t_with(key, &[("max", &(max / MILLION).to_string())])
}

/// Moves the focus once the screen shows where to.
fn focus_soon(id: &'static str) {
    spawn_local(async move {
        next_frame().await;
        focus(id);
    });
}

/// Everything that the buttons share.
#[derive(Clone, Copy)]
struct Desk {
    store: Store,
    step: RwSignal<Step>,
    /// Where the chosen picture can be seen.
    preview: RwSignal<Option<String>>,
    /// What went wrong.
    trouble: RwSignal<Option<String>>,
    /// A passing word about what has been done.
    said: RwSignal<Option<String>>,
    /// How much has gone, in percent.
    gone: RwSignal<u32>,
    /// Whether a file is held over the page.
    dropping: RwSignal<bool>,
    picture: StoredValue<Option<Picture>, LocalStorage>,
    /// Stays the same while the same is tried again.
    key: StoredValue<Uuid>,
    sending: StoredValue<Option<AbortHandle>>,
    /// Counts the files that were taken, of which the last one matters.
    taken: StoredValue<u32>,
}

impl Desk {
    fn new(store: Store) -> Self {
        Self {
            store,
            step: RwSignal::new(Step::Resting),
            preview: RwSignal::new(None),
            trouble: RwSignal::new(None),
            said: RwSignal::new(None),
            gone: RwSignal::new(0),
            dropping: RwSignal::new(false),
            picture: StoredValue::new_local(None),
            key: StoredValue::new(Uuid::nil()),
            sending: StoredValue::new(None),
            taken: StoredValue::new(0),
        }
    }

    fn is_busy(self) -> bool {
        matches!(self.step.get_untracked(), Step::Sending | Step::Removing)
    }

    fn clear_words(self) {
        self.trouble.set(None);
        self.said.set(None);
    }

    /// Back to rest, with `said` as the last word.
    fn rest(self, said: Option<String>) {
        if self.step.try_set(Step::Resting).is_some() {
            // The screen is gone meanwhile.
            return;
        }
        self.clear_words();
        self.said.set(said);
        self.preview.set(None);
        self.picture.set_value(None);
        focus_soon(CHANGE);
    }

    /// Looks at a file that was chosen, dropped or pasted.
    fn take(self, file: File) {
        if self.is_busy() {
            return;
        }
        self.taken.update_value(|count| *count += 1);
        let this = self.taken.get_value();
        self.clear_words();
        spawn_local(async move {
            let picture = Picture::take(&file).await;
            if self.taken.try_get_value() != Some(this) || self.is_busy() {
                return;
            }
            match picture {
                Ok(picture) => {
                    self.key.set_value(new_key());
                    self.preview.set(Some(picture.url.0.clone()));
                    self.picture.set_value(Some(picture));
                    self.step.set(Step::Chosen);
                    focus_soon(SAVE);
                }
                Err(unfit) => self.trouble.set(Some(unfit_text(unfit))),
            }
        });
    }

    fn send(self) {
        let Some(picture) = self.picture.get_value().filter(|_| !self.is_busy()) else { return };
        let (store, key) = (self.store, self.key.get_value());
        self.step.set(Step::Sending);
        self.clear_words();
        self.gone.set(0);
        let (sent, handle) = abortable(async move {
            let on_progress = move |gone| {
                self.gone.try_set(gone);
            };
            store.api.change_photo(&picture, key, on_progress).await?;
            store.reload_me().await;
            // The new photo takes the preview's place without the initials in between.
            if let Some(photo) = store.me.with_untracked(|me| me.photo_id.clone()) {
                measure(&photo_path(&photo, 256)).await;
            }
            Ok(())
        });
        self.sending.set_value(Some(handle));
        spawn_local(async move {
            let sent = sent.await;
            match sent {
                Ok(Ok(())) => self.rest(Some(t("photo.saved"))),
                Ok(Err(failure)) if unfit(&failure).is_some() => self.failed(Step::Refused, &failure),
                Ok(Err(failure)) => self.failed(Step::Failed, &failure),
                // It may have arrived all the same.
                Err(_) => store.reload_me().await,
            }
        });
    }

    fn failed(self, back_to: Step, failure: &Failure) {
        if self.step.try_set(back_to).is_some() {
            self.store.complain(failure);
        } else if *failure != Failure::Ended {
            let text = unfit(failure).map_or_else(|| failure_text(failure), unfit_text);
            self.trouble.set(Some(text));
        }
    }

    fn cancel(self) {
        if self.step.get_untracked() == Step::Removing {
            return;
        }
        if let Some(handle) = self.sending.try_update_value(Option::take).flatten() {
            handle.abort();
        }
        self.rest(None);
    }

    fn ask(self) {
        self.key.set_value(new_key());
        self.clear_words();
        self.step.set(Step::Asking);
        focus_soon(REMOVE);
    }

    fn remove(self) {
        if self.is_busy() {
            return;
        }
        self.step.set(Step::Removing);
        self.clear_words();
        let (store, key) = (self.store, self.key.get_value());
        spawn_local(async move {
            match store.api.remove_photo(key).await {
                Ok(_) => {
                    store.reload_me().await;
                    self.rest(Some(t("photo.removed")));
                }
                Err(failure) => self.failed(Step::Asking, &failure),
            }
        });
    }

    /// Takes what is dropped or pasted anywhere on the screen. A file that is dropped beside must not open in the
    /// app's place.
    fn hear(self, event: &Event) {
        let data = match event.dyn_ref::<DragEvent>() {
            Some(drag) => drag.data_transfer(),
            None => event.dyn_ref::<ClipboardEvent>().and_then(ClipboardEvent::clipboard_data),
        };
        let holds = |kind: &str| data.as_ref().is_some_and(|data| data.types().includes(&kind.into(), 0));
        let kind = event.type_();
        if kind == "dragleave" {
            // Without a related target the pointer has left the window, and not only an element in it.
            if event.dyn_ref::<DragEvent>().is_some_and(|drag| drag.related_target().is_none()) {
                self.dropping.set(false);
            }
            return;
        }
        // Text that is pasted into a field is meant for the field, whatever else comes with it.
        if !holds("Files") || kind == "paste" && holds("text/plain") && is_field(event) {
            return;
        }
        event.prevent_default();
        self.dropping.set(kind == "dragover" && !self.is_busy());
        let file = data.as_ref().and_then(DataTransfer::files).and_then(|files| files.get(0));
        if let Some(file) = file.filter(|_| kind != "dragover") {
            self.take(file);
        }
    }
}

fn is_field(event: &Event) -> bool {
    let target = event.target().and_then(|target| target.dyn_into::<HtmlElement>().ok());
    target.is_some_and(|target| matches!(target.tag_name().as_str(), "INPUT" | "TEXTAREA"))
}

#[component]
pub fn OwnPhoto() -> impl IntoView {
    let store = expect_context::<Store>();
    let desk = Desk::new(store);
    for event in ["dragover", "dragleave", "drop", "paste"] {
        let here = window_event_listener_untyped(event, move |event| desk.hear(&event));
        on_cleanup(move || here.remove());
    }
    let input = NodeRef::<Input>::new();
    let pick = Callback::new(move |()| {
        if let Some(input) = input.get_untracked() {
            input.click();
        }
    });
    let picked = move |_| {
        let Some(input) = input.get_untracked() else { return };
        let file = input.files().and_then(|files| files.get(0));
        // The same file can be chosen again after it was mended.
        input.set_value("");
        if let Some(file) = file {
            desk.take(file);
        }
    };
    let escape = move |event: web_sys::KeyboardEvent| {
        if event.key() == "Escape" && desk.step.get_untracked() != Step::Resting {
            event.prevent_default();
            desk.cancel();
        }
    };
    let photo = Memo::new(move |_| store.me.with(|me| me.photo_id.clone()));
    let chosen = Memo::new(move |_| desk.preview.with(Option::is_some));
    let asked = Memo::new(move |_| matches!(desk.step.get(), Step::Asking | Step::Removing));
    let controls = move || match (chosen.get(), asked.get()) {
        (_, true) => question(desk),
        (true, _) => sending(desk, pick),
        _ => resting(desk, photo, pick),
    };
    let status = move || match desk.step.get() {
        Step::Sending => Some(t("photo.sending")),
        Step::Chosen => Some(t("photo.preview.note")),
        _ => desk.said.get(),
    };
    view! {
        <div class="photo" class:dropping=desk.dropping role="group" aria-label=t("photo.label") on:keydown=escape>
            {face(desk, photo)}
            <div class="photo-side">
                {controls}
                <p role="status" class="photo-status">{status}</p>
                <div role="alert">
                    {move || desk.trouble.get().map(|text| view! { <p class="form-alert">{text}</p> })}
                </div>
                <p class="field-hint">{t_with("photo.hint", &[("max", &(MOST_BYTES / MILLION).to_string())])}</p>
            </div>
            <input type="file" class="photo-file" hidden accept=TYPES aria-label=t("photo.file") node_ref=input on:change=picked/>
        </div>
    }
    .into_any()
}

/// The photo as it is, or as it will be.
fn face(desk: Desk, photo: Memo<Option<String>>) -> AnyView {
    let store = desk.store;
    let name = Memo::new(move |_| store.me.with(|me| me.name.clone().unwrap_or_default()));
    let label = move || match (desk.preview.with(Option::is_some), photo.with(Option::is_some)) {
        (true, _) => t("photo.preview"),
        (false, true) => t("photo.yours"),
        (false, false) => t("photo.none"),
    };
    view! {
        <div class="photo-face" role="img" aria-label=label>
            {move || match desk.preview.get() {
                Some(url) => view! {
                    <span class="avatar large" aria-hidden="true"><img class="face loaded" alt="" src=url/></span>
                }
                .into_any(),
                None => avatar(store.my_id, &name.get(), PersonState::Active, photo, Size::Large),
            }}
        </div>
    }
    .into_any()
}

fn resting(desk: Desk, photo: Memo<Option<String>>, pick: Callback<()>) -> AnyView {
    let has = Memo::new(move |_| photo.with(Option::is_some));
    view! {
        <div class="photo-steps">
            <button type="button" class="button" id=CHANGE on:click=move |_| pick.run(())>
                {move || t(if has.get() { "photo.change" } else { "photo.add" })}
            </button>
            <button type="button" class="button quiet danger" hidden=move || !has.get() on:click=move |_| desk.ask()>{t("photo.remove")}</button>
        </div>
    }
    .into_any()
}

fn sending(desk: Desk, pick: Callback<()>) -> AnyView {
    let busy = move || desk.step.get() == Step::Sending;
    // The button stays the same one, so that it keeps the focus.
    let label = move || match desk.step.get() {
        Step::Refused => t("photo.another"),
        Step::Failed => t("retry"),
        _ => t("photo.save"),
    };
    let go = move |_| match desk.step.get_untracked() {
        Step::Refused => pick.run(()),
        _ => desk.send(),
    };
    view! {
        <div class="photo-steps">
            <button type="button" class="button primary" id=SAVE aria-disabled=move || busy().then_some("true") on:click=go>{label}</button>
            <button type="button" class="button" on:click=move |_| desk.cancel()>{t("cancel")}</button>
        </div>
        <progress class="photo-progress" max="100" hidden=move || !busy() aria-label=t("photo.sending") value=move || desk.gone.get().to_string()></progress>
    }
    .into_any()
}

fn question(desk: Desk) -> AnyView {
    let disabled = move || (desk.step.get() == Step::Removing).then_some("true");
    view! {
        <div class="photo-question" role="group" aria-label=t("photo.remove")>
            <p>{t("photo.remove.question")}</p>
            <div class="photo-steps">
                <button type="button" class="button danger" id=REMOVE aria-disabled=disabled on:click=move |_| desk.remove()>{t("photo.remove")}</button>
                <button type="button" class="button" aria-disabled=disabled on:click=move |_| desk.cancel()>{t("cancel")}</button>
            </div>
        </div>
    }
    .into_any()
}
