// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
)

var (
	_ tablet.Catalogue = (*Server)(nil)
	_ tablet.Reader    = (*Server)(nil)
)

// Limits of the control socket.
const (
	controlHeaderTimeout = 10 * time.Second
	controlBodyMax       = 32 << 20
	controlStopTimeout   = time.Second
)

// ListenControl listens on a socket, for the owner of its state directory: a socket that is there is stale, since
// the lock of the directory is ours, and is removed. Closing the listener removes it too.
func ListenControl(ctx context.Context, path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the stale socket: %w", err)
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for commands: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for commands: %w", err), l.Close())
	}
	return l, nil
}

// ServeControl answers the commands of other processes until ctx ends, and closes the listener. The paths of extra,
// patterns as http.ServeMux takes them, are answered beside those of the tables.
//
// Errors: those of the listener; nil when ctx ends.
func (s *Server) ServeControl(ctx context.Context, l net.Listener, extra map[string]http.Handler) error {
	server := &http.Server{
		Handler: s.controlMux(extra), ReadHeaderTimeout: controlHeaderTimeout,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	var stopping sync.WaitGroup
	ended, end := context.WithCancel(ctx)
	stopping.Go(func() {
		<-ended.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), controlStopTimeout)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close() // somebody still reads rows: his stream breaks off, which he notices
		}
	})
	err := server.Serve(l)
	end()
	stopping.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Server) controlMux(extra map[string]http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /tables", s.answerTables)
	mux.HandleFunc("POST /tables", s.answerCreate)
	mux.HandleFunc("GET /tables/{name}", s.answerDescribe)
	mux.HandleFunc("DELETE /tables/{name}", s.answerDrop)
	mux.HandleFunc("GET /tables/{name}/count", s.answerCount)
	mux.HandleFunc("POST /tables/{name}/scan", s.answerScan)
	mux.HandleFunc("POST /tables/{name}/get", s.answerGet)
	mux.HandleFunc("POST /tables/{name}/log", s.answerLog)
	for pattern, handler := range extra {
		mux.Handle(pattern, handler)
	}
	return mux
}

// AnswerJSON answers a control request with a value, or with the error where there is one.
func AnswerJSON(w http.ResponseWriter, value any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		status := http.StatusInternalServerError
		if forebay.ClassOf(err) == forebay.ClassMisconfigured {
			status = http.StatusBadRequest
		}
		w.WriteHeader(status)
		value = tablet.ToWire(err)
	}
	// Who does not read the answer learns nothing of it, and nobody here can help that.
	_ = json.NewEncoder(w).Encode(value)
}

// done is the answer where there is nothing to say.
type done struct{}

func (s *Server) answerTables(w http.ResponseWriter, r *http.Request) {
	tables, err := s.Tables(r.Context())
	AnswerJSON(w, tables, err)
}

func (s *Server) answerDescribe(w http.ResponseWriter, r *http.Request) {
	info, err := s.Describe(r.Context(), r.PathValue("name"))
	AnswerJSON(w, info, err)
}

func (s *Server) answerCreate(w http.ResponseWriter, r *http.Request) {
	var info tablet.TableInfo
	err := readJSON(r, &info)
	if err == nil {
		err = s.Create(r.Context(), info.TableSpec)
	}
	AnswerJSON(w, done{}, err)
}

func readJSON(r *http.Request, into any) error {
	if err := json.NewDecoder(io.LimitReader(r.Body, controlBodyMax)).Decode(into); err != nil {
		return forebay.Errorf("read request", forebay.ClassMisconfigured, "%w", err)
	}
	return nil
}

func (s *Server) answerDrop(w http.ResponseWriter, r *http.Request) {
	AnswerJSON(w, done{}, s.Drop(r.Context(), r.PathValue("name")))
}

func (s *Server) answerCount(w http.ResponseWriter, r *http.Request) {
	n, err := s.Count(r.Context(), r.PathValue("name"))
	AnswerJSON(w, tablet.CountAnswer{Count: n}, err)
}

func (s *Server) answerScan(w http.ResponseWriter, r *http.Request) {
	var call tablet.ScanCall
	if err := readJSON(r, &call); err != nil {
		AnswerJSON(w, nil, err)
		return
	}
	request := ScanRequest{Table: r.PathValue("name"), Select: call.Select, Limit: call.Limit, Piece: call.Piece}
	var err error
	if len(call.Prefix) > 0 {
		request.Prefix, err = receiveRow(bytes.NewReader(call.Prefix), "scan")
	}
	var rows tablet.Rows
	if err == nil {
		rows, err = s.Scan(r.Context(), request)
	}
	if err != nil {
		AnswerJSON(w, nil, err)
		return
	}
	if end := rows.LogEnd(); end >= 0 {
		w.Header().Set(tablet.LogEndHeader, strconv.FormatInt(end, 10))
	}
	sender, err := tablet.NewRowSender(w, rows.Layout())
	b := forebay.NewBatch()
	for err == nil {
		if err = rows.Next(r.Context(), b); err == nil {
			err = sender.Send(b)
		}
	}
	closed := rows.Close()
	if sender == nil {
		return // not even the columns could be sent: the connection is gone
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	_ = sender.End(errors.Join(err, closed)) // as in AnswerJSON
}

func (s *Server) answerGet(w http.ResponseWriter, r *http.Request) {
	b := forebay.NewBatch()
	found, err := s.getByStream(r, b)
	if err != nil {
		AnswerJSON(w, nil, err)
		return
	}
	sender, err := tablet.NewRowSender(w, b.Layout())
	if err == nil && found {
		err = sender.Send(b)
	}
	if err == nil {
		_ = sender.End(nil) // as in AnswerJSON
	}
}

func (s *Server) getByStream(r *http.Request, b *forebay.Batch) (bool, error) {
	key, err := receiveRow(io.LimitReader(r.Body, controlBodyMax), "get")
	if err != nil {
		return false, err
	}
	return s.Get(r.Context(), r.PathValue("name"), key, b)
}

// receiveRow reads a stream of one row.
func receiveRow(in io.Reader, op string) (forebay.Row, error) {
	receiver, err := tablet.NewRowReceiver(in)
	if err != nil {
		return forebay.Row{}, err
	}
	b := forebay.NewBatch()
	if err := receiver.Next(b); err != nil || b.Len() != 1 {
		return forebay.Row{}, forebay.Errorf(op, forebay.ClassMisconfigured, "the request holds no key: %v", err)
	}
	return b.Row(0), nil
}

// answerLog sends the log of a tablet until its end or, where it is followed, until the reader leaves.
func (s *Server) answerLog(w http.ResponseWriter, r *http.Request) {
	var call tablet.LogCall
	if err := readJSON(r, &call); err != nil {
		AnswerJSON(w, nil, err)
		return
	}
	reader, err := s.OpenLog(r.Context(), tablet.LogRequest{
		Table: r.PathValue("name"), Tablet: call.Tablet, From: call.From, Follow: call.Follow,
	})
	if err != nil {
		AnswerJSON(w, nil, err)
		return
	}
	// The reader learns at once that its log is open, and of each batch when it is sent.
	response := http.NewResponseController(w)
	w.WriteHeader(http.StatusOK)
	err = response.Flush()
	sender, b := tablet.NewLogSender(w), forebay.NewBatch()
	for err == nil {
		if err = reader.Next(r.Context(), b); err == nil {
			err = errors.Join(sender.Send(b), response.Flush())
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	_ = sender.End(errors.Join(err, reader.Close())) // as in AnswerJSON
}
