//! `promote`: the loop around `decide::promote`. Floor 3.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::{info, warn};

use super::Agent;
use super::origin::reach;
use super::outcome::Outcome;
use super::view::View;
use crate::client::ledger_file::OwnFile;
use crate::client::pacemaker::{Attribute, News, Question};
use crate::client::peer::PeerAnswer;
use crate::cluster::known::Known;
use crate::cluster::ledger::{Own, PromotionId};
use crate::cluster::node::NodeName;
use crate::cluster::position::{Position, Shutdown};
use crate::decide::election::{Plan, Purpose, Ruling};
use crate::decide::facts::{Instance, Sql};
use crate::decide::history::became_primary;
use crate::decide::ledger::resolved;
use crate::decide::promote::{
    Answer, End, Facts, Intent, Late, Next, OldPrimary, Planned, Progress, Step, intent, late, next,
};
use crate::decide::sync::{HEIR_SCORE, NodeState, PRIMARY_SCORE};
use crate::decide::token;
use crate::postgres::sync_names::{self, StandbyName};
use crate::sys::chain;
use crate::sys::deadline::Deadline;

/// How long a candidate waits for what its peers have to say.
const FOR_PEERS: Duration = Duration::from_secs(10);
/// How often those are asked again who still replay then.
const FOR_REPLAY: Duration = Duration::from_secs(3);

/// What the loop carries along besides the facts.
struct Round {
    id: PromotionId,
    view: Option<View>,
    file: OwnFile,
    position: Option<Position>,
    /// The members that the election saw.
    seen: BTreeSet<NodeName>,
}

