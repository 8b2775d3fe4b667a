package supervise

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// printed is what is handed on of what a child prints.
func printed(t *testing.T, text io.Reader) ([]string, *Child) {
	t.Helper()
	var got []string
	c := New(Spec{Line: func(stream string, line []byte) {
		if stream != "stderr" {
			t.Errorf("stream %q", stream)
		}
		got = append(got, string(line))
	}})
	l := c.lines("stderr", &c.stderr)
	if _, err := io.Copy(l, text); err != nil {
		t.Fatal(err)
	}
	l.flush()
	return got, c
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	f := func(text string, want ...string) {
		t.Helper()
		whole, _ := printed(t, strings.NewReader(text))
		bytewise, _ := printed(t, iotest.OneByteReader(strings.NewReader(text)))
		if !slices.Equal(whole, want) || !slices.Equal(bytewise, want) {
			t.Errorf("%.40q: %.80q, byte by byte %.80q; want %.80q", text, whole, bytewise, want)
		}
	}
	f("")
	f("a\n", "a")
	f("a\nb", "a", "b")
	f("a\r\n\nb\n", "a", "", "b")
	f("\xff\xfe\n", "\xff\xfe")
	f(long+"\n", long)
	f(long+"y", long+cutMark)
	f(long+"yyy\nz\n", long+cutMark, "z")
	f(long+long+long+"\nz", long+cutMark, "z")
}

func TestLinesAreBoundedPerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := strings.NewReader(strings.Repeat("again\n", maxPerSecond+7))
		slow := &pausing{texts: []io.Reader{text, strings.NewReader("later\n")}}
		got, c := printed(t, slow)
		if len(got) != maxPerSecond+2 || got[maxPerSecond] != "[7 lines left out]" || got[maxPerSecond+1] != "later" {
			t.Errorf("%d lines, the last %q", len(got), got[max(0, len(got)-3):])
		}
		if n := c.Status().LinesLeftOut; n != 7 {
			t.Errorf("LinesLeftOut = %d, want 7", n)
		}
	})
}

// What is left out at the end is told too, and the tail has it all the same:
// the last words matter most.
func TestTailHasWhatTheRateLeavesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, c := printed(t, strings.NewReader(strings.Repeat("again\n", maxPerSecond)+"panic: boom\n"))
		if last := got[len(got)-1]; last != "[1 lines left out]" {
			t.Errorf("last line %q", last)
		}
		if last := c.stderr.last(1, asIs); !slices.Equal(last, []string{"panic: boom"}) {
			t.Errorf("tail %q", last)
		}
	})
}

// pausing lets a second pass between its texts.
type pausing struct{ texts []io.Reader }

func (p *pausing) Read(b []byte) (int, error) {
	n, err := p.texts[0].Read(b)
	if err == io.EOF && len(p.texts) > 1 {
		p.texts = p.texts[1:]
		time.Sleep(time.Second)
		return n, nil
	}
	return n, err
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
