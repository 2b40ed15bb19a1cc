//! What the function says of each row is what PostgreSQL does.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;

use pgtwin::cluster::known::Known;
use pgtwin::postgres::hba::{Admission, Attempt, Channel, Origin, Target, admits};
use pgtwin::runtime::instance::Postgres;
use pgtwin::sys::exec::{Cmd, Exec, System};

use crate::from::port_of;
use crate::place::{LONG, Place, await_primary, on_every_version, soon, sql};
use crate::rows::{ROWS, Row};

/// A server with TLS on both loopback addresses, and the roles and databases of the rows.
struct World<'a> {
    place: &'a Place,
    pg: Postgres<'static>,
    port: u16,
    /// Ports by which one comes from an address.
    ports: std::collections::BTreeMap<IpAddr, u16>,
}

/// A login as a row writes it.
#[derive(Clone, Copy)]
struct Login<'r> {
    from: Option<IpAddr>,
    tls: bool,
    user: &'r str,
    /// A database, `replication`, or `logical:` and a database.
    to: &'r str,
}

impl<'r> Login<'r> {
    fn parse(text: &'r str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let [from, channel, user, to] = words.as_slice() else { panic!("{text}") };
        Self { from: from.parse().ok(), tls: *channel == "tls", user, to }
    }

    fn target(&self) -> Target<'r> {
        match self.to.strip_prefix("logical:") {
            Some(database) => Target::Database(database),
            None if self.to == "replication" => Target::Replication,
            None => Target::Database(self.to),
        }
    }
}

