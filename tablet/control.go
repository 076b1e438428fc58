// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"

	"github.com/forebay-io/forebay"
)

// SocketName is the socket in a state directory where its owner can be asked.
const SocketName = "forebay.sock"

// socketPathMax keeps below what the smallest of our systems takes for the path of a socket (104 with the end mark).
const socketPathMax = 100

// SocketPath is where the owner of a state directory listens: in the directory, or, where that path would be too
// long, in the runtime directory under a hash of it.
func SocketPath(dir, runtimeDir string) string {
	path := filepath.Join(dir, SocketName)
	if len(path) <= socketPathMax {
		return path
	}
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(runtimeDir, "forebay-"+hex.EncodeToString(sum[:8])+".sock")
}

// Control asks the process that owns a state directory through its socket.
//
// Concurrency: safe.
type Control struct {
	http *http.Client
}

var (
	_ Catalogue = (*Control)(nil)
	_ Reader    = (*Control)(nil)
)

// DialControl makes the client of a socket. Nothing is sent before the first call.
func DialControl(path string) *Control {
	dialer := &net.Dialer{}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) }
	return &Control{http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Close closes idle connections.
func (c *Control) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Do sends one request with a JSON body and reads a JSON answer; in and out may be nil. Other parts of a pipeline
// offer their own paths on the same socket.
//
// Errors: those of the owner; transient where it cannot be reached.
func (c *Control) Do(ctx context.Context, call Call, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	answer, err := c.send(ctx, call, body)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if out == nil {
		_, err = io.Copy(io.Discard, answer.Body)
	} else {
		err = json.NewDecoder(answer.Body).Decode(out)
	}
	if err != nil {
		return unreachable(err)
	}
	return nil
}

// Call is what is asked: the method and the path, which begins with a slash.
type Call struct {
	Method string
	Path   string
}

// send returns a good answer, whose body the caller closes.
func (c *Control) send(ctx context.Context, call Call, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, call.Method, "http://forebay"+call.Path, body)
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, unreachable(err)
	}
	if answer.StatusCode == http.StatusOK {
		return answer, nil
	}
	defer func() { _ = answer.Body.Close() }()
	var w WireError
	if err := json.NewDecoder(answer.Body).Decode(&w); err != nil {
		return nil, forebay.Errorf("ask the owner", forebay.ClassMisconfigured, "%s %s: it answered %s",
			call.Method, call.Path, answer.Status)
	}
	return nil, w.Err()
}

func unreachable(err error) error {
	return forebay.Errorf("ask the owner", forebay.ClassTransient, "%w", err)
}

func tablePath(name, rest string) string { return "/tables/" + url.PathEscape(name) + rest }

// Tables implements Catalogue.
func (c *Control) Tables(ctx context.Context) (out []TableInfo, err error) {
	err = c.Do(ctx, Call{http.MethodGet, "/tables"}, nil, &out)
	return out, err
}

// Describe implements Catalogue.
func (c *Control) Describe(ctx context.Context, name string) (out TableInfo, err error) {
	err = c.Do(ctx, Call{http.MethodGet, tablePath(name, "")}, nil, &out)
	return out, err
}

// Create implements Catalogue.
func (c *Control) Create(ctx context.Context, spec forebay.TableSpec) error {
	return c.Do(ctx, Call{http.MethodPost, "/tables"}, TableInfo{TableSpec: spec}, nil)
}

// Drop implements Catalogue.
func (c *Control) Drop(ctx context.Context, name string) error {
	return c.Do(ctx, Call{http.MethodDelete, tablePath(name, "")}, nil, nil)
}

// Count implements Reader.
func (c *Control) Count(ctx context.Context, name string) (int64, error) {
	var out CountAnswer
	err := c.Do(ctx, Call{http.MethodGet, tablePath(name, "/count")}, nil, &out)
	return out.Count, err
}

// CountAnswer answers a count.
type CountAnswer struct {
	Count int64 `json:"count"`
}

// ScanCall asks for rows.
type ScanCall struct {
	Select []string `json:"select,omitempty"`
	Limit  int64    `json:"limit,omitempty"`
	// Prefix is a stream with one row, the first columns of the key.
	Prefix []byte     `json:"prefix,omitempty"`
	Piece  *ScanPiece `json:"piece,omitempty"`
}

// LogEndHeader tells LogEnd of a scan.
const LogEndHeader = "Forebay-Log-End"

