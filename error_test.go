// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestErrorWithoutAClassIsAmbiguous(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want Class
	}{
		{errors.New("anything"), ClassAmbiguous},
		{context.Canceled, ClassAmbiguous},
		{&Error{Op: "commit"}, ClassAmbiguous},
		{Errorf("commit", ClassThrottled, "busy"), ClassThrottled},
		{fmt.Errorf("lane 1: %w", Errorf("commit", ClassLost, "gone")), ClassLost},
		{Errorf("run", ClassFenced, "stopped: %w", Errorf("commit", ClassLost, "gone")), ClassFenced},
		{errors.Join(errors.New("other"), Errorf("commit", ClassCorrupt, "bad")), ClassCorrupt},
	} {
		if got := ClassOf(tc.err); got != tc.want {
			t.Errorf("%v is %s, want %s", tc.err, got, tc.want)
		}
	}
}

func TestErrFencedMatchesTheClass(t *testing.T) {
	t.Parallel()
	fenced := fmt.Errorf("lane 1: %w", &Error{Op: "commit", Class: ClassFenced})
	if !errors.Is(fenced, ErrFenced) {
		t.Errorf("%v is not ErrFenced", fenced)
	}
	for class := range Class(len(classNames)) {
		if err := (&Error{Class: class}); class != ClassFenced && errors.Is(err, ErrFenced) {
			t.Errorf("%s is ErrFenced", class)
		}
	}
	cause := errors.New("disk")
	if err := Errorf("sync", ClassCorrupt, "%w", cause); !errors.Is(err, cause) || errors.Is(err, ErrFenced) {
		t.Errorf("%v hides its cause", err)
	}
}

func TestErrorPrintsWhatWhereAndWhatToDo(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  *Error
		want string
	}{
		{&Error{Op: "commit", Class: ClassFenced}, "commit: fenced"},
		{Errorf("read", ClassTransient, "end of %s", "file"), "read: end of file"},
		{&Error{
			Op: "commit", Tablet: "flights/2", Code: "disk-full", Err: errors.New("no space"), Cure: "free some",
		}, "commit flights/2: no space (disk-full); free some"},
	} {
		if got := tc.err.Error(); got != tc.want {
			t.Errorf("it prints as %q, want %q", got, tc.want)
		}
	}
}

func TestClassesHaveTheNamesOfTheGuide(t *testing.T) {
	t.Parallel()
	want := map[Class]string{
		ClassAmbiguous: "ambiguous", ClassTransient: "transient", ClassThrottled: "throttled", ClassMoved: "moved",
		ClassDuplicate: "duplicate", ClassTooLarge: "too-large", ClassRejected: "rejected", ClassFenced: "fenced",
		ClassLost: "lost", ClassMisconfigured: "misconfigured", ClassCorrupt: "corrupt", ClassCorrupt + 1: "unknown",
	}
	for class, name := range want {
		if class.String() != name {
			t.Errorf("class %d prints as %s, want %s", class, class, name)
		}
	}
}

func TestOpsAndPositionsPrintForPeople(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		value fmt.Stringer
		want  string
	}{
		{OpInsert, "insert"},
		{OpUpsert, "upsert"},
		{OpDelete, "delete"},
		{OpUpdate, "update"},
		{OpUpdate + 1, "unknown"},
		{Position{Offset: 5}, "5"},
		{Position{Offset: 5, Finished: true}, "finished"},
	} {
		if got := tc.value.String(); got != tc.want {
			t.Errorf("%#v prints as %s, want %s", tc.value, got, tc.want)
		}
	}
}
