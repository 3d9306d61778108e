"""Wait for a Hub that is busy or cannot be reached for a moment. Cheap to import."""

import time

# Answers that mean: not now.
_AGAIN = (408, 429, 500, 502, 503, 504)
_TRIES = 6
_LONGEST_WAIT = 60.0  # seconds


def patiently(call):
    """What `call()` returns, tried again while the Hub is busy or cannot be reached, six times in all.

    Between tries it waits as long as the Hub asks for (`Retry-After`, at most a minute), else 1, 2, 4, ... seconds.

    Raises:
        whatever `call` raises that is no such error, and the last of them.
    """
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalEntryNotFoundError

    for attempt in range(_TRIES):
        try:
            return call()
        except (HTTPError, LocalEntryNotFoundError) as error:
            # The client says that nothing is in the cache, and in its cause why nothing came.
            cause = error if isinstance(error, HTTPError) else error.__cause__
            status = cause.response.status_code if isinstance(cause, HfHubHTTPError) else None
            passing = isinstance(cause, HTTPError) and (status is None or status in _AGAIN)
            if not passing or attempt == _TRIES - 1:
                raise
            time.sleep(_pause(cause, attempt))
    raise AssertionError("unreachable")


def _pause(error, attempt):
    response = getattr(error, "response", None)
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    return min(float(asked), _LONGEST_WAIT) if asked.isdigit() else min(2.0**attempt, _LONGEST_WAIT)
