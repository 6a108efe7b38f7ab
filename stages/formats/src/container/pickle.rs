//! Reads pickles without executing code.
//!
//! Supports protocols 2 to 5, and only these values: tuples, lists, bytes, texts, numbers, booleans, and NumPy's arrays and
//! scalars. A pickle is a program for a stack machine. Its calls are never executed: the calls that NumPy and Python 3 use for
//! arrays and bytes are recognised by name and read as data; any other name is an error.
//!
//! Memory: values refer to the bytes of the file and to each other by number, so that a value that is used a million times costs a
//! million numbers, not a million copies.

use crate::DataError;

/// The number of a value in a [`Pickle`].
pub type Id = u32;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer that fits in 64 bits.
    Int(i64),
    /// A number.
    Float(f64),
    /// Bytes of the file: start, end.
    Bytes(usize, usize),
    /// Bytes that were encoded as Latin-1 text.
    Owned(Vec<u8>),
    /// UTF-8 text of the file: start, end.
    Text(usize, usize),
    /// A list.
    List(Vec<Id>),
    /// A tuple.
    Tuple(Vec<Id>),
    /// An empty dict (NumPy writes them).
    Empty,
    /// A NumPy array.
    Array(Box<Array>),
    /// A callable name; `dtype` after its type is known.
    Name(Name),
}

/// A NumPy array or scalar.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Array {
    /// Its type: `|u1`, `|b1`, `<i8`.
    pub dtype: String,
    /// Its shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// The value with its bytes; none before they are known.
    pub data: Option<Id>,
    /// Whether the array is in column-major order.
    pub fortran: bool,
}

/// The supported names.
#[derive(Debug, Clone, PartialEq)]
pub enum Name {
    /// `numpy.core.multiarray._reconstruct`
    Reconstruct,
    /// `numpy.ndarray`
    NdArray,
    /// `numpy.core.multiarray.scalar`
    Scalar,
    /// `numpy.core.numeric._frombuffer`
    FromBuffer,
    /// `numpy.dtype`
    DtypeClass,
    /// A type, in NumPy's notation.
    Dtype(String),
    /// `_codecs.encode`
    Encode,
    /// `builtins.bytearray` or `bytes`
    ByteArray,
}

fn name(module: &str, name: &str) -> Option<Name> {
    Some(match (module, name) {
        ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Name::Reconstruct,
        ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Name::Scalar,
        ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Name::FromBuffer,
        ("numpy", "ndarray") => Name::NdArray,
        ("numpy", "dtype") => Name::DtypeClass,
        ("_codecs", "encode") => Name::Encode,
        ("builtins" | "__builtin__", "bytearray" | "bytes") => Name::ByteArray,
        _ => return None,
    })
}

/// A parsed pickle.
pub struct Pickle<'a> {
    bytes: &'a [u8],
    values: Vec<Value>,
    root: Id,
}

/// Parses a whole pickle.
///
/// # Errors
/// If it is damaged, truncated, of another protocol, or contains anything but plain data.
pub fn read(bytes: &[u8]) -> Result<Pickle<'_>, DataError> {
    let values = vec![Value::None, Value::Bool(false), Value::Bool(true)];
    let mut machine = Machine { bytes, at: 0, values, stack: Vec::new(), memo: Vec::new() };
    let root = machine.run().map_err(|e| e.within(format!("the pickle, byte {}", machine.at)))?;
    Ok(Pickle { bytes, values: machine.values, root })
}

