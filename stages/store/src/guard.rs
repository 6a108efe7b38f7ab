//! What every answer of a store over the network is held to: so many bytes, in so much time. It stands below all that
//! is asked, so that no list, no text of an error and no redirection gets around it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService, ReqwestConnector,
};
use object_store::{ClientOptions, GetOptions};
use tokio::time::{Instant, Sleep};

/// How long an answer may be waited for.
const PATIENCE: Duration = Duration::from_secs(15);
/// A text that explains an error is cut here.
const EXPLANATION: u64 = 64 << 10;

/// What the body of an answer may be. Asked for with a request; without it an answer is held to [`Bounds::text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// No more bytes than these.
    pub bytes: u64,
    /// How long it may be waited for before its first byte counts.
    pub patience: Duration,
    /// From then on so many bytes in a second, at least, of the time that is spent waiting for them.
    pub rate: u64,
}

impl Bounds {
    /// Those of a text: a record, a list, an answer of the store itself.
    pub fn text() -> Self {
        Self { bytes: crate::MOST_TEXT, patience: PATIENCE, rate: 512 << 10 }
    }

    /// Those of so many bytes of a blob. Several come at once over one line.
    pub fn blob(bytes: u64) -> Self {
        Self { bytes, patience: PATIENCE, rate: 16 << 10 }
    }

    /// Options of a question whose answer is held to these.
    pub fn options(self) -> GetOptions {
        let mut options = GetOptions::new();
        options.extensions.insert(self);
        options
    }

    /// How long so many bytes may be waited for.
    pub fn time(&self, bytes: u64) -> Duration {
        self.patience + Duration::from_millis(bytes.saturating_mul(1000) / self.rate.max(1))
    }
}

/// An answer that does not keep to its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Odd {
    /// It is larger than what was asked for can be.
    Large(u64),
    /// Too few bytes came in this time.
    Slow(u64, Duration),
    /// Nothing came in this time.
    Silent(Duration),
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Large(most) => {
                write!(f, "the store gives more than the {most} bytes that this can have at the most")
            }
            Self::Slow(got, time) => {
                write!(
                    f,
                    "the store gave {got} bytes in {} s of waiting, and is not waited for any longer",
                    time.as_secs()
                )
            }
            Self::Silent(time) => write!(f, "the store does not answer within {} s", time.as_secs()),
        }
    }
}

impl std::error::Error for Odd {}

impl Odd {
    fn error(self) -> HttpError {
        // Of a kind that is not tried again: what was too large stays so, and time is short.
        HttpError::new(HttpErrorKind::Unknown, self)
    }
}

/// Connects as usual, and holds what answers to its bounds.
#[derive(Debug)]
pub(crate) struct Guarding;

impl HttpConnector for Guarding {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Guarded(ReqwestConnector::default().connect(options)?)))
    }
}

#[derive(Debug)]
struct Guarded(HttpClient);

#[async_trait]
impl HttpService for Guarded {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let bounds = request.extensions().get::<Bounds>().copied().unwrap_or_else(Bounds::text);
        // The answer to a question without a body is as long as the file that it speaks of.
        let has_body = request.method().as_str() != "HEAD";
        // Whoever answers a piece with the whole is asked for the whole next, and this answer is not read.
        let asked_for_piece = request.headers().contains_key("range");
        let sent = request.body().content_length() as u64;
        let time = Bounds::blob(sent).time(sent);
        let answer = tokio::time::timeout(time, self.0.execute(request)).await;
        let (parts, body) = answer.map_err(|_| Odd::Silent(time).error())??.into_parts();
        let is_explanation = !parts.status.is_success();
        let is_other = asked_for_piece && parts.status.as_u16() != 206;
        if has_body && !is_explanation && !is_other && body.size_hint().lower() > bounds.bytes {
            return Err(Odd::Large(bounds.bytes).error());
        }
        let bounds = if is_explanation { Bounds { bytes: EXPLANATION, ..bounds } } else { bounds };
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(Cut::new(body, bounds, is_explanation))))
    }
}

/// A body that ends at its bounds.
struct Cut<B> {
    body: B,
    bounds: Bounds,
    /// Whether a longer body just ends, or is an error.
    silently: bool,
    over: bool,
    got: u64,
    /// How long bytes were waited for; whoever reads may take his time.
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<B> Cut<B> {
    fn new(body: B, bounds: Bounds, silently: bool) -> Self {
        Self { body, bounds, silently, over: false, got: 0, waited: Duration::ZERO, waiting: None }
    }

    /// Ends the body.
    fn end(&mut self, odd: Odd) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        self.over = true;
        Poll::Ready(if self.silently { None } else { Some(Err(odd.error())) })
    }
}

