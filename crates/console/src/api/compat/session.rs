//! A session as these calls tell of it: every field that callers know of, null where nothing is known here.

use crate::{api::user_sessions::Session, sites::SiteName};
use jiff::{Timestamp, tz::TimeZone};
use playhead_model::{RemoteProtocol, SessionState, WallTime};
use serde_json::{Map, Value, json};

/// Nothing is known of these.
const OF_SESSION: &[&str] = &["Uid"];
const OF_MACHINE: &[&str] = &[
    "Uid",
    "AgentVersion",
    "AllocationType",
    "ApplicationsInUse",
    "AssignedUsers",
    "AssociatedUsers",
    "AzureAdJoinedMode",
    "ContainerScopes",
    "ControllerDnsName",
    "DeliveryType",
    "Description",
    "DesktopConditions",
    "InMaintenanceMode",
    "DrainingUntilShutdown",
    "IPAddress",
    "IsAssigned",
    "MachineType",
    "LastConnectionFailure",
    "LastConnectionTime",
    "FormattedLastConnectionTime",
    "LastConnectionUser",
    "LastDeregistrationReason",
    "LastDeregistrationTime",
    "FormattedLastDeregistrationTime",
    "LastErrorReason",
    "LastErrorTime",
    "FormattedLastErrorTime",
    "LoadIndex",
    "MachineUnavailableReason",
    "OSVersion",
    "PersistUserChanges",
    "PowerActionPending",
    "PowerState",
    "ProvisioningType",
    "PublishedApplications",
    "PublishedName",
    "ScheduledReboot",
    "SessionClientAddress",
    "SessionClientName",
    "SessionClientVersion",
    "SessionConnectedViaHostName",
    "SessionConnectedViaIP",
    "SessionCount",
    "SessionLaunchedViaHostName",
    "SessionLaunchedViaIP",
    "SessionProtocol",
    "SessionSecureIcaActive",
    "SessionSmartAccessTags",
    "SessionStartTime",
    "FormattedSessionStartTime",
    "SessionState",
    "SessionStateChangeTime",
    "FormattedSessionStateChangeTime",
    "SessionUserName",
    "Sid",
    "SummaryState",
    "WillShutdownAfterUse",
    "WindowsConnectionSetting",
    "SupportedPowerActions",
    "FaultState",
    "ContainerMetadata",
    "Tags",
    "UpgradeType",
    "UpgradeState",
    "UpgradeDetail",
];
const OF_HOSTING: &[&str] = &[
    "HostedMachineId",
    "HostedMachineName",
    "HostingServerName",
    "LastHostingUpdateTime",
    "FormattedLastHostingUpdateTime",
    "ImageOutOfDate",
];
const OF_USER: &[&str] = &[
    "DisplayName",
    "CommonName",
    "Oid",
    "Sid",
    "GroupSids",
    "DenyOnlySids",
    "PasswordCanExpire",
    "DaysUntilPasswordExpiry",
    "IsBuiltIn",
    "StreetAddress",
    "City",
    "State",
    "Country",
    "Mail",
    "TelephoneNumber",
    "HomePhone",
    "Mobile",
    "Enabled",
    "Locked",
    "Claims",
    "Directory",
    "Forest",
    "Guid",
    "DistinguishedName",
    "CanonicalName",
    "DirectoryServer",
];

/// The application of whoever has a whole desktop.
const DESKTOP: &str = "desktop";

/// A session of a site.
pub(super) fn document(session: &Session, site: &SiteName) -> Value {
    let established = times("EstablishmentTime", session.started_at);
    let kinds = ["MachineCatalog", "DeliveryGroup"];
    let known = json!({
        "Id": session.id,
        "ApplicationsInUse": applications(session),
        "AppState": app_state(session),
        "Brokering": brokering(session),
        "Client": client(session),
        "Connection": connection(session),
        "ContainerScopes": kinds.map(|kind| json!({ "Scopes": [everything()], "ScopeType": kind })),
        "EstablishmentDurationMilliseconds": null,
        "IsAnonymousUser": false,
        "IsHidden": false,
        "LogoffInProgress": false,
        "LogonInProgress": false,
        "Machine": machine(session, site),
        "SessionType": session_type(session),
        "State": state(session),
        "UntrustedUserName": session.user,
        "User": user(session),
    });
    let parts = [
        known,
        established,
        times("AppStateLastChangeTime", session.changed_at),
        times("StartTime", session.started_at),
        times("StateChangeTime", session.changed_at),
    ];
    filled(OF_SESSION, parts)
}

fn brokering(session: &Session) -> Value {
    json!({
        // Whoever is connected has connected to the host without a broker.
        "AutonomouslyBrokered": true,
        "DurationMilliseconds": null,
        "Time": null,
        "FormattedTime": null,
        "UserName": user_name(session),
        "UserSid": null,
    })
}

fn client(session: &Session) -> Value {
    json!({
        "DeviceId": null,
        "HardwareId": null,
        "IPAddress": session.address,
        "Name": session.client,
        "Platform": null,
        "ProductId": null,
        "ReceiverIPAddress": null,
        "ReceiverName": null,
        "Version": session.client_version,
    })
}

fn connection(session: &Session) -> Value {
    json!({
        "ConnectedViaHostName": null,
        "ConnectedViaIP": null,
        "ConnectionMode": "Unbrokered",
        "LaunchedViaHostName": null,
        "LaunchedViaIP": null,
        "Protocol": protocol(session),
        "SecureIcaActive": null,
        "SmartAccessTags": session.tags,
    })
}

