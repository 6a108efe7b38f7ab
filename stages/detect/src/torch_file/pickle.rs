//! A reader of Python pickles of protocol 2, limited to what PyTorch's state dicts need. It executes no code.
//! Values are stored in one list and refer to each other by index, so that the memory is proportional to the length of the pickle,
//! and nesting needs no recursion.

use std::collections::BTreeMap;

/// The index of a value.
pub(super) type Id = usize;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Nothing,
    Bool(bool),
    Int(i64),
    /// An integer of more than eight bytes, little-endian.
    Long(Vec<u8>),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Known(Known),
    /// Elements that are stored elsewhere in the file.
    Storage {
        key: Id,
        count: Id,
    },
    Tensor {
        storage: Id,
        offset: Id,
        shape: Id,
        strides: Id,
    },
}

/// The Python names that a state dict may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Known {
    OrderedDict,
    Tensor,
    Parameter,
    Floats,
}

const KNOWN: [(&str, &str, Known); 4] = [
    ("collections", "OrderedDict", Known::OrderedDict),
    ("torch._utils", "_rebuild_tensor_v2", Known::Tensor),
    ("torch._utils", "_rebuild_parameter", Known::Parameter),
    ("torch", "FloatStorage", Known::Floats),
];

/// The content of a pickle.
#[derive(Debug)]
pub(super) struct Pickle {
    items: Vec<Item>,
    root: Id,
    /// Its length in bytes.
    pub(super) length: usize,
}

type Read<T> = Result<T, String>;

impl Pickle {
    /// Reads the pickle at the start of a byte string.
    pub(super) fn read(bytes: &[u8]) -> Read<Self> {
        let mut machine = Machine {
            bytes,
            at: 0,
            items: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: BTreeMap::new(),
        };
        loop {
            let at = machine.at;
            if let Some(root) = machine.step().map_err(|e| format!("{e} (byte {at} of a pickle)"))? {
                return Ok(Self { items: machine.items, root, length: machine.at });
            }
        }
    }

    /// The value at an index.
    pub(super) fn get(&self, id: Id) -> &Item {
        self.items.get(id).unwrap_or(&Item::Nothing)
    }

    /// The value that the pickle represents.
    pub(super) fn root(&self) -> &Item {
        self.get(self.root)
    }

    /// A tuple of sizes.
    pub(super) fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let Item::Tuple(parts) = self.get(id) else { return None };
        parts.iter().map(|part| self.size(*part)).collect()
    }

    /// A non-negative integer.
    pub(super) fn size(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Item::Int(n) => usize::try_from(*n).ok(),
            _ => None,
        }
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    items: Vec<Item>,
    stack: Vec<Id>,
    /// The height of the stack at each mark.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
}

