mod faults;
mod hub;
mod object;
mod python;
mod registry;
mod server;
mod sources;
mod web;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lfs_stage::{Context, Failure, Input, Job, Output, Reply, Result, Source, Stage, run_in_place};
use serde_json::Value;

use crate::settings::Settings;
use crate::{Fetch, Options};

/// The kind with its own environment and short pauses.
struct InPlace;

impl Stage for InPlace {
    const KIND: &'static str = Fetch::KIND;
    const SUMMARY: &'static str = Fetch::SUMMARY;
    const CODE: &'static [&'static [Source]] = Fetch::CODE;
    const INPUTS: &'static [Input] = Fetch::INPUTS;
    const OUTPUTS: &'static [Output] = Fetch::OUTPUTS;
    type Params = Options;

    fn check(options: &Options) -> Result<()> {
        Fetch::check(options)
    }

    fn run(options: &Options, cx: &mut Context<'_>) -> Result<()> {
        let text = std::fs::read(cx.scratch().with_file_name("environment.json")).unwrap();
        let variables: BTreeMap<String, String> = serde_json::from_slice(&text).unwrap();
        let mut settings = Settings::new(variables);
        settings.pause = Duration::from_millis(2);
        crate::run::run(options, cx, settings)
    }
}

/// A machine with its own home folder and environment.
struct Machine {
    home: tempfile::TempDir,
    variables: BTreeMap<String, String>,
}

/// The result of a fetch.
#[derive(Debug)]
struct Out {
    files: BTreeMap<String, Vec<u8>>,
    report: Value,
    report_text: String,
    warnings: Vec<String>,
    progress: Vec<(u64, Option<u64>)>,
}

impl Machine {
    fn new(variables: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut all: BTreeMap<String, String> =
            variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        all.insert("HOME".to_owned(), home.path().display().to_string());
        Self { home, variables: all }
    }

    fn of(server: &server::Server) -> Self {
        Self::new(&[("HF_ENDPOINT", &server.endpoint())])
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    fn at(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    /// The folder of a repository in the hub's cache.
    fn cache(&self, folder: &str) -> PathBuf {
        self.at(".cache/huggingface/hub").join(folder)
    }

    fn fetch(&self, parameters: Value) -> Result<Out> {
        static KIND: InPlace = InPlace;
        let dir = tempfile::tempdir().unwrap();
        let scratch = dir.path().join("scratch");
        std::fs::create_dir(&scratch).unwrap();
        let text = serde_json::to_vec(&self.variables).unwrap();
        std::fs::write(dir.path().join("environment.json"), text).unwrap();
        let job = Job {
            node: "fetch".to_owned(),
            kind: "fetch".to_owned(),
            parameters,
            inputs: BTreeMap::new(),
            outputs: [("files", "files"), ("report", "source.json")]
                .map(|(n, p)| (n.to_owned(), dir.path().join(p)))
                .into(),
            scratch,
            threads: 1,
            earlier: BTreeMap::new(),
        };
        let (done, said) = run_in_place(&KIND, &job);
        done?;
        let report_text = std::fs::read_to_string(dir.path().join("source.json")).unwrap();
        let warnings = said
            .iter()
            .filter_map(|r| if let Reply::Warning { text } = r { Some(text.clone()) } else { None });
        let progress = said.iter().filter_map(|r| {
            if let Reply::Progress { done, total, .. } = r { Some((*done, *total)) } else { None }
        });
        Ok(Out {
            files: files(&dir.path().join("files")),
            report: serde_json::from_str(&report_text).unwrap(),
            report_text,
            warnings: warnings.collect(),
            progress: progress.collect(),
        })
    }

    fn fails(&self, parameters: Value) -> Failure {
        self.fetch(parameters).map(|out| out.files.into_keys().collect::<Vec<_>>()).unwrap_err()
    }
}

/// The files below a folder, by path; links are followed.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                all.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    all
}

/// Checks that a failure contains all of these texts.
#[track_caller]
fn says(failure: &Failure, words: &[&str]) {
    let text = failure.to_string();
    assert!(failure.help.is_some(), "no help: {text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is missing in:\n{text}");
    }
}
