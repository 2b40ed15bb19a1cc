//! `pgtwin doctor` and `pgtwin status` on a running cluster: each defect is planted alone, named, and taken
//! away again. In the end nothing is named on any node, and nothing was restarted.

mod defects;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use lab::config::{CLONE, PRIMITIVE, VIP};
use lab::{Cluster, LabError, Options, Result};

use crate::look::{instances, status};
use crate::repair::make_ready;
use crate::stage::{SOON, fresh};
use defects::{CONFIGURED, DEFECTS, Defect, Seat};

/// Who is what at the moment.
struct Cast {
    primary: String,
    standby: String,
    other: String,
    data: String,
}

impl Cast {
    fn of(cluster: &Cluster) -> Result<Self> {
        let primary = cluster.primary()?;
        let others = cluster.others(&primary);
        let [standby, other] = others.as_slice() else { panic!("three nodes: {others:?}") };
        let (standby, other) = (standby.clone(), other.clone());
        Ok(Self { primary, standby, other, data: cluster.options.pgdata() })
    }

    fn at(&self, seat: Seat) -> &str {
        match seat {
            Seat::Primary => &self.primary,
            Seat::Standby => &self.standby,
            Seat::Other => &self.other,
        }
    }

    fn fill(&self, text: &str) -> String {
        text.replace("PRIMARY", &self.primary)
            .replace("STANDBY", &self.standby)
            .replace("OTHER", &self.other)
            .replace("CLONE", CLONE)
            .replace("RSC", PRIMITIVE)
            .replace("ADDRESS", VIP)
            .replace("DATA", &self.data)
    }

    /// Types lines into root's shell, and is told of the first that fails.
    fn types(&self, cluster: &Cluster, seat: Seat, text: &str) -> Result<()> {
        // As the operator calls it: psql as the database's own user.
        let text = format!(
            "sql() {{ runuser -u postgres -- psql -qX -v ON_ERROR_STOP=1 -c \"$1\"; }}\n{}",
            self.fill(text)
        );
        cluster.check(self.at(seat), &["sh", "-ec", &text]).map(drop)
    }
}

/// What doctor names on a node: each check that is not well, with its words.
fn named(cluster: &Cluster, node: &str) -> Result<BTreeMap<String, String>> {
    let output = cluster.exec(node, &["pgtwin", "doctor", "--json"])?;
    let said: serde_json::Value = serde_json::from_str(&output.text())
        .map_err(|why| LabError::plain(format!("doctor on {node}: {why}\n{}", output.all())))?;
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    for finding in said["findings"].as_array().into_iter().flatten() {
        let text = |member: &str| finding[member].as_str().unwrap_or_default().to_owned();
        if text("verdict") != "OK" {
            let words = named.entry(text("check")).or_default();
            *words = format!("{words}{}: {}\n", text("verdict"), text("words"));
        }
    }
    assert_eq!(output.code, i32::from(!named.is_empty()), "{}", output.all());
    Ok(named)
}

