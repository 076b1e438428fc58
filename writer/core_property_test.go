// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"fmt"
	"maps"
	"math/rand/v2"
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
	inRuns(t, 1_000, func(t *rapid.T) { newWorld(t, faults).run() })
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
	used    map[int64]bool       // requests whose data is in use
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
	tablets int
	// disorder says that one in so many requests may overtake others.
	disorder int
	network  []mishap            // what can become of a request, as often as it is likely
	expires  map[int64]time.Time // the deadlines of requests, by id
	last     map[int64]time.Time // when a row may be applied at the latest
	held     bool                // what is judged was held by the network for longer than its deadline can know
	load     loadModel
	ticked   bool // the last event was a tick
}

// track is the last attempt of a request.
type track struct {
	action action
	code   forebay.Code // of its answer
	flying bool
	retry  bool // it is sent again because an attempt failed
	at     time.Time
	rows   int
}

func newWorld(t *rapid.T, faults map[string]int) *world {
	config := coreConfig{
		tuning: Tuning{
			BatchSize: forebay.Bytes(rapid.IntRange(1, 6).Draw(t, "batch size")),
			Retries:   rapid.SampledFrom([]int{NoRetries, 2, forebay.Unlimited}).Draw(t, "retries"),
		},
		idempotent: rapid.IntRange(0, 7).Draw(t, "plain") != 7,
		locates:    rapid.Bool().Draw(t, "locates"),
		partial:    rapid.IntRange(0, 3).Draw(t, "partial") == 0,
		limits:     rapid.IntRange(0, 2).Draw(t, "limits") == 0,
	}
	config.unanswered = !config.idempotent && rapid.Bool().Draw(t, "unanswered")
	if config.limits {
		config.bytes = rapid.SampledFrom([]forebay.Bytes{0, 20}).Draw(t, "bytes")
	}
	if rapid.IntRange(0, 2).Draw(t, "deadline") == 0 {
		config.deadline = 2 * time.Second
	}
	w := &world{
		t: t, core: newCore(config), faults: faults, now: time.Unix(0, 0),
		content: map[int64][]modelRow{}, open: map[int64]bool{}, used: map[int64]bool{},
		fates: map[int64]Applied{}, tablet: map[int64]int{}, tracks: map[int64]track{}, numbers: map[modelKey]int64{},
		expires: map[int64]time.Time{}, last: map[int64]time.Time{}, network: drawNetwork(t),
		disorder: rapid.SampledFrom([]int{4, 1}).Draw(t, "disorder"),
		tablets:  rapid.SampledFrom([]int{2, 2, 2, 1, 40}).Draw(t, "tablets"),
	}
	w.load.world = w
	w.load.look()
	w.target = &modelTarget{
		partial: config.partial, readsFirst: rapid.Bool().Draw(t, "reads first"),
		rowsMax: rapid.SampledFrom([]int{2, 100}).Draw(t, "rows of a request"),
		applied: map[int][]int64{}, known: map[modelKey]*modelWriter{}, gone: map[string]bool{}, moved: map[int]bool{},
		synced: map[int]*modelMark{},
		fault:  t.Fatalf, apply: w.applies,
	}
	return w
}

func (w *world) chance(in int, what string) bool { return rapid.IntRange(1, in).Draw(w.t, what) == in }

func (w *world) injected(kind string) { w.faults[kind]++ }

