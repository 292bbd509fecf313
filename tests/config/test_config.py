from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from s3queue_backends.memory import MemoryStore

from s3queue import Config, ConfigError, configure, open_store
from s3queue import config as config_module
from s3queue.config import current_config, current_store, load, redact_url


def toml(text: str) -> None:
    Path("s3queue.toml").write_text(text, encoding="utf-8")


class TestValues:
    def test_defaults_are_valid_and_have_their_types(self) -> None:
        config = Config()
        assert config.visibility_timeout == 30.0
        assert config.workers is None
        assert config.start_method == "fork"

    def test_an_int_becomes_the_float_that_the_setting_is(self) -> None:
        assert type(Config(visibility_timeout=60).visibility_timeout) is float

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("visibility_timeout", 0),
            ("visibility_timeout", -1.0),
            ("visibility_timeout", "30"),
            ("visibility_timeout", None),
            ("visibility_timeout", float("nan")),
            ("visibility_timeout", float("inf")),
            ("leader_lease", True),
            ("leader_lease", 31 * 86_400.0),
            ("visibility_timeout", 0.5),
            ("visibility_timeout", 31 * 86_400.0),
            ("max_attempts", 0),
            ("max_attempts", 2.5),
            ("concurrency", 0),
            ("workers", 0),
            ("workers", True),
            ("pacing", "fast"),
            ("start_method", "thread"),
            ("time_limit", 0),
            ("drain_timeout", -0.1),
            ("namespace", ""),
            ("namespace", "a/b"),
            ("namespace", "../x"),
            ("history", 5),
        ],
    )
    def test_a_value_that_does_not_fit_is_refused_by_name(self, name: str, value: Any) -> None:
        with pytest.raises(ConfigError, match="namespace" if name == "namespace" else name):
            Config(**{name: value})

    def test_a_flush_slower_than_the_trust_window_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="ack_interval"):
            Config(ack_interval=1.0, visibility_timeout=2.0)

    def test_a_producer_that_outlasts_the_window_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="dedup_window"):
            Config(enqueue_deadline=60.0, dedup_window=60.0)

    def test_it_is_frozen_and_travels_between_processes(self) -> None:
        config = Config(workers=3, time_limit=1.5)
        assert pickle.loads(pickle.dumps(config)) == config
        with pytest.raises(AttributeError):
            config.workers = 4  # type: ignore[misc]

    def test_replace_checks_again(self) -> None:
        assert Config().replace(workers=2).workers == 2
        with pytest.raises(ConfigError, match="workers"):
            Config().replace(workers=0)
        with pytest.raises(ConfigError, match="did you mean 'workers'"):
            Config().replace(worker=2)  # type: ignore[call-arg]

    @given(st.floats(min_value=1e-3, max_value=1e6))
    def test_every_positive_duration_is_kept_as_it_is(self, seconds: float) -> None:
        assert Config(ticket_target=seconds).ticket_target == seconds


