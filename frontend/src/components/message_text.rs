//! A message's text with its web addresses made into links. Everything is rendered as text.

use leptos::prelude::*;

use super::mention::parts;

#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Words(&'a str),
    Link(&'a str),
}

/// Splits at addresses that begin with `http://` or `https://`; punctuation at their end is not of them.
fn split(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut rest, mut from) = (text, 0);
    while let Some(start) = next_address(rest, from) {
        let length = address_length(&rest[start..]);
        if length == 0 {
            from = start + 1;
            continue;
        }
        if start > 0 {
            parts.push(Part::Words(&rest[..start]));
        }
        parts.push(Part::Link(&rest[start..start + length]));
        rest = &rest[start + length..];
        from = 0;
    }
    if !rest.is_empty() {
        parts.push(Part::Words(rest));
    }
    parts
}

/// Where the next `http://` or `https://` at or after `from` begins, if it doesn't stand in the middle of a word.
fn next_address(text: &str, from: usize) -> Option<usize> {
    let candidates =
        text.char_indices().filter(|&(at, letter)| at >= from && (letter == 'h' || letter == 'H'));
    let is_start = |at: usize| {
        let bytes = &text.as_bytes()[at..];
        let scheme = |name: &str| {
            bytes.len() > name.len() && bytes[..name.len()].eq_ignore_ascii_case(name.as_bytes())
        };
        let alone = !text[..at].ends_with(|before: char| before.is_alphanumeric());
        alone && (scheme("http://") || scheme("https://"))
    };
    candidates.map(|(at, _)| at).find(|&at| is_start(at))
}

/// How many bytes of `text` are the address that it begins with; 0 if there is no host.
fn address_length(text: &str) -> usize {
    let ends = |letter: char| {
        letter.is_whitespace() || letter.is_control() || matches!(letter, '<' | '>' | '"' | '«' | '»')
    };
    let mut address = &text[..text.find(ends).unwrap_or(text.len())];
    while let Some(last) = address.chars().next_back() {
        let opened =
            |open: char, close: char| address.matches(open).count() >= address.matches(close).count();
        let keep = match last {
            ')' => opened('(', ')'),
            ']' => opened('[', ']'),
            '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '*' | '_' | '…' | '”' | '’' | '}' => false,
            _ => true,
        };
        if keep {
            break;
        }
        address = &address[..address.len() - last.len_utf8()];
    }
    let host = address.find("://").map_or("", |at| &address[at + 3..]);
    if host.starts_with(|first: char| first.is_alphanumeric() || first == '[') { address.len() } else { 0 }
}

/// `mine` says of a nickname whether it is one's own; nothing of one that nobody here has.
pub fn message_text(text: &str, mine: &dyn Fn(&str) -> Option<bool>) -> AnyView {
    let part = |part: Part<'_>| {
        match part {
        Part::Words(words) => parts(words, &|name| mine(name).is_some()).into_iter().map(|(words, name)| match name.and_then(mine) {
            Some(mine) => view! { <b class="mention" class:me=mine>{words.to_owned()}</b> }.into_any(),
            None => words.to_owned().into_any(),
        })
        .collect_view()
        .into_any(),
        Part::Link(address) => view! {
            <a href=address.to_owned() target="_blank" rel="noopener noreferrer nofollow">{address.to_owned()}</a>
        }
        .into_any(),
    }
    };
    split(text).into_iter().map(part).collect_view().into_any()
}

#[cfg(test)]
mod tests {
    use super::Part::{Link, Words};
    use super::*;

    #[test]
    fn addresses_become_links_without_the_punctuation_around() {
        assert_eq!(
            split("see https://example.org/a?b=c, ok"),
            [Words("see "), Link("https://example.org/a?b=c"), Words(", ok")]
        );
        assert_eq!(
            split("(HTTP://example.org/x_(y)) and «https://пример.рф».»"),
            [
                Words("("),
                Link("HTTP://example.org/x_(y)"),
                Words(") and «"),
                Link("https://пример.рф"),
                Words("».»")
            ]
        );
    }

    #[test]
    fn nothing_but_web_addresses_becomes_a_link() {
        for text in
            ["javascript:alert(1)", "http://", "xhttp://example.org", "https:// x", "ftp://example.org", ""]
        {
            assert!(split(text).iter().all(|part| matches!(part, Words(_))), "{text}");
        }
    }

    #[test]
    fn no_letter_is_lost() {
        let text = "hh https://a.b\nhttps://c.d/ é https://[::1]/ h";
        let joined = split(text).into_iter().map(|part| match part {
            Words(text) | Link(text) => text,
        });
        assert_eq!(joined.collect::<String>(), text);
    }
}
