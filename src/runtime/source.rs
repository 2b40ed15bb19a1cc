//! The server that a copy is made from, and how PostgreSQL's own tools log in there. Floor 2.

use crate::client::peer::Peer;
use crate::postgres::conninfo::Conninfo;

/// What an administrator may have said of the connection, in primary_conninfo. No keyword that holds
/// a secret is among them: a connection string of a tool is seen by everybody on this machine.
const CARRIED: [&str; 17] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslcrl",
    "sslcrldir",
    "sslsni",
    "sslnegotiation",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "sslcertmode",
    "channel_binding",
    "require_auth",
    "gssencmode",
    "krbsrvname",
    "tcp_user_timeout",
    "keepalives_idle",
];

/// Where a copy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it listens, and the role, with its passfile.
    pub peer: Peer,
    /// The primary_conninfo of this node, or nothing: TLS and the like are taken from it.
    pub like: Conninfo,
}

impl Source {
    /// The connection string for a tool that calls itself so.
    pub(super) fn conninfo(&self, database: &str, application_name: &str) -> Conninfo {
        let mut conninfo = Conninfo::new();
        conninfo.set("host", &self.peer.host);
        conninfo.set("port", &self.peer.port.to_string());
        conninfo.set("user", &self.peer.user);
        conninfo.set("dbname", database);
        if let Some(passfile) = &self.peer.passfile {
            conninfo.set("passfile", passfile);
        }
        conninfo.set("application_name", application_name);
        conninfo.set("connect_timeout", "10");
        // A source that died says nothing: a copy would wait until its own deadline.
        conninfo.set("keepalives_idle", "20");
        conninfo.set("keepalives_interval", "10");
        conninfo.set("keepalives_count", "3");
        for keyword in CARRIED {
            if let Some(value) = self.like.get(keyword) {
                conninfo.set(keyword, value);
            }
        }
        conninfo
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_carried_over_and_no_secret_is() {
        let peer = Peer {
            host: "n2".into(),
            port: 5433,
            user: "replicator".into(),
            passfile: Some("/etc/pg pass".into()),
        };
        let like = "host=n9 password=hunter2 sslpassword=x sslmode=verify-full sslrootcert=/ca";
        let like = Conninfo::parse(like).unwrap();
        let text = Source { peer, like }.conninfo("postgres", "pgtwin_rewind").to_text();
        for part in [
            "host=n2 port=5433 user=replicator dbname=postgres passfile='/etc/pg pass'",
            "application_name=pgtwin_rewind",
            "sslmode=verify-full",
            "sslrootcert=/ca",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("password=") && !text.contains("n9"), "{text}");
    }
}
