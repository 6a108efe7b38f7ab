//! `lfs-libtorch`: fetches the libtorch that an installed worker runs with.

use std::path::PathBuf;
use std::process::ExitCode;

use xtask::host::Host;
use xtask::libtorch;
use xtask::stop::{Doing, Result, Stop};

const USAGE: &str = "\
lfs-libtorch [--cuda] [--into DIR]

Fetches the libtorch that lfs-stages runs with: pinned by digest, resumed after a break. It needs Python 3 with pip.

  --cuda      also the libraries for a GPU
  --into DIR  the folder [default: lfs-pipe in XDG_DATA_HOME or ~/.local/share, where lfs-stages finds it]
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match fetch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            eprintln!("error: {stop}");
            ExitCode::from(stop.code)
        }
    }
}

fn fetch(args: &[String]) -> Result<()> {
    let (mut cuda, mut folder) = (false, None);
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match (word.as_str(), words.as_slice().first()) {
            ("--cuda", _) => cuda = true,
            ("--into", Some(dir)) => {
                folder = Some(PathBuf::from(dir));
                words.next();
            }
            ("help" | "--help" | "-h", _) => {
                print!("{USAGE}");
                return Ok(());
            }
            (other, _) => {
                return Err(Stop::new(format!("unexpected argument `{other}`")).help("see --help").code(2));
            }
        }
    }
    let data = || {
        let own = std::env::var_os("XDG_DATA_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
        own.or_else(home).map(|data| data.join("lfs-pipe"))
    };
    let Some(folder) = folder.or_else(data) else {
        return Err(Stop::new("HOME is not set").help("name a folder with --into").code(2));
    };
    std::fs::create_dir_all(&folder).doing("create", &folder)?;
    let host = Host { root: folder.clone(), libtorch: None, ..Host::here() };
    if cuda { libtorch::cuda(&host) } else { libtorch::lean(&host) }?;
    println!("{}", folder.join(".libtorch").display());
    Ok(())
}
