//! A group over the real binary: who may do what, what each reads of it, what becomes of messages and of
//! what they carry; and that all of it is read the same after the projections were made anew.

use std::collections::BTreeMap;

use domain::ids::ChatId;
use domain::requests::{
    AcceptInvite, Carried, Chat as Which, ChatCreated, ChatMessage, ChatPerson, CreateChat, CreateInvite,
    Done, EditMessage, Forward, InviteCreated, React, RenameChat, Report, RevokeInvite, Secret, Send, Sent,
    SetChatPrefs, SetRole, Uploaded,
};
use domain::views::{
    Audience, Chat, Deleted, Invitation, Invite, LineKind, List, Member, Message, Messages, ReportReason,
    Role, SettingsChanges, Version,
};

use crate::api::{Answer, Api, new_key};
use crate::letopis::{Folder, PATIENCE, Settings, until, within};
use crate::people::Person;
use crate::photos::picture;
use crate::rebuild::ask_everything;

pub async fn upload(api: &Api, who: &Person, media_type: &str, body: &[u8]) -> Answer {
    crate::photos::post_picture(api, who, "upload", media_type, body).await
}

async fn blob(api: &Api, who: &Person, id: &str, after: u64) -> Answer {
    who.on(api).show_bytes(&format!("/blobs/{id}"), after).await
}

async fn history(api: &Api, who: &Person, chat: ChatId) -> Messages {
    who.on(api).query(&format!("/chats/{chat}/messages")).await
}

fn numbers(messages: &Messages) -> Vec<u64> {
    messages.items.iter().map(|message| message.number).collect()
}

async fn head(api: &Api, who: &Person, chat: ChatId) -> Chat {
    who.on(api).query(&format!("/chats/{chat}")).await
}

/// Ann (owner), Bob (admin), Cyd (added later), Dan (by invitation, and gone again), Eve (outside).
struct Story {
    people: [Person; 5],
    chat: ChatId,
    /// Carried by a message that stands, and by one that was deleted.
    kept: String,
    gone: String,
    head: u64,
}

