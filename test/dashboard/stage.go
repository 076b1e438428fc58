// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/test/port"
	"github.com/forebay-io/forebay/test/tcpproxy"
)

// target is what Prometheus scrapes.
type target struct{ instance, address string }

type stageConfig struct{ forebay, prometheus string }

// stage is everything that runs.
type stage struct {
	dir        string
	prometheus string // its address
	addresses  string // of the servers, behind their proxies
	proxies    []*tcpproxy.Proxy
	swaps      []chan struct{} // ask a server to end and to come back
	failed     chan error      // of processes that ended and of writers
	stop       context.CancelFunc
	running    sync.WaitGroup
}

const prometheusFile = `global: { scrape_interval: 2s, scrape_timeout: 2s }
scrape_configs:
  - job_name: forebay
    static_configs:
`

const clicksFile = `name: clicks
source:
  generate:
    rate: 1000
    splits: 2
    fields:
      - { name: id, sequence: {} }
      - { name: country, words: [de, fr, nl, pl] }
      - { name: price, words: ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", free] }
      - { name: page, text: { length: 120 } }
transform:
  - cast: { price: int64 }
sink: { table: { name: clicks, key: [id], address: "%s" } }
state: %s
checkpoint: { interval: 500ms }
http: { listen: "%s" }
`

const copyFile = `name: copy
source: { table: { name: clicks, address: "%s" } }
sink:
  table:
    name: by-country
    key: [id, country]
    partition_by: { column: country, template: value }
    address: "%s"
state: %s
http: { listen: "%s" }
`

// begin starts everything.
func begin(ctx context.Context, c stageConfig) (s *stage, err error) {
	ctx, cancel := context.WithCancel(ctx)
	s = &stage{failed: make(chan error, 16), stop: cancel}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.end())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "forebay-dashboard-"); err != nil {
		return s, err
	}
	if c.forebay == "" {
		c.forebay = filepath.Join(s.dir, "forebay")
		build := exec.CommandContext(ctx, "go", "build", "-o", c.forebay, "./cmd/forebay")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return s, fmt.Errorf("build ./cmd/forebay: %w; run this at the root of the module", err)
		}
	}
	targets, err := s.beginServers(ctx, c.forebay)
	if err != nil {
		return s, err
	}
	if err := s.createTables(ctx); err != nil {
		return s, err
	}
	at, err := s.beginPipelines(ctx, c.forebay)
	if err != nil {
		return s, err
	}
	targets = append(targets, target{"pipelines", at})
	for i := range 2 {
		w, err := newWriters(ctx, s.addresses)
		if err != nil {
			return s, err
		}
		name := fmt.Sprintf("writers-%d", i+1)
		targets = append(targets, target{name, w.address})
		s.running.Go(func() { s.report(ctx, name, w.run(ctx)) })
	}
	s.running.Go(func() { s.runDisturb(ctx) })
	return s, s.beginPrometheus(ctx, c.prometheus, targets)
}

// beginServers starts the owner of a directory and one that stands by.
func (s *stage) beginServers(ctx context.Context, binary string) (targets []target, err error) {
	var addresses []string
	for i := range 2 {
		listen, err := port.Free(ctx)
		if err != nil {
			return nil, err
		}
		scrape, err := port.Free(ctx)
		if err != nil {
			return nil, err
		}
		proxy, err := tcpproxy.Listen(ctx, func() string { return listen })
		if err != nil {
			return nil, err
		}
		s.proxies = append(s.proxies, proxy)
		name := fmt.Sprintf("server-%d", i+1)
		addresses, targets = append(addresses, proxy.Addr()), append(targets, target{name, scrape})
		swap := make(chan struct{})
		s.swaps = append(s.swaps, swap)
		args := []string{
			"serve", "--state", filepath.Join(s.dir, "tables"), "--listen", listen, "--advertise", proxy.Addr(),
			"--http", scrape, "--standby",
		}
		s.running.Go(func() { s.report(ctx, name, s.runServer(ctx, swap, name, append([]string{binary}, args...))) })
		if err := awaitHTTP(ctx, "http://"+scrape+"/healthz"); err != nil {
			return nil, err
		}
	}
	s.addresses = strings.Join(addresses, ",")
	return targets, nil
}

