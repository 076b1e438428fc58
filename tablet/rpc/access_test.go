// SPDX-License-Identifier: Apache-2.0

package rpc_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/rpc"
	"github.com/forebay-io/forebay/tablet/wire"
	"github.com/forebay-io/forebay/test/tlstest"
)

const (
	adminToken  = "admin-token-0123456789"
	readerToken = "reader-token-0123456789"
	writerToken = "writer-token-0123456789"
)

func tokens(t *testing.T) *rpc.Tokens {
	t.Helper()
	sum := sha256.Sum256([]byte(writerToken))
	known, err := rpc.ParseTokens("tokens.txt", []byte("# who may do what\n\n"+adminToken+" read:* write:*\n"+
		readerToken+"\tread:clicks* read:users\nsha256:"+hex.EncodeToString(sum[:])+" write:clicks write:_dlq.flights\n"))
	if err != nil {
		t.Fatal(err)
	}
	return known
}

func TestTokensFilesAreReadWithAllTheirProblems(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "# nothing\n", []string{"tokens.txt: it holds no token"}},
		{"short", "secret read:*\n", []string{"tokens.txt:1: a token has 16 to 512 characters, and this one has 6"}},
		{"two problems", "hunter2-hunter2-hunter2\nsha256:zz read:*\n", []string{
			"tokens.txt:1: the token has no rights", "tokens.txt:2: sha256: is followed by 64 hexadecimal digits",
		}},
		{"a blank in a token", "hunter2-hunter2-hunter2 hunter2 read:*\n", []string{
			"tokens.txt:1: right 1 is not read:TABLES or write:TABLES",
		}},
		{"an unknown right", "hunter2-hunter2-hunter2 admin:*\n", []string{
			"tokens.txt:1: right 1 is neither read nor write",
		}},
		{"a broken pattern", "hunter2-hunter2-hunter2 read:[\n", []string{"tokens.txt:1: right 1 is not read:TABLES"}},
		{"twice", "hunter2-hunter2-hunter2 read:*\nhunter2-hunter2-hunter2 write:*\n", []string{
			"tokens.txt:2: the token of line 1 again",
		}},
	} {
		_, err := rpc.ParseTokens("tokens.txt", []byte(test.text))
		if forebay.ClassOf(err) != forebay.ClassMisconfigured || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q lacks %q", test.name, err, want)
			}
		}
	}
}

func FuzzParseTokens(f *testing.F) {
	f.Add([]byte(adminToken + " read:* write:clicks\n"))
	f.Add([]byte("sha256:00 read:["))
	f.Fuzz(func(t *testing.T, text []byte) {
		known, err := rpc.ParseTokens("x", text)
		if (known == nil) == (err == nil) {
			t.Errorf("%v, %v", known, err)
		}
	})
}

// problem is the error in the details of a status.
func problem(t *testing.T, err error) *forebay.Error {
	t.Helper()
	e := wire.FromStatus(err)
	if e == nil {
		t.Fatalf("no error of the server's: %v", err)
	}
	return e
}

func TestATokenMayDoWhatItsLineSays(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{Tokens: tokens(t)})
	clicks, users := w.logTable(t, "clicks"), w.logTable(t, "users")
	ctx := t.Context()
	for _, test := range []struct {
		name, token, code, says string
		call                    func(c wire.TabletsClient) error
	}{
		{"nobody lists", "", "unauthorized", "needs a token", func(c wire.TabletsClient) error {
			_, err := c.ListTables(ctx, &wire.ListTablesRequest{})
			return err
		}},
		{
			"a wrong token", "wrong-token-0123456789", "unauthorized", `to read table "clicks" needs a token`,
			func(c wire.TabletsClient) error {
				_, err := c.Count(ctx, &wire.CountRequest{Table: "clicks"})
				return err
			},
		},
		{"a reader counts", readerToken, "", "", func(c wire.TabletsClient) error {
			_, err := c.Count(ctx, &wire.CountRequest{Table: "clicks"})
			return err
		}},
		{
			"a reader drops", readerToken, "forbidden",
			`the token of line 4 of the tokens file has no right to write table "clicks"`, func(c wire.TabletsClient) error {
				_, err := c.DropTable(ctx, &wire.DropTableRequest{Name: "clicks"})
				return err
			},
		},
		{"a writer counts", writerToken, "forbidden", `no right to read table "clicks"`, func(c wire.TabletsClient) error {
			_, err := c.Count(ctx, &wire.CountRequest{Table: "clicks"})
			return err
		}},
		{"a writer describes what it writes", writerToken, "", "", func(c wire.TabletsClient) error {
			_, err := c.DescribeTable(ctx, &wire.DescribeTableRequest{Name: "clicks"})
			return err
		}},
		{
			"a writer creates another table", writerToken, "forbidden", `no right to write table "more"`,
			func(c wire.TabletsClient) error {
				_, err := c.CreateTable(ctx, &wire.CreateTableRequest{Table: wire.NewTable(forebay.TableSpec{
					Name: "more", Schema: numbers(),
				})})
				return err
			},
		},
		{"a writer fences its pipeline", writerToken, "", "", func(c wire.TabletsClient) error {
			_, err := c.Fence(ctx, &wire.FenceRequest{Owner: &wire.Owner{Pipeline: "flights", Epoch: 1, Holder: "h"}})
			return err
		}},
		{
			"a writer fences another pipeline", writerToken, "forbidden", `no right to write table "_dlq.others"`,
			func(c wire.TabletsClient) error {
				_, err := c.Fence(ctx, &wire.FenceRequest{Owner: &wire.Owner{Pipeline: "others", Epoch: 1, Holder: "h"}})
				return err
			},
		},
		{"a writer scans", writerToken, "forbidden", `no right to read table "users"`, func(c wire.TabletsClient) error {
			stream, err := c.Scan(ctx, &wire.ScanRequest{Table: "users", Tablet: -1})
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		}},
		{"nobody writes", "", "unauthorized", "needs a token", func(c wire.TabletsClient) error {
			stream, err := c.Write(ctx)
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		}},
	} {
		err := test.call(client(t, w.address, withToken(test.token)))
		if test.code == "" {
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if e := problem(t, err); e.Code != test.code || !strings.Contains(e.Error(), test.says) ||
			e.Class != forebay.ClassMisconfigured {
			t.Errorf("%s: %v", test.name, e)
		}
	}
	writer := openWrites(t, client(t, w.address, withToken(writerToken)))
	wants(t, writer.ask(t, request(t, clicks, 1, 1)), forebay.CodeOK)
	a := writer.ask(t, request(t, users, 2, 1))
	if wants(t, a, forebay.CodeForbidden); !strings.Contains(a.GetMessage(), `no right to write table "users"`) {
		t.Errorf("403 says %q", a.GetMessage())
	}
	list, err := client(t, w.address, withToken(writerToken)).ListTables(ctx, &wire.ListTablesRequest{})
	if err != nil || len(list.GetTables()) != 1 || list.GetTables()[0].GetName() != "clicks" {
		t.Errorf("the writer sees %v, %v", list.GetTables(), err)
	}
}

