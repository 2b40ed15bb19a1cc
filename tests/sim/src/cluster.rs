//! A model of the cluster stack: membership after a token's timeout, what is shared and when it arrives,
//! fencing, boots and losses of power.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use crate::exec::{Owner, Sim};
use crate::mutation::Mutation;
use crate::world::{Cache, Role, Shared, Stack, World, say};

/// A change on its way: from whom, when it arrives, and what it does.
pub struct Message {
    from: usize,
    at: u64,
    change: Rc<dyn Fn(&mut Shared)>,
}

/// What waits for each node, in the order that all agree on.
#[derive(Default)]
pub struct Mail(BTreeMap<usize, VecDeque<Message>>);

impl World {
    /// Whether two nodes are in touch on the cluster's network: not only one way, and nobody frozen.
    pub fn in_touch(&self, a: usize, b: usize, now: u64) -> bool {
        let awake = |node: usize| self.nodes[node].up && self.nodes[node].frozen_until <= now;
        a == b || (awake(a) && awake(b) && self.link[a][b] && self.link[b][a])
    }

    /// Groups in which everybody is in touch with everybody: corosync relays nothing, so a node that only
    /// some of a group can hear is not in it.
    fn groups(&self, now: u64) -> Vec<BTreeSet<usize>> {
        let mut groups: Vec<BTreeSet<usize>> = Vec::new();
        for node in self.all().into_iter().filter(|node| self.nodes[*node].up) {
            let near = |group: &&mut BTreeSet<usize>| {
                group.iter().all(|other| self.in_touch(node, *other, now))
            };
            match groups.iter_mut().find(near) {
                Some(group) => {
                    group.insert(node);
                }
                None => groups.push(BTreeSet::from([node])),
            }
        }
        groups
    }

    /// Who stands by whom as a designated controller.
    pub fn controller(&self, node: usize) -> Option<usize> {
        self.nodes[node].stack.view.first().copied()
    }

    /// A new membership: what its members know becomes what all know.
    fn install(&mut self, members: &BTreeSet<usize>) {
        let best = members
            .iter()
            .copied()
            .max_by_key(|node| (self.nodes[*node].stack.shared.version, usize::MAX - node));
        let Some(best) = best else { return };
        let mut shared = self.nodes[best].stack.shared.clone();
        shared.roles.retain(|node, _| !members.contains(node));
        for values in [&mut shared.position, &mut shared.ack, &mut shared.shutdown] {
            values.clear();
        }
        shared.scores.clear();
        let (mut unclean, mut down) = (BTreeSet::new(), BTreeSet::new());
        for node in members {
            // Of itself each one knows best.
            let own = &self.nodes[*node].stack;
            let role = own.shared.roles.get(node).copied().unwrap_or(Role::Unknown);
            shared.roles.insert(*node, role);
            if let Some(score) = own.shared.scores.get(node) {
                shared.scores.insert(*node, *score);
            }
            for (all, mine) in [
                (&mut shared.position, &own.shared.position),
                (&mut shared.ack, &own.shared.ack),
                (&mut shared.shutdown, &own.shared.shutdown),
            ] {
                all.extend(mine.get(node).map(|value| (*node, value.clone())));
            }
            unclean.extend(own.unclean.iter().copied());
            unclean.extend(own.view.difference(members).copied());
            down.extend(own.down.iter().copied());
        }
        unclean.retain(|node| !members.contains(node));
        down.retain(|node| !members.contains(node) && !unclean.contains(node));
        if self.has(Mutation::LostIsDown) {
            down.append(&mut unclean);
        }
        let all = members.len() == self.nodes.len();
        for node in members {
            let stack = &mut self.nodes[*node].stack;
            *stack = Stack {
                view: members.clone(),
                unclean: unclean.clone(),
                down: down.clone(),
                shared: shared.clone(),
                seen_all: stack.seen_all || all,
            };
            self.mail.0.remove(node);
        }
    }
}

impl Sim {
    /// Changes what the cluster shares: at once here, later there, if it arrives.
    pub fn tell(self: &Rc<Self>, from: usize, change: impl Fn(&mut Shared) + 'static) {
        self.deliver(from, u64::MAX);
        let change: Rc<dyn Fn(&mut Shared)> = Rc::new(change);
        let others: Vec<usize> = {
            let mut world = self.world.borrow_mut();
            let stack = &mut world.nodes[from].stack;
            stack.shared.version += 1;
            change(&mut stack.shared);
            stack.view.iter().copied().filter(|node| *node != from).collect()
        };
        for to in others {
            let slow = self.once_in(30);
            let delay = if slow { self.between(100, 900) } else { self.between(1, 40) };
            let mut world = self.world.borrow_mut();
            let mail = world.mail.0.entry(to).or_default();
            let last = mail.back().map_or(0, |message| message.at);
            let at = last.max(self.now() + delay);
            mail.push_back(Message { from, at, change: Rc::clone(&change) });
            drop(world);
            self.spawn(Owner::World, at - self.now(), carry(Rc::clone(self), to));
        }
    }

