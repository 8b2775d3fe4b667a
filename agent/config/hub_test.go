package config

import (
	"slices"
	"testing"
	"time"
)

func TestHub(t *testing.T) {
	f := func(text string, want Hub) {
		t.Helper()
		s, err := Parse(options(), "c.yaml", []byte(text))
		if err != nil || s.Hub != want || len(s.Warnings) > 0 {
			t.Errorf("%s: %+v, %v; want %+v", text, s, err, want)
		}
	}
	f("owner: ops", Hub{})
	f("hub: {}", Hub{})
	f("hub: { overdue: 4 }", Hub{Overdue: 4}) // not above the default of down
	f("hub: { overdue: 4.5, down: 4.5 }", Hub{Overdue: 4.5, Down: 4.5})
	f("hub: { forget: 30d, forget_left: 10m }", Hub{Forget: 30 * 24 * time.Hour, ForgetLeft: 10 * time.Minute})
	f("hub: { spread: 0s, warmup: 0, forget: 0d }", Hub{Spread: None, WarmUp: None, Forget: None})
	f("env: PORT\nhub: { max_beats: \"${PORT}\" }", Hub{MaxBeats: 9273})
}

// The faults of both limits are told once, and not what follows from them.
func TestHubLimits(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := Parse(options(), "c.yaml", []byte(text))
		if got := messages(err); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	f("hub: { overdue: 5, down: x }", "hub.down: want a number from 1.5 to 1000, got x")
	f("hub: { overdue: 0, down: 2 }", "hub.overdue: want a number from 1.5 to 100, got 0")
	f("hub: { overdue: NaN, down: 1e9 }", "hub.overdue: want a number from 1.5 to 100, got NaN", "hub.down: want a number from 1.5 to 1000, got 1e9")
	f("hub: { down: 1, overdue: 3 }", "hub.down: want a number from 1.5 to 1000, got 1", "hub: down (1) is less than overdue (3): a host would be DOWN before it is OVERDUE")
	f("hub: { down: 3, overdue: 3.5 }", "hub: down (3) is less than overdue (3.5): a host would be DOWN before it is OVERDUE")
	f("hub: { forget: 1s }", "hub.forget: want at least 1m, got 1s")
	f("hub: { forget: }", "hub.forget: has no value")
	f("web: { listen: off }", "web.listen: want an address such as 127.0.0.1:8470, got off")
	f("hub: { spread: [0] }", "hub.spread: want text, got a list")
}

func TestWeb(t *testing.T) {
	f := func(text string, want Web) {
		t.Helper()
		s, err := Parse(options(), "c.yaml", []byte(text))
		if err != nil || s.Web != want {
			t.Errorf("%s: %+v, %v; want %+v", text, s, err, want)
		}
	}
	f("owner: ops", Web{Listen: WebListen})
	f("web: {}", Web{Listen: WebListen})
	f("web: off", Web{Off: true})
	f("web: \"off\"", Web{Off: true})
	f("web: { listen: \"[::1]:0\" }", Web{Listen: "[::1]:0"})
	f("web: { listen: localhost:80 }", Web{Listen: "localhost:80"})
}

func TestBrief(t *testing.T) {
	f := func(d time.Duration, want string) {
		t.Helper()
		if got := brief(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	f(10*time.Second, "10s")
	f(10*time.Minute, "10m")
	f(10*time.Hour, "10h")
	f(90*time.Second, "1m30s")
	f(time.Hour+30*time.Second, "1h0m30s")
}
