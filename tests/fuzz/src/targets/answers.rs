//! What psql, Pacemaker's tools and a server answer, through the code that asks them: an `Exec` and a `Wire`
//! that give the same text to every question.

use std::collections::BTreeSet;
use std::time::Duration;

use pgtwin::client::pacemaker::{Attribute, Pacemaker};
use pgtwin::client::peer::{self, Peer, source};
use pgtwin::client::sql::look::{Hint, look, overrides};
use pgtwin::client::sql::{Row, SqlError, Wire, acts, delays, examine, hba};
use pgtwin::cluster::known::Known;
use pgtwin::postgres::conninfo::Conninfo;
use pgtwin::postgres::lsn::{Lsn, Timeline};
use pgtwin::sys::deadline::Deadline;
use pgtwin::sys::exec::{Cmd, Ended, Exec, ExecError, Output};

use crate::{Target, halves, text};

const LIMIT: Duration = Duration::from_secs(5);

/// Ends each program with this.
struct Says(Output);

impl Exec for Says {
    fn run(&self, _: &Cmd) -> Result<Output, ExecError> {
        Ok(self.0.clone())
    }
}

/// Standard output, a zero byte, and standard error; an odd number of bytes is a failure.
fn said(data: &[u8]) -> Says {
    let (stdout, stderr) = halves(data);
    let ended = match data.len() % 7 {
        0 => Ended::TimedOut,
        1 => Ended::Signaled(9),
        2 => Ended::Exited(1),
        3 => Ended::Exited(105),
        _ => Ended::Exited(0),
    };
    Says(Output { ended, stdout: stdout.into_owned(), stderr: stderr.into_owned() })
}

pub const PSQL: Target = Target {
    name: "psql",
    run: answers_of_psql_are_read,
    captured: &[
        "identify.txt",
        "timeline-history.txt",
        "replication-show.txt",
        "rewind-unreachable.txt",
    ],
    seeds: &[
        "150013\non\noff\n7710224403141089813|2|0/3000060|\non\n",
        "130021\noff\noff\n7710224403141089813|2|0/3000060|\n",
        "\0psql: error: connection to server at \"10.0.0.1\", port 5432 failed: FATAL:  the database system is starting up\n",
        "\0psql: error: connection to server on socket \"/x\" failed: Connection refused\n\tIs the server running locally?\n",
        "identity|7710224403141089813|f\ncheckpoint|2\nsettings|t|10|10|512\nslots|1\nslot-asked\nslot|t|t|reserved\n\
         walsenders|1\nfunctions|\ntablespace|16384|/srv/x|4096\ndatabases|8192|0\nwal|16777216\nsegment|t\n",
        "?clock|1700000000000\n?server|150013\nwal_level|replica\nmax_connections|100\n",
        "slot_a\nslot_b\n",
        "00000002.history|1\t0/3000148\tno recovery target specified\n\n",
    ],
};

fn answers_of_psql_are_read(data: &[u8]) {
    let says = said(data);
    let psql = || Cmd::new("psql");
    let own = Peer {
        host: "/run/postgresql".into(),
        port: 5432,
        user: "repl".into(),
        passfile: None,
        like: Conninfo::new(),
    };
    let answer = peer::local_identify(&says, psql(), "/run/postgresql", 5432, "postgres", LIMIT);
    if let Some(identity) = answer.identity() {
        assert!(
            identity.system_id != 0 && identity.timeline.0 != 0 && identity.version.major >= 10
        );
        assert!(says.0.stdout.contains(&identity.system_id.to_string()));
    }
    assert!(!answer.to_string().contains('\n'), "{answer}");
    if let Ok(shown) = peer::show(&says, psql(), &own, "wal_level", LIMIT) {
        assert!(!shown.contains('\n') && says.0.ended == Ended::Exited(0));
    }
    if let Ok(history) = peer::timeline_history(&says, psql(), &own, Timeline(2), LIMIT) {
        assert!(history.timeline() == Timeline(2) && says.0.ended == Ended::Exited(0));
    }
    if let Ok(slots) = peer::failover_slots(&says, psql(), &own, 170_000, LIMIT) {
        assert!(slots.iter().all(|slot| !slot.is_empty()));
    }
    let _ = peer::make_slot(&says, psql(), &own, "pgtwin_n1", true, LIMIT);
    if peer::examine::examine(&says, psql(), &own, LIMIT).is_ok() {
        assert_eq!(says.0.ended, Ended::Exited(0));
    }
    for wal_from in [None, Some(Lsn(0x300_0000))] {
        let question = source::Question { slot: "pgtwin_n1", wal_from };
        let _ = source::ask(&says, &psql(), &own, &question, LIMIT);
    }
    let deadline = Deadline::after(LIMIT);
    if let Ok(addresses) = peer::addresses(&says, "n1", &deadline) {
        assert!(!addresses.is_empty());
    }
    let _ = peer::host_name(&says, [10, 0, 0, 1].into(), &deadline);
}

