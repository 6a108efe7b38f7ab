//! Credentials that are sent to a single host.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lfs_stage::{Failure, Result};
use reqwest::header::HeaderValue;
use url::{Origin, Url};

/// The value of `Authorization`, and the host for which it is meant.
#[derive(Clone)]
pub(crate) struct Secret {
    value: HeaderValue,
    for_whom: Origin,
}

impl Secret {
    /// A bearer token for the host of an address.
    ///
    /// # Errors
    /// If it has characters that are not allowed in tokens.
    pub fn bearer(token: &str, host: &Url) -> Result<Self> {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            Failure::new("the token for the hub has characters that no token has")
                .help("check HF_TOKEN, or log in again: `hf auth login`")
        })?;
        value.set_sensitive(true);
        Ok(Self { value, for_whom: host.origin() })
    }

    /// Removes the user name and password from an address.
    pub fn taken_from(url: &mut Url) -> Option<Self> {
        if url.username().is_empty() && url.password().is_none() {
            return None;
        }
        let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let both = format!("{}:{}", plain(url.username()), plain(url.password().unwrap_or_default()));
        let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(both))).ok()?;
        value.set_sensitive(true);
        let for_whom = url.origin();
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Some(Self { value, for_whom })
    }

    /// The value to send to this address, if any.
    pub fn told_to(&self, url: &Url) -> Option<&HeaderValue> {
        (url.origin() == self.for_whom).then_some(&self.value)
    }
}
