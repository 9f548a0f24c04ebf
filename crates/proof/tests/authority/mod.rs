//! A time stamping authority made of `openssl ts`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

pub(crate) struct Authority {
    folder: PathBuf,
}

impl Authority {
    /// Makes a root and a certificate for `usage` with a key of this kind.
    pub(crate) fn new(folder: &Path, kind: &str, usage: &str) -> Self {
        fs::create_dir_all(folder).unwrap();
        let made = Self { folder: folder.to_owned() };
        let key = |name: &str| -> Vec<String> {
            let mut words = vec!["-newkey".to_owned(), kind.to_owned()];
            if kind == "ec" {
                words.extend(["-pkeyopt", "ec_paramgen_curve:P-256"].map(str::to_owned));
            }
            words.extend(["-nodes".to_owned(), "-keyout".to_owned(), format!("{name}.key")]);
            words
        };
        let mut root = ["req", "-x509", "-days", "30", "-subj", "/CN=Test root", "-out", "root.pem"]
            .map(str::to_owned)
            .to_vec();
        root.extend(key("root"));
        made.run(&root);
        let mut asked = ["req", "-subj", "/CN=Test TSA", "-out", "tsa.csr"].map(str::to_owned).to_vec();
        asked.extend(key("tsa"));
        made.run(&asked);
        fs::write(folder.join("ext"), format!("extendedKeyUsage=critical,{usage}\n")).unwrap();
        let signed = "x509 -req -in tsa.csr -CA root.pem -CAkey root.key -CAcreateserial -days 20 -extfile ext -out tsa.pem";
        made.run(&signed.split(' ').map(str::to_owned).collect::<Vec<_>>());
        fs::write(folder.join("serial"), "01\n").unwrap();
        let config = "[tsa]\ndefault_tsa = a\n[a]\ndir = .\nserial = serial\ncrypto_device = builtin\nsigner_cert = tsa.pem\n\
                      certs = root.pem\nsigner_key = tsa.key\nsigner_digest = sha256\ndefault_policy = 1.2.3.4\n\
                      digests = sha256\naccuracy = secs:1\n";
        fs::write(folder.join("ts.cnf"), config).unwrap();
        made
    }

    fn run(&self, words: &[String]) {
        let done = Command::new("openssl").args(words).current_dir(&self.folder).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// The root's certificate, PEM.
    pub(crate) fn certificate(&self) -> String {
        fs::read_to_string(self.folder.join("root.pem")).unwrap()
    }

    /// Answers a request; `None` when it cannot.
    pub(crate) fn answer(&self, request: &[u8]) -> Option<Vec<u8>> {
        fs::write(self.folder.join("request"), request).unwrap();
        let words = ["ts", "-reply", "-config", "ts.cnf", "-queryfile", "request", "-out", "response"];
        let done = Command::new("openssl").args(words).current_dir(&self.folder).output().unwrap();
        let response = fs::read(self.folder.join("response")).ok();
        response.filter(|_| done.status.success())
    }
}
