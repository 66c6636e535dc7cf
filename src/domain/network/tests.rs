use proptest::prelude::*;

use super::*;

/// Ranges that are not globally reachable, copied from the registries and not from the tables under test.
const REFUSED: &[(&str, &str)] = &[
    ("0.0.0.0/32", "wildcard (unspecified)"),
    ("0.0.0.1/32", "\"this network\""),
    ("0.0.0.0/8", ""),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared (carrier-grade NAT)"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local (cloud metadata)"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/29", "protocol assignment"),
    ("192.0.0.8/32", "protocol assignment"),
    ("192.0.0.11/32", "protocol assignment"),
    ("192.0.0.170/31", "protocol assignment"),
    ("192.0.0.128/25", "protocol assignment"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "deprecated 6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/5", "reserved"),
    ("240.0.0.0/4", ""),
    ("255.255.255.254/32", "reserved"),
    ("255.255.255.255/32", "broadcast"),
    ("::/128", "wildcard (unspecified)"),
    ("::1/128", "loopback"),
    ("64:ff9b:1::/48", "local-use NAT64"),
    ("64:ff9b:2::/48", "reserved (outside 2000::/3)"),
    ("64:ff9b:0:1::/64", "reserved (outside 2000::/3)"),
    ("100::/64", "discard-only"),
    ("100:0:0:1::/64", "dummy"),
    ("100:0:0:2::/63", "reserved (outside 2000::/3)"),
    ("200::/7", "reserved (outside 2000::/3)"),
    ("400::/6", "reserved (outside 2000::/3)"),
    ("1000::/4", "reserved (outside 2000::/3)"),
    ("2001:1::/128", "protocol assignment"),
    ("2001:1::4/126", "protocol assignment"),
    ("2001:2::/48", "protocol assignment"),
    ("2001:4::/48", "protocol assignment"),
    ("2001:5::/32", "protocol assignment"),
    ("2001:10::/28", "protocol assignment"),
    ("2001:40::/26", "protocol assignment"),
    ("2001:100::/24", "protocol assignment"),
    ("2001:db8::/32", "documentation"),
    ("3fff::/20", "documentation"),
    ("4000::/4", "reserved (outside 2000::/3)"),
    ("5f00::/16", "segment routing"),
    ("6000::/3", "reserved (outside 2000::/3)"),
    ("8000::/2", "reserved (outside 2000::/3)"),
    ("e000::/4", "reserved (outside 2000::/3)"),
    ("fc00::/7", "private (unique local)"),
    ("fe00::/9", "reserved (outside 2000::/3)"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
];

/// Globally reachable ranges. Many are next to a range that is not.
const GLOBAL: &[&str] = &[
    "1.0.0.0/8",
    "8.8.8.8/32",
    "9.255.255.255/32",
    "11.0.0.0/32",
    "100.63.255.255/32",
    "100.128.0.0/32",
    "126.255.255.255/32",
    "128.0.0.0/32",
    "169.253.255.255/32",
    "169.255.0.0/32",
    "172.15.255.255/32",
    "172.32.0.0/32",
    "191.255.255.255/32",
    "192.0.0.9/32",
    "192.0.0.10/32",
    "192.0.1.0/24",
    "192.0.3.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.98.0/24",
    "192.88.100.0/24",
    "192.167.255.255/32",
    "192.169.0.0/32",
    "192.175.48.0/24",
    "198.17.255.255/32",
    "198.20.0.0/32",
    "198.51.99.0/24",
    "198.51.101.0/24",
    "203.0.112.0/24",
    "203.0.114.0/24",
    "223.255.255.255/32",
    "2000::/16",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:20::/28",
    "2001:30::/28",
    "2001:200::/23",
    "2001:4860:4860::8888/128",
    "2001:db7::/32",
    "2001:db9::/32",
    "2606:4700::/32",
    "2620:4f:8000::/48",
    "3ffe::/16",
    "3fff:1000::/20",
];

fn net(text: &str) -> IpNet {
    text.parse().expect(text)
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

fn strict() -> NetworkPolicy {
    NetworkPolicy::default()
}

fn opening(networks: &[&str]) -> NetworkPolicy {
    NetworkPolicy::new(networks.iter().map(|text| net(text)).collect())
}

/// The address of `network` whose host bits are those of `bits`.
fn pick(network: IpNet, bits: u128) -> IpAddr {
    match network {
        IpNet::V4(network) => {
            let host = u32::try_from(bits & u128::from(network.hostmask().to_bits())).expect("masked");
            IpAddr::V4(Ipv4Addr::from_bits(network.network().to_bits() | host))
        }
        IpNet::V6(network) => {
            IpAddr::V6(Ipv6Addr::from_bits(network.network().to_bits() | (bits & network.hostmask().to_bits())))
        }
    }
}

/// IPv6 addresses that contain `inner`, in every form except mapped and compatible.
fn tunnels(inner: Ipv4Addr) -> Vec<Ipv6Addr> {
    let bits = u128::from(inner.to_bits());
    let public = u128::from(Ipv4Addr::new(8, 8, 8, 8).to_bits());
    let teredo = |server: u128, client: u128| 0x2001_0000 << 96 | server << 64 | (client ^ 0xffff_ffff);
    [
        0xffff << 48 | bits,
        0x0064_ff9b << 96 | bits,
        0x2002 << 112 | bits << 80 | 1,
        teredo(bits, public),
        teredo(public, bits),
    ]
    .map(Ipv6Addr::from_bits)
    .to_vec()
}

fn refused_address() -> impl Strategy<Value = IpAddr> {
    (prop::sample::select(REFUSED), any::<u128>()).prop_map(|((network, _), bits)| pick(net(network), bits))
}

fn global_address() -> impl Strategy<Value = IpAddr> {
    (prop::sample::select(GLOBAL), any::<u128>()).prop_map(|(network, bits)| pick(net(network), bits))
}

#[test]
fn both_ends_of_every_special_range_are_refused_by_its_name() {
    for (text, range) in REFUSED {
        let network = net(text);
        for address in [network.network(), network.broadcast()] {
            let refused = strict().check(address).expect_err(text);
            assert_eq!(refused.address(), address);
            if !range.is_empty() {
                assert_eq!(refused.range(), *range, "{address} of {text}");
            }
        }
    }
}

#[test]
fn both_ends_of_every_global_range_are_allowed() {
    for text in GLOBAL {
        let network = net(text);
        for address in [network.network(), network.broadcast()] {
            assert_eq!(strict().check(address), Ok(()), "{text}");
        }
    }
}

#[test]
fn no_line_of_a_table_hides_behind_a_wider_one_before_it() {
    for (at, (later, _)) in SPECIAL_V4.iter().enumerate() {
        assert!(!SPECIAL_V4[..at].iter().any(|(earlier, _)| earlier.contains(later)), "{later}");
    }
    for (at, (later, _)) in SPECIAL_V6.iter().enumerate() {
        assert!(!SPECIAL_V6[..at].iter().any(|(earlier, _)| earlier.contains(later)), "{later}");
    }
}

#[test]
fn a_refusal_says_why_and_how_to_allow_it() {
    let said = |text: &str| strict().check(ip(text)).expect_err(text).to_string();
    assert_eq!(
        said("127.0.0.1"),
        "127.0.0.1 is a loopback address; start the server with --allow-network 127.0.0.1/32 to allow it"
    );
    assert_eq!(
        said("169.254.169.254"),
        "169.254.169.254 is a link-local (cloud metadata) address; \
         start the server with --allow-network 169.254.169.254/32 to allow it"
    );
    assert_eq!(said("::1"), "::1 is a loopback address; start the server with --allow-network ::1/128 to allow it");
    assert_eq!(
        said("::ffff:10.0.0.1"),
        "::ffff:10.0.0.1 (IPv4-mapped) leads to 10.0.0.1, a private address; \
         start the server with --allow-network 10.0.0.1/32 to allow it"
    );
    assert_eq!(
        said("64:ff9b::a00:1"),
        "64:ff9b::a00:1 (NAT64) leads to 10.0.0.1, a private address; \
         start the server with --allow-network 64:ff9b::a00:1/128 to allow it"
    );
}

#[test]
fn dev_opens_loopback_in_both_families_and_nothing_else() {
    let dev = NetworkPolicy::dev(vec![net("10.1.0.0/16")]);
    for text in ["127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1", "10.1.2.3", "8.8.8.8"] {
        assert_eq!(dev.check(ip(text)), Ok(()), "{text}");
    }
    for text in ["0.0.0.0", "::", "10.2.0.0", "192.168.0.1", "fe80::1", "169.254.169.254"] {
        assert!(dev.check(ip(text)).is_err(), "{text}");
    }
}

#[test]
fn opening_an_ipv4_network_opens_its_mapped_form_and_no_tunnel_to_it() {
    let policy = opening(&["10.0.0.0/8"]);
    assert_eq!(policy.check(ip("::ffff:10.0.0.1")), Ok(()));
    for tunnel in tunnels(Ipv4Addr::new(10, 0, 0, 1)) {
        assert!(policy.check(IpAddr::V6(tunnel)).is_err(), "{tunnel}");
    }
    assert!(policy.check(ip("::10.0.0.1")).is_err());
}

#[test]
fn a_tunnel_is_opened_by_naming_it() {
    let policy = opening(&["64:ff9b::/96", "2002:a00::/24"]);
    assert_eq!(policy.check(ip("64:ff9b::10.0.0.1")), Ok(()));
    assert_eq!(policy.check(ip("2002:a00:1::1")), Ok(()));
    assert!(policy.check(ip("10.0.0.1")).is_err());
    assert!(policy.check(ip("2002:c0a8:1::1")).is_err());
}

#[test]
fn a_teredo_address_is_judged_by_its_server_and_by_its_client() {
    // 65.54.227.120 and 192.0.2.45 are RFC 4380's example. The client is in a documentation range.
    assert_eq!(strict().check(ip("2001:0:4136:e378:8000:63bf:3fff:fdd2")).map_err(|r| r.range()), Err("documentation"));
    // Client 8.8.8.8: allowed with a public server, refused with a private one.
    assert_eq!(strict().check(ip("2001:0:4136:e378:8000:63bf:f7f7:f7f7")), Ok(()));
    assert_eq!(strict().check(ip("2001:0:a00:1:8000:63bf:f7f7:f7f7")).map_err(|r| r.range()), Err("private"));
}

#[test]
fn the_server_itself_is_known_by_whatever_leads_to_it() {
    let is_own = |own: &str, target: &str| {
        let policy = NetworkPolicy::dev(Vec::new()).listening_on(own.parse().expect("an address"));
        policy.is_own(target.parse().expect("an address"))
    };
    for (own, target) in [
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("127.0.0.1:80", "[::ffff:127.0.0.1]:80"),
        ("127.0.0.1:80", "0.0.0.0:80"),
        ("0.0.0.0:80", "127.0.0.1:80"),
        ("0.0.0.0:80", "127.1.2.3:80"),
        ("[::]:80", "127.0.0.1:80"),
        ("[::]:80", "[::1]:80"),
        ("[::1]:80", "[::]:80"),
        ("8.8.8.8:80", "8.8.8.8:80"),
    ] {
        assert!(is_own(own, target), "{own} {target}");
        assert!(!is_own(own, &target.replace(":80", ":81")), "{own} {target}");
    }
    for (own, target) in [("127.0.0.1:80", "127.0.0.2:80"), ("0.0.0.0:80", "8.8.8.8:80"), ("8.8.8.8:80", "8.8.4.4:80")]
    {
        assert!(!is_own(own, target), "{own} {target}");
    }
}

proptest! {
    #[test]
    fn an_address_in_a_special_range_is_refused(address in refused_address()) {
        prop_assert!(strict().check(address).is_err());
    }

    #[test]
    fn an_address_in_no_special_range_is_allowed(address in global_address()) {
        prop_assert_eq!(strict().check(address), Ok(()));
    }

    #[test]
    fn any_ipv4_address_is_allowed_if_and_only_if_no_special_range_holds_it(bits: u32) {
        let address = IpAddr::V4(Ipv4Addr::from_bits(bits));
        let special = REFUSED.iter().any(|(network, _)| net(network).contains(&address));
        let spared = GLOBAL.iter().any(|network| net(network).contains(&address));
        // `REFUSED` lists 192.0.0.0/24 in parts. The rest of that range is special as well.
        let special = special || (net("192.0.0.0/24").contains(&address) && !spared);
        prop_assert_eq!(strict().check(address).is_err(), special);
    }

    #[test]
    fn any_ipv6_address_outside_global_unicast_that_carries_no_ipv4_is_refused(bits: u128) {
        let address = Ipv6Addr::from_bits(bits);
        // Inverting the first bit gives an address outside 2000::/3.
        let address = if GLOBAL_UNICAST.contains(&address) { Ipv6Addr::from_bits(bits ^ 1 << 127) } else { address };
        prop_assert!(strict().check(IpAddr::V6(address)).is_err());
    }

    #[test]
    fn a_form_that_carries_an_ipv4_address_is_judged_as_that_address(bits: u32) {
        let inner = Ipv4Addr::from_bits(bits);
        let verdict = strict().check(IpAddr::V4(inner)).map_err(|refused| refused.range());
        let mapped = inner.to_ipv6_mapped();
        let compatible = Ipv6Addr::from_bits(u128::from(bits));
        for form in tunnels(inner).into_iter().chain([mapped]).chain((bits > 1).then_some(compatible)) {
            let of_form = strict().check(IpAddr::V6(form)).map_err(|refused| refused.range());
            prop_assert_eq!(of_form, verdict, "{}", form);
        }
    }

    #[test]
    fn a_form_that_carries_a_refused_ipv4_address_is_refused(address in refused_address()) {
        let IpAddr::V4(inner) = address else { return Ok(()) };
        for form in tunnels(inner).into_iter().chain([inner.to_ipv6_mapped()]) {
            prop_assert!(strict().check(IpAddr::V6(form)).is_err(), "{}", form);
        }
    }

    #[test]
    fn the_network_that_a_refusal_names_opens_the_address(address in refused_address(), bits: u32) {
        let mapped = IpAddr::V6(Ipv4Addr::from_bits(bits).to_ipv6_mapped());
        for address in [address, mapped] {
            if let Err(refused) = strict().check(address) {
                let flag = format!("--allow-network {} ", refused.network());
                prop_assert!(refused.to_string().contains(&flag));
                prop_assert_eq!(NetworkPolicy::new(vec![refused.network()]).check(address), Ok(()));
            }
        }
    }
}
