//! What a container costs, in one run and next to the host: printed as figures, and judged by nobody, for they
//! depend on the machine. What is judged is that a monitor starts no program of the engine's.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pgtwin::client::engine::Engine;
use pgtwin::ocf::params::{ContainerRuntime, Params};

use crate::engine;
use crate::program;
use crate::rig::{Rig, succeeds, text, without_root};

/// Rounds of each measurement, alternating between the places.
const ROUNDS: usize = 5;
/// Monitors in each round.
const MONITORS: usize = 10;
/// Rows of pgbench's accounts, in 100 000.
const SCALE: &str = "5";

/// A place where PostgreSQL runs: on the host, or in a container of one engine.
struct Place {
    name: &'static str,
    on: Rig,
    engine: Option<(ContainerRuntime, String)>,
}

impl Place {
    fn new(runtime: Option<ContainerRuntime>) -> Self {
        let (name, resource) = match runtime {
            None => ("host", "pgtwin-test-figures-host"),
            Some(ContainerRuntime::Docker) => ("docker", "pgtwin-test-figures-docker"),
            Some(_) => ("podman", "pgtwin-test-figures-podman"),
        };
        let mut on = Rig::new(resource, env!("CARGO_BIN_EXE_pgtwin"));
        // The disk is not what is compared.
        let conf = on.pgdata().join("postgresql.conf");
        let text = fs::read_to_string(&conf).unwrap();
        fs::write(&conf, format!("{text}fsync = off\nlisten_addresses = ''\n")).unwrap();
        let mut params = Params::default();
        let engine = runtime.map(|runtime| {
            engine::contain_by(runtime, &mut params, "figures", on.home.path(), &on.bindir);
            on.more = engine::as_words(&params);
            (runtime, params.container_name.clone())
        });
        Self { name, on, engine }
    }

    fn timed(&self, action: &str, code: i32) -> Duration {
        let start = Instant::now();
        self.on.expect(action, code);
        start.elapsed()
    }

    /// pgbench's transactions in a second, from the host through the socket.
    fn pgbench(&self, script: &str, seconds: u64) -> f64 {
        let mut command = self.on.as_user("pgbench");
        command.args(["--no-vacuum", "--client=4", "--jobs=2", "--protocol=prepared"]);
        command.args([&format!("--builtin={script}"), &format!("--time={seconds}"), "--host"]);
        command.arg(self.on.home.path()).args(["--port", &self.on.port.to_string(), "postgres"]);
        let said = succeeds(&mut command);
        let tps = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next());
        tps.unwrap_or_else(|| panic!("{said}")).parse().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.on.act("stop", &[]);
        if let Some((runtime, name)) = &self.engine {
            engine::remove(*runtime, name);
        }
    }
}

fn places() -> Vec<Place> {
    let engines = engine::that_answer().into_iter().map(Some);
    std::iter::once(None).chain(engines).map(Place::new).collect()
}

fn median<T: PartialOrd + Copy>(values: &[T]) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap());
    sorted[sorted.len() / 2]
}

/// One round after the other at all places, so that a machine that slows down does so for each of them.
fn measured<T>(places: &[Place], mut one: impl FnMut(&Place) -> T) -> Vec<Vec<T>> {
    let mut all: Vec<Vec<T>> = places.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (place, values) in places.iter().zip(&mut all) {
            values.push(one(place));
        }
    }
    all
}

fn show_times(what: &str, places: &[Place], all: &[Vec<Duration>]) {
    let host = median(&all[0]);
    let each: Vec<String> = places
        .iter()
        .zip(all)
        .map(|(place, times)| {
            let time = median(times);
            let ratio = time.as_secs_f64() / host.as_secs_f64();
            format!("{} {:.1} ms ({ratio:.2})", place.name, time.as_secs_f64() * 1000.0)
        })
        .collect();
    println!("figure: {what}: {}", each.join(", "));
}

fn show_rates(what: &str, places: &[Place], all: &[Vec<f64>]) {
    let each: Vec<String> = places
        .iter()
        .zip(all)
        .map(|(place, rates)| {
            // Of rounds that followed each other: the machine was as busy then.
            let ratios: Vec<f64> = rates.iter().zip(&all[0]).map(|(it, host)| it / host).collect();
            format!("{} {:.0}/s ({:.3})", place.name, median(rates), median(&ratios))
        })
        .collect();
    println!("figure: {what}: {}", each.join(", "));
}

