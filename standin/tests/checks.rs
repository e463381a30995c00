//! Checks against real servers on loopback.

mod servers;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use servers::{Http, Tls, page, silent_listener};
use standin::checks::{Check, Outcome, Probe, Prober, StatusSet, Target, Timing};

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 8, 7));

fn target() -> Target {
    Target {
        connect: IpAddr::V4(Ipv4Addr::LOCALHOST),
        vip: VIP,
        host: "brain".into(),
        interface_index: 0,
    }
}

fn check(probe: &str, timeout: Duration) -> Check {
    let probe = Probe::parse(probe).expect(probe);
    let timing = Timing { interval: Duration::from_secs(10), timeout, rise: 1, fall: 1 };
    Check { probe, timing }
}

fn run(check: Check) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let prober = Prober::new(check).expect("a prober");
    runtime.expect("a runtime").block_on(async { prober.run(&target()).await })
}

fn why(check: Check) -> String {
    match run(check) {
        Outcome::Failed { why } => why,
        ok @ Outcome::Ok { .. } => panic!("{ok:?}"),
    }
}

fn with_http(mut check: Check, change: impl FnOnce(&mut standin::checks::HttpProbe)) -> Check {
    let Probe::Http(http) = &mut check.probe else { panic!("no HTTP check") };
    change(http);
    check
}

const LONG: Duration = Duration::from_secs(10);

#[test]
fn a_page_with_its_text_is_fine_and_the_virtual_host_is_the_urls() {
    let server = Http::serving(page("200 OK", "<html></html>"));
    let url = format!("http://www.example.org:{}/a?b", server.port);
    let check = with_http(check(&url, LONG), |http| http.expect_text = Some("</html>".into()));
    assert!(run(check).is_ok());
    let request = server.request();
    assert!(request.starts_with("GET /a?b HTTP/1.1\r\n"), "{request}");
    let host = format!("host: www.example.org:{}\r\n", server.port);
    assert!(request.to_lowercase().contains(&host), "{request}");
}

#[test]
fn a_vip_in_the_url_is_the_host_header_wherever_we_connect() {
    let server = Http::serving(page("200 OK", ""));
    let url = format!("http://pinky:narf@{{vip}}:{}/", server.port);
    assert!(run(check(&url, LONG)).is_ok());
    let request = server.request().to_lowercase();
    assert!(request.contains(&format!("host: 10.9.8.7:{}\r\n", server.port)), "{request}");
    assert!(request.contains("authorization: basic cglua3k6bmfyzg==\r\n"), "{request}");
}

#[test]
fn text_is_found_across_chunks() {
    let body = "5\r\n</htm\r\n2\r\nl>\r\n0\r\n\r\n";
    let reply = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let server = Http::serving(reply.into_bytes());
    let url = format!("http://{{vip}}:{}/", server.port);
    let check = with_http(check(&url, LONG), |http| http.expect_text = Some("</html>".into()));
    assert!(run(check).is_ok());
}

#[test]
fn missing_text_is_named_with_the_size_of_the_page() {
    let server = Http::serving(page("200 OK", &"x".repeat(1532)));
    let url = format!("http://{{vip}}:{}/", server.port);
    let check = with_http(check(&url, LONG), |http| http.expect_text = Some("</html>".into()));
    assert_eq!(why(check), "no '</html>' in 1532 bytes");
}

#[test]
fn only_the_first_mebibyte_is_read() {
    let server = Http::serving(page("200 OK", &format!("{}</html>", "x".repeat(1 << 20))));
    let url = format!("http://{{vip}}:{}/", server.port);
    let check = with_http(check(&url, LONG), |http| http.expect_text = Some("</html>".into()));
    assert_eq!(why(check), "no '</html>' in the first MiB");
}

#[test]
fn a_page_that_breaks_off_is_a_failure() {
    let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".to_vec();
    let server = Http::serving(reply);
    let url = format!("http://{{vip}}:{}/", server.port);
    let check = with_http(check(&url, LONG), |http| http.expect_text = Some("</html>".into()));
    let why = why(check);
    assert!(why.starts_with("the page broke off after 5 bytes"), "{why}");
}

#[test]
fn status_codes_are_judged_and_redirects_are_not_followed() {
    let server = Http::serving(page("503 Service Unavailable", ""));
    let why = why(check(&format!("http://{{vip}}:{}/", server.port), LONG));
    assert!(why.starts_with("HTTP 503 after "), "{why}");
    assert!(why.ends_with(" ms, expected 2xx or 3xx"), "{why}");

    let redirect = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\
                     Content-Length: 0\r\n\r\n";
    let server = Http::serving(redirect.to_vec());
    let url = format!("http://{{vip}}:{}/", server.port);
    assert!(run(check(&url, LONG)).is_ok());
    let strict = with_http(check(&url, LONG), |http| {
        http.expect_status = StatusSet::parse("200-299").expect("a set");
    });
    let why = self::why(strict);
    assert!(why.ends_with("expected 200-299"), "{why}");
}

