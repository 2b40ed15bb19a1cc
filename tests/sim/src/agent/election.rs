//! As `src/agent/publish.rs`: positions, what is said of them, and the election on them.

use std::collections::{BTreeMap, BTreeSet};

use pgtwin::cluster::known::Known;
use pgtwin::cluster::ledger::{Mode, Own, PromotionId, unexplained};
use pgtwin::cluster::node::NodeName;
use pgtwin::cluster::position::{Exactness, Member, Position, Publication, Shutdown};
use pgtwin::cluster::recovery::Kept;
use pgtwin::decide::election::{Facts, Plan, Purpose, Ruling, judge};
use pgtwin::decide::facts::Instance;
use pgtwin::decide::promote::Planned;
use pgtwin::decide::publication::{Says, file_or_first, heard, says};
use pgtwin::decide::sync::HEIR_SCORE;
use pgtwin::decide::token;

use super::ledger::cib;
use super::{Agent, View};
use crate::mutation::Mutation;
use crate::world::{RESOURCE, index, name};

impl Agent {
    pub(super) fn promotion_id(&self) -> PromotionId {
        PromotionId(self.sim.between(1, u64::MAX - 2))
    }

    /// What this node would say about itself.
    pub(super) fn publication(
        &self,
        instance: &Instance,
        own: Option<&Own>,
        view: &View,
    ) -> Known<Publication> {
        let whole = self.sim.world.borrow().nodes[self.me].disk.half_done.is_none();
        let ever = cib(&view.stack.shared).newest_done().is_some();
        let file = own.cloned().map_or(Kept::Missing, Kept::Read);
        match says(whole, instance, &file, ever, RESOURCE, &self.name()) {
            Says::Nothing(why) => Known::Unknown(why),
            Says::NoDataIfMounted => Known::Known(Publication::NoData),
            Says::Position(own) => self.position(instance).and_then(|position| {
                if position.exactness == Exactness::Exact && own.is_unexplained(position.timeline())
                {
                    return Known::unknown(unexplained(position.timeline()));
                }
                let end = position.timeline();
                let position = position.counted(&own);
                Known::Known(Publication::Data(Box::new(Member {
                    never_written: (position.timeline() != end).then_some(end),
                    position,
                    followed: own.followed,
                    primary_reached: None,
                    store: own.store,
                })))
            }),
        }
    }

    /// Publishes it, or takes it back.
    pub(super) async fn publish_position(&self, publication: &Known<Publication>) {
        let me = self.me;
        match publication {
            Known::Known(publication) => {
                let text = publication.to_string();
                self.tell(move |shared| {
                    shared.position.insert(me, text.clone());
                })
                .await;
            }
            Known::Unknown(_) => self.withdraw_position(me).await,
        }
    }

    /// What the members have said that know the newest promotion.
    pub(super) fn publications(
        &self,
        view: &View,
        newest: Option<PromotionId>,
    ) -> BTreeMap<usize, Known<Publication>> {
        let any = self.has(Mutation::OldPositionsCount);
        let parse = |text: &String| {
            if any { Known::from(text.parse::<Publication>()) } else { heard(text, newest) }
        };
        view.stack.shared.position.iter().map(|(node, text)| (*node, parse(text))).collect()
    }

    fn peers(
        &self,
        view: &View,
        own: &Own,
        mine: &Known<Position>,
    ) -> BTreeMap<NodeName, Known<Publication>> {
        let mut all = self.publications(view, own.store.newest_done().map(|entry| entry.id));
        let others = view.members.iter().filter(|node| **node != self.me);
        others
            .map(|node| {
                let mut said =
                    all.remove(node).unwrap_or_else(|| Known::unknown("it has said nothing"));
                if let (Known::Unknown(_), Known::Known(position), true) =
                    (&said, mine, self.has(Mutation::SilenceIsConsent))
                {
                    said = Known::Known(Publication::Data(Box::new(Member {
                        position: position.clone(),
                        followed: own.followed,
                        primary_reached: None,
                        never_written: None,
                        store: own.store.clone(),
                    })));
                }
                (name(*node), said)
            })
            .collect()
    }

