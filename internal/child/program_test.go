package child

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func begin(t *testing.T, s Spec) *Program {
	t.Helper()
	p, err := Start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.End()
		<-p.Gone()
		p.Close()
	})
	return p
}

func TestProgram(t *testing.T) {
	p := begin(t, shell("echo hello >&2; cat; echo bye; exit 5"))
	out := bufio.NewReader(p)
	for range 3 {
		if _, err := io.WriteString(p, "line\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := out.ReadString('\n'); got != "line\n" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	p.Stop(t.Context(), plenty)
	rest, err := io.ReadAll(out)
	if string(rest) != "bye\n" || err != nil || p.Exit().Code != 5 || p.LastLine() != "hello" {
		t.Errorf("%q, %v, %v, %q", rest, err, p.Exit(), p.LastLine())
	}
}

func TestStartNothing(t *testing.T) {
	before := descriptors(t)
	for range 50 {
		if p, err := Start(Spec{Command: []string{"/no/such/program"}}); p != nil || !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("%v, %v", p, err)
		}
	}
	if after := descriptors(t); after > before+10 {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("only Linux tells descriptors:", err)
	}
	return len(list)
}

// What a program has not read, and what it has printed that nobody has read, can be told.
func TestUnread(t *testing.T) {
	p := begin(t, shell("read x; echo 12345; sleep 3600"))
	if _, err := io.WriteString(p, "first\nsecond\n"); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return p.Waiting() == 6 })
	if n := p.Unread(); n != 7 { // a shell reads no further than it has to
		t.Errorf("%d bytes unread, want 7", n)
	}
	p.End()
	<-p.Gone()
	if n := p.Unread(); n != 7 {
		t.Errorf("%d bytes unread after its end, want 7", n)
	}
}

// A large batch is written without anybody reading meanwhile.
func TestPipesHoldABatch(t *testing.T) {
	p := begin(t, shell("sleep 3600"))
	_ = p.stdin.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if n, err := p.Write(make([]byte, pipeSize)); n < 64<<10 || err != nil && n == pipeSize {
		t.Errorf("%d bytes, %v", n, err)
	} else {
		t.Logf("the pipe holds %d bytes", n)
	}
}

// At the end of a program nobody waits for it, even if somebody who could not be ended has its pipes.
func TestNobodyWaitsForTheDead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	p := begin(t, shell("env -i setsid sh -c 'echo $$ >"+path+"; exec sleep 3600' & until [ -s "+path+" ]; do sleep 0.01; done; echo up"))
	t.Cleanup(func() {
		for _, pid := range numbers(path) {
			if hidden, err := os.FindProcess(pid); err == nil {
				_ = hidden.Kill()
			}
		}
	})
	written := make(chan error, 1)
	go func() {
		_, err := p.Write(make([]byte, 4*pipeSize))
		written <- err
	}()
	if got, err := io.ReadAll(p); string(got) != "up\n" || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q, %v", got, err)
	}
	if err := <-written; err == nil {
		t.Error("all is written")
	}
}

func TestStop(t *testing.T) {
	f := func(name, script string, patience time.Duration, signal string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := shell("echo up; " + script)
			s.Grace = 200 * time.Millisecond
			p := begin(t, s)
			if got, err := bufio.NewReader(p).ReadString('\n'); got != "up\n" || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
			p.Stop(t.Context(), patience)
			if e := p.Exit(); e.Signal != signal {
				t.Errorf("%v, want signal %q", e, signal)
			}
		})
	}
	f("hears the end of its input", "cat; exit 0", plenty, "")
	f("hears TERM", "while :; do sleep 0.01; done", 50*time.Millisecond, "SIGTERM")
	f("hears nothing", `trap "" TERM HUP; while :; do sleep 0.01; done`, 50*time.Millisecond, "SIGKILL")
}

// Who has no time left has no patience.
func TestStopInAHurry(t *testing.T) {
	p := begin(t, shell("echo up; sleep 3600"))
	if got, err := bufio.NewReader(p).ReadString('\n'); got != "up\n" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.Stop(ctx, 100*plenty)
	if e := p.Exit(); e.Signal != "SIGTERM" {
		t.Errorf("%v", e)
	}
}

func TestLastLineIsShort(t *testing.T) {
	s := newStderr(nil)
	_, _ = io.WriteString(s, strings.Repeat("é", 1000)+"\n \n")
	if got := s.last(); len(got) > 310 || !strings.HasPrefix(got, "éé") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}