#[test]
fn what_is_not_http_is_a_failure() {
    let server = Http::serving(b"SSH-2.0-x\r\n".to_vec());
    let why = why(check(&format!("http://{{vip}}:{}/", server.port), LONG));
    assert!(why.contains("not HTTP"), "{why}");
}

#[test]
fn an_endless_head_is_not_read_to_its_end() {
    let reply = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let server = Http::serving(reply.into_bytes());
    let why = why(check(&format!("http://{{vip}}:{}/", server.port), LONG));
    assert!(why.contains("head is too large"), "{why}");
}

#[test]
fn a_refused_connection_is_said_so() {
    let port = servers::closed_port();
    assert_eq!(why(check(&format!("http://{{vip}}:{port}/"), LONG)), "connection refused");
    assert_eq!(why(check(&format!("tcp:{port}"), LONG)), "connection refused");
}

#[test]
fn an_open_port_is_enough_for_the_tcp_check() {
    let (_listener, port) = silent_listener();
    assert!(run(check(&format!("tcp:{port}"), LONG)).is_ok());
}

#[test]
fn a_silent_server_is_given_up_at_the_timeout_with_what_was_waited_for() {
    let (_listener, port) = silent_listener();
    let timeout = Duration::from_millis(50);
    let plain = why(check(&format!("http://{{vip}}:{port}/"), timeout));
    assert_eq!(plain, "no result within 50ms (waiting for the answer)");
    let secure = with_http(check(&format!("https://{{vip}}:{port}/"), timeout), |http| {
        http.tls.insecure = true;
    });
    assert_eq!(why(secure), "no result within 50ms (TLS handshake)");
}

#[test]
fn a_certificate_has_to_be_valid_for_the_vip_or_the_given_name() {
    let tls = Tls::for_names(&["10.9.8.7", "www.example.org"]);
    let server = Http::serving_tls(page("200 OK", "fine"), &tls);
    let trusting = |url: String| {
        with_http(check(&url, LONG), |http| http.tls.ca_file = Some(tls.ca_file.clone()))
    };
    assert_eq!(why_or_ok(trusting(format!("https://{{vip}}:{}/", server.port))), "ok");
    let by_name = trusting(format!("https://www.example.org:{}/", server.port));
    assert_eq!(why_or_ok(by_name), "ok");
    let other_name = trusting(format!("https://www.example.net:{}/", server.port));
    assert_eq!(why_or_ok(other_name.clone()), "TLS: certificate is not valid for www.example.net");
    let given = with_http(other_name, |http| {
        http.tls.server_name = Some("www.example.org".into());
    });
    assert_eq!(why_or_ok(given), "ok");
}

fn why_or_ok(check: Check) -> String {
    match run(check) {
        Outcome::Ok { .. } => "ok".into(),
        Outcome::Failed { why } => why,
    }
}

#[test]
fn a_wrong_or_unknown_certificate_is_refused_unless_insecure() {
    let tls = Tls::for_names(&["10.0.0.5"]);
    let server = Http::serving_tls(page("200 OK", "fine"), &tls);
    let url = format!("https://{{vip}}:{}/", server.port);
    let known = with_http(check(&url, LONG), |http| http.tls.ca_file = Some(tls.ca_file.clone()));
    assert_eq!(why(known), "TLS: certificate is not valid for 10.9.8.7");
    let other_ca = Tls::for_names(&["10.9.8.7"]);
    let unknown =
        with_http(check(&url, LONG), |http| http.tls.ca_file = Some(other_ca.ca_file.clone()));
    assert_eq!(why(unknown), "TLS: certificate is from an unknown issuer");
    let insecure = with_http(check(&url, LONG), |http| http.tls.insecure = true);
    assert_eq!(why_or_ok(insecure), "ok");
}

#[test]
fn an_authority_that_serves_is_named_as_that() {
    let tls = Tls::self_signed_authority("10.9.8.7");
    let server = Http::serving_tls(page("200 OK", "fine"), &tls);
    let url = format!("https://{{vip}}:{}/", server.port);
    let trusted = with_http(check(&url, LONG), |http| http.tls.ca_file = Some(tls.ca_file.clone()));
    assert_eq!(
        why(trusted),
        "TLS: certificate is an authority's (CA:TRUE), which a server may not show as its own"
    );
}

