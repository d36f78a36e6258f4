//! Proxies of the environment: used for other hosts, never for loopback.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::commands::{declaration, log_in, ok, put_images, run};
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

/// A SOCKS 5 proxy (RFC 1928) that leads every host to one server and keeps the names that it was asked for.
async fn socks(to: std::net::SocketAddr) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let names = Arc::<Mutex<Vec<String>>>::default();
    let kept = names.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let kept = kept.clone();
            tokio::spawn(async move {
                let mut greeting = [0; 2];
                client.read_exact(&mut greeting).await.unwrap();
                client.read_exact(&mut vec![0; greeting[1].into()]).await.unwrap();
                client.write_all(&[5, 0]).await.unwrap();
                let mut request = [0; 5];
                client.read_exact(&mut request).await.unwrap();
                assert_eq!(request[..4], [5, 1, 0, 3], "a connection to a name");
                let mut name = vec![0; request[4].into()];
                client.read_exact(&mut name).await.unwrap();
                let port = client.read_u16().await.unwrap();
                kept.lock().unwrap().push(format!("{}:{port}", String::from_utf8(name).unwrap()));
                client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
                let mut server = TcpStream::connect(to).await.unwrap();
                // Either side may hang up first.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, names)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socks_proxy_resolves_the_registrys_name() {
    let server = Server::plain().await;
    put_images(&registry(), &server.address.to_string()).await;
    let (address, names) = socks(server.address).await;
    let declared = format!("{}\n[registry.\"{ELSEWHERE}\"]\nplain-http = true\n", declaration(ELSEWHERE));
    let workspace = Workspace::new(&[("manifests.toml", &declared)]);
    for (variable, scheme) in [("HTTP_PROXY", "socks5"), ("http_proxy", "socks5h"), ("ALL_PROXY", "socks5")] {
        ok(&workspace, &["reconcile"], &[(variable, &format!("{scheme}://{address}"))]).await;
        let used = std::mem::take(&mut *names.lock().unwrap());
        assert!(!used.is_empty() && used.iter().all(|name| name == ELSEWHERE), "{variable}: {used:?}");
    }
    // TLS goes the same way, and its failure is the server's.
    let output =
        run(&workspace, &["tags", "other.invalid/o/app"], &[("HTTPS_PROXY", &format!("socks5://{address}"))])
            .await;
    let used = std::mem::take(&mut *names.lock().unwrap());
    assert!(!used.is_empty() && used.iter().all(|name| name == "other.invalid:443"), "{used:?}");
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_at_a_proxy_is_said_of_the_proxy() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = |scheme: &str| format!("{scheme}://me:hunter2@{nobody}");
    let at = format!("the proxy {nobody} of `HTTPS_PROXY` gives no connection to registry.invalid:5000: ");
    let workspace = Workspace::new(&[]);
    for (value, expected) in [
        (refused("http"), [at.as_str(), "`NO_PROXY=registry.invalid` goes without it"]),
        (refused("socks5"), [at.as_str(), "`NO_PROXY=registry.invalid` goes without it"]),
        ("http://me:hunter2@us er:1".to_owned(), ["`HTTPS_PROXY` does not hold the address of a proxy", ""]),
        ("ftp://me:hunter2@host:1".to_owned(), ["`HTTPS_PROXY` does not hold the address of a proxy", ""]),
    ] {
        let output =
            run(&workspace, &["tags", &format!("{ELSEWHERE}/o/app")], &[("HTTPS_PROXY", &value)]).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        for part in expected {
            assert!(stderr.contains(part), "`{part}` is not in: {stderr}");
        }
    }
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
    let output =
        run(&workspace, &["reconcile"], &[("HTTPS_PROXY", &address), ("NO_PROXY", "registry.invalid")]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(lines.lock().unwrap().len(), used.len());
}