#[test]
fn the_figures_of_host_and_engines_are_printed() {
    if without_root() {
        return;
    }
    let _alone = crate::box_of::alone();
    // More of it for figures that are to be believed.
    let seconds = std::env::var("PGTWIN_BENCH_SECONDS");
    let seconds = seconds.map_or(1, |text| text.parse().expect("PGTWIN_BENCH_SECONDS: a number"));
    let places = places();
    println!();
    let mut stops: Vec<Vec<Duration>> = places.iter().map(|_| Vec::new()).collect();
    let mut at = 0;
    let starts = measured(&places, |place| {
        let start = place.timed("start", 0);
        stops[at % places.len()].push(place.timed("stop", 0));
        at += 1;
        start
    });
    show_times("start", &places, &starts);
    show_times("stop", &places, &stops);
    for place in &places {
        place.on.expect("start", 0);
        place.on.expect("promote", 0);
        let mut fill = place.on.as_user("pgbench");
        fill.args(["--initialize", "--quiet", "--scale", SCALE, "--host"])
            .arg(place.on.home.path());
        succeeds(fill.args(["--port", &place.on.port.to_string(), "postgres"]));
    }
    let monitors = measured(&places, |place| {
        let each: Vec<Duration> = (0..MONITORS).map(|_| place.timed("monitor", 8)).collect();
        median(&each)
    });
    show_times("quiet monitor", &places, &monitors);
    for (what, script) in [("pgbench -S", "select-only"), ("pgbench, TPC-B", "tpcb-like")] {
        let rates = measured(&places, |place| place.pgbench(script, seconds));
        show_rates(what, &places, &rates);
    }
}

/// A program in the place of another, for the processes of one command only.
fn with_a_trap(command: &Command, trap: &Path, programs: &[String]) -> Command {
    let mount = "for program; do [ \"$program\" = -- ] && break; shift; \
                 mount --bind \"$TRAP\" \"$program\" || exit 99; done; shift; exec \"$@\"";
    let mut all = Command::new("unshare");
    all.args(["--mount", "sh", "-c", mount, "sh"]).args(programs).arg("--");
    all.arg(command.get_program()).args(command.get_args());
    all.env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            all.env(name, value);
        }
    }
    all.env("TRAP", trap).stdin(Stdio::null());
    all
}

#[test]
fn monitors_and_probes_start_no_program_of_an_engines() {
    if without_root() {
        return;
    }
    let _alone = crate::box_of::alone();
    for runtime in engine::that_answer() {
        let place = Place::new(Some(runtime));
        let on = &place.on;
        let all = [ContainerRuntime::Podman, ContainerRuntime::Docker];
        let engines = all.into_iter().filter_map(|one| Some(Engine::find(one).ok()?.program));
        let engines: Vec<String> = engines.collect();
        let (trap, caught) = (on.home.path().join("trap"), on.home.path().join("caught"));
        let script = on.home.path().join("trap.text");
        fs::write(&script, format!("#!/bin/sh\necho \"$0 $*\" >> {}\nexit 1\n", caught.display()))
            .unwrap();
        program::place(&script, &trap);
        let trapped = |action: &str| {
            let output = with_a_trap(&on.command(action), &trap, &engines).output().unwrap();
            (output.status.code().unwrap(), text(&output))
        };
        let expect = |action: &str, code: i32| {
            let (found, said) = trapped(action);
            assert_eq!(found, code, "{action}: {said}");
        };
        on.expect("start", 0);
        expect("monitor", 0);
        on.expect("promote", 0);
        for _ in 0..3 {
            expect("monitor", 8);
        }
        assert!(!caught.exists(), "{}", fs::read_to_string(&caught).unwrap());
        // Nor does a stop need the engine, which it would like to clear up.
        expect("stop", 0);
        assert_eq!(on.processes(), [""; 0]);
        // That the trap catches is proven by a start.
        let (code, said) = trapped("start");
        assert_ne!(code, 0, "{said}");
        assert!(fs::read_to_string(&caught).unwrap().contains("image inspect"), "{said}");
    }
}
