"""The python-socketio client talks to a running LinkUp, with its default options: polling first, then WebSocket.

    python3 client.py BASE TOKEN EXPIRY NEWER_TOKEN CONVERSATION

TOKEN expires soon, in the second EXPIRY of the Unix epoch. The client refreshes it by `user:connect` with NEWER_TOKEN, and is
still served when the first one has expired: it sends with an acknowledgement and receives before and after. Then somebody has to
cut its connection, and to say "after the cut" once it has come back. Ends with status 0 if everything was as
it should be.
"""

import queue
import sys
import time

import socketio

PATIENCE = 30
base, token, expiry, newer_token, conversation = sys.argv[1:]

arrived = queue.Queue()
connects = queue.Queue()
client = socketio.Client(reconnection_delay=0.1, reconnection_delay_max=0.5)


@client.event
def connect():
    connects.put(client.transport())


@client.on("message:new")
def message(payload, _clock):
    arrived.put(payload)


def wait_for(content):
    while True:
        if arrived.get(timeout=PATIENCE)["content"] == content:
            return


def talk(content):
    """Sends with an acknowledgement, and receives."""
    answer = client.call("message:send", {"conversationId": conversation, "content": content}, timeout=PATIENCE)
    assert answer["ok"] is True and answer["message"]["content"] == content, answer
    wait_for(content)


def refused():
    """A bad token is told in the specification's words."""
    other, said = socketio.Client(reconnection=False), queue.Queue()
    other.on("connect_error", said.put)
    try:
        other.connect(base, auth={"token": "nonsense"}, wait_timeout=PATIENCE)
    except socketio.exceptions.ConnectionError:
        pass
    else:
        raise AssertionError("a bad token was accepted")
    assert said.get(timeout=PATIENCE) == {"message": "Authentication error"}
    other.disconnect()


refused()
# The library asks for the token with every connect, as a page would that has a newer one by then.
tokens = iter([token])
client.connect(base, auth=lambda: {"token": next(tokens, newer_token)}, wait_timeout=PATIENCE)
connects.get(timeout=PATIENCE)
assert client.transport() == "websocket", client.transport()

answer = client.call("user:connect", {"token": newer_token}, timeout=PATIENCE)
assert answer["ok"] is True, answer
talk("from Python")

time.sleep(max(0, int(expiry) + 1.5 - time.time()))
talk("with the newer token")
assert client.connected and connects.empty(), "it was cut off when the first token expired"
print("connected, sent and received", flush=True)

connects.get(timeout=PATIENCE)
print("came back", flush=True)
wait_for("after the cut")
print("all checks passed", flush=True)
client.disconnect()
