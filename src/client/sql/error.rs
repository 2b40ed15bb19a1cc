//! Why an exchange gave no rows, and what that says of the server. Floor 2.

use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::decide::facts::Sql;
use crate::sys::privilege::PrivilegeError;

/// Why an exchange gave no rows. Displays one line; says whether the server is alive.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// There is no socket.
    #[error("there is no socket {socket}")]
    NoSocket {
        /// The path of the socket.
        socket: String,
    },
    /// Nobody listens on the socket.
    #[error("nobody listens on {socket}: {why}")]
    Refused {
        /// The path of the socket.
        socket: String,
        /// In words.
        why: String,
    },
    /// 57P03: not open for connections yet, with the server's words.
    #[error("{0}")]
    Starting(String),
    /// 57P03 while it shuts down.
    #[error("the database system is shutting down")]
    ShuttingDown,
    /// Alive, but out of connections, memory or time for us.
    #[error("the server is alive but busy: {0}")]
    Busy(String),
    /// It should have answered and did not.
    #[error(
        "no answer from {socket} within {waited:?}: the postmaster hangs, or the machine is overloaded"
    )]
    Hung {
        /// The path of the socket.
        socket: String,
        /// How long we waited.
        waited: Duration,
    },
    /// The server refused, with an SQLSTATE.
    #[error("the server answered {code}: {message}")]
    Server {
        /// The SQLSTATE, five characters.
        code: String,
        /// Its message, detail and hint.
        message: String,
    },
    /// Something else than our instance listens there.
    #[error("{socket} belongs to uid {uid}, not to {user:?}: another server listens on this port")]
    Foreign {
        /// The path of the socket.
        socket: String,
        /// Who listens.
        uid: u32,
        /// Who should.
        user: String,
    },
    /// Another server of the same user listens there.
    #[error(
        "pid {pid} listens on {socket}, and it is not the postmaster in question (pid {wanted})"
    )]
    Other {
        /// The path of the socket.
        socket: String,
        /// Who listens.
        pid: i32,
        /// Who should.
        wanted: i32,
    },
    /// We could not act as the PostgreSQL user.
    #[error("cannot connect as the PostgreSQL user")]
    Privilege(#[source] PrivilegeError),
    /// The exchange broke off, or could not be understood.
    #[error("the exchange with {socket} broke off: {why}")]
    Broken {
        /// The path of the socket.
        socket: String,
        /// In words.
        why: String,
    },
    /// An answer arrived that does not have the form it should have.
    #[error("the server's answer was not understood: {0}")]
    Answer(String),
}

impl SqlError {
    /// Whether this is a server's error with this SQLSTATE.
    pub fn is_code(&self, sqlstate: &SqlState) -> bool {
        matches!(self, Self::Server { code, .. } if code == sqlstate.code())
    }
}

impl From<SqlError> for Sql {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::NoSocket { .. } | SqlError::Refused { .. } => {
                Self::Refused(error.to_string())
            }
            SqlError::Starting(message) => Self::Starting(message),
            SqlError::ShuttingDown => Self::ShuttingDown,
            SqlError::Busy(message) => Self::Busy(message),
            SqlError::Hung { .. } => Self::Hung,
            // Whoever gives an answer is alive, and says the same until somebody mends the cause.
            SqlError::Server { code, message } if !is_own_trouble(&code) => {
                Self::Alive(format!("{code}: {message}"))
            }
            SqlError::Answer(_) => Self::Alive(error.to_string()),
            SqlError::Privilege(_)
            | SqlError::Server { .. }
            | SqlError::Foreign { .. }
            | SqlError::Other { .. }
            | SqlError::Broken { .. } => Self::Unknown(crate::sys::chain(&error)),
        }
    }
}

/// So much of each part of a server's error is kept, in characters.
const LONGEST_WORDS: usize = 500;

pub(super) fn classify(error: &tokio_postgres::Error, socket: &str) -> SqlError {
    let Some(server) = error.as_db_error() else {
        let cause = std::error::Error::source(error).map(|source| format!(": {source}"));
        let why = format!("{error}{}", cause.unwrap_or_default());
        return SqlError::Broken { socket: socket.to_owned(), why };
    };
    // Of several lines some messages are; a reason is one.
    let line = |c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c };
    let cut = |text: &str| text.chars().take(LONGEST_WORDS).map(line).collect::<String>();
    let mut message = cut(server.message());
    for more in [server.detail(), server.hint()].into_iter().flatten() {
        message.push_str(" (");
        message.push_str(&cut(more.trim_end_matches('.')));
        message.push(')');
    }
    by_sqlstate(server.code().code(), message)
}

