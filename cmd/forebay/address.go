// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"

	"github.com/forebay-io/forebay/tablet"
)

// tokenVariable holds the token where --token does not.
const tokenVariable = "FOREBAY_TOKEN"

// tableFlags say where tables are: in a state directory, or at a server.
type tableFlags struct {
	stateFlag
	Address string `help:"Tables of a server, or of several that take over from each other." placeholder:"HOST:PORT,..."`
	Token   string `help:"Token for the server (default FOREBAY_TOKEN)." placeholder:"TOKEN"`
	TLS     bool   `name:"tls" help:"Connect to the server with TLS."`
	TLSCA   string `name:"tls-ca" help:"Certificates that the server's is trusted by; implies --tls." placeholder:"FILE"`

	make bool // the state directory is made if it is missing
}

// at opens what the flags name for as long as a function runs.
func (a *app) at(ctx context.Context, f tableFlags, do func(*access) error, command ...string) error {
	var s *access
	var err error
	switch {
	case f.Address != "":
		s, err = a.dial(ctx, f)
	case f.Token != "" || f.TLS || f.TLSCA != "":
		return wrong("name the server with --address HOST:PORT", "--token, --tls and --tls-ca are for a server")
	case f.make:
		s, err = a.openOrMake(ctx, f.State, command...)
	default:
		s, err = a.open(ctx, f.State, command...)
	}
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.close())
}

// dial connects to a server.
func (a *app) dial(ctx context.Context, f tableFlags) (*access, error) {
	if f.State != stateDefault {
		return nil, wrong("give one of them", "--state names a directory and --address a server")
	}
	variable, _ := a.lookupEnv(tokenVariable)
	config := tablet.Config{Token: cmp.Or(f.Token, variable)}
	if f.TLS || f.TLSCA != "" {
		config.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if f.TLSCA != "" {
		text, err := os.ReadFile(f.TLSCA)
		if err != nil {
			return nil, wrong("", "--tls-ca: %w", err)
		}
		config.TLS.RootCAs = x509.NewCertPool()
		if !config.TLS.RootCAs.AppendCertsFromPEM(text) {
			return nil, wrong("give a file with certificates in PEM", "--tls-ca: %s holds no certificate", f.TLSCA)
		}
	}
	conn, err := tablet.Dial(ctx, f.Address, config)
	if err != nil {
		return nil, err
	}
	return &access{Catalogue: conn, Reader: conn, logs: conn, what: "the server", close: conn.Close}, nil
}
