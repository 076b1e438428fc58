// SPDX-License-Identifier: Apache-2.0

package rpc_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/rpc"
	"github.com/forebay-io/forebay/tablet/wire"
)

// commitOf is a commit of a pipeline that moves the split s to a version.
func commitOf(pipeline string, version uint64, requests ...*wire.WriteRequest) *wire.CommitRequest {
	return &wire.CommitRequest{
		Id: version, Owner: &wire.Owner{Pipeline: pipeline, Epoch: 1, Holder: "h"}, Requests: requests,
		Progress: []*wire.SplitProgress{{Split: "s", Version: version, Offset: int64(version)}},
	}
}

func TestCommitsAreAppliedInOrderAndAnsweredWithTheStoredProgress(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{})
	clicks := w.logTable(t, "clicks")
	if _, err := w.Fence(t.Context(), &wire.FenceRequest{
		Owner: &wire.Owner{Pipeline: "p", Epoch: 1, Holder: "h"}, Progress: true,
	}); err != nil {
		t.Fatal(err)
	}
	stream, err := w.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	send := func(c *wire.CommitRequest) {
		t.Helper()
		if err := stream.Send(c); err != nil {
			t.Fatal(err)
		}
	}
	const commits = 200
	for i := range uint64(commits) {
		send(commitOf("p", i+1, request(t, clicks, 0, int64(i))))
	}
	for i := range uint64(commits) {
		a, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if a.GetId() != i+1 {
			t.Fatalf("answer %d is to commit %d", i+1, a.GetId())
		}
		wants(t, a, forebay.CodeOK)
	}
	late := commitOf("p", commits+5, request(t, clicks, 0, 1000))
	old := commitOf("p", commits+1, request(t, clicks, 0, 1000))
	old.Owner.Epoch = 0
	fenced := commitOf("p", commits+1, request(t, clicks, 0, 1000))
	fenced.Owner.Holder = "other"
	again := commitOf("p", commits, request(t, clicks, 0, commits-1))
	letter := commitOf("p", commits+1)
	letter.DeadLetters = []*wire.DeadLetter{{Split: "s", Offset: 3, Stage: "sink", Code: "x", Reason: "y"}}
	for _, test := range []struct {
		commit *wire.CommitRequest
		want   forebay.Code
	}{
		{late, forebay.CodeSequenceGap},
		{old, forebay.CodeMalformed},
		{fenced, forebay.CodeFenced},
		{again, forebay.CodeDuplicate},
		{letter, forebay.CodeOK},
	} {
		send(test.commit)
		a, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		wants(t, a, test.want)
		if test.want == forebay.CodeSequenceGap &&
			(len(a.GetProgress()) != 1 || a.GetProgress()[0].GetVersion() != commits) {
			t.Errorf("425 shows %v", a.GetProgress())
		}
	}
	if got := len(w.stored(t, "clicks")); got != commits {
		t.Errorf("%d rows are stored", got)
	}
	state, err := w.State(t.Context(), &wire.StateRequest{Pipeline: "p"})
	if err != nil || !state.GetUsed() || state.GetSplits()[0].GetVersion() != commits+1 {
		t.Errorf("state %v, %v", state, err)
	}
	if n, err := w.server.Count(t.Context(), "_dlq.p"); err != nil || n != 1 {
		t.Errorf("%d dead letters, %v", n, err)
	}
	if _, err := w.Forget(t.Context(), &wire.ForgetRequest{Pipeline: "p"}); err != nil {
		t.Fatal(err)
	}
	if state, err = w.State(t.Context(), &wire.StateRequest{Pipeline: "p"}); err != nil || len(state.GetSplits()) > 0 {
		t.Errorf("after forget %v, %v", state, err)
	}
}

func TestACommitThatIsTooLargeIsAnswered(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{Limits: rpc.Limits{CommitBytes: 500, RequestBytes: 500}})
	clicks := w.logTable(t, "clicks")
	stream, err := w.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var requests []*wire.WriteRequest
	for i := range int64(20) {
		requests = append(requests, request(t, clicks, 0, i))
	}
	for _, test := range []struct {
		requests []*wire.WriteRequest
		want     forebay.Code
	}{{requests, forebay.CodeTooLarge}, {requests[:1], forebay.CodeOK}} {
		if err := stream.Send(&wire.CommitRequest{Requests: test.requests}); err != nil {
			t.Fatal(err)
		}
		a, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		wants(t, a, test.want)
	}
}

// RP4: requests flow while the front ends; what was taken is answered, the rest is sent elsewhere or breaks off, and
// the answers agree with the table.
func TestTheEndAnswersEverythingAccepted(t *testing.T) {
	t.Parallel()
	for range 10 {
		w := begin(t, rpc.Config{})
		clicks := w.logTable(t, "clicks")
		stream := openWrites(t, w)
		acknowledged := map[int64]bool{}
		var moved int
		var answers atomic.Int64
		sending := make(chan struct{})
		runLazy(func() {
			defer close(sending)
			for i := range int64(1_000_000) {
				if stream.Send(request(t, clicks, uint64(i), i)) != nil {
					return
				}
			}
		})
		ended := make(chan error, 1)
		runLazy(func() {
			for answers.Load() < 300 {
				<-time.After(time.Millisecond)
			}
			ended <- w.end()
		})
		var last error
		for {
			a, err := stream.Recv()
			if err != nil {
				last = err
				break
			}
			answers.Add(1)
			switch forebay.Code(a.GetCode()) {
			case forebay.CodeOK:
				acknowledged[int64(a.GetId())] = true
			case forebay.CodeNotLeader:
				moved++
			case forebay.CodeOverload:
			default:
				t.Fatalf("answered %d %q", a.GetCode(), a.GetMessage())
			}
		}
		<-sending
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if status.Code(last) != codes.Unavailable {
			t.Fatalf("the stream ends with %v", last)
		}
		stored := w.stored(t, "clicks")
		for _, id := range stored {
			if !acknowledged[id] {
				t.Fatalf("row %d was applied and not acknowledged", id)
			}
		}
		if len(stored) != len(acknowledged) {
			t.Fatalf("%d rows are stored and %d acknowledged", len(stored), len(acknowledged))
		}
	}
}