/// What a server's error says about it. Messages can be translated: a 57P03 whose words are not
/// known is taken for a start, and whoever has the postmaster's pid file knows better.
fn by_sqlstate(code: &str, message: String) -> SqlError {
    match code {
        "57P03" if message.starts_with("the database system is shutting down") => {
            SqlError::ShuttingDown
        }
        "57P03" => SqlError::Starting(message),
        // A statement cut short by a timeout, by replay on a standby, or by a deadlock.
        "57014" | "55P03" | "40001" | "40P01" => SqlError::Busy(message),
        // Out of connections, memory, disk; a session told to go, after a crash of another one too.
        code if code.starts_with("53") || code.starts_with("57P0") => SqlError::Busy(message),
        code => SqlError::Server { code: code.to_owned(), message },
    }
}

/// Whether an SQLSTATE tells of a server that fails by itself: it cannot read its files (58), finds
/// them damaged or is in a state that should not be (XX), or has lost its configuration (F0). Such a
/// server serves nobody, and another node does better. All others answer for a server that works.
fn is_own_trouble(code: &str) -> bool {
    ["58", "XX", "F0"].iter().any(|class| code.starts_with(class))
}

/// What a refused login needs is known best here.
pub(super) fn with_remedy(error: SqlError, user: &str) -> SqlError {
    match error {
        SqlError::Server { code, message } if code.starts_with("28") => SqlError::Server {
            message: format!(
                "{message} (pg_hba.conf needs, before other lines: local postgres {user} peer)"
            ),
            code,
        },
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn facts(code: &str, message: &str) -> Sql {
        by_sqlstate(code, message.to_owned()).into()
    }

    #[test]
    fn a_server_that_refuses_us_for_now_is_alive() {
        for (code, message, expected) in [
            ("57P03", "the database system is shutting down", Sql::ShuttingDown),
            (
                "57P03",
                "the database system is starting up",
                Sql::Starting("the database system is starting up".into()),
            ),
            (
                "57P03",
                "the database system is not yet accepting connections (Consistent recovery state has not been yet reached)",
                Sql::Starting(
                    "the database system is not yet accepting connections (Consistent recovery state has not been yet reached)".into(),
                ),
            ),
            ("57P03", "das Datenbanksystem startet", Sql::Starting("das Datenbanksystem startet".into())),
            (
                "53300",
                "sorry, too many clients already",
                Sql::Busy("sorry, too many clients already".into()),
            ),
            (
                "57014",
                "canceling statement due to statement timeout",
                Sql::Busy("canceling statement due to statement timeout".into()),
            ),
            ("57P01", "terminating connection", Sql::Busy("terminating connection".into())),
            ("57P02", "because of crash of another", Sql::Busy("because of crash of another".into())),
            ("40001", "conflict with recovery", Sql::Busy("conflict with recovery".into())),
            ("55P03", "lock timeout", Sql::Busy("lock timeout".into())),
        ] {
            assert_eq!(facts(code, message), expected, "{code} {message}");
        }
    }

    #[test]
    fn whoever_refuses_us_for_good_is_alive_too() {
        for code in ["28000", "28P01", "3D000", "42501", "42703", "55000", "0A000", "08P01"] {
            let expected = Sql::Alive(format!("{code}: no"));
            assert_eq!(facts(code, "no"), expected, "{code}");
        }
        let refused = by_sqlstate("28000", "no pg_hba.conf entry".to_owned());
        let Sql::Alive(text) = with_remedy(refused, "pg").into() else { panic!() };
        assert_eq!(
            text,
            "28000: no pg_hba.conf entry (pg_hba.conf needs, before other lines: local postgres pg peer)"
        );
    }

    #[test]
    fn a_server_that_fails_by_itself_is_not_called_alive() {
        for code in ["58030", "58P01", "XX000", "XX001", "F0000"] {
            let Sql::Unknown(text) = facts(code, "could not read block") else { panic!() };
            assert!(text.contains(code) && text.contains("could not read block"), "{text}");
        }
    }

    #[test]
    fn an_answer_that_is_not_understood_comes_from_a_live_server() {
        let answer = Sql::from(SqlError::Answer("column 1 of walsender".into()));
        assert!(matches!(answer, Sql::Alive(text) if text.contains("column 1 of walsender")));
        let broken = SqlError::Broken { socket: "/s".into(), why: "closed".into() };
        assert!(matches!(Sql::from(broken), Sql::Unknown(_)));
    }
}
