// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/store"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/tablet/rpc"
	"github.com/forebay-io/forebay/tablet/server"
)

// serveCommand is a tablet server.
type serveCommand struct {
	stateFlag
	Listen    string `help:"Where to listen (default ${default})." default:"127.0.0.1:7879" placeholder:"HOST:PORT"`
	Advertise string `help:"Where clients reach this server, if that is not --listen." placeholder:"HOST:PORT"`
	Standby   bool   `help:"Wait until the owner of the state directory ends, then take over."`
	TLSCert   string `name:"tls-cert" help:"Certificate of the server." placeholder:"FILE"`
	TLSKey    string `name:"tls-key" help:"Key of the certificate." placeholder:"FILE"`
	Tokens    string `help:"Tokens with their rights to tables, one a line." placeholder:"FILE"`
	Insecure  bool   `help:"Allow other machines to connect without TLS or without tokens."`
	HTTP      string `name:"http" help:"Serve metrics and health over HTTP there." placeholder:"HOST:PORT"`
	Memory    string `help:"Memory of the store (default ${default})." default:"256MB" placeholder:"SIZE"`

	ShutdownTimeout  time.Duration `help:"${patience} (default ${default})." default:"25s" placeholder:"TIME"`
	LogLevel         string        `help:"debug, info, warn or error." enum:"${levels}" default:"" placeholder:"LEVEL"`
	LogFormat        string        `help:"Form of the log: text or json." enum:",text,json" default:"" placeholder:"FORM"`
	UnsafeNetworkDir bool          `help:"Allow a state directory on a network file system."`

	memory forebay.Bytes
}

// Run serves until a signal.
func (c *serveCommand) Run(ctx context.Context, a *app) error {
	front, guard, err := c.front()
	if err != nil {
		return err
	}
	l, err := rpc.Listen(ctx, c.Listen, guard)
	if err != nil {
		return err
	}
	address := cmp.Or(c.Advertise, l.Addr().String())
	show := &screen{out: a.err}
	p := &serveProcess{
		command: c, app: a, guard: guard, listener: l,
		logger: newLogger(show, c.LogLevel, c.LogFormat, newRepeats(time.Now)),
		config: pipeline.StateConfig{
			Dir: c.State, Memory: c.memory, Upserts: true, Command: title("serve"), Address: address,
			UnsafeNetworkDir: c.UnsafeNetworkDir,
		},
	}
	p.config.Logger, front.Logger, front.Address = p.logger, p.logger, address
	if p.front, err = rpc.New(front); err != nil {
		return errors.Join(err, l.Close())
	}
	if p.http, err = p.listenHTTP(ctx, c.HTTP); err != nil {
		return errors.Join(err, l.Close())
	}
	debug.SetGCPercent(garbagePercent)
	debug.SetMemoryLimit(int64(c.memory + queuedBytes + heapMargin))
	if c.Standby {
		return p.standby(ctx)
	}
	state, err := openDirectory(ctx, a, p.config)
	if err != nil {
		return errors.Join(standbyCure(err), l.Close(), p.http.close())
	}
	p.lead(state)
	return p.run(ctx, p.watch)
}

// queuedBytes is what requests that wait take, beside the memory of the store: the most that a server's queues hold.
const queuedBytes = 64 * forebay.MiB

// front reads everything that the flags name, and reports all that is wrong with it.
func (c *serveCommand) front() (config rpc.Config, guard rpc.Guard, err error) {
	var problems []error
	switch {
	case c.TLSCert != "" && c.TLSKey != "":
		config.TLS, err = rpc.LoadTLS(c.TLSCert, c.TLSKey)
		problems = append(problems, err)
	case c.TLSCert != "" || c.TLSKey != "":
		problems = append(problems, wrong("give both, or neither", "--tls-cert and --tls-key belong together"))
	}
	if c.Tokens != "" {
		text, err := os.ReadFile(c.Tokens)
		if err != nil {
			problems = append(problems, wrong("", "--tokens: %w", err))
		} else {
			config.Tokens, err = rpc.ParseTokens(c.Tokens, text)
			problems = append(problems, err)
		}
	}
	if c.Advertise != "" {
		if _, _, err := net.SplitHostPort(c.Advertise); err != nil {
			problems = append(problems, wrong("write HOST:PORT", "--advertise: %w", err))
		}
	}
	if memory, err := forebay.ParseBytes(c.Memory); err != nil {
		problems = append(problems, wrong("write a size such as 256MB", "--memory: %w", err))
	} else if c.memory = memory; memory < pipeline.MemoryMin {
		problems = append(problems, wrong(fmt.Sprintf("write --memory %s or more", pipeline.MemoryMin),
			"--memory %s is too little", memory))
	}
	if c.ShutdownTimeout <= 0 {
		problems = append(problems, wrong("write a time such as 25s", "--shutdown-timeout %s is no time to wait",
			c.ShutdownTimeout))
	}
	config.Limits.Shutdown = c.ShutdownTimeout
	guard = rpc.Guard{TLS: c.TLSCert != "", Tokens: c.Tokens != "", Insecure: c.Insecure}
	return config, guard, errors.Join(problems...)
}

// standbyCure adds to the error about a directory in use what a second server can do.
func standbyCure(err error) error {
	e, ok := errors.AsType[*forebay.Error](err)
	if _, inUse := errors.AsType[*store.InUseError](err); ok && inUse {
		e.Cure = "wait for it with --standby, or name another directory with --state DIR"
	}
	return err
}

