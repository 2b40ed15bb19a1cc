//! What another node's PostgreSQL says of itself, asked with libpq's `psql` on a physical
//! replication connection: the login, TLS and protocol that a walreceiver would use. Floor 2.

mod answer;
pub mod examine;
mod operator;
pub mod source;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::cluster::known::Known;
use crate::decide::source::Login;
use crate::postgres::conninfo::Conninfo;
use crate::postgres::history::History;
use crate::postgres::lsn::{Lsn, Timeline};
use crate::postgres::version::Version;
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::exec::{Cmd, Ended, Exec, Output};

pub use operator::{checkpoint, delay};

/// How long an address may take to accept a TCP connection, so that a dead node costs little.
pub const KNOCK: Duration = Duration::from_millis(500);

/// Where a peer listens and how a standby would log in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Name or address; a directory for our own socket.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The role for replication.
    pub user: String,
    /// The file with its password, readable by the PostgreSQL user; none: libpq's default.
    pub passfile: Option<String>,
    /// The `primary_conninfo` of this node, or nothing: encryption and the like are taken from it.
    pub like: Conninfo,
}

impl Peer {
    /// The connection string for one of PostgreSQL's tools that calls itself so. It holds no secret:
    /// those are in the files that it names.
    pub fn for_tool(&self, database: &str, application_name: &str) -> Conninfo {
        let mut conninfo = Conninfo::new();
        conninfo.set("host", &self.host);
        conninfo.set("port", &self.port.to_string());
        conninfo.set("user", &self.user);
        conninfo.set("dbname", database);
        if let Some(passfile) = &self.passfile {
            conninfo.set("passfile", passfile);
        }
        conninfo.set("application_name", application_name);
        conninfo.set("connect_timeout", "10");
        // A source that died says nothing: a copy would wait until its own deadline.
        conninfo.set("keepalives_idle", "20");
        conninfo.set("keepalives_interval", "10");
        conninfo.set("keepalives_count", "3");
        conninfo.log_in_like(&self.like);
        conninfo
    }
}

/// Who a server is and how far its WAL reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The system identifier.
    pub system_id: u64,
    /// The timeline that it writes or replays.
    pub timeline: Timeline,
    /// On a primary what is flushed; on a standby what is flushed or replayed, whichever is more.
    pub lsn: Lsn,
    /// Its version.
    pub version: Version,
}

/// What a peer answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum PeerAnswer {
    /// It is not in recovery: it accepts writes.
    Primary(Identity),
    /// It is in recovery.
    Standby(Identity),
    /// It runs, and does not take connections yet.
    Starting(String),
    /// It runs, and is shutting down.
    ShuttingDown,
    /// It runs, and has no connection or walsender left for us.
    Busy(String),
    /// It runs, and did not let us in: password, pg_hba.conf, role.
    AuthFailed(String),
    /// The machine says that nobody listens there. A firewall can say so as well.
    Refused,
    /// No TCP connection came about in time: no route, a dead machine, a firewall.
    Unreachable(String),
    /// TCP connected; no PostgreSQL answered in time.
    NoAnswer,
    /// Anything else.
    Unknown(String),
}

impl PeerAnswer {
    /// Who it is, if it said so.
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Primary(identity) | Self::Standby(identity) => Some(identity),
            Self::Starting(_)
            | Self::ShuttingDown
            | Self::Busy(_)
            | Self::AuthFailed(_)
            | Self::Refused
            | Self::Unreachable(_)
            | Self::NoAnswer
            | Self::Unknown(_) => None,
        }
    }
}