class TestSources:
    def test_arguments_win_over_environment_over_file_over_default(self) -> None:
        toml('[store]\nurl = "memory://"\n[queue]\nworkers = 1\nconcurrency = 2\nmax_attempts = 7\n')
        environ = {"S3QUEUE_WORKERS": "3", "S3QUEUE_CONCURRENCY": "4"}
        loaded = load(environ=environ, workers=5)
        assert (loaded.config.workers, loaded.config.concurrency, loaded.config.max_attempts) == (5, 4, 7)
        assert loaded.store_url == "memory://"
        assert loaded.origins["workers"] == "argument"
        assert loaded.origins["concurrency"] == "S3QUEUE_CONCURRENCY"
        assert loaded.origins["max_attempts"] == "s3queue.toml"
        assert loaded.origins["store.url"] == "s3queue.toml"
        assert loaded.origins["pacing"] == "default"

    def test_configure_stands_between_arguments_and_environment(self) -> None:
        configure(workers=8, concurrency=9)
        loaded = load(environ={"S3QUEUE_WORKERS": "3"}, concurrency=2)
        assert (loaded.config.workers, loaded.config.concurrency) == (8, 2)
        assert loaded.origins["workers"] == "configure()"

    def test_a_whole_config_hides_environment_and_file(self) -> None:
        toml("[queue]\nworkers = 1\ntime_limit = 5\n")
        configure(config=Config(workers=2), concurrency=3)
        loaded = load(environ={"S3QUEUE_TIME_LIMIT": "7"})
        assert loaded.config == Config(workers=2, concurrency=3)

    def test_the_store_of_the_environment_wins_over_the_file(self) -> None:
        toml('[store]\nurl = "memory://"\n')
        loaded = load(environ={"S3QUEUE_STORE_URL": "sqlite:///x.db"})
        assert loaded.store_url == "sqlite:///x.db"
        assert load("sqlite:///y.db", environ={"S3QUEUE_STORE_URL": "sqlite:///x.db"}).store_url == "sqlite:///y.db"

    def test_an_argument_of_none_is_not_given(self) -> None:
        assert load(environ={"S3QUEUE_WORKERS": "3"}, workers=None).config.workers == 3

    def test_an_empty_variable_is_not_set(self) -> None:
        loaded = load(environ={"S3QUEUE_WORKERS": "", "S3QUEUE_STORE_URL": ""})
        assert loaded.config.workers is None
        assert loaded.store_url is None

    def test_null_in_the_environment_takes_an_optional_setting_back(self) -> None:
        toml("[queue]\ntime_limit = 5\n")
        assert load(environ={"S3QUEUE_TIME_LIMIT": "null"}).config.time_limit is None

    @pytest.mark.parametrize(
        ("environ", "words"),
        [
            ({"S3QUEUE_WORKER": "3"}, "did you mean 'S3QUEUE_WORKERS'"),
            ({"S3QUEUE_STORE": "memory://"}, "did you mean 'S3QUEUE_STORE_URL'"),
            ({"S3QUEUE_WORKERS": "three"}, "S3QUEUE_WORKERS"),
            ({"S3QUEUE_VISIBILITY_TIMEOUT": "30s"}, "S3QUEUE_VISIBILITY_TIMEOUT"),
            ({"S3QUEUE_CONFIG": "absent.toml"}, "cannot read absent.toml"),
        ],
    )
    def test_a_wrong_variable_is_named(self, environ: dict[str, str], words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            load(environ=environ)

    @pytest.mark.parametrize("service", ["S3QUEUE", "S3QUEUE_DASHBOARD", "S3QUEUE_A_B", "S3QUEUE_WORKERS"])
    def test_what_kubernetes_injects_for_a_service_of_our_name_is_left_alone(self, service: str) -> None:
        of_docker = {"PORT": "tcp://10.0.0.1:80", "PORT_80_TCP": "tcp://10.0.0.1:80", "PORT_80_TCP_PROTO": "tcp"}
        of_docker |= {"PORT_80_TCP_PORT": "80", "PORT_80_TCP_ADDR": "10.0.0.1", "PORT_53_UDP": "udp://10.0.0.1:53"}
        own = {"SERVICE_HOST": "10.0.0.1", "SERVICE_PORT": "80", "SERVICE_PORT_HTTP": "80"}
        environ = {f"{service}_{name}": text for name, text in (of_docker | own).items()}
        assert load(environ=environ) == load(environ={})

    def test_what_only_looks_like_a_service_is_still_told(self) -> None:
        with pytest.raises(ConfigError, match="S3QUEUE_WORKERS_SERVICE"):
            load(environ={"S3QUEUE_WORKERS_SERVICE": "1"})

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("[queue]\nworker = 3\n", "did you mean 'workers'"),
            ("[store]\nulr = 'x'\n", "did you mean 'url'"),
            ("[stores]\nurl = 'x'\n", "did you mean 'store'"),
            ("workers = 3\n", r"below a line that says \[queue\]"),
            ("[store]\nurl = 'x'\nworkers = 3\n", r"below a line that says \[queue\]"),
            ("[queue]\nurl = 'x'\n", r"below a line that says \[store\]"),
            ("[queue]\nworkers = '3'\n", "queue.toml: workers"),
            ("[store]\nurl = 3\n", "not a string"),
            ("store = 'x'\n", "not a table"),
            ("[queue\n", "not TOML"),
        ],
    )
    def test_a_wrong_file_says_where(self, text: str, words: str) -> None:
        toml(text)
        with pytest.raises(ConfigError, match=words):
            load(environ={})

    def test_a_file_named_by_the_environment_or_an_argument_is_read(self, tmp_path: Path) -> None:
        other = tmp_path / "other.toml"
        other.write_text("[queue]\nworkers = 6\n")
        assert load(environ={"S3QUEUE_CONFIG": str(other)}).config.workers == 6
        assert load(environ={}, path=other).origins["workers"] == str(other)

    def test_an_unknown_argument_is_named(self) -> None:
        with pytest.raises(ConfigError, match="did you mean 'namespace'"):
            load(environ={}, name_space="x")  # type: ignore[call-arg]
        with pytest.raises(ConfigError, match="did you mean 'namespace'"):
            configure(name_space="x")  # type: ignore[call-arg]


class TestStore:
    def test_no_store_is_an_error_with_a_hint_and_never_a_silent_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="S3QUEUE_STORE_URL") as caught:
            current_store()
        assert caught.value.hint
        assert list(tmp_path.iterdir()) == []

    def test_configured_store_then_environment_then_file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        toml(f'[store]\nurl = "sqlite:///{tmp_path}/file.db"\n')
        assert current_store().url.endswith("file.db")
        monkeypatch.setenv("S3QUEUE_STORE_URL", f"sqlite:///{tmp_path}/environ.db")
        configure()  # what was opened is kept until then
        assert current_store().url.endswith("environ.db")
        store = MemoryStore()
        configure(store=store)
        assert current_store() is store

    def test_it_is_opened_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("S3QUEUE_STORE_URL", "memory://")
        assert current_store() is current_store()

    def test_a_refused_configuration_changes_nothing(self) -> None:
        configure(store=MemoryStore(), workers=2)
        for wrong in ({"workers": 0}, {"worker": 3}, {"store": "nonsense://x"}):
            with pytest.raises(ConfigError):
                configure(**wrong)
        assert current_config().workers == 2
        assert isinstance(current_store(), MemoryStore)

    def test_an_unknown_scheme_lists_the_known_ones(self) -> None:
        with pytest.raises(ConfigError, match="sqlite"):
            open_store("ftp://x")

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("s3://key:secret@bucket/x", "s3://***@bucket/x"),
            (
                "s3://bucket/x?region=eu&secret_key=abc&endpoint=http://h",
                "s3://bucket/x?region=eu&secret_key=***&endpoint=http://h",
            ),
            ("az://c/p?sig=abc", "az://c/p?sig=***"),
            ("sqlite:///a/b@c.db", "sqlite:///a/b@c.db"),
        ],
    )
    def test_a_printed_url_carries_no_secret(self, url: str, shown: str) -> None:
        assert redact_url(url) == shown


def test_every_setting_says_what_it_is_for() -> None:
    """Each field has a ``#:`` comment above it, which the reference is made from."""
    lines = Path(config_module.__file__).read_text().splitlines()
    for name in Config.__struct_fields__:
        at = next(number for number, line in enumerate(lines) if line.startswith(f"    {name}: "))
        assert lines[at - 1].strip().startswith("#:"), name
