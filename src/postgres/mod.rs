//! Floor 0: PostgreSQL's files, programs' outputs and settings, parsed from `&str`.

pub mod conf;
pub mod conninfo;
pub mod control_data;
pub mod history;
pub mod lsn;
pub mod slot_name;
pub mod sync_names;
