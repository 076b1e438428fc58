// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	cacheDir = "bench/cache"
	workDir  = "bench/cache/work"

	yearFile = "test/data/cache/flights.csv"
	yearRows = 336_776
	// The key time_hour, carrier, flight, origin is different in every row of the year.
	yearKeys  = yearRows
	yearTimes = 10

	wideRows  = 200
	wideBytes = 1 << 20
)

// prepare builds the programs and makes the inputs that the jobs need; what is there is kept.
func (b *bench) prepare(ctx context.Context) error {
	if err := os.RemoveAll(workDir); err != nil {
		return err
	}
	if err := os.MkdirAll(workDir, 0o755); err != nil {
		return err
	}
	if err := b.build(ctx); err != nil {
		return err
	}
	if _, err := os.Stat(yearFile); err != nil {
		if err := command(ctx, "bash", "test/data/fetch.sh").Run(); err != nil {
			return fmt.Errorf("test/data/fetch.sh: %w", err)
		}
	}
	inputs := []struct {
		name string
		make func(io.Writer) error
	}{
		{"flights-x10.csv", writeYears},
		{"flights-x10.csv.gz", writeYearsCompressed},
		{"wide.csv", func(w io.Writer) error { return writeWide(w, "id,a,b\n", "%d,%s,%s\n") }},
		{"wide.ndjson", func(w io.Writer) error { return writeWide(w, "", `{"id":%d,"a":"%s","b":"%s"}`+"\n") }},
		{recordsFile, writeRecords(fileRecords)},
		{recordsFewFile, writeRecords(bentoFileRecords)},
		{"one.csv", func(w io.Writer) error {
			_, err := io.WriteString(w, "id,name\n1,first\n")
			return err
		}},
	}
	for _, input := range inputs {
		if err := makeOnce(filepath.Join(cacheDir, input.name), input.make); err != nil {
			return fmt.Errorf("make %s: %w", input.name, err)
		}
	}
	return nil
}

// build compiles forebay as `make build` does, and the floors and peers of the jobs. Without forebay nothing runs;
// without another program the jobs that need it do not.
func (b *bench) build(ctx context.Context) error {
	b.binaries, b.unbuilt = map[string]string{}, map[string]error{}
	names := []string{"forebay"}
	for _, j := range b.jobs {
		names = append(names, j.programs...)
	}
	for _, name := range names {
		if b.binaries[name] != "" || b.unbuilt[name] != nil {
			continue
		}
		binary, err := b.buildProgram(ctx, name)
		switch {
		case err == nil:
			b.binaries[name] = binary
		case name == "forebay" || ctx.Err() != nil:
			return err
		default:
			b.unbuilt[name] = err
		}
	}
	return nil
}

// buildProgram returns the path of a program that it has built.
func (b *bench) buildProgram(ctx context.Context, name string) (string, error) {
	if name == "forebay" && b.forebay != "" {
		return b.forebay, nil
	}
	if name == "flink" {
		if err := command(ctx, "bash", "bench/peers/flink/fetch.sh", filepath.Join(cacheDir, name)).Run(); err != nil {
			return "", fmt.Errorf("bench/peers/flink/fetch.sh: %w: it needs Java 17 or newer and Maven", err)
		}
		return filepath.Abs("bench/peers/flink/flink.sh")
	}
	target, err := filepath.Abs(filepath.Join(cacheDir, name))
	if err != nil {
		return "", err
	}
	c := command(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", target, ".")
	c.Dir = map[string]string{"forebay": "cmd/forebay", "bento": "bench/peers/bento", "load": "bench/load"}[name]
	if c.Dir == "" {
		c.Dir = filepath.Join("bench/floor", name)
	}
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("build %s in %s: %w", name, c.Dir, err)
	}
	return target, nil
}

// command prints what it does to standard error: standard output carries the report.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	fmt.Fprintln(os.Stderr, "bench: "+name+" "+strings.Join(args, " "))
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	return c
}

// makeOnce writes a file under another name first: what has its name is whole.
func makeOnce(path string, write func(io.Writer) error) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	fmt.Fprintln(os.Stderr, "bench: make "+path)
	file, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, 1<<20)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}

// writeYears is the header once and the rows of the year ten times. It holds little of them: the peak of the
// driver is the least that a process which it starts can show.
func writeYears(w io.Writer) error {
	for year := range yearTimes {
		if err := writeYear(w, year == 0); err != nil {
			return err
		}
	}
	return nil
}

func writeYear(w io.Writer, header bool) error {
	file, err := os.Open(yearFile)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	lines := bufio.NewReader(file)
	names, err := lines.ReadBytes('\n')
	if err != nil {
		return err
	}
	if header {
		if _, err := w.Write(names); err != nil {
			return err
		}
	}
	counter := lineCounter{to: w}
	if _, err := lines.WriteTo(&counter); err != nil {
		return err
	}
	if counter.lines != yearRows {
		return fmt.Errorf("%s has %d rows, not %d: remove it, test/data/fetch.sh gets it again",
			yearFile, counter.lines, yearRows)
	}
	return nil
}

// lineCounter counts the line breaks of what it passes on.
type lineCounter struct {
	to    io.Writer
	lines int64
}

func (c *lineCounter) Write(p []byte) (int, error) {
	c.lines += int64(bytes.Count(p, []byte("\n")))
	return c.to.Write(p)
}

func writeYearsCompressed(w io.Writer) error {
	zw, err := gzip.NewWriterLevel(w, 6)
	if err != nil {
		return err
	}
	if err := writeYears(zw); err != nil {
		return err
	}
	return zw.Close()
}

// writeWide writes rows of 1 MB: two columns of letters, which do not compress to nothing.
func writeWide(w io.Writer, header, row string) error {
	if _, err := io.WriteString(w, header); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, wideBytes)
	for id := range wideRows {
		for i := range text {
			text[i] = 'a' + byte(random.Uint32N(26))
		}
		if _, err := fmt.Fprintf(w, row, id, text[:wideBytes/2], text[wideBytes/2:]); err != nil {
			return err
		}
	}
	return nil
}
