//! From the text of a frame to its meaning, in one pass.
//!
//! ```text
//! {"stream":"<name>","data":<payload>}      combined endpoint: the name says what the payload is
//! {"e":"<event>", ...}                      raw endpoint: the first key says it
//! {"u":..,"s":..,"b":..,...}                raw spot bookTicker; {"lastUpdateId":..} a partial book
//! {"result":null,"id":1}                    acknowledgement
//! {"code":2,"msg":".."}  {"error":{"code":..,"msg":..},"id":1}   refusals
//! ```
//! The keys come in this order on the wire; another order costs a second pass and gives the same result.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::frames::{
    Meaning, RawBookTicker, RawContract, RawDepth, RawForceOrder, RawKline, RawMark, RawShutdown, RawTrade,
};
use super::{Control, Frame, WireError};
use crate::routes::{Route, StreamKind};

/// Reads one frame that came over `route`.
///
/// # Errors
/// When the text is not a frame of the protocol; the error names the field and the value.
pub fn parse_frame(text: &str, route: Route) -> Result<Frame, WireError> {
    let first = read(text, &Hint::default())?;
    let body = match first {
        Outcome::Body(body) => body,
        Outcome::Again(hint) => match read(text, &hint)? {
            Outcome::Body(body) => body,
            Outcome::Again(_) => Body::Other,
        },
    };
    body.meaning(route)
}

/// [`parse_frame`] for bytes that may not be UTF-8.
///
/// # Errors
/// The same, and when the bytes are not UTF-8.
pub fn parse_frame_bytes(bytes: &[u8], route: Route) -> Result<Frame, WireError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse_frame(text, route),
        Err(error) => Err(WireError::shape("frame", &error, bytes)),
    }
}

fn read<'de>(text: &'de str, hint: &Hint<'de>) -> Result<Outcome<'de>, WireError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let fail = |e: serde_json::Error| WireError::shape("frame", &e, text.as_bytes());
    let outcome = reader.deserialize_map(FrameVisitor { hint }).map_err(fail)?;
    reader.end().map_err(fail)?;
    Ok(outcome)
}

/// What a first pass learned when it could not decide in time.
#[derive(Clone, Debug, Default)]
struct Hint<'de> {
    stream: Option<Cow<'de, str>>,
    event: Option<&'static str>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one call; a box would cost an allocation per frame"
)]
enum Outcome<'de> {
    Body(Body<'de>),
    Again(Hint<'de>),
}

enum Body<'de> {
    Kline(RawKline<'de>),
    Aggregate(RawTrade<'de>),
    Trade(RawTrade<'de>),
    Marks(Vec<RawMark<'de>>),
    ForceOrder(RawForceOrder<'de>),
    BookTicker(RawBookTicker<'de>),
    Depth(RawDepth<'de>, Option<Cow<'de, str>>),
    Contract(RawContract<'de>),
    Shutdown(RawShutdown<'de>),
    Control(Control),
    Other,
}

impl Body<'_> {
    fn meaning(self, route: Route) -> Result<Frame, WireError> {
        let market = route.market();
        let one = |meaning: Meaning| {
            Ok(match meaning? {
                Ok(update) => Frame::Update(update),
                Err(dropped) => Frame::Dropped(dropped),
            })
        };
        match self {
            Self::Kline(raw) => one(raw.meaning(market)),
            Self::Aggregate(raw) => one(raw.aggregate(market)),
            Self::Trade(raw) => one(raw.single(market)),
            Self::ForceOrder(raw) => one(raw.meaning()),
            Self::BookTicker(raw) => one(raw.meaning(market)),
            Self::Depth(raw, stream) => one(raw.meaning(market, stream.as_deref())),
            Self::Contract(raw) => one(raw.meaning()),
            Self::Marks(raws) => {
                let mut updates = Vec::with_capacity(raws.len());
                for raw in &raws {
                    if let Ok(update) = raw.meaning()? {
                        updates.push(update);
                    }
                }
                Ok(Frame::Updates(updates))
            }
            Self::Shutdown(raw) => {
                Ok(Frame::ServerShutdown { event_ts: raw.event_time.time("serverShutdown frame", "E")? })
            }
            Self::Control(control) => Ok(Frame::Control(control)),
            Self::Other => Ok(Frame::Dropped(super::Dropped::OtherStream)),
        }
    }
}

/// The event name by which a payload is read, or `None` for one that is not read here.
fn event_of(name: &str) -> Option<&'static str> {
    const READ: [&str; 9] = [
        "kline",
        "aggTrade",
        "trade",
        "markPriceUpdate",
        "forceOrder",
        "bookTicker",
        "depthUpdate",
        "contractInfo",
        "serverShutdown",
    ];
    READ.into_iter().find(|known| *known == name)
}

const fn event_of_kind(kind: StreamKind) -> &'static str {
    match kind {
        StreamKind::Kline => "kline",
        StreamKind::AggTrade => "aggTrade",
        StreamKind::Trade => "trade",
        StreamKind::MarkPrice => "markPriceUpdate",
        StreamKind::ForceOrder => "forceOrder",
        StreamKind::BookTicker => "bookTicker",
        StreamKind::Depth => "depthUpdate",
        StreamKind::ContractInfo => "contractInfo",
    }
}

/// Reads a payload of a known event.
struct Payload<'de> {
    event: Option<&'static str>,
    stream: Option<Cow<'de, str>>,
}

impl<'de> Payload<'de> {
    fn of_stream(stream: Cow<'de, str>) -> Self {
        let event = if stream == "!serverShutdown" {
            Some("serverShutdown")
        } else {
            StreamKind::of_stream(&stream).map(event_of_kind)
        };
        Self { event, stream: Some(stream) }
    }
}

impl<'de> DeserializeSeed<'de> for Payload<'de> {
    type Value = Body<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Body<'de>, D::Error> {
        Ok(match self.event {
            Some("kline") => Body::Kline(RawKline::deserialize(deserializer)?),
            Some("aggTrade") => Body::Aggregate(RawTrade::deserialize(deserializer)?),
            Some("trade") => Body::Trade(RawTrade::deserialize(deserializer)?),
            Some("markPriceUpdate") => Body::Marks(deserializer.deserialize_any(OneOrMany)?),
            Some("forceOrder") => Body::ForceOrder(RawForceOrder::deserialize(deserializer)?),
            Some("bookTicker") => Body::BookTicker(RawBookTicker::deserialize(deserializer)?),
            Some("depthUpdate") => Body::Depth(RawDepth::deserialize(deserializer)?, self.stream),
            Some("contractInfo") => Body::Contract(RawContract::deserialize(deserializer)?),
            Some("serverShutdown") => Body::Shutdown(RawShutdown::deserialize(deserializer)?),
            _ => {
                IgnoredAny::deserialize(deserializer)?;
                Body::Other
            }
        })
    }
}

/// One mark price, or a shard of the market as an array.
struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Vec<RawMark<'de>>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mark price or an array of them")
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ok(vec![RawMark::deserialize(MapAccessDeserializer::new(map))?])
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut marks = Vec::new();
        while let Some(mark) = seq.next_element()? {
            marks.push(mark);
        }
        Ok(marks)
    }
}

