//! What is planted, and how it is taken away again. In the lines PRIMARY, STANDBY and OTHER are nodes, RSC,
//! CLONE and ADDRESS resources, DATA is the data directory, and `sql` asks the server of the node.

/// A node by what it does at the moment.
#[derive(Clone, Copy)]
pub enum Seat {
    Primary,
    Standby,
    Other,
}

pub struct Defect {
    /// The check that has to name it.
    pub check: &'static str,
    /// Words of it.
    pub words: &'static str,
    /// Where doctor is run, and, unless `place` says otherwise, the lines are typed.
    pub seat: Seat,
    pub place: Option<Seat>,
    /// In maintenance mode: Pacemaker would act.
    pub paused: bool,
    pub plant: &'static str,
    pub mend: &'static str,
    /// Words of status about it, where it has any.
    pub status: Option<&'static str>,
}

const fn of(
    check: &'static str,
    words: &'static str,
    seat: Seat,
    plant: &'static str,
    mend: &'static str,
) -> Defect {
    Defect { check, words, seat, place: None, paused: false, plant, mend, status: None }
}

impl Defect {
    const fn paused(mut self) -> Self {
        self.paused = true;
        self
    }

    const fn at(mut self, place: Seat) -> Self {
        self.place = Some(place);
        self
    }

    const fn status(mut self, words: &'static str) -> Self {
        self.status = Some(words);
        self
    }
}

use Seat::{Other, Primary, Standby};

/// Those checks of the configuration of the cluster, which status names, too. Of maintenance and parameters it
/// says so in words.
pub const CONFIGURED: &[&str] = &[
    "fencing-enabled",
    "fencing-devices",
    "fencing-startup",
    "quorum-policy",
    "clone",
    "clone-notify",
    "clone-options",
    "monitors",
    "timeouts",
    "failures",
    "moves",
    "locations",
    "preferences",
    "stickiness",
    "address",
    "address-place",
    "address-order",
    "members",
    "pacemaker",
];

