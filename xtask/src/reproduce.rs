//! `cargo xtask reproduce TABLE [DIR] [-- ARGS]`: a table of the paper from the data sets below a folder, or, without
//! them, a rehearsal of it on a made world. What is missing is reported before anything is compiled.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cargo;
use crate::host::Host;
use crate::sets::{EMBEDDED, Rehearsal, TABLES, TRAINED, Table, There};
use crate::stop::{Doing, Result, Stop};

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'a> {
    /// The user's current folder: paths are relative to it.
    from: Option<&'a str>,
    table: &'a str,
    folder: Option<&'a str>,
    rest: Vec<&'a str>,
}

/// Reads the words after `reproduce`.
fn asked<'a>(words: &[&'a str]) -> Result<Asked<'a>> {
    let (from, words) = match words {
        ["--from", from, rest @ ..] => (Some(*from), rest),
        other => (None, other),
    };
    let Some((table, words)) = words.split_first() else {
        return Err(Stop::new("the name of a table is missing").help(known()).code(2));
    };
    let (folder, words) = match words {
        [first, rest @ ..] if !first.starts_with('-') => (Some(*first), rest),
        other => (None, other),
    };
    let rest = words.strip_prefix(&["--"]).unwrap_or(words).to_vec();
    Ok(Asked { from, table, folder, rest })
}

fn known() -> String {
    format!("the tables are {}", TABLES.map(|t| t.name).join(", "))
}

/// Reproduces or rehearses a table.
///
/// # Errors
/// When there is no such table or folder, when something is missing in the folder, when the build fails. A run that
/// fails gives its own exit code.
pub fn reproduce(host: &Host, words: &[&str]) -> Result<ExitCode> {
    let asked = asked(words)?;
    let Some(table) = Table::named(asked.table) else {
        return Err(Stop::new(format!("there is no table `{}`", asked.table)).help(known()).code(2));
    };
    let here = std::env::current_dir().doing("find", Path::new("the current folder"))?;
    let here = asked.from.map_or(here.clone(), |from| here.join(from));
    match (asked.folder, table.rehearsal) {
        (Some(folder), _) => {
            let folder = folder_at(&here, folder).or_else(|stop| {
                // A user who mistyped it may not know yet what it must contain.
                say(&checklist(table, &here.join(folder)).0)?;
                Err(stop)
            });
            real(host, table, &folder?, &here, &asked.rest)
        }
        (None, Some(rehearsal)) => rehearse(host, table, rehearsal, &here, &asked.rest),
        (None, None) => {
            let (list, _) = checklist(table, &host.root.join("data"));
            say(&list)?;
            Err(Stop::new(format!("{} has no rehearsal: it needs the data sets above", table.name))
                .help(format!("name the folder that holds them: cargo xtask reproduce {} DIR", table.name))
                .code(2))
        }
    }
}

/// The folder that was named, as an absolute path.
fn folder_at(here: &Path, named: &str) -> Result<PathBuf> {
    let wrong = |what: &str| {
        Err(Stop::new(format!("{what}: `{named}`"))
            .help("name the folder that holds the data sets, or none for a rehearsal on drawn faces")
            .code(2))
    };
    if named.is_empty() {
        return wrong("the name of the folder is empty");
    }
    let folder = here.join(named);
    match folder.metadata() {
        Ok(meta) if meta.is_dir() => folder.canonicalize().doing("find", &folder),
        Ok(_) => wrong("this is no folder"),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            wrong(&format!("there is no such folder below {}", here.display()))
        }
        Err(e) => wrong(&format!("this folder cannot be read ({e})")),
    }
}

/// The table itself.
fn real(host: &Host, table: &Table, folder: &Path, here: &Path, rest: &[&str]) -> Result<ExitCode> {
    let (list, missing) = checklist(table, folder);
    say(&format!("{}: {}\n\n{list}\n", table.name, table.title))?;
    if !missing.is_empty() {
        let count = missing.len();
        let all: usize = table.sets.iter().map(|s| s.parts.len()).sum();
        let names = missing.join("\n  ");
        let them = if count == 1 { "it" } else { "them" };
        let retry = "or name no folder, for a rehearsal on drawn faces";
        return Err(Stop::new(format!(
            "{count} of {all} that {} needs {} missing in {}; nothing was compiled or run\n  {names}",
            table.name,
            if count == 1 { "is" } else { "are" },
            folder.display(),
        ))
        .help(format!("get {them} from the makers, put {them} there under these names (links will do), and repeat the command;\n{retry}"))
        .code(2));
    }
    let program = cargo::build(host)?;
    let manifest = host.root.join(format!("pipelines/{}.toml", table.name));
    let data = format!("data={}", folder.display());
    cargo::call_run(host, &program, here, &manifest, &[&data], rest)
}

