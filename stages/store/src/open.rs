//! Opens a store by address: S3 and compatible stores, Google Cloud, Azure, HTTP, a folder.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

use crate::guard::Guarding;

/// A store, and the prefix below which all names lie.
pub struct Store {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The prefix.
    pub base: Path,
    /// The same store, if it is a folder of the file system, where an entry may be something other than a file.
    pub folder: Option<Arc<LocalFileSystem>>,
}

impl Store {
    fn folder(base: Path) -> Self {
        let folder = Arc::new(LocalFileSystem::new());
        Self { store: Arc::clone(&folder) as Arc<dyn ObjectStore>, base, folder: Some(folder) }
    }
}

/// The time to establish a connection.
const CONNECT: Duration = Duration::from_secs(4);
// How long a connection may be idle; the total time is not limited here.
const SILENCE: Duration = Duration::from_secs(120);

// A request that took longer is not retried: it would take as long again.
const RETRY: Duration = Duration::from_secs(10);

fn retry() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(200),
        max_backoff: Duration::from_secs(2),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: 2, retry_timeout: RETRY }
}

/// The variables whose names have this prefix, as options.
fn chosen<'a>(
    variables: &'a [(String, String)],
    begin: &'a str,
) -> impl Iterator<Item = (String, &'a String)> {
    let those = variables.iter().filter(move |(name, _)| name.starts_with(begin));
    those.map(|(name, value)| (name.to_ascii_lowercase(), value))
}

macro_rules! cloud {
    ($builder:ty, $url:expr, $variables:expr, $begin:literal) => {{
        // Variables with the store's prefix override these connection options.
        let options = ClientOptions::new()
            .with_connect_timeout(CONNECT)
            .with_timeout_disabled()
            .with_read_timeout(SILENCE);
        let mut builder = <$builder>::new()
            .with_http_connector(Guarding)
            .with_client_options(options)
            .with_url($url.to_string())
            .with_retry(retry());
        for (name, value) in chosen($variables, $begin) {
            if let Ok(key) = name.parse() {
                builder = builder.with_config(key, value);
            }
        }
        Arc::new(builder.build().map_err(|e| e.to_string())?) as Arc<dyn ObjectStore>
    }};
}

/// Opens the store at an address. Options and credentials are read from `variables`, the environment variables, under the names
/// that the stores' own tools use. No request is sent yet.
///
/// # Errors
/// If there is no such kind of store, or something that it needs is missing.
pub fn open(text: &str, variables: &[(String, String)]) -> Result<Store, String> {
    if text.starts_with('/') {
        let base = Path::from_absolute_path(text).map_err(|e| e.to_string())?;
        return Ok(Store::folder(base));
    }
    let url = Url::parse(text).map_err(|e| format!("`{text}` is no address: {e}"))?;
    let (scheme, path) = ObjectStoreScheme::parse(&url).map_err(|e| e.to_string())?;
    let base = Path::parse(path).map_err(|e| e.to_string())?;
    let store: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::Local => return Ok(Store::folder(base)),
        ObjectStoreScheme::AmazonS3 => cloud!(AmazonS3Builder, url, variables, "AWS_"),
        ObjectStoreScheme::GoogleCloudStorage => cloud!(GoogleCloudStorageBuilder, url, variables, "GOOGLE_"),
        ObjectStoreScheme::MicrosoftAzure => cloud!(MicrosoftAzureBuilder, url, variables, "AZURE_"),
        ObjectStoreScheme::Http => {
            let options = ClientOptions::new()
                .with_connect_timeout(CONNECT)
                .with_timeout_disabled()
                .with_read_timeout(SILENCE)
                .with_allow_http(url.scheme() == "http");
            let builder = HttpBuilder::new().with_url(&url[..url::Position::BeforePath]).with_retry(retry());
            let builder = builder.with_http_connector(Guarding).with_client_options(options);
            Arc::new(builder.build().map_err(|e| e.to_string())?)
        }
        _ => return Err(format!("`{}:` is no supported kind of store", url.scheme())),
    };
    Ok(Store { store, base, folder: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_store_is_known_and_others_are_refused_by_name() {
        assert_eq!(open("file:///tmp/results", &[]).unwrap().base.as_ref(), "tmp/results");
        assert_eq!(open("/tmp/my results #1", &[]).unwrap().base.as_ref(), "tmp/my results #1");
        assert_eq!(open("s3://bucket/a/b", &[]).unwrap().base.as_ref(), "a/b");
        assert_eq!(open("https://example.org/results", &[]).unwrap().base.as_ref(), "results");
        // Without an account there is no such store; the message names what is missing.
        let why = open("az://container/a", &[]).err().unwrap();
        assert!(why.to_lowercase().contains("account"), "{why}");
        let why = open("carrier-pigeon://a/b", &[]).err().unwrap();
        assert!(why.contains("carrier-pigeon"), "{why}");
        assert!(open("results", &[]).err().unwrap().contains("no address"));
    }
}