func (w *world) run() {
	for range rapid.SampledFrom([]int{60, 250, 20, 5}).Draw(w.t, "steps") {
		switch rapid.IntRange(0, 19).Draw(w.t, "step") { // small numbers come more often
		case 1, 3, 5, 7:
			w.add()
		case 9, 11:
			w.now = w.now.Add(time.Duration(rapid.IntRange(1, 900).Draw(w.t, "ms")) * time.Millisecond)
			w.tick()
		case 13:
			if w.chance(2, "relieved") {
				w.core.relieve(w.now)
			} else {
				w.core.flush(w.now)
			}
		case 14, 15:
			w.identify()
		case 16, 17:
			w.locate()
		case 18:
			w.disturb()
		case 19:
			w.arriveLate()
		case 8:
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
	tablet := rapid.IntRange(0, w.tablets-1).Draw(w.t, "tablet")
	w.tablet[row.n] = tablet
	id := w.core.add(tablet, 1, w.now)
	if len(w.content[id]) == 0 && w.core.deadline > 0 {
		w.expires[id] = w.now.Add(w.core.deadline)
	}
	w.last[row.n] = w.expires[id]
	w.content[id] = append(w.content[id], row)
	w.open[id], w.used[id] = true, true
}

func (w *world) tick() {
	w.core.tick(w.now)
	w.ticked = true
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
	if err == nil {
		return
	}
	q := w.core.queues[a.tablet]
	again := func(b action) bool { return b.kind == actLocate && b.tablet == a.tablet }
	if slices.ContainsFunc(w.core.actions, again) && q.open == nil && len(q.ready) == 0 && len(q.sent) == q.flying {
		w.t.Fatalf("tablet %d is looked up again at once, and nothing waits for it", a.tablet)
	}
}

// disturb is what happens to the target, or to the knobs.
func (w *world) disturb() {
	switch rapid.IntRange(0, 4).Draw(w.t, "disturbance") {
	case 2:
		w.injected("crash that loses what was not durable")
		w.target.crash()
	case 0:
		if w.inits > 0 {
			w.injected("restart that forgets the writer")
			w.target.forget(fmt.Sprint("w", rapid.IntRange(1, w.inits).Draw(w.t, "writer")))
		}
	case 1:
		if w.core.locates {
			w.injected("leader move")
			w.target.moved[rapid.IntRange(0, w.tablets-1).Draw(w.t, "tablet")] = true
		}
	default:
		t := w.core.tuning
		t.MaxInflight = rapid.IntRange(1, 5).Draw(w.t, "window")
		t.BatchSize = forebay.Bytes(rapid.IntRange(1, 6).Draw(w.t, "batch size"))
		w.core.tune(t, w.now)
	}
}

// mishap is what becomes of a request on its way.
type mishap uint8

const (
	mishapNone mishap = iota
	mishapAnswerLost
	mishapLost
	mishapDelayed
	mishapOverload
	mishapServerError
	mishapRefused
	mishapRepeated
	mishapAnswerRepeated
	mishapAnswerDelayed
	mishapForbidden
	mishaps
)

// usual is how likely each is.
var usual = [mishaps]int{44, 8, 4, 8, 4, 4, 4, 4, 4, 12, 1}

// drawNetwork is what can become of requests: what is usual, or some of it never and some of it often, so that faults
// also come in numbers that are rare where all of them come.
func drawNetwork(t *rapid.T) (network []mishap) {
	swarm := rapid.Bool().Draw(t, "swarm")
	for f, weight := range usual {
		if swarm {
			weight *= rapid.SampledFrom([]int{0, 1, 6, 24}).Draw(t, "weight")
		}
		for range weight {
			network = append(network, mishap(f))
		}
	}
	network = append(network, mishapNone)
	// The first ones are drawn more often.
	rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 0)).Shuffle(len(network), func(i, j int) {
		network[i], network[j] = network[j], network[i]
	})
	return network
}

// arrive lets one request reach the target, or not, and its answer come back, or not.
func (w *world) arrive() {
	if len(w.flights) == 0 {
		return
	}
	i := 0
	if w.chance(w.disorder, "overtakes") {
		i = rapid.IntRange(0, len(w.flights)-1).Draw(w.t, "flight")
	}
	f := w.flights[i]
	w.flights = slices.Delete(w.flights, i, i+1)
	timeout := forebay.Answer{Code: rapid.SampledFrom([]forebay.Code{forebay.CodeTimeout, 0, 599}).Draw(w.t, "silence")}
	switch rapid.SampledFrom(w.network).Draw(w.t, "fate") {
	case mishapAnswerLost:
		w.injected("answer lost")
		f.silent = true
		w.judge(f)
		w.reply(f, timeout)
	case mishapLost:
		w.injected("request lost")
		w.reply(f, timeout)
	case mishapDelayed:
		w.injected("request delayed beyond its time-out")
		f.copied, f.held = true, rapid.Bool().Draw(w.t, "in the network")
		w.stale = append(w.stale, f)
		w.reply(f, timeout)
	case mishapOverload:
		w.injected("overload")
		after := time.Duration(rapid.SampledFrom([]int{300, 0, 2000}).Draw(w.t, "after")) * time.Millisecond
		w.reply(f, forebay.Answer{Code: forebay.CodeOverload, RetryAfter: after})
	case mishapServerError:
		w.injected("server error")
		w.reply(f, forebay.Answer{Code: forebay.CodeServerError, Class: forebay.ClassTransient})
	case mishapRefused:
		w.injected("refused connection")
		w.reply(f, forebay.Answer{Code: forebay.CodeNotLeader})
	case mishapRepeated:
		w.injected("request repeated")
		first := w.judge(f)
		second := w.judge(f)
		w.reply(f, rapid.SampledFrom([]forebay.Answer{first, second}).Draw(w.t, "answer"))
	case mishapAnswerRepeated:
		w.injected("answer repeated")
		answer := w.judge(f)
		w.late = append(w.late, response{f.action.tablet, f.action.id, f.action.attempt, answer})
		w.reply(f, answer)
	case mishapAnswerDelayed:
		w.injected("answer delayed")
		w.late = append(w.late, response{f.action.tablet, f.action.id, f.action.attempt, w.judge(f)})
	case mishapForbidden:
		w.injected("request refused for good")
		w.reply(f, forebay.Answer{Code: forebay.CodeForbidden})
	case mishapNone, mishaps:
		w.reply(f, w.judge(f))
	}
}

