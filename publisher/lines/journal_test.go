package lines

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

func TestTornLineIsCut(t *testing.T) {
	f := func(before, after string) {
		t.Helper()
		cfg := config(t)
		write(t, cfg.Path, before)
		p, log := start(t, cfg)
		publish(t, p, batch(9, 1))
		wantFile(t, cfg.Path, after+text(9, 1))
		if cut := before != after; cut != strings.Contains(log.String(), "torn last line") {
			t.Errorf("log: %s", log)
		}
	}
	f("", "")
	f("a v=1 1\n", "a v=1 1\n")
	f("a v=1 1\nb v=", "a v=1 1\n")
	f("a v=1 1\n\nb", "a v=1 1\n\n")
	long := strings.Repeat("x", 200<<10) // several reads
	f("a v=1 1\n"+long, "a v=1 1\n")
	f(long+"\n"+long, long+"\n")
}

// What may be no file of points is left as it is.
func TestForeignFileIsLeftAlone(t *testing.T) {
	f := func(content string) {
		t.Helper()
		cfg := config(t)
		write(t, cfg.Path, content)
		_, err := New(t.Context(), cfg, env(t))
		if err == nil || !strings.Contains(err.Error(), "does not end with a line") {
			t.Errorf("error %v", err)
		}
		wantFile(t, cfg.Path, content)
	}
	f("no line end")
	f("one line\n" + strings.Repeat("x", lineMax+1))
}

func TestNewTellsTheWayOut(t *testing.T) {
	f := func(path string, want ...string) {
		t.Helper()
		cfg := config(t)
		cfg.Path = path
		_, err := New(t.Context(), cfg, env(t))
		if err == nil {
			t.Fatal("no error")
		}
		for _, w := range append(want, path) {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q is not in %v", w, err)
			}
		}
	}
	dir := t.TempDir()
	f(filepath.Join(dir, "no", "such", "out.lp"), "directory "+filepath.Join(dir, "no", "such"), "make it or change path")
	f(dir, "is a directory")
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	f(fifo, "not a regular file")

	denied := explain(&os.PathError{Op: "open", Path: "/out.lp", Err: syscall.EACCES}, "/out.lp")
	if !strings.Contains(denied.Error(), "let this user write") {
		t.Errorf("error %v", denied)
	}
}

// A file is reopened when logrotate or a person has moved it away, deleted it or cut it to nothing.
func TestFileIsFollowed(t *testing.T) {
	cfg := config(t)
	p, log := start(t, cfg)
	publish(t, p, batch(0, 1))

	moved := cfg.Path + ".1"
	if err := os.Rename(cfg.Path, moved); err != nil {
		t.Fatal(err)
	}
	publish(t, p, batch(1, 1))
	wantFile(t, moved, text(0, 1))
	wantFile(t, cfg.Path, text(1, 1))

	if err := os.Remove(cfg.Path); err != nil {
		t.Fatal(err)
	}
	publish(t, p, batch(2, 1))
	wantFile(t, cfg.Path, text(2, 1))
	if n := strings.Count(log.String(), "beginning a new one"); n != 2 {
		t.Errorf("told %d times: %s", n, log)
	}

	if err := os.Truncate(cfg.Path, 0); err != nil {
		t.Fatal(err)
	}
	publish(t, p, batch(3, 1))
	wantFile(t, cfg.Path, text(3, 1))

	if err := os.RemoveAll(filepath.Dir(cfg.Path)); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(t.Context(), batch(4, 1)); err == nil || !strings.Contains(err.Error(), "make it or change path") {
		t.Errorf("error %v", err)
	}
	if err := os.Mkdir(filepath.Dir(cfg.Path), 0o700); err != nil {
		t.Fatal(err)
	}
	publish(t, p, batch(4, 1))
	wantFile(t, cfg.Path, text(4, 1))
}

// Two on one file are one too many. The second may be the new version of the first, and is told that this one has it still.
func TestLock(t *testing.T) {
	cfg := config(t)
	first, _ := start(t, cfg)
	_, err := New(t.Context(), cfg, plugin.Env{Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, plugin.ErrTaken) || !strings.Contains(err.Error(), cfg.Path) {
		t.Errorf("error %v", err)
	}
	publish(t, first, batch(0, 1))
	wantFile(t, cfg.Path, text(0, 1))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, _ := start(t, cfg)
	publish(t, second, batch(1, 1))
	wantFile(t, cfg.Path, text(0, 2))
}

// A disk that fills up in the middle of a batch leaves nothing of it, and the second try leaves it once.
func TestFullDisk(t *testing.T) {
	cfg := config(t)
	p, _ := start(t, cfg)
	publish(t, p, batch(0, 10))
	restore := limitFiles(t, 1000)
	for range 2 {
		if err := p.Publish(t.Context(), batch(10, 100)); !errors.Is(err, unix.EFBIG) {
			t.Fatalf("error %v", err)
		}
		wantFile(t, cfg.Path, text(0, 10))
	}
	restore()
	publish(t, p, batch(10, 100))
	wantFile(t, cfg.Path, text(0, 110))
}

// limitFiles lets no file of the process grow above max bytes: the one fault of a full disk that needs no privilege.
func limitFiles(t *testing.T, max uint64) (restore func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: max, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	restore = sync.OnceFunc(func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(restore)
	return restore
}

// Where half a batch cannot be taken back at once, it is before the next one.
func TestHalfBatchIsMendedLater(t *testing.T) {
	cfg := config(t)
	p, _ := start(t, cfg)
	publish(t, p, batch(0, 1))
	j := p.out.(*journal)
	reader, err := os.Open(cfg.Path) // cannot be cut
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	writer := j.file
	j.write = func(_ *os.File, text []byte) (int, error) {
		n, _ := writer.Write(text[:len(text)/2])
		return n, syscall.ENOSPC
	}
	j.file = reader
	if err := p.Publish(t.Context(), batch(1, 4)); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "half a batch") {
		t.Errorf("error %v", err)
	}
	if err := p.Publish(t.Context(), batch(1, 4)); err == nil || errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v: written behind half a batch", err)
	}
	j.file, j.write = writer, (*os.File).Write
	publish(t, p, batch(1, 4))
	wantFile(t, cfg.Path, text(0, 5))
}

func TestSeveralAtOnce(t *testing.T) {
	cfg := config(t)
	p, _ := start(t, cfg)
	var calls sync.WaitGroup
	for i := range 8 {
		calls.Go(func() {
			if err := p.Publish(t.Context(), batch(10*i, 10)); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	content, err := os.ReadFile(cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		if !strings.Contains(string(content), text(10*i, 10)) {
			t.Errorf("batch %d is torn or missing", i)
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, points := range []int{100, 8000} {
		b.Run(fmt.Sprint(points), func(b *testing.B) {
			j := newJournal(filepath.Join(b.TempDir(), "out.lp"), nil)
			j.rotation = rotation{size: 64 << 20, keep: 1}
			if err := j.open(); err != nil {
				b.Fatal(err)
			}
			p := &sink{encode: (*telemetry.Batch).AppendLines, out: j}
			defer p.Close()
			in := batch(0, points)
			b.SetBytes(int64(len(text(0, points))))
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Publish(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*points), "ns/point")
		})
	}
}
