//! me, sessions, users, friends.

use domain::views::Relation;
use serde_json::json;
use stores::directory::Seen;

use crate::world::{World, items, person, session_of};

#[tokio::test]
async fn me_is_the_signed_in_person() {
    let world = World::new().await;
    let ann = world.registered(1, "ann", "Ann Lee").await;
    let me = world.get(ann, "/me").await;
    assert_eq!(me["user_id"], json!(ann));
    assert_eq!(me["session_id"], json!(session_of(ann)));
    assert_eq!(
        (&me["email"], &me["nickname"], &me["name"]),
        (&json!("1@example.org"), &json!("ann"), &json!("Ann Lee"))
    );
    assert_eq!(me["position"], 1);
}

#[tokio::test]
async fn sessions_are_opened_for_their_owner_alone() {
    let world = World::new().await;
    let ann = world.registered(1, "ann", "Ann").await;
    world.registered(2, "bob", "Bob").await;
    let sessions = world.get(ann, "/sessions").await;
    assert_eq!(items(&sessions, "session_id"), [json!(session_of(ann))]);
    let session = &sessions["items"][0];
    assert_eq!((&session["device"], &session["address"]), (&json!("Lynx"), &json!("192.0.2.7")));
    assert_eq!((&session["method"], &session["current"]), (&json!("password"), &json!(true)));
}

#[tokio::test]
async fn a_person_is_seen_with_ones_own_relation() {
    let world = World::new().await;
    let (ann, bob) = (world.registered(1, "ann", "Ann").await, world.registered(2, "bob", "Bob").await);
    let relation = async |who, of| world.get(who, &format!("/users/{of}")).await["relation"].clone();
    assert_eq!(relation(ann, bob).await, "none");
    assert_eq!(relation(ann, ann).await, "self");
    let seen = |relation| Seen { relation, blocked: false, parted: false };
    world.linked(ann, bob, seen(Relation::Outgoing), seen(Relation::Incoming)).await;
    assert_eq!((relation(ann, bob).await, relation(bob, ann).await), (json!("outgoing"), json!("incoming")));
    let unknown = format!("/users/{}", person(9));
    assert_eq!(world.refused(ann, &unknown).await, (404, "not-found".into(), String::new()));
    assert_eq!(world.refused(ann, "/users/nonsense").await, (400, "malformed".into(), "user_id".into()));
}

#[tokio::test]
async fn who_is_blocked_sees_what_a_former_friend_sees() {
    let world = World::new().await;
    let (ann, bob, cy) = (
        world.registered(1, "ann", "Ann").await,
        world.registered(2, "bob", "Bob").await,
        world.registered(3, "cy", "Cy").await,
    );
    world.writes_about(ann, "I sing").await;
    // Cy was ann's friend and is no more; bob was, and ann has blocked him.
    for (friend, number) in [(bob, 100), (cy, 101)] {
        world.friends(ann, friend).await;
        world.chat(number, ann, friend).await;
    }
    world.unfriends(ann, cy).await;
    world.blocks(ann, bob).await;
    let mut of_bob = world.get(bob, &format!("/users/{ann}")).await;
    let mut of_cy = world.get(cy, &format!("/users/{ann}")).await;
    assert_eq!(of_bob["relation"], "none");
    assert_eq!(
        of_bob.as_object_mut().map(|it| it.remove("position")),
        of_cy.as_object_mut().map(|it| it.remove("position"))
    );
    assert_eq!(of_bob, of_cy);
    let chat = async |who| {
        let mut chat = world.get(who, "/chats").await["items"][0].clone();
        // Two chats, made one after the other.
        for own in ["chat_id", "active_at"] {
            chat.as_object_mut().expect("a chat").remove(own).expect("it has one");
        }
        chat
    };
    let (of_bob, of_cy) = (chat(bob).await, chat(cy).await);
    assert_eq!(of_bob, of_cy);
    assert_eq!(of_bob["can_send"], false);
    assert_eq!(of_bob.get("peer_read_number"), None);
    // Neither finds her, nor does asking again show more of her to one of them.
    for who in [bob, cy] {
        assert!(world.each(who, "/users?q=ann", "user_id").await.is_empty());
        assert!(world.each(who, &format!("/users?q={ann}"), "user_id").await.is_empty());
    }
    assert_eq!(world.each(ann, "/users?q=cy", "user_id").await, [json!(cy)], "she finds whom she unfriended");
    let asks = Seen { relation: Relation::Outgoing, blocked: false, parted: false };
    world.linked(cy, ann, asks, Seen { relation: Relation::Incoming, parted: true, ..asks }).await;
    let unseen = Seen { relation: Relation::None, blocked: true, parted: true };
    world.linked(bob, ann, asks, unseen).await;
    for who in [bob, cy] {
        let of_ann = world.get(who, &format!("/users/{ann}")).await;
        assert_eq!((&of_ann["relation"], of_ann.get("about")), (&json!("outgoing"), None));
        assert!(world.each(who, "/users?q=ann", "user_id").await.is_empty());
    }
    // The blocker sees the block.
    assert_eq!(world.get(ann, &format!("/users/{bob}")).await["blocked"], true);
    assert_eq!(world.each(ann, "/friends?state=blocked", "user_id").await, [json!(bob)]);
    assert_eq!(world.each(bob, "/friends?state=blocked", "user_id").await, Vec::<serde_json::Value>::new());
}

