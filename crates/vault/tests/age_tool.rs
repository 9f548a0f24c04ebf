//! What is encrypted for handing over opens with the real `age`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "a test that is not run says so")]

use playhead_vault::{AgeEncrypter, Secrecy};
use std::process::Command;

fn random(bytes: &mut [u8]) -> bool {
    use std::io::Read as _;
    std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(bytes)).is_ok()
}

fn encrypted(secrecy: &Secrecy, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encrypter = AgeEncrypter::new(secrecy, random, &mut out).unwrap();
    for piece in content.chunks(9_999) {
        encrypter.push(piece, &mut out);
    }
    encrypter.finish(&mut out);
    out
}

#[test]
fn age_opens_what_is_encrypted_to_recipients() {
    let made = Command::new("age-keygen").output();
    let Ok(made) = made else {
        println!("NOT RUN: install the Debian package age");
        return;
    };
    let folder = std::env::temp_dir().join(format!("playhead-age-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let identity = String::from_utf8(made.stdout).unwrap();
    let public = identity.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned();
    std::fs::write(folder.join("key"), &identity).unwrap();
    let other = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj".to_owned();
    let secrecy = Secrecy::of(None, &[other, public]).unwrap().unwrap();
    for length in [0, 1, 65_535, 65_536, 65_537, 400_000] {
        let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let mut file = encrypted(&secrecy, &content);
        let path = folder.join("file.age");
        std::fs::write(&path, &file).unwrap();
        let open =
            || Command::new("age").args(["-d", "-i"]).arg(folder.join("key")).arg(&path).output().unwrap();
        let opened = open();
        assert!(opened.status.success(), "{length}: {}", String::from_utf8_lossy(&opened.stderr));
        assert_eq!(opened.stdout, content, "{length}");
        *file.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &file).unwrap();
        assert!(!open().status.success(), "a changed file is found");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// `age` asks for passphrases at a terminal only, which `script` makes.
#[test]
fn age_opens_what_is_encrypted_to_a_passphrase() {
    if Command::new("age").arg("--version").output().is_err() {
        println!("NOT RUN: install the Debian package age");
        return;
    }
    let folder = std::env::temp_dir().join(format!("playhead-age-pass-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let secrecy = Secrecy::of(Some("correct horse battery".into()), &[]).unwrap().unwrap();
    let content = vec![7; 100_000];
    let path = folder.join("file.age");
    std::fs::write(&path, encrypted(&secrecy, &content)).unwrap();
    let opened = |passphrase: &str| {
        let out = folder.join("out");
        let command = format!("age -d -o {} {}", out.display(), path.display());
        let mut child = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        use std::io::Write as _;
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(format!("{passphrase}\n").as_bytes()).unwrap();
        let status = child.wait().unwrap();
        drop(stdin);
        let found = std::fs::read(&out).ok();
        let _ = std::fs::remove_file(&out);
        found.filter(|_| status.success())
    };
    assert_eq!(opened("correct horse battery"), Some(content));
    assert_eq!(opened("wrong horse battery"), None);
    std::fs::remove_dir_all(&folder).unwrap();
}
