//! What a message carries.

use domain::ids::BlobId;
use domain::views::{Attachment, AttachmentKind};
use leptos::html::Img;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsCast;

use super::acts::{Act, Acts};
use super::icon::Icon;
use crate::api::{PREVIEW, blob_path};
use crate::browser::{document, sleep};
use crate::format;
use crate::i18n::t_with;
use crate::state::Store;

/// Milliseconds until a picture that did not load is asked for again.
const PAUSES: [u32; 2] = [1_500, 8_000];

/// Pictures first, then files. Without a number (it is not sent yet) a picture does not open.
pub fn attachments_view(attachments: &[Attachment], number: Option<u64>) -> AnyView {
    let store = expect_context::<Store>();
    let acts = use_context::<Acts>();
    let of = |kind| attachments.iter().filter(move |it| it.kind == kind);
    let pictures = of(AttachmentKind::Image).enumerate().map(|(index, it)| {
        let label = t_with("attachment.open", &[("name", &it.name)]);
        let open = move |_| {
            if let Some((acts, number)) = acts.zip(number) {
                acts.ask(Act::Picture(number, index));
            }
        };
        view! {
            <button type="button" class="picture" aria-label=label on:click=open>
                <Preview blob=it.blob_id size=(it.width.unwrap_or(PREVIEW), it.height.unwrap_or(PREVIEW))/>
            </button>
        }
    });
    let files = of(AttachmentKind::File).map(|it| {
        view! {
            <div class="file">
                <span class="file-mark">{Icon::File.view()}</span>
                {download_link(store, it.blob_id, it.name.clone())}
                <span class="file-size">{format::size(it.size)}</span>
            </div>
        }
    });
    view! { <div class="carried">{pictures.collect_view()} {files.collect_view()}</div> }.into_any()
}

/// A picture, small. Its place is kept before it is there.
#[component]
fn Preview(
    blob: BlobId,
    /// Pixels of the whole.
    size: (u32, u32),
) -> impl IntoView {
    let image = NodeRef::<Img>::new();
    let (width, height) = fitted(size.0, size.1);
    let path = blob_path(blob, Some(PREVIEW));
    let on_error = ask_again(image, path.clone(), || {});
    view! {
        <img node_ref=image src=path alt="" width=width height=height loading="lazy" decoding="async" draggable="false"
            on:error=on_error/>
    }
    .into_any()
}

/// What to do when a picture does not load: its credentials may have run out, or too much was asked for. After some
/// tries it is given up.
pub fn ask_again(
    image: NodeRef<Img>,
    path: String,
    give_up: impl Fn() + 'static,
) -> impl FnMut(web_sys::ErrorEvent) {
    let store = expect_context::<Store>();
    let mut pauses = PAUSES.iter();
    move |_| {
        let Some(pause) = pauses.next() else { return give_up() };
        let path = path.clone();
        spawn_local(async move {
            sleep(*pause).await;
            store.renew_for_photos().await;
            if let Some(image) = image.try_get_untracked().flatten() {
                image.set_src(&path);
            }
        });
    }
}

/// A link that saves a file under its own name. Credentials that have run out are renewed before.
pub fn download_link(store: Store, blob: BlobId, name: String) -> AnyView {
    let path = blob_path(blob, None);
    let (from, to, words) = (path.clone(), name.clone(), name.clone());
    let save = move |event: web_sys::MouseEvent| {
        event.prevent_default();
        let (from, to) = (from.clone(), to.clone());
        spawn_local(async move {
            match store.api.me().await {
                Ok(_) => download(&from, &to),
                Err(failure) => store.complain(&failure),
            }
        });
    };
    view! { <a class="file-name" dir="auto" href=path download=name on:click=save>{words}</a> }.into_any()
}

fn download(path: &str, name: &str) {
    let Ok(link) = document().create_element("a") else { return };
    let named = link.set_attribute("href", path).and_then(|()| link.set_attribute("download", name));
    if named.is_ok()
        && let Some(link) = link.dyn_ref::<web_sys::HtmlElement>()
    {
        link.click();
    }
}

/// Width and height as they are shown: at most 320 by 320, never enlarged, and never too narrow to be seen.
pub fn fitted(width: u32, height: u32) -> (u32, u32) {
    const MOST: u64 = 320;
    const LEAST: u64 = 48;
    let (width, height) = (u64::from(width), u64::from(height));
    let longest = width.max(height).max(MOST);
    let fit = |side: u64| u32::try_from((side * MOST / longest).max(side.min(LEAST))).unwrap_or(u32::MAX);
    (fit(width), fit(height))
}

#[cfg(test)]
mod tests {
    use super::fitted;

    #[test]
    fn a_picture_keeps_its_shape() {
        assert_eq!(fitted(2048, 1024), (320, 160));
        assert_eq!(fitted(100, 50), (100, 50));
        assert_eq!(fitted(0, 0), (0, 0));
        assert_eq!(fitted(24_000_000, 1), (320, 1));
        assert_eq!(fitted(6_000, 60), (320, 48));
    }
}
