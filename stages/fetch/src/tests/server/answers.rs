//! The normal responses of the hub and its storage.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Answer, LARGE, Repo, State, git, sha256, tag};

/// The number of rows on a page of the list.
const PAGE: usize = 3;

impl Answer {
    fn json(value: &Value) -> Self {
        Self::new(200, &[("Content-Type", "application/json")], value.to_string().as_bytes())
    }

    fn refusal(status: u16, code: &str) -> Self {
        Self::new(status, &[("X-Error-Code", code), ("X-Error-Message", "the hub's own words")], b"{}")
    }
}

pub(super) fn stored(state: &State, path: &str) -> Answer {
    let file = state.repos.iter().flat_map(|r| r.files.values()).find(|b| path.contains(&tag(b)));
    let Some(bytes) = file else { return Answer::new(404, &[], b"") };
    // Storages have tags of their own, unrelated to the content's digest.
    let tag = "\"0123456789abcdef0123456789abcdef\"";
    Answer::new(200, &[("ETag", tag), ("Accept-Ranges", "bytes")], bytes)
}

pub(super) fn hub(
    state: &State,
    target: &str,
    asked: &BTreeMap<String, String>,
    sent: &[u8],
    storage: u16,
) -> Answer {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if let Some((bytes, kind)) = state.plain.get(path) {
        return Answer::new(200, &[("Content-Type", kind)], bytes);
    }
    let path = path.replace("%20", " ");
    for repo in &state.repos {
        let (kind, id) =
            repo.page.split_once('/').filter(|(k, _)| *k == "datasets").unwrap_or(("models", &repo.page));
        let api = format!("/api/{kind}/{id}/");
        if let Some(before) = &repo.before
            && path.contains(before.as_str())
        {
            // The redirect has neither the commit nor a tag.
            let to = target.replacen(before.as_str(), &repo.page, 1);
            return Answer::new(308, &[("Location", &to)], b"moved, and this text has a length of its own");
        }
        if let Some(rest) = path.strip_prefix(&api) {
            let host = asked.get("host").cloned().unwrap_or_default();
            return api_answer(repo, id, rest, query, sent, &format!("http://{host}{api}"));
        }
        if let Some(rest) = path.strip_prefix(&format!("/{}/resolve/", repo.page)) {
            let Some((revision, file)) = rest.split_once('/') else { return Answer::new(404, &[], b"") };
            if revision != repo.commit && revision != "main" {
                return Answer::refusal(404, "RevisionNotFound");
            }
            let Some(bytes) = repo.files.get(file) else { return Answer::refusal(404, "EntryNotFound") };
            let quoted = format!("\"{}\"", tag(bytes));
            if bytes.len() <= LARGE {
                return Answer::new(
                    200,
                    &[("X-Repo-Commit", &repo.commit), ("ETag", &quoted), ("Accept-Ranges", "bytes")],
                    bytes,
                );
            }
            let to = format!("http://localhost:{storage}/blobs/{}?signature=secret", tag(bytes));
            return Answer::new(
                302,
                &[
                    ("X-Repo-Commit", &repo.commit),
                    ("X-Linked-Etag", &quoted),
                    ("X-Linked-Size", &bytes.len().to_string()),
                    ("ETag", "\"a tag of the redirection\""),
                    ("Location", &to),
                ],
                b"Found. Redirecting, in a text with a length of its own.",
            );
        }
    }
    Answer::refusal(if asked.contains_key("authorization") { 404 } else { 401 }, "RepoNotFound")
}

fn row(path: &str, bytes: &[u8]) -> Value {
    match bytes.len() > LARGE {
        true => json!({ "type": "file", "path": path, "oid": git(b"pointer"), "size": bytes.len(),
            "lfs": { "oid": sha256(bytes), "size": bytes.len(), "pointerSize": 130 } }),
        false => json!({ "type": "file", "path": path, "oid": git(bytes), "size": bytes.len() }),
    }
}

fn folders(repo: &Repo) -> Vec<Value> {
    let mut all: Vec<&str> =
        repo.files.keys().flat_map(|path| path.match_indices('/').map(move |(i, _)| &path[..i])).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter()
        .map(|f| json!({ "type": "directory", "path": f, "oid": git(f.as_bytes()), "size": 0 }))
        .collect()
}

fn api_answer(repo: &Repo, id: &str, rest: &str, query: &str, sent: &[u8], api: &str) -> Answer {
    let (what, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let (revision, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !revision.is_empty() && ![repo.commit.as_str(), "main", "v1.0", "refs%2Fpr%2F1"].contains(&revision) {
        return Answer::refusal(404, "RevisionNotFound");
    }
    let below = |p: &Value| {
        let p = p["path"].as_str().unwrap();
        path.is_empty() || p.strip_prefix(path).is_some_and(|r| r.starts_with('/'))
    };
    let mut rows: Vec<Value> =
        repo.files.iter().map(|(p, b)| row(p, b)).chain(folders(repo)).filter(below).collect();
    match what {
        "revision" => {
            let siblings: Vec<Value> = repo.files.keys().map(|f| json!({ "rfilename": f })).collect();
            Answer::json(&json!({
                "_id": "0", "id": id, "sha": repo.commit, "private": false, "gated": repo.gated, "disabled": false,
                "downloads": 0, "likes": 0, "tags": [], "siblings": siblings, "cardData": repo.card,
                "createdAt": "2026-01-01T00:00:00.000Z", "lastModified": "2026-01-01T00:00:00.000Z",
            }))
        }
        "paths-info" => {
            let asked: Value = serde_json::from_slice(sent).unwrap();
            let wanted: Vec<&str> =
                asked["paths"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            let mut all: Vec<Value> =
                repo.files.iter().map(|(p, b)| row(p, b)).chain(folders(repo)).collect();
            all.retain(|r| wanted.contains(&r["path"].as_str().unwrap()));
            Answer::json(&json!(all))
        }
        "tree" => {
            rows.extend(repo.more_rows.iter().cloned());
            let start: usize =
                query.split('&').find_map(|q| q.strip_prefix("cursor=")).map_or(0, |c| c.parse().unwrap());
            let end = rows.len().min(start + PAGE);
            let mut answer = Answer::json(&json!(rows[start.min(end)..end]));
            if end < rows.len() {
                let next = format!("<{api}tree/{rest}?recursive=true&cursor={end}>; rel=\"next\"");
                answer.headers.push(("Link".to_owned(), next));
            }
            answer
        }
        _ => Answer::new(404, &[], b""),
    }
}
