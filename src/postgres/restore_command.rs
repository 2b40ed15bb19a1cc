//! Where a restore_command takes its files from, as far as its text tells. Floor 0.
//!
//! Source: <https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-RESTORE-COMMAND>. It is a
//! line for a shell, which only PostgreSQL runs; here it is a text in which one word may end in `/%f`.

/// The directory of a command that copies from one, such as `cp /srv/archive/%f %p`. None: it is of
/// another kind, or its words would be changed by the shell.
pub fn directory(command: &str) -> Option<String> {
    let words = command.split([' ', '\t', '"', '\'', '=', ';', '&', '|', '<', '>', '(', ')']);
    let mut dirs = words.filter_map(|word| word.strip_suffix("/%f"));
    let dir = dirs.next()?;
    let plain = |c: char| c.is_alphanumeric() || "/._-+@:,".contains(c);
    let fits = dir.starts_with('/') && dir.chars().all(plain) && dirs.all(|other| other == dir);
    fits.then(|| dir.to_owned())
}

#[cfg(test)]
mod tests {
    use super::directory;

    #[test]
    fn the_directory_of_a_plain_copy_is_found_and_nothing_is_guessed() {
        for (command, expected) in [
            ("cp /srv/archive/%f %p", Some("/srv/archive")),
            ("cp \"/srv/archive/%f\" \"%p\"", Some("/srv/archive")),
            ("test -f /srv/a/%f && cp /srv/a/%f '%p'", Some("/srv/a")),
            ("install -m600 -T /srv/a.b-c_d/%f %p", Some("/srv/a.b-c_d")),
            ("cp /one/%f %p || cp /two/%f %p", None),
            ("cp archive/%f %p", None),
            ("cp $ARCHIVE/%f %p", None),
            ("cp /srv/*/%f %p", None),
            ("cp /srv/%r/%f %p", None),
            ("gunzip < /srv/archive/%f.gz > %p", None),
            ("pgbackrest --stanza=db archive-get %f \"%p\"", None),
            ("scp host:/srv/archive/%f %p", None),
            ("", None),
        ] {
            assert_eq!(directory(command).as_deref(), expected, "{command}");
        }
    }
}