// judge lets a request reach the target. A request says how long it may still be applied, not until when, since clocks
// differ: while the network holds it that time does not pass.
func (w *world) judge(f message) forebay.Answer {
	w.held = f.held
	if f.held && !f.action.expires.IsZero() {
		f.action.expires = w.now.Add(f.action.expires.Sub(f.left))
	}
	if f.silent || f.copied {
		w.target.mark(f.action.tablet)
		return w.target.judge(f, w.now)
	}
	answer := w.target.judge(f, w.now)
	if answer.Code == forebay.CodeOK || answer.Code == forebay.CodeDuplicate { // no such answer before it is durable
		delete(w.target.synced, f.action.tablet)
	}
	return answer
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
		w.judge(f)
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
		if k.flying {
			w.load.answered(k, p.answer)
		}
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
	actions := w.core.take()
	w.load.event()
	for _, a := range actions {
		switch a.kind {
		case actSend:
			w.load.sent(a)
			w.sent(a)
		case actReject:
			w.rejected(a)
		case actSplit:
			rows := w.content[a.id]
			w.content[a.id], w.content[a.other] = rows[:a.row:a.row], rows[a.row:]
			w.open[a.other], w.used[a.other], w.expires[a.other] = true, true, w.expires[a.id]
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
	w.load.look()
	w.awake(w.ticked)
	w.ticked = false
}

// awake looks that the core is not asleep: it says when it must be called next, and before that there is nothing that
// it could do.
func (w *world) awake(ticked bool) {
	c := w.core
	if c.stopped {
		return
	}
	wake := c.wake()
	if ticked && !wake.IsZero() && !wake.After(w.now) {
		w.t.Fatalf("the core wants to be called at %s, and was called at %s", wake, w.now)
	}
	for _, q := range c.order {
		for _, at := range naiveTimes(c, q) {
			if at.After(w.now) && (wake.IsZero() || wake.After(at)) {
				w.t.Fatalf("something of tablet %d is due at %s, and the core wants to be called at %s", q.tablet, at, wake)
			}
		}
		if q.limited || q.planned != unplanned && !q.due.After(w.now) {
			continue
		}
		c.now = w.now
		if c.pump(q); len(c.actions) > 0 {
			w.t.Fatalf("nothing was due, and yet there is %+v to do", c.take())
		}
	}
}

// naiveTimes are the times at which something of a tablet is due.
func naiveTimes(c *core, q *queue) (times []time.Time) {
	all := slices.Concat(q.sent, q.ready)
	if q.open != nil {
		times = append(times, q.open.opened.Add(c.tuning.BatchTimeout))
		all = append(all, q.open)
	}
	for _, r := range all {
		if c.deadline > 0 && !r.expired {
			times = append(times, r.expires)
		}
	}
	if q.place == placeUnknown && c.locates && q.waits() {
		times = append(times, q.locateDue)
	}
	for _, r := range q.sent {
		if !r.flying {
			times = append(times, r.due)
		}
	}
	if len(q.ready) > 0 {
		times = append(times, q.ready[0].due)
	}
	if q.limited {
		times = append(times, c.limited.until)
	}
	return times
}

func (w *world) sent(a action) {
	q := w.core.queues[a.tablet]
	if !w.used[a.id] || !w.open[a.id] {
		w.t.Fatalf("W5: request %d is sent after its end", a.id)
	}
	if q.flying > MaxInflightDefault {
		w.t.Fatalf("W4: %d requests in flight", q.flying)
	}
	f := message{action: a, rows: slices.Clone(w.content[a.id]), left: w.now}
	if !w.core.idempotent {
		w.tracks[a.id] = track{action: a, flying: true, at: w.now, rows: len(f.rows)}
		w.flights = append(w.flights, f)
		return
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
	w.tracks[a.id] = track{action: a, flying: true, retry: retry, at: w.now, rows: len(f.rows)}
	key := modelKey{a.writerID, a.tablet}
	if highest, ok := w.numbers[key]; !ok && a.sequence != 0 || ok && a.sequence > highest+1 {
		w.t.Fatalf("W1: number %d of %v follows %d", a.sequence, key, highest)
	}
	w.numbers[key] = max(w.numbers[key], a.sequence)
	for _, other := range slices.Concat(w.stale, w.flights) {
		if other.action.tablet == a.tablet && other.action.writerID == a.writerID &&
			other.action.sequence == a.sequence && !slices.Equal(other.rows, f.rows) && w.target.takes(other) {
			w.t.Fatalf("W2: request %d gets number %d, and a copy of %d with it may still arrive",
				a.id, a.sequence, other.action.id)
		}
	}
	w.flights = append(w.flights, f)
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
	if !w.used[id] || w.tracks[id].flying && !w.core.stopped {
		w.t.Fatalf("W6: request %d is given back while it is in use, or twice", id)
	}
	delete(w.used, id)
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
	if w.core.idempotent && slices.Contains(have, n) {
		w.t.Fatalf("W2: row %d is applied twice: %v", n, have)
	}
	if last := w.last[n]; !last.IsZero() && !w.now.Before(last) && !w.held {
		w.t.Fatalf("row %d is applied at %s; its deadline was %s", n, w.now, last)
	}
	fate, told := w.fates[n]
	if told && fate == No {
		w.t.Fatalf("row %d was said not to be applied, and is now", n)
	}
	// W3: a row may come late only if it was told that nobody knows.
	if w.core.idempotent && len(have) > 0 && slices.Max(have) > n && (!told || fate != Unknown) {
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
			w.judge(f)
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

// finish lets everything through and looks that everything settles, by what the core asks for alone.
func (w *world) finish() {
	w.core.flush(w.now)
	w.absorb()
	for range 2000 {
		if w.core.unsettle == 0 && w.core.flying == 0 {
			for len(w.stale) > 0 {
				w.arriveLate()
			}
			w.ended()
			return
		}
		if w.underWay() {
			continue
		}
		wake := w.core.wake()
		if wake.IsZero() {
			w.t.Fatalf("%d requests are not settled, and nothing will happen", w.core.unsettle)
		}
		if wake.After(w.now) {
			w.now = wake
		}
		w.tick()
		w.absorb()
	}
	w.t.Fatalf("%d requests never settle", w.core.unsettle)
}

// underWay ends everything that is under way, and reports whether there was something.
func (w *world) underWay() bool {
	busy := w.asked || len(w.lookups)+len(w.flights)+len(w.late) > 0
	w.identify()
	w.absorb()
	for len(w.lookups) > 0 {
		a := w.lookups[0]
		w.lookups = w.lookups[1:]
		w.target.moved[a.tablet] = false
		w.core.located(a.tablet, nil, w.now)
		w.absorb()
	}
	for len(w.flights) > 0 {
		if w.chance(4, "a copy comes first") {
			w.arriveLate()
		}
		f := w.flights[0]
		w.flights = w.flights[1:]
		w.reply(f, w.judge(f))
		w.absorb()
	}
	for len(w.late) > 0 {
		p := w.late[0]
		w.late = w.late[1:]
		w.answer(p)
		w.absorb()
	}
	return busy
}

// ended looks that nothing is left.
func (w *world) ended() {
	if len(w.open) > 0 || len(w.used) > 0 {
		w.t.Fatalf("W6: %d requests are open and %d in use at the end", len(w.open), len(w.used))
	}
	for n := range w.rows {
		if _, told := w.fates[n]; !told {
			w.t.Fatalf("W5: row %d is never told", n)
		}
	}
}
