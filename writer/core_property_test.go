// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

// TestCoreProperties runs random events and faults against a naive target. W1, W2, W3, W4, W5, W6: nothing that is
// said to be applied is lost, nothing is applied twice, the order per tablet is that of appending, numbers have no
// gap, every request settles once, every settlement tells the truth then and for ever, and everything is given back.
// FOREBAY_WRITER_RUNS sets the number of runs.
func TestCoreProperties(t *testing.T) {
	t.Parallel()
	faults := map[string]int{}
	inRuns(t, 400, func(t *rapid.T) { newWorld(t, faults).run() })
	logFaults(t, faults)
}

// inRuns checks a property so many times, or as many as the environment says.
func inRuns(t *testing.T, runs int, property func(t *rapid.T)) {
	t.Helper()
	if text := os.Getenv("FOREBAY_WRITER_RUNS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		runs = n
	}
	for done := 0; done < runs && !t.Failed(); done += 100 { // rapid checks a property 100 times
		rapid.Check(t, property)
	}
	t.Logf("%d runs", runs)
}

func logFaults(t *testing.T, faults map[string]int) {
	t.Helper()
	var out strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(faults)) {
		fmt.Fprintf(&out, "\n%9d  %s", faults[kind], kind)
	}
	t.Logf("faults by kind:%s", out.String())
}

// world is a core, its target and the network between them.
type world struct {
	t       *rapid.T
	core    *core
	target  *modelTarget
	faults  map[string]int
	now     time.Time
	rows    int64
	content map[int64][]modelRow // of the requests, by id
	open    map[int64]bool       // requests that are not settled
	held    map[int64]bool       // requests whose data is in use
	fates   map[int64]Applied    // of the rows that were told
	tablet  map[int64]int        // of the rows
	flights []message            // on their way to the target
	stale   []message            // copies whose sender was told that nobody knows
	late    []response           // answers on their way back
	asked   bool
	inits   int
	lookups []action
	tracks  map[int64]track
	numbers map[modelKey]int64 // the highest that was sent
}

// track is the last attempt of a request.
type track struct {
	action action
	code   forebay.Code // of its answer
	flying bool
	retry  bool // it is sent again because an attempt failed
}

func newWorld(t *rapid.T, faults map[string]int) *world {
	config := coreConfig{
		tuning: Tuning{
			BatchSize: forebay.Bytes(rapid.IntRange(1, 6).Draw(t, "batch size")),
			Retries:   rapid.SampledFrom([]int{NoRetries, 2, forebay.Unlimited}).Draw(t, "retries"),
		},
		idempotent: true,
		locates:    rapid.Bool().Draw(t, "locates"),
		partial:    rapid.IntRange(0, 3).Draw(t, "partial") == 0,
	}
	if rapid.IntRange(0, 2).Draw(t, "deadline") == 0 {
		config.deadline = 2 * time.Second
	}
	w := &world{
		t: t, core: newCore(config), faults: faults, now: time.Unix(0, 0),
		content: map[int64][]modelRow{}, open: map[int64]bool{}, held: map[int64]bool{},
		fates: map[int64]Applied{}, tablet: map[int64]int{}, tracks: map[int64]track{}, numbers: map[modelKey]int64{},
	}
	w.target = &modelTarget{
		partial: config.partial, rowsMax: rapid.SampledFrom([]int{2, 100}).Draw(t, "rows of a request"),
		applied: map[int][]int64{}, known: map[modelKey]*modelWriter{}, gone: map[string]bool{}, moved: map[int]bool{},
		fault: t.Fatalf, apply: w.applies,
	}
	return w
}

func (w *world) chance(in int, what string) bool { return rapid.IntRange(1, in).Draw(w.t, what) == in }

func (w *world) injected(kind string) { w.faults[kind]++ }

func (w *world) run() {
	for range rapid.IntRange(1, 150).Draw(w.t, "steps") {
		switch rapid.IntRange(0, 19).Draw(w.t, "step") {
		case 0, 1, 2, 3, 4:
			w.add()
		case 5, 6:
			w.now = w.now.Add(time.Duration(rapid.IntRange(1, 900).Draw(w.t, "ms")) * time.Millisecond)
			w.core.tick(w.now)
		case 7:
			w.core.flush(w.now)
		case 8:
			w.identify()
		case 9:
			w.locate()
		case 10:
			w.disturb()
		case 11:
			w.arriveLate()
		case 12:
			w.answerLate()
		default:
			w.arrive()
		}
		w.absorb()
	}
	if w.chance(4, "closed") {
		w.close()
		return
	}
	w.finish()
}

