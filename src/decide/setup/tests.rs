//! What is printed is what is wanted.

use super::*;
use crate::cluster::cib::Cib;
use crate::cluster::known::Known;
use crate::decide::doctor::{self, Facts, Here, Shell, Style, Verdict};

fn answers(nodes: &[(&str, &str)]) -> Answers {
    let parameters = [
        ("pgdata", "/var/lib/postgresql/17/main"),
        ("config_file", "/etc/postgresql/17/main/postgresql.conf"),
        ("pgpassfile", "/var/lib/postgresql/.pgpass"),
    ];
    Answers {
        resource: "db".into(),
        nodes: nodes.iter().map(|(name, at)| (name.parse().unwrap(), (*at).to_owned())).collect(),
        parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        vip: Some("10.0.0.100/24".parse().unwrap()),
        standby_vip: Some("10.0.0.101/24".parse().unwrap()),
        fence_agent: "fence_ipmilan".into(),
        fence_parameters: vec![("ip".into(), "bmc-%n".into()), ("username".into(), "USER".into())],
    }
}

const THREE: [(&str, &str); 3] = [("n1", "10.0.0.11"), ("n2", "10.0.0.12"), ("n3", "10.0.0.13")];

fn judged(answers: &Answers) -> doctor::Report {
    let plan = plan(answers).unwrap();
    let text = plan.text(Form::Xml, Some(Part::Cluster));
    let cib = Cib::parse_configuration(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let facts = Facts {
        resource: plan.resource.clone(),
        params: plan.params.clone(),
        problems: Vec::new(),
        members: plan.nodes.iter().map(|(node, _)| node.clone()).collect(),
        cib,
        status: Known::unknown("a file has no state"),
        now: 0,
        shell: Shell::Crmsh,
        here: Here::File,
    };
    doctor::examine(&facts, &[])
}

#[test]
fn what_it_prints_passes_the_doctor() {
    for count in [2, 3] {
        for mode in ["sync", "async"] {
            for (vip, standby_vip) in [(true, true), (true, false), (false, false)] {
                let mut answers = answers(&THREE[..count]);
                answers.parameters.insert("rep_mode".into(), mode.into());
                answers.vip = answers.vip.filter(|_| vip);
                answers.standby_vip = answers.standby_vip.filter(|_| standby_vip);
                let report = judged(&answers);
                let text = report.text(Style { all: true, ..Style::default() });
                assert_eq!(report.verdict(), Verdict::Ok, "{count} {mode} {vip}: {text}");
            }
        }
    }
}

#[test]
fn what_the_doctor_wants_of_a_server_is_what_it_prints_for_one() {
    let plan = plan(&answers(&THREE)).unwrap();
    let conf = plan.text(Form::Pcs, Some(Part::Conf));
    for one in wanted::SERVER {
        assert!(conf.contains(&format!("{} = {} ", one.name, one.value)), "{}", one.name);
    }
    let hba = plan.text(Form::Pcs, Some(Part::Hba));
    for line in [
        "local  all  postgres  peer",
        // The agent asks for its position by it, and `all` does not mean it.
        "local  replication  postgres  peer",
        "host  replication  replicator  10.0.0.13/32",
    ] {
        assert!(hba.contains(line), "{line}: {hba}");
    }
    let passfile = plan.text(Form::Pcs, Some(Part::Passfile));
    assert!(passfile.contains("10.0.0.12:5432:postgres:replicator:"), "{passfile}");
    let role = plan.text(Form::Pcs, Some(Part::Role));
    assert!(role.contains("CREATE ROLE replicator LOGIN REPLICATION;"), "{role}");
    let service = plan.text(Form::Pcs, Some(Part::Service));
    assert!(service.contains("echo disabled > /etc/postgresql/17/main/start.conf"), "{service}");
}

#[test]
fn the_whole_is_its_parts_in_order_and_fits_a_terminal() {
    let plan = plan(&answers(&THREE)).unwrap();
    for form in [Form::Crmsh, Form::Pcs] {
        let text = plan.text(form, None);
        let mut from = 0;
        for part in Part::ALL {
            let part = plan.text(form, Some(part));
            let at = text[from..].find(&part).unwrap_or_else(|| panic!("no {part} in {text}"));
            from += at + part.len();
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn two_nodes_get_a_delay_and_names_that_are_addresses_need_no_list() {
    let two = plan(&answers(&THREE[..2])).unwrap();
    assert!(two.text(Form::Crmsh, None).contains("priority-fencing-delay=15s"));
    assert!(two.text(Form::Crmsh, None).contains("two_node: 1"));
    let three = plan(&answers(&THREE)).unwrap();
    assert!(!three.text(Form::Crmsh, None).contains("priority-fencing-delay"));
    assert!(three.text(Form::Pcs, None).contains("node_addresses=\"n1=10.0.0.11 "));
    let named = plan(&answers(&[("n1", "n1"), ("n2", "n2")])).unwrap();
    assert!(!named.text(Form::Pcs, None).contains("node_addresses"));
}

#[test]
fn answers_that_do_not_go_together_are_refused_by_name() {
    let with = |change: &dyn Fn(&mut Answers)| {
        let mut answers = answers(&THREE);
        change(&mut answers);
        plan(&answers).unwrap_err().to_string()
    };
    for (error, words) in [
        (with(&|a| a.nodes.truncate(1)), "1 nodes: two to five members"),
        (with(&|a| a.nodes[1].0 = "N1".parse().unwrap()), "N1 is given twice"),
        (with(&|a| a.nodes[1].1 = "10.0.0.11".into()), "10.0.0.11 is given twice"),
        (with(&|a| a.resource = "1 db".into()), "\"1 db\" is no name of a resource"),
        (with(&|a| a.resource = "db;reboot".into()), "is no name of a resource"),
        (with(&|a| drop(a.parameters.insert("pgport".into(), "x".into()))), "pgport"),
        (
            with(&|a| a.vip = Some("10.0.0.12/24".parse().unwrap())),
            "10.0.0.12 is the address of a member",
        ),
        (with(&|a| a.fence_parameters[0].1 = "$(reboot)".into()), "ip=\"$(reboot)\" has a quote"),
        (with(&|a| a.fence_parameters[0].0 = "a b".into()), "a b=\"bmc-n1\" has a quote"),
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
    for text in ["10.0.0.1", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/0", "0.0.0.0/24", "n1/24", ""] {
        assert!(text.parse::<Network>().is_err(), "{text}");
    }
    assert_eq!("fd00::1/64".parse::<Network>().unwrap().prefix, 64);
}
