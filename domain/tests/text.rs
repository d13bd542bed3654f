//! The limits of what people may write, from both sides, and what is one name and what is two.

use domain::problem::FieldError;
use domain::text::{
    ABOUT_MAX, EMAIL_MAX, NAME_MAX, NICKNAME_MAX, NICKNAME_MIN, TEXT_MAX, check_about, check_email,
    check_name, check_nickname, check_text, email_key, fold, nickname_key,
};
use proptest::prelude::*;

type Check = fn(&str, &str) -> Result<(), FieldError>;

#[test]
fn every_limit_counts_scalar_values_and_is_told_with_the_refusal() {
    let limits: [(Check, &str, usize); 4] = [
        (check_nickname, "/nickname", NICKNAME_MAX),
        (check_name, "/name", NAME_MAX),
        (check_about, "/about", ABOUT_MAX),
        (check_text, "/text", TEXT_MAX),
    ];
    for (check, pointer, max) in limits {
        // One scalar value, three bytes, one UTF-16 unit; the next one is two units.
        for letter in ["龍", "𠮷"] {
            assert_eq!(check(pointer, &letter.repeat(max)), Ok(()), "{pointer}");
            let too_long = FieldError::new(pointer, "too-long").with("max", max);
            assert_eq!(check(pointer, &letter.repeat(max + 1)), Err(too_long));
        }
    }
    assert_eq!([NICKNAME_MAX, NAME_MAX, ABOUT_MAX, TEXT_MAX], [32, 64, 500, 4_000]);
}

#[test]
fn an_email_is_at_most_254_characters_without_the_space_around_it() {
    let longest = format!("{}@example.org", "a".repeat(EMAIL_MAX - "@example.org".len()));
    assert_eq!(check_email("/email", &longest), Ok(()));
    assert_eq!(check_email("/email", &format!(" {longest} ")), Ok(()));
    let too_long = FieldError::new("/email", "too-long").with("max", 254);
    assert_eq!(check_email("/email", &format!("a{longest}")), Err(too_long));
}

#[test]
fn two_letters_are_a_nickname() {
    assert_eq!(check_nickname("/nickname", "李小"), Ok(()));
    let too_short = FieldError::new("/nickname", "too-short").with("min", NICKNAME_MIN);
    assert_eq!(check_nickname("/nickname", "李"), Err(too_short));
    assert_eq!(check_nickname("/nickname", ""), Err(FieldError::new("/nickname", "required")));
}

#[test]
fn one_character_is_a_name_and_a_text() {
    assert_eq!(check_name("/name", "我"), Ok(()));
    assert_eq!(check_text("/text", "👍"), Ok(()));
}

#[test]
fn an_email_is_the_same_in_any_case_and_width_and_no_provider_is_second_guessed() {
    assert_eq!(email_key("ＡＮＮ@Example.org"), email_key("ann@example.org"));
    for (a, b) in [("a.nn@example.org", "ann@example.org"), ("ann+x@example.org", "ann@example.org")] {
        assert_ne!(email_key(a), email_key(b));
    }
}

proptest! {
    #[test]
    fn a_nickname_is_the_same_in_any_case(nickname in "[a-zа-яα-ω][a-zа-яα-ω0-9._-]{1,8}") {
        prop_assert_eq!(nickname_key(&nickname.to_uppercase()), nickname_key(&nickname));
        prop_assert_eq!(fold(&nickname.to_uppercase()), fold(&nickname));
    }

    #[test]
    fn only_what_is_blank_or_too_long_is_no_text(text in "\\PC{0,40}|\\s{0,4}") {
        prop_assert_eq!(check_text("/text", &text).is_ok(), !text.trim().is_empty());
    }
}