impl<B: Body<Data = Bytes, Error = HttpError> + Unpin> Body for Cut<B> {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = &mut *self;
        if this.over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            if let Some((since, _)) = this.waiting.take() {
                this.waited += since.elapsed();
            }
            let data = frame.as_ref().and_then(|f| f.as_ref().ok()).and_then(Frame::data_ref);
            this.got += data.map_or(0, |d| d.len() as u64);
            if this.got > this.bounds.bytes {
                return this.end(Odd::Large(this.bounds.bytes));
            }
            return Poll::Ready(frame);
        }
        let time = this.bounds.time(this.got);
        let left = time.saturating_sub(this.waited);
        let (_, alarm) = this.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(tokio::time::sleep_until(now + left)))
        });
        match alarm.as_mut().poll(cx) {
            Poll::Ready(()) => this.end(Odd::Slow(this.got, time)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    /// At the most what the bounds allow: whoever makes room ahead makes no more.
    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        let said = self.body.size_hint();
        hint.set_lower(if self.silently { 0 } else { said.lower().min(self.bounds.bytes) });
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes every so often.
    struct Drip {
        bytes: usize,
        every: Duration,
        next: Pin<Box<Sleep>>,
    }

    impl Drip {
        fn new(bytes: usize, every: Duration) -> Self {
            Self { bytes, every, next: Box::pin(tokio::time::sleep(every)) }
        }
    }

    impl Body for Drip {
        type Data = Bytes;
        type Error = HttpError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
            if self.next.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let next = Instant::now() + self.every;
            self.next.as_mut().reset(next);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![0; self.bytes])))))
        }
    }

    /// Reads all there is: how many bytes, how it ended, and how long it took by the clock of the test.
    async fn read(drip: Drip, bounds: Bounds, silently: bool) -> (u64, Option<String>, Duration) {
        let began = Instant::now();
        let mut body = Box::pin(Cut::new(drip, bounds, silently));
        let mut got = 0;
        loop {
            match std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
                Some(Ok(frame)) => got += frame.data_ref().unwrap().len() as u64,
                Some(Err(e)) => {
                    return (got, Some(std::error::Error::source(&e).unwrap().to_string()), began.elapsed());
                }
                None => return (got, None, began.elapsed()),
            }
        }
    }

    const TENTH: Duration = Duration::from_millis(100);

    fn bounds(bytes: u64, rate: u64) -> Bounds {
        Bounds { bytes, patience: 3 * TENTH, rate }
    }

    #[tokio::test]
    async fn a_body_that_drips_is_given_up_however_regularly_it_drips() {
        for every in [1, 10, 50, 250] {
            let drip = Drip::new(1, Duration::from_millis(every));
            let (got, why, time) = read(drip, bounds(1 << 30, 1 << 20), false).await;
            assert!(why.unwrap().contains("waiting"));
            assert!(time < 20 * TENTH, "{got} bytes, {time:?}");
        }
    }

    #[tokio::test]
    async fn a_body_that_goes_on_at_a_sane_rate_may_take_its_time_and_is_cut_at_its_size() {
        // Ten times as quick as it must be, and three times as long as it may be silent.
        let (got, why, time) = read(Drip::new(1 << 10, TENTH / 10), bounds(90 << 10, 10 << 10), false).await;
        assert_eq!(got, 90 << 10);
        assert!(why.unwrap().contains("more than the 92160 bytes"));
        assert!(time > 6 * TENTH, "{time:?}");
        let (got, why, _) = read(Drip::new(1 << 10, TENTH / 100), bounds(90 << 10, 10 << 10), true).await;
        assert_eq!((got, why), (90 << 10, None));
    }

    #[tokio::test]
    async fn time_that_the_reader_takes_is_not_the_stores() {
        let mut body = Box::pin(Cut::new(Drip::new(1, TENTH / 10), bounds(1 << 20, 1 << 20), false));
        for _ in 0..10 {
            assert!(std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await.unwrap().is_ok());
            tokio::time::sleep(TENTH).await;
        }
    }

    #[test]
    fn no_more_room_is_made_than_the_bounds_allow() {
        let body = HttpResponseBody::from(vec![0_u8; 100]);
        let cut = Cut::new(body, bounds(10, 1), false);
        assert_eq!(cut.size_hint().lower(), 10);
    }
}
