"""What is noted of the requests to the API server. Knows no metrics library, no sockets."""

FAILED = "<error>"
"""The code of a request without an answer, as client-go writes it."""


class Measures:
    """Takes note of requests, on the thread that makes them; this one forgets them at once."""

    def answered(self, host: str, code: str) -> None:
        """Note an HTTP status, or ``FAILED``; ``host`` is that of the URL, with its port."""

    def listed(self, host: str, seconds: float) -> None:
        """Note how long it took to read a page of a list."""
