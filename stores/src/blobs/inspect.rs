//! What `letopis doctor` says of an S3 bucket. Nothing is written: a conditional put of a blob that is
//! there is refused by whoever knows the condition.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::BucketVersioningStatus;

use super::s3::{S3Access, S3Blobs, failed};
use crate::error::Result;
use crate::inspect::Inspected;

/// The key of no blob.
const NOTHING: &str = "doctor";
const PERMISSIONS: &str = "allow s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on \
    what is in it, to the credentials in AWS_ACCESS_KEY_ID";

/// Looks at the bucket of a path (`bucket[/prefix]`).
pub(crate) async fn inspect(path: &str, access: &S3Access) -> Vec<Inspected> {
    match look(path, access).await {
        Ok(found) => found,
        Err(error) => vec![Inspected::problem(
            "connection",
            error.to_string(),
            "start it, make the bucket, and set AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY right",
        )],
    }
}

async fn look(path: &str, access: &S3Access) -> Result<Vec<Inspected>> {
    let blobs = S3Blobs::open(path, access).await?;
    let at = access.endpoint.as_deref().unwrap_or("AWS");
    let mut found = vec![Inspected::ok("connection", format!("the bucket {} answers at {at}", blobs.bucket))];
    found.push(versions(&blobs).await);
    found.push(permissions(&blobs).await);
    found.extend(conditions(&blobs).await?);
    Ok(found)
}

/// A bucket with versions keeps what is deleted.
async fn versions(blobs: &S3Blobs) -> Inspected {
    let asked = blobs.client.get_bucket_versioning().bucket(&blobs.bucket).send().await;
    match asked.map(|answer| answer.status().cloned()) {
        Ok(Some(BucketVersioningStatus::Enabled)) => Inspected::warning(
            "versions",
            "the bucket keeps what is deleted, sealed",
            "set a lifecycle rule that expires noncurrent versions",
        ),
        Ok(_) => Inspected::ok("versions", "what is deleted is gone"),
        Err(error) => Inspected::warning(
            "versions",
            failed("whether the bucket keeps what is deleted is not known", error).to_string(),
            "for this to say so, allow s3:GetBucketVersioning",
        ),
    }
}

/// Reading and listing, as every request needs them.
async fn permissions(blobs: &S3Blobs) -> Inspected {
    let (client, bucket) = (&blobs.client, &blobs.bucket);
    let listed = client.list_objects_v2().bucket(bucket).prefix(&blobs.prefix).max_keys(1).send().await;
    if let Err(error) = listed {
        return Inspected::problem("permissions", failed("listing", error).to_string(), PERMISSIONS);
    }
    let key = format!("{}{NOTHING}", blobs.prefix);
    match client.get_object().bucket(bucket).key(key).send().await {
        Err(error) if error.as_service_error().is_some_and(|it| it.is_no_such_key()) => {
            Inspected::ok("permissions", "blobs may be listed and read")
        }
        Err(error) => Inspected::problem("permissions", failed("reading", error).to_string(), PERMISSIONS),
        Ok(_) => Inspected::ok("permissions", "blobs may be listed and read"),
    }
}

/// Whether puts are allowed, and conditional ones understood, by one that must be refused. `None` while
/// there is no blob.
async fn conditions(blobs: &S3Blobs) -> Result<Option<Inspected>> {
    let (client, bucket) = (&blobs.client, &blobs.bucket);
    let listed = client.list_objects_v2().bucket(bucket).prefix(&blobs.prefix).max_keys(1).send().await;
    let listed = listed.map_err(|error| failed("listing", error))?;
    let Some(key) = listed.contents().first().and_then(|object| object.key()) else { return Ok(None) };
    let held = client.get_object().bucket(bucket).key(key).send().await;
    let held = held.map_err(|error| failed("reading", error))?.body.collect().await;
    let Ok(held) = held else { return Ok(None) };
    // What is there already, in case the condition is not understood.
    let put = client.put_object().bucket(bucket).key(key).if_none_match("*");
    Ok(Some(match put.body(ByteStream::from(held.to_vec())).send().await {
        Err(error) if is_refused(&error) => {
            Inspected::ok("writing", "blobs may be put, and never in the place of another (If-None-Match)")
        }
        Err(error) => Inspected::problem("writing", failed("putting", error).to_string(), PERMISSIONS),
        Ok(_) => Inspected::problem(
            "writing",
            "the server does not know If-None-Match",
            "use a server that does, as S3 itself has since 2024",
        ),
    }))
}

/// Whether a condition was not met.
fn is_refused<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.code() == Some("PreconditionFailed")
}