impl fmt::Display for PeerAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary(is) => write!(f, "a primary on timeline {} at {}", is.timeline, is.lsn),
            Self::Standby(is) => write!(f, "a standby on timeline {} at {}", is.timeline, is.lsn),
            Self::Starting(words) => write!(f, "it starts: {words}"),
            Self::ShuttingDown => f.write_str("it is shutting down"),
            Self::Busy(words) => write!(f, "it is busy: {words}"),
            Self::AuthFailed(words) => write!(
                f,
                "it does not let us in, look at pg_hba.conf there and the passfile here: {words}"
            ),
            Self::Refused => f.write_str("nobody listens there"),
            Self::Unreachable(words) => write!(f, "it is not reached: {words}"),
            Self::NoAnswer => f.write_str("it accepts connections and gives no answer"),
            Self::Unknown(words) => f.write_str(words),
        }
    }
}

/// Asks a peer who it is. `psql` is the command to run libpq's client with: program, user and
/// directory; at most about `limit` passes.
pub fn identify(exec: &dyn Exec, psql: Cmd, peer: &Peer, limit: Duration) -> PeerAnswer {
    let deadline = Deadline::after(limit);
    match ask(exec, psql, peer, &identify_commands(), &deadline) {
        Ok(output) => answer::identity(&output),
        Err(no_answer) => no_answer,
    }
}

/// Asks our own instance, on a replication connection over its socket, logged in as the user that
/// `psql` runs as.
pub fn local_identify(
    exec: &dyn Exec,
    psql: Cmd,
    socket_dir: &str,
    port: u16,
    user: &str,
    limit: Duration,
) -> PeerAnswer {
    let own = Peer {
        host: socket_dir.to_owned(),
        port,
        user: user.to_owned(),
        passfile: None,
        like: Conninfo::new(),
    };
    match identify(exec, psql, &own, limit) {
        PeerAnswer::AuthFailed(message) => PeerAnswer::AuthFailed(format!(
            "{message}; pg_hba.conf needs the line: local replication {user} peer"
        )),
        other => other,
    }
}

/// Asks a peer for the value of a setting, as SHOW prints it. `name` goes into the command as it
/// is: a setting's plain name.
pub fn show(
    exec: &dyn Exec,
    psql: Cmd,
    peer: &Peer,
    name: &str,
    limit: Duration,
) -> Result<String, PeerAnswer> {
    let output = ask(exec, psql, peer, &[format!("SHOW {name}")], &Deadline::after(limit))?;
    answer::setting(&output)
}

