//! Messages: requests as they are sent, answers as they come.

use crate::{
    Filter, WireError,
    ber::{BOOLEAN, ENUMERATED, INTEGER, OCTETS, Reader, SEQUENCE, head, nest, put, put_number},
};

/// The control by which long results come in pages (RFC 2696).
const PAGING: &[u8] = b"1.2.840.113556.1.4.319";
/// How the option of an attribute begins of which only some values were asked for, or are given.
const RANGE: &str = "range=";
/// The extended operation that turns TLS on.
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

/// What a directory is asked.
#[derive(Debug, Clone, Copy)]
pub enum Request<'a> {
    /// Be somebody, by name and password. An empty password would mean nobody, whatever the name.
    Bind {
        /// The entry's name.
        dn: &'a str,
        /// The password.
        password: &'a str,
    },
    /// Find entries.
    Search(&'a Search),
    /// Go on under TLS.
    StartTls,
    /// Say goodbye. There is no answer.
    Unbind,
}

/// A search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Where it begins.
    pub base: String,
    /// How far it goes.
    pub scope: Scope,
    /// Most entries; 0 for no limit of ours.
    pub size_limit: u32,
    /// Longest time that the directory may take, seconds; 0 for no limit of ours.
    pub seconds: u32,
    /// What entries must be like.
    pub filter: Filter,
    /// The attributes wanted.
    pub attributes: Vec<String>,
    /// Which page, where it comes in pages.
    pub page: Option<Page>,
}

/// How far a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The base itself.
    Base,
    /// The base and all below it.
    Subtree,
}

/// A page of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Most entries in it.
    pub size: u32,
    /// What the directory gave with the page before; empty for the first.
    pub cookie: Vec<u8>,
}

/// What a directory answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Request::Bind`].
    Bound(Outcome),
    /// An entry that was found.
    Entry(Entry),
    /// More may be found in another directory.
    Elsewhere,
    /// The end of a search.
    Found {
        /// How it went.
        outcome: Outcome,
        /// What the next page is asked for with; empty when this was the last one, or there are no pages.
        cookie: Vec<u8>,
    },
    /// To [`Request::StartTls`], or a farewell where the message's number is 0.
    Extended(Outcome),
    /// Something that nobody asked for.
    Other(u8),
}

/// How a request went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The result code of RFC 4511; 0 is success.
    pub code: u32,
    /// What the directory says about it.
    pub text: String,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub dn: String,
    /// Its attributes with their values.
    pub attributes: Vec<(String, Vec<Vec<u8>>)>,
}

/// Some of an attribute's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// These.
    pub values: &'a [Vec<u8>],
    /// The place of the first one that is still to be asked for, by [`rest_of`]; `None` behind the last one.
    pub next: Option<u32>,
}

/// What an attribute is called in a search for its values from this place on.
pub fn rest_of(attribute: &str, from: u32) -> String {
    format!("{attribute};{RANGE}{from}-*")
}

impl Entry {
    /// An attribute's values; none when it is not there. Letter case makes no other attribute.
    pub fn values(&self, attribute: &str) -> &[Vec<u8>] {
        let found = self.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
        found.map_or(&[], |(_, values)| values)
    }

    /// The part of an attribute's values that a directory gave because they were too many for one answer, as Active Directory does
    /// beyond 1,500; `None` where it gave them all.
    pub fn part(&self, attribute: &str) -> Option<Part<'_>> {
        self.attributes.iter().find_map(|(name, values)| {
            let (name, range) = name.split_once(';')?;
            let range =
                range.get(..RANGE.len()).filter(|start| start.eq_ignore_ascii_case(RANGE)).map(|_| range)?;
            let (first, last) = range[RANGE.len()..].split_once('-')?;
            let first: u32 = first.parse().ok()?;
            let next = match last {
                "*" => None,
                last => Some(last.parse::<u32>().ok().filter(|last| *last >= first)?.checked_add(1)?),
            };
            name.eq_ignore_ascii_case(attribute).then_some(Part { values, next })
        })
    }

    /// An attribute's first value that is a text.
    pub fn text(&self, attribute: &str) -> Option<&str> {
        self.values(attribute).iter().find_map(|value| std::str::from_utf8(value).ok())
    }
}

