//! Proxies of the environment: used for other hosts, never for loopback.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::commands::{declaration, log_in, ok, put_images};
use crate::debian::Debian;
use crate::scripted::{Server, registry};
use crate::support::{Workspace, certificates};

/// A proxy that leads every host to one server and keeps the first line of each connection.
async fn proxy(to: std::net::SocketAddr) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let kept = lines.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(lead(client, to, kept.clone()));
        }
    });
    (address, lines)
}

async fn lead(mut client: TcpStream, to: std::net::SocketAddr, lines: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    let text = String::from_utf8(head).unwrap();
    let line = text.lines().next().unwrap().to_owned();
    lines.lock().unwrap().push(line.clone());
    let mut server = TcpStream::connect(to).await.unwrap();
    if line.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    } else {
        // The request of a proxy names the whole address, and servers take it as it is.
        server.write_all(text.as_bytes()).await.unwrap();
    }
    // Either side may hang up first.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

/// A name that only the proxy can make something of.
const ELSEWHERE: &str = "registry.invalid:5000";

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_goes_through_the_proxy_and_loopback_does_not() {
    let server = Server::plain().await;
    put_images(&registry(), &server.address.to_string()).await;
    let (address, lines) = proxy(server.address).await;
    let variables = [("http_proxy", address.as_str()), ("https_proxy", address.as_str())];

    let declared = format!("{}\n[registry.\"{ELSEWHERE}\"]\nplain-http = true\n", declaration(ELSEWHERE));
    let workspace = Workspace::new(&[("manifests.toml", &declared)]);
    ok(&workspace, &["reconcile"], &variables).await;
    let used = lines.lock().unwrap().clone();
    assert!(!used.is_empty() && used.iter().all(|line| line.contains(&format!(" http://{ELSEWHERE}/v2/"))));

    workspace.write("manifests.toml", &declaration(&server.address.to_string()));
    ok(&workspace, &["reconcile"], &variables).await;
    assert_eq!(lines.lock().unwrap().len(), used.len(), "loopback is reached directly");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_goes_through_a_tunnel_with_credentials_inside_it() {
    let section = "  tls: { certificate: {}/server.pem, key: {}/server.key }";
    let debian = Debian::with_passwords(section, certificates);
    put_images(&debian.registry(), &debian.host()).await;
    let (address, lines) = proxy(([127, 0, 0, 1], debian.port()).into()).await;
    let declared = format!(
        "{}\n[registry.\"{ELSEWHERE}\"]\nca-file = {:?}\n",
        declaration(ELSEWHERE),
        debian.path("ca.pem")
    );
    let workspace = Workspace::new(&[("manifests.toml", &declared)]);
    log_in(&workspace, ELSEWHERE, "hunter2");
    ok(&workspace, &["reconcile"], &[("HTTPS_PROXY", &address)]).await;
    let used = lines.lock().unwrap().clone();
    assert!(!used.is_empty() && used.iter().all(|line| *line == format!("CONNECT {ELSEWHERE} HTTP/1.1")));

    // NO_PROXY takes the host out, and without the proxy nobody knows the name.
    let output = crate::commands::run(
        &workspace,
        &["reconcile"],
        &[("HTTPS_PROXY", &address), ("NO_PROXY", "registry.invalid")],
    )
    .await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(lines.lock().unwrap().len(), used.len());
}
