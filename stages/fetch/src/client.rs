//! HTTP requests. Redirects are followed here, so that the headers of every response on the way are seen and credentials are sent
//! to one host only.

use std::time::Duration;

use jiff::fmt::rfc2822;
use lfs_stage::{Failure, Result};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Method, NoProxy, Proxy, Response, StatusCode, redirect};
use serde::de::DeserializeOwned;
use url::Url;

use crate::refusal::Refused;
use crate::secret::Secret;
use crate::settings::Settings;

/// The number of attempts without a new byte.
pub(crate) const TRIES: u32 = 5;
/// The longest pause between attempts; a server that asks for a longer one is an error.
const LONGEST: Duration = Duration::from_secs(300);
/// The maximum number of redirects.
const HOPS: usize = 10;
/// The maximum size of an API response.
const MOST: usize = 64 << 20;
/// Help for an invalid redirect.
const NOT_IN_ORDER: &str = "the server is not in order: ask who runs it; nothing was taken from there";
/// How much of an error response is read.
const EXPLANATION: usize = 4 << 10;

/// Sends requests.
pub(crate) struct Client {
    http: reqwest::Client,
    pause: Duration,
}

/// A request.
pub(crate) struct Ask<'a> {
    pub url: &'a Url,
    pub secret: Option<&'a Secret>,
    pub headers: HeaderMap,
    /// A JSON body; the request is then a POST.
    pub body: Option<String>,
}

impl<'a> Ask<'a> {
    /// A plain GET request.
    pub fn of(url: &'a Url, secret: Option<&'a Secret>) -> Self {
        Self { url, secret, headers: HeaderMap::new(), body: None }
    }
}

/// A server on the way, and its response headers.
pub(crate) type Met = (Url, HeaderMap);

/// A successful response; its body has not been read yet.
pub(crate) struct Answer {
    pub response: Response,
    /// The headers of every server on the way, including the last.
    pub seen: Vec<Met>,
}

/// Why there is no response.
pub(crate) enum Trouble {
    /// The connection failed or timed out.
    Line(String),
    /// The server refused the request.
    Refused(Refused),
    /// An error that a retry cannot fix.
    Fatal(Failure),
}

