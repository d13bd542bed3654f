//! What one lets others see. Every choice is saved at once, and can be taken back.

use domain::views::{Audience, Settings, SettingsChanges};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::Answer;
use crate::browser::focus;
use crate::i18n::t;
use crate::state::Store;
use crate::wording::failure_text;

const TITLE: &str = "privacy-title";

/// What became of the last choice.
#[derive(Clone, PartialEq)]
enum Said {
    Nothing,
    Saving,
    /// And how it was before.
    Saved(Settings),
    Failed(String),
}

#[derive(Clone, Copy)]
struct Desk {
    store: Store,
    /// As the screen shows them.
    shown: RwSignal<Settings>,
    said: RwSignal<Said>,
    /// Whether some are being sent; what is chosen meanwhile goes after them.
    sending: RwSignal<bool>,
}

impl Desk {
    /// Shows the choice, and has it saved.
    fn choose(self, wanted: Settings) {
        let before = self.shown.get_untracked();
        if before == wanted {
            return;
        }
        self.shown.set(wanted);
        self.said.set(Said::Saving);
        if self.sending.get_untracked() {
            return;
        }
        self.sending.set(true);
        spawn_local(async move {
            let saved = self.save().await;
            self.sending.try_set(false);
            self.said.try_set(match saved {
                Ok(()) => Said::Saved(before),
                Err(failure) => {
                    // What it is, not what was wished.
                    self.shown.try_set(self.store.me.with_untracked(|me| me.settings));
                    Said::Failed(failure_text(&failure))
                }
            });
        });
    }

    /// Sends what differs until the server has what is shown.
    async fn save(self) -> Answer<()> {
        loop {
            let known = self.store.me.with_untracked(|me| me.settings);
            let Some(wanted) = self.shown.try_get_untracked().filter(|wanted| *wanted != known) else {
                return Ok(());
            };
            let done = self.store.api.change_settings(&changes(known, wanted)).await?;
            self.store.me.update(|me| {
                me.settings = wanted;
                me.position = me.position.max(done.position);
            });
        }
    }
}

fn changes(from: Settings, to: Settings) -> SettingsChanges {
    SettingsChanges {
        discoverable: (from.discoverable != to.discoverable).then_some(to.discoverable),
        photo: (from.photo != to.photo).then_some(to.photo),
        about: (from.about != to.about).then_some(to.about),
        presence: (from.presence != to.presence).then_some(to.presence),
    }
}

#[component]
pub fn Privacy() -> impl IntoView {
    let store = expect_context::<Store>();
    let desk = Desk {
        store,
        shown: RwSignal::new(store.me.with_untracked(|me| me.settings)),
        said: RwSignal::new(Said::Nothing),
        sending: RwSignal::new(false),
    };
    // Changed on another screen.
    Effect::new(move || {
        let known = store.me.with(|me| me.settings);
        if !desk.sending.get_untracked() && desk.shown.get_untracked() != known {
            desk.shown.set(known);
            desk.said.set(Said::Nothing);
        }
    });
    let discoverable = move || desk.shown.with(|shown| shown.discoverable);
    let audience = move |name: &'static str,
                         words: &'static str,
                         of: fn(&Settings) -> Audience,
                         with: fn(Settings, Audience) -> Settings| {
        let choice = move |to: Audience, words: &str| {
            view! {
                <label class="choice">
                    <input type="radio" name=name prop:checked=move || desk.shown.with(of) == to
                        on:change=move |_| desk.choose(with(desk.shown.get_untracked(), to))/>
                    <span>{t(words)}</span>
                </label>
            }
        };
        view! {
            <fieldset class="choices">
                <legend>{t(words)}</legend>
                {choice(Audience::Everyone, "privacy.everyone")}
                {choice(Audience::Friends, "privacy.friends")}
            </fieldset>
        }
    };
    let said = move || {
        match desk.said.get() {
        Said::Nothing => ().into_any(),
        Said::Saving => view! { <span class="muted">{t("privacy.saving")}</span> }.into_any(),
        Said::Saved(before) => view! {
            <span class="good">{t("saved")}</span> " "
            <button type="button" class="link" on:click=move |_| { desk.choose(before); focus(TITLE); }>{t("privacy.undo")}</button>
        }
        .into_any(),
        Said::Failed(text) => view! { <span class="field-error">{text}</span> }.into_any(),
    }
    };
    view! {
        <section class="block" aria-labelledby=TITLE>
            <h2 id=TITLE tabindex="-1">{t("privacy.title")}</h2>
            <label class="switch">
                <input type="checkbox" role="switch" aria-describedby="discoverable-hint" prop:checked=discoverable
                    on:change=move |event| {
                        let discoverable = event_target_checked(&event);
                        desk.choose(Settings { discoverable, ..desk.shown.get_untracked() });
                    }/>
                <span class="switch-track" aria-hidden="true"></span>
                <span>{t("privacy.discoverable")}</span>
            </label>
            <p class="field-hint" id="discoverable-hint">{t("privacy.discoverable.hint")}</p>
            {audience("audience-photo", "privacy.photo", |it| it.photo, |it, photo| Settings { photo, ..it })}
            {audience("audience-about", "privacy.about", |it| it.about, |it, about| Settings { about, ..it })}
            {audience("audience-presence", "privacy.presence", |it| it.presence, |it, presence| Settings { presence, ..it })}
            <p class="saving" role="status">{said}</p>
        </section>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_sent_and_leads_to_what_is_wanted() {
        let before = Settings::default();
        let after = Settings { discoverable: false, presence: Audience::Friends, ..before };
        let sent = changes(before, after);
        assert_eq!((sent.photo, sent.about), (None, None));
        assert_eq!(sent.to(before), after);
        assert_eq!(changes(after, after), SettingsChanges::default());
    }
}
