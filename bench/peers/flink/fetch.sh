#!/bin/bash
# Fetches Flink and Jackson from Maven Central into the folder given, and compiles Job.java there:
#   lib       Flink, its file connector, Jackson
#   classes   Job
# What is complete is kept. Needs mvn and javac (17 or newer).
set -euo pipefail
to=${1:?usage: fetch.sh FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
for tool in mvn javac; do
	command -v "$tool" >/dev/null || {
		echo "fetch.sh: no $tool: apt-get install default-jdk-headless maven" >&2
		exit 1
	}
done
mkdir -p "$to"
to=$(cd "$to" && pwd)
if [ ! -e "$to/lib" ]; then
	rm -rf "$to/part"
	mvn -q -B -f "$here/pom.xml" \
		org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies "-DoutputDirectory=$to/part"
	mv "$to/part" "$to/lib"
fi
mkdir -p "$to/classes"
javac --release 17 -Xlint:-options -cp "$to/lib/*" -d "$to/classes" "$here/Job.java"
