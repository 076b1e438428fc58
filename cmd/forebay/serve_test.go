// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/writer"
)

// serveArguments carries the command line of a process that TestServeProcess becomes.
const serveArguments = "FOREBAY_TEST_SERVE"

// TestServeProcess is a process of its own where another test starts it.
func TestServeProcess(t *testing.T) {
	line, found := os.LookupEnv(serveArguments)
	if !found {
		return // it is started by other tests
	}
	a := &app{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, width: func() int { return 0 }, lookupEnv: os.LookupEnv,
		environ: os.Environ,
	}
	os.Exit(runProcess(a, strings.Split(line, "\n")))
}

// served is forebay serve in a process of its own.
type served struct {
	process *exec.Cmd
	lines   *bufio.Reader
	said    bytes.Buffer
	address string
}

// serve starts forebay serve on a free port.
func serve(t *testing.T, args ...string) *served {
	t.Helper()
	s := &served{process: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServeProcess$")}
	args = append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)
	s.process.Env = append(os.Environ(), serveArguments+"="+strings.Join(args, "\n"))
	out, err := s.process.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.lines = bufio.NewReader(out)
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.process.ProcessState == nil {
			_ = s.process.Process.Kill()
			_ = s.process.Wait()
		}
	})
	return s
}

// says waits for a line with these words.
func (s *served) says(t *testing.T, words string) string {
	t.Helper()
	for {
		line, err := s.lines.ReadString('\n')
		s.said.WriteString(line)
		if strings.Contains(line, words) {
			return line
		}
		if err != nil {
			t.Fatalf("it never says %q, but %q", words, s.said.String())
		}
	}
}

var addressIn = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// serves waits until it serves, or stands by.
func (s *served) serves(t *testing.T, words string) {
	t.Helper()
	s.address = addressIn.FindString(s.says(t, words))
}

// ends waits for the end of the process and returns its exit code.
func (s *served) ends(t *testing.T) int {
	t.Helper()
	for {
		line, err := s.lines.ReadString('\n')
		s.said.WriteString(line)
		if err != nil {
			break
		}
	}
	_ = s.process.Wait()
	return s.process.ProcessState.ExitCode()
}

func (s *served) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := s.process.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// shortDir is a folder whose path leaves room for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fb") //nolint:usetesting // a test's own folder is too deep for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestServeIsUsedByTheTableCommands(t *testing.T) {
	state := shortDir(t)
	s := serve(t, "--state", state)
	s.serves(t, "serving ")
	if !strings.Contains(s.said.String(), "no TLS, no tokens") || !strings.Contains(s.said.String(), state) {
		t.Errorf("it says %q", s.said.String())
	}
	var c console
	at := []string{"--address", s.address}
	table := func(args ...string) string {
		t.Helper()
		return mustRun(t, c, append(append([]string{"table"}, args...), at...)...)
	}
	table("create", "ids", "--column", "id:int64", "--column", "text:string", "--key", "id")
	if out := table("ls"); !strings.Contains(out, "ids") {
		t.Errorf("ls: %q", out)
	}
	writeRows(t, span{s.address, 0, 3}, tablet.Conn.Upsert)
	for _, test := range []struct{ line, want string }{
		{"scan ids", "id,text\n0,row 0\n1,row 1\n2,row 2\n"},
		{"scan ids --where id>0 --select text", "text\nrow 1\nrow 2\n"},
		{"scan ids --count", "3\n"},
		{"get ids 1", "id,text\n1,row 1\n"},
	} {
		if out := table(strings.Fields(test.line)...); out != test.want {
			t.Errorf("%s: %q, want %q", test.line, out, test.want)
		}
	}
	// The directory's own way, through the socket of its owner, shows the same.
	if out := mustRun(t, c, "table", "scan", "ids", "--count", "--state", state); out != "3\n" {
		t.Errorf("through the socket: %q", out)
	}
	table("drop", "ids", "--yes")
	got := c.run(t, "table", "scan", "ids", "--address", s.address)
	if got.code != exitWrong || !strings.Contains(got.err, "the server holds no tables") {
		t.Errorf("a table that is gone: %+v", got)
	}
	s.signal(t, syscall.SIGTERM)
	if code := s.ends(t); code != exitDone || !strings.Contains(s.said.String(), "everything accepted was answered") {
		t.Errorf("exit %d, %q", code, s.said.String())
	}
}

// span is rows of the table ids at an address.
type span struct {
	address  string
	from, to int
}

// openWriter is Append or Upsert of a connection.
type openWriter func(tablet.Conn, context.Context, string, writer.Config) (*writer.Writer, error)