func (w *world) add() {
	row := modelRow{n: w.rows, bad: w.chance(12, "bad"), large: w.chance(25, "large")}
	w.rows++
	tablet := rapid.IntRange(0, 1).Draw(w.t, "tablet")
	w.tablet[row.n] = tablet
	id := w.core.add(tablet, 1, w.now)
	w.content[id] = append(w.content[id], row)
	w.open[id], w.held[id] = true, true
}

func (w *world) identify() {
	if w.asked {
		w.asked = false
		w.inits++
		w.core.identify(fmt.Sprint("w", w.inits), nil, w.now)
	}
}

func (w *world) locate() {
	if len(w.lookups) == 0 {
		return
	}
	a := w.lookups[0]
	w.lookups = w.lookups[1:]
	var err error
	switch {
	case w.chance(20, "never"):
		w.injected("look-up that fails for good")
		err = forebay.Errorf("locate", forebay.ClassMisconfigured, "too many partitions")
	case w.chance(5, "not now"):
		w.injected("look-up that fails")
		err = forebay.Errorf("locate", forebay.ClassTransient, "nobody answers")
	default:
		if a.refresh {
			w.target.moved[a.tablet] = false
		}
	}
	w.core.located(a.tablet, err, w.now)
}

// disturb is what happens to the target, or to the knobs.
func (w *world) disturb() {
	switch rapid.IntRange(0, 3).Draw(w.t, "disturbance") {
	case 0:
		if w.inits > 0 {
			w.injected("restart that forgets the writer")
			w.target.forget(fmt.Sprint("w", rapid.IntRange(1, w.inits).Draw(w.t, "writer")))
		}
	case 1:
		if w.core.locates {
			w.injected("leader move")
			w.target.moved[rapid.IntRange(0, 1).Draw(w.t, "tablet")] = true
		}
	default:
		t := w.core.tuning
		t.MaxInflight = rapid.IntRange(1, 5).Draw(w.t, "window")
		t.BatchSize = forebay.Bytes(rapid.IntRange(1, 6).Draw(w.t, "batch size"))
		w.core.tune(t, w.now)
	}
}

// arrive lets one request reach the target, or not, and its answer come back, or not.
func (w *world) arrive() {
	if len(w.flights) == 0 {
		return
	}
	i := 0
	if w.chance(4, "overtakes") {
		i = rapid.IntRange(0, len(w.flights)-1).Draw(w.t, "flight")
	}
	f := w.flights[i]
	w.flights = slices.Delete(w.flights, i, i+1)
	timeout := forebay.Answer{Code: rapid.SampledFrom([]forebay.Code{forebay.CodeTimeout, 0, 599}).Draw(w.t, "silence")}
	switch rapid.IntRange(0, 24).Draw(w.t, "fate") {
	case 0, 1:
		w.injected("answer lost")
		w.target.judge(f, w.now)
		w.reply(f, timeout)
	case 2:
		w.injected("request lost")
		w.reply(f, timeout)
	case 3, 4:
		w.injected("request delayed beyond its time-out")
		f.copied = true
		w.stale = append(w.stale, f)
		w.reply(f, timeout)
	case 5:
		w.injected("overload")
		w.reply(f, forebay.Answer{Code: forebay.CodeOverload, RetryAfter: 300 * time.Millisecond})
	case 6:
		w.injected("server error")
		w.reply(f, forebay.Answer{Code: forebay.CodeServerError, Class: forebay.ClassTransient})
	case 7:
		w.injected("refused connection")
		w.reply(f, forebay.Answer{Code: forebay.CodeNotLeader})
	case 8:
		w.injected("request repeated")
		first := w.target.judge(f, w.now)
		second := w.target.judge(f, w.now)
		w.reply(f, rapid.SampledFrom([]forebay.Answer{first, second}).Draw(w.t, "answer"))
	case 9:
		w.injected("answer repeated")
		answer := w.target.judge(f, w.now)
		w.late = append(w.late, response{f.action.tablet, f.action.id, f.action.attempt, answer})
		w.reply(f, answer)
	case 10, 11, 12:
		w.injected("answer delayed")
		w.late = append(w.late, response{f.action.tablet, f.action.id, f.action.attempt, w.target.judge(f, w.now)})
	case 13:
		if !w.chance(4, "forbidden") {
			w.reply(f, w.target.judge(f, w.now))
			return
		}
		w.injected("request refused for good")
		w.reply(f, forebay.Answer{Code: forebay.CodeForbidden})
	default:
		w.reply(f, w.target.judge(f, w.now))
	}
}

