//! Words of Japanese as `MeCab` finds them, with a dictionary that was compiled for `MeCab`.
//!
//! The cheapest path through the words of the dictionary: the sum of a cost a word and a cost a pair of neighbours (Kudo,
//! Yamamoto and Matsumoto, "Applying conditional random fields to Japanese morphological analysis", EMNLP 2004). Paths
//! that cost the same are told apart by the order in which `MeCab` 0.996 looks at them, so that words are its words.

mod characters;
mod lexicon;

use crate::{Error, Result, bounded};
use characters::{Category, Characters};
use lexicon::{Lexicon, Token};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The variable that names the dictionary's folder.
pub const VARIABLE: &str = "LOPPER_MECAB_DICT";
/// What a file of a dictionary may have, bytes: `UniDic`'s have up to 500 MB.
const MOST: u64 = 1 << 30;
/// Unknown words of one kind of character are taken whole up to this length, in characters.
const GROUP: usize = 24;
/// Fields and entries of IPADIC 2.7.0, which Python's `ipadic` has and sacrebleu uses.
const IPADIC: (usize, usize) = (9, 392_126);
/// Fields of `UniDic`'s words at least: 17 of 2.1, 26 and 29 of later ones.
const UNIDIC: usize = 17;
/// Bytes ahead within which a word is looked for.
const AHEAD: usize = 65_535;

/// The dictionary of [`VARIABLE`], read once; none where that is not set.
///
/// # Errors
/// When it is set and no dictionary is there, or a damaged one.
pub fn installed() -> Result<Option<&'static Dictionary>> {
    static INSTALLED: LazyLock<Option<std::result::Result<Dictionary, String>>> = LazyLock::new(|| {
        let folder = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)?;
        Some(Dictionary::read(&folder).map_err(|e| format!("{VARIABLE}: {e}")))
    });
    match &*INSTALLED {
        None => Ok(None),
        Some(Ok(dictionary)) => Ok(Some(dictionary)),
        Some(Err(sentence)) => Err(Error::user(sentence.clone())),
    }
}

/// A compiled dictionary: `sys.dic`, `unk.dic`, `char.bin` and `matrix.bin` of one folder, in UTF-8.
#[derive(Debug)]
pub struct Dictionary {
    words: Lexicon,
    /// What a word of characters of a category may be that is in no dictionary; by category.
    unknown: Vec<Vec<Token>>,
    characters: Characters,
    /// Costs of neighbours, by the left one's right attribute, then the right one's left attribute.
    costs: Vec<i16>,
    /// Right attributes.
    width: usize,
}

/// A word of a lattice.
#[derive(Debug, Clone, Copy)]
struct Node {
    begin: usize,
    end: usize,
    token: Token,
    /// Cost of the cheapest path up to here.
    cost: i64,
    /// The word before, by index.
    before: usize,
}

impl Dictionary {
    /// Reads the dictionary of a folder; the features of its words are left out.
    ///
    /// # Errors
    /// When a file is missing, damaged, of another version, or in another encoding than UTF-8.
    pub fn read(folder: &Path) -> Result<Self> {
        let file = |name: &str| {
            let path = folder.join(name);
            bounded::bytes(&path, MOST).map_err(|e| Error::io("read", &path, &e))
        };
        let at = |name: &str, why: &str| {
            let path = folder.join(name).display().to_string();
            Error::user(format!("{}: {why}", crate::text::printable(&path)))
        };
        let lexicon = |name: &str| file(name).and_then(|bytes| Lexicon::parse(&bytes).map_err(|why| at(name, &why)));
        let words = lexicon("sys.dic")?;
        let rest = lexicon("unk.dic")?;
        let characters = Characters::parse(&file("char.bin")?).map_err(|why| at("char.bin", &why))?;
        let (width, costs) = matrix(&file("matrix.bin")?).map_err(|why| at("matrix.bin", &why))?;
        let mut unknown = Vec::new();
        for name in characters.names() {
            let tokens: Vec<Token> = rest.exactly(name).to_vec();
            if tokens.is_empty() {
                return Err(at(
                    "unk.dic",
                    &format!("it has nothing for {:?} of char.bin", crate::text::printable(name)),
                ));
            }
            unknown.push(tokens);
        }
        Ok(Self { words, unknown, characters, costs, width })
    }

    /// Entries of the dictionary.
    pub const fn entries(&self) -> usize {
        self.words.entries()
    }

    /// What tells it from others in a report.
    pub fn name(&self) -> String {
        named(self.words.fields(), self.entries())
    }

    /// Whether it is the one that sacrebleu's `ja-mecab` has.
    pub const fn is_sacrebleus(&self) -> bool {
        self.words.fields() == IPADIC.0 && self.entries() == IPADIC.1
    }

