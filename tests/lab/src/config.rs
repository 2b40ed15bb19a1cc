//! The configuration files of the cluster as text: corosync.conf and the first CIB. A pure
//! function of the options and the addresses.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::options::{Agent, Options, Release};

mod clone;

use clone::clone;
pub use clone::{params, params_of_paf};

/// The primitive that runs PostgreSQL.
pub const PRIMITIVE: &str = "pgtwin";
/// Its promotable clone.
pub const CLONE: &str = "pgtwin-clone";
/// The address that follows the primary.
pub const VIP: &str = "vip";
/// The fence device.
pub const FENCING: &str = "fencing";
/// User and password of the replication role.
pub const REPLICATOR: (&str, &str) = ("replicator", "replicator-password");
/// User and password of the role that the workload uses.
pub const WORKER: (&str, &str) = ("lab", "lab-password");

/// Addresses of a lab: one /24, fixed hosts in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The network's first three bytes: `10.213.7`.
    pub prefix: String,
    /// The nodes' names, in their order.
    pub names: Vec<String>,
}

impl Addresses {
    /// The whole network in CIDR notation.
    pub fn subnet(&self) -> String {
        format!("{}.0/24", self.prefix)
    }

    /// Address of a node by its name.
    pub fn node(&self, name: &str) -> String {
        format!("{}.{}", self.prefix, 10 + self.number(name))
    }

    /// Counted from 1; 0: there is no such node.
    fn number(&self, name: &str) -> usize {
        self.names.iter().position(|one| one == name).map_or(0, |at| at + 1)
    }

    /// The IPv6 network, where the lab has one.
    pub fn subnet6(&self) -> String {
        format!("{}::/64", self.prefix6())
    }

    /// IPv6 address of a node by its name.
    pub fn node6(&self, name: &str) -> String {
        format!("{}::{}", self.prefix6(), 10 + self.number(name))
    }

    fn prefix6(&self) -> String {
        format!("fd00{}", self.prefix.trim_start_matches("10").replace('.', ":"))
    }

    /// The address that follows the primary.
    pub fn vip(&self) -> String {
        format!("{}.100", self.prefix)
    }
}

/// /etc/corosync/corosync.conf.
pub fn corosync(options: &Options, addresses: &Addresses) -> String {
    let mut nodes = String::new();
    for (index, name) in options.node_names().iter().enumerate() {
        let address = addresses.node(name);
        let _ = writeln!(
            nodes,
            "  node {{\n    ring0_addr: {address}\n    name: {name}\n    nodeid: {}\n  }}",
            index + 1
        );
    }
    let two_node = if options.nodes == 2 {
        format!("  two_node: 1\n  wait_for_all: {}\n", u8::from(options.wait_for_all))
    } else {
        String::new()
    };
    let name = &options.name;
    format!(
        "totem {{\n  version: 2\n  cluster_name: {name}\n  transport: knet\n  crypto_cipher: none\n  \
         crypto_hash: none\n  token: 1000\n}}\nnodelist {{\n{nodes}}}\nquorum {{\n  \
         provider: corosync_votequorum\n{two_node}}}\nlogging {{\n  to_logfile: yes\n  \
         logfile: /var/log/corosync/corosync.log\n  to_syslog: no\n  to_stderr: no\n  \
         timestamp: on\n}}\n"
    )
}

/// The CIB that every node starts with.
pub fn cib(options: &Options, addresses: &Addresses) -> String {
    let nodes = options.node_names();
    let mut node_lines = String::new();
    for (index, name) in nodes.iter().enumerate() {
        let _ = writeln!(node_lines, "      <node id=\"{}\" uname=\"{name}\"/>", index + 1);
    }
    let properties = nvpairs("cib-bootstrap-options", &properties(options));
    let fencing = fencing(options);
    let (resources, constraints, defaults) = if options.bare {
        (String::new(), String::new(), "")
    } else {
        (resources(options, addresses), constraints(options.agent), DEFAULTS)
    };
    let schema = schema(options.release);
    format!(
        r#"<cib validate-with="{schema}" epoch="1" num_updates="0" admin_epoch="1">
  <configuration>
    <crm_config>
      <cluster_property_set id="cib-bootstrap-options">
{properties}      </cluster_property_set>
    </crm_config>
    <nodes>
{node_lines}    </nodes>
    <resources>
{fencing}{resources}    </resources>
    <constraints>
{constraints}    </constraints>
{defaults}  </configuration>
  <status/>
</cib>
"#
    )
}

