package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/loadtest"
)

// longestGap is how long the output may pause while plugins are swapped. Short runs share the machine with other tests; but nobody may
// wait for a version that hangs, which is given 30 s.
const (
	longestGap      = time.Second
	longestGapShort = 25 * time.Second
)

// Versions good and bad of processor and publisher are tried under load. Nothing is lost or invented, the output goes on, and
// of bad versions nothing remains.
func TestSwapUnderLoad(t *testing.T) {
	load, lasts, least := loadtest.Load{Rate: 100_000}, span(6*time.Minute, 20*time.Minute), 0.05 // of the rate, in short runs
	if raceEnabled {                                                                              // its detector costs several times the CPU
		load.Rate, lasts = load.Rate/5, 2*lasts
	}
	load.Points = load.Rate * int(lasts.Seconds())
	sink, err := loadtest.NewSink(load.Points, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.Close)
	v := upVersions(t, sink.URL)
	stop, begin := v.load(load), time.Now()
	v.await(readyWithin, "points arrive", func() bool { return sink.Got() > 0 })
	rounds := 1
	if long { // more than 20 good ones of each
		rounds, least = 7, 0.8
	}
	for range rounds {
		v.round(sink.URL)
	}
	sent, took, gap := stop(), time.Since(begin), sink.Gap()
	if _, err := sink.Settle(t.Context(), sent, patience); err != nil {
		t.Fatal(err)
	}
	v.awaitSettled("mid", "out")
	count, rate := sink.Count(sent), float64(sent)/took.Seconds()
	t.Logf("%d points, %.0f/s, %d versions taken, %d refused: %v; the output paused for %v at most", sent, rate, v.taken, v.refused, count, gap.Round(time.Millisecond))
	if sent == load.Points || rate < least*float64(load.Rate) {
		t.Errorf("INVALID: the load ended too early, or was too slow")
	}
	if count.Lost+count.Invented+count.Bad > 0 {
		t.Error(count)
	}
	if gap > span(longestGapShort, longestGap) {
		t.Errorf("the output paused for %v", gap)
	}
	v.drain()
}

// versions are those that are tried, and how many were taken and refused.
type versions struct {
	*system
	program string // of any version
	file    string // the program of out, with
	text    string // in its first version
	mode    string // file that says how out behaves

	taken, refused int
}

// upVersions runs a pipeline to a sink, whose publisher is a command at its first version, and pinned to that.
func upVersions(t testing.TB, sink string) *versions {
	t.Helper()
	program, p := foreign(t, "version"), newPlace(t)
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	v := &versions{program: program, mode: p.write("mode", ""), file: p.path("out-program"), text: string(text)}
	p.install(v.file, v.text)
	v.system = p.start("up", "--plain", p.write("pacewire.yaml", fmt.Sprintf(`
collect: { in: { use: lines, listen: "tcp://127.0.0.1:0", flush: 10ms } }
process: { mid: { use: filter, from: in, drop: tags.keep == "no" } }
publish: { out: { run: [%s, publisher, %s], sha256: %s, from: mid, config: { url: %q } } }
`, v.file, v.mode, sum(v.text), sink)))
	v.awaitRunning()
	return v
}

// round tries each version of each plugin once: three good ones, and all bad ones.
func (v *versions) round(sink string) {
	v.t.Helper()
	upgrade := []string{"upgrade", "out"}
	// One of mid that says no hello is waited for. Its neighbour has new versions meanwhile, by a file that changes.
	hung, pids := v.begin("", "plugin", "swap", "mid", "--", v.program, "processor", "hangs"), v.pidsOf()
	v.write("mode", "")
	v.takes("out", upgrade...)
	v.write("mode", "crashes")
	v.refuses("out", "exit code 3", upgrade...)
	v.write("mode", "refuses")
	v.refuses("out", "another config", upgrade...)
	v.write("mode", "")
	v.install(v.file, v.text+"x")
	v.refuses("out", "checksum_mismatch", upgrade...)
	v.install(v.file, v.text)
	v.takes("out", upgrade...)
	v.refusal(hung(), "mid", pids["mid"], "not ready within 30s: no heartbeat")

	v.configures("out", "swap", "out", "--file", v.write("out.yaml", fmt.Sprintf(
		"publish: { out: { run: [%s, publisher, %s], sha256: %s, from: mid, config: { url: %q, database: d%d } } }\n", v.file, v.mode, sum(v.text), sink, v.taken)))
	v.takes("mid", "swap", "mid", "--", v.program, "processor", "good")
	v.refuses("mid", "exit code 3", "swap", "mid", "--", v.program, "processor", "crashes")
	v.refuses("mid", "another config", "swap", "mid", "--", v.program, "processor", "refuses")
	v.refuses("mid", "checksum_mismatch", "swap", "mid", "--sha256", strings.Repeat("0", 64), "--", v.program, "processor", "other")
	v.takes("mid", "swap", "mid", "--use", "filter")
	v.configures("mid", "swap", "mid", "--file", v.write("mid.yaml",
		fmt.Sprintf("process: { mid: { use: filter, from: in, drop: tags.keep == \"no\", series_drop: [other%d] } }\n", v.taken)))
}

// takes expects that a new process takes the plugin over.
func (v *versions) takes(name string, args ...string) {
	v.t.Helper()
	if before, after := v.operate(name, args); before == after {
		v.t.Errorf("pacewire plugin %s: the process is the same", strings.Join(args, " "))
	}
}

// configures expects that the process takes another config.
func (v *versions) configures(name string, args ...string) {
	v.t.Helper()
	if before, after := v.operate(name, args); before != after {
		v.t.Errorf("pacewire plugin %s: another process, %d instead of %d", strings.Join(args, " "), after, before)
	}
}

// operate calls a verb that must succeed, and touch one plugin alone.
func (v *versions) operate(name string, args []string) (before, after int) {
	v.t.Helper()
	was := v.pidsOf()
	v.do(append([]string{"plugin"}, args...)...)
	v.taken++
	v.awaitPlugin(name, readyWithin, "works after "+strings.Join(args, " "), func(p plugin) bool { return p.State == "running" })
	is := v.now()
	for other, pid := range was {
		if other != name && is[other].PID != pid {
			v.t.Errorf("pacewire plugin %s: %s has another process", strings.Join(args, " "), other)
		}
	}
	return was[name], is[name].PID
}

// refuses expects that a version comes to nothing, for a reason that is told, and that the one before goes on.
func (v *versions) refuses(name, reason string, args ...string) {
	v.t.Helper()
	pid := v.pidsOf()[name]
	v.refusal(v.verb(append([]string{"plugin"}, args...)...), name, pid, reason)
}

func (v *versions) refusal(r result, name string, pid int, reason string) {
	v.t.Helper()
	v.refused++
	if r.code != 1 {
		v.t.Errorf("exit code %d", r.code)
	}
	contains(v.t, "the refusal", r.err, reason)
	if p := v.awaitPlugin(name, readyWithin, "goes on", func(p plugin) bool { return p.State == "running" }); p.PID != pid {
		v.t.Errorf("%s was process %d and is %+v, after: %s", name, pid, p, r.err)
	}
}

// install puts a program in the place of the one that is there.
func (p place) install(path, text string) {
	p.t.Helper()
	fresh := p.write("fresh", text)
	if err := os.Chmod(fresh, 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(fresh, path); err != nil {
		p.t.Fatal(err)
	}
}

// sum is the SHA-256 of a program.
func sum(text string) string {
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:])
}
