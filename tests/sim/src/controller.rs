//! A model of Pacemaker: the designated controller fences, probes, starts, promotes and recovers, with
//! notifications in their order. It plans anew after every action, so that what the rest of a transition
//! would have done, post-notifications among it, may never come.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::agent::{Action, Answer, Notice, What, When};
use crate::exec::{Owner, Sim};
use crate::mutation::Mutation;
use crate::world::{Role, say};

/// How long an action may take.
const TIMEOUT: u64 = 60_000;

/// How an action ended: none if it was killed or its node is gone.
type End = Rc<RefCell<Option<Answer>>>;

impl Sim {
    fn role(&self, at: usize, of: usize) -> Role {
        let world = self.world.borrow();
        world.nodes[at].stack.shared.roles.get(&of).copied().unwrap_or(Role::Unknown)
    }

    fn set_role(self: &Rc<Self>, by: usize, of: usize, role: Role) {
        self.tell(by, move |shared| {
            shared.roles.insert(of, role);
        });
    }

    /// Runs an action on a node and waits for its end.
    pub async fn perform(self: &Rc<Self>, by: usize, on: usize, action: Action) -> Option<Answer> {
        let (done, end) = (Rc::new(Cell::new(false)), End::default());
        let boot = self.world.borrow().nodes[on].boot;
        // Corosync delivers within one membership: who has lost the controller meanwhile hears nothing of it.
        loop {
            {
                let world = self.world.borrow();
                let there = world.nodes[on].up && world.nodes[on].boot == boot;
                if !there || !world.nodes[by].stack.view.contains(&on) {
                    return None;
                }
                if world.nodes[on].stack.view.contains(&by) {
                    break;
                }
            }
            self.sleep(10).await;
        }
        let task = supervise(Rc::clone(self), on, action, Rc::clone(&done), Rc::clone(&end));
        self.spawn(Owner::Node(on, boot), self.between(1, 30), task);
        while !done.get() {
            self.sleep(10).await;
            let world = self.world.borrow();
            let there = world.nodes[on].up && world.nodes[on].boot == boot;
            if !there || !world.nodes[by].stack.view.contains(&on) {
                return None;
            }
        }
        // The controller plans anew when it has the result, and not before.
        while self.has_mail(by) {
            self.sleep(10).await;
        }
        end.take()
    }

    /// Notifies everybody whose instance is active, all at once.
    async fn notify(self: &Rc<Self>, by: usize, notice: &Notice) {
        let nodes: Vec<usize> = {
            let world = self.world.borrow();
            let stack = &world.nodes[by].stack;
            let active = |node: &&usize| {
                let role = stack.shared.roles.get(node);
                matches!(role, Some(Role::Unpromoted | Role::Promoted | Role::Failed(_)))
            };
            stack.view.iter().filter(active).copied().collect()
        };
        self.log(&format!("n{}: notifies {}: {notice}", by + 1, say(&nodes)));
        let left = Rc::new(Cell::new(nodes.len()));
        for node in nodes {
            let boot = self.world.borrow().nodes[by].boot;
            let (sim, left, notice) = (Rc::clone(self), Rc::clone(&left), notice.clone());
            self.spawn(Owner::Node(by, boot), 0, async move {
                let _ = sim.perform(by, node, Action::Notify(notice)).await;
                left.set(left.get() - 1);
            });
        }
        while left.get() > 0 {
            self.sleep(10).await;
        }
    }
}

