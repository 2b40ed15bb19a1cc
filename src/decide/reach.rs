//! Whether the standbys will reach a primary: what its own configuration says, before one of them
//! fails to. Floor 1.
//!
//! Only what is certainly wrong is said. What pg_hba.conf leaves to TLS, groups or names, and addresses
//! that cannot be resolved, are no reason to wake somebody.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::cluster::known::Known;
use crate::cluster::node::NodeName;
use crate::decide::pghba::OwnAgent;
use crate::postgres::hba::{
    self, Admission, Attempt, Channel, Origin, Rule, Surroundings, Target, admits,
};

/// Where one fails to reach another, it is nearly always one of these.
pub const USUAL_CAUSES: &str = "usual causes: listen_addresses there, pg_hba.conf there, a firewall \
     between the nodes";

/// A member and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its node.
    pub node: NodeName,
    /// By which name or address it is reached.
    pub address: String,
    /// The addresses that this means.
    pub resolved: Known<Vec<IpAddr>>,
}

/// What a primary knows of itself.
#[derive(Clone, Debug)]
pub struct Facts {
    /// It.
    pub me: Member,
    /// Its port.
    pub port: u16,
    /// The role for replication.
    pub user: String,
    /// `listen_addresses`.
    pub listen: Known<String>,
    /// The lines of pg_hba.conf.
    pub rules: Known<Vec<Rule>>,
    /// What decides over a login besides the lines.
    pub around: Surroundings,
    /// Who asks this server for its position.
    pub agent: OwnAgent,
    /// The other members.
    pub others: Vec<Member>,
    /// Members that stream now: they have come in.
    pub streaming: BTreeSet<NodeName>,
    /// Slots of other members that are missing.
    pub missing_slots: Vec<String>,
}

/// What keeps standbys out, one line each.
#[must_use]
pub fn obstacles(facts: &Facts) -> Vec<String> {
    let mut words = Vec::new();
    if facts.others.is_empty() {
        return words;
    }
    if facts.streaming.is_empty()
        && let Known::Known(listen) = &facts.listen
    {
        words.extend(not_listening(&facts.me, facts.port, listen));
    }
    words.extend(kept_out(facts));
    if !facts.missing_slots.is_empty() {
        words.push(format!(
            "standbys have no slot here: {} (is max_replication_slots reached?)",
            facts.missing_slots.join(", ")
        ));
    }
    words
}

/// Why `me` is not reached at its port, if it surely is not, by its `listen_addresses`.
pub(crate) fn not_listening(me: &Member, port: u16, listen: &str) -> Option<String> {
    let mine: Vec<IpAddr> = match &me.resolved {
        Known::Known(mine) => mine.clone(),
        Known::Unknown(_) => Vec::new(),
    };
    let covers = |entry: &str| match entry.parse::<IpAddr>() {
        Ok(IpAddr::V4(at)) if at.is_unspecified() => {
            mine.is_empty() || mine.iter().any(IpAddr::is_ipv4)
        }
        Ok(IpAddr::V6(at)) if at.is_unspecified() => {
            mine.is_empty() || mine.iter().any(IpAddr::is_ipv6)
        }
        Ok(at) if at.is_loopback() => mine.contains(&at),
        // Where one's own address is not known, any address of a machine may be it.
        Ok(at) => mine.is_empty() || mine.contains(&at),
        Err(_) if entry == "localhost" => me.address == "localhost",
        // `*`, or a name.
        Err(_) => true,
    };
    let entries = listen.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    if entries.into_iter().any(covers) {
        return None;
    }
    Some(format!(
        "standbys cannot connect to {} port {}: listen_addresses here is '{listen}'; set it to '*', \
         which takes a restart",
        me.address, port
    ))
}

