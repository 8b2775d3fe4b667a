package conform

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

func mutantsOf(t *testing.T, seed uint64, mutations int) []mutant {
	t.Helper()
	s := newStage()
	s.kit.o = Options{Mutations: mutations, Seed: seed}
	all, err := s.mutants()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The same seed gives the same mutants in the same order, so many of each golden batch, each with an id of its own.
func TestMutants(t *testing.T) {
	const each = 30
	all := mutantsOf(t, 1, each)
	same := func(a, b mutant) bool { return a.id == b.id && a.file == b.file && bytes.Equal(a.body, b.body) }
	if !slices.EqualFunc(all, mutantsOf(t, 1, each), same) {
		t.Error("one seed, two rows of mutants")
	}
	if slices.EqualFunc(all, mutantsOf(t, 2, each), same) {
		t.Error("two seeds, one row of mutants")
	}
	of, ids, forms := map[string]int{}, map[string]bool{}, map[telemetry.Content]int{}
	read := 0
	for _, m := range all {
		of[m.file]++
		forms[m.content]++
		ids[m.id] = true
		if m.code == "" {
			read++
		} else if !isRefusal(m.code) {
			t.Errorf("%s is refused with %q", m.file, m.code)
		}
	}
	good, err := golden("batch/valid")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range append(good, goldenFile{name: "columns.lines"}) {
		if of[g.name] != each {
			t.Errorf("%d mutants of %s", of[g.name], g.name)
		}
	}
	if len(ids) != len(all) || len(forms) != 3 || read == 0 || read > len(all)/4 {
		t.Errorf("%d mutants: %d ids, %d forms, %d can be read", len(all), len(ids), len(forms), read)
	}
}

// What the mutants are made of can be read.
func TestGoodBatches(t *testing.T) {
	good, err := goodBatches()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range good {
		if code := refusalOf(contentOf(g.name), g.body); code != "" || len(g.body) == 0 {
			t.Errorf("%s is refused: %q", g.name, code)
		}
	}
}

func TestMutantFits(t *testing.T) {
	f := func(code string, content telemetry.Content, change func(l *bus.Letter), want string) {
		t.Helper()
		m := mutant{badBatch: badBatch{file: "a.json", code: code, body: []byte("[")}, content: content}
		l := bus.Letter{Seq: 1, Reason: code, Subject: "pw.metrics.a.b", Stored: time.Now(), Body: m.body}
		change(&l)
		says(t, m.fits(l), want)
	}
	reason := func(word string) func(*bus.Letter) { return func(l *bus.Letter) { l.Reason = word } }
	none := func(l *bus.Letter) { *l = bus.Letter{} }

	f("syntax", telemetry.ContentJSON, reason("syntax"), "")
	f("syntax", telemetry.ContentJSON, reason("truncated"), "")
	f("syntax", telemetry.ContentJSON, reason("unreadable"), `Pw-Reason "unreadable"`)
	f("syntax", telemetry.ContentJSON, reason("crash"), `Pw-Reason "crash"`)
	f("syntax", telemetry.ContentJSON, none, "has no dead letter")
	f("syntax", telemetry.ContentJSON, func(l *bus.Letter) { l.Body = nil }, "another content")

	f("", telemetry.ContentMsgPack, none, "")
	f("", telemetry.ContentMsgPack, reason("rejected"), "")
	f("", telemetry.ContentMsgPack, reason("processor"), "")
	f("", telemetry.ContentMsgPack, reason("too_large"), "")
	f("", telemetry.ContentMsgPack, reason("shape"), "which can be read, is a dead letter for shape")
	f("", telemetry.ContentLines, reason("content_type"), "")
	f("", telemetry.ContentMsgPack, reason("content_type"), "which can be read")
}

func TestIsRefusal(t *testing.T) {
	f := func(reason string, want bool) {
		t.Helper()
		if isRefusal(reason) != want {
			t.Errorf("%q: want %v", reason, want)
		}
	}
	f("empty", true)
	f("tag_value", true)
	f("", false)
	f("rejected", false)
	f("crash", false)
	f("line", false) // leaves out a line, and not the batch
}

func TestTally(t *testing.T) {
	f := func(want string, codes ...string) {
		t.Helper()
		var sum tally
		for i := 0; i < len(codes); i += 2 {
			sum.add(mutant{badBatch: badBatch{code: codes[i]}}, bus.Letter{Reason: codes[i+1]})
		}
		if got := fmt.Sprint(sum); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f("0 mutations: 0 can be read, 0 are refused")
	f("3 mutations: 2 can be read, 1 are refused", "", "", "", "rejected", "utf8", "utf8")
	f("2 mutations: 0 can be read, 2 are refused, 1 of them with another code than that of Go's reader", "utf8", "utf8", "shape", "syntax")
}
