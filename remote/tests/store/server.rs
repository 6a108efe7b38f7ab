//! A server that speaks S3 over a folder and checks signatures.

use std::path::PathBuf;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;

pub const BUCKET: &str = "shared";
const KEY: &str = "somebody";
const SECRET: &str = "a secret that only the two know";

/// Ends when dropped.
pub struct Server {
    dir: tempfile::TempDir,
    port: u16,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(FileSystem::new(dir.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = service.build();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let server = Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { dir, port, _runtime: runtime }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join(BUCKET)
    }

    /// The environment variables that give access.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        variables(self.port)
    }
}

pub fn variables(port: u16) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT", format!("http://127.0.0.1:{port}")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
    ]
}

/// A minimal web server: it serves and stores whole files.
pub struct Web {
    port: u16,
}

type Files = std::sync::Mutex<std::collections::HashMap<String, Vec<u8>>>;

impl Web {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let files = std::sync::Arc::new(Files::default());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let files = std::sync::Arc::clone(&files);
                std::thread::spawn(move || {
                    let mut reader = std::io::BufReader::new(stream);
                    while answer(&mut reader, &files).is_some() {}
                });
            }
        });
        Self { port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/results", self.port)
    }
}

/// What a client asks of a web server.
pub struct Request {
    pub method: String,
    pub path: String,
    /// The first and the last byte that are wanted, if not all are.
    pub range: Option<(usize, usize)>,
    /// The bytes that were sent.
    pub body: Vec<u8>,
}

impl Request {
    /// Reads one; `None` when there are no more.
    pub fn read(reader: &mut std::io::BufReader<std::net::TcpStream>) -> Option<Self> {
        use std::io::{BufRead, Read};
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let mut words = line.split_whitespace();
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (mut length, mut range) = (0, None);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let header = header.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(n) = header.strip_prefix("content-length:") {
                length = n.trim().parse().ok()?;
            }
            if let Some((from, to)) = header.strip_prefix("range: bytes=").and_then(|r| r.split_once('-')) {
                range = Some((from.parse().ok()?, to.parse().ok()?));
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Self { method, path, range, body })
    }
}

/// Answers one request; `None` when there are no more.
fn answer(reader: &mut std::io::BufReader<std::net::TcpStream>, files: &Files) -> Option<()> {
    use std::io::Write;
    let Request { method, path, body: sent, .. } = Request::read(reader)?;
    let (status, body) = match (method.as_str(), files.lock().unwrap().get(&path)) {
        ("GET" | "HEAD", Some(file)) => ("200 OK", file.clone()),
        ("GET" | "HEAD", None) => ("404 Not Found", vec![]),
        ("PUT" | "MKCOL", _) => ("201 Created", vec![]),
        _ => ("405 Method Not Allowed", vec![]),
    };
    if method == "PUT" {
        files.lock().unwrap().insert(path, sent);
    }
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nLast-Modified: Wed, 25 Nov 2026 18:00:00 GMT\r\nETag: \"x\"\r\n\r\n",
        body.len()
    );
    let mut stream = reader.get_ref();
    stream.write_all(head.as_bytes()).ok()?;
    if method != "HEAD" {
        stream.write_all(&body).ok()?;
    }
    Some(())
}