pub const DEFECTS: &[Defect] = &[
    of("fencing-devices", "no fence device is for ", Primary,
"crm_resource --resource fencing --get-parameter pcmk_host_list > /tmp/pcmk_host_list
crm_resource --resource fencing --set-parameter pcmk_host_list --parameter-value 'PRIMARY STANDBY'",
r#"crm_resource --resource fencing --set-parameter pcmk_host_list --parameter-value "$(cat /tmp/pcmk_host_list)""#),
    of("fencing-enabled", "stonith-enabled is false", Primary,
"crm_attribute --type crm_config --name stonith-enabled --update false",
"crm_attribute --type crm_config --name stonith-enabled --update true").paused(),
    of("fencing-startup", "startup-fencing is false", Primary,
"crm_attribute --type crm_config --name startup-fencing --update false",
"crm_attribute --type crm_config --name startup-fencing --delete").paused(),
    of("quorum-policy", "both parts of a divided cluster go on", Standby,
"crm_attribute --type crm_config --name no-quorum-policy --update ignore",
"crm_attribute --type crm_config --name no-quorum-policy --delete"),
    of("maintenance", "maintenance-mode is true", Primary,
"crm_attribute --type crm_config --name maintenance-mode --update true",
"crm_attribute --type crm_config --name maintenance-mode --delete"),
    of("maintenance", "in maintenance mode: ", Primary,
"crm_attribute --node STANDBY --name maintenance --update true",
"crm_attribute --node STANDBY --name maintenance --delete").status("in maintenance mode: STANDBY"),
    of("clone", "is not promotable", Primary,
"crm_resource --resource CLONE --meta --set-parameter promotable --parameter-value false",
"crm_resource --resource CLONE --meta --set-parameter promotable --parameter-value true").paused().status("nobody is ever promoted"),
    of("clone-notify", "elections are held in notifications", Standby,
"crm_resource --resource CLONE --meta --set-parameter notify --parameter-value false",
"crm_resource --resource CLONE --meta --set-parameter notify --parameter-value true").paused().status("elections are held in notifications"),
    of("clone-options", "there must be one primary", Primary,
"crm_resource --resource CLONE --meta --set-parameter promoted-max --parameter-value 2",
"crm_resource --resource CLONE --meta --set-parameter promoted-max --parameter-value 1").paused().status("there is one primary"),
    of("clone-options", "need as many instances", Primary,
"crm_resource --resource CLONE --meta --set-parameter clone-max --parameter-value 2",
"crm_resource --resource CLONE --meta --set-parameter clone-max --parameter-value 3").paused(),
    of("clone-options", "what depends on a standby waits", Primary,
"crm_resource --resource CLONE --meta --set-parameter interleave --parameter-value false",
"crm_resource --resource CLONE --meta --set-parameter interleave --parameter-value true"),
    of("monitors", "two monitors have the same interval", Primary,
r#"cibadmin --query --xpath '//op[@id="RSC-monitor-u"]' > /tmp/RSC-monitor-u.xml
cibadmin --modify --xml-text '<op id="RSC-monitor-u" interval="3s"/>'"#,
"cibadmin --replace --xml-file /tmp/RSC-monitor-u.xml").paused(),
    of("monitors", "lead to no recovery", Primary,
r#"cibadmin --query --xpath '//op[@id="RSC-monitor-p"]' > /tmp/RSC-monitor-p.xml
cibadmin --modify --xml-text '<op id="RSC-monitor-p" on-fail="ignore"/>'"#,
"cibadmin --replace --xml-file /tmp/RSC-monitor-p.xml").paused(),
    of("timeouts", "the timeout of stop is 20 s", Standby,
r#"cibadmin --query --xpath '//op[@id="RSC-stop"]' > /tmp/RSC-stop.xml
cibadmin --modify --xml-text '<op id="RSC-stop" timeout="20s"/>'"#,
"cibadmin --replace --xml-file /tmp/RSC-stop.xml"),
    of("failures", "is banned for good", Primary,
"crm_resource --resource RSC --meta --set-parameter failure-timeout --parameter-value 0",
"crm_resource --resource RSC --meta --set-parameter failure-timeout --parameter-value 60s"),
    of("failures", "migration-threshold is 1", Primary,
"crm_resource --resource RSC --meta --set-parameter migration-threshold --parameter-value 1",
"crm_resource --resource RSC --meta --set-parameter migration-threshold --parameter-value 5"),
    of("moves", "cli-prefer-CLONE", Primary,
r#"cibadmin --create --scope constraints --xml-text '<rsc_location id="cli-prefer-CLONE" rsc="CLONE" role="Promoted" node="PRIMARY" score="INFINITY"/>'"#,
r#"cibadmin --delete --xml-text '<rsc_location id="cli-prefer-CLONE"/>'"#).status("the constraint cli-prefer-CLONE binds the primary to a node"),
    of("locations", "", Primary,
r#"cibadmin --create --scope constraints --xml-text '<rsc_location id="never-1" rsc="CLONE" role="Promoted" node="STANDBY" score="-INFINITY"/>'
cibadmin --create --scope constraints --xml-text '<rsc_location id="never-2" rsc="CLONE" role="Promoted" node="OTHER" score="-INFINITY"/>'"#,
r#"cibadmin --delete --xml-text '<rsc_location id="never-1"/>'
cibadmin --delete --xml-text '<rsc_location id="never-2"/>'"#),
    of("preferences", "more than a primary is ahead of a standby", Primary,
r#"cibadmin --create --scope constraints --xml-text '<rsc_location id="likes" rsc="CLONE" role="Promoted" node="PRIMARY" score="20000"/>'"#,
r#"cibadmin --delete --xml-text '<rsc_location id="likes"/>'"#),
    of("stickiness", "resource-stickiness is 0", Primary,
"crm_attribute --type rsc_defaults --name resource-stickiness --update 0",
"crm_attribute --type rsc_defaults --name resource-stickiness --update 100").paused(),
    of("address", "", Primary,
"crm_resource --resource ADDRESS --get-parameter ip > /tmp/ip
crm_resource --resource ADDRESS --set-parameter ip --parameter-value '10.255.255.1'",
r#"crm_resource --resource ADDRESS --set-parameter ip --parameter-value "$(cat /tmp/ip)""#).paused().status("no resource of the cluster carries the address"),
    of("address-place", "", Primary,
r#"cibadmin --query --xpath '//rsc_colocation[@id="ADDRESS-with-primary"]' > /tmp/ADDRESS-with-primary.xml
cibadmin --delete --xml-text '<rsc_colocation id="ADDRESS-with-primary"/>'"#,
"cibadmin --create --scope constraints --xml-file /tmp/ADDRESS-with-primary.xml").paused(),
    of("address-order", "", Primary,
r#"cibadmin --query --xpath '//rsc_order[@id="ADDRESS-after-promote"]' > /tmp/ADDRESS-after-promote.xml
cibadmin --delete --xml-text '<rsc_order id="ADDRESS-after-promote"/>'"#,
"cibadmin --create --scope constraints --xml-file /tmp/ADDRESS-after-promote.xml").paused(),
    of("parameters", "rep_mode", Primary,
"crm_resource --resource RSC --get-parameter rep_mode > /tmp/rep_mode
crm_resource --resource RSC --set-parameter rep_mode --parameter-value 'often'",
r#"crm_resource --resource RSC --set-parameter rep_mode --parameter-value "$(cat /tmp/rep_mode)""#).paused(),
    of("members", "Pacemaker knows no node of that name", Primary,
"crm_resource --resource RSC --get-parameter node_list > /tmp/node_list
crm_resource --resource RSC --set-parameter node_list --parameter-value 'PRIMARY STANDBY OTHER n9'",
r#"crm_resource --resource RSC --set-parameter node_list --parameter-value "$(cat /tmp/node_list)""#).paused(),
    of("parameters", "application_name", Primary,
"crm_resource --resource RSC --set-parameter application_name --parameter-value 'standby'",
"crm_resource --resource RSC --delete-parameter application_name").paused(),
    of("parameters", "two nodes have the address", Primary,
r#"crm_resource --resource RSC --get-parameter node_addresses > /tmp/node_addresses
theirs=$(tr ' ' '\n' < /tmp/node_addresses | sed -n 's/^STANDBY=//p')
crm_resource --resource RSC --set-parameter node_addresses --parameter-value "$(sed "s/OTHER=[^ ]*/OTHER=$theirs/" /tmp/node_addresses)""#,
r#"crm_resource --resource RSC --set-parameter node_addresses --parameter-value "$(cat /tmp/node_addresses)""#).paused(),
    of("programs", "", Standby,
"crm_resource --resource RSC --get-parameter pg_bindir > /tmp/pg_bindir
crm_resource --resource RSC --set-parameter pg_bindir --parameter-value '/usr/share'",
r#"crm_resource --resource RSC --set-parameter pg_bindir --parameter-value "$(cat /tmp/pg_bindir)""#).paused(),
    of("pacemaker", "older than 2.1.5", Primary,
"crm_attribute --type crm_config --name dc-version --query --quiet > /tmp/dc-version
crm_attribute --type crm_config --name dc-version --update 2.0.1",
r#"crm_attribute --type crm_config --name dc-version --update "$(cat /tmp/dc-version)""#),
    of("durability", "fsync is off", Primary,
r#"sql "ALTER SYSTEM SET fsync = off"
sql 'SELECT pg_reload_conf()'"#,
"sql 'ALTER SYSTEM RESET fsync'
sql 'SELECT pg_reload_conf()'"),
    of("durability", "full_page_writes is off", Standby,
r#"sql "ALTER SYSTEM SET full_page_writes = off"
sql 'SELECT pg_reload_conf()'"#,
"sql 'ALTER SYSTEM RESET full_page_writes'
sql 'SELECT pg_reload_conf()'"),
    of("synchronous-commit", "synchronous_commit is local", Primary,
r#"sql "ALTER SYSTEM SET synchronous_commit = local"
sql 'SELECT pg_reload_conf()'"#,
"sql 'ALTER SYSTEM RESET synchronous_commit'
sql 'SELECT pg_reload_conf()'"),
    of("synchronous-commit", "hasty", Primary,
"sql 'CREATE ROLE hasty'
sql 'ALTER ROLE hasty SET synchronous_commit = off'",
"sql 'DROP ROLE hasty'"),
    of("restart-after-crash", "restart_after_crash is on", Primary,
r#"sql "ALTER SYSTEM SET restart_after_crash = on"
sql 'SELECT pg_reload_conf()'"#,
"sql 'ALTER SYSTEM RESET restart_after_crash'
sql 'SELECT pg_reload_conf()'"),
    of("sender-timeout", "", Primary,
r#"sql "ALTER SYSTEM SET wal_sender_timeout = 0"
sql 'SELECT pg_reload_conf()'"#,
"sql 'ALTER SYSTEM RESET wal_sender_timeout'
sql 'SELECT pg_reload_conf()'"),
    of("own-settings", "primary_slot_name is set in", Primary,
r#"sql 'ALTER SYSTEM RESET primary_slot_name'
echo "primary_slot_name = 'by_hand'" >> DATA/postgresql.conf
sql 'SELECT pg_reload_conf()'"#,
"sed -i '/by_hand/d' DATA/postgresql.conf
sql 'SELECT pg_reload_conf()'"),
    of("configuration-files", "PostgreSQL does not start with it", Standby,
"echo 'no_such_setting = 1' >> DATA/postgresql.conf",
"sed -i '/no_such_setting/d' DATA/postgresql.conf"),
    of("configuration-files", "a restart is waited for by max_connections", Primary,
r#"sql "ALTER SYSTEM SET max_connections = 150"
sql 'SELECT pg_reload_conf()'"#,
"sql 'ALTER SYSTEM RESET max_connections'
sql 'SELECT pg_reload_conf()'"),
    of("settings-equal", "max_slot_wal_keep_size", Primary,
r#"sql "ALTER SYSTEM SET max_slot_wal_keep_size = '5GB'"
sql 'SELECT pg_reload_conf()'"#,
"sql 'ALTER SYSTEM RESET max_slot_wal_keep_size'
sql 'SELECT pg_reload_conf()'"),
    of("delays", "replays with a delay", Primary,
r#"sql "ALTER SYSTEM SET recovery_min_apply_delay = '5s'"
sql 'SELECT pg_reload_conf()'"#,
"sql 'ALTER SYSTEM RESET recovery_min_apply_delay'
sql 'SELECT pg_reload_conf()'").at(Standby),
    of("slots-wal", "nobody uses the slot forgotten", Primary,
r#"sql "SELECT pg_create_physical_replication_slot('forgotten', true)""#,
r#"sql "SELECT pg_drop_replication_slot('forgotten')""#),
    of("hba", "cannot be read", Standby,
"echo 'host all all nonsense' >> DATA/pg_hba.conf",
"sed -i '/nonsense/d' DATA/pg_hba.conf"),
    of("hba", "keeps out", Primary,
"sed -i '1i host all replicator 0.0.0.0/0 reject' DATA/pg_hba.conf
sql 'SELECT pg_reload_conf()'",
"sed -i '1d' DATA/pg_hba.conf
sql 'SELECT pg_reload_conf()'"),
    of("logins", "does not let this node in for postgres", Primary,
"sed -i '1i host postgres replicator 0.0.0.0/0 reject' DATA/pg_hba.conf
sql 'SELECT pg_reload_conf()'",
"sed -i '1d' DATA/pg_hba.conf
sql 'SELECT pg_reload_conf()'").at(Other),
    of("role", "may have 2 connections", Primary,
"sql 'ALTER ROLE replicator CONNECTION LIMIT 2'",
"sql 'ALTER ROLE replicator CONNECTION LIMIT -1'"),
    of("role", "may not do what pg_rewind does", Primary,
"sql 'REVOKE EXECUTE ON function pg_catalog.pg_read_binary_file(text) FROM replicator'",
"sql 'GRANT EXECUTE ON function pg_catalog.pg_read_binary_file(text) TO replicator'"),
    of("passfile", "", Standby,
"chmod 644 /var/lib/postgresql/.pgpass",
"chmod 600 /var/lib/postgresql/.pgpass"),
    of("old-copies", "an old copy of the data takes", Standby,
"runuser -u postgres -- mkdir -m 700 DATA.backup.20200101-000000",
"runuser -u postgres -- rmdir DATA.backup.20200101-000000"),
    of("service-at-boot", "Debian starts this database at boot", Other,
"mkdir -p /etc/postgresql/17/planted
echo \"data_directory = 'DATA'\" > /etc/postgresql/17/planted/postgresql.conf
echo auto > /etc/postgresql/17/planted/start.conf",
"rm -r /etc/postgresql/17/planted"),
    of("permissions", "", Standby,
"chmod 755 DATA",
"chmod 700 DATA"),
    of("corosync", "one alone has quorum", Other,
r"sed -i.bak 's/^\([ \t]*\)provider: corosync_votequorum/&\n\1two_node: 1/' /etc/corosync/corosync.conf",
"mv /etc/corosync/corosync.conf.bak /etc/corosync/corosync.conf"),
];
