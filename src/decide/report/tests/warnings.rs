//! Each warning, and what stands in the table beside it.

use super::*;
use crate::cluster::cib::Location;

#[test]
fn fencing_that_proves_nothing_is_told_with_what_it_costs() {
    let mut facts = healthy();
    facts.cib.options.insert("stonith-enabled".into(), Setting::Set("false".into()));
    warns(&facts, "(stonith-enabled=false). After the loss of a node nobody");
    assert!(report(&facts).to_string().contains("Fencing      NO: fencing is disabled"));
    facts.policy = FencingPolicy::Advised;
    warns(&facts, "fencing=advised accepts that two nodes may write at once");
    facts.cib.options.clear();
    facts.cib.primitives.clear();
    warns(&facts, "no fence device is configured");
}

#[test]
fn the_last_attempt_to_fence_counts() {
    let event = |outcome: FenceOutcome| FenceEvent {
        target: node("n3"),
        action: "off".into(),
        outcome,
        completed: None,
        delegate: None,
        client: None,
        exit_reason: Some("no route to the power switch".into()),
    };
    let mut facts = healthy();
    let failed = event(FenceOutcome::Failed);
    facts.status.fencing = FenceHistory::Events(vec![failed.clone()]);
    warns(&facts, "the last attempt to fence n3 failed: no route to the power switch");
    assert!(report(&facts).to_string().contains("the last attempt FAILED (fencing)"));
    facts.status.fencing = FenceHistory::Events(vec![event(FenceOutcome::Pending)]);
    warns(&facts, "n3 is being fenced");
    facts.status.fencing = FenceHistory::Events(vec![event(FenceOutcome::Success), failed]);
    assert!(!report(&facts).needs_attention());
    facts.status.fencing = FenceHistory::Unavailable("status 102".into());
    warns(&facts, "the history of fencing cannot be read");
}

#[test]
fn maintenance_is_told_wherever_it_is_set() {
    let mut facts = healthy();
    facts.status.options.maintenance_mode = true;
    warns(&facts, "the cluster is in maintenance mode");
    let mut facts = healthy();
    facts.status.nodes[1].maintenance = true;
    warns(&facts, "in maintenance mode: n2");
    let mut facts = healthy();
    facts.status.instances[2].managed = false;
    warns(&facts, "Pacemaker does not manage db");
    let mut facts = healthy();
    facts.status.nodes[2].standby = true;
    warns(&facts, "n3 was put on standby");
}

#[test]
fn two_that_write_and_roles_that_differ_are_told() {
    let mut facts = healthy();
    facts.servers.insert(node("n3"), Server::Primary(Timeline(4), AT));
    warns(&facts, "n1 and n3 ACCEPT WRITES AT ONCE");
    warns(&facts, "n3 accepts writes, and Pacemaker has not promoted it");
    let mut facts = from_a_standby();
    facts.servers.insert(node("n1"), Server::Standby(Timeline(3), AT));
    warns(&facts, "n1 is promoted, and its PostgreSQL is a standby");
    let mut facts = healthy();
    set_node(&mut facts, "n3", OFF);
    facts.servers.insert(node("n3"), Server::Standby(Timeline(3), AT));
    warns(&facts, "n3 is offline for Pacemaker, and its PostgreSQL runs");
}

#[test]
fn a_standby_on_another_timeline_or_without_a_walsender_is_told() {
    let mut facts = from_a_standby();
    facts.servers.insert(node("n3"), Server::Standby(Timeline(2), Lsn(0x600_0000)));
    warns(&facts, "n3 is on timeline 2, the primary n1 on 3");
    let text = report(&facts).to_string();
    assert!(text.contains("n3    standby  streaming   2  0/6000000    ?"), "{text}");
    let mut facts = healthy();
    facts.local = Some(local(&[("n2", 0)], VOTES));
    warns(&facts, "n3 does not stream from n1");
}

#[test]
fn a_stopped_instance_and_a_node_that_nobody_knows_are_told() {
    let mut facts = healthy();
    facts.status.instances.retain(|instance| !instance.nodes.contains(&node("n3")));
    facts.servers.insert(node("n3"), Server::Absent("nobody listens there".into()));
    warns(&facts, "db's instance on n3 is stopped");
    let text = report(&facts).to_string();
    assert!(text.contains("n3    -        stopped     -  -"), "{text}");
    let mut facts = healthy();
    facts.members = nodes("n1 n2 n9");
    warns(&facts, "n9 is in node_list, and Pacemaker knows no node of that name");
}