impl Pickle<'_> {
    /// The pickled value.
    pub fn root(&self) -> &Value {
        self.get(self.root)
    }

    /// The value with a number.
    pub fn get(&self, id: Id) -> &Value {
        // Only this reader assigns numbers.
        &self.values[id as usize]
    }

    /// The content of a bytes value, or of an array of uint8.
    pub fn bytes<'b>(&'b self, value: &'b Value) -> Option<&'b [u8]> {
        bytes(self.bytes, &self.values, value)
    }

    /// A boolean, an integer that is 0 or 1, or a NumPy scalar of these.
    pub fn truth(&self, value: &Value) -> Option<bool> {
        match value {
            Value::Bool(b) => Some(*b),
            Value::Int(n @ 0..=1) => Some(*n == 1),
            Value::Array(a) if a.shape.is_empty() => match self.numbers(a)?.as_slice() {
                [n @ 0..=1] => Some(*n == 1),
                _ => None,
            },
            _ => None,
        }
    }

    /// The elements of a one-dimensional array of booleans or integers, or of a scalar.
    pub fn numbers(&self, array: &Array) -> Option<Vec<i64>> {
        let data = bytes(self.bytes, &self.values, self.get(array.data?))?;
        let letters = array.dtype.trim_start_matches(['|', '<', '=']);
        let wide = match letters {
            "b1" | "u1" | "i1" => 1,
            "i2" | "u2" => 2,
            "i4" | "u4" => 4,
            "i8" | "u8" => 8,
            _ => return None,
        };
        let count = array.shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d))?;
        if array.shape.len() > 1 || data.len() != count.checked_mul(wide)? {
            return None;
        }
        let signed = letters.starts_with('i');
        Some(data.chunks_exact(wide).map(|c| integer(c, signed)).collect())
    }

    /// A description of a value, for messages.
    pub fn what(&self, value: &Value) -> String {
        match value {
            Value::None => "None".to_owned(),
            Value::Bool(b) => if *b { "True" } else { "False" }.to_owned(),
            Value::Int(n) => format!("the number {n}"),
            Value::Float(x) => format!("the number {x}"),
            Value::Bytes(from, to) => format!("{} bytes", to - from),
            Value::Owned(b) => format!("{} bytes", b.len()),
            Value::Text(from, to) => format!("a text of {} bytes", to - from),
            Value::List(of) => format!("a list of {}", of.len()),
            Value::Tuple(of) => format!("a tuple of {}", of.len()),
            Value::Empty => "an empty dict".to_owned(),
            Value::Array(a) => format!("an array of {} {:?}", a.dtype, a.shape),
            Value::Name(n) => format!("{n:?}"),
        }
    }
}

fn integer(little: &[u8], signed: bool) -> i64 {
    let mut n = little.iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b));
    if signed && little.last().is_some_and(|b| *b >= 0x80) && little.len() < 8 {
        n |= u64::MAX << (8 * little.len());
    }
    n.cast_signed()
}

fn bytes<'a>(file: &'a [u8], values: &'a [Value], value: &'a Value) -> Option<&'a [u8]> {
    match value {
        Value::Bytes(from, to) => file.get(*from..*to),
        Value::Owned(bytes) => Some(bytes),
        Value::Array(a) if matches!(a.dtype.as_str(), "|u1" | "u1" | "|i1" | "|S1") => {
            match &values[a.data? as usize] {
                Value::Array(_) => None,
                inner => bytes(file, values, inner),
            }
        }
        _ => None,
    }
}

/// An entry of the stack.
#[derive(Clone, Copy, PartialEq)]
enum Slot {
    Mark,
    Of(Id),
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Slot>,
    memo: Vec<Option<Id>>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Id, DataError> {
        match self.take(1)? {
            [0x80] => {}
            _ => {
                return fail(
                    "it does not begin with a protocol; pickles of protocol 0 and 1 are not read: write it again with protocol 2 or later",
                );
            }
        }
        let protocol = self.byte()?;
        if !(2..=5).contains(&protocol) {
            return fail(format!("expected protocol 2 to 5, found {protocol}"));
        }
        loop {
            let code = self.byte()?;
            if code == b'.' {
                return self.pop();
            }
            self.step(code)?;
        }
    }