// serveProcess is a server while it runs.
type serveProcess struct {
	command  *serveCommand
	app      *app
	guard    rpc.Guard
	listener net.Listener
	logger   *slog.Logger
	config   pipeline.StateConfig
	front    *rpc.Front
	http     *serveHTTP
	state    *openState // nil until the directory is ours
	// tables is the server of the directory; nil until that is ours.
	tables atomic.Pointer[server.Server]
}

// lead begins to serve the directory.
func (p *serveProcess) lead(state *openState) {
	p.state = state
	p.tables.Store(state.state.Tables())
	p.front.Serve(state.state.Tables())
	fmt.Fprintf(p.app.err, "serving %s  state %s  %s\n", p.config.Address, p.command.State, p.guard)
}

// life is what a server's parts know of its end.
type life struct {
	// ending begins to end everything.
	ending func()
	// drained is closed when all clients were answered and have gone.
	drained chan struct{}
}

// run answers clients until ctx ends or beside ends it; then it answers what was accepted and closes the directory.
// beside runs until clients are gone.
func (p *serveProcess) run(ctx context.Context, beside func(context.Context, life) error) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	l := life{ending: end, drained: make(chan struct{})}
	var working sync.WaitGroup
	var cause, served error
	endHTTP := p.http.begin(ctx, p.runProbe)
	working.Go(func() {
		defer end()
		cause = beside(ctx, l)
	})
	working.Go(func() {
		defer close(l.drained)
		defer end()
		served = p.front.Run(ctx, p.listener)
	})
	working.Wait()
	endHTTP() // it says until here that we are ending
	err := errors.Join(cause, served)
	if p.state != nil {
		err = errors.Join(err, p.state.close())
	}
	if err == nil {
		fmt.Fprintln(p.app.err, "stopped; everything accepted was answered")
		return nil
	}
	return &exitError{exitFailed, err}
}

// watch answers commands, and ends everything where the store fails.
func (p *serveProcess) watch(ctx context.Context, l life) error {
	control, end := context.WithCancel(context.WithoutCancel(ctx))
	var answering sync.WaitGroup
	answering.Go(func() { p.state.runControl(control, nil, p.front.Handlers()) })
	defer answering.Wait()
	defer end()
	var failed error
	st := p.state.state.Tables().Store()
	select {
	case <-ctx.Done():
	case <-st.Poisoned():
		failed = fmt.Errorf("serve: %w", st.Err())
		l.ending()
	}
	<-l.drained // until then a standby learns here that we are about to end
	return failed
}

// standbyPoll is how often a standby tries the lock.
const standbyPoll = 50 * time.Millisecond

// standby sends clients to the owner until the directory is ours, then serves.
func (p *serveProcess) standby(ctx context.Context) error {
	return p.run(ctx, func(ctx context.Context, l life) error {
		state, err := p.wait(ctx)
		if state == nil {
			return err
		}
		p.lead(state)
		return p.watch(ctx, l)
	})
}

// wait tries the lock until it is ours; without an error and a state, ctx has ended.
func (p *serveProcess) wait(ctx context.Context) (*openState, error) {
	ticker := time.NewTicker(standbyPoll)
	defer ticker.Stop()
	w := standbyWait{process: p}
	defer w.close()
	for {
		state, err := openDirectory(ctx, p.app, p.config)
		if err == nil {
			return state, nil
		}
		owner, inUse := errors.AsType[*store.InUseError](err)
		if !inUse {
			if ctx.Err() != nil {
				return nil, nil
			}
			return nil, err
		}
		w.look(ctx, owner, time.Now())
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// standbyWait is a standby's knowledge of the owner.
type standbyWait struct {
	process    *serveProcess
	owner      store.InUseError
	control    *tablet.Control
	registered time.Time
}

// registerTimeout bounds how long a standby waits for an owner that does not answer; the lock is not tried meanwhile.
const registerTimeout = 250 * time.Millisecond

// look notes who owns the directory and registers there now and then.
func (w *standbyWait) look(ctx context.Context, owner *store.InUseError, now time.Time) {
	p := w.process
	if w.control == nil || owner.PID != w.owner.PID || !owner.Since.Equal(w.owner.Since) {
		w.close()
		w.owner, w.registered = *owner, time.Time{}
		w.control = tablet.DialControl(cmp.Or(owner.Socket, p.app.socketOf(p.config.Dir)))
		p.front.Follow(owner.Address)
		fmt.Fprintf(p.app.err, "standing by at %s  state %s  owner %s\n", p.config.Address, p.command.State, ownerText(owner))
	}
	if now.Sub(w.registered) < rpc.StandbyEvery {
		return
	}
	w.registered = now
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	var answer rpc.StandbyAnswer
	err := w.control.Do(ctx, tablet.Call{Method: "POST", Path: rpc.StandbyPath},
		rpc.StandbyCall{Address: p.config.Address}, &answer)
	if err == nil {
		p.front.Follow(answer.Leader)
	}
}

func ownerText(owner *store.InUseError) string {
	return fmt.Sprintf("process %d (%s) at %s", owner.PID, owner.Command, cmp.Or(owner.Address, "no address"))
}

func (w *standbyWait) close() {
	if w.control != nil {
		_ = w.control.Close() // idle connections alone
	}
}
