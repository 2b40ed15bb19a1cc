//! The databases of a new cluster: node 1 is initialised by hand, the others get a copy of it as
//! standbys, all are stopped cleanly. From there the agent does the rest: a first start.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::config::{REPLICATOR, WORKER};
use crate::error::Result;

/// Makes the data of all nodes. PostgreSQL runs nowhere afterwards.
pub fn seed(cluster: &Cluster) -> Result<()> {
    let nodes = cluster.nodes();
    let Some((first, rest)) = nodes.split_first() else { return Ok(()) };
    let parent = cluster.options.pgdata_parent();
    // Where the data is a mount, the engine has made this one, as root.
    let owned = ["install", "-d", "-m", "755", "-o", "postgres", "-g", "postgres", &parent];
    cluster.each_node(|node| cluster.check(node, &owned).map(drop))?;
    as_postgres(cluster, first, &first_node(cluster))?;
    let pack = ["tar", "-C", &parent, "-c", "main", "-C", "/var/lib/postgresql", ".pgpass"];
    let data = cluster.command_as_postgres(first, &pack).check()?.stdout;
    cluster.each_node(|node| {
        if !rest.iter().any(|other| other == node) {
            return Ok(());
        }
        let script = format!("tar -C {parent} -x; touch {parent}/main/standby.signal; mv {parent}/.pgpass /var/lib/postgresql/");
        let unpack = cluster.command_as_postgres(node, &["sh", "-ec", &script]);
        unpack.stdin(data.clone()).check().map(drop)
    })
}

fn as_postgres(cluster: &Cluster, node: &str, script: &str) -> Result<()> {
    cluster
        .command_as_postgres(node, &["sh", "-es"])
        .stdin(script)
        .limit(Duration::from_mins(2))
        .check()
        .map(drop)
}

/// The script of node 1, as the user postgres.
fn first_node(cluster: &Cluster) -> String {
    let options = &cluster.options;
    let (bin, data) = (options.pg_bindir(), options.pgdata());
    let subnet = cluster.addresses.subnet();
    let (replicator, replicator_password) = REPLICATOR;
    let (worker, worker_password) = WORKER;
    let mut settings = String::new();
    for (name, value) in SETTINGS {
        let _ = writeln!(settings, "{name} = '{value}'");
    }
    for (name, value) in &options.settings {
        let _ = writeln!(settings, "{name} = '{value}'");
    }
    format!(
        r#"umask 077
{bin}/initdb -D {data} --no-sync --data-checksums --encoding UTF8 --locale C.UTF-8 \
  --auth-local peer --auth-host scram-sha-256 >/dev/null
cat >> {data}/postgresql.conf <<'END'
{settings}END
cat > {data}/pg_hba.conf <<'END'
local all         all                      peer
local replication all                      peer
host  replication {replicator} {subnet} scram-sha-256
host  postgres    {replicator} {subnet} scram-sha-256
host  postgres    {worker}     {subnet} scram-sha-256
END
printf '*:5432:%s:{replicator}:{replicator_password}\n' replication postgres > ~/.pgpass
chmod 600 ~/.pgpass
{bin}/pg_ctl -s -w -D {data} -o "-c listen_addresses= -c logging_collector=off -k /tmp" -l /dev/null start
{bin}/psql -h /tmp -X -q -v ON_ERROR_STOP=1 postgres <<'END'
SET password_encryption = 'scram-sha-256';
CREATE ROLE {replicator} LOGIN REPLICATION PASSWORD '{replicator_password}';
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean),
  pg_read_binary_file(text), pg_read_binary_file(text, bigint, bigint, boolean) TO {replicator};
CREATE ROLE {worker} LOGIN PASSWORD '{worker_password}';
ALTER ROLE {worker} SET log_min_messages = fatal; -- the watcher is refused ten times a second
CREATE TABLE writes (run bigint, id bigint, at timestamptz DEFAULT clock_timestamp());
CREATE TABLE watched (node text);
GRANT SELECT, INSERT ON writes, watched TO {worker};
END
{bin}/pg_ctl -s -w -D {data} -m fast stop
"#
    )
}

/// postgresql.conf of all nodes.
const SETTINGS: [(&str, &str); 17] = [
    ("listen_addresses", "*"),
    ("port", "5432"),
    ("unix_socket_directories", "/var/run/postgresql"),
    ("wal_level", "replica"),
    ("max_wal_senders", "10"),
    ("max_replication_slots", "10"),
    ("wal_log_hints", "on"),
    ("hot_standby", "on"),
    ("wal_keep_size", "256MB"),
    ("restart_after_crash", "off"),
    ("shared_buffers", "32MB"),
    ("logging_collector", "on"),
    ("log_directory", "log"),
    ("log_filename", "postgresql.log"),
    ("log_rotation_age", "0"),
    ("log_rotation_size", "0"),
    ("log_line_prefix", "%m [%p] %a "),
];
