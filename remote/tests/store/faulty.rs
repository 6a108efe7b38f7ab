//! A web server over a folder of results that gives wrong answers where a test asks for them.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::server::Request;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// With this status, and a short explanation.
    Status(u16),
    /// With this status, and an endless explanation.
    EndlessStatus(u16),
    /// With endless bytes, without a length.
    Endless,
    /// With endless bytes, and a length of 10 TiB.
    Huge,
    /// With a length of 10 TiB, and no bytes.
    HugeAndSilent,
    /// With a byte every second.
    Drip,
    /// With a line of the head every second.
    DripHead,
    /// With an endless head.
    EndlessHead,
    /// With nothing at all.
    Silent,
    /// By hanging up.
    HangUp,
    /// With bytes that are not HTTP.
    Noise,
    /// With a page of another service.
    Page,
    /// With characters that no text has.
    Zeros,
    /// With the right bytes, but one bit flipped.
    Flip,
    /// With some of the right bytes.
    Cut,
    /// With none of the right bytes.
    Empty,
    /// With fewer bytes than its length says.
    Short,
    /// With the right bytes, as if they were a piece of an exbibyte.
    HugeRange,
    /// With a redirection to itself.
    Ring,
    /// With a redirection to a file.
    ToFile,
}

pub const ALL: [Fault; 23] = [
    Fault::Status(403),
    Fault::Status(500),
    Fault::Status(503),
    Fault::Status(302),
    Fault::EndlessStatus(403),
    Fault::EndlessStatus(500),
    Fault::EndlessStatus(404),
    Fault::Endless,
    Fault::Huge,
    Fault::HugeAndSilent,
    Fault::Drip,
    Fault::DripHead,
    Fault::EndlessHead,
    Fault::Silent,
    Fault::HangUp,
    Fault::Noise,
    Fault::Page,
    Fault::Zeros,
    Fault::Flip,
    Fault::Cut,
    Fault::Empty,
    Fault::Short,
    Fault::HugeRange,
];

pub const REDIRECTIONS: [Fault; 2] = [Fault::Ring, Fault::ToFile];

/// Serves a folder; names that contain `kind` (all names for `any`) are answered wrongly.
pub struct Faulty {
    port: u16,
}

struct Serving {
    root: PathBuf,
    kind: String,
    fault: Fault,
}

impl Faulty {
    pub fn start(root: &Path, kind: &str, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = Arc::new(Serving { root: root.to_owned(), kind: kind.to_owned(), fault });
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = Arc::clone(&serving);
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    while serving.answer(&mut reader).is_some() {}
                });
            }
        });
        Self { port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/of", self.port)
    }
}

