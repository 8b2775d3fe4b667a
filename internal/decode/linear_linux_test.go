package decode

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// Whatever a program prints, four times as much takes about four times as long: a run of 8 MiB never keeps its plugin for minutes.
func TestLinear(t *testing.T) {
	if os.Getenv("PACEWIRE_TEST_LONG") != "1" {
		t.Skip("measures minutes of work: set PACEWIRE_TEST_LONG=1")
	}
	runtime.LockOSThread()
	t.Log("| format | slowest for 4 MiB | CPU of 1, 2, 4 MiB | largest ratio of 4 MiB to 1 | for |")
	for _, format := range Formats() {
		var slowest, steepest [3]time.Duration
		var slow, steep string
		for name, text := range hostileTexts() {
			var took [3]time.Duration
			for i := range took {
				took[i] = cost(t, format, text(1<<(20+i)))
			}
			if took[2] > slowest[2] {
				slowest, slow = took, name
			}
			if took[0] > 5*time.Millisecond && ratio(took) > ratio(steepest) { // less is noise
				steepest, steep = took, name
			}
			if ratio(took) > 10 && took[2] > time.Second {
				t.Errorf("%s: %s: %v", format, name, took)
			}
		}
		t.Logf("| %s | %s | %.0f, %.0f, %.0f ms | %.1f | %s |", format, slow, ms(slowest[0]), ms(slowest[1]), ms(slowest[2]), ratio(steepest), steep)
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func ratio(took [3]time.Duration) float64 { return float64(took[2]) / float64(max(took[0], 1)) }

// cost returns how long a text keeps a processor.
func cost(t *testing.T, format string, text []byte) time.Duration {
	t.Helper()
	d, err := New(format, Options{Series: "x"})
	if err != nil {
		t.Fatal(err)
	}
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_THREAD, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	runtime.GC()
	begin := used()
	var b telemetry.Batch
	d.Decode(&b, text, noon)
	return used() - begin
}

// hostileTexts make texts of a size, by what they are.
func hostileTexts() map[string]func(size int) []byte {
	texts := map[string]func(int) []byte{}
	for _, word := range []string{
		"\n", " ", "'", "=", "|", "a=1|", "'a' ", "'a'b ", "'=", "a= ", "\"", "\\", ";", "{", "[", "[\n", "{}\n", `{"a":`, "[[],", `"a",`, "a.", "a;", ";a=b", "a,b=c", "a,",
		"# ", "# HELP a b\n", "a{b=\"c\",", "a{", "a 1\n", "a 1 1\n", "a a=1\n", "a b=\"\n", "a b=\"c\n", "a b=\"\\\"\n", "PUTVAL ", "PUTVAL a/b/c N:1\n", "N:1:",
		"multigraph a\n", "a.value 1\n", "a.label x\n", "\x00", "\xff", "1", "-", "e", "x\r", "\r\n", "U;;;; ",
	} {
		texts[fmt.Sprintf("%q again and again", word)] = func(size int) []byte { return bytes.Repeat([]byte(word), size/len(word)) }
	}
	// begin and end once, the rest with a new number each time
	for _, form := range [][3]string{
		{"", "s%d v=1\n"}, {"", "s v%d=1\n"}, {"", "s,t=%[1]d f%[1]d=1\n"}, {"", "s,t%d=a v=1\n"}, {"s ", "f%d=1,", "x=1\n"}, {"s", ",t%d=1", " v=1\n"},
		{"s{", `l%d="",`, "} 1\n"}, {"", "s%d 1\n"}, {"", "s{l%d=\"1\"} 1\n"}, {"", "s;t%d=1 1\n"}, {"s", ";t%d=1", " 1 1\n"}, {"", "s 1 1 t%d=1\n"},
		{"{", `"%d":1,`, `"a":1}`}, {"", "{\"a%d\":1}\n"}, {"[", `{"a%d":1},`, "{}]"}, {`{"a":[`, "%d,", "1]}"}, {"", "{\"series\":\"s%d\",\"fields\":{\"v\":1}}\n"},
		{"PUTVAL a/b/c", " meta:x%d=1", " N:1\n"}, {"PUTVAL a/b/c N", ":%d", "\n"}, {"PUTVAL a/b/c", " N:%d", "\n"}, {"", "PUTVAL a/b%d/c N:1\n"},
		{"", "a%d.value 1\n"}, {"", "multigraph a%d\na.value 1\n"}, {"", "a.value %d:1\n"}, {"", "a%[1]d.critical 1\na%[1]d.value 2\n"},
		{"OK | ", "a%d=1;2;3;4;5 ", "\n"}, {"OK | ", "'a%d'b ", "\n"}, {"OK | a=1", ";%d", "\n"},
	} {
		texts[fmt.Sprintf("%q with new numbers", form)] = func(size int) []byte {
			b := []byte(form[0])
			for i := 0; len(b) < size; i++ {
				b = fmt.Appendf(b, form[1], i)
			}
			return append(b, form[2]...)
		}
	}
	// something long that all of the rest has to do with
	for _, form := range [][3]string{
		{"PUTVAL a/b/c meta:x=", " N:1", "\n"}, {"PUTVAL a/b", "/c N:1", "\n"}, {"multigraph ", "\na.value 1:1", "\n"}, {"a.critical 1\na.label ", "\na.value 2:1", "\n"},
		{`{"`, `":{"a":1},"b`, `":1}`}, {"s,t=", " v=1\ns v=2", "\n"}, {"s v=\"", "\"\ns v=\"a", "\n"}, {"a{b=\"", "\"} 1\na 1", "\n"}, {"OK | '", "'=1 a=2", "\n"},
	} {
		texts[fmt.Sprintf("%q around a long word", form)] = func(size int) []byte {
			return []byte(form[0] + strings.Repeat("x", size/2) + strings.Repeat(form[1], size/2/len(form[1])) + form[2])
		}
	}
	return texts
}
