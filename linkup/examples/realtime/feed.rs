//! Where events come from, and what they are: the same for all servers, as far as it goes.

use std::time::{Duration, Instant};

use bus::{Bus as _, Nats, Publisher};
use protocol::bus::{BEAT_INTERVAL_MILLIS, Content, Delivery, Downlink, Envelope, Uplink};
use protocol::{Clock, Id, Timestamp, UnixMicros, event};
use serde_json::value::RawValue;
use service::metrics::Registry;
use tokio::sync::mpsc;

use super::process::Server;
use super::{EVENT, Failure};

/// The whole text of a frame, in bytes, where nothing else is said.
const FRAME: usize = 300;
/// Numbers and times are counted from these, so that they have as many digits always and stand in the same place.
const FIRST: u64 = 1_000_000;
const START: u64 = 1_000_000_000_000_000;
/// Where they stand in the text of a Socket.IO packet with [`EVENT`].
const NUMBER_AT: usize = r#"42["message:new",{"n":"#.len();
const NUMBER_DIGITS: usize = 7;
const TIME_AT: usize = NUMBER_AT + NUMBER_DIGITS + r#","at":"#.len();
const TIME_DIGITS: usize = 16;

/// The payload of the event of this number, which is to make a packet of `frame` bytes with `beside` of them beside
/// payload and name.
fn payload(number: u64, at: Duration, frame: usize, beside: usize) -> String {
    let (n, at) = (FIRST + number, START + at.as_micros() as u64);
    let head = format!(r#"{{"n":{n},"at":{at},"text":""#);
    let fixed = r#"42["",]"#.len() + EVENT.len() + head.len() + r#""}"#.len() + beside;
    format!(r#"{head}{}"}}"#, "x".repeat(frame.saturating_sub(fixed)))
}

/// What a client reads of a frame: number and time. `None` for other packets.
pub(crate) fn read(frame: &[u8]) -> Option<(u64, Duration)> {
    let digits = |at: usize, count: usize| {
        frame.get(at..at + count)?.iter().try_fold(0_u64, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
        })
    };
    let number = digits(NUMBER_AT, NUMBER_DIGITS)?.checked_sub(FIRST)?;
    Some((number, Duration::from_micros(digits(TIME_AT, TIME_DIGITS)?.checked_sub(START)?)))
}

/// Somewhere to put events in.
pub(crate) trait Feed {
    /// Sends the event of this number, which is due at this time, to everybody.
    async fn put(&mut self, number: u64, at: Duration) -> Result<(), Failure>;
}

impl Feed for Server {
    async fn put(&mut self, number: u64, at: Duration) -> Result<(), Failure> {
        self.tell(&payload(number, at, FRAME, 0)).await
    }
}

/// Plays the streamer for one gateway: registers whomever it asks for, and addresses every event to all of `users`.
pub(crate) struct Streamer {
    events: mpsc::Sender<Box<RawValue>>,
    /// How many bytes a frame has.
    pub(crate) frame: usize,
}

impl Streamer {
    /// Attaches to the bus. It ends when this is dropped.
    pub(crate) async fn start(nats: &str, users: Vec<Id>) -> Result<Self, Failure> {
        let bus = Nats::connect(nats, &Registry::new()).await?;
        let (publisher, uplinks) = bus.attach_streamer().await?;
        let (events, queue) = mpsc::channel(64);
        let position =
            Clock { time: ((Timestamp::now().millis() / 1_000) as u64) << 32, change: 0, event: 0 };
        let playing = Playing { publisher, gateway: None, counter: 0, position, users };
        tokio::spawn(async move {
            if let Err(error) = playing.run(uplinks, queue).await {
                eprintln!("the bus: {error}");
            }
        });
        Ok(Self { events, frame: FRAME })
    }
}

impl Feed for Streamer {
    async fn put(&mut self, number: u64, at: Duration) -> Result<(), Failure> {
        let clock = Clock { time: u64::from(u32::MAX) << 32, change: 0, event: 0 };
        let payload = payload(number, at, self.frame, format!(r#","{clock}""#).len());
        Ok(self.events.send(RawValue::from_string(payload)?).await?)
    }
}

struct Playing<P> {
    publisher: P,
    gateway: Option<Id>,
    counter: u64,
    position: Clock,
    users: Vec<Id>,
}

impl<P: Publisher> Playing<P> {
    async fn run(
        mut self,
        mut uplinks: mpsc::Receiver<Uplink>,
        mut events: mpsc::Receiver<Box<RawValue>>,
    ) -> Result<(), Failure> {
        let mut beat = tokio::time::interval(Duration::from_millis(BEAT_INTERVAL_MILLIS));
        loop {
            tokio::select! {
                Some(uplink) = uplinks.recv() => self.hear(uplink).await?,
                event = events.recv() => match event {
                    Some(payload) => self.say(&payload).await?,
                    None => return Ok(()),
                },
                _ = beat.tick() => self.deliver(Downlink::Beat { position: self.position }).await?,
            }
        }
    }

    async fn hear(&mut self, uplink: Uplink) -> Result<(), Failure> {
        if self.gateway.is_none() {
            self.gateway = Some(uplink.gateway());
            self.deliver(Downlink::Beat { position: self.position }).await?;
        }
        if let Uplink::Register { request, .. } = uplink {
            let live_from = self.position;
            self.deliver(Downlink::Registered { request, live_from, incomplete: Vec::new() }).await?;
        }
        Ok(())
    }

    async fn say(&mut self, payload: &RawValue) -> Result<(), Failure> {
        self.position.time += 1;
        let content = Content::Event(event::encode(EVENT, payload, Some(self.position))?);
        let received = Some(UnixMicros::now());
        let envelope = Envelope { clock: self.position, recipients: self.users.clone(), content, received };
        self.deliver(Downlink::Events(vec![envelope])).await
    }

    async fn deliver(&mut self, body: Downlink) -> Result<(), Failure> {
        let Some(gateway) = self.gateway else { return Ok(()) };
        self.counter += 1;
        let delivery = Delivery { term: 1, counter: self.counter, sent: UnixMicros::now(), body };
        Ok(self.publisher.publish(gateway, &delivery).await?)
    }
}

/// Puts `count` events in, `rate` a second, the first of them with the number `from`. Each carries the time at which it
/// was due, counted from `epoch`: whoever is late is charged for it.
pub(crate) async fn pour(
    feed: &mut impl Feed,
    from: u64,
    count: u64,
    rate: u32,
    epoch: Instant,
) -> Result<(), Failure> {
    let start = Instant::now();
    for n in 0..count {
        let due = start + Duration::from_secs(1) * n as u32 / rate;
        tokio::time::sleep_until(due.into()).await;
        feed.put(from + n, due - epoch).await?;
    }
    Ok(())
}
