use std::path::Path;
use std::sync::Arc;

use domain::Timestamp;
use domain::ids::BlobId;
use futures::future::LocalBoxFuture;
use stores::blobs::{BlobName, Blobs, S3Access, blob_id};

use uuid::Uuid;

use crate::{engine, engines, namespace};

type OpenBlobs<'a> = &'a dyn Fn() -> LocalBoxFuture<'a, Arc<dyn Blobs>>;

engines!([
    what_was_put_is_there_under_its_name_and_no_other,
    what_is_there_stays_whoever_puts_it_again,
    what_was_deleted_is_gone_and_may_be_deleted_again,
    only_what_is_older_is_listed_page_by_page,
    all_of_it_belongs_to_the_log_that_came_first,
]
    files => async |folder: &Path| -> Arc<dyn Blobs> {
        let url = format!("file:{}/blobs", folder.display());
        stores::resolver::blobs(&url, &S3Access::default()).await.expect("opened")
    },
    s3 => async |folder: &Path| -> Arc<dyn Blobs> {
        let url = format!("{}/{}", engine("S3").trim_end_matches('/'), namespace(folder));
        stores::resolver::blobs(&url, &access()).await.expect("opened")
    },
);

/// What leads to the server of `LETOPIS_TEST_S3`.
#[expect(clippy::disallowed_methods, reason = "where the server is is the script's to say")]
pub fn access() -> S3Access {
    let read = |name: &str| std::env::var(name).ok();
    S3Access {
        endpoint: read("AWS_ENDPOINT_URL_S3"),
        region: read("AWS_REGION"),
        access_key_id: read("AWS_ACCESS_KEY_ID"),
        secret_access_key: read("AWS_SECRET_ACCESS_KEY"),
        session_token: None,
    }
}

/// Later than any clock.
const LATER: Timestamp = Timestamp(4_000_000_000 * Timestamp::SECOND);
const EARLIER: Timestamp = Timestamp(1_000_000_000 * Timestamp::SECOND);

async fn what_was_put_is_there_under_its_name_and_no_other(open: OpenBlobs<'_>) {
    // More than one packet, one part and one buffer.
    let sealed: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let original = blob_id(&sealed);
    let (name, size) = (BlobName::original(original), BlobName::sized(original, 64));
    let store = open().await;
    store.put(name, sealed.clone()).await.expect("put");
    store.put(size, b"small".to_vec()).await.expect("put");
    let again = open().await;
    assert!(again.get(name).await.expect("an answer").is_some_and(|it| it == sealed));
    assert_eq!(again.get(size).await.expect("an answer").as_deref(), Some(b"small".as_slice()));
    for other in [BlobName::original(BlobId([0; 32])), BlobName::sized(original, 256)] {
        assert_eq!(again.get(other).await.expect("an answer"), None);
    }
}