/// The same stages, methods and protocols on drawn faces.
fn rehearse(
    host: &Host,
    table: &Table,
    rehearsal: Rehearsal,
    here: &Path,
    rest: &[&str],
) -> Result<ExitCode> {
    let (list, missing) = checklist(table, &host.root.join("data"));
    let name = table.name;
    let mut text = format!(
        "REHEARSAL of {name} on drawn faces: no folder with the data sets was named.\n\
         The same stages, all eight methods and the same protocols, small: about {} minutes on two cores, after the build.\n\
         Its numbers are not those of the paper, nor to be compared with them.\n\n\
         The real {name} ({}) needs:\n\n{list}\n",
        rehearsal.minutes, table.title,
    );
    text += &match missing.is_empty() {
        true => format!("All of it is found: `just reproduce-{name} data` runs the real one.\n\n"),
        false => format!("`just reproduce-{name} DIR` runs the real one, with these below DIR.\n\n"),
    };
    say(&text)?;
    let program = cargo::build(host)?;
    let manifest = host.root.join("pipelines/rehearse.toml");
    let own = [
        format!("pipeline.name=rehearsal of {name}"),
        format!("pipeline.out=out/rehearsal-{name}"),
        format!("table={name}"),
    ];
    let settings: Vec<&str> =
        own.iter().map(String::as_str).chain(rehearsal.settings.iter().copied()).collect();
    let code = cargo::call_run(host, &program, here, &manifest, &settings, rest)?;
    say(&format!("This was a rehearsal of {name} on drawn faces.\n"))?;
    Ok(code)
}

/// What a table needs, as text, and the names of what is missing.
fn checklist(table: &Table, folder: &Path) -> (String, Vec<String>) {
    let (mut text, mut missing) = (String::new(), Vec::new());
    for set in table.sets {
        let size = set.bytes.map_or("size unknown".to_owned(), |b| format!("{:.1} GB", b as f64 / 1e9));
        let _ = writeln!(text, "{}, made by {}", set.name, set.makers);
        let _ =
            writeln!(text, "  {} images, {size}, forecast {}", thousands(set.images), time(table.days(set)));
        for part in set.parts {
            let (state, why) = match part.look(folder) {
                There::Found => ("found", String::new()),
                There::Missing(why) => {
                    let why = if why.is_empty() { why } else { format!(" ({why})") };
                    missing.push(format!("{}{why}", part.path));
                    ("missing", why)
                }
            };
            let _ = writeln!(text, "  {state:<8}{}{why}", folder.join(part.path).display());
            let _ = writeln!(text, "          {}", part.what);
        }
        if !set.note.is_empty() {
            let _ = writeln!(text, "  note: {}", set.note);
        }
    }
    text += "How they are checked when they are read: an image that a list names and that is not there is refused by its name; \
             landmarks\nthat are not those of the images are refused; everything that is passed over is listed in passed-over.csv of the \
             report; a set\nthat is not of its official size is marked in the table. `sha256` or `blake3` of a stage of kind acquire \
             pins a set to its bytes.\n";
    let days: f64 = table.sets.iter().map(|s| table.days(s)).sum();
    let _ = writeln!(
        text,
        "Forecast for two cores, {} in all: {} images x {} passes at {TRAINED} images a second, and the\n\
         embeddings of the test sets with {} models at {EMBEDDED} images a second; both rates are assumed.\n\
         Passes: {}.\n\
         A GPU is meant: `cargo xtask libtorch --cuda`.",
        time(days),
        thousands(table.trained_on),
        table.passes,
        table.models,
        table.sum,
    );
    (text, missing)
}

/// Days, or hours where there are few.
fn time(days: f64) -> String {
    match days {
        d if d >= 1.0 => format!("{d:.1} days"),
        d => format!("{:.2} days ({:.1} hours)", d, d * 24.0),
    }
}

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Prints a text at once, before the output of what is compiled or run next.
fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    // The reader may be gone; the work must still be done.
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(e).doing("write", Path::new("the output"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_a_table_a_folder_and_what_a_run_takes() {
        let of = |words: &[&'static str]| {
            let asked = asked(words).unwrap();
            (asked.table, asked.folder, asked.rest)
        };
        assert_eq!(of(&["table2"]), ("table2", None, vec![]));
        assert_eq!(of(&["table2", "data"]), ("table2", Some("data"), vec![]));
        assert_eq!(
            of(&["table2", "my data", "-q", "train"]),
            ("table2", Some("my data"), vec!["-q", "train"])
        );
        assert_eq!(of(&["table2", "data", "--", "-q"]), ("table2", Some("data"), vec!["-q"]));
        assert_eq!(of(&["table2", "--", "train"]), ("table2", None, vec!["train"]));
        assert_eq!(of(&["table2", "-q"]), ("table2", None, vec!["-q"]));
        assert_eq!(of(&["--from", "/a", "table2", ""]), ("table2", Some(""), vec![]));
        assert!(asked(&[]).is_err() && asked(&["--from", "/a"]).is_err());
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            ["7", "999", "1000", "3923399"].map(|n| thousands(n.parse().unwrap())),
            ["7", "999", "1,000", "3,923,399"]
        );
    }
}
