//! What a member says of itself, and what of that the others believe. Floor 1.
//!
//! An election needs all of E: what cannot be measured, or might not be all, is not said, and what was said
//! before the last promotion is not heard.

use std::collections::BTreeMap;

use crate::cluster::known::Known;
use crate::cluster::ledger::{Ack, Entry, Own, PromotionId, Slot, Store};
use crate::cluster::node::NodeName;
use crate::cluster::position::Publication;
use crate::cluster::recovery::Kept;
use crate::decide::election::Obstacle;
use crate::decide::facts::{DataDir, Instance, Process, Sql, StandbyFacts};
use crate::postgres::lsn::Lsn;

/// Why the own file says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It is not there, and there is a ledger elsewhere.
    Missing,
    /// It cannot be read.
    Unreadable(String),
    /// It is about other data than there is: an operator has begun to adopt that.
    Unfinished(String),
}

impl Lost {
    /// Why a member in this state is silent.
    pub fn silence(self) -> String {
        match self {
            Self::Missing => "its ledger file is missing".to_owned(),
            Self::Unreadable(why) => format!("its ledger file is unreadable: {why}"),
            Self::Unfinished(why) => why,
        }
    }

    /// Why it may not be promoted.
    pub fn obstacle(self) -> Obstacle {
        Obstacle::OwnLedgerUnknown(match self {
            Self::Missing => "it is missing".to_owned(),
            Self::Unreadable(why) | Self::Unfinished(why) => why,
        })
    }
}

/// What the own file says for a member that judges or speaks with it: where nobody was ever promoted, a file
/// that is not there is one that never was.
pub fn file_or_first(
    file: &Kept<Own>,
    ever_promoted: bool,
    resource: &str,
    me: &NodeName,
) -> Result<Own, Lost> {
    match file {
        Kept::Read(own) => match own.unfinished() {
            None => Ok(own.clone()),
            Some(why) => Err(Lost::Unfinished(why)),
        },
        Kept::Missing if !ever_promoted => Ok(Own::new(resource, me)),
        Kept::Missing => Err(Lost::Missing),
        Kept::Unreadable(why) => Err(Lost::Unreadable(why.clone())),
    }
}

/// Whether anybody was ever promoted, by the CIB. One that is not known may say so.
#[must_use]
pub fn ever_promoted(cib: &Known<Store>) -> bool {
    match cib {
        Known::Known(store) => store.newest_done().is_some(),
        Known::Unknown(_) => true,
    }
}

/// What a member may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// Nothing, for this reason.
    Nothing(String),
    /// That it has no database; unless its data may be on a file system that is not there.
    NoDataIfMounted,
    /// How far it is, with this ledger.
    Position(Box<Own>),
}

/// What a member may say. `whole`: no recovery of its data has ended half way. `ever`: somebody was promoted
/// once, by the CIB.
#[must_use]
pub fn says(
    whole: bool,
    instance: &Instance,
    file: &Kept<Own>,
    ever: bool,
    resource: &str,
    me: &NodeName,
) -> Says {
    if !whole {
        return Says::Nothing("a recovery of its data has not ended".to_owned());
    }
    let empty = matches!(instance.data, DataDir::Absent | DataDir::Empty);
    if instance.process == Process::None && empty {
        return Says::NoDataIfMounted;
    }
    match file_or_first(file, ever, resource, me) {
        Err(lost) => Says::Nothing(lost.silence()),
        // Whoever hears a member takes its intent for resolved: one that is not keeps silent.
        Ok(own) if own.store.intent(me).is_some() => {
            Says::Nothing("its own promotion has not come to its end".to_owned())
        }
        Ok(own) => Says::Position(Box::new(own)),
    }
}

