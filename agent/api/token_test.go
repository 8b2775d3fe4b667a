package api

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestToken(t *testing.T) {
	r := start(t, nil, nil)
	f := func(header string, status int, code string) {
		t.Helper()
		a := r.ask("DELETE", "/api/v1/hosts/web1", "", "Authorization: "+header)
		if a.StatusCode != status || a.code() != code {
			t.Errorf("%q: %s %s; want %d %s", header, a.Status, a.text, status, code)
		}
		if status == 401 && a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%q: no WWW-Authenticate", header)
		}
	}
	f("Bearer "+token, 204, "")
	f("", 401, "token_missing")
	f("Bearer wrong", 401, "token_wrong")
	f("bearer "+token, 401, "token_wrong")
	f("Basic "+token, 401, "token_wrong")
	f("Bearer "+token+"x", 401, "token_wrong")
	f("Bearer", 401, "token_wrong")
	for range mostTries - 5 {
		f("Bearer guess", 401, "token_wrong")
	}
	f("Bearer guess", 429, "too_many_tokens")
	f("Bearer "+token, 429, "too_many_tokens") // even with the right one
	if told := r.fleet.orders(); told != "forget web1" {
		t.Errorf("the hub was told %s", told)
	}
	if a := r.ask("GET", "/api/v1/hosts", "", "Authorization: Bearer guess"); a.StatusCode != http.StatusOK {
		t.Errorf("reading: %s", a.Status)
	}
}

func TestNoToken(t *testing.T) {
	r := start(t, nil, func(o *Options) { o.Token = "" })
	for _, header := range []string{"", "Bearer ", "Bearer x"} {
		if a := r.ask("DELETE", "/api/v1/hosts/web1", "", "Authorization: "+header); a.StatusCode != 401 || a.code() != "no_token" {
			t.Errorf("%q: %s %s", header, a.Status, a.text)
		}
	}
}

func TestTriesEnd(t *testing.T) {
	var k tokens
	now := time.Now()
	for range mostTries {
		if k.locked("a", now) != 0 {
			t.Fatal("locked too early")
		}
		k.note("a", now)
	}
	f := func(who string, after, want time.Duration) {
		t.Helper()
		if got := k.locked(who, now.Add(after)); got != want {
			t.Errorf("%s after %v waits %v, want %v", who, after, got, want)
		}
	}
	f("a", 0, time.Minute)
	f("a", 59*time.Second, time.Second)
	f("a", time.Minute, 0)
	f("b", 0, 0)
	for i := range 5000 {
		k.note(fmt.Sprint(i), now)
	}
	if len(k.wrong) > mostTriers {
		t.Errorf("%d addresses are remembered", len(k.wrong))
	}
}
