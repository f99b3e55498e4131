import pytest

from kdns.corefile.durations import written


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (3e-9, "3ns"),
        (1.5e-6, "1.5\u00b5s"),
        (0.5, "500ms"),
        (0.0125, "12.5ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (59.999, "59.999s"),
        (60, "1m0s"),
        (90.25, "1m30.25s"),
        (300, "5m0s"),
        (3600, "1h0m0s"),
        (90_061, "25h1m1s"),
    ],
)
def test_durations_are_written_as_go_writes_them(seconds: float, text: str) -> None:
    assert written(seconds) == text
