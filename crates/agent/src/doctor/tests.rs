//! Hosts that are made up.

use super::*;
use crate::{AudioSettings, SpoolSettings};
use std::fs;

struct Made(tempfile::TempDir);

impl Made {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn find(&self, change: impl FnOnce(&mut Settings), ability: Ability) -> (Finding, bool) {
        let mut settings = Settings { data: self.0.path().join("data"), ..Settings::default() };
        settings.sessions.discover = true;
        settings.spool = SpoolSettings { least_free_bytes: 0, ..SpoolSettings::default() };
        change(&mut settings);
        let diagnosis = examine(&settings, self.0.path());
        let found = diagnosis.findings.iter().find(|finding| finding.ability == ability).unwrap();
        (found.clone(), diagnosis.is_well())
    }

    fn state(&self, ability: Ability) -> State {
        self.find(|_| {}, ability).0.state
    }
}

const ROOT: &str = "Name:\tx\nCapEff:\t000001ffffffffff\n";
const NOBODY: &str = "CapEff:\t0000000000000000\n";

#[test]
fn an_empty_host_lacks_everything_and_says_how_to_get_it() {
    let host = Made::with(&[]);
    for ability in [
        Ability::Permissions,
        Ability::Xrdp,
        Ability::Xvnc,
        Ability::Sound,
        Ability::Notices,
        Ability::Processes,
        Ability::Files,
        Ability::Printing,
        Ability::Clock,
        Ability::Server,
    ] {
        let (finding, well) = host.find(|_| {}, ability);
        assert_eq!(finding.state, State::Missing, "{finding:?}");
        assert!(finding.remedy.is_some() && !well, "{finding:?}");
    }
    let (sound, _) = host.find(
        |settings| settings.audio = AudioSettings { enabled: true, ..Default::default() },
        Ability::Sound,
    );
    assert!(sound.asked && sound.remedy.unwrap().starts_with("apt-get install pipewire-pulse"));
    assert!(!host.find(|_| {}, Ability::Sound).0.asked);
    let (screen, _) = host.find(|_| {}, Ability::Screen);
    assert!(screen.asked && screen.remedy.unwrap().contains("apt-get install tigervnc-standalone-server"));
    assert_eq!(host.state(Ability::Disk), State::Ok);
    let full = host.find(|settings| settings.spool.least_free_bytes = u64::MAX, Ability::Disk).0;
    assert_eq!(full.state, State::Missing);
    let nothing = host.find(|settings| settings.sessions.discover = false, Ability::Settings).0;
    assert!(nothing.state == State::Missing && nothing.remedy.unwrap().contains("discover = true"));
    let unusable = host.find(|settings| settings.spool.quota_bytes = 1, Ability::Settings).0;
    assert!(unusable.state == State::Missing && unusable.found.contains("67108864"), "{unusable:?}");
}

#[test]
fn what_is_there_is_found() {
    let host = Made::with(&[
        ("proc/self/status", ROOT),
        ("proc/net/connector", "Name            ID\ncn_proc         1:1\n"),
        ("proc/sys/fs/fanotify/max_user_groups", "128"),
        ("usr/sbin/xrdp", ""),
        ("usr/lib/xorg/modules/drivers/xrdpdev_drv.so", ""),
        ("var/log/xrdp.log", ""),
        ("etc/xrdp/xrdp.ini", "[Logging]\nLogFile=xrdp.log\nEnableProcessId=true\n"),
        ("etc/pam.d/xrdp-sesman", "# session required pam_loginuid.so\nsession required pam_loginuid.so\n"),
        ("usr/bin/Xvnc", ""),
        ("usr/bin/pipewire-pulse", ""),
        ("usr/sbin/cupsd", ""),
        ("run/chrony/chronyd.pid", "1"),
    ]);
    let join = |settings: &mut Settings| settings.server.join = Some("phj1_x".into());
    for ability in [
        Ability::Permissions,
        Ability::Processes,
        Ability::Files,
        Ability::Xrdp,
        Ability::LoginUid,
        Ability::Xvnc,
        Ability::Sound,
        Ability::Printing,
        Ability::Clock,
        Ability::Server,
    ] {
        let (finding, _) = host.find(join, ability);
        assert_eq!(finding.state, State::Ok, "{finding:?}");
    }
    // The made-up host has no fonts, and that is all that is missing.
    assert!(!host.find(join, Ability::Notices).1);
    let without = |settings: &mut Settings| {
        join(settings);
        settings.sessions.discover = false;
        settings.displays = vec![crate::DisplaySettings::new(":1")];
    };
    assert!(host.find(without, Ability::Notices).1);
}