/// The local executor: one action at a time, killed at its timeout; its result is told to all.
async fn supervise(sim: Rc<Sim>, on: usize, action: Action, done: Rc<Cell<bool>>, end: End) {
    while sim.world.borrow().nodes[on].action.is_some() {
        sim.sleep(5).await;
    }
    let id = sim.id();
    sim.world.borrow_mut().nodes[on].action = Some(id);
    let (kind, inner) = (action.clone(), Rc::clone(&sim));
    let said = Rc::clone(&end);
    sim.spawn(Owner::Action(on, id), sim.between(1, 20), async move {
        let answer = crate::agent::run(&inner, on, kind).await;
        *said.borrow_mut() = Some(answer);
        inner.world.borrow_mut().nodes[on].action = None;
    });
    let limit = sim.now() + TIMEOUT;
    while sim.world.borrow().nodes[on].action == Some(id) {
        if sim.now() > limit {
            sim.log(&format!("n{}: {action} takes too long, and is killed", on + 1));
            sim.world.borrow_mut().nodes[on].action = None;
        }
        sim.sleep(10).await;
    }
    let answer = end.borrow().clone();
    let before = sim.role(on, on);
    let after = match (&action, &answer) {
        (Action::Notify(_) | Action::Adopt, _) => None,
        (Action::Probe, Some(Answer::Primary)) => Some(Role::Promoted),
        (Action::Probe, Some(Answer::Standby)) => Some(Role::Unpromoted),
        (Action::Probe, Some(Answer::Fails(_))) => Some(Role::Failed(false)),
        (Action::Probe, _) => Some(Role::Stopped),
        (Action::Monitor(_), Some(Answer::Primary | Answer::Standby)) => None,
        // Nobody waits for a monitor that was killed: the next one looks again.
        (Action::Monitor(_), None) => None,
        (Action::Monitor(_), Some(Answer::Fails(_) | Answer::NotRunning)) => match before {
            Role::Promoted => Some(Role::Failed(true)),
            Role::Unpromoted => Some(Role::Failed(false)),
            Role::Unknown | Role::Stopped | Role::Failed(_) | Role::Banned => None,
        },
        (Action::Start | Action::Demote(_), Some(Answer::Standby)) => Some(Role::Unpromoted),
        (Action::Start, _) => Some(Role::Banned),
        (Action::Demote(_), _) => Some(Role::Failed(false)),
        (Action::Promote, Some(Answer::Primary)) => Some(Role::Promoted),
        (Action::Promote, _) => Some(Role::Failed(true)),
        (Action::Stop, Some(Answer::NotRunning)) => Some(Role::Stopped),
        (Action::Stop, _) => Some(Role::Failed(false)),
    };
    if let Some(Answer::Fails(why)) = &answer {
        sim.log(&format!("n{}: {action} fails: {why}", on + 1));
    }
    if let Some(role) = after.filter(|role| *role != before) {
        sim.set_role(on, on, role);
    }
    done.set(true);
}

/// The recurring monitors of a node.
pub async fn monitors(sim: Rc<Sim>, node: usize) {
    loop {
        sim.sleep(sim.between(2_000, 9_000)).await;
        let promoted = match sim.role(node, node) {
            Role::Promoted => true,
            Role::Unpromoted => false,
            Role::Unknown | Role::Stopped | Role::Failed(_) | Role::Banned => continue,
        };
        if sim.world.borrow().nodes[node].action.is_none() {
            let _ = sim.perform(node, node, Action::Monitor(promoted)).await;
        }
    }
}

/// What is to be done next.
#[derive(Debug)]
enum Plan {
    Probe(usize),
    /// Demote it, for this node.
    Demote(usize, Option<usize>),
    Stop(usize),
    /// Of a failed instance whose role was this.
    Recover(usize, bool),
    Start(usize, Option<usize>),
    Promote(usize),
}

fn plan(sim: &Sim, me: usize) -> Option<Plan> {
    let world = sim.world.borrow();
    let stack = &world.nodes[me].stack;
    let role = |node: usize| stack.shared.roles.get(&node).copied().unwrap_or(Role::Unknown);
    let view = &stack.view;
    if let Some(node) = view.iter().find(|node| role(**node) == Role::Unknown) {
        return Some(Plan::Probe(*node));
    }
    if let Some((node, was)) = view.iter().find_map(|node| match role(*node) {
        Role::Failed(promoted) => Some((*node, promoted)),
        _ => None,
    }) {
        return Some(Plan::Recover(node, was));
    }
    let runs = |node: &usize| matches!(role(*node), Role::Unpromoted | Role::Promoted);
    let stays =
        |node: usize| world.quorate(me) && !world.nodes[node].standby && !stack.shared.disabled;
    let primary = view.iter().copied().find(|node| role(*node) == Role::Promoted);
    let score = |node: usize| stack.shared.scores.get(&node).copied().unwrap_or(-1);
    let best = view
        .iter()
        .copied()
        .filter(|node| runs(node) && stays(*node) && score(*node) > 0)
        .max_by_key(|node| (score(*node), Some(*node) == primary, usize::MAX - node));
    if let Some(primary) = primary
        && best != Some(primary)
    {
        return Some(Plan::Demote(primary, best));
    }
    if let Some(node) = view.iter().find(|node| runs(node) && !stays(**node)) {
        return Some(Plan::Stop(*node));
    }
    if let Some(node) = view.iter().find(|node| role(**node) == Role::Stopped && stays(**node)) {
        return Some(Plan::Start(*node, best.filter(|_| primary.is_none())));
    }
    best.filter(|_| primary.is_none()).map(Plan::Promote)
}

