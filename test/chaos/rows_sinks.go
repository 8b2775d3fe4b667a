package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/oracle"
)

// rowsOfSinks are the faults of the systems at the end of the pipeline.
func rowsOfSinks() []row {
	return []row{
		{name: "F11", title: "the sink is down", run: sinkDown,
			promise: "all waits in the stream, the publisher's memory stays as it is"},
		{name: "F11S", title: "the sink is down for minutes at 50,000 points/s, beside one that is not", part: func(s settings) bool { return !s.long },
			run: func(t *trial) {
				t.sinkDownLong(t.span(5*time.Second, 30*time.Second), t.span(20*time.Second, 150*time.Second), youngBus)
			},
			promise: "no plugin grows by more than 20 MB, the other sink is never without points for 5 s"},
		{name: "F11L", title: "the sink is down for 10 minutes at 50,000 points/s, beside one that is not", within: 25 * time.Minute, part: func(s settings) bool { return s.long },
			run:     func(t *trial) { t.sinkDownLong(130*time.Second, 10*time.Minute, growth) },
			promise: "no process grows by more than 20 MB, the other sink is never without points for 5 s"},
		{name: "F12", title: "a sink is silent, then takes 1 byte/s, beside one that is well", run: sinkSlow,
			promise: "the slow one's calls end by their timeout, the other notices nothing"},
		{name: "F12S", title: "the sink stores at once, and answers after 12 s", run: sinkLate,
			promise: "its batches stay with the publisher however long they take: none is given again, and none comes twice"},
		{name: "F13", title: "the sink refuses points with 400, 422 and 413, and all with 401, 403 or 404", short: true, run: sinkRefuses,
			promise: "400 and 422: each refused point is a dead letter, with the reason, and no other is; 413: halved until it fits, one point that never does is a dead letter; 401, 403, 404: an alarm, all waits and arrives later"},
		{name: "F13P", title: "the sink stores a body but for some points, and answers 400", run: sinkPartial,
			promise: "each refused point is a dead letter and no other is; while they are looked for, points that were stored are written again, with the same ids"},
		{name: "F14", title: "the sink answers 429 with Retry-After: 2, then 500, 502, 503, 504", short: true, run: sinkBusy,
			promise: "never asked before Retry-After has passed, else after 1 s, 2 s ... 1 min, each less up to a half"},
		{name: "F15", title: "the sink stores, and resets the connection before its answer", short: true, run: sinkMute,
			promise: "exactly the points that were stored without an answer come again, with the same ids"},
	}
}

// youngBus is by how much a bus may grow that is younger than two minutes: it remembers for so long which messages it has, and
// has not yet as many to remember as later.
const youngBus = 64 << 20

// F11
func sinkDown(t *trial) {
	p := t.proxyTo(strings.TrimPrefix(t.sink.URL, "http://"))
	t.up(pipeline{sink: "http://" + p.Address()})
	t.load(t.standard())
	t.hold(3 * time.Second)
	memory := t.watchMemory()
	p.Set(cut)
	t.hold(t.span(8*time.Second, time.Minute)) // F11S takes longer, with more
	t.bitesWhile(p)
	t.noteMemory("while the sink was down", memory, youngBus)
	t.comesBack(p, 2)
	t.kept()
	t.settle()
}

// kept checks that the publisher was given nothing again: what waits with it is kept from others by signs of life.
func (t *trial) kept() {
	if n := t.info("out").Stats.Redelivered; n > 0 {
		t.errorf("%d batches were given to the publisher again", n)
	}
}

// comesBack lets a sink that was away be there again, and measures how fast what has waited arrives.
func (t *trial) comesBack(p *proxy, least float64) {
	healed := time.Now()
	p.Set(pass)
	d := t.drained(4*time.Minute, time.Second)
	t.note("drained at %v", d)
	if d.out < least*d.in {
		t.errorf("drained at %v, want %.0f", d, least)
	}
	t.healed(healed, time.Minute)
}