    /// What has arrived by then takes effect. False: something is still on its way, for a cut that nobody
    /// has noticed keeps it.
    fn deliver(&self, to: usize, by: u64) -> bool {
        let now = self.now();
        loop {
            let mut world = self.world.borrow_mut();
            let Some(message) = world.mail.0.get_mut(&to).and_then(VecDeque::pop_front) else {
                return true;
            };
            let (from, at) = (message.from, message.at);
            let together = world.nodes[to].stack.view.contains(&from)
                && (world.nodes[from].stack.view.contains(&to) || !world.nodes[from].up);
            if !together || !world.nodes[to].up {
                continue;
            }
            if (!world.in_touch(from, to, now) && world.nodes[from].up) || at > by {
                world.mail.0.entry(to).or_default().push_front(message);
                return at > by;
            }
            let shared = &mut world.nodes[to].stack.shared;
            shared.version += 1;
            (message.change)(shared);
        }
    }

    /// Power is gone.
    pub fn power_off(&self, node: usize) {
        if !self.world.borrow().nodes[node].up {
            return;
        }
        self.crash_server(node);
        let mut world = self.world.borrow_mut();
        let node = &mut world.nodes[node];
        node.up = false;
        node.frozen_until = 0;
        node.action = None;
        node.cache = Cache::default();
        if let Some(before) = node.disk.unsynced.take() {
            node.disk.ledger = before;
        }
        let kept = &node.stack.shared;
        let shared = Shared {
            version: kept.version,
            ledger: kept.ledger.clone(),
            disabled: kept.disabled,
            ..Shared::default()
        };
        node.stack = Stack { shared, ..Stack::default() };
    }

    /// Power is back: the cluster stack starts, PostgreSQL does not, where the distribution leaves it alone.
    pub fn power_on(self: &Rc<Self>, node: usize) {
        let boot = {
            let mut world = self.world.borrow_mut();
            let held = world.held.contains(&node);
            let one = &mut world.nodes[node];
            if one.up || held {
                return;
            }
            one.up = true;
            one.boot += 1;
            one.stack.view = BTreeSet::from([node]);
            one.stack.shared.roles = BTreeMap::from([(node, Role::Unknown)]);
            one.boot
        };
        self.log(&format!("n{}: boots", node + 1));
        let owner = Owner::Node(node, boot);
        self.spawn(owner, self.between(100, 2_000), crate::controller::run(Rc::clone(self), node));
        self.spawn(
            owner,
            self.between(500, 5_000),
            crate::controller::monitors(Rc::clone(self), node),
        );
        if self.world.borrow().services && self.once_in(2) {
            let again = Rc::clone(self);
            let later = self.between(10, 1_500);
            self.spawn(owner, later, async move { again.start_by_itself(node) });
        }
    }

    /// A fence agent cuts the power of `target`, and whoever is with `by` knows.
    pub fn fence(self: &Rc<Self>, by: usize, target: usize) {
        self.log(&format!("n{}: fences n{}", by + 1, target + 1));
        self.power_off(target);
        {
            let mut world = self.world.borrow_mut();
            world.counts.fenced += 1;
            let members = world.nodes[by].stack.view.clone();
            for node in members.iter().filter(|node| **node != target) {
                let stack = &mut world.nodes[*node].stack;
                stack.unclean.remove(&target);
                stack.down.insert(target);
                stack.shared.roles.insert(target, Role::Stopped);
                forget(&mut stack.shared, target);
            }
        }
        let later = self.between(4_000, 25_000);
        self.spawn(Owner::World, later, boot(Rc::clone(self), target));
    }
}

/// What is transient of a node that left.
pub fn forget(shared: &mut Shared, node: usize) {
    shared.scores.remove(&node);
    shared.rebuilding.remove(&node);
    for values in [&mut shared.position, &mut shared.ack, &mut shared.shutdown] {
        values.remove(&node);
    }
}

async fn boot(sim: Rc<Sim>, node: usize) {
    sim.power_on(node);
}

impl Sim {
    /// Whether something is on its way to this node.
    pub fn has_mail(&self, to: usize) -> bool {
        self.world.borrow().mail.0.get(&to).is_some_and(|mail| !mail.is_empty())
    }
}

async fn carry(sim: Rc<Sim>, to: usize) {
    while !sim.deliver(to, sim.now()) {
        sim.sleep(50).await;
    }
}

/// Corosync: a membership that does not hold is replaced after the token's timeout.
pub async fn membership(sim: Rc<Sim>) {
    let mut since = None;
    loop {
        sim.sleep(100).await;
        let now = sim.now();
        sim.world.borrow_mut().vote_again(now);
        let groups = sim.world.borrow().groups(now);
        let wrong: Vec<&BTreeSet<usize>> = {
            let world = sim.world.borrow();
            let holds = |one: &BTreeSet<usize>| {
                // Whoever is frozen notices nothing.
                one.iter().all(|node| {
                    world.nodes[*node].stack.view == *one || world.nodes[*node].frozen_until > now
                })
            };
            groups.iter().filter(|one| !holds(one)).collect()
        };
        if wrong.is_empty() {
            since = None;
            continue;
        }
        let begun = *since.get_or_insert_with(|| now + sim.between(1_000, 2_800));
        if now < begun {
            continue;
        }
        since = None;
        for members in wrong {
            sim.log(&format!("membership: {}", say(members)));
            sim.world.borrow_mut().install(members);
        }
    }
}
