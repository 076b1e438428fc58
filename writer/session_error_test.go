// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
)

// TestTextsOfSessionErrors holds what people read, word for word.
func TestTextsOfSessionErrors(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	inSession(t, SessionConfig{Mode: ManualFlush, BufferOperations: 3, BufferBytes: 4 * forebay.KiB, Timeout: time.Second},
		func(t *testing.T, s *sessionBench) {
			note := func(name string, err error) {
				t.Helper()
				if err == nil {
					t.Errorf("%s: no error", name)
					return
				}
				got[name] = err.Error()
			}
			flush := func() error {
				_, err := s.session.Flush(t.Context())
				return err
			}
			s.target.refuse = func(n int64) string { return []string{"", CodeAlreadyPresent, CodeNotFound}[n%3] }
			s.all(0, 3)
			_, err := s.upsert(4)
			note("buffer full", err)
			note("change of mode", s.session.SetMode(AutoFlushSync))
			note("flush", flush())
			_, err = s.table.Upsert(t.Context(), put(t, s.row, 0, strings.Repeat("x", 5_000)))
			note("operation too large", err)
			_, err = s.table.Upsert(t.Context(), forebay.NewRow(forebay.MustSchema(
				forebay.Column{Name: "other", Type: forebay.Bool})))
			note("row of another table", err)
			s.closeGate()
			s.all(0, 1)
			note("no answer in time", flush())
			note("no copy of the row", Operation{Number: 7, Table: "t", Op: forebay.OpDelete}.CopyRow(s.row))
			if err := s.session.SetMode(AutoFlushSync); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("the caller went away"))
			defer cancel()
			_, err = s.table.Delete(ctx, put(t, s.row, 0, ""))
			note("context ended", err)
			if err := s.session.Close(); err != nil {
				t.Error(err)
			}
			_, err = s.upsert(1)
			note("closed", err)
		})
	_, err := NewSession(nil, SessionConfig{
		Mode: 7, Order: 2, BufferBytes: -1, BufferOperations: -1, FlushInterval: -1, Timeout: -2, ErrorsMax: -1,
		ErrorBytesMax: -1,
	})
	got["configuration"] = err.Error()
	unread := &OperationsError{Op: "close session", Dropped: 12, Errors: []*OperationError{{
		Operation: Operation{Number: 4, Table: "users", Op: forebay.OpUpdate}, Tablet: 2,
		Code: CodeNotFound, Message: "no row",
	}}}
	got["unread"] = unread.Error()
	want := map[string]string{
		"buffer full": "MANUAL_FLUSH is enabled but the buffer is too big",
		"change of mode": "set mode: cannot go from MANUAL_FLUSH to AUTO_FLUSH_SYNC while 3 operations are pending; " +
			"flush first",
		"flush": "flush: 2 of 3 operations failed; the first: upsert 1 on t/1: row 1 is refused (already-present)",
		"operation too large": "apply: the operation never fits the session's buffer: 10232 bytes asked, 0 of 4096 used, " +
			"0 waiting, waited 0s: buffer full",
		"row of another table": "apply: the row was not made for table \"t\"; make it with the table's NewRow",
		"no answer in time": "flush: 1 of 1 operations failed; the first: upsert 3 on t/0: timed out: the delivery " +
			"deadline has passed (the row is unknown, after 1 attempts) (timed-out)",
		"no copy of the row": "copy row: the session kept no copy of the row of delete 7 on t",
		"context ended":      "delete 4 on t/0: the caller went away (unknown)",
		"closed":             "apply: the session is closed",
		"configuration": "open session: " + strings.Join([]string{
			"session mode: must be AUTO_FLUSH_SYNC, MANUAL_FLUSH or AUTO_FLUSH_BACKGROUND",
			"session order: must be tablet or none",
			"session buffer: must be 1B to 1GiB",
			"session buffer operations: must be at least 1",
			"session flush interval: must be above 0",
			"session time-out: must be above 0, or NoTimeout",
			"session errors: must be at least 1",
			"session error bytes: must be at least 1B",
		}, "\n"),
		"unread": "close session: 13 operations failed, of which the oldest 12 were dropped; the first: " +
			"update 4 on users/2: no row (not-found)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
}
