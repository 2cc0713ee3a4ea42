//! The two users, which the api makes and finds again, and their tokens. Asked for anew with every connection, so that
//! it is no matter when a token expires or a secret is replaced.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use protocol::code::ApiError;
use protocol::probe::{Accounts, Name, PATH};
use protocol::token::Tokens;
use serde_json::json;

use super::dial::Dialer;
use super::outcome::Problem;

/// Who asks.
pub(super) const AGENT: &str = concat!("linkup-probe/", env!("CARGO_PKG_VERSION"));

/// The answer has two tokens.
const MAX_ANSWER: usize = 64 << 10;

/// Asks for them.
pub(super) async fn ask(dialer: &Dialer, tokens: &Tokens, name: &Name) -> Result<Accounts, Problem> {
    let request = request(dialer, tokens, name)?;
    let cut = |error: hyper::Error| Problem::unreachable(format!("{PATH} was not answered: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(dialer.dial().await?)).await.map_err(cut)?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(cut)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body =
            body.map_err(|error| Problem::unreachable(format!("{PATH} broke off in its answer: {error}")))?;
        Ok((status, body.to_bytes()))
    };
    // The connection is driven beside it, and closed with it.
    let (status, body) = tokio::select! {
        answered = answered => answered?,
        Err(error) = connection => return Err(cut(error)),
    };
    read(status, &body)
}

fn request(dialer: &Dialer, tokens: &Tokens, name: &Name) -> Result<Request<Full<Bytes>>, Problem> {
    let cannot = |error: &dyn std::fmt::Display| Problem::own(format!("{PATH} cannot be asked: {error}"));
    let token = tokens.sign_probe(name).map_err(|error| cannot(&error))?;
    Request::post(PATH)
        .header(HOST, &dialer.target.authority)
        .header(USER_AGENT, AGENT)
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(json!({"name": name.as_str()}).to_string()))
        .map_err(|error| cannot(&error))
}

fn read(status: StatusCode, body: &[u8]) -> Result<Accounts, Problem> {
    if status == StatusCode::OK {
        let unread = |error| Problem::foreign(format!("the answer of {PATH} is not understood: {error}"));
        return serde_json::from_slice(body).map_err(unread);
    }
    // What a balancer says is no JSON, and nothing that belongs into a line of a log.
    let said =
        serde_json::from_slice::<ApiError>(body).map_or_else(|_| "nothing more", |_| "an error of the api");
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
            Err(Problem::own(format!(
                "{PATH} was answered with {status}; check that JWT_SECRET is the api's, and this machine's clock"
            )))
        }
        _ => Err(Problem::of_status(PATH, status.as_u16(), said)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    #[test]
    fn an_answer_is_accounts_or_says_whose_fault_it_is() {
        let accounts = json!({
            "users": [
                {"id": "676f3c000000000000000001", "token": "a"}, {"id": "676f3c000000000000000002", "token": "b"},
            ],
            "conversationId": "676f3c000000000000000003", "more": 1,
        });
        let accounts = read(StatusCode::OK, accounts.to_string().as_bytes()).unwrap();
        assert_eq!((accounts.users[1].token.as_str(), accounts.users.len()), ("b", 2));
        for (status, body, outcome) in [
            (200, "<html>", Outcome::ProbeError),
            (401, r#"{"message": "Invalid token", "code": "unauthorized"}"#, Outcome::ProbeError),
            (404, "", Outcome::ProbeError),
            (500, "", Outcome::Refused),
            (429, "", Outcome::Refused),
            (503, "", Outcome::Unreachable),
            (502, "<html>", Outcome::Unreachable),
        ] {
            let read = read(StatusCode::from_u16(status).unwrap(), body.as_bytes());
            assert_eq!(read.unwrap_err().outcome, outcome, "{status}");
        }
    }
}
