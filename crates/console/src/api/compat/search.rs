//! What sessions are searched by, and in which order they come.

#[cfg(test)]
mod tests;

use super::{
    failure::Failure,
    session::{
        american, app_state, application, principal_name, protocol, registration, session_type, state,
        user_name,
    },
};
use crate::api::user_sessions::Session;
use jiff::{civil::DateTime, tz::TimeZone};
use playhead_model::WallTime;
use serde::{Deserialize, Serialize};

/// Most filters of a search, and most values of one filter.
const MOST_FILTERS: usize = 100;
const MOST_VALUES: usize = 500;
/// How deep groups may stand in groups.
const MOST_DEPTH: usize = 8;
/// Longest text that is searched for, characters.
const MOST_TEXT: usize = 256;
/// Most criteria to sort by.
const MOST_SORTS: usize = 5;
/// Characters by which texts are sorted.
const SORTED_BY: usize = 200;

/// A search as it is sent.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct Sent {
    #[serde(alias = "basicSearchString")]
    basic_search_string: Option<String>,
    #[serde(alias = "searchFilters")]
    search_filters: Option<Vec<SentFilter>>,
    #[serde(alias = "searchFilterGroups")]
    search_filter_groups: Option<Vec<SentGroup>>,
    #[serde(alias = "searchFilterGroupsType")]
    search_filter_groups_type: Option<String>,
    #[serde(alias = "sortCriteria")]
    sort_criteria: Option<SentSort>,
    #[serde(alias = "sortCriteriaItems")]
    sort_criteria_items: Option<Vec<SentSort>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SentFilter {
    #[serde(alias = "property")]
    property: String,
    #[serde(alias = "value", default)]
    value: Option<SentValue>,
    #[serde(alias = "operator")]
    operator: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum SentValue {
    Text(String),
    Number(i64),
    Boolean(bool),
    List(Vec<String>),
}

/// A group of filters, of groups, or of both.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SentGroup {
    #[serde(alias = "searchFilters", default)]
    search_filters: Option<Vec<SentFilter>>,
    #[serde(alias = "searchFilterGroupType", default)]
    search_filter_group_type: Option<String>,
    #[serde(alias = "searchFilterGroups", default)]
    search_filter_groups: Option<Vec<SentGroup>>,
    #[serde(alias = "searchFilterGroupsType", default)]
    search_filter_groups_type: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SentSort {
    #[serde(alias = "property")]
    property: String,
    #[serde(alias = "sortDirection", default)]
    sort_direction: Option<String>,
}

/// A search that makes sense.
#[derive(Debug)]
pub(super) struct Search {
    /// In small letters; in any of a session's texts.
    basic: Option<String>,
    test: Test,
    /// Each with whether it descends.
    sorts: Vec<(Property, bool)>,
    /// Names the search, so that one does not go on where another stopped.
    pub(super) name: String,
}

#[derive(Debug)]
enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    One { property: Property, operator: Operator, negated: bool, values: Vec<Wanted> },
}

/// A value that is searched for: in small letters, and as a time where the property is one.
#[derive(Debug)]
struct Wanted {
    text: String,
    time: Option<i64>,
}

/// What is sorted by. Nothing comes before something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Key {
    Nothing,
    Number(i64),
    Text(String),
}

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($variant:ident = $($name:literal)|+,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum $type { $($variant,)+ }

        impl $type {
            const NAMES: &[(&str, Self)] = &[$($(($name, Self::$variant),)+)+];

            fn read(text: &str) -> Result<Self, Failure> {
                let found = Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text.trim()));
                found.map(|(_, found)| *found).ok_or_else(|| {
                    let names: Vec<_> = Self::NAMES.iter().map(|(name, _)| *name).collect();
                    let text: String = text.chars().take(64).collect();
                    Failure::wrong(format!("Expected one of {}, got '{text}'.", names.join(", ")))
                })
            }
        }
    };
}

