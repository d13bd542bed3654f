//! What people may write, and the forms in which it is compared. Lengths count scalar values.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

use crate::problem::FieldError;

pub const EMAIL_MAX: usize = 254;
pub const NICKNAME_MIN: usize = 2;
pub const NICKNAME_MAX: usize = 32;
pub const NAME_MAX: usize = 64;
pub const ABOUT_MAX: usize = 500;
pub const TEXT_MAX: usize = 4_000;
pub const FILE_NAME_MAX: usize = 255;
/// What a message carries at most.
pub const ATTACHMENTS_MAX: usize = 10;

fn at_most(pointer: &str, text: &str, max: usize) -> Result<(), FieldError> {
    if text.chars().count() > max {
        return Err(FieldError::new(pointer, "too-long").with("max", max));
    }
    Ok(())
}

fn not_blank(pointer: &str, text: &str) -> Result<(), FieldError> {
    if text.trim().is_empty() {
        return Err(FieldError::new(pointer, "too-short").with("min", 1));
    }
    Ok(())
}

/// Characters that would change how the text around them is laid out: controls, and the
/// embeddings, overrides and isolates of the bidirectional algorithm.
fn disturbs(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters that show nothing, white space apart: a name of these alone would be no name.
fn invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

/// An email address: something, an `@`, a host; without white space. Whether it exists only a mail
/// can tell. White space around it is ignored.
///
/// # Errors
/// `required`, `too-long` or `bad-email`.
pub fn check_email(pointer: &str, email: &str) -> Result<(), FieldError> {
    let email = email.trim();
    if email.is_empty() {
        return Err(FieldError::new(pointer, "required"));
    }
    at_most(pointer, email, EMAIL_MAX)?;
    let good = email.rsplit_once('@').is_some_and(|(local, host)| {
        !local.is_empty()
            && !local.contains('@')
            && !email.chars().any(|c| c.is_whitespace() || disturbs(c) || ",;:<>()[]\\\"".contains(c))
            && host
                .split('.')
                .all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
    });
    if good { Ok(()) } else { Err(FieldError::new(pointer, "bad-email")) }
}

/// Letters to Unicode, but nothing to see.
const FILLERS: [char; 4] = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'];

/// A nickname: 2 to 32 letters and digits of any script, `.`, `_`, `-`; begins with a letter or a
/// digit. Marks may follow a letter, since many scripts cannot be written without them.
///
/// # Errors
/// `required`, `too-short`, `too-long` or `bad-nickname`.
pub fn check_nickname(pointer: &str, nickname: &str) -> Result<(), FieldError> {
    if nickname.is_empty() {
        return Err(FieldError::new(pointer, "required"));
    }
    if nickname.chars().count() < NICKNAME_MIN {
        return Err(FieldError::new(pointer, "too-short").with("min", NICKNAME_MIN));
    }
    at_most(pointer, nickname, NICKNAME_MAX)?;
    let mut previous = None;
    for c in nickname.chars() {
        let letter = c.is_alphanumeric() && !is_combining_mark(c) && !FILLERS.contains(&c);
        let good = match previous {
            None => letter,
            Some(before) => {
                letter
                    || matches!(c, '.' | '_' | '-')
                    || (is_combining_mark(c) && !matches!(before, '.' | '_' | '-'))
            }
        };
        if !good {
            return Err(FieldError::new(pointer, "bad-nickname"));
        }
        previous = Some(c);
    }
    Ok(())
}

/// A name: 1 to 64 characters, not only white space, one line.
///
/// # Errors
/// `too-short`, `too-long` or `bad-character`.
pub fn check_name(pointer: &str, name: &str) -> Result<(), FieldError> {
    not_blank(pointer, name)?;
    if name.chars().all(|c| c.is_whitespace() || invisible(c)) {
        return Err(FieldError::new(pointer, "too-short").with("min", 1));
    }
    at_most(pointer, name, NAME_MAX)?;
    if name.chars().any(disturbs) {
        return Err(FieldError::new(pointer, "bad-character"));
    }
    Ok(())
}

/// What one says of oneself: at most 500 characters, lines allowed; empty for nothing.
///
/// # Errors
/// `too-long` or `bad-character`.
pub fn check_about(pointer: &str, about: &str) -> Result<(), FieldError> {
    at_most(pointer, about, ABOUT_MAX)?;
    if about.chars().any(|c| disturbs(c) && !matches!(c, '\n' | '\t')) {
        return Err(FieldError::new(pointer, "bad-character"));
    }
    Ok(())
}

/// A message's text: 1 to 4,000 scalar values as sent, not only white space. It is kept exactly.
///
/// # Errors
/// `too-short` or `too-long`, with the limits.
pub fn check_text(pointer: &str, text: &str) -> Result<(), FieldError> {
    not_blank(pointer, text)?;
    at_most(pointer, text, TEXT_MAX)
}

/// A message's text beside what it carries: a picture needs no words.
///
/// # Errors
/// As [`check_text`]; `too-long` for more attachments than a message carries.
pub fn check_message(pointer: &str, text: &str, attachments: usize) -> Result<(), FieldError> {
    if attachments > ATTACHMENTS_MAX {
        return Err(FieldError::new("/attachments", "too-long").with("max", ATTACHMENTS_MAX));
    }
    if attachments > 0 && text.is_empty() { Ok(()) } else { check_text(pointer, text) }
}

/// A group's title: as [`check_name`].
///
/// # Errors
/// As there.
pub fn check_title(pointer: &str, title: &str) -> Result<(), FieldError> {
    check_name(pointer, title)
}

/// What a file is called: 1 to 255 characters, one line, nothing that reads as a path.
///
/// # Errors
/// `too-short`, `too-long` or `bad-character`.
pub fn check_file_name(pointer: &str, name: &str) -> Result<(), FieldError> {
    not_blank(pointer, name)?;
    at_most(pointer, name, FILE_NAME_MAX)?;
    if name.chars().any(|c| disturbs(c) || matches!(c, '/' | '\\')) {
        return Err(FieldError::new(pointer, "bad-character"));
    }
    Ok(())
}

/// One emoji, as Unicode's list of those recommended for general interchange has it.
///
/// # Errors
/// `bad-emoji`.
#[cfg(feature = "aggregates")]
pub fn check_emoji(pointer: &str, emoji: &str) -> Result<(), FieldError> {
    match emojis::get(emoji) {
        // Of its spellings the one with all its selectors, so that nobody reacts twice with one emoji.
        Some(known) if known.as_str() == emoji => Ok(()),
        _ => Err(FieldError::new(pointer, "bad-emoji")),
    }
}

fn compatible_folded(text: &str) -> String {
    // Folding can undo the normal form and the other way round; two rounds reach the fixed point.
    let once: String = caseless::default_case_fold_str(&text.nfkc().collect::<String>()).nfkc().collect();
    caseless::default_case_fold_str(&once).nfkc().collect()
}

/// The form in which email addresses are claimed and found (`email/1`): NFKC, case-folded, trimmed.
pub fn email_key(email: &str) -> String {
    compatible_folded(email).trim().to_owned()
}

/// The form in which nicknames are claimed (`nickname/1`): NFKC, case-folded, then the skeleton of
/// UTS 39, so that names that look alike are one name. The skeleton of a digit can be a capital
/// (`0` and `O`), hence folded once more.
pub fn nickname_key(nickname: &str) -> String {
    let skeleton: String = unicode_security::skeleton(&compatible_folded(nickname)).collect();
    compatible_folded(&skeleton)
}

/// The form in which names are searched: NFKC, case-folded, without accents. Only the accents of
/// alphabets go; the vowel signs of Indic scripts, say, are letters to their readers.
pub fn fold(text: &str) -> String {
    let bare: String = text.nfkd().filter(|c| !is_accent(*c)).flat_map(unstroked).collect();
    compatible_folded(&bare)
}

fn is_accent(c: char) -> bool {
    canonical_combining_class(c) != 0
        && matches!(c,
            '\u{300}'..='\u{36f}'
            | '\u{483}'..='\u{487}'
            | '\u{591}'..='\u{5c7}'
            | '\u{610}'..='\u{61a}'
            | '\u{64b}'..='\u{65f}'
            | '\u{670}'
            | '\u{1ab0}'..='\u{1aff}'
            | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}'
            | '\u{fe20}'..='\u{fe2f}')
}

