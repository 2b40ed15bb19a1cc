//! What a server says of its pg_hba.conf, and of what decides over a login besides the file. The same
//! for PostgreSQL 13 to 18, primary or standby. Floor 2.

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::pghba::{About, Role, Secret};
use crate::postgres::hba::{QUERY, Rule};
use crate::sys::deadline::Deadline;

use super::{Row, SqlError, Wire, literal};

/// The lines that could be about these users, and all that cannot be read, as the file stands now (it
/// may not have been loaded). A file of thousands of users is not sent whole.
pub fn rules(
    wire: &mut dyn Wire,
    users: &[&str],
    deadline: &Deadline,
) -> Result<Vec<Rule>, SqlError> {
    let users: Vec<String> = users.iter().map(|user| literal(user)).collect();
    let sql = format!(
        "{QUERY} WHERE error IS NOT NULL OR EXISTS (SELECT FROM pg_catalog.unnest(user_name) name \
         WHERE name IN ('all', {}) OR pg_catalog.left(name, 1) IN ('+', '/'))",
        users.join(", ")
    );
    let rows = wire.ask(&sql, deadline)?;
    let rules = rows.iter().enumerate().map(|(index, row)| {
        let [line, kind, databases, users, address, netmask, method, error, file] = row.as_slice()
        else {
            return Err(odd("pg_hba_file_rules", row));
        };
        let fields = [line, kind, databases, users, address, netmask, method, error, file];
        Rule::of_fields(index + 1, fields.map(Option::as_deref))
            .map_err(|error| SqlError::Answer(error.to_string()))
    });
    rules.collect()
}

/// The roles that a role is a member of, by its name: itself too, if it exists. A superuser is no member
/// of every group here, as for pg_hba.conf.
pub type Groups = BTreeMap<String, BTreeSet<String>>;

/// What else is known: of the server, of the role of this user, and the groups of it and of the agent.
pub fn about(
    wire: &mut dyn Wire,
    user: &str,
    agent: &str,
    deadline: &Deadline,
) -> Result<(About, Role, Groups), SqlError> {
    let (user, agent) = (literal(user), literal(agent));
    let sql = format!(
        "SELECT 'server', pg_catalog.current_setting('server_version_num'), \
          pg_catalog.current_setting('ssl'), pg_catalog.current_setting('hba_file'), \
          COALESCE((pg_catalog.pg_stat_file(pg_catalog.current_setting('hba_file'), true))\
          .modification > pg_catalog.pg_conf_load_time(), false)::text; \
         SELECT 'role', rolcanlogin::text, (rolreplication OR rolsuper)::text, \
          CASE WHEN rolpassword LIKE 'SCRAM-SHA-256$%' THEN 'scram' \
          WHEN rolpassword LIKE 'md5%' THEN 'md5' ELSE 'none' END, \
          COALESCE(rolvaliduntil < pg_catalog.now(), false)::text \
          FROM pg_catalog.pg_authid WHERE rolname = {user}; \
         WITH RECURSIVE known(who, role) AS ( \
          SELECT rolname, oid FROM pg_catalog.pg_authid WHERE rolname IN ({user}, {agent}) \
          UNION SELECT who, roleid FROM pg_catalog.pg_auth_members JOIN known ON member = role) \
         SELECT 'group', who, rolname FROM known JOIN pg_catalog.pg_authid ON oid = role"
    );
    let rows = wire.ask(&sql, deadline)?;
    let (mut server, mut role, mut groups) = (None, Role::Missing, Groups::new());
    for row in &rows {
        let cells: Vec<&str> = row.iter().map(|cell| cell.as_deref().unwrap_or("")).collect();
        match cells.as_slice() {
            ["server", version, ssl, file, changed] => {
                let version: u32 = version.parse().map_err(|_| odd("the server", row))?;
                server = Some(About {
                    major: version / 10_000,
                    ssl: *ssl == "on",
                    hba_file: (*file).to_owned(),
                    changed: *changed == "true",
                });
            }
            ["role", login, replication, secret, expired] => {
                role = Role::There {
                    login: *login == "true",
                    replication: *replication == "true",
                    secret: match *secret {
                        "scram" => Secret::Scram,
                        "md5" => Secret::Md5,
                        _ => Secret::None,
                    },
                    expired: *expired == "true",
                };
            }
            ["group", who, name] => {
                groups.entry((*who).to_owned()).or_default().insert((*name).to_owned());
            }
            _ => return Err(odd("a role", row)),
        }
    }
    let server = server.ok_or_else(|| SqlError::Answer("nothing of the server".to_owned()))?;
    Ok((server, role, groups))
}

/// Whether these expressions match these names, by the server's own rules.
pub fn matches(
    wire: &mut dyn Wire,
    pairs: &BTreeSet<(String, String)>,
    deadline: &Deadline,
) -> Result<BTreeMap<(String, String), bool>, SqlError> {
    if pairs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let values: Vec<String> = pairs
        .iter()
        .map(|(expression, name)| format!("({}, {})", literal(expression), literal(name)))
        .collect();
    let sql = format!(
        "SELECT e, n, (n ~ e COLLATE \"C\")::text FROM (VALUES {}) pairs (e, n)",
        values.join(", ")
    );
    let mut found = BTreeMap::new();
    for row in wire.ask(&sql, deadline)? {
        let [Some(expression), Some(name), Some(matches)] = row.as_slice() else {
            return Err(odd("an expression", &row));
        };
        found.insert((expression.clone(), name.clone()), matches == "true");
    }
    Ok(found)
}

/// When the server last read its configuration, as text; it is another one after a reload.
pub fn loaded_at(wire: &mut dyn Wire, deadline: &Deadline) -> Result<String, SqlError> {
    let rows = wire.ask("SELECT pg_catalog.pg_conf_load_time()::text", deadline)?;
    let first = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten());
    first.ok_or_else(|| SqlError::Answer("no time of the last reload".to_owned()))
}

fn odd(what: &str, row: &Row) -> SqlError {
    SqlError::Answer(format!("a row of {what}: {row:?}"))
}
