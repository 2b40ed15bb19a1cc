//! Floor 2: processes, privileges, files, deadlines and logs.

pub mod exec;
