//! `char.bin`: which kinds of character there are, and how unknown words are made of them.

/// Characters that the table has: all of the basic plane but the last.
const TABLE: usize = 0xffff;
/// Bytes of a category's name.
const NAME: usize = 32;

/// What a character is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Category {
    /// Its categories, as bits.
    kinds: u32,
    /// The first of them.
    pub default: usize,
    /// Unknown words of up to this many characters are tried.
    pub length: usize,
    /// Characters of one kind are taken together as one word.
    pub group: bool,
    /// Unknown words are tried also where the dictionary has one.
    pub invoke: bool,
}

impl Category {
    /// Whether they share a category.
    pub const fn is_kind_of(self, other: Self) -> bool {
        self.kinds & other.kinds != 0
    }

    const fn of(bits: u32) -> Self {
        Self {
            kinds: bits & 0x3_ffff,
            default: (bits >> 18 & 0xff) as usize,
            length: (bits >> 26 & 0xf) as usize,
            group: bits >> 30 & 1 == 1,
            invoke: bits >> 31 & 1 == 1,
        }
    }
}

/// The table of all characters.
#[derive(Debug)]
pub struct Characters {
    names: Vec<String>,
    table: Vec<Category>,
}

impl Characters {
    /// Reads `char.bin`; why it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let none = || "it is no table of characters of MeCab".to_owned();
        let (count, rest) = bytes.split_first_chunk::<4>().ok_or_else(none)?;
        let count = u32::from_le_bytes(*count) as usize;
        if count == 0 || count > 256 || rest.len() != NAME * count + 4 * TABLE {
            return Err(none());
        }
        let (names, table) = rest.split_at(NAME * count);
        let name = |of: &[u8]| {
            let end = of.iter().position(|b| *b == 0).unwrap_or(of.len());
            String::from_utf8_lossy(&of[..end]).into_owned()
        };
        let table: Vec<Category> =
            table.chunks_exact(4).map(|b| Category::of(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect();
        if table.iter().any(|of| of.default >= count) {
            return Err("it names categories that it does not have".to_owned());
        }
        Ok(Self { names: names.chunks_exact(NAME).map(name).collect(), table })
    }

    /// The categories' names, in their order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What white space is.
    pub fn space(&self) -> Category {
        self.table[usize::from(b' ')]
    }

    /// The first character of UTF-8 that is not empty: what it is and its bytes. Those beyond the basic plane count as
    /// U+0000, as in `MeCab`.
    pub fn at(&self, text: &[u8]) -> (Category, usize) {
        let byte = |i: usize, mask: u8| text.get(i).map_or(0, |b| usize::from(b & mask));
        let first = text.first().copied().unwrap_or(0);
        let (code, length) = match (first, text.len()) {
            (0..0x80, _) => (usize::from(first), 1),
            (0xc0..0xe0, 2..) => (byte(0, 0x1f) << 6 | byte(1, 0x3f), 2),
            (0xe0..0xf0, 3..) => (byte(0, 0x0f) << 12 | byte(1, 0x3f) << 6 | byte(2, 0x3f), 3),
            (0xf0..0xf8, 4..) => (0, 4),
            _ => (0, 1),
        };
        (self.table.get(code).copied().unwrap_or(self.table[0]), length)
    }
}
