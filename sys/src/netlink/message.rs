//! Netlink messages and attributes: bytes built and bytes read.
//!
//! ```text
//! message    | length u32 | type u16 | flags u16 | sequence u32 | port u32 | payload … | pad to 4
//! attribute  | length u16 | type u16 | value … | pad to 4          (a nest's value: attributes)
//! ```
//!
//! All numbers are in the machine's byte order (a few values inside attributes, such as IPv4
//! addresses, are in network order). Never knows what a message means.
//!
//! Invariant: reading is total. A length that does not fit ends the iteration; nothing panics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a message's header.
pub const HEADER_LENGTH: usize = 16;
const ATTRIBUTE_HEADER_LENGTH: usize = 4;
/// The two highest bits of an attribute's type are flags (nested, network byte order).
const ATTRIBUTE_TYPE_MASK: u16 = 0x3fff;
const ATTRIBUTE_NESTED: u16 = 0x8000;
/// `NLMSGERR_ATTR_MSG`: the text of an extended acknowledgement.
const ERROR_TEXT: u16 = 1;
/// `NLMSGERR_ATTR_OFFS`: where in the request the offending attribute is.
const ERROR_OFFSET: u16 = 2;

fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// Appends one message to `buffer`, whose payload `fill` writes.
pub fn append_message(
    buffer: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    fill: impl FnOnce(&mut Payload<'_>),
) {
    let start = buffer.len();
    buffer.extend_from_slice(&0u32.to_ne_bytes());
    buffer.extend_from_slice(&kind.to_ne_bytes());
    buffer.extend_from_slice(&flags.to_ne_bytes());
    buffer.extend_from_slice(&sequence.to_ne_bytes());
    // Port 0: the kernel fills in the sender's own.
    buffer.extend_from_slice(&0u32.to_ne_bytes());
    fill(&mut Payload { buffer, start });
    let length = u32::try_from(buffer.len() - start).expect("a request is far below 4 GiB");
    buffer[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    pad(buffer, start);
}

/// Pads with zeros until the length since `start` is a multiple of four.
fn pad(buffer: &mut Vec<u8>, start: usize) {
    let length = buffer.len() - start;
    buffer.resize(start + aligned(length), 0);
}

/// The payload of a message under construction: a fixed part, then attributes.
pub struct Payload<'b> {
    buffer: &'b mut Vec<u8>,
    start: usize,
}

impl Payload<'_> {
    /// Appends the message's fixed part.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.buffer.extend_from_slice(bytes);
        pad(self.buffer, self.start);
        self
    }

    /// Appends one attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.sized(kind, |payload| payload.buffer.extend_from_slice(value))
    }

    /// Appends a number in the machine's byte order.
    pub fn attribute_u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Appends a number in network byte order, as `nf_tables` wants it.
    pub fn attribute_be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    /// Appends a number of eight bytes in network byte order.
    pub fn attribute_be64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    /// Appends a text with its final zero byte.
    pub fn attribute_text(&mut self, kind: u16, text: &str) -> &mut Self {
        self.sized(kind, |payload| {
            payload.buffer.extend_from_slice(text.as_bytes());
            payload.buffer.push(0);
        })
    }

    /// Appends an IP address, 4 or 16 bytes.
    pub fn attribute_ip(&mut self, kind: u16, ip: IpAddr) -> &mut Self {
        match ip {
            IpAddr::V4(ip) => self.attribute(kind, &ip.octets()),
            IpAddr::V6(ip) => self.attribute(kind, &ip.octets()),
        }
    }

    /// Appends a nest, whose attributes `fill` writes.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Payload<'_>)) -> &mut Self {
        self.sized(kind | ATTRIBUTE_NESTED, fill)
    }

    fn sized(&mut self, kind: u16, fill: impl FnOnce(&mut Payload<'_>)) -> &mut Self {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0, 0]);
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
        fill(&mut Payload { buffer: self.buffer, start });
        let length = u16::try_from(self.buffer.len() - start)
            .expect("attributes hold names and addresses, far below 64 KiB");
        self.buffer[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        pad(self.buffer, start);
        self
    }
}

/// One received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `RTM_*` or `NLMSG_*`.
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// The request's sequence number; 0 in notifications.
    pub sequence: u32,
    /// The fixed part and the attributes.
    pub payload: &'a [u8],
}

/// What a message says about its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is data, neither an acknowledgement nor an end.
    Data,
    /// The request, or the dump, is complete.
    Done,
    /// The kernel refused, with a positive number of `errno.h` and perhaps a sentence.
    Refused(i32, Option<String>),
}

