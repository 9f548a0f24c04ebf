//! Identifiers by which Active Directory knows accounts and groups.

/// Bytes before the parts: revision, number of parts, authority.
const HEAD: usize = 8;
/// Bytes of a part.
const PART: usize = 4;

/// The identifier of the group with this number in the domain of an account, as `primaryGroupID` gives it; `None` when `account` is no
/// identifier of an account.
pub fn group_of_domain(account: &[u8], number: u32) -> Option<Vec<u8>> {
    let parts = usize::from(*account.get(1)?);
    let is_one = account.first() == Some(&1) && parts > 0 && account.len() == HEAD + PART * parts;
    let domain = is_one.then(|| &account[..account.len() - PART])?;
    Some([domain, &number.to_le_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_tells_the_group_and_what_is_no_identifier_gives_none() {
        // S-1-5-21-1-2-3-1104.
        let part = |number: u32| number.to_le_bytes();
        let anna =
            [&[1, 5, 0, 0, 0, 0, 0, 5][..], &part(21), &part(1), &part(2), &part(3), &part(1104)].concat();
        let users = group_of_domain(&anna, 513).unwrap();
        assert_eq!((&users[..24], &users[24..]), (&anna[..24], &part(513)[..]));
        for odd in
            [&[][..], &[1], &[1, 0, 0, 0, 0, 0, 0, 5], &anna[..27], &[2, 1, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0]]
        {
            assert_eq!(group_of_domain(odd, 513), None);
        }
    }
}