/// Where nobody was ever promoted, whoever has data waits until all others have said what they have: also
/// that it is nothing. With a ledger this word would change no election, and is not said.
#[must_use]
pub fn nothing_counts(file: &Kept<Own>, cib: &Known<Store>) -> bool {
    let nobody = match file {
        Kept::Missing => true,
        Kept::Read(own) => own.store.newest_done().is_none(),
        Kept::Unreadable(_) => false,
    };
    nobody && !ever_promoted(cib)
}

/// What somebody has said, if it counts. `newest`: the newest promotion that this node knows. Who did not
/// know it said that before it.
pub fn heard(text: &str, newest: Option<PromotionId>) -> Known<Publication> {
    Known::from(text.parse::<Publication>()).and_then(|said| match &said {
        Publication::Data(member) if member.store.newest_done().map(|one| one.id) != newest => {
            Known::unknown("what it said is older than the last promotion")
        }
        Publication::Data(_) | Publication::NoData => Known::Known(said),
    })
}

/// Whether this intent came to nothing: its node has said so, or how far its data is, before which it resolves its intent;
/// and nothing that anybody knows was promoted by it or after it (`never-written`).
#[must_use]
pub fn came_to_nothing(
    intent: &Entry,
    own: &Store,
    cib: &Store,
    said: &BTreeMap<NodeName, Known<Publication>>,
) -> bool {
    let members: BTreeMap<&NodeName, &Store> = said
        .iter()
        .filter_map(|(node, said)| match said {
            Known::Known(Publication::Data(member)) => Some((node, &member.store)),
            Known::Known(Publication::NoData) | Known::Unknown(_) => None,
        })
        .collect();
    let stores = || members.values().copied().chain([own, cib]);
    let slots = || stores().filter_map(|store| store.slot(&intent.primary));
    let goes_on = |entry: &Entry| entry.id != intent.id && entry.descends_from(intent.id);
    let is_done = |slot: &Slot| slot.done.as_ref().is_some_and(|done| done.id == intent.id);
    let is_resolved = |theirs: &&Store| theirs.intent(&intent.primary).is_none();
    let says_so = members.get(&intent.primary).is_some_and(is_resolved)
        || slots().any(|slot| slot.is_void(intent.id));
    says_so && !stores().flat_map(Store::entries).any(goes_on) && !slots().any(is_done)
}

/// Whether the own file says that this node's data is of the newest promotion that it knows. Without that it
/// is no help in an election, and its absence would block everybody's.
#[must_use]
pub fn is_noted(own: &Own) -> bool {
    own.followed.is_some() && own.followed == own.store.newest_done().map(|one| one.id)
}

/// Which entry a member confirms: none of its own.
#[must_use]
pub fn ack(own: &Own, me: &NodeName) -> Option<Ack> {
    own.store.newest_done().filter(|entry| entry.primary != *me).map(Entry::ack)
}

/// How far the primary of a promotion was known to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The promotion, in words; empty: none.
    pub of: String,
    /// How far.
    pub lsn: u64,
}

/// How far the primary of the newest promotion in `own` was last known to be. The receiver forgets it when it
/// ends, so monitors keep it (`kept`).
#[must_use]
pub fn reached(sql: &Sql, own: &Own, kept: &Reached) -> Option<Lsn> {
    let now = match sql {
        Sql::Standby(standby) => latest(standby),
        Sql::NotAsked
        | Sql::Primary(_)
        | Sql::Starting(_)
        | Sql::ShuttingDown
        | Sql::Busy(_)
        | Sql::Alive(_)
        | Sql::Hung
        | Sql::Refused(_)
        | Sql::Unknown(_) => None,
    };
    let newest = own.store.newest_done()?.id.to_string();
    let kept = (kept.of == newest).then_some(Lsn(kept.lsn));
    now.max(kept).filter(|lsn| lsn.is_valid())
}

/// What a monitor keeps of that, for the time when the primary does not say so any more.
#[must_use]
pub fn keep(kept: Reached, own: &Own, standby: &StandbyFacts) -> Reached {
    let newest = own.store.newest_done().filter(|one| own.followed == Some(one.id));
    let (Some(entry), Some(now)) = (newest, latest(standby)) else { return kept };
    let of = entry.id.to_string();
    let before = if kept.of == of { kept.lsn } else { 0 };
    Reached { of, lsn: before.max(now.0) }
}

