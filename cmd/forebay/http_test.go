// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forebay-io/forebay/test/port"
)

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := port.Free(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func asked(t *testing.T, method, url, body string) (code int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(read)
}

func TestARunShowsMetricsHealthAndKnobs(t *testing.T) {
	address := freeAddress(t)
	state := filepath.Join(t.TempDir(), "state")
	stop := begin(t, state, writeFile(t, "endless.yaml", generator), "--set", "http.listen="+address)
	url := "http://" + address
	eventually(t, "records in the metrics", func() bool {
		code, text := asked(t, http.MethodGet, url+"/metrics", "")
		const name = `forebay_pipeline_committed_records_total{pipeline="endless"} `
		return code == http.StatusOK && strings.Contains(text, name) && !strings.Contains(text, name+"0")
	})
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, text := asked(t, http.MethodGet, url+path, ""); code != http.StatusOK || !strings.Contains(text, "running") {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	code, text := asked(t, http.MethodPatch, url+"/tuning", `{"checkpoint.interval": "20ms", "checkpoint.bytes": "1MB"}`)
	if code != http.StatusOK || !strings.Contains(text, `"20ms"`) || !strings.Contains(text, `"1MB"`) {
		t.Errorf("%d %s", code, text)
	}
	for body, want := range map[string]int{
		`{"max.inflight": 1}`: http.StatusOK, `{"writer.max.inflight": 2}`: http.StatusOK,
		`{"max.inflight": 4}`: http.StatusBadRequest, `{"max.inflight": 0}`: http.StatusBadRequest,
	} {
		if code, text = asked(t, http.MethodPatch, url+"/tuning", body); code != want || !strings.Contains(text, "1 to 3") {
			t.Errorf("%s: %d %s", body, code, text)
		}
	}
	code, text = asked(t, http.MethodPatch, url+"/tuning", `{"checkpoint.interval": "20ms", "checkpoint.bytes": "9GB"}`)
	if code != http.StatusBadRequest || !strings.Contains(text, "write 256KB to ") {
		t.Errorf("%d %s", code, text)
	}
	if code, text = asked(t, http.MethodPatch, url+"/tuning", `{"batch.size": "9MB"}`); code != http.StatusBadRequest ||
		!strings.Contains(text, "known: checkpoint.bytes, checkpoint.interval, max.inflight") {
		t.Errorf("%d %s", code, text)
	}
	var c console
	got := c.run(t, "run", writeFile(t, "other.yaml", strings.ReplaceAll(generator, "endless", "other")), "--state",
		t.TempDir(), "--set", "http.listen="+address)
	if got.code != exitWrong || got.out != "" || !strings.Contains(got.err, "http.listen") {
		t.Errorf("an address that is taken: %+v", got)
	}
	if got := stop(); got.code != exitDone {
		t.Errorf("%+v", got)
	}
	if code, _ := asked(t, http.MethodGet, url+"/healthz", ""); code != 0 {
		t.Errorf("after the run: %d", code)
	}
}

func TestPipelinesOfAProcessHaveOneAddress(t *testing.T) {
	first := writeFile(t, "a.yaml", generator+"http: { listen: \"127.0.0.1:7001\" }\n")
	other := strings.ReplaceAll(generator, "endless", "other")
	second := writeFile(t, "b.yaml", other+"http: { listen: \"127.0.0.1:7002\" }\n")
	var c console
	got := c.run(t, "run", first, second, "--state", t.TempDir())
	if got.code != exitWrong || !strings.Contains(got.err, "127.0.0.1:7001 and 127.0.0.1:7002 in one process") {
		t.Errorf("%+v", got)
	}
}

// Over a network the lanes of a pipeline share a limiter, which the metrics show like that of a writer.
func TestARunOverTheNetworkShowsItsLimiter(t *testing.T) {
	s := serve(t, "--state", shortDir(t))
	s.serves(t, "serving ")
	address := freeAddress(t)
	stop := begin(t, filepath.Join(t.TempDir(), "state"), writeFile(t, "endless.yaml", generator),
		"--set", "http.listen="+address, "--set", "sink.table.address="+s.address, "--set", "lanes=1")
	url := "http://" + address
	shows := func(lines ...string) bool {
		_, text := asked(t, http.MethodGet, url+"/metrics", "")
		for _, line := range lines {
			if !strings.Contains(text, line) {
				return false
			}
		}
		return true
	}
	eventually(t, "the limiter in the metrics", func() bool {
		return shows(`forebay_writer_limit_max_requests{table="numbers"} 3`,
			`forebay_writer_limit_requests{table="numbers"} `,
			`forebay_writer_limit_changes_total{reason="room",table="numbers"} `)
	})
	if code, text := asked(t, http.MethodPatch, url+"/tuning", `{"max.inflight": 2}`); code != http.StatusOK {
		t.Errorf("%d %s", code, text)
	}
	if !shows(`forebay_writer_limit_max_requests{table="numbers"} 2`) {
		t.Error("the limiter does not know the new window")
	}
	if got := stop(); got.code != exitDone {
		t.Errorf("%+v", got)
	}
}
