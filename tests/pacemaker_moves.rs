//! What Pacemaker's own tools make of a move and of a pause: crm_resource writes into the CIB of a real
//! cluster, and the scheduler says what it would do then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use pgtwin::client::pacemaker::Pacemaker;
use pgtwin::client::pacemaker::configure::Edit;
use pgtwin::client::pacemaker::moving::MoveOptions;
use pgtwin::cluster::cib::Cib;
use pgtwin::cluster::known::Known;
use pgtwin::cluster::node::NodeName;
use pgtwin::cluster::topology::ClusterStatus;
use pgtwin::decide::adopt::{Held, clone_of, held};
use pgtwin::decide::changeover::{PARAMETER, Target, set_in_xml, set_of, target_on, unset_in_xml};
use pgtwin::decide::switchover::has_constraint;
use pgtwin::decide::view::View;
use pgtwin::ocf::params::FencingPolicy;
use pgtwin::sys::exec::System;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(20);
const LIFETIME: Duration = Duration::from_mins(11);

/// The CIB of a cluster that runs `db` promoted on n1, as a file that the tools work on.
struct Cluster {
    file: PathBuf,
    _dir: TempDir,
}

impl Cluster {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cib.xml");
        let captured = "tests/fixtures/pacemaker/bookworm/healthy.cib.xml";
        let captured = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(captured);
        std::fs::copy(captured, &file).unwrap();
        Self { file, _dir: dir }
    }

    fn pacemaker(&self) -> Pacemaker<'static> {
        let file = ("CIB_file".to_owned(), self.file.display().to_string());
        Pacemaker::new(&System, "db").with_env([file])
    }

    fn cib(&self) -> Cib {
        Cib::parse(&std::fs::read_to_string(&self.file).unwrap()).unwrap()
    }

    fn ids(&self) -> Vec<String> {
        self.cib().locations.into_iter().map(|location| location.id).collect()
    }

    fn by_hand(&self, args: &[&str]) {
        let mut command = Command::new("crm_resource");
        let output = command.args(args).env("CIB_file", &self.file).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// What the scheduler would do.
    fn plan(&self) -> String {
        let mut command = Command::new("crm_simulate");
        let output = command.arg("--simulate").arg("--xml-file").arg(&self.file).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn options(pacemaker: &Pacemaker<'_>) -> MoveOptions {
    match pacemaker.move_options(LIMIT) {
        Known::Known(options) => options,
        Known::Unknown(why) => panic!("{why}"),
    }
}

#[test]
fn what_keeps_pacemaker_from_starting_it_is_seen_as_the_tools_write_it() {
    let set = ["--set-parameter", "target-role", "--parameter-value"];
    let of = |id: &'static str, role: &'static str| {
        [&["--resource", id, "--meta"][..], &set, &[role]].concat()
    };
    for (name, orders, maintenance, expected) in [
        ("nothing", vec![], false, Held::No),
        ("maintenance", vec![], true, Held::Unmanaged),
        ("the clone is stopped", vec![of("db-clone", "Stopped")], false, Held::Stopped),
        ("both are", vec![of("db-clone", "Stopped"), of("db", "stopped")], false, Held::Stopped),
        ("started", vec![of("db-clone", "Started")], false, Held::No),
        ("who wins?", vec![of("db-clone", "Stopped"), of("db", "Started")], false, Held::No),
    ] {
        let cluster = Cluster::new();
        for order in orders {
            cluster.by_hand(&order);
        }
        let status = "tests/fixtures/pacemaker/bookworm/healthy.crm_mon.xml";
        let status = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(status);
        let mut status = ClusterStatus::parse(&std::fs::read_to_string(status).unwrap()).unwrap();
        status.options.maintenance_mode = maintenance;
        let policy = FencingPolicy::Required;
        let view = View { resource: "db".into(), policy, status, cib: cluster.cib() };
        assert_eq!(clone_of(&view), "db-clone", "{name}");
        assert_eq!(held(&view), expected, "{name}");
    }
}

#[test]
fn a_configuration_is_made_to_win_over_any_copy_of_it_and_never_to_lose() {
    let cluster = Cluster::new();
    let (admin, epoch, _) = cluster.cib().version;
    let raise = |to| cluster.pacemaker().raise_admin_epoch(to, LIMIT);
    assert_eq!(raise(admin + 3), Known::Known(()));
    assert_eq!(cluster.cib().version.0, admin + 3);
    assert!(cluster.cib().version.1 >= epoch);
    assert!(!raise(admin + 2).is_known(), "an older one");
    assert_eq!(cluster.cib().version.0, admin + 3);
}

#[test]
fn a_move_makes_the_scheduler_promote_the_target_and_its_constraint_ends_by_itself() {
    let cluster = Cluster::new();
    let pacemaker = cluster.pacemaker();
    let options = options(&pacemaker);
    assert!(!cluster.plan().contains("->"), "{}", cluster.plan());
    let moved = pacemaker.move_primary(options, "db-clone", &node("n2"), LIFETIME, LIMIT);
    assert_eq!(moved, Known::Known(()));
    assert!(has_constraint(&cluster.cib(), "db-clone"));
    let plan = cluster.plan();
    let line = |what: &str, on: &str| {
        plan.lines().any(|line| line.contains("->") && line.contains(what) && line.contains(on))
    };
    assert!(line("Promote", "n2") && line("Demote", "n1"), "{plan}");
    if options.lifetime {
        let text = std::fs::read_to_string(&cluster.file).unwrap();
        assert!(
            text.contains("<date_expression id=\"cli-prefer-lifetime-end-db-clone\""),
            "{text}"
        );
    }
}

#[test]
fn taking_it_back_leaves_what_others_have_ordered_and_may_be_repeated() {
    let cluster = Cluster::new();
    let pacemaker = cluster.pacemaker();
    let options = options(&pacemaker);
    cluster.by_hand(&["--ban", "--resource=db-clone", "--node=n3"]);
    let others = cluster.ids();
    assert_eq!(others.len(), 1);
    let n2 = node("n2");
    let moved = pacemaker.move_primary(options, "db-clone", &n2, LIFETIME, LIMIT);
    assert_eq!(moved, Known::Known(()));
    assert_eq!(cluster.ids().len(), 2);
    for _ in 0..2 {
        assert_eq!(pacemaker.clear_move(options, "db-clone", &n2, LIMIT), Known::Known(()));
        assert_eq!(cluster.ids(), others);
        assert!(!has_constraint(&cluster.cib(), "db-clone"));
    }
    // One without a lifetime, as a version makes it that knows none.
    let eternal = MoveOptions { lifetime: false, ..options };
    let moved = pacemaker.move_primary(eternal, "db-clone", &n2, LIFETIME, LIMIT);
    assert_eq!(moved, Known::Known(()));
    assert!(has_constraint(&cluster.cib(), "db-clone"));
    assert_eq!(pacemaker.clear_move(options, "db-clone", &n2, LIMIT), Known::Known(()));
    assert_eq!(cluster.ids(), others);
}

#[test]
fn what_cannot_be_ordered_is_an_answer_with_its_words_and_leaves_nothing() {
    let cluster = Cluster::new();
    let pacemaker = cluster.pacemaker();
    let options = options(&pacemaker);
    for (name, clone, to, words) in [
        ("no such node", "db-clone", "n9", "n9"),
        ("it is there already", "db-clone", "n1", "exists"),
        ("no such resource", "no-clone", "n2", "no-clone"),
    ] {
        match pacemaker.move_primary(options, clone, &node(to), LIFETIME, LIMIT) {
            Known::Unknown(why) => assert!(why.contains(words), "{name}: {why}"),
            Known::Known(()) => panic!("{name}"),
        }
        assert_eq!(cluster.ids(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_is_paused_is_neither_stopped_nor_moved_and_what_is_resumed_is() {
    let cluster = Cluster::new();
    let pacemaker = cluster.pacemaker();
    let options = options(&pacemaker);
    let note = "since=1764138600 by=operator root (sudo)";
    assert_eq!(pacemaker.note_pause(note, LIMIT), Known::Known(()));
    assert_eq!(pacemaker.manage("db-clone", false, LIMIT), Known::Known(()));
    assert_eq!(cluster.cib().own_entries("db").get("paused").map(String::as_str), Some(note));
    // A note is no entry of the ledger.
    assert!(cluster.cib().ledgers("db").is_empty());
    let moved = pacemaker.move_primary(options, "db-clone", &node("n2"), LIFETIME, LIMIT);
    assert_eq!(moved, Known::Known(()));
    assert!(!cluster.plan().contains("->"), "{}", cluster.plan());
    // What would be done is found in a copy.
    let before = std::fs::read_to_string(&cluster.file).unwrap();
    let at_once = pacemaker.if_managed("db-clone", LIMIT).known().unwrap();
    assert_eq!(at_once, ["demote db:0 on n1", "promote db:1 on n2"]);
    assert_eq!(std::fs::read_to_string(&cluster.file).unwrap(), before);
    assert_eq!(pacemaker.clear_move(options, "db-clone", &node("n2"), LIMIT), Known::Known(()));
    assert_eq!(pacemaker.if_managed("db-clone", LIMIT), Known::Known(Vec::new()));
    assert!(!pacemaker.if_managed("no-clone", LIMIT).is_known());
    let moved = pacemaker.move_primary(options, "db-clone", &node("n2"), LIFETIME, LIMIT);
    assert_eq!(moved, Known::Known(()));
    for _ in 0..2 {
        assert_eq!(pacemaker.manage("db-clone", true, LIMIT), Known::Known(()));
        assert_eq!(pacemaker.forget_pause(LIMIT), Known::Known(()));
    }
    assert!(cluster.plan().contains("->"), "{}", cluster.plan());
    assert!(cluster.cib().own_entries("db").is_empty());
}

/// Where the parameters have PostgreSQL run on n1, n2, n3: `c` in a container, `h` on the host.
fn targets(on: &Cluster) -> String {
    let cib = on.cib();
    let one = |name: &str| match target_on(cib.primitive("db").unwrap(), &node(name)) {
        Known::Known(Target::Container) => 'c',
        Known::Known(Target::Host) => 'h',
        Known::Unknown(_) => '?',
    };
    ["n1", "n2", "n3"].map(one).iter().collect()
}

#[test]
fn one_node_gets_its_own_runtime_and_then_all_have_it_without_a_rule_that_is_left() {
    let on = Cluster::new();
    let pacemaker = on.pacemaker();
    let edit = |edit: Edit| {
        let before = pacemaker.cib_text(LIMIT).into_result().unwrap();
        pacemaker.configure(&before, &edit, LIMIT).unwrap();
    };
    let set = |name: &str, target| Edit {
        sections: vec![("resources", set_in_xml("db", &node(name), target))],
        ..Edit::default()
    };
    assert_eq!(targets(&on), "hhh");
    edit(set("n2", Target::Container));
    assert_eq!(targets(&on), "hch");
    // The same again changes nothing, and another value takes the place of it.
    edit(set("n2", Target::Container));
    edit(set("n3", Target::Container));
    assert_eq!(targets(&on), "hcc");
    edit(set("n3", Target::Host));
    assert_eq!(targets(&on), "hch");
    // Taken back.
    let unset = |name: &str| unset_in_xml("db", &node(name));
    edit(Edit { removed: vec![unset("n3")], ..Edit::default() });
    assert_eq!(targets(&on), "hch");
    // Settled, in one step.
    let all = vec![("db".to_owned(), PARAMETER.to_owned(), "true".to_owned())];
    edit(Edit { removed: vec![unset("n2")], parameters: all.clone(), ..Edit::default() });
    assert_eq!(targets(&on), "ccc");
    let text = std::fs::read_to_string(&on.file).unwrap();
    assert!(!text.contains(&set_of("db", &node("n2"))), "{text}");
    // A rule for one node wins over what holds for all.
    edit(set("n1", Target::Host));
    assert_eq!(targets(&on), "hcc");
    // Whoever has changed the configuration meanwhile is not overwritten.
    let before = pacemaker.cib_text(LIMIT).into_result().unwrap();
    edit(set("n3", Target::Host));
    let late = Edit { removed: vec![unset("n1")], ..Edit::default() };
    let why = pacemaker.configure(&before, &late, LIMIT).unwrap_err();
    assert!(why.contains("nothing was changed"), "{why}");
    assert_eq!(targets(&on), "hch");
}

#[test]
fn a_constraint_stops_one_standby_and_is_taken_back() {
    let on = Cluster::new();
    let pacemaker = on.pacemaker();
    let clone = on.cib().primitive("db").unwrap().clone.as_ref().unwrap().id.clone();
    let banned = pacemaker.ban(options(&pacemaker), &clone, &node("n2"), LIFETIME, LIMIT);
    assert_eq!(banned, Known::Known(()));
    assert_eq!(on.ids().len(), 1, "{:?}", on.ids());
    let plan = on.plan();
    let stops: Vec<&str> = plan.lines().filter(|line| line.contains("Stop ")).collect();
    assert!(stops.len() == 1 && stops[0].contains("n2"), "{plan}");
    assert!(!plan.contains("Demote") && !plan.contains("Promote "), "{plan}");
    assert_eq!(pacemaker.clear_ban(&clone, &node("n2"), LIMIT), Known::Known(()));
    assert_eq!(on.ids(), [""; 0]);
    // Twice is no failure.
    assert_eq!(pacemaker.clear_ban(&clone, &node("n2"), LIMIT), Known::Known(()));
}
