package bus

import (
	"strconv"
	"testing"
)

func TestGaps(t *testing.T) {
	var g gapCounter
	at := uint64(0)
	f := func(id string, skipped, want uint64) {
		t.Helper()
		at += 1 + skipped
		if got := g.see(&Delivery{ID: id, Deliveries: 1, consumerSeq: at}); got != want {
			t.Errorf("%s: %d lost; want %d", id, got, want)
		}
	}
	f("h/p/b/5", 0, 0) // the first of a source tells nothing
	f("h/p/b/6", 0, 0)
	f("h/p/b/9", 0, 2)
	f("h/q/b/1", 0, 2)
	f("h/p/b/8", 0, 1) // late, not lost
	f("h/p/b/10", 0, 1)
	f("h/p/c/1", 0, 1)                        // restarted
	f("h/p/b/20", 3, 1)                       // others of this consumer got some
	f("h/p/b/22", 0, 2)                       // and now not
	f("h/p/b/30+q", 0, 2)                     // derived
	f("", 0, 2)                               // foreign
	f("h/p/b/23", 0, 2)                       // no hole
	f("h/p/b/21", 0, 1)                       // late
	f("dead/out/7", 0, 1)                     // a source of its own
	f("h/p/b/24~other0123456789abcdef", 0, 1) // its id was used by somebody else, and it was sent by another
	f("h/p/b/99999", 0, 1+99999-24-1)
}

func TestGapsForgets(t *testing.T) {
	var g gapCounter
	for i := range uint64(maxSources + 10) {
		g.see(&Delivery{ID: "h/p/" + strconv.FormatUint(i, 10) + "/1", Deliveries: 1, consumerSeq: i + 1})
	}
	if len(g.sources) > maxSources {
		t.Errorf("%d sources remembered", len(g.sources))
	}
}
