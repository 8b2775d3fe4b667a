package child

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func TestAnswer(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	f := func(text, want string, fault error) {
		t.Helper()
		for name, src := range map[string]io.Reader{
			"whole": strings.NewReader(text), "halves": iotest.HalfReader(strings.NewReader(text)), "bytes": iotest.OneByteReader(strings.NewReader(text)),
		} {
			if name == "bytes" && (len(text) > MaxLine || errors.Is(fault, ErrStray)) {
				continue // what comes later is not seen
			}
			r := NewReader(src)
			if got, err := r.Answer(); string(got) != want || !errors.Is(err, fault) {
				t.Errorf("%.40q, %s: %.60q, %v; want %.60q, %v", text, name, got, err, want, fault)
			}
		}
	}
	f("\n", "", nil)
	f("\r\n", "", nil)
	f("a\n\n", "a\n", nil)
	f("a\r\nb\r\n\r\n", "a\r\nb\r\n", nil)
	f(" \n\n", " \n", nil)
	f("", "", io.EOF)
	f("a\nb", "", io.EOF)
	f("a\nb\n", "", io.EOF)
	f("a\n\nb", "", ErrStray)
	f("\n\n", "", ErrStray)
	f(long[1:]+"\n\n", long[1:]+"\n", nil)
	f("a\n"+long+"\nb\n\n", "a\n"+string(tooLong)+"b\n", nil)
	f(long+long+long+"\nb\n\n", string(tooLong)+"b\n", nil)
	f(long+long, "", io.EOF)
}

// One answer after the other comes from the same reader, whatever the pieces in which it is read.
func TestAnswers(t *testing.T) {
	var text strings.Builder
	var want []string
	for i := range 200 {
		answer := strings.Repeat("some line\n", i%7*i)
		want = append(want, answer)
		text.WriteString(answer + "\n")
	}
	r := NewReader(&apart{text: []byte(text.String())})
	for i, answer := range want {
		got, err := r.Answer()
		if err != nil || string(got) != answer {
			t.Fatalf("answer %d: %d bytes, %v; want %d", i, len(got), err, len(answer))
		}
	}
}

// apart reads up to the end of an answer at most, as a program that waits for the next batch prints.
type apart struct{ text []byte }

func (a *apart) Read(p []byte) (int, error) {
	n := min(len(p), len(a.text))
	end := bytes.Index(a.text[:n], []byte("\n\n")) + 2
	if bytes.HasPrefix(a.text, []byte("\n")) {
		end = 1
	}
	if end > 1 || end == 1 && n > 0 {
		n = min(n, end)
	}
	copy(p, a.text[:n])
	a.text = a.text[n:]
	return n, nil
}

func TestSome(t *testing.T) {
	r := NewReader(&pieces{"a\nb\nc", "d\n", "e", "", "f\n\ng\n", "h"})
	f := func(want string, line int, fault error) {
		t.Helper()
		if got, first, err := r.Some(); string(got) != want || first != line || !errors.Is(err, fault) {
			t.Errorf("%q from line %d, %v; want %q from line %d, %v", got, first, err, want, line, fault)
		}
	}
	f("a\nb\n", 1, nil)
	f("cd\n", 3, nil)
	f("ef\n\ng\n", 4, nil)
	f("h", 7, io.EOF)
}

type pieces []string

func (p *pieces) Read(buf []byte) (int, error) {
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(buf, (*p)[0])
	*p = (*p)[1:]
	return n, nil
}

// endless is a line that never ends.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	for i := range p[:n] {
		p[i] = 'x'
	}
	e.left -= n
	return n, nil
}

// Any number of bytes without an end of a line is no answer, and does not stay in memory; the line after it can be read.
func TestFloodWithoutLineEnd(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := NewReader(&endless{1 << 27})
	if _, err := r.Answer(); !errors.Is(err, ErrTooMuch) {
		t.Errorf("error %v, want %v", err, ErrTooMuch)
	}
	r = NewReader(io.MultiReader(&endless{1 << 27}, strings.NewReader("\nload v=1\n")))
	text, first, err := r.Some()
	if err != nil || first != 1 || string(text) != string(tooLong)+"load v=1\n" {
		t.Errorf("%.80q from line %d, %v", text, first, err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 32<<20 {
		t.Errorf("%d MiB were allocated", grown>>20)
	}
}

// An answer with many lines, none of them too long, has an end all the same.
func TestAnswerTooLarge(t *testing.T) {
	line := strings.Repeat("x", 1<<16) + "\n"
	r := NewReader(io.LimitReader(again(line), 1<<30))
	if _, err := r.Answer(); !errors.Is(err, ErrTooMuch) {
		t.Errorf("error %v, want %v", err, ErrTooMuch)
	}
	if r.forget(); cap(r.buf) > 2*MaxAnswer {
		t.Errorf("%d bytes are held", cap(r.buf))
	}
}

type again string

func (a again) Read(p []byte) (int, error) { return copy(p, a), nil }

// The reader says the same of a text as a plain reading of it does, in whatever pieces it comes.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{"", "\n", "a\n\n", "a\r\n\r\nb", "!retry x\n\n", "\r\r\n\n", "a\nb\nc"} {
		f.Add([]byte(text), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, piece uint8) {
		want, rest, whole := plainly(text)
		if whole {
			text = text[:len(text)-len(rest)]
		}
		r := NewReader(&cutUp{text, int(piece)%7 + 1})
		got, err := r.Answer()
		if whole && (err != nil || !bytes.Equal(got, want)) || !whole && err == nil {
			t.Errorf("%q by %d: %q, %v; want %q, %v", text, piece, got, err, want, whole)
		}
		s := NewReader(&cutUp{text, int(piece)%7 + 1})
		var all []byte
		for lines := 1; ; {
			part, first, err := s.Some()
			if first != lines {
				t.Fatalf("%q: line %d is told as %d", text, lines, first)
			}
			lines += bytes.Count(part, []byte{'\n'})
			all = append(all, part...)
			if err != nil {
				break
			}
		}
		if !bytes.Equal(all, text) {
			t.Errorf("%q is read as %q", text, all)
		}
	})
}

// plainly is the answer at the begin of a text, and what is behind it.
func plainly(text []byte) (answer, rest []byte, whole bool) {
	at := 0
	for line := range bytes.Lines(text) {
		if string(line) == "\n" || string(line) == "\r\n" {
			return text[:at], text[at+len(line):], true
		}
		at += len(line)
	}
	return nil, nil, false
}

// cutUp reads pieces of a size.
type cutUp struct {
	text []byte
	size int
}

func (c *cutUp) Read(p []byte) (int, error) {
	if len(c.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.size)], c.text)
	c.text = c.text[n:]
	return n, nil
}
