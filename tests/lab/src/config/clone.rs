//! The promotable clone in the CIB, and its primitive: agent, parameters and operations.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Addresses, CLONE, PRIMITIVE, REPLICATOR, merge, nvpairs};
use crate::image;
use crate::options::{Agent, Options, Runtime};

/// How long each operation may take, in seconds.
struct Limits {
    start: u32,
    stop: u32,
    promote: u32,
    demote: u32,
    notify: u32,
    monitor: u32,
}

/// pgtwin's, which bounds its waits itself; and of agents that have no advice of their own.
const LONG: Limits =
    Limits { start: 120, stop: 120, promote: 120, demote: 120, notify: 90, monitor: 120 };
/// What PAF's quick start gives: how long a monitor may take is how PAF finds a server that does not answer.
const OF_PAF: Limits =
    Limits { start: 60, stop: 60, promote: 30, demote: 120, notify: 60, monitor: 10 };

/// The clone, where Pacemaker runs PostgreSQL.
pub(super) fn clone(options: &Options, addresses: &Addresses) -> String {
    let (provider, kind, params, limits) = match options.agent {
        Agent::Pgtwin => ("heartbeat", "pgtwin", params(options, addresses), LONG),
        Agent::Pgsql => ("heartbeat", "pgsql", params_of_pgsql(options, addresses), LONG),
        Agent::Stateful => ("pacemaker", "Stateful", BTreeMap::new(), LONG),
        Agent::Paf => ("heartbeat", "pgsqlms", params_of_paf(options), OF_PAF),
        Agent::Patroni => return String::new(),
    };
    let params = nvpairs(PRIMITIVE, &params);
    let apart = apart(options);
    let nodes = options.nodes;
    // As `pgtwin setup` has it; the others come with no such advice.
    let on_fail = if options.agent == Agent::Pgtwin { " on-fail=\"demote\"" } else { "" };
    let Limits { start, stop, promote, demote, notify, monitor } = limits;
    let mut operations = String::new();
    for (name, limit) in
        [("start", start), ("stop", stop), ("promote", promote), ("demote", demote)]
    {
        let _ = writeln!(
            operations,
            "            <op id=\"{PRIMITIVE}-{name}\" name=\"{name}\" interval=\"0s\" timeout=\"{limit}s\"/>"
        );
    }
    format!(
        r#"      <clone id="{CLONE}">
        <meta_attributes id="{CLONE}-meta">
          <nvpair id="{CLONE}-promotable" name="promotable" value="true"/>
          <nvpair id="{CLONE}-notify" name="notify" value="true"/>
          <nvpair id="{CLONE}-interleave" name="interleave" value="true"/>
          <nvpair id="{CLONE}-max" name="clone-max" value="{nodes}"/>
          <nvpair id="{CLONE}-node-max" name="clone-node-max" value="1"/>
          <nvpair id="{CLONE}-promoted-max" name="promoted-max" value="1"/>
        </meta_attributes>
        <primitive id="{PRIMITIVE}" class="ocf" provider="{provider}" type="{kind}">
          <instance_attributes id="{PRIMITIVE}-params">
{params}          </instance_attributes>
{apart}          <meta_attributes id="{PRIMITIVE}-meta">
            <nvpair id="{PRIMITIVE}-threshold" name="migration-threshold" value="5"/>
            <nvpair id="{PRIMITIVE}-expiry" name="failure-timeout" value="60s"/>
            <nvpair id="{PRIMITIVE}-priority" name="priority" value="10"/>
          </meta_attributes>
          <operations>
{operations}            <op id="{PRIMITIVE}-notify-op" name="notify" interval="0s" timeout="{notify}s"/>
            <op id="{PRIMITIVE}-monitor-p" name="monitor" interval="3s" role="Promoted" timeout="{monitor}s"{on_fail}/>
            <op id="{PRIMITIVE}-monitor-u" name="monitor" interval="8s" role="Unpromoted" timeout="{monitor}s"/>
          </operations>
        </primitive>
      </clone>
"#
    )
}

/// The parameters of the pgtwin primitive.
pub fn params(options: &Options, addresses: &Addresses) -> BTreeMap<String, String> {
    let nodes = options.node_names();
    let address = |name: &str| {
        if options.ipv6 { addresses.node6(name) } else { addresses.node(name) }
    };
    let pairs: Vec<String> = nodes.iter().map(|name| format!("{name}={}", address(name))).collect();
    let mut set = BTreeMap::new();
    let mut put = |name: &str, value: String| set.insert(name.to_owned(), value);
    put("pgdata", options.pgdata());
    put("pg_bindir", options.pg_bindir());
    put("rep_mode", options.mode.name().to_owned());
    put("node_list", nodes.join(" "));
    put("node_addresses", pairs.join(" "));
    put("pgpassfile", "/var/lib/postgresql/.pgpass".to_owned());
    put("repuser", REPLICATOR.0.to_owned());
    put("vip", addresses.vip());
    if options.runtime.has_podman() {
        put("container_mode", "true".to_owned());
        put("container_runtime", "podman".to_owned());
        put("container_image", image::of_postgres(options.release));
    }
    merge(&mut set, &options.params);
    set
}

/// The parameters of a node that differs from the others, with the rule that names it, as
/// `pgtwin container adopt` writes them.
fn apart(options: &Options) -> String {
    match options.runtime {
        Runtime::Host | Runtime::Podman => return String::new(),
        Runtime::Mixed => {}
    }
    let id = format!("pgtwin-{PRIMITIVE}-runtime-n1");
    format!(
        r##"          <instance_attributes id="{id}" score="1000">
            <rule id="{id}-rule" score="0">
              <expression id="{id}-node" attribute="#uname" operation="eq" value="n1"/>
            </rule>
            <nvpair id="{id}-mode" name="container_mode" value="false"/>
          </instance_attributes>
"##
    )
}

/// The distribution's agent: it streams from the address that follows the primary.
fn params_of_pgsql(options: &Options, addresses: &Addresses) -> BTreeMap<String, String> {
    let bin = options.pg_bindir();
    let mut set = BTreeMap::new();
    let mut put = |name: &str, value: String| set.insert(name.to_owned(), value);
    put("pgctl", format!("{bin}/pg_ctl"));
    put("psql", format!("{bin}/psql"));
    put("pgdata", options.pgdata());
    put("config", format!("{}/postgresql.conf", options.pgdata()));
    put("rep_mode", options.mode.name().to_owned());
    put("node_list", options.node_names().join(" "));
    put("master_ip", addresses.vip());
    put("repuser", REPLICATOR.0.to_owned());
    put("primary_conninfo_opt", "passfile=/var/lib/postgresql/.pgpass".to_owned());
    put("socketdir", "/var/run/postgresql".to_owned());
    put("tmpdir", "/var/lib/postgresql/tmp".to_owned());
    merge(&mut set, &options.params);
    set
}

/// PAF's: what replicates from where is in PostgreSQL's own configuration.
pub fn params_of_paf(options: &Options) -> BTreeMap<String, String> {
    let mut set = BTreeMap::new();
    let mut put = |name: &str, value: String| set.insert(name.to_owned(), value);
    put("bindir", options.pg_bindir());
    put("pgdata", options.pgdata());
    put("pghost", "/var/run/postgresql".to_owned());
    merge(&mut set, &options.params);
    set
}