fn machine(session: &Session, site: &SiteName) -> Value {
    let nobody = json!({ "Id": null, "Uid": null, "Name": null });
    let mut group = nobody.clone();
    group["Name"] = json!(session.delivery_groups.first());
    let hosting = filled(OF_HOSTING, [json!({ "HypervisorConnection": nobody })]);
    let known = json!({
        "Id": session.agent,
        "Name": session.host,
        "DnsName": session.host,
        "DeliveryGroup": group,
        "MachineCatalog": nobody,
        "Hosting": hosting,
        "OSType": "Linux",
        "RegistrationState": registration(session),
        "SessionSupport": "MultiSession",
        "Zone": { "Id": site.id, "Uid": null, "Name": site.name },
    });
    filled(OF_MACHINE, [known])
}

fn user(session: &Session) -> Value {
    let name = user_name(session);
    let domain = name.split_once('\\').map(|(domain, _)| domain);
    let known = json!({
        "Name": name,
        "SamName": name,
        "SamAccountName": session.user,
        "PrincipalName": principal_name(session),
        "Domain": domain,
        "IsGroup": false,
        "PropertiesFetched": 0,
        "PossibleLookupFailure": false,
    });
    filled(OF_USER, [known])
}

/// That which holds everything: there are no other scopes here.
fn everything() -> Value {
    json!({
        "Id": "00000000-0000-0000-0000-000000000000",
        "Uid": null,
        "Name": "All",
        "Description": null,
        "IsBuiltIn": true,
        "IsAllScope": true,
        "IsTenantScope": false,
        "TenantId": null,
        "TenantName": null,
    })
}

fn applications(session: &Session) -> Value {
    match application(session) {
        Some(name) => json!([{ "Id": null, "Uid": null, "Name": name }]),
        None => json!([]),
    }
}

/// The published application; `None` for a desktop.
pub(super) fn application(session: &Session) -> Option<&str> {
    let is_desktop = session.application.is_empty() || session.application.eq_ignore_ascii_case(DESKTOP);
    (!is_desktop).then_some(session.application.as_str())
}

pub(super) fn app_state(session: &Session) -> &'static str {
    if application(session).is_some() { "Active" } else { "Desktop" }
}

pub(super) fn session_type(session: &Session) -> &'static str {
    if application(session).is_some() { "Application" } else { "Desktop" }
}

pub(super) fn state(session: &Session) -> &'static str {
    match session.state {
        SessionState::Connected => "Active",
        SessionState::Disconnected => "Disconnected",
        SessionState::Ended => "Unknown",
    }
}

pub(super) fn protocol(session: &Session) -> &'static str {
    match session.protocol {
        RemoteProtocol::Rdp => "Rdp",
        RemoteProtocol::Vnc => "Vnc",
        RemoteProtocol::Local => "Console",
    }
}

pub(super) fn registration(session: &Session) -> &'static str {
    if session.reachable { "Registered" } else { "Unregistered" }
}

/// The user's name with the domain, where it is known.
pub(super) fn user_name(session: &Session) -> &str {
    session.users.iter().find(|name| name.contains('\\')).unwrap_or(&session.user)
}

/// The user's name with a realm.
pub(super) fn principal_name(session: &Session) -> Option<&str> {
    session.users.iter().find(|name| name.contains('@')).map(String::as_str)
}

/// A moment under this name, and for programs under another.
fn times(name: &str, at: WallTime) -> Value {
    let formatted = format!("Formatted{name}");
    Value::Object(Map::from_iter([(name.to_owned(), json!(american(at))), (formatted, json!(iso(at)))]))
}

/// RFC 3339 in UTC, to the second.
pub(super) fn iso(at: WallTime) -> String {
    Timestamp::from_microsecond(whole_seconds(at)).unwrap_or_default().to_string()
}

/// As it is written in the United States, in UTC, to the second: `3/15/2022 7:41:46 AM`.
pub(super) fn american(at: WallTime) -> String {
    let at = Timestamp::from_microsecond(whole_seconds(at)).unwrap_or_default().to_zoned(TimeZone::UTC);
    let half = if at.hour() < 12 { "AM" } else { "PM" };
    let hour = match at.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    format!("{}/{}/{} {hour}:{:02}:{:02} {half}", at.month(), at.day(), at.year(), at.minute(), at.second())
}

fn whole_seconds(at: WallTime) -> i64 {
    at.as_micros() - at.as_micros().rem_euclid(1_000_000)
}

/// An object of what is known, and nulls for the rest.
fn filled<const N: usize>(unknown: &[&str], known: [Value; N]) -> Value {
    let mut object: Map<String, Value> = unknown.iter().map(|&name| (name.to_owned(), Value::Null)).collect();
    for part in known {
        if let Value::Object(part) = part {
            object.extend(part);
        }
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_both_ways() {
        let at = |text: &str| text.parse::<WallTime>().unwrap();
        for (time, written) in [
            ("2022-03-15T07:41:46.999999Z", "3/15/2022 7:41:46 AM"),
            ("2026-11-01T00:05:09Z", "11/1/2026 12:05:09 AM"),
            ("2026-11-01T12:00:00Z", "11/1/2026 12:00:00 PM"),
            ("2026-12-31T23:59:59Z", "12/31/2026 11:59:59 PM"),
        ] {
            assert_eq!(american(at(time)), written);
        }
        assert_eq!(iso(at("2022-03-15T07:41:46.999999Z")), "2022-03-15T07:41:46Z");
    }
}
