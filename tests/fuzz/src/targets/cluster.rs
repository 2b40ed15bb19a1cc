//! What Pacemaker's tools print, the CIB, and corosync.conf.

use pgtwin::cluster::absence::absence;
use pgtwin::cluster::cib::{Cib, score, truth};
use pgtwin::cluster::corosync_conf::Corosync;
use pgtwin::cluster::node::NodeName;
use pgtwin::cluster::topology::ClusterStatus;
use pgtwin::cluster::utc::Utc;
use pgtwin::cluster::{attributes, interval, simulation, xml};
use pgtwin::decide::{switchover, unwatched, view};

use crate::{Target, halves, text};

pub const CIB: Target = Target {
    name: "cib",
    run: a_cib_is_asked_for_everything,
    captured: &[".cib.xml"],
    seeds: &[
        "<cib epoch=\"7\" num_updates=\"1\" admin_epoch=\"0\" have-quorum=\"1\"><configuration><crm_config>\
         <cluster_property_set id=\"pgtwin-db\"><nvpair id=\"a\" name=\"ledger-n1\" value=\"done term=1\"/>\
         </cluster_property_set></crm_config><nodes/><resources/><constraints/></configuration><status/></cib>",
    ],
};

fn a_cib_is_asked_for_everything(data: &[u8]) {
    let given = text(data);
    let live = Cib::parse(&given);
    let saved = Cib::parse_configuration(&given);
    assert!(live.is_err() || saved.is_ok(), "what is a cluster's is a configuration");
    for cib in [live, saved].into_iter().flatten() {
        let _ = (cib.fencing(), cib.no_quorum_policy(), cib.switch("maintenance-mode", false));
        for resource in ["db", "postgres-db", "postgres-clone"] {
            let _ = (
                cib.primitive(resource),
                cib.own_entries(resource),
                cib.ledgers(resource),
                cib.scores(resource),
            );
            let _ = (view::scores(&cib, resource), view::ledger(&cib, resource));
            let _ = switchover::has_constraint(&cib, resource);
            for node in &cib.nodes {
                let _ = cib.promoted_at(resource, &node.name);
            }
        }
        let _ = (cib.transient("pgtwin-db-state"), cib.option("cluster-name", ""));
    }
}

pub const CRM_MON: Target = Target {
    name: "crm_mon",
    run: a_status_says_what_is_known_of_each_node,
    captured: &[".crm_mon.xml", "healthy.cib.xml", "unclean.cib.xml"],
    seeds: &[],
};

fn a_status_says_what_is_known_of_each_node(data: &[u8]) {
    let (one, other) = halves(data);
    let Ok(status) = ClusterStatus::parse(&one) else { return };
    let stranger: NodeName = "nobody-is-called-so".parse().unwrap();
    let _ = status.node_state(&stranger);
    assert!(status.node(&stranger).is_none());
    let cib = Cib::parse(&other).or_else(|_| Cib::parse(EMPTY)).unwrap();
    for node in &status.nodes {
        let _ = (status.node_state(&node.name), absence(&status, &cib, "postgres-db", &node.name));
    }
    let _ = unwatched::unwatched(&status, &cib, "postgres-db");
}

const EMPTY: &str = "<cib epoch=\"1\" num_updates=\"1\" admin_epoch=\"0\" have-quorum=\"1\"><configuration><crm_config/>\
     <nodes/><resources/><constraints/></configuration><status/></cib>";

pub const ATTRIBUTES: Target = Target {
    name: "attributes",
    run: attributes_are_those_that_were_asked_for,
    captured: &[".attributes.xml"],
    seeds: &[],
};

fn attributes_are_those_that_were_asked_for(data: &[u8]) {
    if let Ok(values) = attributes::parse("pgtwin-postgres-db-position", &text(data)) {
        assert!(values.values().all(|value| !value.is_empty()));
    }
}

pub const SIMULATION: Target = Target {
    name: "simulation",
    run: a_tree_of_xml_is_as_deep_as_it_may_be,
    captured: &["healthy.crm_mon.xml"],
    seeds: &[
        "<pacemaker-result api-version=\"2.3\" request=\"crm_simulate\"><actions><rsc_action action=\"Stop\" \
         resource=\"db:0\" node=\"n1\"/></actions><status code=\"0\" message=\"OK\"/></pacemaker-result>",
        "<a b=\"&lt;&#x41;\"><!-- c --><![CDATA[<]]>&amp;x</a>",
        "<a><b><c><d><e><f><g/></f></e></d></c></b></a>",
    ],
};

fn a_tree_of_xml_is_as_deep_as_it_may_be(data: &[u8]) {
    let given = text(data);
    let _ = simulation::parse(&given);
    if let Ok(root) = xml::parse(&given) {
        assert!(deep(&root) <= 64);
        let elements = root.walk().count();
        assert!(elements <= given.matches('<').count());
        // A part of a document is none.
        if let Some(end) = given.rfind("</") {
            assert!(xml::parse(&given[..end]).is_err() || given[end..].contains("-->"));
        }
    }
}

fn deep(element: &xml::Element) -> usize {
    1 + element.children.iter().map(deep).max().unwrap_or(0)
}

pub const COROSYNC_CONF: Target = Target {
    name: "corosync_conf",
    run: corosync_conf_has_times,
    captured: &[],
    seeds: &[
        "totem {\n  version: 2\n  token: 1000\n  token_coefficient: 650\n}\nquorum {\n  provider: corosync_votequorum\n  \
         two_node: 1\n  device {\n    model: net\n  }\n}\nnodelist {\n  node {\n    name: n1\n  }\n}\n",
        "# x\na {\nb {\nc: d\n}\n}\n",
    ],
};

fn corosync_conf_has_times(data: &[u8]) {
    if let Ok(conf) = Corosync::parse(&text(data)) {
        for nodes in [0, 2, 3, usize::MAX] {
            let _ = conf.notices_within(nodes);
        }
        let _ = conf.waits_for_all();
    }
}

pub const TIMES: Target = Target {
    name: "times",
    run: times_and_names_are_read_back,
    captured: &[],
    seeds: &[
        "3s",
        "2min",
        "PT1M30S",
        "P1DT2H",
        "60",
        "2026-02-28 23:59:59Z",
        "2024-02-29T00:00:00.123456Z",
        "9999-12-31 23:59:60Z",
        "INFINITY",
        "-INFINITY",
        "+1000",
        "true",
        "n1.example.org",
        "Pn1",
        "1970-01-01 00:00:00Z",
    ],
};

fn times_and_names_are_read_back(data: &[u8]) {
    let given = text(data);
    // The last second that can be shown may be a leap second.
    if let Some(seconds) = Utc::seconds(&given).filter(|seconds| *seconds <= 253_402_300_799) {
        let shown = Utc::of(seconds).to_string();
        assert_eq!(Utc::seconds(&shown), Some(seconds), "{shown}");
    }
    let _ = interval::milliseconds(&given);
    if let Some(score) = score(&given) {
        assert!((-1_000_000..=1_000_000).contains(&score), "{score}");
    }
    let _ = truth(&given);
    if let Ok(node) = given.parse::<NodeName>() {
        assert_eq!(node.to_string().parse().as_ref(), Ok(&node));
        assert!(!node.is_nearly(&node) && !node.as_str().contains([' ', ',', ';', '|', '\n', '=']));
    }
}
