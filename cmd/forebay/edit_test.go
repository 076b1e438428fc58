// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// editing is a pipeline over NDJSON without a schema; its sink comes behind it.
const editing = `name: edit
source: { file: { path: %s, format: ndjson } }
transform:
  - filter: status == "ok" && amount > 1
  - set: { total: amount * count, label: 'upper(status) + "-" + name', count: 'count ?? 0' }
  - drop: [secret]
  - rename: { name: who }
`

func TestNDJSONIsEditedInPlaceWhereNoRowsAreNeeded(t *testing.T) {
	input := writeFile(t, "in.ndjson", strings.Join([]string{
		` { "name" : "\u0041nn", "status":"ok" ,"amount":1.50,"count":2,"secret":[1,{"x":2}],` +
			`"id":12345678901234567890,"user":{ "city" : "Bern" } }`,
		`{"name":"Bob","status":"late","amount":7,"count":1}`,
		`{"status":"ok","name":"Cy","amount":2.25,"count":null}`,
		`{"name":"Di","status":"ok","amount":9`,
		`{"name":"Ed","status":"ok","amount":"9","count":1}`,
		``,
		`{"name":"Fay","status":"ok","amount":3.5,"count":4,"more":true}`,
	}, "\n"))
	file := writeFile(t, "edit.yaml", fmt.Sprintf(editing, input)+
		"  - set: { user.city: 'user.city ?? \"?\"', user.zip: count }\n  - cast: { count: string }\nsink: { stdout: {} }\n")
	var c console
	got := c.run(t, "run", file, "--state", t.TempDir(), "--log-level", "error")
	want := ` { "who":"\u0041nn", "status":"ok" ,"amount":1.50,"count":"2",` +
		`"id":12345678901234567890,"user":{ "city" : "Bern","zip":2 },"total":3,"label":"OK-Ann" }` + "\n" +
		`{"status":"ok","who":"Cy","amount":2.25,"count":"0","total":null,"label":"OK-Cy",` +
		`"user":{"city":"?","zip":0}}` + "\n" +
		`{"who":"Fay","status":"ok","amount":3.5,"count":"4","more":true,"total":14,"label":"OK-Fay",` +
		`"user":{"city":"?","zip":4}}` + "\n"
	if got.code != exitDone || got.out != want {
		t.Errorf("exit %d\n%s", got.code, cmp.Diff(want, got.out))
	}
	if !strings.HasPrefix(got.err, "edit  done  read 6  filtered 1  rejected 2  delivered 3") {
		t.Error(got.err)
	}
}

func TestEditedJSONAndTypedRowsHaveTheSameValues(t *testing.T) {
	var lines []string
	for i := range 200 {
		line := fmt.Sprintf(`{"id": %d, "status": "%s", "amount": %d.5, "name": "n\u00e9-%d", "secret": %d, "flag": %t`,
			i, []string{"ok", "late", "ok"}[i%3], i%7, i, i, i%2 == 0)
		if i%5 > 0 {
			line += fmt.Sprintf(`, "count": %d`, i-100)
		}
		lines = append(lines, line+"}")
	}
	input := writeFile(t, "in.ndjson", strings.Join(lines, "\n"))
	head := fmt.Sprintf(editing, input)
	var c console
	edited := mustRun(t, c, "run", writeFile(t, "edit.yaml", head+"sink: { stdout: {} }\n"), "--state", t.TempDir(),
		"--log-level", "error")
	state := t.TempDir()
	file := writeFile(t, "rows.yaml", head+"sink: { table: { name: edited, key: [id] } }\n")
	mustRun(t, c, "run", file, "--state", state)
	typed := mustRun(t, c, "table", "scan", "edited", "--format", "ndjson", "--state", state)
	if strings.Count(typed, "\n") < 50 || !strings.Contains(edited, `"id": 3, "status": "ok"`) {
		t.Fatalf("%d rows, and\n%s", strings.Count(typed, "\n"), edited)
	}
	if diff := cmp.Diff(objects(t, typed), objects(t, edited)); diff != "" {
		t.Error(diff)
	}
}

// objects reads lines of JSON; a field that is null counts as missing.
func objects(t *testing.T, text string) (out []map[string]any) {
	t.Helper()
	for line := range strings.Lines(text) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for name, value := range o {
			if value == nil {
				delete(o, name)
			}
		}
		out = append(out, o)
	}
	return out
}

func TestCheckExplainsEditsOfJSON(t *testing.T) {
	input := writeFile(t, "in.ndjson", `{"a":1}`)
	head := fmt.Sprintf("name: edit\nsource: { file: { path: %s, format: ndjson } }\ntransform:\n", input)
	var c console
	out := mustRun(t, c, "check", writeFile(t, "right.yaml", head+"  - drop: [a.b]\nsink: { stdout: {} }\n"))
	if !strings.Contains(out, "records stay JSON, and what no step touches comes out byte for byte") {
		t.Error(out)
	}
	out = mustRun(t, c, "check", writeFile(t, "rows.yaml", head+"  - set: { b: a }\nsink: { stdout: { format: csv } }\n"))
	if strings.Contains(out, "records stay JSON") {
		t.Error(out)
	}
	got := c.run(t, "check", writeFile(t, "wrong.yaml",
		head+"  - filter: a == null\n  - set: { a..b: upper(1) }\n  - rename: { x.y: z }\nsink: { stdout: {} }\n"))
	for _, want := range []string{
		`wrong.yaml:4:18`, `"null" is no value`, "write nil", `wrong.yaml:5:12`, `"a..b" is not a path`, "wrong.yaml:5:24",
		"upper takes a string, not an int", `wrong.yaml:6:15`, `"x.y" cannot become "z" in another object`,
	} {
		if got.code != exitWrong || !strings.Contains(got.err, want) {
			t.Errorf("no %s in\n%s", want, got.err)
		}
	}
}
