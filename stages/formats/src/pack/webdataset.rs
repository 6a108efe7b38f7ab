//! Tar files `shard-000000.tar`: for each face `key.jpg`, `key.cls` (its number) and `key.json` (identity, name, landmarks).

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::{Face, Pack, Set, cannot, digits, file_ending};
use crate::DataError;

struct WebDataset {
    folder: PathBuf,
    tar: Option<(PathBuf, tar::Builder<BufWriter<File>>)>,
    written: u64,
    shard: u64,
    shards: u64,
    images: u64,
    total: u64,
}

pub(super) fn begin(folder: &Path, set: &Set<'_>) -> Result<Box<dyn Pack>, DataError> {
    let total = set.counts.iter().sum();
    Ok(Box::new(WebDataset {
        folder: folder.to_owned(),
        tar: None,
        written: 0,
        shard: set.shard,
        shards: 0,
        images: 0,
        total,
    }))
}

impl WebDataset {
    fn close(&mut self) -> Result<(), DataError> {
        if let Some((path, tar)) = self.tar.take() {
            tar.into_inner().and_then(|mut file| file.flush()).map_err(|e| cannot(&path, e))?;
        }
        Ok(())
    }
}

impl Pack for WebDataset {
    fn face(&mut self, face: Face<'_>) -> Result<(), DataError> {
        if self.written >= self.shard {
            self.close()?;
        }
        let key = digits(self.images, self.total);
        self.images += 1;
        let (path, tar) = match &mut self.tar {
            Some(open) => open,
            none => {
                let path = self.folder.join(format!("shard-{:06}.tar", self.shards));
                let file =
                    BufWriter::with_capacity(1 << 20, File::create(&path).map_err(|e| cannot(&path, e))?);
                (self.shards, self.written) = (self.shards + 1, 0);
                none.insert((path, tar::Builder::new(file)))
            }
        };
        let points = face
            .points
            .map(|p| p.as_flattened().iter().map(|c| c.is_finite().then_some(*c)).collect::<Vec<_>>());
        let json = serde_json::json!({ "identity": face.identity, "label": face.class, "name": face.name, "landmarks": points });
        let mut put = |end: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("{key}.{end}"), bytes).map_err(|e| cannot(path, e))
        };
        put(file_ending(face.image), face.image)?;
        put("cls", face.class.to_string().as_bytes())?;
        put("json", json.to_string().as_bytes())?;
        self.written += face.image.len() as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), DataError> {
        self.close()
    }
}
