package process

import (
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// printed is what is handed on of a text, and what was told besides.
func printed(t *testing.T, text io.Reader) (got, all []string, skipped int64) {
	t.Helper()
	l := Lines{
		Hand:  func(line []byte) { got = append(got, string(line)) },
		Every: func(line []byte) { all = append(all, string(line)) },
		Skip:  func(n int64) { skipped += n },
	}
	if _, err := io.Copy(&l, text); err != nil {
		t.Fatal(err)
	}
	l.Flush()
	return got, all, skipped
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	f := func(text string, want ...string) {
		t.Helper()
		whole, _, _ := printed(t, strings.NewReader(text))
		bytewise, _, _ := printed(t, iotest.OneByteReader(strings.NewReader(text)))
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

// What comes too fast is left out, and told; who wants every line has it all the same: the last words matter most.
func TestLinesAreBoundedPerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := strings.NewReader(strings.Repeat("again\n", maxPerSecond+7))
		slow := &pausing{texts: []io.Reader{text, strings.NewReader("later\n")}}
		got, all, skipped := printed(t, slow)
		if len(got) != maxPerSecond+2 || got[maxPerSecond] != "[7 lines left out]" || got[maxPerSecond+1] != "later" {
			t.Errorf("%d lines, the last %q", len(got), got[max(0, len(got)-3):])
		}
		if skipped != 7 || len(all) != maxPerSecond+8 {
			t.Errorf("%d are skipped of %d", skipped, len(all))
		}
	})
}

func TestLinesLeftOutAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, all, _ := printed(t, strings.NewReader(strings.Repeat("again\n", maxPerSecond)+"panic: boom\n"))
		if last := got[len(got)-1]; last != "[1 line left out]" || all[len(all)-1] != "panic: boom" {
			t.Errorf("last lines %q, %q", last, all[len(all)-1])
		}
	})
}

func TestLinesForNobody(t *testing.T) {
	var l Lines
	if n, err := l.Write([]byte(strings.Repeat("a\n", 2*maxPerSecond))); n != 4*maxPerSecond || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	l.Flush()
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
