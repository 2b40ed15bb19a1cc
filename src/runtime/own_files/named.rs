//! Which files a configuration file names. Floor 2.

use std::fs;
use std::path::Path;

use crate::sys::files::FileError;

use super::{Reads, io_error};

/// Settings whose value is a file that belongs to this node alone.
const OWN: [&str; 7] = [
    "ssl_cert_file",
    "ssl_key_file",
    "ssl_ca_file",
    "ssl_crl_file",
    "ssl_dh_params_file",
    "krb_server_keyfile",
    "ssl_crl_dir",
];

/// Names that a configuration file mentions.
#[derive(Default)]
pub(super) struct Names {
    /// Of the same kind, relative to the file itself.
    pub beside: Vec<String>,
    /// Relative to PGDATA.
    pub in_pgdata: Vec<(String, Reads)>,
}

/// How the file that a setting names is read; none for a setting that names none.
pub(super) fn by_setting(name: &str) -> Option<Reads> {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "hba_file" | "ident_file" => Some(Reads::Rules),
        "config_file" => Some(Reads::Settings),
        other if OWN.contains(&other) => Some(Reads::Nothing),
        _ => None,
    }
}

impl Names {
    pub(super) fn of_settings<'a>(entries: impl Iterator<Item = (&'a str, String)>) -> Self {
        let mut names = Self::default();
        for (name, value) in entries.filter(|(_, value)| !value.is_empty()) {
            match name.to_ascii_lowercase().as_str() {
                "include" | "include_if_exists" | "include_dir" => names.beside.push(value),
                other => {
                    names.in_pgdata.extend(by_setting(other).map(|reads| (value, reads)));
                }
            }
        }
        names
    }

    /// `@file` in any place of a line, and the includes of version 16.
    pub(super) fn of_rules(text: &str) -> Self {
        let mut names = Self::default();
        for line in text.lines() {
            let mut words = words(line).into_iter().peekable();
            let first = words.peek().cloned().unwrap_or_default();
            if ["include", "include_if_exists", "include_dir"].contains(&first.as_str()) {
                names.beside.extend(words.nth(1));
                continue;
            }
            names.beside.extend(words.filter_map(|word| word.strip_prefix('@').map(str::to_owned)));
        }
        names.beside.retain(|name| !name.is_empty());
        names
    }
}

/// The words of a line, without quotes and its comment. Blanks and commas divide them.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted => break,
            ' ' | '\t' | ',' | '\r' if !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            other => word.push(other),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The files that count in a directory: of an `include_dir` as PostgreSQL chooses them, of another all;
/// none when it is not there.
pub(super) fn files(dir: &Path, reads: Reads) -> Result<Vec<String>, FileError> {
    let counts = |name: &str| match reads {
        Reads::Settings | Reads::Rules => {
            name.strip_suffix(".conf").is_some() && !name.starts_with('.')
        }
        Reads::Nothing => true,
    };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io_error("list", dir, e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|e| io_error("list", dir, e))?.file_name();
        names.extend(name.to_str().filter(|name| counts(name)).map(str::to_owned));
    }
    Ok(names)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::postgres::conf;

    #[test]
    fn what_settings_and_rules_name_is_found() {
        let text = "include 'a.conf'\ninclude_dir = 'conf.d'\nINCLUDE_IF_EXISTS 'b.conf'\n\
                    hba_file = 'my_hba.conf'\nssl_key_file = 'k.pem'\nssl_ca_file = ''\nport = 1\n";
        let names = Names::of_settings(conf::entries(text));
        assert_eq!(names.beside, ["a.conf", "conf.d", "b.conf"]);
        let in_pgdata: Vec<&str> = names.in_pgdata.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(in_pgdata, ["my_hba.conf", "k.pem"]);

        let rules = "# @no\nlocal all all peer\nhost @dbs,\"@my users\" @users 10.0.0.0/8 md5 # @no\n\
                     include more.conf\ninclude_dir hba.d\n\"include\" 'x\n@\n";
        let names = Names::of_rules(rules);
        assert_eq!(names.beside, ["dbs", "my users", "users", "more.conf", "hba.d", "'x"]);
    }
}