async fn all_of_it_belongs_to_the_log_that_came_first(open: OpenBlobs<'_>) {
    let (one, two) = (open().await, open().await);
    let (first, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    assert_eq!(one.claim(first).await.expect("an answer"), first);
    assert_eq!(one.claim(first).await.expect("an answer"), first);
    assert_eq!(two.claim(other).await.expect("an answer"), first);
    let names = one.older(LATER, None).await.expect("an answer");
    assert_eq!(names.names, [], "it is no blob");
}

async fn what_is_there_stays_whoever_puts_it_again(open: OpenBlobs<'_>) {
    let store = open().await;
    let name = BlobName::sized(BlobId([1; 32]), 256);
    store.put(name, b"first".to_vec()).await.expect("put");
    store.put(name, b"other".to_vec()).await.expect("put again");
    assert_eq!(store.get(name).await.expect("an answer").as_deref(), Some(b"first".as_slice()));
}

async fn what_was_deleted_is_gone_and_may_be_deleted_again(open: OpenBlobs<'_>) {
    let store = open().await;
    let (gone, kept) = (BlobName::original(BlobId([2; 32])), BlobName::original(BlobId([3; 32])));
    store.put(gone, b"gone".to_vec()).await.expect("put");
    store.put(kept, b"kept".to_vec()).await.expect("put");
    store.delete(gone).await.expect("deleted");
    store.delete(gone).await.expect("deleted again");
    assert_eq!(store.get(gone).await.expect("an answer"), None);
    assert_eq!(store.get(kept).await.expect("an answer").as_deref(), Some(b"kept".as_slice()));
    store.put(gone, b"anew".to_vec()).await.expect("put");
    assert_eq!(store.get(gone).await.expect("an answer").as_deref(), Some(b"anew".as_slice()));
}

async fn only_what_is_older_is_listed_page_by_page(open: OpenBlobs<'_>) {
    let store = open().await;
    let mut names: Vec<BlobName> = Vec::new();
    // More than a page.
    for n in 0..600_u32 {
        let original = blob_id(&n.to_be_bytes());
        names.extend([BlobName::original(original), BlobName::sized(original, 64)]);
    }
    // Few at once: all wait for one server, which has a time for each.
    for some in names.chunks(10) {
        let puts = some.iter().map(|name| store.put(*name, b"x".to_vec()));
        futures::future::try_join_all(puts).await.expect("put");
    }
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let page = store.older(LATER, after).await.expect("an answer");
        assert!(page.names.len() <= 1_000);
        listed.extend(page.names);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    names.sort_by_key(ToString::to_string);
    assert_eq!(listed.len(), names.len());
    assert_eq!(listed, names);
    assert!(store.older(EARLIER, None).await.expect("an answer").names.is_empty());
}

#[tokio::test]
async fn a_blob_store_that_cannot_be_used_is_refused_by_name_and_without_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), "no folder").expect("written");
    let wrong_secret = S3Access { secret_access_key: Some("canary".into()), ..access() };
    let nobody = S3Access { endpoint: Some("http://127.0.0.1:9".into()), ..access() };
    let bucket = engine("S3");
    for (url, access, says) in [
        ("ftp:x".to_owned(), access(), "scheme \"ftp\""),
        ("file:".to_owned(), access(), "names no path"),
        (format!("file:{}/file/blobs", folder.path().display()), access(), "may be written to"),
        ("s3://".to_owned(), access(), "names no bucket"),
        ("s3://no-such-bucket-here".to_owned(), access(), "bucket"),
        (bucket.clone(), S3Access::default(), "AWS_ACCESS_KEY_ID"),
        (bucket.clone(), wrong_secret, "AWS_SECRET_ACCESS_KEY"),
        (bucket, nobody, "AWS_ENDPOINT_URL_S3"),
    ] {
        let refused = stores::resolver::blobs(&url, &access).await.map(|_| ()).expect_err("refused");
        let said = refused.to_string();
        assert!(said.contains("LETOPIS_BLOBS_URL") && said.contains(says), "{url}: {said}");
        assert!(!said.contains("canary"), "{said}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_files_and_what_is_unfinished_is_swept() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("blobs");
    let store = stores::blobs::FileBlobs::open(&root).expect("opened");
    let name = BlobName::original(BlobId([0xab; 32]));
    store.put(name, b"sealed".to_vec()).await.expect("put");
    let place = root.join("ab").join("ab");
    let mode = |path: &Path| std::fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    assert_eq!((mode(&root), mode(&place), mode(&place.join(name.to_string()))), (0o700, 0o700, 0o600));
    assert_eq!(std::fs::read_dir(&place).expect("a folder").count(), 1, "nothing unfinished is left");

    let unfinished = place.join(format!("{name}.1-0.new"));
    let strange = place.join("strange");
    std::fs::write(&unfinished, "half").expect("written");
    std::fs::write(&strange, "not ours").expect("written");
    assert!(store.older(EARLIER, None).await.expect("an answer").names.is_empty());
    assert!(unfinished.exists(), "somebody may be at it");
    assert_eq!(store.older(LATER, None).await.expect("an answer").names, [name]);
    assert!(!unfinished.exists() && strange.exists());
}
