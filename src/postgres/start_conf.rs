//! Debian's `start.conf`: whether the distribution starts a database at boot by itself. Floor 0.
//!
//! Source: the manual pages pg_createcluster(1) and pg_ctlcluster(1) of postgresql-common.

/// Whether a database with this `start.conf` (none: the file is missing) is started at boot. Only the
/// two words that are known to keep it from starting do: what cannot be read may start it.
pub fn starts_at_boot(start_conf: Option<&str>) -> bool {
    let word = start_conf.unwrap_or_default().lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default().trim();
        (!line.is_empty()).then_some(line)
    });
    !matches!(word, Some("manual" | "disabled"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_manual_and_disabled_keep_a_database_from_starting_at_boot() {
        for (text, starts) in [
            (None, true),
            (Some(""), true),
            (Some("# Automatic startup configuration\n#   auto, manual, disabled\n\nauto\n"), true),
            (Some("# Automatic startup configuration\n#   auto: yes\n\ndisabled\n"), false),
            (Some("  manual   # by hand\n"), false),
            (Some("auto\ndisabled\n"), true),
            (Some("disabeld\n"), true),
        ] {
            assert_eq!(starts_at_boot(text), starts, "{text:?}");
        }
    }
}
