//! Whether pg_hba.conf lets a user in from one address, as far as the lines alone tell. Floor 0.

use std::net::IpAddr;

use super::{Rule, Target};

/// What the first line that fits says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// This line lets the user in, if the password is right.
    In(u32),
    /// It depends on what the lines do not tell: TLS, groups, names of hosts, the local networks.
    Perhaps,
    /// This line rejects the user.
    Rejected(u32),
    /// No line fits.
    NoLine,
}

/// How a line goes together with a login.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fits {
    No,
    Perhaps,
    Yes,
}

/// Judges the lines in their order, for a login over TCP from `address`.
pub fn admits(rules: &[Rule], target: Target, user: &str, address: IpAddr) -> Admission {
    let mut perhaps = false;
    for rule in rules.iter().filter(|rule| rule.error.is_none()) {
        let fits = rule
            .kind_fits()
            .min(rule.database_fits(target, user))
            .min(rule.user_fits(user))
            .min(rule.address_fits(address));
        match (fits, rule.method == "reject") {
            (Fits::No, _) | (Fits::Perhaps, true) => {}
            (Fits::Perhaps, false) => perhaps = true,
            (Fits::Yes, _) if perhaps => return Admission::Perhaps,
            (Fits::Yes, true) => return Admission::Rejected(rule.line),
            (Fits::Yes, false) => return Admission::In(rule.line),
        }
    }
    if perhaps { Admission::Perhaps } else { Admission::NoLine }
}

fn any(names: &[String], fits: impl Fn(&str) -> Fits) -> Fits {
    names.iter().map(|name| fits(name)).max().unwrap_or(Fits::No)
}

fn sure(fits: bool) -> Fits {
    if fits { Fits::Yes } else { Fits::No }
}

impl Rule {
    fn kind_fits(&self) -> Fits {
        match self.kind.as_str() {
            "host" => Fits::Yes,
            "hostssl" | "hostnossl" | "hostgssenc" | "hostnogssenc" => Fits::Perhaps,
            _ => Fits::No,
        }
    }

    fn database_fits(&self, target: Target, user: &str) -> Fits {
        any(&self.databases, |name| match target {
            Target::Replication => sure(name == "replication"),
            Target::Postgres => match name {
                "all" | "postgres" => Fits::Yes,
                "sameuser" => sure(user == "postgres"),
                "samerole" | "samegroup" => Fits::Perhaps,
                other if other.starts_with('/') => Fits::Perhaps,
                _ => Fits::No,
            },
        })
    }

    fn user_fits(&self, user: &str) -> Fits {
        any(&self.users, |name| match name {
            "all" => Fits::Yes,
            name if name == user => Fits::Yes,
            name if name.starts_with(['+', '/']) => Fits::Perhaps,
            _ => Fits::No,
        })
    }

    /// `address` is another machine's.
    fn address_fits(&self, address: IpAddr) -> Fits {
        match (self.address.as_str(), self.address.parse(), self.netmask.parse()) {
            ("all", _, _) => Fits::Yes,
            ("" | "samehost" | "localhost", _, _) => Fits::No,
            (_, Ok(IpAddr::V4(of)), Ok(IpAddr::V4(mask))) => match address {
                IpAddr::V4(it) => sure((it & mask) == (of & mask)),
                IpAddr::V6(_) => Fits::No,
            },
            (_, Ok(IpAddr::V6(of)), Ok(IpAddr::V6(mask))) => match address {
                IpAddr::V6(it) => sure((it & mask) == (of & mask)),
                IpAddr::V4(_) => Fits::No,
            },
            (_, _, _) => Fits::Perhaps,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::postgres::hba::parse_rows;

    /// Rows of kind, databases, users, address, netmask, method.
    fn asked(rows: &[&str], target: Target, address: &str) -> Admission {
        let text: Vec<String> = rows
            .iter()
            .enumerate()
            .map(|(index, row)| format!("{}\t{}\t", index + 1, row.replace(' ', "\t")))
            .collect();
        let rules = parse_rows(&text.join("\n")).unwrap();
        admits(&rules, target, "repl", address.parse().unwrap())
    }

    #[test]
    fn the_first_line_that_fits_decides_for_each_address_and_database() {
        use Admission::{In, NoLine, Perhaps, Rejected};
        const N2: &str = "10.0.0.2";
        let net = "host {replication} {repl} 10.0.0.0 255.255.255.0 md5";
        for (rows, address, replication, postgres) in [
            (&[net][..], N2, In(1), NoLine),
            (&[net], "10.0.1.2", NoLine, NoLine),
            (&[net], "fd00::2", NoLine, NoLine),
            (&["host {all} {all} all  md5"], N2, NoLine, In(1)),
            (&["host {all,replication} {all} :: :: md5"], N2, NoLine, NoLine),
            (&["host {all,replication} {all} :: :: md5"], "fd00::2", In(1), In(1)),
            (&["host {all,replication} {all} fd00:: ffff:: md5"], "fd00::2", In(1), In(1)),
            (
                &["host {replication} {repl} 10.0.0.2 255.255.255.255 reject", net],
                N2,
                Rejected(1),
                NoLine,
            ),
            (&["host {replication} {other} all  reject", net], N2, In(2), NoLine),
            (&["local {all,replication} {all}   trust"], N2, NoLine, NoLine),
            (&["host {all,replication} {all} samehost  trust"], N2, NoLine, NoLine),
            (&["host {all,replication} {all} samenet  md5"], N2, Perhaps, Perhaps),
            (&["host {all,replication} {all} n2.example.org  md5"], N2, Perhaps, Perhaps),
            (&["hostssl {all,replication} {all} all  md5"], N2, Perhaps, Perhaps),
            (&["host {all,replication} {+repls} all  md5"], N2, Perhaps, Perhaps),
            (&["host {all,replication} {/^re} all  md5"], N2, Perhaps, Perhaps),
            (&["host {/^post,replication} {repl} all  md5"], N2, In(1), Perhaps),
            (&["host {sameuser,samerole} {repl} all  md5"], N2, NoLine, Perhaps),
            // What may have let it in already is not undone, and what may not have is passed over.
            (
                &["hostssl {replication} {repl} all  md5", "host {replication} {all} all  reject"],
                N2,
                Perhaps,
                NoLine,
            ),
            (&["hostnossl {replication} {all} all  reject", net], N2, In(2), NoLine),
        ] {
            assert_eq!(asked(rows, Target::Replication, address), replication, "{rows:?}");
            assert_eq!(asked(rows, Target::Postgres, address), postgres, "{rows:?}");
        }
    }
}
