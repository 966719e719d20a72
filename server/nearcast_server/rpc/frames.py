"""All of a RecommendResponse but its items, as bytes.

What many answers say alike is put together once and kept; the rest is put behind it, as in `answers`.
"""

from struct import Struct

from google.protobuf.duration_pb2 import Duration

from nearcast.v1 import recommend_pb2
from nearcast_server.recommending import Slate
from nearcast_server.rpc.answers import length_of, tag_of

_MOST_KEPT = 1000
_Steady = tuple[str, float, int, int, int, str, bool, bool, str, tuple[str, ...]]


class SlateFrame:
    """Puts together what stands around the items of a slate."""

    def __init__(self) -> None:
        message = recommend_pb2.RecommendResponse
        self._request_id = tag_of(message, "request_id")
        self._radius = tag_of(message, "radius_used_m")
        self._session, self._slate = tag_of(message, "session_token"), tag_of(message, "slate_token")
        self._next_page = tag_of(message, "next_page_token")
        self._stats_age, self._candidates_age = (
            tag_of(message, "stats_age"),
            tag_of(message, "candidates_age"),
        )
        self._double = Struct("<d").pack
        self._kept: dict[_Steady, bytes] = {}

    def of(self, slate: Slate, reasons: tuple[str, ...]) -> bytes:
        """The bytes of an answer without items; `reasons` are why it is degraded."""
        decision, age_s = slate.decision, slate.finding.age_s
        return b"".join(
            (
                self._steady(slate, reasons),
                _text(self._request_id, str(decision.request_id)),
                self._radius,
                self._double(slate.finding.radius_used_m),
                _text(self._session, decision.visit.token),
                _text(self._next_page, slate.next_page_token),
                _text(self._slate, slate.token),
                _duration(self._stats_age, max(slate.now - slate.view.stats_at, 0.0)),
                # Nothing for none, which is what the wire says of zero.
                _duration(self._candidates_age, age_s) if age_s else b"",
            )
        )

    def _steady(self, slate: Slate, reasons: tuple[str, ...]) -> bytes:
        view, decision = slate.view, slate.decision
        choice, market = decision.choice, view.atlas.id_of(slate.market)
        said = (
            choice.feed,
            choice.propensity,
            view.revision.number,
            choice.epoch,
            decision.limit,
            market,
            slate.finding.truncated,
            choice.frozen,
            decision.segment,
            reasons,
        )
        kept = self._kept.get(said)
        if kept is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            kept = self._kept[said] = _made(said)
        return kept


def _made(said: _Steady) -> bytes:
    feed, propensity, revision, epoch, limit, market, truncated, frozen, segment, reasons = said
    return recommend_pb2.RecommendResponse(
        feed=feed,
        feed_propensity=propensity,
        policy_revision=revision,
        policy_epoch=epoch,
        limit_applied=limit,
        market=market,
        truncated=truncated,
        frozen=frozen,
        segment=segment,
        degraded_reasons=[f"DEGRADED_REASON_{reason}" for reason in reasons],
    ).SerializeToString()


def _text(tag: bytes, text: str) -> bytes:
    raw = text.encode()
    return tag + length_of(len(raw)) + raw if raw else b""


def _duration(tag: bytes, seconds: float) -> bytes:
    told = Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9)).SerializeToString()
    return tag + length_of(len(told)) + told