fn resources(options: &Options, addresses: &Addresses) -> String {
    let clone = clone(options, addresses);
    let address = addresses.vip();
    format!(
        r#"{clone}      <primitive id="{VIP}" class="ocf" provider="heartbeat" type="IPaddr2">
        <instance_attributes id="{VIP}-params">
          <nvpair id="{VIP}-ip" name="ip" value="{address}"/>
          <nvpair id="{VIP}-mask" name="cidr_netmask" value="24"/>
        </instance_attributes>
        <operations>
          <op id="{VIP}-monitor" name="monitor" interval="10s" timeout="20s"/>
        </operations>
      </primitive>
"#
    )
}

/// The address goes with the primary.
fn constraints(agent: Agent) -> String {
    let both = |kind: &str| {
        format!(
            r#"      <rsc_order id="{VIP}-after-promote" kind="Mandatory" symmetrical="false" first="{CLONE}" first-action="promote" then="{VIP}" then-action="start"/>
      <rsc_order id="{VIP}-after-demote" kind="{kind}" symmetrical="false" first="{CLONE}" first-action="demote" then="{VIP}" then-action="stop"/>
"#
        )
    };
    let orders = match agent {
        Agent::Pgsql | Agent::Stateful | Agent::Patroni => format!(
            r#"      <rsc_order id="{VIP}-after-promote" kind="Mandatory" first="{CLONE}" first-action="promote" then="{VIP}" then-action="start"/>
"#
        ),
        // Clients are told over the address that their sessions end. Optional: after a demotion in an earlier
        // transition a mandatory one would hold the address for ever, and the node's Pacemaker with it.
        Agent::Pgtwin => both("Optional"),
        // As its quick start has it: standbys stream from the address, and must still get the end of the old
        // primary's WAL.
        Agent::Paf => both("Mandatory"),
    };
    format!(
        r#"      <rsc_colocation id="{VIP}-with-primary" score="INFINITY" rsc="{VIP}" rsc-role="Started" with-rsc="{CLONE}" with-rsc-role="Promoted"/>
{orders}"#
    )
}

const DEFAULTS: &str = r#"    <rsc_defaults>
      <meta_attributes id="defaults">
        <nvpair id="defaults-stickiness" name="resource-stickiness" value="100"/>
      </meta_attributes>
    </rsc_defaults>
"#;

/// The newest schema that the release knows, as a new cluster has it. With an older one its tools
/// try every newer one each time they are called.
fn schema(release: Release) -> &'static str {
    match release {
        Release::Bookworm => "pacemaker-3.9",
        Release::Trixie | Release::Forky => "pacemaker-4.0",
    }
}

fn properties(options: &Options) -> BTreeMap<String, String> {
    let mut set = BTreeMap::new();
    let mut put = |name: &str, value: &str| set.insert(name.to_owned(), value.to_owned());
    put("cluster-name", &options.name);
    put("stonith-enabled", if options.fencing { "true" } else { "false" });
    put("stonith-action", if options.fence_reboots { "reboot" } else { "off" });
    // Nodes boot together here: the usual 20 s in which a DC is looked for are wasted.
    put("dc-deadtime", "2s");
    if options.nodes == 2 {
        put("priority-fencing-delay", "2s");
    }
    merge(&mut set, &options.properties);
    set
}

fn merge(set: &mut BTreeMap<String, String>, with: &BTreeMap<String, String>) {
    for (name, value) in with {
        if value.is_empty() {
            set.remove(name);
        } else {
            set.insert(name.clone(), value.clone());
        }
    }
}

fn nvpairs(owner: &str, set: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (name, value) in set {
        let value = escape(value);
        let _ = writeln!(
            text,
            "        <nvpair id=\"{owner}-{name}\" name=\"{name}\" value=\"{value}\"/>"
        );
    }
    text
}

