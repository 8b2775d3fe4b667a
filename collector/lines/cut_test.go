package lines

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// cutAll gives text to a cutter in pieces of n bytes, and returns the lines, how many were too long and what is left.
func cutAll(text []byte, limit, n int) (lines []string, long int, rest []byte) {
	c := cutter{limit: limit}
	for len(text) > 0 {
		k := min(n, len(text))
		rest = append(rest, text[:k]...)
		text = text[k:]
		for {
			var whole []byte
			whole, rest = c.next(rest)
			if len(whole) == 0 {
				break
			}
			lines = append(lines, strings.SplitAfter(strings.TrimSuffix(string(whole), "\n"), "\n")...)
		}
		rest = bytes.Clone(rest)
	}
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\n")
	}
	if c.skipping {
		rest = nil
	}
	return lines, c.long, rest
}

func TestCutter(t *testing.T) {
	f := func(text, want string, long int, rest string) {
		t.Helper()
		for n := 1; n <= len(text)+1; n++ {
			lines, gotLong, gotRest := cutAll([]byte(text), 4, n)
			if got := strings.Join(lines, "|"); got != want || gotLong != long || string(gotRest) != rest {
				t.Errorf("%q in pieces of %d: %q, %d too long, rest %q; want %q, %d, %q", text, n, got, gotLong, gotRest, want, long, rest)
			}
		}
	}
	f("", "", 0, "")
	f("abcd", "", 0, "abcd")
	f("abcd\n", "abcd", 0, "")
	f("abcde", "", 1, "")
	f("abcde\n", "", 1, "")
	f("abcde\nf\n", "f", 1, "")
	f("a\nabcde\nf\ng", "a|f", 1, "g")
	f("a\nb\nc\nabcdef\nabcdef\nd\n", "a|b|c|d", 2, "")
	f("\n\n", "|", 0, "")
}

// A line that is too long is found wherever the pieces end.
func TestCutterProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOf(rapid.SampledFrom([]byte("\n\nabcdefgh"))).Draw(t, "text")
		limit, n := rapid.IntRange(1, 8).Draw(t, "limit"), rapid.IntRange(1, 40).Draw(t, "pieces")
		all := strings.Split(string(text), "\n")
		tail := all[len(all)-1]
		var want []string
		long := 0
		for _, line := range all[:len(all)-1] {
			if len(line) > limit {
				long++
			} else {
				want = append(want, line)
			}
		}
		if len(tail) > limit {
			long++
			tail = ""
		}
		lines, gotLong, rest := cutAll(text, limit, n)
		if !slices.Equal(lines, want) || gotLong != long || string(rest) != tail {
			t.Fatalf("%q, %d too long, rest %q; want %q, %d, %q", lines, gotLong, rest, want, long, tail)
		}
	})
}
