package telemetry

import (
	"testing"
	"time"
)

func TestAppendFlatLines(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		var b Batch
		b.At(time.Unix(0, 5))
		b.Add("s", Fields{"t": text}, nil)
		b.Add("s", Fields{"t": "next"}, nil)
		if got := string(b.AppendFlatLines([]byte("before\n"))); got != "before\n"+want+"s t=\"next\" 5\n" {
			t.Errorf("%q: %q", text, got)
		}
	}
	f("plain", "s t=\"plain\" 5\n")
	f("two\nlines", `s t="two\nlines" 5`+"\n")
	f("\n", `s t="\n" 5`+"\n")
	f("a \"quoted\n\" one", `s t="a \"quoted\n\" one" 5`+"\n")
	f("a backslash\\\n", `s t="a backslash\\\n" 5`+"\n")
}
