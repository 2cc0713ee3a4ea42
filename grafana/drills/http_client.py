"""Short requests to servers on this machine."""

import json
import urllib.error
import urllib.parse
import urllib.request


def get(url: str, seconds: float = 2) -> tuple[int, str]:
    """Status and text; 0 and the reason where nothing answers."""
    return fetch(urllib.request.Request(url), seconds)


def post_json(url: str, body: dict, token: str = "", seconds: float = 10) -> tuple[int, str]:
    """Status and text of the answer to a JSON document."""
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    return fetch(urllib.request.Request(url, json.dumps(body).encode(), headers), seconds)


def fetch(request: urllib.request.Request, seconds: float) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return 0, str(error)


def query(url: str, **parameters: str) -> dict:
    """The JSON that answers a GET with these parameters, whatever its status. Raises OSError where nothing answers."""
    status, text = get(f"{url}?{urllib.parse.urlencode(parameters)}" if parameters else url, 10)
    if status == 0:
        raise OSError(text)
    return json.loads(text)
