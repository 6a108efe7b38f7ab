//! Configuration files of pip and npm.

use std::path::PathBuf;

use super::Settings;

/// The maximum size of such a file.
const LONGEST: u64 = 1 << 20;

/// `index-url` with pip's precedence: the user's files precede those of the machine, and the file of `PIP_CONFIG_FILE` precedes
/// both.
pub(super) fn pip_index(settings: &Settings) -> Option<String> {
    let named = settings.first(&["PIP_CONFIG_FILE"]);
    let mut files: Vec<PathBuf> = named.map(PathBuf::from).into_iter().collect();
    if named != Some("/dev/null") {
        let home = settings.home();
        let config = settings.first(&["XDG_CONFIG_HOME"]).map(PathBuf::from);
        files.extend(config.or_else(|| home.map(|h| h.join(".config"))).map(|c| c.join("pip/pip.conf")));
        files.extend(home.map(|h| h.join(".pip/pip.conf")));
        files.extend(["/etc/pip.conf", "/etc/xdg/pip/pip.conf"].map(PathBuf::from));
    }
    files.iter().find_map(|file| {
        let lines = lines(file)?;
        let of = |section: &str| value(&lines, Some(section), |key| key.replace('_', "-") == "index-url");
        of("install").or_else(|| of("global"))
    })
}

/// A setting with npm's precedence.
pub(super) fn npm(settings: &Settings, key: &str) -> Option<String> {
    let user = settings.first(&["NPM_CONFIG_USERCONFIG", "npm_config_userconfig"]).map(PathBuf::from);
    let user = user.or_else(|| settings.home().map(|h| h.join(".npmrc")));
    let global = settings.first(&["NPM_CONFIG_GLOBALCONFIG", "npm_config_globalconfig"]).map(PathBuf::from);
    let files = user.into_iter().chain(global);
    files.into_iter().find_map(|file| value(&lines(&file)?, None, |k| k == key))
}

fn lines(file: &PathBuf) -> Option<Vec<String>> {
    let meta = std::fs::metadata(file).ok().filter(|m| m.is_file() && m.len() <= LONGEST)?;
    let text = std::fs::read_to_string(file).ok().filter(|_| meta.is_file())?;
    Some(text.lines().map(|l| l.trim().to_owned()).collect())
}

/// The last value of a key, within a section if one is given.
fn value(lines: &[String], section: Option<&str>, wanted: impl Fn(&str) -> bool) -> Option<String> {
    let (mut inside, mut found) = (section.is_none(), None);
    for line in lines.iter().filter(|l| !l.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            inside = section == Some(name.trim());
        } else if let (true, Some((key, value))) = (inside, line.split_once('='))
            && wanted(key.trim())
        {
            found = Some(value.trim().trim_matches('"').to_owned());
        }
    }
    found.filter(|v| !v.is_empty())
}