/// The logical slots of a peer of this version that are to survive a failover, asked in the database
/// `postgres`, as pg_rewind would log in.
pub fn failover_slots(
    exec: &dyn Exec,
    psql: Cmd,
    peer: &Peer,
    version: u32,
    limit: Duration,
) -> Result<Vec<String>, PeerAnswer> {
    let query = if version >= 170_000 {
        "SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE failover ORDER BY 1"
    } else {
        "SELECT WHERE false"
    };
    let deadline = Deadline::after(limit);
    let output = ask_in(exec, psql, peer, Login::Postgres, &[query.into()], &deadline)?;
    if output.ok() {
        Ok(output.stdout.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
    } else {
        Err(answer::failure(&output))
    }
}

/// Makes sure of a physical replication slot on a peer that keeps WAL from now on; a lost one of that
/// name is dropped first. `slot` goes into the command as it is: a slot's name has letters, digits and
/// underscores.
pub fn make_slot(
    exec: &dyn Exec,
    psql: Cmd,
    peer: &Peer,
    slot: &str,
    lost: bool,
    limit: Duration,
) -> Result<(), PeerAnswer> {
    let mut commands = Vec::new();
    if lost {
        commands.push(format!("DROP_REPLICATION_SLOT {slot}"));
    }
    commands.push(format!("CREATE_REPLICATION_SLOT {slot} PHYSICAL RESERVE_WAL"));
    let output = ask(exec, psql, peer, &commands, &Deadline::after(limit))?;
    // The primary makes the slots of all members as well, and may have been quicker.
    let there = !lost && output.stderr.contains("already exists");
    if output.ok() || there { Ok(()) } else { Err(answer::failure(&output)) }
}

/// Asks a peer for the history of a timeline. The peer must have that history file.
pub fn timeline_history(
    exec: &dyn Exec,
    psql: Cmd,
    peer: &Peer,
    timeline: Timeline,
    limit: Duration,
) -> Result<History, PeerAnswer> {
    if timeline == Timeline::FIRST {
        return Ok(History::of_first_line());
    }
    let command = format!("TIMELINE_HISTORY {timeline}");
    let output = ask(exec, psql, peer, &[command], &Deadline::after(limit))?;
    answer::history(timeline, &output)
}

/// `in_hot_standby` exists since 14; that it is asked last keeps the other answers in their places.
fn identify_commands() -> [String; 5] {
    [
        "SHOW server_version_num".into(),
        "SHOW transaction_read_only".into(),
        "SHOW default_transaction_read_only".into(),
        "IDENTIFY_SYSTEM".into(),
        "SHOW in_hot_standby".into(),
    ]
}

fn ask(
    exec: &dyn Exec,
    psql: Cmd,
    peer: &Peer,
    commands: &[String],
    deadline: &Deadline,
) -> Result<Output, PeerAnswer> {
    ask_in(exec, psql, peer, Login::Replication, commands, deadline)
}

fn ask_in(
    exec: &dyn Exec,
    psql: Cmd,
    peer: &Peer,
    login: Login,
    commands: &[String],
    deadline: &Deadline,
) -> Result<Output, PeerAnswer> {
    let address = match whereabouts(exec, peer, deadline)? {
        Some(addresses) => Some(knock(&addresses, peer.port, deadline)?),
        None => None,
    };
    let cmd = command(psql, peer, login, address, commands, deadline.left());
    run(exec, &cmd)
}

/// What psql printed, if it came to its own end.
fn run(exec: &dyn Exec, cmd: &Cmd) -> Result<Output, PeerAnswer> {
    let output = exec.run(cmd).map_err(|error| PeerAnswer::Unknown(chain(&error)))?;
    match output.ended {
        Ended::TimedOut => Err(PeerAnswer::NoAnswer),
        Ended::Signaled(signal) => {
            Err(PeerAnswer::Unknown(format!("psql was killed by signal {signal}")))
        }
        Ended::Exited(_) => Ok(output),
    }
}

/// The command that asks, as a value.
fn command(
    psql: Cmd,
    peer: &Peer,
    login: Login,
    address: Option<IpAddr>,
    commands: &[String],
    limit: Duration,
) -> Cmd {
    let conninfo = conninfo(peer, login, address, limit);
    let mut cmd = psql.args(["-X", "-At", "-w"]).limit(limit);
    for command in commands {
        cmd = cmd.arg("-c").arg(command);
    }
    // It holds no secret: those are in the file that it names.
    cmd.arg("-d").arg(conninfo.to_text())
}

/// How a login is made.
fn conninfo(peer: &Peer, login: Login, address: Option<IpAddr>, limit: Duration) -> Conninfo {
    let mut conninfo = Conninfo::new();
    conninfo.set("host", &peer.host);
    if let Some(address) = address.filter(|address| address.to_string() != peer.host) {
        conninfo.set("hostaddr", &address.to_string());
    }
    conninfo.set("port", &peer.port.to_string());
    conninfo.set("user", &peer.user);
    if let Some(passfile) = &peer.passfile {
        conninfo.set("passfile", passfile);
    }
    match login {
        Login::Replication => {
            // The name under which a walreceiver looks into the passfile.
            conninfo.set("dbname", "replication");
            conninfo.set("replication", "true");
        }
        Login::Postgres => conninfo.set("dbname", "postgres"),
    }
    conninfo.set("application_name", "pgtwin_peer");
    conninfo.set("connect_timeout", &limit.as_secs().max(2).to_string());
    conninfo.log_in_like(&peer.like);
    conninfo
}

/// The addresses of a peer; none for a socket directory.
fn whereabouts(
    exec: &dyn Exec,
    peer: &Peer,
    deadline: &Deadline,
) -> Result<Option<Vec<IpAddr>>, PeerAnswer> {
    if peer.host.starts_with('/') {
        return Ok(None);
    }
    addresses(exec, &peer.host, deadline).map(Some).map_err(PeerAnswer::Unknown)
}

/// The addresses of a name, or the address that it is. A name is resolved by `getent`, because the
/// resolver knows no deadline.
pub fn addresses(exec: &dyn Exec, host: &str, deadline: &Deadline) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let unresolved = |why: &str| format!("the name {host} cannot be resolved: {why}");
    let limit = deadline.bounded(Duration::from_secs(2));
    let cmd = Cmd::new("getent").args(["ahosts", host]).limit(limit);
    let output = exec.run(&cmd).map_err(|error| unresolved(&error.to_string()))?;
    if output.ended == Ended::TimedOut {
        return Err(unresolved("the resolver did not answer"));
    }
    let mut addresses: Vec<IpAddr> = Vec::new();
    for line in output.stdout.lines() {
        let address = line.split_whitespace().next().and_then(|word| word.parse().ok());
        addresses.extend(address.filter(|address| !addresses.contains(address)));
    }
    if addresses.is_empty() { Err(unresolved("no address")) } else { Ok(addresses) }
}

