// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// server is a kind of server with its settings. Sides with one name of a server share it.
type server struct {
	name  string
	start func(ctx context.Context, s *running) error
	// putDown makes the server do what it would put off for longer than a turn; nil where it puts nothing off so long.
	putDown func(ctx context.Context, s *running) error
}

// side is one of those that are compared.
type side struct {
	name     string
	ours     bool
	settings string
	server   server
	// client is the command line of the client.
	client func(address string) []string
}

// running is a server that runs.
type running struct {
	dir       string // empty and its own
	address   string // for clients
	tablets   string // the address of Kudu's tablet server
	processes []*process
	putDown   func(ctx context.Context, s *running) error
}

// start adds a process to the server.
func (s *running) start(name string, env []string, args ...string) (*process, error) {
	p, err := start(s.dir, name, env, args...)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return p, err
}

// stop ends the processes, the last first.
func (s *running) stop() {
	for i := range s.processes {
		s.processes[len(s.processes)-1-i].stop()
	}
}

func forebaySide(mode, settings string) side {
	return side{
		name: "forebay " + mode, ours: true, settings: settings,
		server: server{name: "forebay", start: startForebay},
		client: func(address string) []string {
			return []string{filepath.Join(cacheDir, "peers/load"), address, mode}
		},
	}
}

func startForebay(ctx context.Context, s *running) error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	s.address = address(ports[0])
	p, err := s.start("forebay", nil, filepath.Join(cacheDir, "peers/forebay"),
		"serve", "--state", filepath.Join(s.dir, "state"), "--listen", s.address)
	if err != nil {
		return err
	}
	return awaitPort(ctx, p, ports[0])
}

// java is the command line of a program on a class path.
func java(heap string, args ...string) []string {
	return append([]string{
		"java", "-Xmx" + heap, "-XX:+UseSerialGC", "--add-opens=java.base/java.nio=ALL-UNNAMED",
	}, args...)
}

func classPath(parts ...string) string {
	for i, part := range parts {
		parts[i] = filepath.Join(cacheDir, part)
	}
	return strings.Join(parts, ":")
}

// kuduSide is Kudu with more flags for its servers.
func kuduSide(name, settings string, flags ...string) side {
	return side{
		name: name, settings: settings,
		server: server{
			name:    name,
			start:   func(ctx context.Context, s *running) error { return startKudu(ctx, s, flags) },
			putDown: flushKudu,
		},
		client: func(address string) []string {
			return java("1g", "-cp", classPath("kudu/classes", "kudu/lib/*"), "Load", address, "1000")
		},
	}
}

func startKudu(ctx context.Context, s *running, flags []string) error {
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	kit, env, err := kuduKit()
	if err != nil {
		return err
	}
	common := append([]string{
		"--unlock_unsafe_flags", "--unlock_experimental_flags", "--time_source=system_unsync", "--logtostderr",
		"--minloglevel=1", "--webserver_enabled=false", "--rpc_encryption=disabled", "--rpc_authentication=disabled",
	}, flags...)
	s.address, s.tablets = address(ports[0]), address(ports[1])
	for i, name := range []string{"kudu-master", "kudu-tserver"} {
		dir := filepath.Join(s.dir, name)
		own := "--master_addresses="
		if i == 1 {
			own = "--tserver_master_addrs="
		}
		args := append([]string{
			filepath.Join(kit, "bin", name), own + s.address, "--rpc_bind_addresses=" + address(ports[i]),
			"--fs_wal_dir=" + dir, "--fs_data_dirs=" + dir,
		}, common...)
		if _, err := s.start(name, env, args...); err != nil {
			return err
		}
	}
	return await(ctx, s.processes[1], func() bool {
		out, err := kudu(ctx, "tserver", "list", s.address)
		return err == nil && strings.Contains(out, "127.0.0.1")
	})
}

// flushKudu has the rows written from memory to sorted files, which Kudu puts off for two minutes.
func flushKudu(ctx context.Context, s *running) error {
	for _, seconds := range []string{"1", "120"} {
		out, err := kudu(ctx, "tserver", "set_flag", s.tablets, "flush_threshold_secs", seconds, "--force")
		if err != nil {
			return fmt.Errorf("set flush_threshold_secs: %w: %s", err, out)
		}
		if seconds == "1" {
			time.Sleep(3 * time.Second) // it looks for work four times a second
		}
	}
	return nil
}

// kudu runs Kudu's tool.
func kudu(ctx context.Context, args ...string) (string, error) {
	kit, env, err := kuduKit()
	if err != nil {
		return "", err
	}
	c := exec.CommandContext(ctx, filepath.Join(kit, "bin/kudu"), args...)
	c.Env = append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	return string(out), err
}

// kuduKit is the folder of Kudu's programs, and the environment in which their libraries find each other.
func kuduKit() (dir string, env []string, err error) {
	dir, err = filepath.Abs(filepath.Join(cacheDir, "kudu/server"))
	return dir, []string{
		"LD_LIBRARY_PATH=" + filepath.Join(dir, "lib"), "SASL_PATH=" + filepath.Join(dir, "lib/sasl2"),
	}, err
}

func flussSide(mode, settings string) side {
	return side{
		name: "fluss " + mode, settings: settings,
		server: server{name: "fluss", start: startFluss},
		client: func(address string) []string {
			return java("1g", "-cp", classPath("fluss/classes", "fluss/client/*"), "Load", address, mode)
		},
	}
}

func startFluss(ctx context.Context, s *running) error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	s.address = address(ports[1])
	const conf = "bench/peers/fluss/conf/"
	zoo := filepath.Join(s.dir, "zoo.cfg")
	text := fmt.Sprintf("tickTime=2000\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\n"+
		"admin.enableServer=false\n", filepath.Join(s.dir, "zookeeper"), ports[0])
	if err := os.WriteFile(zoo, []byte(text), 0o644); err != nil {
		return err
	}
	p, err := s.start("zookeeper", nil, java("256m", "-Dlogback.configurationFile="+conf+"logback.xml",
		"-cp", classPath("fluss/zookeeper/*"), "org.apache.zookeeper.server.quorum.QuorumPeerMain", zoo)...)
	if err != nil {
		return err
	}
	if err := awaitPort(ctx, p, ports[0]); err != nil {
		return err
	}
	for i, name := range []string{"coordinator.CoordinatorServer", "tablet.TabletServer"} {
		kind, _, _ := strings.Cut(name, ".")
		dir := filepath.Join(s.dir, kind)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		text := fmt.Sprintf("zookeeper.address: %s\nbind.listeners: FLUSS://%s\ntablet-server.id: 0\n"+
			"data.dir: %s/data\nremote.data.dir: %s/remote\ndefault.bucket.number: 4\ndefault.replication.factor: 1\n",
			address(ports[0]), address(ports[1+i]), dir, s.dir)
		if err := os.WriteFile(filepath.Join(dir, "server.yaml"), []byte(text), 0o644); err != nil {
			return err
		}
		p, err := s.start(kind, nil, java("1g", "-Dlog4j.configurationFile="+conf+"log4j2.properties",
			"-cp", classPath("fluss/server/*"), "org.apache.fluss.server."+name, "--configDir", dir)...)
		if err != nil {
			return err
		}
		if err := awaitPort(ctx, p, ports[1+i]); err != nil {
			return err
		}
	}
	return nil
}
