//! The role, and the launcher that probes itself.

use std::fs;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

use super::relay::Relay;
use crate::support::process::Process;
use crate::support::stack::Stack;
use crate::support::{SECRET, SOON, eventually};

const FAILS: &str = "the probe fails";
const SUCCEEDS: &str = "the probe succeeds again";

/// Of `localhost`, signed by itself, and its key: for this test, and of no use elsewhere.
const CERTIFICATE: &str = include_str!("localhost.pem");
const KEY: &str = include_str!("localhost.key");

fn times(output: &str, text: &str) -> usize {
    output.matches(text).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_tells_once_that_it_fails_and_once_that_it_does_not_any_more() {
    let (stack, relay) = (Stack::start().await, Relay::start(None).await);
    let url = format!("http://{}", relay.address);
    let settings = [
        ("PROBE_URL", url.as_str()),
        ("PROBE_INTERVAL", "50ms"),
        ("PROBE_TIMEOUT", "30s"),
        ("PROBE_NAME", "role"),
        ("JWT_SECRET", SECRET),
        ("ADMIN_PORT", "0"),
        ("LOG", "info"),
    ];
    let mut probe = Process::linkup(&["probe"], &settings);
    probe.line("linkup probe is ready").await;
    eventually("several exchanges have failed", SOON, async || (relay.connections() >= 5).then_some(()))
        .await;
    relay.lead_to(&stack.base());
    probe.line(SUCCEEDS).await;
    let output = probe.output();
    assert_eq!((times(&output, FAILS), times(&output, SUCCEEDS)), (1, 1), "{output}");
    assert!(output.contains("unreachable"), "{output}");
    assert!(probe.terminate().await.success());
    let name = store::bson::doc! {"username": "probe:role:a"};
    assert_eq!(stack.store().users().count_documents(name).await.unwrap(), 1);
}

#[tokio::test]
async fn the_role_says_what_it_needs() {
    let mut probe = Process::linkup(&["probe"], &[("PROBE_NAME", "a b"), ("ADMIN_PORT", "0")]);
    for setting in ["PROBE_URL: is required", "PROBE_NAME: must have", "JWT_SECRET: is required"] {
        probe.line(setting).await;
    }
    assert!(!probe.ended(SOON).await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_launcher_probes_where_it_is_told_to() {
    let (folder, relay) = (tempfile::tempdir().unwrap(), Relay::start(None).await);
    let url = format!("http://{}", relay.address);
    let data = folder.path().to_string_lossy();
    let settings = [
        ("PROBE_URL", url.as_str()),
        ("PROBE_INTERVAL", "50ms"),
        ("PROBE_TIMEOUT", "30s"),
        ("PORT", "0"),
        ("ADMIN_PORT", "0"),
        ("LOG", "info"),
    ];
    let mut launcher = Process::linkup(&["--data-dir", &data], &settings);
    let base = launcher.line("LinkUp is ready: ").await;
    launcher.line(FAILS).await;
    relay.lead_to(&base);
    launcher.line(SUCCEEDS).await;
    assert!(launcher.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_address_may_be_https() {
    let stack = Stack::start().await;
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("trusted.pem");
    fs::write(&trusted, CERTIFICATE).unwrap();
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let relay = Relay::start(Some(TlsAcceptor::from(Arc::new(config)))).await;
    let url = format!("https://localhost:{}", relay.address.port());
    let trusted = trusted.to_string_lossy();
    let settings = [
        ("PROBE_URL", url.as_str()),
        ("PROBE_INTERVAL", "50ms"),
        ("PROBE_TIMEOUT", "30s"),
        ("JWT_SECRET", SECRET),
        ("ADMIN_PORT", "0"),
        ("LOG", "info"),
        ("SSL_CERT_FILE", &trusted),
    ];
    let mut probe = Process::linkup(&["probe"], &settings);
    probe.line(FAILS).await;
    relay.lead_to(&stack.base());
    probe.line(SUCCEEDS).await;
    assert!(probe.terminate().await.success());
    // Whoever does not trust the certificate does not connect.
    let stranger = &settings[..settings.len() - 1];
    let mut probe = Process::linkup(&["probe"], stranger);
    let problem = probe.line(FAILS).await;
    assert!(problem.contains("unreachable") && problem.contains("certificate"), "{problem}");
    assert!(probe.terminate().await.success());
}
