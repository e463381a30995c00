//! The command line as people type it: what it means, and what is said when it is wrong.

use std::net::IpAddr;
use std::time::Duration;

use clap::CommandFactory;
use standin::checks::{Concerns, Probe};
use standin::cli::{Cli, ForOptions, Refusal, Request, parse};
use standin::failure::Code;
use standin_core::config::{Failback, OnAnswer, OnCheckFailure};

/// A command line without quotes, split at spaces.
fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(String::from).collect()
}

fn accept(line: &str) -> ForOptions {
    match parse(words(line)) {
        Ok(Request::For(options)) => *options,
        other => panic!("{line}: {other:?}"),
    }
}

/// The whole text that is shown for a refused line.
fn refuse(line: &str) -> String {
    match parse(words(line)) {
        Err(Refusal::Clap(error)) => error.to_string(),
        Err(Refusal::Failure(failure)) => {
            assert_eq!(failure.code(), Code::Usage, "{line}");
            failure.to_string()
        }
        Ok(request) => panic!("{line}: {request:?}"),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn the_articles_line_is_understood() {
    let options = accept("standin for brain --vip 208.201.239.37 --own 208.201.239.36");
    assert_eq!(options.host, "brain");
    assert_eq!(options.vips, [ip("208.201.239.37")]);
    assert_eq!(options.own, [ip("208.201.239.36")]);
    assert_eq!(options.dead_after, Duration::from_secs(1));
    assert_eq!(options.back_after, Duration::from_secs(1));
    assert_eq!(options.interval, None);
    assert_eq!(options.failback, Failback::Yes);
    assert_eq!(options.on_answer, OnAnswer::Wait);
    assert_eq!(options.on_check_failure, OnCheckFailure::Takeover);
    assert!(options.checks.is_empty());
}

#[test]
fn every_flag_reaches_the_options() {
    let options = accept(
        "standin for 10.0.0.2 --vip 10.0.0.9 --vip 10.0.0.10 --interface eth0 --prefix 24 \
         --dead-after 9s --interval 3s --back-after 500ms --label brain --failback 30s \
         --on-check-failure warn --on-answer takeover --socket /run/x.sock --log json \
         --log-level debug",
    );
    assert_eq!(options.vips.len(), 2);
    assert_eq!(options.interface.as_deref(), Some("eth0"));
    assert_eq!(options.prefix, Some(24));
    assert_eq!(options.dead_after, Duration::from_secs(9));
    assert_eq!(options.interval, Some(Duration::from_secs(3)));
    assert_eq!(options.back_after, Duration::from_millis(500));
    assert_eq!(options.label.as_deref(), Some("brain"));
    assert_eq!(options.failback, Failback::After(Duration::from_secs(30)));
    assert_eq!(options.on_check_failure, OnCheckFailure::Warn);
    assert_eq!(options.on_answer, OnAnswer::Takeover);
    assert_eq!(options.socket.as_deref(), Some(std::path::Path::new("/run/x.sock")));
    assert_eq!(options.log, standin::log::Format::Json);
    assert_eq!(options.log_level, standin::log::Level::Debug);
}

#[test]
fn a_modifier_applies_to_the_check_before_it() {
    let options = accept(
        "standin for brain --vip 10.0.0.9 --rise 4 --check http://10.0.0.9/ \
         --expect-text </html> --check-interval 5s --check https://www.example.org/ --insecure \
         --expect-status 200-299,401 --check tcp:22 --check-timeout 200ms --rise 1 --fall 9",
    );
    let [page, secure, tcp] = options.checks.as_slice() else { panic!("{:?}", options.checks) };
    let (Probe::Http(page_probe), Probe::Http(secure_probe)) = (&page.probe, &secure.probe) else {
        panic!("{:?}", options.checks)
    };
    assert_eq!(page_probe.expect_text.as_deref(), Some("</html>"));
    assert_eq!(page.timing.interval, Duration::from_secs(5));
    assert_eq!(page.timing.timeout, Duration::from_secs(1));
    assert_eq!((page.timing.rise, page.timing.fall), (4, 3));
    assert!(page_probe.expect_status.contains(302));
    assert_eq!(page.probe.concerns(), Concerns::One(ip("10.0.0.9")));
    assert_eq!(secure_probe.expect_text, None);
    assert!(secure_probe.tls.insecure && !page_probe.tls.insecure);
    assert!(secure_probe.expect_status.contains(401) && !secure_probe.expect_status.contains(302));
    assert_eq!(secure.timing.interval, Duration::from_secs(1));
    assert_eq!(secure.probe.concerns(), Concerns::Every);
    assert_eq!(tcp.timing.timeout, Duration::from_millis(200));
    assert_eq!((tcp.timing.rise, tcp.timing.fall), (1, 9));
}

#[test]
fn a_modifier_before_every_check_applies_to_those_that_can_have_it() {
    let options = accept(
        "standin for brain --vip 10.0.0.9 --insecure --expect-text ok --check-timeout 2s \
         --check tcp:22 --check http://{vip}/ --check https://{vip}/ --insecure",
    );
    for check in &options.checks {
        assert_eq!(check.timing.timeout, Duration::from_secs(2));
        assert_eq!(check.timing.interval, Duration::from_secs(2));
        if let Probe::Http(http) = &check.probe {
            assert_eq!(http.expect_text.as_deref(), Some("ok"));
            assert_eq!(http.tls.insecure, http.url.tls);
        }
    }
}

#[test]
fn wrong_lines_are_refused_with_what_was_wrong_and_what_to_do() {
    for (line, fragments) in [
        ("standin for brain", &["no address to stand in for", "--vip ADDRESS"][..]),
        ("standin for brain --vip 10.0.0.9 --vip 10.0.0.9", &["--vip 10.0.0.9 is given twice"]),
        ("standin for brain --vip 10.0.0.9 --own 10.0.0.9", &["both --vip and --own"]),
        ("standin for 10.0.0.9 --vip 10.0.0.9", &["both HOST and an address"]),
        ("standin for brain --vip 0.0.0.0", &["the unspecified address"]),
        ("standin for brain --vip ::", &["the unspecified address"]),
        ("standin for brain --vip 224.0.0.1", &["a multicast address"]),
        ("standin for brain --vip ff02::1", &["a multicast address"]),
        ("standin for brain --vip 127.0.0.1", &["a loopback address"]),
        ("standin for brain --own ::1", &["a loopback address"]),
        ("standin for brain --vip 255.255.255.255", &["the broadcast address"]),
        ("standin for brain --vip 240.0.0.1", &["not for hosts"]),
        ("standin for brain --vip ::ffff:10.0.0.1", &["IPv4 address in IPv6's clothes"]),
        ("standin for brain --vip 10.0.0.9/24", &["say 10.0.0.9 alone", "--prefix"]),
        ("standin for brain --vip fe80::1%eth0", &["name the interface by --interface"]),
        ("standin for brain --vip www", &["not an IPv4 or IPv6 address"]),
        ("standin for 0.0.0.0 --vip 10.0.0.9", &["HOST 0.0.0.0 is the unspecified"]),
        (
            "standin for brain --vip 10.0.0.9 --prefix 33",
            &["--prefix 33 is out of range", "1 to 32"],
        ),
        ("standin for brain --vip 10.0.0.9 --prefix 0", &["out of range"]),
        ("standin for brain --vip 10.0.0.9 --prefix 300", &["300"]),
        (
            "standin for brain --vip fd00::9 --vip 10.0.0.9 --prefix 64",
            &["out of range for 10.0.0.9"],
        ),
        ("standin for brain --vip 10.0.0.9 --dead-after 5", &["unit is missing", "5s or 5ms"]),
        (
            "standin for brain --vip 10.0.0.9 --dead-after -1s",
            &["'-1s' for '--dead-after <DURATION>'", "cannot be negative"],
        ),
        ("standin for brain --vip 10.0.0.9 --prefix x", &["a number from 0 to 255"]),
        ("standin for brain --vip 10.0.0.9,10.0.0.10", &["one address each time"]),
        ("standin for brain --vip 10.0.0.9-10.0.0.20", &["one address each time"]),
        ("standin for brain --vip 10.0.0.9 --dead-after 4ms", &["from 5ms to 1h"]),
        ("standin for brain --vip 10.0.0.9 --dead-after 2h", &["from 5ms to 1h"]),
        (
            "standin for brain --vip 10.0.0.9 --dead-after 1s --interval 600ms",
            &["too small for --interval 600ms", "--dead-after 1.8s", "--interval 333.333ms"],
        ),
        ("standin for brain --vip 10.0.0.9 --interval 0ms", &["at least 1ms"]),
        ("standin for brain --vip 10.0.0.9 --back-after 48h", &["at most a day"]),
        ("standin for brain --vip 10.0.0.9 --failback maybe", &["yes, no or a duration"]),
        ("standin for brain --vip 10.0.0.9 --on-answer wate", &["wait", "takeover"]),
        ("standin for brain --vip 10.0.0.9 --on-check-failure ignore", &["takeover", "warn"]),
        ("standin for brain --vip 10.0.0.9 --label a/b", &["cannot be a label"]),
        (
            "standin for brain --vip 10.0.0.9 --check http:/x",
            &["no kind of check", "http://…, https://…, tcp:"],
        ),
        ("standin for brain --vip 10.0.0.9 --check http://10.0.0.9:0/", &["'0' is not a port"]),
        (
            "standin for brain --vip 10.0.0.9 --check http://10.0.0.8/",
            &["10.0.0.8, which is no --vip"],
        ),
        ("standin for brain --own 10.0.0.9 --check tcp:22", &["has no --vip"]),
        (
            "standin for brain --vip 10.0.0.9 --check tcp:22 --expect-text x",
            &["--expect-text does not apply to --check tcp:{vip}:22", "behind its --check"],
        ),
        (
            "standin for brain --vip 10.0.0.9 --check http://{vip}/ --insecure",
            &["--insecure does not apply", "https://"],
        ),
        ("standin for brain --vip 10.0.0.9 --insecure --check tcp:22", &["no https:// check"]),
        ("standin for brain --vip 10.0.0.9 --rise 2", &["--rise has no check to apply to"]),
        ("standin for brain --vip 10.0.0.9 --check tcp:22 --rise 0", &["0"]),
        ("standin for brain --vip 10.0.0.9 --check tcp:22 --check-interval 1ms", &["10ms to 1h"]),
        (
            "standin for brain --vip 10.0.0.9 --check tcp:22 --check-interval 1s --check-timeout 2s",
            &["a timeout above zero and at most the interval"],
        ),
        ("standin for brain --vip 10.0.0.9 --check tcp:22 --check-timeout 0s", &["above zero"]),
        ("standin for brain --vip 10.0.0.9 --dead-atfer 1s", &["--dead-after"]),
        ("standin anounce 10.0.0.9", &["'announce'"]),
        ("standin announce 10.0.0.9 --mac 02:00", &["expected six groups"]),
        ("standin announce 10.0.0.9 --mac ff:ff:ff:ff:ff:ff", &["a group address"]),
        ("standin announce 10.0.0.9 --request --reply", &["cannot be used with"]),
        ("standin announce 10.0.0.9 --count 0", &["a number from 1 to 4294967295"]),
        ("standin announce 10.0.0.9 -c -1", &["'-1' for '--count <N>'", "a number from 1"]),
        ("standin announce 10.0.0.9 --interval 0s", &["expected 1ms to 3600s"]),
        ("standin watch --interval 0s", &["expected 10ms to 3600s"]),
        ("standin watch --interval 99999999999h", &["expected 10ms to 3600s"]),
        ("standin status --json -1", &["'-1' for '--json'"]),
        ("standin run -1", &["'-1'"]),
        ("standin send-arp fd00::1 02:00:00:00:00:01 10.0.0.1 ff:ff:ff:ff:ff:ff", &["has no ARP"]),
    ] {
        let text = refuse(line);
        for fragment in fragments {
            assert!(text.contains(fragment), "{line}: '{fragment}' is not in:\n{text}");
        }
    }
}

#[test]
fn a_password_in_a_url_is_not_repeated_by_an_error() {
    let text = refuse("standin for brain --vip 10.0.0.9 --check http://u:hunter2@10.0.0.8/");
    assert!(!text.contains("hunter2"), "{text}");
    let text = refuse("standin for brain --vip 10.0.0.9 --check http://u:hunter2@10.0.0.9:0/");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains("--check 'http://***@10.0.0.9:0/': '0' is not a port"), "{text}");
}

#[test]
fn help_tells_every_flag_and_gives_examples() {
    let text = refuse("standin for --help");
    for flag in [
        "--vip",
        "--own",
        "--interface",
        "--prefix",
        "--label",
        "--dead-after",
        "--interval",
        "--back-after",
        "--failback",
        "--on-answer",
        "--on-check-failure",
        "--check",
        "--expect-text",
        "--expect-status",
        "--insecure",
        "--server-name",
        "--ca-file",
        "--check-interval",
        "--check-timeout",
        "--rise",
        "--fall",
        "--socket",
        "--log",
        "--log-level",
        "Examples:",
        "A modifier applies to the --check before it",
    ] {
        assert!(text.contains(flag), "{flag} is not in:\n{text}");
    }
}

#[test]
fn announce_and_send_arp_take_what_their_models_take() {
    let Ok(Request::Announce(args)) = parse(words(
        "standin announce 10.0.0.9 --interface eth0 --mac 02:00:00:00:00:01 \
         --to 02:00:00:00:00:02 --count 3 --interval 10ms --reply",
    )) else {
        panic!("refused")
    };
    assert_eq!(args.forms(), standin::announce::Forms::Reply);
    assert_eq!((args.count, args.interval), (3, Duration::from_millis(10)));
    let Ok(Request::SendArp(args)) =
        parse(words("standin send-arp 10.0.0.9 02:00:00:00:00:01 10.0.0.1 ff:ff:ff:ff:ff:ff"))
    else {
        panic!("refused")
    };
    assert_eq!(args.source_ip.to_string(), "10.0.0.9");
    assert_eq!(args.target_mac.to_string(), "ff:ff:ff:ff:ff:ff");
}

#[test]
fn the_commands_of_a_cluster_take_their_words() {
    for line in [
        "run",
        "run ./standin.toml --node brain --log json --log-level debug",
        "status --socket /tmp/s --json",
        "watch --interval 1s",
        "explain 10.0.0.9 --json",
        "plan --fail brain,snowball",
        "plan --fail brain --fail snowball",
        "move 10.0.0.9 brain",
        "move web --back",
        "drain brain",
        "undrain brain",
        "reload",
        "stop --keep",
    ] {
        let refused = parse(words(&format!("standin {line}"))).err();
        assert!(refused.is_none(), "{line}: {refused:?}");
    }
    for line in
        ["move 10.0.0.9", "move 10.0.0.9 brain --back", "plan", "drain", "watch --interval 1"]
    {
        assert!(parse(words(&format!("standin {line}"))).is_err(), "{line}");
    }
}

#[test]
fn every_command_shows_examples_that_fit_on_the_screen() {
    for command in Cli::command().get_subcommands() {
        let (name, after) = (command.get_name(), command.get_after_help());
        let shown = after.map(ToString::to_string).unwrap_or_default();
        // What stands there is on the screen as it is up to this width.
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{name}: {shown}");
        if name != "watch" {
            assert!(shown.contains(&format!("\n  standin {name}")), "{name} has no example");
        }
    }
}

#[test]
fn help_is_asked_for_in_either_way() {
    for (asked, means) in [
        ("standin help", "standin --help"),
        ("standin help for", "standin for --help"),
        ("standin help move 10.0.0.9", "standin move --help"),
    ] {
        assert_eq!(refuse(asked), refuse(means));
    }
    assert!(refuse("standin help narf").contains("unrecognized subcommand 'narf'"));
    assert_eq!(accept("standin for help --vip 10.0.0.9").host, "help");
}

#[test]
fn a_question_and_an_echo_are_checks_as_well() {
    let options = accept(
        "standin for brain --vip 10.0.0.9 --check dns:www.example.org --expect-text 192.0.2.7 \
         --check icmp --check-interval 5s",
    );
    let [dns, icmp] = options.checks.as_slice() else { panic!("{options:?}") };
    let Probe::Dns(asked) = &dns.probe else { panic!("{dns:?}") };
    assert_eq!(asked.expect_text.as_deref(), Some("192.0.2.7"));
    assert_eq!(
        (icmp.probe.to_string().as_str(), icmp.timing.interval.as_secs()),
        ("icmp:{vip}", 5)
    );
    let line = "standin for brain --vip 10.0.0.9 --check icmp --expect-text x";
    assert!(refuse(line).contains("needs http://, https:// or dns:"));
    let line = "standin for brain --vip 10.0.0.9 --check icmp:10.0.0.8";
    assert!(refuse(line).contains("is about 10.0.0.8, which is no --vip"));
}
