from __future__ import annotations

from comity.simulator.world import World


def test_events_run_in_order_of_time_and_then_of_scheduling() -> None:
    world = World()
    seen: list[object] = []
    world.at(20, seen.append, "late")
    world.at(10, seen.append, "first")
    world.at(10, seen.append, "second")
    world.run_until(15)
    assert seen == ["first", "second"]
    assert world.now_ns == 15
    world.run_until(20)
    assert seen == ["first", "second", "late"]


def test_what_is_scheduled_for_the_past_runs_now() -> None:
    world = World()
    seen: list[object] = []
    world.run_until(100)
    world.at(5, lambda: seen.append(world.now_ns))
    world.after(7, lambda: seen.append(world.now_ns))
    world.run_until(200)
    assert seen == [100, 107]


def test_the_trace_hash_covers_times_order_and_content() -> None:
    def run(delay: int, content: bytes) -> str:
        world = World()
        world.after(delay, world.trace, content)
        world.run_until(100)
        return world.trace_hash()

    assert run(1, b"a") == run(1, b"a")
    assert len({run(1, b"a"), run(2, b"a"), run(1, b"b")}) == 3
