//! Replication by IPv6, with certificates that are verified and with passwords.

use lab::{Cluster, Options, Result};

use crate::look::wait_stopped;
use crate::recovery::{assert_recovered, wiped_and_built, written_by_hand};
use crate::repair::has_all_heirs;
use crate::stage::{SOON, fresh};
use crate::takeover::Primary;

const TLS: &str = "/etc/postgresql-tls";

/// An authority on n1, and for each node a certificate of its IPv6 address by it.
fn make_certificates(cluster: &Cluster) -> Result<()> {
    let script = "mkdir -p /root/ca && cd /root/ca && openssl req -x509 -new -nodes -newkey rsa:2048 \
                  -days 30 -subj /CN=lab -keyout ca.key -out ca.crt 2>&1";
    cluster.check("n1", &["sh", "-ec", script])?;
    let authority = cluster.read_file("n1", "/root/ca/ca.crt")?;
    for node in cluster.nodes() {
        let address = cluster.addresses.node6(&node);
        let script = format!(
            "cd /root/ca; openssl req -new -nodes -newkey rsa:2048 -subj /CN={node} \
                 -keyout {node}.key -out {node}.csr 2>&1; \
             echo 'subjectAltName=IP:{address}' > {node}.ext; \
             openssl x509 -req -in {node}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 \
                 -extfile {node}.ext -out {node}.crt 2>&1"
        );
        cluster.check("n1", &["sh", "-ec", &script])?;
        let key = cluster.read_file("n1", &format!("/root/ca/{node}.key"))?;
        let certificate = cluster.read_file("n1", &format!("/root/ca/{node}.crt"))?;
        cluster.check(&node, &["install", "-d", TLS])?;
        for (name, text) in
            [("ca.crt", &authority), ("server.crt", &certificate), ("server.key", &key)]
        {
            let file = format!("{TLS}/{name}");
            let install = ["install", "-o", "postgres", "-m", "600", "/dev/stdin", &file];
            cluster.command(&node, &install).stdin(text.as_bytes()).check()?;
        }
    }
    Ok(())
}

/// Both standbys stream by IPv6, encrypted.
fn assert_encrypted(cluster: &Cluster, primary: &str) -> Result<()> {
    let ask = "SELECT count(*) FROM pg_stat_replication JOIN pg_stat_ssl USING (pid) \
               WHERE ssl AND family(client_addr) = 6 AND state = 'streaming'";
    assert_eq!(cluster.psql(primary, ask)?, "2");
    Ok(())
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn recovery_01_by_ipv6_with_verified_certificates_nodes_come_back_by_rewind_and_by_copy() {
    let options = Options { start: false, ipv6: true, ..Options::default() };
    fresh(&options, |cluster| {
        make_certificates(cluster)?;
        let data = cluster.options.pgdata();
        let subnet = cluster.addresses.subnet6();
        // Nobody gets in without TLS, or by IPv4.
        let script = format!(
            "cd {data}; sed -i '/replicator/d' pg_hba.conf; \
             echo 'hostssl replication,postgres replicator {subnet} scram-sha-256' >> pg_hba.conf; \
             echo \"primary_conninfo = 'user=replicator sslmode=verify-full sslrootcert={TLS}/ca.crt'\" \
                 >> postgresql.auto.conf; \
             printf \"ssl = on\nssl_cert_file = '{TLS}/server.crt'\nssl_key_file = '{TLS}/server.key'\n\" \
                 >> postgresql.conf"
        );
        for node in cluster.nodes() {
            cluster.command_as_postgres(&node, &["sh", "-ec", &script]).check()?;
        }
        cluster.start_all()?;
        cluster.wait_healthy(SOON)?;
        let primary = Primary::under_load(cluster)?;
        assert_eq!(has_all_heirs(cluster)?, primary.old);
        assert_encrypted(cluster, &primary.old)?;

        let node = wiped_and_built(cluster, &primary.old)?;
        cluster.standby(&node, true)?;
        wait_stopped(cluster, &node)?;
        let promote = format!("{}/pg_ctl -D {data} -w -s promote", cluster.options.pg_bindir());
        written_by_hand(cluster, &node, "true", &promote, "immediate")?;
        cluster.standby(&node, false)?;
        cluster.wait_healthy(SOON)?;
        assert_eq!(has_all_heirs(cluster)?, primary.old);
        assert_recovered(cluster, &node, "rewind")?;
        assert_encrypted(cluster, &primary.old)?;

        let old = primary.old.clone();
        cluster.power_cut(&old)?;
        let new = primary.is_taken_over()?;
        cluster.power_on(&old)?;
        primary.comes_back_under(&new)?;
        assert_encrypted(cluster, &new)
    });
}