impl<'a> Machine<'a> {
    /// Executes one instruction; returns the root at the last one.
    fn step(&mut self) -> Read<Option<Id>> {
        match self.byte()? {
            0x80 => match self.byte()? {
                2 => {}
                version => return Err(format!("protocol {version} was found, 2 was expected")),
            },
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.push(Item::Nothing),
            0x88 => self.push(Item::Bool(true)),
            0x89 => self.push(Item::Bool(false)),
            b'K' => {
                let n = self.byte()?;
                self.push(Item::Int(n.into()));
            }
            b'M' => {
                let n = u16::from_le_bytes(self.array()?);
                self.push(Item::Int(n.into()));
            }
            b'J' => {
                let n = i32::from_le_bytes(self.array()?);
                self.push(Item::Int(n.into()));
            }
            0x8a => {
                let length = self.byte()?;
                let digits = self.take(length.into())?;
                self.push(integer(digits));
            }
            b'X' => {
                let length = u32::from_le_bytes(self.array()?);
                let text = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
                let text = std::str::from_utf8(text).map_err(|_| "a text is not UTF-8".to_owned())?;
                self.push(Item::Text(text.to_owned()));
            }
            b'}' => self.push(Item::Dict(Vec::new())),
            b']' => self.push(Item::List(Vec::new())),
            b')' => self.push(Item::Tuple(Vec::new())),
            b't' => {
                let parts = self.since_mark()?;
                self.push(Item::Tuple(parts));
            }
            n @ 0x85..=0x87 => {
                let count = usize::from(n - 0x84);
                let from = self.stack.len().checked_sub(count).filter(|f| *f >= self.floor()).ok_or(EMPTY)?;
                let parts = self.stack.split_off(from);
                self.push(Item::Tuple(parts));
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let pairs = self.since_mark()?;
                self.set(&pairs)?;
            }
            b'q' => {
                let place = self.byte()?;
                self.remember(place.into())?;
            }
            b'r' => {
                let place = u32::from_le_bytes(self.array()?);
                self.remember(place)?;
            }
            b'h' => {
                let place = self.byte()?;
                self.recall(place.into())?;
            }
            b'j' => {
                let place = u32::from_le_bytes(self.array()?);
                self.recall(place)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                let known = KNOWN.iter().find(|k| (k.0, k.1) == (module, name));
                let known = known.ok_or_else(|| {
                    format!("it asks for `{module}.{name}`, which tensors of float32 do not need")
                })?;
                self.push(Item::Known(known.2));
            }
            b'R' => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                let made = self.made(callee, arguments)?;
                self.push(made);
            }
            // The state of an object beside its items: versions of layers, which do not affect elements.
            b'b' => {
                self.pop()?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(id).ok_or("a storage is described in an unknown way")?;
                self.push(storage);
            }
            other => return Err(format!("instruction 0x{other:02x} has no place in a state dict")),
        }
        Ok(None)
    }

    /// The result of a call.
    fn made(&self, callee: Id, arguments: Id) -> Read<Item> {
        let Some(Item::Tuple(arguments)) = self.items.get(arguments) else {
            return Err("a call has no arguments".to_owned());
        };
        match (self.items.get(callee), arguments.as_slice()) {
            (Some(Item::Known(Known::OrderedDict)), []) => Ok(Item::Dict(Vec::new())),
            (Some(Item::Known(Known::Tensor)), [storage, offset, shape, strides, ..]) => {
                Ok(Item::Tensor { storage: *storage, offset: *offset, shape: *shape, strides: *strides })
            }
            (Some(Item::Known(Known::Parameter)), [tensor, ..]) => match self.items.get(*tensor) {
                Some(tensor @ Item::Tensor { .. }) => Ok(tensor.clone()),
                _ => Err("a parameter is no tensor".to_owned()),
            },
            _ => Err("it calls what cannot be called".to_owned()),
        }
    }

    /// `("storage", torch.FloatStorage, key, location, count)`, followed by `None` in the older form.
    fn storage(&self, id: Id) -> Option<Item> {
        let Item::Tuple(parts) = self.items.get(id)? else { return None };
        let [word, kind, key, _, count, rest @ ..] = parts.as_slice() else { return None };
        let fits = matches!(self.items.get(*word)?, Item::Text(word) if word == "storage")
            && matches!(self.items.get(*kind)?, Item::Known(Known::Floats))
            && rest.iter().all(|part| matches!(self.items.get(*part), Some(Item::Nothing)));
        fits.then_some(Item::Storage { key: *key, count: *count })
    }

    fn push(&mut self, item: Item) {
        self.stack.push(self.items.len());
        self.items.push(item);
    }

    /// The height of the stack at the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Read<Id> {
        if self.stack.len() <= self.floor() {
            return Err(EMPTY.to_owned());
        }
        self.stack.pop().ok_or_else(|| EMPTY.to_owned())
    }

    fn since_mark(&mut self) -> Read<Vec<Id>> {
        let mark = self.marks.pop().ok_or("a mark is missing")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn top(&self) -> Read<Id> {
        self.stack.last().copied().filter(|_| self.stack.len() > self.floor()).ok_or_else(|| EMPTY.to_owned())
    }

    fn append(&mut self, new: Vec<Id>) -> Read<()> {
        let top = self.top()?;
        match self.items.get_mut(top) {
            Some(Item::List(list)) => list.extend(new),
            _ => return Err("something is appended to what is no list".to_owned()),
        }
        Ok(())
    }

    fn set(&mut self, new: &[Id]) -> Read<()> {
        let top = self.top()?;
        match self.items.get_mut(top) {
            Some(Item::Dict(dict)) if new.len().is_multiple_of(2) => {
                dict.extend(new.chunks_exact(2).map(|pair| (pair[0], pair[1])));
            }
            _ => return Err("an item is set where there is no dictionary".to_owned()),
        }
        Ok(())
    }

    fn remember(&mut self, place: u32) -> Read<()> {
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Read<()> {
        let id = self.memo.get(&place).ok_or("it uses a value that it never kept")?;
        self.stack.push(*id);
        Ok(())
    }

    fn byte(&mut self) -> Read<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        self.take(N)?.first_chunk().copied().ok_or_else(|| ENDS.to_owned())
    }

    fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..count)).ok_or(ENDS)?;
        self.at += count;
        Ok(taken)
    }

    fn line(&mut self) -> Read<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().take(256).position(|b| *b == b'\n').ok_or("a name has no end")?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|_| "a name is not UTF-8".to_owned())
    }
}

const ENDS: &str = "it ends too early";
const EMPTY: &str = "its stack is empty";

/// Parses a two's complement integer.
fn integer(digits: &[u8]) -> Item {
    if digits.len() > 8 {
        return Item::Long(digits.to_vec());
    }
    let fill = if digits.last().is_some_and(|d| d & 0x80 != 0) { 0xff } else { 0 };
    let mut bytes = [fill; 8];
    bytes[..digits.len()].copy_from_slice(digits);
    Item::Int(i64::from_le_bytes(bytes))
}
