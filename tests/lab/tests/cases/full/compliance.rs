//! The configuration that the shell agent of the same name has had published for two nodes, as crmsh takes it
//! and as pcs makes it: its parameters, two monitors of standbys, an address and preferences in constraints
//! of its style, `no-quorum-policy=ignore` with fencing. Nothing of it is adapted but where things are.

use lab::{Cluster, Options, Result, seed};

use super::documents::book::script;
use crate::load::Load;
use crate::look::flat;
use crate::stage::{SOON, fresh};

/// What both tools are given: parameters, in the order of that page.
fn parameters(cluster: &Cluster) -> String {
    format!(
        "pgdata=\"{}\" pghost=\"0.0.0.0\" pgport=\"5432\" pguser=\"postgres\" \
         pgpassfile=\"/var/lib/postgresql/.pgpass\" slot_name=\"ha_slot\" max_slot_wal_keep_size=\"1024\" \
         monitor_timeout_promoted=\"60\" monitor_timeout_unpromoted=\"30\" rep_mode=\"sync\" \
         node_list=\"n1 n2\" replication_failure_threshold=\"5\" backup_before_basebackup=\"true\" \
         basebackup_timeout=\"3600\"",
        cluster.options.pgdata()
    )
}

fn crmsh(cluster: &Cluster) -> String {
    let (parameters, address) = (parameters(cluster), cluster.addresses.vip());
    format!(
        "crm configure <<'END'
property cib-bootstrap-options: stonith-enabled=true no-quorum-policy=ignore cluster-recheck-interval=2min
primitive postgres-vip IPaddr2 params ip={address} cidr_netmask=24 \\
    op monitor interval=10s timeout=20s meta is-managed=true target-role=Started
primitive postgres-db pgtwin params {parameters} \\
    op start timeout=\"120s\" interval=\"0\" op stop timeout=\"120s\" interval=\"0\" \\
    op monitor interval=\"10s\" timeout=\"60s\" role=\"Unpromoted\" \\
    op monitor interval=\"8s\" timeout=\"60s\" role=\"Unpromoted\" \\
    op monitor interval=\"3s\" timeout=\"60s\" role=\"Promoted\" \\
    op promote timeout=\"120s\" interval=\"0\" op demote timeout=\"120s\" interval=\"0\" \\
    op notify timeout=\"90s\" interval=\"0\" \\
    meta notify=true promoted-max=1 clone-max=2 clone-node-max=1 interleave=true
clone postgres-clone postgres-db \\
    meta promoted-max=\"1\" promoted-node-max=\"1\" clone-max=\"2\" clone-node-max=\"1\" notify=\"true\" \\
    promotable=\"true\" interleave=\"true\" target-role=\"Started\"
colocation vip-with-promoted inf: postgres-vip postgres-clone:Promoted
order promote-before-vip Mandatory: postgres-clone:promote postgres-vip:start symmetrical=false
order vip-stop-before-demote Mandatory: postgres-vip:stop postgres-clone:demote symmetrical=false
location prefer-n1 postgres-clone role=Promoted 100: n1
location prefer-n2 postgres-clone role=Promoted 50: n2
commit
END"
    )
}

fn pcs(cluster: &Cluster) -> String {
    let (parameters, address) = (parameters(cluster), cluster.addresses.vip());
    format!(
        "pcs property set stonith-enabled=true no-quorum-policy=ignore cluster-recheck-interval=2min
pcs cluster cib db.xml
pcs -f db.xml resource create postgres-vip ocf:heartbeat:IPaddr2 ip={address} cidr_netmask=24 \\
    op monitor interval=10s timeout=20s
pcs -f db.xml resource create postgres-db ocf:heartbeat:pgtwin {parameters} \\
    op start timeout=120s op stop timeout=120s op promote timeout=120s op demote timeout=120s \\
    op notify timeout=90s op monitor interval=10s timeout=60s role=Unpromoted \\
    op monitor interval=8s timeout=60s role=Unpromoted op monitor interval=3s timeout=60s role=Promoted
pcs -f db.xml resource promotable postgres-db postgres-clone \\
    meta promoted-max=1 promoted-node-max=1 clone-max=2 clone-node-max=1 notify=true interleave=true
pcs -f db.xml constraint colocation add Started postgres-vip with Promoted postgres-clone score=INFINITY
pcs -f db.xml constraint order promote postgres-clone then start postgres-vip symmetrical=false
pcs -f db.xml constraint order stop postgres-vip then demote postgres-clone symmetrical=false
pcs -f db.xml constraint location postgres-clone rule role=Promoted score=100 '#uname eq n1'
pcs -f db.xml constraint location postgres-clone rule role=Promoted score=50 '#uname eq n2'
pcs cluster cib-push db.xml"
    )
}