/// The host name of an address, if it leads back to the address: what pg_hba.conf compares with a name.
pub fn host_name(exec: &dyn Exec, address: IpAddr, deadline: &Deadline) -> Known<Option<String>> {
    let limit = deadline.bounded(Duration::from_secs(2));
    let cmd = Cmd::new("getent").args(["hosts".to_owned(), address.to_string()]).limit(limit);
    let output = match exec.run(&cmd) {
        Ok(output) => output,
        Err(error) => return Known::Unknown(chain(&error)),
    };
    // 2: there is none.
    match output.ended {
        Ended::Exited(0 | 2) => {}
        _ => return Known::unknown("the resolver did not answer"),
    }
    let Some(name) = output.stdout.split_whitespace().nth(1) else { return Known::Known(None) };
    match addresses(exec, name, deadline) {
        Ok(back) => Known::Known(back.contains(&address).then(|| name.to_owned())),
        Err(why) => Known::Unknown(why),
    }
}

/// The first address that accepts a TCP connection, or why none did.
fn knock(addresses: &[IpAddr], port: u16, deadline: &Deadline) -> Result<IpAddr, PeerAnswer> {
    let mut unreachable = None;
    for &address in addresses {
        let bound = deadline.bounded(KNOCK).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&SocketAddr::new(address, port), bound) {
            Ok(_) => return Ok(address),
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(e) => unreachable = Some(format!("{address}: {e}")),
        }
    }
    // One address that refuses says little of a machine that is reached by another.
    Err(unreachable.map_or(PeerAnswer::Refused, PeerAnswer::Unreachable))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    use crate::sys::exec::{ExecError, RunAs};

    /// Answers each command with the next output of a list, and keeps the commands.
    struct Script {
        outputs: RefCell<Vec<Output>>,
        seen: RefCell<Vec<Cmd>>,
    }

    impl Script {
        fn of(outputs: Vec<Output>) -> Self {
            Self { outputs: RefCell::new(outputs), seen: RefCell::default() }
        }
    }

    impl Exec for Script {
        fn run(&self, cmd: &Cmd) -> Result<Output, ExecError> {
            self.seen.borrow_mut().push(cmd.clone());
            Ok(self.outputs.borrow_mut().remove(0))
        }
    }

    fn output(ended: Ended, stdout: &str, stderr: &str) -> Output {
        Output { ended, stdout: stdout.into(), stderr: stderr.into() }
    }

    fn peer(host: &str) -> Peer {
        Peer {
            host: host.into(),
            port: 5432,
            user: "replicator".into(),
            passfile: Some("/var/lib/pgsql/it's mine".into()),
            like: Conninfo::parse("host=n9 password=geheim sslmode=verify-full").unwrap(),
        }
    }

    #[test]
    fn the_whole_command_is_libpqs_client_with_one_conninfo() {
        let psql = Cmd::new("/usr/lib/postgresql/15/bin/psql").user("postgres");
        let cmd = command(
            psql.clone(),
            &peer("n2"),
            Login::Replication,
            Some("192.0.2.7".parse().unwrap()),
            &["IDENTIFY_SYSTEM".to_owned()],
            Duration::from_secs(3),
        );
        assert_eq!((&cmd.program, &cmd.env), (&psql.program, &psql.env));
        assert_eq!(cmd.run_as, RunAs::User("postgres".into()));
        assert_eq!(cmd.limit, Duration::from_secs(3));
        assert_eq!(cmd.args[..6], ["-X", "-At", "-w", "-c", "IDENTIFY_SYSTEM", "-d"]);
        let conninfo = &cmd.args[6];
        for part in [
            "host=n2",
            "hostaddr=192.0.2.7",
            "port=5432",
            "user=replicator",
            r"passfile='/var/lib/pgsql/it\'s mine'",
            "dbname=replication",
            "replication=true",
            "application_name=pgtwin_peer",
            "connect_timeout=3",
            "sslmode=verify-full",
        ] {
            assert!(conninfo.contains(part), "{conninfo}");
        }
        assert!(!conninfo.contains("geheim") && !conninfo.contains("n9"), "{conninfo}");
    }

    #[test]
    fn a_tool_logs_in_as_a_receiver_does_and_notices_a_source_that_died() {
        let text = peer("n2").for_tool("postgres", "pgtwin_rewind").to_text();
        for part in [
            r"host=n2 port=5432 user=replicator dbname=postgres passfile='/var/lib/pgsql/it\'s mine'",
            "application_name=pgtwin_rewind",
            "keepalives_idle=20",
            "sslmode=verify-full",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("geheim") && !text.contains("n9"), "{text}");
    }

    #[test]
    fn a_name_that_does_not_resolve_is_unknown_and_nobody_is_asked() {
        let script = Script::of(vec![output(Ended::Exited(2), "", "")]);
        let answer =
            identify(&script, Cmd::new("psql"), &peer("no-such-node"), Duration::from_secs(1));
        assert!(matches!(&answer, PeerAnswer::Unknown(text) if text.contains("no-such-node")));
        assert_eq!(script.seen.borrow().len(), 1);
    }

    #[test]
    fn a_port_where_nobody_listens_is_refused_without_a_process() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let script = Script::of(vec![]);
        let nobody = Peer { port, ..peer("127.0.0.1") };
        let answer = identify(&script, Cmd::new("psql"), &nobody, Duration::from_secs(1));
        assert_eq!(answer, PeerAnswer::Refused);
        assert!(script.seen.borrow().is_empty());
    }

    #[test]
    fn a_client_that_had_to_be_killed_is_no_answer() {
        let script = Script::of(vec![output(Ended::TimedOut, "", "")]);
        let answer = local_identify(
            &script,
            Cmd::new("psql"),
            "/run/postgresql",
            5432,
            "postgres",
            Duration::from_secs(1),
        );
        assert_eq!(answer, PeerAnswer::NoAnswer);
    }

    #[test]
    fn a_local_login_that_is_refused_names_the_line_to_add() {
        let script = Script::of(vec![output(
            Ended::Exited(2),
            "",
            "psql: error: connection to server on socket \"/run/postgresql/.s.PGSQL.5432\" failed: FATAL:  no pg_hba.conf entry for replication connection from host \"[local]\", user \"postgres\", no encryption\n",
        )]);
        let answer = local_identify(
            &script,
            Cmd::new("psql"),
            "/run/postgresql",
            5432,
            "postgres",
            Duration::from_secs(1),
        );
        let PeerAnswer::AuthFailed(text) = answer else { panic!("{answer:?}") };
        assert!(text.contains("local replication postgres peer"), "{text}");
    }
}
