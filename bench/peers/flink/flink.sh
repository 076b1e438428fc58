#!/bin/bash
# Runs what fetch.sh put into bench/cache/flink: flink.sh IN OUT ROUNDS row|buffered. It becomes the Java process, so
# that whoever starts it sees what that takes. GOMAXPROCS is how many processors it may see.
set -euo pipefail
kit=$(cd "$(dirname "$0")/../../cache/flink" && pwd)
exec java -Xmx1g -XX:+UseSerialGC "-XX:ActiveProcessorCount=${GOMAXPROCS:-$(nproc)}" -XX:-UsePerfData \
	--add-opens=java.base/java.util=ALL-UNNAMED --add-opens=java.base/java.lang=ALL-UNNAMED \
	--add-opens=java.base/java.time=ALL-UNNAMED -Dorg.slf4j.simpleLogger.defaultLogLevel=error \
	-cp "$kit/classes:$kit/lib/*" Job "$@"
