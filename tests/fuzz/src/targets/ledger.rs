//! The ledger: files, entries, acknowledgements, and what members publish for an election.

use pgtwin::cluster::ledger::{Ack, Entry, Own, PromotionId, Slot, Store, names, parse_names};
use pgtwin::cluster::node::NodeName;
use pgtwin::cluster::position::{Publication, Shutdown};
use pgtwin::cluster::sealed::{seal, unseal};
use pgtwin::decide::publication;

use crate::{Target, halves, text};

const ENTRY: &str = "term=3 seq=2 id=00000000000000aa primary=n1 timeline=2 mode=sync heirs=n2,n3 \
     system=7301234567890123456 history=00000000000000a9@1";
const ADOPTED: &str = "term=9 seq=1 id=0000000000000001 primary=n2 timeline=7 mode=async heirs=- \
     system=1 history=- adopted=5,6";

fn node() -> NodeName {
    "n1".parse().unwrap()
}

pub const OWN_FILE: Target = Target {
    name: "ledger_file",
    run: a_ledger_file_is_read_back,
    captured: &[],
    seeds: &[
        "pgtwin-ledger 1\nresource db\nnode n1\nfollowed 00000000000000aa\ndone term=3 seq=2 \
         id=00000000000000aa primary=n1 timeline=2 mode=sync heirs=n2,n3 system=7301234567890123456 \
         history=00000000000000a9@1\nintent term=4 seq=1 id=00000000000000ab primary=n2 timeline=2 mode=sync \
         heirs=- system=7301234567890123456 history=00000000000000aa@2\n",
        "pgtwin-ledger 1\nresource db\nnode n1\nadopting 0000000000000001\ndone term=9 seq=1 \
         id=0000000000000001 primary=n2 timeline=7 mode=async heirs=- system=1 history=- adopted=5,6\n",
        "pgtwin-ledger 1\nresource db\nnode n1\n",
    ],
};

fn a_ledger_file_is_read_back(data: &[u8]) {
    let given = text(data).into_owned();
    // As it is, and with a sum that fits: the damage of a disk, and that of a program.
    if let Ok(body) = unseal(&given) {
        assert!(given.starts_with(body));
    }
    let sealed = seal(given.clone());
    assert_eq!(unseal(&sealed), Ok(&*given));
    for file in [&given, &sealed] {
        let Ok(own) = Own::parse(file, "db", &node()) else { continue };
        assert_eq!(Own::parse(&own.to_text(), "db", &node()).as_ref(), Ok(&own));
        assert_eq!((own.resource.as_str(), &own.node), ("db", &node()));
        assert!(Own::parse(&own.to_text(), "other", &node()).is_err());
        assert!(Own::parse(&own.to_text(), "db", &"n2".parse().unwrap()).is_err());
        sound(&own.store);
        let mut own = own;
        own.carried_out(&node(), None);
        assert_eq!(Own::parse(&own.to_text(), "db", &node()).as_ref(), Ok(&own));
        // One bit of a sealed file that is another one.
        let mut bytes = own.to_text().into_bytes();
        let at = given.len() % bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(at).filter(|byte| **byte != b'\n') {
            *byte ^= 1;
            assert!(Own::parse(&text(&bytes), "db", &node()).is_err());
        }
    }
}

/// What the rules of a store are.
fn sound(store: &Store) {
    let high = store.newest_done().map_or(0, |entry| entry.term);
    for (primary, slot) in store.slots() {
        for entry in slot.done.iter().chain(&slot.intent) {
            assert!(
                entry.primary == *primary && entry.term >= high && !entry.heirs.contains(primary)
            );
            assert!(entry.term <= 1 << 62 && entry.seq <= 1 << 62);
        }
        if let (Some(done), Some(intent)) = (&slot.done, &slot.intent) {
            assert!(intent.key() > done.key());
        }
    }
    assert_eq!(store.merged(store, None), *store);
}

pub const ENTRIES: Target = Target {
    name: "ledger_entries",
    run: entries_are_read_back_and_merge_both_ways,
    captured: &[],
    seeds: &[ENTRY, ADOPTED, "00000000000000aa.3.2", "00000000000000aa", "n1,n2", "-", SLOTS],
};

