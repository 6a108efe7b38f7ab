//! Running a `command` stage: `/bin/sh` in a scratch folder of its own.

use std::collections::BTreeMap;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use lfs_stage::Binding;

use super::work::{End, Failed, Place, Said, Shop, Task, open_log};
use crate::fault::{At, Fault};

/// Variables of the caller that a command sees. All others are left out: what is not declared cannot change a
/// result.
const INHERITED: [&str; 5] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL"];

impl Shop<'_> {
    pub(super) fn run_command(
        &self,
        task: &Task<'_>,
        place: &Place,
        run: &str,
        env: &BTreeMap<String, String>,
    ) -> Result<Said, End> {
        let log = open_log(&place.log)?;
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(run).current_dir(&place.out).process_group(0).env_clear();
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("LANG", "C.UTF-8").env("TMPDIR", &place.base);
        let gpus = &task.taken.what.gpus;
        command.env("CUDA_VISIBLE_DEVICES", gpus.join(","));
        command.envs(env);
        for output in &task.node.outputs {
            let path = place.out.join(&output.path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).at("create", parent)?;
            }
            command.env(format!("OUT_{}", output.name), path);
        }
        for (name, binding) in &task.bindings {
            command.env(format!("IN_{name}"), seen(task, place, name, binding)?);
        }
        let errors = log.try_clone().at("write", &place.log)?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let mut child =
            command.spawn().map_err(|e| Fault::machine(format!("/bin/sh cannot be started: {e}")))?;
        let group = i32::try_from(child.id()).unwrap_or(i32::MAX);
        self.stop.enter(group, task.node.timeout);
        let status = child.wait();
        let timed_out = self.stop.leave(group);
        let status = status.map_err(|e| Fault::machine(format!("a command cannot be waited for: {e}")))?;
        // A log with nothing in it tells nothing.
        if std::fs::metadata(&place.log).is_ok_and(|m| m.len() == 0) {
            crate::cache::remove(&place.log);
        }
        if status.success() {
            return Ok(Said::default());
        }
        Err(self.ended(status, timed_out, task, "the command"))
    }

    /// Says how a process ended that ought to have ended well.
    pub(super) fn ended(&self, status: ExitStatus, timed_out: bool, task: &Task<'_>, who: &str) -> End {
        if self.stop.now() {
            return End::Stopped;
        }
        if timed_out {
            let seconds = task.node.timeout.map_or(0.0, |t| t.as_secs_f64());
            let failed = Failed::new(format!("{who} was stopped after its timeout of {seconds} s"));
            return End::Failed(failed.help("raise `timeout` of the stage, or make it quicker"));
        }
        match (status.code(), status.signal()) {
            (Some(code), _) => End::Failed(Failed::new(format!("{who} ended with exit code {code}"))),
            (None, Some(9)) => End::Failed(
                Failed::new(format!("{who} was killed by the system (signal 9)")).help(
                    "most often the machine ran out of memory: give the stage `resources.memory`, lower -j, or make it smaller",
                ),
            ),
            (None, Some(signal)) => End::Failed(Failed::new(format!("{who} was ended by signal {signal}"))),
            (None, None) => End::Failed(Failed::new(format!("{who} ended in an unknown way"))),
        }
    }
}

/// What a command sees as `$IN_name`: a path, or one path a line. Objects of the cache get the name that the
/// node before gave them.
fn seen(task: &Task<'_>, place: &Place, name: &str, binding: &Binding) -> Result<String, End> {
    let paths: Vec<&PathBuf> = match binding {
        Binding::One(path) => vec![path],
        Binding::Several(members) => members.iter().map(|m| &m.path).collect(),
    };
    let names = task.names.get(name).map(Vec::as_slice).unwrap_or_default();
    let mut out = Vec::with_capacity(paths.len());
    for (i, path) in paths.iter().enumerate() {
        let last = names.get(i).map_or("input", String::as_str);
        if path.file_name().is_some_and(|n| n == last) {
            out.push(path.display().to_string());
            continue;
        }
        let folder = if paths.len() == 1 { format!("in-{name}") } else { format!("in-{name}-{i}") };
        let folder = place.base.join(folder);
        std::fs::create_dir(&folder).at("create", &folder)?;
        let link = folder.join(last);
        std::os::unix::fs::symlink(path, &link).at("create", &link)?;
        out.push(link.display().to_string());
    }
    Ok(out.join("\n"))
}
