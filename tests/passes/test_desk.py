"""What reception asks of the running gate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gated.errors import RequestRefused
from gated.passes import Desk, Store
from gated.passes.issue import registration

from .conftest import issued


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    with closing(Store(tmp_path / "passes.db")) as opened:
        yield opened


@pytest.fixture
def group() -> list[dict[str, Any]]:
    return [registration(one, "bank") for one in issued(3)]


async def test_a_group_from_issue_to_use(store: Store, group: list[dict[str, Any]]) -> None:
    desk = Desk(store)
    assert await desk.register(group) == {"registered": 3, "passes": 3}
    assert await desk.register(group) == {"registered": 0, "passes": 3}
    group_id, first, second, third = (group[0]["group"], *(p["pass"] for p in group))
    shown = await desk.show(group_id[:8])
    assert (shown["group"], shown["purpose"]) == (group_id, "bank")
    assert [(p["i"], p["n"], p["state"]) for p in shown["passes"]] == [(n, 3, "issued") for n in (1, 2, 3)]

    activated = await desk.activate(group_id)
    assert activated["changed"] == 3
    assert await store.claim(bytes.fromhex(first), "camera-1") == "won"
    await desk.revoke(second.upper(), "lost")
    states = [p["state"] for p in (await desk.show(group_id))["passes"]]
    assert states == ["used", "revoked", "activated"]
    one = (await desk.show(f"{third[:4]}-{third[4:]}"))["passes"]
    assert [p["pass"] for p in one] == [third]
    assert one[0]["not_before"] == "2026-11-23T15:00:00+00:00"
    with pytest.raises(RequestRefused, match="revoked and cannot be activated"):
        await desk.activate(second)


async def test_a_pass_the_gate_was_never_told_of_can_be_revoked_by_its_whole_id(store: Store) -> None:
    desk = Desk(store)
    assert (await desk.revoke("0123456789abcdef", "lost"))["passes"][0]["state"] == "revoked"
    assert store.status(bytes.fromhex("0123456789abcdef")).revoked
    with pytest.raises(RequestRefused, match="no pass and no group"):
        await desk.revoke("abcdef0123", "lost")
    with pytest.raises(RequestRefused, match="no pass and no group"):
        await desk.activate("abcdef0123456789")


@pytest.mark.parametrize("given_id", ["", "abc", "xyzxyz", "a" * 17, "%%%%%%", None, 7])
async def test_what_is_no_id(store: Store, given_id: Any) -> None:
    with pytest.raises(RequestRefused, match="hexadecimal"):
        await Desk(store).show(given_id)


async def test_an_id_that_fits_two_passes(store: Store, group: list[dict[str, Any]]) -> None:
    desk = Desk(store)
    group[0]["pass"], group[1]["pass"] = "aaaaaaaa00000000", "aaaaaaaa11111111"
    await desk.register(group)
    with pytest.raises(RequestRefused, match="more than one"):
        await desk.activate("aaaaaaaa")
    assert (await desk.activate("aaaaaaaa0"))["changed"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"pass": "00"},
        {"pass": "zz" * 8},
        {"i": 9},
        {"n": 251},
        {"zones": []},
        {"zones": ["a b", "a"]},
        {"class": 3},
        {"expires": 2**40},
        {"expires": 1},
        {"purpose": "x" * 101},
        {"name": "Tanaka"},
        {"i": "1"},
    ],
)
async def test_registrations_out_of_the_profile_are_refused(
    store: Store, group: list[dict[str, Any]], change: dict[str, Any]
) -> None:
    group[1].update(change)
    with pytest.raises(RequestRefused, match="pass 2"):
        await Desk(store).register(group)
    assert not store.status(bytes.fromhex(group[0]["pass"])).registered


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=60)
@given(JSON, JSON)
def test_any_json_is_answered_or_refused(
    tmp_path_factory: pytest.TempPathFactory, passes: Any, one_id: Any
) -> None:
    import asyncio

    async def play() -> None:
        with closing(Store(tmp_path_factory.mktemp("json") / "passes.db")) as store:
            desk = Desk(store)
            for work in (
                desk.register(passes),
                desk.register([passes]),
                desk.activate(one_id),
                desk.show(one_id),
            ):
                with pytest.raises(RequestRefused):
                    await work

    asyncio.run(play())
