package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/lab"
)

// rowsOfInput are the faults of what comes in: plugins that are none, floods, bytes that are no points.
func rowsOfInput() []row {
	return []row{
		{name: "F20", title: "a plugin that exits at once", short: true, run: pluginExits,
			promise: "started again at once, then after 1, 2, 4 ... 60 s, each and up to a quarter more; failed after ten starts in 10 minutes, until somebody restarts it"},
		{name: "F21", title: "a plugin floods: a million points a second, bytes on its output without a newline", run: pluginFloods,
			promise: "what is above max_rate is dropped, counted and told; of the output the first 8 KiB are logged; the others go on"},
		{name: "F22", title: "malformed input, by HTTP and on the bus", short: true, run: inputMalformed,
			promise: "by HTTP: 400, counted; on the bus: dead letters with the code; no process ends, the next good batch passes"},
		{name: "F23", title: "a body and a point larger than a message may be", short: true, run: pointTooLarge,
			promise: "the body is split; the point is refused by name with 413; the connections to the bus stay"},
	}
}

// F20
func pluginExits(t *trial) {
	t.up(pipeline{})
	t.load(t.standard())
	before, err := t.place.Plugins(t.ctx)
	t.must(err, "list the plugins")
	starts, works := t.place.Path("starts"), t.place.Path("works")
	begin, agent := time.Now(), t.system.agent.PID()
	used, err := lab.CPU(agent)
	t.must(err, "look at the CPU")
	script := fmt.Sprintf("echo >>%s; test -e %s && exec %s plugin run host; exit 3", starts, works, t.place.Binary)
	if err := t.add("bad", fmt.Sprintf("collect: { bad: { run: [sh, -c, %q] } }", script)); err == nil {
		t.errorf("plugin load says that a plugin works which exits at once")
	}
	t.sleep(t.span(12*time.Second, time.Minute) - time.Since(begin))
	now, err := lab.CPU(agent)
	t.must(err, "look at the CPU")
	n, most := linesOf(starts), t.times(6, 7)
	if n > 1 {
		t.bite("%d starts in %v", n, time.Since(begin).Round(time.Second))
	}
	t.note("%d starts in %s, with %.1f %% of a core for agent and bus", n, round(time.Since(begin)), 100*(now-used).Seconds()/time.Since(begin).Seconds())
	if n > most {
		t.errorf("%d starts in %s, want %d at most", n, round(time.Since(begin)), most)
	}
	if !t.short {
		t.awaitPlugin("bad", 5*time.Minute, "has failed", func(p lab.Plugin) bool { return p.State == "failed" })
		t.note("%d starts until it has failed", linesOf(starts))
	}
	if downs := t.events("down", "bad"); len(downs) != 1 {
		t.errorf("events down of the bad plugin: %d, want one", len(downs))
	}
	t.must(os.WriteFile(works, nil, 0o600), "mend the plugin")
	mended := time.Now()
	_, err = t.place.Verb(t.ctx, "plugin", "restart", "bad")
	t.must(err, "restart the mended plugin")
	t.awaitPlugin("bad", readyWithin, "works", func(p lab.Plugin) bool { return p.State == "running" })
	t.healed(mended, time.Minute)
	t.undisturbed(before)
	t.settle()
}

// linesOf counts the lines of a file.
func linesOf(path string) int {
	text, _ := os.ReadFile(path) // none yet
	return strings.Count(string(text), "\n")
}

// F21
func pluginFloods(t *trial) {
	const rate = 20_000
	t.up(pipeline{})
	t.load(t.standard())
	listed, err := t.place.Plugins(t.ctx)
	t.must(err, "list the plugins")
	before := t.pulse(t.span(3*time.Second, 20*time.Second))
	t.note("latency before: %v", before)
	lasts := t.span(6*time.Second, 30*time.Second)
	address := fmt.Sprintf("127.0.0.1:%d", lab.FreePort())
	t.must(t.add("flood", fmt.Sprintf("collect: { flood: { use: lines, listen: \"tcp://%s\", max_rate: %d } }", address, rate)), "add a plugin that is flooded")

	memory := t.watchMemory()
	flooded := make(chan int)
	go func() { flooded <- flood(address, lasts) }()
	during := t.pulse(lasts)
	sent := <-flooded
	t.note("while %.0f points/s are sent: %v", float64(sent)/lasts.Seconds(), during)
	t.slower(before, during)
	t.floodCounted(sent, rate, lasts)
	t.noteMemory("while it was flooded", memory, youngBus)

	memory = t.watchMemory()
	megabytes := t.times(100, 1000)
	script := fmt.Sprintf("(head -c %d000000 /dev/zero | tr '\\0' x)& exec %s plugin run host", megabytes, t.place.Binary)
	t.must(t.add("shouts", fmt.Sprintf("collect: { shouts: { run: [sh, -c, %q] } }", script)), "add a plugin that shouts")
	during = t.pulse(lasts)
	t.note("beside %d MB on the output of a plugin: %v", megabytes, during)
	t.slower(before, during)
	t.await(time.Minute, "the log has its first words", func() error { return yet(strings.Contains(t.system.agent.Log.String(), "xxxx")) })
	if n := longestRun(t.system.agent.Log.String(), 'x'); n < 1000 || n > 16<<10 {
		t.errorf("the log has a line with %d bytes of what was shouted, want at most 16 KiB", n)
	}
	if p := t.awaitPlugin("shouts", readyWithin, "works", func(p lab.Plugin) bool { return p.State == "running" }); p.Restarts > 0 {
		t.errorf("the plugin that shouts was started again: %+v", p)
	}
	t.noteMemory("beside the output", memory, youngBus)
	t.undisturbed(listed)
	t.settle()
}

