//! Writes the data set with the new labels, and the truth.

use lfs_faces::dataset::{Dataset, FaceRef, Writer};
use lfs_formats::vectors::Vectors;
use lfs_stage::{Context, Failure, IoContext, Result};

use crate::inject::{inject, nearest};
use crate::{Kind, Params};

pub(crate) fn run(params: &Params, cx: &mut Context<'_>) -> Result<()> {
    let failed = |e: lfs_faces::DataError| Failure::new(e.to_string());
    let dataset = Dataset::open(cx.input("dataset")?).map_err(failed)?;
    let mut info = dataset.info().clone();
    let classes = info.identities.len();
    if classes < 2 {
        return Err(Failure::new(format!("{classes} identities cannot be mistaken for each other"))
            .help("give `dataset` at least two identities"));
    }
    let labels: Vec<u32> = dataset.iter().map(|f| f.identity).collect();
    let near = match (params.noise, cx.input_opt("embeddings")?) {
        (Kind::LookAlike, None) => {
            return Err(Failure::new(
                "look-alikes are found by embeddings, and the input `embeddings` is missing",
            )
            .help("add `input.embeddings`, the output of an embed stage over this data set"));
        }
        (Kind::LookAlike, Some(path)) => {
            let vectors = Vectors::open(path).map_err(failed)?;
            if vectors.len() != labels.len() {
                return Err(Failure::new(format!(
                    "{} embeddings for a data set of {} images",
                    vectors.len(),
                    labels.len()
                ))
                .help("embed that very data set"));
            }
            nearest(&vectors, &labels, classes)
        }
        _ => Vec::new(),
    };
    let new = inject(params.noise, params.rate, params.seed, &labels, classes, &near);
    let path = cx.output("truth")?;
    let mut truth = csv::Writer::from_path(path).doing("create", path)?;
    truth.write_record(["name", "identity", "label", "noise"]).doing("write", path)?;
    for (face, &label) in dataset.iter().zip(&new) {
        let name = |k: u32| info.identities[k as usize].as_str();
        let noise = if label == face.identity { "" } else { params.noise.name() };
        truth.write_record([face.name, name(face.identity), name(label), noise]).doing("write", path)?;
    }
    truth.flush().doing("write", path)?;
    // Identities without images are removed: the labels are class numbers, and every class needs images.
    let mut used = vec![false; classes];
    new.iter().for_each(|&y| used[y as usize] = true);
    let mut numbers = vec![0_u32; classes];
    let mut next = 0;
    for (number, used) in numbers.iter_mut().zip(&used) {
        *number = next;
        next += u32::from(*used);
    }
    let mut is_used = used.iter();
    info.identities.retain(|_| is_used.next() == Some(&true));
    let mut writer = Writer::create(cx.output("dataset")?).map_err(failed)?;
    for (face, &label) in dataset.iter().zip(&new) {
        writer.push(FaceRef { identity: numbers[label as usize], ..face }).map_err(failed)?;
    }
    writer.finish(info).map_err(failed)?;
    let wrong = new.iter().zip(&labels).filter(|(a, b)| a != b).count();
    cx.note(format!("{wrong} of {} labels are wrong", labels.len()));
    cx.metric("wrong", wrong as f64);
    Ok(())
}