/// The controller of a node. It does something only while it is the designated one.
pub async fn run(sim: Rc<Sim>, me: usize) {
    let mut quorate_since = None;
    loop {
        sim.sleep(sim.between(20, 200)).await;
        let (mine, quorate) = {
            let world = sim.world.borrow();
            (world.controller(me) == Some(me), world.quorate(me))
        };
        if !mine || !quorate {
            quorate_since = None;
        } else {
            quorate_since.get_or_insert(sim.now());
        }
        if !mine {
            continue;
        }
        if quorate_since.is_some_and(|since| sim.now() > since + 8_000) {
            // Whoever was never seen is fenced before anything starts (startup-fencing).
            let mut world = sim.world.borrow_mut();
            let all = world.all();
            let lost = world.has(Mutation::LostIsDown);
            let stack = &mut world.nodes[me].stack;
            for node in all {
                if !lost && !stack.view.contains(&node) && !stack.down.contains(&node) {
                    stack.unclean.insert(node);
                }
            }
        }
        let unclean = sim.world.borrow().nodes[me].stack.unclean.first().copied();
        if let Some(target) = unclean
            && quorate
        {
            fence(&sim, me, target).await;
            continue;
        }
        // Nothing is started or promoted before it is known who is down.
        let settled = quorate_since.is_some_and(|since| sim.now() > since + 8_000) || {
            let world = sim.world.borrow();
            let stack = &world.nodes[me].stack;
            stack.view.len() + stack.down.len() == world.nodes.len()
        };
        if !settled && quorate {
            continue;
        }
        if let Some(plan) = plan(&sim, me) {
            carry_out(&sim, me, plan).await;
        }
    }
}

async fn fence(sim: &Rc<Sim>, me: usize, target: usize) {
    let slow = sim.once_in(12);
    sim.sleep(if slow { sim.between(5_000, 60_000) } else { sim.between(300, 3_000) }).await;
    let still = {
        let world = sim.world.borrow();
        world.nodes[me].stack.unclean.contains(&target) && world.controller(me) == Some(me)
    };
    if !still || sim.once_in(10) {
        return;
    }
    sim.fence(me, target);
    let one = BTreeSet::from([target]);
    sim.notify(me, &Notice::of(When::Pre, What::Stop, &one)).await;
    sim.notify(me, &Notice::of(When::Post, What::Stop, &one)).await;
}

async fn carry_out(sim: &Rc<Sim>, me: usize, plan: Plan) {
    let scores = |sim: &Sim| sim.world.borrow().nodes[me].stack.shared.scores.clone();
    let before = scores(sim);
    // A score that changed means a new transition, and no post-notification of the old one.
    let goes_on = |sim: &Sim| scores(sim) == before || sim.once_in(2);
    let one = |node: usize| BTreeSet::from([node]);
    let both = async |what, node, action, promote: Option<usize>| {
        let with = |when| Notice {
            promote: promote.map(one).unwrap_or_default(),
            ..Notice::of(when, what, &one(node))
        };
        sim.notify(me, &with(When::Pre)).await;
        if what == What::Promote && !goes_on(sim) {
            return;
        }
        sim.log(&format!("n{}: {action} on n{}", me + 1, node + 1));
        let _ = sim.perform(me, node, action).await;
        if goes_on(sim) {
            sim.notify(me, &with(When::Post)).await;
        }
    };
    match plan {
        Plan::Probe(node) => {
            let _ = sim.perform(me, node, Action::Probe).await;
        }
        Plan::Demote(node, next) => both(What::Demote, node, Action::Demote(true), next).await,
        Plan::Stop(node) => both(What::Stop, node, Action::Stop, None).await,
        Plan::Recover(node, promoted) => {
            if promoted {
                let stays = sim.world.borrow().only_demotes;
                both(What::Demote, node, Action::Demote(stays), None).await;
                if stays && sim.role(me, node) != Role::Failed(false) {
                    return;
                }
            }
            both(What::Stop, node, Action::Stop, None).await;
            if sim.world.borrow().nodes[node].up && sim.role(me, node) == Role::Failed(false) {
                // A stop that fails gets the node fenced.
                let mut world = sim.world.borrow_mut();
                let up = world.nodes[node].server.is_some();
                let members = world.nodes[me].stack.view.clone();
                for member in members.iter().filter(|member| up && node != me && **member != node) {
                    world.nodes[*member].stack.unclean.insert(node);
                }
            }
        }
        Plan::Start(node, next) => both(What::Start, node, Action::Start, next).await,
        Plan::Promote(node) => both(What::Promote, node, Action::Promote, Some(node)).await,
    }
}
