//! Explains refusals of servers to the user.

use std::time::Duration;

use lfs_stage::Failure;

/// An error response.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The hub's error code: `GatedRepo`.
    pub code: Option<String>,
    /// The server's explanation.
    pub told: Option<String>,
    /// How long the server asks to wait.
    pub wait: Option<Duration>,
    /// The `Content-Range` of a response 416.
    pub range: Option<String>,
    /// The server.
    pub url: String,
    /// Whether that is another host than the one of the request.
    pub elsewhere: bool,
}

/// The context of a request to the hub.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The hub.
    pub endpoint: String,
    /// `datasets/OWNER/NAME`.
    pub page: String,
    /// The revision.
    pub revision: String,
    /// The file, if the request is for one.
    pub file: Option<String>,
    /// Whether a token was sent.
    pub token: bool,
}

const KEPT: &str = "what has arrived is kept";

impl Refused {
    /// Whether the same request may succeed later.
    pub fn may_pass(&self) -> bool {
        // A signed address expires; the hub then signs another.
        matches!(self.status, 408 | 425 | 429 | 500..=599)
            || self.elsewhere && matches!(self.status, 401 | 403)
    }

    fn said(&self) -> String {
        let told = self.told.as_deref().map(|t| format!(": {t}")).unwrap_or_default();
        format!("{} answers {}{told}", self.url, self.status)
    }

    /// The failure for any server.
    pub fn failure(&self) -> Failure {
        let failure = Failure::new(self.said());
        match self.status {
            401 | 403 | 407 => failure
                .help("the server does not give it to you: check the address, and at your rights there"),
            404 | 410 => failure.help("nothing is there any more: check the address"),
            429 => failure.help(format!("{} {KEPT}", self.later())),
            500..=599 => failure.help(format!("the server failed; run again later: {KEPT}")),
            _ => failure
                .help(format!("the server does not give the file; run again, or ask who runs it: {KEPT}")),
        }
    }

    fn later(&self) -> String {
        match self.wait {
            Some(wait) => format!("the server asks to wait {} s: run again after that;", wait.as_secs()),
            None => "the server was asked too often: run again later;".to_owned(),
        }
    }

    /// The failure for the hub.
    pub fn at_hub(&self, asked: &Asked) -> Failure {
        let Asked { endpoint, page, revision, file, token } = asked;
        let (said, at) = (self.said(), format!("{endpoint}{page}"));
        if self.elsewhere && matches!(self.status, 401 | 403) {
            return Failure::new(format!("the hub gives the file out, but its storage does not: {said}")).help(
                "a proxy or a firewall may let the hub through and not its storage: allow that host, too; then run again",
            );
        }
        let log_in = match token {
            true => "with the account of your token".to_owned(),
            false => format!(
                "then make a token at {endpoint}settings/tokens and give it as HF_TOKEN, or by `hf auth login`"
            ),
        };
        match (self.code.as_deref(), self.status) {
            (Some("GatedRepo"), _) => Failure::new(format!(
                "`{page}` is given only to those who have accepted its conditions (GatedRepo): {said}"
            ))
            .help(format!(
                "read and accept them at {at}, {log_in}; and write `licence = \"...\"` as described there"
            )),
            (Some("EntryNotFound"), _) => {
                let file = file.as_deref().unwrap_or("such a file");
                Failure::new(format!("`{page}` has no file `{file}` at {revision} (EntryNotFound)"))
                    .help(format!("its files: {at}/tree/{revision}"))
            }
            (Some("RevisionNotFound"), _) => {
                Failure::new(format!("`{page}` has no commit, branch or tag `{revision}` (RevisionNotFound)"))
                    .help(format!("its commits: {at}/commits/main"))
            }
            (Some("RepoNotFound"), _) | (None, 401 | 404) => {
                let kind = match page.split_once('/') {
                    Some(("datasets", _)) => "a model of that name would be `hf://OWNER/NAME`",
                    _ => "a data set of that name would be `hf://datasets/OWNER/NAME`",
                };
                let private = if *token {
                    "or your token may not see it"
                } else {
                    "or it is private and needs HF_TOKEN"
                };
                Failure::new(format!("there is no `{page}` on the hub, {private} (RepoNotFound): {said}"))
                    .help(format!("check {at}; {kind}"))
            }
            (_, 401 | 403) => Failure::new(format!("the hub refuses `{page}`: {said}"))
                .help(format!("check {at}; if it asks for an account, log in there, {log_in}")),
            (_, 429) if !token => Failure::new(said)
                .help(format!("{} {KEPT}; with HF_TOKEN set the hub allows more", self.later())),
            _ => self.failure(),
        }
    }
}