// arriveLate lets a copy reach the target whose sender gave it up, or loses it.
func (w *world) arriveLate() {
	if len(w.stale) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.stale)-1).Draw(w.t, "copy")
	f := w.stale[i]
	w.stale = slices.Delete(w.stale, i, i+1)
	if !w.chance(5, "lost in the end") {
		w.injected("copy that arrives late")
		w.target.judge(f, w.now)
	}
}

func (w *world) answerLate() {
	if len(w.late) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.late)-1).Draw(w.t, "answer")
	p := w.late[i]
	w.late = slices.Delete(w.late, i, i+1)
	w.answer(p)
}

func (w *world) reply(f message, a forebay.Answer) {
	w.answer(response{tablet: f.action.tablet, id: f.action.id, attempt: f.action.attempt, answer: a})
}

func (w *world) answer(p response) {
	if k := w.tracks[p.id]; k.action.attempt == p.attempt {
		k.flying, k.code = false, p.answer.Code
		w.tracks[p.id] = k
	}
	w.injectedCode(p.answer.Code)
	w.core.reply(p, w.now)
}

func (w *world) injectedCode(code forebay.Code) {
	switch code {
	case forebay.CodeSequenceGap, forebay.CodeUnknownWriter, forebay.CodeRowsRejected, forebay.CodeTooLarge,
		forebay.CodeDuplicate, forebay.CodeNotLeader:
		w.injected(fmt.Sprintf("(answers %d)", code))
	default:
	}
}

// absorb does what the core wants and checks each action.
func (w *world) absorb() {
	for _, a := range w.core.take() {
		switch a.kind {
		case actSend:
			w.sent(a)
		case actReject:
			w.rejected(a)
		case actSplit:
			rows := w.content[a.id]
			w.content[a.id], w.content[a.other] = rows[:a.row:a.row], rows[a.row:]
			w.open[a.other], w.held[a.other] = true, true
		case actSettle:
			w.settled(a)
		case actFree:
			w.free(a.id)
		case actInit:
			w.asked = true
		case actLocate:
			for _, other := range w.lookups {
				if other.tablet == a.tablet {
					w.t.Fatalf("two look-ups of tablet %d", a.tablet)
				}
			}
			w.lookups = append(w.lookups, a)
		case actClose, actRetry:
		}
	}
}

func (w *world) sent(a action) {
	q := w.core.queues[a.tablet]
	if !w.held[a.id] || !w.open[a.id] {
		w.t.Fatalf("W5: request %d is sent after its end", a.id)
	}
	if q.flying > MaxInflightDefault {
		w.t.Fatalf("W4: %d requests in flight", q.flying)
	}
	before := w.tracks[a.id]
	again := before.action.attempt > 0 && before.action.writerID == a.writerID && before.action.sequence == a.sequence
	if again && before.flying {
		w.t.Fatalf("W4: request %d is in flight twice", a.id)
	}
	for id, other := range w.tracks {
		if !other.flying || other.action.tablet != a.tablet || other.action.writerID != a.writerID {
			continue
		}
		if other.retry && (!again || other.action.sequence < a.sequence) {
			w.t.Fatalf("W4: request %d goes beside %d, which is tried again", a.id, id)
		}
		if !w.open[id] && other.action.sequence < a.sequence {
			w.t.Fatalf("W4: request %d goes behind %d, whose number is unresolved", a.id, id)
		}
	}
	retry := again && !slices.Contains([]forebay.Code{
		forebay.CodeSequenceGap, forebay.CodeUnknownWriter, forebay.CodeRowsRejected, forebay.CodeTooLarge,
	}, before.code)
	if i := slices.IndexFunc(q.sent, func(r *request) bool { return r.id == a.id }); !q.sent[i].trying {
		retry = false // it was numbered anew, by chance under its old number
	}
	w.tracks[a.id] = track{action: a, flying: true, retry: retry}
	key := modelKey{a.writerID, a.tablet}
	if highest, ok := w.numbers[key]; !ok && a.sequence != 0 || ok && a.sequence > highest+1 {
		w.t.Fatalf("W1: number %d of %v follows %d", a.sequence, key, highest)
	}
	w.numbers[key] = max(w.numbers[key], a.sequence)
	w.flights = append(w.flights, message{action: a, rows: slices.Clone(w.content[a.id])})
}

func (w *world) rejected(a action) {
	rows := w.content[a.id]
	bad := map[int]bool{}
	for _, r := range a.rows {
		bad[r.Row] = true
		if row := rows[r.Row]; !row.bad && !row.large {
			w.t.Fatalf("row %d is good and was rejected", row.n)
		}
		w.tell(rows[r.Row].n, No)
	}
	var left []modelRow
	for i, row := range rows {
		if !bad[i] {
			left = append(left, row)
		}
	}
	w.content[a.id] = left
}

