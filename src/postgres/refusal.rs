//! Why a server let nobody in, read from the words of libpq and the server. Floor 0.
//!
//! Source: PostgreSQL's `src/backend/libpq/auth.c`, `utils/init/postinit.c` and libpq's
//! `fe-connect.c`, versions 13 to 18, with English messages. A server that speaks another language
//! before a session has begun ends as [`Refusal::Other`].

use std::net::IpAddr;

/// Why a login failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The password is wrong, or the role does not exist or has no password: a server that asks for
    /// passwords does not tell these apart.
    WrongPassword,
    /// It asks for a password, and libpq found none to give.
    NoPassword,
    /// The role does not exist; said where no password is asked for.
    NoRole,
    /// The role has no LOGIN.
    NoLogin,
    /// The role has no REPLICATION.
    NoReplication,
    /// The role has no CONNECT on the database.
    NoConnect,
    /// The database does not exist, or takes no connections.
    NoDatabase,
    /// No line of pg_hba.conf fits.
    NoHbaLine(Option<SeenAs>),
    /// A line of pg_hba.conf with `reject` fits.
    HbaRejects(Option<SeenAs>),
    /// Certificates or encryption.
    Tls,
    /// Another way to authenticate (peer, ident, LDAP, …) said no.
    Method,
    /// Something else, in its own words.
    Other(String),
}

/// As whom the server sees the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenAs {
    /// By its unix socket.
    Local,
    /// From this address.
    Address(IpAddr),
}

impl Refusal {
    /// Reads the words of a failed connection; there may be those of several attempts (with TLS and
    /// without), and what tells most counts.
    pub fn of(words: &str) -> Self {
        let says = |part: &str| words.contains(part);
        let role = |end: &str| {
            words.match_indices("role \"").any(|(at, _)| {
                let quoted = words.get(at..).and_then(|rest| rest.split('"').nth(2));
                quoted.is_some_and(|rest| rest.starts_with(end))
            })
        };
        if says("password authentication failed") {
            Self::WrongPassword
        } else if says("no password supplied") || says("requires a password") {
            Self::NoPassword
        } else if role(" does not exist") {
            Self::NoRole
        } else if role(" is not permitted to log in") {
            Self::NoLogin
        } else if says("must be superuser or replication role to start walsender")
            || says("permission denied to start WAL sender")
        {
            Self::NoReplication
        } else if says("permission denied for database") {
            Self::NoConnect
        } else if says("FATAL:  database \"") {
            Self::NoDatabase
        } else if says("authentication failed for user") {
            Self::Method
        } else if says("pg_hba.conf rejects") {
            Self::HbaRejects(seen_as(words))
        } else if says("no pg_hba.conf entry") {
            Self::NoHbaLine(seen_as(words))
        } else if says("certificate") || says("SSL error") || says("does not support SSL") {
            Self::Tls
        } else {
            Self::Other(words.to_owned())
        }
    }
}

/// The client as `pg_hba.conf` messages name it: `host "192.0.2.7"` or `host "[local]"`.
fn seen_as(words: &str) -> Option<SeenAs> {
    let (_, rest) = words.split_once("host \"")?;
    let (host, _) = rest.split_once('"')?;
    if host == "[local]" {
        return Some(SeenAs::Local);
    }
    // A link-local address comes with its interface.
    let address = host.split('%').next().unwrap_or(host);
    address.parse().ok().map(SeenAs::Address)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_every_version_are_told_apart() {
        let from = |text: &str| Some(SeenAs::Address(text.parse().unwrap()));
        for (words, expected) in [
            ("FATAL:  password authentication failed for user \"r\"", Refusal::WrongPassword),
            ("fe_sendauth: no password supplied", Refusal::NoPassword),
            ("FATAL:  role \"r\" does not exist", Refusal::NoRole),
            ("FATAL:  role \"r\" is not permitted to log in", Refusal::NoLogin),
            (
                "FATAL:  must be superuser or replication role to start walsender",
                Refusal::NoReplication,
            ),
            (
                "FATAL:  permission denied to start WAL sender; DETAIL:  Only roles with the \
                 REPLICATION attribute may start a WAL sender process.",
                Refusal::NoReplication,
            ),
            ("FATAL:  permission denied for database \"postgres\"", Refusal::NoConnect),
            ("FATAL:  database \"postgres\" does not exist", Refusal::NoDatabase),
            (
                "FATAL:  database \"postgres\" is not currently accepting connections",
                Refusal::NoDatabase,
            ),
            ("FATAL:  Peer authentication failed for user \"r\"", Refusal::Method),
            ("SSL error: certificate verify failed", Refusal::Tls),
            ("FATAL:  connection requires a valid client certificate", Refusal::Tls),
            ("server does not support SSL, but SSL was required", Refusal::Tls),
            (
                "FATAL:  no pg_hba.conf entry for replication connection from host \"192.0.2.7\", \
                 user \"r\", SSL off",
                Refusal::NoHbaLine(from("192.0.2.7")),
            ),
            (
                "FATAL:  no pg_hba.conf entry for host \"fe80::1%eth0\", user \"r\", database \
                 \"postgres\", no encryption",
                Refusal::NoHbaLine(from("fe80::1")),
            ),
            (
                "FATAL:  no pg_hba.conf entry for host \"[local]\", user \"r\", database \
                 \"postgres\", no encryption",
                Refusal::NoHbaLine(Some(SeenAs::Local)),
            ),
            (
                "FATAL:  pg_hba.conf rejects connection for host \"192.0.2.7\", user \"r\", \
                 database \"postgres\", SSL encryption",
                Refusal::HbaRejects(from("192.0.2.7")),
            ),
            ("FATAL:  no pg_hba.conf entry for host \"?\", user", Refusal::NoHbaLine(None)),
            ("FATAL:  kaputt", Refusal::Other("FATAL:  kaputt".to_owned())),
        ] {
            assert_eq!(Refusal::of(words), expected, "{words}");
        }
    }

    #[test]
    fn of_two_attempts_the_one_that_tells_more_counts() {
        let words = "connection failed: FATAL:  password authentication failed for user \"r\"; \
             connection failed: FATAL:  no pg_hba.conf entry for host \"192.0.2.7\", user \"r\"";
        assert_eq!(Refusal::of(words), Refusal::WrongPassword);
    }
}