impl Client {
    /// Creates a client with the proxies of the environment.
    ///
    /// # Errors
    /// If a proxy has an invalid address.
    pub fn new(settings: &Settings) -> Result<Self> {
        let (http, https, none) = settings.proxies();
        let except = NoProxy::from_string(none);
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .user_agent(concat!("lfs-pipe/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(20))
            .read_timeout(settings.patience());
        for (proxy, scheme) in [(http, "http"), (https, "https")] {
            let Some(text) = proxy else { continue };
            let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
            let made = if scheme == "http" { Proxy::http(&whole) } else { Proxy::https(&whole) };
            let made =
                made.map_err(|e| Failure::new(format!("the proxy for {scheme} is no address: {e}")))?;
            builder = builder.proxy(made.no_proxy(except.clone()));
        }
        let http =
            builder.build().map_err(|e| Failure::new(format!("no client can be made: {}", reason(&e))))?;
        Ok(Self { http, pause: settings.pause })
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// If the connection fails or the server refuses.
    pub async fn ask(&self, ask: &Ask<'_>) -> std::result::Result<Answer, Trouble> {
        let (mut url, mut method) =
            (ask.url.clone(), if ask.body.is_some() { Method::POST } else { Method::GET });
        let mut seen = Vec::new();
        for _ in 0..=HOPS {
            let mut request = self.http.request(method.clone(), url.clone());
            request = request.headers(ask.headers.clone()).header(ACCEPT_ENCODING, "identity");
            if let (Some(body), true) = (&ask.body, method == Method::POST) {
                request = request.header("content-type", "application/json").body(body.clone());
            }
            if let Some(value) = ask.secret.and_then(|s| s.told_to(&url)) {
                request = request.header(AUTHORIZATION, value.clone());
            }
            let response = request
                .send()
                .await
                .map_err(|e| Trouble::Line(format!("{}: {}", shown(&url), reason(&e))))?;
            seen.push((url.clone(), response.headers().clone()));
            let Some(to) = redirected(&response) else {
                return match response.status() {
                    StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(Answer { response, seen }),
                    _ => Err(Trouble::Refused(refused(response, ask.url, &url).await)),
                };
            };
            let next = url.join(&to).ok().filter(|n| ["http", "https"].contains(&n.scheme()) && n.has_host());
            let Some(next) = next else {
                let text = format!("{} sends on to `{to}`, which is no address", shown(&url));
                return Err(Trouble::Fatal(Failure::new(text).help(NOT_IN_ORDER)));
            };
            if url.scheme() == "https" && next.scheme() == "http" {
                let text = format!("{} sends on to {}, which is not encrypted", shown(&url), shown(&next));
                return Err(Trouble::Fatal(Failure::new(text).help(NOT_IN_ORDER)));
            }
            if response.status() == StatusCode::SEE_OTHER {
                method = Method::GET;
            }
            url = next;
        }
        let text = format!("{} sends on more than {HOPS} times", shown(ask.url));
        Err(Trouble::Fatal(Failure::new(text).help(NOT_IN_ORDER)))
    }

    /// Requests JSON, with retries.
    ///
    /// # Errors
    /// The refusal as explained by `explain`, or that the response has another form.
    pub async fn json<T: DeserializeOwned>(
        &self,
        ask: &Ask<'_>,
        explain: impl Fn(&Refused) -> Failure,
    ) -> Result<(T, Vec<Met>)> {
        let (text, seen) = self.text(ask, explain).await?;
        let read = serde_json::from_slice(&text);
        let read = read.map_err(|e| {
            Failure::new(format!("{} gives no such JSON as was asked for: {e}", shown(ask.url)))
                .help("is there a proxy or a log-in page in between? Open the address in a browser")
        })?;
        Ok((read, seen))
    }

    /// Requests a text, with retries.
    ///
    /// # Errors
    /// As [`Client::json`].
    pub async fn text(
        &self,
        ask: &Ask<'_>,
        explain: impl Fn(&Refused) -> Failure,
    ) -> Result<(Vec<u8>, Vec<Met>)> {
        let mut tries = 0;
        loop {
            let trouble = match self.ask(ask).await {
                Ok(mut answer) => match all_of(&mut answer.response, MOST).await {
                    Ok(text) => return Ok((text, answer.seen)),
                    Err(e) => Trouble::Line(format!("{}: {e}", shown(ask.url))),
                },
                Err(trouble) => trouble,
            };
            tries += 1;
            self.pause(trouble, tries, &explain).await?;
        }
    }

    /// Waits before the next attempt, if there is one.
    ///
    /// # Errors
    /// If there is no further attempt.
    pub async fn pause(
        &self,
        trouble: Trouble,
        tries: u32,
        explain: impl Fn(&Refused) -> Failure,
    ) -> Result<()> {
        let mut wait = self.pause.saturating_mul(1 << tries.min(10)) / 2;
        match trouble {
            Trouble::Fatal(failure) => return Err(failure),
            Trouble::Line(why) if tries >= TRIES => {
                return Err(Failure::new(format!("the connection failed {tries} times: {why}")).help(
                    "check the network and the proxy settings, then run again: what has arrived is kept",
                ));
            }
            Trouble::Refused(refused) if tries >= TRIES || !refused.may_pass() => {
                return Err(explain(&refused));
            }
            Trouble::Refused(refused) => {
                if let Some(asked) = refused.wait {
                    if asked > LONGEST {
                        return Err(explain(&refused));
                    }
                    wait = asked;
                }
            }
            Trouble::Line(_) => {}
        }
        tokio::time::sleep(wait.min(LONGEST)).await;
        Ok(())
    }
}

fn redirected(response: &Response) -> Option<String> {
    let is = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let to = response.headers().get(LOCATION).filter(|_| is)?;
    Some(String::from_utf8_lossy(to.as_bytes()).into_owned())
}

async fn refused(mut response: Response, first: &Url, last: &Url) -> Refused {
    let headers = response.headers().clone();
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let told = all_of(&mut response, EXPLANATION).await.unwrap_or_default();
    let told = String::from_utf8_lossy(&told).into_owned();
    // An HTML page is no useful explanation.
    let told = told
        .lines()
        .map(str::trim)
        .find(|l| !l.is_empty())
        .filter(|l| !l.starts_with('<'))
        .map(str::to_owned);
    Refused {
        status: response.status().as_u16(),
        code: text("x-error-code"),
        told: text("x-error-message").or(told).map(|t| t.chars().take(300).collect()),
        wait: text(RETRY_AFTER.as_str()).and_then(|t| after(&t)).or_else(|| reset(&text("ratelimit")?)),
        range: text("content-range"),
        url: shown(last),
        elsewhere: first.origin() != last.origin(),
    }
}

/// Parses `Retry-After`: seconds, or a date.
fn after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = rfc2822::parse(text.trim()).ok()?.timestamp();
    let wait = then.duration_since(jiff::Timestamp::now());
    Some(Duration::try_from(wait).unwrap_or_default())
}

/// Parses `RateLimit: "api";r=0;t=55`: the number of seconds until more requests are allowed.
fn reset(text: &str) -> Option<Duration> {
    let mut parts = text.split(';').map(str::trim);
    parts.find_map(|p| p.strip_prefix("t=")?.parse().ok()).map(Duration::from_secs)
}

/// Reads a body of at most `most` bytes.
async fn all_of(response: &mut Response, most: usize) -> std::result::Result<Vec<u8>, String> {
    let mut all = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| reason(&e))? {
        if all.len() + chunk.len() > most {
            return Err(format!("the answer is larger than {most} bytes"));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// An address without its query and user info, which may contain secrets.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// The sources of an error without the address, which may contain a signature.
pub(crate) fn reason(e: &reqwest::Error) -> String {
    let mut all = String::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(e);
    while let Some(inner) = next {
        let text = inner.to_string();
        if !all.contains(&text) {
            all = if all.is_empty() { text } else { format!("{all}: {text}") };
        }
        next = inner.source();
    }
    match all.is_empty() {
        true if e.is_timeout() => "nothing came in time".to_owned(),
        true => "the connection broke".to_owned(),
        false => all,
    }
}
