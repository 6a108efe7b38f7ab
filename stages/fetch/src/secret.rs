//! A secret that is told to one host alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lfs_stage::{Failure, Result};
use reqwest::header::HeaderValue;
use url::{Origin, Url};

/// What is sent as `Authorization`, and whom it is for.
#[derive(Clone)]
pub(crate) struct Secret {
    value: HeaderValue,
    for_whom: Origin,
}

impl Secret {
    /// A token, for the host of an address.
    ///
    /// # Errors
    /// When it has characters that no token has.
    pub fn bearer(token: &str, host: &Url) -> Result<Self> {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            Failure::new("the token for the hub has characters that no token has")
                .help("look at HF_TOKEN, or log in again: `hf auth login`")
        })?;
        value.set_sensitive(true);
        Ok(Self { value, for_whom: host.origin() })
    }

    /// Takes name and password out of an address.
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

    /// What this address may be told.
    pub fn told_to(&self, url: &Url) -> Option<&HeaderValue> {
        (url.origin() == self.for_whom).then_some(&self.value)
    }
}
