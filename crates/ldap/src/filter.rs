//! What entries must be like. Values are bytes of their own on the wire, so nothing that a person types can become part of the filter.

use crate::ber::{OCTETS, SEQUENCE, nest, put};

/// Longest text of a filter.
const MOST_TEXT: usize = 4096;
/// Deepest nesting in one.
const MOST_DEPTH: u32 = 16;

/// A condition on entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All of them.
    All(Vec<Self>),
    /// One of them.
    Any(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// An attribute has this value.
    Equal(String, Vec<u8>),
    /// An attribute's value is at least this, by the attribute's own order.
    AtLeast(String, Vec<u8>),
    /// An attribute's value is at most this.
    AtMost(String, Vec<u8>),
    /// An attribute's value has these parts, in this order.
    Parts {
        /// The attribute.
        attribute: String,
        /// How it begins; empty for anyhow.
        first: Vec<u8>,
        /// What it holds in between.
        between: Vec<Vec<u8>>,
        /// How it ends; empty for anyhow.
        last: Vec<u8>,
    },
    /// An attribute is there.
    Present(String),
    /// An attribute matches by a rule of the directory's.
    Rule {
        /// The attribute.
        attribute: String,
        /// The rule's object identifier.
        rule: String,
        /// The value to match.
        value: Vec<u8>,
    },
}

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Too long.
    #[error("expected a filter of at most {MOST_TEXT} bytes, got {0}")]
    Long(usize),
    /// Too deeply nested.
    #[error("expected a filter with at most {MOST_DEPTH} levels of parentheses")]
    Deep,
    /// Something else than belongs there.
    #[error("expected {expected} in the filter, got {actual}")]
    Expected {
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        actual: String,
    },
}

impl Filter {
    /// An attribute equals a text.
    pub fn equal(attribute: &str, value: &str) -> Self {
        Self::Equal(attribute.to_owned(), value.as_bytes().to_vec())
    }

    /// An attribute holds a text somewhere.
    pub fn contains(attribute: &str, part: &str) -> Self {
        Self::Parts {
            attribute: attribute.to_owned(),
            first: Vec::new(),
            between: vec![part.as_bytes().to_vec()],
            last: Vec::new(),
        }
    }

    /// Reads the text form of RFC 4515, such as `(&(objectClass=person)(!(uid=root)))`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let text = text.trim();
        if text.len() > MOST_TEXT {
            return Err(FilterError::Long(text.len()));
        }
        let mut rest = text;
        let filter = parse(&mut rest, 0)?;
        if rest.is_empty() { Ok(filter) } else { Err(expected("the end", rest)) }
    }

    /// Appends it as it goes over the wire.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::All(parts) => nest(out, 0xa0, |out| parts.iter().for_each(|part| part.put(out))),
            Self::Any(parts) => nest(out, 0xa1, |out| parts.iter().for_each(|part| part.put(out))),
            Self::Not(part) => nest(out, 0xa2, |out| part.put(out)),
            Self::Equal(attribute, value) => put_pair(out, 0xa3, attribute, value),
            Self::AtLeast(attribute, value) => put_pair(out, 0xa5, attribute, value),
            Self::AtMost(attribute, value) => put_pair(out, 0xa6, attribute, value),
            Self::Parts { attribute, first, between, last } => nest(out, 0xa4, |out| {
                put(out, OCTETS, attribute.as_bytes());
                nest(out, SEQUENCE, |out| {
                    if !first.is_empty() {
                        put(out, 0x80, first);
                    }
                    between.iter().for_each(|part| put(out, 0x81, part));
                    if !last.is_empty() {
                        put(out, 0x82, last);
                    }
                });
            }),
            Self::Present(attribute) => put(out, 0x87, attribute.as_bytes()),
            Self::Rule { attribute, rule, value } => nest(out, 0xa9, |out| {
                put(out, 0x81, rule.as_bytes());
                put(out, 0x82, attribute.as_bytes());
                put(out, 0x83, value);
                // Whether the parts of the entry's name count as its attributes..
                put(out, 0x84, &[0]);
            }),
        }
    }
}

/// Whether a text can be an attribute's name or object identifier.
pub fn is_attribute(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    first
        && text.len() <= 128
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.;_".contains(&byte))
}

fn put_pair(out: &mut Vec<u8>, tag: u8, attribute: &str, value: &[u8]) {
    nest(out, tag, |out| {
        put(out, OCTETS, attribute.as_bytes());
        put(out, OCTETS, value);
    });
}

fn expected(expected: &'static str, rest: &str) -> FilterError {
    let actual: String = rest.chars().take(20).collect();
    let actual = if actual.is_empty() { "the end".to_owned() } else { format!("'{actual}'") };
    FilterError::Expected { expected, actual }
}

