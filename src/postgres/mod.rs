//! Floor 0: PostgreSQL's files, programs' outputs and settings, parsed from `&str`.

pub mod lsn;