// floodCounted checks that each point that was sent to the flooded plugin is stored or counted as dropped, and that it is told.
func (t *trial) floodCounted(sent, rate int, lasts time.Duration) {
	var stored, dropped int
	t.await(readyWithin, "each point of the flood is counted", func() error {
		s := t.info("flood").Stats
		stored, dropped = int(s.PointsOut), int(s.Dropped["dropped_flood"])
		if stored+dropped != sent {
			return fmt.Errorf("%d sent, %d stored and %v dropped", sent, stored, s.Dropped)
		}
		return nil
	})
	t.note("of %d points of the flood %d were dropped and counted", sent, dropped)
	if most := 2 * rate * int(lasts.Seconds()+2); stored > most {
		t.errorf("%d points of the flood were stored, want %d at most", stored, most)
	}
	if told := t.events("dropped_flood", "flood"); len(told) > 0 && dropped > 0 {
		t.bite("%d points dropped, and told: %q", dropped, told[0])
	}
}

// F22
func inputMalformed(t *trial) {
	t.up(pipeline{})
	t.load(t.standard())
	before, err := t.place.Plugins(t.ctx)
	t.must(err, "list the plugins")
	t.hold(time.Second)
	t.postMalformed()
	t.publishMalformed()
	t.healed(time.Now(), time.Minute)
	t.undisturbed(before)
	t.settle()
}

// postMalformed posts what is no line: it has to be refused and counted.
func (t *trial) postMalformed() {
	for _, text := range malformedLines() {
		if code := t.postText(text); code != http.StatusBadRequest {
			t.errorf("%.40q was answered with %d", text, code)
		}
	}
	var dropped map[string]uint64
	t.await(readyWithin, "what was left out is counted", func() error {
		dropped = t.info("in").Stats.Dropped
		return yet(dropped["line"] > 0 && dropped["nan"] > 0 && dropped["too_long"] > 0 && dropped["int_range"] > 0)
	})
	t.bite("dropped %v", dropped)
	rubbish, times := strings.Repeat("rubbish that is no line\n", 40_000), t.times(4, 40)
	begin := time.Now()
	for range times {
		t.postText(rubbish)
	}
	t.note("left out by HTTP: %v; rubbish is refused at %.0f MB/s", dropped, float64(times*len(rubbish))/1e6/time.Since(begin).Seconds())
}

// publishMalformed stores what is no batch as if the collector had sent it: it has to be among the dead letters of the processor.
func (t *trial) publishMalformed() {
	bodies := malformedBodies()
	t.garbage = len(bodies)
	t.publishRaw("in", bodies)
	var codes map[string]int
	t.await(readyWithin, "what is no batch is set aside", func() error {
		letters := t.bury("mid", 0)
		if codes = reasons(letters); len(letters) < len(bodies) {
			return fmt.Errorf("%d of %d: %v", len(letters), len(bodies), codes)
		}
		return nil
	})
	t.bite("dead letters %v", codes)
	t.note("dead letters by code: %v", codes)
	if codes[""]+codes["decode"] > 0 || len(codes) < 4 {
		t.errorf("codes of the dead letters: %v", codes)
	}
}

// F23
func pointTooLarge(t *trial) {
	address := fmt.Sprintf("127.0.0.1:%d", lab.FreePort())
	t.up(pipeline{})
	t.must(t.add("wide", fmt.Sprintf(`collect: { wide: { use: lines, listen: "http://%s", max_line_bytes: 8388608 } }
publish: { wider: { use: influxdb, from: wide, url: %q, database: chaos, compression: none } }
`, address, t.sink.URL)), "add a plugin that takes long lines")
	t.load(t.standard())
	before, err := t.place.Plugins(t.ctx)
	t.must(err, "list the plugins")
	files := openFiles(before["wide"].PID)
	t.must(t.source.post(t.ctx, t.oracle.Source("large", t.nextBoot()).Issue(40_000)), "post a body of 4 MB")
	t.postGiant(newSource("http://"+address, t.oracle))
	t.healed(time.Now(), time.Minute)
	if n := openFiles(before["wide"].PID); n > files+2 {
		t.errorf("%d files and connections are open, %d before", n, files)
	}
	t.undisturbed(before)
	t.settle()
}

// postGiant posts a point that no message holds, between good ones, and a text that no field holds: both are refused by name, and
// what is beside them is stored.
func (t *trial) postGiant(to *source) {
	from := t.oracle.Source("wide", t.nextBoot())
	text := strings.Repeat("x", 60_000)
	giant := fmt.Appendf(nil, "giant,host=g a=%q", text)
	for i := range 40 {
		giant = fmt.Appendf(giant, ",b%d=%q", i, text)
	}
	first, second := from.Issue(10), from.Issue(10)
	code, said := to.postText(t.ctx, string(first.Lines(nil))+string(giant)+"\n"+string(second.Lines(nil)))
	if code != http.StatusRequestEntityTooLarge || !strings.Contains(said, "giant") {
		t.errorf("a giant point was answered with %d: %s", code, said)
	}
	t.await(readyWithin, "the giant point is counted, and its neighbours have arrived", func() error {
		if dropped := t.info("wide").Stats.Dropped; dropped["too_large"] != 1 {
			return fmt.Errorf("dropped: %v", dropped)
		}
		return yet(first.Settled() && second.Settled())
	})
	t.bite("the giant point: %d %s", code, said)
	code, said = to.postText(t.ctx, "long,host=g a=\""+strings.Repeat("x", 2<<20)+"\"\n")
	if code != http.StatusBadRequest || !strings.Contains(said, "too_long") {
		t.errorf("a text of 2 MB was answered with %d: %s", code, said)
	}
	t.must(to.post(t.ctx, from.Issue(10)), "post good points after a giant one")
}
