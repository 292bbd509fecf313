"""``python -m stress simulate`` says what it did, and fails when something broke."""

from __future__ import annotations

import re

import msgspec
from click.testing import CliRunner

from s3queue.testing.simulate import SOMETIMES
from stress.__main__ import main
from tests.simulation.catalogue import MUTANTS

BRIEFLY = ["simulate", "--seed", "0", "--seconds", "0.5", "--no-small", "--no-mutants"]


def test_clean_run_is_told_in_one_json_object() -> None:
    done = CliRunner().invoke(main, [*BRIEFLY, "--json"])
    assert done.exit_code == 0
    told = msgspec.json.decode(done.stdout)
    assert told["violations"] == 0
    assert told["schedules"] > 0
    assert told["operations"] > told["schedules"]
    assert [*told["sometimes"]] == [*SOMETIMES]


def test_broken_rule_ends_with_status_1_and_a_schedule_to_paste() -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.name == "the-epoch-stays")
    with mutant.applied():  # the first schedule breaks: however slow the machine is, one is run
        done = CliRunner().invoke(main, [*BRIEFLY, "--seed", "2"])
    assert done.exit_code == 1
    assert re.search(r"^seed \d+ of s3queue .* breaks$", done.stderr, re.MULTILINE)
    assert "assert replay({" in done.stderr
