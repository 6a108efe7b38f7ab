//! A fake hub on one host (`127.0.0.1`) with its storage on another (`localhost`). It can simulate the faults known from hubs,
//! mirrors and storages.

#![allow(clippy::unwrap_used, clippy::panic, dead_code, missing_docs)] // test helpers

mod answers;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sha1::Digest;

/// The server that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The hub.
    Hub,
    /// Its storage.
    Storage,
}

/// A fault of a response.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This status, with these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// The whole file with status 200, whatever range was requested.
    IgnoreRange,
    /// Status 206 and the beginning, whatever range was requested.
    WrongRange,
    /// Status 206 without `Content-Range`.
    NoContentRange,
    /// Ends after this number of bytes of the body.
    CutAt(usize),
    /// Wrong bytes of the right length.
    WrongBytes,
    /// Too many bytes, without a length.
    TooMany,
    /// A shorter body with a matching length.
    OtherLength,
    /// Compressed, though the request forbids it.
    Compressed,
    /// No response.
    Silent,
    /// An HTML page in place of the file.
    LoginPage,
    /// Another value of a header, or none.
    Header(&'static str, Option<String>),
    /// Sends this number of bytes of the body, and closes the connection after a pause.
    SlowAt(usize, Duration),
}

/// A planned fault.
pub struct Plan {
    pub role: Role,
    /// A part of the path of affected requests.
    pub path: &'static str,
    /// How many times it occurs.
    pub times: usize,
    pub fault: Fault,
}

/// A received request.
#[derive(Debug, Clone)]
pub struct Seen {
    pub role: Role,
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    /// Whether it was a proxy request.
    pub proxied: bool,
}

/// A repository at one commit.
#[derive(Clone)]
pub struct Repo {
    /// `datasets/OWNER/NAME`.
    pub page: String,
    pub commit: String,
    pub files: BTreeMap<String, Vec<u8>>,
    pub card: Value,
    pub gated: Value,
    /// Additional rows of the list, which match no file.
    pub more_rows: Vec<Value>,
    /// The former name.
    pub before: Option<String>,
}

impl Repo {
    pub fn new(page: &str, files: &[(&str, &[u8])]) -> Self {
        Self {
            page: page.to_owned(),
            commit: sha1(page.as_bytes()),
            files: files.iter().map(|(n, b)| ((*n).to_owned(), b.to_vec())).collect(),
            card: json!({}),
            gated: json!(false),
            more_rows: vec![],
            before: None,
        }
    }
}

/// Files larger than this are in the storage.
pub const LARGE: usize = 1000;
#[derive(Default)]
struct State {
    repos: Vec<Repo>,
    plans: Vec<Plan>,
    seen: Vec<Seen>,
    /// Files of a plain web server: `/x.zip`.
    plain: BTreeMap<String, (Vec<u8>, &'static str)>,
}

pub struct Server {
    state: Arc<Mutex<State>>,
    hub: u16,
    storage: u16,
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut t, b| {
        write!(t, "{b:02x}").unwrap();
        t
    })
}

pub fn sha1(bytes: &[u8]) -> String {
    hex(&sha1::Sha1::digest(bytes))
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&sha2::Sha256::digest(bytes))
}

/// The digest of `git hash-object`.
pub fn git(bytes: &[u8]) -> String {
    sha1(&[format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat())
}

/// The name of a file's blob.
pub fn tag(bytes: &[u8]) -> String {
    if bytes.len() > LARGE { sha256(bytes) } else { git(bytes) }
}

/// Pseudo-random bytes.
pub fn bytes(seed: u32, count: usize) -> Vec<u8> {
    let mut x = seed | 1;
    let next = |_| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        (x >> 8) as u8
    };
    (0..count).map(next).collect()
}

impl Server {
    pub fn start(repos: Vec<Repo>) -> Self {
        let state = Arc::new(Mutex::new(State { repos, ..State::default() }));
        let (hub, storage) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let (at_hub, at_storage) = (hub.local_addr().unwrap().port(), storage.local_addr().unwrap().port());
        for (listener, role) in [(hub, Role::Hub), (storage, Role::Storage)] {
            let state = Arc::clone(&state);
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = Arc::clone(&state);
                    std::thread::spawn(move || {
                        let mut reader = BufReader::new(stream);
                        while serve(&mut reader, &state, role, at_storage).is_some() {}
                    });
                }
            });
        }
        Self { state, hub: at_hub, storage: at_storage }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.hub)
    }

    pub fn storage(&self) -> String {
        format!("http://localhost:{}", self.storage)
    }

    pub fn plan(&self, role: Role, path: &'static str, times: usize, fault: Fault) {
        self.state.lock().unwrap().plans.push(Plan { role, path, times, fault });
    }

    pub fn change(&self, change: impl FnOnce(&mut Repo)) {
        change(&mut self.state.lock().unwrap().repos[0]);
    }

    /// Adds a plain file.
    pub fn put(&self, path: &str, bytes: &[u8], kind: &'static str) {
        self.state.lock().unwrap().plain.insert(path.to_owned(), (bytes.to_vec(), kind));
    }

    /// The requests since the last call.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self { status, headers, body: body.to_vec() }
    }
}

