//! Digests computed while bytes are transferred.

use std::fmt::{self, Write as _};
use std::io::Read;

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// The required digest, in lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pin {
    /// SHA-256.
    Sha256(String),
    /// SHA-1 of a git blob: over `blob LENGTH`, a zero byte, and the bytes.
    Git(String),
    /// SHA-512.
    Sha512(String),
    /// SHA-1.
    Sha1(String),
}

impl Pin {
    /// Parses an ETag of the hub: 64 digits are SHA-256, 40 are git's SHA-1.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let tag = tag.to_ascii_lowercase();
        match tag.len() {
            _ if !tag.bytes().all(|b| b.is_ascii_hexdigit()) => None,
            64 => Some(Self::Sha256(tag)),
            40 => Some(Self::Git(tag)),
            _ => None,
        }
    }

    /// The digits.
    pub fn text(&self) -> &str {
        match self {
            Self::Sha256(text) | Self::Git(text) | Self::Sha512(text) | Self::Sha1(text) => text,
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Sha256(_) => "SHA-256",
            Self::Git(_) => "git's SHA-1",
            Self::Sha512(_) => "SHA-512",
            Self::Sha1(_) => "SHA-1",
        };
        write!(f, "{name} {}", self.text())
    }
}

/// Digests of a stream: always SHA-256, and the kind of the pin.
#[derive(Clone)]
pub(crate) struct Hashes {
    sha256: Sha256,
    other: Other,
}

#[derive(Clone)]
enum Other {
    None,
    Sha1(Sha1),
    Sha512(Sha512),
}

/// The digests of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// SHA-256.
    pub sha256: String,
    other: String,
}

impl Hashes {
    /// For bytes with this pin; git's digest needs the size in advance.
    pub fn new(pin: Option<&Pin>, size: Option<u64>) -> Self {
        let other = match pin {
            None | Some(Pin::Sha256(_)) => Other::None,
            Some(Pin::Git(_)) => {
                Other::Sha1(Sha1::new_with_prefix(format!("blob {}\0", size.unwrap_or_default())))
            }
            Some(Pin::Sha1(_)) => Other::Sha1(Sha1::new()),
            Some(Pin::Sha512(_)) => Other::Sha512(Sha512::new()),
        };
        Self { sha256: Sha256::new(), other }
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        match &mut self.other {
            Other::None => {}
            Other::Sha1(h) => h.update(bytes),
            Other::Sha512(h) => h.update(bytes),
        }
    }

    /// Hashes everything from a reader, and returns the number of bytes.
    pub fn read(&mut self, mut from: impl Read) -> std::io::Result<u64> {
        let mut buffer = vec![0; 256 << 10];
        let mut all = 0;
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(all),
                Ok(n) => {
                    self.update(&buffer[..n]);
                    all += n as u64;
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// The digests.
    pub fn finish(self) -> Found {
        let other = match self.other {
            Other::None => String::new(),
            Other::Sha1(h) => hex(&h.finalize()),
            Other::Sha512(h) => hex(&h.finalize()),
        };
        Found { sha256: hex(&self.sha256.finalize()), other }
    }
}

impl Found {
    /// Whether the digest matches the pin with which the hashes were created.
    pub fn is(&self, pin: &Pin) -> bool {
        self.seen(pin) == pin.text()
    }

    /// The digest of the same kind as the pin.
    pub fn seen(&self, pin: &Pin) -> &str {
        match pin {
            Pin::Sha256(_) => &self.sha256,
            _ => &self.other,
        }
    }
}

/// SHA-256 of a text.
pub(crate) fn of_text(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}