    /// The words of `text`, in its order, without the white space between them.
    pub fn words<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let bytes = text.as_bytes();
        let edge = Node { begin: 0, end: 0, token: Token::default(), cost: 0, before: 0 };
        let mut nodes = vec![edge];
        // Words that end at a place, in the order in which they were found.
        let mut ending: Vec<Vec<usize>> = vec![Vec::new(); bytes.len() + 1];
        ending[0].push(0);
        let mut found = Vec::new();
        for at in 0..bytes.len() {
            if ending[at].is_empty() {
                continue;
            }
            found.clear();
            self.look(bytes, at, &mut found);
            // The last that was found comes first, here and among those that end at one place.
            for (begin, end, token) in found.iter().rev().copied() {
                let (cost, before) = self.cheapest(&nodes, &ending[at], token);
                nodes.push(Node { begin, end, token, cost, before });
                ending[end].push(nodes.len() - 1);
            }
        }
        let Some(last) = ending.iter().rev().find(|of| !of.is_empty()) else { return Vec::new() };
        let mut at = self.cheapest(&nodes, last, Token::default()).1;
        let mut words = Vec::new();
        while at != 0 {
            words.push(&text[nodes[at].begin..nodes[at].end]);
            at = nodes[at].before;
        }
        words.reverse();
        words
    }

    /// The cheapest of the words `before` to stand before `token`, and what the path then costs.
    fn cheapest(&self, nodes: &[Node], before: &[usize], token: Token) -> (i64, usize) {
        let cost = |i: usize| {
            let at = usize::from(nodes[i].token.right) + self.width * usize::from(token.left);
            let edge = self.costs.get(at).copied().unwrap_or(i16::MAX);
            nodes[i].cost + i64::from(edge) + i64::from(token.cost)
        };
        // The first of the cheapest, from the one that was found last.
        before.iter().rev().map(|i| (cost(*i), *i)).min_by_key(|(cost, _)| *cost).unwrap_or((0, 0))
    }

    /// The words that may begin at `at`, behind white space: begin, end, token.
    fn look(&self, bytes: &[u8], at: usize, found: &mut Vec<(usize, usize, Token)>) {
        let end = bytes.len().min(at + AHEAD);
        // A character that is cut there counts as none.
        let end = (end.saturating_sub(3)..=end).rev().find(|e| is_boundary(bytes, *e)).unwrap_or(end);
        let space = self.characters.space();
        let mut begin = at;
        let mut kind = space;
        let mut length = 0;
        while begin < end {
            let (of, bytes) = self.characters.at(&bytes[begin..end]);
            length = bytes;
            let is_space = of.is_kind_of(kind);
            kind = of;
            if !is_space {
                break;
            }
            begin += bytes;
        }
        if begin >= end {
            return;
        }
        self.words.prefixes(&bytes[begin..end], |length, tokens| {
            found.extend(tokens.iter().map(|token| (begin, begin + length, *token)));
        });
        if found.is_empty() || kind.invoke {
            self.guess(bytes, begin, begin + length, end, kind, found);
        }
    }

    /// Words that are in no dictionary, from `begin` on, whose first character of category `kind` ends at `first`.
    fn guess(
        &self,
        bytes: &[u8],
        begin: usize,
        first: usize,
        end: usize,
        kind: Category,
        found: &mut Vec<(usize, usize, Token)>,
    ) {
        let tokens = self.unknown.get(kind.default).map_or(&[][..], Vec::as_slice);
        let add = |until: usize, found: &mut Vec<_>| found.extend(tokens.iter().map(|t| (begin, until, *t)));
        let mut group = None;
        if kind.group {
            let (mut at, mut of, mut count) = (first, kind, 0);
            // What is longer is no word; where exactly it ends then does not matter.
            while at < end && count <= GROUP {
                let (next, length) = self.characters.at(&bytes[at..end]);
                if !of.is_kind_of(next) {
                    break;
                }
                (at, of, count) = (at + length, next, count + 1);
            }
            if count <= GROUP {
                add(at, found);
            }
            group = Some(at);
        }
        let mut at = first;
        for _ in 0..kind.length {
            if at > end {
                break;
            }
            if group == Some(at) {
                continue;
            }
            add(at, found);
            if at == end {
                break;
            }
            let (next, length) = self.characters.at(&bytes[at..end]);
            if !kind.is_kind_of(next) {
                break;
            }
            at += length;
        }
        if found.is_empty() {
            add(first, found);
        }
    }
}

/// A dictionary's name by the fields of its words and by its size.
fn named(fields: usize, entries: usize) -> String {
    match fields {
        _ if (fields, entries) == IPADIC => format!("IPADIC of {entries} entries"),
        9 => format!("a dictionary in IPADIC's form of {entries} entries"),
        UNIDIC.. => format!("UniDic of {entries} entries"),
        _ => format!("a dictionary of {entries} entries"),
    }
}

/// Whether a character begins at `at`, or the text ends there.
fn is_boundary(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_none_or(|b| b & 0xc0 != 0x80)
}

/// Right attributes and costs of `matrix.bin`.
fn matrix(bytes: &[u8]) -> std::result::Result<(usize, Vec<i16>), String> {
    let (head, rest) = bytes.split_at_checked(4).ok_or("it is no matrix of MeCab")?;
    let side = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let (width, height) = (side(0), side(2));
    if width == 0 || rest.len() != 2 * width * height {
        return Err(format!("{width} x {height} costs are announced, and {} bytes are there", rest.len()));
    }
    Ok((width, rest.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect()))
}

#[cfg(test)]
mod tests;
