// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const cacheDir = "bench/cache"

// errMissed is the end of a run in which all jobs ran and not every goal was met.
var errMissed = errors.New("not all goals are met")

// options is the command line.
type options struct {
	only   *regexp.Regexp
	out    string
	rounds int
	warm   int
	scale  float64
}

func main() {
	runtime.LockOSThread() // a child gets its signal when the thread that started it ends
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := benchmark(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers: "+err.Error())
		os.Exit(1)
	}
}

func benchmark(ctx context.Context) error {
	var o options
	only := ""
	flag.StringVar(&only, "only", "", "run the jobs whose name this `regexp` matches")
	flag.StringVar(&o.out, "out", "", "write the text to this `file` too")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds that count")
	flag.IntVar(&o.warm, "warm", 3, "rounds before them that do not count")
	flag.Float64Var(&o.scale, "scale", 1, "multiply the rows of each job")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(only); err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if flag.NArg() > 0 || o.rounds < 1 || o.warm < 0 || o.scale <= 0 {
		return errors.New("usage: go run ./bench/peers/run [-only REGEXP] [-out FILE] [-rounds N] [-warm N] [-scale X]")
	}
	if _, err := os.Stat("bench/peers/run"); err != nil {
		return fmt.Errorf("start it in the root of the repository: %w", err)
	}
	report := io.Writer(os.Stdout)
	if o.out != "" {
		file, err := os.Create(o.out)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // every line was written by then
		report = io.MultiWriter(os.Stdout, file)
	}
	return runJobs(ctx, o, report)
}

func runJobs(ctx context.Context, o options, report io.Writer) error {
	var chosen []job
	for _, j := range jobs() {
		if o.only.MatchString(j.name) {
			chosen = append(chosen, j)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("-only %s: no job has such a name", o.only)
	}
	if err := prepare(ctx, chosen); err != nil {
		return err
	}
	fmt.Fprint(report, machine(ctx))
	missed := 0
	for _, j := range chosen {
		r, err := j.run(ctx, o)
		if err != nil {
			return fmt.Errorf("%s: %w", j.name, err)
		}
		fmt.Fprint(report, r.text())
		missed += r.missed()
	}
	if missed > 0 {
		return errMissed
	}
	return nil
}

// prepare builds our programs and fetches those of the peers.
func prepare(ctx context.Context, chosen []job) error {
	if err := os.MkdirAll(filepath.Join(cacheDir, "peers"), 0o755); err != nil {
		return err
	}
	for to, from := range map[string]string{"forebay": "./cmd/forebay", "load": "./bench/peers/forebay"} {
		c := command(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(cacheDir, "peers", to), from)
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if err := c.Run(); err != nil {
			return fmt.Errorf("build %s: %w", from, err)
		}
	}
	fetched := map[string]bool{}
	for _, j := range chosen {
		if fetched[j.peer] {
			continue
		}
		fetched[j.peer] = true
		script := filepath.Join("bench/peers", j.peer, "fetch.sh")
		if err := command(ctx, "bash", script, filepath.Join(cacheDir, j.peer)).Run(); err != nil {
			return fmt.Errorf("%s: %w", script, err)
		}
	}
	return nil
}

// command prints what it does to standard error: standard output carries the report.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	fmt.Fprintln(os.Stderr, "peers: "+name+" "+strings.Join(args, " "))
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	return c
}

// machine is what figures depend on and a reader cannot see from them.
func machine(ctx context.Context) string {
	load, _ := os.ReadFile("/proc/loadavg")
	java, _ := exec.CommandContext(ctx, "java", "-version").CombinedOutput()
	version, _, _ := strings.Cut(string(java), "\n")
	commit := output(ctx, "git", "rev-parse", "--short", "HEAD")
	if output(ctx, "git", "status", "--porcelain", "--untracked-files=no") != "" {
		commit += "-dirty"
	}
	cpu := "unknown"
	info, _ := os.ReadFile("/proc/cpuinfo")
	if _, after, ok := strings.Cut(string(info), "model name\t: "); ok {
		cpu, _, _ = strings.Cut(after, "\n")
	}
	return strings.Join([]string{
		"command     go run ./bench/peers/run " + strings.Join(os.Args[1:], " "),
		"date        " + time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		"commit      " + commit,
		"go          " + output(ctx, "go", "version"),
		"java        " + version,
		"kernel      " + output(ctx, "uname", "-sr"),
		fmt.Sprintf("processor   %s, %d cores", cpu, runtime.NumCPU()),
		"load        " + strings.TrimSpace(string(load)) + " at the start",
	}, "\n") + "\n"
}

// output is what a command printed, or nothing where it fails.
func output(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
