//! What the next message is to carry: chosen, pasted or dropped, and uploaded one after the other.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use domain::ids::{ChatId, PersonId};
use domain::requests::Uploaded;
use domain::text::ATTACHMENTS_MAX;
use domain::views::Attachment;
use futures::future::{AbortHandle, abortable};
use leptos::prelude::*;
use leptos::task::spawn_local;
use uuid::Uuid;
use web_sys::{File, FileList};

use super::icon::Icon;
use crate::api::Load;
use crate::browser::new_key;
use crate::i18n::{t, t_with};
use crate::picture::Picture;
use crate::state::Store;
use crate::wording::failure_text;

/// The server takes no larger file, in bytes.
const MOST_BYTES: f64 = 20.0 * 1024.0 * 1024.0;

#[derive(Clone)]
enum Stage {
    Waiting,
    /// In percent.
    Going(u32),
    Done(Uploaded),
    Failed(String),
}

/// One of them. Its key stays the same however often it is tried.
#[derive(Clone)]
struct Chosen {
    key: Uuid,
    name: String,
    load: Rc<Load>,
    stage: ArcRwSignal<Stage>,
}

impl Chosen {
    fn is_done(&self) -> bool {
        self.stage.with(|stage| matches!(stage, Stage::Done(_)))
    }

    fn waits(&self) -> bool {
        self.stage.with_untracked(|stage| matches!(stage, Stage::Waiting))
    }
}

thread_local! {
    /// What was chosen in a chat that is not open now.
    static KEPT: RefCell<HashMap<(PersonId, ChatId), Vec<Chosen>>> = RefCell::default();
}

/// All of them, in their order.
#[derive(Clone, Copy)]
pub struct Loads {
    store: Store,
    chosen: RwSignal<Vec<Chosen>, LocalStorage>,
    /// The one that is being uploaded, and how to stop it.
    going: StoredValue<Option<(Uuid, AbortHandle)>>,
}

impl Loads {
    /// What was chosen for `chat` when it was left is there again.
    pub fn new(store: Store, chat: ChatId) -> Self {
        let chosen = KEPT.with_borrow_mut(|kept| kept.remove(&(store.my_id, chat))).unwrap_or_default();
        let loads = Self { store, chosen: RwSignal::new_local(chosen), going: StoredValue::new(None) };
        on_cleanup(move || {
            let left = loads.chosen.try_update(std::mem::take).unwrap_or_default();
            if !left.is_empty() {
                KEPT.with_borrow_mut(|kept| kept.insert((store.my_id, chat), left));
            }
        });
        loads.go_on();
        loads
    }

    pub fn is_empty(self) -> bool {
        self.chosen.with(Vec::is_empty)
    }

    /// Whether all have arrived.
    pub fn is_ready(self) -> bool {
        self.chosen.with(|all| all.iter().all(Chosen::is_done))
    }

    /// Takes what has arrived, for a message.
    pub fn take(self) -> Vec<Attachment> {
        let all = self.chosen.try_update(std::mem::take).unwrap_or_default();
        all.into_iter()
            .filter_map(|one| match one.stage.get_untracked() {
                Stage::Done(Uploaded { blob_id, kind, media_type, size, width, height, .. }) => {
                    Some(Attachment { blob_id, kind, media_type, size, width, height, name: one.name })
                }
                _ => None,
            })
            .collect()
    }

    pub fn add_list(self, list: &FileList) {
        let files: Vec<File> = (0..list.length()).filter_map(|index| list.get(index)).collect();
        self.add(files);
    }

    pub fn add(self, files: Vec<File>) {
        spawn_local(async move {
            for file in files {
                if self.chosen.try_with_untracked(Vec::len).is_none_or(|count| count >= ATTACHMENTS_MAX) {
                    let most = ATTACHMENTS_MAX.to_string();
                    self.store.notice.set(Some(t_with("attachment.too-many", &[("max", &most)])));
                    break;
                }
                let name = if file.name().is_empty() { t("attachment.picture") } else { file.name() };
                // What is no picture that the server makes anew goes as the file that it is.
                let load = match Picture::take(&file).await {
                    Ok(picture) => Load::Picture(picture),
                    Err(_) if file.size() > MOST_BYTES => {
                        self.store.notice.set(Some(t_with("attachment.too-large", &[("name", &name)])));
                        continue;
                    }
                    Err(_) => Load::File(file),
                };
                let stage = ArcRwSignal::new(Stage::Waiting);
                let chosen = Chosen { key: new_key(), name, load: Rc::new(load), stage };
                if self.chosen.try_update(|all| all.push(chosen)).is_none() {
                    // The chat was left meanwhile.
                    return;
                }
                self.go_on();
            }
        });
    }

