package api

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
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
	f("Bearer "+token, 204, "") // whose address is that of everybody on this machine
	f("Bearer guess", 429, "too_many_tokens")
	if told := r.fleet.orders(); told != "forget web1; forget web1" {
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
		if k.refused("a", now) != 0 {
			t.Fatal("refused too early")
		}
	}
	f := func(who string, after, want time.Duration) {
		t.Helper()
		if got := k.refused(who, now.Add(after)); got != want {
			t.Errorf("%s after %v waits %v, want %v", who, after, got, want)
		}
	}
	f("a", 0, time.Minute)
	f("b", 0, 0)
	f("a", 59*time.Second, time.Second)
	f("a", time.Minute, 0)
	for i := range 5000 {
		k.refused(fmt.Sprint(i), now)
	}
	if len(k.wrong) > mostTriers {
		t.Errorf("%d addresses are remembered", len(k.wrong))
	}
}

// TestTriesAtOnce guesses from many connections at the same moment: not one more than may be is told 401.
func TestTriesAtOnce(t *testing.T) {
	var k tokens
	var free atomic.Int64
	var all sync.WaitGroup
	now := time.Now()
	for range 100 {
		all.Go(func() {
			if k.refused("a", now) == 0 {
				free.Add(1)
			}
		})
	}
	if all.Wait(); free.Load() != mostTries {
		t.Errorf("%d wrong tokens are not refused, want %d", free.Load(), mostTries)
	}
}
