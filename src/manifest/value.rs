//! A TOML value with its place in the text.

use serde::{Deserialize, Serialize};

use toml::de::{DeTable, DeValue};

use crate::problem::Place;

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// Where it is in the text.
    pub place: Place,
    /// What it is.
    pub data: Data,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Data {
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A table.
    Table(Table),
}

/// A table, its entries in file order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The entries.
    pub entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The place of the key.
    pub place: Place,
    /// The value.
    pub value: Value,
}

impl Table {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|e| e.key == key).map(|e| &e.value)
    }

    /// Takes an entry out.
    pub fn take(&mut self, key: &str) -> Option<Entry> {
        let index = self.entries.iter().position(|e| e.key == key)?;
        Some(self.entries.remove(index))
    }

    /// The keys in file order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|e| e.key.as_str())
    }
}

impl Value {
    /// The kind of value, for messages.
    pub fn type_name(&self) -> &'static str {
        match self.data {
            Data::Bool(_) => "true or false",
            Data::Int(_) => "a whole number",
            Data::Float(_) => "a number",
            Data::Text(_) => "a text",
            Data::List(_) => "a list",
            Data::Table(_) => "a table",
        }
    }

    /// The text of a text.
    pub fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// As a person would write it: the form in labels and in texts with `${...}`. `None` for lists and tables.
    pub fn plain(&self) -> Option<String> {
        match &self.data {
            Data::Bool(b) => Some(b.to_string()),
            Data::Int(i) => Some(i.to_string()),
            Data::Float(f) => Some(f.to_string()),
            Data::Text(t) => Some(t.clone()),
            Data::List(_) | Data::Table(_) => None,
        }
    }

    /// The value as JSON.
    pub fn json(&self) -> serde_json::Value {
        match &self.data {
            Data::Bool(b) => (*b).into(),
            Data::Int(i) => (*i).into(),
            Data::Float(f) => (*f).into(),
            Data::Text(t) => t.as_str().into(),
            Data::List(l) => l.iter().map(Value::json).collect(),
            Data::Table(t) => t.entries.iter().map(|e| (e.key.clone(), e.value.json())).collect(),
        }
    }
}

/// Reads TOML. Every mistake of the text is returned, with its place.
///
/// # Errors
/// Message and place of each mistake.
pub fn parse(text: &str, source: usize) -> Result<Table, Vec<(String, Place)>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let at = |e: &toml::de::Error| Place { source, range: e.span().unwrap_or(0..0) };
        return Err(errors.iter().map(|e| (e.message().to_owned(), at(e))).collect());
    }
    let mut wrong = Vec::new();
    let table = convert_table(table.get_ref(), source, &mut wrong);
    if wrong.is_empty() { Ok(table) } else { Err(wrong) }
}

fn convert_table(table: &DeTable<'_>, source: usize, wrong: &mut Vec<(String, Place)>) -> Table {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            place: Place { source, range: key.span() },
            value: convert(value.get_ref(), Place { source, range: value.span() }, wrong),
        })
        .collect();
    entries.sort_by_key(|e| e.place.range.start);
    let odd = entries.iter().filter(|e| e.key.contains('\0'));
    wrong.extend(odd.map(|e| (NUL.to_owned(), e.place.clone())));
    Table { entries }
}

/// Names of programs and files cannot contain it.
const NUL: &str = "a text cannot hold a NUL";

fn convert(value: &DeValue<'_>, place: Place, wrong: &mut Vec<(String, Place)>) -> Value {
    let source = place.source;
    let data = match value {
        DeValue::String(s) => {
            if s.contains('\0') {
                wrong.push((NUL.to_owned(), place.clone()));
            }
            Data::Text(s.to_string())
        }
        DeValue::Boolean(b) => Data::Bool(*b),
        DeValue::Integer(i) => match i64::from_str_radix(i.as_str(), i.radix()) {
            Ok(i) => Data::Int(i),
            Err(_) => {
                wrong.push(("this number does not fit in 64 bits".to_owned(), place.clone()));
                Data::Int(0)
            }
        },
        DeValue::Float(f) => match f.as_str().parse::<f64>() {
            Ok(f) if f.is_finite() => Data::Float(f),
            _ => {
                wrong.push(("a number must be finite".to_owned(), place.clone()));
                Data::Float(0.0)
            }
        },
        DeValue::Datetime(d) => Data::Text(d.to_string()),
        DeValue::Array(a) => Data::List(
            a.iter().map(|v| convert(v.get_ref(), Place { source, range: v.span() }, wrong)).collect(),
        ),
        DeValue::Table(t) => Data::Table(convert_table(t, source, wrong)),
    };
    Value { place, data }
}