impl Message<'_> {
    /// Whether this message ends its request, and how.
    ///
    /// An error message that is too short to hold its number counts as `EBADMSG`.
    pub fn verdict(&self) -> Verdict {
        let errno = read_u32(self.payload, 0).map(u32::cast_signed);
        match (i32::from(self.kind), errno) {
            (libc::NLMSG_ERROR, None) => Verdict::Refused(libc::EBADMSG, None),
            (libc::NLMSG_DONE, None) | (libc::NLMSG_ERROR | libc::NLMSG_DONE, Some(0..)) => {
                Verdict::Done
            }
            (libc::NLMSG_ERROR, Some(errno)) => {
                Verdict::Refused(errno.saturating_neg(), self.error_text(true))
            }
            (libc::NLMSG_DONE, Some(errno)) => {
                Verdict::Refused(errno.saturating_neg(), self.error_text(false))
            }
            _ => Verdict::Data,
        }
    }

    /// The kernel's sentence in an extended acknowledgement.
    fn error_text(&self, repeats_request: bool) -> Option<String> {
        self.error_attribute(ERROR_TEXT, repeats_request).map(read_text)
    }

    /// Which attribute of the request the kernel refused, as its offset in the request.
    pub fn error_offset(&self) -> Option<usize> {
        if i32::from(self.kind) != libc::NLMSG_ERROR {
            return None;
        }
        read_u32(self.error_attribute(ERROR_OFFSET, true)?, 0).map(|offset| offset as usize)
    }

    /// An attribute of an extended acknowledgement. An error repeats the request's header, and
    /// its payload too unless the message is capped; the attributes follow.
    fn error_attribute(&self, kind: u16, repeats_request: bool) -> Option<&[u8]> {
        if i32::from(self.flags) & libc::NLM_F_ACK_TLVS == 0 {
            return None;
        }
        let start = if !repeats_request {
            4
        } else if i32::from(self.flags) & libc::NLM_F_CAPPED != 0 {
            4 + HEADER_LENGTH
        } else {
            aligned(read_u32(self.payload, 4)? as usize).checked_add(4)?
        };
        let (_, value) = attributes(self.payload.get(start..)?).find(|&(k, _)| k == kind)?;
        Some(value)
    }
}

/// The messages of one datagram. Ends at the first that does not fit.
pub fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

/// See [`messages`].
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let length = read_u32(self.rest, 0)? as usize;
        let kind = read_u16(self.rest, 4)?;
        let flags = read_u16(self.rest, 6)?;
        let sequence = read_u32(self.rest, 8)?;
        let payload = self.rest.get(HEADER_LENGTH..length)?;
        self.rest = self.rest.get(aligned(length)..).unwrap_or_default();
        Some(Message { kind, flags, sequence, payload })
    }
}

/// The attributes in `bytes`, as type (without its flags) and value. Ends at the first that does
/// not fit.
pub fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes { rest: bytes }
}

/// See [`attributes`].
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(read_u16(self.rest, 0)?);
        let kind = read_u16(self.rest, 2)? & ATTRIBUTE_TYPE_MASK;
        let value = self.rest.get(ATTRIBUTE_HEADER_LENGTH..length)?;
        self.rest = self.rest.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// Two bytes at `offset` in the machine's byte order.
pub fn read_u16(bytes: &[u8], offset: usize) -> Option<u16> {
    let end = offset.checked_add(2)?;
    Some(u16::from_ne_bytes(bytes.get(offset..end)?.try_into().ok()?))
}

/// Four bytes at `offset` in the machine's byte order.
pub fn read_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    let end = offset.checked_add(4)?;
    Some(u32::from_ne_bytes(bytes.get(offset..end)?.try_into().ok()?))
}

