//! Caffe's `Datum`: a Protocol Buffers message with an image and its label.
//!
//! Fields: 1 channels, 2 height, 3 width, 4 data, 5 label, 6 float data, 7 whether data is an encoded image. Some programs write a
//! message of another type with the encoded image as its only field of bytes, under any number.

use super::is_encoded;
use super::pixels::{Layout, png};
use crate::DataError;

/// The content of a record.
pub(super) struct Datum {
    pub(super) image: Vec<u8>,
    pub(super) label: Option<i64>,
}

/// Reads a record: an encoded image, or a `Datum`.
pub(super) fn read(bytes: &[u8]) -> Result<Datum, DataError> {
    if is_encoded(bytes) {
        return Ok(Datum { image: bytes.to_vec(), label: None });
    }
    let mut numbers = [None::<u64>; 8];
    let mut data: Option<(u64, &[u8])> = None;
    let mut message = Message { bytes, at: 0 };
    while message.at < bytes.len() {
        let (field, value) = message.field()?;
        match value {
            Field::Number(n) => {
                if let Some(place) = numbers.get_mut(field as usize) {
                    *place = Some(n);
                }
            }
            // The image is field 4, or in other message types the field that begins like an image.
            Field::Bytes(b) if field == 4 || is_encoded(b) => data = Some((field, b)),
            Field::Bytes(_) | Field::Other => {}
        }
    }
    let label = numbers[5].map(|n| i64::from(n as i32));
    let Some((_, data)) = data else {
        return Err(DataError::new(
            "expected an encoded image or a Datum with one, found a record with neither",
        ));
    };
    if is_encoded(data) {
        return Ok(Datum { image: data.to_vec(), label });
    }
    let side = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    // Caffe fills them from OpenCV: planar, blue first.
    let image = png(data, (side(numbers[3]), side(numbers[2])), side(numbers[1]), Layout::Planar, true)?;
    Ok(Datum { image, label })
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

struct Message<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Message<'a> {
    fn field(&mut self) -> Result<(u64, Field<'a>), DataError> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Field::Number(self.varint()?),
            1 => self.take(8).map(|_| Field::Other)?,
            2 => {
                let n = self.varint()?;
                Field::Bytes(self.take(n)?)
            }
            5 => self.take(4).map(|_| Field::Other)?,
            _ => return Err(no_datum()),
        };
        Ok((key >> 3, value))
    }

    fn varint(&mut self) -> Result<u64, DataError> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(no_datum())
    }

    fn take(&mut self, n: u64) -> Result<&'a [u8], DataError> {
        let end =
            usize::try_from(n).ok().and_then(|n| self.at.checked_add(n)).filter(|e| *e <= self.bytes.len());
        let end = end.ok_or_else(no_datum)?;
        let found = &self.bytes[self.at..end];
        self.at = end;
        Ok(found)
    }
}

fn no_datum() -> DataError {
    DataError::new("expected an encoded image or a Datum, found bytes that are neither, or are cut short")
}
