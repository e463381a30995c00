//! Whole Ethernet frames in and out of one interface.
//!
//! Owns packet sockets (packet(7)), the filters that keep all but ARP or neighbour discovery away
//! from us, and the kernel's receive time stamps. Never reads a frame's content.
//!
//! Invariant: the filter is in place before the socket is bound, so that no other frame is ever
//! received; and the buffers that the kernel writes into are the caller's.

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::control;
use crate::error::{Error, Result};
use crate::filter::{
    self, Instruction, JUMP_EQUAL, KEEP, LOAD_BYTE, LOAD_HALF, RETURN, step, unless_equal,
};
use crate::netlink::link::{interface_name, name_or_number};
use crate::raw;

const ETHERTYPE_ARP: u16 = libc::ETH_P_ARP as u16;
const ETHERTYPE_IPV6: u16 = libc::ETH_P_IPV6 as u16;
const ETHERTYPE_ALL: u16 = libc::ETH_P_ALL as u16;

const ETHERTYPE_OFFSET: u32 = 12;
const IPV6_NEXT_HEADER_OFFSET: u32 = 14 + 6;
const ICMPV6_TYPE_OFFSET: u32 = 14 + 40;
const ICMPV6: u32 = 58;
const NEIGHBOUR_SOLICITATION: u32 = 135;
const NEIGHBOUR_ADVERTISEMENT: u32 = 136;

/// Frames that one system call sends at most; more are sent by several.
const SEND_BATCH: usize = 64;
/// A burst of a whole segment's ARP fits. The kernel caps it at `net.core.rmem_max`.
const RECEIVE_QUEUE_LENGTH: i32 = 2 * 1024 * 1024;
/// What the kernel counts for a short frame that waits, and doubles a queue's length for.
const FRAME_COUNTS: i32 = 1024 / 2;

/// Whom the kernel takes a frame to be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketType {
    /// This interface's own address.
    ToUs,
    /// Everybody.
    Broadcast,
    /// A group.
    Multicast,
    /// Another host; seen because of a promiscuous interface.
    OtherHost,
    /// Sent by this host.
    Outgoing,
    /// Another `PACKET_*`.
    Other(u8),
}

impl PacketType {
    fn read(number: u8) -> Self {
        match number {
            libc::PACKET_HOST => Self::ToUs,
            libc::PACKET_BROADCAST => Self::Broadcast,
            libc::PACKET_MULTICAST => Self::Multicast,
            libc::PACKET_OTHERHOST => Self::OtherHost,
            libc::PACKET_OUTGOING => Self::Outgoing,
            number => Self::Other(number),
        }
    }
}

/// A received frame; its bytes are in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the frame in the buffer.
    pub length: usize,
    /// Bytes of the frame on the wire; more than `length` when the buffer was too small.
    pub wire_length: usize,
    /// Whom it is for.
    pub packet_type: PacketType,
    /// When the kernel received it: nanoseconds of `CLOCK_REALTIME`, where time stamps are on.
    /// [`crate::clock::Correspondence`] turns it into boot time.
    pub realtime_ns: Option<u64>,
}

/// A non-blocking socket for the frames of one interface.
///
/// When the interface goes down one call fails with `ENETDOWN`; the socket works on by itself
/// when the interface is up again. When the interface is deleted the socket is of no more use.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
    ifindex: u32,
}

impl PacketSocket {
    /// Receives ARP.
    pub fn arp(ifindex: u32) -> Result<Self> {
        Self::open(ifindex, "ARP", ETHERTYPE_ARP, Some(&arp_filter()))
    }

    /// Receives neighbour solicitations and advertisements, whatever group they are sent to.
    pub fn ndp(ifindex: u32) -> Result<Self> {
        let socket =
            Self::open(ifindex, "neighbour discovery", ETHERTYPE_IPV6, Some(&ndp_filter()))?;
        socket.receive_all_groups().map_err(|error| {
            Error::new(format!("receive all multicast on {}", name_of(ifindex)), error)
        })?;
        Ok(socket)
    }

    /// Receives everything, also what this host sends, with time stamps.
    pub fn any(ifindex: u32) -> Result<Self> {
        let socket = Self::open(ifindex, "every protocol", ETHERTYPE_ALL, None)?;
        socket.enable_timestamps()?;
        Ok(socket)
    }

    /// Receives nothing; for sending alone.
    pub fn sender(ifindex: u32) -> Result<Self> {
        Self::open(ifindex, "sending", 0, None)
    }