const SLOTS: &str = "done term=3 seq=2 id=00000000000000aa primary=n1 timeline=2 mode=sync heirs=n2 \
     system=7 history=-; intent term=4 seq=1 id=00000000000000ab primary=n1 timeline=2 mode=sync heirs=- \
     system=7 history=-\0done term=4 seq=1 id=00000000000000ac primary=n2 timeline=3 mode=sync heirs=- \
     system=7 history=00000000000000aa@2";

fn entries_are_read_back_and_merge_both_ways(data: &[u8]) {
    let (one, other) = halves(data);
    if let Ok(entry) = one.parse::<Entry>() {
        assert_eq!(entry.to_string().parse().as_ref(), Ok(&entry));
        assert!(!entry.to_string().contains(['\n', ';', '|']));
        let next = entry.with_heirs(entry.heirs.clone(), 7);
        assert!(next.key() > entry.key() && next.descends_from(entry.id));
        assert_eq!(entry.ack().to_string().parse(), Ok(entry.ack()));
    }
    if let Ok(ack) = one.parse::<Ack>() {
        assert_eq!(ack.to_string().parse(), Ok(ack));
    }
    if let Ok(id) = one.parse::<PromotionId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    if let Ok(nodes) = parse_names(&one) {
        assert_eq!(parse_names(&names(&nodes)).as_ref(), Ok(&nodes));
    }
    let slot = |text: &str| text.parse::<Slot>().ok();
    let (Some(one), Some(other)) = (slot(&one), slot(&other)) else { return };
    assert_eq!(one.to_string().parse().as_ref(), Ok(&one));
    let store = |slot: &Slot| {
        let mut store = Store::default();
        if let Some(entry) = slot.done.as_ref().or(slot.intent.as_ref()) {
            store.replace_slot(&entry.primary, slot.clone());
        }
        sound(&store);
        store
    };
    let (one, other) = (store(&one), store(&other));
    let (there, back) = (one.merged(&other, None), other.merged(&one, None));
    sound(&there);
    sound(&back);
    assert_eq!(there.max_term(), back.max_term());
    assert_eq!(there.merged(&other, None), there, "twice is once");
    let mine = one.merged(&other, Some(&node()));
    assert!(mine.intent(&node()).is_none_or(|entry| one.intent(&node()) == Some(entry)));
    assert!(mine.done(&node()).is_none_or(|entry| one.done(&node()) == Some(entry)));
}

pub const PUBLICATION: Target = Target {
    name: "publication",
    run: what_is_published_is_read_back,
    captured: &[],
    seeds: &[
        "none",
        "exact system=7301234567890123456 line=1@0/3000148,2 lsn=0/40000A0 followed=00000000000000aa \
         primary=0/5000000 | done term=3 seq=2 id=00000000000000aa primary=n1 timeline=2 mode=sync heirs=n2 \
         system=7301234567890123456 history=-",
        "at-least system=1 line=1 lsn=0/1 | intent term=1 seq=1 id=0000000000000001 primary=n2 timeline=1 \
         mode=sync heirs=- system=1 history=- | done term=1 seq=1 id=0000000000000002 primary=n3 timeline=1 \
         mode=async heirs=n1 system=1 history=-",
        "00000000000000aa 2 0/40000A0",
    ],
};

fn what_is_published_is_read_back(data: &[u8]) {
    let given = text(data);
    if let Ok(said) = given.parse::<Publication>() {
        assert_eq!(said.to_string().parse().as_ref(), Ok(&said));
        assert!(!said.to_string().contains('\n'));
        if let Publication::Data(member) = &said {
            sound(&member.store);
            let newest = member.store.newest_done().map(|entry| entry.id);
            assert!(publication::heard(&given, newest).known().is_some());
        }
    }
    if let Ok(end) = given.parse::<Shutdown>() {
        assert_eq!(end.to_string().parse().as_ref(), Ok(&end));
    }
}
