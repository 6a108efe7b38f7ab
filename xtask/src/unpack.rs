//! The members of the wheels that a recipe keeps.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use zip::{DateTime, ZipArchive};

use crate::recipe::Recipe;
use crate::stop::{Doing, Result, Stop};

/// Unpacks what the recipe keeps into `tree`, with the times that the wheels give: a library that is fetched
/// again looks as old as before, and nothing is rebuilt for it. Gives the number of files.
///
/// # Errors
/// When a wheel cannot be read, a named member is not in it, or the disk is full.
pub fn unpack(recipe: &Recipe, wheels: &[PathBuf], tree: &Path) -> Result<usize> {
    let mut files = 0;
    for wheel in wheels {
        let mut archive =
            ZipArchive::new(BufReader::new(File::open(wheel).doing("read", wheel)?)).doing("read", wheel)?;
        for i in 0..archive.len() {
            let mut member = archive.by_index(i).doing("read", wheel)?;
            if !recipe.keeps(member.name()) {
                continue;
            }
            let Some(name) = member.enclosed_name() else {
                return Err(Stop::new(format!("{} holds a path that leaves its folder", wheel.display())));
            };
            let to = tree.join(name);
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder).doing("create", folder)?;
            }
            let mut out = File::create(&to).doing("create", &to)?;
            io::copy(&mut member, &mut out).doing("write", &to)?;
            if let Some(time) = member.last_modified().and_then(system_time) {
                out.set_modified(time).doing("set the time of", &to)?;
            }
            files += 1;
        }
    }
    for wanted in recipe.keep {
        if !tree.join(wanted).exists() {
            return Err(Stop::new(format!("none of the wheels of {} holds {wanted}", recipe.title)));
        }
    }
    Ok(files)
}

/// A ZIP time, taken as UTC. Days are counted as in the proleptic Gregorian calendar.
fn system_time(t: DateTime) -> Option<SystemTime> {
    let (year, month, day) = (u64::from(t.year()), u64::from(t.month()), u64::from(t.day()));
    // The year begins in March, so that the leap day is its last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day;
    let since_1970 = days.checked_sub(719_469)?;
    let seconds = u64::from(t.hour()) * 3600 + u64::from(t.minute()) * 60 + u64::from(t.second());
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(since_1970 * 86_400 + seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zip_time_is_read_as_utc() {
        let seconds = |y, mo, d, h, mi, s| {
            let t = system_time(DateTime::from_date_and_time(y, mo, d, h, mi, s).unwrap()).unwrap();
            t.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
        };
        assert_eq!(seconds(1980, 1, 1, 0, 0, 0), 315_532_800);
        assert_eq!(seconds(2000, 2, 29, 12, 0, 0), 951_825_600);
        assert_eq!(seconds(2026, 3, 23, 13, 40, 30), 1_774_273_230);
    }
}
