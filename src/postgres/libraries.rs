//! The libraries by which PostgreSQL sorts texts: which of them a program is linked to, and their versions.
//! Floor 0.
//!
//! An index over texts is only good for the collations that it was made with, and those are glibc's and
//! ICU's. The dynamic loader of glibc tells what a program is linked to when LD_TRACE_LOADED_OBJECTS is set
//! (`ldd` does no more), and its libc.so.6 tells its version when it is run: so both are learned in an image
//! that has nothing but PostgreSQL.

/// What a program is linked to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Libraries {
    /// The path of libc.so.6; none: it is not glibc's.
    pub libc: Option<String>,
    /// The major version of ICU.
    pub icu: Option<String>,
}

impl Libraries {
    /// Reads what the loader prints: `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f…)`.
    pub fn traced(text: &str) -> Self {
        let mut found = Self::default();
        for line in text.lines() {
            let Some((name, rest)) = line.trim().split_once(" => ") else { continue };
            let path = rest.split(" (").next().unwrap_or_default();
            if name == "libc.so.6" && is_path(path) {
                found.libc = Some(path.to_owned());
            }
            if let Some(version) = name.strip_prefix("libicui18n.so.")
                && !version.is_empty()
                && version.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            {
                found.icu = Some(version.to_owned());
            }
        }
        found
    }
}

/// It is run: so it must be what the loader would take, and nothing else.
fn is_path(text: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"/._-+".contains(&b);
    text.starts_with('/') && text.ends_with("/libc.so.6") && text.bytes().all(fine)
}

/// The version that libc.so.6 tells of itself: `GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release
/// version 2.36.` becomes `glibc 2.36`.
pub fn glibc(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("GNU C Library"))?;
    let (_, version) = line.rsplit_once("version ")?;
    let version = version.trim().trim_end_matches('.');
    let fine = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    fine.then(|| format!("glibc {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of PostgreSQL 15 on Debian 12, cut.
    const TRACED: &str = "\tlinux-vdso.so.1 (0x00007f334a48f000)\n\
        \tlibzstd.so.1 => /lib/x86_64-linux-gnu/libzstd.so.1 (0x00007f334a3c1000)\n\
        \tlibicui18n.so.72 => /lib/x86_64-linux-gnu/libicui18n.so.72 (0x00007fd6a5c43000)\n\
        \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007fd6a5791000)\n\
        \t/lib64/ld-linux-x86-64.so.2 (0x00007fd6a64d6000)\n";

    #[test]
    fn the_loader_tells_what_sorts_texts() {
        let found = Libraries::traced(TRACED);
        assert_eq!(found.libc.as_deref(), Some("/lib/x86_64-linux-gnu/libc.so.6"));
        assert_eq!(found.icu.as_deref(), Some("72"));
        for text in [
            "",
            "\tlibc.so.6 => not found\n",
            "\tlibc.so.6 => /tmp/x;reboot (0x1)\n",
            "\tlibc.so.6 => relative/libc.so.6 (0x1)\n",
            "\tlibc.musl-x86_64.so.1 => /lib/ld-musl-x86_64.so.1 (0x1)\n",
            "\tlibicui18n.so. => /x (0x1)\n\tlibicuuc.so.72 => /x (0x1)\n",
        ] {
            assert_eq!(Libraries::traced(text), Libraries::default(), "{text}");
        }
    }

    #[test]
    fn glibc_tells_its_version() {
        for (text, expected) in [
            (
                "GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.\nCopyright",
                Some("glibc 2.36"),
            ),
            ("GNU C Library (GNU libc) stable release version 2.38 (git).\n", None),
            (
                "GNU C Library (Ubuntu GLIBC 2.39-0ubuntu8) stable release version 2.39.\n",
                Some("glibc 2.39"),
            ),
            ("musl libc (x86_64)\nVersion 1.2.5\n", None),
            ("", None),
        ] {
            assert_eq!(glibc(text).as_deref(), expected, "{text}");
        }
    }
}
