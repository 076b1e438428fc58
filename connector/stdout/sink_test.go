// SPDX-License-Identifier: Apache-2.0

package stdout_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/connectortest"
	"github.com/forebay-io/forebay/connector/stdout"
)

// paper is an output that can fail after it took some of a write.
type paper struct {
	mu    sync.Mutex
	text  bytes.Buffer
	takes int // how much of the next write is taken before err, if that is set
	err   error
	// blocked keeps writes waiting, entered says that one does.
	blocked, entered chan struct{}
}

func (p *paper) Write(data []byte) (int, error) {
	p.mu.Lock()
	blocked := p.blocked
	p.mu.Unlock()
	if blocked != nil {
		p.entered <- struct{}{}
		<-blocked
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.err; err != nil {
		p.err = nil
		n, _ := p.text.Write(data[:min(p.takes, len(data))])
		return n, err
	}
	return p.text.Write(data)
}

func (p *paper) read(context.Context) ([][]connectortest.Stored, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []connectortest.Stored
	for line := range strings.Lines(p.text.String()) {
		stored, err := connectortest.ParseLine(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		list = append(list, stored)
	}
	return [][]connectortest.Stored{list}, nil
}

func TestConformance(t *testing.T) {
	t.Parallel()
	connectortest.RunSink(t, connectortest.SinkHarness{
		Claims: connectortest.SinkClaims{Streams: true},
		New: func(connectortest.T) connectortest.System {
			p := &paper{}
			return connectortest.System{
				Sink: stdout.Sink{Out: p},
				Read: p.read,
				LoseAnswer: func() {
					p.takes, p.err = 1<<20, errors.New("the answer was lost")
				},
			}
		},
	})
}

// rows is a batch of typed rows with what is hard to print.
func rows() *forebay.Batch {
	schema := forebay.MustSchema(
		forebay.Column{Name: "id", Type: forebay.Int64}, forebay.Column{Name: "a \"name\", too", Type: forebay.String},
		forebay.Column{Name: "at", Type: forebay.Timestamp})
	b := forebay.NewBatch()
	b.Reset(forebay.Split{ID: "s"}, 4)
	// The slots are not in the order of the columns, as after a rename or a drop.
	b.SetLayout(&forebay.Layout{Schema: schema, Slots: []int{3, 0, 1}})
	for i, text := range []string{"plain", "a \"quoted\", one", "two\nlines", "", "-"} {
		b.Append(int64(i), []byte("value "+text))
		row := b.Row(i)
		row.SetCell(0, forebay.Int64Cell(int64(i)))
		if text != "-" {
			row.SetCell(1, forebay.SpanCell(forebay.KindString, b.AppendText(text), len(text)))
			row.SetCell(2, forebay.TimestampCell(1_700_000_000_000_000))
		}
	}
	return b
}

func TestFormatsPrintRows(t *testing.T) {
	t.Parallel()
	ndjson := `{"id":0,"a \"name\", too":"plain","at":"2023-11-14T22:13:20Z"}
{"id":1,"a \"name\", too":"a \"quoted\", one","at":"2023-11-14T22:13:20Z"}
{"id":2,"a \"name\", too":"two\nlines","at":"2023-11-14T22:13:20Z"}
{"id":3,"a \"name\", too":"","at":"2023-11-14T22:13:20Z"}
{"id":4,"a \"name\", too":null,"at":null}
`
	for format, want := range map[string]string{
		"":       ndjson,
		"auto":   ndjson,
		"ndjson": ndjson,
		"csv": `id,"a ""name"", too",at
0,plain,2023-11-14T22:13:20Z
1,"a ""quoted"", one",2023-11-14T22:13:20Z
2,"two
lines",2023-11-14T22:13:20Z
3,"",2023-11-14T22:13:20Z
4,,
`,
		"raw": "value plain\nvalue a \"quoted\", one\nvalue two\nlines\nvalue \nvalue -\n",
	} {
		t.Run("format="+format, func(t *testing.T) {
			t.Parallel()
			p, b := &paper{}, rows()
			target, err := stdout.Sink{Format: format, Out: p}.Start(t.Context(), forebay.SinkContext{Schema: b.Layout().Schema})
			if err != nil {
				t.Fatal(err)
			}
			lane, err := target.(forebay.Streamer).OpenLane(t.Context(), forebay.LaneContext{Layout: b.Layout()})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(lane.Write(t.Context(), b), lane.Flush(t.Context())); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, p.text.String()); diff != "" {
				t.Errorf("printed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHeaderIsPrintedOnceForAllLanes(t *testing.T) {
	t.Parallel()
	p, b := &paper{}, rows()
	target, err := stdout.Sink{Format: "csv", Out: p}.Start(t.Context(), forebay.SinkContext{Schema: b.Layout().Schema})
	if err != nil {
		t.Fatal(err)
	}
	for k := range 3 {
		lane, err := target.(forebay.Streamer).OpenLane(t.Context(), forebay.LaneContext{Lane: k})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(lane.Write(t.Context(), b), lane.Flush(t.Context()), lane.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(p.text.String(), "id,"); n != 1 || !strings.HasPrefix(p.text.String(), "id,") {
		t.Errorf("%d headers, want one, in front", n)
	}
}

// flushLines writes lines through a lane of their own.
func flushLines(t *testing.T, target forebay.Target, lines ...string) error {
	t.Helper()
	lane, err := target.(forebay.Streamer).OpenLane(t.Context(), forebay.LaneContext{})
	if err != nil {
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	b.Reset(forebay.Split{}, 0)
	for i, line := range lines {
		b.Append(int64(i), []byte(line))
	}
	return errors.Join(lane.Write(t.Context(), b), lane.Flush(t.Context()), lane.Close())
}

func TestTornLineIsCompletedBeforeTheNext(t *testing.T) {
	t.Parallel()
	for takes, want := range map[int]string{
		0: "x\ny\n", 1: "one\nx\ny\n", 3: "one\nx\ny\n", 4: "one\nx\ny\n", 5: "one\ntwo\nx\ny\n", 8: "one\ntwo\nx\ny\n",
	} {
		p := &paper{takes: takes, err: errors.New("no space")}
		target, err := stdout.Sink{Out: p}.Start(t.Context(), forebay.SinkContext{})
		if err != nil {
			t.Fatal(err)
		}
		if err := flushLines(t, target, "one", "two"); forebay.ClassOf(err) != forebay.ClassAmbiguous {
			t.Errorf("after %d bytes: %v, want class ambiguous", takes, err)
		}
		if err := flushLines(t, target, "x", "y"); err != nil {
			t.Fatal(err)
		}
		if got := p.text.String(); got != want {
			t.Errorf("after %d bytes the output is %q, want %q", takes, got, want)
		}
	}
}

func TestClosedPipeIsForAHumanToMend(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Close() }()
	broken, err := stdout.Sink{Out: writer}.Start(t.Context(), forebay.SinkContext{})
	if err != nil {
		t.Fatal(err)
	}
	closed, err := stdout.Sink{Out: &paper{err: io.ErrClosedPipe}}.Start(t.Context(), forebay.SinkContext{})
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]forebay.Target{"broken": broken, "closed": closed} {
		err := flushLines(t, target, "line")
		e, ok := errors.AsType[*forebay.Error](err)
		if !ok || e.Class != forebay.ClassMisconfigured || e.Code != "output-closed" || e.Cure == "" {
			t.Errorf("%s pipe: %v, want class misconfigured, code output-closed and a cure", name, err)
		}
	}
}

func TestWaitForTheOutputCanBeGivenUp(t *testing.T) {
	t.Parallel()
	p := &paper{blocked: make(chan struct{}), entered: make(chan struct{}, 1)}
	target, err := stdout.Sink{Out: p}.Start(t.Context(), forebay.SinkContext{})
	if err != nil {
		t.Fatal(err)
	}
	var first sync.WaitGroup
	first.Go(func() { _ = flushLines(t, target, "first") })
	<-p.entered
	lane, err := target.(forebay.Streamer).OpenLane(t.Context(), forebay.LaneContext{})
	if err != nil {
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	b.Reset(forebay.Split{}, 0)
	b.Append(0, []byte("second"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := lane.Write(ctx, b); err != nil {
		t.Fatal(err)
	}
	if err := lane.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("flush while another lane has the output: %v, want the context's error", err)
	}
	close(p.blocked)
	first.Wait()
}

func TestWrongSettingsAreRefused(t *testing.T) {
	t.Parallel()
	_, err := stdout.Sink{Format: "nsjson"}.Info()
	if err == nil || !strings.Contains(err.Error(), "did you mean ndjson?") {
		t.Errorf("error %v, want the nearest name", err)
	}
	_, err = stdout.Sink{Format: "csv"}.Start(t.Context(), forebay.SinkContext{})
	if forebay.ClassOf(err) != forebay.ClassMisconfigured {
		t.Errorf("csv of bytes: %v, want class misconfigured", err)
	}
	if info, err := (stdout.Sink{Format: "csv"}).Info(); err != nil || !info.NeedsRows {
		t.Errorf("csv needs rows: %v (%v), want true", info.NeedsRows, err)
	}
}
