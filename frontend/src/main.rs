//! Letopis in the browser.

mod api;
mod app;
mod browser;
mod components;
mod format;
mod frame;
mod i18n;
mod live;
mod pages;
mod prefs;
mod route;
mod state;
mod wording;

fn main() {
    prefs::apply();
    // The skeleton that was painted before the program arrived makes room for the app.
    if let Some(shell) = browser::document().get_element_by_id("shell") {
        shell.remove();
    }
    leptos::mount::mount_to_body(app::App);
}
