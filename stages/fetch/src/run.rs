//! The stage: fetches from the source, reports progress, writes the outputs.

use std::sync::Arc;
use std::time::Duration;

use lfs_stage::{Context, Failure, Progress, Result};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::MissedTickBehavior;

use crate::client::Client;
use crate::downloads::Downloads;
use crate::names::Patterns;
use crate::options::Options;
use crate::place::{self, Fetched};
use crate::settings::Settings;
use crate::source::Source;
use crate::transfer::Count;
use crate::{hub, object, registry, web};

/// The state that all parts of the work share.
pub(crate) struct Job {
    pub options: Options,
    pub patterns: Patterns,
    pub settings: Settings,
    pub client: Arc<Client>,
    pub downloads: Downloads,
    pub count: Count,
    /// An empty folder, removed afterwards.
    pub scratch: std::path::PathBuf,
    warnings: UnboundedSender<String>,
}

impl Job {
    /// Warns the reader of the result.
    pub fn warn(&self, text: String) {
        // The receiver is gone only after a failure.
        let _ = self.warnings.send(text);
    }
}

pub(crate) fn run(options: &Options, cx: &Context<'_>, settings: Settings) -> Result<()> {
    let source = Source::parse(&options.from)?;
    let (warnings, mut heard) = unbounded_channel();
    let job = Arc::new(Job {
        options: options.clone(),
        patterns: Patterns::new(&options.files)?,
        client: Arc::new(Client::new(&settings)?),
        downloads: Downloads::new(settings.downloads()?),
        settings,
        count: Count::default(),
        scratch: cx.scratch().to_owned(),
        warnings,
    });
    // One thread for each concurrent transfer, since each also hashes and writes. The result does not depend on their number.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(hub::AT_ONCE).enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new(format!("no threads can be started: {e}")))?;
    let work = runtime.spawn({
        let (job, source) = (Arc::clone(&job), source.clone());
        async move { fetch(&job, &source).await }
    });
    let fetched = runtime.block_on(async {
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => break done,
                Some(text) = heard.recv() => cx.warn(text),
                _ = tick.tick() => say(cx, &job.count),
            }
        }
    });
    while let Ok(text) = heard.try_recv() {
        cx.warn(text);
    }
    // Other transfers in progress keep their partial files.
    runtime.shutdown_background();
    let fetched = fetched.unwrap_or_else(|e| Err(Failure::new(format!("the work was ended: {e}"))))?;
    say(cx, &job.count);
    place::put(&source, options, &fetched, cx)
}

async fn fetch(job: &Arc<Job>, source: &Source) -> Result<Fetched> {
    match source {
        Source::Hub(address) => hub::fetch(job, address).await,
        Source::Web(url) => web::fetch(job, url).await,
        Source::Object(url) => object::fetch(job, url).await,
        Source::Package(package) => registry::fetch(job, package).await,
    }
}

fn say(cx: &Context<'_>, count: &Count) {
    let (done, total) = count.now();
    let total = Some(total).filter(|t| *t > 0);
    cx.progress(Progress {
        doing: "fetching".to_owned(),
        done,
        total,
        unit: "bytes".to_owned(),
        ..Progress::default()
    });
}