#[test]
fn plain_http_behind_https_is_said_so() {
    let server = Http::serving(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    let url = format!("https://{{vip}}:{}/", server.port);
    let insecure = with_http(check(&url, LONG), |http| http.tls.insecure = true);
    assert_eq!(why(insecure), "TLS: the answer is not TLS");
}

#[test]
fn a_ca_file_has_to_be_readable_and_to_hold_certificates() {
    for (path, reason) in [
        ("/no/such/file", "no such file"),
        ("/dev/null", "it is no regular file"),
        (concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "there is no certificate in it"),
    ] {
        let check = with_http(check("https://{vip}/", LONG), |http| {
            http.tls.ca_file = Some(path.into());
        });
        let failure = Prober::new(check).expect_err(path);
        assert!(failure.what().contains(reason), "{failure}");
    }
}

#[test]
fn a_command_is_judged_by_its_exit_status_and_quoted_by_its_first_line() {
    assert!(run(check("command:true", LONG)).is_ok());
    assert_eq!(why(check("command:sh -c 'exit 3'", LONG)), "exit status 3");
    let spoken = "command:sh -c 'echo; echo disk full >&2; echo more >&2; exit 1'";
    assert_eq!(why(check(spoken, LONG)), "exit status 1: disk full");
    assert_eq!(why(check("command:sh -c 'kill -9 $$'", LONG)), "killed by signal 9");
    assert_eq!(
        why(check("command:/no/such/program", LONG)),
        "cannot run /no/such/program: no such file or directory"
    );
}

#[test]
fn a_command_is_told_what_it_is_about() {
    let test = "command:sh -c 'test \"$STANDIN_VIP $STANDIN_ADDRESS $STANDIN_HOST\" = \
                \"10.9.8.7 127.0.0.1 brain\"'";
    assert!(run(check(test, LONG)).is_ok());
}

#[test]
fn a_chatty_command_does_not_block_on_its_output() {
    assert!(run(check("command:head -c 1000000 /dev/zero", LONG)).is_ok());
    let long = "command:sh -c 'head -c 5000 /dev/zero | tr \\\\0 x; exit 1'";
    assert_eq!(why(check(long, LONG)), format!("exit status 1: {}", "x".repeat(200)));
}

#[test]
fn a_background_child_that_keeps_the_pipe_does_not_delay_the_result_and_does_not_stay() {
    let file = servers::directory("left").join("pid");
    for status in [0, 1] {
        let start = Instant::now();
        let line =
            format!("command:sh -c 'sleep 60 & echo $! > {}; exit {status}'", file.display());
        assert_eq!(run(check(&line, LONG)).is_ok(), status == 0);
        assert!(start.elapsed() < Duration::from_secs(30));
        let pid = std::fs::read_to_string(&file).expect("the command ran");
        servers::wait_until("it has gone", || servers::has_ended(pid.trim()));
    }
}

#[test]
fn at_its_timeout_a_command_is_killed_with_its_children() {
    let directory = servers::directory("group");
    let file = directory.join("pids");
    let line = format!(
        "command:sh -c 'sleep 60 & echo $$ $! > {0}.new && mv {0}.new {0}; wait'",
        file.display()
    );
    // Long enough for the shell to have started its child on a busy machine; the run ends by it.
    let why = why(check(&line, Duration::from_secs(2)));
    assert_eq!(why, "no result within 2s (the command is still running)");
    let pids = std::fs::read_to_string(&file).expect("the command ran");
    for pid in pids.split_whitespace() {
        servers::wait_until(&format!("process {pid} has gone"), || servers::has_ended(pid));
    }
}

#[test]
fn a_commands_own_time_limit_works_although_the_fast_loop_blocks_signals() {
    let _blocked = standin_sys::signal::Signals::block(&[standin_sys::signal::SIGTERM]);
    // timeout(1) ends its child by SIGTERM and exits with 124.
    let why = why(check("command:timeout 0.1 sleep 60", LONG));
    assert_eq!(why, "exit status 124");
}

#[test]
fn a_page_that_is_packed_all_the_same_is_named_as_that() {
    let reply = b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\xff".to_vec();
    let server = Http::serving(reply);
    let url = format!("http://{{vip}}:{}/", server.port);
    let check = with_http(check(&url, LONG), |http| http.expect_text = Some("</html>".into()));
    assert_eq!(
        why(check),
        "no '</html>' in 4 bytes: the server packs it as gzip though it was asked not to"
    );
    assert!(server.request().to_lowercase().contains("accept-encoding: identity\r\n"));
}
