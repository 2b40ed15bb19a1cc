//! From a parameter's text to its type: one function a shape. Floor 0.
//!
//! A text that gets here is not empty, has no blanks around it, is at most 4096 bytes long and has
//! no control character.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::Problem;
use super::{ContainerRuntime, FencingPolicy, RepMode};
use crate::cluster::node::NodeName;
use crate::postgres::image_name::{self, ImageName};

/// The longest name PostgreSQL keeps whole: NAMEDATALEN - 1.
const NAME_BYTES: usize = 63;

pub(super) type Parsed<T> = Result<T, Problem>;

/// An OCF boolean.
pub(super) fn boolean(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(Problem::new("it is neither true nor false", "write true or false")),
    }
}

/// A whole number within bounds; digits only.
pub(super) fn number(text: &str, bounds: &RangeInclusive<u64>) -> Parsed<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let value = if digits { text.parse::<u64>().ok() } else { None };
    value.filter(|value| bounds.contains(value)).ok_or_else(|| {
        Problem::new(
            "it is not a whole number within the bounds",
            format!("write a number from {} to {}", bounds.start(), bounds.end()),
        )
    })
}

/// The same, for a field of 32 bits.
pub(super) fn number_u32(text: &str, bounds: RangeInclusive<u32>) -> Parsed<u32> {
    let wide = u64::from(*bounds.start())..=u64::from(*bounds.end());
    let value = number(text, &wide)?;
    u32::try_from(value).map_err(|_| Problem::new("it is too large", "write a smaller number"))
}

/// A duration in seconds, with or without the unit `s`; other units are refused, not guessed.
pub(super) fn seconds(text: &str, bounds: &RangeInclusive<u64>) -> Parsed<Duration> {
    let digits = text.strip_suffix('s').unwrap_or(text);
    number(digits, bounds).map(Duration::from_secs).map_err(|_| {
        Problem::new(
            "it is not a number of seconds within the bounds",
            format!("write the seconds as a number from {} to {}", bounds.start(), bounds.end()),
        )
    })
}

/// A TCP port.
pub(super) fn port(text: &str) -> Parsed<u16> {
    let value = number(text, &(1..=65_535))?;
    u16::try_from(value).map_err(|_| Problem::new("it is not a port", "write 1 to 65535"))
}

/// `sync` or `async`.
pub(super) fn rep_mode(text: &str) -> Parsed<RepMode> {
    match text.to_ascii_lowercase().as_str() {
        "sync" => Ok(RepMode::Sync),
        "async" => Ok(RepMode::Async),
        _ => Err(Problem::new("it is not a replication mode", "write sync or async")),
    }
}

/// `required` or `advised`.
pub(super) fn fencing(text: &str) -> Parsed<FencingPolicy> {
    match text.to_ascii_lowercase().as_str() {
        "required" => Ok(FencingPolicy::Required),
        "advised" => Ok(FencingPolicy::Advised),
        _ => Err(Problem::new("it is not a fencing policy", "write required or advised")),
    }
}

/// A lag in bytes; -1 is no limit.
pub(super) fn lag_bytes(text: &str) -> Parsed<u64> {
    if text == "-1" {
        return Ok(u64::MAX);
    }
    number(text, &(0..=1 << 60)).map_err(|_| {
        Problem::new(
            "it is not a number of bytes",
            "write the bytes as a whole number, 0 for no lag at all, or -1 for no limit",
        )
    })
}

/// A PostgreSQL major version; `auto` is none.
pub(super) fn major_version(text: &str) -> Parsed<Option<u32>> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(None);
    }
    number_u32(text, 13..=99).map(Some).map_err(|_| {
        Problem::new(
            "it is not a major version that pgtwin supports",
            "write the number before the first dot, 13 or higher, such as 17, or auto",
        )
    })
}