pub const PACEMAKER: Target = Target {
    name: "pacemaker",
    run: answers_of_pacemaker_are_known_or_not,
    captured: &[
        "healthy.cib.xml",
        "healthy.crm_mon.xml",
        ".attributes.xml",
        "not-connected.crm_mon.xml",
    ],
    seeds: &[
        "n1\n",
        "\0crm_mon: Connection to cluster failed: Transport endpoint is not connected\n",
        "--move --clear --promoted --lifetime=value",
    ],
};

fn answers_of_pacemaker_are_known_or_not(data: &[u8]) {
    let says = said(data);
    let pacemaker = Pacemaker::new(&says, "postgres-db");
    let unknown = |why: Option<&str>| {
        if let Some(why) = why {
            assert!(!why.is_empty() && !why.contains('\n'), "{why:?}");
        }
    };
    let over = !matches!(says.0.ended, Ended::Exited(_));
    let status = pacemaker.status(LIMIT);
    let cib = pacemaker.cib(LIMIT);
    let node = pacemaker.local_node(None, LIMIT);
    let (scores, position) =
        (pacemaker.scores(LIMIT), pacemaker.read_all(Attribute::Position, LIMIT));
    let moving = pacemaker.move_options(LIMIT);
    // A tool that was killed or did not end has said nothing.
    let known = [
        matches!(status, Known::Known(_)),
        matches!(cib, Known::Known(_)),
        matches!(node, Known::Known(_)),
        matches!(scores, Known::Known(_)),
        matches!(position, Known::Known(_)),
        matches!(moving, Known::Known(_)),
    ];
    assert!(!over || known == [false; 6], "{known:?}");
    unknown(status.why_unknown());
    unknown(cib.why_unknown());
    unknown(node.why_unknown());
    unknown(scores.why_unknown());
    unknown(position.why_unknown());
}

/// Gives these rows to every question.
struct Rows(Vec<Row>);

impl Wire for Rows {
    fn ask(&mut self, _: &str, _: &Deadline) -> Result<Vec<Row>, SqlError> {
        Ok(self.0.clone())
    }
}

pub const SQL: Target = Target {
    name: "sql",
    run: rows_of_a_server_are_read,
    captured: &[],
    seeds: &[
        "server\t150013\tf\t7710224403141089813\t1700000000.5\nslot\tpgtwin_n2\tphysical\tf\n\
         primary\tANY 1 (\"n2\")\t0/3000148\t0/3000060\t000000010000000000000003\ton\ton\ton\t-1\n\
         walsender\t77\tn2\tstreaming\t0/3000148\t0/3000148\t0/3000148\t1\tsync\n",
        "server\t170005\tt\t7710224403141089813\t1700000000\nstandby\t0/3000148\t0/3000148\tf\thost=n1 user=r\n\
         receiver\t88\tstreaming\t0/3000000\t1\t0/3000148\t0/3000148\n",
        "override\tapp\t\\N\tsynchronous_commit=off",
        "true",
        "t\t150013",
        "n2\t0.5",
        "slot\tt\tt\treserved\t7",
        "server\t150013\toff\t/hba\tfalse\nrole\ttrue\ttrue\tscram\tfalse\ngroup\trepl\trepl",
        "1\thost\t{all}\t{all}\t10.0.0.0\t255.0.0.0\tmd5\t\\N\t\\N",
    ],
};

fn rows_of_a_server_are_read(data: &[u8]) {
    let given = text(data);
    let cell = |cell: &str| if cell == "\\N" { None } else { Some(cell.to_owned()) };
    let rows = given.split('\n').map(|line| line.split('\t').map(cell).collect()).collect();
    let wire = &mut Rows(rows);
    let deadline = &Deadline::after(LIMIT);
    for hint in [Hint::None, Hint::Primary, Hint::Standby] {
        let _ = look(wire, hint, deadline);
    }
    if let Ok(words) = overrides(wire, deadline) {
        assert!(words.iter().all(|word| !word.is_empty()));
    }
    let _ = acts::walsenders(wire, deadline);
    let _ = acts::logical_slots(wire, 170_000, deadline);
    let _ = acts::promotion_pending(wire, deadline);
    let _ = (
        delays::of_all(wire, deadline),
        delays::of_one(wire, deadline),
        delays::milliseconds(&given),
    );
    let _ = (examine::server(wire, deadline), examine::settings(wire, deadline));
    let _ = (examine::role(wire, "repl", deadline), examine::slots(wire, deadline));
    let _ = (examine::bad_lines(wire, deadline), examine::archiver(wire, deadline));
    let _ = (examine::oldest_xid(wire, deadline), examine::size(wire, deadline));
    let _ = (hba::rules(wire, &["repl"], deadline), hba::about(wire, "repl", "postgres", deadline));
    let pairs = BTreeSet::from([("a".to_owned(), "b".to_owned())]);
    let _ = (hba::matches(wire, &pairs, deadline), hba::loaded_at(wire, deadline));
}