// othersGap is how long a sink may be without points while another one is away.
const othersGap = 5 * time.Second

// sinkDownLong is F11S and F11L: after a while the sink is down for so long, and the bus may grow by so much meanwhile.
func (t *trial) sinkDownLong(before, down time.Duration, bus int64) {
	p := t.proxyTo(strings.TrimPrefix(t.sink.URL, "http://"))
	other := t.beside()
	t.up(pipeline{sink: "http://" + p.Address(), sync: "always, max_store: 16GiB"})
	t.must(t.add("other", fmt.Sprintf("publish: { other: { use: influxdb, from: mid, url: %q, database: chaos, compression: none } }", other.URL)), "add a publisher")
	t.load(load{hosts: 20, batches: 500, points: 100})
	t.sleep(before)
	other.oracle.Restart()
	memory := t.watchMemory()
	p.Set(cut)
	t.sleep(down)
	t.bitesWhile(p)
	t.noteMemory("while the sink was down", memory, bus)
	_, gap := other.oracle.Gaps()
	memory = t.watchMemory()
	t.comesBack(p, 5)
	t.noteMemory("while it was drained", memory, 256<<20) // the bus reads from disk as fast as it can, and keeps for 10 s what it has read
	_, whole := other.oracle.Gaps()
	t.note("the other sink was without points for %s at most while the first was down, and for %s at all", round(gap), round(whole))
	if whole > othersGap {
		t.errorf("the other sink was without points for %v", whole)
	}
	t.settleLoad() // what is on the bus is too much to be looked at
	t.settleBeside(other, "the other sink", 0)
}

// F12
func sinkSlow(t *trial) {
	slow := t.beside()
	p := t.proxyTo(strings.TrimPrefix(slow.URL, "http://"))
	t.up(pipeline{})
	timeout := t.span(2*time.Second, 30*time.Second)
	t.must(t.add("slow", fmt.Sprintf("publish: { slow: { use: influxdb, from: mid, url: \"http://%s\", database: chaos, compression: none, timeout: %v } }", p.Address(), timeout)), "add a publisher")
	t.load(t.standard())
	t.hold(time.Second)
	before := t.pulse(t.span(3*time.Second, 20*time.Second))
	t.note("latency of the healthy sink before: %v", before)
	was := t.info("slow")
	files, memory := openFiles(was.PID), t.watchMemory()
	p.Set(blackhole)
	t.suffers("silent", before)
	p.Set(pass)
	p.Slow(0, 1)
	t.suffers("at 1 byte/s", before)
	is := t.info("slow")
	if n := is.Stats.Errors["timeout"]; n > was.Stats.Errors["timeout"] {
		t.bite("%d calls ended by the timeout", n)
	}
	if n := openFiles(is.PID); n > files+4 || is.PID != was.PID {
		t.errorf("the publisher of the slow sink has %d files and connections open, %d before; process %d, before %d", n, files, is.PID, was.PID)
	}
	t.noteMemory("beside the slow sink", memory, youngBus)
	healed, owed := time.Now(), t.oracle.Obligations()
	p.Slow(0, 0)
	took := t.await(2*time.Minute, "the slow sink has what waited", func() error { return yet(slow.oracle.Settled(owed)) })
	t.note("the slow sink had caught up %s after it was well", round(took))
	t.healed(healed, time.Minute)
	t.settle()
	// A body that a dead connection still held may come after its request was given up.
	t.settleBeside(slow, "the slow sink", int(t.info("slow").Stats.Errors["timeout"])*slow.longest())
}

// suffers measures how long points take to the first sink while another one is ill.
func (t *trial) suffers(ill string, before pulse) {
	during := t.pulse(t.span(5*time.Second, 45*time.Second))
	t.note("while the other is %s: %v", ill, during)
	t.slower(before, during)
}