// writeRows writes rows through a writer of its own.
func writeRows(t *testing.T, s span, open openWriter) {
	t.Helper()
	conn, err := tablet.Dial(t.Context(), s.address, tablet.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := open(conn, t.Context(), "ids", writer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := conn.Describe(t.Context(), "ids")
	if err != nil {
		t.Fatal(err)
	}
	for i := s.from; i < s.to; i++ {
		row := forebay.NewRow(info.Schema)
		if err := row.SetInt("id", int64(i)); err != nil {
			t.Fatal(err)
		}
		if err := row.SetText("text", fmt.Sprintf("row %d", i)); err != nil {
			t.Fatal(err)
		}
		if len(info.Key) > 0 {
			row.SetOp(forebay.OpUpsert)
		}
		if _, err := w.Append(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAStandbyTakesOverFromAnOwnerThatEndsOrDies(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			state := shortDir(t)
			owner := serve(t, "--state", state)
			owner.serves(t, "serving ")
			second := serve(t, "--state", state)
			if code := second.ends(t); code != exitWrong || !strings.Contains(second.said.String(), "--standby") {
				t.Fatalf("a second server without --standby: exit %d, %q", code, second.said.String())
			}
			standby := serve(t, "--state", state, "--standby")
			standby.serves(t, "standing by at ")
			if !strings.Contains(standby.said.String(), owner.address) {
				t.Errorf("the standby says %q and the owner is %s", standby.said.String(), owner.address)
			}
			var c console
			both := owner.address + "," + standby.address
			mustRun(t, c, "table", "create", "ids", "--column", "id:int64", "--column", "text:string",
				"--address", standby.address)
			written := make(chan struct{})
			runBeside(func() {
				defer close(written)
				for i := range 20 {
					writeRows(t, span{both, 10 * i, 10*i + 10}, tablet.Conn.Append)
				}
			})
			<-time.After(50 * time.Millisecond)
			owner.signal(t, signal)
			if code := owner.ends(t); signal == syscall.SIGTERM && code != exitDone {
				t.Errorf("the owner: exit %d, %q", code, owner.said.String())
			}
			standby.says(t, "serving ")
			<-written
			out := mustRun(t, c, "table", "scan", "ids", "--select", "id", "--address", both)
			seen := map[string]int{}
			for line := range strings.SplitSeq(strings.TrimSuffix(out, "\n"), "\n") {
				seen[line]++
			}
			if len(seen) != 201 { // with the header
				t.Errorf("%d different rows of 200", len(seen)-1)
			}
			for line, n := range seen {
				if n != 1 {
					t.Errorf("row %s is there %d times", line, n)
				}
			}
			standby.signal(t, syscall.SIGTERM)
			if code := standby.ends(t); code != exitDone {
				t.Errorf("the standby: exit %d, %q", code, standby.said.String())
			}
		})
	}
}

func TestAStandbyThatIsStoppedEndsWithoutTakingOver(t *testing.T) {
	state := shortDir(t)
	owner := serve(t, "--state", state)
	owner.serves(t, "serving ")
	standby := serve(t, "--state", state, "--standby")
	standby.serves(t, "standing by at ")
	standby.signal(t, syscall.SIGTERM)
	if code := standby.ends(t); code != exitDone {
		t.Errorf("exit %d, %q", code, standby.said.String())
	}
	text, err := os.ReadFile(filepath.Join(state, "LOCK"))
	if err != nil || !strings.Contains(string(text), "address: "+owner.address) {
		t.Errorf("LOCK shows %q, %v", text, err)
	}
}

func TestServeChecksTokens(t *testing.T) {
	state := shortDir(t)
	tokens := writeFile(t, "tokens.txt", "0123456789abcdef-reader read:*\n0123456789abcdef-all read:* write:*\n")
	s := serve(t, "--state", state, "--tokens", tokens)
	s.serves(t, "serving ")
	if !strings.Contains(s.said.String(), "tokens, no TLS") || strings.Contains(s.said.String(), "0123456789abcdef") {
		t.Errorf("it says %q", s.said.String())
	}
	create := []string{"table", "create", "ids", "--column", "id:int64", "--address", s.address}
	for _, test := range []struct {
		name string
		c    console
		args []string
		code int
		want string
	}{
		{"no token", console{}, create, exitWrong, "--token"},
		{
			"a reader",
			console{env: map[string]string{tokenVariable: "0123456789abcdef-reader"}},
			create, exitWrong,
			`the token of line 1 of the tokens file has no right to write table "ids"`,
		},
		{"the flag", console{}, append(create, "--token", "0123456789abcdef-all"), exitDone, ""},
	} {
		got := test.c.run(t, test.args...)
		if got.code != test.code || !strings.Contains(got.err, test.want) {
			t.Errorf("%s: exit %d, %q", test.name, got.code, got.err)
		}
	}
}

func TestScanFollowsALog(t *testing.T) {
	state := shortDir(t)
	s := serve(t, "--state", state)
	s.serves(t, "serving ")
	var c console
	mustRun(t, c, "table", "create", "ids", "--column", "id:int64", "--column", "text:string", "--tablets", "2",
		"--address", s.address)
	writeRows(t, span{s.address, 0, 5}, tablet.Conn.Append)
	for _, where := range [][]string{{"--address", s.address}, {"--state", state}} {
		scan := append([]string{"table", "scan", "ids"}, where...)
		out := mustRun(t, c, append(scan, "--from-offset", "3")...)
		if out != "id,text\n3,row 3\n4,row 4\n" {
			t.Errorf("%v from offset 3: %q", where, out)
		}
		if out := mustRun(t, c, append(scan, "--from-offset", "1", "--count", "--where", "id!=2")...); out != "3\n" {
			t.Errorf("%v counted: %q", where, out)
		}
		out = mustRun(t, c, append(scan, "--follow", "--limit", "4", "--select", "id", "--format", "ndjson")...)
		if strings.Count(out, "\n") != 4 || !strings.Contains(out, `{"id":0}`) {
			t.Errorf("%v followed to the limit: %q", where, out)
		}
	}
	done := make(chan string, 2)
	for _, where := range [][]string{{"--address", s.address}, {"--state", state}} {
		runBeside(func() {
			done <- c.run(t, append([]string{"table", "scan", "ids", "--follow", "--limit", "8"}, where...)...).out
		})
	}
	writeRows(t, span{s.address, 5, 8}, tablet.Conn.Append)
	for range 2 {
		out := <-done
		for i := range 8 {
			if !strings.Contains(out, fmt.Sprintf("%d,row %d\n", i, i)) {
				t.Errorf("row %d is missing: %q", i, out)
			}
		}
	}
	s.signal(t, syscall.SIGTERM)
	if code := s.ends(t); code != exitDone {
		t.Errorf("exit %d", code)
	}
	// Nobody owns the directory now, so the command opens it.
	life, stop := context.WithCancelCause(t.Context())
	follower := console{life: func() context.Context { return life }}
	runBeside(func() { done <- follower.run(t, "table", "scan", "ids", "--follow", "--state", state).out })
	<-time.After(time.Second)
	stop(forebay.ErrStopped)
	if out := <-done; strings.Count(out, "\n") != 9 {
		t.Errorf("followed until it was stopped: %q", out)
	}
}

func TestServeExplainsWrongCommandLines(t *testing.T) {
	state := t.TempDir()
	short := writeFile(t, "tokens.txt", "secret read:*\n")
	for _, test := range []struct{ line, want string }{
		{"serve --listen nowhere --state " + state, `"nowhere" is no HOST:PORT`},
		{"serve --listen 0.0.0.0:0 --state " + state, "say --insecure"},
		{"serve --tls-cert x --state " + state, "--tls-cert and --tls-key belong together"},
		{"serve --tls-cert x --tls-key y --state " + state, "no such file"},
		{"serve --tokens nowhere.txt --state " + state, "--tokens: open nowhere.txt"},
		{"serve --tokens " + short + " --state " + state, short + ":1: a token has 16 to 512 characters"},
		{"serve --memory lots --state " + state, "--memory"},
		{"serve --memory 1MB --state " + state, "is too little"},
		{"serve --shutdown-timeout 0s --state " + state, "no time to wait"},
		{"serve --advertise nowhere --state " + state, "--advertise"},
		{"serve --stanby --state " + state, `did you mean "--standby"?`},
		{"table ls --address 127.0.0.1 --token x", "host:port"},
		{"table ls --address 127.0.0.1:1 --state " + state, "--state names a directory and --address a server"},
		{"table ls --token x", "name the server with --address"},
		{"table ls --address 127.0.0.1:1 --tls-ca nowhere.pem", "--tls-ca"},
		{"table scan x --follow --count --state " + state, "use --format csv or ndjson"},
		{"table scan x --from-offset=-1 --state " + state, "--from-offset -1 is negative"},
	} {
		var c console
		got := c.run(t, strings.Fields(test.line)...)
		if got.code != exitWrong || got.out != "" || !strings.Contains(got.err, test.want) ||
			!strings.HasPrefix(got.err, "error: ") || strings.Contains(got.err, "secret read") {
			t.Errorf("%s: exit %d, %q, %q", test.line, got.code, got.out, got.err)
		}
	}
	if made := tree(t, state); len(made) != 1 {
		t.Errorf("something was made: %v", made)
	}
}