/// Text, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct FrameVisitor<'h, 'de> {
    hint: &'h Hint<'de>,
}

impl<'de> Visitor<'de> for FrameVisitor<'_, 'de> {
    type Value = Outcome<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a frame object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outcome<'de>, A::Error> {
        if let Some(event) = self.hint.event {
            let payload = Payload { event: Some(event), stream: None };
            return Ok(Outcome::Body(payload.deserialize(MapAccessDeserializer::new(map))?));
        }
        let mut stream = self.hint.stream.clone();
        let mut body = None;
        let mut control = Control::default();
        let mut learned = Hint::default();
        let mut at = 0;
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            match key.as_ref() {
                "stream" => {
                    let Text(name) = map.next_value()?;
                    learned.stream = Some(name.clone());
                    stream = Some(name);
                }
                "data" => match stream.clone() {
                    Some(name) => body = Some(map.next_value_seed(Payload::of_stream(name))?),
                    None => drop(map.next_value::<IgnoredAny>()?),
                },
                "e" => {
                    let Text(name) = map.next_value()?;
                    let event = event_of(&name);
                    if at == 0 {
                        let payload = Payload { event, stream: None };
                        return Ok(Outcome::Body(payload.deserialize(MapAccessDeserializer::new(map))?));
                    }
                    learned.event = event;
                }
                "u" | "lastUpdateId" | "bids" | "asks" | "A" => {
                    map.next_value::<IgnoredAny>()?;
                    // Without an event name these are a partial book or the spot best bid and ask.
                    let named = if key.len() > 1 { "depthUpdate" } else { "bookTicker" };
                    learned.event.get_or_insert(named);
                }
                "id" => {
                    control.id = map.next_value::<super::scalar::Scalar<'de>>()?.integer("ack", "id").ok();
                }
                "result" => control.result = Some(map.next_value::<Answer>()?.0),
                "code" => control.code = Some(map.next_value()?),
                "msg" => control.message = Some(map.next_value()?),
                "error" => {
                    let nested: Refusal = map.next_value()?;
                    control.code = Some(nested.code);
                    control.message = Some(nested.msg);
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
            at += 1;
        }
        if let Some(body) = body {
            return Ok(Outcome::Body(body));
        }
        if learned.stream.is_some() || learned.event.is_some() {
            return Ok(Outcome::Again(learned));
        }
        if control != Control::default() {
            return Ok(Outcome::Body(Body::Control(control)));
        }
        Err(Error::custom("neither a stream payload nor an answer to a request"))
    }
}

#[derive(serde::Deserialize)]
struct Refusal {
    code: i64,
    #[serde(default)]
    msg: String,
}

/// `result` of an answer: null, a truth value or a list of names; kept as text, nobody branches on it.
struct Answer(Option<String>);

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(if value.is_null() { None } else { Some(value.to_string()) }))
    }
}
