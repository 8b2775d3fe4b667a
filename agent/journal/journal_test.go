package journal

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// texts returns the texts of a page.
func texts(p telemetry.LogPage) []string {
	all := make([]string, 0, len(p.Lines))
	for _, l := range p.Lines {
		all = append(all, l.Text)
	}
	return all
}

// filled returns a journal with the lines 1 to n.
func filled(bytes, n int) *Journal {
	j := New(bytes)
	for i := range n {
		j.Add(time.Unix(1, 0), 7, "stdout", fmt.Append(nil, i+1))
	}
	return j
}

func TestAdd(t *testing.T) {
	j := New(0)
	at := time.Unix(5, 6)
	first := j.Add(at, 42, "stderr", []byte("ERROR no \x1b[31mdisk\x1b[0m\x07"))
	want := telemetry.LogLine{Seq: first.Seq, Time: at.UnixNano(), Stream: "stderr", Level: "error", PID: 42, Text: "ERROR no disk\uFFFD"}
	if first != want {
		t.Errorf("%+v, want %+v", first, want)
	}
	note := j.Note(slog.LevelWarn, "starts again in 2s\n")
	if note.Seq != first.Seq+1 || note.Stream != "agent" || note.Level != "warn" || note.Text != "starts again in 2s↵" || note.PID != 0 {
		t.Errorf("%+v", note)
	}
	if p := j.Page(0, 0, 0); len(p.Lines) != 2 || p.Lines[0] != first || p.Lines[1] != note || p.Next != note.Seq || p.Lost != 0 || p.More {
		t.Errorf("%+v", p)
	}
}

// The line is the caller's again: supervise uses its buffer for the next one.
func TestAddCopies(t *testing.T) {
	j := New(0)
	line := []byte("before")
	j.Add(time.Now(), 1, "stdout", line)
	copy(line, "AFTER!")
	if p := j.Page(0, 0, 0); p.Lines[0].Text != "before" {
		t.Errorf("%+v", p)
	}
}

func TestAddCuts(t *testing.T) {
	f := func(line string) {
		t.Helper()
		got := New(0).Add(time.Now(), 1, "stdout", []byte(line)).Text
		if len(got) > maxText || len(got) < maxText-8 || !strings.HasSuffix(got, cutMark) || strings.Contains(got, "\uFFFD") {
			t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-10:])
		}
	}
	f(strings.Repeat("x", maxText) + cutMark) // as supervise cuts it
	f(strings.Repeat("ä", 100_000))
	f(`{"msg":"m","long":"` + strings.Repeat("ö", 100_000) + `"}`)
	f(`{"msg":"` + strings.Repeat("é", 100_000) + `"}`)
	if got := New(0).Note(slog.LevelInfo, strings.Repeat("ä", maxText)).Text; len(got) > maxText {
		t.Errorf("%d bytes", len(got))
	}
}

func TestRingIsBounded(t *testing.T) {
	f := func(line string) {
		t.Helper()
		j := New(10_000)
		for range 5_000 {
			j.Add(time.Now(), 1, "stdout", []byte(line))
		}
		n := j.lines.len()
		if j.lines.size > 10_000 || j.lines.size != n*(lineBytes+len(line)) || n == 0 {
			t.Errorf("%d lines of %d bytes: %d", n, len(line), j.lines.size)
		}
		if len(j.lines.slots) > 10_000/lineBytes*2 {
			t.Errorf("%d slots", len(j.lines.slots))
		}
	}
	f("")
	f("short")
	f(strings.Repeat("x", 1024))
	f(strings.Repeat("x", 8000))
}

// One line has room even where the journal is smaller than it.
func TestTinyJournal(t *testing.T) {
	j := filled(1, 3)
	if p := j.Page(0, 0, 0); len(p.Lines) != 1 || p.Lines[0].Text != "3" || p.Lost != 2 {
		t.Errorf("%+v", p)
	}
}

func TestPage(t *testing.T) {
	j := filled(0, 5)
	base := j.before
	f := func(after uint64, tail int, want string, next, lost uint64) {
		t.Helper()
		p := j.Page(after, tail, 0)
		if got := strings.Join(texts(p), " "); got != want || p.Next != base+next || p.Lost != lost || p.More {
			t.Errorf("after %d, tail %d: %q, next +%d, lost %d, more %v", after, tail, got, p.Next-base, p.Lost, p.More)
		}
	}
	f(0, 0, "1 2 3 4 5", 5, 0)
	f(0, 2, "4 5", 5, 0)
	f(0, 9, "1 2 3 4 5", 5, 0)
	f(base, 0, "1 2 3 4 5", 5, 0)
	f(base+3, 0, "4 5", 5, 0)
	f(base+3, 1, "5", 5, 0)
	f(base+5, 0, "", 5, 0)
	f(base+500, 0, "1 2 3 4 5", 5, 0) // of an agent with a clock that was ahead
	empty := New(0).Page(0, 10, 0)
	if len(empty.Lines) != 0 {
		t.Errorf("an empty one: %+v", empty)
	}
	fits(t, empty, telemetry.JSON)
}

