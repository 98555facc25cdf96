//! What is understood, and what a filter selects in user space. The XDP program's answers are held against these in
//! `tests/xdp_program.rs`.

use super::*;

#[test]
fn no_rule_is_an_empty_filter() {
    assert!(CaptureFilter::parse::<&str>(&[]).unwrap().is_empty());
    assert!(CaptureFilter::parse(&["  "]).unwrap().is_empty());
}

#[test]
fn every_word_has_its_kind() {
    for (rule, kinds) in [
        ("net 10.0.0.0/8", Kinds::PREFIX_INCLUDE),
        ("not net 2001:db8::/32", Kinds::PREFIX_EXCLUDE),
        ("host ::1", Kinds::PREFIX_INCLUDE),
        ("port 443,8000-8080", Kinds::PORT_INCLUDE),
        ("not port 0", Kinds::PORT_EXCLUDE),
        ("proto tcp,17", Kinds::PROTOCOL_INCLUDE),
        ("not proto icmpv6", Kinds::PROTOCOL_EXCLUDE),
    ] {
        assert_eq!(CaptureFilter::parse(&[rule]).unwrap().kinds(), Kinds(kinds), "{rule}");
    }
}

#[test]
fn several_rules_are_one_filter() {
    let together = CaptureFilter::parse(&["net 10.0.0.0/8 port 443"]).unwrap();
    assert_eq!(CaptureFilter::parse(&["port 443", "net 10.0.0.0/8"]).unwrap(), together);
}

#[test]
fn the_longest_prefix_decides() {
    let filter =
        CaptureFilter::parse(&["net 10.0.0.0/8 not net 10.1.0.0/16 host 10.1.0.7 net ::/0"]).unwrap();
    let verdict = |text: &str| {
        let (version, address) = in_key(text.parse().unwrap());
        filter.prefix(version, &address)
    };
    assert_eq!(verdict("10.2.3.4"), Verdict::Include);
    assert_eq!(verdict("10.1.3.4"), Verdict::Exclude);
    assert_eq!(verdict("10.1.0.7"), Verdict::Include);
    assert_eq!(verdict("11.0.0.1"), Verdict::Unnamed);
    assert_eq!(verdict("2001:db8::1"), Verdict::Include);
}

#[test]
fn a_range_of_ports_has_both_its_ends() {
    let filter = CaptureFilter::parse(&["port 63-128 not port 100"]).unwrap();
    let included = |port| filter.port(port) == Verdict::Include;
    assert!(!included(62) && included(63) && included(64) && included(128) && !included(129));
    assert_eq!(filter.port(100), Verdict::Exclude);
    assert_eq!(CaptureFilter::parse(&["port 0-65535"]).unwrap().port(65535), Verdict::Include);
}

#[test]
fn what_is_not_understood_is_named() {
    for (rule, named) in [
        ("tcp", "'tcp' is none of"),
        ("net", "nothing follows 'net'"),
        ("not", "nothing follows 'not'"),
        ("net 10.0.0.0", "host 10.0.0.0"),
        ("net 10.0.0.0/33", "'33'"),
        ("net 10.0.0.1/8", "bits behind"),
        ("net 10.0.0.0/8 not net 10.0.0.0/8", "with and without 'not'"),
        ("host 10.0.0", "no IPv4 or IPv6 address"),
        ("port 65536", "'65536' is no port"),
        ("port 80-22", "runs backwards"),
        ("proto 256", "'256' is no protocol"),
        ("proto tcp,", "'' is no protocol"),
    ] {
        let message = CaptureFilter::parse(&[rule]).unwrap_err().to_string();
        assert!(message.contains(named) && message.contains(rule), "{rule}: {message}");
    }
}