func TestAFrontThatFollowsSendsClientsToTheLeader(t *testing.T) {
	t.Parallel()
	w := beginFront(t, rpc.Config{Address: "standby:1"})
	stream := openWrites(t, w)
	r := &wire.WriteRequest{Id: 1, TableId: 1, Records: 1, BatchData: []byte("x")}
	a := stream.ask(t, r)
	if wants(t, a, forebay.CodeNotLeader); a.GetLeader() != "" || a.GetRetryAfterMs() == 0 {
		t.Errorf("without a leader: %v", a)
	}
	w.front.Follow("leader:2")
	if a := stream.ask(t, r); a.GetLeader() != "leader:2" {
		t.Errorf("leader %q", a.GetLeader())
	}
	_, err := w.Count(t.Context(), &wire.CountRequest{Table: "x"})
	if e := problem(t, err); e.Class != forebay.ClassMoved || !strings.Contains(e.Error(), "leader:2") {
		t.Errorf("a call: %v", e)
	}
	cluster, err := w.Cluster(t.Context(), &wire.ClusterRequest{})
	if err != nil || cluster.GetServing() || cluster.GetLeader() != "leader:2" {
		t.Errorf("cluster %v, %v", cluster, err)
	}
	if diff := cmp.Diff([]string{"leader:2", "standby:1"}, cluster.GetAddresses()); diff != "" {
		t.Error(diff)
	}
	// The same stream works once the front leads.
	led := begin(t, rpc.Config{})
	clicks := led.logTable(t, "clicks")
	w.front.Serve(led.server)
	wants(t, stream.ask(t, request(t, clicks, 2, 1)), forebay.CodeOK)
	if cluster, err = w.Cluster(t.Context(), &wire.ClusterRequest{}); err != nil || cluster.GetLeader() != "standby:1" ||
		!cluster.GetServing() {
		t.Errorf("cluster %v, %v", cluster, err)
	}
}

func register(t *testing.T, f *rpc.Front, body string) (code int, text string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, rpc.StandbyPath, bytes.NewBufferString(body))
	f.Handlers()["POST "+rpc.StandbyPath].ServeHTTP(recorder, r)
	out, err := io.ReadAll(recorder.Body)
	if err != nil {
		t.Fatal(err)
	}
	return recorder.Code, string(out)
}

func TestAHandOverSendsNewRequestsToTheStandby(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{Address: "owner:1"})
	clicks := w.logTable(t, "clicks")
	for body, want := range map[string]int{
		`{"address":"standby:2"}`: http.StatusOK, `{"address":"nowhere"}`: http.StatusBadRequest, `{`: http.StatusBadRequest,
	} {
		if code, text := register(t, w.front, body); code != want {
			t.Errorf("register %s: %d %s", body, code, text)
		}
	}
	cluster, err := w.Cluster(t.Context(), &wire.ClusterRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"owner:1", "standby:2"}, cluster.GetAddresses()); diff != "" {
		t.Error(diff)
	}
	stream := openWrites(t, w)
	wants(t, stream.ask(t, request(t, clicks, 1, 1)), forebay.CodeOK)
	stop := make(chan struct{})
	runLazy(func() {
		for i := range int64(1_000_000) {
			if stream.Send(request(t, clicks, uint64(i), i)) != nil {
				break
			}
		}
		close(stop)
	})
	ended := make(chan error, 1)
	runLazy(func() { ended <- w.end() })
	for {
		a, err := stream.Recv()
		if err != nil {
			break
		}
		if forebay.Code(a.GetCode()) == forebay.CodeNotLeader && a.GetLeader() != "standby:2" {
			t.Fatalf("sent to %q", a.GetLeader())
		}
	}
	<-stop
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, text := register(t, w.front, `{"address":"standby:2"}`); !strings.Contains(text, `"leader":""`) {
		t.Errorf("a standby hears %s from an owner that ended", text)
	}
}

func TestConnectionsAboveTheLimitAreClosed(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{Limits: rpc.Limits{Connections: 2}})
	if _, err := w.Cluster(t.Context(), &wire.ClusterRequest{}); err != nil {
		t.Fatal(err)
	}
	second := dialRaw(t, w.address)
	until(t, "a third connection is closed", func() bool {
		third := dialRaw(t, w.address)
		if err := third.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(third)
		return err != nil && len(data) == 0 || err == nil && len(data) == 0
	})
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "there is room again", func() bool {
		_, err := client(t, w.address).Cluster(t.Context(), &wire.ClusterRequest{})
		return err == nil
	})
}

func TestAConnectionThatNeverBeginsIsClosed(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{Limits: rpc.Limits{Handshake: 100 * time.Millisecond}})
	silent := dialRaw(t, w.address)
	if err := silent.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, silent); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("it is still open: %v", err)
	}
}

func TestLimitsThatContradictEachOtherAreRefused(t *testing.T) {
	t.Parallel()
	_, err := rpc.New(rpc.Config{Limits: rpc.Limits{
		RequestBytes: 100, StreamBytes: 50, AllBytes: 10, StreamAnswers: 1, Connections: -1,
	}})
	for _, want := range []string{"StreamBytes", "AllBytes", "StreamAnswers", "Connections is -1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
}
