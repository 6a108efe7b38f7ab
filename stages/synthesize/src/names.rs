//! Synthetic names: a bijection between numbers and names, so that no two people share a name.

use crate::rng::{Draw, stream};

const FIRST_START: [&str; 26] = [
    "Al", "Be", "Ca", "Da", "El", "Fa", "Ga", "Ha", "Il", "Jo", "Ka", "Le", "Ma", "Ne", "Or", "Pa", "Ra",
    "Sa", "Te", "Ul", "Va", "Wi", "Xe", "Yo", "Za", "Mi",
];
const FIRST_END: [&str; 22] = [
    "bo", "cia", "dan", "ela", "fin", "gor", "hana", "ian", "jun", "kel", "lia", "min", "na", "ron", "ra",
    "sim", "tor", "via", "wen", "xa", "yra", "zel",
];
const LAST_START: [&str; 25] = [
    "Bar", "Cor", "Dun", "Esk", "Fel", "Gran", "Hol", "Isk", "Jar", "Kost", "Lund", "Mar", "Nor", "Osk",
    "Pell", "Quar", "Rost", "Stav", "Tor", "Urb", "Vel", "Wick", "Yar", "Zim", "Brand",
];
const LAST_MIDDLE: [&str; 24] = [
    "a", "ak", "an", "ar", "e", "ek", "el", "en", "er", "i", "ik", "il", "in", "o", "ok", "ol", "on", "or",
    "u", "uk", "ul", "un", "ur", "y",
];
const LAST_END: [&str; 25] = [
    "bek", "berg", "da", "dal", "don", "dor", "gaard", "ghan", "heim", "kov", "lund", "man", "mura", "ner",
    "quist", "rad", "sen", "shan", "ski", "stam", "ta", "ton", "vald", "vic", "zar",
];

/// The number of names.
const COUNT: u64 = 26 * 22 * 25 * 24 * 25;
/// The step of a pseudo-random order of all names; coprime to `COUNT`.
const STEP: u64 = 3_266_489;

/// The parts of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The first name.
    pub first: String,
    /// A middle initial, for some names.
    pub middle: Option<char>,
    /// The last name.
    pub last: String,
}

impl Name {
    /// The name of a number; unique for all numbers below eight million.
    pub fn of(number: u64) -> Self {
        let mut k = (number % COUNT) * STEP % COUNT;
        let mut take = |list: &[&'static str]| {
            let n = list.len() as u64;
            let part = list[(k % n) as usize];
            k /= n;
            part
        };
        let first = [take(&FIRST_START), take(&FIRST_END)].concat();
        let last = [take(&LAST_START), take(&LAST_MIDDLE), take(&LAST_END)].concat();
        let letter = (number * 7 + 3) % 26;
        let middle = number.is_multiple_of(9).then_some((b'A' + letter as u8) as char);
        Self { first, middle, last }
    }

    /// `First_Last` or `First_M_Last`, as in LFW's folders.
    pub fn folder(&self) -> String {
        match self.middle {
            Some(m) => format!("{}_{m}_{}", self.first, self.last),
            None => format!("{}_{}", self.first, self.last),
        }
    }

    /// `First Last`, as in CFP's list.
    pub fn spaced(&self) -> String {
        self.folder().replace('_', " ")
    }

    /// `FirstLast`, as in AgeDB's file names.
    pub fn joined(&self) -> String {
        self.folder().replace('_', "")
    }

    /// Another spelling of the same name, which the usual rules for names attribute to the same person.
    pub fn variant(&self, seed: u64, number: u64) -> String {
        let mut rng = stream(seed, "spelling", &[number]);
        let initial = self.first.chars().next().unwrap_or('X');
        let mut other = (b'A' + rng.below(26) as u8) as char;
        if Some(other) == self.middle {
            other = if other == 'Z' { 'A' } else { 'Z' };
        }
        match rng.below(6) {
            0 => format!("{}_{}", self.first, self.last).to_lowercase(),
            1 => format!("{}_{other}_{}", self.first, self.last),
            2 => format!("{initial}_{}", self.last),
            3 => format!("{}_{}", self.last, self.first),
            4 => format!("{initial}{other}_{}", self.last),
            _ => {
                let (a, b) = self.first.split_at(2);
                format!("{a}-{b}_{}", self.last)
            }
        }
    }
}

/// An id in the format of RFW and MS-Celeb-1M; unique for all numbers below a million.
pub fn freebase_id(number: u64) -> String {
    const LETTERS: &[u8; 32] = b"0123456789bcdfghjklmnpqrstvwxyz_";
    // Multiplication by an odd factor modulo a power of two is a bijection.
    let mut k = (number.wrapping_mul(0x9e37_79b1) ^ 0x5bd1) & 0x1ff_ffff;
    let mut id = String::from("m.0");
    for _ in 0..5 {
        id.push(LETTERS[(k & 31) as usize] as char);
        k >>= 5;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_people_share_a_name_or_an_id() {
        let names: HashSet<String> = (0..200_000).map(|n| Name::of(n).joined().to_lowercase()).collect();
        assert_eq!(names.len(), 200_000);
        let ids: HashSet<String> = (0..200_000).map(freebase_id).collect();
        assert_eq!(ids.len(), 200_000);
    }

    #[test]
    fn a_variant_is_spelled_differently() {
        for n in 0..500 {
            let name = Name::of(n);
            assert_ne!(name.variant(1, n), name.folder());
        }
    }
}