names!(
    /// What a session can be searched and sorted by.
    Property {
        Id = "Id" | "SessionId",
        UserName = "UserName" | "CurrentUser" | "UserDisplayName",
        PrincipalName = "UserPrincipalName",
        MachineName = "MachineName" | "DnsName",
        DeliveryGroup = "DeliveryGroup",
        State = "SessionState" | "State",
        ClientAddress = "ClientIP" | "ClientAddress",
        ClientName = "ClientName",
        ClientVersion = "ClientVersion",
        Applications = "AppsInUse" | "ApplicationsInUse",
        AppState = "AppState",
        Kind = "SessionType",
        Protocol = "ConnectionProtocol" | "Protocol",
        Tags = "SmartAccessFilters" | "SmartAccessTags" | "Tags",
        Registration = "RegistrationState",
        System = "OSType",
        Support = "SessionSupport",
        Started = "StartTime" | "SessionStartTime",
        Changed = "SessionStateChangeTime",
    }
);

names!(
    /// How a value and a session's belong together.
    Operator {
        Equals = "Equals",
        NotEquals = "NotEquals",
        Contains = "Contains",
        NotContains = "NotContains",
        StartsWith = "StartsWith" | "ContainsStartsWith",
        NotStartsWith = "NotStartsWith",
        EndsWith = "EndsWith" | "ContainsEndsWith",
        Like = "Like" | "ContainsLike",
        NotLike = "NotLike",
        In = "In",
        NotIn = "NotIn",
        LessThan = "LessThan",
        LessThanOrEquals = "LessThanOrEquals",
        GreaterThan = "GreaterThan",
        GreaterThanOrEquals = "GreaterThanOrEquals",
        Any = "Any",
        None = "None",
    }
);

names!(
    /// How several belong together.
    Joined {
        And = "And",
        Or = "Or",
    }
);

names!(
    /// The direction of an order.
    Direction {
        Up = "Ascending",
        Down = "Descending",
    }
);

impl Default for Search {
    /// Everything, those first that began last.
    fn default() -> Self {
        Self {
            basic: None,
            test: Test::All(Vec::new()),
            sorts: vec![(Property::Started, true)],
            name: String::new(),
        }
    }
}

impl Search {
    /// Reads the body of a search.
    pub(super) fn read(body: &[u8]) -> Result<Self, Failure> {
        if body.is_empty() {
            return Err(Failure::wrong("A search needs a JSON body; {} finds everything."));
        }
        // A list would be read as the fields in their order: an empty one as a search for everything.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Failure::wrong("A search is a JSON object; {} finds everything."));
        }
        let sent: Sent = serde_json::from_slice(body)
            .map_err(|error| Failure::wrong(format!("The search cannot be read: {error}.")))?;
        // Structs of texts always serialise.
        let name = blake3::hash(&serde_json::to_vec(&sent).unwrap_or_default()).to_hex()[..16].to_owned();
        let basic = sent.basic_search_string.map(|text| text.trim().to_lowercase());
        let basic = basic.filter(|text| !text.is_empty());
        check_length(basic.as_deref().unwrap_or(""))?;
        let mut left = MOST_FILTERS;
        let mut all = filters(sent.search_filters, &mut left)?;
        all.push(groups(sent.search_filter_groups, sent.search_filter_groups_type, &mut left, 0)?);
        let mut sorts = Vec::new();
        for sort in sent.sort_criteria.into_iter().chain(sent.sort_criteria_items.unwrap_or_default()) {
            let direction = sort.sort_direction.as_deref().map(Direction::read).transpose()?;
            sorts.push((Property::read(&sort.property)?, direction == Some(Direction::Down)));
        }
        if sorts.len() > MOST_SORTS {
            return Err(Failure::wrong(format!(
                "There are {} sort criteria; expected at most {MOST_SORTS}.",
                sorts.len()
            )));
        }
        if sorts.is_empty() {
            sorts = Self::default().sorts;
        }
        Ok(Self { basic, test: Test::All(all), sorts, name })
    }

    /// Whether the session is one of those that are searched for.
    pub(super) fn finds(&self, session: &Session) -> bool {
        let in_texts = |part: &String| {
            let of_all = Property::NAMES.iter().map(|(_, property)| *property);
            let mut texts = of_all.filter(|property| property.is_free_text());
            texts
                .any(|property| property.texts(session).iter().any(|text| text.to_lowercase().contains(part)))
        };
        self.basic.as_ref().is_none_or(in_texts) && self.test.holds(session)
    }

    /// What the host of every session that is found has in its name, and what its user has in theirs, as far as the search says so: a
    /// site need give no others. In small letters.
    pub(super) fn parts(&self) -> (Option<&str>, Option<&str>) {
        (self.test.part_of(Property::MachineName), self.test.part_of(Property::UserName))
    }

    /// What it is sorted by.
    pub(super) fn keys(&self, session: &Session) -> Vec<Key> {
        self.sorts.iter().map(|(property, _)| property.key(session)).collect()
    }

    /// The order of two, by what they are sorted by.
    pub(super) fn order(&self, a: &[Key], b: &[Key]) -> std::cmp::Ordering {
        let of_each = self.sorts.iter().zip(a.iter().zip(b)).map(
            |((_, descends), (a, b))| {
                if *descends { b.cmp(a) } else { a.cmp(b) }
            },
        );
        of_each.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    }
}