// F12S
func sinkLate(t *trial) {
	t.up(pipeline{})
	t.load(load{hosts: 20, batches: 100, points: 20})
	t.hold(time.Second)
	var asked diary
	late := func(w http.ResponseWriter, r *http.Request, body []byte, take func([]byte)) {
		take(body)
		select {
		case <-time.After(12 * time.Second): // longer than the bus waits for a sign of life
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusNoContent)
	}
	t.sink.Behave(asked.noting(late))
	t.hold(t.span(25*time.Second, time.Minute))
	gaps := asked.gaps()
	t.sink.Behave(nil)
	t.healed(time.Now(), time.Minute)
	t.bite("asked again after %v", gaps)
	if len(gaps) == 0 || slices.Min(gaps) < 12*time.Second {
		t.errorf("the sink was asked after %v", gaps)
	}
	t.kept()
	t.settle()
}

// F13
func sinkRefuses(t *trial) {
	t.up(pipeline{})
	t.load(t.standard())
	t.hold(time.Second)
	buried := 0
	for _, one := range []struct {
		gourmet gourmet
		reason  string
	}{
		{gourmet{code: http.StatusBadRequest}, "rejected"},
		{gourmet{code: http.StatusUnprocessableEntity}, "rejected"},
		{gourmet{code: http.StatusRequestEntityTooLarge, most: 16 << 10}, "too_large"},
	} {
		buried += badOf * len(t.refuses(one.gourmet, one.reason, buried))
	}
	denials := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound}
	if t.short {
		denials = denials[t.random.IntN(len(denials)):][:1]
	}
	for i, code := range denials {
		t.denies(code, i+1)
	}
	t.kept()
	t.settle()
	if n := len(t.bury("out", 0)); t.oracle.Count().Buried != buried || n == 0 {
		t.errorf("%d points are dead letters, want %d", t.oracle.Count().Buried, buried)
	}
}

// Of a batch of so many points of the host "bad" a gourmet takes all but two.
const badSize, badOf = 20, 2

// refuses has the sink refuse some points of batches for good: they are dead letters, after those of before.
func (t *trial) refuses(g gourmet, reason string, before int) (posted []oracle.Batch) {
	const batches = 4
	t.sink.Behave(g.behave)
	from := t.oracle.Source("bad", t.nextBoot())
	last := t.lastLetter()
	for range batches {
		posted = append(posted, from.Issue(badSize))
		t.must(t.source.post(t.ctx, posted[len(posted)-1]), "post points that the sink will refuse")
		t.sleep(100 * time.Millisecond)
	}
	begin := time.Now()
	t.await(time.Minute, "the refused points are dead letters", func() error {
		letters := t.bury("out", last)
		if n := t.oracle.Count().Buried - before; n < batches*badOf {
			return fmt.Errorf("%d points of %d: %v", n, batches*badOf, reasons(letters))
		}
		return nil
	})
	letters := t.bury("out", last)
	t.bite("%d: dead letters %v", g.code, reasons(letters))
	for _, l := range letters {
		if l.Reason != reason || !strings.Contains(l.Error, "points that are never taken") && g.code != http.StatusRequestEntityTooLarge {
			t.errorf("a dead letter of %d has reason %q and error %q", g.code, l.Reason, l.Error)
		}
	}
	t.healed(begin, time.Minute)
	t.sink.Behave(nil)
	return posted
}

// lastLetter is the number of the last dead letter of the publisher.
func (t *trial) lastLetter() uint64 {
	all := t.bury("out", 0)
	if len(all) == 0 {
		return 0
	}
	return all[len(all)-1].Seq
}

