//! From statements to a [`Configuration`], keyword by keyword.
//!
//! Invariant: every statement is either read into the configuration or remarked on. Values of
//! `authentication` are never looked at.

mod addresses;

use std::time::Duration;

use super::keywords;
use super::model::{
    Configuration, Event, Instance, Notify, Said, Script, SyncGroup, Tracked, Tracking,
};
use super::remarks::{Kind, Remark, Remarks};
use super::texts::Fault;
use super::tree::Statement;
use super::words::Word;
use crate::checks::words as shell;
use crate::duration;

/// The keywords that are translated.
pub const KEYWORDS: &[&str] = &[
    "vrrp_instance",
    "vrrp_sync_group",
    "vrrp_script",
    "global_defs",
    "router_id",
    "default_interface",
    "vrrp_version",
    "vrrp_down_timer_adverts",
    "group",
    "state",
    "interface",
    "virtual_router_id",
    "priority",
    "virtual_ipaddress",
    "virtual_ipaddress_excluded",
    "unicast_src_ip",
    "mcast_src_ip",
    "unicast_peer",
    "advert_int",
    "version",
    "down_timer_adverts",
    "nopreempt",
    "preempt",
    "preempt_delay",
    "track_script",
    "track_interface",
    "notify_master",
    "notify_backup",
    "script",
    "interval",
    "timeout",
    "rise",
    "fall",
    "weight",
];

/// Reads a file's statements.
pub fn read(
    statements: &[Statement],
    faults: &mut Vec<Fault>,
    remarks: &mut Remarks,
) -> Configuration {
    let mut reader = Reader { faults, remarks };
    let mut configuration = Configuration::default();
    for statement in statements {
        match statement.keyword() {
            "global_defs" => reader.global(statement, &mut configuration),
            "vrrp_instance" => {
                let instance = reader.instance(statement);
                configuration.instances.push(instance);
            }
            "vrrp_sync_group" => {
                let group = reader.group(statement);
                configuration.groups.push(group);
            }
            "vrrp_script" => {
                let script = reader.script(statement);
                configuration.scripts.push(script);
            }
            _ => reader.other(statement),
        }
    }
    configuration
}

struct Reader<'a> {
    faults: &'a mut Vec<Fault>,
    remarks: &'a mut Remarks,
}

