// SPDX-License-Identifier: Apache-2.0

package object_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/file/object"
)

// upload sends everything of a new upload.
func upload(t *testing.T, b *object.Bucket, key string, pieces ...[]byte) object.Completion {
	t.Helper()
	u, err := b.Create(t.Context(), key, "mark of "+key)
	if err != nil {
		t.Fatal(err)
	}
	c := object.Completion{Upload: u, Mark: "mark of " + key}
	for i, data := range pieces {
		piece, err := b.UploadPiece(t.Context(), u, int32(i+1), data)
		if err != nil {
			t.Fatal(err)
		}
		c.Pieces = append(c.Pieces, piece)
		c.Size += piece.Size
	}
	return c
}

func wantOutcome(t *testing.T, b *object.Bucket, c object.Completion, want forebay.Outcome) {
	t.Helper()
	got, err := b.Complete(t.Context(), c)
	good := want == forebay.OutcomeDone || want == forebay.OutcomeAlready
	if got != want || (err == nil) != good {
		t.Fatalf("outcome %d, %v; want %d", got, err, want)
	}
}

func uploads(t *testing.T, b *object.Bucket, prefix string) (list []object.Upload) {
	t.Helper()
	for u, err := range b.ListUploads(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, u)
	}
	return list
}

func TestUploadIsSeenWhenItIsComplete(t *testing.T) {
	t.Parallel()
	b, s := bucket(t)
	first, last := noise(int(object.PieceMin)), []byte("tail")
	c := upload(t, b, "d/part", first, last)
	if diff := cmp.Diff([]object.Upload{c.Upload}, uploads(t, b, "d/")); diff != "" {
		t.Fatal(diff)
	}
	if got := uploads(t, b, "e"); got != nil {
		t.Fatalf("uploads elsewhere: %v", got)
	}
	if _, err := b.Head(t.Context(), "d/part"); object.CodeOf(err) != object.CodeNoObject {
		t.Fatalf("it is seen before it is complete: %v", err)
	}
	s.Restart(t) // killed between the pieces and the end
	pieces, err := b.ListPieces(t.Context(), c.Upload)
	if diff := cmp.Diff(c.Pieces, pieces); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	wantOutcome(t, b, c, forebay.OutcomeDone)
	o, err := b.Head(t.Context(), "d/part")
	if err != nil || o.Size != c.Size || o.Meta[object.MarkKey] != c.Mark {
		t.Fatalf("%+v: %v", o, err)
	}
	got, err := io.ReadAll(b.Open(t.Context(), o))
	if err != nil || !bytes.Equal(got, append(first, last...)) {
		t.Fatalf("it has %d bytes: %v", len(got), err)
	}
	if outcome, err := b.Complete(t.Context(), c); err != nil ||
		outcome != forebay.OutcomeDone && outcome != forebay.OutcomeAlready {
		t.Fatalf("again: %d %v", outcome, err)
	}
	if got := uploads(t, b, ""); got != nil {
		t.Fatalf("still open: %v", got)
	}
}

func TestAbortedUploadIsLost(t *testing.T) {
	t.Parallel()
	b, _ := bucket(t)
	c := upload(t, b, "d/part", []byte("all"))
	for range 2 {
		if err := b.Abort(t.Context(), c.Upload); err != nil {
			t.Fatal(err)
		}
	}
	wantOutcome(t, b, c, forebay.OutcomeLost)
	_, err := b.UploadPiece(t.Context(), c.Upload, 2, []byte("more"))
	wantClass(t, err, forebay.ClassLost, object.CodeNoUpload)
	_, err = b.ListPieces(t.Context(), c.Upload)
	wantClass(t, err, forebay.ClassLost, object.CodeNoUpload)
	put(t, b, "d/part", []byte("of somebody else"))
	wantOutcome(t, b, c, forebay.OutcomeFatal)
}

// TestCompletingIsDecidedByWhatIsThere loses answers of a bucket, before and after it did what it was asked.
func TestCompletingIsDecidedByWhatIsThere(t *testing.T) {
	t.Parallel()
	b, s := bucket(t)
	link := lossy(t, s)
	c := config(s)
	c.Endpoint = link.url
	through := open(t, "data", c)

	part := upload(t, b, "part", []byte("all"))
	link.lose.Store(loseRequest)
	wantOutcome(t, through, part, forebay.OutcomeRetry)
	link.lose.Store(loseAnswer)
	wantOutcome(t, through, part, forebay.OutcomeAlready)
	link.lose.Store(loseNothing)
	wantOutcome(t, through, part, forebay.OutcomeDone)
	s.Kill()
	wantOutcome(t, through, part, forebay.OutcomeRetry)
	s.Restart(t)

	second := upload(t, b, "part", []byte("other"))
	wantOutcome(t, b, second, forebay.OutcomeFatal)
	if data, _, err := b.ReadSmall(t.Context(), "part"); err != nil || string(data) != "all" {
		t.Fatalf("an object was replaced: %q %v", data, err)
	}

	link.lose.Store(loseAnswer)
	if _, err := through.PutIfAbsent(t.Context(), "owner", []byte("me")); err != nil {
		t.Fatalf("a write whose answer was lost: %v", err)
	}
	_, err := through.PutIfAbsent(t.Context(), "owner", []byte("you"))
	wantClass(t, err, forebay.ClassAmbiguous, "")
	link.lose.Store(loseRequest)
	_, err = through.PutIfAbsent(t.Context(), "owner2", []byte("me"))
	wantClass(t, err, forebay.ClassAmbiguous, "")
}