#[test]
fn a_ledger_that_is_not_one_is_told() {
    let mut facts = healthy();
    facts.own = OwnLedger::Read(store(&[entry(3, 6, 1, "n1", "n2")]));
    warns(&facts, "(file: term 3 entry 6 of n1, heirs n2; CIB: term 3 entry 7 of n1, heirs n2,n3)");
    facts.own = OwnLedger::Missing;
    warns(&facts, "n1 has no ledger file");
    facts.own = OwnLedger::Unreadable("its checksum does not match".into());
    warns(&facts, "the ledger file of n1 is no help");
    let mut facts = healthy();
    facts.ledger = Known::unknown("the entry of n2 in the CIB: rubbish");
    warns(&facts, "the ledger in the CIB cannot be read: the entry of n2");
    assert_eq!(report(&facts).rows[1].heir, Cell::Unknown);
    let mut facts = healthy();
    let done = entry(3, 7, 1, "n1", "n2 n3");
    facts.ledger = Known::Known(intending(&[done], &entry(4, 0, 2, "n2", "")));
    warns(&facts, "n2 has begun a promotion (term 4)");
    let mut facts = healthy();
    let two = [entry(3, 7, 1, "n1", "n2"), entry(3, 0, 2, "n3", "")];
    facts.ledger = Known::Known(store(&two));
    warns(&facts, "2 entries of the ledger share term 3");
    // n2 is an heir in one of them only.
    assert_eq!(report(&facts).rows[1].heir, Cell::Is(false));
}

#[test]
fn without_any_ledger_nothing_is_wrong_with_it() {
    let mut facts = healthy();
    facts.ledger = Known::Known(store(&[]));
    facts.own = OwnLedger::Missing;
    let report = report(&facts);
    assert!(!report.needs_attention(), "{report}");
    assert!(report.to_string().contains("Ledger       none yet"), "{report}");
}

#[test]
fn names_that_are_not_ours_are_told() {
    let mut facts = healthy();
    facts.names = Known::Known("FIRST 1 (*)".into());
    warns(&facts, "it is \"FIRST 1 (*)\", not pgtwin's");
    assert_eq!(report(&facts).rows[1].sync, Cell::Unknown);
    facts.names = Known::Known("ANY 1 (\"x\")".into());
    warns(&facts, "it names no member");
    facts.names = Known::Known("ANY 1 (\"N2\")".into());
    let rows = report(&facts).rows;
    assert_eq!((&rows[1].sync, &rows[2].sync), (&Cell::Is(true), &Cell::Is(false)));
}

#[test]
fn a_new_primary_whose_standbys_have_not_confirmed_yet_is_not_alone() {
    let mut facts = healthy();
    let ledger = store(&[entry(4, 0, 9, "n1", "")]);
    facts.own = OwnLedger::Read(ledger.clone());
    facts.ledger = Known::Known(ledger);
    let text = report(&facts).to_string();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = "writes need n2 or n3; nobody may take over at the moment: n1 waits for a standby";
    assert!(text.contains(words), "{text}");
}

#[test]
fn a_primary_whose_commits_wait_says_for_what() {
    for (said, state, expected) in [
        ("primary-waiting-for-n2,n3", "waiting", "writes on n1 wait until n2,n3 streams"),
        (
            "primary-waiting-for-quorum",
            "waiting",
            "writes on n1 wait: this partition has no quorum",
        ),
        ("primary-waiting-for-fencing", "waiting", "pgtwin forget"),
        ("primary-waiting-for-a-standby", "waiting", "sync_strict=true"),
        ("superseded", "writable", "another node was promoted since n1 was"),
    ] {
        let mut facts = healthy();
        facts.cib.node_states[0] = transient("n1", said, Some(20_000));
        warns(&facts, expected);
        assert_eq!(report(&facts).rows[0].state, Cell::Is(state.to_owned()), "{said}");
    }
}

#[test]
fn a_primary_that_is_about_to_go_on_alone_says_so() {
    let mut facts = healthy();
    facts.own = OwnLedger::Read(store(&[entry(3, 7, 1, "n1", "n2 n3")]));
    facts.ledger = Known::Known(store(&[entry(3, 8, 1, "n1", "")]));
    warns(&facts, "n1 is about to go on alone, once it is proven that n2 or n3 cannot take over");
    assert_eq!(report(&facts).warnings.len(), 1);
}

