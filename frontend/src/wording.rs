//! What went wrong, in the reader's language: words for problems, their codes, and failures of the network.

use domain::problem::{FieldError, Kind, Problem};
use serde_json::Value;

use crate::api::Failure;
use crate::i18n::{fill_params, lang, t};

/// What to tell somebody about a failure, as one sentence or two.
pub fn failure_text(failure: &Failure) -> String {
    match failure {
        Failure::Offline => t("failure.offline"),
        Failure::Unreadable => t("failure.unreadable"),
        Failure::Ended => t("problem.session-ended"),
        Failure::Refused(problem) => problem_text(problem),
    }
}

/// The problem as a sentence; where it has errors of single fields, these are the sentence.
pub fn problem_text(problem: &Problem) -> String {
    if problem.is(Kind::Invalid) && !problem.errors.is_empty() {
        return problem.errors.iter().map(code_text).collect::<Vec<_>>().join(" ");
    }
    lang().lookup(&format!("problem.{}", problem.slug())).unwrap_or_else(|| t("problem.internal"))
}

/// What is wrong with one field.
pub fn code_text(error: &FieldError) -> String {
    let words = lang().lookup(&format!("code.{}", error.code)).unwrap_or_else(|| t("problem.invalid"));
    let params = error.params.iter().map(|(name, value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (name.clone(), value)
    });
    fill_params(&words, &params.collect::<Vec<_>>())
}

/// What a form shows beside the field `name`.
pub fn field_text(failure: &Failure, name: &str) -> Option<String> {
    let Failure::Refused(problem) = failure else { return None };
    let errors = problem.errors.iter().filter(|error| error.pointer.trim_start_matches('/') == name);
    let texts = errors.map(code_text).collect::<Vec<_>>();
    if !texts.is_empty() {
        return Some(texts.join(" "));
    }
    let owner = match () {
        () if problem.is(Kind::EmailTaken) => "email",
        () if problem.is(Kind::NicknameTaken) => "nickname",
        () => return None,
    };
    (owner == name).then(|| problem_text(problem))
}

#[cfg(test)]
mod tests {
    use domain::problem::CODES;

    use super::*;
    use crate::i18n::Lang;

    #[test]
    fn every_problem_and_every_code_has_words_in_every_language() {
        for lang in Lang::ALL {
            for kind in Kind::ALL {
                assert!(lang.lookup(&format!("problem.{}", kind.slug())).is_some(), "{kind:?} in {lang:?}");
            }
            for code in CODES {
                assert!(lang.lookup(&format!("code.{code}")).is_some(), "{code} in {lang:?}");
            }
        }
    }

    #[test]
    fn an_error_stands_beside_its_field() {
        let error = FieldError::new("/nickname", "too-short").with("min", 2);
        let failure = Failure::Refused(Box::new(Problem::field(error)));
        assert!(field_text(&failure, "nickname").is_some_and(|text| text.contains('2')));
        assert_eq!(field_text(&failure, "email"), None);
        let taken = Failure::Refused(Box::new(Problem::new(Kind::EmailTaken)));
        assert_eq!(field_text(&taken, "email"), Some(t("problem.email-taken")));
    }
}
