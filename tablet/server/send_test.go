// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/forebay-io/forebay"
)

// sequenced is a request of a writer.
func sequenced(r forebay.Request, writer string, sequence int64) *forebay.Request {
	r.WriterID, r.Sequence = writer, sequence
	return &r
}

// TestSendAppliesEachSequenceOnceTS4 walks through the answers that a writer can get.
func TestSendAppliesEachSequenceOnceTS4(t *testing.T) {
	t.Parallel()
	s, fs := openMem(t)
	o := openTable(t, s, logSpec("clicks"))
	id, err := o.handle.InitWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	request := func(sequence int64) *forebay.Request {
		return sequenced(o.one("a", fmt.Sprintf("%d,x", sequence)), id, sequence)
	}
	wantCode(t, forebay.Await(t.Context(), o.handle, request(1)), forebay.CodeUnknownWriter)
	for i := range int64(7) {
		a := forebay.Await(t.Context(), o.handle, request(i))
		wantCode(t, a, forebay.CodeOK)
		if a.Offset != i {
			t.Errorf("sequence %d went to offset %d", i, a.Offset)
		}
	}
	check := func(s *Server) {
		t.Helper()
		wantCode(t, forebay.Await(t.Context(), s, request(8)), forebay.CodeSequenceGap)
		for i := range int64(7) {
			a := forebay.Await(t.Context(), s, request(i))
			wantCode(t, a, forebay.CodeDuplicate)
			if i >= 2 && a.Offset != i {
				t.Errorf("the duplicate of sequence %d lies at %d", i, a.Offset)
			}
		}
		a := forebay.Await(t.Context(), s, sequenced(o.one("a", "99,other"), id, 6))
		if a.Code != forebay.CodeServerError || a.Class != forebay.ClassCorrupt {
			t.Errorf("other bytes under an applied sequence: %+v, want corrupt", a)
		}
	}
	check(s)
	s = reopen(t, s, fs)
	check(s)
	wantCode(t, forebay.Await(t.Context(), s, request(7)), forebay.CodeOK)
	diff(t, "count", count(t, s, "clicks"), int64(8))
}

func TestSendWithoutWriterAppliesEveryTime(t *testing.T) {
	t.Parallel()
	s := open(t)
	o := openTable(t, s, logSpec("clicks"))
	r := o.one("a", "1,x")
	wantCode(t, forebay.Await(t.Context(), s, &r), forebay.CodeOK)
	wantCode(t, forebay.Await(t.Context(), s, &r), forebay.CodeOK)
	diff(t, "count", count(t, s, "clicks"), int64(2))
}

func TestAcksOneIsDurableSoonByItself(t *testing.T) {
	t.Parallel()
	s := open(t)
	o := openTable(t, s, logSpec("clicks"))
	r := o.one("a", "1,x")
	r.Acks = forebay.AcksOne
	a := forebay.Await(t.Context(), s, &r)
	wantCode(t, a, forebay.CodeOK)
	reader, err := s.ReadLog("clicks", r.Tablet, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	// A reader gets durable rows only, and nobody else asks for a sync.
	for want := range int64(3) {
		if err := reader.Next(t.Context(), b); err != nil || b.Record(0).Offset != want {
			t.Fatalf("row %d: %v", want, err)
		}
		wantCode(t, forebay.Await(t.Context(), s, &r), forebay.CodeOK)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWritersAreForgottenWhenIdleOrTooMany(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(startTime)
	fs := newMem()
	s := openOn(t, fs, Config{Now: now.Load})
	o := openTable(t, s, logSpec("clicks"))
	r := o.one("a", "1,x")
	r.Acks = forebay.AcksNone
	const day = 24 * 60 * 60 * 1_000_000
	for i := range writersMax {
		now.Add(1_000)
		wantCode(t, forebay.Await(t.Context(), s, sequenced(r, fmt.Sprint("writer", i), 0)), forebay.CodeOK)
	}
	writers := func() int { return len(o.handle.table.list()[r.Tablet].state.writers) }
	if writers() != writersMax {
		t.Fatalf("%d writers, want %d", writers(), writersMax)
	}
	wantCode(t, forebay.Await(t.Context(), s, sequenced(r, "one more", 0)), forebay.CodeOK)
	if got := writers(); got != writersMax/2+1 {
		t.Errorf("%d writers after one more, want %d", got, writersMax/2+1)
	}
	wantCode(t, forebay.Await(t.Context(), s, sequenced(r, "writer0", 1)), forebay.CodeUnknownWriter)
	wantCode(t, forebay.Await(t.Context(), s, sequenced(r, "writer9999", 1)), forebay.CodeOK)
	// Nobody new has to come for the others to be forgotten.
	last := sequenced(o.one("a", "1,x"), "last", 0)
	now.Add(6 * day)
	wantCode(t, forebay.Await(t.Context(), s, last), forebay.CodeOK)
	if err := s.Trim(t.Context()); err != nil || writers() < writersMax/2 {
		t.Fatalf("%d writers after 6 idle days: %v", writers(), err)
	}
	now.Add(2 * day)
	if err := s.Trim(t.Context()); err != nil || writers() != 1 {
		t.Fatalf("%d writers after 8 idle days, want that of 2 days ago: %v", writers(), err)
	}
	again := reopenAt(t, s, fs, Config{Now: now.Load})
	wantCode(t, forebay.Await(t.Context(), again, sequenced(r, "writer9999", 2)), forebay.CodeUnknownWriter)
	wantCode(t, forebay.Await(t.Context(), again, last), forebay.CodeDuplicate)
}