#[test]
fn xrdps_log_is_to_name_processes() {
    let driver = "usr/lib/xorg/modules/drivers/xrdpdev_drv.so";
    let with = |more: &[(&str, &str)]| {
        let files: Vec<_> = [("usr/sbin/xrdp", ""), (driver, "")].iter().chain(more).copied().collect();
        let (finding, _) = Made::with(&files).find(|_| {}, Ability::Xrdp);
        assert!(!finding.asked || finding.state == State::Ok, "{finding:?}");
        (finding.state, finding.remedy.unwrap_or_default())
    };
    let (state, remedy) = with(&[]);
    assert!(state == State::Missing && remedy.contains("LogFile="), "{remedy}");
    let log = ("var/log/xrdp.log", "");
    for settings in ["", "[Logging]\nEnableProcessId=false\n"] {
        let (state, remedy) = with(&[log, ("etc/xrdp/xrdp.ini", settings)]);
        assert!(state == State::Missing && remedy.starts_with("set EnableProcessId=true"), "{remedy}");
    }
    let elsewhere = "LogFile=/srv/rdp.log\nEnableProcessId=1\n";
    assert_eq!(with(&[("srv/rdp.log", ""), ("etc/xrdp/xrdp.ini", elsewhere)]).0, State::Ok);
}

#[test]
fn published_applications_are_to_be_there_and_to_be_asked_for() {
    let publish = |settings: &mut Settings| {
        let text = "Terminal = [\"/usr/bin/none\", \"/usr/bin/xterm\"]\nEditor = \"/usr/bin/mousepad\"";
        settings.applications = toml::from_str(text).unwrap();
    };
    let host = Made::with(&[("usr/bin/xterm", "")]);
    let (finding, well) = host.find(publish, Ability::Applications);
    assert!(finding.asked && !well && finding.found.ends_with(": 'Editor'"), "{finding:?}");
    let both = [("usr/bin/xterm", ""), ("usr/bin/mousepad", "")];
    assert_eq!(Made::with(&both).find(publish, Ability::Applications).0.state, State::Ok);
    let sesman = ("etc/xrdp/sesman.ini", "[Security]\nAllowAlternateShell=false\n");
    let host = Made::with(&[both[0], both[1], sesman]);
    let mut settings = Settings::default();
    publish(&mut settings);
    let findings = examine(&settings, host.0.path()).findings;
    let remedies: Vec<_> = findings.iter().filter_map(|finding| finding.remedy.as_deref()).collect();
    assert!(remedies.iter().any(|remedy| remedy.starts_with("set AllowAlternateShell=true")), "{remedies:?}");
}

#[test]
fn a_user_is_told_what_could_not_be_looked_at() {
    let host = Made::with(&[
        ("proc/self/status", NOBODY),
        ("proc/net/connector", "cn_proc 1:1"),
        ("proc/sys/fs/fanotify/max_user_groups", "128"),
        ("usr/sbin/xrdp", ""),
        ("etc/pam.d/xrdp-sesman", "# session required pam_loginuid.so\n@include common-session\n"),
    ]);
    assert_eq!(host.state(Ability::Processes), State::Unknown);
    assert_eq!(host.state(Ability::Files), State::Unknown);
    assert_eq!(host.state(Ability::Permissions), State::Missing);
    let pam = host.find(|_| {}, Ability::LoginUid).0;
    assert!(pam.state == State::Missing && pam.remedy.unwrap().contains("session required pam_loginuid.so"));
    let xrdp = host.find(|_| {}, Ability::Xrdp).0;
    assert_eq!(xrdp.remedy.as_deref(), Some("apt-get install xorgxrdp"));
    for (ability, name) in [(Ability::LoginUid, "login-uid"), (Ability::Xrdp, "xrdp")] {
        assert_eq!(serde_json::to_value(ability).unwrap(), ability.as_str());
        assert_eq!(ability.as_str(), name);
    }
}
