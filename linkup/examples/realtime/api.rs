//! Plays the api for a gateway that is measured by itself: everybody may connect, and nothing is stored.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use protocol::command::{Answer, Answers, Batch, Command, Heartbeat, READY_PATH};
use protocol::model::UserSummary;
use serde_json::value::to_raw_value;
use tokio::net::TcpListener;

use super::Failure;

/// Serves until this process ends; where, is returned.
pub(crate) async fn start() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    Ok(address)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Failure> {
    if request.uri().path() == READY_PATH {
        return Ok(Response::default());
    }
    let batch: Batch = serde_json::from_slice(&request.into_body().collect().await?.to_bytes())?;
    let answers = batch.commands.iter().map(|command| {
        Ok(Answer::Ok(match command {
            Command::Connect { user, .. } => to_raw_value(&UserSummary {
                mongo_id: *user,
                id: *user,
                name: "Somebody".into(),
                avatar: None,
                status: None,
            }),
            Command::Alive { .. } => to_raw_value(&Heartbeat { epoch: 1 }),
            _ => to_raw_value(&()),
        }?))
    });
    let answers = Answers { answers: answers.collect::<Result<_, serde_json::Error>>()? };
    Ok(Response::new(serde_json::to_vec(&answers)?.into()))
}