/// An absolute path, normalised: no `.` or `..`, no doubled or trailing slash.
///
/// `pg_ctl` hands paths to a shell between double quotes, so characters that mean something there
/// are refused, and with them all that no one needs in such a path.
pub(super) fn path(text: &str) -> Parsed<String> {
    const REMEDY: &str = "write an absolute path, such as /var/lib/postgresql/17/main";
    if !text.starts_with('/') {
        return Err(Problem::new("it is not an absolute path", REMEDY));
    }
    let odd = |c: char| !(c.is_ascii_alphanumeric() || "/._-+@:,=~% ".contains(c));
    if let Some(c) = text.chars().find(|c| odd(*c)) {
        return Err(Problem::new(
            format!("it contains {c:?}"),
            "use a path of ASCII letters, digits, blanks and . _ - + @ : , = ~ %",
        ));
    }
    let mut clean = String::new();
    for part in text.split('/').filter(|part| !part.is_empty()) {
        if part == "." || part == ".." {
            return Err(Problem::new("it goes through . or ..", "write where it leads to"));
        }
        clean.push('/');
        clean.push_str(part);
    }
    if clean.is_empty() {
        return Err(Problem::new("it is the root directory", REMEDY));
    }
    Ok(clean)
}

/// A data directory: a path that a rebuild may rename and replace as a whole.
pub(super) fn data_directory(text: &str) -> Parsed<String> {
    // Whatever lies in these belongs to the system.
    const WHOLE: &[&str] =
        &["bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "sys"];
    // These themselves do, but not every directory in them.
    const ITSELF: &[&str] =
        &["home", "media", "mnt", "opt", "root", "run", "srv", "tmp", "usr", "var"];
    let path = path(text)?;
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let system = match parts.as_slice() {
        [top] => WHOLE.contains(top) || ITSELF.contains(top),
        ["usr", "local", _, ..] => false,
        []
        | ["usr", ..]
        | ["var", "cache" | "lib" | "local" | "log" | "mail" | "opt" | "run" | "spool" | "tmp"] => {
            true
        }
        [top, ..] => WHOLE.contains(top),
    };
    if system {
        return Err(Problem::new(
            "it is a directory of the operating system",
            "name a directory that holds this PostgreSQL instance and nothing else",
        ));
    }
    Ok(path)
}

/// A directory that holds the data of nodes, and that a data directory could be, too: not one that the
/// system empties, at boot or by age.
pub(super) fn storage_root(text: &str) -> Parsed<String> {
    let path = data_directory(text)?;
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    if matches!(parts.as_slice(), ["run" | "tmp"] | ["var", "run" | "tmp"] | ["run", ..]) {
        return Err(Problem::new(
            "it is a directory that the system empties",
            "name one that stays, such as /srv/postgres",
        ));
    }
    Ok(path)
}

/// A directory for the unix socket, short enough that the socket's whole name fits.
pub(super) fn socket_directory(text: &str) -> Parsed<String> {
    // sun_path has 108 bytes with its NUL; "/.s.PGSQL.65535.lock" follows the directory.
    let path = path(text)?;
    if path.len() > 108 - 1 - "/.s.PGSQL.65535.lock".len() {
        return Err(Problem::new(
            "a socket in it would have too long a name for the kernel",
            "name a directory of at most 87 bytes, such as /run/postgresql",
        ));
    }
    if path.contains(',') {
        return Err(Problem::new("it contains a comma", "name one directory without a comma"));
    }
    Ok(path)
}

/// A user of the operating system who may run PostgreSQL.
pub(super) fn system_user(text: &str) -> Parsed<String> {
    if text == "root" || text == "0" {
        return Err(Problem::new(
            "PostgreSQL refuses to run as root",
            "name the user that owns the data directory, such as postgres",
        ));
    }
    role(text)
}

/// A role of PostgreSQL, or a user name, of the plain kind.
pub(super) fn role(text: &str) -> Parsed<String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "_.@-".contains(c);
    if text.len() > NAME_BYTES || !text.chars().all(fine) || text.starts_with('-') {
        return Err(Problem::new(
            "it is not a user name",
            "use at most 63 ASCII letters, digits and _ . @ -, not beginning with -",
        ));
    }
    Ok(text.to_owned())
}

