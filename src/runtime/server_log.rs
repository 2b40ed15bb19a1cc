//! The end of the server's log, where it is known: the file that its logging collector writes (in
//! the format `stderr`), else the one that has what the postmaster prints. Floor 2.

use std::path::Path;

use crate::cluster::known::Known;
use crate::postgres::server_log::{Trouble, last_trouble};
use crate::sys::chain;
use crate::sys::files::{FileError, read_tail};

use super::{Place, RuntimeError};

/// How much of a log is read: the attempts of some minutes.
const TAIL: u64 = 64 << 10;

/// The last trouble that the log tells of; none: it tells of none. Only phrases are looked for.
pub fn trouble(place: &Place) -> Known<Option<Trouble>> {
    let tail = match collected(place) {
        // Its name is the server's word: it is read as the server's user.
        Ok(Some(name)) => place.as_user(|| read_tail(&place.pgdata.join(&name), TAIL)),
        Ok(None) => read_tail(&place.start_log, TAIL).map_err(RuntimeError::File),
        Err(error) => Err(error),
    };
    match tail {
        Ok(tail) => Known::Known(last_trouble(&tail)),
        Err(error) => Known::unknown(chain(&error)),
    }
}

/// The collector's file, by `current_logfiles`; none: there is no collector.
fn collected(place: &Place) -> Result<Option<String>, RuntimeError> {
    match place.read("current_logfiles", 4096) {
        Ok(text) => {
            let named = text.lines().find_map(|line| line.strip_prefix("stderr "));
            match named.filter(|name| !Path::new(name).as_os_str().is_empty()) {
                Some(name) => Ok(Some(name.to_owned())),
                None => Err(RuntimeError::Refused(
                    "PostgreSQL's log is not in the format stderr".to_owned(),
                )),
            }
        }
        Err(RuntimeError::File(FileError::Missing { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}
