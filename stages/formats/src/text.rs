//! Text files in common encodings.

use std::borrow::Cow;

use crate::DataError;

/// Decodes the text of a list: UTF-8 with or without a byte-order mark, or UTF-16 with one. Line ends (`\r\n`, `\r`) become `\n`;
/// byte-order marks at the start of lines, which concatenated files have, are removed.
///
/// # Errors
/// If the bytes are in another encoding: guessing it would silently give wrong names.
pub fn decode(bytes: &[u8]) -> Result<String, DataError> {
    let text: Cow<'_, str> = match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => return Err(other("UTF-32")),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?.into(),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?.into(),
        _ => String::from_utf8(bytes.to_vec())
            .map_err(|e| not_utf8(bytes, e.utf8_error().valid_up_to()))?
            .into(),
    };
    if text.contains('\0') {
        return Err(other("UTF-16 without a byte-order mark, or no text at all"));
    }
    let text = if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n").into() } else { text };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(text.replace("\n\u{feff}", "\n"))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, DataError> {
    let (units, []) = bytes.as_chunks::<2>() else {
        return Err(DataError::new("the text begins as UTF-16 does, but has an odd number of bytes"));
    };
    let units: Vec<u16> = units.iter().map(|u| unit(*u)).collect();
    String::from_utf16(&units).map_err(|_| DataError::new("the text begins as UTF-16 does, but is none"))
}

fn other(found: &str) -> DataError {
    DataError::new(format!("expected text in UTF-8, found {found}; save the file as UTF-8"))
}

fn not_utf8(bytes: &[u8], at: usize) -> DataError {
    let line = bytes[..at].iter().filter(|b| **b == b'\n').count();
    let text = bytes.split(|b| *b == b'\n').nth(line).unwrap_or_default();
    let shown = crate::landmarks::shorten(text.escape_ascii().to_string().trim_end_matches("\\r"));
    DataError::new(format!(
        "line {}: expected text in UTF-8, found `{shown}`; save the file as UTF-8",
        line + 1
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        let unit = |u: u16| if big { u.to_be_bytes() } else { u.to_le_bytes() };
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(unit).collect()
    }

    #[test]
    fn another_encoding_is_refused_with_its_line() {
        let says = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
        assert!(
            says(b"a.jpg 1\nJos\xe9/b.jpg 2\r\n")
                .contains(r"line 2: expected text in UTF-8, found `Jos\xe9/b.jpg 2`")
        );
        assert!(says(b"a\0.\0j\0p\0g\0").contains("UTF-16 without"));
        assert!(says(b"\xff\xfe\0\0a\0\0\0").contains("UTF-32"));
        assert!(says(b"\xff\xfea").contains("odd number"));
    }

    #[test]
    fn marks_in_the_middle_of_joined_files_are_no_part_of_names() {
        assert_eq!(decode("\u{feff}a\r\n\u{feff}b\rc".as_bytes()).unwrap(), "a\nb\nc");
    }

    proptest! {
        #[test]
        fn a_text_is_the_same_in_every_encoding(text in "[a-zé한𝄞 \n]{0,40}") {
            let marked = ["\u{feff}".as_bytes(), text.as_bytes()].concat();
            let windows = text.replace('\n', "\r\n");
            for bytes in [text.clone().into_bytes(), marked, windows.into_bytes(), utf16(&text, true), utf16(&text, false)] {
                prop_assert_eq!(&decode(&bytes).unwrap(), &text);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&bytes);
        }
    }
}
