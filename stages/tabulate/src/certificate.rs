//! Certificates of overlap stages: notes in a table on the persons in both sets.

use lfs_stage::{Failure, IoContext, Member, Result};
use serde::Deserialize;

/// `certificate.json` as far as this crate needs it; other fields are ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Certificate {
    form: String,
    training_set: Set,
    test_sets: Vec<Set>,
    methods: Vec<String>,
    policy: String,
    shared_training_identities: u64,
    left_in_training_set: u64,
    undecided: u64,
}

#[derive(Debug, Deserialize)]
struct Set {
    name: String,
    identities: u64,
}

/// A sentence for each certificate.
///
/// # Errors
/// If a member has no certificate, or one of another form.
pub fn notes(members: Vec<Member>) -> Result<Vec<String>> {
    members.iter().map(note).collect()
}

fn note(member: &Member) -> Result<String> {
    let path = if member.path.is_dir() { member.path.join("certificate.json") } else { member.path.clone() };
    let help = "the input `certificates` takes `matches` of overlap stages";
    let bytes = std::fs::read(&path).doing("read", &path).map_err(|f| f.help(help))?;
    let failed = |what: String| Failure::new(format!("{}: {what}", member.from)).help(help);
    let c: Certificate = serde_json::from_slice(&bytes).map_err(|e| failed(e.to_string()))?;
    if c.form != "overlap-certificate-1" {
        return Err(failed(format!("expected the form `overlap-certificate-1`, found `{}`", c.form)));
    }
    let sets: Vec<&str> = c.test_sets.iter().map(|s| s.name.as_str()).collect();
    let undecided = match c.undecided {
        0 => String::new(),
        n => format!(" {n} pairs are undecided."),
    };
    Ok(format!(
        "Of {} training identities {} were found in {} (by {}; policy {}), {} are still trained on.{undecided} Certificate {}.",
        c.training_set.identities,
        c.shared_training_identities,
        sets.join(", "),
        c.methods.join(", "),
        c.policy,
        c.left_in_training_set,
        &blake3::hash(&bytes).to_hex()[..16]
    ))
}
