//! IJB-B and IJB-C, in the form in which InsightFace hands out their lists (`meta/`), with `ijbb` or `ijbc` before each name:
//!
//! - `_face_tid_mid.txt`: lines `image template media`; a template is a set of images of one person, a media a photograph or a video;
//! - `_template_pair_label.txt`: lines `template template label`, 1 for one person and 0 for two (1:1);
//! - `_name_5pts_score.txt`: lines `image x1 y1 .. x5 y5 score`, the score of the face detector. Optional;
//! - `_1N_gallery_G1.csv` and `_G2.csv` (IJB-B: `S1`, `S2`), `_1N_probe_mixed.csv`: a line of titles, then lines
//!   `template,subject,..` (1:N). Optional.
//!
//! Officially 8,010,270 (IJB-B) and 15,658,489 (IJB-C) pairs.

use std::collections::{BTreeSet, HashMap};

use lfs_stage::Result;

use super::{Lists, Member, TemplateSearches, Templates};

/// Reads IJB-B.
pub fn read_b(lists: &Lists) -> Result<Templates> {
    read(lists, "ijbb", ["S1", "S2"])
}

/// Reads IJB-C.
pub fn read_c(lists: &Lists) -> Result<Templates> {
    read(lists, "ijbc", ["G1", "G2"])
}

fn read(lists: &Lists, set: &str, galleries: [&str; 2]) -> Result<Templates> {
    let mut out = Templates::default();
    let mut known: HashMap<i64, u32> = HashMap::new();
    let scores = scores(lists, &format!("{set}_name_5pts_score.txt"))?;
    let text = lists.read(&format!("{set}_face_tid_mid.txt"))?;
    for line in text.lines() {
        let &[image, template, media] = line.text.split_ascii_whitespace().collect::<Vec<_>>().as_slice()
        else {
            return Err(line.fault("`image template media`"));
        };
        let template: i64 = line.number(template, "a template")?;
        let next = known.len() as u32;
        let index = *known.entry(template).or_insert(next);
        if index == next {
            out.names.push(template);
        }
        let score = match &scores {
            Some(scores) => {
                *scores.get(image).ok_or_else(|| line.fault("an image of the list of detector scores"))?
            }
            None => 1.0,
        };
        let media = line.number(media, "a media")?;
        out.members.push(Member { image: image.to_owned(), template: index, media, score });
    }
    out.scored = scores.is_some();
    let text = lists.read(&format!("{set}_template_pair_label.txt"))?;
    for line in text.lines() {
        let mut fields = line.text.split_ascii_whitespace();
        let (Some(a), Some(b), Some(label), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(line.fault("`template template label`"));
        };
        let find = |name: &str| -> Result<u32> {
            let id: i64 = line.number(name, "a template")?;
            known
                .get(&id)
                .copied()
                .ok_or_else(|| line.fault(format!("a template with images; {id} has none")))
        };
        let same = match label {
            "1" => true,
            "0" => false,
            _ => return Err(line.fault("1 or 0 at its end")),
        };
        out.pairs.push((find(a)?, find(b)?, same));
    }
    if out.pairs.iter().all(|p| p.2) || !out.pairs.iter().any(|p| p.2) {
        return Err(text.fault("expected pairs of one person and of two"));
    }
    let probes = format!("{set}_1N_probe_mixed.csv");
    if lists.find(&probes).is_ok() {
        let probes = subjects(lists, &probes, &known)?;
        let galleries =
            galleries.iter().map(|g| subjects(lists, &format!("{set}_1N_gallery_{g}.csv"), &known));
        out.searches = Some(TemplateSearches { probes, galleries: galleries.collect::<Result<_>>()? });
    }
    Ok(out)
}

/// The detector's score of each image; none if there is no such list.
fn scores(lists: &Lists, name: &str) -> Result<Option<HashMap<String, f64>>> {
    if lists.find(name).is_err() {
        return Ok(None);
    }
    let text = lists.read(name)?;
    let mut all = HashMap::new();
    for line in text.lines() {
        let mut fields = line.text.split_ascii_whitespace();
        let (Some(image), Some(score)) = (fields.next(), fields.next_back()) else {
            return Err(line.fault("`image x1 y1 .. x5 y5 score`"));
        };
        let score: f64 = line.number(score, "a score")?;
        if !(score >= 0.0 && score.is_finite()) {
            return Err(line.fault("a score of 0 or more"));
        }
        all.insert(image.to_owned(), score);
    }
    Ok(Some(all))
}

/// Templates with their subjects: each once, though there is a line for each of its images.
fn subjects(lists: &Lists, name: &str, known: &HashMap<i64, u32>) -> Result<Vec<(u32, i64)>> {
    let text = lists.read(name)?;
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    for (k, line) in text.lines().enumerate() {
        let mut fields = line.text.split(',');
        let (Some(template), Some(subject)) = (fields.next(), fields.next()) else {
            return Err(line.fault("`template,subject,..`"));
        };
        // A line of titles.
        if k == 0 && template.trim().parse::<i64>().is_err() {
            continue;
        }
        let template: i64 = line.number(template, "a template")?;
        let Some(index) = known.get(&template) else {
            return Err(line.fault(format!("a template with images; {template} has none")));
        };
        if seen.insert(*index) {
            all.push((*index, line.number(subject, "a subject")?));
        }
    }
    if all.is_empty() {
        return Err(text.fault("no template"));
    }
    Ok(all)
}