fn escape(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn fencing(options: &Options) -> String {
    if !options.fencing {
        return String::new();
    }
    let hosts = options.node_names().join(" ");
    let prefix = container_prefix(&options.name);
    format!(
        r#"      <primitive id="{FENCING}" class="stonith" type="fence_lab">
        <instance_attributes id="{FENCING}-params">
          <nvpair id="{FENCING}-prefix" name="prefix" value="{prefix}"/>
          <nvpair id="{FENCING}-hosts" name="pcmk_host_list" value="{hosts}"/>
          <nvpair id="{FENCING}-check" name="pcmk_host_check" value="static-list"/>
        </instance_attributes>
        <operations>
          <op id="{FENCING}-monitor" name="monitor" interval="120s" timeout="30s"/>
        </operations>
      </primitive>
"#
    )
}

/// What a container's name begins with; the node's name follows.
pub fn container_prefix(lab: &str) -> String {
    format!("pgtwin-lab-{lab}-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Runtime;

    fn addresses() -> Addresses {
        Addresses { prefix: "10.213.7".to_owned(), names: Options::default().node_names() }
    }

    #[test]
    fn two_nodes_are_told_to_votequorum_and_three_are_not() {
        let two = Options { nodes: 2, wait_for_all: false, ..Options::default() };
        let text = corosync(&two, &addresses());
        assert!(text.contains("two_node: 1\n  wait_for_all: 0\n"), "{text}");
        assert!(!corosync(&Options::default(), &addresses()).contains("two_node"));
    }

    #[test]
    fn an_empty_value_removes_a_parameter_and_others_are_added_or_replaced() {
        let mut options = Options::default();
        for (name, value) in [("vip", ""), ("rep_mode", "async"), ("start_opts", "-c a=\"<&\"")] {
            options.params.insert(name.to_owned(), value.to_owned());
        }
        let text = cib(&options, &addresses());
        assert!(!text.contains("name=\"vip\""), "{text}");
        assert!(text.contains("name=\"rep_mode\" value=\"async\""), "{text}");
        assert!(text.contains("value=\"-c a=&quot;&lt;&amp;&quot;\""), "{text}");
    }

    #[test]
    fn the_nodes_of_podman_have_an_image_and_the_one_that_differs_has_a_rule() {
        let with = |runtime| cib(&Options { runtime, ..Options::default() }, &addresses());
        assert!(!with(Runtime::Host).contains("container_"));
        let podman = with(Runtime::Podman);
        let image = "name=\"container_image\" value=\"localhost/pgtwin-lab-postgres:17\"";
        assert!(podman.contains(image) && !podman.contains("#uname"), "{podman}");
        let mixed = with(Runtime::Mixed);
        assert!(mixed.contains("operation=\"eq\" value=\"n1\""), "{mixed}");
        assert!(mixed.contains("name=\"container_mode\" value=\"true\""), "{mixed}");
        assert!(mixed.contains("name=\"container_mode\" value=\"false\""), "{mixed}");
    }

    #[test]
    fn a_bare_cluster_has_its_fence_device_and_nothing_else() {
        let text = cib(&Options { bare: true, ..Options::default() }, &addresses());
        assert!(text.contains("fence_lab"), "{text}");
        assert!(!text.contains("<clone") && !text.contains("IPaddr2"), "{text}");
        assert!(!text.contains("<rsc_"), "{text}");
    }

    #[test]
    fn the_address_stops_after_a_demotion_and_waits_for_none_that_is_past() {
        let of = |agent| cib(&Options { agent, ..Options::default() }, &addresses());
        let stops = "first-action=\"demote\" then=\"vip\" then-action=\"stop\"";
        let kind = |kind| format!("vip-after-demote\" kind=\"{kind}\"");
        let ours = of(Agent::Pgtwin);
        assert!(ours.contains(stops) && ours.contains(&kind("Optional")), "{ours}");
        let paf = of(Agent::Paf);
        assert!(paf.contains(stops) && paf.contains(&kind("Mandatory")), "{paf}");
        assert!(!of(Agent::Pgsql).contains(stops));
    }

    #[test]
    fn the_monitor_of_paf_has_the_time_of_its_quick_start() {
        let text = cib(&Options { agent: Agent::Paf, ..Options::default() }, &addresses());
        assert!(text.contains("type=\"pgsqlms\""), "{text}");
        assert!(text.contains("role=\"Promoted\" timeout=\"10s\""), "{text}");
    }

    #[test]
    fn without_fencing_there_is_no_device() {
        let text = cib(&Options { fencing: false, ..Options::default() }, &addresses());
        assert!(!text.contains("fence_lab"), "{text}");
        assert!(text.contains("name=\"stonith-enabled\" value=\"false\""), "{text}");
    }
}
