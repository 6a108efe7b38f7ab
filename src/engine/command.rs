//! Running a `command` stage: `/bin/sh` in a scratch folder of its own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{PipeReader, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, test_kill_process_group};

use wait4::{ResUse, Wait4};

use super::confined;
use super::names::is_plain;
use super::task::{End, Failed, Reading, Run};
use super::work::{Attempt, RunContext, WorkerReport, kills_for_memory, open_log};
use crate::fault::At;

/// Variables of the caller that a command sees. All others are left out: what is not declared cannot change a
/// result.
const INHERITED: [&str; 5] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL"];

impl RunContext<'_> {
    pub(super) fn run_command(
        &self,
        task: &Run<'_>,
        attempt: &mut Attempt<'_>,
        (run, env, strict): (&str, &BTreeMap<String, String>, Option<&[PathBuf]>),
    ) -> Result<WorkerReport, End> {
        // Its own folder has no blank in its path, as far as that can be had.
        let seen_as = |path: &Path| self.names.of(path);
        let room = seen_as(attempt.room.path());
        let mut seen = Vec::with_capacity(task.reads.len());
        for (name, reads) in &task.reads {
            seen.push((name, Seen::of(&room, name, reads, task.several(name), &seen_as)?));
        }
        let mut command = Command::new("/bin/sh");
        let script = script(run, &seen);
        match script.len() > LONG {
            true => {
                let file = attempt.room.path().join(".script");
                std::fs::write(&file, script).at("write", &file)?;
                command.arg(file);
            }
            false => {
                command.arg("-c").arg(script);
            }
        }
        command.current_dir(&attempt.out).process_group(0).env_clear();
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // Texts are UTF-8; all else is as in `C`. (`LANG` would have each program read a dozen files.)
        command.env("LC_CTYPE", "C.UTF-8").env("TMPDIR", &room);
        command.env("CUDA_VISIBLE_DEVICES", task.gpus().join(","));
        command.envs(env);
        for output in &task.node.outputs {
            let path = attempt.out.join(&output.path);
            if let Some(parent) = path.parent().filter(|p| *p != attempt.out) {
                std::fs::create_dir_all(parent).at("create", parent)?;
            }
            command.env(format!("OUT_{}", output.name), seen_as(&path));
        }
        for (name, seen) in &seen {
            seen.tell(name, &mut command);
        }
        let pipe = |e: std::io::Error| End::Failed(Failed::new(format!("a pipe cannot be had: {e}")));
        let (spoken, out) = std::io::pipe().map_err(pipe)?;
        let errors = out.try_clone().map_err(pipe)?;
        command.stdin(Stdio::null()).stdout(out).stderr(errors);
        let child = match strict {
            None => command.spawn(),
            Some(also) => {
                let mut reads: Vec<&Path> = also.iter().map(PathBuf::as_path).collect();
                reads.extend(task.reads.values().flatten().map(|r| r.path.as_path()));
                confined::spawn(&mut command, &reads, attempt.room.path(), !task.gpus().is_empty())?
            }
        };
        let child = child.map_err(|e| End::Failed(unstarted(&e)))?;
        // Its ends of the pipe are the child's alone.
        drop(command);
        let group = i32::try_from(child.id()).unwrap_or(i32::MAX);
        let entered = self.stop.enter(group, task.node.timeout);
        let ended = attend(child, spoken, &attempt.log);
        let timed_out = entered.leave();
        let ended =
            ended.map_err(|e| End::Failed(Failed::new(format!("the command cannot be waited for: {e}"))))?;
        let (status, peak) = (ended.status, Some(ended.rusage.maxrss));
        if end_rest(group) {
            attempt.room.spoil();
        }
        if status.success() {
            return Ok(WorkerReport { peak, ..WorkerReport::default() });
        }
        let end = self.ended(status, timed_out, task, "the command");
        Err(if strict.is_some() { confined::explain(end, &attempt.log) } else { end })
    }

    /// Says how a process ended that ought to have ended well.
    pub(super) fn ended(&self, status: ExitStatus, timed_out: bool, task: &Run<'_>, who: &str) -> End {
        if self.stop.now() {
            return End::Stopped;
        }
        if timed_out {
            let seconds = task.node.timeout.map_or(0.0, |t| t.as_secs_f64());
            let failed = Failed::new(format!("{who} was stopped after its timeout of {seconds} s"));
            return End::Failed(failed.help("raise `timeout` of the stage, or make it quicker"));
        }
        match (status.code(), status.signal()) {
            // A shell ends with 128 + 9 when its program was killed.
            (None, Some(9)) | (Some(137), _) if kills_for_memory() > self.kills_for_memory => End::Failed(
                Failed::new(format!("{who} was killed, since there was no memory left")).help(
                    "say what it needs with `resources.memory`, so that others wait; lower -j; or make it smaller",
                ),
            ),
            (Some(code), _) => End::Failed(Failed::new(format!("{who} ended with exit code {code}"))),
            (None, Some(9)) => End::Failed(
                Failed::new(format!("{who} was killed (signal 9)"))
                    .help("another process killed it; the kernel says that memory was not the reason"),
            ),
            (None, Some(signal)) => End::Failed(Failed::new(format!("{who} was ended by signal {signal}"))),
            (None, None) => End::Failed(Failed::new(format!("{who} ended in an unknown way"))),
        }
    }
}

