//! What a message is to carry: chosen, pasted or dropped for the next one, and on its way with one that is written.

use std::cell::RefCell;

use domain::ids::{ChatId, PersonId};
use domain::text::ATTACHMENTS_MAX;
use leptos::prelude::*;
use leptos::task::spawn_local;
use uuid::Uuid;
use web_sys::{File, FileList};

use super::attachment::fitted;
use super::icon::Icon;
use crate::api::Load;
use crate::format;
use crate::i18n::{t, t_with};
use crate::picture::Picture;
use crate::state::{Stage, Store, Upload};
use crate::wording::failure_text;

/// The server takes no larger file, in bytes.
const MOST_BYTES: f64 = 20.0 * 1024.0 * 1024.0;

/// Whose, and in which chat.
type Place = (PersonId, ChatId);

thread_local! {
    /// What was chosen in a chat that is not open now.
    static KEPT: RefCell<Vec<(Place, Upload)>> = RefCell::default();
    /// What is chosen in the chat that is open.
    static OPEN: RefCell<Vec<Loads>> = RefCell::default();
}

/// All of them, in their order.
#[derive(Clone, Copy)]
pub struct Loads {
    store: Store,
    chat: ChatId,
    chosen: RwSignal<Vec<Upload>, LocalStorage>,
    /// How many lists of files are being looked at, and are not among the chosen ones yet.
    looking: RwSignal<usize>,
    /// Whether a message is to go as soon as they are.
    awaited: RwSignal<bool>,
}

impl Loads {
    /// What was chosen for `chat` when it was left is there again.
    pub fn new(store: Store, chat: ChatId) -> Self {
        let of_this = |(place, _): &mut (Place, Upload)| *place == (store.my_id, chat);
        let chosen: Vec<Upload> =
            KEPT.with_borrow_mut(|kept| kept.extract_if(.., of_this).map(|(_, upload)| upload).collect());
        // Those that an earlier session could not finish.
        chosen
            .iter()
            .filter(|upload| untrack(|| !upload.has_failed()))
            .for_each(|upload| store.upload(upload));
        let loads = Self {
            store,
            chat,
            chosen: RwSignal::new_local(chosen),
            looking: RwSignal::new(0),
            awaited: RwSignal::new(false),
        };
        OPEN.with_borrow_mut(|open| open.push(loads));
        on_cleanup(move || {
            OPEN.with_borrow_mut(|open| open.retain(|it| it.chosen != loads.chosen));
            loads.keep(loads.chosen.try_update(std::mem::take).unwrap_or_default());
        });
        loads
    }

    pub fn is_empty(self) -> bool {
        self.chosen.with(Vec::is_empty)
    }

    /// Whether a message that was to go now waits for files that were just given, or it would go without them.
    pub fn waits_to_send(self) -> bool {
        let waits = self.looking.get_untracked() > 0;
        self.awaited.set(waits);
        waits
    }

    /// It does not go by itself any more.
    pub fn wait_no_more(self) {
        self.awaited.set(false);
    }

    /// Whether the message that waited can go.
    pub fn can_go_now(self) -> bool {
        self.awaited.get() && self.looking.get() == 0
    }

    /// Whether a message can go with them. They need not have arrived for that.
    pub fn is_good(self) -> bool {
        self.chosen.with(|all| !all.iter().any(Upload::has_failed))
    }

    /// Takes them for a message.
    pub fn take(self) -> Vec<Upload> {
        self.chosen.try_update(std::mem::take).unwrap_or_default()
    }

    pub fn add_list(self, list: &FileList) {
        let files: Vec<File> = (0..list.length()).filter_map(|index| list.get(index)).collect();
        self.add(files);
    }

    pub fn add(self, files: Vec<File>) {
        self.looking.update(|count| *count += 1);
        spawn_local(async move {
            self.look_at(files).await;
            self.looking.try_update(|count| *count -= 1);
        });
    }

    async fn look_at(self, files: Vec<File>) {
        for file in files {
            if self.count() >= ATTACHMENTS_MAX {
                let most = ATTACHMENTS_MAX.to_string();
                self.refuse(t_with("attachment.too-many", &[("max", &most)]));
                break;
            }
            let name = if file.name().is_empty() { t("attachment.picture") } else { file.name() };
            // What is no picture that the server makes anew goes as the file that it is.
            let load = match Picture::take(&file).await {
                Ok(picture) => Load::Picture(picture),
                Err(_) if file.size() > MOST_BYTES => {
                    self.refuse(t_with("attachment.too-large", &[("name", &name)]));
                    continue;
                }
                Err(_) => Load::File(file),
            };
            let upload = Upload::new(name, load);
            // The chat may have been left meanwhile, and may be open again.
            match self.open() {
                Some(open) => open.chosen.update(|all| all.push(upload.clone())),
                None => self.keep([upload.clone()]),
            }
            self.store.upload(&upload);
        }
    }

    /// Says why a file does not go along. The message that waited for it does not go without it.
    fn refuse(self, why: String) {
        self.store.notice.set(Some(why));
        self.awaited.try_set(false);
    }

    fn place(self) -> Place {
        (self.store.my_id, self.chat)
    }