/// Letters whose stroke has no decomposition in Unicode.
fn unstroked(c: char) -> impl Iterator<Item = char> {
    let (first, second) = match c {
        'ł' | 'Ł' => ('l', None),
        'ø' | 'Ø' => ('o', None),
        'đ' | 'Đ' => ('d', None),
        'ħ' | 'Ħ' => ('h', None),
        'ı' => ('i', None),
        'æ' | 'Æ' => ('a', Some('e')),
        'œ' | 'Œ' => ('o', Some('e')),
        c => (c, None),
    };
    std::iter::once(first).chain(second)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(result: Result<(), FieldError>) -> Option<String> {
        result.err().map(|error| error.code)
    }

    #[test]
    fn an_email_has_two_sides() {
        for good in
            ["ann@example.org", " ann@example.org\n", "a.b+c@mail.example", "анна@почта.рф", "a@localhost"]
        {
            assert_eq!(code(check_email("/email", good)), None, "{good}");
        }
        for bad in
            ["ann", "@example.org", "ann@", "a b@example.org", "a@b@c.org", "a@b..c", "a@-b.org", "<a@b.org>"]
        {
            assert_eq!(code(check_email("/email", bad)).as_deref(), Some("bad-email"), "{bad}");
        }
        assert_eq!(code(check_email("/email", " ")).as_deref(), Some("required"));
        let long = format!("{}@example.org", "a".repeat(243));
        assert_eq!(code(check_email("/email", &long)).as_deref(), Some("too-long"));
        assert_eq!(email_key(" Ann@Example.ORG "), email_key("ann@example.org"));
    }

    #[test]
    fn a_nickname_is_letters_and_digits_of_any_script() {
        for good in ["ann", "Анна.К", "李小龍", "7up", "a_-.", "हिन्दी", "y\u{306}o\u{308}"]
        {
            assert_eq!(code(check_nickname("/nickname", good)), None, "{good}");
        }
        let bad = [
            "_ann",
            ".a",
            "a b",
            "a@b",
            "ann!",
            "a\u{200b}b",
            "a\u{202e}b",
            "a.\u{301}",
            "\u{301}a",
            "a/b",
            "😀😀",
            "\u{3164}\u{3164}",
        ];
        for bad in bad {
            assert_eq!(code(check_nickname("/nickname", bad)).as_deref(), Some("bad-nickname"), "{bad:?}");
        }
        assert_eq!(code(check_nickname("/nickname", "a")).as_deref(), Some("too-short"));
        assert_eq!(code(check_nickname("/nickname", &"я".repeat(32))), None);
        assert_eq!(code(check_nickname("/nickname", &"я".repeat(33))).as_deref(), Some("too-long"));
    }

    #[test]
    fn nicknames_that_look_alike_are_one() {
        for (a, b) in [
            ("раул", "paул"),
            ("Ann", "aNN"),
            ("ａｎｎ", "ann"),
            ("bob", "bоb"),
            ("b0b", "bob"),
            ("STRASSE", "straße"),
        ] {
            assert_eq!(nickname_key(a), nickname_key(b), "{a} {b}");
        }
        for (a, b) in [("ann", "anna"), ("раул", "пaул"), ("jose", "josé"), ("tom", "tim")] {
            assert_ne!(nickname_key(a), nickname_key(b), "{a} {b}");
        }
    }

    #[test]
    fn a_name_is_one_line() {
        assert_eq!(code(check_name("/name", &"я".repeat(64))), None);
        assert_eq!(code(check_name("/name", &"я".repeat(65))).as_deref(), Some("too-long"));
        assert_eq!(code(check_name("/name", " \u{2003}")).as_deref(), Some("too-short"));
        assert_eq!(code(check_name("/name", "\u{200b}\u{3164}")).as_deref(), Some("too-short"));
        assert_eq!(code(check_name("/name", "\u{200b}я")), None);
        assert_eq!(code(check_name("/name", "a\nb")).as_deref(), Some("bad-character"));
        assert_eq!(code(check_name("/name", "a\u{202e}b")).as_deref(), Some("bad-character"));
        assert_eq!(code(check_about("/about", "two\nlines")), None);
        assert_eq!(code(check_about("/about", "")), None);
        assert_eq!(code(check_about("/about", "a\u{7}b")).as_deref(), Some("bad-character"));
        assert_eq!(code(check_about("/about", &"я".repeat(501))).as_deref(), Some("too-long"));
    }

    #[test]
    fn a_text_is_measured_as_sent() {
        assert_eq!(code(check_text("/text", "  x ")), None);
        assert_eq!(code(check_text("/text", " \n\t")).as_deref(), Some("too-short"));
        assert_eq!(code(check_text("/text", &"👍".repeat(4_000))), None);
        assert_eq!(
            code(check_text("/text", &format!("{} ", "x".repeat(4_000)))).as_deref(),
            Some("too-long")
        );
    }

    #[test]
    fn search_ignores_case_and_accents() {
        for (a, b) in [
            ("José", "jose"),
            ("Андрей", "андреи"),
            ("Ёлка", "елка"),
            ("Łukasz", "lukasz"),
            ("Straße", "STRASSE"),
            ("ﬁn", "fin"),
        ] {
            assert_eq!(fold(a), fold(b), "{a} {b}");
        }
        assert_ne!(fold("हिन्दी"), fold("हनद"), "vowel signs are not accents");
    }

    proptest! {
        #[test]
        fn a_good_nickname_claims_something(nickname in "\\PC{2,6}|[\\p{L}\\p{N}._-]{2,6}") {
            if check_nickname("/nickname", &nickname).is_ok() {
                prop_assert!(!nickname_key(&nickname).is_empty());
            }
        }

        #[test]
        fn forms_are_stable(text in "\\PC{0,24}") {
            prop_assert_eq!(fold(&fold(&text)), fold(&text));
            prop_assert_eq!(email_key(&email_key(&text)), email_key(&text));
        }
    }
}