/// A name for replication connections. Matching is exact but for case, and `*` matches all.
pub(super) fn application_name(text: &str) -> Parsed<String> {
    const REMEDY: &str = "use at most 63 ASCII letters, digits and _ . : @ -, or leave it unset";
    let fine = |c: char| c.is_ascii_alphanumeric() || "_.:@-".contains(c);
    if text.len() > NAME_BYTES {
        return Err(Problem::new(
            "PostgreSQL cuts names after 63 bytes, so it would never match",
            REMEDY,
        ));
    }
    if text == "*" {
        return Err(Problem::new("it would match every standby", REMEDY));
    }
    if !text.chars().all(fine) {
        return Err(Problem::new("it contains a character that such a name can't have", REMEDY));
    }
    if text.to_ascii_lowercase().starts_with("pgtwin_") {
        return Err(Problem::new(
            "names that begin with pgtwin_ are those of pgtwin's own connections",
            "use another name",
        ));
    }
    Ok(text.to_owned())
}

/// The prefix of slot names, with room left for a node's name.
pub(super) fn slot_prefix(text: &str) -> Parsed<String> {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if text.len() > 30 || !text.bytes().all(fine) {
        return Err(Problem::new(
            "PostgreSQL does not accept it in a slot's name",
            "use at most 30 lower case letters, digits and _",
        ));
    }
    Ok(text.to_owned())
}

/// `listen_addresses`: `*`, or addresses and host names with commas or blanks between them.
pub(super) fn listen_addresses(text: &str) -> Parsed<String> {
    let mut hosts = Vec::new();
    for part in text.split([',', ' ']).filter(|part| !part.is_empty()) {
        hosts.push(if part == "*" { part.to_owned() } else { host(part)? });
    }
    if hosts.is_empty() {
        return Err(Problem::new("it names no address", "write *, an address or a host name"));
    }
    Ok(hosts.join(","))
}

/// One host name or address.
pub(super) fn host(text: &str) -> Parsed<String> {
    const REMEDY: &str = "write an IP address without a prefix length, or a host name";
    if text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    let labels_fine = text.split('.').all(|label| {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        !label.is_empty() && label.bytes().all(fine) && !label.starts_with('-')
    });
    // All digits and dots but no address: a mistyped one, never a name.
    let digits_only = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if text.len() > 253 || !labels_fine || digits_only {
        return Err(Problem::new("it is neither an IP address nor a host name", REMEDY));
    }
    Ok(text.to_owned())
}

/// The virtual address. `20.0.0.1/24`, as IPaddr2's users write it, is the address 20.0.0.1.
pub(super) fn virtual_address(text: &str) -> Parsed<IpAddr> {
    let refuse = || {
        Problem::new(
            "it is not an IP address",
            "write the address that the IPaddr2 resource has in its ip parameter",
        )
    };
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| refuse())?;
    let widest = if address.is_ipv4() { 32 } else { 128 };
    match prefix {
        Some(prefix) if number(prefix, &(0..=widest)).is_err() => Err(refuse()),
        Some(_) | None => Ok(address),
    }
}

/// Node names with blanks between them, each once; PostgreSQL compares them without case.
pub(super) fn node_list(text: &str) -> Parsed<Vec<NodeName>> {
    let mut nodes: Vec<NodeName> = Vec::new();
    for word in text.split_whitespace() {
        let node = node_name(word)?;
        if nodes.iter().any(|known| known.as_str().eq_ignore_ascii_case(node.as_str())) {
            return Err(Problem::new(
                format!("{node} is in it twice"),
                "name each node once; names that differ only in case can't be told apart",
            ));
        }
        nodes.push(node);
    }
    Ok(nodes)
}

/// `node=host` pairs with blanks between them.
pub(super) fn node_addresses(text: &str) -> Parsed<BTreeMap<NodeName, String>> {
    let mut addresses = BTreeMap::new();
    for word in text.split_whitespace() {
        let Some((node, address)) = word.split_once('=') else {
            return Err(Problem::new(
                "an entry has no =",
                "write node=address pairs with blanks between them, such as n1=10.0.0.1 n2=10.0.0.2",
            ));
        };
        let node = node_name(node)?;
        let address = host(address)?;
        if addresses.values().any(|known| *known == address) {
            return Err(Problem::new(
                format!("two nodes have the address {address}"),
                "give each node its own address",
            ));
        }
        if addresses.contains_key(&node) {
            return Err(Problem::new(format!("{node} is in it twice"), "name each node once"));
        }
        addresses.insert(node, address);
    }
    Ok(addresses)
}

