package host

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// seeds gives f the files of testdata that match glob, and further texts.
func seeds(f *testing.F, glob string, texts ...string) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", glob))
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds match %s: %v", glob, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range texts {
		f.Add([]byte(text))
	}
}

var placed = regexp.MustCompile(`^(line [1-9][0-9]*: |no line )`)

// checkPlaced fails the test when err, of a parser, does not say where the fault is.
func checkPlaced(t *testing.T, err error) {
	t.Helper()
	if err != nil && !placed.MatchString(err.Error()) {
		t.Errorf("error %q does not name a line", err)
	}
}

func TestLines(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		var got []string
		for i, line := range lines([]byte(text)) {
			if got = append(got, string(line)); i != len(got) {
				t.Errorf("%q: line %d has number %d", text, len(got), i)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%q has lines %q, want %q", text, got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%q has lines %q, want %q", text, got, want)
			}
		}
	}
	f("")
	f("a", "a")
	f("a\n", "a")
	f("a\n\nb", "a", "", "b")
	f("\n", "")
}

func TestWord(t *testing.T) {
	f := func(line, first, rest string) {
		t.Helper()
		if w, r := word([]byte(line)); string(w) != first || string(r) != rest {
			t.Errorf("word(%q) = %q, %q; want %q, %q", line, w, r, first, rest)
		}
	}
	f("", "", "")
	f("   ", "", "")
	f("a", "a", "")
	f("  a b", "a", " b")
	f("\ta\t1\n", "a", "\t1\n")
}

func TestParseUint(t *testing.T) {
	f := func(text string, want uint64) {
		t.Helper()
		if got, err := parseUint([]byte(text)); err != nil || got != want {
			t.Errorf("parseUint(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	f("0", 0)
	f("007", 7)
	f("18446744073709551615", 1<<64-1)
	for _, text := range []string{"", "-1", "+1", "1.5", "0x1", "18446744073709551616", "99999999999999999999", "1 "} {
		if got, err := parseUint([]byte(text)); err == nil {
			t.Errorf("parseUint(%q) = %d, want an error", text, got)
		}
	}
}

func FuzzUint(f *testing.F) {
	f.Add("18446744073709551615")
	f.Add("18446744073709551616")
	f.Add("12a")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseUint([]byte(text))
		want, wantErr := strconv.ParseUint(text, 10, 64)
		if (err == nil) != (wantErr == nil) || err == nil && got != want {
			t.Errorf("parseUint(%q) = %d, %v; strconv has %d, %v", text, got, err, want, wantErr)
		}
	})
}

func TestParseFloat(t *testing.T) {
	for _, text := range []string{"", "nan", "inf", "-0.5", "1,5", "1e400"} {
		if got, err := parseFloat([]byte(text)); err == nil {
			t.Errorf("parseFloat(%q) = %v, want an error", text, got)
		}
	}
	if got, err := parseFloat([]byte("12.34")); err != nil || got != 12.34 {
		t.Errorf("parseFloat = %v, %v; want 12.34", got, err)
	}
}

func TestParseKeys(t *testing.T) {
	counts := []count{{n: 9, ok: true}, {n: 9, ok: true}, {n: 9, ok: true}}
	err := parseKeys([]byte("b: 2 kB\nother x\na 1 3 4\n"), []string{"a", "b", "c"}, counts)
	if want := [3]count{{1, true}, {2, true}, {}}; err != nil || [3]count(counts) != want {
		t.Errorf("parseKeys = %v, %v; want %v", counts, err, want)
	}
}

func FuzzKeys(f *testing.F) {
	seeds(f, "*/proc/meminfo")
	seeds(f, "*/proc/vmstat")
	seeds(f, "*/proc/stat", "MemTotal:", "MemTotal: 18446744073709551615 kB")
	keys := append(memKeys(), "pswpin", "intr", "ctxt")
	counts := make([]count, len(keys))
	f.Fuzz(func(t *testing.T, text []byte) {
		checkPlaced(t, parseKeys(text, keys, counts))
		checkPlaced(t, parseMeminfo(text, keys, counts))
		estimateAvailable(counts)
	})
}

func TestParseNumbers(t *testing.T) {
	var two [2]count
	if err := parseNumbers([]byte("11360\t0\t99\n"), two[:]); err != nil || two != [2]count{{11360, true}, {0, true}} {
		t.Errorf("parseNumbers = %v, %v", two, err)
	}
	for _, text := range []string{"", "1", "1 x", "\n"} {
		err := parseNumbers([]byte(text), two[:])
		if err == nil {
			t.Errorf("parseNumbers(%q) = %v, want an error", text, two)
		}
		checkPlaced(t, err)
	}
}

func FuzzNumbers(f *testing.F) {
	seeds(f, "*/proc/uptime", "1e999 2", "9223372036854775808")
	seeds(f, "*/proc/sys/fs/file-nr", "1 2", "")
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := parseUptime(text)
		checkPlaced(t, err)
		checkPlaced(t, parseNumbers(text, make([]count, 3)))
	})
}

func TestParseUptime(t *testing.T) {
	f := func(text string, want uint64) {
		t.Helper()
		if got, err := parseUptime([]byte(text)); err != nil || got != want {
			t.Errorf("parseUptime(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	f("526807.99 1887023.19\n", 526807)
	f("0.00 0.00\n", 0)
	if got, err := parseUptime([]byte("1e30 1")); err == nil {
		t.Errorf("uptime of 1e30 s = %d, want an error", got)
	}
}
