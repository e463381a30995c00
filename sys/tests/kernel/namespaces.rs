//! Namespaces: what is inside, who follows whom, and that children can be put there.

use std::process::{Command, ExitCode};

use standin_sys::netlink::RouteSocket;
use standin_sys::netns::{
    self, NamespaceError, NetNamespace, UserNamespaceOptions, enter_user_namespace,
};
use standin_sys::process::CommandExt;
use standin_sys::sysctl;

use crate::Case;
use crate::world::route_in;

pub const CASES: &[Case] = &[
    ("a new namespace has only lo, up", only_loopback),
    ("the caller stays where it is", caller_stays),
    ("sysctls follow the thread", sysctls_follow_the_thread),
    ("a child starts inside", child_inside),
    ("a panic inside reaches the caller", panic_reaches_the_caller),
    ("a host that forbids user namespaces is named", forbidden),
    ("mounts and processes of one's own", all_namespaces),
];

/// The argument that makes this program its own child, in [`forbidden_child`].
pub const FORBIDDEN: &str = "--enter-where-it-is-forbidden";
/// The same for [`all_namespaces_child`].
pub const ALL: &str = "--enter-all";

fn only_loopback() {
    let namespace = NetNamespace::create().unwrap();
    let links = route_in(&namespace).links().unwrap();
    assert_eq!(links.len(), 1);
    assert!(links[0].name == "lo" && links[0].loopback && links[0].up);
    assert_eq!(links[0].index, netns::LOOPBACK_INDEX);
}

fn caller_stays() {
    let namespace = NetNamespace::create().unwrap();
    let mut inside = route_in(&namespace);
    inside.create_bridge("only-inside", true).unwrap();
    assert!(inside.link_by_name("only-inside").is_ok());
    let error = RouteSocket::open().unwrap().link_by_name("only-inside").unwrap_err();
    assert_eq!(error.to_string(), "look up interface only-inside: No such device");
}

fn sysctls_follow_the_thread() {
    let (one, other) = (NetNamespace::create().unwrap(), NetNamespace::create().unwrap());
    let key = sysctl::interface_key(4, "lo", "arp_ignore");
    one.run(|| sysctl::write(&key, "1")).unwrap().unwrap();
    assert_eq!(one.run(|| sysctl::read_number(&key)).unwrap().unwrap(), 1);
    assert_eq!(other.run(|| sysctl::read_number(&key)).unwrap().unwrap(), 0);
    let error = one.run(|| sysctl::write("net/ipv4/ip_forward", "seven")).unwrap().unwrap_err();
    assert!(error.to_string().starts_with("set sysctl net/ipv4/ip_forward to seven: "));
}

fn child_inside() {
    let namespace = NetNamespace::create().unwrap();
    let key = sysctl::interface_key(4, "lo", "arp_ignore");
    namespace.run(|| sysctl::write(&key, "2")).unwrap().unwrap();
    let mut command = Command::new("cat");
    command.arg("/proc/sys/net/ipv4/conf/lo/arp_ignore").stdout(std::process::Stdio::piped());
    let child = netns::spawn_in(&namespace, &mut command).unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"2\n");
    let error = netns::spawn_in(&namespace, &mut Command::new("/no/such/program")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "start /no/such/program in a network namespace: No such file or directory"
    );
}

fn panic_reaches_the_caller() {
    let namespace = NetNamespace::create().unwrap();
    let outcome =
        std::panic::catch_unwind(|| namespace.run(|| std::panic::resume_unwind(Box::new(7))));
    assert_eq!(outcome.unwrap_err().downcast_ref::<i32>(), Some(&7));
}

fn output_of_itself(argument: &str) -> String {
    let itself = std::env::current_exe().unwrap();
    let output = Command::new(itself).arg(argument).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn forbidden() {
    assert_eq!(
        output_of_itself(FORBIDDEN),
        "enter a user namespace: No space left on device: this host forbids unprivileged user \
         namespaces; user.max_user_namespaces is 0, needs more than 0"
    );
}

/// Forbids user namespaces inside one of its own, and then asks for another.
pub fn forbidden_child() -> ExitCode {
    enter_user_namespace(UserNamespaceOptions::default()).unwrap();
    sysctl::write("user/max_user_namespaces", "0").unwrap();
    let error = enter_user_namespace(UserNamespaceOptions::default()).unwrap_err();
    println!("{error}");
    assert!(matches!(error, NamespaceError::Forbidden { .. }));
    // Who is privileged already needs no user namespace.
    let options = UserNamespaceOptions { keep_user_if_privileged: true, ..Default::default() };
    enter_user_namespace(options).unwrap();
    ExitCode::SUCCESS
}

fn all_namespaces() {
    assert_eq!(output_of_itself(ALL), "process 1, user 0");
}

/// Enters everything; its first child is process 1 there, and may mount.
pub fn all_namespaces_child() -> ExitCode {
    let options = UserNamespaceOptions { mounts: true, processes: true, ..Default::default() };
    enter_user_namespace(options).unwrap();
    let script = "echo process $$, user $(id -u) && mount -t tmpfs none /tmp";
    let status = Command::new("sh").args(["-c", script]).die_with_parent().status().unwrap();
    assert!(status.success());
    ExitCode::SUCCESS
}
