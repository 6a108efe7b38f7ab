//! The live display, driven in a pseudo-terminal: the screen is read from a terminal's memory.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::support::{Project, program};

/// Nodes that wait until they are let go.
const GATES: &str = r#"
[stage.fold]
kind = "command"
matrix = { n = ["one", "two", "three"] }
run = "while [ ! -e $HOME/$N ]; do sleep 0.02; done; echo $N > $OUT_text"
env = { N = "${matrix.n}" }
output.text = "text"
"#;

struct Terminal {
    screen: Arc<Mutex<vt100::Parser>>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
}

fn size(rows: u16, cols: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

fn some(n: u16) -> std::num::NonZero<u16> {
    n.try_into().unwrap()
}

impl Terminal {
    fn start(project: &Project, args: &[&str], rows: u16, cols: u16) -> Self {
        let pair = native_pty_system().openpty(size(rows, cols)).unwrap();
        let mut command = CommandBuilder::new(program());
        command.args(args);
        command.cwd(project.path(""));
        command.env("TERM", "xterm-256color");
        command.env("LFS_WORKER", "none");
        command.env("HOME", project.path("gates"));
        command.env_remove("LFS_CACHE");
        let child = pair.slave.spawn_command(command).unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(some(rows), some(cols), 200)));
        let (mut reader, to) = (pair.master.try_clone_reader().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                to.lock().unwrap().process(&bytes[..n]);
            }
        });
        let keys = pair.master.take_writer().unwrap();
        Self { screen, master: pair.master, keys, child }
    }

    /// The lines that hold something.
    fn lines(&self) -> Vec<String> {
        let screen = self.screen.lock().unwrap();
        let (_, cols) = screen.screen().size();
        let rows = screen.screen().rows(0, cols.into()).map(|l| l.trim_end().to_owned());
        rows.filter(|l| !l.is_empty()).collect()
    }

    /// Waits until the screen meets a condition, and returns its lines; if it never does, the test fails with them.
    fn until(&self, what: &str, is: impl Fn(&[String]) -> bool) -> Vec<String> {
        let began = Instant::now();
        loop {
            let lines = self.lines();
            if is(&lines) {
                return lines;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{what}:\n{}", lines.join("\n"));
            std::thread::sleep(Duration::from_millis(15));
        }
    }

    fn resize(&self, rows: u16, cols: u16) {
        self.master.resize(size(rows, cols)).unwrap();
        self.screen.lock().unwrap().screen_mut().set_size(some(rows), some(cols));
    }

    fn end(&mut self) -> u32 {
        self.child.wait().unwrap().exit_code()
    }
}

fn project() -> Project {
    let project = Project::new(GATES);
    std::fs::create_dir(project.path("gates")).unwrap();
    project
}

fn with<'a>(lines: &'a [String], text: &str) -> Vec<&'a String> {
    lines.iter().filter(|l| l.contains(text)).collect()
}

#[test]
fn the_screen_shows_what_runs_and_keeps_what_is_over() {
    let project = project();
    let mut terminal = Terminal::start(&project, &["run", "-j", "2"], 24, 90);
    let lines = terminal.until("two nodes run", |l| !with(l, "0/3 nodes").is_empty() && l.len() >= 3);
    assert_eq!(with(&lines, "2 running").len(), 1, "{lines:?}");
    assert_eq!(with(&lines, "fold[n=").len(), 2, "{lines:?}");
    project.write("gates/one", "").write("gates/two", "");
    let lines = terminal
        .until("the third runs", |l| !with(l, "2/3 nodes").is_empty() && with(l, "fold[n=three]").len() == 1);
    // Finished nodes are above the bars, once each.
    assert_eq!(with(&lines, "done").len(), 2, "{lines:?}");
    assert_eq!(with(&lines, "nodes  ").len(), 1, "{lines:?}");
    assert!(lines.last().unwrap().contains("fold[n=three]"), "{lines:?}");
    // Time goes on although nothing happens.
    let shown = lines.last().unwrap().clone();
    terminal
        .until("the clock goes on", |l| *l.last().unwrap() != shown && !with(l, "fold[n=three]").is_empty());
    project.write("gates/three", "");
    let lines = terminal.until("all is over", |l| !with(l, "3 nodes: 3 executed").is_empty());
    assert_eq!(terminal.end(), 0);
    assert_eq!(with(&lines, "done").len(), 3, "{lines:?}");
    // The bars are gone.
    assert!(with(&lines, "running").is_empty() && with(&lines, "/3 nodes").is_empty(), "{lines:?}");
}

#[test]
fn a_narrow_screen_and_one_that_changes_hold_each_bar_on_one_line() {
    let project = project();
    let mut terminal = Terminal::start(&project, &["run", "-j", "3"], 20, 44);
    let bars = |l: &[String]| !with(l, "0/3 nodes").is_empty() && with(l, "fold[n=").len() == 3;
    let lines = terminal.until("three nodes run", bars);
    assert_eq!(lines.len(), 4, "{lines:?}");
    terminal.resize(20, 80);
    project.write("gates/two", "");
    let lines =
        terminal.until("one is over", |l| !with(l, "1/3 nodes").is_empty() && with(l, "fold[n=").len() == 3);
    assert_eq!(with(&lines, "done").len(), 1, "{lines:?}");
    assert_eq!(with(&lines, "/3 nodes").len(), 1, "{lines:?}");
    project.write("gates/one", "").write("gates/three", "");
    terminal.until("all is over", |l| !with(l, "3 nodes: 3 executed").is_empty());
    assert_eq!(terminal.end(), 0);
}

#[test]
fn the_key_that_interrupts_works_once_and_twice() {
    let project = project();
    let mut terminal = Terminal::start(&project, &["run", "-j", "2"], 24, 90);
    terminal.until("two nodes run", |l| with(l, "fold[n=").len() == 2);
    terminal.keys.write_all(b"\x03").unwrap();
    let lines = terminal.until("it says so", |l| !with(l, "stopping").is_empty());
    assert_eq!(with(&lines, "fold[n=").len(), 2, "what runs goes on: {lines:?}");
    terminal.keys.write_all(b"\x03").unwrap();
    let lines = terminal.until("it ends", |l| !with(l, "interrupted").is_empty());
    assert_eq!(terminal.end(), 130);
    assert!(with(&lines, "/3 nodes").is_empty(), "{lines:?}");
}
