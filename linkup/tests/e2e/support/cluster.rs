//! Every part as a process of its own, joined by NATS.

use super::nats_server::NatsServer;
use super::process::Process;
use super::{SECRET, mongo_uri};

/// Running processes.
pub(crate) struct Cluster {
    streamer: Process,
    apis: Vec<(String, Process)>,
    gateways: Vec<(String, Process)>,
    _nats: NatsServer,
}

impl Cluster {
    /// Starts one streamer, so many api nodes and so many gateways.
    pub(crate) async fn start(apis: usize, gateways: usize) -> Self {
        let (nats, mongo) = (NatsServer::start().await, mongo_uri().await);
        let nats_url = nats.url();
        let mut settings = vec![
            ("MONGODB_URI", mongo.as_str()),
            ("NATS_URL", &nats_url),
            ("JWT_SECRET", SECRET),
            ("PORT", "0"),
            ("ADMIN_PORT", "0"),
            ("LOG", "info"),
        ];
        let mut streamer = Process::linkup(&["streamer"], &settings);
        let apis = listening("api", apis, &settings).await;
        streamer.line("linkup streamer is ready").await;
        let api_urls = apis.iter().map(|(url, _)| url.as_str()).collect::<Vec<_>>().join(",");
        settings.push(("API_URLS", &api_urls));
        let gateways = listening("gateway", gateways, &settings).await;
        Self { streamer, apis, gateways, _nats: nats }
    }

    /// The public addresses of the gateways.
    pub(crate) fn bases(&self) -> Vec<String> {
        self.gateways.iter().map(|(url, _)| url.clone()).collect()
    }

    /// Ends the api node that takes the commands of `lane` as a crash would.
    pub(crate) async fn kill_api_of(&mut self, lane: usize) {
        let urls: Vec<String> = self.apis.iter().map(|(url, _)| url.clone()).collect();
        let preferred = protocol::route::rendezvous(lane, &urls)[0];
        self.apis.remove(preferred).1.kill().await;
    }

    /// Waits until a gateway logs a line with this text.
    pub(crate) async fn gateway_logs(&mut self, text: &str) {
        self.gateways[0].1.line(text).await;
    }

    /// Stops what still runs. Every process must end well.
    pub(crate) async fn stop(self) {
        let others = self.apis.into_iter().chain(self.gateways).map(|(_, process)| process);
        for mut process in others.chain([self.streamer]) {
            let status = process.terminate().await;
            assert!(status.success(), "{status}\n{}", process.output());
        }
    }
}

/// Starts so many processes of a role, and waits until they listen.
async fn listening(role: &str, count: usize, settings: &[(&str, &str)]) -> Vec<(String, Process)> {
    // All are started before the first is waited for.
    let processes: Vec<_> = (0..count).map(|_| Process::linkup(&[role], settings)).collect();
    let mut listening = Vec::new();
    for mut process in processes {
        let address = process.line(&format!("linkup {role} is ready on ")).await;
        listening.push((format!("http://{address}"), process));
    }
    listening
}