    /// Those of this chat that are on the screen.
    fn open(self) -> Option<Self> {
        OPEN.with_borrow(|open| open.iter().rfind(|it| it.place() == self.place()).copied())
    }

    fn count(self) -> usize {
        match self.open() {
            Some(open) => open.chosen.with_untracked(Vec::len),
            None => KEPT.with_borrow(|kept| kept.iter().filter(|(place, _)| *place == self.place()).count()),
        }
    }

    /// Keeps what was chosen for when the chat is opened again.
    fn keep(self, left: impl IntoIterator<Item = Upload>) {
        let left = left.into_iter().map(|upload| (self.place(), upload));
        KEPT.with_borrow_mut(|kept| kept.extend(left));
    }

    fn remove(self, key: Uuid) {
        self.chosen.update(|all| all.retain(|one| one.key != key));
        self.store.stop_upload(key);
    }

    pub fn view(self) -> AnyView {
        let each = move || self.chosen.with(|all| all.iter().map(Shown::from).collect::<Vec<_>>());
        let row = move |upload: Shown| {
            let picture = match &upload.picture {
                Some((url, _)) => view! { <img src=url.clone() alt=""/> }.into_any(),
                None => view! { <span class="file-mark">{Icon::File.view()}</span> }.into_any(),
            };
            let key = upload.key;
            let away = t_with("attachment.remove", &[("name", &upload.name)]);
            let retry = move || {
                let again = self.chosen.with_untracked(|all| all.iter().find(|one| one.key == key).cloned());
                again.iter().for_each(|upload| self.store.upload(upload));
            };
            let progress = progress_view(&upload, Some(Callback::new(move |()| retry())));
            view! {
                <li class="load">
                    {picture}
                    <span class="load-words"><span class="file-name" dir="auto">{upload.name}</span> {progress}</span>
                    <button type="button" class="icon-button" title=away.clone() aria-label=away on:click=move |_| self.remove(key)>
                        {Icon::Close.view()}
                    </button>
                </li>
            }
        };
        view! {
            <Show when=move || !self.is_empty()>
                <ul class="loads" aria-label=t("attachment.list")><For each key=|one| one.key children=row/></ul>
            </Show>
        }
        .into_any()
    }
}

/// What of an upload is on the screen.
#[derive(Clone)]
struct Shown {
    key: Uuid,
    name: String,
    /// Its address in this browser, and its width and height.
    picture: Option<(String, (u32, u32))>,
    /// In bytes.
    size: u64,
    stage: ArcRwSignal<Stage>,
}

impl From<&Upload> for Shown {
    fn from(upload: &Upload) -> Self {
        let (picture, size) = match &*upload.load {
            Load::Picture(it) => (Some((it.url.0.clone(), it.size)), u64::from(it.bytes.byte_length())),
            Load::File(file) => (None, file.size() as u64),
        };
        Self { key: upload.key, name: upload.name.clone(), picture, size, stage: upload.stage.clone() }
    }
}

/// How far an upload is, and what went wrong with it.
fn progress_view(upload: &Shown, retry: Option<Callback<()>>) -> AnyView {
    let stage = upload.stage.clone();
    let label = t_with("attachment.progress", &[("name", &upload.name)]);
    // The bar stays the same bar while it grows.
    let kind = {
        let stage = stage.clone();
        Memo::new(move |_| stage.with(std::mem::discriminant))
    };
    let state = move || {
        // Read and not only tracked: a memo that nobody has read knows of no change.
        kind.get();
        match stage.get_untracked() {
            Stage::Going(_) => {
                let stage = stage.clone();
                let percent =
                    move || stage.with(|stage| if let Stage::Going(percent) = stage { *percent } else { 100 });
                view! { <progress max="100" value=percent aria-label=label.clone()></progress> }.into_any()
            }
            Stage::Waiting => view! { <span class="muted">{t("attachment.waiting")}</span> }.into_any(),
            Stage::Failed(failure) => match retry {
                Some(retry) => view! {
                    <span class="load-failed" role="alert">{failure_text(&failure)} " "
                        <button type="button" class="link" on:click=move |_| retry.run(())>{t("retry")}</button>
                    </span>
                }
                .into_any(),
                None => view! { <span class="load-failed">{t("attachment.failed")}</span> }.into_any(),
            },
            Stage::Done(_) => ().into_any(),
        }
    };
    state.into_any()
}

/// What an unsent message carries, as it lies in this browser.
pub fn uploads_view(uploads: &[Upload]) -> AnyView {
    let one = |upload: &Upload| {
        let shown = Shown::from(upload);
        let progress = progress_view(&shown, None);
        match shown.picture {
            Some((url, (width, height))) => {
                let (width, height) = fitted(width, height);
                view! {
                    <div class="picture uploading">
                        <img src=url alt=shown.name width=width height=height draggable="false"/> {progress}
                    </div>
                }
                .into_any()
            }
            None => view! {
                <div class="file">
                    <span class="file-mark">{Icon::File.view()}</span>
                    <span class="load-words"><span class="file-name" dir="auto">{shown.name}</span> {progress}</span>
                    <span class="file-size">{format::size(shown.size)}</span>
                </div>
            }
            .into_any(),
        }
    };
    view! { <div class="carried">{uploads.iter().map(one).collect_view()}</div> }.into_any()
}
