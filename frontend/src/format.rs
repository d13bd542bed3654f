//! Times and dates as the reader's language writes them, in the reader's own time zone.

use std::cell::RefCell;

use domain::Timestamp;
use js_sys::{Array, Date, Object, Reflect};
use wasm_bindgen::{JsCast, JsValue};

use crate::browser::{now, window};
use crate::i18n::{Lang, lang, t, t_with};

const STYLES: usize = 6;

#[derive(Clone, Copy)]
enum Style {
    Time,
    Weekday,
    BriefDay,
    Day,
    DayAndYear,
    Full,
}

impl Style {
    fn options(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Time => &[("hour", "2-digit"), ("minute", "2-digit")],
            Self::Weekday => &[("weekday", "short")],
            Self::BriefDay => &[("day", "numeric"), ("month", "short")],
            Self::Day => &[("day", "numeric"), ("month", "long")],
            Self::DayAndYear => &[("day", "numeric"), ("month", "short"), ("year", "numeric")],
            Self::Full => &[("dateStyle", "long"), ("timeStyle", "short")],
        }
    }
}

type Formatters = [Option<js_sys::Function>; STYLES];

thread_local! {
    // Making a formatter costs more than a hundred uses of it.
    static FORMATTERS: RefCell<(Lang, Formatters)> = const { RefCell::new((Lang::En, [const { None }; STYLES])) };
}

fn date(time: Timestamp) -> Date {
    Date::new(&JsValue::from_f64(time.millis() as f64))
}

fn format(style: Style, date: &Date) -> String {
    FORMATTERS.with(|cache| {
        let mut cache = cache.borrow_mut();
        if cache.0 != lang() {
            *cache = (lang(), Formatters::default());
        }
        let formatter = cache.1[style as usize].get_or_insert_with(|| {
            let options = Object::new();
            for (name, value) in style.options() {
                let _ = Reflect::set(&options, &(*name).into(), &(*value).into());
            }
            js_sys::Intl::DateTimeFormat::new(&Array::of1(&locale().into()), &options).format()
        });
        formatter
            .call1(&JsValue::NULL, date.unchecked_ref())
            .ok()
            .and_then(|text| text.as_string())
            .unwrap_or_default()
    })
}

/// The reader's own variant of the language, as `en-GB`, which tells how times are written.
fn locale() -> String {
    let wanted = window().navigator().languages();
    let own = wanted.iter().filter_map(|tag| tag.as_string()).find(|tag| Lang::of_tag(tag) == Some(lang()));
    own.unwrap_or_else(|| lang().tag().to_owned())
}

/// Year, month and day where the reader is.
fn day_of(date: &Date) -> (u32, u32, u32) {
    (date.get_full_year(), date.get_month(), date.get_date())
}

/// Whole days from `date` to now, by the calendar.
fn days_ago(date: &Date) -> f64 {
    let start = |date: &Date| {
        let (year, month, day) = day_of(date);
        Date::new_with_year_month_day(year, month as i32, day as i32).get_time()
    };
    ((start(&Date::new(&JsValue::from_f64(now()))) - start(date)) / 86_400_000.0).round()
}

/// The time of day, as `14:05`.
pub fn time(at: Timestamp) -> String {
    format(Style::Time, &date(at))
}

/// Date and time in full, for a tooltip or a list of sessions.
pub fn full(at: Timestamp) -> String {
    format(Style::Full, &date(at))
}

/// RFC 3339 for the `datetime` of a `<time>`.
pub fn machine(at: Timestamp) -> String {
    date(at).to_iso_string().into()
}

/// As short as a chat's row wants it: the time today, the weekday this week, else the date.
pub fn brief(at: Timestamp) -> String {
    let date = date(at);
    match days_ago(&date) {
        days if days < 1.0 => format(Style::Time, &date),
        days if days < 7.0 => format(Style::Weekday, &date),
        _ if date.get_full_year() == this_year() => format(Style::BriefDay, &date),
        _ => format(Style::DayAndYear, &date),
    }
}

fn this_year() -> u32 {
    Date::new(&JsValue::from_f64(now())).get_full_year()
}

/// The name of a day between messages: today, yesterday, or its date.
pub fn day(at: Timestamp) -> String {
    let date = date(at);
    match days_ago(&date) {
        days if days < 1.0 => t("time.today"),
        days if days < 2.0 => t("time.yesterday"),
        _ if date.get_full_year() == this_year() => format(Style::Day, &date),
        _ => format(Style::DayAndYear, &date),
    }
}

/// Bytes in a few letters.
pub fn size(bytes: u64) -> String {
    let (amount, unit) = match bytes {
        0..1_000 => return t_with("size.bytes", &[("amount", &bytes.to_string())]),
        1_000..1_000_000 => (bytes as f64 / 1_000.0, "size.kilobytes"),
        _ => (bytes as f64 / 1_000_000.0, "size.megabytes"),
    };
    t_with(unit, &[("amount", &format!("{amount:.1}"))])
}

/// A number that is the same for two times on the same day where the reader is.
pub fn day_number(at: Timestamp) -> u32 {
    let (year, month, day) = day_of(&date(at));
    year * 400 + month * 31 + day
}
