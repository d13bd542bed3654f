//! Blobs in an S3 bucket: the object `<prefix><name>`, put only where there is none
//! (`If-None-Match: *`).
//!
//! Time limits and retries are the client's: an attempt ends after [`ATTEMPT`], and is made up to
//! [`ATTEMPTS`] times, each after a longer pause with jitter, all within [`ALL`]; a breaker answers for
//! a store that is away. Every call may be repeated: a name is never given to other bytes. Addresses are in path style, and checksums are
//! left out where S3 does not ask for them, as servers of other makers need it.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Config, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use domain::Timestamp;
use uuid::Uuid;

use super::{BlobName, Blobs, LOG_ID, Names, PAGE, log_id_of};
use crate::error::{Result, StoreError};
use crate::guard::{Guard, Limits};

const ENGINE: &str = "s3";
const CONNECT: Duration = Duration::from_secs(3);
const ATTEMPT: Duration = Duration::from_secs(8);
const ATTEMPTS: u32 = 4;
const ALL: Duration = Duration::from_secs(20);

/// What leads to a bucket besides its name; `AWS_ENDPOINT_URL_S3`, `AWS_REGION` and so on. Debug
/// prints no secret.
#[derive(Clone, Default)]
pub struct S3Access {
    /// The service of AWS itself if absent.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
    pub session_token: Option<String>,
}

impl std::fmt::Debug for S3Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Access")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// Blobs in a bucket.
#[derive(Clone)]
pub struct S3Blobs {
    pub(super) client: Client,
    pub(super) bucket: String,
    pub(super) prefix: String,
    guard: Guard,
}

impl std::fmt::Debug for S3Blobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Blobs").field("bucket", &self.bucket).field("prefix", &self.prefix).finish()
    }
}

impl S3Blobs {
    /// Opens `bucket[/prefix]`, and sees that it is there.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for what cannot be used, [`StoreError::Engine`] if it does not answer.
    pub async fn open(path: &str, access: &S3Access) -> Result<Self> {
        let blobs = Self::connect(path, access)?;
        let found = blobs.client.head_bucket().bucket(&blobs.bucket).send().await;
        found.map_err(|error| failed("the bucket", error))?;
        Ok(blobs)
    }

    /// Without asking anything.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for what cannot be used.
    pub fn connect(path: &str, access: &S3Access) -> Result<Self> {
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        let refused = |why: &str| Err(StoreError::Refused(why.to_owned()));
        if bucket.is_empty() {
            return refused("the URL names no bucket: write s3://<bucket>, or s3://<bucket>/<prefix>");
        }
        let (Some(key), Some(secret)) = (&access.access_key_id, &access.secret_access_key) else {
            return refused("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set: set both");
        };
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let mut credentials =
            Credentials::builder().access_key_id(key).secret_access_key(secret).provider_name("environment");
        credentials.set_session_token(access.session_token.clone());
        let region = access.region.clone().unwrap_or_else(|| "us-east-1".to_owned());
        let mut config = Config::builder()
            .region(Region::new(region))
            .credentials_provider(credentials.build())
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT)
                    .operation_attempt_timeout(ATTEMPT)
                    .operation_timeout(ALL)
                    .build(),
            );
        config.set_endpoint_url(access.endpoint.clone());
        let client = Client::from_conf(config.build());
        // Attempts and pauses are the client's.
        let guard = Guard::new(ENGINE, Limits { timeout: ALL + ATTEMPT, attempts: 1 });
        Ok(Self { client, bucket: bucket.to_owned(), prefix, guard })
    }

    fn key(&self, name: BlobName) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// What the service said, without what only a debugger wants to know.
pub(super) fn failed<E, R>(what: &str, error: SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let message = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{what}: {code} ({message})"),
        (Some(code), None) => format!("{what}: {code}"),
        (None, _) => {
            let mut causes: &dyn std::error::Error = match &error {
                SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                    Some(error) => error,
                    None => return engine(format!("{what}: {error}")),
                },
                _ => return engine(format!("{what}: {error}")),
            };
            while let Some(cause) = causes.source() {
                causes = cause;
            }
            format!("{what}: {causes}")
        }
    };
    engine(message)
}

