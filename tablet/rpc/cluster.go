// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/server"
	"github.com/forebay-io/forebay/tablet/wire"
)

// Limits of standbys.
const (
	standbysMax = 16
	// StandbyEvery is how often a standby is to register, and standbyGone when one that does not is forgotten.
	StandbyEvery = 500 * time.Millisecond
	standbyGone  = 5 * StandbyEvery
	standbyBody  = 4 << 10
)

// standbys are the processes that wait to take over.
//
// Concurrency: safe.
type standbys struct {
	mu   sync.Mutex
	list []standby // in the order in which they came
}

type standby struct {
	address string
	seen    time.Time
}

// register notes that a standby lives.
func (s *standbys) register(address string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked(now)
	for i := range s.list {
		if s.list[i].address == address {
			s.list[i].seen = now
			return
		}
	}
	if len(s.list) < standbysMax {
		s.list = append(s.list, standby{address: address, seen: now})
	}
}

func (s *standbys) expireLocked(now time.Time) {
	kept := s.list[:0]
	for _, known := range s.list {
		if now.Sub(known.seen) < standbyGone {
			kept = append(kept, known)
		}
	}
	s.list = kept
}

// addresses lists the standbys that live.
func (s *standbys) addresses(now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked(now)
	out := make([]string, len(s.list))
	for i, known := range s.list {
		out[i] = known.address
	}
	return out
}

// next is the standby to send clients to; empty where there is none.
func (s *standbys) next(now time.Time) string {
	if all := s.addresses(now); len(all) > 0 {
		return all[0]
	}
	return ""
}

// StandbyPath is where a standby registers on the control socket of the owner.
const StandbyPath = "/standbys"

// StandbyCall is what a standby registers with.
type StandbyCall struct {
	Address string `json:"address"`
}

// StandbyAnswer is what the owner answers.
type StandbyAnswer struct {
	// Leader is where the tables are served now; empty where the owner is about to end.
	Leader string `json:"leader"`
}

// Handlers are the paths that a front answers on the control socket of its state directory.
func (f *Front) Handlers() map[string]http.Handler {
	return map[string]http.Handler{"POST " + StandbyPath: http.HandlerFunc(f.answerStandby)}
}

func (f *Front) answerStandby(w http.ResponseWriter, r *http.Request) {
	var call StandbyCall
	err := json.NewDecoder(io.LimitReader(r.Body, standbyBody)).Decode(&call)
	if err == nil {
		_, _, err = net.SplitHostPort(call.Address)
	}
	if err != nil {
		server.AnswerJSON(w, nil, forebay.Errorf("register standby", forebay.ClassMisconfigured, "%w", err))
		return
	}
	leader, serving, leaving := f.gate.state()
	if !leaving {
		f.standbys.register(call.Address, time.Now())
	}
	if !serving {
		leader = ""
	}
	server.AnswerJSON(w, StandbyAnswer{Leader: leader}, nil)
}

// Cluster implements wire.TabletsServer.
func (f *Front) Cluster(ctx context.Context, _ *wire.ClusterRequest) (*wire.ClusterAnswer, error) {
	if err := f.caller(ctx).allowed("look up the cluster"); err != nil {
		return nil, wire.StatusError(err)
	}
	leader, serving, _ := f.gate.state()
	out := &wire.ClusterAnswer{Leader: leader, Serving: serving}
	if leader != "" {
		out.Addresses = append(out.Addresses, leader)
	}
	if f.config.Address != leader {
		out.Addresses = append(out.Addresses, f.config.Address)
	}
	for _, address := range f.standbys.addresses(time.Now()) {
		if address != leader {
			out.Addresses = append(out.Addresses, address)
		}
	}
	return out, nil
}