/// Whom pg_hba.conf keeps out, one line each with the line to add: a failover would not heal.
#[must_use]
pub fn kept_out(facts: &Facts) -> Vec<String> {
    let mut words = Vec::new();
    let Known::Known(rules) = &facts.rules else { return words };
    let mut errors = rules.iter().filter_map(|rule| Some((rule.line, rule.broken()?)));
    if let Some((line, error)) = errors.next() {
        words.push(format!(
            "PostgreSQL cannot read line {line} of pg_hba.conf ({error}), and goes on with the lines it \
             had: correct it and reload"
        ));
        return words;
    }
    let OwnAgent { user, around } = &facts.agent;
    let own = Attempt { target: Target::Replication, user, origin: Origin::Socket };
    if matches!(admits(rules, &own, around), Admission::Rejected(_) | Admission::NoLine) {
        words.push(format!(
            "pg_hba.conf does not let the agent ask its own server for its position: put before the \
             other lines, and reload: {}",
            hba::local_line("replication", user)
        ));
    }
    for Member { node, resolved, .. } in &facts.others {
        let Known::Known(addresses) = resolved else { continue };
        let addresses: Vec<IpAddr> =
            addresses.iter().copied().filter(|address| !address.is_loopback()).collect();
        let Some(first) = addresses.first() else { continue };
        for (target, database) in
            [(Target::Replication, "replication"), (Target::POSTGRES, "postgres")]
        {
            if target == Target::Replication && facts.streaming.contains(node) {
                continue;
            }
            let of = |address: &IpAddr| {
                let origin = Origin::Tcp(*address, Channel::Unknown);
                admits(rules, &Attempt { target, user: &facts.user, origin }, &facts.around)
            };
            let all: Vec<Admission<'_>> = addresses.iter().map(of).collect();
            // It may come from any of its addresses.
            let out =
                |one: &Admission<'_>| matches!(one, Admission::Rejected(_) | Admission::NoLine);
            if !all.iter().all(out) {
                continue;
            }
            let add = hba::line(database, &facts.user, &first.to_string());
            words.push(match all.first() {
                Some(Admission::Rejected(Rule { line, .. })) => format!(
                    "line {line} of pg_hba.conf keeps {node} ({first}) out of {database}: put before \
                     it, and reload: {add}"
                ),
                _ => format!(
                    "pg_hba.conf has no line that lets {node} ({first}) in for {database}: add, and \
                     reload: {add}"
                ),
            });
        }
    }
    words
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn member(name: &str, address: &str) -> Member {
        let resolved = match address.parse() {
            Ok(ip) => Known::Known(vec![ip]),
            Err(_) => Known::unknown("no resolver"),
        };
        Member { node: name.parse().unwrap(), address: address.into(), resolved }
    }

    fn rules(lines: &[&str]) -> Known<Vec<Rule>> {
        let own = "local {replication,all} {all}   peer";
        let text: Vec<String> = lines
            .iter()
            .chain([&own])
            .enumerate()
            .map(|(index, row)| format!("{}\t{}\t", index + 1, row.replace(' ', "\t")))
            .collect();
        Known::Known(hba::parse_rows(&text.join("\n")).unwrap())
    }

    fn facts() -> Facts {
        Facts {
            me: member("n1", "10.0.0.1"),
            port: 5432,
            user: "repl".into(),
            listen: Known::Known("*".into()),
            rules: rules(&["host {all,replication} {repl} 10.0.0.0 255.255.255.0 md5"]),
            around: Surroundings::unknown("not asked"),
            agent: OwnAgent { user: "postgres".into(), around: Surroundings::unknown("not asked") },
            others: vec![member("n2", "10.0.0.2"), member("n3", "10.0.0.3")],
            streaming: BTreeSet::new(),
            missing_slots: Vec::new(),
        }
    }

    #[test]
    fn a_server_that_listens_only_where_no_standby_comes_is_named() {
        for (listen, address, covered) in [
            ("*", "10.0.0.1", true),
            ("0.0.0.0", "10.0.0.1", true),
            ("0.0.0.0", "fd00::1", false),
            ("::", "fd00::1", true),
            ("::", "10.0.0.1", false),
            ("localhost, 10.0.0.1", "10.0.0.1", true),
            ("localhost", "10.0.0.1", false),
            ("127.0.0.1,::1", "n1.example", false),
            ("", "10.0.0.1", false),
            ("10.0.0.9", "10.0.0.1", false),
            ("10.0.0.9", "n1.example", true),
            ("n1.example", "10.0.0.1", true),
        ] {
            let facts =
                Facts { listen: Known::Known(listen.into()), me: member("n1", address), ..facts() };
            let said = obstacles(&facts).join("\n");
            assert_eq!(said.is_empty(), covered, "{listen} for {address}: {said}");
            assert!(covered || said.contains("listen_addresses here is"), "{said}");
        }
        let unknown = Facts { listen: Known::unknown("busy"), ..facts() };
        assert!(obstacles(&unknown).is_empty());
    }

    #[test]
    fn a_member_that_pg_hba_keeps_out_is_named_with_the_line_to_add() {
        const N2: &str = "host {all,replication} {repl} 10.0.0.2 255.255.255.255 md5";
        let said = |lines: &[&str]| obstacles(&Facts { rules: rules(lines), ..facts() }).join("\n");
        assert_eq!(said(&[N2, "host {all,replication} {all} samenet  md5"]), "");
        let without = said(&[N2]);
        for line in ["host  replication  repl  10.0.0.3/32", "host  postgres  repl  10.0.0.3/32"] {
            assert!(without.contains(line) && !without.contains("10.0.0.2"), "{without}");
        }
        let rejected = said(&["host {replication} {all} 10.0.0.3 255.255.255.255 reject", N2]);
        assert!(rejected.contains("line 1 of pg_hba.conf keeps n3 (10.0.0.3) out"), "{rejected}");
        let locals = "host\t{all,replication}\t{all}\tall\t\tmd5\t\n";
        for (local, out) in [
            ("{all}\t{all}\t\t\tpeer", true),
            ("{replication}\t{all}\t\t\treject", true),
            ("{replication}\t{postgres}\t\t\tpeer", false),
            // Whether it is a member is not known here.
            ("{replication}\t{+dba}\t\t\tpeer", false),
        ] {
            let text = format!("1\t{locals}2\tlocal\t{local}\t\n");
            let rules = Known::Known(hba::parse_rows(&text).unwrap());
            let said = obstacles(&Facts { rules, ..facts() }).join("\n");
            assert_eq!(said.contains("local  replication  postgres  peer"), out, "{local}: {said}");
        }
        let broken = "7\t\t\t\t\t\t\tinvalid IP address";
        let broken = Known::Known(hba::parse_rows(broken).unwrap());
        let said = obstacles(&Facts { rules: broken, ..facts() });
        assert!(said.len() == 1 && said[0].contains("line 7 of pg_hba.conf"), "{said:?}");
    }

    #[test]
    fn whoever_streams_has_come_in_and_what_is_not_known_is_not_said() {
        let streaming = BTreeSet::from(["n2".parse().unwrap(), "n3".parse().unwrap()]);
        let inside = Facts {
            streaming,
            listen: Known::Known("localhost".into()),
            rules: rules(&["host {all} {repl} all  md5"]),
            ..facts()
        };
        assert_eq!(obstacles(&inside), [""; 0]);
        for others in [vec![], vec![member("n2", "n2.example")], vec![member("n2", "127.0.1.1")]] {
            let facts = Facts { others, rules: rules(&[]), ..facts() };
            assert_eq!(obstacles(&facts), [""; 0]);
        }
        let unknown = Facts { rules: Known::unknown("busy"), ..facts() };
        assert_eq!(obstacles(&unknown), [""; 0]);
        let slots = Facts { missing_slots: vec!["ha_slot_n3".into()], ..facts() };
        assert!(obstacles(&slots)[0].contains("ha_slot_n3"));
    }
}