fn engine(message: String) -> StoreError {
    StoreError::Engine { engine: ENGINE, message }
}

impl S3Blobs {
    async fn put_once(&self, key: String, sealed: Vec<u8>) -> Result<()> {
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type("application/octet-stream")
            .if_none_match("*")
            .body(ByteStream::from(sealed))
            .send()
            .await;
        match put {
            Ok(_) => Ok(()),
            // There already; perhaps by an attempt whose answer was lost.
            Err(error) if error.raw_response().is_some_and(|it| it.status().as_u16() == 412) => Ok(()),
            Err(error) => Err(failed("a blob was not put", error)),
        }
    }

    async fn get_once(&self, key: String) -> Result<Option<Vec<u8>>> {
        let got = self.client.get_object().bucket(&self.bucket).key(key).send().await;
        let object = match got {
            Ok(object) => object,
            Err(error) if error.as_service_error().is_some_and(|it| it.is_no_such_key()) => return Ok(None),
            Err(error) => return Err(failed("a blob was not read", error)),
        };
        let read = tokio::time::timeout(ATTEMPT, object.body.collect()).await;
        let broke = |why: &dyn std::fmt::Display| engine(format!("a blob's bytes broke off: {why}"));
        let bytes = read.map_err(|error| broke(&error))?.map_err(|error| broke(&error))?;
        Ok(Some(bytes.to_vec()))
    }

    async fn delete_once(&self, name: BlobName) -> Result<()> {
        let deleted = self.client.delete_object().bucket(&self.bucket).key(self.key(name)).send().await;
        deleted.map(|_| ()).map_err(|error| failed("a blob was not deleted", error))
    }

    async fn older_once(&self, before: Timestamp, after: Option<String>) -> Result<Names> {
        let listed = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(&self.prefix)
            .set_start_after(after.map(|after| format!("{}{after}", self.prefix)))
            .max_keys(i32::try_from(PAGE).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| failed("blobs were not listed", error))?;
        let mut names = Names::default();
        let name_of = |key: Option<&str>| Some(key?.strip_prefix(&self.prefix)?.to_owned());
        let objects = listed.contents();
        if listed.is_truncated() == Some(true) {
            names.next = objects.last().and_then(|last| name_of(last.key()));
        }
        for object in objects {
            // Whole seconds are enough for what is told apart by hours.
            let put = object.last_modified().map(|at| Timestamp(at.secs() * Timestamp::SECOND));
            if put.is_some_and(|put| put < before)
                && let Some(name) = name_of(object.key()).and_then(|name| name.parse().ok())
            {
                names.names.push(name);
            }
        }
        Ok(names)
    }
}

#[async_trait]
impl Blobs for S3Blobs {
    async fn put(&self, name: BlobName, sealed: Vec<u8>) -> Result<()> {
        self.guard.once(self.put_once(self.key(name), sealed)).await
    }

    async fn get(&self, name: BlobName) -> Result<Option<Vec<u8>>> {
        self.guard.once(self.get_once(self.key(name))).await
    }

    async fn delete(&self, name: BlobName) -> Result<()> {
        self.guard.once(self.delete_once(name)).await
    }

    async fn claim(&self, log_id: Uuid) -> Result<Uuid> {
        let key = format!("{}{LOG_ID}", self.prefix);
        let put = self.put_once(key.clone(), log_id.to_string().into_bytes());
        self.guard.once(put).await?;
        let held = self.guard.once(self.get_once(key)).await?;
        log_id_of(ENGINE, &held.ok_or_else(|| engine("the log's id was put and is not there".to_owned()))?)
    }

    async fn older(&self, before: Timestamp, after: Option<String>) -> Result<Names> {
        self.guard.once(self.older_once(before, after)).await
    }
}