func TestACommitNeedsTheRightToEveryTableInIt(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{Tokens: tokens(t)})
	clicks, users := w.logTable(t, "clicks"), w.logTable(t, "users")
	c := client(t, w.address, withToken(writerToken))
	if _, err := c.Fence(t.Context(), &wire.FenceRequest{
		Owner: &wire.Owner{Pipeline: "flights", Epoch: 1, Holder: "h"}, Progress: true,
	}); err != nil {
		t.Fatal(err)
	}
	stream, err := c.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, test := range []struct {
		commit *wire.CommitRequest
		want   forebay.Code
	}{
		{commitOf("flights", 1, request(t, clicks, 0, 1)), forebay.CodeOK},
		{commitOf("flights", 2, request(t, clicks, 0, 2), request(t, users, 0, 2)), forebay.CodeForbidden},
		{commitOf("others", 2, request(t, clicks, 0, 2)), forebay.CodeForbidden},
		{commitOf("flights", 2, request(t, clicks, 0, 3)), forebay.CodeOK},
	} {
		if err := stream.Send(test.commit); err != nil {
			t.Fatal(err)
		}
		a, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if forebay.Code(a.GetCode()) != test.want {
			t.Errorf("commit %d: %d %q, want %d", i, a.GetCode(), a.GetMessage(), test.want)
		}
	}
}

func TestTLSEncryptsAndNamesTheServer(t *testing.T) {
	t.Parallel()
	certFile, keyFile := tlstest.Certificate(t)
	text, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	config, err := rpc.LoadTLS(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	w := begin(t, rpc.Config{TLS: config})
	good := client(t, w.address, withTLS(&tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}))
	if _, err := good.Cluster(t.Context(), &wire.ClusterRequest{}); err != nil {
		t.Error(err)
	}
	strange := client(t, w.address, withTLS(&tls.Config{ServerName: "127.0.0.1"}))
	if _, err := strange.Cluster(t.Context(), &wire.ClusterRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("a client that does not know the certificate: %v", err)
	}
	if _, err := w.Cluster(t.Context(), &wire.ClusterRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("a client without TLS: %v", err)
	}
	if _, err := rpc.LoadTLS(keyFile, certFile); forebay.ClassOf(err) != forebay.ClassMisconfigured {
		t.Errorf("key and certificate swapped: %v", err)
	}
}

func TestOtherMachinesAreRefusedWithoutProtection(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		address string
		guard   rpc.Guard
		refused bool
	}{
		{"127.0.0.1:0", rpc.Guard{}, false},
		{"localhost:0", rpc.Guard{}, false},
		{"[::1]:0", rpc.Guard{}, false},
		{"0.0.0.0:0", rpc.Guard{}, true},
		{":0", rpc.Guard{}, true},
		{":0", rpc.Guard{TLS: true}, true},
		{":0", rpc.Guard{Tokens: true}, true},
		{":0", rpc.Guard{TLS: true, Tokens: true}, false},
		{":0", rpc.Guard{Insecure: true}, false},
	} {
		l, err := rpc.Listen(t.Context(), test.address, test.guard)
		if l != nil {
			_ = l.Close()
		}
		if test.address == "[::1]:0" && err != nil && !strings.Contains(err.Error(), "not-protected") {
			continue // no IPv6 here
		}
		if refused := err != nil; refused != test.refused {
			t.Errorf("%s with %+v: %v", test.address, test.guard, err)
		}
	}
}