func (w *world) settled(a action) {
	if !w.open[a.id] {
		w.t.Fatalf("W5: request %d settled twice", a.id)
	}
	delete(w.open, a.id)
	refused := map[int]bool{}
	if a.settled.applied == Yes {
		for _, r := range a.settled.answer.Rows {
			refused[r.Row] = true
		}
	}
	for i, row := range w.content[a.id] {
		if refused[i] {
			w.tell(row.n, No)
			continue
		}
		w.tell(row.n, a.settled.applied)
		at := a.settled.answer.Offset + int64(i)
		if a.settled.applied == Yes && len(refused) == 0 && !a.settled.unplaced {
			if have := w.target.applied[a.tablet]; at >= int64(len(have)) || have[at] != row.n {
				w.t.Fatalf("row %d is said to be at %d of %v", row.n, at, have)
			}
		}
	}
	if !a.settled.flying {
		w.free(a.id)
	}
}

func (w *world) free(id int64) {
	if !w.held[id] || w.tracks[id].flying && !w.core.stopped {
		w.t.Fatalf("W6: request %d is given back while it is in use, or twice", id)
	}
	delete(w.held, id)
}

// tell notes what is said of a row, once.
func (w *world) tell(n int64, fate Applied) {
	if _, twice := w.fates[n]; twice {
		w.t.Fatalf("W5: row %d is told twice", n)
	}
	w.fates[n] = fate
	applied := slices.Contains(w.target.applied[w.tablet[n]], n)
	if fate == Yes && !applied || fate == No && applied {
		w.t.Fatalf("row %d is said to be %s; applied: %v", n, fate, applied)
	}
}

// applies is called before the target applies a row.
func (w *world) applies(tablet int, n int64) {
	have := w.target.applied[tablet]
	if slices.Contains(have, n) {
		w.t.Fatalf("W2: row %d is applied twice: %v", n, have)
	}
	fate, told := w.fates[n]
	if told && fate == No {
		w.t.Fatalf("row %d was said not to be applied, and is now", n)
	}
	// W3: a row may come late only if it was told that nobody knows.
	if len(have) > 0 && slices.Max(have) > n && (!told || fate != Unknown) {
		w.t.Fatalf("W3: row %d is applied after %v", n, have)
	}
}

// close ends everything in the middle.
func (w *world) close() {
	w.injected("closed with requests in flight")
	w.core.stop()
	for len(w.flights) > 0 {
		f := w.flights[0]
		w.flights = w.flights[1:]
		if w.chance(2, "applied") {
			w.target.judge(f, w.now)
		}
		w.reply(f, forebay.Answer{Code: forebay.CodeTimeout})
		w.absorb()
	}
	for len(w.late) > 0 {
		w.answer(w.late[0])
		w.late = w.late[1:]
		w.absorb()
	}
	w.core.abandon()
	w.absorb()
	for len(w.stale) > 0 {
		w.arriveLate()
	}
	w.ended()
}

// finish lets everything through and looks that everything settles.
func (w *world) finish() {
	for range 1000 {
		w.absorb()
		if w.core.unsettle == 0 && w.core.flying == 0 {
			for len(w.stale) > 0 {
				w.arriveLate()
			}
			w.ended()
			return
		}
		w.identify()
		for len(w.lookups) > 0 {
			a := w.lookups[0]
			w.lookups = w.lookups[1:]
			w.target.moved[a.tablet] = false
			w.core.located(a.tablet, nil, w.now)
		}
		w.core.flush(w.now)
		w.absorb()
		for len(w.flights) > 0 {
			f := w.flights[0]
			w.flights = w.flights[1:]
			w.reply(f, w.target.judge(f, w.now))
			w.absorb()
		}
		for len(w.late) > 0 {
			p := w.late[0]
			w.late = w.late[1:]
			w.answer(p)
			w.absorb()
		}
		wake := w.core.wake()
		if wake.IsZero() || wake.Before(w.now) {
			wake = w.now
		}
		w.now = wake
		w.core.tick(w.now)
	}
	w.t.Fatalf("%d requests never settle", w.core.unsettle)
}

// ended looks that nothing is left.
func (w *world) ended() {
	if len(w.open) > 0 || len(w.held) > 0 {
		w.t.Fatalf("W6: %d requests are open and %d in use at the end", len(w.open), len(w.held))
	}
	for n := range w.rows {
		if _, told := w.fates[n]; !told {
			w.t.Fatalf("W5: row %d is never told", n)
		}
	}
}