// denies has the sink deny everything until somebody acts. The n-th alarm is raised.
func (t *trial) denies(code, n int) {
	letters := len(t.bury("out", 0))
	var asked diary
	t.sink.Behave(asked.noting(answer(code, nil, "nobody may")))
	t.await(readyWithin, "an alarm is raised", func() error { return yet(len(t.events("denied", "out")) >= n) })
	t.hold(3 * time.Second)
	p := t.info("out")
	if p.State != "running" || p.Stats.LastError == nil || p.Stats.LastError.Code != "denied" || !strings.Contains(p.Reason, "nobody may") {
		t.errorf("plugin info at %d: %+v", code, p)
	}
	if now := len(t.bury("out", 0)); now != letters || len(t.events("denied", "out")) != n {
		t.errorf("%d dead letters by %d, and events %q", now-letters, code, t.events("denied", "out"))
	}
	denied, healed := len(asked.gaps())+1, time.Now()
	t.sink.Behave(asked.noting(well))
	t.await(2*time.Minute, "the sink is asked again", func() error { return yet(len(asked.gaps()) >= denied) })
	t.sink.Behave(nil)
	gaps := asked.gaps()[:denied] // the last of them is the one to the first answer that is well
	t.bite("%d: %q, asked again after %v", code, p.Reason, gaps)
	if least := slices.Min(gaps); least < 14*time.Second {
		t.errorf("after %d asked again within %v", code, least)
	}
	t.healed(healed, 2*time.Minute)
}

// F13P
func sinkPartial(t *trial) {
	t.up(pipeline{})
	t.load(t.standard())
	t.hold(time.Second)
	taken := newTally()
	buried := badOf * len(t.refuses(gourmet{code: http.StatusBadRequest, partial: true, taken: taken}, "rejected", 0))
	t.hold(time.Second)
	t.settle()
	t.mayDouble(taken.points())
	t.note("%d points were stored by calls that were refused", taken.points())
	if t.bury("out", 0); t.oracle.Count().Buried != buried {
		t.errorf("%d points are dead letters, want %d", t.oracle.Count().Buried, buried)
	}
}

// F14
func sinkBusy(t *trial) {
	t.up(pipeline{})
	t.load(t.standard())
	t.hold(time.Second)
	t.pushes(http.StatusTooManyRequests, http.Header{"Retry-After": {"2"}}, func(int) time.Duration { return 2 * time.Second })
	busy := []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
	if t.short {
		busy = busy[t.random.IntN(len(busy)):][:1]
	}
	for _, code := range busy {
		t.pushes(code, nil, func(try int) time.Duration { return 500 * time.Millisecond << try })
	}
	t.kept()
	t.settle()
}

// pushes has the sink answer with a code for a while. Between two tries at least so much time passes.
func (t *trial) pushes(code int, header http.Header, least func(try int) time.Duration) {
	letters := len(t.bury("out", 0))
	var asked diary
	begin := time.Now()
	t.sink.Behave(asked.noting(answer(code, header, "too much")))
	t.hold(t.span(5*time.Second, 15*time.Second))
	gaps := asked.gaps()
	t.sink.Behave(nil)
	healed := time.Now()
	if len(gaps) > 0 {
		t.bite("%d: asked again after %v", code, gaps)
	} else {
		t.missed(fmt.Sprintf("%d: the sink was asked once", code))
	}
	for i, gap := range gaps {
		if gap < least(i) {
			t.errorf("after %d asked again within %v, want %v", code, gap, least(i))
		}
	}
	t.note("%d: %.0f tries a minute", code, float64(len(gaps)+1)/healed.Sub(begin).Minutes())
	if n := len(t.bury("out", 0)); n != letters {
		t.errorf("%d made %d dead letters", code, n-letters)
	}
	t.healed(healed, 2*time.Minute)
}

// F15
func sinkMute(t *trial) {
	t.up(pipeline{})
	t.load(t.standard())
	t.hold(time.Second)
	m := newMute(5)
	t.sink.Behave(m.behave)
	t.hold(t.span(6*time.Second, 30*time.Second))
	t.sink.Behave(nil)
	t.healed(time.Now(), time.Minute)
	t.kept()
	t.settle()
	resets, points := m.seen()
	if resets > 0 {
		t.bite("%d answers were resets", resets)
	}
	t.mayDouble(points)
	t.note("%d points were stored without an answer, in %d requests", points, resets)
	if twice := t.oracle.Count().Duplicated; twice != points {
		t.errorf("%d points came twice, but %d were stored without an answer", twice, points)
	}
}
