//! Limits on the size and time of every HTTP response of a store. They apply below the store clients, so that listings, error texts
//! and redirections are limited, too.

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

/// How long to wait for a response.
const PATIENCE: Duration = Duration::from_secs(15);
/// The length at which the text of an error response is cut.
const EXPLANATION: u64 = 64 << 10;

/// The limits of a response body. They are attached to a request; a request without them has those of [`Bounds::text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The maximum number of bytes.
    pub bytes: u64,
    /// The time until the minimum rate applies.
    pub patience: Duration,
    /// The minimum rate after that, in bytes a second of waiting time.
    pub rate: u64,
}

impl Bounds {
    /// For a text: a record, a listing, a response of the store itself.
    pub fn text() -> Self {
        Self { bytes: crate::MOST_TEXT, patience: PATIENCE, rate: 512 << 10 }
    }

    /// For a blob of so many bytes. The rate is low because several blobs share one line.
    pub fn blob(bytes: u64) -> Self {
        Self { bytes, patience: PATIENCE, rate: 16 << 10 }
    }

    /// Request options with these limits.
    pub fn options(self) -> GetOptions {
        let mut options = GetOptions::new();
        options.extensions.insert(self);
        options
    }

    /// The maximum waiting time for so many bytes.
    pub fn time(&self, bytes: u64) -> Duration {
        self.patience + Duration::from_millis(bytes.saturating_mul(1000) / self.rate.max(1))
    }
}

/// How a response exceeded its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Odd {
    /// More than this number of bytes.
    Large(u64),
    /// So few bytes after this waiting time.
    Slow(u64, Duration),
    /// No response within this time.
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
        // A kind of error that is not retried: the next response would be as large, and a retry costs more time.
        HttpError::new(HttpErrorKind::Unknown, self)
    }
}

/// Connects as usual, and enforces the limits on responses.
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
        // The response to `HEAD` has no body, but its length is that of the file.
        let has_body = request.method().as_str() != "HEAD";
        // A server that answers a range request with the whole file is asked for the whole file next; this response is not read.
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

/// A body that ends at its limits.
struct Cut<B> {
    body: B,
    bounds: Bounds,
    /// Whether a longer body is truncated without an error.
    silently: bool,
    over: bool,
    got: u64,
    /// The time spent waiting for bytes, without the time that the reader takes.
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<B> Cut<B> {
    fn new(body: B, bounds: Bounds, silently: bool) -> Self {
        Self { body, bounds, silently, over: false, got: 0, waited: Duration::ZERO, waiting: None }
    }

    /// Ends the body, with an error unless it is truncated silently.
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

    /// At most the limit, so that readers allocate no more ahead.
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

    /// Yields a fixed number of bytes at fixed intervals.
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

    /// Reads the whole body: the number of bytes, the error, and the elapsed time of the test clock.
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
    async fn a_body_at_a_sufficient_rate_may_exceed_the_patience_and_is_cut_at_its_size() {
        // Ten times the minimum rate, and three times the patience.
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
