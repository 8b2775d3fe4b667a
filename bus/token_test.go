package bus_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
)

func TestToken(t *testing.T) {
	f := func(name, want string) {
		t.Helper()
		got := bus.Token(name)
		if got != want {
			t.Errorf("Token(%q) = %q; want %q", name, got, want)
		}
		back, hashed, err := bus.Untoken(got)
		if err != nil || !hashed && back != name || hashed && back != got {
			t.Errorf("Untoken(%q) = %q, %v, %v; want %q", got, back, hashed, err, name)
		}
	}
	f("web-1", "web-1")
	f("web-1.example.org", "web-1=2Eexample=2Eorg")
	f("*", "=2A")
	f(">", "=3E")
	f("$SYS", "=24SYS")
	f("~", "=7E")
	f("", "=")
	f("=", "=3D")
	f("a==b", "a=3D=3Db")
	f("a b", "a=20b")
	f("\x00", "=00")
	f("\xff", "=FF")
	f("ü", "=C3=BC")
	f(strings.Repeat("h", 64), strings.Repeat("h", 64))
	f(strings.Repeat("h", 65), strings.Repeat("h", 48)+"==33b63d82e4d9")
}

// A cut must not split an escape, wherever it falls.
func TestTokenCut(t *testing.T) {
	f := func(before, want int) {
		t.Helper()
		got := bus.Token(strings.Repeat("h", before) + strings.Repeat(".", 30))
		kept, hash, ok := strings.Cut(got, "==")
		if !ok || len(kept) != want || len(hash) != 12 {
			t.Errorf("%d letters, then escapes: %q keeps %d; want %d", before, got, len(kept), want)
		}
		if _, hashed, err := bus.Untoken(got); err != nil || !hashed {
			t.Errorf("Untoken(%q): %v, %v", got, hashed, err)
		}
	}
	f(47, 47)
	f(46, 46)
	f(45, 48)
	f(0, 48)
}

func TestUntokenRefuses(t *testing.T) {
	f := func(token string) {
		t.Helper()
		if name, _, err := bus.Untoken(token); !errors.Is(err, bus.ErrBadToken) {
			t.Errorf("Untoken(%q) = %q, %v; want ErrBadToken", token, name, err)
		}
	}
	f("")
	f("a.b")
	f("a b")
	f("*")
	f("a=2e") // lower case
	f("a=41") // needs no escape
	f("a=")
	f("a=4")
	f("a=GG")
	f("==")
	f("a==33b63d82e4d9") // a short name is not hashed
	f(strings.Repeat("h", 48) + "==33B63d82e4d9")
	f(strings.Repeat("h", 48) + "==33b63d82e4d")
	f(strings.Repeat("h", 46) + "=4==33b63d82e4d9") // a split escape
	f(strings.Repeat("h", 65))
}

func FuzzToken(f *testing.F) {
	for _, name := range []string{"", "web-1", "a.b", "*", "\x00\xff", strings.Repeat(".", 40), strings.Repeat("h", 65)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		token := bus.Token(name)
		if token == "" || len(token) > 64 || strings.ContainsAny(token, ".*> \t\r\n\x00") {
			t.Fatalf("Token(%q) = %q", name, token)
		}
		back, hashed, err := bus.Untoken(token)
		if err != nil || !hashed && back != name {
			t.Fatalf("Untoken(Token(%q)) = %q, %v, %v", name, back, hashed, err)
		}
	})
}

func FuzzUntoken(f *testing.F) {
	for _, token := range []string{"=", "web-1", "a=2Eb", strings.Repeat("h", 48) + "==33b63d82e4d9", "a=2e"} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		name, hashed, err := bus.Untoken(token)
		if err == nil && !hashed && bus.Token(name) != token {
			t.Fatalf("Untoken(%q) = %q, whose token is %q", token, name, bus.Token(name))
		}
	})
}
