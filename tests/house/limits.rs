//! With limits on: people who talk are not held up, who floods is, and nobody else for it.

use std::time::{Duration, Instant};

use domain::requests::{Authorize, Secret, Send};
use domain::views::{List, Message};
use futures::StreamExt;

use crate::api::{Answer, Api, new_key};
use crate::letopis::{Folder, until};
use crate::people::Person;

#[tokio::test(flavor = "multi_thread")]
async fn who_floods_is_told_to_wait_and_the_others_go_on() {
    let folder = Folder::new();
    let letopis = folder.settings().with("LETOPIS_RATE_LIMIT", "on").start().await;
    let api = Api::of(&letopis);
    let (ann, bob) = (Person::register(&api, "ann").await, Person::register(&api, "bob").await);
    ann.befriend(&api, &bob).await;
    let chat = ann.chat_with(&api, &bob).await;
    for number in 1..=10 {
        assert_eq!(ann.say(&api, chat, "as people talk").await.number, number);
        let page: List<Message> = bob.on(&api).query(&format!("/chats/{chat}/messages")).await;
        assert_eq!(page.items.len() as u64, number);
    }

    // More at once than any person sends.
    let floods = (0..200).map(|_| {
        let by_ann = ann.on(&api);
        async move { by_ann.command("send", Some(new_key()), &Send::text(chat, "flood")).await }
    });
    let answers = futures::future::join_all(floods).await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(!taken.is_empty() && !refused.is_empty(), "{} taken, {} refused", taken.len(), refused.len());
    let mut longest = 0;
    for answer in refused {
        answer.problem(429, "too-many-requests");
        longest = longest.max(answer.header("retry-after").parse::<u64>().expect("seconds"));
    }
    assert!((1..=60).contains(&longest), "{longest}");
    // Her queries are counted apart, and so is Bob.
    let page: List<Message> = ann.on(&api).query(&format!("/chats/{chat}/messages")).await;
    assert_eq!(page.items.last().map(|it| it.number), Some(10 + taken.len() as u64), "none was lost");
    bob.say(&api, chat, "I may").await;
    tokio::time::sleep(Duration::from_secs(longest)).await;
    ann.say(&api, chat, "as I was told").await;
    letopis.stop().await;
}

/// Signs in as a page of the app does, with the cookies of earlier answers.
async fn sign_in(api: &Api, email: &str, password: &str, cookie: Option<&str>) -> Answer {
    let body = Authorize { email: email.to_owned(), password: Secret(password.to_owned()) };
    let request = api.request("POST", "/command/v1/authorize").header("Sec-Fetch-Site", "same-origin");
    let request = match cookie {
        Some(cookie) => request.header("Cookie", cookie),
        None => request,
    };
    Answer::of(request.json(&body)).await.expect("it answers")
}

/// Guesses somebody's password until the next guess is seconds away: a delay of one may be over before anything
/// else is asked. Answers until when it certainly is.
async fn guess_until_slowed(api: &Api, who: &Person) -> Instant {
    until("guesses are slowed", async || {
        let asked = Instant::now();
        let answer = sign_in(api, &who.email, "a guess of mine", None).await;
        if answer.status != 429 {
            return None;
        }
        let seconds = answer.header("retry-after").parse().expect("seconds");
        if seconds >= 4 {
            // It was told in whole seconds.
            return Some(asked + Duration::from_secs(seconds - 1));
        }
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        None
    })
    .await
}

/// Signs in while somebody beside is slowed; what was answered in time.
async fn sign_in_while_slowed(api: &Api, who: &Person, cookie: Option<&str>) -> Answer {
    until("it answers while it is slow", async || {
        let slowed = guess_until_slowed(api, who).await;
        let answer = sign_in(api, &who.email, &who.password, cookie).await;
        (Instant::now() < slowed).then_some(answer)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_from_the_same_network_do_not_slow_a_browser_that_is_known() {
    let folder = Folder::new();
    let letopis = folder.settings().with("LETOPIS_RATE_LIMIT", "on").start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let first = sign_in(&api, &ann.email, &ann.password, None).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let device = first
        .headers
        .get_all("set-cookie")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find(|cookie| cookie.starts_with("letopis-device="))
        .expect("the browser is known from now on");
    assert!(device.contains("HttpOnly") && device.contains("SameSite=Strict"), "{device}");
    let device = device.split(';').next().expect("name and value").to_owned();

    // Somebody beside her guesses until he is slowed.
    assert_eq!(sign_in_while_slowed(&api, &ann, None).await.status, 429, "from an unknown browser");
    assert_eq!(sign_in_while_slowed(&api, &ann, Some(&device)).await.status, 200, "from hers");
    // What is made up, or another account's, is no known device.
    let bob = Person::register(&api, "bob").await;
    let (name, value) = device.split_once('=').expect("both");
    let forged = format!("{name}={}0", &value[..value.len() - 1]);
    for cookie in [&device, &forged] {
        assert_eq!(sign_in_while_slowed(&api, &bob, Some(cookie)).await.status, 429, "{cookie}");
    }
    letopis.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_is_told_by_its_proxy_and_counted_as_one() {
    let folder = Folder::new();
    let settings = folder.settings().with("LETOPIS_RATE_LIMIT", "on");
    let letopis = settings.with("LETOPIS_TRUSTED_PROXIES", "127.0.0.0/8").start().await;
    let api = Api::of(&letopis);
    let asked = |address: String| {
        let request = api.request("GET", "/query/v1/me").header("X-Forwarded-For", address);
        async move { request.send().await.expect("it answers").status().as_u16() }
    };
    // On connections that are there by then: new ones alone may take a slow machine too long.
    let mut flood = futures::stream::iter(0..60_000_u32)
        .map(|host| asked(format!("2001:db8::{host:x}")))
        .buffer_unordered(200);
    let (mut taken, mut slowed) = (0, false);
    while let (false, Some(status)) = (slowed, flood.next().await) {
        taken += usize::from(status == 401);
        slowed = status == 429;
    }
    drop(flood);
    assert!(taken > 0 && slowed, "one /64 is slowed, and heard before: {taken}");
    assert_eq!(asked("2001:db8:0:1::1".to_owned()).await, 401, "the next one");
    assert_eq!(asked("192.0.2.9".to_owned()).await, 401);
    letopis.stop().await;
}
