//! How this node encrypts counts for every question to a peer, and outlives a promotion.

use std::time::Duration;

use pgtwin::client::peer::{Peer, PeerAnswer};
use pgtwin::decide::broken_replication::Cause;
use pgtwin::postgres::conninfo::Conninfo;

use crate::pair::Pair;
use crate::place::{await_primary, on_every_version, soon};

fn like(peer: &Peer, text: &str) -> Peer {
    Peer { like: Conninfo::parse(text).unwrap(), ..peer.clone() }
}

#[test]
fn a_peer_without_the_encryption_that_is_asked_for_is_not_believed() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        let limit = Duration::from_secs(20);
        let plain = like(&pair.peer, "host=other password=geheim sslmode=disable");
        let answer = pair.n2.identify_peer(&plain, limit);
        assert!(matches!(answer, PeerAnswer::Primary(_)), "{answer:?}");
        let encrypted = like(&pair.peer, "sslmode=require");
        let answer = pair.n2.identify_peer(&encrypted, limit);
        assert!(answer.to_string().contains("SSL"), "{answer:?}");
        let pair = Pair { peer: encrypted, ..pair };
        pair.n2.start(&soon()).unwrap();
        pair.standby();
        let diagnosis = pair.await_diagnosis(Cause::NotLetIn);
        assert!(diagnosis.to_string().contains("TLS with n1 fails"), "{diagnosis}");
    });
}

#[test]
fn a_promotion_clears_the_address_and_keeps_the_encryption() {
    on_every_version(|place| {
        let pair = Pair::new(place);
        let n2 = &pair.n2;
        let conninfo = n2.auto_conf_value("primary_conninfo").unwrap();
        let set = |text: &str| n2.set_auto_conf(&[("primary_conninfo", Some(text))]).unwrap();
        assert_eq!(n2.kept_login(), None, "nothing to keep in {conninfo}");
        set(&format!("{conninfo} sslmode=prefer sslrootcert='/a b'"));
        let expected = "sslmode=prefer sslrootcert='/a b'";
        let (name, kept) = n2.kept_login().unwrap();
        assert_eq!(kept, expected);
        n2.set_auto_conf(&[("primary_conninfo", Some("")), (&name, Some(&kept))]).unwrap();
        // PostgreSQL starts with it, and goes on with it.
        n2.start(&soon()).unwrap();
        pair.standby();
        n2.promote().unwrap();
        await_primary(n2);
        n2.await_setting(&name, expected, &soon()).unwrap();
        assert_eq!(n2.login_like().to_text(), expected);
        assert_eq!(n2.kept_login(), Some((name, kept)));
        // What the administrator says next holds.
        set(&format!("{conninfo} sslmode=require"));
        assert_eq!(n2.login_like().get("sslrootcert"), None);
    });
}
