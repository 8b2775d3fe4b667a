package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// writeProcess makes the folder of a process with a stat.
func writeProcess(t *testing.T, proc, pid, text string) {
	t.Helper()
	folder := filepath.Join(proc, pid)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "stat"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestScan(t *testing.T) {
	proc := t.TempDir()
	for pid := 1; pid <= 1500; pid++ { // more than one read of the folder
		writeProcess(t, proc, fmt.Sprint(pid), fmt.Sprintf("%d (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 2 0\n", pid))
	}
	writeProcess(t, proc, "self", "not a process")
	if err := os.Mkdir(filepath.Join(proc, "4000"), 0o700); err != nil { // it has ended: no stat any more
		t.Fatal(err)
	}
	s := newScanner(proc)
	for range 2 {
		if got, err := s.scan(t.Context()); err != nil || got[counted] != 1500 || got[sleeping] != 1500 || got[threads] != 3000 {
			t.Errorf("scan = %v, %v; want 1500 processes, all asleep, of 2 threads each", got, err)
		}
	}
}

func TestScanFaults(t *testing.T) {
	proc := t.TempDir()
	s := newScanner(proc)
	writeProcess(t, proc, "7", "7 (x\n")
	if _, err := s.scan(t.Context()); err == nil || !strings.Contains(err.Error(), filepath.Join(proc, "7/stat")+": line 1: ") {
		t.Errorf("scan of a faulty stat: %v, want its path and line", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.scan(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("scan after the end of its context: %v", err)
	}
	if _, err := newScanner(filepath.Join(proc, "none")).scan(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("scan of nothing: %v", err)
	}
}

// A scan that takes long is left out of the next collections.
func TestScanPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcesses(func(context.Context) (tally, error) {
			time.Sleep(25 * time.Millisecond)
			return tally{counted: 5000}, nil
		})
		var scanned []int
		for tick := range 7 {
			var b telemetry.Batch
			from := time.Now()
			if err := p.collect(t.Context(), &b); err != nil {
				t.Error(err)
			}
			if b.Len() == 1 {
				scanned = append(scanned, tick)
			}
			time.Sleep(10*time.Second - time.Since(from))
		}
		if fmt.Sprint(scanned) != "[0 3 6]" {
			t.Errorf("scans at ticks %v of 10 s, want [0 3 6]", scanned)
		}
	})
}

func TestMissed(t *testing.T) {
	f := func(err, want error, wantUnknown uint64) {
		t.Helper()
		var got tally
		if e := got.missed(err); !errors.Is(e, want) || got[counted] != wantUnknown || got[unknown] != wantUnknown {
			t.Errorf("missed(%v) = %v, %v; want %v and %d unknown", err, e, got, want, wantUnknown)
		}
	}
	f(nil, nil, 0)
	f(syscall.ENOENT, nil, 0)
	f(syscall.ESRCH, nil, 0)
	f(syscall.EPERM, nil, 1)
	f(syscall.EACCES, nil, 1)
	f(syscall.EMFILE, syscall.EMFILE, 0)
}

func TestNextEntry(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("\xff", 24), strings.Repeat("\x00", 24)} {
		if name, rest := nextEntry([]byte(text)); name != nil || rest != nil {
			t.Errorf("nextEntry(%q) = %q, %q; want nothing", text, name, rest)
		}
	}
}

func FuzzEntries(f *testing.F) {
	f.Add([]byte("12345678abcdefgh\x18\x00\x0442\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, entries []byte) {
		for len(entries) > 0 {
			n := len(entries)
			var name []byte
			if name, entries = nextEntry(entries); len(entries) >= n || len(name) > n {
				t.Fatalf("entry %q leaves %d of %d bytes", name, len(entries), n)
			}
		}
	})
}