async fn happens(api: &Api) -> Story {
    let mut people = Vec::new();
    for name in ["ann", "bob", "cyd", "dan", "eve"] {
        people.push(Person::register(api, name).await);
    }
    let people: [Person; 5] = people.try_into().map_err(drop).expect("five");
    let [ann, bob, cyd, dan, eve] = &people;
    for other in [bob, cyd] {
        ann.befriend(api, other).await;
    }
    bob.befriend(api, cyd).await;
    let direct = ann.chat_with(api, bob).await;
    ann.say(api, direct, "between us").await;

    // A stranger cannot be put into a group; nothing is made.
    let with_eve = CreateChat::group("Choir", vec![bob.id, eve.id]);
    ann.on(api).command("create_chat", Some(new_key()), &with_eve).await.problem(403, "not-permitted");
    let choir = CreateChat::group("Choir", vec![bob.id]);
    let ChatCreated { chat_id: chat, .. } = ann.on(api).done("create_chat", &choir).await;

    ann.say(api, chat, "welcome").await; // 1
    bob.answer(api, chat, 1, "thanks").await; // 2
    // Members neither rename nor add; nobody outside learns that there is anything.
    let rename = RenameChat { chat_id: chat, title: "Хор «Ë»".to_owned() };
    let add_cyd = ChatPerson { chat_id: chat, user_id: cyd.id };
    bob.on(api).command("rename_chat", Some(new_key()), &rename).await.problem(403, "not-permitted");
    eve.on(api).command("rename_chat", Some(new_key()), &rename).await.problem(404, "not-found");
    let promote = SetRole { chat_id: chat, user_id: bob.id, role: Role::Admin };
    ann.on(api).done::<Done>("set_role", &promote).await;
    bob.on(api).done::<Done>("rename_chat", &rename).await;
    bob.on(api).done::<Done>("add_member", &add_cyd).await;
    cyd.say(api, chat, "hello from the newcomer").await; // 3

    // By invitation, for one.
    let invite = CreateInvite { chat_id: chat, expires_in: None, uses: Some(1) };
    let made: InviteCreated = bob.on(api).done("create_invite", &invite).await;
    let accept = AcceptInvite { token: Secret(made.token.clone()) };
    let joined: ChatCreated = dan.on(api).done("accept_invite", &accept).await;
    assert_eq!(joined.chat_id, chat);
    eve.on(api).command("accept_invite", Some(new_key()), &accept).await.problem(404, "not-found");
    dan.say(api, chat, "hello by invitation").await; // 4
    dan.on(api).done::<Done>("leave_chat", &Which { chat_id: chat }).await;
    dan.on(api)
        .command("send", Some(new_key()), &Send::text(chat, "still?"))
        .await
        .problem(403, "not-permitted");
    // One that stays open.
    let open: InviteCreated = ann.on(api).done("create_invite", &CreateInvite { uses: None, ..invite }).await;
    let over: InviteCreated = ann
        .on(api)
        .done("create_invite", &CreateInvite { chat_id: chat, expires_in: Some(60), uses: Some(9) })
        .await;
    ann.on(api)
        .done::<Done>("revoke_invite", &RevokeInvite { chat_id: chat, invite_id: over.invite_id })
        .await;
    let of = |token: &str| eve.on(api).request("GET", "/query/v1/invite").header("X-Letopis-Invite", token);
    let shown: Invitation = Answer::of(of(&open.token)).await.expect("it answers").ok();
    assert_eq!((shown.title.as_str(), shown.member_count, shown.joined), ("Хор «Ë»", 3, false));
    for token in [&over.token, &made.token, "i1.nonsense"] {
        Answer::of(of(token)).await.expect("it answers").problem(404, "not-found");
    }

    // What becomes of messages.
    let edit = EditMessage { chat_id: chat, number: 1, text: "welcome to all".to_owned() };
    ann.on(api).done::<Done>("edit_message", &edit).await;
    bob.on(api).command("edit_message", Some(new_key()), &edit).await.problem(403, "not-permitted");
    for (who, emoji) in [(bob, "👍"), (cyd, "👍"), (ann, "🎉")] {
        let react = React { chat_id: chat, number: 4, emoji: Some(emoji.to_owned()) };
        who.on(api).done::<Done>("react", &react).await;
    }
    let report = Report { chat_id: chat, number: 4, reason: ReportReason::Other };
    cyd.on(api).done::<Done>("report", &report).await;
    let forward = Forward { chat_id: chat, from_chat_id: direct, number: 1 };
    cyd.on(api).command("forward", Some(new_key()), &forward).await.problem(404, "not-found");
    bob.on(api).done::<Sent>("forward", &forward).await; // 5

    // What messages carry.
    let mut carried = Vec::new();
    for colour in [[200, 0, 0], [0, 0, 200]] {
        let uploaded: Uploaded = upload(api, ann, "image/png", &picture(colour)).await.ok();
        let carries = vec![Carried { blob_id: uploaded.blob_id, name: "цвет.jpg".to_owned() }];
        let send = Send { attachments: carries, ..Send::text(chat, "") };
        let sent: Sent = ann.on(api).done("send", &send).await; // 6, 7
        cyd.on(api).command("send", Some(new_key()), &send).await.problem(422, "invalid");
        carried.push((uploaded.blob_id.to_string(), sent.number));
    }
    bob.answer(api, chat, 7, "a fine colour").await; // 8
    let delete = ChatMessage { chat_id: chat, number: 7 };
    cyd.on(api).command("remove_message", Some(new_key()), &delete).await.problem(403, "not-permitted");
    ann.on(api).done::<Done>("delete_message", &delete).await;
    let late = React { chat_id: chat, number: 7, emoji: Some("👍".to_owned()) };
    bob.on(api).command("react", Some(new_key()), &late).await.problem(409, "message-deleted");
    bob.on(api).done::<Done>("remove_message", &ChatMessage { chat_id: chat, number: 3 }).await;

    // How one keeps it, and what one lets others see.
    let prefs = SetChatPrefs { chat_id: chat, muted_until: None, pinned: Some(true) };
    cyd.on(api).done::<Done>("set_chat_prefs", &prefs).await;
    cyd.on(api).done::<Done>("block", &bob.whom()).await;
    let settings = SettingsChanges { about: Some(Audience::Friends), ..SettingsChanges::default() };
    ann.tell_about(api, "sings").await;
    let head = ann.on(api).done::<Done>("change_settings", &settings).await.position;
    let [(kept, _), (gone, _)] = carried.try_into().expect("two");
    Story { people, chat, kept, gone, head }
}

