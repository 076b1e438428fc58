#!/bin/bash
# Fetches Kudu and its Java client from Maven Central into the folder given, and compiles Load.java there:
#   server/bin, server/lib   kudu-master, kudu-tserver and the libraries that they bring
#   lib                      the Java client with what it needs
#   classes                  Load
# What is complete is kept. Needs mvn, javac (17 or newer) and unzip.
set -euo pipefail
to=${1:?usage: fetch.sh FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
version=1.18.1
mkdir -p "$to"
to=$(cd "$to" && pwd)
plugin=org.apache.maven.plugins:maven-dependency-plugin:3.6.1
if [ ! -e "$to/server" ]; then
	mvn -q -B "$plugin:copy" "-Dartifact=org.apache.kudu:kudu-binary:$version:jar:linux-x86_64" "-DoutputDirectory=$to"
	rm -rf "$to/part"
	unzip -q "$to/kudu-binary-$version-linux-x86_64.jar" -d "$to/part"
	chmod +x "$to/part/kudu-binary-$version-linux-x86_64/bin/"*
	mv "$to/part/kudu-binary-$version-linux-x86_64" "$to/server"
	rm -rf "$to/part" "$to/kudu-binary-$version-linux-x86_64.jar"
fi
if [ ! -e "$to/lib" ]; then
	rm -rf "$to/part"
	mvn -q -B -f "$here/pom.xml" "$plugin:copy-dependencies" "-DoutputDirectory=$to/part"
	mv "$to/part" "$to/lib"
fi
mkdir -p "$to/classes"
javac --release 17 -Xlint:-options -cp "$to/lib/*" -d "$to/classes" "$here/Load.java" "$here/../Commands.java"