impl Request<'_> {
    /// The message with this number, as it goes over the wire.
    pub fn encode(&self, id: u32) -> Vec<u8> {
        let mut out = Vec::new();
        nest(&mut out, SEQUENCE, |out| {
            put_number(out, INTEGER, id);
            match self {
                Self::Bind { dn, password } => nest(out, 0x60, |out| {
                    put_number(out, INTEGER, 3);
                    put(out, OCTETS, dn.as_bytes());
                    put(out, 0x80, password.as_bytes());
                }),
                Self::Search(search) => search.put(out),
                Self::StartTls => nest(out, 0x77, |out| put(out, 0x80, START_TLS)),
                Self::Unbind => put(out, 0x42, &[]),
            }
        });
        out
    }
}

impl Search {
    fn put(&self, out: &mut Vec<u8>) {
        nest(out, 0x63, |out| {
            put(out, OCTETS, self.base.as_bytes());
            put_number(out, ENUMERATED, if self.scope == Scope::Base { 0 } else { 2 });
            // Aliases are not followed: they may lead out of the base.
            put_number(out, ENUMERATED, 0);
            put_number(out, INTEGER, self.size_limit);
            put_number(out, INTEGER, self.seconds);
            put(out, BOOLEAN, &[0]);
            self.filter.put(out);
            nest(out, SEQUENCE, |out| {
                self.attributes.iter().for_each(|name| put(out, OCTETS, name.as_bytes()));
            });
        });
        let Some(page) = &self.page else { return };
        nest(out, 0xa0, |out| {
            nest(out, SEQUENCE, |out| {
                put(out, OCTETS, PAGING);
                let mut value = Vec::new();
                nest(&mut value, SEQUENCE, |out| {
                    put_number(out, INTEGER, page.size);
                    put(out, OCTETS, &page.cookie);
                });
                put(out, OCTETS, &value);
            });
        });
    }
}

/// The length of the message that `bytes` begin with; `None` while there are too few to tell.
///
/// # Errors
/// No message, or one of more than `most` bytes.
pub fn frame(bytes: &[u8], most: usize) -> Result<Option<usize>, WireError> {
    if let Some(&tag) = bytes.first()
        && tag != SEQUENCE
    {
        return Err(WireError::Tag { expected: "a message", actual: tag });
    }
    let Some((_, head, length)) = head(bytes)? else { return Ok(None) };
    let actual = head.saturating_add(length);
    if actual > most { Err(WireError::TooLong { most, actual }) } else { Ok(Some(actual)) }
}

/// Reads one message: its number and what it says.
///
/// # Errors
/// No message.
pub fn decode(message: &[u8]) -> Result<(u32, Answer), WireError> {
    let mut message = Reader::new(Reader::new(message).element(SEQUENCE, "a message")?);
    let id = message.number(INTEGER, "a message's number")?;
    let (tag, content) = message.next()?;
    let mut content = Reader::new(content);
    let answer = match tag {
        0x61 => Answer::Bound(outcome(&mut content)?),
        0x64 => Answer::Entry(entry(&mut content)?),
        0x65 => Answer::Found { outcome: outcome(&mut content)?, cookie: cookie(&mut message)? },
        0x73 => Answer::Elsewhere,
        0x78 => Answer::Extended(outcome(&mut content)?),
        other => Answer::Other(other),
    };
    Ok((id, answer))
}

fn outcome(content: &mut Reader<'_>) -> Result<Outcome, WireError> {
    let code = content.number(ENUMERATED, "a result code")?;
    content.element(OCTETS, "the name of what was found")?;
    let text = content.element(OCTETS, "a message for people")?;
    Ok(Outcome { code, text: String::from_utf8_lossy(text).into_owned() })
}

fn entry(content: &mut Reader<'_>) -> Result<Entry, WireError> {
    let dn = content.text("the name of an entry")?;
    let mut list = Reader::new(content.element(SEQUENCE, "attributes")?);
    let mut attributes = Vec::new();
    while !list.is_empty() {
        let mut attribute = Reader::new(list.element(SEQUENCE, "an attribute")?);
        let name = attribute.text("the name of an attribute")?;
        let mut set = Reader::new(attribute.element(0x31, "values")?);
        let mut values = Vec::new();
        while !set.is_empty() {
            values.push(set.element(OCTETS, "a value")?.to_vec());
        }
        attributes.push((name, values));
    }
    Ok(Entry { dn, attributes })
}