fn filters(sent: Option<Vec<SentFilter>>, left: &mut usize) -> Result<Vec<Test>, Failure> {
    sent.unwrap_or_default().into_iter().map(|filter| one(filter, left)).collect()
}

fn groups(
    sent: Option<Vec<SentGroup>>,
    joined: Option<String>,
    left: &mut usize,
    depth: usize,
) -> Result<Test, Failure> {
    if depth > MOST_DEPTH {
        return Err(Failure::wrong(format!("Groups of filters may stand {MOST_DEPTH} deep in one another.")));
    }
    let mut tests = Vec::new();
    for group in sent.unwrap_or_default() {
        take(left)?;
        let own = filters(group.search_filters, left)?;
        let own = together(own, group.search_filter_group_type)?;
        let inner = groups(group.search_filter_groups, group.search_filter_groups_type, left, depth + 1)?;
        tests.push(Test::All(vec![own, inner]));
    }
    together(tests, joined)
}

/// Several tests as one. None at all hold.
fn together(tests: Vec<Test>, joined: Option<String>) -> Result<Test, Failure> {
    let joined = joined.as_deref().map(Joined::read).transpose()?;
    Ok(match joined {
        Some(Joined::Or) if !tests.is_empty() => Test::Any(tests),
        _ => Test::All(tests),
    })
}

fn take(left: &mut usize) -> Result<(), Failure> {
    let too_many = || Failure::wrong(format!("A search may have {MOST_FILTERS} filters and groups."));
    *left = left.checked_sub(1).ok_or_else(too_many)?;
    Ok(())
}

fn one(sent: SentFilter, left: &mut usize) -> Result<Test, Failure> {
    take(left)?;
    let property = Property::read(&sent.property)?;
    let operator = Operator::read(&sent.operator)?;
    let (operator, negated) = match operator {
        Operator::NotEquals => (Operator::Equals, true),
        Operator::NotContains => (Operator::Contains, true),
        Operator::NotStartsWith => (Operator::StartsWith, true),
        Operator::NotLike => (Operator::Like, true),
        Operator::NotIn => (Operator::In, true),
        Operator::None => (Operator::Any, true),
        other => (other, false),
    };
    let texts = match sent.value {
        None => vec![String::new()],
        Some(SentValue::Text(text)) if operator == Operator::In => {
            text.split(',').map(|part| part.trim().to_owned()).collect()
        }
        Some(SentValue::Text(text)) => vec![text],
        Some(SentValue::Number(number)) => vec![number.to_string()],
        Some(SentValue::Boolean(value)) => vec![value.to_string()],
        Some(SentValue::List(list)) if operator == Operator::In => list,
        Some(SentValue::List(_)) => {
            return Err(Failure::wrong("Only the operators In and NotIn take a list."));
        }
    };
    if texts.len() > MOST_VALUES {
        return Err(Failure::wrong(format!(
            "A list has {} values; expected at most {MOST_VALUES}.",
            texts.len()
        )));
    }
    let compares = matches!(
        operator,
        Operator::LessThan
            | Operator::LessThanOrEquals
            | Operator::GreaterThan
            | Operator::GreaterThanOrEquals
    );
    if compares && !property.is_time() {
        return Err(Failure::wrong("Only times can be compared by LessThan, GreaterThan and their like."));
    }
    let wants_time = property.is_time() && (compares || matches!(operator, Operator::Equals | Operator::In));
    let values = texts.into_iter().map(|text| {
        check_length(&text)?;
        let time = if wants_time { Some(read_time(&text)?) } else { None };
        Ok(Wanted { text: text.to_lowercase(), time })
    });
    Ok(Test::One { property, operator, negated, values: values.collect::<Result<_, Failure>>()? })
}