    fn step(&mut self, code: u8) -> Result<(), DataError> {
        match code {
            // The length of a frame is only a hint for reading ahead.
            0x95 => self.skip(8),
            b'(' => {
                self.stack.push(Slot::Mark);
                Ok(())
            }
            b'0' => self.pop().map(|_| ()),
            b'N' => self.constant(0),
            0x88 => self.constant(2),
            0x89 => self.constant(1),
            b'K' => self.number(1, false),
            b'M' => self.number(2, false),
            b'J' => self.number(4, true),
            0x8a => {
                let n = self.byte()?;
                self.long(n.into())
            }
            0x8b => {
                let n = self.length(4)?;
                self.long(n)
            }
            b'G' => {
                let b = self.take(8)?;
                let x = f64::from_be_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
                self.push(Value::Float(x))
            }
            // Bytes, and texts of Python 2, which are bytes.
            b'C' | b'U' => self.span(1, false),
            b'B' | b'T' => self.span(4, false),
            0x8e | 0x96 => self.span(8, false),
            0x8c => self.span(1, true),
            b'X' => self.span(4, true),
            0x8d => self.span(8, true),
            b']' => self.push(Value::List(Vec::new())),
            b')' => self.push(Value::Tuple(Vec::new())),
            b'}' => self.push(Value::Empty),
            b'l' => {
                let of = self.since_mark()?;
                self.push(Value::List(of))
            }
            b't' => {
                let of = self.since_mark()?;
                self.push(Value::Tuple(of))
            }
            0x85..=0x87 => self.tuple((code - 0x84).into()),
            b'a' => {
                let last = self.pop()?;
                self.append(vec![last])
            }
            b'e' => {
                let of = self.since_mark()?;
                self.append(of)
            }
            b'q' => {
                let n = self.byte()?;
                self.remember(n.into())
            }
            b'r' => {
                let n = self.length(4)?;
                self.remember(n)
            }
            0x94 => self.remember(self.memo.len()),
            b'h' => {
                let n = self.byte()?;
                self.recall(n.into())
            }
            b'j' => {
                let n = self.length(4)?;
                self.recall(n)
            }
            b'c' => {
                let (module, called) = (self.line()?, self.line()?);
                self.named(&module, &called)
            }
            0x93 => {
                let (called, module) = (self.pop()?, self.pop()?);
                let (module, called) = (self.text(module)?, self.text(called)?);
                self.named(&module, &called)
            }
            b'R' => self.call(),
            b'b' => self.build(),
            // A read-only buffer is treated like any other.
            0x98 => Ok(()),
            0x97 => fail("its bytes lie in a buffer outside of the file"),
            other => fail(format!(
                "instruction 0x{other:02x} is none that plain data needs; nothing of it is executed"
            )),
        }
    }

    fn take(&mut self, n: usize) -> Result<&[u8], DataError> {
        let Some(end) = self.at.checked_add(n).filter(|e| *e <= self.bytes.len()) else {
            return fail(format!(
                "{n} bytes are needed, {} are left: it is cut short",
                self.bytes.len() - self.at
            ));
        };
        let found = &self.bytes[self.at..end];
        self.at = end;
        Ok(found)
    }

    fn skip(&mut self, n: usize) -> Result<(), DataError> {
        self.take(n).map(|_| ())
    }

    fn byte(&mut self) -> Result<u8, DataError> {
        self.take(1).map(|b| b[0])
    }

    fn length(&mut self, wide: usize) -> Result<usize, DataError> {
        let n = integer(self.take(wide)?, false);
        usize::try_from(n).or_else(|_| fail("a length in it is too large"))
    }

    fn number(&mut self, wide: usize, signed: bool) -> Result<(), DataError> {
        let n = integer(self.take(wide)?, signed);
        self.push(Value::Int(n))
    }

    fn long(&mut self, wide: usize) -> Result<(), DataError> {
        if wide > 8 {
            return fail(format!("a whole number of {wide} bytes is too large"));
        }
        self.number(wide, true)
    }

    fn span(&mut self, wide: usize, text: bool) -> Result<(), DataError> {
        let n = self.length(wide)?;
        let from = self.at;
        let found = self.take(n)?;
        if text && std::str::from_utf8(found).is_err() {
            return fail("a text in it is not UTF-8");
        }
        self.push(if text { Value::Text(from, from + n) } else { Value::Bytes(from, from + n) })
    }

