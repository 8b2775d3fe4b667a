package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"

	"github.com/pacewire/pacewire/bus/embedded"
)

const limit = time.Minute // of any wait in these tests

// childEnv makes the test binary a server that runs until it is killed.
const childEnv = "EMBEDDED_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		serve(dir)
		return
	}
	os.Exit(m.Run())
}

func serve(dir string) {
	s, err := embedded.Start(context.Background(), embedded.Options{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println(s.URL())
	_, _ = os.Stdin.Read(make([]byte, 1)) // ends with the parent, if nobody kills us before
}

func start(t *testing.T, o embedded.Options) *embedded.Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	s, err := embedded.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func connect(t *testing.T, url string, o ...nats.Option) nats.JetStreamContext {
	t.Helper()
	nc, err := nats.Connect(url, append(o, nats.Timeout(limit))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := nc.JetStream(nats.MaxWait(limit))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func stream(t *testing.T, js nats.JetStreamContext) {
	t.Helper()
	if _, err := js.AddStream(&nats.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
}

func messages(t *testing.T, js nats.JetStreamContext) uint64 {
	t.Helper()
	info, err := js.StreamInfo("S")
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Msgs
}

// refuses starts a server that must not start, and says why: not that it has waited in vain.
func refuses(t *testing.T, o embedded.Options, want ...string) {
	t.Helper()
	s, err := embedded.Start(t.Context(), o)
	if err == nil {
		s.Shutdown()
		t.Errorf("%+v started", o)
		return
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}

func TestRestartKeepsMessages(t *testing.T) {
	dir := t.TempDir()
	s := start(t, embedded.Options{Dir: dir})
	js := connect(t, s.URL())
	stream(t, js)
	for range 100 {
		if _, err := js.Publish("s", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sync(); err != nil {
		t.Error(err)
	}
	s.Shutdown()
	s.Shutdown()
	s = start(t, embedded.Options{Dir: dir})
	if n := messages(t, connect(t, s.URL())); n != 100 {
		t.Errorf("%d messages after the restart", n)
	}
	if s.Dir() != dir {
		t.Errorf("store %s", s.Dir())
	}
}

// What streams may hold is what is wished, within the disk: of one that is full it is still something.
func TestRoom(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("needs the right to mount a tmpfs (root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := start(t, embedded.Options{Dir: filepath.Join(disk, "store")})
	f := func(wish, least, most int64) {
		t.Helper()
		if room, err := s.Room(wish); err != nil || room < least || room > most {
			t.Errorf("of %d there are %d, %v", wish, room, err)
		}
	}
	f(20<<20, 20<<20, 20<<20)
	f(1<<40, 40<<20, 45<<20)
	fillDisk(t, filepath.Join(disk, "ballast"))
	f(20<<20, 8<<20, 8<<20)
}

// Streams that promise more than is wanted by now can be made smaller, unless the server has a limit of its own.
func TestStreamsOfMoreThanIsWanted(t *testing.T) {
	s := start(t, embedded.Options{Dir: t.TempDir()})
	js := connect(t, s.URL())
	config := &nats.StreamConfig{Name: "S", Subjects: []string{"s"}, MaxBytes: 1 << 40}
	if _, err := js.AddStream(config); err != nil {
		t.Fatal(err)
	}
	config.MaxBytes = 1 << 20
	if info, err := js.UpdateStream(config); err != nil || info.Config.MaxBytes != 1<<20 {
		t.Errorf("%v", err)
	}
}

func TestTwoServersOnAStore(t *testing.T) {
	dir := t.TempDir()
	first := start(t, embedded.Options{Dir: dir})
	refuses(t, embedded.Options{Dir: dir, Listen: "127.0.0.1:0"}, dir, strconv.Itoa(os.Getpid()), "bus.store")
	stream(t, connect(t, first.URL())) // undisturbed
	first.Shutdown()
	start(t, embedded.Options{Dir: dir})
}

func TestBusyPort(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	dir := t.TempDir()
	refuses(t, embedded.Options{Dir: dir, Listen: busy.Addr().String()}, busy.Addr().String(), "in use", "bus.listen")
	start(t, embedded.Options{Dir: dir}) // the lock was let go
}

func TestRefusedSettings(t *testing.T) {
	dir := t.TempDir()
	refuses(t, embedded.Options{}, "bus.store")
	refuses(t, embedded.Options{Dir: dir, Listen: "nonsense"}, "host:port")
	refuses(t, embedded.Options{Dir: dir, Listen: "127.0.0.1:x"}, "port")
	refuses(t, embedded.Options{Dir: dir, Listen: "0.0.0.0:0"}, "users and TLS", "only 127.0.0.1")
	refuses(t, embedded.Options{Dir: dir, Listen: "0.0.0.0:0", Users: new(embedded.Users)}, "only 127.0.0.1")
	refuses(t, embedded.Options{Dir: dir, Listen: "127.0.0.1:0", Sync: "soon"}, `"soon"`, "always")
	refuses(t, embedded.Options{Dir: dir, Listen: "127.0.0.1:0", Sync: "-1s"}, "always")
}

func TestUnwritableStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refuses(t, embedded.Options{Dir: file, Listen: "127.0.0.1:0"}, file, "bus.store")
	if os.Getuid() == 0 {
		refuses(t, embedded.Options{Dir: "/proc/pacewire", Listen: "127.0.0.1:0"}, "/proc/pacewire")
		return // root writes wherever modes forbid it
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	refuses(t, embedded.Options{Dir: dir, Listen: "127.0.0.1:0"}, dir, "not writable")
}

// A server is killed under load: what it had acknowledged is there again.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+dir)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() { _ = child.Process.Kill(); _ = child.Wait() })
	t.Cleanup(kill)
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "nats://") {
		t.Fatalf("child says %q", lines.Text())
	}
	js := connect(t, lines.Text(), nats.NoReconnect())
	stream(t, js)
	acked := uint64(0)
	for {
		if acked == 200 {
			go kill()
		}
		if _, err := js.Publish("s", []byte(strconv.FormatUint(acked, 10))); err != nil {
			break
		}
		acked++
	}
	kill()
	if acked < 200 {
		t.Fatalf("INVALID: killed after %d", acked)
	}
	s := start(t, embedded.Options{Dir: dir})
	if n := messages(t, connect(t, s.URL())); n < acked {
		t.Errorf("%d of %d acknowledged messages", n, acked)
	}
}

// Of a server that works there is nothing to tell, however often it is examined.
func TestHealth(t *testing.T) {
	told := make(chan error, 10)
	dir := t.TempDir()
	s := start(t, embedded.Options{Dir: dir})
	stream(t, connect(t, s.URL())) // while it is made it looks broken, on a slow disk for long
	s.Shutdown()
	s = start(t, embedded.Options{Dir: dir, HealthEvery: 10 * time.Millisecond, OnHealth: func(err error) { told <- err }})
	js := connect(t, s.URL())
	for range 50 {
		if _, err := js.Publish("s", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Health(); err != nil {
		t.Errorf("health: %v", err)
	}
	select {
	case err := <-told:
		t.Errorf("told without a change: %v", err)
	default:
	}
}

// A disk that is truly full stops the server's writes for good; once it has room
// again the server restarts by itself and has every acknowledged message.
func TestDiskFull(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("needs the right to mount a tmpfs (root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	var mu sync.Mutex
	var seen []error
	users := new(embedded.Users)
	kept, revoked := users.Grant("kept", nil), users.Grant("revoked", nil)
	s := start(t, embedded.Options{Users: users, Dir: filepath.Join(disk, "store"), HealthEvery: 50 * time.Millisecond, OnHealth: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, err)
	}})
	js := connect(t, s.URL(), as(kept), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	revoked.Revoke()
	stream(t, js)
	if _, err := js.Publish("s", []byte("first")); err != nil {
		t.Fatal(err)
	}
	// Another program takes the rest of the disk.
	ballast := filepath.Join(disk, "ballast")
	fillDisk(t, ballast)
	acked := uint64(1)
	body := make([]byte, 64<<10)
	wait(t, "unhealthy server", func() bool {
		if _, err := js.Publish("s", body, nats.AckWait(300*time.Millisecond)); err == nil {
			acked++
		}
		return s.Health() != nil
	})
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	wait(t, "healthy server", func() bool { return s.Health() == nil })
	wait(t, "a publish", func() bool {
		_, err := js.Publish("s", []byte("after"), nats.AckWait(300*time.Millisecond))
		return err == nil
	})
	if n := messages(t, js); n < acked+1 {
		t.Errorf("%d of %d acknowledged messages", n, acked+1)
	}
	refused(t, s.URL(), as(revoked)) // by the restarted server too
	nc := dial(t, s.URL(), as(kept))
	kept.Revoke()
	wait(t, "the end of a connection to the restarted server", nc.IsClosed)
}

// Nobody waits for the next look at the server: a write that fails tells.
func TestDiskFullIsToldAtOnce(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("needs the right to mount a tmpfs (root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	told := make(chan error, 10)
	s := start(t, embedded.Options{Dir: filepath.Join(disk, "store"), HealthEvery: time.Hour, OnHealth: func(err error) { told <- err }})
	js := connect(t, s.URL())
	stream(t, js)
	fillDisk(t, filepath.Join(disk, "ballast"))
	if _, err := js.Publish("s", make([]byte, 64<<10), nats.AckWait(100*time.Millisecond)); err == nil {
		t.Fatal("INVALID: the disk is not full")
	}
	select {
	case err := <-told:
		if !errors.Is(err, embedded.ErrDiskFull) || !errors.Is(s.Health(), embedded.ErrDiskFull) {
			t.Errorf("told %v, health %v", err, s.Health())
		}
	case <-time.After(limit):
		t.Error("nobody is told")
	}
}

func fillDisk(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	block := make([]byte, 64<<10)
	for {
		if _, err := file.Write(block); err != nil {
			return
		}
	}
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for: %s", limit, what)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		s, err := embedded.Start(b.Context(), embedded.Options{Dir: dir, Listen: "127.0.0.1:0"})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		s.Shutdown()
		b.StartTimer()
	}
}
