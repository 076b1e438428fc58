// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
)

// control serves a socket and returns its client.
func control(t *testing.T, s *Server, extra map[string]http.Handler) *tablet.Control {
	t.Helper()
	dir, err := os.MkdirTemp("", "fb") //nolint:usetesting // a test's own folder is too deep for a socket
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, tablet.SocketName)
	if err := os.WriteFile(path, nil, 0o600); err != nil { // as a killed owner leaves it
		t.Fatal(err)
	}
	l, err := ListenControl(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.ServeControl(ctx, l, extra); err != nil {
			t.Error(err)
		}
	})
	c := tablet.DialControl(path)
	t.Cleanup(func() {
		err := c.Close()
		cancel()
		wg.Wait()
		if _, statErr := os.Stat(path); !errors.Is(statErr, os.ErrNotExist) {
			t.Errorf("the socket is left: %v", statErr)
		}
		if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestControlAnswersAsTheServerDoes(t *testing.T) {
	t.Parallel()
	s := open(t)
	c := control(t, s, nil)
	spec := forebay.TableSpec{
		Name: "all.types-1", Key: []string{"s", "b"}, Tablets: 2, Schema: columns("s string, b bool, i int32, l int64, " +
			"f float32, g float64, d decimal(9;2), x bytes, y date, t timestamp, j json"),
	}
	if err := c.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("create again: %v", err)
	}
	o := openTable(t, s, spec)
	var rows []string
	for i := range 3000 {
		rows = append(rows, fmt.Sprintf("%04d,true,%d,-7,0.5,0.25,1.25,AQI=,2024-02-29,2024-02-29T12:00:00Z,7", i, i))
	}
	rows = append(rows, "z,false,,,,,,,,,")
	o.write("a", rows...)
	first := func(b *forebay.Batch, i int) bool { return b.Cells(i)[2].Int()%1000 == 1 }
	for _, r := range []ScanRequest{
		{Table: spec.Name},
		{Table: spec.Name, Limit: 7, Select: []string{"i", "s"}},
		{Table: spec.Name, Limit: 7, Select: []string{"i"}, Where: first},
	} {
		diff(t, "rows", scan(t, c, r), scan(t, s, r))
	}
	n, err := c.Count(t.Context(), spec.Name)
	if err != nil || n != 3001 {
		t.Errorf("count: %d, %v", n, err)
	}
	want, err := s.Describe(t.Context(), spec.Name)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Describe(t.Context(), spec.Name)
	if err != nil || got.Schema.String() != want.Schema.String() || got.SchemaID != want.SchemaID {
		t.Errorf("describe: %+v, %v; want %+v", got, err, want)
	}
	diff(t, "logs", got.Logs, want.Logs)
	tables, err := c.Tables(t.Context())
	if err != nil || len(tables) != 1 || tables[0].Name != spec.Name {
		t.Errorf("tables: %+v, %v", tables, err)
	}
	key := forebay.NewRow(columns("b bool, s string"))
	if err := errors.Join(key.Set("b", true), key.Set("s", "0042")); err != nil {
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	if found, err := c.Get(t.Context(), spec.Name, key, b); err != nil || !found || b.Row(0).Int("i") != 42 {
		t.Errorf("get: %v, %v", found, err)
	}
	if err := key.Set("b", false); err != nil {
		t.Fatal(err)
	}
	if found, err := c.Get(t.Context(), spec.Name, key, b); err != nil || found {
		t.Errorf("get of a missing row: %v, %v", found, err)
	}
	if err := c.Drop(t.Context(), spec.Name); err == nil || !strings.Contains(err.Error(), "in-use") {
		t.Errorf("drop of an open table: %v", err)
	}
	if err := o.handle.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Drop(t.Context(), spec.Name); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"describe": func() error { _, err := c.Describe(t.Context(), "nobody"); return err }(),
		"count":    func() error { _, err := c.Count(t.Context(), "nobody"); return err }(),
		"scan":     func() error { _, err := c.Scan(t.Context(), ScanRequest{Table: "nobody"}); return err }(),
		"drop":     c.Drop(t.Context(), "nobody"),
	} {
		if !isNoSuchTable(err) || forebay.ClassOf(err) != forebay.ClassMisconfigured {
			t.Errorf("%s of a missing table: %v", what, err)
		}
	}
}

func TestControlAnswersPathsOfOthers(t *testing.T) {
	t.Parallel()
	c := control(t, open(t), map[string]http.Handler{
		"GET /checkpoints/{pipeline}": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			AnswerJSON(w, map[string]string{"pipeline": r.PathValue("pipeline")}, nil)
		}),
	})
	out := map[string]string{}
	if err := c.Do(t.Context(), tablet.Call{Method: http.MethodGet, Path: "/checkpoints/flights"}, nil, &out); err != nil {
		t.Fatal(err)
	}
	diff(t, "answer", out, map[string]string{"pipeline": "flights"})
	err := c.Do(t.Context(), tablet.Call{Method: http.MethodGet, Path: "/nothing"}, nil, nil)
	if forebay.ClassOf(err) != forebay.ClassMisconfigured || err == nil {
		t.Errorf("an unknown path: %v", err)
	}
}

func TestSocketPathFitsWhereTheDirectoryIsDeep(t *testing.T) {
	t.Parallel()
	diff(t, "short", tablet.SocketPath("/a/b", "/run"), "/a/b/forebay.sock")
	deep := strings.Repeat("/deep", 30)
	got := tablet.SocketPath(deep, "/run")
	if !strings.HasPrefix(got, "/run/forebay-") || len(got) > 100 || got == tablet.SocketPath(deep+"x", "/run") {
		t.Errorf("socket at %s", got)
	}
}

func TestBrokenStreamOfRowsIsAnError(t *testing.T) {
	t.Parallel()
	var stream strings.Builder
	schema := columns("a int64")
	sender, err := tablet.NewRowSender(&stream, forebay.NewLayout(schema))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := forebay.NewRow(schema).Batch()
	if err := errors.Join(sender.Send(b), sender.Send(b)); err != nil {
		t.Fatal(err)
	}
	whole := stream.Len()
	if err := sender.End(nil); err != nil {
		t.Fatal(err)
	}
	for cut := range stream.Len() + 1 {
		receiver, err := tablet.NewRowReceiver(strings.NewReader(stream.String()[:cut]))
		rows := 0
		into := forebay.NewBatch()
		for err == nil {
			if err = receiver.Next(into); err == nil {
				rows += into.Len()
			}
		}
		ended := errors.Is(err, io.EOF)
		if ended != (cut == whole+4) || !ended && forebay.ClassOf(err) != forebay.ClassTransient {
			t.Errorf("cut at %d of %d: %d rows, %v", cut, stream.Len(), rows, err)
		}
	}
}
