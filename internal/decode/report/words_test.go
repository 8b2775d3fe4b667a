package report

import (
	"fmt"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	var r Report
	got := ""
	for n, words := range r.Words([]byte("\uFEFFa  b\n\n \r\n" + strings.Repeat("x", MaxLine+1) + "\n\tc d e")) {
		got += fmt.Sprint(n, words)
	}
	if want := "1 [a b]5 [c d e]"; got != want || r.Bad[Limit] != 1 || !strings.HasPrefix(r.First.Error(), "line 4: it has 65538 bytes") {
		t.Errorf("%s, %v; want %s", got, r, want)
	}
	for range r.Words([]byte("a\nb")) {
		break
	}
}

func TestCut(t *testing.T) {
	f := func(text string, limit int, want string) {
		t.Helper()
		if got := Cut(text, limit); got != want {
			t.Errorf("%q, %d: %q, want %q", text, limit, got, want)
		}
	}
	f("abc", 3, "abc")
	f("abc", 2, "ab")
	f("aé", 2, "a")
	f("é", 1, "")
	f("a\x80\x80", 2, "")
	f("", 0, "")
}