// createTables makes the tables that readers and writers find there.
func (s *stage) createTables(ctx context.Context) (err error) {
	conn, err := tablet.Dial(ctx, s.addresses, tablet.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	clicks, err := forebay.NewSchema(forebay.Column{Name: "id", Type: forebay.Int64},
		forebay.Column{Name: "country", Type: forebay.String}, forebay.Column{Name: "price", Type: forebay.Int64},
		forebay.Column{Name: "page", Type: forebay.String})
	if err != nil {
		return err
	}
	rows, err := rowSchema()
	if err != nil {
		return err
	}
	return errors.Join(
		conn.Create(ctx, forebay.TableSpec{Name: "clicks", Schema: clicks, Key: []string{"id"}}),
		conn.Create(ctx, forebay.TableSpec{Name: "events", Schema: rows}),
		conn.Create(ctx, forebay.TableSpec{
			Name: "users", Schema: rows, Key: []string{"id", "country"},
			PartitionBy: forebay.PartitionBy{Column: "country", Template: "value"},
		}))
}

func (s *stage) beginPipelines(ctx context.Context, binary string) (target string, err error) {
	if target, err = port.Free(ctx); err != nil {
		return "", err
	}
	state := filepath.Join(s.dir, "pipelines")
	files := map[string]string{
		"clicks.yaml": fmt.Sprintf(clicksFile, s.addresses, state, target),
		"copy.yaml":   fmt.Sprintf(copyFile, s.addresses, s.addresses, state, target),
	}
	args := []string{binary, "run"}
	for name, text := range files {
		name = filepath.Join(s.dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return "", err
		}
		args = append(args, name)
	}
	if err := s.start(ctx, "pipelines", args...); err != nil {
		return "", err
	}
	return target, awaitHTTP(ctx, "http://"+target+"/healthz")
}

func (s *stage) beginPrometheus(ctx context.Context, binary string, targets []target) (err error) {
	if s.prometheus, err = port.Free(ctx); err != nil {
		return err
	}
	file := filepath.Join(s.dir, "prometheus.yml")
	text := []byte(prometheusFile)
	for _, t := range targets {
		text = fmt.Appendf(text, "      - { targets: [%q], labels: { instance: %s } }\n", t.address, t.instance)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	err = s.start(ctx, "prometheus", binary, "--config.file="+file, "--web.listen-address="+s.prometheus,
		"--storage.tsdb.path="+filepath.Join(s.dir, "series"), "--web.cors.origin=.*", "--log.level=warn")
	if err != nil {
		return err
	}
	return awaitHTTP(ctx, "http://"+s.prometheus+"/-/ready")
}

// start starts a process that runs until ctx ends; one that ends before is an error.
func (s *stage) start(ctx context.Context, name string, command ...string) error {
	wait, err := s.process(ctx, name, command)
	if err != nil {
		return err
	}
	s.running.Go(func() { s.report(ctx, name, wait()) })
	return nil
}

// process starts a process. wait waits for its end, which is always an error.
func (s *stage) process(ctx context.Context, name string, command []string) (wait func() error, err error) {
	log, err := os.Create(filepath.Join(s.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	// An interrupt from the terminal is for this process alone, and what it started dies with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", command[0], err), log.Close())
	}
	return func() error {
		err := errors.Join(cmd.Wait(), log.Close())
		said, _ := os.ReadFile(log.Name())
		return fmt.Errorf("it ended: %w\n%s", err, said)
	}, nil
}

// runServer runs a server until ctx ends. For each swap it ends, which makes the other one take over, and comes back
// to stand by.
func (s *stage) runServer(ctx context.Context, swap <-chan struct{}, name string, command []string) error {
	for ctx.Err() == nil {
		once, end := context.WithCancel(ctx)
		wait, err := s.process(once, name, command)
		if err != nil {
			end()
			return err
		}
		ended := make(chan error, 1)
		s.running.Go(func() { ended <- wait() })
		select {
		case err := <-ended:
			end()
			return err
		case <-swap:
		case <-ctx.Done():
		}
		end()
		<-ended //nolint:errcheck // it was asked to
	}
	return nil
}

// report keeps an error of something that runs, unless everything is to end.
func (s *stage) report(ctx context.Context, what string, err error) {
	if ctx.Err() == nil && err != nil {
		s.failed <- fmt.Errorf("%s: %w", what, err)
	}
}

// wait waits for a time, or for the first thing that fails.
func (s *stage) wait(ctx context.Context, d time.Duration) error {
	select {
	case err := <-s.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// end ends everything and waits for it.
func (s *stage) end() error {
	s.stop()
	s.running.Wait()
	var errs []error
	for _, p := range s.proxies {
		errs = append(errs, p.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// awaitHTTP waits until a URL answers 200.
func awaitHTTP(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		_, err := get(ctx, url)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// statusError is an answer that is not 200.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.code, http.StatusText(e.code), e.text)
}