fn parse(rest: &mut &str, depth: u32) -> Result<Filter, FilterError> {
    if depth >= MOST_DEPTH {
        return Err(FilterError::Deep);
    }
    *rest = rest.strip_prefix('(').ok_or_else(|| expected("'('", rest))?;
    let filter = match rest.as_bytes().first() {
        Some(b'&') => Filter::All(list(rest, depth)?),
        Some(b'|') => Filter::Any(list(rest, depth)?),
        Some(b'!') => {
            *rest = &rest[1..];
            Filter::Not(Box::new(parse(rest, depth + 1)?))
        }
        _ => item(rest)?,
    };
    *rest = rest.strip_prefix(')').ok_or_else(|| expected("')'", rest))?;
    Ok(filter)
}

fn list(rest: &mut &str, depth: u32) -> Result<Vec<Filter>, FilterError> {
    *rest = &rest[1..];
    let mut parts = Vec::new();
    while rest.starts_with('(') {
        parts.push(parse(rest, depth + 1)?);
    }
    if parts.is_empty() { Err(expected("'('", rest)) } else { Ok(parts) }
}

fn item(rest: &mut &str) -> Result<Filter, FilterError> {
    let all = *rest;
    let end = all.find([')', '(']).ok_or_else(|| expected("')'", ""))?;
    let (text, after) = all.split_at(end);
    let (left, right) = text.split_once('=').ok_or_else(|| expected("'attribute=value'", all))?;
    *rest = after;
    let attribute = |name: &str| {
        let good = is_attribute(name);
        good.then(|| name.to_owned()).ok_or_else(|| expected("the name of an attribute", all))
    };
    if let Some((name, rule)) = left.strip_suffix(':').and_then(|left| left.split_once(':')) {
        return Ok(Filter::Rule {
            attribute: attribute(name)?,
            rule: attribute(rule)?,
            value: value(right)?,
        });
    }
    if let Some(name) = left.strip_suffix('>') {
        return Ok(Filter::AtLeast(attribute(name)?, value(right)?));
    }
    if let Some(name) = left.strip_suffix('<') {
        return Ok(Filter::AtMost(attribute(name)?, value(right)?));
    }
    let attribute = attribute(left)?;
    if right == "*" {
        return Ok(Filter::Present(attribute));
    }
    let mut parts = right.split('*').map(value).collect::<Result<Vec<_>, _>>()?;
    let last = parts.pop().unwrap_or_default();
    if parts.is_empty() {
        return Ok(Filter::Equal(attribute, last));
    }
    let first = parts.remove(0);
    parts.retain(|part| !part.is_empty());
    Ok(Filter::Parts { attribute, first, between: parts, last })
}

/// A value without its escapes.
fn value(text: &str) -> Result<Vec<u8>, FilterError> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(escaped.ok_or_else(|| expected("two hexadecimal digits after '\\'", text))?);
        rest = &after[2..];
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read() {
        let parsed = Filter::parse("(&(objectClass=person)(!(uid=a\\2ab))(|(cn=*Ann*a)(mail=*)))").unwrap();
        let part = |text: &str| text.as_bytes().to_vec();
        assert_eq!(
            parsed,
            Filter::All(vec![
                Filter::equal("objectClass", "person"),
                Filter::Not(Box::new(Filter::equal("uid", "a*b"))),
                Filter::Any(vec![
                    Filter::Parts {
                        attribute: "cn".into(),
                        first: vec![],
                        between: vec![part("Ann")],
                        last: part("a")
                    },
                    Filter::Present("mail".into()),
                ]),
            ])
        );
        let rule = Filter::parse("(userAccountControl:1.2.840.113556.1.4.803:=2)").unwrap();
        assert!(matches!(rule, Filter::Rule { value, .. } if value == b"2"));
        assert_eq!(Filter::parse("(a>=1)").unwrap(), Filter::AtLeast("a".into(), part("1")));
    }

    #[test]
    fn what_is_no_filter_is_named() {
        for bad in
            ["", "(", "()", "(&)", "(a=b", "(a=b))", "a=b", "(a b=c)", "(a=\\zz)", "(a=\\2)", "(=b)", "(!a)"]
        {
            assert!(Filter::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Filter::parse(&"(!".repeat(40)), Err(FilterError::Deep));
        assert!(matches!(Filter::parse(&"(".repeat(5000)), Err(FilterError::Long(_))));
        let error = Filter::parse("(cn=x").unwrap_err().to_string();
        assert_eq!(error, "expected ')' in the filter, got the end");
    }

    #[test]
    fn values_never_become_structure() {
        let mut out = Vec::new();
        Filter::equal("uid", "*)(uid=*").put(&mut out);
        assert_eq!(out, [&[0xa3, 15, 4, 3][..], b"uid", &[4, 8], b"*)(uid=*"].concat());
    }

    #[test]
    fn a_rule_of_the_directory_is_as_the_standard_has_it() {
        let mut out = Vec::new();
        Filter::parse("(member:1.2:=a)").unwrap().put(&mut out);
        let parts =
            [&[0xa9, 19, 0x81, 3][..], b"1.2", &[0x82, 6], b"member", &[0x83, 1], b"a", &[0x84, 1, 0]];
        assert_eq!(out, parts.concat());
    }
}
