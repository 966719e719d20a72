"""A report says all that its message says, also where a short way is taken for plain events."""

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from nearcast.v1 import event_pb2
from nearcast_ledger.rewardtoken import REWARD_TOKEN_CHARS
from nearcast_server.rpc.event import to_report

KINDS = st.sampled_from(["", "view", "impression", "é", "v" * 127, "v" * 128])
TOKENS = st.sampled_from(
    ["", "t", *("t" * (REWARD_TOKEN_CHARS + more) for more in (-1, 0, 1)), "é" * 64, "é" * 128]
)
WORDS = st.sampled_from(["", "", "", "x", "xy"])


@given(
    KINDS,
    TOKENS,
    st.tuples(WORDS, WORDS, WORDS, WORDS),
    st.none() | st.builds(Timestamp, seconds=st.integers(-(10**9), 2**31), nanos=st.integers(0, 999_999)),
    st.none() | st.just(0.0) | st.just(1.5),
    st.binary(max_size=2),
    st.lists(st.integers(0, 300), max_size=2),
    st.booleans(),
)
def test_nothing_of_a_message_is_passed_over(
    kind: str,
    token: str,
    words: tuple[str, str, str, str],
    stamp: Timestamp | None,
    value: float | None,
    seen: bytes,
    dwell_ms: list[int],
    empty: bool,
) -> None:
    event_id, item_id, session_id, slate_token = words
    event = event_pb2.Event(
        kind=kind,
        reward_token=token,
        event_id=event_id,
        item_id=item_id,
        session_id=session_id,
        occurred_at=stamp,
        value=value,
        properties=Struct() if empty else None,
        slate_token=slate_token,
        seen=seen,
        dwell_ms=dwell_ms,
    )
    report = to_report(event)
    assert (report.kind, report.reward_token, report.event_id, report.item_id) == (
        kind,
        token,
        event_id,
        item_id,
    )
    assert (report.session_id, report.slate_token, report.value) == (session_id, slate_token, value)
    assert (report.seen, list(report.dwell_ms), report.size_bytes) == (seen, dwell_ms, event.ByteSize())
    assert report.properties == (b"{}" if empty else b"")
    assert report.problem is None
    if stamp is None:
        assert report.occurred_at_us is None
    else:
        assert report.occurred_at_us == round((stamp.seconds + stamp.nanos / 1e9) * 1e6)
