package process

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/texttest"
)

func TestChange(t *testing.T) {
	f := func(own int, want, fault string) {
		t.Helper()
		c, err := change("nobody", &syscall.Credential{Uid: 65534}, own)
		if got := fmt.Sprint(c != nil); got != want || (err != nil) != (fault != "") || err != nil && err.Error() != fault {
			t.Errorf("as %d: %s, %v", own, got, err)
		}
	}
	f(0, "true", "")
	f(65534, "false", "") // we are it
	f(1000, "false", "run_as nobody: the agent runs as uid 1000 and may not change the user: run it as root, or remove run_as")
}

func TestUserThatIsNotThere(t *testing.T) {
	p, err := Start(Command{Args: []string{"true"}, User: "no-such-user"})
	if p != nil || err == nil || !strings.Contains(err.Error(), "run_as no-such-user: this machine has no such user") {
		t.Errorf("%v, %v", p, err)
	}
}

func TestOurOwnUser(t *testing.T) {
	for _, name := range []string{"", strconv.Itoa(os.Geteuid())} {
		if c, err := credentialOf(name); c != nil || err != nil {
			t.Errorf("credentialOf(%q) = %v, %v", name, c, err)
		}
	}
}

// The process is that user's, with all it starts, and we end all of it.
func TestUser(t *testing.T) {
	needRoot(t)
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("this machine has no user nobody:", err)
	}
	dir := t.TempDir()
	var out texttest.Buffer
	p := start(t, Command{
		Args: []string{"sh", "-c", `echo $(id -u) $(id -g) $(id -G); (setsid sleep 60 &); (trap "" TERM; setsid sleep 61 &); echo up; wait; sleep 60`},
		Env:  []string{"PATH=" + os.Getenv("PATH")}, Dir: "/", User: "nobody", Stdout: &out, Limits: Limits{Files: 99},
	})
	eventually(t, "it is up and has four processes", func() bool {
		return strings.HasSuffix(out.String(), "up\n") && len(p.survivors()) == 4
	})
	if got, want := out.String(), nobody.Uid+" "+nobody.Gid+" "+nobody.Gid+"\nup\n"; got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
	p.Terminate(100 * time.Millisecond)
	ended(t, p)
	if left := p.survivors(); len(left) > 0 {
		t.Errorf("%v are left", left)
	}

	// A folder that it may not enter hides no program that we have opened.
	path := filepath.Join(dir, "program")
	copyFile(t, "/bin/echo", path)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out = texttest.Buffer{}
	e := ended(t, start(t, Command{Args: []string{"echo", "hello"}, Dir: "/", User: "nobody", File: f, Stdout: &out}))
	if e.Code != 0 || out.String() != "hello\n" {
		t.Errorf("%v, %q", e, out.String())
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o755); err != nil {
		t.Fatal(err)
	}
}

// needRoot is for tests with another user.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it takes root to change the user, this is uid", os.Geteuid())
	}
}

// Groups take the place of the user's.
func TestGroups(t *testing.T) {
	needRoot(t)
	daemon, err := user.LookupGroup("daemon")
	if err != nil {
		t.Skip("this machine has no group daemon:", err)
	}
	for _, name := range []string{"", "nobody"} {
		var out texttest.Buffer
		p := start(t, Command{
			Args: []string{"id", "-G"}, Env: []string{"PATH=" + os.Getenv("PATH")}, Dir: "/",
			User: name, Groups: []string{"daemon", "0"}, Stdout: &out,
		})
		ended(t, p)
		if got, want := out.String(), daemon.Gid+" 0\n"; got != want {
			t.Errorf("as %q it is in %q, want %q", name, got, want)
		}
	}
}

func TestGroupThatIsNotThere(t *testing.T) {
	p, err := Start(Command{Args: []string{"true"}, Groups: []string{"no-such-group"}})
	if p != nil || err == nil || !strings.Contains(err.Error(), "group no-such-group: this machine has no such group") {
		t.Errorf("%v, %v", p, err)
	}
}

func TestHaveGroups(t *testing.T) {
	if err := haveGroups([]uint32{uint32(os.Getegid())}, []string{"own"}); err != nil {
		t.Error(err)
	}
	if err := haveGroups([]uint32{uint32(os.Getegid()), 4294967290}, []string{"own", "other"}); err == nil || !strings.HasPrefix(err.Error(), "group other: ") {
		t.Error(err)
	}
}