/// Follows a command to its end, writing what it says to the log. A command that says nothing has no log.
fn attend(child: Child, spoken: PipeReader, path: &Path) -> std::io::Result<ResUse> {
    let group = i32::try_from(child.id()).unwrap_or(i32::MAX);
    if let Err(e) = listen(&child, spoken, path) {
        end_rest(group);
        child.wait4()?;
        return Err(e);
    }
    child.wait4()
}

/// Listens until the command has ended. What it started and left behind may keep the pipe open, and go on talking:
/// the end of the command counts.
fn listen(child: &Child, mut spoken: PipeReader, path: &Path) -> std::io::Result<()> {
    let mut log: Option<File> = None;
    let mut buffer = [0; 8192];
    let mut take = |spoken: &mut PipeReader| -> std::io::Result<usize> {
        let n = spoken.read(&mut buffer)?;
        if n > 0 {
            if log.is_none() {
                log = open_log(path).ok();
            }
            // A log that cannot be written is no reason to stop.
            let _ = log.as_mut().map(|file| file.write_all(&buffer[..n]));
        }
        Ok(n)
    };
    let Some(process) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return Ok(()) };
    let process = pidfd_open(process, PidfdFlags::empty())?;
    loop {
        let mut watched = [PollFd::new(&spoken, PollFlags::IN), PollFd::new(&process, PollFlags::IN)];
        match poll(&mut watched, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let (talks, over) = (!watched[0].revents().is_empty(), !watched[1].revents().is_empty());
        if over {
            break;
        }
        if talks && take(&mut spoken)? == 0 {
            return Ok(());
        }
    }
    // What it said before its end is in the pipe, which holds no more than this.
    for _ in 0..16 {
        let mut watched = [PollFd::new(&spoken, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut watched, Some(&now))? == 0 || take(&mut spoken)? == 0 {
            break;
        }
    }
    Ok(())
}

/// Ends what a command has left running in its group; says whether there was anything.
fn end_rest(group: i32) -> bool {
    let Some(group) = Pid::from_raw(group) else { return false };
    let left = test_kill_process_group(group).is_ok();
    if left {
        // It may have ended by itself a moment ago.
        let _ = kill_process_group(group, Signal::KILL);
    }
    left
}

/// Why a command could not be started.
fn unstarted(e: &std::io::Error) -> Failed {
    let failed = Failed::new(format!("/bin/sh cannot be started: {e}"));
    match e.kind() {
        std::io::ErrorKind::ArgumentListTooLong => failed.help(
            "the script and the variables of `env` are together more than the system passes to a program; put long texts into files and make these inputs",
        ),
        _ => failed,
    }
}

/// One text that a program is started with takes 128 KiB at the most (MAX_ARG_STRLEN). Longer ones than this are given as files.
const LONG: usize = 64 << 10;

/// What a command sees of an input.
struct Seen {
    /// A path, or one path a line.
    text: OsString,
    /// The file that holds the same lines.
    list: Option<PathBuf>,
}

impl Seen {
    fn of(
        room: &Path,
        name: &str,
        reads: &[Reading],
        several: bool,
        seen_as: &dyn Fn(&Path) -> PathBuf,
    ) -> Result<Self, End> {
        let mut text = OsString::new();
        for (i, read) in reads.iter().enumerate() {
            if i > 0 {
                text.push("\n");
            }
            let (told, last) = (seen_as(&read.path), read.path.file_name().map(OsStr::to_owned));
            // A name that means something to a shell is given as a link in a folder of its own, where nothing else matches it.
            let link = read.link.clone().map(OsString::from).or_else(|| last.filter(|_| !is_plain(&told)));
            let Some(last) = &link else {
                text.push(told);
                continue;
            };
            let folder = if reads.len() == 1 { format!(".in-{name}") } else { format!(".in-{name}-{i}") };
            let folder = room.join(folder);
            std::fs::create_dir(&folder).at("create", &folder)?;
            let link = folder.join(last);
            std::os::unix::fs::symlink(&read.path, &link).at("create", &link)?;
            text.push(link);
        }
        let mut list = None;
        if several {
            let path = room.join(format!(".list-{name}"));
            let mut lines = text.clone().into_vec();
            lines.extend((!lines.is_empty()).then_some(b'\n'));
            std::fs::write(&path, lines).at("write", &path)?;
            list = Some(path);
        }
        Ok(Self { text, list })
    }

    /// Whether the list reaches the shell by the file alone.
    fn is_long(&self) -> bool {
        self.list.is_some() && self.text.len() > LONG
    }

    fn tell(&self, name: &str, command: &mut Command) {
        if !self.is_long() {
            command.env(format!("IN_{name}"), &self.text);
        }
        if let Some(list) = &self.list {
            command.env(format!("LIST_{name}"), list);
        }
    }
}

/// The script, before which long lists are read: a variable of the shell may have any length, one of the environment may not.
fn script(run: &str, seen: &[(&String, Seen)]) -> String {
    let long = seen.iter().filter(|(_, seen)| seen.is_long());
    let mut out: String = long.map(|(name, _)| format!("IN_{name}=$(cat \"$LIST_{name}\"); ")).collect();
    out.push_str(run);
    out
}
