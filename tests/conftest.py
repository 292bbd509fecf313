from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.fixtures", "tests.servers"]

# A test that takes longer on a busy machine is no failure.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