/// What somebody asks who reads `versions` of messages.
fn paths(story: &Story, role: Option<Role>, versions: &[u64]) -> Vec<String> {
    let base = format!("/chats/{}", story.chat);
    let messages = format!("{base}/messages");
    let mut paths = vec![
        "/me".to_owned(),
        "/chats".to_owned(),
        "/chats?limit=1".to_owned(),
        base.clone(),
        messages.clone(),
        format!("{messages}?limit=2"),
        format!("{messages}?after=2&limit=3"),
        format!("{messages}?before=5&limit=3"),
        format!("{messages}?from=2020-01-01T00:00:00Z&limit=3"),
    ];
    paths.extend(versions.iter().map(|number| format!("{messages}/{number}/versions")));
    paths.extend(story.people.iter().map(|person| format!("/users/{}", person.id)));
    if role.is_some() {
        paths.extend([format!("{base}/members"), format!("{base}/members?limit=1")]);
    }
    if role == Some(Role::Owner) {
        paths.push(format!("{base}/invites"));
    }
    paths
}

async fn lives(folder: &Folder, settings: Settings) {
    let letopis = settings.start().await;
    let api = Api::of(&letopis);
    let story = happens(&api).await;
    let [ann, bob, cyd, dan, eve] = &story.people;
    let chat = story.chat;

    // Who reads what.
    let anns = history(&api, ann, chat).await;
    assert_eq!(numbers(&anns), [1, 2, 3, 4, 5, 6, 7, 8]);
    let cyds = history(&api, cyd, chat).await;
    assert_eq!(numbers(&cyds), [3, 4, 5, 6, 7, 8], "from joining on");
    let dans = history(&api, dan, chat).await;
    assert_eq!(numbers(&dans), [4], "from joining to leaving");
    let path = format!("/query/v1/chats/{chat}/messages");
    eve.on(&api).get(&path).await.problem(404, "not-found");
    let kinds: Vec<LineKind> = anns.lines.iter().map(|line| line.kind).collect();
    use LineKind::{Added, Created, Joined, Left, Renamed, RoleSet};
    assert_eq!(kinds, [Created, RoleSet, Renamed, Added, Joined, Left]);
    assert_eq!(dans.lines.last().map(|line| line.kind), Some(Left), "one's own going");

    let of = |messages: &Messages, number: u64| -> Message {
        messages.items.iter().find(|it| it.number == number).expect("it is there").clone()
    };
    let first = of(&anns, 1);
    assert_eq!((first.text.as_str(), first.edited_at.is_some()), ("welcome to all", true));
    let versions: List<Version> = bob.on(&api).query(&format!("/chats/{chat}/messages/1/versions")).await;
    assert_eq!(
        versions.items.iter().map(|it| it.text.as_str()).collect::<Vec<_>>(),
        ["welcome", "welcome to all"]
    );
    let reactions: Vec<_> =
        of(&anns, 4).reactions.into_iter().map(|it| (it.emoji, it.count, it.mine)).collect();
    assert_eq!(reactions, [("👍".to_owned(), 2, false), ("🎉".to_owned(), 1, true)]);
    assert_eq!((of(&anns, 3).deleted, of(&anns, 3).text.as_str()), (Some(Deleted::Moderator), ""));
    let forwarded = of(&anns, 5);
    assert_eq!(forwarded.text, "between us");
    assert_eq!(forwarded.forwarded_from.map(|it| it.user_id), Some(ann.id));
    assert!(of(&cyds, 5).collapsed && !of(&anns, 5).collapsed, "of somebody whom Cyd has blocked");
    let deleted = of(&anns, 7);
    assert_eq!((deleted.deleted, deleted.attachments.len()), (Some(Deleted::Author), 0));
    assert_eq!(of(&anns, 8).reply_to.and_then(|it| it.excerpt), None, "a quote of what is gone");
    assert_eq!(of(&anns, 6).attachments[0].name, "цвет.jpg");

    // What it carries: for members, until it is deleted.
    let seen = blob(&api, bob, &story.kept, story.head).await;
    assert_eq!((seen.status, seen.header("content-type")), (200, "image/jpeg"));
    assert_eq!(image::load_from_memory(&seen.body).expect("a picture").into_rgb8().dimensions(), (300, 200));
    blob(&api, eve, &story.kept, story.head).await.problem(404, "not-found");
    blob(&api, dan, &story.kept, story.head).await.problem(404, "not-found");
    for who in [bob, ann] {
        blob(&api, who, &story.gone, story.head).await.problem(404, "not-found");
    }

    let cyds_chat = head(&api, cyd, chat).await;
    assert!(cyds_chat.pinned && cyds_chat.can_send && !cyds_chat.left);
    // Of 3 to 8 others' are 4, 6 (8 and 5 are Bob's, 7 is deleted, 3 is Cyd's own and read by sending).
    assert_eq!(cyds_chat.unread, 2);
    let dans_chat = head(&api, dan, chat).await;
    assert!(dans_chat.left && !dans_chat.can_send);
    let members: List<Member> = ann.on(&api).query(&format!("/chats/{chat}/members")).await;
    let members: Vec<_> = members.items.iter().map(|it| (it.person.user_id, it.role)).collect();
    assert_eq!(members, [(ann.id, Role::Owner), (bob.id, Role::Admin), (cyd.id, Role::Member)]);
    let invites: List<Invite> = bob.on(&api).query(&format!("/chats/{chat}/invites")).await;
    assert_eq!(invites.items.len(), 1, "one is used up, one revoked");
    cyd.on(&api).get(&format!("/query/v1/chats/{chat}/invites")).await.problem(403, "not-permitted");
    let about = async |who: &Person| {
        let seen: domain::views::PersonAnswer = who.on(&api).query(&format!("/users/{}", ann.id)).await;
        seen.person.about
    };
    assert_eq!((about(bob).await.as_deref(), about(eve).await), (Some("sings"), None), "for friends");

    // All of it again from nothing, byte by byte, for three people.
    let asked = [
        (ann, paths(&story, Some(Role::Owner), &[1, 2, 7])),
        (cyd, paths(&story, Some(Role::Member), &[4, 7])),
        (dan, paths(&story, None, &[4])),
    ];
    let mut before: Vec<BTreeMap<String, Vec<u8>>> = Vec::new();
    for (asker, paths) in &asked {
        before.push(ask_everything(&api, asker, paths.clone(), story.head).await);
    }
    let seen_before = blob(&api, bob, &story.kept, story.head).await.body;
    letopis.stop().await;
    std::fs::remove_dir_all(folder.file("projections")).expect("they were there");
    let letopis = settings.start().await;
    let api = Api::of(&letopis);
    api.is_ready().await;
    for ((asker, paths), before) in asked.iter().zip(before) {
        let after = ask_everything(&api, asker, paths.clone(), story.head).await;
        assert!(after.keys().eq(before.keys()), "{}: other cursors", asker.nickname);
        for (path, body) in before {
            let (before, after) = (String::from_utf8_lossy(&body), String::from_utf8_lossy(&after[&path]));
            assert!(before == after, "{} asks {path}\nbefore {before}\nafter  {after}", asker.nickname);
        }
    }
    assert!(blob(&api, bob, &story.kept, story.head).await.body == seen_before);

    // The end: the last owner hands over, then the new one dissolves it.
    let alone = SetRole { chat_id: chat, user_id: ann.id, role: Role::Member };
    let refused = ann.on(&api).command("set_role", Some(new_key()), &alone).await.problem(422, "invalid");
    assert_eq!(refused.errors[0].code, "last-owner");
    ann.on(&api).done::<Done>("leave_chat", &Which { chat_id: chat }).await;
    bob.on(&api).done::<Done>("dissolve_chat", &Which { chat_id: chat }).await;
    let over = head(&api, bob, chat).await;
    assert!(over.dissolved && !over.can_send && over.my_role == Role::Owner);
    bob.on(&api)
        .command("send", Some(new_key()), &Send::text(chat, "anybody?"))
        .await
        .problem(403, "not-permitted");
    letopis.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_from_its_making_to_its_end() {
    let folder = Folder::new();
    lives(&folder, folder.settings()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deleted_message_carried_is_swept_and_what_another_carries_stays() {
    let folder = Folder::new();
    let letopis = folder.settings().with("LETOPIS_BLOBS_KEEP", 30).start().await;
    let api = Api::of(&letopis);
    let story = happens(&api).await;
    let blobs = folder.file("blobs");
    let names = || crate::photos::files(&blobs).iter().map(|it| it.display().to_string()).collect::<Vec<_>>();
    within(PATIENCE * 4, "what nobody carries is gone", async || {
        (!names().iter().any(|name| name.contains(&story.gone))).then_some(())
    })
    .await;
    let preview = format!("{}-640", story.kept);
    until("the preview of the other is made", async || {
        names().iter().any(|name| name.contains(&preview)).then_some(())
    })
    .await;
    assert!(names().iter().any(|name| name.contains(&story.kept)), "{:?}", names());
    assert_eq!(blob(&api, &story.people[1], &story.kept, story.head).await.status, 200);
    let sized = format!("{}?size=640", story.kept);
    assert_eq!(blob(&api, &story.people[1], &sized, story.head).await.status, 200);
    letopis.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_uploads_are_refused_and_say_why() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let bob = Person::register(&api, "bob").await;
    ann.befriend(&api, &bob).await;
    let chat = ann.chat_with(&api, &bob).await;
    assert_eq!(upload(&api, &ann, "image/png", b"no picture").await.status, 415);
    let broken = &picture([1, 2, 3])[..200];
    upload(&api, &ann, "image/png", broken).await.problem(422, "invalid");
    upload(&api, &ann, "text/plain", &vec![7; 21 * 1024 * 1024]).await.problem(413, "too-large");
    // A file is kept as it came, whatever it says it is.
    let page = b"<script>alert(1)</script>";
    let uploaded: Uploaded = upload(&api, &ann, "text/html", page).await.ok();
    let own = blob(&api, &ann, &uploaded.blob_id.to_string(), 0).await;
    assert_eq!((own.status, own.body.as_slice()), (200, &page[..]));
    assert_eq!(own.header("content-type"), "application/octet-stream");
    assert!(own.header("content-disposition").starts_with("attachment"));
    assert_eq!(own.header("x-content-type-options"), "nosniff");
    blob(&api, &bob, &uploaded.blob_id.to_string(), 0).await.problem(404, "not-found");
    // Another's upload is nobody's to send.
    let carried = vec![Carried { blob_id: uploaded.blob_id, name: "page.html".to_owned() }];
    let send = Send { attachments: carried, ..Send::text(chat, "look") };
    let refused = bob.on(&api).command("send", Some(new_key()), &send).await.problem(422, "invalid");
    assert_eq!(refused.errors[0].code, "no-such-blob");
    ann.on(&api).done::<Sent>("send", &send).await;
    let again = ann.on(&api).command("send", Some(new_key()), &send).await.problem(422, "invalid");
    assert_eq!(again.errors[0].code, "used-blob");
    letopis.stop().await;
}