/// A text up to its first zero byte, or its end.
pub fn read_text(bytes: &[u8]) -> String {
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// An address of 4 or 16 bytes.
pub fn read_ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).into())
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn builds_a_message_with_nested_attributes() {
        let mut buffer = vec![];
        append_message(&mut buffer, 0x10, 0x0605, 7, |payload| {
            payload.bytes(&[1, 2, 3, 4]).attribute_text(3, "ab").nest(18, |nest| {
                nest.attribute(1, &[9]).attribute_u32(2, 0x0102_0304);
            });
        });
        #[rustfmt::skip]
        let expected = [
            48, 0, 0, 0,  0x10, 0,  0x05, 0x06,  7, 0, 0, 0,  0, 0, 0, 0,
            1, 2, 3, 4,
            7, 0, 3, 0,  b'a', b'b', 0,  0,
            20, 0, 18, 0x80,
                5, 0, 1, 0,  9,  0, 0, 0,
                8, 0, 2, 0,  4, 3, 2, 1,
        ];
        assert_eq!(buffer, expected);
    }

    #[test]
    fn several_messages_in_one_buffer_come_apart_again() {
        let mut buffer = vec![];
        append_message(&mut buffer, 20, 0, 1, |payload| {
            payload.bytes(&[0; 8]).attribute_ip(1, Ipv4Addr::new(10, 0, 0, 1).into());
        });
        append_message(&mut buffer, 21, 1, 2, |_| {});
        let found: Vec<_> = messages(&buffer).collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].kind, found[0].sequence), (20, 1));
        let (kind, value) = attributes(&found[0].payload[8..]).next().unwrap();
        assert_eq!((kind, read_ip(value)), (1, Some(Ipv4Addr::new(10, 0, 0, 1).into())));
        assert_eq!((found[1].kind, found[1].flags, found[1].payload.len()), (21, 1, 0));
    }

    #[test]
    fn lengths_that_do_not_fit_end_the_iteration() {
        let full = [20, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(messages(&full).count(), 1);
        for end in 0..full.len() {
            assert_eq!(messages(&full[..end]).count(), 0, "{end}");
        }
        for length in [0u8, 1, 15, 21, 255] {
            let mut wrong = full;
            wrong[0] = length;
            assert_eq!(messages(&wrong).count(), 0, "{length}");
        }
        assert_eq!(attributes(&[3, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[9, 0, 1, 0, 1, 2, 3, 4]).count(), 0);
        assert_eq!(attributes(&[255, 255, 1, 0]).count(), 0);
        // The padding of the last attribute may be missing.
        assert_eq!(attributes(&[5, 0, 1, 0, 7]).next(), Some((1, &[7u8][..])));
    }

    #[test]
    fn an_extended_acknowledgement_gives_its_sentence() {
        #[rustfmt::skip]
        let capped = [
            40, 0, 0, 0,  2, 0,  0x00, 0x03,  5, 0, 0, 0,  0, 0, 0, 0,
            0xff, 0xff, 0xff, 0xff,                              // EPERM
            20, 0, 0, 0,  16, 0,  5, 0,  5, 0, 0, 0,  0, 0, 0, 0, // the request's header
            7, 0, 1, 0,
        ];
        let mut datagram = capped.to_vec();
        datagram.extend_from_slice(b"no\0\0");
        datagram[0] = 44;
        let message = messages(&datagram).next().unwrap();
        assert_eq!(message.verdict(), Verdict::Refused(1, Some("no".into())));

        // Not capped: the request's payload of four bytes is repeated before the text.
        let mut datagram = capped[..36].to_vec();
        datagram.extend_from_slice(&[1, 2, 3, 4, 7, 0, 1, 0]);
        datagram.extend_from_slice(b"no\0\0");
        datagram[0] = 48;
        datagram[7] = 0x02;
        let message = messages(&datagram).next().unwrap();
        assert_eq!(message.verdict(), Verdict::Refused(1, Some("no".into())));
    }

    #[test]
    fn verdicts_of_short_and_hostile_messages() {
        let message = |kind, flags, payload| Message { kind, flags, sequence: 1, payload };
        assert_eq!(message(2, 0, &[]).verdict(), Verdict::Refused(libc::EBADMSG, None));
        assert_eq!(message(2, 0, &[0; 4]).verdict(), Verdict::Done);
        assert_eq!(message(3, 0, &[]).verdict(), Verdict::Done);
        assert_eq!(message(16, 0, &[]).verdict(), Verdict::Data);
        let least = [0, 0, 0, 0x80];
        assert_eq!(message(2, 0x0200, &least).verdict(), Verdict::Refused(i32::MAX, None));
        let endless = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(message(2, 0x0200, &endless).verdict(), Verdict::Refused(1, None));
    }

    #[test]
    fn texts_and_addresses() {
        assert_eq!(read_text(b"eth0\0junk"), "eth0");
        assert_eq!(read_text(b"eth0"), "eth0");
        assert_eq!(read_text(b""), "");
        assert_eq!(read_ip(&[1, 2, 3]), None);
        assert_eq!(read_ip(&[0; 16]), Some(Ipv6Addr::UNSPECIFIED.into()));
    }
}
