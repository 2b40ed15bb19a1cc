//! Damage by a seed: bytes flipped, cut, repeated, moved and inserted, lines doubled, parts of two texts
//! put together. The same seed does the same on every machine.

/// The longest text that is made, in bytes.
pub const LONGEST: usize = 16 * 1024;

/// What stands in the texts that are read here, and what breaks parsers elsewhere.
const WORDS: [&str; 56] = [
    "\0",
    "\n",
    "\r\n",
    "\r",
    "\t",
    " ",
    "'",
    "\"",
    "''",
    "\"\"",
    "\\",
    "\\'",
    "\\\n",
    "=",
    ":",
    ";",
    "|",
    ",",
    "/",
    "#",
    "%",
    "@",
    "*",
    "-",
    "{",
    "}",
    "(",
    ")",
    "<",
    ">",
    "&",
    "&amp;",
    "<!--",
    "]]>",
    "..",
    "-1",
    "0",
    "00000000000000000000",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "-9223372036854775808",
    "4294967296",
    "2147483648",
    "+1",
    "1e9",
    "0x",
    "ffff",
    "FFFFFFFF/FFFFFFFF",
    "é",
    "\u{feff}",
    "\u{202e}",
    "\u{10ffff}",
    "sum ",
    "INFINITY",
    "all",
];

/// Numbers by a seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// From this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of so many, from 0; 0 where there is none.
    pub fn below(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).unwrap_or(1).max(1);
        usize::try_from(self.next_number() % count).unwrap_or(0)
    }
}

/// A text of the corpus, damaged a few times.
#[must_use]
pub fn damaged(corpus: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = pick(corpus, chance).to_vec();
    // Mostly little is changed: a text that is all rubbish ends at the first check.
    let times = 1 + [0, 0, 1, 2, 3, 7][chance.below(6)];
    for _ in 0..times {
        once(&mut bytes, corpus, chance);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn pick<'c>(corpus: &'c [Vec<u8>], chance: &mut Chance) -> &'c [u8] {
    corpus.get(chance.below(corpus.len())).map_or(&[], Vec::as_slice)
}

fn once(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], chance: &mut Chance) {
    let at = chance.below(bytes.len() + 1);
    // A part, short more often than long.
    let longest = [1, 4, 16, bytes.len()][chance.below(4)];
    let end = (at + chance.below(longest + 1)).min(bytes.len());
    match chance.below(11) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = u8::try_from(chance.below(256)).unwrap_or(0);
            }
        }
        2 => drop(bytes.drain(at..end)),
        3 => bytes.truncate(at),
        4 => insert(bytes, at, WORDS[chance.below(WORDS.len())].as_bytes()),
        5 => drop(bytes.splice(at..end, WORDS[chance.below(WORDS.len())].bytes())),
        6 => {
            let part = bytes[at..end].to_vec();
            let times = [1, 1, 2, 300][chance.below(4)];
            insert(bytes, at, &part.repeat(times).into_iter().take(LONGEST).collect::<Vec<_>>());
        }
        7 => {
            let part: Vec<u8> = bytes.drain(at..end).collect();
            let to = chance.below(bytes.len() + 1);
            insert(bytes, to, &part);
        }
        8 => {
            let other = pick(corpus, chance);
            let from = chance.below(other.len() + 1);
            let until = (from + chance.below(64)).min(other.len());
            drop(bytes.splice(at..end, other[from..until].iter().copied()));
        }
        9 => lines(bytes, chance),
        _ => number(bytes, at, chance),
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    drop(bytes.splice(at..at, part.iter().copied()));
}

/// One line goes, stands twice, or changes its place with another.
fn lines(bytes: &mut Vec<u8>, chance: &mut Chance) {
    let mut all: Vec<Vec<u8>> =
        bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if all.is_empty() {
        return;
    }
    let (one, other) = (chance.below(all.len()), chance.below(all.len()));
    match chance.below(3) {
        0 => drop(all.remove(one)),
        1 => all.insert(other, all[one].clone()),
        _ => all.swap(one, other),
    }
    *bytes = all.concat();
}

/// The next number behind `at` becomes one more, one less, or another one.
fn number(bytes: &mut Vec<u8>, at: usize, chance: &mut Chance) {
    let Some(from) = bytes[at..].iter().position(u8::is_ascii_digit).map(|digits| at + digits)
    else {
        return;
    };
    let digits = bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number: u64 = crate::text(&bytes[from..from + digits]).parse().unwrap_or(0);
    let new = match chance.below(4) {
        0 => number.wrapping_add(1),
        1 => number.wrapping_sub(1),
        2 => number.wrapping_mul(1_000_003),
        _ => chance.next_number() >> chance.below(64),
    };
    drop(bytes.splice(from..from + digits, new.to_string().into_bytes()));
}
