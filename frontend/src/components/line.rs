//! What happened in a group between two messages, in words.

use domain::views::{Author, Line, LineKind, Role};
use leptos::prelude::*;

use super::chat_row::title_or;
use super::message::author_name;
use crate::format;
use crate::i18n::{t, t_count, t_with};
use crate::state::TOGETHER;

fn words(line: &Line) -> String {
    let name = |author: &Option<Author>| author.as_ref().map(author_name).unwrap_or_default();
    let (by, person) = (name(&line.by), name(&line.person));
    let title = title_or(line.title.as_deref().unwrap_or_default());
    let key = match (line.kind, line.role) {
        (LineKind::Created, _) => "line.created",
        (LineKind::Renamed, _) => "line.renamed",
        (LineKind::Added, _) => "line.added",
        (LineKind::Joined, _) => "line.joined",
        (LineKind::Left, _) => "line.left",
        (LineKind::Removed, _) => "line.removed",
        (LineKind::RoleSet, Some(Role::Owner)) => "line.owner",
        (LineKind::RoleSet, Some(Role::Admin)) => "line.admin",
        (LineKind::RoleSet, _) => "line.member",
        (LineKind::Dissolved, _) => "line.dissolved",
    };
    t_with(key, &[("by", &by), ("person", &person), ("title", &title)])
}

/// Lines under each other; of very many, how many stand above the last ones.
pub fn lines_view(lines: &[Line]) -> AnyView {
    let hidden = lines.len().saturating_sub(TOGETHER);
    let more = (hidden > 0).then(|| {
        view! { <p class="line">{t_count("line.more", hidden as u64)}</p> }
    });
    let shown = lines[hidden..].iter().map(|line| {
        view! {
            <p class="line" dir="auto" title=format::full(line.at) data-position=line.position.to_string()>{words(line)}</p>
        }
    });
    view! { {more} {shown.collect_view()} }.into_any()
}

/// What stands for the text of a message that shows none.
pub fn gone(by: domain::views::Deleted) -> AnyView {
    view! { <p class="gone">{crate::gist::deleted_text(by)}</p> }.into_any()
}

/// A person's name, or that it is oneself.
pub fn of_me(mine: bool, author: &Author) -> String {
    if mine { t("message.you") } else { author_name(author) }
}