    fn open(
        ifindex: u32,
        purpose: &str,
        ethertype: u16,
        filter: Option<&[Instruction]>,
    ) -> Result<Self> {
        let attempt = || -> io::Result<OwnedFd> {
            // Protocol 0: nothing is received before it is bound.
            let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK;
            let fd = raw::socket(libc::AF_PACKET, kind, 0)?;
            if let Some(filter) = filter {
                filter::attach(fd.as_fd(), filter)?;
                // What we send ourselves is no news. Older kernels do not know the option.
                let option = libc::PACKET_IGNORE_OUTGOING;
                let _ = raw::set_option(fd.as_fd(), libc::SOL_PACKET, option, &1i32);
            }
            let length = &RECEIVE_QUEUE_LENGTH;
            raw::set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, length)?;
            // SAFETY: sockaddr_ll is plain numbers.
            let mut address: libc::sockaddr_ll = unsafe { zeroed() };
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = ethertype.to_be();
            address.sll_ifindex = ifindex.cast_signed();
            raw::bind(fd.as_fd(), &address)?;
            Ok(fd)
        };
        let fd = attempt().map_err(|error| {
            let name = name_of(ifindex);
            Error::new(format!("open a packet socket for {purpose} on {name}"), error)
        })?;
        Ok(Self { fd, ifindex })
    }

    /// The interface it is bound to.
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Makes room for so many short frames that wait to be read, if that is more than there is; the kernel
    /// takes the memory only while they do. Needs `CAP_NET_ADMIN` in the machine's own user namespace;
    /// without it the room stays what it is, and what does not fit is counted as ever.
    pub fn make_room(&self, frames: u32) {
        let length = i32::try_from(frames).unwrap_or(i32::MAX).saturating_mul(FRAME_COUNTS);
        if length > RECEIVE_QUEUE_LENGTH {
            let option = libc::SO_RCVBUFFORCE;
            let _ = raw::set_option(self.fd.as_fd(), libc::SOL_SOCKET, option, &length);
        }
    }

    /// How many frames were lost since this was last asked, because they were not read soon enough.
    pub fn take_lost(&self) -> Result<u32> {
        // tpacket_stats: received, lost. The kernel counts both from zero again.
        let counts = raw::option(self.fd.as_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS);
        counts.map(|[_, lost]: [u32; 2]| lost).map_err(|error| {
            let name = name_or_number(self.fd.as_fd(), self.ifindex);
            Error::new(format!("ask how many frames were lost on {name}"), error)
        })
    }

    /// Asks the kernel to note when it receives each frame, in `CLOCK_REALTIME`.
    pub fn enable_timestamps(&self) -> Result<()> {
        raw::set_option(self.fd.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1i32)
            .map_err(|error| Error::new("ask for receive time stamps", error))
    }

    /// Solicitations go to a group made of the address they ask for; the interface itself listens
    /// only to the groups of the addresses it has.
    fn receive_all_groups(&self) -> io::Result<()> {
        // SAFETY: packet_mreq is plain numbers.
        let mut request: libc::packet_mreq = unsafe { zeroed() };
        request.mr_ifindex = self.ifindex.cast_signed();
        request.mr_type = libc::PACKET_MR_ALLMULTI as u16;
        let option = libc::PACKET_ADD_MEMBERSHIP;
        raw::set_option(self.fd.as_fd(), libc::SOL_PACKET, option, &request)
    }

    /// Receives one frame, beginning with its Ethernet header; none when there is none yet.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<Received>> {
        raw::unless_empty(|| self.receive_once(buffer)).map_err(|error| {
            Error::new(
                format!("receive frames on {}", name_or_number(self.fd.as_fd(), self.ifindex)),
                error,
            )
        })
    }

    fn receive_once(&self, buffer: &mut [u8]) -> io::Result<Received> {
        // SAFETY: sockaddr_ll is plain numbers.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        let mut realtime_ns = None;
        let (fd, flags) = (self.fd.as_fd(), libc::MSG_TRUNC);
        let wire_length =
            control::receive(fd, buffer, &mut address, flags, |level, kind, data| {
                realtime_ns = realtime_ns.or(control::timestamp(level, kind, data));
            })?;
        Ok(Received {
            length: wire_length.min(buffer.len()),
            wire_length,
            packet_type: PacketType::read(address.sll_pkttype),
            realtime_ns,
        })
    }

    /// Sends one frame, beginning with its Ethernet header.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        match self.send_batch(&[frame])? {
            0 => Err(self.send_error(io::Error::from_raw_os_error(libc::EAGAIN))),
            _ => Ok(()),
        }
    }

    /// Sends frames in as few system calls as possible; how many were sent. Fewer than given
    /// when the socket's queue is full, or one was refused: sending the rest tells why.
    pub fn send_batch(&self, frames: &[&[u8]]) -> Result<usize> {
        let mut sent = 0;
        for batch in frames.chunks(SEND_BATCH) {
            match raw::unless_empty(|| send_many(self.fd.as_fd(), batch)) {
                Ok(count) => {
                    sent += count.unwrap_or(0);
                    if count != Some(batch.len()) {
                        break;
                    }
                }
                Err(error) if sent == 0 => return Err(self.send_error(error)),
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    fn send_error(&self, error: io::Error) -> Error {
        Error::new(
            format!("send frames on {}", name_or_number(self.fd.as_fd(), self.ifindex)),
            error,
        )
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn name_of(ifindex: u32) -> String {
    interface_name(ifindex).unwrap_or_else(|| format!("interface {ifindex}"))
}

/// `sendmmsg(2)` of at most [`SEND_BATCH`] frames. An error is reported only for the first.
fn send_many(fd: BorrowedFd<'_>, frames: &[&[u8]]) -> io::Result<usize> {
    let empty = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
    let mut parts = [empty; SEND_BATCH];
    // SAFETY: mmsghdr is pointers and numbers; null and zero are valid.
    let mut headers: [libc::mmsghdr; SEND_BATCH] = unsafe { zeroed() };
    let count = frames.len().min(SEND_BATCH);
    for ((part, header), frame) in parts.iter_mut().zip(&mut headers).zip(frames) {
        // The kernel only reads what is sent.
        part.iov_base = frame.as_ptr().cast_mut().cast();
        part.iov_len = frame.len();
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: the first `count` headers point to live parts, and those to live frames.
    let sent = raw::check(unsafe {
        libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), count as u32, 0)
    })?;
    Ok(sent.unsigned_abs() as usize)
}

/// A pseudo offset: whom the kernel takes the frame to be for. What is for another host, the kernel's
/// own ARP does not look at, and neither do we. One with a VLAN tag that no interface here takes is
/// such a frame: another network's, although the socket is offered it. Its tag would say so too, but
/// the kernel has forgotten that by now.
const PACKET_TYPE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned();

/// Skips as many instructions when the frame is for another host.
const fn if_for_another(skipped: u8) -> Instruction {
    Instruction { code: JUMP_EQUAL, jt: skipped, jf: 0, k: libc::PACKET_OTHERHOST as u32 }
}

const fn arp_filter() -> [Instruction; 6] {
    [
        step(LOAD_HALF, ETHERTYPE_OFFSET),
        unless_equal(ETHERTYPE_ARP as u32, 3),
        step(LOAD_BYTE, PACKET_TYPE),
        if_for_another(1),
        step(RETURN, KEEP),
        step(RETURN, 0),
    ]
}

const fn ndp_filter() -> [Instruction; 11] {
    [
        step(LOAD_HALF, ETHERTYPE_OFFSET),
        unless_equal(ETHERTYPE_IPV6 as u32, 8),
        step(LOAD_BYTE, PACKET_TYPE),
        if_for_another(6),
        step(LOAD_BYTE, IPV6_NEXT_HEADER_OFFSET),
        unless_equal(ICMPV6, 4),
        step(LOAD_BYTE, ICMPV6_TYPE_OFFSET),
        Instruction { code: JUMP_EQUAL, jt: 1, jf: 0, k: NEIGHBOUR_SOLICITATION },
        unless_equal(NEIGHBOUR_ADVERTISEMENT, 1),
        step(RETURN, KEEP),
        step(RETURN, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a frame for us, or for another host.
    fn accepts(filter: &[Instruction], frame: &[u8], for_another: bool) -> bool {
        let kind = if for_another { libc::PACKET_OTHERHOST } else { libc::PACKET_HOST };
        filter::accepts(filter, frame, |offset| (offset == PACKET_TYPE).then_some(kind.into()))
    }

    fn frame(ethertype: [u8; 2], next_header: u8, icmp_type: u8) -> Vec<u8> {
        let mut frame = vec![0; 86];
        frame[12..14].copy_from_slice(&ethertype);
        frame[20] = next_header;
        frame[54] = icmp_type;
        frame
    }

    #[test]
    fn the_arp_filter_takes_arp_only() {
        let filter = arp_filter();
        assert!(accepts(&filter, &frame([8, 6], 0, 0), false));
        assert!(!accepts(&filter, &frame([8, 6], 0, 0), true));
        assert!(!accepts(&filter, &frame([8, 0], 0, 0), false));
        assert!(!accepts(&filter, &[0; 13], false));
    }

    #[test]
    fn the_ndp_filter_takes_solicitations_and_advertisements_only() {
        let filter = ndp_filter();
        for kind in 0..=255 {
            let wanted = kind == 135 || kind == 136;
            assert_eq!(accepts(&filter, &frame([0x86, 0xdd], 58, kind), false), wanted, "{kind}");
        }
        assert!(!accepts(&filter, &frame([0x86, 0xdd], 58, 135), true));
        assert!(!accepts(&filter, &frame([0x86, 0xdd], 17, 135), false));
        assert!(!accepts(&filter, &frame([8, 0], 58, 135), false));
        assert!(!accepts(&filter, &frame([0x86, 0xdd], 58, 135)[..54], false));
    }
}
