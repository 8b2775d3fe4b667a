package child

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const plenty = time.Minute // for what takes a moment

// shell is a spec of a script.
func shell(script string) Spec {
	return Spec{Command: []string{"sh", "-c", script}, Env: Environ(os.Environ())}
}

func TestRun(t *testing.T) {
	f := func(script, input, out, stderr string, code int) {
		t.Helper()
		r, err := Run(t.Context(), shell(script), []byte(input), 1<<20, 0)
		if err != nil || string(r.Stdout) != out || r.LastLine != stderr || r.Exit.Code != code || r.Late || r.Cut {
			t.Errorf("%s: %q, %q, %+v, %v", script, r.Stdout, r.Stderr, r.Exit, err)
		}
	}
	f("cat", "in\n", "in\n", "", 0)
	f("echo out; echo err >&2; echo >&2; exit 3", "", "out\n", "err", 3)
	f("exec <&-; sleep 0.1", strings.Repeat("nobody reads this ", 1e5), "", "", 0)
	f(`printf %s "$LC_ALL"`, "", "C.UTF-8", "", 0)
	f(`printf '%.2f' 1.5`, "", "1.50", "", 0)
}

// Standard error comes line by line, and what is too much of it is left out.
func TestRunStderr(t *testing.T) {
	var lines []string
	s := shell("i=0; while [ $i -lt 3000 ]; do echo $i >&2; i=$((i+1)); done; echo last words >&2")
	s.Stderr = func(line []byte) { lines = append(lines, string(line)) }
	r, err := Run(t.Context(), s, nil, 0, 0)
	if err != nil || r.LastLine != "last words" || len(lines) == 0 || lines[0] != "0" || len(lines) > 3002 {
		t.Errorf("%d lines, %+v, %v", len(lines), r, err)
	}
	if end := string(r.Stderr); len(end) != stderrTail || !strings.HasSuffix(end, "\n2998\n2999\nlast words\n") {
		t.Errorf("%d bytes are kept: %q", len(end), end)
	}
}

// However much is printed, it is read, and what is to be kept of it is.
func TestRunFlood(t *testing.T) {
	r, err := Run(t.Context(), shell("printf begin; head -c 200000000 /dev/zero; printf end"), nil, 5, 3)
	if err != nil || string(r.Stdout) != "beginend" || !r.Cut || r.Exit.Code != 0 {
		t.Errorf("%q, %v, %v, %v", r.Stdout, r.Cut, r.Exit, err)
	}
}

// What a program has printed before its time was over is there.
func TestRunLate(t *testing.T) {
	up := filepath.Join(t.TempDir(), "up")
	ctx, cancel := context.WithTimeout(t.Context(), plenty)
	defer cancel()
	go func() {
		await(t, func() bool { return len(numbers(up)) > 0 })
		cancel()
	}()
	r, err := Run(ctx, shell("echo begun; echo 1 >"+up+"; sleep 3600"), nil, 100, 0)
	if err != nil || !r.Late || string(r.Stdout) != "begun\n" || r.Exit.Signal != "SIGTERM" {
		t.Errorf("%q, late %v, %v, %v", r.Stdout, r.Late, r.Exit, err)
	}
}

// numbers are those in a file that is whole, none before.
func numbers(path string) (list []int) {
	text, _ := os.ReadFile(path)
	if !bytes.HasSuffix(text, []byte("\n")) {
		return nil
	}
	for word := range strings.FieldsSeq(string(text)) {
		n, _ := strconv.Atoi(word)
		list = append(list, n)
	}
	return list
}

func await(t *testing.T, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(plenty); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Error("waited in vain")
			return
		}
	}
}

// A clip has the same begin and end as what was written, however it was cut into writes.
func TestClip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		head, tail, n := random.IntN(8), random.IntN(8), random.IntN(40)
		text := make([]byte, n)
		for i := range text {
			text[i] = byte('a' + i%26)
		}
		c := &clip{head: head, tail: tail}
		for rest := text; len(rest) > 0; {
			k := 1 + random.IntN(len(rest))
			if got, err := c.Write(rest[:k]); got != k || err != nil {
				t.Fatal(got, err)
			}
			rest = rest[k:]
		}
		want := string(text)
		if n > head+tail {
			want = want[:head] + want[n-tail:]
		}
		if got, cut := c.bytes(); string(got) != want || cut != (n > head+tail) {
			t.Fatalf("head %d, tail %d of %q: %q, %v", head, tail, text, got, cut)
		}
	}
}