fn latest(standby: &StandbyFacts) -> Option<Lsn> {
    standby.receiver.as_ref().and_then(|one| one.latest_end)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::decide::support::{
        at, at_rest, data, entry, in_recovery, intending, node, running, says as said, store,
        streaming,
    };
    use crate::postgres::control_data::ClusterState;

    fn file(store: Store) -> Own {
        Own { store, ..Own::new("db", &node("n1")) }
    }

    fn of(primary: &str) -> Own {
        file(store(&[entry(3, 1, 9, primary, "n3")]))
    }

    #[test]
    fn an_intent_came_to_nothing_if_its_node_says_so_and_nothing_goes_on_from_it() {
        let done = entry(3, 1, 9, "n1", "n2 n3");
        let mut intent = entry(4, 0, 10, "n2", "");
        intent.history = done.history_with_self();
        let mut later = entry(5, 0, 11, "n3", "");
        later.history = intent.history_with_self();
        let with = |entries: &[&Entry]| {
            let mut all = store(std::slice::from_ref(&done));
            for one in entries {
                all.set_done((*one).clone());
            }
            all
        };
        let without = || with(&[]);
        let mut pending = without();
        pending.set_intent(intent.clone());
        let mut void = pending.clone();
        void.drop_intent(&node("n2"), true);
        let speaks = |store: Store| Some(said(at("1", "0/500"), store));
        for (name, its_word, own, cib, expected) in [
            ("it says so", speaks(without()), pending.clone(), pending.clone(), true),
            ("it is silent", Some(Known::unknown("why")), pending.clone(), without(), false),
            ("it is away", None, pending.clone(), without(), false),
            ("it is away, and has said so", None, pending.clone(), void, true),
            ("it is not resolved", speaks(pending.clone()), pending.clone(), without(), false),
            ("it was carried out", speaks(with(&[&intent])), pending.clone(), without(), false),
            ("by the CIB", speaks(without()), pending.clone(), with(&[&intent]), false),
            ("another came after it", speaks(without()), with(&[&later]), without(), false),
            ("by the CIB", speaks(without()), pending.clone(), with(&[&later]), false),
        ] {
            let said = its_word.map(|word| (node("n2"), word)).into_iter().collect();
            assert_eq!(came_to_nothing(&intent, &own, &cib, &said), expected, "{name}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_speaks_only_where_nobody_was_ever_promoted() {
        let (me, own) = (node("n1"), of("n2"));
        for ever in [false, true] {
            assert_eq!(file_or_first(&Kept::Read(own.clone()), ever, "db", &me), Ok(own.clone()));
            let unreadable = file_or_first(&Kept::Unreadable("why".into()), ever, "db", &me);
            assert_eq!(unreadable, Err(Lost::Unreadable("why".into())));
        }
        let missing = |ever| file_or_first(&Kept::Missing, ever, "db", &me);
        assert_eq!(missing(false), Ok(Own::new("db", &me)));
        assert_eq!(missing(true), Err(Lost::Missing));
        assert!(ever_promoted(&Known::unknown("the CIB cannot be read")));
        assert!(ever_promoted(&Known::Known(own.store)));
        assert!(!ever_promoted(&Known::Known(Store::default())));
        let about_to = intending(&[], &entry(1, 0, 9, "n2", ""));
        assert!(!ever_promoted(&Known::Known(about_to)), "it has not come to it");
        assert_eq!(
            Lost::Missing.obstacle(),
            Obstacle::OwnLedgerUnknown("it is missing".to_owned())
        );
        let unreadable = Lost::Unreadable("why".into()).obstacle();
        assert_eq!(unreadable, Obstacle::OwnLedgerUnknown("why".to_owned()));
    }

    #[test]
    fn a_file_that_is_about_other_data_says_nothing_and_permits_nothing() {
        let me = node("n1");
        let begun = Kept::Read(Own { adopting: Some(PromotionId(10)), ..of("n2") });
        let why = "pgtwin adopt n1 has not ended: run it again";
        for ever in [false, true] {
            let lost = file_or_first(&begun, ever, "db", &me).unwrap_err();
            assert_eq!(lost.obstacle(), Obstacle::OwnLedgerUnknown(why.to_owned()));
            let standby = running(ClusterState::InArchiveRecovery, in_recovery());
            let silent = says(true, &standby, &begun, ever, "db", &me);
            assert_eq!(silent, Says::Nothing(why.to_owned()));
        }
    }

    #[test]
    fn a_member_says_what_it_has_if_that_is_all_and_nothing_else() {
        let standby = || running(ClusterState::InArchiveRecovery, in_recovery());
        let nothing = |words: &str| Says::Nothing(words.to_owned());
        let read = |own: Own| Kept::Read(own);
        let lost = || Kept::Unreadable("why".into());
        let position = |own| Says::Position(Box::new(own));
        let own_intent = file(intending(&[], &entry(3, 2, 10, "n1", "")));
        let its_intent = file(intending(&[], &entry(3, 2, 10, "n2", "")));
        let half = "a recovery of its data has not ended";
        let rows = [
            ("a standby", true, standby(), read(of("n2")), true, position(of("n2"))),
            ("half done", false, standby(), read(of("n2")), true, nothing(half)),
            (
                "half done, and empty",
                false,
                at_rest(DataDir::Empty),
                Kept::Missing,
                false,
                nothing(half),
            ),
            ("no data", true, at_rest(DataDir::Absent), lost(), true, Says::NoDataIfMounted),
            (
                "an empty directory",
                true,
                at_rest(DataDir::Empty),
                Kept::Missing,
                true,
                Says::NoDataIfMounted,
            ),
            (
                "data that cannot be used is data",
                true,
                at_rest(DataDir::Unusable("why".into())),
                read(of("n2")),
                true,
                position(of("n2")),
            ),
            (
                "it ended",
                true,
                at_rest(data(ClusterState::ShutDown)),
                read(of("n2")),
                true,
                position(of("n2")),
            ),
            (
                "its directory is gone, and it runs",
                true,
                Instance { data: DataDir::Absent, ..standby() },
                read(of("n2")),
                true,
                position(of("n2")),
            ),
            (
                "no file",
                true,
                standby(),
                Kept::Missing,
                true,
                nothing("its ledger file is missing"),
            ),
            (
                "no file, and nobody was ever promoted",
                true,
                standby(),
                Kept::Missing,
                false,
                position(file(Store::default())),
            ),
            (
                "a damaged file",
                true,
                standby(),
                lost(),
                false,
                nothing("its ledger file is unreadable: why"),
            ),
            (
                "its own intent stands",
                true,
                standby(),
                read(own_intent),
                true,
                nothing("its own promotion has not come to its end"),
            ),
            (
                "another's does",
                true,
                standby(),
                read(its_intent.clone()),
                true,
                position(its_intent),
            ),
        ];
        for (name, whole, instance, file, ever, expected) in rows {
            let found = says(whole, &instance, &file, ever, "db", &node("n1"));
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn that_there_is_nothing_is_said_only_where_nobody_was_ever_promoted() {
        let (empty, full) = (Known::Known(Store::default()), Known::Known(of("n2").store));
        let unknown = Known::unknown("?");
        for (name, file, cib, counts) in [
            ("no ledger", Kept::Missing, &empty, true),
            ("an empty one", Kept::Read(file(Store::default())), &empty, true),
            ("the file has one", Kept::Read(of("n2")), &empty, false),
            ("the CIB has one", Kept::Missing, &full, false),
            ("the CIB is not known", Kept::Missing, &unknown, false),
            ("the file is not known", Kept::Unreadable("why".into()), &empty, false),
        ] {
            assert_eq!(nothing_counts(&file, cib), counts, "{name}");
        }
    }

    #[test]
    fn what_was_said_before_the_last_promotion_is_not_heard() {
        let publication = said(at("1", "0/500"), of("n2").store).known().unwrap();
        let text = publication.to_string();
        let newest = Some(PromotionId(9));
        assert_eq!(heard(&text, newest), Known::Known(publication.clone()));
        for other in [Some(PromotionId(8)), None] {
            assert!(!heard(&text, other).is_known(), "{other:?}");
        }
        let first = said(at("1", "0/500"), Store::default()).known().unwrap().to_string();
        assert!(heard(&first, None).is_known() && !heard(&first, newest).is_known());
        assert_eq!(heard("none", newest), Known::Known(Publication::NoData));
        assert!(!heard("rubbish", newest).is_known());
    }

    #[test]
    fn a_member_confirms_the_newest_entry_of_another() {
        let entry = entry(3, 1, 9, "n2", "n3");
        assert_eq!(ack(&of("n2"), &node("n1")), Some(entry.ack()));
        assert_eq!(ack(&of("n1"), &node("n1")), None, "its own");
        assert_eq!(ack(&file(Store::default()), &node("n1")), None);
    }

    #[test]
    fn data_that_is_noted_is_of_the_newest_promotion() {
        let followed = |id, own| Own { followed: Some(PromotionId(id)), ..own };
        assert!(is_noted(&followed(9, of("n2"))));
        assert!(!is_noted(&followed(8, of("n2"))), "of an older one");
        assert!(!is_noted(&of("n2")), "it is not known of which");
        assert!(!is_noted(&file(Store::default())), "there is none");
    }

    #[test]
    fn how_far_the_primary_was_is_kept_for_its_promotion() {
        let receives = |end: u64| {
            let mut standby = streaming(1, 0x400);
            if let Some(receiver) = &mut standby.receiver {
                receiver.latest_end = Some(Lsn(end));
            }
            standby
        };
        let sql = |end| Sql::Standby(Box::new(receives(end)));
        let of_ = |id: u64, lsn| Reached { of: PromotionId(id).to_string(), lsn };
        let own = Own { followed: Some(PromotionId(9)), ..of("n2") };
        for (name, sql, own, kept, expected) in [
            ("it says so", sql(0x500), &own, Reached::default(), Some(0x500)),
            ("it says less than before", sql(0x500), &own, of_(9, 0x600), Some(0x600)),
            ("it says more", sql(0x700), &own, of_(9, 0x600), Some(0x700)),
            ("it says nothing any more", in_recovery(), &own, of_(9, 0x600), Some(0x600)),
            ("what was kept is of another", in_recovery(), &own, of_(8, 0x600), None),
            ("nothing valid", in_recovery(), &own, of_(9, 0), None),
            ("it does not answer", Sql::Hung, &own, of_(9, 0x600), Some(0x600)),
            ("no ledger", sql(0x500), &file(Store::default()), Reached::default(), None),
        ] {
            assert_eq!(reached(&sql, own, &kept), expected.map(Lsn), "{name}");
        }
        let behind = Own { followed: Some(PromotionId(8)), ..of("n2") };
        for (name, own, standby, before, after) in [
            ("more", &own, receives(0x700), of_(9, 0x600), of_(9, 0x700)),
            ("less", &own, receives(0x500), of_(9, 0x600), of_(9, 0x600)),
            ("of a new promotion", &own, receives(0x500), of_(8, 0x600), of_(9, 0x500)),
            ("it follows an older one", &behind, receives(0x700), of_(8, 0x600), of_(8, 0x600)),
            ("it says nothing", &own, streaming(1, 0x400), of_(9, 0x600), of_(9, 0x600)),
        ] {
            assert_eq!(keep(before, own, &standby), after, "{name}");
        }
    }
}