impl Agent<'_> {
    /// Makes this node the primary.
    pub fn promote(&mut self) -> Outcome {
        if self.standalone {
            return self.promote_alone();
        }
        let id = match super::random_id() {
            Ok(id) => id,
            Err(why) => return Outcome::error(why),
        };
        let mut peers_until = self.deadline.within(FOR_PEERS);
        // What is left is for the promotion itself.
        let patience = self.deadline.within(self.deadline.left() / 4 * 3);
        let instance = self.pg.look(&self.deadline.within(Duration::from_secs(5)));
        let (file, intent) = self.settle_intent(&instance);
        let mut round = Round { id, view: None, file, position: None, seen: BTreeSet::new() };
        let mut facts = Facts {
            instance,
            intent,
            ruling: None,
            out_of_time: false,
            old_primary: None,
            planned: None,
            force: self.params.force_promotion,
            mode: self.mode(),
            done: Progress::Nothing,
        };
        loop {
            if facts.done == Progress::Nothing
                && peers_until.expired()
                && !patience.expired()
                && self.all_late_replay(facts.ruling.as_ref())
            {
                peers_until = patience.within(FOR_REPLAY);
            }
            facts.out_of_time =
                if facts.done < Progress::Told { peers_until } else { self.deadline }.expired();
            match next(&facts) {
                Next::Promoted => return self.promoted(&round),
                Next::Failed(why) => return Outcome::error(why),
                Next::Refused { reason, better } => {
                    warn!("promotion refused: {reason}");
                    if let Some(node) = better {
                        info!("{node} should be promoted instead");
                    }
                    self.give_way(facts.ruling.as_ref());
                    return Outcome::error(reason);
                }
                Next::Do(step) => {
                    if let Err(why) = self.promote_step(&step, &mut facts, &mut round, &peers_until)
                    {
                        return Outcome::error(why);
                    }
                }
            }
        }
    }

    /// Whether nobody keeps this node from being promoted but members that replay what they have.
    fn all_late_replay(&mut self, ruling: Option<&Ruling>) -> bool {
        let late = late(ruling);
        let replays = |(node, late): (&NodeName, &Late)| match late {
            Late::Replays => true,
            Late::Silent => {
                let limit = self.deadline.bounded(Duration::from_secs(3));
                let answer = self.pg.identify_peer(&self.peer(node), limit);
                matches!(answer, PeerAnswer::Starting(_) | PeerAnswer::Standby(_))
            }
        };
        let all = !late.is_empty() && late.iter().all(replays);
        if all {
            let who: BTreeSet<NodeName> = late.into_keys().collect();
            info!("waits for {}, which still replay", crate::cluster::ledger::names(&who));
        }
        all
    }

    /// Whether this node was given the right to take over by whoever was primary, and still has it: a
    /// score, or one that it laid down for somebody who has more.
    pub fn has_token(&self, view: &View) -> bool {
        view.scores().contains_key(&self.me) || self.has_yielded()
    }

    /// Whether this node laid its score down in this election.
    pub fn has_yielded(&self) -> bool {
        token::has_yielded(&self.cache.yielded, self.home.read().if_read())
    }

    /// Lays the score down after this ruling, so that Pacemaker takes another node, whatever location rules say. The
    /// right stays: if the better one does not come, this node takes it up again. One of E that has more gets it
    /// too: only in a promotion or right before it, which nothing overtakes that could change who counts.
    pub fn give_way(&mut self, ruling: Option<&Ruling>) {
        let view = self.view();
        let had = view.as_known().map(|view| self.has_token(view));
        let file = self.home.read();
        if let Some(promotion) = token::laid_down(&had, file.if_read()) {
            self.cache.yielded = promotion.to_string();
        }
        let better = ruling.and_then(|ruling| token::passed_to(&had, ruling, file.if_read()));
        if let (Known::Known(view), Some(better)) = (&view, better)
            && !view.scores().contains_key(better)
        {
            info!("{better} has more, and gets the right to be promoted from this node");
            self.set_score(better, HEIR_SCORE);
        }
        let me = self.me.clone();
        self.bar(&me);
    }

    fn promote_alone(&mut self) -> Outcome {
        let instance = self.pg.look(&self.deadline);
        match instance.sql {
            Sql::Primary(_) => return Outcome::ok(),
            Sql::Standby(_) => {}
            other => return Outcome::error(format!("PostgreSQL is not a standby: {other:?}")),
        }
        if let Err(why) = self.pg.promote() {
            return Outcome::error(why);
        }
        loop {
            if let Sql::Primary(_) = self.pg.look(&self.deadline).sql {
                return Outcome::ok();
            }
            if self.deadline.expired() {
                return Outcome::error("PostgreSQL was told to promote and is not writable yet");
            }
            self.deadline.sleep(Duration::from_millis(20));
        }
    }

    fn promote_step(
        &mut self,
        step: &Step,
        facts: &mut Facts,
        round: &mut Round,
        peers_until: &Deadline,
    ) -> Result<(), String> {
        match step {
            Step::ResolveDone | Step::ResolveVoid => {
                let stands =
                    if *step == Step::ResolveDone { Intent::CarriedOut } else { Intent::Void };
                let beyond = |timeline| self.beyond(timeline);
                if let OwnFile::Read(own) = self.home.read()
                    && let Some(own) = resolved(&own, &self.me, &stands, &facts.instance, beyond)
                {
                    self.home.write(&own).map_err(|error| chain(&error))?;
                    round.file = OwnFile::Read(own);
                }
                facts.intent = Intent::None;
            }
            Step::Elect | Step::WaitAndElect => {
                if *step == Step::WaitAndElect {
                    peers_until.sleep(Duration::from_millis(100));
                }
                facts.instance = self.pg.look(&self.deadline.within(Duration::from_secs(5)));
                facts.old_primary = None;
                facts.planned = None;
                self.hold_election(facts, round);
                let kind = round.view.as_ref().and_then(|view| view.status.node(&self.me));
                let kind = kind.map(|node| &node.kind);
                if let Some(why) = super::fit::not_a_full_node(self.me.as_str(), None, kind) {
                    return Err(why);
                }
            }
            Step::AskOldPrimary => facts.old_primary = Some(self.ask_old_primary(facts, round)),
            Step::CheckPlanned => {
                facts.planned = Some(match &facts.ruling {
                    Some(Ruling::Permitted(plan)) => {
                        let (view, mine) = (round.view.as_ref(), round.position.as_ref());
                        self.check_planned(plan, view, mine, &round.seen)
                    }
                    Some(Ruling::Refused(_)) | None => Planned::NotApplicable,
                });
            }
            Step::WriteIntent(plan) => {
                self.write_intent(plan, facts, round)?;
                facts.done = Progress::FileWritten;
            }
            Step::Announce => {
                let OwnFile::Read(own) = &round.file else {
                    return Err("the own ledger file could not be read back".into());
                };
                let slot = own.store.slot(&self.me).cloned().unwrap_or_default().to_string();
                let me = self.me.clone();
                let members =
                    round.view.as_ref().map_or_else(BTreeSet::new, |view| self.members(view));
                let mut news = vec![News::Ledger(&me, &slot)];
                news.extend(members.iter().map(|node| News::Withdraw(Attribute::Position, node)));
                let mut answers = self.pacemaker.tell_all(&news, self.tool_limit()).into_iter();
                let written = answers.next().unwrap_or_else(|| Known::unknown("nothing was told"));
                if members.iter().zip(answers).any(|(node, told)| *node == me && told.is_known()) {
                    self.cache.published = false;
                }
                if let Known::Unknown(why) = written {
                    warn!("the ledger could not be written to the CIB: {why}");
                    return Err(why);
                }
                facts.done = Progress::Announced;
            }
            Step::Configure(plan) => {
                self.configure_as_primary(plan)?;
                facts.done = Progress::Configured;
            }
            Step::Tell => {
                self.pg.promote()?;
                facts.done = Progress::Told;
                facts.instance = self.pg.look(&self.deadline.within(Duration::from_secs(5)));
                facts.intent = Intent::Pending;
            }
            Step::AwaitWritable => {
                self.deadline.sleep(Duration::from_millis(10));
                facts.instance = self.pg.look(&self.deadline.within(Duration::from_secs(5)));
                if facts.done == Progress::Nothing {
                    let (file, intent) = self.settle_intent(&facts.instance);
                    round.file = file;
                    facts.intent = intent;
                }
            }
        }
        Ok(())
    }

    fn hold_election(&mut self, facts: &mut Facts, round: &mut Round) {
        let questions = [Question::All(Attribute::Position), Question::All(Attribute::Shutdown)];
        let view = match self.view_and(&questions) {
            Known::Known(view) => view,
            Known::Unknown(why) => {
                facts.ruling =
                    Some(Ruling::Refused(vec![crate::decide::election::Obstacle::CibUnknown(why)]));
                return;
            }
        };
        round.file = self.exchange_ledger(&view, false);
        let position = self.position(&facts.instance);
        if let (Known::Known(position), Known::Known(ledger)) = (&position, view.ledger()) {
            let reach = reach(position, &facts.instance.sql);
            let file = std::mem::replace(&mut round.file, OwnFile::Missing);
            round.file = self.explained(file, &ledger, reach);
        }
        round.position = position.clone().known();
        let purpose = token::purpose(self.has_token(&view));
        let (ruling, seen) = self.elect(&view, &round.file, &facts.instance, position, purpose);
        (facts.ruling, round.seen) = (Some(ruling), seen);
        round.view = Some(view);
    }

    /// The address of the ledger's primary must not answer as a server that accepts writes: a node
    /// in maintenance can be offline, clean and running.
    fn ask_old_primary(&mut self, facts: &Facts, round: &Round) -> OldPrimary {
        let Some(Ruling::Permitted(plan)) = &facts.ruling else { return OldPrimary::NotApplicable };
        let Some(old) = plan.after.as_ref().map(|entry| entry.primary.clone()) else {
            return OldPrimary::NotApplicable;
        };
        if old == self.me {
            return OldPrimary::NotApplicable;
        }
        let Some(view) = round.view.as_ref() else {
            return OldPrimary::NotProvenDown(old, "no view of the cluster".into());
        };
        let in_cluster = match OldPrimary::in_cluster(&old, view.node(&old), view.fencing()) {
            Ok(in_cluster) => in_cluster,
            Err(unproven) => return unproven,
        };
        let peer = self.peer(&old);
        let limit = self.deadline.bounded(Duration::from_secs(3));
        let answer = match self.pg.identify_peer(&peer, limit) {
            PeerAnswer::Primary(_) => Answer::Primary,
            PeerAnswer::Standby(_)
            | PeerAnswer::Starting(_)
            | PeerAnswer::ShuttingDown
            | PeerAnswer::Refused
            | PeerAnswer::Unreachable(_) => Answer::NoPrimary,
            other @ (PeerAnswer::Busy(_)
            | PeerAnswer::AuthFailed(_)
            | PeerAnswer::NoAnswer
            | PeerAnswer::Unknown(_)) => Answer::Unknown(other.to_string()),
        };
        OldPrimary::of(&old, in_cluster, answer)
    }

    /// The election for taking over, with the check of a planned move: what `promote` would find.
    pub fn elect_to_take_over(
        &mut self,
        view: &View,
        file: &OwnFile,
        instance: &Instance,
        position: &Known<Position>,
    ) -> Ruling {
        let (ruling, seen) = self.elect(view, file, instance, position.clone(), Purpose::Promotion);
        let Ruling::Permitted(plan) = &ruling else { return ruling };
        let mine = position.clone().known();
        let planned = self.check_planned(plan, Some(view), mine.as_ref(), &seen);
        match planned.obstacle(self.mode(), self.params.force_promotion) {
            Some(obstacle) => Ruling::Refused(vec![obstacle]),
            None => ruling,
        }
    }

    /// In a planned move this node has to have everything up to the end of the old primary's
    /// shutdown checkpoint.
    fn check_planned(
        &mut self,
        plan: &Plan,
        view: Option<&View>,
        mine: Option<&Position>,
        seen: &BTreeSet<NodeName>,
    ) -> Planned {
        let Some(entry) = plan.after.as_ref().filter(|entry| entry.primary != self.me) else {
            return Planned::NotApplicable;
        };
        let Some(view) = view else { return Planned::Unknown("no view".into()) };
        let old = &entry.primary;
        let Some(mine) = mine else {
            return Planned::Unknown("the own position is not known".into());
        };
        let said = self.pacemaker.read_all(Attribute::Shutdown, self.tool_limit());
        let shutdown = said.and_then(|texts| match texts.get(old) {
            None => Known::unknown("it has published no shutdown checkpoint"),
            Some(text) => Known::from(text.parse::<Shutdown>()),
        });
        let online = view.node(old) == NodeState::Online;
        let planned = Planned::of(entry, mine, &End { shutdown, online, seen: seen.contains(old) });
        if planned == Planned::Complete {
            info!("has everything up to the end of {old}, at {}", mine.lsn);
        }
        planned
    }

    fn write_intent(
        &mut self,
        plan: &Plan,
        facts: &Facts,
        round: &mut Round,
    ) -> Result<(), String> {
        let (system_id, timeline) = match (&round.position, &facts.instance.data) {
            (Some(position), _) => (position.system_id, position.timeline()),
            (None, crate::decide::facts::DataDir::Cluster(control)) => {
                (control.system_id, control.timeline)
            }
            (None, _) => return Err("the database system's identifier is not known".into()),
        };
        let mut own = match &round.file {
            OwnFile::Read(own) => own.clone(),
            OwnFile::Missing | OwnFile::Unreadable(_) => Own::new(&self.resource, &self.me),
        };
        let entry =
            intent(plan, &self.me, own.followed, round.id, system_id, timeline, self.mode());
        info!(
            "promotion begins: term {} seq {}, commits wait for {}",
            entry.term,
            entry.seq,
            crate::cluster::ledger::names(&plan.names)
        );
        own.intends(entry);
        self.write_own(&own).map_err(|error| chain(&error))?;
        round.file = OwnFile::Read(own);
        Ok(())
    }

    /// The names are set before the first write can be accepted, and nobody's WAL comes in any more:
    /// what this node's control file says from now on is about this promotion.
    fn configure_as_primary(&mut self, plan: &Plan) -> Result<(), String> {
        let members = self.member_count().unwrap_or(2);
        let mut names = BTreeSet::new();
        for node in &plan.names {
            let name = self
                .params
                .application_name_for(node, members)
                .map_err(|error| error.to_string())?
                .parse::<StandbyName>()
                .map_err(|error| error.to_string())?;
            names.insert(name);
        }
        let text = sync_names::write(&names);
        let nobody = self.pg.no_upstream();
        let mut settings = vec![("synchronous_standby_names", Some(text.as_str()))];
        settings.extend(nobody.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))));
        self.pg.set_and_reload(&settings)
    }

    /// The end of a promotion: the ledger says so everywhere, and the score holds it here.
    fn promoted(&mut self, round: &Round) -> Outcome {
        let mut promotion = None;
        if let OwnFile::Read(own) = self.home.read()
            && let Some(slot) = own.store.slot(&self.me).cloned()
        {
            let me = self.me.clone();
            if let Some(entry) = &slot.done {
                info!("promoted: term {} seq {} ({})", entry.term, entry.seq, entry.id);
                promotion = Some(became_primary(entry));
            }
            let text = slot.to_string();
            let news = [News::Score(&me, PRIMARY_SCORE), News::Ledger(&me, &text)];
            self.forget_bar();
            for answer in self.pacemaker.tell_all(&news, self.tool_limit()) {
                if let Known::Unknown(why) = answer {
                    warn!("promoted, and Pacemaker could not be told all of it: {why}");
                }
            }
        }
        self.note_primary(&self.pg.runtime().process());
        // The first monitor takes care of the standbys, and looks at everything for that.
        self.cache.asked = 0;
        self.cache.upstream.clear();
        self.cache.upstream_host.clear();
        self.cache.missing_since.clear();
        if let Some(view) = &round.view {
            let members = self.members(view);
            self.ensure_slots(&members);
        }
        self.cache.commits_wait.clear();
        if let Some(words) = promotion {
            self.note_promotion(&words);
        }
        Outcome::ok()
    }
}
