//! What a primary's own configuration says of the standbys that have to reach it.

use std::collections::BTreeSet;

use pgtwin::cluster::known::Known;
use pgtwin::decide::reach::{Facts, Member, kept_out, obstacles};
use pgtwin::runtime::instance::Postgres;

use crate::place::{on_every_version, soon, sql, started_primary};

fn member(name: &str, address: &str) -> Member {
    let resolved = Known::Known(vec![address.parse().unwrap()]);
    Member { node: name.parse().unwrap(), address: address.into(), resolved }
}

/// n1, asked for what it has, in a cluster with n2 and n3.
fn seen(n1: &Postgres<'_>) -> Vec<String> {
    let hba = n1.hba_facts("repl:icator", &BTreeSet::new(), &soon()).into_result().unwrap();
    let facts = Facts {
        me: member("n1", "192.0.2.1"),
        port: 5432,
        user: "repl:icator".into(),
        listen: n1.setting("listen_addresses"),
        rules: Known::Known(hba.rules),
        around: hba.around,
        agent: hba.agent,
        others: vec![member("n2", "192.0.2.2"), member("n3", "2001:db8::3")],
        streaming: BTreeSet::new(),
        missing_slots: Vec::new(),
    };
    let words = obstacles(&facts);
    // What makes the primary degraded is among them, and nothing else of pg_hba.conf is.
    let of_hba: Vec<&String> = words.iter().filter(|line| line.contains("pg_hba.conf")).collect();
    assert_eq!(kept_out(&facts).iter().collect::<Vec<_>>(), of_hba);
    words
}

#[test]
fn what_keeps_standbys_out_is_named_and_gone_once_its_remedy_is_followed() {
    on_every_version(|place| {
        let (n1, _) = started_primary(place, "n1");
        let hba = place.path("n1").join("pg_hba.conf");
        let words = seen(&n1);
        assert_eq!(words.len(), 5, "{words:#?}");
        assert!(words[0].contains("listen_addresses here is '127.0.0.1'"), "{words:#?}");
        for line in &words[1..] {
            let (_, line) = line.split_once("reload: ").unwrap();
            place.append(&hba, &format!("{line}\n"));
        }
        assert_eq!(seen(&n1).len(), 1, "{:#?}", seen(&n1));
        sql(&n1, "ALTER SYSTEM SET listen_addresses = '*'");
        n1.stop(&soon()).unwrap();
        n1.start(&soon()).unwrap();
        crate::place::await_primary(&n1);
        assert_eq!(seen(&n1), [""; 0]);
        place.append(&hba, "host all all 999.0.0.1/8 md5\n");
        let words = seen(&n1);
        assert!(words.len() == 1 && words[0].contains("999.0.0.1"), "{words:#?}");
    });
}
