//! Huffman decoding of a baseline file: tables that decode a coefficient with one lookup, and the bit reader.

/// The number of bits per lookup.
const LOOK: u32 = 10;
/// The number of bits per lookup when skipping several coefficients.
const LONG_LOOK: u32 = 11;
/// In an entry of [`Table::skip`]: the block ends after the skipped coefficients.
const END: u32 = 1 << 16;

/// The row-major index of each coefficient in zig-zag order.
pub(super) const NATURAL: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// One Huffman code.
pub(super) struct Table {
    /// By the next bits: the number of bits to drop (0 if the code is longer than a lookup), the run of
    /// zeros, the number of value bits still to be read, and the value if the lookup contained it; 8, 4, 4
    /// and 16 bits from the lowest.
    fast: Box<[u32; 1 << LOOK]>,
    /// By the next bits: the number of bits of complete coefficients, the number of coefficients that these
    /// skip (8 bits each), and [`END`].
    skip: Box<[u32; 1 << LONG_LOOK]>,
    /// For each length, the first longer code, padded with zeros to 16 bits.
    ends: [u32; 17],
    /// For each length, the offset from a code to its index in `symbols`.
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

impl Table {
    /// Builds the table from the number of codes of each length and their symbols; none if they are not a
    /// valid code.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            fast: Box::new([0; 1 << LOOK]),
            skip: Box::new([0; 1 << LONG_LOOK]),
            ends: [0; 17],
            offsets: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut number) = (0_u32, 0_usize);
        for length in 1..=16_u32 {
            table.offsets[length as usize] = number as i32 - code as i32;
            for _ in 0..counts[length as usize - 1] {
                let symbol = *symbols.get(number)?;
                if code >= 1 << length {
                    return None;
                }
                if length <= LOOK {
                    table.enter(code, length, symbol);
                }
                (code, number) = (code + 1, number + 1);
            }
            table.ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        table.skip = Box::new(std::array::from_fn(|at| table.several(at as u32)));
        (number == symbols.len()).then_some(table)
    }

    /// Fills in all lookups that start with this code.
    fn enter(&mut self, code: u32, length: u32, symbol: u8) {
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        let free = LOOK - length;
        for rest in 0..1_u32 << free {
            self.fast[(code << free | rest) as usize] = if size > 0 && size <= free {
                let value = extended(rest >> (free - size), size);
                (value as u32) << 16 | run << 8 | (length + size)
            } else {
                size << 12 | run << 8 | length
            };
        }
    }

    /// The entry of [`Table::skip`] for these bits.
    fn several(&self, bits: u32) -> u32 {
        let (mut used, mut further) = (0, 0);
        loop {
            let entry = self.fast[(bits << used & ((1 << LONG_LOOK) - 1)) as usize >> (LONG_LOOK - LOOK)];
            let (run, size) = (entry >> 8 & 15, entry >> 12 & 15);
            let length = (entry & 255) + size;
            if entry == 0 || used + length > LONG_LOOK {
                return further << 8 | used;
            }
            used += length;
            if size == 0 && entry >> 16 == 0 && run < 15 {
                return END | further << 8 | used;
            }
            further += run + 1;
        }
    }

    /// The length and symbol of a code that is longer than a lookup.
    #[inline(never)]
    fn long(&self, window: u64) -> Option<(u32, u8)> {
        let next = (window >> 48) as u32;
        let length = (LOOK + 1..=16).find(|&l| next < self.ends[l as usize])?;
        let number = (next >> (16 - length)) as i32 + self.offsets[length as usize];
        Some((length, *self.symbols.get(usize::try_from(number).ok()?)?))
    }
}

/// Sign-extends the bits of a value: the lower half of the range encodes negative values.
#[inline(always)]
fn extended(bits: u32, size: u32) -> i32 {
    let negative = bits >> (size - 1) == 0;
    bits as i32 - if negative { (1 << size) - 1 } else { 0 }
}

