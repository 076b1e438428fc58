// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/wire"
)

func progressList() []forebay.SplitProgress {
	return []forebay.SplitProgress{
		{Split: "s", Version: 4, Fingerprint: "f", Position: forebay.Position{Offset: 9, Detail: "line 2"}},
		{Split: "t", Version: 1, Position: forebay.Position{Offset: -1, Finished: true}},
	}
}

func TestAnswerTravels(t *testing.T) {
	for _, want := range []forebay.Answer{
		{Code: forebay.CodeOK, Offset: 17, Pressure: 80},
		{Code: forebay.CodeNotLeader, Leader: "b:7879"},
		{Code: forebay.CodeOverload, RetryAfter: 250 * time.Millisecond},
		{Code: forebay.CodeServerError, Class: forebay.ClassCorrupt, Message: "torn"},
		{Code: forebay.CodeSequenceGap, Progress: progressList()},
		{Code: forebay.CodeRowsRejected, Rows: []forebay.RowError{{Request: 1, Row: 2, Code: "c", Reason: "r"}}},
	} {
		if diff := cmp.Diff(want, wire.NewAnswer(7, &want).Forebay()); diff != "" {
			t.Errorf("answer %d came as another one (-want +got):\n%s", want.Code, diff)
		}
	}
	if got := wire.NewAnswer(1, &forebay.Answer{RetryAfter: time.Microsecond}).GetRetryAfterMs(); got != 1 {
		t.Errorf("a retry delay of 1us travels as %d ms, want 1", got)
	}
	if got := (&wire.Answer{Code: 500, Class: 99}).Forebay().Class; got != forebay.ClassAmbiguous {
		t.Errorf("a class that is not known here is %s, want ambiguous", got)
	}
}

func TestRequestTravels(t *testing.T) {
	now := time.Unix(1000, 0)
	want := forebay.Request{
		WriterID: "w", Sequence: 3, Acks: forebay.AcksOne, Partial: true, Expires: now.Add(2 * time.Second), Records: 5,
		Data: []byte("rows"),
	}
	to := wire.Place{TableID: 9, Partition: "p", Tablet: 2}
	m := wire.NewWriteRequest(&want, to, now)
	if diff := cmp.Diff(want, m.Forebay(now)); diff != "" {
		t.Errorf("a request came as another one (-want +got):\n%s", diff)
	}
	if m.Place() != to {
		t.Errorf("it goes to %v, want %v", m.Place(), to)
	}
	want.Expires = now.Add(-time.Second)
	if m := wire.NewWriteRequest(&want, to, now); m.GetExpiresMs() == 0 {
		t.Error("a request that is over would never expire")
	}
}

func TestCommitTravels(t *testing.T) {
	want := &forebay.Commit{
		Owner: forebay.Owner{Pipeline: "p", Epoch: 4, Holder: "h"}, Progress: progressList(),
		DeadLetters: []forebay.DeadLetter{{Time: 5, Reject: forebay.Reject{
			Origin: forebay.Origin{Split: "s", Offset: 3, Sub: 1}, Stage: forebay.StageSink, Code: "c", Reason: "r",
			Place: "f:1:2", Value: []byte("v"),
		}}},
	}
	m, err := wire.NewCommitRequest(want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, m.Forebay()); diff != "" {
		t.Errorf("a commit came as another one (-want +got):\n%s", diff)
	}
	want.Progress[0].Split = "\xff"
	if _, err := wire.NewCommitRequest(want); forebay.ClassOf(err) != forebay.ClassMisconfigured {
		t.Errorf("a split that is not UTF-8: %v, want misconfigured", err)
	}
	want.Progress = nil
	want.DeadLetters[0].Reason = "read \xff"
	if _, err := wire.NewCommitRequest(want); err != nil {
		t.Errorf("a reason that is not UTF-8 is for people: %v", err)
	}
}

