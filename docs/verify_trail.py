"""Check an exported trail without the system that wrote it: python verify_trail.py FILE.jsonl [PUBLIC_KEY]

PUBLIC_KEY is what `manage.py audit_checkpoint --public-key` prints; let somebody whom you trust read it to you. Without
it the file's own keys count, which shows only that the file fits together. Needs Python 3.11 and `cryptography`.
"""

import hashlib
import json
import sys
from base64 import b64decode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey as Key

LINKED = "prev_hash event_id task_id seq type actor_id on_behalf_of_id reason at from_status to_status"
FORM, SIGNED = "hitl-checkpoint-1", "number from_position to_position rows_digest previous made_at key_id"


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


def sha256(text):
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def verify(head, rows, keys):
    position, ends, texts = head["first"] - 1, {}, {}
    begin, last = ((0, ""), (0, 0, "")) if position == 0 else (None, None)
    for row in rows:
        if row["kind"] == "event":
            place, position = f"{row['task_id']}, event {row['seq']}", position + 1
            link = (row["seq"] - 1, row["prev_hash"])
            yield row["position"] == position, f"{place}: the event at position {position} is missing"
            yield ends.get(row["task_id"], begin or link) == link, f"{place}: the event before it is missing"
            columns = [*(row[name] for name in LINKED.split()), sha256(row["snapshot"])]
            yield sha256(compact(columns)) == row["hash"], f"{place}: its hash does not fit its columns"
            ends[row["task_id"]] = (row["seq"], row["hash"])
            leaf = sha256(row["hash"] + "".join(sha256(compact(entry)) for entry in row["audit"]))
            texts[position] = f"{position} {row['task_id']} {row['seq']} {leaf}\n"
            continue
        place, form = f"checkpoint {row['number']}", compact([FORM, *(row[name] for name in SIGNED.split())])
        link = (row["number"] - 1, row["from_position"], row["previous"])
        yield last in (None, link), f"{place}: it does not follow from the checkpoint before it"
        covered = "".join(texts.pop(at, "") for at in range(row["from_position"] + 1, row["to_position"] + 1))
        yield sha256(covered) == row["rows_digest"], f"{place}: its events or audit entries are not those signed"
        yield sha256(form) == row["digest"] and row["key_id"] in keys, f"{place}: edited, or signed with another key"
        Key.from_public_bytes(b64decode(keys[row["key_id"]])).verify(b64decode(row["signature"]), form.encode())
        last = (row["number"], row["to_position"], row["digest"])
    yield position == head["last"], f"the file ends at position {position} instead of {head['last']}"
    sys.stdout.write(f"Sound up to position {position}; the last {len(texts)} are in no checkpoint of the file.\n")


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8", errors="surrogateescape") as file:
        header = json.loads(next(file))
        trusted = {sha256(key)[:16]: key for key in sys.argv[2:]} or header["public_keys"]
        for holds, flaw in verify(header, map(json.loads, file), trusted):
            if not holds:
                sys.exit(f"NOT sound. {flaw}")
