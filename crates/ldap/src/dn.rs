//! Comparing names of entries.

/// A form of a distinguished name in which two spellings of one name are alike: no spaces around separators, escapes as the character
/// they stand for, lower case. For comparing alone; it cannot be sent.
pub fn same_form(dn: &str) -> String {
    parts(dn).join("\u{1}")
}

/// Whether an entry is `base` or lies below it. Everything lies below the empty base.
pub fn is_within(dn: &str, base: &str) -> bool {
    if base.trim().is_empty() {
        return true;
    }
    let (dn, base) = (parts(dn), parts(base));
    dn.ends_with(&base)
}

/// The name's parts, from the entry to the root.
fn parts(dn: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = Part::default();
    let mut rest = dn.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'\\', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                part.keep(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            (b'\\', [escaped, after @ ..]) => {
                part.keep(*escaped);
                rest = after;
            }
            (b',' | b';', _) => parts.push(std::mem::take(&mut part).text()),
            (b'=' | b'+', _) => part.separate(byte),
            (b' ', _) if part.bytes.len() == part.kept => {}
            _ => part.bytes.push(byte),
        }
    }
    if !part.bytes.is_empty() || !parts.is_empty() {
        parts.push(part.text());
    }
    parts
}

/// One part under way. Spaces behind `kept` are dropped at its end, and those right behind it are not taken.
#[derive(Default)]
struct Part {
    bytes: Vec<u8>,
    kept: usize,
}

impl Part {
    fn keep(&mut self, byte: u8) {
        self.bytes.push(byte);
        self.kept = self.bytes.len();
    }

    fn separate(&mut self, byte: u8) {
        self.trim();
        self.keep(byte);
    }

    fn trim(&mut self) {
        while self.bytes.len() > self.kept && self.bytes.last() == Some(&b' ') {
            self.bytes.pop();
        }
    }

    fn text(mut self) -> String {
        self.trim();
        String::from_utf8_lossy(&self.bytes).to_lowercase()
    }
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte.wrapping_sub(b'A').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_alike_and_others_are_not() {
        let one = same_form("CN=Müller\\, Anna,OU=People,DC=example,DC=org");
        assert_eq!(one, same_form("cn = m\\c3\\bcller\\2c Anna , ou=people;dc=Example, dc=ORG"));
        assert_ne!(one, same_form("CN=Müller,CN=Anna,OU=People,DC=example,DC=org"));
        assert_ne!(same_form("cn=a\\ ,dc=x"), same_form("cn=a,dc=x"), "an escaped space is part of the name");
        assert_eq!(same_form(""), "");
    }

    #[test]
    fn an_entry_lies_within_its_bases() {
        let dn = "cn=a\\,dc=b,ou=People,dc=example,dc=org";
        assert!(is_within(dn, "DC=Example, DC=org") && is_within(dn, "") && is_within(dn, dn));
        assert!(!is_within(dn, "dc=b,ou=people,dc=example,dc=org"), "the comma is part of the name");
        assert!(!is_within("dc=notexample,dc=org", "dc=example,dc=org"));
    }

    #[test]
    fn whatever_comes_ends() {
        for odd in ["\\", "a\\", "=,=,;", ",,,", " ", "\\zz", "\\f", "ü=ü"] {
            same_form(odd);
        }
    }
}
