package execd

import (
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// Points are sent as those of the host that they name, if points about it were given.
func TestHosts(t *testing.T) {
	h := hosts{own: "here", given: map[string]bool{}}
	h.add("web-1")
	h.add("web-2")
	f := func(text string, want map[string]string) {
		t.Helper()
		var b telemetry.Batch
		_ = b.DecodeLines([]byte(text), time.Unix(0, 7)) // what is wrong is counted
		dropped := b.Drops().Total()
		got := map[string]string{}
		h.divide(&b, func(host string, part *telemetry.Batch) {
			got[host] += string(part.AppendLines(nil))
			dropped -= part.Drops().Total()
		})
		if len(got) != len(want) || dropped != 0 {
			t.Errorf("%q is %q, want %q; %d drops are not told", text, got, want, dropped)
		}
		for host, lines := range want {
			if got[host] != lines {
				t.Errorf("%q: of %s are %q, want %q", text, host, got[host], lines)
			}
		}
	}
	f("", map[string]string{"here": ""})
	f("a n=1 5\nbad\n", map[string]string{"here": "a n=1 5\n"})
	f("a,host=web-1 n=1 5\na,host=web-1,b=c n=1 6\n", map[string]string{"web-1": "a,host=web-1 n=1 5\na,b=c,host=web-1 n=1 6\n"})
	f("a,host=db n=1 5\na n=2 6\n", map[string]string{"here": "a,host=db n=1 5\na n=2 6\n"})
	f("a,host=web-1 n=1 5\na,host=web-2 n=2 6\na n=3 7\nbad\na,host=web-1 n=4 8\nb,host=web-2 s=\"x\",t=true,u=1u,i=1i 9\n", map[string]string{
		"web-1": "a,host=web-1 n=1 5\na,host=web-1 n=4 8\n",
		"web-2": "a,host=web-2 n=2 6\nb,host=web-2 i=1i,s=\"x\",t=true,u=1u 9\n",
		"here":  "a n=3 7\n",
	})
}