impl Serving {
    /// Answers one request; `None` when the connection is closed.
    fn answer(&self, reader: &mut BufReader<TcpStream>) -> Option<()> {
        let Request { method, path, range, .. } = Request::read(reader)?;
        let name = path.strip_prefix("/of/").unwrap_or_default();
        let is_wrong = self.kind == "any"
            || name.split('/').next() == Some(self.kind.as_str())
                && matches!(method.as_str(), "GET" | "HEAD");
        let file = self.root.join(name);
        let there = file.is_file().then(|| std::fs::read(&file).unwrap());
        let mut to = reader.get_ref();
        if method == "PUT" && !is_wrong {
            return plain(to, &method, "201 Created", "", b"");
        }
        let Some(mut there) = there.or_else(|| is_wrong.then(Vec::new)) else {
            return plain(to, &method, "404 Not Found", "", b"");
        };
        if is_wrong {
            match self.fault {
                Fault::Status(code) => return plain(to, &method, &format!("{code} No"), "", b"no"),
                Fault::Ring => {
                    let to_itself = format!("Location: {path}\r\n");
                    return plain(to, &method, "302 Found", &to_itself, b"");
                }
                Fault::ToFile => {
                    return plain(to, &method, "302 Found", "Location: file:///etc/passwd\r\n", b"");
                }
                Fault::EndlessStatus(code) => {
                    write!(to, "HTTP/1.1 {code} No\r\nTransfer-Encoding: chunked\r\n\r\n").ok()?;
                    return endless(to, true);
                }
                Fault::Endless => {
                    write!(to, "HTTP/1.1 200 OK\r\n{STAMPS}Transfer-Encoding: chunked\r\n\r\n").ok()?;
                    return endless(to, true);
                }
                Fault::Huge => {
                    write!(to, "HTTP/1.1 200 OK\r\n{STAMPS}Content-Length: {}\r\n\r\n", 10_u64 << 40).ok()?;
                    return endless(to, false);
                }
                Fault::HugeAndSilent => {
                    write!(to, "HTTP/1.1 200 OK\r\n{STAMPS}Content-Length: {}\r\n\r\n", 10_u64 << 40).ok()?;
                    std::thread::sleep(Duration::from_secs(1000));
                    return None;
                }
                Fault::Drip => {
                    let status = range.map_or("200 OK", |_| "206 Partial Content");
                    let size = there.len();
                    let (from, end) = range.map_or((0, size), |(from, end)| (from, (end + 1).min(size)));
                    write!(
                        to,
                        "HTTP/1.1 {status}\r\n{STAMPS}Content-Range: bytes {from}-{}/{size}\r\n",
                        end - 1
                    )
                    .ok()?;
                    write!(to, "Content-Length: {}\r\n\r\n", end - from).ok()?;
                    for byte in &there[from..end] {
                        to.write_all(&[*byte]).ok()?;
                        std::thread::sleep(Duration::from_secs(1));
                    }
                    return Some(());
                }
                Fault::DripHead => {
                    write!(to, "HTTP/1.1 200 OK\r\n").ok()?;
                    loop {
                        write!(to, "X-More: more\r\n").ok()?;
                        std::thread::sleep(Duration::from_secs(1));
                    }
                }
                Fault::EndlessHead => {
                    write!(to, "HTTP/1.1 200 OK\r\n").ok()?;
                    loop {
                        write!(to, "X-More: {}\r\n", "more".repeat(1000)).ok()?;
                    }
                }
                Fault::Silent => {
                    std::thread::sleep(Duration::from_secs(1000));
                    return None;
                }
                Fault::HangUp => return None,
                Fault::Noise => {
                    to.write_all(&[0, 255, 10, 13, 7].repeat(1000)).ok()?;
                    return None;
                }
                Fault::Page => there = b"<html><body>Please sign in</body></html>".to_vec(),
                Fault::Zeros => there = vec![0; 1 << 20],
                Fault::Flip => match there.last_mut() {
                    Some(last) => *last ^= 1,
                    None => there.push(1),
                },
                Fault::Cut => drop(there.pop()),
                Fault::Empty => there.clear(),
                Fault::Short => {
                    let length = there.len() + 10;
                    write!(to, "HTTP/1.1 200 OK\r\n{STAMPS}Content-Length: {length}\r\n\r\n").ok()?;
                    to.write_all(&there).ok()?;
                    return None;
                }
                Fault::HugeRange => {
                    let range =
                        format!("Content-Range: bytes 0-{}/{}\r\n", there.len().max(1) - 1, 1_u64 << 60);
                    return plain(to, &method, "206 Partial Content", &range, &there);
                }
            }
        }
        match range {
            None => plain(to, &method, "200 OK", "", &there),
            Some((from, _)) if from >= there.len() => plain(to, &method, "416 No", "", b""),
            Some((from, end)) => {
                let end = (end + 1).min(there.len());
                let range = format!("Content-Range: bytes {from}-{}/{}\r\n", end - 1, there.len());
                plain(to, &method, "206 Partial Content", &range, &there[from..end])
            }
        }
    }
}

const STAMPS: &str = "Last-Modified: Wed, 25 Nov 2026 18:00:00 GMT\r\nETag: \"x\"\r\n";

fn plain(mut to: &TcpStream, method: &str, status: &str, more: &str, body: &[u8]) -> Option<()> {
    write!(to, "HTTP/1.1 {status}\r\n{STAMPS}{more}Content-Length: {}\r\n\r\n", body.len()).ok()?;
    if method != "HEAD" {
        to.write_all(body).ok()?;
    }
    Some(())
}

fn endless(mut to: &TcpStream, chunked: bool) -> Option<()> {
    let piece = [b'0'; 1 << 16];
    loop {
        if chunked {
            to.write_all(b"10000\r\n").ok()?;
        }
        to.write_all(&piece).ok()?;
        if chunked {
            to.write_all(b"\r\n").ok()?;
        }
    }
}
