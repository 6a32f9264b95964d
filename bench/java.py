"""The jar with Kafka's own consumer benchmark, through Maven, into .run/kafka/tools; bench.live uses it from there.

python -m bench.java
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".run" / "kafka" / "tools"
VERSION = "4.3.0"  # the broker's (tools/kafka/pom.xml)
SHA256 = "b88bc6ccc520d648142515526e4042c285612ce94b032434a88e3e936e38b600"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"


def main() -> None:
    """Fetch it, compare its checksum, keep it."""
    mvn = shutil.which("mvn")
    if mvn is None:
        sys.exit("no mvn on the PATH: Maven fetches the jar (apt: maven)")
    fresh = FOLDER.with_name("tools.new")
    artifact = f"org.apache.kafka:kafka-tools:{VERSION}"
    subprocess.run(
        (mvn, "-B", "-q", f"{PLUGIN}:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={fresh}"), check=True
    )
    jar = fresh / f"kafka-tools-{VERSION}.jar"
    if hashlib.sha256(jar.read_bytes()).hexdigest() != SHA256:
        sys.exit(f"{jar} is not the jar that was measured with; remove it")
    FOLDER.mkdir(parents=True, exist_ok=True)
    jar.replace(FOLDER / jar.name)
    shutil.rmtree(fresh)
    print(FOLDER / jar.name)


if __name__ == "__main__":
    main()
