pytest_plugins = ["tests.controlplane.conftest_plane"]