// Scan implements Reader. Where runs on this side.
func (c *Control) Scan(ctx context.Context, r ScanRequest) (Rows, error) {
	call := ScanCall{Select: r.Select, Limit: r.Limit, Piece: r.Piece}
	if r.Where != nil {
		call.Select, call.Limit = nil, 0
	}
	if b, _ := r.Prefix.Batch(); b != nil {
		var prefix bytes.Buffer
		if err := sendRow(&prefix, r.Prefix, "scan"); err != nil {
			return nil, err
		}
		call.Prefix = prefix.Bytes()
	}
	body, err := json.Marshal(call)
	if err != nil {
		return nil, err
	}
	answer, err := c.send(ctx, Call{http.MethodPost, tablePath(r.Table, "/scan")}, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	receiver, err := NewRowReceiver(answer.Body)
	if err != nil {
		return nil, errors.Join(err, answer.Body.Close())
	}
	rows := &remoteRows{body: answer.Body, receiver: receiver, shown: receiver.Layout(), logEnd: -1}
	if text := answer.Header.Get(LogEndHeader); text != "" {
		if rows.logEnd, err = strconv.ParseInt(text, 10, 64); err != nil {
			return nil, errors.Join(unreachable(err), answer.Body.Close())
		}
	}
	if r.Where == nil {
		return rows, nil
	}
	rows.where, rows.left, rows.limited = r.Where, r.Limit, r.Limit > 0
	if rows.shown, err = SelectColumns(receiver.Layout(), r.Table, r.Select); err != nil {
		return nil, errors.Join(err, answer.Body.Close())
	}
	return rows, nil
}

// SelectColumns is the layout that shows some columns of another one; no names are all of them.
//
// Errors: misconfigured with the code no-such-column.
func SelectColumns(all *forebay.Layout, table string, names []string) (*forebay.Layout, error) {
	if len(names) == 0 {
		return all, nil
	}
	columns, slots := make([]forebay.Column, len(names)), make([]int, len(names))
	for k, name := range names {
		i := all.Schema.Find(name)
		if i < 0 {
			err := forebay.Errorf("scan", forebay.ClassMisconfigured, "table %q has no column %q; it has %s",
				table, name, all.Schema)
			err.Code = "no-such-column"
			return nil, err
		}
		columns[k], slots[k] = all.Schema.Column(i), all.Slots[i]
	}
	schema, err := forebay.NewSchema(columns...)
	if err != nil {
		return nil, forebay.Errorf("scan", forebay.ClassMisconfigured, "table %q: %w", table, err)
	}
	return &forebay.Layout{Schema: schema, Slots: slots}, nil
}

// remoteRows is a scan through the socket.
type remoteRows struct {
	body     io.Closer
	receiver *RowReceiver
	shown    *forebay.Layout
	where    func(b *forebay.Batch, i int) bool
	left     int64
	limited  bool
	logEnd   int64
}

// Layout implements Rows.
func (r *remoteRows) Layout() *forebay.Layout { return r.shown }

// LogEnd implements Rows.
func (r *remoteRows) LogEnd() int64 { return r.logEnd }

// Next implements Rows; the context of the scan bounds it too.
func (r *remoteRows) Next(ctx context.Context, b *forebay.Batch) error {
	for {
		if r.limited && r.left <= 0 {
			b.Reset(forebay.Split{}, r.shown.Width())
			return io.EOF
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := r.receiver.Next(b); err != nil {
			return err
		}
		if r.where != nil {
			b.Filter(func(i int) bool { return r.where(b, i) })
		}
		if r.limited {
			b.Filter(func(int) bool { r.left--; return r.left >= 0 })
		}
		if b.Len() > 0 {
			b.SetLayout(r.shown)
			return nil
		}
	}
}

// Close implements Rows.
func (r *remoteRows) Close() error { return r.body.Close() }

// sendRow writes a stream of one row.
func sendRow(out io.Writer, row forebay.Row, op string) error {
	from, i := row.Batch()
	if i != 0 || from.Len() != 1 {
		return forebay.Errorf(op, forebay.ClassMisconfigured, "the key is a row of its own, made by NewRow")
	}
	sender, err := NewRowSender(out, from.Layout())
	if err != nil {
		return err
	}
	return errors.Join(sender.Send(from), sender.End(nil))
}

// Get implements Reader. The key travels as a stream of one row.
func (c *Control) Get(ctx context.Context, name string, key forebay.Row, b *forebay.Batch) (found bool, err error) {
	var body bytes.Buffer
	if err := sendRow(&body, key, "get"); err != nil {
		return false, err
	}
	answer, err := c.send(ctx, Call{http.MethodPost, tablePath(name, "/get")}, &body)
	if err != nil {
		return false, err
	}
	defer func() { _ = answer.Body.Close() }()
	receiver, err := NewRowReceiver(answer.Body)
	if err != nil {
		return false, err
	}
	switch err := receiver.Next(b); {
	case errors.Is(err, io.EOF):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, nil
}
