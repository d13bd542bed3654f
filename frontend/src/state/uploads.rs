//! Files for messages on their way to the server, one after the other. A message can be sent before what it carries has
//! arrived: it is on the screen at once, and goes out when all of it is there.

use std::collections::VecDeque;
use std::rc::Rc;

use domain::ids::{ChatId, MessageId};
use domain::requests::Uploaded;
use domain::views::Attachment;
use futures::future::{AbortHandle, abortable};
use leptos::prelude::*;
use leptos::task::spawn_local;
use uuid::Uuid;

use super::Store;
use super::conversation::{Conversation, Delivery};
use super::outbox::PUT_OFF;
use crate::api::{Failure, Load, persist};
use crate::browser::new_key;

#[derive(Clone)]
pub enum Stage {
    Waiting,
    /// In percent.
    Going(u32),
    Done(Uploaded),
    Failed(Failure),
}

/// One file. Its key stays the same however often it is tried.
#[derive(Clone)]
pub struct Upload {
    pub key: Uuid,
    pub name: String,
    pub load: Rc<Load>,
    pub stage: ArcRwSignal<Stage>,
}

impl Upload {
    pub fn new(name: String, load: Load) -> Self {
        Self { key: new_key(), name, load: Rc::new(load), stage: ArcRwSignal::new(Stage::Waiting) }
    }

    pub fn has_failed(&self) -> bool {
        self.stage.with(|stage| matches!(stage, Stage::Failed(_)))
    }

    fn attachment(&self) -> Option<Attachment> {
        match self.stage.get_untracked() {
            Stage::Done(Uploaded { blob_id, kind, media_type, size, width, height, .. }) => {
                let name = self.name.clone();
                Some(Attachment { blob_id, kind, media_type, size, width, height, name })
            }
            _ => None,
        }
    }
}

/// What a message carries, once all of it has arrived.
fn attachments(uploads: &[Upload]) -> Option<Vec<Attachment>> {
    uploads.iter().map(Upload::attachment).collect()
}

#[derive(Default)]
pub(super) struct Uploads {
    waiting: VecDeque<Upload>,
    /// The one that is on its way, and how to stop it.
    going: Option<(Uuid, AbortHandle)>,
    /// What unsent messages carry.
    carried: Vec<(MessageId, ChatId, Vec<Upload>)>,
}

impl Store {
    /// Uploads a file after those that wait already, unless it is on its way or there.
    pub fn upload(self, upload: &Upload) {
        let is_new = |uploads: &Uploads| {
            uploads.waiting.iter().all(|known| known.key != upload.key)
                && uploads.going.as_ref().is_none_or(|(going, _)| *going != upload.key)
        };
        if upload.attachment().is_none() && self.uploads.with_value(is_new) {
            upload.stage.set(Stage::Waiting);
            self.uploads.update_value(|uploads| uploads.waiting.push_back(upload.clone()));
            self.upload_next();
        }
    }

    /// Takes a file back.
    pub fn stop_upload(self, key: Uuid) {
        self.uploads.update_value(|uploads| {
            uploads.waiting.retain(|upload| upload.key != key);
            if let Some((_, handle)) = uploads.going.as_ref().filter(|(going, _)| *going == key) {
                handle.abort();
            }
        });
    }

    pub(super) fn stop_uploads(self) {
        let Uploads { going, .. } = self.uploads.try_update_value(std::mem::take).unwrap_or_default();
        if let Some((_, handle)) = going {
            handle.abort();
        }
    }

    fn upload_next(self) {
        let next = |uploads: &mut Uploads| {
            if uploads.going.is_some() { None } else { uploads.waiting.pop_front() }
        };
        let Some(Upload { key, load, stage, .. }) = self.uploads.try_update_value(next).flatten() else {
            return;
        };
        stage.set(Stage::Going(0));
        let gone = stage.clone();
        let (sent, handle) = abortable(async move {
            let on_progress = move |percent| gone.set(Stage::Going(percent));
            persist(PUT_OFF, Failure::pause, async || self.api.upload(&load, key, &on_progress).await).await
        });
        self.uploads.update_value(|uploads| uploads.going = Some((key, handle)));
        spawn_local(async move {
            match sent.await {
                Ok(Ok(uploaded)) => stage.set(Stage::Done(uploaded)),
                Ok(Err(failure)) => stage.set(Stage::Failed(failure)),
                Err(_) => {}
            }
            // Unless the session has ended meanwhile.
            if self.uploads.try_update_value(|uploads| uploads.going = None).is_some() {
                self.upload_ended(key);
                self.upload_next();
            }
        });
    }

    /// Tells the message that waits for it, if one does.
    fn upload_ended(self, key: Uuid) {
        let waits = |uploads: &Uploads| {
            let mut all = uploads.carried.iter();
            let carries = |uploads: &[Upload]| uploads.iter().any(|upload| upload.key == key);
            all.find(|(_, _, uploads)| carries(uploads)).map(|(id, chat, _)| (*id, *chat))
        };
        if let Some((id, chat)) = self.uploads.with_value(waits)
            && let Some(conversation) = self.known_conversation(chat)
        {
            self.look_at_uploads(&conversation, id);
            self.keep_outbox(&conversation);
            self.drain(&conversation);
        }
    }

    /// Has an unsent message carry these.
    pub(super) fn carry(self, conversation: &Conversation, id: MessageId, carried: Vec<Upload>) {
        if !carried.is_empty() {
            self.uploads.update_value(|uploads| {
                uploads.carried.push((id, conversation.chat_id, carried));
            });
        }
    }

    /// What an unsent message carries, as it lies in the browser.
    pub fn carried(self, id: MessageId) -> Vec<Upload> {
        let of = |uploads: &Uploads| {
            uploads.carried.iter().find(|it| it.0 == id).map(|(_, _, carried)| carried.clone())
        };
        self.uploads.with_value(of).unwrap_or_default()
    }

    /// Whether all that a message carries has arrived.
    pub(super) fn is_uploaded(self, id: MessageId) -> bool {
        attachments(&self.carried(id)).is_some()
    }

    /// Brings an unsent message up to what has become of its files.
    pub(super) fn look_at_uploads(self, conversation: &Conversation, id: MessageId) {
        let carried = self.carried(id);
        let Some(row) = conversation.unsent(id).filter(|_| !carried.is_empty()) else { return };
        let failure = carried.iter().find_map(|upload| match upload.stage.get_untracked() {
            Stage::Failed(failure) => Some(failure),
            _ => None,
        });
        if let Some(failure) = failure {
            row.item.update(|item| item.delivery = Delivery::Failed(failure));
        } else if let Some(attachments) = attachments(&carried) {
            row.item.update(|item| item.message.attachments = attachments);
        }
    }

    /// Tries again what has failed of a message's files.
    pub(super) fn upload_again(self, id: MessageId) {
        self.carried(id)
            .iter()
            .filter(|upload| untrack(|| upload.has_failed()))
            .for_each(|upload| self.upload(upload));
    }

    /// A message needs its files no more: it is sent, or thrown away.
    pub(super) fn drop_carried(self, id: MessageId) {
        for upload in self.carried(id) {
            self.stop_upload(upload.key);
        }
        self.uploads.update_value(|uploads| {
            uploads.carried.retain(|it| it.0 != id);
        });
    }

    /// Whether a message would be lost with the page: its files are in no place but here.
    pub fn has_unsent_files(self) -> bool {
        let arrive =
            |uploads: &Uploads| uploads.carried.iter().any(|(_, _, carried)| attachments(carried).is_none());
        self.uploads.try_with_value(arrive).unwrap_or(false)
    }
}
