package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/cluster"
	"github.com/pacewire/pacewire/internal/lab"
)

// binary is the program under test.
var binary string

// TestMain builds the program once; PACEWIRE_BINARY names one that is built already.
func TestMain(m *testing.M) {
	cluster.Serve() // the servers of a cluster are processes of this program
	ctx, end := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	if was, err := lab.ServeRawBus(ctx, os.Args[1:]); was {
		end()
		if err != nil {
			fmt.Fprintln(os.Stderr, "raw bus:", err)
			os.Exit(1)
		}
		return
	}
	end()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "pacewire-e2e-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if binary = os.Getenv("PACEWIRE_BINARY"); binary == "" {
		binary = filepath.Join(dir, "pacewire")
		build := []string{"build", "-trimpath", "-o", binary, "../../cmd/pacewire"}
		if raceEnabled { // then the program is to be watched, more than its tests
			build = slices.Insert(build, 1, "-race")
		}
		if out, err := exec.Command("go", build...).CombinedOutput(); err != nil {
			return 0, fmt.Errorf("build: %w\n%s", err, out)
		}
	}
	if binary, err = filepath.Abs(binary); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// long asks for outages of a minute and longer loads.
var long = os.Getenv("PACEWIRE_TEST_LONG") == "1"

// span returns how long something lasts: short by default.
func span(short, whenLong time.Duration) time.Duration {
	if long {
		return whenLong
	}
	return short
}

// await polls cond until it holds, and ends the test when it does not within limit.
func await(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// tail returns the end of a text.
func tail(text string) string {
	const most = 16 << 10
	return text[max(0, len(text)-most):]
}

// lines are the lines of a file; none when it is not there.
func lines(t testing.TB, path string) (all []string) {
	t.Helper()
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) { // what has no end yet is being written
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.TrimSuffix(line, "\n"))
	}
}

// contains complains about each part that a text lacks.
func contains(t testing.TB, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s does not say %q:\n%s", what, part, text)
		}
	}
}

// alive reports whether a process runs; a zombie does not.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(text), ") ")
	return state != "" && state[0] != 'Z' && state[0] != 'X'
}
