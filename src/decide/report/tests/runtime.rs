//! By what the members' PostgreSQL is run.

use super::*;
use crate::cluster::readiness::{Readiness, Side};
use crate::decide::report::json;
use crate::decide::report::runtime::Seen;

const ID: &str = "sha256:0a0b0c0d0e0f0a0b0c0d0e0f0a0b0c0d0e0f0a0b0c0d0e0f0a0b0c0d0e0f0a0b";
const OTHER: &str = "sha256:f0f0f0f0f0f00a0b0c0d0e0f0a0b0c0d0e0f0a0b0c0d0e0f0a0b0c0d0e0f0a0b";
const IMAGE: &str = "r.example/pg:17.6";

fn set(facts: &mut Facts, name: &str, setting: &Setting) {
    let primitive = facts.cib.primitives.iter_mut().find(|one| one.id == "db").unwrap();
    primitive.parameters.insert(name.into(), setting.clone());
    primitive.by_node.elsewhere.insert(name.into(), setting.clone());
    for named in primitive.by_node.named.values_mut() {
        named.entry(name.into()).or_insert_with(|| setting.clone());
    }
}

fn contained() -> Facts {
    let mut facts = healthy();
    set(&mut facts, "container_mode", &Setting::Set("true".into()));
    set(&mut facts, "container_image", &Setting::Set(IMAGE.into()));
    facts
}

fn told(image: &str) -> Readiness {
    Readiness {
        at: NOW,
        engine: "podman-4.3.1".into(),
        image: image.into(),
        id: ID.into(),
        inside: Side { version: "17.6".into(), libc: None, icu: None },
        host: None,
        against: Vec::new(),
    }
}

fn here(contained: Option<bool>, image: Option<&str>) -> Seen {
    Seen {
        contained,
        engine: Some("podman 4.3.1".into()),
        image: image.map(|id| (IMAGE.into(), id.into())),
        next: Some((IMAGE.into(), ID.into())),
    }
}

fn line(facts: &Facts) -> Option<String> {
    let lines = report(facts).lines;
    lines.into_iter().find(|(title, _)| *title == "Runtime").map(|(_, text)| text)
}

#[test]
fn a_cluster_without_containers_has_no_line_of_them() {
    assert_eq!(line(&healthy()), None);
    let mut facts = healthy();
    set(&mut facts, "container_mode", &Setting::Set("false".into()));
    facts.runtimes.here = Some(here(Some(false), None));
    assert_eq!(line(&facts), None);
    let report = report(&facts);
    let value = serde_json::to_value(json::status(&facts, &report)).unwrap();
    assert_eq!(value["members"][0]["runtime"]["at"], "host");
    assert_eq!(value["members"][0]["runtime"]["seen"], true);
    assert_eq!(value["members"][1]["runtime"]["seen"], false);
    assert_eq!(report.advice, [""; 0]);
}

#[test]
fn what_runs_here_is_seen_and_of_the_others_the_parameters_and_their_words_are_said() {
    let mut facts = contained();
    assert_eq!(
        line(&facts).unwrap(),
        "by the parameters: n1, n2 and n3 in a container, image r.example/pg:17.6"
    );
    set(&mut facts, "container_runtime", &Setting::Set("docker".into()));
    facts.runtimes.here = Some(here(Some(true), Some(ID)));
    facts.runtimes.told.insert(node("n2"), told(IMAGE));
    // Of another image: of no use.
    facts.runtimes.told.insert(node("n3"), told("r.example/pg:16"));
    assert_eq!(
        line(&facts).unwrap(),
        "n1 runs in a container of podman 4.3.1, image r.example/pg:17.6 (0a0b0c0d0e0f); by the parameters: \
         n3 in a container of docker, image r.example/pg:17.6; n2 in a container of docker, image \
         r.example/pg:17.6 (0a0b0c0d0e0f)"
    );
    let report = report(&facts);
    assert_eq!((&report.warnings[..], &report.advice[..]), (&[][..], &[][..]));
    let value = serde_json::to_value(json::status(&facts, &report)).unwrap();
    assert_eq!(
        value["members"][0]["runtime"],
        serde_json::json!({
            "at": "container", "seen": true, "engine": "podman 4.3.1", "image": IMAGE, "image_id": ID,
        })
    );
    assert_eq!(
        value["members"][2]["runtime"],
        serde_json::json!({
            "at": "container", "seen": false, "engine": "docker", "image": IMAGE, "image_id": null,
        })
    );
}

#[test]
fn one_node_may_be_on_its_host_meanwhile() {
    let mut facts = contained();
    let primitive = facts.cib.primitives.iter_mut().find(|one| one.id == "db").unwrap();
    let mut apart = primitive.parameters.clone();
    apart.insert("container_mode".into(), Setting::Set("false".into()));
    primitive.by_node.named.insert(node("n2"), apart);
    let text = line(&facts).unwrap();
    assert!(text.contains("n2 on the host") && text.contains("n1 and n3 in a container"), "{text}");
    set(&mut facts, "container_mode", &Setting::Conditional);
    let report = report(&facts);
    assert!(
        report.advice.iter().any(|line| line.contains("n1's PostgreSQL is started is not known"))
    );
    let value = serde_json::to_value(json::status(&facts, &report)).unwrap();
    assert_eq!(value["members"][0]["runtime"]["at"], serde_json::Value::Null);
}

#[test]
fn what_the_next_start_does_otherwise_is_said() {
    for (mode, contained_now, image, words) in [
        ("true", Some(false), None, "runs on the host, and container_mode is true"),
        ("false", Some(true), Some(ID), "runs in a container, and container_mode is false"),
        (
            "true",
            Some(true),
            Some(OTHER),
            "runs in image f0f0f0f0f0f0, and r.example/pg:17.6 is 0a0b0c",
        ),
    ] {
        let mut facts = contained();
        set(&mut facts, "container_mode", &Setting::Set(mode.into()));
        facts.runtimes.here = Some(here(contained_now, image));
        let report = report(&facts);
        assert!(
            report.advice.iter().any(|line| line.contains(words)),
            "{words}: {:?}",
            report.advice
        );
        assert!(report.to_string().contains("\nRuntime "), "{report}");
    }
    let mut facts = contained();
    facts.runtimes.here = Some(here(None, None));
    assert!(report(&facts).advice.is_empty());
    assert!(
        line(&facts)
            .unwrap()
            .contains("n1 in a container of podman 4.3.1, image r.example/pg:17.6 (0a0b")
    );
}