fn check_length(text: &str) -> Result<(), Failure> {
    if text.chars().count() > MOST_TEXT {
        return Err(Failure::wrong(format!("Texts to search for may have {MOST_TEXT} characters.")));
    }
    Ok(())
}

/// Seconds since the epoch. A time without a zone is one in UTC.
fn read_time(text: &str) -> Result<i64, Failure> {
    let text = text.trim();
    if let Ok(at) = text.parse::<WallTime>() {
        return Ok(at.as_micros().div_euclid(1_000_000));
    }
    let american = ["%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y"];
    let forms = american.into_iter().filter_map(|form| match DateTime::strptime(form, text) {
        Ok(at) => Some(at),
        Err(_) => jiff::civil::Date::strptime(form, text)
            .ok()
            .map(|date| date.to_datetime(jiff::civil::Time::midnight())),
    });
    let at = forms.into_iter().next().or_else(|| text.parse::<DateTime>().ok());
    let at = at.and_then(|at| at.to_zoned(TimeZone::UTC).ok());
    at.map(|at| at.timestamp().as_second()).ok_or_else(|| {
        let text: String = text.chars().take(64).collect();
        Failure::wrong(format!(
            "Expected a time such as 2022-03-15T07:41:46Z or 3/15/2022 7:41:46 AM, got '{text}'."
        ))
    })
}

impl Test {
    /// What this property of a session must hold for the test to hold.
    fn part_of(&self, wanted: Property) -> Option<&str> {
        match self {
            Self::All(tests) => tests.iter().find_map(|test| test.part_of(wanted)),
            Self::Any(tests) => match &tests[..] {
                [only] => only.part_of(wanted),
                _ => None,
            },
            Self::One { property, operator, negated: false, values } if *property == wanted => {
                let [value] = &values[..] else { return None };
                let part = match (wanted, operator) {
                    // A host tells several names of one user, with a domain and without: the short one stands in all of them.
                    (Property::UserName, Operator::Equals) => {
                        let name = value.text.rsplit('\\').next().unwrap_or_default();
                        name.split('@').next().unwrap_or_default()
                    }
                    (Property::UserName, _) => return None,
                    (
                        _,
                        Operator::Equals | Operator::Contains | Operator::StartsWith | Operator::EndsWith,
                    ) => &value.text,
                    _ => return None,
                };
                Some(part).filter(|part| !part.is_empty())
            }
            Self::One { .. } => None,
        }
    }

    fn holds(&self, session: &Session) -> bool {
        match self {
            Self::All(tests) => tests.iter().all(|test| test.holds(session)),
            Self::Any(tests) => tests.iter().any(|test| test.holds(session)),
            Self::One { property, operator, negated, values } => {
                let holds = match property.time(session) {
                    Some(at) if values.iter().any(|value| value.time.is_some()) => {
                        values.iter().filter_map(|value| value.time).any(|wanted| operator.times(at, wanted))
                    }
                    _ => {
                        let texts = property.texts(session);
                        let mut texts = texts.iter().map(|text| text.to_lowercase());
                        texts.any(|text| values.iter().any(|value| operator.texts(&text, &value.text)))
                    }
                };
                holds != *negated
            }
        }
    }
}

