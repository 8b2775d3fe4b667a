package supervise

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// What a child prints goes where it is wanted, and is counted where there is too much of it.
func TestLinesOfAChild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		c := New(Spec{Line: func(stream string, line []byte) { got = append(got, stream+" "+string(line)) }})
		l := c.lines("stderr", &c.stderr)
		fmt.Fprint(l, strings.Repeat("again\n", 1000)+"panic: boom")
		l.Flush()
		s := c.Status()
		if int64(len(got)-1)+s.LinesLeftOut != 1001 || s.LinesLeftOut == 0 || got[0] != "stderr again" || !strings.Contains(got[len(got)-1], "left out") {
			t.Errorf("%d lines, %d left out, the last %q", len(got), s.LinesLeftOut, got[len(got)-1])
		}
		if last := c.stderr.last(1, asIs); !slices.Equal(last, []string{"panic: boom"}) {
			t.Errorf("tail %q", last)
		}
		c.lines("stdout", nil).Flush()
	})
}

func TestTail(t *testing.T) {
	var k tail
	for i := range 3 * tailLines {
		k.add(fmt.Append(nil, i))
	}
	if got := k.lines(); len(got) != tailLines || got[tailLines-1] != fmt.Sprint(3*tailLines-1) {
		t.Errorf("kept %q", got)
	}
	k.begin()
	if got := k.last(3, asIs); len(got) != 0 {
		t.Errorf("a new process has said %q", got)
	}
	k.add([]byte("first"))
	k.add([]byte("  "))
	k.add([]byte("bad \xff " + strings.Repeat("x", 2*tailBytes)))
	got := k.last(3, asIs)
	if len(got) != 2 || got[1] != "first" || !strings.HasPrefix(got[0], "bad \uFFFD x") || len(got[0]) > tailBytes+2 {
		t.Errorf("last = %.60q", got)
	}
}

func asIs(line string) (string, bool) { return line, false }

// What says nothing of the end is left out, and what says all of it is enough.
func TestTailTellsTheCause(t *testing.T) {
	var k tail
	k.begin()
	f := func(line string, want ...string) {
		t.Helper()
		k.add([]byte(line))
		got := k.last(3, func(line string) (string, bool) {
			if strings.HasPrefix(line, "info") {
				return "", false
			}
			return line, strings.HasPrefix(line, "error")
		})
		if !slices.Equal(got, want) {
			t.Errorf("after %s: %q, want %q", line, got, want)
		}
	}
	f("info connected")
	f("one", "one")
	f("two", "two", "one")
	f("two", "two", "one") // once
	f("info ends", "two", "one")
	f("error three", "error three")
	f("four", "four", "error three")
}
