//! NumPy's files.

use std::io::Read as _;
use std::path::Path;

use super::names::{self, Name};
use super::source::{Bytes, Layout, Number, Source};
use super::{Part, form};
use crate::DataError;
use crate::container::npz::{self, Header};

/// The layout of an `.npy` file.
pub fn npy(bytes: &[u8]) -> Result<Layout, DataError> {
    let mut rest = bytes;
    let header = npz::header(&mut rest).map_err(|e| form(e.message()))?;
    layout(&header, bytes.len() - rest.len())
}

/// The layout of an array that begins at `start`.
fn layout(header: &Header, start: usize) -> Result<Layout, DataError> {
    let number = number(header).ok_or_else(|| form(&format!("numbers of type {}", header.dtype)))?;
    let &[rows, width] = header.shape.as_slice() else {
        return Err(form(&format!("an array of shape {:?}", header.shape)));
    };
    let mut layout = Layout::plain(start, rows, width, number);
    layout.big = header.dtype.starts_with('>');
    if header.fortran {
        (layout.row, layout.column) = (number.size(), rows.saturating_mul(number.size()));
    }
    Ok(layout)
}

fn number(header: &Header) -> Option<Number> {
    match header.dtype.trim_start_matches(['<', '>', '=', '|']) {
        "f2" => Some(Number::F16),
        "f4" => Some(Number::F32),
        "f8" => Some(Number::F64),
        _ => None,
    }
}

/// The embeddings of an `.npz` archive: the array of that name, or the only matrix; none if there are no mirror images. Names and
/// persons are one-dimensional arrays of texts.
pub fn npz(path: &Path, part: Part) -> Result<Option<Source>, DataError> {
    let all = npz::arrays(path)?;
    let there =
        || all.iter().map(|(n, h)| format!("`{n}` {} {:?}", h.dtype, h.shape)).collect::<Vec<_>>().join(", ");
    let mut matrices =
        all.iter().filter(|(name, h)| h.shape.len() == 2 && number(h).is_some() && name != "flipped");
    let named = all.iter().find(|(name, _)| name == part.name());
    let (name, header) = match (part, named, matrices.next(), matrices.next()) {
        (_, Some(found), ..) | (Part::Plain, None, Some(found), None) => found,
        (Part::Plain, ..) => {
            return Err(form(&format!(
                "no array is called `embeddings`, and there is not one matrix: {}",
                there()
            )));
        }
        (Part::Flipped, ..) => return Ok(None),
    };
    let rows = header.shape.first().copied().unwrap_or_default();
    let layout = layout(header, 0).map_err(|e| e.within(name))?;
    let size = header.bytes()?;
    let bytes = npz::with(path, &npz::entry(name), |from| {
        npz::header(from)?;
        let mut bytes = Vec::new();
        from.take(size as u64)
            .read_to_end(&mut bytes)
            .map_err(|e| DataError::new(format!("it is damaged: {e}")))?;
        Ok(bytes)
    })
    .map_err(|e| e.within(name))?;
    let texts = |wanted: &[&str]| -> Result<Option<Vec<String>>, DataError> {
        let is_list = |h: &Header| {
            h.shape == [rows] && h.dtype.trim_start_matches(['<', '>', '|']).starts_with(['U', 'S'])
        };
        let found =
            wanted.iter().find_map(|w| all.iter().find(|(n, h)| n.eq_ignore_ascii_case(w) && is_list(h)));
        found.map(|(n, _)| npz::with(path, &npz::entry(n), npz::texts).map_err(|e| e.within(n))).transpose()
    };
    let persons = texts(&names::PERSONS)?;
    let names = texts(&names::IMAGES)?.map(|images| Name::all(images, persons));
    Source::new(Bytes::Held(bytes), layout, names).map(Some)
}