/// The cookie of the paging control, where there is one.
fn cookie(message: &mut Reader<'_>) -> Result<Vec<u8>, WireError> {
    if message.peek() != Some(0xa0) {
        return Ok(Vec::new());
    }
    let mut controls = Reader::new(message.element(0xa0, "controls")?);
    while !controls.is_empty() {
        let mut control = Reader::new(controls.element(SEQUENCE, "a control")?);
        if control.element(OCTETS, "a control's name")? != PAGING {
            continue;
        }
        if control.peek() == Some(BOOLEAN) {
            control.element(BOOLEAN, "whether it matters")?;
        }
        let mut value = Reader::new(control.element(OCTETS, "a control's value")?);
        let mut value = Reader::new(value.element(SEQUENCE, "a page")?);
        value.element(INTEGER, "a count")?;
        return Ok(value.element(OCTETS, "a cookie")?.to_vec());
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcome_of(tag: u8, code: u32, controls: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        nest(&mut out, SEQUENCE, |out| {
            put_number(out, INTEGER, 7);
            nest(out, tag, |out| {
                put_number(out, ENUMERATED, code);
                put(out, OCTETS, b"");
                put(out, OCTETS, b"no luck");
            });
            controls(out);
        });
        out
    }

    #[test]
    fn a_bind_is_as_the_standard_shows_it() {
        let bytes = Request::Bind { dn: "cn=a", password: "pw" }.encode(1);
        let expected =
            [&[0x30, 18, 2, 1, 1, 0x60, 13, 2, 1, 3, 4, 4][..], b"cn=a", &[0x80, 2], b"pw"].concat();
        assert_eq!(bytes, expected);
        assert_eq!(frame(&bytes, 100), Ok(Some(bytes.len())));
        assert_eq!(frame(&bytes[..1], 100), Ok(None));
        assert_eq!(frame(&bytes, 10), Err(WireError::TooLong { most: 10, actual: 20 }));
    }

    #[test]
    fn answers_are_read() {
        let refused = Outcome { code: 49, text: "no luck".into() };
        assert_eq!(decode(&outcome_of(0x61, 49, |_| {})), Ok((7, Answer::Bound(refused))));
        let paged = outcome_of(0x65, 0, |out| {
            nest(out, 0xa0, |out| {
                nest(out, SEQUENCE, |out| put(out, OCTETS, b"1.2.3"));
                nest(out, SEQUENCE, |out| {
                    put(out, OCTETS, PAGING);
                    put(out, BOOLEAN, &[0]);
                    put(out, OCTETS, &[0x30, 6, 2, 1, 0, 4, 1, 9]);
                });
            });
        });
        assert!(matches!(decode(&paged), Ok((7, Answer::Found { cookie, .. })) if cookie == [9]));
        let found = [
            &[0x30, 22, 2, 1, 2, 0x64, 17, 4, 3][..],
            b"c=x",
            &[0x30, 10, 0x30, 8, 4, 1],
            b"o",
            &[0x31, 3, 4, 1],
            b"v",
        ]
        .concat();
        let (_, Answer::Entry(entry)) = decode(&found).unwrap() else { panic!("no entry") };
        assert_eq!((entry.dn.as_str(), entry.text("O"), entry.text("p")), ("c=x", Some("v"), None));
    }

    #[test]
    fn values_that_come_in_parts_are_told_from_those_that_are_all_there() {
        let entry = |name: &str| Entry {
            dn: "cn=a".into(),
            attributes: vec![("memberOf".into(), Vec::new()), (name.into(), vec![b"x".to_vec()])],
        };
        let next = |name: &str| entry(name).part("memberof").map(|part| part.next);
        assert_eq!(next("memberOf;range=0-1499"), Some(Some(1500)));
        assert_eq!(next("MEMBEROF;Range=1500-*"), Some(None));
        assert_eq!(entry("memberOf;range=0-0").part("memberOf").unwrap().values.len(), 1);
        for odd in [
            "memberOf",
            "member;range=0-9",
            "memberOf;range=0",
            "memberOf;range=9-1",
            "memberOf;range=a-*",
            "memberOf;range=0-4294967295",
            "memberOf;ränge=0-*",
            "memberOf;lang-de",
        ] {
            assert_eq!(next(odd), None, "{odd}");
        }
        assert_eq!(rest_of("memberOf", 1500), "memberOf;range=1500-*");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = frame(&bytes, 1000);
            let _ = decode(&bytes);
        }

        #[test]
        fn a_changed_byte_does_no_harm(at in 0usize..40, byte: u8) {
            let mut message = outcome_of(0x65, 0, |out| nest(out, 0xa0, |out| {
                nest(out, SEQUENCE, |out| put(out, OCTETS, PAGING));
            }));
            let at = at % message.len();
            message[at] = byte;
            let _ = decode(&message);
        }
    }
}
