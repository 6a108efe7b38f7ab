//! `lfs-pipe describe PATH`: the kind `describe`, outside of any pipeline.

use std::collections::BTreeMap;
use std::time::Duration;

use lfs_stage::{Binding, Job, Reply, Request};
use serde_json::json;

use super::args::DescribeArgs;
use super::print::print;
use crate::fault::{At, Fault, Result};
use crate::worker::{Heard, Worker, Workers};

/// The kind, its input and its output.
const KIND: &str = "describe";
const INPUT: &str = "source";
const OUTPUT: &str = "description";

pub(super) fn describe(args: &DescribeArgs) -> Result<()> {
    let path = std::path::absolute(&args.path).at("find", &args.path)?;
    std::fs::metadata(&path)
        .map_err(|e| Fault::usage(format!("cannot read {}: {e}", args.path.display())))?;
    // Nothing of this is kept, and nothing is written into the current folder.
    let room = tempfile::Builder::new().prefix("lfs-pipe-describe-").tempdir();
    let room = room.map_err(|e| Fault::machine(format!("there is no room for temporary files: {e}")))?;
    let workers = Workers::all(None, room.path())?;
    let Some(kind) = workers.kinds.get(KIND) else {
        return Err(Fault::machine(format!("the worker has no kind `{KIND}`"))
            .with_help("rebuild both programs together"));
    };
    let out = room.path().join(OUTPUT);
    let job = Job {
        node: KIND.to_owned(),
        kind: KIND.to_owned(),
        parameters: json!({}),
        inputs: BTreeMap::from([(INPUT.to_owned(), Binding::One(path))]),
        outputs: BTreeMap::from([(OUTPUT.to_owned(), out.clone())]),
        scratch: room.path().join("own"),
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        earlier: BTreeMap::new(),
    };
    std::fs::create_dir(&job.scratch).at("create", &job.scratch)?;
    let mut worker = Worker::start(&workers.programs[kind.worker], None)?;
    worker.say(&Request::Run(job));
    listen(&mut worker)?;
    if let Some(folder) = &args.to {
        return save(&out, folder);
    }
    let file = out.join(if args.json { "description.json" } else { "description.txt" });
    print(&std::fs::read_to_string(&file).at("read", &file)?)
}

/// Waits for the end.
fn listen(worker: &mut Worker) -> Result<()> {
    loop {
        match worker.hear(Duration::from_secs(3600)) {
            Heard::Reply(Reply::Done) => return Ok(()),
            Heard::Reply(Reply::Failed(why)) => {
                return Err(Fault::Failed { message: why.message, help: why.help });
            }
            Heard::Reply(_) | Heard::Nothing => {}
            Heard::Nonsense(line) => {
                return Err(Fault::machine(format!("the worker wrote what is no message: {line}")));
            }
            Heard::Gone(status) => {
                return Err(Fault::machine(format!("the worker ended by itself ({status})")));
            }
        }
    }
}

/// Keeps the files of the description in a folder that does not exist yet.
fn save(from: &std::path::Path, folder: &std::path::Path) -> Result<()> {
    std::fs::create_dir(folder).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Fault::usage(format!("{} is there already; name a folder that is not", folder.display()))
        }
        _ => Fault::machine(format!("cannot create {}: {e}", folder.display())),
    })?;
    for entry in std::fs::read_dir(from).at("list", from)? {
        let entry = entry.at("list", from)?;
        let to = folder.join(entry.file_name());
        std::fs::copy(entry.path(), &to).at("write", &to)?;
    }
    Ok(())
}