impl World<'_> {
    fn new(place: &Place) -> World<'_> {
        let (pg, port) = place.initdb("n1");
        let file = |end: &str| place.path(&format!("server.{end}")).display().to_string();
        let make = Cmd::new("openssl")
            .args(["req", "-new", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2"])
            .args(["-subj", "/CN=n1", "-keyout", &file("key"), "-out", &file("crt")])
            .user(&place.user.name);
        let output = System.run(&make).unwrap();
        assert!(output.ok(), "{output:?}");
        fs::set_permissions(file("key"), fs::Permissions::from_mode(0o600)).unwrap();
        place.append(
            &place.path("n1/postgresql.conf"),
            &format!(
                "listen_addresses = '127.0.0.1, ::1'\nssl = on\nssl_cert_file = '{}'\n\
                 ssl_key_file = '{}'\n",
                file("crt"),
                file("key")
            ),
        );
        pg.start(&soon()).unwrap();
        await_primary(&pg);
        sql(
            &pg,
            "CREATE ROLE repl LOGIN REPLICATION; CREATE ROLE \"Repl User\" LOGIN REPLICATION; \
             CREATE ROLE other LOGIN; CREATE ROLE \"all\" LOGIN; CREATE ROLE sup LOGIN SUPERUSER; \
             CREATE ROLE inner_group; CREATE ROLE outer_group; CREATE ROLE \"a,b\" LOGIN; \
             GRANT inner_group TO repl; GRANT outer_group TO inner_group;",
        );
        for name in ["app", "repl", "inner_group", "\"replication\"", "\"all\"", "\"App\""] {
            sql(&pg, &format!("CREATE DATABASE {name}"));
        }
        World { place, pg, port, ports: std::collections::BTreeMap::new() }
    }

    fn port_from(&mut self, from: IpAddr) -> u16 {
        let server = self.port;
        *self.ports.entry(from).or_insert_with(|| port_of(from, server))
    }

    /// What PostgreSQL does.
    fn tried(&mut self, login: Login<'_>) -> &'static str {
        let (host, port) = match login.from {
            None => (self.place.dir.path().display().to_string(), self.port),
            Some(address) => ("127.0.0.1".to_owned(), self.port_from(address)),
        };
        let (database, more) = match login.to.strip_prefix("logical:") {
            Some(database) => (database, " replication=database"),
            None if login.to == "replication" => ("postgres", " replication=true"),
            None => (login.to, ""),
        };
        let question = if more == " replication=true" { "IDENTIFY_SYSTEM" } else { "SHOW port" };
        let mode = if login.tls { "require" } else { "disable" };
        let conninfo = format!(
            "host={host} port={port} user='{}' dbname='{database}' sslmode={mode} gssencmode=disable{more}",
            login.user.replace('~', " ")
        );
        let psql = Cmd::new(self.psql())
            .args(["-X", "-A", "-t", "-w", "-c", question, "-d", &conninfo])
            .env("LC_ALL", "C")
            .user(&self.place.user.name)
            .limit(LONG);
        let output = System.run(&psql).unwrap();
        let says = |words: &str| output.stderr.contains(words);
        // Who is let in may still be nobody, or have no rights.
        if output.ok() || says("does not exist") || says("WAL sender") || says("start walsender") {
            "in"
        } else if says("pg_hba.conf rejects") {
            "rejected"
        } else if says("no pg_hba.conf entry") {
            "no line"
        } else {
            panic!("{conninfo}: {output:?}")
        }
    }

    /// libpq's client, of another version where this one comes without it.
    fn psql(&self) -> String {
        let own = self.place.bindir.join("psql");
        if own.exists() { own.display().to_string() } else { "psql".to_owned() }
    }

    /// What the function says.
    fn judged(&self, login: Login<'_>) -> &'static str {
        let user = login.user.replace('~', " ");
        let addresses: BTreeSet<IpAddr> = login.from.into_iter().collect();
        let facts = match self.pg.hba_facts(&user, &addresses, &soon()) {
            Known::Known(facts) => facts,
            Known::Unknown(why) => panic!("{why}"),
        };
        let broken: Vec<&str> = facts.rules.iter().filter_map(|rule| rule.broken()).collect();
        assert!(broken.is_empty(), "{broken:?}");
        // The facts have the expressions of the database that pg_rewind needs, and no other.
        let channel = if login.tls { Channel::Tls } else { Channel::Plain };
        let origin = login.from.map_or(Origin::Socket, |from| Origin::Tcp(from, channel));
        let attempt = Attempt { target: login.target(), user: &user, origin };
        match admits(&facts.rules, &attempt, &facts.around) {
            Admission::In(_) => "in",
            Admission::Rejected(_) => "rejected",
            Admission::NoLine => "no line",
            Admission::Perhaps(_) => "perhaps",
        }
    }

    fn check(&mut self, row: &Row, tried: &mut usize, wrong: &mut Vec<String>) {
        if self.place.major < row.since {
            return;
        }
        let hba = self.place.path("n1/pg_hba.conf");
        for (name, text) in row.files {
            self.place.write(&self.place.path("n1").join(name), text, 0o600);
        }
        // The agent's own way in; nobody else has this name.
        let admin = format!("local all {} trust\n", self.place.user.name);
        self.place.write(&hba, &(admin + row.text), 0o600);
        self.pg.reload_and_see(&soon()).unwrap();
        for (login, expected) in row.logins {
            let expected = match expected.split_once('|') {
                Some((new, _)) if self.place.major >= 16 => new,
                Some((_, old)) => old,
                None => expected,
            };
            let login_of = Login::parse(login);
            let (real, said) = (self.tried(login_of), self.judged(login_of));
            *tried += 1;
            // `=`: it depends on the machine.
            if said != real || (expected != "=" && expected != real) {
                let text = row.text;
                wrong.push(format!("{text:?}, {login}: {real}, not {said}; expected {expected}"));
            }
        }
    }
}

#[test]
fn every_row_is_judged_as_postgresql_judges_it() {
    assert!(ROWS.len() >= 60, "{} rows", ROWS.len());
    on_every_version(|place| {
        let mut world = World::new(place);
        let (mut tried, mut wrong) = (0, Vec::new());
        for row in ROWS {
            world.check(row, &mut tried, &mut wrong);
        }
        eprintln!("PostgreSQL {}: {tried} logins tried", place.major);
        assert!(tried >= 100, "only {tried} logins were tried");
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}
