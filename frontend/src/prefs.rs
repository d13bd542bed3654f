//! What a person sets for this browser: language and theme.

use crate::browser::{document, storage, window};
use crate::i18n::{Lang, set_lang};

const LANG: &str = "letopis:lang";
const THEME: &str = "letopis:theme";
/// A trace that somebody is signed in here; the credentials themselves no script can see.
const TRACE: &str = "letopis:signed-in";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    System,
    Light,
    Dark,
}

impl Theme {
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

pub fn theme() -> Theme {
    let kept = storage::get(THEME);
    Theme::ALL.into_iter().find(|theme| Some(theme.name()) == kept.as_deref()).unwrap_or(Theme::System)
}

pub fn choose_theme(theme: Theme) {
    storage::set(THEME, theme.name());
    apply_theme(theme);
}

fn apply_theme(theme: Theme) {
    if let Some(root) = document().document_element() {
        let _ = match theme {
            Theme::System => root.remove_attribute("data-theme"),
            Theme::Light | Theme::Dark => root.set_attribute("data-theme", theme.name()),
        };
    }
}

fn kept_lang() -> Lang {
    if let Some(lang) = storage::get(LANG).and_then(|tag| Lang::of_tag(&tag)) {
        return lang;
    }
    Lang::negotiate(window().navigator().languages().iter().filter_map(|tag| tag.as_string()))
}

pub fn choose_lang(lang: Lang) {
    storage::set(LANG, lang.tag());
    apply_lang(lang);
}

fn apply_lang(lang: Lang) {
    set_lang(lang);
    if let Some(root) = document().document_element() {
        let _ = root.set_attribute("lang", lang.tag());
    }
}

/// Brings the page to what was chosen, or to what the browser asks for.
pub fn apply() {
    apply_theme(theme());
    apply_lang(kept_lang());
}

pub fn leaves_trace() -> bool {
    storage::get(TRACE).is_some()
}

pub fn set_trace(signed_in: bool) {
    if signed_in {
        storage::set(TRACE, "1");
    } else {
        storage::remove(TRACE);
    }
}
