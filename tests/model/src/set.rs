//! Sets of nodes.

use std::fmt;

use crate::state::NODES;

/// A set of nodes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Set(u8);

impl Set {
    /// Nobody.
    pub const NONE: Self = Self(0);

    /// One node.
    pub const fn one(node: usize) -> Self {
        Self(1 << node)
    }

    /// The nodes below `count`.
    pub const fn first(count: usize) -> Self {
        Self((1 << count) - 1)
    }

    /// Whether `node` is in it.
    pub const fn has(self, node: usize) -> bool {
        self.0 >> node & 1 == 1
    }

    /// With `node`.
    #[must_use]
    pub const fn with(self, node: usize) -> Self {
        Self(self.0 | 1 << node)
    }

    /// Without `node`.
    #[must_use]
    pub const fn without(self, node: usize) -> Self {
        Self(self.0 & !(1 << node))
    }

    /// Those of either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all are in `other`.
    pub const fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether nobody is.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The lowest, if any.
    pub fn lowest(self) -> Option<usize> {
        self.iter().next()
    }

    /// Each, lowest first.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..NODES).filter(move |node| self.has(*node))
    }

    /// Every subset, the whole first.
    pub fn subsets(self) -> impl Iterator<Item = Self> {
        let mut next = Some(self.0);
        std::iter::from_fn(move || {
            let now = next?;
            next = if now == 0 { None } else { Some((now - 1) & self.0) };
            Some(Self(now))
        })
    }
}

impl FromIterator<usize> for Set {
    fn from_iter<I: IntoIterator<Item = usize>>(nodes: I) -> Self {
        nodes.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{")?;
        self.iter().try_for_each(|node| write!(f, "{node}"))?;
        write!(f, "}}")
    }
}
