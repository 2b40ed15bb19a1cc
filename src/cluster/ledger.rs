//! The ledger: who was promoted when, and which standbys may replace the primary. Floor 0.
//!
//! An entry belongs to the node that it names as primary, and that node alone writes it. A store
//! (the file of a member, or the copy in the CIB) keeps, for each primary, its last *done* entry
//! and a later *intent*. The rules are those of the model checker: entries below the highest done
//! term are void, and so is an intent that its own done entry has overtaken.

mod entry;
mod origin;
mod own;
mod store;
#[cfg(test)]
mod tests;
mod text;

pub use entry::{Ack, Entry, GIVEN_UP, HISTORY, Mode, Past, PromotionId, Void};
pub use origin::{Beyond, NeverWritten, Pointed, unexplained};
pub use own::Own;
pub use store::{Slot, Store};
pub use text::{LedgerError, names, parse_names};
