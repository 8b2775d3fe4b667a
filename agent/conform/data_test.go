package conform

import (
	"fmt"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

func TestGoodID(t *testing.T) {
	f := func(id, want string) {
		t.Helper()
		says(t, goodID(bus.Tapped{ID: id}, "p.1"), want)
	}
	f("kit_1=2Eexample/p=2E1/0123456789abcdef/1", "")
	f("a-uuid-or-the-like-will-do", "")
	f("", "no header Nats-Msg-Id")
	f("p1-17", "can be guessed")
}

// Numbers of each process go up by one. Ids of another form say nothing.
func TestHoles(t *testing.T) {
	f := func(want string, ids ...string) {
		t.Helper()
		var all []bus.Tapped
		for _, id := range ids {
			all = append(all, bus.Tapped{ID: id})
		}
		says(t, newStage().holes(all), want)
	}
	own := func(process string, n int) string { return fmt.Sprintf("%s%s/%d", ownIDs("p.1"), process, n) }
	f("")
	f("", own("a", 2), own("a", 1), own("b", 1))
	f("a/2 is missing: 2 came, the last is number 3", own("a", 1), own("a", 3))
	f("b/1 is missing", own("a", 1), own("b", 2))
	f("", "x/p/a/1", "x/p/a/3", ownIDs("p.1")+"a/e3", "uuid")
}

func TestOrigin(t *testing.T) {
	f := func(id, want string) {
		t.Helper()
		if got := origin(id, "p.1"); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	f(bus.DerivedID("h/s/x/1", "p.1", 1), "h/s/x/1")
	f(bus.DerivedID("h/s/x/1", "p.1", 2), "h/s/x/1")
	f("h/s/x/1", "")
	f("h/s/x/1+p=2E1x", "")
	f("h/s/x/1+other", "")
}

func TestListed(t *testing.T) {
	catalog := []telemetry.Desc{{
		Series: "fan", Tags: map[string]string{"slot": ""}, Fields: map[string]string{"rpm": "", "n": ""}, Types: map[string]string{"n": "i"},
	}}
	f := func(want, series string, fields telemetry.Fields, tags telemetry.Tags) {
		t.Helper()
		var b telemetry.Batch
		b.At(time.Now())
		b.Add(series, fields, tags)
		for g := range b.Groups() {
			says(t, listed(catalog, g), want)
		}
	}
	f("", "fan", telemetry.Fields{"rpm": 900.5, "n": int64(1)}, telemetry.Tags{"slot": "a", "host": "web-1"})
	f("series pump is not", "pump", telemetry.Fields{"rpm": 900.5}, nil)
	f("tag colour of series fan is not", "fan", telemetry.Fields{"rpm": 900.5}, telemetry.Tags{"colour": "red"})
	f("field speed of series fan is not", "fan", telemetry.Fields{"speed": 1.5}, nil)
	f("has type s, the catalog says f", "fan", telemetry.Fields{"rpm": "fast"}, nil)
	f("has type f, the catalog says i", "fan", telemetry.Fields{"n": 1.5}, nil)
}

// Each sample has its own values and times, so that a batch that comes twice is told from two.
func TestSample(t *testing.T) {
	f := func(input, series string, points int) {
		t.Helper()
		k := &kit{o: Options{Input: []byte(input)}}
		seen := map[string]bool{}
		for n := range 3 {
			body, err := k.sample(n)
			if err != nil {
				t.Fatal(err)
			}
			var b telemetry.Batch
			if err := b.DecodeMsgPack(body); err != nil {
				t.Fatal(err)
			}
			if b.Len() != points {
				t.Errorf("%d points, want %d", b.Len(), points)
			}
			for p := range b.Points() {
				seen[p.Time.String()+fmt.Sprint(p.Fields)] = true
				if series != "" && p.Series != series {
					t.Errorf("series %s, want %s", p.Series, series)
				}
			}
		}
		if len(seen) < 3 {
			t.Errorf("%d points that differ", len(seen))
		}
	}
	f("", "", 40)
	f(`{"series":"fan","fields":{"rpm":900}}`, "fan", 1)
	f("fan rpm=900 1763559525000000000\n", "fan", 1)
	if _, err := (&kit{o: Options{Input: []byte("[[")}}).sample(1); err == nil {
		t.Error("points that cannot be read are taken")
	}
}

func TestFitsLetter(t *testing.T) {
	bad := badBatch{file: "empty.json", code: "syntax", body: []byte("{")}
	f := func(change func(l *bus.Letter), want string) {
		t.Helper()
		l := bus.Letter{Seq: 1, Reason: "syntax", Subject: "pw.metrics.a.b", Stored: time.Now(), Body: []byte("{")}
		change(&l)
		says(t, bad.fits(l), want)
	}
	f(func(*bus.Letter) {}, "")
	f(func(l *bus.Letter) { *l = bus.Letter{} }, "has no dead letter")
	f(func(l *bus.Letter) { l.Reason = "bad" }, `want "syntax"`)
	f(func(l *bus.Letter) { l.Subject = "" }, "no Pw-Subject")
	f(func(l *bus.Letter) { l.Stored = time.Time{} }, "no Pw-Stored")
	f(func(l *bus.Letter) { l.Body = nil }, "another content")
}