func TestPageTellsLoss(t *testing.T) {
	j := filled(10*(lineBytes+2), 30) // the last ten
	f := func(after uint64, tail int, first string, lost uint64) {
		t.Helper()
		p := j.Page(after, tail, 0)
		if p.Lines[0].Text != first || p.Lost != lost {
			t.Errorf("after +%d, tail %d: begins with %s, lost %d", after-j.before, tail, p.Lines[0].Text, p.Lost)
		}
	}
	f(0, 0, "21", 20)
	f(j.before+15, 0, "21", 5)
	f(j.before+20, 0, "21", 0)
	f(j.before+25, 0, "26", 0)
	f(0, 3, "28", 0) // nobody asked for those before
}

// Who follows goes on with the lines of a new agent, whose journal is new.
func TestPageAfterRestartOfAgent(t *testing.T) {
	old := New(0)
	old.before -= 1e6 // a second ago
	old.last = old.before
	old.Note(slog.LevelInfo, "ends")
	p := filled(0, 2).Page(old.last, 0, 0)
	if len(p.Lines) != 2 || p.Lost != 0 {
		t.Errorf("%+v", p)
	}
}

func TestPagesJoin(t *testing.T) {
	f := func(line string, lines, maxBytes int) {
		t.Helper()
		j := New(1 << 20)
		for range lines {
			j.Add(time.Now(), 1<<22, "stdout", []byte(line))
		}
		after, seen, pages := uint64(0), 0, 0
		for more := true; more; pages++ {
			p := j.Page(after, 0, maxBytes)
			for _, enc := range []telemetry.Encoding{telemetry.MsgPack, telemetry.JSON} {
				fits(t, p, enc)
			}
			for i, l := range p.Lines {
				if want := j.before + uint64(seen+i+1); l.Seq != want {
					t.Fatalf("line %d is %d, want %d", seen+i, l.Seq, want)
				}
			}
			if len(p.Lines) == 0 || p.Lost != 0 {
				t.Fatalf("%d lines, lost %d", len(p.Lines), p.Lost)
			}
			after, seen, more = p.Next, seen+len(p.Lines), p.More
		}
		if seen != lines || pages < 2 {
			t.Errorf("%d of %d lines of %q... in %d pages", seen, lines, line[:min(len(line), 5)], pages)
		}
	}
	f("", 2000, 0)
	f("x", 2000, 0)
	f("a line of the usual length, as most of them are", 3000, 0)
	f(strings.Repeat("x", 8000), 50, 0)
	f(strings.Repeat("<", 8192), 10, 0)
	f(strings.Repeat(`"`, 8192), 10, 0)
	f("x", 20, 1)
}

// fits fails where a page has no room in a reply.
func fits(t *testing.T, p telemetry.LogPage, enc telemetry.Encoding) {
	t.Helper()
	payload, err := telemetry.EncodeControl(p, telemetry.MsgPack)
	if err == nil {
		_, err = telemetry.EncodeControl(telemetry.CtlReply{ID: strings.Repeat("i", 64), OK: true, Payload: payload}, enc)
	}
	if err == nil {
		_, _, err = telemetry.DecodeLogPage(payload)
	}
	if err != nil {
		t.Fatalf("%d lines in %v: %v", len(p.Lines), enc, err)
	}
}

func TestConcurrent(t *testing.T) {
	j := New(0)
	var wait sync.WaitGroup
	for pid := range 4 {
		wait.Go(func() {
			for range 500 {
				j.Add(time.Now(), pid, "stderr", []byte("line"))
				j.Note(slog.LevelInfo, "note")
				j.Page(0, 10, 0)
			}
		})
	}
	wait.Wait()
	if p := j.Page(0, 1, 0); p.Next != j.before+4000 {
		t.Errorf("%d lines", p.Next-j.before)
	}
}

func TestAddAllocatesTheLine(t *testing.T) {
	j := New(0)
	line := []byte(strings.Repeat("x", 1024))
	for range 200 { // the ring is full
		j.Add(time.Now(), 1, "stderr", line)
	}
	at := time.Now()
	if n := testing.AllocsPerRun(100, func() { j.Add(at, 1, "stderr", line) }); n > 1 {
		t.Errorf("%v allocations a line", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	for name, line := range map[string]string{
		"text": "2026-01-02 03:04:05 INFO " + strings.Repeat("x", 100),
		"json": `{"time":"2026-01-02T03:04:05Z","level":"WARN","msg":"it is late","plugin":"host","seconds":3,"error":"no"}`,
	} {
		b.Run(name, func(b *testing.B) {
			j := New(0)
			at := time.Now()
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				j.Add(at, 1, "stderr", []byte(line))
			}
		})
	}
}
