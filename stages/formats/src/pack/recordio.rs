//! `train.rec`, `train.idx`, `property`: the header first, the images sorted by identity, a record for each identity. See
//! [`crate::container::recordio`] for the byte format.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::{Face, Pack, Set, cannot};
use crate::DataError;
use crate::container::recordio::{LONGEST, MARK};

struct RecordIo {
    path: PathBuf,
    rec: BufWriter<File>,
    at: u64,
    idx: String,
    images: u64,
    counts: Vec<u64>,
    property: String,
    last: u32,
}

pub(super) fn begin(folder: &Path, set: &Set<'_>) -> Result<Box<dyn Pack>, DataError> {
    let images: u64 = set.counts.iter().sum();
    let (end, classes) = (images + 1, set.counts.len() as u64);
    // Keys and classes are stored in the records as float32.
    if end + classes > 1 << 24 {
        return Err(DataError::new(format!(
            "{images} images of {classes} identities do not fit this container: its numbers are exact up to {}; take `webdataset` or \
             `parquet`",
            1 << 24
        )));
    }
    let Some((width, height)) = set.side else {
        return Err(DataError::new(
            "this container says one size for all its images, but they have several; align them, or take `webdataset` or `parquet`",
        ));
    };
    let path = folder.join("train.rec");
    let rec = BufWriter::with_capacity(1 << 20, File::create(&path).map_err(|e| cannot(&path, e))?);
    let property = format!("{classes},{height},{width}\n");
    let counts = set.counts.to_vec();
    let mut own = RecordIo { path, rec, at: 0, idx: String::new(), images: 0, counts, property, last: 0 };
    own.record(0, &[end as f32, (end + classes) as f32], &[])?;
    Ok(Box::new(own))
}

impl RecordIo {
    fn record(&mut self, key: u64, labels: &[f32], image: &[u8]) -> Result<(), DataError> {
        let mut payload = (labels.len() as u32).to_le_bytes().to_vec();
        payload.extend([0; 4]);
        payload.extend(key.to_le_bytes());
        payload.extend([0; 8]);
        payload.extend(labels.iter().flat_map(|l| l.to_le_bytes()));
        payload.extend(image);
        let _ = writeln!(self.idx, "{key}\t{}", self.at);
        for chunk in chunks(&payload) {
            self.rec.write_all(&chunk).map_err(|e| cannot(&self.path, e))?;
            self.at += chunk.len() as u64;
        }
        Ok(())
    }
}

/// Splits a record into chunks wherever the magic number occurs at a multiple of 4, and removes it.
fn chunks(payload: &[u8]) -> Vec<Vec<u8>> {
    let mark = MARK.to_le_bytes();
    let at = (0..payload.len() / 4).map(|k| k * 4).filter(|k| payload[*k..*k + 4] == mark);
    let (mut parts, mut from) = (Vec::new(), 0);
    for k in at {
        parts.push(&payload[from..k]);
        from = k + 4;
    }
    parts.push(&payload[from..]);
    let count = parts.len();
    let chunk = |(k, part): (usize, &[u8])| {
        let which: u32 = match k {
            _ if count == 1 => 0,
            0 => 1,
            k if k + 1 == count => 3,
            _ => 2,
        };
        let mut out = mark.to_vec();
        out.extend((which << 29 | part.len() as u32).to_le_bytes());
        out.extend(part);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    };
    parts.into_iter().enumerate().map(chunk).collect()
}

impl Pack for RecordIo {
    fn face(&mut self, face: Face<'_>) -> Result<(), DataError> {
        if face.image.len() as u64 + 64 > u64::from(LONGEST) {
            return Err(DataError::new(format!(
                "`{}` has {} bytes, more than a record can hold",
                face.name,
                face.image.len()
            )));
        }
        if face.class < self.last {
            return Err(DataError::new("faces must come sorted by identity"));
        }
        self.last = face.class;
        self.images += 1;
        self.record(self.images, &[face.class as f32, 1.0], face.image)
    }

    fn finish(mut self: Box<Self>) -> Result<(), DataError> {
        let (mut key, mut first) = (self.images + 1, 1);
        for count in std::mem::take(&mut self.counts) {
            self.record(key, &[first as f32, (first + count) as f32], &[])?;
            (key, first) = (key + 1, first + count);
        }
        self.rec.flush().map_err(|e| cannot(&self.path, e))?;
        for (name, text) in [("train.idx", &self.idx), ("property", &self.property)] {
            let path = self.path.with_file_name(name);
            std::fs::write(&path, text).map_err(|e| cannot(&path, e))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Golden bytes of the original library (version 1.9.1).
    #[test]
    fn a_record_is_parted_as_the_original_library_parts_it() {
        let mark = MARK.to_le_bytes();
        let hex = |c: &[u8]| c.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(chunks(b"abc").iter().map(|c| hex(c)).collect::<String>(), "0a23d7ce0300000061626300");
        let text = [b"AAAA", &mark[..], b"BBBB", &mark, &mark, b"z"].concat();
        assert_eq!(
            chunks(&text).iter().map(|c| hex(c)).collect::<String>(),
            "0a23d7ce04000020414141410a23d7ce04000040424242420a23d7ce000000400a23d7ce010000607a000000"
        );
        // At any other offset it is ordinary data.
        assert_eq!(chunks(&[b"A", &mark[..], b"BBB"].concat()).len(), 1);
    }
}
