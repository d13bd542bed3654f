//! Mentions: what is being typed after an `@`, and who it may mean.

use domain::views::Author;

/// Offered at most.
pub const OFFERED: usize = 6;

/// A letter of a nickname.
fn is_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-')
}

/// The byte where an `@` begins that ends at `caret` (in UTF-16 units), and what was typed after it.
pub fn asked(text: &str, caret: u32) -> Option<(usize, &str)> {
    let mut units = 0_u32;
    let end = text
        .char_indices()
        .find(|(_, letter)| {
            let reached = units >= caret;
            units += u32::try_from(letter.len_utf16()).unwrap_or(1);
            reached
        })
        .map_or(text.len(), |(at, _)| at);
    let before = &text[..end];
    let at = before.rfind('@')?;
    let typed = &before[at + 1..];
    let begins = !before[..at].ends_with(|letter: char| letter.is_alphanumeric());
    (begins && typed.chars().all(is_of_name) && typed.chars().count() <= 32).then_some((at, typed))
}

/// Those whose nickname or name begins with what was typed.
pub fn offered<'a>(names: &'a [Author], me: domain::ids::PersonId, typed: &str) -> Vec<&'a Author> {
    let typed = typed.to_lowercase();
    let fits = |author: &&Author| {
        let words = author.name.split_whitespace();
        author.user_id != me
            && !author.nickname.is_empty()
            && (author.nickname.to_lowercase().starts_with(&typed)
                || words.map(str::to_lowercase).any(|word| word.starts_with(&typed)))
    };
    names.iter().filter(fits).take(OFFERED).collect()
}

/// Splits words at mentions: each part, and the nickname that it mentions. `known` tells where a nickname ends that may
/// end as a sentence does.
pub fn parts<'a>(words: &'a str, known: &dyn Fn(&str) -> bool) -> Vec<(&'a str, Option<&'a str>)> {
    let mut parts = Vec::new();
    let mut from = 0;
    for (at, _) in words.match_indices('@') {
        if at < from || words[..at].ends_with(|letter: char| letter.is_alphanumeric()) {
            continue;
        }
        let rest = &words[at + 1..];
        let length = rest.find(|letter| !is_of_name(letter)).unwrap_or(rest.len());
        let mut name = &rest[..length];
        while name.ends_with(['.', '-']) && !known(name) {
            name = &name[..name.len() - 1];
        }
        if name.is_empty() {
            continue;
        }
        if at > from {
            parts.push((&words[from..at], None));
        }
        let end = at + 1 + name.len();
        parts.push((&words[at..end], Some(name)));
        from = end;
    }
    if from < words.len() {
        parts.push((&words[from..], None));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_after_an_at_is_asked_for_where_the_caret_stands() {
        assert_eq!(asked("hi @bo", 6), Some((3, "bo")));
        assert_eq!(asked("@", 1), Some((0, "")));
        assert_eq!(asked("😀 @ж, then", 5), Some((5, "ж")));
        for (text, caret) in [("bob@example", 11), ("hi @bo and", 10), ("none", 4), ("@bo", 0)] {
            assert_eq!(asked(text, caret), None, "{text}");
        }
    }

    #[test]
    fn mentions_are_told_from_the_words_around_them() {
        assert_eq!(
            parts("hi @bob, and a@b.c @x.", &|_| false),
            [("hi ", None), ("@bob", Some("bob")), (", and a@b.c ", None), ("@x", Some("x")), (".", None)]
        );
        assert_eq!(parts("@ @@", &|_| true), [("@ @@", None)]);
    }

    #[test]
    fn a_nickname_may_end_as_a_sentence_does() {
        let known = |name: &str| ["o.", "o"].contains(&name);
        assert_eq!(parts("@o.", &known), [("@o.", Some("o."))]);
        assert_eq!(parts("so says @o...", &known), [("so says ", None), ("@o.", Some("o.")), ("..", None)]);
        assert_eq!(parts("@o-", &known), [("@o", Some("o")), ("-", None)]);
    }
}
