package lines

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/internal/texttest"
)

// The sockets are opened by New, so that a wrong address shows at once, and closed by Close.
func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	packet, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packet.Close()
	f := func(entry string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "s")
		_, err := New(t.Context(), config("unix://"+path, entry), env(t))
		want := fmt.Sprintf("listen %q: ", entry)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "another program listens there: stop it, or set listen to another address") {
			t.Errorf("%s: error %v", entry, err)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s: the other socket is still open", entry)
		}
	}
	f("tcp://" + taken.Addr().String())
	f("http://" + taken.Addr().String())
	f("udp://" + packet.LocalAddr().String())
}

func TestAddressOfNobody(t *testing.T) {
	_, err := New(t.Context(), config("tcp://192.0.2.1:8094"), env(t))
	if err == nil || !strings.Contains(err.Error(), "this machine does not have that address") {
		t.Errorf("error %v", err)
	}
}

func TestDefaultsTwice(t *testing.T) {
	for range 2 {
		s, err := New(t.Context(), defaults(), env(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.(*listener).Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPublicAddress(t *testing.T) {
	f := func(entry string, want int) {
		t.Helper()
		var j texttest.Buffer
		e := env(t)
		e.Log = j.Logger()
		s, err := New(t.Context(), config(entry), e)
		if err != nil {
			t.Fatal(err)
		}
		defer s.(*listener).Close()
		if n := j.Count("anybody who reaches this address can send points"); n != want {
			t.Errorf("%s: %d warnings, want %d: %s", entry, n, want, &j)
		}
	}
	f("tcp://127.0.0.1:0", 0)
	f("http://localhost:0", 0)
	f("udp://127.0.0.1:0", 0)
	f("unix://"+filepath.Join(t.TempDir(), "s"), 0)
	f("tcp://:0", 1)
	f("udp://0.0.0.0:0", 1)
	f("http://0.0.0.0:0", 1)
}

func TestUnixFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	cfg := config("unix://" + path)
	cfg.UnixMode = "0600"
	r := start(t, cfg)
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	_, err = New(t.Context(), cfg, env(t))
	if err == nil || !strings.Contains(err.Error(), "another program listens there") {
		t.Errorf("second listener: %v", err)
	}
	r.send(r.dial(), text(0, 1)) // the first one is not disturbed
	r.take(t, 1)
	r.stop()
	if _, err := os.Lstat(path); err == nil {
		t.Error("file is still there")
	}
}

func TestStaleUnixFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	r := start(t, config("unix://"+path))
	r.send(r.dial(), text(0, 1))
	r.take(t, 1)
}

// A socket that took the place of ours stays.
func TestUnixFileOfAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	r := start(t, config("unix://"+path))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other := start(t, config("unix://"+path))
	r.stop()
	other.send(other.dial(), text(0, 1))
	other.take(t, 1)
}

func TestUnixFileThatIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := New(t.Context(), config("unix://"+path), env(t))
	if err == nil || !strings.Contains(err.Error(), "a file that is no socket: remove it, or set listen to another path") {
		t.Errorf("error %v", err)
	}
	if text, err := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("file is %q, %v", text, err)
	}
	_, err = New(t.Context(), config("unix://"+path+"/s"), env(t))
	if err == nil {
		t.Error("no error below a file")
	}
	_, err = New(t.Context(), config("unix://"+path+"-folder/s"), env(t))
	if err == nil || !strings.Contains(err.Error(), "make its folder first") {
		t.Errorf("error %v", err)
	}
}