/// A name that podman and docker accept for a container.
pub(super) fn container_name(text: &str) -> Parsed<String> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if text.len() > 128 || !starts_well || !text.bytes().all(fine) {
        return Err(Problem::new(
            "it is not a container's name",
            "use letters, digits and _ . -, beginning with a letter or digit",
        ));
    }
    Ok(text.to_owned())
}

/// An image reference, such as `registry.example/postgres:17`; `auto` is none.
pub(super) fn container_image(text: &str) -> Parsed<Option<String>> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(None);
    }
    match text.parse::<ImageName>() {
        Ok(_) => Ok(Some(text.to_owned())),
        Err(_) => Err(Problem::new(
            "it is not an image reference",
            "write it as registry/name:tag or registry/name@digest",
        )),
    }
}

/// A registry of images: a host, and maybe a port.
pub(super) fn container_registry(text: &str) -> Parsed<String> {
    if !image_name::is_registry(text) {
        return Err(Problem::new(
            "it is not the host of a registry",
            "write it as host or host:port, without https:// and without a path",
        ));
    }
    Ok(text.to_owned())
}

/// A repository of images, without its registry.
pub(super) fn container_repository(text: &str) -> Parsed<String> {
    let names_a_host =
        text.parse::<ImageName>().is_ok_and(|name| name.registry().is_some() || name.tag.is_some());
    if names_a_host || !image_name::is_repository(text) {
        return Err(Problem::new(
            "it is not the name of a repository",
            "write it without registry and tag, as in db/postgres",
        ));
    }
    Ok(text.to_owned())
}

/// `auto`, `podman` or `docker`.
pub(super) fn container_runtime(text: &str) -> Parsed<ContainerRuntime> {
    match text.to_ascii_lowercase().as_str() {
        "auto" => Ok(ContainerRuntime::Auto),
        "podman" => Ok(ContainerRuntime::Podman),
        "docker" => Ok(ContainerRuntime::Docker),
        _ => Err(Problem::new("it is not a container engine", "write auto, podman or docker")),
    }
}

/// `host`, or the name of a network; no mode of podman's or docker's that shares another container's.
pub(super) fn container_network(text: &str) -> Parsed<String> {
    if text == "none" {
        return Err(Problem::new(
            "without a network there is no replication",
            "write host, or the name of a network",
        ));
    }
    container_name(text).map_err(|_| {
        Problem::new("it is not the name of a network", "write host, or the name of a network")
    })
}

/// A size in bytes with a unit, as both engines read it.
pub(super) fn container_size(text: &str) -> Parsed<String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(['k', 'm', 'g']);
    let fine = lower.len() - digits.len() == 1 && number(digits, &(1..=1_000_000_000)).is_ok();
    if fine {
        return Ok(lower);
    }
    Err(Problem::new("it is not a size", "write a whole number with k, m or g, such as 2g"))
}

/// A number of CPUs, with at most two digits behind the point.
pub(super) fn container_cpus(text: &str) -> Parsed<String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let fine =
        number(whole, &(0..=4096)).is_ok() && part.len() <= 2 && number(part, &(0..=99)).is_ok();
    if fine && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) {
        return Ok(text.to_owned());
    }
    Err(Problem::new("it is not a number of CPUs", "write a number such as 2 or 1.5"))
}

/// A node's name: those of Pacemaker are host names, as a rule.
fn node_name(word: &str) -> Parsed<NodeName> {
    const REMEDY: &str = "write the names that crm_node -l shows, with blanks between them";
    let fine = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    if word.starts_with('-') || !word.chars().all(fine) {
        return Err(Problem::new("it contains something that is not a node's name", REMEDY));
    }
    word.parse().map_err(|error: crate::cluster::node::NotANodeName| {
        Problem::new(error.to_string(), REMEDY)
    })
}
