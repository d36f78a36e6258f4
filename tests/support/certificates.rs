//! Certificates for registries that speak TLS, made anew for each.

use std::fs;
use std::path::Path;
use std::process::Command;

/// An authority, a server's certificate for every name that a test reaches it by, and a client's, all in `folder`.
pub fn certificates(folder: &Path) {
    openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=authority -days 2",
    );
    fs::write(folder.join("server.ext"), "subjectAltName=IP:127.0.0.1,IP:0.0.0.0,DNS:registry.invalid\n")
        .expect("the server's extensions are written");
    fs::write(folder.join("client.ext"), "extendedKeyUsage=clientAuth\n")
        .expect("the client's extensions are written");
    for name in ["server", "client"] {
        openssl(
            folder,
            &format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"),
        );
        openssl(
            folder,
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile {name}.ext"
            ),
        );
    }
}

/// Runs openssl in `folder`, with arguments that hold no spaces.
///
/// # Panics
///
/// When it fails, with what it said.
pub fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output();
    let output = output.unwrap_or_else(|error| panic!("cannot start openssl: {error}\n{}", super::HINT));
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
