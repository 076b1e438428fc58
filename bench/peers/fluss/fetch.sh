#!/bin/bash
# Fetches Fluss, its Java client and ZooKeeper from Maven Central into the folder given, and compiles Load.java there:
#   server, zookeeper, client   the jars of each
#   classes                     Load
# What is complete is kept. Needs mvn and javac (17 or newer).
set -euo pipefail
to=${1:?usage: fetch.sh FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$to"
to=$(cd "$to" && pwd)
for part in server zookeeper client; do
	[ ! -e "$to/$part" ] || continue
	rm -rf "$to/part"
	mvn -q -B -f "$here/pom-$part.xml" \
		org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies "-DoutputDirectory=$to/part"
	mv "$to/part" "$to/$part"
done
mkdir -p "$to/classes"
javac --release 17 -Xlint:-options -cp "$to/client/*" -d "$to/classes" "$here/Load.java" "$here/../Commands.java"
