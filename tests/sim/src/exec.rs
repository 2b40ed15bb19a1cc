//! Tasks, and a clock that only they move. A task is a coroutine; it gives way where it sleeps, and
//! nowhere else, so whatever lies between two sleeps is one atomic act. Which task is next is decided by
//! the lengths of the sleeps, which the seed decides.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::chance::Chance;
use crate::world::World;

/// Whose task it is: it ends with its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The world's: networks, clients, faults.
    World,
    /// A daemon of a node, since this boot.
    Node(usize, u64),
    /// A process of a server, of this life.
    Server(usize, u64),
    /// An action of the agent.
    Action(usize, u64),
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Everything of one history.
pub struct Sim {
    now: Cell<u64>,
    chance: RefCell<Chance>,
    /// The nodes and what lies between them.
    pub world: RefCell<World>,
    queue: RefCell<BinaryHeap<Reverse<(u64, u64, u64)>>>,
    tasks: RefCell<BTreeMap<u64, (Owner, Task)>>,
    ids: Cell<u64>,
    current: Cell<u64>,
    /// One in so many acts of an agent is its last, or its node's; 0: none is.
    pub deadly: Cell<u64>,
}

struct Sleep<'a> {
    sim: &'a Sim,
    ms: u64,
    asleep: bool,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.asleep {
            return Poll::Ready(());
        }
        self.asleep = true;
        self.sim.wake(self.sim.now() + self.ms, self.sim.current.get());
        Poll::Pending
    }
}

impl Sim {
    /// A history that begins.
    pub fn new(world: World, seed: u64) -> Rc<Self> {
        Rc::new(Self {
            now: Cell::new(0),
            chance: RefCell::new(Chance::new(seed)),
            world: RefCell::new(world),
            queue: RefCell::default(),
            tasks: RefCell::default(),
            ids: Cell::new(1),
            current: Cell::new(0),
            deadly: Cell::new(0),
        })
    }

    /// Milliseconds since the begin.
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&self, from: u64, to: u64) -> u64 {
        from + self.chance.borrow_mut().below(to - from + 1)
    }

    /// Once in `n` times; never if that is 0.
    pub fn once_in(&self, n: u64) -> bool {
        n > 0 && self.chance.borrow_mut().below(n) == 0
    }

    /// A number that was not used before.
    pub fn id(&self) -> u64 {
        self.ids.set(self.ids.get() + 1);
        self.ids.get()
    }

    /// Sleeps for so many milliseconds.
    pub fn sleep(&self, ms: u64) -> impl Future<Output = ()> + '_ {
        Sleep { sim: self, ms, asleep: false }
    }

    /// What one act takes: mostly little, now and then long.
    pub fn a_while(&self) -> u64 {
        match self.between(0, 399) {
            0 => self.between(2_000, 12_000),
            1..=7 => self.between(200, 2_000),
            _ => self.between(1, 30),
        }
    }

    /// Lets others go first.
    pub async fn act(&self) {
        self.sleep(self.a_while()).await;
    }

    /// A line of the history.
    pub fn log(&self, line: &str) {
        let now = self.now();
        self.world.borrow_mut().history.push(format!("{:>7}.{:03} {line}", now / 1000, now % 1000));
    }

    fn wake(&self, at: u64, task: u64) {
        self.queue.borrow_mut().push(Reverse((at, self.id(), task)));
    }

    /// Starts a task. It begins after `delay`.
    pub fn spawn(&self, owner: Owner, delay: u64, task: impl Future<Output = ()> + 'static) {
        let id = self.id();
        self.tasks.borrow_mut().insert(id, (owner, Box::pin(task)));
        self.wake(self.now() + delay, id);
    }

    /// Whether the owner still is; how long it stands still.
    fn state(&self, owner: Owner) -> Option<u64> {
        let world = self.world.borrow();
        let (node, lives) = match owner {
            Owner::World => return Some(0),
            Owner::Node(node, boot) => {
                (node, world.nodes[node].up && world.nodes[node].boot == boot)
            }
            Owner::Server(node, life) => {
                (node, world.nodes[node].server.as_ref().is_some_and(|one| one.life == life))
            }
            Owner::Action(node, id) => (node, world.nodes[node].action == Some(id)),
        };
        lives.then(|| world.nodes[node].frozen_until.saturating_sub(self.now()))
    }

    /// Runs until this time, or until an invariant is broken.
    pub fn run(&self, until: u64) {
        loop {
            let Some(Reverse((at, _, id))) = self.queue.borrow_mut().pop() else { return };
            if at > until {
                self.wake(at, id);
                self.now.set(until);
                return;
            }
            self.now.set(at);
            let Some((owner, mut task)) = self.tasks.borrow_mut().remove(&id) else { continue };
            match self.state(owner) {
                None => continue,
                Some(0) => {}
                Some(frozen) => {
                    self.tasks.borrow_mut().insert(id, (owner, task));
                    self.wake(at + frozen, id);
                    continue;
                }
            }
            if let Owner::Action(node, _) = owner
                && self.once_in(self.deadly.get())
            {
                self.strike(node);
                continue;
            }
            self.current.set(id);
            let ended = task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
            if !ended {
                self.tasks.borrow_mut().insert(id, (owner, task));
            }
            if self.world.borrow().violation.is_some() {
                return;
            }
        }
    }

    /// In the middle of an action, one of three things ends.
    fn strike(&self, node: usize) {
        match self.between(0, 2) {
            0 => {
                self.log(&format!("n{}: the agent is killed", node + 1));
                self.world.borrow_mut().nodes[node].action = None;
            }
            1 => {
                self.log(&format!("n{}: the agent and PostgreSQL are killed", node + 1));
                self.world.borrow_mut().nodes[node].action = None;
                self.crash_server(node);
            }
            _ => {
                self.log(&format!("n{}: power cut in the middle of an action", node + 1));
                self.power_off(node);
            }
        }
    }

    /// Ends all tasks, which hold what holds them.
    pub fn end(&self) {
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        drop(tasks);
    }
}
