// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/pipeline"
)

// When progress is shown.
const (
	firstOnTerminal = 100 * time.Millisecond
	everyOnTerminal = time.Second
	everyElsewhere  = 10 * time.Second
)

// screen is standard error while pipelines run: log lines, and on a terminal one line below them that is
// written anew.
//
// Concurrency: safe.
type screen struct {
	out      io.Writer
	terminal bool
	width    func() int

	mu   sync.Mutex
	line string
}

// Write puts a log line above the progress line.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == "" {
		return s.out.Write(p)
	}
	if _, err := io.WriteString(s.out, "\r\x1b[K"+string(p)+s.line); err != nil {
		return 0, err
	}
	return len(p), nil
}

// show replaces the progress line; on anything but a terminal it adds one.
func (s *screen) show(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.terminal {
		fmt.Fprintln(s.out, line)
		return
	}
	if width := s.width(); width > 0 && len(line) >= width {
		line = line[:width-1]
	}
	s.line = line
	_, _ = io.WriteString(s.out, "\r\x1b[K"+line) // nobody reads it if it cannot be written
}

// clear removes the progress line.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != "" {
		s.line = ""
		_, _ = io.WriteString(s.out, "\r\x1b[K") // as in show
	}
}

// runProgress shows how the jobs get on until ctx ends.
func (s *screen) runProgress(ctx context.Context, jobs []*job, repeats *repeats) {
	first, every := everyElsewhere, everyElsewhere
	if s.terminal {
		first, every = firstOnTerminal, everyOnTerminal
	}
	timer := time.NewTimer(first)
	defer timer.Stop()
	before := make([]pipeline.Progress, len(jobs))
	for {
		select {
		case <-ctx.Done():
			s.clear()
			repeats.flush(context.WithoutCancel(ctx), true)
			return
		case <-timer.C:
		}
		var lines []string
		for i, j := range jobs {
			if now := j.progress(); now.Elapsed > 0 {
				lines = append(lines, progressLine(j.name, before[i], now))
				before[i] = now
			}
		}
		if len(lines) > 0 {
			if s.terminal {
				s.show(strings.Join(lines, "   "))
			} else {
				s.show(strings.Join(lines, "\n"))
			}
		}
		repeats.flush(ctx, false)
		timer.Reset(every)
	}
}

// progressLine says how far a pipeline is, and how fast since the last look.
func progressLine(name string, before, now pipeline.Progress) string {
	seconds := max((now.Elapsed - before.Elapsed).Seconds(), 1e-9)
	rate := float64(now.Read-before.Read) / seconds
	bytes := float64(now.BytesIn-before.BytesIn) / seconds
	out := fmt.Sprintf("%s  read %s  %s/s  %s/s", name, grouped(now.Read), scaled(rate), byteRate(bytes))
	if now.Total > 0 {
		share := min(float64(now.Done)/float64(now.Total), 1)
		out += fmt.Sprintf("  %d %%", int(share*100))
		if speed := float64(now.Done-before.Done) / seconds; speed > 0 && share < 1 {
			out += "  ETA " + rounded(time.Duration(float64(now.Total-now.Done)/speed*float64(time.Second)))
		}
	} else if now.Splits > 1 {
		out += fmt.Sprintf("  %d of %d splits", now.SplitsDone, now.Splits)
	}
	return out + "  rejected " + grouped(now.Rejected)
}

// grouped is a number with commas between its thousands.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// scaled is a number of records in thousands or millions.
func scaled(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f M", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.0f k", n/1e3)
	default:
		return fmt.Sprintf("%.0f", n)
	}
}

func byteRate(n float64) string {
	return fmt.Sprintf("%.1f MB", n/float64(forebay.MiB))
}

func rounded(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d s", int(d.Seconds()+1))
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}