impl Operator {
    fn texts(self, text: &str, wanted: &str) -> bool {
        match self {
            Self::Contains => text.contains(wanted),
            Self::StartsWith => text.starts_with(wanted),
            Self::EndsWith => text.ends_with(wanted),
            Self::Like => is_like(text, wanted),
            Self::Any => !text.is_empty(),
            _ => text == wanted,
        }
    }

    fn times(self, at: i64, wanted: i64) -> bool {
        match self {
            Self::LessThan => at < wanted,
            Self::LessThanOrEquals => at <= wanted,
            Self::GreaterThan => at > wanted,
            Self::GreaterThanOrEquals => at >= wanted,
            _ => at == wanted,
        }
    }
}

/// Whether a text fits a pattern in which `*` stands for anything and `?` for one character. Takes at most their lengths' product.
fn is_like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut at, mut place) = (0, 0);
    // Behind the last star, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(place) {
            Some('*') => {
                place += 1;
                star = Some((place, at));
            }
            Some(&wanted) if wanted == '?' || wanted == text[at] => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((behind, taken)) = star else { return false };
                (place, at) = (behind, taken + 1);
                star = Some((behind, at));
            }
        }
    }
    pattern[place..].iter().all(|&rest| rest == '*')
}

impl Property {
    const fn is_time(self) -> bool {
        matches!(self, Self::Started | Self::Changed)
    }

    /// Whether people write it, so that it is worth looking for a part of it.
    const fn is_free_text(self) -> bool {
        matches!(
            self,
            Self::UserName
                | Self::MachineName
                | Self::DeliveryGroup
                | Self::ClientAddress
                | Self::ClientName
                | Self::Applications
                | Self::Tags
        )
    }

    /// Seconds since the epoch, where it is a time.
    fn time(self, session: &Session) -> Option<i64> {
        let at = match self {
            Self::Started => session.started_at,
            Self::Changed => session.changed_at,
            _ => return None,
        };
        Some(at.as_micros().div_euclid(1_000_000))
    }

    /// All it says of a session; nothing where that is not known.
    fn texts(self, session: &Session) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        match self {
            Self::Id => vec![session.id.to_string()],
            Self::UserName => {
                let mut names = vec![user_name(session).to_owned()];
                names.extend(session.users.iter().chain([&session.user]).cloned());
                names
            }
            Self::PrincipalName => principal_name(session).map(str::to_owned).into_iter().collect(),
            Self::MachineName => one(&session.host),
            Self::DeliveryGroup => session.delivery_groups.clone(),
            Self::State => one(state(session)),
            Self::ClientAddress => session.address.iter().cloned().collect(),
            Self::ClientName => session.client.iter().cloned().collect(),
            Self::ClientVersion => session.client_version.iter().cloned().collect(),
            Self::Applications => application(session).map(str::to_owned).into_iter().collect(),
            Self::AppState => one(app_state(session)),
            Self::Kind => one(session_type(session)),
            Self::Protocol => one(protocol(session)),
            Self::Tags => session.tags.clone(),
            Self::Registration => one(registration(session)),
            Self::System => one("Linux"),
            Self::Support => one("MultiSession"),
            Self::Started => one(&american(session.started_at)),
            Self::Changed => one(&american(session.changed_at)),
        }
    }

    fn key(self, session: &Session) -> Key {
        let at = match self {
            // More exact than what is searched by, so that the newest is the newest.
            Self::Started => Some(session.started_at),
            Self::Changed => Some(session.changed_at),
            _ => None,
        };
        match at {
            Some(at) => Key::Number(at.as_micros()),
            None => self.texts(session).first().map_or(Key::Nothing, |text| {
                Key::Text(text.to_lowercase().chars().take(SORTED_BY).collect())
            }),
        }
    }
}
