package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// Two hubs of a run folder have a token each, and neither takes the other's away. The first has the usual file.
func TestTokens(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	t.Setenv("PACEWIRE_RUN", dir)
	leave := func(port int, name string) *webToken {
		t.Helper()
		k, err := leaveToken(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(k.file)
		if k.file != filepath.Join(dir, name) || err != nil || info.Mode() != 0o600 || len(k.text) != 2*tokenSize {
			t.Errorf("%+v: %v", k, err)
		}
		return k
	}
	is := func(k *webToken, want string) {
		t.Helper()
		if text, _ := os.ReadFile(k.file); string(text) != want {
			t.Errorf("%s says %q", k.file, text)
		}
	}
	first, second := leave(8470, "http.token"), leave(8471, "http-8471.token")
	is(first, first.text+"\n")
	is(second, second.text+"\n")
	second.remove()
	is(second, "")
	is(first, first.text+"\n")
	first.remove()
	is(first, "")
	third := leave(8472, "http.token")
	if err := os.WriteFile(third.file, []byte("another's\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	third.remove()
	is(third, "another's\n")
	fourth := leave(8473, "http.token") // over what one has left that was killed
	is(fourth, fourth.text+"\n")
	fourth.remove()
}

// A link in the place of the token is not followed.
func TestTokenLink(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PACEWIRE_RUN", dir)
	target := filepath.Join(dir, "target")
	if err := os.Symlink(target, filepath.Join(dir, tokenName)); err != nil {
		t.Fatal(err)
	}
	k, err := leaveToken(&net.TCPAddr{Port: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer k.remove()
	if _, err := os.Stat(target); err == nil {
		t.Error("the token is where the link points to")
	}
	if err := os.Symlink(target, filepath.Join(dir, "http-2.token")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, tokenLock)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, filepath.Join(dir, tokenLock)); err != nil {
		t.Fatal(err)
	}
	if _, err := leaveToken(&net.TCPAddr{Port: 2}); err == nil {
		t.Error("a lock that is a link is followed")
	}
}