func TestFenceAndStateTravel(t *testing.T) {
	fence := forebay.Fence{
		Owner: forebay.Owner{Pipeline: "p", Epoch: 4, Holder: "h"}, Progress: true, Seed: progressList(),
	}
	m, err := wire.NewFenceRequest(fence)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fence, m.Forebay()); diff != "" {
		t.Errorf("a fence came as another one (-want +got):\n%s", diff)
	}
	state := forebay.TargetState{Owner: fence.Owner, Used: true, Splits: progressList()}
	if diff := cmp.Diff(state, wire.NewStateAnswer(state).Forebay()); diff != "" {
		t.Errorf("a state came as another one (-want +got):\n%s", diff)
	}
}

func TestTableTravels(t *testing.T) {
	decimal, err := forebay.ParseType("decimal(10,2)")
	if err != nil {
		t.Fatal(err)
	}
	spec := forebay.TableSpec{
		Name: "clicks", Key: []string{"id"}, Tablets: 8, Version: "at", DistributeBy: []string{"id"},
		Retention: time.Hour, PartitionBy: forebay.PartitionBy{Column: "at", Template: "day", Limit: 5},
		Schema: forebay.MustSchema(
			forebay.Column{Name: "id", Type: forebay.Int64}, forebay.Column{Name: "price", Type: decimal},
			forebay.Column{Name: "at", Type: forebay.Timestamp},
		),
	}
	got, err := wire.NewTable(spec).Spec()
	if err != nil {
		t.Fatal(err)
	}
	if got.Schema.String() != spec.Schema.String() {
		t.Errorf("the columns are %s, want %s", got.Schema, spec.Schema)
	}
	got.Schema, spec.Schema = nil, nil
	if diff := cmp.Diff(spec, got); diff != "" {
		t.Errorf("a table came as another one (-want +got):\n%s", diff)
	}
	if _, err := (&wire.Table{Columns: []*wire.Column{{Name: "a", Type: "nonsense"}}}).Spec(); err == nil {
		t.Error("a type that does not exist was taken")
	}
}

func TestErrorTravelsInTheStatus(t *testing.T) {
	plain := &forebay.Error{
		Op: "open table", Class: forebay.ClassMisconfigured, Code: "no-such-table", Cure: "make it first",
		Err: errors.New(`table "x" does not exist`),
	}
	for _, tt := range []struct {
		name string
		err  error
	}{
		{"as it is", plain},
		{"wrapped", fmt.Errorf("scan: %w", plain)},
		{"fenced", forebay.Errorf("commit", forebay.ClassFenced, "epoch 4 is newer")},
		{"without a cause", &forebay.Error{Op: "commit", Class: forebay.ClassLost}},
	} {
		got := wire.FromStatus(wire.StatusError(tt.err))
		if got == nil {
			t.Errorf("%s: nothing in the status's details", tt.name)
			continue
		}
		want, _ := errors.AsType[*forebay.Error](tt.err)
		if got.Class != want.Class || got.Code != want.Code || got.Cure != want.Cure || got.Error() != tt.err.Error() {
			t.Errorf("%s: came as %s %q %q %q, was %s %q", tt.name, got.Class, got.Code, got.Cure, got, want.Class, tt.err)
		}
	}
	if !errors.Is(wire.FromStatus(wire.StatusError(forebay.Errorf("x", forebay.ClassFenced, "y"))), forebay.ErrFenced) {
		t.Error("a fenced error is not ErrFenced on the other side")
	}
}

func TestErrorsOfTheTransportHaveNoDetails(t *testing.T) {
	if got := wire.FromStatus(status.Error(codes.Unavailable, "refused")); got != nil {
		t.Errorf("got %v", got)
	}
	if got := status.Code(wire.StatusError(fmt.Errorf("wait: %w", context.Canceled))); got != codes.Canceled {
		t.Errorf("a cancelled call ends as %s", got)
	}
	if wire.StatusError(nil) != nil {
		t.Error("no error became one")
	}
}