impl Reader<'_> {
    fn remark(&mut self, kind: Kind, statement: &Statement, message: &str) {
        self.remarks.push(Remark::new(kind, statement.place, statement.keyword(), message));
    }

    /// A keyword that is not translated.
    fn other(&mut self, statement: &Statement) {
        let keyword = statement.keyword();
        let remark = |kind, message: &str| Remark::new(kind, statement.place, keyword, message);
        let remark = match (keywords::advice(keyword), keywords::nearest(keyword)) {
            (Some((kind, message, Some(to_do))), _) => remark(kind, message).advise(to_do),
            (Some((kind, message, None)), _) => remark(kind, message),
            (None, meant) => {
                remark(Kind::Left, "this keyword is not known here").advise(meant.map_or_else(
                    || "look it up in keepalived.conf(5)".to_owned(),
                    |meant| format!("perhaps {meant} was meant"),
                ))
            }
        };
        self.remarks.push(remark);
    }

    fn global(&mut self, block: &Statement, into: &mut Configuration) {
        for statement in block.body() {
            match statement.keyword() {
                "router_id" => {
                    into.router_id = self
                        .value(statement)
                        .map(|word| Said { value: word.text.clone(), place: statement.place });
                }
                "default_interface" => {
                    into.default_interface = self.value(statement).map(|word| word.text.clone());
                }
                "vrrp_version" => into.version = self.number(statement, 2..=3),
                "vrrp_down_timer_adverts" => {
                    into.down_adverts = self.number(statement, 1..=100);
                }
                _ => self.other(statement),
            }
        }
    }

    fn name<'s>(&mut self, statement: &'s Statement) -> &'s str {
        if statement.block.is_none() {
            self.faults.push(
                Fault::new(statement.head(), format!("{} without its block", statement.keyword()))
                    .label("expected a name and {"),
            );
        }
        self.surplus(statement, 1);
        if let Some(name) = statement.values().first() {
            return &name.text;
        }
        self.faults.push(
            Fault::new(statement.head(), format!("{} without a name", statement.keyword()))
                .label("expected a name behind it"),
        );
        ""
    }

    fn instance(&mut self, block: &Statement) -> Instance {
        let mut instance = Instance::new(self.name(block), block.head());
        for statement in block.body() {
            self.of_instance(statement, &mut instance);
        }
        instance
    }

    fn of_instance(&mut self, statement: &Statement, into: &mut Instance) {
        match statement.keyword() {
            "state" => into.begins_as_master = self.state(statement),
            "interface" => into.interface = self.value(statement).map(|word| word.text.clone()),
            "virtual_router_id" => into.router = self.number(statement, 1..=255),
            "priority" => into.priority = self.number(statement, 1..=255),
            "virtual_ipaddress" | "virtual_ipaddress_excluded" => {
                for line in self.lines(statement) {
                    into.addresses.extend(self.address(line));
                }
            }
            "unicast_src_ip" | "mcast_src_ip" => {
                if let Some(ip) = self.value(statement).cloned().and_then(|word| self.host(&word)) {
                    into.source = Some(ip);
                }
            }
            "unicast_peer" => {
                for line in self.lines(statement) {
                    into.peers.extend(self.peer(line));
                }
            }
            "advert_int" => into.advert = self.seconds(statement),
            "version" => into.version = self.number(statement, 2..=3),
            "down_timer_adverts" => into.down_adverts = self.number(statement, 1..=100),
            "nopreempt" => {
                self.surplus(statement, 0);
                into.nopreempt = Some(statement.place);
            }
            "preempt" => self.surplus(statement, 0),
            "preempt_delay" => into.preempt_delay = self.seconds(statement),
            _ => self.tracking(statement, &mut into.tracking),
        }
    }

    fn state(&mut self, statement: &Statement) -> Option<bool> {
        let word = self.value(statement)?;
        match word.text.as_str() {
            "MASTER" => Some(true),
            "BACKUP" => Some(false),
            other => {
                self.faults.push(
                    Fault::new(word.place, format!("'{other}' is not a state"))
                        .label("expected MASTER or BACKUP"),
                );
                None
            }
        }
    }

    fn tracking(&mut self, statement: &Statement, into: &mut Tracking) {
        match statement.keyword() {
            "track_script" => into.scripts.extend(self.tracked(statement)),
            "track_interface" => into.links.extend(self.tracked(statement)),
            "notify_master" => self.notify(Event::Master, statement, into),
            "notify_backup" => self.notify(Event::Backup, statement, into),
            "notify_fault" | "notify_stop" => {
                let text = "there is no hook of its own for it";
                let remark = Remark::new(Kind::Left, statement.place, statement.keyword(), text);
                let to_do = "[hooks] on-release runs whenever an address has left this node";
                self.remarks.push(remark.advise(to_do));
            }
            "notify" => {
                let text = "a hook is told by its environment what happened, not by arguments";
                let remark = Remark::new(Kind::Left, statement.place, "notify", text);
                let to_do = "read STANDIN_EVENT and STANDIN_VIP in the script, and name it in \
                             [hooks] on-take and on-release";
                self.remarks.push(remark.advise(to_do));
            }
            _ => self.other(statement),
        }
    }

    fn tracked(&mut self, block: &Statement) -> Vec<Tracked> {
        let mut all = Vec::new();
        for line in self.lines(block) {
            let mut tracked = Tracked {
                name: line.keyword().to_owned(),
                weight: None,
                is_reversed: false,
                place: line.place,
            };
            let mut words = line.values().iter();
            while let Some(word) = words.next() {
                match word.text.as_str() {
                    "weight" => tracked.weight = words.next().and_then(|word| self.weight(word)),
                    "reverse" => tracked.is_reversed = true,
                    "noreverse" | "no_reverse" => tracked.is_reversed = false,
                    other => self.faults.push(
                        Fault::new(word.place, format!("'{other}' is not understood"))
                            .label("expected a name a line, and perhaps 'weight NUMBER'"),
                    ),
                }
            }
            all.push(tracked);
        }
        all
    }

    fn weight(&mut self, word: &Word) -> Option<i32> {
        let weight = word.text.parse().ok().filter(|weight| (-254..=254).contains(weight));
        if weight.is_none() {
            self.faults.push(
                Fault::new(word.place, format!("'{}' is not a weight", word.text))
                    .label("expected a number from -253 to 253"),
            );
        }
        weight
    }

    fn notify(&mut self, event: Event, statement: &Statement, into: &mut Tracking) {
        // Behind a quoted command stand the user and the group it runs as.
        let (command, user) = match statement.values() {
            [first, rest @ ..] if first.is_quoted => (std::slice::from_ref(first), rest),
            all => (all, &[][..]),
        };
        if let Some(command) = self.command(statement, command) {
            into.notify.push(Notify { event, command, place: statement.place });
        }
        if let Some(user) = user.first() {
            let text = "hooks run as the user that standin runs as";
            let remark = Remark::new(Kind::Left, user.place, user.text.as_str(), text);
            let to_do = "begin the command with setpriv, runuser or sudo where it must be another";
            self.remarks.push(remark.advise(to_do));
        }
    }

    fn group(&mut self, block: &Statement) -> SyncGroup {
        let mut group = SyncGroup {
            name: self.name(block).to_owned(),
            place: block.head(),
            members: Vec::new(),
            tracking: Tracking::default(),
        };
        for statement in block.body() {
            if statement.keyword() == "group" {
                let words = self.lines(statement).iter().flat_map(|line| &line.words);
                group
                    .members
                    .extend(words.map(|word| Said { value: word.text.clone(), place: word.place }));
            } else {
                self.tracking(statement, &mut group.tracking);
            }
        }
        group
    }

    fn script(&mut self, block: &Statement) -> Script {
        let mut script = Script {
            name: self.name(block).to_owned(),
            place: block.head(),
            command: Vec::new(),
            interval: None,
            timeout: None,
            rise: None,
            fall: None,
            weight: None,
            is_reversed: false,
        };
        for statement in block.body() {
            match statement.keyword() {
                "script" => {
                    let command = self.command(statement, statement.values());
                    script.command = command.unwrap_or_default();
                }
                "interval" => script.interval = self.seconds(statement).map(|said| said.value),
                "timeout" => script.timeout = self.seconds(statement).map(|said| said.value),
                "rise" => script.rise = self.number(statement, 1..=1_000_000),
                "fall" => script.fall = self.number(statement, 1..=1_000_000),
                "weight" => {
                    script.is_reversed =
                        statement.values().get(1).is_some_and(|word| word.is("reverse"));
                    let word = self.first(statement, 1 + usize::from(script.is_reversed)).cloned();
                    script.weight = word.and_then(|word| self.weight(&word));
                }
                "user" => {
                    let text = "checks run as the user that standin runs as";
                    let remark = Remark::new(Kind::Left, statement.place, "user", text);
                    let to_do =
                        "begin the command with setpriv, runuser or sudo where it must be another";
                    self.remarks.push(remark.advise(to_do));
                }
                _ => self.other(statement),
            }
        }
        script
    }

    /// A command of words, or one text with spaces in it.
    fn command(&mut self, statement: &Statement, words: &[Word]) -> Option<Vec<String>> {
        let Some((first, rest)) = words.split_first() else {
            let fault =
                Fault::new(statement.head(), format!("{} without a command", statement.keyword()));
            self.faults.push(fault.label("expected a program behind it"));
            return None;
        };
        let mut command = if first.is_quoted {
            if has_shell(&first.text) {
                self.remark(Kind::Changed, statement, "it needs a shell, which is named here");
                let shell = if first.text.contains("/dev/tcp/") { "/bin/bash" } else { "/bin/sh" };
                vec![shell.to_owned(), "-c".to_owned(), first.text.clone()]
            } else {
                match shell::split(&first.text) {
                    Ok(words) => words,
                    Err(why) => {
                        let fault = Fault::new(first.place, "the command cannot be read");
                        self.faults.push(fault.label(why));
                        return None;
                    }
                }
            }
        } else {
            vec![first.text.clone()]
        };
        command.extend(rest.iter().map(|word| word.text.clone()));
        if command.first().is_none_or(String::is_empty) {
            let fault = Fault::new(first.place, "the command is empty");
            self.faults.push(fault.label("expected a program"));
            return None;
        }
        Some(command)
    }

    /// The one value of a keyword.
    fn value<'s>(&mut self, statement: &'s Statement) -> Option<&'s Word> {
        self.first(statement, 1)
    }

    /// The first value of a keyword that has at most so many.
    fn first<'s>(&mut self, statement: &'s Statement, most: usize) -> Option<&'s Word> {
        self.surplus(statement, most);
        let value = statement.values().first();
        if value.is_none() {
            let fault =
                Fault::new(statement.head(), format!("{} without a value", statement.keyword()));
            self.faults.push(fault.label("expected one behind it"));
        }
        value
    }

    /// Says what stands behind the values that a keyword has.
    fn surplus(&mut self, statement: &Statement, most: usize) {
        let Some(rest) = statement.values().get(most..).filter(|rest| !rest.is_empty()) else {
            return;
        };
        let words: Vec<&str> = rest.iter().map(|word| word.text.as_str()).collect();
        let text = format!("'{}' behind it is not read", words.join(" "));
        let remark = Remark::new(Kind::Left, rest[0].place, statement.keyword(), text);
        self.remarks.push(remark.advise("a keyword begins on a line of its own"));
    }

    /// The lines of a keyword that has a block.
    fn lines<'s>(&mut self, statement: &'s Statement) -> &'s [Statement] {
        self.surplus(statement, 0);
        if statement.block.is_none() {
            let keyword = statement.keyword();
            self.faults.push(
                Fault::new(statement.head(), format!("{keyword} without its block"))
                    .label(format!("expected {keyword} {{ … }}")),
            );
        }
        statement.body()
    }

    fn number(
        &mut self,
        statement: &Statement,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        let word = self.value(statement)?;
        let number = word.text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let what = statement.keyword();
            self.faults.push(
                Fault::new(word.place, format!("'{}' cannot be the {what}", word.text))
                    .label(format!("expected {} to {}", range.start(), range.end())),
            );
        }
        number
    }

    fn seconds(&mut self, statement: &Statement) -> Option<Said<Duration>> {
        let word = self.value(statement)?;
        let time = duration::parse(&format!("{}s", word.text)).ok();
        // Only a delay may be none at all.
        let time = time.filter(|time| {
            *time <= Duration::from_hours(24)
                && (!time.is_zero() || statement.keyword() == "preempt_delay")
        });
        if time.is_none() {
            let what = statement.keyword();
            self.faults.push(
                Fault::new(word.place, format!("'{}' cannot be the {what}", word.text))
                    .label("expected seconds, such as 1 or 0.5, at most a day"),
            );
        }
        Some(Said { value: time?, place: statement.place })
    }
}

/// Whether a text means something to a shell that is more than words.
fn has_shell(text: &str) -> bool {
    let mut quote = None;
    for letter in text.chars() {
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            ('<' | '>' | '|' | '&' | ';' | '$' | '`' | '*' | '(', None)
            | ('$' | '`', Some('"')) => return true,
            _ => {}
        }
    }
    false
}
