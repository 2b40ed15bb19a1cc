//! Files, logins and what becomes of them.

/// One file, and the logins that are tried with it.
pub struct Row {
    /// All of its lines but the agent's own.
    pub text: &'static str,
    /// The first version that reads it.
    pub since: u32,
    /// Files beside it.
    pub files: &'static [(&'static str, &'static str)],
    /// Logins: from, channel, user (`~` is a blank), database; and `in`, `rejected` or `no line`, with
    /// a `|` between what is so since version 16 and what was so before, `=` where it depends on the
    /// machine.
    pub logins: &'static [(&'static str, &'static str)],
}

const fn row(text: &'static str, logins: &'static [(&'static str, &'static str)]) -> Row {
    Row { text, since: 13, files: &[], logins }
}

const A: &str = "127.0.0.7 plain repl postgres";
const A_REPL: &str = "127.0.0.7 plain repl replication";
const A_TLS: &str = "127.0.0.7 tls repl postgres";
const B: &str = "127.0.1.9 plain repl postgres";
const SIX: &str = "::1 plain repl postgres";
const SIX_REPL: &str = "::1 plain repl replication";
const LOCAL: &str = "socket plain repl postgres";
const LOCAL_REPL: &str = "socket plain repl replication";

pub const ROWS: &[Row] = &[
    // Types.
    row("", &[(A, "no line"), (LOCAL, "no line"), (A_REPL, "no line"), (SIX, "no line")]),
    row("local all all trust", &[(LOCAL, "in"), (LOCAL_REPL, "no line"), (A, "no line")]),
    row("host all all all trust", &[(A, "in"), (A_TLS, "in"), (SIX, "in"), (LOCAL, "no line")]),
    row("hostssl all all all trust", &[(A, "no line"), (A_TLS, "in"), (LOCAL, "no line")]),
    row("hostnossl all all all trust", &[(A, "in"), (A_TLS, "no line"), (SIX, "in")]),
    row("hostgssenc all all all trust", &[(A, "no line"), (A_TLS, "no line")]),
    row("hostnogssenc all all all trust", &[(A, "in"), (A_TLS, "in"), (LOCAL, "no line")]),
    row(
        "hostssl all all all reject\nhost all all all trust",
        &[(A, "in"), (A_TLS, "rejected"), (SIX, "in")],
    ),
    row("hostnossl all all all reject\nhost all all all trust", &[(A, "rejected"), (A_TLS, "in")]),
    // Databases.
    row("host replication all all trust", &[(A, "no line"), (A_REPL, "in"), (SIX_REPL, "in")]),
    row(
        "host all all all trust",
        &[(A_REPL, "no line"), ("127.0.0.7 tls repl replication", "no line")],
    ),
    row("host all,replication all all trust", &[(A, "in"), (A_REPL, "in")]),
    row("host replication,postgres repl all trust", &[(A, "in"), (A_REPL, "in")]),
    row("host app repl all trust", &[(A, "no line"), ("127.0.0.7 plain repl app", "in")]),
    row(
        "host App repl all trust",
        &[("127.0.0.7 plain repl app", "no line"), ("127.0.0.7 plain repl App", "in")],
    ),
    row("host ALL repl all trust", &[(A, "no line")]),
    row("host Replication repl all trust", &[(A_REPL, "no line")]),
    row("host sameuser all all trust", &[(A, "no line"), ("127.0.0.7 plain repl repl", "in")]),
    row(
        "host samerole all all trust",
        &[
            (A, "no line"),
            ("127.0.0.7 plain repl repl", "in"),
            ("127.0.0.7 plain repl inner_group", "in"),
            ("127.0.0.7 plain other inner_group", "no line"),
            (A_REPL, "no line"),
        ],
    ),
    row(
        "host samegroup all all trust",
        &[("127.0.0.7 plain repl inner_group", "in"), (A, "no line")],
    ),
    row("host \"all\" all all trust", &[(A, "no line"), ("127.0.0.7 plain repl all", "in")]),
    row(
        "host \"replication\" all all trust",
        &[(A_REPL, "no line"), ("127.0.0.7 plain repl app", "no line")],
    ),
    row("host \"sameuser\" all all trust", &[("127.0.0.7 plain repl repl", "no line")]),
    row(
        "host \"samerole\",app all all trust",
        &[("127.0.0.7 plain repl inner_group", "no line"), ("127.0.0.7 plain repl app", "in")],
    ),
    row("host all all all trust", &[("127.0.0.7 plain repl logical:app", "in")]),
    row("host replication all all trust", &[("127.0.0.7 plain repl logical:app", "no line")]),
    row(
        "host all all all reject\nhost replication all all trust",
        &[(A, "rejected"), (A_REPL, "in")],
    ),
    row(
        "host replication all all reject\nhost all,replication all all trust",
        &[(A, "in"), (A_REPL, "rejected")],
    ),
    // Users.
    row(
        "host postgres repl all trust",
        &[(A, "in"), ("127.0.0.7 plain other postgres", "no line")],
    ),
    row("host postgres REPL all trust", &[(A, "no line")]),
    row("host postgres other,repl all trust", &[(A, "in")]),
    row(
        "host postgres other, repl all trust",
        &[(A, "in"), ("127.0.0.7 plain other postgres", "in")],
    ),
    row(
        "host postgres \"all\" all trust",
        &[(A, "no line"), ("127.0.0.7 plain all postgres", "in")],
    ),
    row(
        "host postgres all all trust",
        &[("127.0.0.7 plain all postgres", "in"), ("127.0.0.7 plain nobody_at_all postgres", "in")],
    ),
    row(
        "host postgres +inner_group all trust",
        &[(A, "in"), ("127.0.0.7 plain other postgres", "no line")],
    ),
    row(
        "host postgres +outer_group all trust",
        &[(A, "in"), ("127.0.0.7 plain sup postgres", "no line")],
    ),
    row(
        "host postgres +repl all trust",
        &[(A, "in"), ("127.0.0.7 plain other postgres", "no line")],
    ),
    row(
        "host postgres +nobody_at_all all trust",
        &[(A, "no line"), ("127.0.0.7 plain nobody_at_all postgres", "no line")],
    ),
    row("host postgres +sup all trust", &[("127.0.0.7 plain sup postgres", "in"), (A, "no line")]),
    row("host postgres \"+inner_group\" all trust", &[(A, "no line")]),
    row("host postgres +\"inner_group\" all trust", &[(A, "in")]),
    row(
        "host postgres \"Repl User\" all trust",
        &[("127.0.0.7 plain Repl~User postgres", "in"), (A, "no line")],
    ),
    row("host postgres \"a,b\" all trust", &[("127.0.0.7 plain a,b postgres", "in")]),
    row(
        "host replication +inner_group all trust",
        &[(A_REPL, "in"), ("127.0.0.7 plain other replication", "no line")],
    ),
    row("host replication all all trust", &[("127.0.0.7 plain other replication", "in")]),
    // Expressions.
    row(
        "host postgres /^re all trust",
        &[(A, "in|no line"), ("127.0.0.7 plain other postgres", "no line")],
    ),
    row("host postgres /pl all trust", &[(A, "in|no line")]),
    row("host postgres /^RE all trust", &[(A, "no line")]),
    row(
        "host postgres \"/^(repl|a,b)$\" all trust",
        &[
            (A, "in|no line"),
            ("127.0.0.7 plain a,b postgres", "in|no line"),
            ("127.0.0.7 plain other postgres", "no line"),
        ],
    ),
    row("host /^post repl all trust", &[(A, "in|no line"), (A_REPL, "no line")]),
    row("host /repl repl all trust", &[(A_REPL, "no line")]),
    row(
        "host postgres /^other$,+inner_group all trust",
        &[(A, "in"), ("127.0.0.7 plain other postgres", "in|no line")],
    ),
    row("host postgres /[[:alpha:]]+ all reject\nhost all all all trust", &[(A, "rejected|in")]),
    // Addresses.
    row("host all all 127.0.0.7/32 trust", &[(A, "in"), (B, "no line"), (SIX, "no line")]),
    row("host all all 127.0.0.7 255.255.255.255 trust", &[(A, "in"), (B, "no line")]),
    row("host all all 127.0.0.0/24 trust", &[(A, "in"), (B, "no line")]),
    row("host all all 127.0.0.0/8 trust", &[(A, "in"), (B, "in"), (SIX, "no line")]),
    row("host all all 127.0.0.99/24 trust", &[(A, "in"), (B, "no line")]),
    row(
        "host all all 127.0.0.4/30 trust",
        &[(A, "in"), ("127.0.0.8 plain repl postgres", "no line")],
    ),
    row(
        "host all all 127.0.0.7 255.0.255.255 trust",
        &[(A, "in"), ("127.9.0.7 plain repl postgres", "in"), (B, "no line")],
    ),
    row("host all all 0.0.0.0/0 trust", &[(A, "in"), (SIX, "no line")]),
    row("host all all ::/0 trust", &[(A, "no line"), (SIX, "in")]),
    row("host all all ::1/128 trust", &[(A, "no line"), (SIX, "in")]),
    row("host all all ::2/127 trust", &[(SIX, "no line")]),
    row("host all all ::ffff:127.0.0.0/104 trust", &[(A, "no line"), (SIX, "no line")]),
    row("host all all fe80::/10 trust", &[(SIX, "no line"), (A, "no line")]),
    row(
        "host all all samehost trust",
        &[("127.0.0.1 plain repl postgres", "in"), (A, "no line"), (SIX, "=")],
    ),
    row("host all all samenet trust", &[(A, "in"), (B, "in"), (SIX, "=")]),
    row(
        "host all all localhost trust",
        &[("127.0.0.1 plain repl postgres", "="), (A, "="), (SIX, "=")],
    ),
    row("host all all LocalHost trust", &[("127.0.0.1 plain repl postgres", "=")]),
    row("host all all .host trust", &[("127.0.0.1 plain repl postgres", "=")]),
    row("host all all n9.example.org trust", &[(A, "no line")]),
    // Order.
    row("host all all 127.0.0.7/32 reject\nhost all all all trust", &[(A, "rejected"), (B, "in")]),
    row("host all all all trust\nhost all all 127.0.0.7/32 reject", &[(A, "in")]),
    row("host all other all reject\nhost all all all trust", &[(A, "in")]),
    row(
        "host all +inner_group all reject\nhost all all all trust",
        &[(A, "rejected"), ("127.0.0.7 plain sup postgres", "in")],
    ),
    row(
        "host app,postgres all all reject\nhost all,replication all all trust",
        &[(A, "rejected"), (A_REPL, "in")],
    ),
    row("host all all samenet reject\nhost all all all trust", &[(A, "rejected")]),
    row(
        "local all all reject\nhost all all all trust\nlocal all all trust",
        &[(A, "in"), (LOCAL, "rejected")],
    ),
    row(
        "local replication repl trust\nlocal all all reject",
        &[(LOCAL_REPL, "in"), (LOCAL, "rejected")],
    ),
    // How it is written.
    row(
        "  host\tapp,\trepl\trepl\t127.0.0.0/8\ttrust\t# all",
        &[(A, "no line"), ("127.0.0.7 plain repl repl", "in")],
    ),
    row("host all,\tapp repl 127.0.0.0/8 trust # reject", &[(A, "in")]),
    row("# host all all all reject\r\n\r\nhost all all all trust\r\n", &[(A, "in")]),
    row("host postgres re\"pl\" all trust", &[(A, "in")]),
    Row {
        text: "host postgres @users all trust",
        since: 13,
        files: &[("users", "other, # one\nrepl\n+outer_group\n")],
        logins: &[
            (A, "in"),
            ("127.0.0.7 plain other postgres", "in"),
            (B, "in"),
            ("127.0.0.7 plain sup postgres", "no line"),
        ],
    },
    Row {
        text: "host postgres re\\\npl all \\\n trust\n# no \\\nhost all all all reject",
        since: 14,
        files: &[],
        logins: &[(A, "in"), ("127.0.0.7 plain other postgres", "no line")],
    },
    Row {
        text: "host app all all trust\ninclude more.hba\nhost all all all trust",
        since: 16,
        files: &[(
            "more.hba",
            "host postgres \"repl\" all reject\nhost postgres \"all\" all reject\n",
        )],
        logins: &[
            (A, "rejected"),
            ("127.0.0.7 plain other postgres", "in"),
            ("127.0.0.7 plain repl app", "in"),
        ],
    },
    Row {
        text: "include_if_exists nowhere.hba\nhost all all all trust",
        since: 16,
        files: &[],
        logins: &[(A, "in")],
    },
];
