//! Line icons, drawn on a grid of 24. They say nothing to a screen reader: what they stand for has a name beside.

use leptos::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    Chats,
    People,
    Settings,
    Search,
    Send,
    Back,
    Close,
    Reply,
    Down,
    Clock,
    Check,
    Checks,
    Alert,
    PersonAdd,
    Offline,
    Plus,
    More,
    Pin,
    Muted,
    Link,
    File,
    Clip,
}

impl Icon {
    fn path(self) -> &'static str {
        match self {
            Self::Chats => {
                "M4 5.5h16a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1h-9l-5 4v-4H4a1 1 0 0 1-1-1v-9a1 1 0 0 1 1-1z"
            }
            Self::People => {
                "M9 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 19.5c.6-3.3 3.2-5 6.5-5s5.900 1.700 6.500 5\
                 M15.500 4.900a3.500 3.500 0 0 1 0 6.200M17.500 15c2.200.600 3.600 2.200 4 4.500"
            }
            Self::Settings => {
                "M4 7h9M19 7h1M4 12h1M11 12h9M4 17h7M17 17h3M16 4.700v4.600M8 9.700v4.600M14 14.700v4.600"
            }
            Self::Search => {
                "M10.500 17a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13zM15.500 15.500L20.500 20.500"
            }
            Self::Send => "M4 11.800L20 4l-5.500 16-3.200-6.700zM11.300 13.300L20 4",
            Self::Back => "M15 5l-7 7 7 7",
            Self::Close => "M6 6l12 12M18 6L6 18",
            Self::Reply => "M10 6L4 12l6 6M4.500 12H14c3.600 0 6 2.200 6 6",
            Self::Down => "M5 9l7 7 7-7",
            Self::Clock => "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM12 7.500V12l3 2",
            Self::Check => "M5 12.500l4.500 4.500L19 7",
            Self::Checks => "M2 12.500l4.500 4.500L16 7M11 16l1.200 1L22 7",
            Self::Alert => "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM12 8v5M12 16v.100",
            Self::PersonAdd => {
                "M10 11.500a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM3.500 19.500c.600-3.300 3.200-5 6.500-5s5.900 1.700 6.500 5\
                 M19 8v6M16 11h6"
            }
            Self::Plus => "M12 5v14M5 12h14",
            Self::More => {
                "M4.600 12a.900.900 0 1 0 1.800 0 .900.900 0 1 0-1.800 0zM11.100 12a.900.900 0 1 0 1.800 0 .900.900 0 1 0-1.800 0z\
                 M17.600 12a.900.900 0 1 0 1.800 0 .900.900 0 1 0-1.800 0z"
            }
            Self::Pin => "M9 4h6l-1 6 3.500 3.500v1.500h-11v-1.500L10 10zM12 15v5.500",
            Self::Muted => {
                "M17 13.500V10a5 5 0 0 0-8.200-3.800M7 9.500V14l-1.500 2.500h11M10.500 19.500a2 2 0 0 0 3 0M4 4l16 16"
            }
            Self::File => "M7 3.500h7l4 4v13H7zM13.500 3.500V8H18",
            Self::Clip => {
                "M19 11.500l-7.500 7.500a4.500 4.500 0 0 1-6.400-6.400l8-8a3 3 0 0 1 4.300 4.300l-8 8a1.500 1.500 0 0 1-2.200-2.200l7-7"
            }
            Self::Link => {
                "M10 14a4 4 0 0 0 5.700 0l3-3A4 4 0 0 0 13 5.300l-1 1M14 10a4 4 0 0 0-5.700 0l-3 3A4 4 0 0 0 11 18.700l1-1"
            }
            Self::Offline => {
                "M3 3l18 18M8.500 16.500a5 5 0 0 1 6-.700M5 12.800a10 10 0 0 1 4.500-2.500M2 9a15 15 0 0 1 4-2.600M11 6a15 15 0 0 1 11 3M15 10.700a10 10 0 0 1 4 2.100M12 20v.100"
            }
        }
    }

    pub fn view(self) -> AnyView {
        view! {
            <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
                <path d=self.path()></path>
            </svg>
        }
        .into_any()
    }
}