#[test]
fn failed_actions_of_this_resource_are_told() {
    let failure = |resource: &str, code: i32, reason: &str| FailedAction {
        resource: resource.into(),
        operation: "monitor".into(),
        node: node("n2"),
        exit_code: Some(code),
        words: "error".into(),
        reason: reason.into(),
        when: Some("2026-11-20 12:41:38Z".into()),
    };
    let mut facts = healthy();
    facts.status.failures =
        vec![failure("db", 1, ""), failure("db", 190, "paused"), failure("other", 1, "x")];
    facts.status.failures.push(failure("db", 1, "data diverged: timel..."));
    let start = FailedAction { operation: "start".into(), ..failure("db", 1, "no room") };
    facts.status.failures.push(start);
    // What the primary says of itself is newer than this.
    facts.status.failures.push(failure("db", 191, "no standby streams"));
    facts.cib.node_states[1] = transient("n2", "paused", None);
    let warnings = report(&facts).warnings;
    assert_eq!(
        warnings,
        [
            "monitor on n2 failed at 2026-11-20 12:41:38Z: error",
            "monitor on n2 reported at 2026-11-20 12:41:38Z: paused",
            "monitor on n2 failed at 2026-11-20 12:41:38Z: data diverged: timel... (the whole is in \
             the system log of n2)",
            "start on n2 failed at 2026-11-20 12:41:38Z: no room; once that is mended: crm_resource \
             --cleanup --resource db --node n2"
        ]
    );
}

#[test]
fn a_standbys_report_is_not_repeated_when_it_has_passed() {
    let reported = |node_name: &str| FailedAction {
        resource: "db".into(),
        operation: "monitor".into(),
        node: node(node_name),
        exit_code: Some(190),
        words: "degraded".into(),
        reason: "no primary; not promoted: n3 has more".into(),
        when: None,
    };
    for (name, state, told) in [
        ("n2", "waiting", true),
        ("n2", "not-streaming", true),
        ("n2", "streaming", false),
        ("n2", "delayed", false),
        // It was promoted since.
        ("n1", "primary", false),
    ] {
        let mut facts = healthy();
        facts.cib.node_states.retain(|entry| entry.name != node(name));
        facts.cib.node_states.push(transient(name, state, None));
        facts.status.failures = vec![reported(name)];
        assert_eq!(report(&facts).needs_attention(), told, "{name} {state}\n{}", report(&facts));
    }
}

#[test]
fn what_no_quorum_means_depends_on_the_policy() {
    for (policy, nodes, words) in [
        (None, 3, "(no-quorum-policy=stop): nothing is promoted, and a primary"),
        (Some("freeze"), 2, "(no-quorum-policy=freeze): nothing is promoted"),
        (Some("ignore"), 2, "(no-quorum-policy=ignore): both nodes may go on alone"),
        (Some("ignore"), 3, "(no-quorum-policy=ignore): a primary without standbys takes no"),
    ] {
        let mut facts = healthy();
        facts.status.quorum = Quorum::Inquorate;
        facts.status.nodes.truncate(nodes);
        let set = |policy: &str| ("no-quorum-policy".to_owned(), Setting::Set(policy.into()));
        facts.cib.options.extend(policy.map(set));
        warns(&facts, words);
    }
}

#[test]
fn what_went_wrong_on_the_way_is_a_warning() {
    let mut facts = healthy();
    facts.noted = vec!["n2 is kept out".into()];
    facts.problems = vec!["a rule in the CIB decides the parameter pgport".into()];
    warns(&facts, "a rule in the CIB decides the parameter pgport");
}

#[test]
fn what_a_move_by_hand_has_left_is_told_with_how_to_remove_it() {
    let left = |id: &str, resource: &str| Location {
        id: id.into(),
        resource: Some(resource.into()),
        node: Some("n2".into()),
        score: Some("INFINITY".into()),
        role: Some("Promoted".into()),
        rules: Vec::new(),
        complex: false,
    };
    let mut facts = healthy();
    facts.cib.locations = vec![left("rather-n2", "db-clone"), left("cli-prefer-vip", "vip")];
    assert!(!report(&facts).needs_attention());
    facts.cib.locations.push(left("cli-prefer-db-clone", "db-clone"));
    warns(
        &facts,
        "cli-prefer-db-clone binds the primary to a node until it is removed: crm_resource --clear --resource db-clone",
    );
    facts.cib.locations.push(left("cli-ban-db-clone-on-n2", "db-clone"));
    warns(&facts, "cli-ban-db-clone-on-n2 keeps the resource, or the primary, from a node");
}

#[test]
fn another_database_on_a_member_is_told() {
    let mut facts = healthy();
    facts.systems.insert(node("n3"), 8);
    warns(&facts, "n3 has database system 8, the ledger is about 7: it is another database");
}
