//! What pgtwin is compared with, brought up in the nodes as its own documents say.

pub mod paf;
pub mod patroni;
