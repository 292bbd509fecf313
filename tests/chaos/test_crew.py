"""What the driver of a chaos run says of a party that died."""

from __future__ import annotations

from pathlib import Path

import pytest

from stress.chaos.crew import Crew, Failed, Producer


def test_producer_that_died_is_told_with_its_status_and_its_last_words(tmp_path: Path) -> None:
    crew = Crew(tmp_path, {"p0": "nonsense://"}, {}, {})
    producer = Producer(crew, "p0", seed=1)
    producer.process.wait()
    with pytest.raises(Failed, match=r"(?s)producer p0 ended with status 1:.*no backend for nonsense://"):
        producer.send(0, 1)
    producer.finish()
    assert "nonsense" in str(producer.failed())
