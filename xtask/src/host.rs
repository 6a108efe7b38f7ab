//! What the commands know of the machine: the repository, the programs in PATH, what the user exported.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::stop::{Result, Stop};

/// The machine as the commands see it; a test makes its own.
#[derive(Debug, Clone)]
pub struct Host {
    /// The root of the repository.
    pub root: PathBuf,
    /// Where programs are looked for.
    pub path: OsString,
    /// `LIBTORCH`, when it is not the one that `.cargo/config.toml` sets.
    pub libtorch: Option<PathBuf>,
    /// `CXX`, where exported.
    pub cxx: Option<OsString>,
}

/// A way to call pip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pip {
    program: PathBuf,
    first: Vec<&'static str>,
}

impl Host {
    /// This machine.
    pub fn here() -> Self {
        let own = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let crate_folder = own.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        let root = crate_folder.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        // Cargo hands the value from `.cargo/config.toml` to everything that it runs, this program included.
        let ours = root.join(".libtorch/torch");
        let libtorch = std::env::var_os("LIBTORCH").filter(|v| !v.is_empty()).map(PathBuf::from);
        Self {
            libtorch: libtorch.filter(|l| *l != ours),
            root,
            path: std::env::var_os("PATH").unwrap_or_default(),
            cxx: std::env::var_os("CXX").filter(|v| !v.is_empty()),
        }
    }

    /// The program of this name, as the shell would find it.
    pub fn find(&self, name: impl AsRef<OsStr>) -> Option<PathBuf> {
        let name = Path::new(name.as_ref());
        if name.components().count() > 1 {
            return runnable(name).then(|| name.to_path_buf());
        }
        std::env::split_paths(&self.path).map(|dir| dir.join(name)).find(|p| runnable(p))
    }

    /// A command that sees this machine's PATH.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("PATH", &self.path);
        command
    }

    /// Whether a program can be started with these arguments and ends well.
    fn answers(&self, program: &Path, args: &[&str]) -> bool {
        let quiet = self.command(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
        quiet.is_ok_and(|s| s.success())
    }

    /// Finds pip: as a module of Python first, so that both are of one installation.
    ///
    /// # Errors
    /// When Python or pip is missing.
    pub fn pip(&self) -> Result<Pip> {
        let python = self.find("python3");
        if let Some(program) = &python
            && self.answers(program, &["-m", "pip", "--version"])
        {
            return Ok(Pip { program: program.clone(), first: vec!["-m", "pip"] });
        }
        if let Some(program) = self.find("pip3")
            && self.answers(&program, &["--version"])
        {
            return Ok(Pip { program, first: Vec::new() });
        }
        let other = "or unpack libtorch 2.11.0 yourself and export LIBTORCH=<its folder>";
        Err(match python {
            None => Stop::new("Python 3 is missing: libtorch is fetched with its package installer, pip")
                .help(format!("install Python 3 with pip (packages `python3` and `python3-pip` on most systems), {other}")),
            Some(program) => Stop::new(format!("{} is there, but its package installer pip is not", program.display()))
                .help(format!("install pip (package `python3-pip` on most systems, or `python3 -m ensurepip --user`), {other}")),
        }
        .code(2))
    }

    /// Checks that C++ can be compiled, before minutes of work fail for lack of a compiler.
    ///
    /// # Errors
    /// When there is no compiler.
    pub fn compiler(&self) -> Result<()> {
        if let Some(cxx) = &self.cxx {
            // CXX may hold a wrapper and flags: `ccache g++`.
            let program = cxx.to_string_lossy().split_whitespace().next().unwrap_or_default().to_owned();
            return match self.find(&program) {
                Some(_) => Ok(()),
                None => {
                    Err(Stop::new(format!("CXX names a C++ compiler that is not there: {}", cxx.display()))
                        .help("correct CXX or unset it")
                        .code(2))
                }
            };
        }
        if self.find("c++").is_some() {
            return Ok(());
        }
        let stop =
            Stop::new("there is no C++ compiler `c++`: the binding of libtorch cannot be built").code(2);
        Err(match ["g++", "clang++"].into_iter().find(|name| self.find(name).is_some()) {
            Some(other) => stop.help(format!("`{other}` is there: export CXX={other}")),
            None => {
                stop.help("install one (package `g++` or `build-essential` on most systems), or export CXX")
            }
        })
    }

    /// Free space in bytes on the disk of `folder`; none if `df` does not report it.
    pub fn free_space(&self, folder: &Path) -> Option<u64> {
        let out = self.command(self.find("df")?).arg("-Pk").arg(folder).output().ok()?;
        let text = String::from_utf8_lossy(&out.stdout);
        let kib: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
        Some(kib * 1024)
    }
}

impl Pip {
    /// A command that calls pip.
    pub fn command(&self, host: &Host) -> Command {
        let mut command = host.command(&self.program);
        command.args(&self.first);
        command
    }
}

fn runnable(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use crate::testing::Sandbox;

    #[test]
    fn pip_of_python_is_taken_before_pip3() {
        let s = Sandbox::new();
        s.program("python3", "exit 0");
        s.program("pip3", "exit 0");
        assert_eq!(s.host().pip().unwrap().first, ["-m", "pip"]);
    }

    #[test]
    fn pip3_is_taken_where_python_has_no_pip() {
        let s = Sandbox::new();
        s.program("python3", "exit 1");
        s.program("pip3", "exit 0");
        let pip = s.host().pip().unwrap();
        assert!(pip.first.is_empty() && pip.program.ends_with("pip3"));
    }

    #[test]
    fn missing_python_and_missing_pip_are_told_apart() {
        let s = Sandbox::new();
        assert!(s.host().pip().unwrap_err().to_string().starts_with("Python 3 is missing"));
        s.program("python3", "exit 1");
        assert!(s.host().pip().unwrap_err().to_string().contains("pip is not"));
    }

    #[test]
    fn a_compiler_of_another_name_is_named_in_the_help() {
        let s = Sandbox::new();
        s.program("clang++", "exit 0");
        assert!(s.host().compiler().unwrap_err().to_string().contains("export CXX=clang++"));
        let mut host = s.host();
        host.cxx = Some("clang++ -O1".into());
        assert!(host.compiler().is_ok());
        host.cxx = Some("nothing++".into());
        assert!(host.compiler().unwrap_err().to_string().contains("nothing++"));
    }

    #[test]
    fn free_space_is_the_fourth_column_in_kibibytes() {
        let s = Sandbox::new();
        s.program("df", "echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'; echo '/dev/x 900 800 100 89% /'");
        assert_eq!(s.host().free_space(s.root()), Some(100 * 1024));
        s.program("df", "echo nonsense");
        assert_eq!(s.host().free_space(s.root()), None);
    }
}
