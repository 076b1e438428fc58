// SPDX-License-Identifier: Apache-2.0

package net_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/connector"
	"github.com/forebay-io/forebay/connector/file"
	"github.com/forebay-io/forebay/connector/table"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/tablet/rpc"
	"github.com/forebay-io/forebay/test/tlstest"
	"github.com/forebay-io/forebay/writer"
)

const (
	fullToken   = "full-token-0123456789"
	readerToken = "reader-token-0123456789"
	wrongToken  = "wrong-token-0123456789"
)

// guarded is a server that speaks TLS and asks for a token, and the file with the certificate to trust it by.
func guarded(t *testing.T) (w *world, ca string) {
	t.Helper()
	certFile, keyFile := tlstest.Certificate(t)
	config, err := rpc.LoadTLS(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := rpc.ParseTokens("tokens", []byte(fullToken+" read:* write:*\n"+readerToken+" read:clicks\n"))
	if err != nil {
		t.Fatal(err)
	}
	return beginWith(t, rpc.Config{TLS: config, Tokens: tokens}), certFile
}

// trusting is TLS that trusts a certificate.
func trusting(t *testing.T, ca string) *tls.Config {
	t.Helper()
	config, err := (&connector.TLS{CA: ca}).Config()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// What a token may do it does over TLS, through connections that break; what it may not is refused for good.
func TestAClientWithATokenWorksOverTLS(t *testing.T) {
	t.Parallel()
	w, ca := guarded(t)
	w.table(t, forebay.TableSpec{Name: "clicks", Tablets: 1})
	conn := w.dial(t, tablet.Config{TLS: trusting(t, ca), Token: fullToken})
	out, err := conn.Append(t.Context(), "clicks", writer.Config{Tuning: stubborn()})
	if err != nil {
		t.Fatal(err)
	}
	settled(t, appendRows(t, out, 0, 500))
	w.proxy.Cut()
	settled(t, appendRows(t, out, 500, 1000))
	if err := out.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	reader := w.dial(t, tablet.Config{TLS: trusting(t, ca), Token: readerToken})
	rows, err := reader.Scan(t.Context(), tablet.ScanRequest{Table: "clicks"})
	if err != nil {
		t.Fatal(err)
	}
	ascending(t, scanned(t, rows), 1000)
	refused, err := reader.Append(t.Context(), "clicks", writer.Config{})
	if err == nil {
		receipts := appendRows(t, refused, 1000, 1001)
		_, err = receipts[0].Wait(t.Context())
		_ = refused.Close() // what it holds was refused
	}
	if forebay.ClassOf(err) != forebay.ClassMisconfigured {
		t.Errorf("a reader that writes: %v", err)
	}
	if got := len(w.stored(t, "clicks")); got != 1000 {
		t.Errorf("the table holds %d rows, want 1000", got)
	}
}

func TestAServerWithTLSAndTokensSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	w, ca := guarded(t)
	w.table(t, forebay.TableSpec{Name: "clicks"})
	otherCA, _ := tlstest.Certificate(t)
	for _, test := range []struct {
		name   string
		config tablet.Config
		class  forebay.Class
		says   string
	}{
		{"no TLS", tablet.Config{Token: fullToken}, forebay.ClassTransient, w.proxy.Addr()},
		{
			"another certificate",
			tablet.Config{TLS: trusting(t, otherCA), Token: fullToken},
			forebay.ClassTransient,
			"certificate",
		},
		{"no token", tablet.Config{TLS: trusting(t, ca)}, forebay.ClassMisconfigured, "token"},
		{"a wrong token", tablet.Config{TLS: trusting(t, ca), Token: wrongToken}, forebay.ClassMisconfigured, "token"},
	} {
		test.config.ConnectTimeout = time.Second
		conn, err := tablet.Dial(t.Context(), w.proxy.Addr(), test.config)
		if err == nil {
			_, err = conn.Count(t.Context(), "clicks")
			if err := conn.Close(); err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
		}
		if forebay.ClassOf(err) != test.class || !strings.Contains(err.Error(), test.says) ||
			strings.Contains(err.Error(), wrongToken) {
			t.Errorf("%s: %v (%s), want %s with %q", test.name, err, forebay.ClassOf(err), test.class, test.says)
		}
	}
}

// The settings of a pipeline's sink and source reach the connection.
func TestAPipelineDeliversOverTLSWithAToken(t *testing.T) {
	t.Parallel()
	const rows = 5000
	w, ca := guarded(t)
	remote := table.Remote{
		Address: w.proxy.Addr(), TLS: &connector.TLS{CA: ca}, Auth: &connector.Auth{Token: fullToken},
	}
	state := t.TempDir()
	for _, config := range []pipeline.Config{
		{
			Name: "there", Source: file.Source{Path: numbersFile(t, rows), Format: csv.Format{}},
			Sink: table.Sink{Name: "numbers", Tablets: 1, Remote: remote},
		},
		{
			Name: "back", Source: table.Source{Name: "numbers", Mode: table.ModeOnce, Remote: remote},
			Sink: table.Sink{Name: "copies", Tablets: 1, Remote: remote},
		},
	} {
		config.State = state
		p, err := pipeline.New(config)
		if err != nil {
			t.Fatal(err)
		}
		summary, err := p.Run(t.Context())
		if err != nil || summary.Delivered != rows || summary.Guarantee != pipeline.GuaranteeExactlyOnce {
			t.Fatalf("%+v: %v", summary, err)
		}
	}
	ascending(t, w.stored(t, "numbers"), rows)
	ascending(t, w.stored(t, "copies"), rows)
}