    fn line(&mut self) -> Result<String, DataError> {
        let rest = &self.bytes[self.at..];
        let Some(n) = rest.iter().take(256).position(|b| *b == b'\n') else {
            return fail("a name in it has no end");
        };
        let line = String::from_utf8_lossy(&rest[..n]).into_owned();
        self.at += n + 1;
        Ok(line)
    }

    fn push(&mut self, value: Value) -> Result<(), DataError> {
        let id = Id::try_from(self.values.len()).or_else(|_| fail("it holds too many values"))?;
        self.values.push(value);
        self.stack.push(Slot::Of(id));
        Ok(())
    }

    /// Pushes a predefined value, so that millions of booleans cost only their entries in a list.
    fn constant(&mut self, id: Id) -> Result<(), DataError> {
        self.stack.push(Slot::Of(id));
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, DataError> {
        match self.stack.pop() {
            Some(Slot::Of(id)) => Ok(id),
            _ => fail("an instruction needs a value, but there is none"),
        }
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, DataError> {
        let Some(at) = self.stack.iter().rposition(|s| *s == Slot::Mark) else {
            return fail("an instruction needs a mark, but there is none");
        };
        let of = self.stack.drain(at..).skip(1);
        Ok(of.filter_map(|s| if let Slot::Of(id) = s { Some(id) } else { None }).collect())
    }

    fn tuple(&mut self, n: usize) -> Result<(), DataError> {
        let mut of = (0..n).map(|_| self.pop()).collect::<Result<Vec<Id>, _>>()?;
        of.reverse();
        self.push(Value::Tuple(of))
    }

    fn append(&mut self, more: Vec<Id>) -> Result<(), DataError> {
        let Some(Slot::Of(list)) = self.stack.last() else { return fail("there is no list to append to") };
        match &mut self.values[*list as usize] {
            Value::List(of) => {
                of.extend(more);
                Ok(())
            }
            _ => fail("there is no list to append to"),
        }
    }

    fn remember(&mut self, place: usize) -> Result<(), DataError> {
        let Some(Slot::Of(id)) = self.stack.last().copied() else {
            return fail("there is nothing to remember");
        };
        // Writers number them in order; Python's own skips none.
        if place > self.values.len() {
            return fail(format!("value {place} is remembered before there are so many"));
        }
        if place >= self.memo.len() {
            self.memo.resize(place + 1, None);
        }
        self.memo[place] = Some(id);
        Ok(())
    }

    fn recall(&mut self, place: usize) -> Result<(), DataError> {
        match self.memo.get(place).copied().flatten() {
            Some(id) => {
                self.stack.push(Slot::Of(id));
                Ok(())
            }
            None => fail(format!("value {place} was never remembered")),
        }
    }

    fn text(&self, id: Id) -> Result<String, DataError> {
        match &self.values[id as usize] {
            Value::Text(from, to) | Value::Bytes(from, to) => {
                Ok(String::from_utf8_lossy(&self.bytes[*from..*to]).into_owned())
            }
            _ => fail("a name in it is no text"),
        }
    }

    fn named(&mut self, module: &str, called: &str) -> Result<(), DataError> {
        match name(module, called) {
            Some(name) => self.push(Value::Name(name)),
            None => fail(format!(
                "it names `{}.{}`, which plain data does not need; nothing of it is executed. Write it again with lists, bytes and \
                 truth values alone",
                crate::landmarks::shorten(module),
                crate::landmarks::shorten(called)
            )),
        }
    }

    /// Interprets the calls for arrays and bytes as data.
    fn call(&mut self) -> Result<(), DataError> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let arguments = self.few(arguments)?;
        let Value::Name(callee) = self.values[callee as usize].clone() else {
            return fail("it calls what is no name; nothing of it is executed");
        };
        let value = match (callee, arguments.as_slice()) {
            // The following state fills it in.
            (Name::Reconstruct, _) => Value::Array(Box::default()),
            (Name::DtypeClass, [letters, ..]) => Value::Name(Name::Dtype(self.text(*letters)?)),
            (Name::Scalar, [dtype, data]) => Value::Array(Box::new(Array {
                dtype: self.dtype(*dtype)?,
                data: Some(*data),
                ..Array::default()
            })),
            (Name::FromBuffer, [data, dtype, shape, order]) => {
                let fortran = self.text(*order)? == "F";
                let (dtype, shape) = (self.dtype(*dtype)?, self.shape(*shape)?);
                Value::Array(Box::new(Array { dtype, shape, data: Some(*data), fortran }))
            }
            // For protocol 2, Python 3 writes bytes as a Latin-1 text.
            (Name::Encode, [text, encoding])
                if matches!(self.text(*encoding)?.as_str(), "latin1" | "latin-1" | "iso-8859-1") =>
            {
                self.latin1(*text)?
            }
            (Name::ByteArray, []) => Value::Owned(Vec::new()),
            (Name::ByteArray, [bytes]) => self.values[*bytes as usize].clone(),
            (other, of) => {
                return fail(format!(
                    "it calls {other:?} with {} arguments, which is not supported",
                    of.len()
                ));
            }
        };
        self.push(value)
    }

    /// The members of a small tuple.
    fn few(&self, id: Id) -> Result<Vec<Id>, DataError> {
        match &self.values[id as usize] {
            Value::Tuple(of) if of.len() <= 16 => Ok(of.clone()),
            _ => fail("a call in it has no arguments, or too many"),
        }
    }

    fn latin1(&self, id: Id) -> Result<Value, DataError> {
        let Value::Text(from, to) = &self.values[id as usize] else { return fail("bytes in it are no text") };
        let text = std::str::from_utf8(&self.bytes[*from..*to]).unwrap_or_default();
        let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
        bytes.map_or_else(|| fail("bytes in it have letters beyond 255"), |b| Ok(Value::Owned(b)))
    }

    fn dtype(&self, id: Id) -> Result<String, DataError> {
        match &self.values[id as usize] {
            Value::Name(Name::Dtype(letters)) => Ok(letters.clone()),
            _ => fail("an array in it has no type"),
        }
    }

    fn shape(&self, id: Id) -> Result<Vec<usize>, DataError> {
        let Value::Tuple(of) = &self.values[id as usize] else { return fail("an array in it has no shape") };
        of.iter()
            .map(|d| match self.values[*d as usize] {
                Value::Int(n) => usize::try_from(n).or_else(|_| fail("an array in it has a negative side")),
                _ => fail("an array in it has a side that is no number"),
            })
            .collect()
    }

    /// Applies the state of an array or of a type.
    fn build(&mut self) -> Result<(), DataError> {
        let state = self.pop()?;
        let Some(Slot::Of(target)) = self.stack.last().copied() else {
            return fail("there is nothing to fill");
        };
        let state = self.few(state)?;
        let filled = match (&self.values[target as usize], state.as_slice()) {
            (Value::Array(_), [_, shape, dtype, fortran, data]) => Value::Array(Box::new(Array {
                dtype: self.dtype(*dtype)?,
                shape: self.shape(*shape)?,
                data: Some(*data),
                fortran: self.values[*fortran as usize] == Value::Bool(true),
            })),
            (Value::Name(Name::Dtype(letters)), [_, order, ..]) => {
                let order = self.text(*order)?;
                Value::Name(Name::Dtype(format!(
                    "{order}{}",
                    letters.trim_start_matches(['|', '<', '>', '='])
                )))
            }
            _ => return fail("an object in it is filled that plain data does not need"),
        };
        self.values[target as usize] = filled;
        Ok(())
    }
}

fn fail<T>(what: impl Into<String>) -> Result<T, DataError> {
    Err(DataError::new(what))
}
