//! Where a request may go: to the configured Hub, and to public addresses it sends us on to.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// Looks names up and drops addresses that are not public, save for the Hub's own host. Literal addresses never come
/// here; [`admits`] checks them.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) home: String,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let own = name.as_str() == self.home;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let fit: Vec<SocketAddr> = found.filter(|at| own || is_public(at.ip())).collect();
            if fit.is_empty() {
                let told = format!("{} has no public address", name.as_str());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, told).into());
            }
            Ok(Box::new(fit.into_iter()) as Addrs)
        })
    }
}

/// Whether a redirect from `from` to `to` is followed, for a Hub at `home`; else why not.
pub(crate) fn admits(home: &Url, from: &Url, to: &Url) -> Result<(), &'static str> {
    match (from.scheme(), to.scheme()) {
        (_, "https") | ("http", "http") => {}
        ("https", "http") => return Err("it leaves https"),
        _ => return Err("only http and https are followed"),
    }
    let host = to.host_str().ok_or("it names no host")?;
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match literal {
        Ok(address) if !is_public(address) && Some(host) != home.host_str() => {
            Err("its address is not public")
        }
        _ => Ok(()),
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(|| is_public_v6(v6), is_public_v4),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b));
    !special && a != 0 && a < 224
}

/// Global unicast without the prefixes that carry an IPv4 address inside.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    a & 0xE000 == 0x2000 && a != 0x2002 && !(a == 0x2001 && (b == 0 || b == 0x0DB8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(home: &str, to: &str) -> Result<(), &'static str> {
        let home = Url::parse(home).unwrap();
        admits(&home, &home, &Url::parse(to).unwrap())
    }

    #[test]
    fn private_addresses_in_any_spelling_are_no_targets() {
        for to in [
            "http://127.0.0.1/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://10.1.2.3/",
            "http://172.16.0.1/",
            "http://192.168.1.1/",
            "http://169.254.169.254/latest",
            "http://100.64.0.1/",
            "http://0.0.0.0/",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[fd00::1]/",
            "http://[fe80::1]/",
            "http://[64:ff9b::a00:1]/",
            "http://[2002:a00:1::]/",
        ] {
            assert_eq!(verdict("http://hub.example/", to), Err("its address is not public"), "{to}");
        }
        for to in ["http://8.8.8.8/", "https://cdn.example/x", "http://[2606:4700::1]/"] {
            assert_eq!(verdict("http://hub.example/", to), Ok(()), "{to}");
        }
    }

    #[test]
    fn a_private_hub_may_lead_to_its_own_host_only() {
        assert_eq!(verdict("http://10.0.0.1:80/", "http://10.0.0.1:9000/"), Ok(()));
        assert!(verdict("http://10.0.0.1/", "http://10.0.0.2/").is_err());
    }

    #[test]
    fn other_schemes_and_the_way_out_of_https_are_refused() {
        assert!(verdict("http://hub.example/", "file:///etc/passwd").is_err());
        assert!(verdict("http://hub.example/", "ftp://hub.example/").is_err());
        assert_eq!(verdict("https://hub.example/", "http://hub.example/"), Err("it leaves https"));
    }

    #[tokio::test]
    async fn a_name_that_leads_home_is_refused_unless_it_is_the_hub() {
        use std::str::FromStr as _;
        let look = |home: &str| Guard { home: home.into() }.resolve(Name::from_str("localhost").unwrap());

        assert!(look("hub.example").await.is_err());
        assert!(look("localhost").await.is_ok());
    }
}