    fn remove(self, key: Uuid) {
        self.chosen.update(|all| all.retain(|one| one.key != key));
        self.going.with_value(|going| {
            if let Some((_, handle)) = going.as_ref().filter(|(going, _)| *going == key) {
                handle.abort();
            }
        });
    }

    /// Uploads what waits, one at a time.
    fn go_on(self) {
        let next = move || {
            self.chosen.try_with_untracked(|all| all.iter().find(|one| one.waits()).cloned()).flatten()
        };
        let Some(Chosen { key, load, stage, .. }) =
            next().filter(|_| self.going.try_with_value(Option::is_none) == Some(true))
        else {
            return;
        };
        stage.set(Stage::Going(0));
        let (store, gone) = (self.store, stage.clone());
        let (sent, handle) = abortable(async move {
            let on_progress = move |percent| gone.set(Stage::Going(percent));
            store.api.upload(&load, key, &on_progress).await
        });
        self.going.set_value(Some((key, handle)));
        spawn_local(async move {
            match sent.await {
                Ok(Ok(uploaded)) => stage.set(Stage::Done(uploaded)),
                Ok(Err(failure)) => stage.set(Stage::Failed(failure_text(&failure))),
                Err(_) => {}
            }
            if self.going.try_set_value(None).is_none() {
                self.go_on();
            }
        });
    }

    pub fn view(self) -> AnyView {
        let each = move || {
            let plain = |one: &Chosen| {
                let seen = match &*one.load {
                    Load::Picture(picture) => Some(picture.url.0.clone()),
                    Load::File(_) => None,
                };
                (one.key, one.name.clone(), seen, one.stage.clone())
            };
            self.chosen.with(|all| all.iter().map(plain).collect::<Vec<_>>())
        };
        let row = move |(key, name, seen, stage): (Uuid, String, Option<String>, ArcRwSignal<Stage>)| {
            let picture = match seen {
                Some(url) => view! { <img src=url alt=""/> }.into_any(),
                None => view! { <span class="file-mark">{Icon::File.view()}</span> }.into_any(),
            };
            let away = t_with("attachment.remove", &[("name", &name)]);
            let progress = t_with("attachment.progress", &[("name", &name)]);
            let percent = {
                let stage = stage.clone();
                Memo::new(move |_| match stage.get() {
                    Stage::Going(percent) => Some(percent),
                    _ => None,
                })
            };
            // The bar stays the same bar while it grows.
            let kind = {
                let stage = stage.clone();
                Memo::new(move |_| stage.with(std::mem::discriminant))
            };
            let again = stage.clone();
            let state = move || {
                // Read and not only tracked: a memo that nobody has read knows of no change.
                kind.get();
                if percent.with_untracked(Option::is_some) {
                    return view! { <progress max="100" value=move || percent.get().unwrap_or(100) aria-label=progress.clone()></progress> }
                        .into_any();
                }
                match stage.get_untracked() {
                    Stage::Waiting => {
                        view! { <span class="muted">{t("attachment.waiting")}</span> }.into_any()
                    }
                    Stage::Failed(why) => {
                        let again = again.clone();
                        let retry = move |_| {
                            again.set(Stage::Waiting);
                            self.go_on();
                        };
                        view! {
                            <span class="load-failed" role="alert">{why} " "
                                <button type="button" class="link" on:click=retry>{t("retry")}</button>
                            </span>
                        }
                        .into_any()
                    }
                    Stage::Going(_) | Stage::Done(_) => ().into_any(),
                }
            };
            view! {
                <li class="load">
                    {picture}
                    <span class="load-words"><span class="file-name" dir="auto">{name}</span> {state}</span>
                    <button type="button" class="icon-button" title=away.clone() aria-label=away on:click=move |_| self.remove(key)>
                        {Icon::Close.view()}
                    </button>
                </li>
            }
        };
        view! {
            <Show when=move || !self.is_empty()>
                <ul class="loads" aria-label=t("attachment.list")><For each key=|one| one.0 children=row/></ul>
            </Show>
        }
        .into_any()
    }
}