    /// The election for this node: the ruling, and whom it saw.
    pub(super) fn elect(
        &self,
        view: &View,
        file: Option<&Own>,
        position: Known<Position>,
        purpose: Purpose,
    ) -> (Ruling, BTreeSet<usize>) {
        let ever = cib(&view.stack.shared).newest_done().is_some();
        let file = file.cloned().map_or(Kept::Missing, Kept::Read);
        let own = match file_or_first(&file, ever, RESOURCE, &self.name()) {
            Ok(own) => own,
            Err(lost) => return (Ruling::Refused(vec![lost.obstacle()]), BTreeSet::new()),
        };
        let position = position.and_then(|position| {
            if position.exactness == Exactness::Exact && own.is_unexplained(position.timeline()) {
                return Known::unknown(unexplained(position.timeline()));
            }
            Known::Known(position.counted(&own))
        });
        let peers = self.peers(view, &own, &position);
        let seen = peers.iter().filter(|(_, said)| said.is_known());
        let seen = seen.map(|(node, _)| index(node)).collect();
        let ruling = judge(&Facts {
            me: self.name(),
            position,
            own: own.store,
            followed: own.followed,
            cib: Known::Known(cib(&view.stack.shared)),
            peers,
            reached: None,
            out: view.stack.down.iter().map(|node| name(*node)).collect(),
            mode: Mode::Sync,
            strict: false,
            max_lag: 0,
            force: false,
            purpose,
        });
        (ruling, seen)
    }

    /// The election for taking over, with the check of a planned move.
    pub(super) fn elect_to_take_over(
        &self,
        view: &View,
        file: Option<&Own>,
        position: &Known<Position>,
    ) -> Ruling {
        let (ruling, seen) = self.elect(view, file, position.clone(), Purpose::Promotion);
        let Ruling::Permitted(plan) = &ruling else { return ruling };
        let planned = self.check_planned(plan, view, position.as_known().known(), &seen);
        match planned.obstacle(Mode::Sync, false) {
            Some(obstacle) => Ruling::Refused(vec![obstacle]),
            None => ruling,
        }
    }

    /// In a planned move this node has to have everything up to the end of the old primary.
    pub(super) fn check_planned(
        &self,
        plan: &Plan,
        view: &View,
        mine: Option<&Position>,
        seen: &BTreeSet<usize>,
    ) -> Planned {
        let me = self.name();
        let Some(entry) = plan.after.as_ref().filter(|entry| entry.primary != me) else {
            return Planned::NotApplicable;
        };
        if self.has(Mutation::NoShutdownCheck) {
            return Planned::Complete;
        }
        let Some(mine) = mine else { return Planned::Unknown("no own position".into()) };
        let old = index(&entry.primary);
        let said =
            view.stack.shared.shutdown.get(&old).and_then(|text| text.parse::<Shutdown>().ok());
        match said {
            Some(shutdown) if shutdown.id == entry.id => {
                if mine.line.contains(shutdown.timeline, shutdown.end) && mine.lsn >= shutdown.end {
                    Planned::Complete
                } else {
                    Planned::Lacking(format!("{} ended at {}", entry.primary, shutdown.end))
                }
            }
            _ if !view.stack.view.contains(&old) => Planned::NotApplicable,
            _ if seen.contains(&old) => Planned::NotApplicable,
            _ => Planned::Unknown(format!("where {} ended is not known", entry.primary)),
        }
    }

    /// Whether this node was given the right to take over.
    pub(super) fn has_token(&self, view: &View) -> bool {
        view.has_score(self.me) || self.has_yielded()
    }

    pub(super) fn has_yielded(&self) -> bool {
        let yielded = self.sim.world.borrow().nodes[self.me].cache.yielded.clone();
        token::has_yielded(&yielded.unwrap_or_default(), self.own().as_ref())
    }

    /// Lays the score down, so that Pacemaker takes another node.
    pub(super) async fn give_way(&self, ruling: Option<&Ruling>) {
        let view = self.view().await;
        let had = Known::Known(self.has_token(&view));
        let own = self.own();
        if let Some(promotion) = token::laid_down(&had, own.as_ref()) {
            self.sim.world.borrow_mut().nodes[self.me].cache.yielded = Some(promotion.to_string());
        }
        let better = ruling.and_then(|ruling| token::passed_to(&had, ruling, own.as_ref()));
        if let Some(better) = better.map(index).filter(|better| !view.has_score(*better)) {
            self.log(&format!("passes its right to n{}", better + 1));
            self.sim.world.borrow_mut().counts.passed += 1;
            self.set_score(better, HEIR_SCORE).await;
        }
        self.set_score(self.me, token::BARRED).await;
    }
}
