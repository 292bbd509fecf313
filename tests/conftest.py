pytest_plugins = ["tests.fixtures", "tests.servers"]
