package recent

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// TestMemory compares what is counted with what the heap says: the limit is only worth as much as it.
func TestMemory(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // what the first one only freed from pools
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	f := func(what string, sets, slots int, add func(b *telemetry.Batch, i, slot int)) {
		t.Helper()
		b := new(telemetry.Batch)
		fill := func(slot int) {
			b.Reset()
			for i := range sets {
				add(b, i, slot)
			}
		}
		fill(slots - 1) // as large as it gets
		fill(0)
		newStore(Limits{}).Add(b, "warm", "up", noon)
		before := heap()
		s := newStore(Limits{Series: 1 << 20})
		for slot := range slots {
			fill(slot)
			s.Add(b, "web-17.example.org", "host", noon.Add(time.Duration(slot)*Step))
		}
		b.Reset()
		is, told := heap()-before, s.Stats().Bytes
		t.Logf("%s: %d bytes a set, %d are counted", what, is/int64(sets), told/int64(sets))
		if is > told*11/10 || is < told*9/10 {
			t.Errorf("%s: %d bytes, %d are counted", what, is, told)
		}
		runtime.KeepAlive(b)
		runtime.KeepAlive(s)
	}
	tags := func(i int) telemetry.Tags {
		return telemetry.Tags{"path": fmt.Sprintf("/srv/data/%d", i), "device": "sda1"}
	}
	number := func(b *telemetry.Batch, i, slot int) {
		b.Add("disk", telemetry.Fields{"used": float64(i + slot)}, tags(i))
	}
	numbers := func(b *telemetry.Batch, i, slot int) {
		b.Add("disk", telemetry.Fields{"used": float64(i), "free": 5, "total": uint64(7), "inodes": 8.5, "reads": slot}, tags(i))
	}
	texts := func(b *telemetry.Batch, i, _ int) {
		b.Add("os", telemetry.Fields{"name": "Debian GNU/Linux", "ok": true, "note": strings.Repeat("x", i%256)}, tags(i))
	}
	flags := func(b *telemetry.Batch, i, slot int) {
		b.Add("os", telemetry.Fields{"ok": (i+slot)%2 == 0}, tags(i))
	}
	mixed := func(b *telemetry.Batch, i, slot int) {
		number(b, i, slot)
		texts(b, i, slot)
		b.Add("few", telemetry.Fields{fmt.Sprint("name", i%50): i, "v": slot}, nil)
	}
	f("a number, once", 2000, 1, number)
	f("a number, five minutes", 1000, 30, number)
	f("a number, an hour and more", 300, Slots+50, number)
	f("five numbers", 3000, 5, numbers)
	f("texts", 3000, 3, texts)
	f("bools", 10_000, 3, flags)
	f("mixed", 2000, 32, mixed)
}

// TestLimitHolds fills a Store with what takes most, and that which grows later.
func TestLimitHolds(t *testing.T) {
	f := func(what string, fields func(i, round int) telemetry.Fields) {
		t.Helper()
		const limit = 40_000
		s := newStore(Limits{Bytes: limit})
		for round := range 40 {
			for i := range 80 {
				b := new(telemetry.Batch)
				b.Add("big", fields(i, round), telemetry.Tags{"n": fmt.Sprint(i), "pad": strings.Repeat("x", i)})
				s.Add(b, "h1", "host", noon.Add(time.Duration(round)*20*Step))
			}
		}
		if got := s.Stats(); got.Bytes > limit+limit/50 || got.Bytes < limit/2 {
			t.Errorf("%s: %+v, want about %d bytes", what, got, limit)
		}
		all, _, _ := s.Latest(Query{Field: "n"}, noon.Add(800*Step), "", 1)
		if len(all) == 1 && all[0].Value != int64(39) && all[0].Value != "" {
			t.Errorf("%s: %+v is not the latest", what, all[0])
		}
	}
	f("numbers", func(_, round int) telemetry.Fields { return telemetry.Fields{"n": round} })
	f("texts that grow", func(_, round int) telemetry.Fields {
		return telemetry.Fields{"n": round, "text": strings.Repeat("é", round*10)}
	})
	f("many fields", func(i, _ int) telemetry.Fields {
		many := telemetry.Fields{}
		for k := range 100 {
			many[fmt.Sprint("field", i, k)] = k
		}
		return many
	})
	f("other fields each time", func(_, round int) telemetry.Fields {
		return telemetry.Fields{"n": round, fmt.Sprint("r", round): true}
	})
	f("types that change", func(i, round int) telemetry.Fields {
		if (i+round)%2 == 0 {
			return telemetry.Fields{"v": "a text"}
		}
		return telemetry.Fields{"v": 5}
	})
}

// TestCountIsExact compares what is counted step by step with the sum over all, after changes of every sort.
func TestCountIsExact(t *testing.T) {
	s := newStore(Limits{})
	for i := range 500 {
		b := new(telemetry.Batch)
		value := []any{i, "a text", true, strings.Repeat("long ", i%60), 2.5}[i*7%5]
		b.Add("s", telemetry.Fields{fmt.Sprint("f", i%17): value, "same": value}, telemetry.Tags{"n": fmt.Sprint(i % 13)})
		s.Add(b, "h", "p", noon.Add(time.Duration(i)*20*time.Second))
		sum := int64(0)
		for _, e := range s.order {
			sum += e.bytes()
		}
		if sum != s.taken {
			t.Fatalf("after %d: %d bytes, %d are counted", i, sum, s.taken)
		}
	}
}

func TestTextsHaveNoPast(t *testing.T) {
	s := newStore(Limits{})
	f := func(v any, past bool) {
		t.Helper()
		b := new(telemetry.Batch)
		b.Add("s", telemetry.Fields{"v": v}, nil)
		s.Add(b, "h", "p", noon)
		if has := s.order[0].fields[0].past != nil; has != past {
			t.Errorf("%v has a past: %v", v, has)
		}
	}
	f("text", false)
	f(true, false)
	f(5, true)
	f("text", false)
	f(5.5, true)
	f(false, false)
}

func TestLongKeysAreRefused(t *testing.T) {
	s := newStore(Limits{})
	b := new(telemetry.Batch)
	tags := telemetry.Tags{}
	for i := range 5 {
		tags[fmt.Sprint("t", i)] = strings.Repeat("x", 1000)
	}
	b.Add("s", telemetry.Fields{"v": 1, "w": 2}, tags)
	s.Add(b, "h", "p", noon)
	if got := s.Stats(); got.Series != 0 || got.Refused != 2 {
		t.Errorf("%+v, want both values refused", got)
	}
}
