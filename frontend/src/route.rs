//! The app's addresses, and moving between them.

use domain::ids::{ChatId, PersonId};
use leptos::prelude::*;
use wasm_bindgen::prelude::*;

use crate::browser::{on_window, window};

/// Every screen that has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    SignIn,
    SignUp,
    Chats(Option<ChatId>),
    NewGroup,
    /// What an invitation leads to; its token stands behind `#`, and never in the path.
    Invite,
    People(Option<PersonId>),
    Settings,
    Unknown,
}

impl Route {
    /// The route of a path; a query and a fragment do not belong to it.
    pub fn parse(path: &str) -> Self {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let route = match (parts.next(), parts.next()) {
            (None, _) | (Some("chats"), None) => Self::Chats(None),
            (Some("chats"), Some("new")) => Self::NewGroup,
            (Some("invite"), None) => Self::Invite,
            (Some("chats"), Some(id)) => id.parse().map_or(Self::Unknown, |id| Self::Chats(Some(id))),
            (Some("people"), None) => Self::People(None),
            (Some("people"), Some(id)) => id.parse().map_or(Self::Unknown, |id| Self::People(Some(id))),
            (Some("settings"), None) => Self::Settings,
            (Some("signin"), None) => Self::SignIn,
            (Some("signup"), None) => Self::SignUp,
            _ => Self::Unknown,
        };
        if parts.next().is_some() { Self::Unknown } else { route }
    }

    pub fn path(self) -> String {
        match self {
            Self::SignIn => "/signin".to_owned(),
            Self::SignUp => "/signup".to_owned(),
            Self::Chats(None) | Self::Unknown => "/chats".to_owned(),
            Self::Chats(Some(id)) => format!("/chats/{id}"),
            Self::NewGroup => "/chats/new".to_owned(),
            Self::Invite => "/invite".to_owned(),
            Self::People(None) => "/people".to_owned(),
            Self::People(Some(id)) => format!("/people/{id}"),
            Self::Settings => "/settings".to_owned(),
        }
    }

    /// Whether one needs no session to be here.
    pub fn is_public(self) -> bool {
        matches!(self, Self::SignIn | Self::SignUp)
    }
}

/// Where the app is. The one place that touches the browser's history.
#[derive(Clone, Copy)]
pub struct Router {
    route: RwSignal<Route>,
}

impl Router {
    /// Follows the history, and every plain click on a link of the app.
    pub fn start() -> Self {
        let here = || Route::parse(&window().location().pathname().unwrap_or_default());
        let router = Self { route: RwSignal::new(here()) };
        on_window("popstate", move |_| router.route.set(here()));
        on_window("click", move |event| {
            if let Some(route) = followed(&event) {
                event.prevent_default();
                router.go(route);
            }
        });
        router
    }

    pub fn get(self) -> Route {
        self.route.get()
    }

    pub fn peek(self) -> Route {
        self.route.get_untracked()
    }

    /// Goes to `route`, with a step in the history.
    pub fn go(self, route: Route) {
        if self.peek() != route {
            if let Ok(history) = window().history() {
                let _ = history.push_state_with_url(&JsValue::NULL, "", Some(&route.path()));
            }
            self.route.set(route);
        }
    }

    /// Goes to `route` in place of where one is.
    pub fn replace(self, route: Route) {
        self.replace_with(route, &route.path());
    }

    /// Goes to an invitation in place of where one is.
    pub fn replace_with_invite(self, token: &str) {
        self.replace_with(Route::Invite, &format!("{}#{token}", Route::Invite.path()));
    }

    fn replace_with(self, route: Route, address: &str) {
        if let Ok(history) = window().history() {
            let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(address));
        }
        self.route.set(route);
    }
}

/// The route that a click leads to, if the app and not the browser should follow it.
fn followed(event: &web_sys::Event) -> Option<Route> {
    let click = event.dyn_ref::<web_sys::MouseEvent>()?;
    if event.default_prevented()
        || click.button() != 0
        || click.ctrl_key()
        || click.meta_key()
        || click.shift_key()
        || click.alt_key()
    {
        return None;
    }
    let target = event.target()?.dyn_into::<web_sys::Element>().ok()?;
    let link = target.closest("a[href]").ok().flatten()?;
    let href = link.get_attribute("href")?;
    if !href.starts_with('/') || href.starts_with("//") || link.has_attribute("target") {
        return None;
    }
    Some(Route::parse(&href)).filter(|route| *route != Route::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_route_and_back() {
        let id = "0192f0c1-2345-7000-8000-000000000001";
        for path in ["/chats", "/chats/new", "/invite", "/people", "/settings", "/signin", "/signup"] {
            assert_eq!(Route::parse(path).path(), path);
        }
        for path in [format!("/chats/{id}"), format!("/people/{id}")] {
            assert_eq!(Route::parse(&path).path(), path);
        }
        assert_eq!(Route::parse("/"), Route::Chats(None));
        assert_eq!(Route::parse("/chats/"), Route::Chats(None));
        for path in ["/chats/7", "/nowhere", "/settings/x", "/invite/x", &format!("/chats/{id}/x")] {
            assert_eq!(Route::parse(path), Route::Unknown, "{path}");
        }
    }
}
