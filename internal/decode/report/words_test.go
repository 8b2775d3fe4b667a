package report

import (
	"fmt"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	var r Report
	got := ""
	for n, words := range r.Words([]byte("a  b\n\n \r\n" + strings.Repeat("x", MaxLine+1) + "\n\tc d e")) {
		got += fmt.Sprint(n, words)
	}
	if want := "1 [a b]5 [c d e]"; got != want || r.Bad[Limit] != 1 || !strings.HasPrefix(r.First.Error(), "line 4: it has 65538 bytes") {
		t.Errorf("%s, %v; want %s", got, r, want)
	}
	for range r.Words([]byte("a\nb")) {
		break
	}
}
