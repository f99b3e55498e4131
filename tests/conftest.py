pytest_plugins = ["pytester", "tests.controlplane.conftest_plane"]
