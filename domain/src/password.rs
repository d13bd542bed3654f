//! Which passwords are accepted: a length and a list of common ones, and no other rule.

use unicode_normalization::UnicodeNormalization;

use crate::problem::FieldError;

/// Fewest scalar values of a password.
pub const MIN: usize = 8;
/// Most scalar values of a password.
pub const MAX: usize = 256;

const COMMON: &str = include_str!("common_passwords.txt");

/// Refuses a password that is too short, too long or among the common ones, in any case.
///
/// # Errors
/// `too-short` with `min`, `too-long` with `max`, or `common-password`.
pub fn check_password(pointer: &str, password: &str) -> Result<(), FieldError> {
    let length = password.chars().count();
    if length < MIN {
        return Err(FieldError::new(pointer, "too-short").with("min", MIN));
    }
    if length > MAX {
        return Err(FieldError::new(pointer, "too-long").with("max", MAX));
    }
    if is_common(password) {
        return Err(FieldError::new(pointer, "common-password"));
    }
    Ok(())
}

/// What is hashed: the password in Unicode normal form C, so that every keyboard means the same
/// one (RFC 8265, OpaqueString, normalisation rule). Nothing is cut off or trimmed.
pub fn canonical(password: &str) -> String {
    password.nfc().collect()
}

fn is_common(password: &str) -> bool {
    let folded = caseless::default_case_fold_str(password);
    COMMON.lines().any(|line| line == folded && !line.starts_with("# "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(password: &str) -> Option<String> {
        check_password("/password", password).err().map(|error| error.code)
    }

    #[test]
    fn length_counts_scalar_values() {
        assert_eq!(code("пчёлыда").as_deref(), Some("too-short"));
        assert_eq!(code("пчёлы да"), None);
        assert_eq!(code(&"ж".repeat(256)), None);
        assert_eq!(code(&"ж".repeat(257)).as_deref(), Some("too-long"));
    }

    #[test]
    fn a_refusal_tells_the_limit() {
        let refusal = |password: &str| check_password("/new_password", password);
        assert_eq!(refusal(""), Err(FieldError::new("/new_password", "too-short").with("min", 8)));
        assert_eq!(
            refusal(&"x".repeat(257)),
            Err(FieldError::new("/new_password", "too-long").with("max", 256))
        );
    }

    #[test]
    fn common_passwords_are_refused_in_any_case() {
        for common in ["password", "PassWord1", "1q2w3e4r", "Iloveyou!", "QWERTY123", "Elizabeth"] {
            assert_eq!(code(common).as_deref(), Some("common-password"), "{common}");
        }
        assert_eq!(code("passworthy"), None);
    }

    #[test]
    fn there_is_no_rule_of_composition() {
        for fine in ["lowercaseonly x", "739205174628", "      ! ! ", "ключ от чулана"] {
            assert_eq!(code(fine), None, "{fine}");
        }
    }

    #[test]
    fn a_comment_is_not_a_password() {
        assert!(COMMON.lines().filter(|line| !line.starts_with('#')).count() > 10_000);
        assert_eq!(
            code("# Common passwords of at least 8 characters, in lower case, one a line, sorted."),
            None
        );
    }

    #[test]
    fn both_spellings_of_an_accent_are_one_password() {
        assert_eq!(canonical("cafe\u{301} noir"), canonical("caf\u{e9} noir"));
        assert_ne!(canonical("two  spaces "), canonical("two spaces"));
    }
}
