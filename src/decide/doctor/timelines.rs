//! History files that lead a server astray. Floor 1.

use super::{Facts, Member, Said, Server, or_ok};
use crate::cluster::known::Known;
use crate::decide::foreign_history::words;
use crate::decide::wanted::shell_word;

pub(super) fn history_files(_: &Facts, _: &Member, server: &Server) -> Vec<Said> {
    let found = match &server.histories {
        Known::Known(found) => found,
        Known::Unknown(why) => {
            return vec![Said::unknown(format!("history files could not be looked at: {why}"))];
        }
    };
    let said = found.foreign.iter().map(|(path, why)| {
        Said::fail(words(path, why))
            .fix(
                "If another cluster archives there, give each a place of its own, and correct \
                 restore_command on every node. Else move the file away:",
            )
            .run(format!("mv {} DIRECTORY", shell_word(path)))
    });
    let command = server.text("restore_command").filter(|text| !text.trim().is_empty());
    let well = match (command, &found.archive) {
        (None, _) => "no history file in pg_wal is of another line".to_owned(),
        (Some(_), Some(dir)) => format!("no history file in pg_wal or {dir} is of another line"),
        (Some(_), None) => {
            "no history file in pg_wal is of another line; where restore_command takes \
                            files from, its text does not tell"
                .to_owned()
        }
    };
    or_ok(said.collect(), &well)
}
