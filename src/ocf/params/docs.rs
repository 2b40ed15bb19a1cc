//! `docs/parameters.md`, made from the table. Floor 0.

use std::fmt::Write as _;

use super::table::{Spec, TABLE};

/// The text of `docs/parameters.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Parameters\n\n\
         This page is made from `src/ocf/params/table.rs`; change it there.\n\n\
         These are the parameters of the resource (`crm configure primitive … params NAME=VALUE`,\n\
         `pcs resource create … NAME=VALUE`). A parameter that is given without a value counts as not\n\
         given. Booleans are `true`, `yes`, `on` or `1`, and `false`, `no`, `off` or `0`. A value that is\n\
         refused is named in the exit reason, with what to write instead; `stop` and probes work all the\n\
         same.\n\n\
         A change of a parameter marked *live* is taken over while PostgreSQL runs. A change of any\n\
         other restarts PostgreSQL on every node: plan it.\n\n\
         | parameter | type | default | live | in short |\n|---|---|---|---|---|\n",
    );
    for spec in TABLE {
        let _ = writeln!(
            text,
            "| [`{name}`](#{name}) | {kind}{unit} | {default} | {live} | {short} |",
            name = spec.name,
            kind = spec.kind.name(),
            unit = spec.unit.map(|unit| format!(", {unit}")).unwrap_or_default(),
            default = default_cell(spec),
            live = if spec.reloadable { "yes" } else { "" },
            short = spec.short,
        );
    }
    for (title, advanced) in [("Parameters of every cluster", false), ("Advanced", true)] {
        let _ = write!(text, "\n## {title}\n");
        for spec in TABLE.iter().filter(|spec| spec.advanced == advanced) {
            let _ = write!(text, "\n### {}\n\n{}\n\n*{}*\n", spec.name, spec.long, spec.facts());
        }
    }
    text
}

fn default_cell(spec: &Spec) -> String {
    match spec.default {
        Some(value) => format!("`{value}`"),
        None => spec.unset.to_owned(),
    }
}
