//! Floor 0: PostgreSQL's files, programs' outputs and settings, parsed from `&str`.

pub mod conf;
pub mod conninfo;
pub mod control_data;
pub mod copy_tools;
pub mod hba;
pub mod history;
pub mod identify;
pub mod image_name;
pub mod image_tag;
pub mod libraries;
pub mod lsn;
pub mod pgpass;
pub mod postmaster_pid;
pub mod refusal;
pub mod restore_command;
pub mod server_log;
pub mod slot_name;
pub mod start_conf;
pub mod sync_names;
pub mod units;
pub mod version;
pub mod waldump;
