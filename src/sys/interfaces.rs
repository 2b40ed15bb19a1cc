//! The addresses of this machine. Floor 2.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

/// Each address of an interface, with its mask: what pg_hba.conf calls samehost and samenet.
pub fn addresses() -> Result<Vec<(IpAddr, IpAddr)>, String> {
    let all =
        getifaddrs().map_err(|error| format!("cannot list the network interfaces: {error}"))?;
    let ip = |address: Option<SockaddrStorage>| -> Option<IpAddr> {
        let address = address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    Ok(all.filter_map(|one| Some((ip(one.address)?, ip(one.netmask)?))).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_its_loopback_address_with_a_mask() {
        let loopback = ("127.0.0.1".parse().unwrap(), "255.0.0.0".parse().unwrap());
        assert!(addresses().unwrap().contains(&loopback), "{:?}", addresses());
    }
}
