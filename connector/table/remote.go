// SPDX-License-Identifier: Apache-2.0

package table

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector"
	"github.com/forebay-io/forebay/tablet"
)

// Remote says which tablet server to use instead of the embedded one.
type Remote struct {
	Address string          `yaml:"address" doc:"tablet servers elsewhere, instead of the embedded one" example:"db1:7879"`
	TLS     *connector.TLS  `yaml:"tls" doc:"encrypts the connection to address"`
	Auth    *connector.Auth `yaml:"auth" doc:"who we are to address"`
}

func (r Remote) validate() error {
	var problems []error
	elsewhere := func(key string) {
		problems = append(problems, fmt.Errorf("%s: %s is for a server elsewhere, and no address is given; "+
			"add address: HOST:PORT, or leave %s out", key, key, key))
	}
	switch {
	case r.Address != "" && r.Auth != nil && r.Auth.Token == "":
		problems = append(problems, errors.New("auth.token: the token is empty; write the one that the server knows us "+
			"by, such as ${file:/run/secrets/token}, or leave auth out"))
	case r.Address != "":
	default:
		if r.TLS != nil {
			elsewhere("tls")
		}
		if r.Auth != nil {
			elsewhere("auth")
		}
	}
	return errors.Join(problems...)
}

// dial connects to the address.
func (r Remote) dial(ctx context.Context, logger *slog.Logger) (*tablet.Client, error) {
	config := tablet.Config{Logger: logger}
	if r.TLS != nil {
		var err error
		if config.TLS, err = r.TLS.Config(); err != nil {
			return nil, misconfigured(err)
		}
	}
	if r.Auth != nil {
		config.Token = r.Auth.Token
	}
	return tablet.Dial(ctx, r.Address, config)
}

// place is what messages and stored settings call the server; empty is the embedded one.
func (r Remote) place() string {
	if r.Address == "" {
		return ""
	}
	return fmt.Sprintf(" of %s", r.Address)
}

// reached is what a table elsewhere can do for a pipeline.
type reached interface {
	forebay.Target
	forebay.Sequencer
	forebay.ProgressHolder
}

// remoteTarget is a table elsewhere, with the connection that it alone uses.
type remoteTarget struct {
	reached
	conn *tablet.Client
}

// Close closes both.
func (t *remoteTarget) Close() error { return errors.Join(t.reached.Close(), t.conn.Close()) }

// open connects and opens the table there.
func (r Remote) open(ctx context.Context, spec forebay.TableSpec, logger *slog.Logger) (forebay.Target, error) {
	conn, err := r.dial(ctx, logger)
	if err != nil {
		return nil, err
	}
	opened, err := conn.OpenTable(ctx, spec)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	table, ok := opened.(reached)
	if !ok {
		return nil, errors.Join(fmt.Errorf("open table: a %T holds no progress", opened), opened.Close(), conn.Close())
	}
	return &remoteTarget{reached: table, conn: conn}, nil
}