/// The standby streams, counts for commits and may take over; the address is with the primary.
fn is_whole(cluster: &Cluster) -> Result<()> {
    cluster.wait_until("the standby streams, and the address is with the primary", SOON, || {
        let (Ok(primary), Ok(mon)) = (cluster.primary(), cluster.crm_mon_text()) else {
            return false;
        };
        let vip = mon.lines().find(|line| line.contains("postgres-vip")).unwrap_or_default();
        cluster.has_standbys(&primary, 1) && vip.contains(&format!("Started {primary}"))
    })?;
    cluster.wait_until("the standby would be promoted", SOON, || {
        let dies = cluster.primary().unwrap_or_default() + "-dies";
        says_well(cluster, &["pgtwin", "explain", "--if", &dies])
    })
}

fn says_well(cluster: &Cluster, command: &[&str]) -> bool {
    cluster.command("n1", command).output().is_ok_and(|output| output.ok())
}

/// Both monitors of the standby have run, and neither has failed.
fn both_monitors_run(cluster: &Cluster) -> Result<()> {
    let of = |interval: u32| {
        let query = format!(
            "//lrm_rsc_op[@operation='monitor'][@interval='{interval}'][@rc-code='0'][@op-status='0']"
        );
        cluster.on_any(&["cibadmin", "--query", "--xpath", &query])
    };
    cluster.wait_until("both monitors of the standby have run", SOON, || {
        [10_000, 8_000]
            .into_iter()
            .all(|interval| of(interval).is_ok_and(|found| found.contains("lrm_rsc_op")))
    })
}

/// The password of the replication role stands in the passfile, and in no log, no process, nowhere in the cluster's
/// configuration and nowhere in what the agent keeps.
fn no_password_is_seen(cluster: &Cluster) -> Result<()> {
    let pgdata = cluster.options.pgdata();
    // The pattern does not find itself.
    let look = format!(
        "cibadmin --query | grep -c 'replicator-[p]assword' || true; \
         grep -rlaE 'replicator-[p]assword' /var/log /run/pgtwin /var/lib/pgtwin /var/lib/pacemaker {pgdata}/log \
         {pgdata}/postgresql.auto.conf /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null || true"
    );
    cluster.each_node(|node| {
        assert_eq!(script(cluster, node, &look)?.trim(), "0", "on {node}");
        Ok(())
    })
}

/// Set up, used, and through the loss of a postmaster and of a node, with nothing lost.
fn serves(made_by: fn(&Cluster) -> String) {
    let options = Options { bare: true, nodes: 2, start: false, ..Options::default() };
    fresh(&options, |cluster| {
        seed::seed(cluster)?;
        cluster.start_all()?;
        cluster.wait_online(SOON)?;
        let said = script(cluster, "n1", &made_by(cluster))?;
        for word in ["rror", "unknown", "not found", "invalid"] {
            assert!(!said.contains(word), "{said}");
        }
        let verified = flat(&cluster.on_any(&["crm_verify", "-LV"])?);
        assert_eq!(verified, "", "the configuration is not clean");
        is_whole(cluster)?;
        both_monitors_run(cluster)?;
        cluster.wait_until("pgtwin status has nothing to complain of", SOON, || {
            says_well(cluster, &["pgtwin", "status"])
        })?;
        let load = Load::start(cluster)?;
        cluster.signal_postmaster(&cluster.primary()?, "KILL")?;
        load.goes_on()?;
        is_whole(cluster)?;

        let primary = cluster.primary()?;
        cluster.power_cut(&primary)?;
        cluster.wait_until("the other node is the primary", SOON, || {
            cluster.primary().is_ok_and(|new| new != primary)
        })?;
        load.goes_on()?;
        cluster.power_on(&primary)?;
        cluster.wait_online(SOON)?;
        is_whole(cluster)?;
        load.goes_on()?;
        no_password_is_seen(cluster)?;
        load.end().map(drop)
    });
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn the_published_configuration_of_the_shell_agent_works_as_crmsh_takes_it() {
    serves(crmsh);
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn the_same_configuration_works_as_pcs_makes_it() {
    serves(pcs);
}