#[tokio::test]
async fn friends_are_paged_by_name_both_ways() {
    let world = World::new().await;
    let me = world.registered(1, "me", "Me").await;
    for (number, name) in [(2, "Eve"), (3, "ann"), (4, "Bob"), (5, "Cy"), (6, "Dan")] {
        let friend = world.registered(number, &format!("nick{number}"), name).await;
        world.friends(me, friend).await;
    }
    let page = async |cursor: Option<&serde_json::Value>| {
        let cursor =
            cursor.map(|it| format!("&cursor={}", it.as_str().expect("a cursor"))).unwrap_or_default();
        world.get(me, &format!("/friends?limit=2{cursor}")).await
    };
    let first = page(None).await;
    assert_eq!(items(&first, "name"), ["ann", "Bob"]);
    assert_eq!(first.get("prev"), None);
    let second = page(first.get("next")).await;
    assert_eq!(items(&second, "name"), ["Cy", "Dan"]);
    let third = page(second.get("next")).await;
    assert_eq!(items(&third, "name"), ["Eve"]);
    assert_eq!(third.get("next"), None);
    assert_eq!(items(&page(third.get("prev")).await, "name"), ["Cy", "Dan"]);
    let back = page(second.get("prev")).await;
    assert_eq!(items(&back, "name"), ["ann", "Bob"]);
    assert_eq!(back.get("prev"), None);
    assert!(back.get("next").is_some());
}

#[tokio::test]
async fn requests_lie_in_their_own_lists() {
    let world = World::new().await;
    let (ann, bob) = (world.registered(1, "ann", "Ann").await, world.registered(2, "bob", "Bob").await);
    let seen = |relation| Seen { relation, blocked: false, parted: false };
    world.linked(ann, bob, seen(Relation::Outgoing), seen(Relation::Incoming)).await;
    assert_eq!(world.each(ann, "/friends?state=outgoing", "user_id").await, [json!(bob)]);
    assert_eq!(world.each(bob, "/friends?state=incoming", "user_id").await, [json!(ann)]);
    for (who, state) in [(ann, "incoming"), (bob, "outgoing"), (ann, "accepted"), (bob, "accepted")] {
        assert!(world.each(who, &format!("/friends?state={state}"), "user_id").await.is_empty(), "{state}");
    }
    assert_eq!(world.refused(ann, "/friends?state=former").await, (400, "malformed".into(), "state".into()));
}

#[tokio::test]
async fn search_finds_by_nickname_name_and_id_the_nearest_first() {
    let world = World::new().await;
    let me = world.registered(1, "seeker", "Seeker").await;
    let raul = world.registered(2, "raul", "Raúl Gómez").await;
    let raulito = world.registered(3, "raulito", "Other").await;
    world.registered(4, "zed", "Zed").await;
    for q in ["raul", "RAUL", "%40raul", "ra%C3%BAl"] {
        assert_eq!(
            world.each(me, &format!("/users?q={q}"), "user_id").await,
            [json!(raul), json!(raulito)],
            "{q}"
        );
    }
    assert_eq!(world.each(me, "/users?q=gomez", "user_id").await, [json!(raul)]);
    assert_eq!(world.each(me, "/users?q=ruallito", "user_id").await, [json!(raulito)]);
    assert_eq!(world.each(me, &format!("/users?q={raul}"), "user_id").await, [json!(raul)]);
    assert!(world.each(me, "/users?q=2%40example.org", "user_id").await.is_empty(), "never by email");
}

#[tokio::test]
async fn search_hides_oneself_and_those_who_blocked_one() {
    let world = World::new().await;
    let (ann, anna) = (world.registered(1, "ann", "Ann").await, world.registered(2, "anna", "Anna").await);
    assert_eq!(world.each(ann, "/users?q=ann", "user_id").await, [json!(anna)]);
    world.blocks(anna, ann).await;
    assert!(world.each(ann, "/users?q=anna", "user_id").await.is_empty());
    assert!(world.each(ann, &format!("/users?q={anna}"), "user_id").await.is_empty());
    assert_eq!(
        world.each(anna, "/users?q=ann", "user_id").await,
        [json!(ann)],
        "the blocker finds the blocked"
    );
}

#[tokio::test]
async fn search_wants_two_characters() {
    let world = World::new().await;
    let ann = world.registered(1, "ann", "Ann").await;
    for path in ["/users", "/users?q=", "/users?q=a", "/users?q=%20a%20"] {
        assert_eq!(world.refused(ann, path).await, (422, "invalid".into(), "q".into()), "{path}");
    }
    world.get(ann, "/users?q=%D1%8F%D1%8F").await;
}

#[tokio::test]
async fn search_is_paged() {
    let world = World::new().await;
    let me = world.registered(1, "me", "Me").await;
    for number in 2..=6 {
        world.registered(number, &format!("kit{number}"), "Kit").await;
    }
    let first = world.get(me, "/users?q=kit&limit=3").await;
    assert_eq!(items(&first, "nickname"), ["kit2", "kit3", "kit4"]);
    let next = first["next"].as_str().expect("more");
    let second = world.get(me, &format!("/users?q=kit&limit=3&cursor={next}")).await;
    assert_eq!(items(&second, "nickname"), ["kit5", "kit6"]);
    assert_eq!(second.get("next"), None);
    // A cursor is of no use for another query.
    let other = format!("/users?q=kit2&cursor={next}");
    assert_eq!(world.refused(me, &other).await, (400, "malformed".into(), "cursor".into()));
}
