//! Letopis in the browser.

mod api;
mod app;
mod browser;
mod components;
mod format;
mod frame;
mod gist;
mod i18n;
mod invite;
mod later;
mod live;
mod pages;
mod picture;
mod prefs;
mod route;
mod state;
mod wording;

fn main() {
    std::panic::set_hook(Box::new(browser::crash));
    prefs::apply();
    leptos::mount::mount_to_body(app::App);
}
