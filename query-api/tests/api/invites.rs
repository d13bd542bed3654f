//! Invitations, as the write side has them.

use domain::chat::{Chat, Invite, Member};
use domain::ids::{ChatId, InviteId, PersonId};
use domain::personal::Title;
use domain::views::{ChatKind, Role};
use serde_json::json;
use uuid::Uuid;

use crate::world::{Answer, World, at, items};

/// Bob's group, ann its admin, cy a member, with these invitations: when each ends, how often more it may
/// be accepted.
fn written(
    world: &World,
    [ann, bob, cy]: [PersonId; 3],
    invites: &[(u64, Option<u32>)],
) -> (ChatId, Vec<String>) {
    let chat_id = ChatId(Uuid::from_u128(100));
    let title = world.seal("Chat", &chat_id.to_string(), "title", bob, 90, &Title("Choir".into()));
    let member = |person, role| Member { person, role };
    let invite = |(index, (ends, uses_left)): (usize, &(u64, Option<u32>))| {
        let invite = Invite {
            by: ann,
            created_at: at(900 + index as u64),
            expires_at: at(*ends),
            uses_left: *uses_left,
        };
        (InviteId(Uuid::from_u128(index as u128 + 1)), invite)
    };
    let chat = Chat {
        chat: Some(chat_id),
        kind: Some(ChatKind::Group),
        title: Some(title),
        members: vec![member(bob, Role::Owner), member(ann, Role::Admin), member(cy, Role::Member)],
        invites: invites.iter().enumerate().map(invite).collect(),
        ..Chat::default()
    };
    let tokens: Vec<_> =
        chat.invites.keys().map(|invite| (world.keyring.invite_token(*invite), *invite)).collect();
    let secrets = tokens.iter().map(|(token, _)| token.clone()).collect();
    let mut written = world.written.0.lock().expect("not poisoned");
    written.invites.extend(tokens);
    written.chats.insert(chat_id, chat);
    (chat_id, secrets)
}

impl World {
    fn change_written(&self, chat_id: ChatId, change: impl FnOnce(&mut Chat)) {
        change(self.written.0.lock().expect("not poisoned").chats.get_mut(&chat_id).expect("a chat"));
    }

    async fn invited(&self, who: PersonId, token: &str) -> Answer {
        self.ask_with("GET", Some(who), "/query/v1/invite", &[("x-letopis-invite", token)]).await
    }
}

#[tokio::test]
async fn open_invitations_are_for_those_who_may_invite() {
    let world = World::new().await;
    let people @ [ann, bob, cy] = world.three().await;
    let dan = world.registered(4, "dan", "Dan").await;
    // Open, over, used up, open for ever.
    let invites = [(1_001, Some(2)), (1_000, None), (2_000, Some(0)), (9_000, None)];
    let (group, tokens) = written(&world, people, &invites);
    let path = format!("/chats/{group}/invites");
    for who in [ann, bob] {
        let list = world.get(who, &path).await;
        assert_eq!(items(&list, "token"), [json!(tokens[3]), json!(tokens[0])], "the newest first");
        let last = &list["items"][1];
        assert_eq!((&last["uses_left"], &last["by"]["nickname"]), (&json!(2), &json!("ann")));
        assert_eq!((&last["expires_at"], &last["created_at"]), (&json!(at(1_001)), &json!(at(900))));
        assert_eq!(list["items"][0].get("uses_left"), None);
    }
    assert_eq!(world.refused(cy, &path).await, (403, "not-permitted".into(), String::new()));
    assert_eq!(world.refused(dan, &path).await, (404, "not-found".into(), String::new()));
    world.change_written(group, |chat| chat.dissolved = true);
    assert_eq!(world.refused(bob, &path).await.0, 403);
}

#[tokio::test]
async fn whoever_holds_an_invitation_sees_what_it_leads_to() {
    let world = World::new().await;
    let people @ [ann, _, cy] = world.three().await;
    let dan = world.registered(4, "dan", "Dan").await;
    let (group, tokens) = written(&world, people, &[(1_001, Some(1)), (1_000, None), (2_000, Some(0))]);
    let answer = world.invited(dan, &tokens[0]).await.json;
    assert_eq!(
        answer,
        json!({
            "chat_id": group, "title": "Choir", "member_count": 3, "joined": false,
            "position": answer["position"],
            "by": { "user_id": ann, "nickname": "ann", "name": "Ann", "state": "active" },
        })
    );
    assert_eq!(world.invited(cy, &tokens[0]).await.json["joined"], true);
    // Over, used up, unknown: nobody is told which.
    for token in [&tokens[1], &tokens[2], "i1.nothing", ""] {
        let refused = world.invited(dan, token).await.refusal();
        assert_eq!(refused, (404, "not-found".into(), String::new()), "{token}");
    }
    assert_eq!(
        world.refused(dan, "/invite").await,
        (400, "malformed".into(), "X-Letopis-Invite".into()),
        "a secret is never a parameter"
    );
    assert_eq!(world.refused(dan, &format!("/invite?token={}", tokens[0])).await.0, 400);
    world.change_written(group, |chat| {
        chat.removed.insert(dan);
    });
    assert_eq!(world.invited(dan, &tokens[0]).await.refusal().0, 403);
    world.change_written(group, |chat| chat.invites.clear());
    assert_eq!(world.invited(cy, &tokens[0]).await.refusal().0, 404, "revoked");
}