/// A bit reader over the data of a scan without stuffed zeros.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The offset of the next byte to read.
    at: usize,
    /// The bits read ahead, from the top.
    window: u64,
    /// The number of bits read ahead.
    held: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, window: 0, held: 0 }
    }

    /// The number of bits consumed, from the start of the data.
    pub(super) fn used(&self) -> usize {
        self.at * 8 - self.held as usize
    }

    /// Reads ahead to at least 32 bits; zeros follow the last byte.
    #[inline(always)]
    fn fill(&mut self) {
        if self.held < 32 {
            let next = match self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
                Some(eight) => u64::from_be_bytes(*eight),
                None => self.last(),
            };
            self.window |= next >> self.held;
            self.at += (63 - self.held as usize) >> 3;
            self.held |= 56;
        }
    }

    #[cold]
    fn last(&self) -> u64 {
        let mut eight = [0; 8];
        for (to, from) in eight.iter_mut().zip(self.bytes.get(self.at..).unwrap_or_default()) {
            *to = *from;
        }
        u64::from_be_bytes(eight)
    }

    #[inline(always)]
    fn drop(&mut self, bits: u32) {
        self.window <<= bits;
        self.held -= bits;
    }

    #[inline(always)]
    fn value(&mut self, size: u32) -> i32 {
        let bits = (self.window >> (64 - size)) as u32;
        self.drop(size);
        extended(bits, size)
    }

    /// The entry of [`Table::fast`] for the next code, whose bits are dropped.
    #[inline(always)]
    fn entry(&mut self, table: &Table) -> Option<u32> {
        self.fill();
        let mut entry = table.fast[(self.window >> (64 - LOOK)) as usize];
        if entry == 0 {
            let (length, symbol) = table.long(self.window)?;
            entry = u32::from(symbol & 15) << 12 | u32::from(symbol >> 4) << 8 | length;
        }
        self.drop(entry & 255);
        Some(entry)
    }

    /// The difference between the DC coefficients of this block and the previous one.
    #[inline(always)]
    fn difference(&mut self, table: &Table) -> Option<i32> {
        let entry = self.entry(table)?;
        // Symbols above 15 are not valid sizes.
        if entry & 0xf00 != 0 {
            return None;
        }
        let size = entry >> 12 & 15;
        Some(if size > 0 { self.value(size) } else { (entry as i32) >> 16 })
    }

    /// Reads the coefficients of a block into `out`, which must be zero: in natural order, multiplied by
    /// `quants` (in zig-zag order). `mean` is the DC coefficient of the previous block, and is updated to
    /// that of this one. Returns the number of coefficients in zig-zag order up to the last non-zero one.
    #[inline(always)]
    pub(super) fn block(
        &mut self,
        (means, rest): (&Table, &Table),
        quants: &[i32; 64],
        mean: &mut i32,
        out: &mut [i32; 64],
    ) -> Option<usize> {
        let mut bits = *self;
        *mean = mean.wrapping_add(bits.difference(means)?);
        out[0] = mean.wrapping_mul(quants[0]);
        let (mut at, mut reach) = (1, 1);
        while at < 64 {
            let entry = bits.entry(rest)?;
            let run = (entry >> 8 & 15) as usize;
            let size = entry >> 12 & 15;
            let mut value = (entry as i32) >> 16;
            if size > 0 {
                value = bits.value(size);
            } else if value == 0 {
                if run < 15 {
                    break;
                }
                at += 16;
                continue;
            }
            at += run;
            if at > 63 {
                return None;
            }
            out[usize::from(NATURAL[at] & 63)] = value.wrapping_mul(quants[at]);
            at += 1;
            reach = at;
        }
        *self = bits;
        Some(reach)
    }

    /// Skips a block.
    #[inline(always)]
    pub(super) fn skip(&mut self, (means, rest): (&Table, &Table), mean: &mut i32) -> Option<()> {
        let mut bits = *self;
        *mean = mean.wrapping_add(bits.difference(means)?);
        let mut at = 1;
        while at < 64 {
            bits.fill();
            let several = rest.skip[(bits.window >> (64 - LONG_LOOK)) as usize];
            let next = at + (several >> 8 & 255) as usize;
            // Bits after the last coefficient do not belong to the block.
            if several != 0 && next < 64 {
                bits.drop(several & 255);
                at = next;
                if several & END != 0 {
                    break;
                }
                continue;
            }
            let entry = bits.entry(rest)?;
            let (run, size) = ((entry >> 8 & 15) as usize, entry >> 12 & 15);
            bits.drop(size);
            at += run + 1;
            if size == 0 && entry >> 16 == 0 {
                if run < 15 {
                    break;
                }
            } else if at > 64 {
                return None;
            }
        }
        *self = bits;
        Some(())
    }
}
