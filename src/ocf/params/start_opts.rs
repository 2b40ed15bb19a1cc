//! `start_opts`: more arguments for `postgres`, split without a shell. Floor 0.
//!
//! A setting on the command line wins over every file, so those that pgtwin writes itself, or has a
//! parameter for, are refused here. Errors never show a value: it may hold a secret.

use super::error::Problem;
use super::value::Parsed;

/// Letters of a postmaster that take an argument, as `getopt` knows them in PostgreSQL 13 to 18
/// (`-v` is for single-user mode, and `-o` of old).
const WITH_ARGUMENT: &str = "BcCDdfhkNprStW";
/// Letters that stand alone.
const ALONE: &str = "bEeFijlnOPsT";

/// Settings that belong to pgtwin or to another parameter, and what to use instead.
const OWNED: &[(&str, &str)] = &[
    ("config_file", "use the parameter config_file"),
    ("data_directory", "use the parameter pgdata"),
    ("hot_standby", "remove it; a standby must answer queries"),
    ("listen_addresses", "set listen_addresses in postgresql.conf"),
    ("max_slot_wal_keep_size", "use the parameter of this name"),
    ("port", "use the parameter pgport"),
    ("primary_conninfo", "remove it; pgtwin writes it"),
    ("primary_slot_name", "remove it; pgtwin writes it"),
    ("promote_trigger_file", "remove it; only Pacemaker promotes"),
    ("synchronous_standby_names", "remove it; pgtwin writes it"),
    ("unix_socket_directories", "use the parameter socket_dir"),
];

/// The arguments, one per element.
pub(super) fn start_opts(text: &str) -> Parsed<Vec<String>> {
    let words = split(text)?;
    check(&words)?;
    Ok(words)
}

/// Splits at blanks; single or double quotes keep blanks, and nothing else has a meaning.
pub(super) fn split(text: &str) -> Parsed<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c == ' ' => words.extend(word.take()),
            Some(_) | None => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(Problem::new(
            "a quote is opened and not closed",
            "close it; a quote of the other kind can stand between two quotes",
        ));
    }
    words.extend(word);
    Ok(words)
}

/// Walks over the words as `getopt` would.
fn check(words: &[String]) -> Parsed<()> {
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if let Some(long) = word.strip_prefix("--") {
            setting(long, "a long option has no =")?;
            continue;
        }
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            return Err(Problem::new(
                "a word is not an option",
                "write options as postgres takes them, such as -c work_mem=8MB",
            ));
        };
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            owned_letter(letter)?;
            if ALONE.contains(letter) {
                continue;
            }
            if !WITH_ARGUMENT.contains(letter) {
                return Err(Problem::new(
                    format!("postgres has no option -{}", letter.escape_debug()),
                    "see the manual page of postgres",
                ));
            }
            let attached = letters.as_str();
            let argument =
                if attached.is_empty() { rest.next().map(String::as_str) } else { Some(attached) };
            let Some(argument) = argument else {
                return Err(Problem::new(
                    format!("the option -{letter} lacks its argument"),
                    "write it after the option",
                ));
            };
            if letter == 'c' {
                setting(argument, "the argument of -c has no =")?;
            }
            break;
        }
    }
    Ok(())
}

fn owned_letter(letter: char) -> Parsed<()> {
    let instead = match letter {
        'D' => "use the parameter pgdata",
        'p' => "use the parameter pgport",
        'k' => "use the parameter socket_dir",
        'h' | 'i' => "set listen_addresses in postgresql.conf",
        'C' => "remove it; postgres would print a setting and exit",
        'b' | 'n' | 'r' | 'T' => "remove it; it is for upgrades and for PostgreSQL's developers",
        _ => return Ok(()),
    };
    Err(Problem::new(format!("the option -{letter} is pgtwin's to give"), instead))
}

/// `name=value`, in which `-` and `_` are the same, as is case.
fn setting(text: &str, no_value: &'static str) -> Parsed<()> {
    let Some((name, _)) = text.split_once('=') else {
        return Err(Problem::new(no_value, "write it as name=value"));
    };
    let name = name.to_ascii_lowercase().replace('-', "_");
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
    {
        return Err(Problem::new("a setting has no proper name", "write it as name=value"));
    }
    let owned = OWNED.iter().find(|(known, _)| *known == name);
    if let Some((_, instead)) = owned {
        return Err(Problem::new(format!("the setting {name} is pgtwin's to give"), *instead));
    }
    if name.starts_with("recovery_target") {
        return Err(Problem::new(
            format!("the setting {name} would end a standby's recovery"),
            "remove it; restore to a point in time outside of the cluster",
        ));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_at_blanks_and_kept_together_by_quotes() {
        let rows: &[(&str, &[&str])] = &[
            ("-B 100", &["-B", "100"]),
            ("  -B   100  ", &["-B", "100"]),
            ("-c work_mem=8MB -c a.b=c", &["-c", "work_mem=8MB", "-c", "a.b=c"]),
            ("-c log_line_prefix='%m [%p] '", &["-c", "log_line_prefix=%m [%p] "]),
            ("-c search_path='\"$user\", public'", &["-c", "search_path=\"$user\", public"]),
            ("--work-mem=8MB -s", &["--work-mem=8MB", "-s"]),
            ("-c cluster_name=$(reboot)", &["-c", "cluster_name=$(reboot)"]),
            ("-c cluster_name=''", &["-c", "cluster_name="]),
            ("-Fsd 3", &["-Fsd", "3"]),
        ];
        for (text, words) in rows {
            assert_eq!(start_opts(text).unwrap(), *words, "{text}");
        }
    }

    #[test]
    fn what_postgres_would_not_take_or_pgtwin_owns_is_refused() {
        let rows = [
            ("-c 'a=b", "quote"),
            ("-c \"a=b'", "quote"),
            ("work_mem=8MB", "not an option"),
            ("-", "not an option"),
            ("''", "not an option"),
            ("-c", "lacks its argument"),
            ("-B", "lacks its argument"),
            ("-c work_mem", "no ="),
            ("--single", "no ="),
            ("--check", "no ="),
            ("-c =1", "proper name"),
            ("-Z 1", "no option -Z"),
            ("-v 196608", "no option -v"),
            ("-o -F", "no option -o"),
            ("-\u{e9}", "no option"),
            ("-D /tmp", "pgdata"),
            ("-p5433", "pgport"),
            ("-Fp 5433", "pgport"),
            ("-k /tmp", "socket_dir"),
            ("-i", "listen_addresses"),
            ("-Fb", "upgrades"),
            ("-h '*'", "listen_addresses"),
            ("-C data_directory", "print a setting"),
            ("-c port=1", "pgport"),
            ("-cPORT=1", "pgport"),
            ("--Listen-Addresses=x", "listen_addresses"),
            ("-c synchronous_standby_names=", "pgtwin writes it"),
            ("-c primary_conninfo=host=x", "pgtwin writes it"),
            ("-c recovery_target_lsn=0/1", "recovery"),
        ];
        for (text, word) in rows {
            let problem = start_opts(text).unwrap_err();
            let line = format!("{}; {}", problem.why, problem.remedy);
            assert!(line.contains(word), "{text}: {line}");
        }
    }

    #[test]
    fn an_error_does_not_show_a_value() {
        let problem = start_opts("-c primary_conninfo='password=geheim'").unwrap_err();
        assert!(!format!("{problem:?}").contains("geheim"));
    }
}