/// Plants it, has it named, takes it away, and has it named no more. What is not as it should, in words.
fn is_named(cluster: &Cluster, cast: &Cast, defect: &Defect) -> Result<Option<String>> {
    let node = cast.at(defect.seat);
    let before = named(cluster, node)?;
    if let Some(words) = before.get(defect.check) {
        return Ok(Some(format!("{} before anything was planted: {words}", defect.check)));
    }
    let maintenance = "crm_attribute --type crm_config --name maintenance-mode";
    if defect.paused {
        cast.types(cluster, defect.seat, &format!("{maintenance} --update true"))?;
        cluster.settle()?;
    }
    cast.types(cluster, defect.place.unwrap_or(defect.seat), defect.plant)?;
    let seen = RefCell::new(BTreeMap::new());
    let found = cluster.wait_until(defect.check, SOON, || {
        *seen.borrow_mut() = named(cluster, node).unwrap_or_default();
        seen.borrow()
            .get(defect.check)
            .is_some_and(|words| words.contains(&cast.fill(defect.words)))
    });
    let seen = seen.into_inner();
    let mut wrong = None;
    if found.is_err() {
        wrong = Some(format!("{}: not named with {:?}: {seen:?}", defect.check, defect.words));
    } else if let Some(words) = defect.status.map(|words| cast.fill(words)) {
        let screen = status(cluster, node)?;
        if !screen.contains(&words) {
            wrong = Some(format!("{}: status does not say {words:?}: {screen}", defect.check));
        }
    }
    if wrong.is_none() && CONFIGURED.contains(&defect.check) {
        let screen = status(cluster, node)?;
        let lines = screen.split_once("Doctor ").map(|(_, after)| after).unwrap_or_default();
        let line = lines.split_once("(pgtwin doctor)").map(|(line, _)| line).unwrap_or_default();
        if !line.split([' ', ',', ';']).any(|word| word == defect.check) {
            wrong = Some(format!("{}: status does not name it: {screen}", defect.check));
        }
    }
    eprintln!("{}: {}", defect.check, seen.get(defect.check).map_or("-", |words| words.trim_end()));
    cast.types(cluster, defect.place.unwrap_or(defect.seat), defect.mend)?;
    if defect.paused {
        cast.types(cluster, defect.seat, &format!("{maintenance} --delete"))?;
        cluster.settle()?;
    }
    cluster.wait_until("it is named no more", SOON, || {
        named(cluster, node).is_ok_and(|named| named == before)
    })?;
    Ok(wrong)
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn doctor_01_each_defect_that_is_planted_in_a_running_cluster_is_named() {
    fresh(&Options::default(), |cluster| {
        make_ready(cluster)?;
        let cast = Cast::of(cluster)?;
        let running = instances(cluster)?;
        let mut wrong: Vec<String> = Vec::new();
        for defect in DEFECTS.iter().filter(|defect| defect.check == "fencing-devices") {
            wrong.extend(is_named(cluster, &cast, defect)?);
        }
        assert_eq!(instances(cluster)?, running, "a defect was planted at the price of a restart");
        let untried = named(cluster, &cast.primary)?;
        assert_eq!(untried.keys().collect::<Vec<_>>(), ["fencing-tested"], "{untried:?}");
        for (node, by) in [
            (&cast.standby, &cast.primary),
            (&cast.other, &cast.primary),
            (&cast.primary, &cast.standby),
        ] {
            // Not --reboot: a container is back before Pacemaker has told it that it was fenced.
            cluster.check(by, &["stonith_admin", "--fence", node])?;
            cluster.power_on(node)?;
            cluster.wait_healthy(SOON)?;
        }
        for node in cluster.nodes() {
            assert_eq!(named(cluster, &node)?, BTreeMap::new(), "on {node}");
        }

        let cast = Cast::of(cluster)?;
        make_ready(cluster)?;
        let running = instances(cluster)?;
        for defect in DEFECTS.iter().filter(|defect| defect.check != "fencing-devices") {
            wrong.extend(is_named(cluster, &cast, defect)?);
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(instances(cluster)?, running, "a defect was planted at the price of a restart");
        for node in cluster.nodes() {
            assert_eq!(named(cluster, &node)?, BTreeMap::new(), "on {node}");
        }
        Ok(())
    });
}

#[test]
fn each_defect_is_of_a_check_that_doctor_has() {
    let table = include_str!("../../../../../src/decide/doctor/table.rs");
    let checks: BTreeSet<&str> = DEFECTS.iter().map(|defect| defect.check).collect();
    for check in &checks {
        assert!(table.contains(&format!("\"{check}\"")), "{check}");
    }
    assert!(DEFECTS.len() >= 30 && checks.len() >= 30, "{} of {}", checks.len(), DEFECTS.len());
}
