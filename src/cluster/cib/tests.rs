//! Configurations that the captured clusters do not have. What Pacemaker makes of conflicting
//! property sets was tried with `CIB_file=… crm_mon` on 2.1.5, 3.0.0 and 3.0.1.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

fn cib(crm_config: &str, resources: &str, constraints: &str) -> Cib {
    let text = format!(
        "<cib admin_epoch=\"0\" epoch=\"7\" num_updates=\"3\" have-quorum=\"1\" dc-uuid=\"2\">\
         <configuration><crm_config>{crm_config}</crm_config>\
         <nodes><node id=\"1\" uname=\"n1\"/><node id=\"r\" uname=\"r1\" type=\"remote\"/></nodes>\
         <resources>{resources}</resources><constraints>{constraints}</constraints>\
         </configuration><status/></cib>"
    );
    Cib::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn set(id: &str, attributes: &str, rule: &str, name: &str, value: &str) -> String {
    format!(
        "<cluster_property_set id=\"{id}\" {attributes}>{rule}\
         <nvpair id=\"{id}-x\" name=\"{name}\" value=\"{value}\"/></cluster_property_set>"
    )
}

fn fencing(crm_config: &str) -> FencingFacts {
    cib(crm_config, "<primitive id=\"f\" class=\"stonith\" type=\"fence_x\"/>", "").fencing()
}

#[test]
fn whether_fencing_is_enabled_is_read_as_pacemaker_reads_it_or_not_known() {
    let boot = |value: &str| set("cib-bootstrap-options", "", "", "stonith-enabled", value);
    let other = |attributes: &str, value: &str| set("z", attributes, "", "stonith-enabled", value);
    let rule = "<rule id=\"r\" score=\"INFINITY\"/>";
    let rows: &[(&str, String, Option<bool>)] = &[
        ("nothing", String::new(), Some(true)),
        ("true", boot("true"), Some(true)),
        ("FALSE", boot("FALSE"), Some(false)),
        ("off", boot("off"), Some(false)),
        ("N", boot("N"), Some(false)),
        // Pacemaker takes these three for its default, true.
        ("rubbish", boot("rubbish"), None),
        ("empty", boot(""), None),
        ("spaces", boot(" false "), None),
        (
            "bootstrap wins",
            format!("{}{}", other("score=\"9\"", "true"), boot("false")),
            Some(false),
        ),
        (
            "score wins",
            {
                let first = set("a", "", "", "stonith-enabled", "true");
                format!("{first}{}", other("score=\"100\"", "false"))
            },
            Some(false),
        ),
        (
            "equal scores disagree",
            {
                let first = set("a", "", "", "stonith-enabled", "false");
                format!("{first}{}", other("", "true"))
            },
            None,
        ),
        (
            "equal scores agree",
            {
                let first = set("a", "", "", "stonith-enabled", "false");
                format!("{first}{}", other("", "false"))
            },
            Some(false),
        ),
        ("a rule", set("cib-bootstrap-options", "", rule, "stonith-enabled", "false"), None),
        ("in a set of ours", set("pgtwin-db", "", "", "stonith-enabled", "false"), Some(false)),
        (
            "the name to come",
            set("cib-bootstrap-options", "", "", "fencing-enabled", "false"),
            Some(false),
        ),
        (
            "the name to come does not enable",
            {
                let new = set("cib-bootstrap-options", "", "", "fencing-enabled", "true");
                format!("{new}{}", other("", "false"))
            },
            Some(false),
        ),
    ];
    for (name, crm_config, expected) in rows {
        assert_eq!(fencing(crm_config).enabled.known(), *expected, "{name}");
    }
}

#[test]
fn offline_proves_nothing_without_a_working_fence_device() {
    let device = "<primitive id=\"f\" class=\"stonith\" type=\"fence_x\"/>";
    let off = "<primitive id=\"f\" class=\"stonith\" type=\"fence_x\"><meta_attributes id=\"m\">\
               <nvpair id=\"mt\" name=\"target-role\" value=\"Stopped\"/></meta_attributes></primitive>";
    let boot = |name: &str, value: &str| set("cib-bootstrap-options", "", "", name, value);
    let watchdog = |have: &str, timeout: &str| {
        format!(
            "{}{}",
            boot("have-watchdog", have),
            set("w", "", "", "stonith-watchdog-timeout", timeout)
        )
    };
    let rows: &[(&str, String, &str, bool)] = &[
        ("a device", String::new(), device, true),
        ("no device", String::new(), "", false),
        ("a device that is switched off", String::new(), off, false),
        ("disabled", boot("stonith-enabled", "false"), device, false),
        ("no startup fencing", boot("startup-fencing", "no"), device, false),
        ("watchdog", watchdog("true", "10s"), "", true),
        ("watchdog of no time", watchdog("true", "0s"), "", false),
        ("no watchdog", watchdog("false", "10s"), "", false),
    ];
    for (name, crm_config, resources, expected) in rows {
        let means_down = cib(crm_config, resources, "").fencing().offline_means_down();
        assert_eq!(means_down.is_ok(), *expected, "{name}: {means_down:?}");
    }
}

#[test]
fn a_primitive_is_found_in_groups_and_clones_with_what_its_template_and_references_give_it() {
    let cib = cib(
        "",
        "<template id=\"t\" class=\"ocf\" provider=\"heartbeat\" type=\"pgtwin\">\
           <instance_attributes id=\"t-ia\"><nvpair id=\"t1\" name=\"pguser\" value=\"postgres\"/>\
             <nvpair id=\"t2\" name=\"pgdata\" value=\"/template\"/></instance_attributes>\
           <operations id=\"t-ops\"><op id=\"o\" name=\"monitor\" interval=\"3s\" timeout=\"9s\"/></operations>\
         </template>\
         <primitive id=\"other\" class=\"ocf\" provider=\"x\" type=\"pgtwin\">\
           <instance_attributes id=\"shared\"><nvpair id=\"vip\" name=\"vip\" value=\"10.0.0.9\"/></instance_attributes>\
         </primitive>\
         <master id=\"ms\"><group id=\"g\"><primitive id=\"db\" template=\"t\">\
           <instance_attributes id=\"ia\" score=\"2\"><nvpair id=\"i1\" name=\"pgdata\" value=\"/own\"/></instance_attributes>\
           <instance_attributes id=\"ia2\" score=\"1\"><nvpair id=\"i2\" name=\"pgdata\" value=\"/less\"/>\
             <nvpair id-ref=\"vip\"/></instance_attributes>\
           <instance_attributes id=\"ia3\"><rule id=\"r\"/><nvpair id=\"i3\" name=\"pgport\" value=\"1\"/>\
             <nvpair id=\"i4\" name=\"pgdata\" value=\"/rule\"/></instance_attributes>\
         </primitive></group></master>",
        "<rsc_location id=\"l1\" rsc=\"ms\" node=\"n1\" score=\"10\"/>\
         <rsc_location id=\"l2\" rsc=\"g\"><rule id=\"lr\"/></rsc_location>\
         <rsc_location id=\"l3\" rsc=\"other\" node=\"n1\" score=\"1\"/>",
    );
    let db = cib.primitive("db").unwrap();
    assert_eq!((db.agent.as_str(), db.provider.as_deref()), ("pgtwin", Some("heartbeat")));
    let expected = [
        ("pgdata", Setting::Set("/own".into())),
        ("pgport", Setting::Conditional),
        ("pguser", Setting::Set("postgres".into())),
        ("vip", Setting::Set("10.0.0.9".into())),
    ];
    assert_eq!(db.parameters, expected.map(|(name, value)| (name.to_owned(), value)).into());
    assert_eq!(db.operations.len(), 1);
    assert_eq!(db.group.as_deref(), Some("g"));
    assert!(db.clone.as_ref().unwrap().promotable);
    let ids = |p: &Primitive| cib.locations_of(p).map(|l| l.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(db), ["l1", "l2"]);
    assert!(cib.locations[1].complex);
    assert_eq!(cib.primitives_of("pgtwin").count(), 2);
    assert_eq!(cib.full_members().map(NodeName::as_str).collect::<Vec<_>>(), ["n1"]);
    assert_eq!(cib.version, (0, 7, 3));
}

#[test]
fn a_rule_that_names_a_node_is_decided_there_and_no_other_rule_is() {
    let set = |id: &str, score: &str, rule: &str, value: &str| {
        format!(
            "<instance_attributes id=\"{id}\" score=\"{score}\">{rule}<nvpair id=\"{id}-v\" \
             name=\"container_mode\" value=\"{value}\"/></instance_attributes>"
        )
    };
    let uname = |operation: &str, node: &str| {
        format!(
            "<rule id=\"r-{node}\" score=\"0\"><expression id=\"e-{node}\" attribute=\"#uname\" \
             operation=\"{operation}\" value=\"{node}\"/></rule>"
        )
    };
    let of = |sets: &str| {
        let text = format!(
            "<primitive id=\"db\" class=\"ocf\" provider=\"x\" type=\"pgtwin\">{sets}</primitive>"
        );
        cib("", &text, "").primitive("db").unwrap().clone()
    };
    let on = |db: &Primitive, node: &str| {
        db.parameters_on(&node.parse().unwrap()).get("container_mode").cloned()
    };
    let is = |value: &str| Some(Setting::Set(value.into()));
    let plain = set("p", "0", "", "false");
    let db = of(&(plain.clone() + &set("a", "9", &uname("eq", "n2"), "true")));
    assert_eq!(db.parameters["container_mode"], Setting::Conditional);
    assert_eq!(
        (on(&db, "n1"), on(&db, "n2"), on(&db, "n3")),
        (is("false"), is("true"), is("false"))
    );
    // Of a lower score than what is set for all.
    let db = of(&(set("p", "9", "", "false") + &set("a", "0", &uname("eq", "n2"), "true")));
    assert_eq!((on(&db, "n1"), on(&db, "n2")), (is("false"), is("false")));
    // None for all.
    let db = of(&set("a", "9", &uname("eq", "n2"), "true"));
    assert_eq!((on(&db, "n1"), on(&db, "n2")), (None, is("true")));
    // What does more than to name a node stays a condition, on every node.
    let date = "<rule id=\"r\"><date_expression id=\"d\" operation=\"gt\" start=\"2026\"/></rule>";
    for rule in [uname("ne", "n2"), date.to_owned(), "<rule id=\"r\"/>".to_owned()] {
        let db = of(&(plain.clone() + &set("a", "9", &rule, "true")));
        assert_eq!(
            (on(&db, "n1"), on(&db, "n2")),
            (Some(Setting::Conditional), Some(Setting::Conditional))
        );
    }
}

/// The attribute manager writes under a node's id alone, before the controller adds the name.
#[test]
fn a_node_state_without_a_name_is_the_configured_nodes_or_nobodys() {
    let text = "<cib admin_epoch=\"0\" epoch=\"7\" num_updates=\"3\"><configuration><crm_config/>\
                <nodes><node id=\"1\" uname=\"n1\"/></nodes><resources/><constraints/></configuration>\
                <status><node_state id=\"1\" expected=\"down\"/><node_state id=\"9\"/></status></cib>";
    let cib = Cib::parse(text).unwrap();
    let names: Vec<&str> = cib.node_states.iter().map(|state| state.name.as_str()).collect();
    assert_eq!(names, ["n1"]);
    assert_eq!(cib.node_states[0].expected.as_deref(), Some("down"));
}

#[test]
fn a_document_that_is_no_whole_cib_is_an_error() {
    let whole = "<cib admin_epoch=\"0\" epoch=\"7\" num_updates=\"3\"><configuration><crm_config/>\
                 <nodes/><resources/><constraints/></configuration><status/></cib>";
    assert!(Cib::parse(whole).is_ok());
    for (from, to) in [
        ("<crm_config/>", ""),
        ("<nodes/>", "<nodes><node id=\"1\"/></nodes>"),
        ("<nodes/>", "<nodes><node id=\"1\" uname=\"a b\"/></nodes>"),
        ("<nodes/>", ""),
        ("<resources/>", ""),
        ("<resources/>", "<resources><primitive id=\"db\" template=\"gone\"/></resources>"),
        ("<resources/>", "<resources><primitive id=\"db\" class=\"ocf\"/></resources>"),
        ("<constraints/>", ""),
        ("<status/>", ""),
        ("<status/>", "<status><node_state/></status>"),
        ("<status/>", "<status><node_state id=\"1\" uname=\"a b\"/></status>"),
        ("epoch=\"7\"", "epoch=\"-7\""),
        ("<cib ", "<bic "),
        ("</cib>", ""),
    ] {
        assert!(Cib::parse(&whole.replacen(from, to, 1)).is_err(), "{from} -> {to}");
    }
}

#[test]
fn scores_and_booleans_are_read_in_pacemakers_notation() {
    let scores = [
        ("0", Some(0)),
        ("-5", Some(-5)),
        ("+5", Some(5)),
        ("INFINITY", Some(1_000_000)),
        ("+INFINITY", Some(1_000_000)),
        ("-INFINITY", Some(-1_000_000)),
        ("99999999999", Some(1_000_000)),
        ("-99999999999", Some(-1_000_000)),
        ("", None),
        ("-", None),
        ("5 ", None),
        ("1.5", None),
        ("ten", None),
        ("infinity", None),
        ("red", None),
        ("yellow", None),
        ("99999999999999999999999999999999999999999999999999", None),
    ];
    for (text, expected) in scores {
        assert_eq!(score(text), expected, "{text:?}");
    }
    for (text, expected) in
        [("Yes", Some(true)), ("1", Some(true)), ("oFF", Some(false)), ("2", None), ("", None)]
    {
        assert_eq!(truth(text), expected, "{text:?}");
    }
}