/// Answers one request; `None` at the end of the connection.
fn serve(reader: &mut BufReader<TcpStream>, state: &Mutex<State>, role: Role, storage: u16) -> Option<()> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |l| l.parse().unwrap());
    let mut sent = vec![0; length];
    reader.read_exact(&mut sent).ok()?;
    let proxied = target.starts_with("http://");
    let path = target
        .strip_prefix("http://")
        .map_or(target.clone(), |rest| format!("/{}", rest.split_once('/').unwrap().1));
    // A proxy answers for the host in the address.
    let role = if proxied && target.starts_with("http://localhost") { Role::Storage } else { role };
    let (answer, fault) = {
        let mut state = state.lock().unwrap();
        let seen =
            Seen { role, method: method.clone(), path: path.clone(), headers: headers.clone(), proxied };
        state.seen.push(seen);
        let answer = match role {
            Role::Hub => answers::hub(&state, &path, &headers, &sent, storage),
            Role::Storage => answers::stored(&state, &path),
        };
        let plan = state.plans.iter_mut().find(|p| p.role == role && p.times > 0 && path.contains(p.path));
        let fault = plan.filter(|_| method != "HEAD").map(|p| {
            p.times -= 1;
            p.fault.clone()
        });
        (answer, fault)
    };
    send(reader.get_mut(), &method, answer, fault, &headers)
}

fn send(
    stream: &mut TcpStream,
    method: &str,
    mut answer: Answer,
    fault: Option<Fault>,
    asked: &BTreeMap<String, String>,
) -> Option<()> {
    let whole = answer.body.clone();
    let (mut cut, mut length, mut pause) = (None, true, None);
    let from =
        asked.get("range").and_then(|r| r.strip_prefix("bytes=")?.split('-').next()?.parse::<usize>().ok());
    // Like the real storage, it ignores ranges if the request allows compression.
    let from = from.filter(|_| !asked.get("accept-encoding").is_some_and(|e| e.contains("gzip")));
    match (from, fault.as_ref()) {
        (_, Some(Fault::IgnoreRange)) | (None, _) => {}
        (Some(from), _) if answer.status == 200 && from >= whole.len() => {
            answer = Answer::new(416, &[("Content-Range", &format!("bytes */{}", whole.len()))], b"");
        }
        (Some(from), _) if answer.status == 200 => {
            answer.status = 206;
            answer.body = whole[from..].to_vec();
            let range = format!("bytes {from}-{}/{}", whole.len() - 1, whole.len());
            answer.headers.push(("Content-Range".to_owned(), range));
        }
        _ => {}
    }
    match fault {
        None | Some(Fault::IgnoreRange) => {}
        Some(Fault::Status(status, headers)) => {
            answer = Answer::new(
                status,
                &headers.iter().map(|(k, v)| (*k, v.as_str())).collect::<Vec<_>>(),
                b"<html>not for you</html>",
            )
        }
        Some(Fault::WrongRange) => {
            answer.headers.retain(|(n, _)| n != "Content-Range");
            answer
                .headers
                .push(("Content-Range".to_owned(), format!("bytes 0-{}/{}", whole.len() - 1, whole.len())));
            (answer.status, answer.body) = (206, whole);
        }
        Some(Fault::NoContentRange) => answer.headers.retain(|(n, _)| n != "Content-Range"),
        Some(Fault::CutAt(n)) => cut = Some(n),
        Some(Fault::SlowAt(n, time)) => (cut, pause) = (Some(n), Some(time)),
        Some(Fault::WrongBytes) => answer.body.iter_mut().for_each(|b| *b ^= 1),
        Some(Fault::TooMany) => {
            answer.body.extend(b"and more");
            length = false;
        }
        Some(Fault::OtherLength) => answer.body.truncate(answer.body.len() / 2),
        Some(Fault::Compressed) => answer.headers.push(("Content-Encoding".to_owned(), "gzip".to_owned())),
        Some(Fault::Silent) => {
            std::thread::sleep(Duration::from_secs(3));
            return None;
        }
        Some(Fault::LoginPage) => {
            answer = Answer::new(200, &[("Content-Type", "text/html")], b"<html>Please log in</html>");
        }
        Some(Fault::Header(name, value)) => {
            answer.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
            answer.headers.extend(value.map(|v| (name.to_owned(), v)));
        }
    }
    let mut head = format!("HTTP/1.1 {} x\r\n", answer.status);
    for (name, value) in &answer.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    if length {
        write!(head, "Content-Length: {}\r\n", answer.body.len()).unwrap();
    } else {
        head += "Connection: close\r\n";
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
    if method != "HEAD" {
        let end = cut.unwrap_or(answer.body.len()).min(answer.body.len());
        stream.write_all(&answer.body[..end]).ok()?;
        stream.flush().ok()?;
    }
    if let Some(time) = pause {
        std::thread::sleep(time);
    }
    (cut.is_none() && length).then_some(())
}
