//! Photos of people.

use domain::requests::{Done, PhotoChanged, RemovePhoto};
use uuid::Uuid;

use super::transport::{command, read};
use super::upload::send_file;
use super::{Answer, SignedIn};
use crate::picture::Picture;

/// Where the photo is, cut to a square of `size` pixels.
pub fn photo_path(photo: &str, size: u32) -> String {
    format!("/query/v1/photos/{photo}?size={size}")
}

impl SignedIn {
    /// `key` stays the same while the same photo is sent again. `on_progress` hears how much has gone, in percent.
    pub async fn change_photo(
        self,
        photo: &Picture,
        key: Uuid,
        on_progress: impl Fn(u32),
    ) -> Answer<PhotoChanged> {
        // A small request first: credentials that have run out are found out before megabytes are on their way.
        self.me().await?;
        let sent = match send_file("change_photo", &photo.bytes, photo.kind, key, &on_progress).await {
            Err(failure) if failure.is_about_credentials() => {
                self.me().await?;
                send_file("change_photo", &photo.bytes, photo.kind, key, &on_progress).await
            }
            sent => sent,
        };
        read(&sent?)
    }

    pub async fn remove_photo(self, key: Uuid) -> Answer<Done> {
        command("remove_photo", &RemovePhoto {}, key).await
    }
}
