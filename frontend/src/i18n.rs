//! The app's words in every language, from `messages/*.json`, as the build script packs them.
//!
//! A language is set for the whole app at once and the screen is built anew when it changes, so [`t`] and its
//! kin are plain functions. A count picks its form by the language's plural rules: `key.one`, `key.few`,
//! `key.many`, `key.other`.

use std::cell::{Cell, RefCell};

use wasm_bindgen::JsValue;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lang {
    En,
    Ru,
}

/// Keys and their words, by key.
type Messages = Vec<(&'static str, &'static str)>;

/// The keys of all languages, a line each.
const KEYS: &str = include_str!(concat!(env!("OUT_DIR"), "/keys.txt"));

thread_local! {
    static LANG: Cell<Lang> = const { Cell::new(Lang::En) };
    static MESSAGES: [Messages; 2] = Lang::ALL.map(Lang::read);
    static PLURALS: RefCell<Option<(Lang, js_sys::Intl::PluralRules)>> = const { RefCell::new(None) };
}

impl Lang {
    pub const ALL: [Self; 2] = [Self::En, Self::Ru];

    /// The BCP 47 tag.
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ru => "ru",
        }
    }

    /// How the language calls itself.
    pub fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Ru => "Русский",
        }
    }

    /// The language of a tag as `ru-RU`, if the app speaks it.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|lang| primary.eq_ignore_ascii_case(lang.tag()))
    }

    /// The first of the wanted languages that the app speaks, else English.
    pub fn negotiate(wanted: impl IntoIterator<Item = String>) -> Self {
        wanted.into_iter().find_map(|tag| Self::of_tag(&tag)).unwrap_or(Self::En)
    }

    /// The words of every key, a line each, empty where there are none.
    fn words(self) -> &'static str {
        match self {
            Self::En => include_str!(concat!(env!("OUT_DIR"), "/en.txt")),
            Self::Ru => include_str!(concat!(env!("OUT_DIR"), "/ru.txt")),
        }
    }

    fn read(self) -> Messages {
        KEYS.split('\n').zip(self.words().split('\n')).filter(|(_, words)| !words.is_empty()).collect()
    }

    /// The words of `key` in this language.
    pub fn lookup(self, key: &str) -> Option<String> {
        MESSAGES.with(|all| {
            let messages = &all[self as usize];
            let at = messages.binary_search_by_key(&key, |(key, _)| key).ok()?;
            Some(messages[at].1.to_owned())
        })
    }
}

/// The language that is set now.
pub fn lang() -> Lang {
    LANG.with(Cell::get)
}

pub fn set_lang(lang: Lang) {
    LANG.with(|cell| cell.set(lang));
}

/// The words of `key`; the key itself where there are none, which a test excludes.
pub fn t(key: &str) -> String {
    lang().lookup(key).unwrap_or_else(|| key.to_owned())
}

/// The words of `key` with every `{name}` replaced.
pub fn t_with(key: &str, values: &[(&str, &str)]) -> String {
    fill(&t(key), values)
}

/// The words of `key` for `count` things; `{count}` in them is the number.
pub fn t_count(key: &str, count: u64) -> String {
    let form = plural_form(count);
    let words = lang().lookup(&format!("{key}.{form}")).unwrap_or_else(|| t(&format!("{key}.other")));
    fill(&words, &[("count", &count.to_string())])
}

/// [`t_with`] for words that are at hand and values that came from elsewhere.
pub fn fill_params(words: &str, values: &[(String, String)]) -> String {
    let values = values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>();
    fill(words, &values)
}

/// One pass, so that a value which holds braces is never read as a placeholder.
fn fill(words: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(start) = rest.find('{') {
        filled.push_str(&rest[..start]);
        rest = &rest[start..];
        let Some(end) = rest.find('}') else { break };
        match values.iter().find(|(name, _)| *name == &rest[1..end]) {
            Some((_, value)) => filled.push_str(value),
            None => filled.push_str(&rest[..=end]),
        }
        rest = &rest[end + 1..];
    }
    filled.push_str(rest);
    filled
}

