"""Signs what `make package` built: checksums, and SLSA provenance with a signature.

`make release` runs it, and `python release.py verify PUBLIC_KEY` checks the result. dist/ gets SHA256SUMS and
irmexport.intoto.jsonl: an in-toto statement with SLSA v1 provenance that names each file and its SHA-256, in
a DSSE envelope signed with an Ed25519 key (RELEASE_KEY, a PEM file). Where the command `sigstore` is there,
it signs SHA256SUMS as well; that was never run.
Not promised: a level of SLSA. It says what was built from which commit; who built it, only the key says.
"""

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

ROOT = Path(__file__).resolve().parent
SUMS, PROVENANCE = "SHA256SUMS", "irmexport.intoto.jsonl"
_TYPE = "application/vnd.in-toto+json"


def subjects(dist: Path) -> dict[str, str]:
    """Each file that was built → its SHA-256."""
    files = (file for file in sorted(dist.iterdir()) if file.is_file() and SUMS not in file.name)
    return {file.name: _sha256(file) for file in files if file.name != PROVENANCE}


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def statement(dist: Path, commit: str) -> dict[str, object]:
    """The in-toto statement: the files, the commit, and the locks that they were built from."""
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    sources: list[dict[str, object]] = [{"name": "irmexport", "digest": {"gitCommit": commit}}]
    sources += [{"name": f"requirements/{lock.name}", "digest": {"sha256": _sha256(lock)}} for lock in locks]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": sum_}} for name, sum_ in subjects(dist).items()],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "make package",
                "externalParameters": {"commit": commit},
                "resolvedDependencies": sources,
            },
            "runDetails": {"builder": {"id": "make release"}},
        },
    }


def _signed_bytes(payload: bytes) -> bytes:
    """What DSSE signs: the pre-authentication encoding of type and payload."""
    return b"DSSEv1 %d %s %d %s" % (len(_TYPE), _TYPE.encode(), len(payload), payload)


def sign(dist: Path, key: Ed25519PrivateKey, commit: str) -> None:
    """Write the checksums and the signed provenance into ``dist``."""
    sums = "".join(f"{sum_}  {name}\n" for name, sum_ in subjects(dist).items())
    (dist / SUMS).write_text(sums, encoding="utf-8")
    payload = json.dumps(statement(dist, commit), sort_keys=True).encode()
    envelope = {
        "payloadType": _TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"sig": base64.b64encode(key.sign(_signed_bytes(payload))).decode()}],
    }
    (dist / PROVENANCE).write_text(json.dumps(envelope) + "\n", encoding="utf-8")


def verify(dist: Path, key: Ed25519PublicKey) -> list[str]:
    """What is wrong with ``dist``: a bad signature, or files that were changed, added or removed."""
    try:
        envelope = json.loads((dist / PROVENANCE).read_text(encoding="utf-8"))
        payload = base64.b64decode(envelope["payload"], validate=True)
        key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), _signed_bytes(payload))
        signed = {one["name"]: one["digest"]["sha256"] for one in json.loads(payload)["subject"]}
    except (OSError, ValueError, LookupError, TypeError, InvalidSignature) as error:
        return [f"{PROVENANCE}: the signature is not good ({type(error).__name__})"]
    found = subjects(dist)
    names = sorted(signed.keys() | found.keys())
    return [f"{name}: not as it was signed" for name in names if signed.get(name) != found.get(name)]


def git(*words: str) -> str:
    """What a git command prints about this tree."""
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Sign or verify dist/."""
    arguments = argparse.ArgumentParser(description="Sign dist/, or verify it.")
    arguments.add_argument("what", choices=("sign", "verify"))
    arguments.add_argument("key", type=Path, help="the Ed25519 key in PEM: private to sign, public to verify")
    arguments.add_argument("--dist", type=Path, default=ROOT / "dist")
    options = arguments.parse_args()
    pem = options.key.read_bytes()
    if options.what == "verify":
        public = load_pem_public_key(pem)
        if not isinstance(public, Ed25519PublicKey):
            sys.exit(f"{options.key} is not an Ed25519 key.")
        sys.exit("\n".join(verify(options.dist, public)) or None)
    key = load_pem_private_key(pem, None)
    if not isinstance(key, Ed25519PrivateKey):
        sys.exit(f"{options.key} is no Ed25519 key. To make one: openssl genpkey -algorithm ed25519 -out KEY")
    if git("status", "--porcelain"):
        sys.exit("The tree has changes that are not committed: provenance would name the wrong commit.")
    commit = git("rev-parse", "HEAD")
    sign(options.dist, key, commit)
    if tool := shutil.which("sigstore"):
        subprocess.run([tool, "sign", str(options.dist / SUMS)], check=True)


if __name__ == "__main__":
    main()
