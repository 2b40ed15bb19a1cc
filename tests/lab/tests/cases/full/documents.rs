//! The commands of the documents, as they stand there, each page from its top to its bottom.

pub mod book;
mod by_hand;
mod operations;
mod quick_start;
mod setup;
mod upgrades;

use book::Key;

/// What the cases play.
pub fn played() -> Vec<Key> {
    [quick_start::PLAYS, operations::PLAYS, by_hand::PLAYS, setup::PLAYS, upgrades::PLAYS].concat()
}