/// `one`, `few`, `many` or `other`, as the browser knows the language's rules.
fn plural_form(count: u64) -> String {
    let count = count as f64;
    PLURALS.with(|cached| {
        let mut cached = cached.borrow_mut();
        let rules = match &*cached {
            Some((made_for, rules)) if *made_for == lang() => rules.clone(),
            _ => {
                let locales = js_sys::Array::of1(&JsValue::from_str(lang().tag()));
                let rules = js_sys::Intl::PluralRules::new(&locales, &js_sys::Object::new());
                *cached = Some((lang(), rules.clone()));
                rules
            }
        };
        rules.select(count).into()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};
    use std::path::Path;

    use super::*;

    /// Keys whose words are the same in both languages, and rightly so.
    const SAME: &[&str] = &["app.name"];

    fn keys(lang: Lang) -> BTreeSet<String> {
        lang.read().into_iter().map(|(key, _)| key.to_owned()).collect()
    }

    #[test]
    fn words_come_as_the_files_say_them() {
        for (lang, file) in
            [(Lang::En, include_str!("../messages/en.json")), (Lang::Ru, include_str!("../messages/ru.json"))]
        {
            let messages: HashMap<&str, String> =
                serde_json::from_str(file).expect("a flat object of strings");
            assert!(messages.len() > 300, "{lang:?}");
            for (key, words) in &messages {
                assert_eq!(lang.lookup(key).as_ref(), Some(words), "{key}");
            }
            assert_eq!(keys(lang).len(), messages.len(), "{lang:?}");
        }
    }

    /// Without the plural form, since languages differ in theirs.
    fn stem(key: &str) -> String {
        let forms = [".one", ".few", ".many", ".other"];
        forms.iter().find_map(|form| key.strip_suffix(form)).unwrap_or(key).to_owned()
    }

    #[test]
    fn every_language_has_the_same_keys_and_its_own_words() {
        let stems = |lang| keys(lang).iter().map(|key| stem(key)).collect::<BTreeSet<_>>();
        assert_eq!(stems(Lang::En), stems(Lang::Ru));
        for key in keys(Lang::En).intersection(&keys(Lang::Ru)) {
            let same = Lang::En.lookup(key) == Lang::Ru.lookup(key);
            assert_eq!(same, SAME.contains(&key.as_str()), "{key}");
        }
    }

    #[test]
    fn a_count_has_every_form_of_its_language() {
        for (lang, forms) in [(Lang::En, &["one", "other"][..]), (Lang::Ru, &["one", "few", "many", "other"])]
        {
            let keys = keys(lang);
            for key in keys.iter().filter(|key| stem(key) != **key) {
                for form in forms {
                    let key = format!("{}.{form}", stem(key));
                    assert!(keys.contains(&key), "{key} is missing in {lang:?}");
                }
            }
        }
    }

    #[test]
    fn translations_have_the_same_placeholders() {
        let names = |words: &str| {
            let parts = words.split('{').skip(1).filter_map(|part| part.split('}').next());
            parts.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        for key in keys(Lang::En).intersection(&keys(Lang::Ru)) {
            let [en, ru] = Lang::ALL.map(|lang| names(&lang.lookup(key).expect("listed")));
            assert_eq!(en, ru, "{key}");
        }
    }

    /// Every `t("key")` in the source has words, and no words are left over.
    #[test]
    fn the_source_and_the_message_files_agree() {
        let mut source = String::new();
        read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut source);
        let known = keys(Lang::En).iter().map(|key| stem(key)).collect::<BTreeSet<_>>();
        let literals = source.split('"').map(str::to_owned).collect::<BTreeSet<_>>();
        for call in ["t(\"", "t_with(\"", "t_count(\""] {
            for (at, _) in source.match_indices(call) {
                let alone = !source[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
                let key = source[at + call.len()..].split('"').next().unwrap_or_default();
                assert!(!alone || known.contains(key) || key == "key", "`{key}` has no words");
            }
        }
        let worded = |key: &str| key.starts_with("problem.") || key.starts_with("code.");
        for key in known.iter().filter(|key| !worded(key)) {
            assert!(literals.contains(key), "nobody says `{key}`");
        }
    }

    fn read_all(folder: &Path, into: &mut String) {
        for entry in std::fs::read_dir(folder).expect("the source is here") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                read_all(&path, into);
            } else {
                into.push_str(&std::fs::read_to_string(&path).expect("a source file is text"));
            }
        }
    }

    #[test]
    fn the_first_language_that_the_app_speaks_is_taken() {
        let wanted = |tags: &[&str]| Lang::negotiate(tags.iter().map(|&tag| tag.to_owned()));
        assert_eq!(wanted(&["fi", "ru-RU", "en"]), Lang::Ru);
        assert_eq!(wanted(&["EN-gb", "ru"]), Lang::En);
        assert_eq!(wanted(&["fi"]), Lang::En);
    }

    #[test]
    fn a_value_with_braces_stays_a_value() {
        assert_eq!(fill("{a} and {b}", &[("a", "{b}"), ("b", "two")]), "{b} and two");
        assert_eq!(fill("{a", &[("a", "1")]), "{a");
    }
}
