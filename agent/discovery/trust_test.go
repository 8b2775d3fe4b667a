package discovery

import (
	"os"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/agent/trust"
)

// Under enforce nothing is executed that nobody vouches for; under warn the same is told.
func TestTrust(t *testing.T) {
	b := newBench(t, 1, Options{})
	keys := makeDir(t, b.dir+"/keys", 0o755)
	sign, stranger := b.signer(t, "ops"), b.signer(t, "")
	put := func(name, sig string) {
		b.put(t, "a/"+name, plugin(name), 0o755)
		if sig != "" {
			b.put(t, "a/"+name+".sig", sig, 0o644)
		}
	}
	put("good", sign(plugin("good")))
	put("none", "")
	put("stranger", stranger(plugin("stranger")))
	put("flipped", sign(strings.Replace(plugin("flipped"), "echo", "ecHo", 1)))
	put("wide", sign(plugin("wide")))
	b.put(t, "a/wide", plugin("wide"), 0o777)
	b.put(t, "out", plugin("escape"), 0o755)
	b.put(t, "out.sig", sign(plugin("escape")), 0o644)
	if err := os.Symlink("../out", b.dir+"/a/escape"); err != nil {
		t.Fatal(err)
	}
	bad := map[string]trust.Code{
		"none": trust.Unsigned, "stranger": trust.BadSignature, "flipped": trust.BadSignature, "wide": trust.Insecure, "escape": trust.Insecure,
	}
	f := func(level trust.Level, state State) {
		t.Helper()
		f := New(Options{Dirs: b.o.Dirs, Checker: b.o.Checker, Trust: trust.Policy{Level: level, Keys: keys}})
		for _, p := range f.Scan(t.Context()) {
			name := strings.TrimPrefix(p.Path, b.dir+"/a/")
			code, times := bad[name], asked(name)
			switch {
			case code == "":
				if p.State != Available || p.SignedBy != "ops" || len(p.Findings) > 0 {
					t.Errorf("%s at %s: %+v", name, level, p)
				}
			case p.State != state || p.Findings[0].Code != code:
				t.Errorf("%s at %s: %s, %v; want %s, %s", name, level, p.State, p.Findings, state, code)
			case state == Refused && (times != 0 || !strings.HasPrefix(p.Reason, "refused: "+string(code))):
				t.Errorf("%s at %s: executed %d times, %s", name, level, times, p.Reason)
			case state == Available && times != 1:
				t.Errorf("%s at %s: executed %d times", name, level, times)
			}
		}
	}
	f(trust.Enforce, Refused)
	f(trust.Warn, Available)
}

// A pin that does not match refuses at each level, and the folder counts as much as the file.
func TestPinAndFolder(t *testing.T) {
	b := newBench(t, 1, Options{})
	b.put(t, "a/fan", plugin("fan"), 0o755)
	f := func(want trust.Policy, state State) {
		t.Helper()
		all := New(Options{Dirs: b.o.Dirs, Checker: b.o.Checker, Trust: want}).Scan(t.Context())
		if len(all) != 1 || all[0].State != state {
			t.Errorf("%+v: %+v, want %s", want, all, state)
		}
	}
	sum := b.Scan(t.Context())[0].SHA256
	times := asked("fan")
	for _, level := range []trust.Level{trust.Off, trust.Warn, trust.Enforce} {
		f(trust.Policy{Level: level, SHA256: strings.Repeat("0", 64)}, Refused)
	}
	if n := asked("fan"); n != times {
		t.Errorf("executed %d times", n-times)
	}
	f(trust.Policy{Level: trust.Enforce, SHA256: sum}, Available)
	if err := os.Chmod(b.dir+"/a", 0o777); err != nil {
		t.Fatal(err)
	}
	f(trust.Policy{Level: trust.Enforce, SHA256: sum}, Refused)
	f(trust.Policy{Level: trust.Warn, SHA256: sum}, Available)
}

// What vouches for a program is looked at anew when it changes, though the program has not.
func TestWhatIsAroundChanges(t *testing.T) {
	b := newBench(t, 1, Options{})
	keys := makeDir(t, b.dir+"/keys", 0o755)
	b.o.Trust = trust.Policy{Level: trust.Enforce, Keys: keys}
	f := func(state State, times int) {
		t.Helper()
		b.rest(t)
		b.Scan(t.Context())
		all := b.Scan(t.Context())
		if len(all) != 1 || all[0].State != state || asked("fan") != times {
			t.Errorf("%+v, asked %d times; want %s, %d", all, asked("fan"), state, times)
		}
	}
	b.put(t, "a/fan", plugin("fan"), 0o755)
	f(Refused, 0)
	sign := b.signer(t, "ops")
	f(Refused, 0)
	b.put(t, "a/fan.sig", sign(plugin("fan")), 0o644)
	f(Available, 1)
	if err := os.Chmod(b.dir+"/a", 0o777); err != nil {
		t.Fatal(err)
	}
	f(Refused, 1)
	if err := os.Chmod(b.dir+"/a", 0o755); err != nil {
		t.Fatal(err)
	}
	f(Available, 2)
	if err := os.Remove(keys + "/ops.pem"); err != nil { // the key is not to be trusted any more
		t.Fatal(err)
	}
	f(Refused, 2)
}
