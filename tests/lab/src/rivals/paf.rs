//! PAF in the lab: what its quick start leaves to the administrator, before the agent starts anything. The
//! agent's parameters, and the order of its address, are in the CIB.

use crate::cluster::Cluster;
use crate::config::{Addresses, REPLICATOR};
use crate::error::Result;
use crate::options::{Mode, Options};

/// Sets replication up on all nodes, whose data lies there and does not run.
pub fn prepare(cluster: &Cluster) -> Result<()> {
    cluster.each_node(|node| {
        let script = script(&cluster.options, &cluster.addresses, node);
        cluster.command_as_postgres(node, &["sh", "-es"]).stdin(script).check().map(drop)
    })
}

/// A node's script, for the user postgres: where it streams from as a standby, who confirms its commits as a
/// primary, and that it does not stream from itself, for the address may be its own.
fn script(options: &Options, addresses: &Addresses, node: &str) -> String {
    let data = options.pgdata();
    let (vip, own) = (addresses.vip(), addresses.node(node));
    let names: Vec<String> =
        options.node_names().iter().map(|name| format!("\"{name}\"")).collect();
    let synchronous = match options.mode {
        Mode::Sync => format!("ANY 1 ({})", names.join(", ")),
        Mode::Async => String::new(),
    };
    format!(
        r"cat >> {data}/postgresql.auto.conf <<'END'
primary_conninfo = 'host={vip} user={user} application_name={node} passfile=/var/lib/postgresql/.pgpass'
recovery_target_timeline = 'latest'
synchronous_standby_names = '{synchronous}'
END
{{
    echo 'host replication all {vip}/32 reject'
    echo 'host replication all {own}/32 reject'
    cat {data}/pg_hba.conf
}} > {data}/pg_hba.new
mv {data}/pg_hba.new {data}/pg_hba.conf
",
        user = REPLICATOR.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_streams_from_the_address_by_its_own_name_and_any_standby_confirms() {
        let addresses =
            Addresses { prefix: "10.213.7".to_owned(), names: Options::default().node_names() };
        let text = script(&Options::default(), &addresses, "n2");
        assert!(text.contains("host=10.213.7.100 user=replicator application_name=n2 "), "{text}");
        assert!(text.contains(r#"= 'ANY 1 ("n1", "n2", "n3")'"#), "{text}");
        assert!(text.contains("host replication all 10.213.7.12/32 reject"), "{text}");
        let text = script(&Options { mode: Mode::Async, ..Options::default() }, &addresses, "n2");
        assert!(text.contains("synchronous_standby_names = ''\n"), "{text}");
    }
}
