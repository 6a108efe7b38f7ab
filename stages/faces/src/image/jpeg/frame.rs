//! The headers of common baseline files: one scan, with luma only or luma and two chroma components.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use super::huffman::Table;

/// A component of the file.
pub(super) struct Component {
    /// Blocks per MCU, horizontally and vertically.
    pub(super) blocks: (usize, usize),
    /// Quantisers in zig-zag order.
    pub(super) quants: [i32; 64],
    pub(super) means: Rc<Table>,
    pub(super) rest: Rc<Table>,
}

/// The headers and data of a file.
pub(super) struct Frame<'a> {
    pub(super) width: usize,
    pub(super) height: usize,
    /// One (luma), or three of which the last two have one block per MCU.
    pub(super) components: Vec<Component>,
    /// MCUs between two restarts; 0 for no restarts.
    pub(super) restart: usize,
    /// The data of the scan, still byte-stuffed.
    pub(super) data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads the segments of a file (each starting at its marker, the scan including its data); none for
    /// other kinds of files.
    pub(super) fn read(bytes: &'a [u8], segments: &[Range<usize>]) -> Option<Self> {
        let (end, before) = segments.split_last()?;
        let (scan, headers) = before.split_last()?;
        if !bytes[end.clone()].starts_with(&[0xff, 0xd9]) {
            return None;
        }
        let mut quants: [Option<[i32; 64]>; 4] = [None; 4];
        let mut tables: [[Option<Rc<Table>>; 4]; 2] = Default::default();
        let (mut frame, mut restart) = (None, 0);
        // The first segment is the start marker alone.
        for segment in headers.get(1..)? {
            let segment = &bytes[segment.clone()];
            let content = segment.get(4..)?;
            match segment[1] {
                0xdb => read_quants(content, &mut quants)?,
                0xc4 => read_tables(content, &mut tables)?,
                0xc0 | 0xc1 if frame.is_none() => frame = Some(content),
                0xdd => restart = usize::from(u16::from_be_bytes(*content.first_chunk()?)),
                // A colour space other than that of JFIF.
                0xee if content.starts_with(b"Adobe") && content.get(11) != Some(&1) => return None,
                0xe0..=0xef => {}
                _ => return None,
            }
        }
        let frame = frame?;
        let (&[8, h1, h0, w1, w0, n], parts) = frame.split_first_chunk()? else { return None };
        let (width, height) =
            (usize::from(u16::from_be_bytes([w1, w0])), usize::from(u16::from_be_bytes([h1, h0])));
        let parts = parts.as_chunks::<3>().0.get(..usize::from(n))?;
        let scan = &bytes[scan.clone()];
        let length = usize::from(u16::from_be_bytes(*scan.get(2..)?.first_chunk()?));
        let (head, data) = scan.get(4..)?.split_at_checked(length.checked_sub(2)?)?;
        if scan[1] != 0xda || head.first() != Some(&n) || !head.ends_with(&[0, 63, 0]) {
            return None;
        }
        let own = head.get(1..1 + 2 * usize::from(n))?.as_chunks::<2>().0;
        if head.len() != 4 + 2 * usize::from(n) || width == 0 || height == 0 {
            return None;
        }
        let ids: Vec<u8> = parts.iter().map(|p| p[0]).collect();
        let blocks: Vec<(u8, u8)> = parts.iter().map(|p| (p[1] >> 4, p[1] & 15)).collect();
        match (ids.as_slice(), blocks.as_slice()) {
            (_, [(1, 1)]) | ([1, 2, 3] | [0, 1, 2], [(1 | 2, 1 | 2), (1, 1), (1, 1)]) => {}
            _ => return None,
        }
        let components = parts.iter().zip(own).zip(blocks).map(|((part, own), blocks)| {
            let table =
                |class: usize, id: u8| tables[class].get(usize::from(id)).and_then(Option::as_ref).cloned();
            Some(Component {
                blocks: (usize::from(blocks.0), usize::from(blocks.1)),
                quants: (own[0] == part[0]).then_some((*quants.get(usize::from(part[2]))?)?)?,
                means: table(0, own[1] >> 4)?,
                rest: table(1, own[1] & 15)?,
            })
        });
        Some(Self { width, height, components: components.collect::<Option<_>>()?, restart, data })
    }

    /// The size of an MCU in pixels.
    pub(super) fn unit(&self) -> (usize, usize) {
        let (across, down) = self.components[0].blocks;
        (8 * across, 8 * down)
    }
}

fn read_quants(mut content: &[u8], quants: &mut [Option<[i32; 64]>; 4]) -> Option<()> {
    while let Some((&head, rest)) = content.split_first() {
        let wide = match head >> 4 {
            0 => 1,
            1 => 2,
            _ => return None,
        };
        let (values, behind) = rest.split_at_checked(64 * wide)?;
        let mut table = [0; 64];
        for (to, from) in table.iter_mut().zip(values.chunks_exact(wide)) {
            *to = from.iter().fold(0, |sum, b| sum << 8 | i32::from(*b));
        }
        *quants.get_mut(usize::from(head & 15))? = Some(table);
        content = behind;
    }
    Some(())
}

fn read_tables(mut content: &[u8], tables: &mut [[Option<Rc<Table>>; 4]; 2]) -> Option<()> {
    while let Some((&head, rest)) = content.split_first() {
        let definition = rest;
        let (counts, rest) = rest.split_first_chunk::<16>()?;
        let n: usize = counts.iter().map(|c| usize::from(*c)).sum();
        let (symbols, behind) = rest.split_at_checked(n)?;
        // For DC tables, the symbols are the sizes of the differences.
        if head >> 4 == 0 && symbols.iter().any(|s| *s > 15) {
            return None;
        }
        let place = tables.get_mut(usize::from(head >> 4))?.get_mut(usize::from(head & 15))?;
        *place = Some(table(&definition[..16 + n])?);
        content = behind;
    }
    Some(())
}

/// The number of cached tables.
const KEPT: usize = 8;

thread_local! {
    /// The most recent tables, by counts and symbols: most files share the same ones.
    static TABLES: RefCell<Vec<(Vec<u8>, Rc<Table>)>> = const { RefCell::new(Vec::new()) };
}

/// The table for these counts and symbols; none if they are not a valid code.
fn table(definition: &[u8]) -> Option<Rc<Table>> {
    TABLES.with_borrow_mut(|tables| {
        if let Some((_, table)) = tables.iter().find(|(of, _)| of == definition) {
            return Some(table.clone());
        }
        let (counts, symbols) = definition.split_first_chunk()?;
        let table = Rc::new(Table::new(counts, symbols)?);
        if tables.len() == KEPT {
            tables.remove(0);
        }
        tables.push((definition.to_vec(), table.clone()));
        Some(table)
    })
}

/// The data of a scan without stuffed zeros and restart markers, and the end of each part between restarts;
/// none if it contains anything else.
pub(super) fn unstuffed(data: &[u8]) -> Option<(Vec<u8>, Vec<usize>)> {
    let mut out = Vec::with_capacity(data.len() + 8);
    let mut ends = Vec::new();
    let mut rest = data;
    while let Some(at) = memchr::memchr(0xff, rest) {
        match rest.get(at + 1) {
            Some(0) => out.extend_from_slice(&rest[..=at]),
            Some(code @ 0xd0..=0xd7) if usize::from(code & 7) == ends.len() % 8 => {
                out.extend_from_slice(&rest[..at]);
                ends.push(out.len());
            }
            _ => return None,
        }
        rest = &rest[at + 2..];
    }
    out.extend_from_slice(rest);
    ends.push(out.len());
    Some((out, ends))
}
