//! `sys.dic` and `unk.dic`: words by their first letters, and what each may be.

/// `MeCab`'s mark of a dictionary, combined with its length.
const MAGIC: u32 = 0xef71_8f77;
/// The version of the format.
const VERSION: u32 = 102;
/// Bytes of the head: ten numbers and the name of the encoding.
const HEAD: usize = 72;
/// Bytes of a token.
const TOKEN: usize = 16;
/// Words that are found at one place at most, as in `MeCab`.
const MOST: usize = 512;

/// Words whose features are looked at: unknown kinds of symbols have fewer fields than others.
const LOOKED_AT: usize = 1000;

/// Fields of the features of a token, which stand behind all tokens, ended by a zero.
fn fields(token: &[u8], features: &[u8]) -> usize {
    let at = u32::from_le_bytes([token[8], token[9], token[10], token[11]]) as usize;
    let of = features.get(at..).unwrap_or(&[]);
    let end = of.iter().position(|b| *b == 0).unwrap_or(0);
    if end == 0 { 0 } else { of[..end].split(|b| *b == b',').count() }
}

/// What a word may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Token {
    /// Its attribute towards the word on its left.
    pub left: u16,
    /// Its attribute towards the word on its right.
    pub right: u16,
    /// Its own cost.
    pub cost: i16,
}

/// A node of the double array (Aoe 1989): base and check.
#[derive(Debug, Clone, Copy)]
struct Unit {
    base: i32,
    check: u32,
}

/// A compiled dictionary without the features of its words.
#[derive(Debug)]
pub struct Lexicon {
    units: Vec<Unit>,
    tokens: Vec<Token>,
    entries: usize,
    /// Fields of a word's features, the most of the first words'.
    fields: usize,
}

impl Lexicon {
    /// Reads a compiled dictionary; why it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let none = || "it is no dictionary that MeCab compiled".to_owned();
        let (head, rest) = bytes.split_at_checked(HEAD).ok_or_else(none)?;
        let number =
            |at: usize| u32::from_le_bytes([head[4 * at], head[4 * at + 1], head[4 * at + 2], head[4 * at + 3]]);
        if number(0) ^ MAGIC != bytes.len() as u32 {
            return Err(none());
        }
        if number(1) != VERSION {
            return Err(format!("its format has version {}, {VERSION} is read here", number(1)));
        }
        let charset = &head[40..];
        let charset = charset.split(|b| *b == 0).next().unwrap_or(charset);
        let charset = String::from_utf8_lossy(charset).to_ascii_lowercase();
        if !matches!(charset.as_str(), "utf-8" | "utf8" | "utf_8") {
            return Err(format!("its texts are in {:?}; one in UTF-8 is needed", crate::text::printable(&charset)));
        }
        let [units, tokens, features] = [6, 7, 8].map(|at| number(at) as usize);
        if units + tokens + features != rest.len() || units % 8 != 0 || tokens % TOKEN != 0 {
            return Err(none());
        }
        let (units, rest) = rest.split_at(units);
        let (tokens, features) = rest.split_at(tokens);
        let unit = |b: &[u8]| Unit {
            base: i32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            check: u32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        };
        let short = |b: &[u8], at: usize| u16::from_le_bytes([b[at], b[at + 1]]);
        let token = |b: &[u8]| Token { left: short(b, 0), right: short(b, 2), cost: short(b, 6) as i16 };
        Ok(Self {
            units: units.chunks_exact(8).map(unit).collect(),
            tokens: tokens.chunks_exact(TOKEN).map(token).collect(),
            entries: number(3) as usize,
            fields: tokens.chunks_exact(TOKEN).take(LOOKED_AT).map(|b| fields(b, features)).max().unwrap_or(0),
        })
    }

    /// Fields of a word's features: which they are is a dictionary's own, and so is their number.
    pub const fn fields(&self) -> usize {
        self.fields
    }

    /// Words it has.
    pub const fn entries(&self) -> usize {
        self.entries
    }

    /// Tells all words that `text` begins with, the shortest first: length in bytes, and what each may be.
    pub fn prefixes(&self, text: &[u8], mut tell: impl FnMut(usize, &[Token])) {
        let mut count = 0;
        let mut base = self.units.first().map_or(0, |unit| unit.base);
        for length in 0..=text.len() {
            if let Some(tokens) = self.value(base).filter(|_| length > 0) {
                tell(length, tokens);
                count += 1;
            }
            let Some(byte) = text.get(length).filter(|_| count < MOST) else { return };
            match self.unit(i64::from(base) + i64::from(*byte) + 1) {
                Some(unit) if i64::from(unit.check) == i64::from(base) => base = unit.base,
                _ => return,
            }
        }
    }

    /// What the word `text` may be; nothing where it is none.
    pub fn exactly(&self, text: &str) -> &[Token] {
        let mut base = self.units.first().map_or(0, |unit| unit.base);
        for byte in text.bytes() {
            match self.unit(i64::from(base) + i64::from(byte) + 1) {
                Some(unit) if i64::from(unit.check) == i64::from(base) => base = unit.base,
                _ => return &[],
            }
        }
        self.value(base).unwrap_or(&[])
    }

    fn unit(&self, at: i64) -> Option<Unit> {
        self.units.get(usize::try_from(at).ok()?).copied()
    }

    /// What the node that leads to `base` stands for, if a word ends there.
    fn value(&self, base: i32) -> Option<&[Token]> {
        let leaf = self.unit(i64::from(base))?;
        if i64::from(leaf.check) != i64::from(base) || leaf.base >= 0 {
            return None;
        }
        // The place of the first token and their number in one word.
        let value = (-i64::from(leaf.base) - 1) as usize;
        let (at, count) = (value >> 8, value & 0xff);
        self.tokens.get(at..at + count)
    }
}
